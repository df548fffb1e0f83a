"""A film as a task: a clip that is painted frame by frame, and gives way between two frames.

It has a folder, as a job has:

    film.json      its state, the times of its frames, and what it is painted with
    clip           as it was uploaded
    style-0.png, … the paintings
    thumbnail.jpg  of the first frame
    .film.mp4.frames/   the finished frames, see `nst.video.frame_store`
    filmed/        the same frames as they were filmed

A film that was stopped, or whose server was, goes on from its last frame. Of a finished one
`film.mp4` and `original.mp4`, which plays in step with it, take the place of clip and frames.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image
from typing_extensions import override

from nst.errors import BusyError, ImageError, OutputError, SettingsError, UserError
from nst.files import whole_file
from nst.images.color import dial_colors
from nst.images.recipe import new_recipe
from nst.images.tensors import shrink
from nst.images.transforms import seen_parts
from nst.images.writing import jpeg_bytes, save_png
from nst.provenance import UNKNOWN
from nst.settings import FILM_DEFAULTS, FilmSettings, TransferSettings
from nst.studio.film_record import MOST_FILM_JSON, Cut, FilmRecord, parse_film
from nst.studio.job import picture_bytes
from nst.studio.job_record import MOST_PNG, read_file, read_picture
from nst.studio.job_store import THUMBNAIL_SIDE
from nst.studio.limits import Limits
from nst.studio.task import State, Task
from nst.video.clips import Frame
from nst.video.frame_store import DIGITS, FrameStore, store_folder
from nst.video.transfer import FilmStep, transfer_video
from nst.video.trimming import TrimmedClip
from nst.video.writing import check_sound, write_film

FilmEngine = Callable[..., Iterator[FilmStep]]
"""Paints frames, with the signature of `nst.transfer_video`."""

RECORD, CLIP, FILMED, THUMBNAIL = "film.json", "clip", "filmed", "thumbnail.jpg"
FILM, ORIGINAL = "film.mp4", "original.mp4"
QUALITY = 92  # of the frames as filmed
MEASURED = 8  # frames, whose mean time is expected of the next ones
NO_FRAME = "There is no frame between these two times; move the handles apart."
NO_CLIP = "The clip of this film is no longer kept; please start the film anew."
BUSY = "This film is being painted already."
CUT_OFF = "It ends after {} frames, the most for one film here."
SILENT = "The sound of the clip cannot be in an MP4 file, so the film has none."


class Film(Task):
    """A clip being painted, in a folder of its own below `folder`.

    `styles` are RGB pictures. `frames` is how many there will be, as far as that can be told, and
    `first_seconds` and `next_seconds` what the first and each other one are expected to take.
    `present` is the frame that is being painted, and `step` its figures.
    """

    noun = "film"
    lets_others_by = True

    def __init__(
        self,
        folder: Path,
        cut: Cut,
        styles: Sequence[Image.Image],
        settings: TransferSettings,
        film: FilmSettings = FILM_DEFAULTS,
        *,
        frames: int = 0,
        visitor: str = "",
        id: str | None = None,
        engine: FilmEngine = transfer_video,
    ) -> None:
        super().__init__(visitor, id)
        self.home = folder / self.id
        self.cut, self.styles, self.film = cut, list(styles), film
        self.settings = settings.replace(size=cut.size)
        self.engine = engine
        self.first_seconds = self.next_seconds = 0.0
        self.times: list[Fraction] = []  # of the finished frames, in seconds of the clip
        self.frames = frames
        self.seconds = 0.0  # spent painting, before this time
        self.rate = Fraction(25)
        self.has_sound, self.remark, self.recipe = False, "", ""
        self.server = ""  # that paints it, where several share the folder
        self.most_frames = Limits.film_frames
        self.present: Image.Image | None = None
        self.step: FilmStep | None = None
        self.is_between = False
        self._paces: list[float] = []

    @property
    @override
    def bytes(self) -> int:
        return picture_bytes(*self.styles, *([self.present] if self.present else []))

    @property
    @override
    def piece_seconds(self) -> float:
        return self.frame_seconds if self.times else self.first_seconds

    @override
    def most_seconds(self, limits: Limits) -> float:
        return limits.film_seconds

    @property
    def count(self) -> int:
        """Return how many frames are finished."""
        return len(self.times)

    @property
    def total(self) -> int:
        """Return how many frames there will be, as far as that can be told."""
        if self.state is State.FINISHED:
            return self.count
        return max(self.frames, self.count + (self.step is not None and not self.is_between), 1)

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Return width and height of its frames in pixels, where that is known."""
        if self.present:
            return self.present.size
        try:
            with Image.open(self._filmed_path(0)) as first:
                return first.size
        except OSError:
            return None

    @property
    def frame_seconds(self) -> float:
        """Return the seconds that a frame takes which follows another."""
        return sum(self._paces) / len(self._paces) if self._paces else self.next_seconds

    @property
    def remaining(self) -> float:
        """Return the seconds until the film is finished, as expected."""
        left, step = self.total - self.count, self.step
        done = step.step.iteration / max(1, step.step.total) if step else 0.0
        under_way = 0.0 if self.is_between else done
        if self.count == 0:
            return self.first_seconds * (1 - under_way) + self.frame_seconds * (left - 1)
        return self.frame_seconds * max(0.0, left - under_way)

    @property
    def all_seconds(self) -> float:
        """Return the seconds spent painting."""
        return self.seconds + self.painted

    def take_clip(self, path: Path) -> None:
        """Keep a copy of the clip, and the paintings. Raises `OSError`."""
        self.home.mkdir(mode=0o700, parents=True)
        with whole_file(self.home / CLIP) as temporary:
            shutil.copyfile(path, temporary)
        for number, style in enumerate(self.styles):
            save_png(style, self.home / f"style-{number}.png", compression=1)

    def resume(self) -> None:
        """Make an ended film ready to be painted further.

        Raises `SettingsError` where there is nothing to paint any more.
        """
        with self.lock:
            if self.state.is_live:
                raise SettingsError(BUSY)
            if self.state is State.FINISHED or not (self.home / CLIP).is_file():
                raise SettingsError(NO_CLIP)
            self.seconds, self.painted = self.all_seconds, 0.0
            self._stopped.clear()
            self._last_seen = time.monotonic()
            self._become(State.WAITING, "")

    def _pieces(self) -> Iterator[FilmStep]:
        """Paint the frames that are not finished yet, and write the film."""
        try:
            with self._open_store() as store:
                self.times = self.times[: store.count]
                yield from self._paint(store)
                if not self.times:
                    raise ImageError(NO_FRAME)
                self._write_whole(store)
        except (OSError, UserError):
            if self.is_kept:
                raise
            self._become(State.STOPPED)  # its folder is gone
            return
        self._become(State.FINISHED, "")

    def _open_store(self) -> FrameStore:
        """Hold the folder of frames. Raises `BusyError` where another server paints the film."""
        try:
            return FrameStore(self.home / FILM, json.dumps({"film": self.id}))
        except OutputError:
            raise BusyError(BUSY) from None

    def _paint(self, store: FrameStore) -> Iterator[FilmStep]:
        (self.home / FILMED).mkdir(exist_ok=True)
        clip = self._clip()
        self.rate = clip.facts.rate
        self.has_sound = self._can_have_sound(clip)
        taken: list[Fraction] = []
        steps = self.engine(
            self._pictures(clip, taken), self.styles, self.settings, self.film, painted=store.load
        )
        before = self.painted
        for step in steps:
            is_new = step.is_finished and step.frame >= len(self.times)
            if is_new:
                self._keep(step, store, taken[step.frame])
            self._show(step)
            yield step
            if is_new:
                self._measure(step, self.painted - before)
            before = self.painted if step.is_finished else before

    def _pictures(self, clip: TrimmedClip, taken: list[Fraction]) -> Iterator[Image.Image]:
        """Yield the frames of a clip, and note their times.

        There are no more than a film may have, whatever the clip says of itself.
        """
        for frame in clip:
            if len(taken) >= self.most_frames:
                self.remark = CUT_OFF.format(self.most_frames)
                return
            taken.append(frame.time)
            yield frame.picture

    def _clip(self) -> TrimmedClip:
        cut = self.cut
        return TrimmedClip(self.home / CLIP, cut.size, cut.rate, cut.begin, cut.end)

    def _can_have_sound(self, clip: TrimmedClip) -> bool:
        with clip.sound() as sound:
            if sound is None:
                return False
            try:
                check_sound(self.home / FILM, sound)
            except OutputError:
                self.remark = SILENT
                return False
        return True

    def _show(self, step: FilmStep) -> None:
        with self.lock:
            self.step, self.present = step, step.image
            self.is_between = step.is_finished
            self.version += 1

    def _keep(self, step: FilmStep, store: FrameStore, time: Fraction) -> None:
        """Store a finished frame, and the same as it was filmed."""
        assert step.filmed
        if step.frame == 0:
            recipe = new_recipe(
                step.filmed, self.styles, self.settings, step.step.provenance or UNKNOWN
            )
            film = {**self.film.to_json(), "fps": self.cut.rate}
            self.recipe = json.dumps({**json.loads(recipe.to_text()), "film": film})
            first = shrink(self._dialled(step.image, step.filmed), THUMBNAIL_SIDE)
            _write(jpeg_bytes(first), self.home / THUMBNAIL)
        _write(jpeg_bytes(step.filmed, QUALITY), self._filmed_path(step.frame))
        store.save(step.frame, step.image)
        with self.lock:
            self.times = [*self.times, time]
        self.save()

    def _measure(self, step: FilmStep, seconds: float) -> None:
        """Note how long a frame has taken, unless it was painted as a picture is."""
        if step.seen > 0:
            self._paces = [*self._paces, seconds][-MEASURED:]

    def _write_whole(self, store: FrameStore) -> None:
        """Write the film and its original, which take the place of clip and frames."""
        count = self.count
        self.write_original(self.home / ORIGINAL, count)
        self.write_painted(self.home / FILM, count)
        self.frames = count
        self.save()
        store.delete()
        shutil.rmtree(self.home / FILMED, ignore_errors=True)
        (self.home / CLIP).unlink(missing_ok=True)

    def write_painted(self, path: Path, count: int) -> None:
        """Write the first `count` frames as an MP4 with the sound that belongs to them.

        Raises `FileNotFoundError` where they are no longer there.
        """
        if self.has_sound:
            try:
                with self._sound() as sound:
                    self._write(path, self._painted(count), sound)
                return
            except (av.FFmpegError, ValueError):  # of the sound: all else is our own
                if not (self.home / CLIP).is_file():  # the film was finished meanwhile
                    raise FileNotFoundError(self.home / CLIP) from None
                self.has_sound, self.remark = False, SILENT
        self._write(path, self._painted(count))

    def write_original(self, path: Path, count: int) -> None:
        """Write the same frames as they were filmed, at the same times and size."""
        times = self._shown_times(count)
        frames = (Frame(self._filmed(number), at) for number, at in enumerate(times))
        write_film(path, frames, rate=self.rate)

    def _write(self, path: Path, frames: Iterator[Frame], sound: object = None) -> None:
        write_film(
            path,
            frames,
            rate=self.rate,
            sound=sound,  # type: ignore[arg-type]
            is_whole=False,  # its sound ends where the last frame does
            recipe=self.recipe,
        )

    @contextlib.contextmanager
    def _sound(self) -> Iterator[object]:
        cut = self.cut
        begin = float(self.times[0])
        with TrimmedClip(self.home / CLIP, cut.size, cut.rate, begin).sound() as sound:
            yield sound

    def _painted(self, count: int) -> Iterator[Frame]:
        frames = store_folder(self.home / FILM)
        for number, shown_at in enumerate(self._shown_times(count)):
            with Image.open(frames / f"{number:0{DIGITS}}.png") as opened:
                picture = opened.convert("RGB")
            yield Frame(self._dialled(picture, self._filmed(number)), shown_at)

    def _dialled(self, picture: Image.Image, filmed: Image.Image) -> Image.Image:
        used = seen_parts(self.styles, self.settings)
        return dial_colors(picture, filmed, used, self.settings.colors)

    def present_picture(self) -> Image.Image | None:
        """Return the frame that is being painted, or the last one, as it will be delivered."""
        with self.lock:
            picture, step = self.present, self.step
        if picture is None or step is None or step.filmed is None:
            return picture
        return self._dialled(picture, step.filmed)

    def _shown_times(self, count: int) -> list[Fraction]:
        return [time - self.times[0] for time in self.times[:count]]

    def _filmed(self, number: int) -> Image.Image:
        with Image.open(self._filmed_path(number)) as picture:
            return picture.convert("RGB")

    def _filmed_path(self, number: int) -> Path:
        return self.home / FILMED / f"{number:0{DIGITS}}.jpg"

    def save(self) -> None:
        """Write the record. Raises `OSError`."""
        with self.lock:
            record = FilmRecord(
                created=self.created,
                changed=self.changed,
                state=self.state,
                note=self.note,
                server=self.server,
                cut=self.cut,
                settings=self.settings,
                film=self.film,
                styles=len(self.styles),
                total=self.frames,
                seconds=self.all_seconds,
                has_sound=self.has_sound,
                remark=self.remark,
                recipe=self.recipe,
                rate=self.rate,
                times=self.times,
            )
        _write(record.to_text().encode(), self.home / RECORD)


def load_film(folder: Path, id: str) -> Film:
    """Return a film as it was saved last; one that was live then was interrupted since.

    Raises `DamagedError` and `OSError` where there is none that can be read.
    """
    home = folder / id
    record = parse_film(read_file(home / RECORD, MOST_FILM_JSON))
    styles = [
        read_picture(read_file(home / f"style-{number}.png", MOST_PNG), "a painting")
        for number in range(record.styles)
    ]
    film = Film(folder, record.cut, styles, record.settings, record.film, id=id)
    film.frames, film.times, film.seconds = record.total, record.times, record.seconds
    film.has_sound, film.remark, film.recipe = record.has_sound, record.remark, record.recipe
    film.rate = record.rate
    film.created, film.changed, film.server = record.created, record.changed, record.server
    film.state, film.note = record.state_after_restart, record.note
    if film.state is State.INTERRUPTED and not (home / CLIP).exists() and (home / FILM).exists():
        film.state = State.FINISHED  # only its frames were still to be deleted
    return film


def _write(data: bytes, path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
