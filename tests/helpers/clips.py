"""Small clips for tests: written with PyAV, whole or damaged on purpose."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

TKHD_MATRIX = 40  # bytes from the beginning of a version 0 box's content to its matrix
QUARTER_TURN = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)  # clockwise


def write_frames(
    path: Path,
    count: int,
    size: tuple[int, int] = (96, 64),
    *,
    rate: int = 12,
    times: Sequence[int] | None = None,
    codec: Literal["libx264", "mpeg4"] = "libx264",
    options: dict[str, str] | None = None,
) -> Path:
    """Write frames whose left half is red and right half blue, and which grow brighter.

    `times` are those of the frames in milliseconds, evenly spaced where they are not given.
    `options` are those of the encoder and the container.
    """
    with av.open(str(path), "w", options=options or {}) as film:
        stream = film.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            pixels = np.zeros((size[1], size[0], 3), np.uint8)
            pixels[:, : size[0] // 2, 0] = 150 + 5 * (number % 20)
            pixels[:, size[0] // 2 :, 2] = 150
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """Write a second of silence in AAC and nothing to look at."""
    with av.open(str(path), "w") as film:
        track = film.add_stream("aac", rate=44100, layout="mono")
        for begin in range(0, 44100, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, begin, Fraction(1, 44100)
            film.mux(track.encode(frame))
        film.mux(track.encode(None))
    return path


def write_still(path: Path, count: int, *, rate: int = 240) -> Path:
    """Write one black frame so many times, without encoding it anew."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
        data = b"".join(bytes(packet) for packet in [*stream.encode(frame), *stream.encode(None)])
        for number in range(count):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, rate)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            film.mux(packet)
    return path


def write_sounding(path: Path, codec: str, *, seconds: float = 0.5) -> Path:
    """Write six black frames, and so many seconds of silence by an encoder of 16-bit samples."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        track: Any = film.add_stream(codec, rate=48000, layout="mono")
        for _ in range(6):
            picture = np.zeros((64, 96, 3), np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        film.mux(stream.encode(None))
        for begin in range(0, round(48000 * seconds), 1152):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, begin, Fraction(1, 48000)
            film.mux(track.encode(frame))
        if seconds:
            film.mux(track.encode(None))
    return path


def turn(path: Path) -> Path:
    """Have an MP4 say that its picture is to be turned by a quarter, clockwise."""
    data = bytearray(path.read_bytes())
    begin = data.index(b"tkhd") + 4 + TKHD_MATRIX
    data[begin : begin + len(QUARTER_TURN)] = QUARTER_TURN
    path.write_bytes(data)
    return path
