"""Change a picture while it is painted, and its colours at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from nst import ImageError, TransferSettings
from nst.images.recipe import Ingredient
from nst.studio.job import Job, picture_bytes
from page.actions.session import FIXED, Session, Updates, fixed_part
from page.error_messages import error_message
from page.http.following import AT_ONCE, LATEST
from page.panels.picture_inputs import load_named
from page.rendering import RenderingBusyError

NEXT_PHOTO = "The new photo is for the next picture: press Stylize when this one is done."
TYPED = ("size", "iterations")  # a digit on the way would end the run, or shrink it


@dataclass(frozen=True)
class Steering:
    """What the controls do to the job on the result panel."""

    session: Session

    def wire(self) -> None:
        """Connect the controls, the photo and the painting."""
        session, controls = self.session, self.session.controls
        steering = ({session.current, *controls.components}, None)
        live = [part for name, part in controls.by_name.items() if name not in ("colors", *TYPED)]
        while_moved = by_hand(*live, *controls.layers.values())
        gr.on(while_moved, self.steer, *steering, **LATEST)
        gr.on([part.release for part in self.typed], self.steer_typed, *steering, **LATEST)
        session.photo.change(self.notice_photo, [session.photo, session.current], None, **LATEST)
        controls.look_taken.then(self.steer, *steering, **AT_ONCE)
        colors, outputs = controls.by_name["colors"], session.result_panel.outputs
        gr.on(by_hand(colors), self.dial, [colors, session.current], outputs, **LATEST)
        session.painting.change(self.swap, [session.painting, session.current], None, **LATEST)

    @property
    def typed(self) -> list[Any]:
        """Return the controls whose numbers count when they have been typed to their end."""
        return [self.session.controls.by_name[name] for name in TYPED]

    def steer(self, values: dict[Component, Any]) -> None:
        """Go on under what the controls say now, but for what may just be being typed."""
        self._steer(values, keeping=(*FIXED, *TYPED))

    def steer_typed(self, values: dict[Component, Any]) -> None:
        """Go on under all that the controls say now."""
        self._steer(values, keeping=FIXED)

    def _steer(self, values: dict[Component, Any], *, keeping: tuple[str, ...]) -> None:
        session = self.session
        job = session.live_job(values[session.current])
        if job is None:
            return
        try:
            settings = session.controls.settings(values).replace(
                **fixed_part(job.settings, keeping)
            )
            self._change(job, settings)
        except Exception as error:
            gr.Warning(refused(error))

    def swap(self, painting: str | None, id: str) -> None:
        """Go on with another painting."""
        session = self.session
        job = session.live_job(id)
        if job and painting:
            try:
                with session.admission.opened(job.settings):
                    other = load_named(painting, "painting")
                    session.workshop.check_pictures(picture_bytes(other))
                    self._change(job, job.settings, other)
            except ImageError:
                return  # it was said when it was chosen
            except Exception as error:
                gr.Warning(refused(error))

    def _change(
        self, job: Job, settings: TransferSettings, painting: Image.Image | None = None
    ) -> None:
        """Change a job that is painted, if there is room for that. Raises `TooLargeError`."""
        session = self.session
        expected = session.admission.check_change(job, settings, painting)
        job.engine = session.workshop.backend.engine()
        job.steer(settings, painting)
        session.workshop.expect(job, expected.seconds)

    def notice_photo(self, photo: str | None, id: str) -> None:
        """Say that another photo is another picture."""
        job = self.session.live_job(id)
        try:
            if job and photo and Ingredient.of(load_named(photo, "photo")) != job.ingredients[0]:
                gr.Info(NEXT_PHOTO)
        except ValueError:
            return  # it is refused when it is to be painted

    def dial(self, colors: float, id: str) -> Updates:
        """Show other colours on what is painted already."""
        session = self.session
        job = session.job_of(id)
        if job is None or colors == job.colors:
            return {session.result_panel.status: gr.update()}
        job.dial(colors)
        if job.moment is None:
            return {session.result_panel.status: gr.update()}
        if job.state.is_live:
            return {
                session.result_panel.preview: session.look_at(job).get(
                    session.result_panel.preview, gr.update()
                )
            }
        session.workshop.save(job)
        try:
            return session.result_panel.before_and_after(job)
        except RenderingBusyError as error:
            return session.result_panel.refusal(error)


def by_hand(*parts: Component) -> list[Any]:
    """Return the events of controls that a visitor moves.

    What a handler moves is left alone. A slider's reset is a release.
    """
    events = [part.input for part in parts]
    return events + [part.release for part in parts if isinstance(part, gr.Slider)]


def refused(error: Exception) -> str:
    """Return what to tell the visitor of a change that is not made."""
    return f"{error_message(error)} The picture goes on as it was."
