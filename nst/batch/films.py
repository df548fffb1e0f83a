"""Paint the clips of a batch, one after another: films that go on from their finished frames."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from PIL import Image
from typing_extensions import override

from nst.batch.inputs import InputFile
from nst.batch.messages import FILM_SUFFIX, Failed, Painted, Progress
from nst.batch.output_folder import OutputFolder
from nst.batch.painter import sentence_of
from nst.batch.plan import Item, Manner
from nst.batch.runner import Runner
from nst.console import StopRequest
from nst.engine import devices
from nst.errors import (
    ClusterError,
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
from nst.video.film_files import check_kind, check_room, write_film
from nst.video.film_plan import FilmPlan
from nst.video.flow import NEEDED
from nst.video.frame_store import FrameStore, store_folder
from nst.video.ray_scenes import SceneCluster
from nst.video.scene_store import SceneStore
from nst.video.transfer import FilmStep

ENDS_ALL = (OutputError, MissingPackageError, WeightsError, DeviceError, ClusterError)
"""What is about more than one film."""
OTHER_KINDS = re.compile(r"write (\.\w+( or )?)+, or ")  # that a film might be written as
NO_CONTROLS = "a clip takes no masks and nothing to start from; leave them out, or the clips"
NO_PATTERNS = "a film cannot be seamless; leave the clips out, or --seamless"


def check_films(manner: Manner) -> None:
    """Raise `SettingsError` where films cannot be painted so.

    Raises `MissingPackageError` where a package is not there that films need.
    """
    if manner.controls.hashes():
        raise SettingsError(NO_CONTROLS)
    if manner.settings.is_seamless:
        raise SettingsError(NO_PATTERNS)
    load_opencv(NEEDED)


def delete_leftovers(items: Iterable[Item], folder: OutputFolder) -> None:
    """Delete the frames of films that are written: a kill may have come between."""
    for item in items:
        output = folder.path / item.output
        if not (item.is_film and store_folder(output).is_dir()):
            continue
        with contextlib.suppress(OutputError):  # somebody else has the folder, or the film
            if folder.holds(item):
                with FrameStore(output, item.key) as store:
                    store.delete()


class FilmPainter:
    """Paints films into the folder of a batch.

    Args:
        folder: where the frames that are done are meanwhile, in a folder of its own for each film.
        manner: how they are painted.
        device: as on the command line.
    """

    def __init__(self, folder: Path, manner: Manner, device: str) -> None:
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
            path = str(self._folder / item.output)
            raise OutputError(f"{path!r} cannot be painted: {error.strerror or error}") from None
        except UserError as error:
            runner.settle(item, Failed(item.number, str(error)))
        except Exception as error:
            reason = sentence_of(error, self._manner.settings.size)
            runner.settle(item, Failed(item.number, reason))

    def _paint(self, item: Item, runner: Runner, stop: StopRequest) -> None:
        plan, last = self._plan(item), None
        with self._store(self._folder / item.output, plan.key) as store:
            with self._painting(plan, store) as painting:
                for step in painting.steps:
                    if step.is_finished:
                        store.save(step.frame, step.image)
                    runner.report.progress(item, painting.progress.take(item, step))
                    runner.report.tick()
                    if stop.is_made:
                        return
                    last = step
            film = store.folder / f"film{FILM_SUFFIX}"
            try:
                recipe, has_sound = plan.recipe(painting.device), self._manner.film.has_sound
                write_film(film, plan, store, recipe=recipe, has_sound=has_sound)
                runner.settle(item, _painted(item, plan, last, film))
            finally:
                film.unlink(missing_ok=True)
            store.delete()

    def _store(self, output: Path, key: str) -> FrameStore:
        """Return where the finished frames of a film are kept."""
        return FrameStore(output, key)

    @contextlib.contextmanager
    def _painting(self, plan: FilmPlan, store: FrameStore) -> Iterator[_Painting]:
        """Yield a film that is painted by this process."""
        progress = _FilmProgress(plan.clip.facts.frames, store.count)
        device = str(devices.pick_device(self._device))
        yield _Painting(plan.paint(self._network, store.load), progress, device)

    @cached_property
    def _network(self) -> VGG:
        return devices.load_network(self._manner.settings, self._device)

    def _plan(self, item: Item) -> FilmPlan:
        """Return what a film is made of. Raises `_InputError` for what cannot be used."""
        settings, format = self._manner.settings, self._manner.film
        clip = _opened_clip(item, self._manner)
        check_room(clip)
        plan = FilmPlan(
            clip,
            [self._opened_painting(item.painting)],
            settings,
            format.settings,
            protect_faces=self._manner.protect_faces,
        )
        if json.loads(plan.key)["clip"] != item.photo.sha256:
            raise _InputError("It was changed while the batch ran; start it again.", "photo")
        return plan


class ClusterFilmPainter(FilmPainter):
    """Paints films whose scenes are painted at the same time on a Ray cluster.

    Args:
        folder: as for a `FilmPainter`, as are the next two.
        manner: how they are painted.
        device: as on the command line.
        address: of the cluster, and
        jobs: how many actors it has, as for a `SceneCluster`.
    """

    def __init__(
        self, folder: Path, manner: Manner, device: str, address: str, jobs: int | None
    ) -> None:
        super().__init__(folder, manner, device)
        self._address, self._jobs = address, jobs

    @override
    def _store(self, output: Path, key: str) -> FrameStore:
        return SceneStore(output, key)

    @override
    @contextlib.contextmanager
    def _painting(self, plan: FilmPlan, store: FrameStore) -> Iterator[_Painting]:
        progress = _FilmProgress(plan.clip.facts.frames, store.painted, store.painted)
        with SceneCluster(self._address, self._jobs, self._device, plan) as cluster:
            network = devices.load_network(self._manner.settings, "cpu")
            steps = cluster.paint(network, store.load)
            yield _Painting(steps, progress, cluster.kind_of_device)


class _InputError(UserError):
    """A file of a film that cannot be used."""

    def __init__(self, sentence: str, culprit: str) -> None:
        super().__init__(sentence)
        self.culprit = culprit


def damage_of(item: Item, manner: Manner) -> Failed | None:
    """Return why no film can be made of an item's clip; None where one can."""
    try:
        _opened_clip(item, manner)
    except _InputError as error:
        return Failed(item.number, str(error), error.culprit)
    return None


