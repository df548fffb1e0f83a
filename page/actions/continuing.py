"""Go on from an ended picture: further, larger, or on a copy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_pil_to_cache

from nst import SettingsError, TransferSettings
from nst.settings import options
from nst.studio.job import Job, picture_bytes
from page.actions.session import Session, Updates, fixed_part
from page.http.admission import source_of
from page.http.following import AT_ONCE, tab_of
from page.panels.components import Choice
from page.panels.controls import FIXED
from page.panels.mix import Mix
from page.panels.result_panel import LARGER, MORE

NOTHING_TO_BRANCH = "There is no finished picture to copy."
NOTHING_TO_USE = "There is no finished picture to use."
PAINTED = "A picture that was painted here"
COPIED = "A copy has a card of its own now. What you do next is done to the copy."
USED = {
    "content": "The picture is the photo now.",
    "style": "The picture is the painting now.",
    "init": "The next picture starts from this one.",
}


@dataclass(frozen=True)
class Continuing:
    """What can be done with an ended job."""

    session: Session

    def wire(self) -> None:
        """Connect the buttons below an ended picture."""
        session, panel = self.session, self.session.result_panel
        for button, factor in ((panel.more, 1.0), (panel.larger, 1.5), (panel.twice, 2.0)):
            further = self._further_by(factor)
            button.click(further, session.values, session.everything, **AT_ONCE)
        panel.rest.click(self.finish, session.values, session.everything, **AT_ONCE)
        known = [session.current, session.visitor]
        panel.branch.click(self.branch, known, session.everything, **AT_ONCE)
        for button, part in (
            (panel.as_photo, session.photo),
            (panel.as_painting, session.painting),
            (panel.as_start, session.init),
        ):
            use = functools.partial(self.use_as_input, told=USED[part.elem_id])
            button.click(use, [session.current], [part], **AT_ONCE)

    def _further_by(self, factor: float) -> Callable[..., Updates]:
        def further(values: dict[Component, Any], request: gr.Request) -> Updates:
            try:
                return self._further(values, factor, request)
            except Exception as error:
                return self.session.result_panel.refusal(error)

        return further

    def finish(self, values: dict[Component, Any], request: gr.Request) -> Updates:
        """Paint the rest of a picture that was stopped, as it was asked for."""
        try:
            job = self._ended_job(values)
            return self._resume(job, job.settings, Mix.of(job), values, request)
        except Exception as error:
            return self.session.result_panel.refusal(error)

    def _ended_job(self, values: dict[Component, Any]) -> Job:
        """Return the job on the stage. Raises `SettingsError` where it is no longer kept."""
        job = self.session.workshop.find_job(values[self.session.current])
        if job is None:
            raise SettingsError("This picture is no longer kept; please start a new one.")
        return job

    def _further(self, values: dict[Component, Any], factor: float, request: gr.Request) -> Updates:
        """Paint an ended job on under the present controls, larger by `factor`."""
        job, chosen = self._ended_job(values), self.session.controls.settings(values)
        present = max(job.moment.picture.size) if job.moment else chosen.size
        most = self.session.controls.largest
        size = present if factor == 1 else min(round(present * factor), most)
        if factor > 1 and size <= present:
            raise SettingsError(f"The picture has {present} pixels; {most} are the most here.")
        done = job.moment.iteration if job.moment else 0
        longest = int(options()["iterations"].range[1])
        if done >= longest and factor == 1:
            raise SettingsError(f"The picture has had {longest} iterations, the most there is.")
        more = LARGER if size > present else MORE
        mix = self.session.mix_for(job, values)
        fixed = fixed_part(job.settings, FIXED) | {"paintings": mix.uses}
        settings = chosen.replace(size=size, iterations=min(done + more, longest), **fixed)
        return self._resume(job, settings, mix, values, request)

    def _resume(
        self,
        job: Job,
        settings: TransferSettings,
        mix: Mix,
        values: dict[Component, Any],
        request: gr.Request,
    ) -> Updates:
        """Queue an ended job under these settings."""
        session = self.session
        visitor = session.visitor_of(values[session.visitor], request)
        with session.admission.opened(settings):
            expected = session.admission.expected(
                job.content, mix.paintings, settings, job.moment, masks=mix.masks
            )
            size = job.bytes + picture_bytes(*job.new_pictures(mix.paintings))
            session.workshop.check_room(job.owner, source_of(request), size)
            job.engine = session.workshop.backend.engine()
            job.resume(settings, mix.paintings, mix.masks)
            session.admission.submit(job, expected.seconds, request)
        session.tabs.turn(tab_of(request), "job", job.id)
        return {
            session.current: job.id,
            **session.result_panel.resumed(job, expected),
            session.gallery: session.gallery_of(visitor),
        }

    def branch(self, id: str, token: str, request: gr.Request) -> Updates:
        """Put a copy on a card of its own; what follows happens to the copy."""
        session = self.session
        visitor = session.visitor_of(token, request)
        job = session.job_of(id)
        if job is None or job.state.is_live:
            return session.result_panel.idle(NOTHING_TO_BRANCH)
        twin = session.workshop.branch(job, visitor)
        session.tabs.turn(tab_of(request), "job", twin.id)
        gr.Info(COPIED)
        return {
            session.current: twin.id,
            **session.result_panel.ended(twin),
            session.gallery: session.gallery_of(visitor),
        }

    def use_as_input(self, id: str, *, told: str) -> Any:
        """Put an ended picture, as it is delivered, where one of the inputs is, and say so."""
        session = self.session
        job = session.job_of(id)
        if job is None or job.moment is None or job.state.is_live:
            gr.Warning(NOTHING_TO_USE)
            return gr.update()
        picture, _ = job.delivered()
        gr.Info(told)
        path = save_pil_to_cache(picture, session.photo.GRADIO_CACHE, "picture", format="png")
        return session.shown_choice(Choice(str(path)), name=PAINTED)
