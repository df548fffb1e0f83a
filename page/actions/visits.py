"""Open the page: as a link asks, or where the visitor left it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from nst import SettingsError
from nst.errors import BusyError
from nst.settings import options
from nst.studio.batch_job import Batch
from nst.studio.film_job import Film
from nst.studio.job import Job
from nst.studio.job_store import Card
from nst.studio.task import Task
from page.actions.session import Session, Updates
from page.assets import handler
from page.http.following import AT_ONCE
from page.links import read_link
from page.panels.contact_sheet import followed_sheet
from page.panels.modes import FILM, PICTURE
from page.panels.picture_inputs import example_value
from page.panels.publishing import SIGN_IN_FAILED
from page.panels.stage import chosen_photo

NOT_SIGNED_IN = "You were not signed in with Hugging Face. Everything else works without it."
NOT_WHOLE = "The link names a picture that is not among the examples here; the rest of it is set."
LOST = "What this link shows is no longer kept; its settings are."
REOPENED = 3600.0  # seconds; a job that is older waits in the gallery when the page is opened


@dataclass(frozen=True)
class Visits:
    """The page as a visitor finds it."""

    session: Session

    def wire(self, demo: gr.Blocks) -> Any:
        """Connect the page's opening. Returns the event of a visitor's arrival."""
        session = self.session
        sheet = [session.panel.fold, session.panel.grid]
        opened = [session.visitor, *sheet, *session.film.outputs, *session.everything]
        arrival = demo.load(self.arrive, [session.visitor], opened, **AT_ONCE)
        arrival.then(None, None, None, js=handler("arrived"))
        return arrival

    def arrive(self, visitor: str, request: gr.Request) -> Updates:
        """Open the page: as a link asks, or with the job that was on the result panel."""
        session = self.session
        token = session.visitor_of(visitor, request)
        updates: Updates = {
            session.visitor: token,
            session.gallery: session.gallery_of(token),
            session.result_panel.go: gr.update(interactive=True),
            session.film.go: gr.update(interactive=True),
            **self._sheet_of(token),
        }
        if SIGN_IN_FAILED in request.query_params:
            gr.Warning(NOT_SIGNED_IN)
        try:
            shared = read_link(dict(request.query_params), session.examples)
        except SettingsError as error:
            return updates | session.result_panel.idle(f"The link cannot be followed: {error}.")
        if shared:
            chosen = {"content": session.photo, "style": session.painting}
            updates |= {chosen[role]: example_value(e) for role, e in shared.examples.items()}
            if photo := shared.examples.get("content"):
                updates[session.result_panel.stage] = chosen_photo(photo.large)
            updates[session.paintings] = session.shared_value(shared)
            updates |= session.controls.show(shared.settings, set(options()))
            if not shared.is_whole:
                gr.Warning(NOT_WHOLE)
            return updates | self._shared_result(shared.result)
        cards = [card for card in session.workshop.cards(token) if is_recent(card)]
        return updates | self._reopened(cards)

    def _reopened(self, cards: list[Card]) -> Updates:
        """Show the latest film and the latest of the others again, the later of both in front."""
        session = self.session
        updates: Updates = {}
        latest = {card.noun == Film.noun: card for card in reversed(cards)}
        film, job = (self._come(latest.get(kind)) for kind in (True, False))
        if isinstance(film, BusyError):
            updates |= session.film.idle(str(film))
        if isinstance(job, BusyError):
            updates |= session.result_panel.idle(str(job))
        if isinstance(film, Film):
            updates |= session.film.shown(film)
        if isinstance(job, (Job, Batch)):
            updates |= session.on_panel(job)
        is_film_first = film is not None and cards[0].noun == Film.noun
        return {**updates, session.film.modes: FILM if is_film_first else PICTURE}

    def _come(self, card: Card | None) -> Task | BusyError | None:
        """Return the task of a card; the error while it goes from one server to another."""
        try:
            return self.session.workshop.wait_for(card.id) if card else None
        except BusyError as error:
            return error

    def _sheet_of(self, visitor: str) -> Updates:
        session = self.session
        sheet = session.workshop.latest_sheet(visitor)
        if sheet is None:
            return {}
        return {
            session.sheet: sheet.id,
            session.panel.fold: gr.update(open=True),
            session.panel.grid: followed_sheet(sheet),
        }

    def _shared_result(self, share: str) -> Updates:
        session = self.session
        if not share:
            return {}
        try:
            job = session.workshop.find_shared(share)
            film = None if job else session.workshop.find_shared_film(share)
        except BusyError as error:
            return session.result_panel.idle(str(error))
        if film and film.count and not film.state.is_live:
            return session.film.shared(film, share)
        if job is None or job.moment is None:
            return session.result_panel.idle(LOST)
        return session.result_panel.shared(job, share)


def is_recent(card: Card) -> bool:
    """Tell whether a visitor who comes back finds a job where they left it."""
    return card.state.is_live or time.time() - card.changed < REOPENED
