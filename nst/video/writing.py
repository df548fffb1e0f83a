"""Write films: H.264 in MP4, VP9 in WebM, or a folder of PNGs; each file whole or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, Any

import av
from PIL import Image

from nst.errors import OutputError
from nst.files import whole_file
from nst.images.timelapse import X264, describe_stream, video_frame
from nst.images.writing import png_bytes
from nst.video.clips import Frame

DIGITS = 6  # of the number of a frame
RECIPE = "nst-recipe"  # the tag that holds the recipe
LAST = Fraction(1, 12)  # seconds that the last frame is shown, where nothing else is known
NO_SOUND = "the clip's sound cannot be read; leave it out with --no-sound"


@dataclass(frozen=True)
class Container:
    """A kind of film file."""

    format: str
    codec: str
    options: dict[str, str]
    muxer: dict[str, str]
    ticks: int  # per second
    sounds: tuple[str, ...]  # what it can hold as it is


CONTAINERS = {
    ".mp4": Container(
        "mp4",
        "libx264",
        X264,
        {"movflags": "+faststart+use_metadata_tags"},  # the index first: it plays while it loads
        90_000,
        ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"),
    ),
    ".webm": Container(
        "webm",
        "libvpx-vp9",
        {"crf": "24", "b": "0", "cpu-used": "4", "row-mt": "1"},
        {},
        1000,
        ("opus", "vorbis"),
    ),
}


def check_sound(path: Path, sound: IO[bytes]) -> None:
    """Raise `OutputError` where `write_film` could not write a film with that sound to `path`.

    A film of one frame is written elsewhere, since the muxer has a say as well.
    """
    frame = Frame(Image.new("RGB", (64, 64)), Fraction(0))
    with tempfile.TemporaryDirectory(prefix="nst-") as folder:
        try:
            write_film(Path(folder, f"film{path.suffix}"), [frame], sound=sound, is_whole=False)
        except OutputError:
            raise
        except (av.FFmpegError, ValueError):
            raise OutputError(NO_SOUND) from None


def write_film(
    path: Path,
    frames: Iterable[Frame],
    *,
    rate: Fraction = Fraction(25),
    sound: IO[bytes] | None = None,
    is_whole: bool = True,
    recipe: str = "",
) -> None:
    """Write frames with their times as a film, by the ending of `path`, whole or not at all.

    The times of the frames are kept, whether they are evenly spaced or not. Sides are made even by
    leaving out a row or a column; `rate` is what the file says of the frames per second. `sound` is
    Matroska, as `Clip.sound` has it; its packets are copied, all of them where the film is whole,
    and up to the end of the last frame where it is not.

    Raises `OutputError` where the kind of file cannot hold that sound.
    """
    container = CONTAINERS[path.suffix.lower()]
    with whole_file(path) as temporary, contextlib.ExitStack() as stack:
        film = stack.enter_context(
            av.open(f"file:{temporary}", "w", format=container.format, options=container.muxer)
        )
        film.metadata[RECIPE] = recipe
        track = SoundTrack(stack.enter_context(av.open(sound)), path, container) if sound else None
        _mux(film, container, iter(frames), track, rate=rate, is_whole=is_whole)


def _mux(
    film: Any,
    container: Container,
    frames: Iterator[Frame],
    track: SoundTrack | None,
    *,
    rate: Fraction,
    is_whole: bool,
) -> None:
    first = next(frames)
    width, height = (max(2, side - side % 2) for side in first.picture.size)
    stream = film.add_stream(container.codec, rate=rate, options=container.options)
    describe_stream(stream, (width, height), container.ticks)
    if track:
        track.join(film)
    last, time, start = Fraction(0), Fraction(0), -1
    lengths = dict[int, int]()  # by time stamp: encoders guess them
    for frame, following in _with_next(chain([first], frames)):
        start = max(round(frame.time * container.ticks), start + 1)  # no muxer takes equal ones
        length = following - frame.time if following is not None else frame.length or last or LAST
        lengths[start], last, time = max(1, round(length * container.ticks)), length, frame.time
        picture = frame.on_white().crop((0, 0, width, height))
        for packet in stream.encode(video_frame(picture, start, container.ticks)):
            _mux_packet(film, packet, lengths)
        if track:
            track.copy_until(film, time)
    for packet in stream.encode(None):
        _mux_packet(film, packet, lengths)
    if track:
        track.copy_until(film, None if is_whole else time + last)


def _mux_packet(film: Any, packet: Any, lengths: dict[int, int]) -> None:
    packet.duration = lengths.pop(packet.pts, packet.duration or 1)
    film.mux(packet)


def _with_next(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Fraction | None]]:
    """Yield each frame with the time of the next one; None after the last."""
    before: Frame | None = None
    for frame in frames:
        if before is not None:
            yield before, frame.time
        before = frame
    if before is not None:
        yield before, None


class SoundTrack:
    """The packets of a sound track, copied beside the frames as they come."""

    def __init__(self, source: Any, path: Path, container: Container) -> None:
        (self._stream, *_) = source.streams.audio
        name = self._stream.codec_context.codec.canonical_name  # its decoder may be "mp3float"
        if name not in container.sounds:
            holding = [ending for ending, each in CONTAINERS.items() if name in each.sounds]
            other = f"write {' or '.join(holding)}, or " if holding else ""
            raise OutputError(
                f"a {path.suffix.lower()} file cannot hold the clip's sound ({name}) as it is;"
                f" {other}leave it out with --no-sound"
            )
        self._packets = source.demux(self._stream)
        self._waiting: Any = None
        self._track: Any = None

    def join(self, film: Any) -> None:
        """Give the film a track like the clip's."""
        self._track = film.add_stream_from_template(self._stream)

    def copy_until(self, film: Any, time: Fraction | None) -> None:
        """Copy what is heard before a time in seconds, or all that is left."""
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            if packet.dts is None or packet.dts < 0:  # before the first frame
                continue
            if time is not None and packet.dts * packet.time_base >= time:
                self._waiting = packet
                return
            packet.stream = self._track
            film.mux(packet)


def read_recipe_text(path: Path) -> str:
    """Return the recipe in a film that was made here; empty where it has none."""
    with av.open(f"file:{path}") as film:
        tags = {name.lower(): text for name, text in film.metadata.items()}
        return str(tags.get(RECIPE, ""))


def write_frames(folder: Path, frames: Iterable[Frame], *, recipe: str = "") -> None:
    """Write each frame as a PNG, numbered from 1, into a folder that is made where it is missing.

    The recipe is a text chunk of each of them. Pictures that are there with higher numbers, of a
    longer film, are deleted.
    """
    folder.mkdir(exist_ok=True)
    written = set[str]()
    for number, frame in enumerate(frames, start=1):
        data = png_bytes(frame.with_alpha(), {RECIPE: recipe} if recipe else None)
        path = folder / f"{number:0{DIGITS}}.png"
        with whole_file(path) as temporary:
            temporary.write_bytes(data)
        written.add(path.name)
    for path in folder.glob(f"{'[0-9]' * DIGITS}.png"):
        if path.name not in written:
            path.unlink()
