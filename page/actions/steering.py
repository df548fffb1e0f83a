"""Change a picture while it is painted, and its colours at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from nst import ImageError, TransferSettings
from nst.errors import BusyError, MaskError
from nst.images.recipe import Ingredient
from nst.settings import options
from nst.studio.job import Job, picture_bytes
from page.actions.session import Session, Updates, fixed_part
from page.error_messages import error_message
from page.http.following import AT_ONCE, LATEST
from page.panels.components import Choice
from page.panels.controls import FIXED
from page.panels.mix import Mix, unheard_note
from page.panels.modes import FILM, PICTURE
from page.panels.picture_inputs import load_named, taken_value
from page.panels.stage import StageValue, of_example, of_shared

NOT_DIALLED = "The colours of this picture cannot be changed here; those of your next one can."
NEXT_PHOTO = "The new photo is for the next picture: press Stylize when this one is done."
NEXT_START = "It is the start of the next picture: press Stylize when this one is done."
CHOSEN = ("paintings",)  # their weights and strengths, which no slider of the controls has
TYPED = ("size", "iterations")  # a digit on the way would end the run, or shrink it


@dataclass(frozen=True)
class Steering:
    """What the controls do to the job on the result panel."""

    session: Session

    def wire(self) -> None:
        """Connect the controls, the photo and the painting, and what takes a change back."""
        session, controls = self.session, self.session.controls
        panel, current = session.result_panel, session.current
        modes = session.film.modes
        steering = ({current, modes, *controls.components}, None)
        others = ("colors", *TYPED, *FIXED)
        live = [part for name, part in controls.by_name.items() if name not in others]
        while_moved = by_hand(*live, *controls.weights)
        gr.on(while_moved, self.steer, *steering, **LATEST)
        for true_ones_moved in controls.linked:  # after Strength or Strokes
            true_ones_moved.then(self.steer, *steering, **LATEST)
        gr.on([part.release for part in self.typed], self.steer_typed, *steering, **LATEST)
        controls.look_taken.then(self.steer, *steering, **AT_ONCE)
        colors = controls.by_name["colors"]
        dialling = ([colors, current, panel.stage, modes], panel.outputs)
        gr.on(by_hand(colors), self.dial, *dialling, **LATEST)
        chosen = {session.photo, session.painting, session.paintings}
        swapping = ({*chosen, current, modes}, None)
        session.photo.choose(self.take_photo, [session.photo, current], session.photo, **LATEST)
        session.painting.choose(self.take_painting, [session.painting], session.painting, **LATEST)
        session.painting.choose(self.swap, *swapping, **LATEST)
        session.paintings.edit(self.swap, *swapping, **LATEST)
        session.init.choose(self.take_init, [session.init, current], session.init, **LATEST)
        for taken_back in session.history.taken_back:
            taken_back.then(self.steer_typed, *steering, **LATEST)
            taken_back.then(self.dial, *dialling, **LATEST)
            taken_back.then(self.swap, *swapping, **LATEST)
        known = {current, session.painting, session.paintings, *controls.components}
        shown = [session.paintings, *controls.components]
        panel.stage.steered(self.catch_up, known, shown, **LATEST)

    def catch_up(self, values: dict[Component, Any]) -> Updates:
        """Move the controls to what the job is painted under, which another tab has changed.

        So are the weights and regions of its paintings shown. Size and iterations stay: they are
        the visitor's, and a continued picture has its own. So does what counts from the next
        picture on.
        """
        controls = self.session.controls
        job = self.session.live_job(values[self.session.current])
        updates: Updates = {controls.by_name["alpha"]: gr.update()}
        if job is None:
            return updates
        own = (*FIXED, *TYPED)
        try:
            shown = controls.settings(values).replace(**fixed_part(job.settings, (*own, *CHOSEN)))
        except ValueError:  # somebody is typing
            return updates
        if shown != job.settings:
            updates |= controls.show(job.settings, set(options()) - set(own))
        return updates | self._other_paintings(job, values)

    def _other_paintings(self, job: Job, values: dict[Component, Any]) -> Updates:
        """Return how the paintings of a job are used, where a tab shows something else."""
        session = self.session
        try:
            mix = session.mix_of(values)
        except ImageError:  # it was said
            return {}
        return {} if mix.is_of(job) else {session.paintings: session.paintings_value(job)}

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
        job = self._steered_job(values)
        if job is None:
            return
        try:
            settings = session.controls.settings(values).replace(
                **fixed_part(job.settings, (*keeping, *CHOSEN))
            )
            self._change(job, settings)
        except Exception as error:
            gr.Warning(refused(error))

    def swap(self, values: dict[Component, Any]) -> None:
        """Go on with the paintings, weights and regions that are chosen now."""
        session = self.session
        job = self._steered_job(values)
        if job is None or not values[session.painting]:
            return
        try:
            with session.admission.opened(job.settings):
                mix = session.mix_for(job, values)
                session.workshop.check_pictures(picture_bytes(*job.new_pictures(mix.paintings)))
                self._change(job, job.settings.replace(paintings=mix.uses), mix)
        except Exception as error:
            is_said = isinstance(error, ImageError) and not isinstance(error, MaskError)
            if not is_said:  # of a picture it was, when it was chosen
                gr.Warning(refused(error))

    def _steered_job(self, values: dict[Component, Any]) -> Job | None:
        """Return the job that the controls steer: none where they stand for a film."""
        is_of_film = values.get(self.session.film.modes) == FILM
        return None if is_of_film else self.session.live_job(values[self.session.current])

    def _change(self, job: Job, settings: TransferSettings, mix: Mix | None = None) -> None:
        """Change a job that is painted, if there is room for that. Raises `TooLargeError`."""
        session = self.session
        expected = session.admission.check_change(
            job, settings, *((mix.paintings, mix.masks) if mix else ())
        )
        count = len(mix.paintings if mix else job.wanted_paintings)
        note, known = unheard_note(settings, count), unheard_note(job.settings, count)
        job.engine = session.workshop.backend.engine()
        if mix:
            job.steer(settings, mix.paintings, mix.masks)
        else:
            job.steer(settings)
        session.workshop.expect(job, expected.seconds)
        if note != known and note:
            gr.Warning(note)

    def take_init(self, choice: Choice | None, id: str) -> Any:
        """Show a starting picture that was chosen, and say what there is to say about it."""
        shown = self._taken(choice, "starting picture")
        job = self.session.live_job(id)
        if job and choice and shown != gr.update() and "refused" not in shown:
            gr.Info(NEXT_START)
        return shown

    def take_photo(self, photo: Choice | None, id: str) -> Any:
        """Show a photo that was chosen, and say what there is to say about it."""
        shown = self._taken(photo, "photo")
        job = self.session.live_job(id)
        try:
            if job and photo and Ingredient.of(load_named(photo, "photo")) != job.ingredients[0]:
                gr.Info(NEXT_PHOTO)
        except ValueError:
            pass  # it was said
        return shown

    def take_painting(self, painting: Choice | None) -> Any:
        """Show a painting that was chosen, and say what there is to say about it."""
        return self._taken(painting, "painting")

    def _taken(self, choice: Choice | None, name: str) -> Any:
        """Return what an input shows of a choice, or that it stays as it is."""
        shown = taken_value(choice, name, self.session.photo) if choice else None
        return shown or gr.update()

    def dial(
        self, colors: float, id: str, shown: StageValue | None, mode: str = PICTURE
    ) -> Updates:
        """Show other colours on what is painted already."""
        session = self.session
        panel = session.result_panel
        if mode == FILM:
            return {panel.status: gr.update()}
        job = session.job_of(id)
        if job is None:
            return {panel.stage: self._dialled_exhibit(shown or {}, colors)}
        if colors == job.colors:
            return {panel.status: gr.update()}
        job.dial(colors)
        if job.moment is None or job.state.is_live:
            return {panel.status: gr.update()}  # the next look shows it
        session.workshop.save(job)
        return panel.recolored(job)

    def _dialled_exhibit(self, shown: StageValue, colors: float) -> Any:
        """Return what the stage shows of an example or a shared picture in other colours."""
        session = self.session
        example = session.examples.find(str(shown.get("example")))
        if example and example.picture.recipe:
            value = of_example(example, session.examples, colors=colors)
            return {**value, "compares": False}
        share = str(shown.get("share", ""))
        try:
            job = session.workshop.find_shared(share) if share else None
        except BusyError as error:
            gr.Warning(str(error))
            return gr.update()
        if job and job.moment and not job.state.is_live:
            return of_shared(job, share, colors=colors)
        if shown.get("kind") == "exhibit":
            gr.Info(NOT_DIALLED)
        return gr.update()


def by_hand(*parts: Component) -> list[Any]:
    """Return the events of controls that a visitor moves.

    What a handler moves is left alone. A slider's reset is a release.
    """
    events = [part.input for part in parts]
    return events + [part.release for part in parts if isinstance(part, gr.Slider)]


def refused(error: Exception) -> str:
    """Return what to tell the visitor of a change that is not made."""
    return f"{error_message(error)} The picture goes on as it was."
