"""Take a clip, paint it as a film, see its end, stop it, and go on with it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from nst import SettingsError, TransferSettings
from nst.errors import BusyError, ImageError
from nst.images.opencv import load_opencv
from nst.settings import DEFAULTS, FILM_DEFAULTS
from nst.studio.backends.local import in_this_process
from nst.studio.film_forecast import ExpectedFilm, expected_film
from nst.studio.film_job import Film
from nst.studio.film_record import Cut
from nst.studio.film_resuming import resume_film, set_engine
from nst.video.flow import NEEDED
from page.actions.session import Session, Updates, is_owned
from page.assets import handler
from page.clip_previews import Client, ClipFacts, ClipPreview, preview_of
from page.error_messages import error_message
from page.http.admission import source_of
from page.http.following import AT_ONCE, LATEST, tab_of
from page.panels import charts
from page.panels.clip_input import ChosenClip, clip_value
from page.panels.film import CHOOSE, DELETED, NO_FRAME, expectation
from page.panels.mix import Mix, mix_of

NO_CLIP = "Please choose a clip first."
NOT_KEPT = "This film is no longer kept; please start a new one."
NO_FOLDER = "This server keeps nothing on disk, and films need that."
PICTURES_ALONE = ("edges", "init_weight")  # settings of patterns, and of a picture to start from


@dataclass(frozen=True)
class Filming:
    """The film of a visitor, from the clip to its end."""

    session: Session

    def wire(self) -> None:
        """Connect the clip, Stylize, Stop, the end of the film, and going on with it."""
        session, panel = self.session, self.session.film
        values, outputs = session.values | {panel.clip}, [*panel.outputs, session.gallery]
        chosen = [panel.clip, session.visitor]
        taken = panel.clip.choose(self.take_clip, chosen, [panel.clip], **LATEST)
        taken.then(self.estimate, values, [panel.estimate], **LATEST)
        panel.clip.edit(self.estimate, values, [panel.estimate], **LATEST)
        asked = panel.go.click(panel.getting_ready, None, panel.outputs, **AT_ONCE)
        begun = asked.then(self.begin, values, outputs, **AT_ONCE)
        begun.then(None, None, None, js=handler("link_followed"))
        begun.failure(panel.not_ready, None, panel.outputs, **AT_ONCE)
        known = [panel.current, session.visitor]
        panel.stop.click(self.halt, known, outputs, **AT_ONCE)
        panel.stage.ended(self.see_the_end, known, outputs, **LATEST)
        panel.more.click(self.go_on, known, outputs, **AT_ONCE)

    def take_clip(self, clip: ChosenClip | None, visitor: str, request: gr.Request) -> Any:
        """Look at a clip that was chosen; return all that its input holds of it."""
        if clip is None:
            return gr.update()
        try:
            load_opencv(NEEDED)
            return clip_value(clip, self._preview(clip, self._client(visitor, request)))
        except Exception as error:
            sentence = error_message(error)
            gr.Warning(sentence)
            return {"file": None, "refusal": sentence}

    def _preview(self, clip: ChosenClip, client: Client) -> ClipPreview:
        longest = self.session.workshop.limits.film_length
        return preview_of(clip.path, self.session.film.clip, longest, client)

    def _client(self, visitor: str, request: gr.Request) -> Client:
        return Client(self.session.visitor_of(visitor, request), source_of(request))

    def estimate(self, values: dict[Component, Any], request: gr.Request) -> str:
        """Tell how long a click on Stylize takes."""
        clip = values[self.session.film.clip]
        if clip is None:
            return charts.hint(CHOOSE)
        try:
            facts = self._preview(clip, self._client(values[self.session.visitor], request)).facts
            mix, settings = self._mix(values), self.session.controls.settings(values)
            expected = self._expected(facts, clip, mix, _settings(settings, mix, clip))
        except (ValueError, BusyError) as error:
            return charts.hint(str(error))
        return charts.hint(expectation(expected))

    def _mix(self, values: dict[Component, Any]) -> Mix:
        """Return the paintings that are chosen, without regions: those belong to a photo."""
        session = self.session
        return mix_of(values[session.painting], values[session.paintings].without_masks)

    def _expected(
        self, facts: ClipFacts, clip: ChosenClip, mix: Mix, settings: TransferSettings
    ) -> ExpectedFilm:
        """Return what a film will need. Raises `TooLargeError` where that is more than there is."""
        workshop = self.session.workshop
        frames = facts.frames(clip.begin, clip.end, clip.rate)
        sizes = [painting.size for painting in mix.paintings]
        return expected_film(
            in_this_process(workshop.backend), (facts.width, facts.height), sizes, settings,
            FILM_DEFAULTS, frames, workshop.limits,
        )  # fmt: skip

    def begin(self, values: dict[Component, Any], request: gr.Request) -> Updates:
        """Begin a new film from the clip, the paintings and the controls."""
        session, panel = self.session, self.session.film
        visitor = session.visitor_of(values[session.visitor], request)
        try:
            film, expected = self._new_film(values, visitor, request)
        except Exception as error:
            return panel.refusal(error)
        self._supersede(tab_of(request), film)
        return {
            **panel.live(film, expectation(expected)),
            session.gallery: session.gallery_of(visitor),
        }

    def _supersede(self, tab: str, film: Film) -> None:
        """Turn a tab to a new film, and stop the one that it has begun before.

        Stylize cannot be clicked while a film lives, but two quick clicks may both be on their way.
        """
        session = self.session
        id = session.tabs.turn(tab, "film", film.id).before
        before = session.workshop.find_film(id) if id else None
        if before and before.state.is_live:
            before.stop()
            if not before.count:
                session.workshop.forget(before.id)

    def _new_film(
        self, values: dict[Component, Any], visitor: str, request: gr.Request
    ) -> tuple[Film, ExpectedFilm]:
        session = self.session
        clip, store = values[session.film.clip], session.workshop.job_store
        if clip is None:
            raise ImageError(NO_CLIP)
        if store is None:
            raise SettingsError(NO_FOLDER)
        settings = session.controls.settings(values)
        client = self._client(visitor, request)
        facts = self._preview(clip, client).facts  # first: nobody else should wait for it
        with session.admission.opened(settings):
            mix = self._mix(values)
            settings = _settings(settings, mix, clip)
            expected = self._expected(facts, clip, mix, settings)
            cut = Cut(clip.begin, min(clip.end, facts.seconds), clip.size, clip.rate)
            film = Film(
                store.folder, cut, mix.paintings, settings,
                frames=expected.frames, visitor=visitor,
            )  # fmt: skip
            self._check_room(film, request)
            self._submit(film, expected, request, Path(clip.path))
        return film, expected

    def _check_room(self, film: Film, request: gr.Request) -> None:
        self.session.workshop.check_room(film.owner, source_of(request), film.bytes)

    def _submit(self, film: Film, expected: ExpectedFilm, request: gr.Request, clip: Path) -> None:
        """Queue a new film. Raises `BusyError`; nothing is left of it then."""
        session, workshop = self.session, self.session.workshop
        set_engine(film, expected, workshop.backend, workshop.limits)
        try:
            film.take_clip(clip)
            session.admission.submit(film, expected.seconds, request)
        except Exception:
            shutil.rmtree(film.home, ignore_errors=True)
            raise

    def halt(self, id: str, visitor: str, request: gr.Request) -> Updates:
        """Stop the film on the stage; what was reached is shown when the stage sees the end."""
        session, panel = self.session, self.session.film
        begun = session.tabs.subject(tab_of(request), "film")  # since, by a second click
        found = [self._own_film(each, visitor, request) for each in dict.fromkeys((id, begun))]
        live = [film for film in found if film and film.state.is_live]
        for film in live:
            film.stop()
        if live:
            return {panel.stop: gr.update(interactive=False)}
        return panel.ended(found[0]) if found[0] else panel.idle("There is nothing to stop.")

    def see_the_end(self, id: str, visitor: str, request: gr.Request) -> Updates:
        """Show what an ended film has reached."""
        session, panel = self.session, self.session.film
        film = self._own_film(id, visitor, request)
        gallery = {session.gallery: session.gallery_of(session.visitor_of(visitor, request))}
        if film is None:  # there was nothing of it to keep
            text = DELETED if self._is_deleted(id, visitor, request) else NO_FRAME
            return {**panel.empty(text), **gallery}
        shown = panel.live(film) if film.state.is_live else panel.ended(film)
        return {**shown, **gallery}

    def go_on(self, id: str, visitor: str, request: gr.Request) -> Updates:
        """Paint a film on that was stopped or interrupted, from its last frame."""
        session, panel = self.session, self.session.film
        film = self._own_film(id, visitor, request)
        try:
            if film is None:
                raise SettingsError(NOT_KEPT)
            with session.admission.opened(film.settings):
                self._check_room(film, request)
                expected = resume_film(film, session.workshop.backend, session.workshop.limits)
                session.admission.submit(film, expected.seconds, request)
        except Exception as error:
            return panel.refusal(error)
        gallery = session.gallery_of(session.visitor_of(visitor, request))
        return {**panel.live(film), session.gallery: gallery}

    def _is_deleted(self, id: str, visitor: str, request: gr.Request) -> bool:
        """Tell whether a film of the visitor's was deleted, and can still be brought back."""
        store = self.session.workshop.job_store
        is_own = is_owned(id, self.session.visitor_of(visitor, request))
        return store is not None and is_own and store.deletions.moment_of(id) is not None

    def _own_film(self, id: str, visitor: str, request: gr.Request) -> Film | None:
        session = self.session
        visitor = session.visitor_of(visitor, request)
        task = session.task_of(id) if is_owned(id, visitor) else None
        return task if isinstance(task, Film) else None


def _settings(settings: TransferSettings, mix: Mix, clip: ChosenClip) -> TransferSettings:
    """Return the settings of a film's frames. Raises `SettingsError`."""
    usual = {name: getattr(DEFAULTS, name) for name in PICTURES_ALONE}
    chosen = settings.replace(size=clip.size, paintings=mix.uses, **usual)
    if mix.uses and not chosen.used(mix.paintings):
        raise SettingsError("The weights of the paintings are all 0; at least one must count.")
    return chosen