def _opened_clip(item: Item, manner: Manner) -> Clip:
    """Return a clip. Raises `_InputError` where it cannot become what batches write."""
    try:
        clip = Clip(item.photo.path, manner.settings.size, manner.film.rate)
        check_kind(clip, Path(item.output), has_sound=manner.film.has_sound)
    except (ImageError, OutputError) as error:
        sentence = OTHER_KINDS.sub("", str(error))  # a batch writes no other
        raise _InputError(sentence, "photo") from None
    return clip


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
        done: frames that are done before the first step; those painted before may have steps, too.
    """

    def __init__(self, frames: int, before: int, done: int = 0) -> None:
        self._frames, self._before, self._done = frames, before, done

    def take(self, item: Item, step: FilmStep) -> Progress:
        """Return what is told of the next step."""
        self._done += step.is_finished
        total = max(self._frames, self._done)
        new = self._done - self._before
        elapsed = step.step.elapsed
        remaining = elapsed / new * (total - self._done) if new > 0 else elapsed * total
        J = 0.0 if math.isnan(step.step.J) else step.step.J
        return Progress(item.number, self._done, total, J, elapsed, remaining)


@dataclass(frozen=True)
class _Painting:
    """A film that is being painted: its steps, how far it is, and the kind of device."""

    steps: Iterable[FilmStep]
    progress: _FilmProgress
    device: str


def _painted(item: Item, plan: FilmPlan, last: FilmStep | None, film: Path) -> Painted:
    """Return a finished film, with the costs of the frame that was painted last, if any was."""
    step, facts = last.step if last else None, plan.clip.facts
    costs = {
        name: value
        for name in ("J", "content", "style", "smoothness")
        if step and not math.isnan(value := getattr(step, name))
    }
    return Painted(
        number=item.number,
        data=b"",
        width=facts.width,
        height=facts.height,
        iterations=plan.settings.iterations,
        costs=costs,
        seconds=step.elapsed if step else 0.0,
        file=film,
    )


def paint_films(
    items: Iterable[Item], painter: FilmPainter, runner: Runner, stop: StopRequest
) -> None:
    """Paint films one after another, until all are done or a stop is requested."""
    for item in items:
        if stop.is_made:
            return
        painter.paint(item, runner, stop)
