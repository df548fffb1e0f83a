"""Open one of the visitor's pictures, or delete it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from page.actions.session import Session, Updates, is_owned
from page.http.following import AT_ONCE, event_value, tab_of

DAMAGED = "This picture is damaged on the server's disk; it can only be deleted."


@dataclass(frozen=True)
class OwnPictures:
    """The cards of the gallery."""

    session: Session

    def wire(self, follow_after: Callable[[Any], None]) -> None:
        """Connect the cards."""
        session = self.session
        follow_after(
            session.gallery.select(self.open_card, [session.visitor], session.everything, **AT_ONCE)
        )
        session.gallery.delete(
            self.delete_card,
            [session.visitor, session.current],
            [session.current, *session.result_panel.outputs, session.gallery],
            **AT_ONCE,
        )

    def open_card(self, visitor: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Put a job of the visitor's on the result panel."""
        session = self.session
        visitor, id = session.visitor_of(visitor, request), event_value(event, "job")
        job = session.own_job(id, visitor)
        if job is None:
            is_there = is_owned(id, visitor) and session.workshop.card_of(id) is not None
            missing = session.result_panel.idle(
                DAMAGED if is_there else "This picture is no longer kept."
            )
            return {
                session.to_follow: "",
                **missing,
                session.gallery: session.gallery_of(visitor),
            }
        return session.on_panel(job)

    def delete_card(
        self, visitor: str, current: str, event: gr.EventData, request: gr.Request
    ) -> Updates:
        """Delete a job of the visitor's."""
        session = self.session
        visitor, id = session.visitor_of(visitor, request), event_value(event, "job")
        job = session.own_job(id, visitor)
        updates: Updates = {}
        if job and job.id == current:
            session.tabs.turn(tab_of(request), "job")  # nobody follows it any more
            updates = {
                session.current: "",
                **session.result_panel.idle("Deleted."),
                **session.result_panel.empty(),
            }
        if is_owned(id, visitor):
            session.workshop.forget(id)  # also one that is damaged
        return {**updates, session.gallery: session.gallery_of(visitor)}
