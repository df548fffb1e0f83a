"""Go on from an ended picture: further, larger, or on a copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from nst import SettingsError
from nst.settings import options
from nst.studio.job import picture_bytes
from page.actions.session import FIXED, Session, Updates, fixed_part
from page.http.admission import source_of
from page.http.following import AT_ONCE
from page.panels.picture_inputs import load_named
from page.panels.result_panel import MORE

NOTHING_TO_BRANCH = "There is no finished picture to branch from."


@dataclass(frozen=True)
class Continuing:
    """What can be done with an ended job."""

    session: Session

    def wire(self, follow_after: Callable[[Any], None]) -> None:
        """Connect the buttons below an ended picture."""
        session, panel = self.session, self.session.result_panel
        for button, factor in ((panel.more, 1.0), (panel.larger, 1.5), (panel.twice, 2.0)):
            further = self._further_by(factor)
            follow_after(button.click(further, session.values, session.everything, **AT_ONCE))
        known = [session.current, session.visitor]
        follow_after(panel.branch.click(self.branch, known, session.everything, **AT_ONCE))

    def _further_by(self, factor: float) -> Callable[..., Updates]:
        def further(values: dict[Component, Any], request: gr.Request) -> Updates:
            try:
                return self._further(values, factor, request)
            except Exception as error:
                return self.session.refuse(error)

        return further

    def _further(self, values: dict[Component, Any], factor: float, request: gr.Request) -> Updates:
        """Paint an ended job on under the present controls, larger by `factor`."""
        session = self.session
        visitor = session.visitor_of(values[session.visitor], request)
        job = session.workshop.find_job(values[session.current])
        if job is None:
            raise SettingsError("This picture is no longer kept; please start a new one.")
        chosen = session.controls.settings(values)
        present = max(job.moment.picture.size) if job.moment else chosen.size
        most = options()["size"].range[1]
        size = chosen.size if factor == 1 else min(round(present * factor), int(most))
        if factor > 1 and size <= present:
            raise SettingsError(f"The picture has {most:.0f} pixels already, the most there is.")
        done = job.moment.iteration if job.moment else 0
        longest = int(options()["iterations"].range[1])
        if done >= longest and factor == 1:
            raise SettingsError(f"The picture has had {longest} iterations, the most there is.")
        fixed = fixed_part(job.settings, FIXED)
        settings = chosen.replace(size=size, iterations=min(done + MORE, longest), **fixed)
        with session.admission.opened(settings):
            painting = load_named(values[session.painting], "painting")
            expected = session.admission.expected(job.content, [painting], settings, job.moment)
            size = job.bytes + picture_bytes(painting)
            session.workshop.check_room(job.owner, source_of(request), size)
            job.engine = session.workshop.backend.engine()
            job.resume(settings, painting)
            session.admission.submit(job, expected.seconds, request)
        return {
            **session.put_up(job),
            **session.controls.show(settings, {"size", "iterations"}),
            **session.result_panel.resumed(expected),
            session.gallery: session.gallery_of(visitor),
        }

    def branch(self, id: str, token: str, request: gr.Request) -> Updates:
        """Put a copy on a card of its own; what follows happens to the copy."""
        session = self.session
        visitor = session.visitor_of(token, request)
        job = session.job_of(id)
        if job is None or job.state.is_live:
            return {session.to_follow: "", **session.result_panel.idle(NOTHING_TO_BRANCH)}
        twin = session.workshop.branch(job, visitor)
        return {**session.put_up(twin), session.gallery: session.gallery_of(visitor)}
