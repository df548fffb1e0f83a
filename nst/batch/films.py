"""Paint the clips of a batch, one after another: films that go on from their finished frames."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path

from PIL import Image

from nst.batch.inputs import InputFile
from nst.batch.messages import FILM_SUFFIX, Failed, Painted, Progress
from nst.batch.output_folder import OutputFolder
from nst.batch.painter import sentence_of
from nst.batch.plan import Item, Manner
from nst.batch.runner import Runner
from nst.console import StopRequest
from nst.engine import devices
from nst.errors import (
    DeviceError,
    ImageError,
    MissingPackageError,
    OutputError,
    SettingsError,
    UserError,
    WeightsError,
)
from nst.images.opencv import load_opencv
from nst.images.reading import load_image
from nst.vgg.network import VGG
from nst.video.clips import Clip
from nst.video.film_files import check_room, check_sound, write_film
from nst.video.film_plan import FilmPlan
from nst.video.flow import NEEDED
from nst.video.frame_store import FrameStore
from nst.video.transfer import FilmStep, Remembered

ENDS_ALL = (OutputError, MissingPackageError, WeightsError, DeviceError)  # not one film alone
NO_CONTROLS = "a clip takes no masks and nothing to start from; leave them out, or the clips"
NOT_RENTED = "--hf-jobs paints photos only; leave the clips out"
NO_PATTERNS = "a film cannot be seamless; leave the clips out, or --seamless"


def check_films(manner: Manner, *, elsewhere: str | None) -> None:
    """Raise `SettingsError` where films cannot be painted so, or not on the machines named.

    Raises `MissingPackageError` where a package is not there that films need.
    """
    if elsewhere:
        raise SettingsError(NOT_RENTED)
    if manner.controls.hashes():
        raise SettingsError(NO_CONTROLS)
    if manner.settings.is_seamless:
        raise SettingsError(NO_PATTERNS)
    load_opencv(NEEDED)


class FilmPainter:
    """Paints films into the folder of a batch.

    Args:
        folder: where they are written; the frames that are done are in a folder in it meanwhile.
        manner: how they are painted.
        device: as on the command line.
    """

    def __init__(self, folder: OutputFolder, manner: Manner, device: str) -> None:
        self._folder, self._manner, self._device = folder, manner, device
        self._opened_painting = lru_cache(1)(_opened_painting)

    def paint(self, item: Item, runner: Runner, stop: StopRequest) -> None:
        """Paint a film and hand it to the runner, unless a stop is requested before.

        Raises `UserError` for what ends the whole batch.
        """
        try:
            self._paint(item, runner, stop)
        except _InputError as error:
            runner.settle(item, Failed(item.number, str(error), error.culprit))
        except ENDS_ALL:
            raise
        except OSError as error:
            path = str(self._folder.path / item.output)
            raise OutputError(f"{path!r} cannot be painted: {error.strerror or error}") from None
        except UserError as error:
            runner.settle(item, Failed(item.number, str(error)))
        except Exception as error:
            reason = sentence_of(error, self._manner.settings.size)
            runner.settle(item, Failed(item.number, reason))

    def _paint(self, item: Item, runner: Runner, stop: StopRequest) -> None:
        plan = self._plan(item)
        with FrameStore(self._folder.path / item.output, plan.key) as store:
            progress = _FilmProgress(plan.clip.facts.frames, store.count)
            for step in self.steps(plan, store.load):
                if step.is_finished:
                    store.save(step.frame, step.image)
                runner.report.progress(item, progress.take(item, step))
                runner.report.tick()
                if stop.is_made:
                    return
            film = store.folder / f"film{FILM_SUFFIX}"
            try:
                recipe = plan.recipe(str(devices.pick_device(self._device)))
                has_sound = self._manner.film.has_sound
                write_film(film, plan, store, recipe=recipe, has_sound=has_sound)
                runner.settle(item, _painted(item, step, film))
            finally:
                film.unlink(missing_ok=True)
            store.delete()

    def steps(self, plan: FilmPlan, painted: Remembered) -> Iterable[FilmStep]:
        """Yield the steps of a film."""
        return plan.paint(self._network, painted)

    @cached_property
    def _network(self) -> VGG:
        return devices.load_network(self._manner.settings, self._device)

    def _plan(self, item: Item) -> FilmPlan:
        """Return what a film is made of. Raises `_InputError` for what cannot be used."""
        settings, format = self._manner.settings, self._manner.film
        try:
            clip = Clip(item.photo.path, settings.size, format.rate)
        except ImageError as error:
            raise _InputError(str(error), "photo") from None
        check_room(clip)
        if format.has_sound:
            try:
                check_sound(clip, Path(item.output))
            except OutputError as error:
                raise _InputError(str(error), "photo") from None
        plan = FilmPlan(clip, [self._opened_painting(item.painting)], settings, format.settings)
        if json.loads(plan.key)["clip"] != item.photo.sha256:
            raise _InputError("It was changed while the batch ran; start it again.", "photo")
        return plan


class _InputError(UserError):
    """A file of a film that cannot be used."""

    def __init__(self, sentence: str, culprit: str) -> None:
        super().__init__(sentence)
        self.culprit = culprit


def _opened_painting(file: InputFile) -> Image.Image:
    """Return a painting. Raises `_InputError` where it cannot be opened."""
    try:
        return load_image(file.read())
    except UserError as error:
        raise _InputError(str(error), "painting") from None


class _FilmProgress:
    """Tells how far a film is, counted in frames.

    Args:
        frames: of the film; 0 where the clip does not say.
        before: frames that were painted before, by another process.
    """

    def __init__(self, frames: int, before: int) -> None:
        self._frames, self._before, self._done = frames, before, 0

    def take(self, item: Item, step: FilmStep) -> Progress:
        """Return what is told of the next step."""
        self._done += step.is_finished
        total = max(self._frames, self._done)
        new = self._done - self._before
        elapsed = step.step.elapsed
        remaining = elapsed / new * (total - self._done) if new > 0 else elapsed * total
        J = 0.0 if math.isnan(step.step.J) else step.step.J
        return Progress(item.number, self._done, total, J, elapsed, remaining)


def _painted(item: Item, last: FilmStep, film: Path) -> Painted:
    """Return a finished film: the costs are those of its last frame, if it was painted anew."""
    step = last.step
    costs = {
        name: value
        for name in ("J", "content", "style", "smoothness")
        if not math.isnan(value := getattr(step, name))
    }
    return Painted(
        *(item.number, b"", step.width, step.height, step.total, costs, step.elapsed), file=film
    )


def paint_films(
    items: Iterable[Item], painter: FilmPainter, runner: Runner, stop: StopRequest
) -> None:
    """Paint films one after another, until all are done or a stop is requested."""
    for item in items:
        if stop.is_made:
            return
        painter.paint(item, runner, stop)
