"""A batch as a task: many photos, one after another, with the same paintings and settings.

One photo is decoded at a time; the others, and the finished pictures, are files. Between two photos
the batch lets others by. Knows nothing of pages.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image
from typing_extensions import override

from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.errors import ImageError, MissingPackageError, SettingsError, UnreachableError
from nst.images.reading import load_image
from nst.images.recipe import Ingredient, Recipe
from nst.images.sandbox import BUSY
from nst.settings import TransferSettings
from nst.studio.batch_files import BatchFiles
from nst.studio.job import Job, picture_bytes
from nst.studio.limits import Limits
from nst.studio.protected_faces import Protected, protect_faces
from nst.studio.task import State, Task

log = logging.getLogger(__name__)

MOST_PHOTOS = 20
MOST_BATCH_BYTES = 200_000_000  # of the files of all its photos
TOO_MANY = "A batch has at most {} photos; please remove {}."
TOO_LARGE = "These photos have {:.0f} MB together, and {:.0f} MB are the most; please remove some."
NO_DISK = "The server's disk is full or cannot be written to; what was painted is kept."
PAINTED_ALREADY = "These photos are being painted already."


@dataclass(frozen=True)
class BatchPhoto:
    """A photo of a batch: what its file was called, and its size where it could be read."""

    name: str
    size: tuple[int, int] | None = None  # (width, height) in pixels


class Batch(Task):
    """Many photos being painted with the same paintings and settings.

    `done` has the last step, without pixels, of each picture that is in `files`, `failed` a
    sentence for each photo that could not be painted, both by the photos' numbers from 0. `opened`
    has the ids of the jobs that go on from a picture. `expected` is how many seconds a photo takes
    on average, as they were forecast. `protects_faces` says whether those of each photo are painted
    at a lower strength.
    """

    noun = "batch"
    lets_others_by = True

    def __init__(
        self,
        photos: Sequence[BatchPhoto],
        paintings: Sequence[Image.Image],
        settings: TransferSettings,
        files: BatchFiles,
        *,
        visitor: str = "",
        id: str | None = None,
        engine: Engine = transfer_style,
        expected: float = 0.0,
        protects_faces: bool = False,
    ) -> None:
        super().__init__(visitor, id)
        self.photos = tuple(photos)
        self.paintings = list(paintings)
        self.settings = settings
        self.files = files
        self.engine = engine
        self.expected = expected
        self.protects_faces = protects_faces
        self.done: dict[int, TransferStep] = {}
        self.failed: dict[int, str] = {}
        self.opened: dict[int, str] = {}
        self._present: tuple[int, Job] | None = None
        self.is_between = False
        self._ingredients: list[Ingredient] = []

    @property
    @override
    def bytes(self) -> int:
        with self.lock:
            held = picture_bytes(*self.paintings)
            if not self.state.is_live:
                return held
            moment = self._present[1].moment if self._present else None
        return held + self._largest_photo + (moment.bytes if moment else 0)

    @property
    def _largest_photo(self) -> int:
        sizes = [photo.size for photo in self.photos if photo.size]
        return max((3 * width * height for width, height in sizes), default=0)

    @property
    @override
    def piece_seconds(self) -> float:
        return self._each or math.inf

    @override
    def most_seconds(self, limits: Limits) -> float:
        return limits.seconds * len(self.photos)

    @property
    @override
    def is_held_up(self) -> bool:
        present = self.present
        return super().is_held_up or (present is not None and present[1].is_held_up)

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the photos that are still to be painted."""
        with self.lock:
            return [n for n in range(len(self.photos)) if n not in {*self.done, *self.failed}]

    @property
    def present(self) -> tuple[int, Job] | None:
        """Return the number of the photo that is painted now, and its job."""
        with self.lock:
            return self._present

    @property
    def seconds_left(self) -> float:
        """Return the seconds that are still to be painted, by those that were finished."""
        with self.lock:
            present, missing, each = self._present, self.missing, self._each
        if present and present[1].steps:
            return present[1].steps[-1].remaining + each * (len(missing) - 1)
        return each * len(missing)

    @property
    def _each(self) -> float:
        """Return the seconds of a photo, by those that were finished."""
        with self.lock:
            taken = [step.elapsed for step in self.done.values()]
        return sum(taken) / len(taken) if taken else self.expected

    def resume(self, engine: Engine, *, retries: bool = True) -> None:
        """Make an ended batch ready for the photos without a picture.

        With `retries` also for those that failed. Raises `SettingsError` while it is being painted.
        """
        with self.lock:
            if self.state.is_live:
                raise SettingsError(PAINTED_ALREADY)
            self.engine = engine
            if retries:
                self.failed = {}
            self.is_between = False
            self._stopped.clear()
            self._last_seen = time.monotonic()
            self._become(State.WAITING, "")

    def job_of(self, number: int, visitor: str) -> Job:
        """Return a finished job that a picture can be gone on with as any other.

        Raises `KeyError` for a photo without a picture, `ImageError`, `RecipeError`, `ValueError`
        and `OSError` where files are damaged.
        """
        step = self.done[number]
        picture, recipe = self.files.finished(number)
        photo = load_image(self.files.photo(number))
        job = self._new_job(photo, self._as_painted(photo, recipe), visitor)
        job.moment = Moment(picture, recipe.iterations)
        job.steps, job.seconds = [step], step.elapsed
        job.passages, job.provenance = list(recipe.passages), list(recipe.provenance)
        job.state = State.FINISHED
        return job

    def _pieces(self) -> Iterator[object]:
        """Paint the photos that have no picture, one after another."""
        for number in self.missing:
            yield from self._paint(number)
            with self.lock:
                self.is_between = bool(self.missing)
            yield number
            self.is_between = False
        self._finish()

    def _paint(self, number: int) -> Iterator[object]:
        """Paint one photo; what cannot be opened or painted is noted, and the next one's turn."""
        try:
            photo = yield from self._opened(number)
        except ImageError as error:
            self._fail(number, str(error))
            return
        job = self._new_job(photo, self._used_for(photo))
        self._show((number, job))
        try:
            for step in job.run():
                with self.lock:
                    self.version += 1
                yield step
        finally:
            self._show(None)
        self._settle(number, job)

    def _opened(self, number: int) -> Generator[None, None, Image.Image]:
        """Return a photo, as soon as there is room to open it. Raises `ImageError`."""
        while True:
            try:
                photo = load_image(self.files.photo(number))
            except ImageError as error:
                if str(error) != BUSY:
                    raise
                self._hold_up(UnreachableError(BUSY))
                yield None
            else:
                self._pass_obstacle()
                return photo

    def _used_for(self, photo: Image.Image) -> Protected:
        """Return what one of the photos is painted with. Raises `MissingPackageError`."""
        if self.protects_faces:
            return protect_faces(self.paintings, self.settings, photo)
        return Protected(self.paintings, self.settings)

    def _as_painted(self, photo: Image.Image, recipe: Recipe) -> Protected:
        """Return what a picture was painted with.

        Where faces are not found as they were, the recipe's small copies are taken for the masks.
        """
        with contextlib.suppress(MissingPackageError):
            used = self._used_for(photo)
            if len(used.paintings) == len(recipe.styles):
                return used
        return Protected(recipe.paired(self.paintings), recipe.settings, recipe.masks.copies())

    def _new_job(self, photo: Image.Image, used: Protected, visitor: str = "") -> Job:
        """Return a job for one of the photos; the paintings are hashed once for all."""
        known = self._ingredients = self._ingredients or list(map(Ingredient.of, self.paintings))
        return Job(
            photo,
            used.paintings,
            used.settings,
            visitor=visitor,
            engine=self.engine,
            ingredients=[Ingredient.of(photo), *known * (len(used.paintings) // len(known))],
            masks=used.masks,
        )

    def _show(self, present: tuple[int, Job] | None) -> None:
        with self.lock:
            self._present = present
            self.version += 1

    def _settle(self, number: int, job: Job) -> None:
        """Keep a finished picture. What may be possible some other time stops the batch."""
        if job.state is State.STOPPED:
            self.stop(job.note)
        elif job.state is State.FAILED:
            self._fail(number, job.note)
        elif self.is_kept:
            try:
                self.files.keep(number, job)
            except OSError as error:
                log.warning("a picture of a batch could not be kept: %s", error.strerror)
                self.stop(NO_DISK)
            else:
                with self.lock:
                    self.done[number] = job.steps[-1]
                    self.version += 1

    def _fail(self, number: int, sentence: str) -> None:
        with self.lock:
            self.failed[number] = sentence
            self.version += 1

    def _finish(self) -> None:
        """End: failed where there is no picture at all, for the reason of the first photo."""
        with self.lock:
            if self.done:
                self._become(State.FINISHED, "")
            else:
                self._become(State.FAILED, next(iter(self.failed.values()), ""))


def check_photos(count: int, size: int) -> None:
    """Raise `SettingsError` for more photos, or bytes of their files, than a batch may have."""
    if count > MOST_PHOTOS:
        raise SettingsError(TOO_MANY.format(MOST_PHOTOS, count - MOST_PHOTOS))
    if size > MOST_BATCH_BYTES:
        raise SettingsError(TOO_LARGE.format(size / 1e6, MOST_BATCH_BYTES / 1e6))
