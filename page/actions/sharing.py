"""Copy a link to what is on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradio.components import Component

from nst.images.recipe import Ingredient
from nst.settings import PaintingUse
from nst.studio.film_job import Film
from nst.studio.task import share_id
from page.actions.session import Session
from page.assets import handler
from page.examples import Example
from page.http.following import AT_ONCE
from page.links import link_to
from page.panels.components import Choice
from page.panels.modes import FILM
from page.panels.picture_inputs import load_named


@dataclass(frozen=True)
class Sharing:
    """The address of the page with its settings."""

    session: Session

    def wire(self) -> None:
        """Connect the button that copies the link."""
        session = self.session
        asked = session.values | {session.film.modes, session.film.current}
        linked = session.bar.copylink(self.link_now, asked, [session.link], **AT_ONCE)
        linked.then(None, [session.link], None, js=handler("copy_link"))

    def link_now(self, values: dict[Component, Any]) -> str:
        """Return the address of what is on the page."""
        session = self.session
        roles = {"content": session.photo, "style": session.painting}
        chosen = {
            role: example
            for role, part in roles.items()
            if (example := self._example_at(values[part]))
        }
        job = session.job_of(values[session.current])
        settings = session.controls.settings(values)
        is_result = job and job.moment and not job.state.is_live
        is_of_these = job and settings.paints_like(job.settings)
        result = share_id(job.id) if job and is_result and is_of_these else ""
        if values[session.film.modes] == FILM:
            result = self._shared_film(values[session.film.current])
        return link_to(settings, chosen, result, *self._more_paintings(values))

    def _shared_film(self, id: str) -> str:
        """Return by what a link names the film on the stage; "" where there is none to be seen."""
        film = self.session.task_of(id)
        is_there = isinstance(film, Film) and film.count and not film.state.is_live
        return share_id(id) if is_there else ""

    def _more_paintings(
        self, values: dict[Component, Any]
    ) -> tuple[list[Example], list[float], list[PaintingUse]]:
        """Return the paintings beyond the first that are examples, and the weights of all.

        Their sizes and directions come last.
        """
        held = values[self.session.paintings]
        found = [self._example_at(choice) for choice in held.more]
        numbers = [0, *(number for number, example in enumerate(found, start=1) if example)]
        return (
            [example for example in found if example],
            [held.weights[number] for number in numbers],
            [held.use(number) for number in numbers],
        )

    def _example_at(self, choice: Choice | None) -> Example | None:
        try:
            return self.session.examples.example_of(Ingredient.of(load_named(choice, "picture")))
        except ValueError:
            return None
