"""The process that opens clips from strangers: FFmpeg's decoders, behind limits.

Runs as `nst.images.sandbox` starts it, with the clip as stdin, and without torch. It answers with

    b"C" header of `CLIP`            once
    b"F" times of `TIMES`, and width × height × 3 bytes of RGB, or 4 of RGBA where the header says
         so                          for each frame, in the order of showing
    b"E"                             at the end
    b"R" a sentence                  where the clip cannot be used, see `nst.images.sandbox`

or, for a tag of its metadata, with b"T", a length and so much UTF-8; or, for the sound, with a
Matroska file that has the very packets of the clip.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation

from nst.errors import ImageError
from nst.images.sandbox import LENGTH, allow_seconds, limit_process, refusal

CLIP = struct.Struct(">IIqqqqqq?q?")  # the fields of `Facts`
TIMES = struct.Struct(">qq")  # of a frame: its time stamp and its length in ticks, 0 if not known
FRAME, HEADER, END, TAG = b"F", b"C", b"E", b"T"

FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,gif,ogg,apng,webp_anim"
"""What may be opened. Playlists are not among them: they would name other files."""
MOST_PIXELS = 8192 * 4320  # of a frame: 8K
MIN_SIDE = 16  # pixels
MOST_RATIO = 20  # of the longer side to the shorter
MOST_FRAMES = 20_000
LONGEST = 3600  # seconds
TOLERANCE = Fraction(1, 1000)  # seconds; time stamps are often rounded to milliseconds
MOST_TAG = 2_000_000  # bytes of a text in the metadata
MEMORY = 3_000_000_000  # bytes of address space: a decoder of 8K holds 16 frames
FRAME_SECONDS = 10.0  # of computing for one frame
UNSPECIFIED = 2  # of a colour matrix, as FFmpeg counts them
HD = 720  # pixels of height from which colours that do not say so are BT.709
SCALER = Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

NO_CLIP = "This is not a clip that can be read; use an MP4, MOV, WebM, MKV, AVI or GIF file."
NO_VIDEO = "The file has no moving picture, only sound."
NO_FRAMES = "The clip has no frame that can be shown; it is damaged or cut off."
TOO_LONG = (
    f"The clip is longer than {LONGEST // 60} minutes or has more than {MOST_FRAMES:,} frames; cut"
    " it into parts, or choose a lower frame rate."
)


@dataclass(frozen=True)
class Facts:
    """What a clip says of itself, as it is shown: upright, with square pixels, at a size."""

    width: int  # pixels
    height: int
    time_base: Fraction  # seconds of a tick of its time stamps
    rate: Fraction  # frames per second, on average
    frames: int  # estimated; 0 where nothing is known
    start: int  # the time stamp of its first frame, in ticks
    has_sound: bool
    plays: int = -1  # how often an animated picture is played, 0 for ever; −1 for a clip
    has_alpha: bool = False  # whether its frames may be transparent

    def pack(self) -> bytes:
        """Return the header that tells it."""
        base, rate = self.time_base, self.rate
        return CLIP.pack(
            *(self.width, self.height, base.numerator, base.denominator),
            *(rate.numerator, rate.denominator, self.frames, self.start, self.has_sound),
            *(self.plays, self.has_alpha),
        )

    @staticmethod
    def unpack(data: bytes) -> Facts:
        """Return what a header tells. Raises `ValueError` for what no sound one says."""
        width, height, *numbers, frames, start, has_sound, plays, has_alpha = CLIP.unpack(data)
        if min(width, height, *numbers) < 1 or width * height > MOST_PIXELS:
            raise ValueError("a header that cannot be")
        base, rate = Fraction(*numbers[:2]), Fraction(*numbers[2:])
        told = (max(0, frames), start, has_sound, plays, has_alpha)
        return Facts(width, height, base, rate, *told)


def serve_frames(longest_side: int, rate: float = 0.0) -> None:
    """Answer with the frames of the clip on stdin, at most so large, at most so many a second.

    A `rate` of 0 takes them all.
    """
    answers = begin_answers()
    try:
        _send_frames(answers, longest_side, rate)
    except ImageError as error:
        answers.write(refusal(str(error)))
    except (av.FFmpegError, ValueError, OverflowError, MemoryError):
        answers.write(refusal(NO_CLIP))
    answers.flush()


def serve_sound(start: float) -> None:
    """Answer with the sound of the clip on stdin as Matroska, its packets untouched.

    Their time counts from `start`, the seconds of the clip's first frame.
    """
    answers = begin_answers()
    with open_container(sys.stdin.buffer) as clip:
        stream = clip.streams.audio[0]
        with av.open(_Pipe(answers), "w", format="matroska") as copy:
            track = copy.add_stream_from_template(stream)
            for packet in clip.demux(stream):
                allow_seconds(FRAME_SECONDS)
                if packet.dts is not None:
                    shift = round(start / packet.time_base)
                    packet.dts, packet.pts = packet.dts - shift, (packet.pts or 0) - shift
                    packet.stream = track
                    copy.mux(packet)
    answers.flush()


def serve_tag(name: str) -> None:
    """Answer with a tag of the metadata of the clip on stdin, by its name in small letters."""
    answers = begin_answers()
    try:
        with open_container(sys.stdin.buffer) as clip:
            tags = {key.lower(): str(text) for key, text in clip.metadata.items()}
        text = tags.get(name, "").encode()[:MOST_TAG]
        answers.write(TAG + LENGTH.pack(len(text)) + text)
    except ImageError as error:
        answers.write(refusal(str(error)))
    answers.flush()


class _Pipe:
    """A pipe as a file that cannot be sought, for a muxer that streams."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> int:
        """Write all of it."""
        return self._pipe.write(data)


