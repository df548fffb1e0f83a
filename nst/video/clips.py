"""Read clips: their frames one at a time as RGB pictures, and their sound as it is.

Files are opened in a process of their own, see `nst.video.decoding`. However long a clip is, no
more than a few frames are in memory: the process waits until they are taken.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from nst.errors import ImageError
from nst.images.alpha import split_alpha
from nst.images.sandbox import (
    LENGTH,
    REFUSAL,
    START_SECONDS,
    ended_after,
    read_exactly,
    read_sentence,
    start_worker,
)
from nst.video.decoding import CLIP, END, FRAME, HEADER, MOST_TAG, TAG, TIMES, Facts

SECONDS = 60.0  # for one frame, however busy the machine is
SERVERS = {False: ("decoding", "serve_frames"), True: ("animation_decoding", "serve_animation")}
"""What opens a clip, and what opens an animated picture."""
OPAQUE = 255
SMALLEST = 32  # pixels, of frames that are only counted
DEFEATED = "This clip needs more time or memory than there is for one; it may be damaged."
TOO_SLOW = "This clip takes too long to read; please choose a shorter or smaller one."


@dataclass(frozen=True)
class Frame:
    """A frame of a clip, upright, and when it is shown in seconds from the first one.

    `picture` is RGB without holes. `alpha` is its transparency, mode "L", None where there is none;
    `length` how long it is shown, in seconds, None where only the next one's time says so.
    """

    picture: Image.Image
    time: Fraction
    alpha: Image.Image | None = None
    length: Fraction | None = None

    def repainted(self, picture: Image.Image) -> Frame:
        """Return the frame with another picture."""
        return replace(self, picture=picture)

    def on_white(self) -> Image.Image:
        """Return the picture on white, where it is transparent."""
        if self.alpha is None:
            return self.picture
        white = Image.new("RGB", self.picture.size, "white")
        return Image.composite(self.picture, white, self.alpha)

    def with_alpha(self) -> Image.Image:
        """Return the picture as RGBA where it is transparent, and as RGB elsewhere."""
        if self.alpha is None:
            return self.picture
        return Image.merge("RGBA", [*self.picture.split(), self.alpha])


@dataclass(frozen=True)
class Pictures:
    """The pictures of a clip's frames; they can be iterated again and again."""

    clip: Clip

    def __iter__(self) -> Iterator[Image.Image]:
        return (frame.picture for frame in self.clip)


@dataclass(frozen=True)
class Clip:
    """A clip whose frames have a longest side of `size` pixels.

    `rate` is the most frames per second that are taken; 0 takes all. `deadline` is when the clip
    must have been read, in seconds of `time.monotonic`; frames that are passed over take time too.
    """

    path: Path
    size: int
    rate: float = 0.0
    deadline: float = field(default=math.inf, kw_only=True)
    facts: Facts = field(init=False)

    def __post_init__(self) -> None:
        with contextlib.closing(self._answers()) as answers:
            first = next(answers)
        assert isinstance(first, Facts)
        object.__setattr__(self, "facts", first)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames from the first one on.

        Raises `ImageError` where the clip cannot be read any further.
        """
        with contextlib.closing(self._answers()) as answers:
            for answer in answers:
                if isinstance(answer, Frame):
                    yield answer

    @property
    def pictures(self) -> Pictures:
        """Return its frames without their times, for `transfer_video`."""
        return Pictures(self)

    def counted(self, most: int) -> int:
        """Return how many frames there are, or `most` where there are more; reads them, small.

        Raises what iterating does.
        """
        return sum(1 for _ in islice(replace(self, size=SMALLEST), most))

    def _answers(self) -> Generator[Facts | Frame, None, None]:
        """Yield what the process answers: the facts, and the frames."""
        module, serve = SERVERS[is_animation(self.path)]
        call = f"{serve}({self.size!r}, {float(self.rate)!r})"
        with _worker(self.path, call, module) as worker:
            facts = None
            while True:
                most = START_SECONDS + SECONDS if facts is None else SECONDS
                try:
                    with ended_after(self._seconds_left(most), worker):
                        kind = bytes(read_exactly(worker.stdout, 1))
                        if kind == REFUSAL:
                            raise ImageError(read_sentence(worker.stdout))
                        answer = _answer(kind, worker.stdout, facts)
                except ImageError:
                    raise
                except (OSError, EOFError, ValueError):
                    self._seconds_left()
                    raise ImageError(DEFEATED) from None
                if answer is None:
                    return
                facts = answer if isinstance(answer, Facts) else facts
                yield answer

    def _seconds_left(self, most: float = math.inf) -> float:
        """Return the seconds until the deadline, at most so many. Raises `ImageError` after it."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise ImageError(TOO_SLOW)
        return min(most, left)

    @contextlib.contextmanager
    def sound(self) -> Iterator[IO[bytes] | None]:
        """Yield the sound as a stream of Matroska with the clip's own packets; None without any."""
        if not self.facts.has_sound:
            yield None
            return
        start = float(self.facts.start * self.facts.time_base)
        with _worker(self.path, f"serve_sound({start!r})") as worker:
            yield worker.stdout


