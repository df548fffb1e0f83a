"""Open one of the visitor's pictures, or delete it."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from nst.studio.batch_job import Batch
from nst.studio.film_job import Film
from nst.studio.job import Job
from page.actions.session import Session, Updates, is_owned
from page.http.following import AT_ONCE, event_value, tab_of
from page.panels import charts
from page.panels.film import DELETED
from page.panels.modes import FILM, PICTURE
from page.panels.stage import first_value

GONE = "It can no longer be brought back."
NOT_KEPT = "What this card shows is no longer kept."
DAMAGED = {
    Job.noun: "This picture is damaged on the server's disk; it can only be deleted.",
    Batch.noun: "These photos are damaged on the server's disk; they can only be deleted.",
    Film.noun: "This film is damaged on the server's disk; it can only be deleted.",
}


@dataclass(frozen=True)
class OwnPictures:
    """The cards of the gallery."""

    session: Session

    def wire(self) -> None:
        """Connect the cards."""
        session = self.session
        for opened in (session.gallery.select, session.result_panel.stage.open_batch):
            opened(
                self.open_card,
                [session.visitor],
                [*session.film.outputs, *session.everything],
                **AT_ONCE,
            )
        session.gallery.delete(
            self.delete_card,
            [session.visitor, session.current, session.film.current],
            [
                session.current,
                *session.result_panel.outputs,
                *session.film.outputs,
                session.gallery,
            ],
            **AT_ONCE,
        )
        session.gallery.restore(self.restore_card, [session.visitor], [session.gallery], **AT_ONCE)

    def open_card(self, visitor: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Put a job of the visitor's on the result panel."""
        session = self.session
        visitor, id = session.visitor_of(visitor, request), event_value(event, "job")
        task = session.task_of(id) if is_owned(id, visitor) else None
        if isinstance(task, Film):
            session.tabs.turn(tab_of(request), "film", task.id)
            return session.film.shown(task)
        if not isinstance(task, (Job, Batch)):
            return {**self._refusal(id, visitor), session.gallery: session.gallery_of(visitor)}
        session.tabs.turn(tab_of(request), "job", task.id)
        return {**session.on_panel(task), session.film.modes: PICTURE}

    def _refusal(self, id: str, visitor: str) -> Updates:
        """Say why a card cannot be opened: on the tab of its kind, where there still is a card."""
        session = self.session
        card = session.workshop.card_of(id) if is_owned(id, visitor) else None
        if card is None:
            gr.Warning(NOT_KEPT)
            return {}
        text = DAMAGED[card.noun]
        if card.noun == Film.noun:
            return {session.film.status: charts.message(text), session.film.modes: FILM}
        return {**session.result_panel.idle(text), session.film.modes: PICTURE}

    def delete_card(
        self,
        visitor: str,
        current: str,
        current_film: str,
        event: gr.EventData,
        request: gr.Request,
    ) -> Updates:
        """Delete a job of the visitor's; for a while it can be brought back."""
        session = self.session
        visitor, id = session.visitor_of(visitor, request), event_value(event, "job")
        updates: Updates = {}
        if not is_owned(id, visitor):
            return {session.gallery: session.gallery_of(visitor)}
        if id == current:
            panel = session.result_panel
            updates = {
                session.current: "",
                **panel.idle(DELETED),
                **panel.without_result(),
                panel.stage: first_value(session.examples),
            }
        if id == current_film:
            updates = {**updates, **session.film.empty(DELETED)}
        session.workshop.delete(id)  # also one that is damaged
        return {**updates, session.gallery: session.gallery_of(visitor)}

    def restore_card(self, visitor: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Bring a deleted job of the visitor's back."""
        session = self.session
        visitor, id = session.visitor_of(visitor, request), event_value(event, "job")
        if not is_owned(id, visitor) or not session.workshop.restore(id):
            gr.Warning(GONE)
        return {session.gallery: session.gallery_of(visitor)}