def begin_answers() -> IO[bytes]:
    """Limit this process; return where it answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's
    limit_process(MEMORY)
    allow_seconds(FRAME_SECONDS)
    return answers


def open_container(file: IO[bytes], formats: str = FORMATS) -> Any:
    """Return the container in a file, which may name no other file.

    Raises `ImageError` for what is none.
    """
    try:
        return av.open(file, options={"format_whitelist": formats, "protocol_whitelist": ""})
    except (av.FFmpegError, ValueError, OSError):
        raise ImageError(NO_CLIP) from None


def _send_frames(answers: IO[bytes], longest_side: int, rate: float) -> None:
    with open_container(sys.stdin.buffer) as clip:
        if not clip.streams.video:
            raise ImageError(NO_VIDEO if clip.streams.audio else NO_CLIP)
        stream = clip.streams.video[0]
        stream.codec_context.thread_count = 1
        _check_stream(stream, clip)
        facts = None
        for number, (frame, pts) in enumerate(timed_frames(clip, stream, rate)):
            if facts is None:
                facts = _facts(clip, stream, frame, longest_side, rate)
                _check_count(stream, facts, rate)
                answers.write(HEADER + facts.pack())
            if number >= MOST_FRAMES or pts * facts.time_base > LONGEST:
                raise ImageError(TOO_LONG)
            answers.write(FRAME + TIMES.pack(pts, 0))
            answers.write(_upright(frame, facts))
            answers.flush()
        if facts is None:
            raise ImageError(NO_FRAMES)
        answers.write(END)


def timed_frames(clip: Any, stream: Any, rate: float) -> Iterator[tuple[Any, int]]:
    """Yield the frames with time stamps from 0 that rise; damaged ones are passed over.

    What is left of a clip that is cut off is all the same a clip. Each frame that is decoded,
    whether it is taken or not, allows the process `FRAME_SECONDS` more.
    """
    base = stream.time_base or Fraction(1, 90_000)
    step = max(1, round(1 / (base * _rate_of(stream))))
    first = last = due = None
    for frame in _decoded(clip, stream):
        allow_seconds(FRAME_SECONDS)
        pts = frame.pts if frame.pts is not None else (last or 0) + step
        first = pts if first is None else first
        pts -= first
        if last is not None and pts <= last - first:
            pts = last - first + 1
        last = pts + first
        if rate and due is not None and pts * base < due - TOLERANCE:
            continue
        if rate:
            tick = 1 / Fraction(rate).limit_denominator(1000)
            due = next_tick(pts * base, tick)
        yield frame, pts


def next_tick(time: Fraction, tick: Fraction) -> Fraction:
    """Return when the next frame is due after one at `time`, at one frame in every `tick`."""
    return ((time + TOLERANCE) // tick + 1) * tick


def _decoded(clip: Any, stream: Any) -> Iterator[Any]:
    packets = clip.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        with contextlib.suppress(av.FFmpegError):
            yield from packet.decode()


def _check_stream(stream: Any, clip: Any) -> None:
    check_sides(stream.codec_context.width, stream.codec_context.height)
    if clip.duration and clip.duration / av.time_base > LONGEST:
        raise ImageError(TOO_LONG)


def check_sides(width: int, height: int) -> None:
    """Raise `ImageError` for frames that are too large, small or narrow; 0 is not known yet."""
    if width * height > MOST_PIXELS:
        raise ImageError(f"The clip has frames of {width}×{height} pixels; 8192×4320 are the most.")
    if 0 < min(width, height) < MIN_SIDE or max(width, height) > MOST_RATIO * max(
        1, min(width, height)
    ):
        raise ImageError(f"The clip has frames of {width}×{height} pixels, which cannot be used.")


def _check_count(stream: Any, facts: Facts, rate: float) -> None:
    """Raise `ImageError` for what says that it has too many frames; a guessed rate says nothing."""
    said = facts.frames if stream.average_rate else 0
    if not rate and stream.frames:  # counted, not estimated
        said = stream.frames
    if said > MOST_FRAMES:
        raise ImageError(TOO_LONG)


def _facts(clip: Any, stream: Any, frame: Any, longest_side: int, rate: float) -> Facts:
    own = _rate_of(stream)
    shown = min(own, Fraction(rate).limit_denominator(1000)) if rate else own
    width, height = _shown_size(frame, longest_side)
    return Facts(
        width,
        height,
        stream.time_base or Fraction(1, 90_000),
        shown,
        round(_seconds(clip, stream) * shown),
        frame.pts or 0,
        bool(clip.streams.audio),
    )


def _seconds(clip: Any, stream: Any) -> Fraction:
    """Return how long the picture says it lasts, 0 if it does not say.

    The container is asked last: it lasts as long as its sound. An MP4 in fragments may count the
    frames of the first one alone.
    """
    if stream.duration and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    if stream.frames:
        return Fraction(stream.frames) / _rate_of(stream)
    return Fraction(clip.duration or 0, av.time_base)


def _rate_of(stream: Any) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and 0 < rate <= 1000 else Fraction(25)


def _shown_size(frame: Any, longest_side: int) -> tuple[int, int]:
    """Return width and height as the frame is shown, with square pixels, scaled to a side."""
    aspect = getattr(frame, "sample_aspect_ratio", None) or Fraction(1)
    aspect = aspect if Fraction(1, 4) <= aspect <= 4 else Fraction(1)
    width, height = frame.width * float(aspect), float(frame.height)
    if frame.rotation % 180:
        width, height = height, width
    factor = longest_side / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _upright(frame: Any, facts: Facts) -> bytes:
    """Return a frame as RGB of 8 bits, row by row, scaled and turned upright."""
    turns = round(frame.rotation / 90) % 4  # counter-clockwise
    size = (facts.height, facts.width) if turns % 2 else (facts.width, facts.height)
    space = frame.colorspace
    if space in (None, UNSPECIFIED):
        space = Colorspace.ITU709 if frame.height >= HD else Colorspace.ITU601
    rgb = frame.reformat(*size, "rgb24", src_colorspace=space, interpolation=SCALER)
    return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), turns)).tobytes()