def is_animation(path: Path) -> bool:
    """Tell whether a file is a GIF or a WebP, by its first bytes."""
    try:
        with path.open("rb") as file:
            beginning = file.read(12)
    except OSError:  # told by whoever opens it next
        return False
    return beginning.startswith((b"GIF87a", b"GIF89a")) or (
        beginning.startswith(b"RIFF") and beginning.endswith(b"WEBP")
    )


def read_tag(path: Path, name: str) -> str:
    """Return a tag of a clip's metadata; empty where it has none.

    Raises `ImageError` where the clip cannot be read.
    """
    with _worker(path, f"serve_tag({name!r})") as worker:
        try:
            with ended_after(START_SECONDS + SECONDS, worker):
                kind = bytes(read_exactly(worker.stdout, 1))
                if kind == REFUSAL:
                    raise ImageError(read_sentence(worker.stdout))
                (length,) = LENGTH.unpack(read_exactly(worker.stdout, LENGTH.size))
                if kind != TAG or length > MOST_TAG:
                    raise ImageError(DEFEATED)
                return bytes(read_exactly(worker.stdout, length)).decode("utf-8", "replace")
        except (OSError, EOFError, ValueError):
            raise ImageError(DEFEATED) from None


def _answer(kind: bytes, pipe: IO[bytes] | None, facts: Facts | None) -> Facts | Frame | None:
    """Return an answer of a kind; None at the end. Raises `ValueError` for none that is known."""
    if kind == HEADER and facts is None:
        return Facts.unpack(bytes(read_exactly(pipe, CLIP.size)))
    if kind == FRAME and facts is not None:
        return _frame(pipe, facts)
    if kind == END and facts is not None:
        return None
    raise ValueError("an answer of no known kind")


def _frame(pipe: IO[bytes] | None, facts: Facts) -> Frame:
    pts, length = TIMES.unpack(read_exactly(pipe, TIMES.size))
    channels = 4 if facts.has_alpha else 3
    samples = read_exactly(pipe, facts.width * facts.height * channels)
    pixels = np.frombuffer(samples, np.uint8).reshape(facts.height, facts.width, channels)
    time, shown = pts * facts.time_base, length * facts.time_base if length > 0 else None
    if not facts.has_alpha or int(pixels[..., 3].min()) == OPAQUE:
        return Frame(Image.fromarray(pixels[..., :3].copy()), time, None, shown)
    picture = Image.fromarray(pixels)
    if not pixels[..., 3].any():
        return Frame(Image.new("RGB", picture.size, "white"), time, picture.getchannel("A"), shown)
    colors, alpha = split_alpha(picture)
    return Frame(colors, time, alpha, shown)


@contextlib.contextmanager
def _worker(path: Path, call: str, module: str = "decoding") -> Iterator[subprocess.Popen[bytes]]:
    """Run a function of a module of `nst.video` in a process that has the clip as its stdin."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ImageError(f"The clip cannot be read: {error.strerror or error}.") from None
    with file:
        if os.path.isdir(path):
            raise ImageError("The clip cannot be read: it is a folder.")
        worker = start_worker(f"from nst.video import {module}; {module}.{call}", file)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()
        if worker.stdout:
            worker.stdout.close()
