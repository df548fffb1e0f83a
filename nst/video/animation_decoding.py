"""The process that opens animated GIFs and WebPs from strangers: Pillow's decoders, behind limits.

It answers as `nst.video.decoding` does, with RGBA. FFmpeg would not tell how often a GIF plays, and
knows no animated WebP.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import IO

from PIL import Image, ImageFile

from nst.errors import ImageError
from nst.images.sandbox import allow_seconds, refusal
from nst.images.tensors import fitted_size
from nst.video.decoding import (
    END,
    FRAME,
    FRAME_SECONDS,
    HEADER,
    LONGEST,
    MOST_FRAMES,
    NO_CLIP,
    NO_FRAMES,
    TIMES,
    TOLERANCE,
    TOO_LONG,
    Facts,
    begin_answers,
    check_sides,
    next_tick,
)

FORMATS = ("GIF", "WEBP")
TICK = Fraction(1, 1000)  # seconds
MOST_BYTES = 200_000_000  # of a file: Pillow holds it whole
TOO_SHORT = 10  # milliseconds; browsers show frames of up to so many for
SHOWN_INSTEAD = 100

Timed = tuple[Image.Image, int, int]  # a frame as RGBA, its time stamp and its length in ticks


def serve_animation(longest_side: int, rate: float = 0.0) -> None:
    """Answer with the frames of the animated picture on stdin, as `serve_frames` does."""
    answers = begin_answers()
    try:
        _send_frames(answers, longest_side, rate)
    except ImageError as error:
        answers.write(refusal(str(error)))
    except Exception:  # whatever Pillow has for damaged files
        answers.write(refusal(NO_CLIP))
    answers.flush()


def _send_frames(answers: IO[bytes], longest_side: int, rate: float) -> None:
    if os.fstat(sys.stdin.fileno()).st_size > MOST_BYTES:
        raise ImageError(f"The file is larger than {MOST_BYTES // 1_000_000} MB.")
    Image.MAX_IMAGE_PIXELS = None  # there is a limit of our own
    with Image.open(sys.stdin.buffer, formats=FORMATS) as picture:
        check_sides(*picture.size)
        facts = None
        for frame, pts, length in _taken(_timed(picture), rate):
            if facts is None:
                facts = _facts(picture, longest_side, rate, length)
                answers.write(HEADER + facts.pack())
            scaled = frame.convert("RGBa").resize(
                (facts.width, facts.height), Image.Resampling.LANCZOS
            )
            answers.write(FRAME + TIMES.pack(pts, length))
            answers.write(scaled.convert("RGBA").tobytes())
            answers.flush()
        if facts is None:
            raise ImageError(NO_FRAMES)
        answers.write(END)


def _timed(picture: ImageFile.ImageFile) -> Iterator[Timed]:
    """Yield all frames; of a file that is cut off, those before."""
    time = 0
    for number in range(MOST_FRAMES + 1):
        allow_seconds(FRAME_SECONDS)
        try:
            picture.seek(number)
            frame = picture.convert("RGBA")
        except (EOFError, OSError, SyntaxError):
            return
        if number == MOST_FRAMES or time * TICK > LONGEST:
            raise ImageError(TOO_LONG)
        said = round(picture.info.get("duration", 0))
        length = said if said > TOO_SHORT else SHOWN_INSTEAD
        yield frame, time, length
        time += length


def _taken(frames: Iterator[Timed], rate: float) -> Iterator[Timed]:
    """Yield at most `rate` frames per second, or all for 0, each as long as it is shown."""
    tick = 1 / Fraction(rate).limit_denominator(1000) if rate else Fraction(0)
    due, held = Fraction(0), None
    for frame, time, length in frames:
        if held is not None and rate and time * TICK < due - TOLERANCE:
            held = (held[0], held[1], time + length - held[1])
            continue
        if held is not None:
            yield held
        held = frame, time, length
        due = next_tick(time * TICK, tick) if rate else due
    if held is not None:
        yield held


def _facts(picture: ImageFile.ImageFile, longest_side: int, rate: float, length: int) -> Facts:
    own = 1 / (length * TICK)
    shown = min(own, Fraction(rate).limit_denominator(1000)) if rate else own
    frames = int(getattr(picture, "n_frames", 1))
    if frames > MOST_FRAMES and not rate:
        raise ImageError(TOO_LONG)
    width, height = fitted_size(picture.size, longest_side)
    estimated = frames if not rate else max(1, round(frames * shown / own))
    return Facts(width, height, TICK, shown, estimated, 0, False, _plays(picture), True)


def _plays(picture: ImageFile.ImageFile) -> int:
    """Return how often it is played: a GIF says how often again, or nothing where it plays once."""
    loop = picture.info.get("loop")
    if picture.format == "WEBP":
        return int(loop or 0)
    return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
