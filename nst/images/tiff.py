"""Encode TIFF files, and read the fields of their first directory without decoding (TIFF 6.0)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # (H, W, 3) RGB or (H, W, 4) RGBA

STRIP = 1 << 18  # bytes before compression
MOST_FIELDS = 1000

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, CHANNELS, ROWS_PER_STRIP, STRIP_SIZES = 273, 274, 277, 278, 279
PLANES, PREDICTOR, EXTRA_CHANNELS, XMP, PROFILE = 284, 317, 338, 700, 34675
DEFLATE, RGB, CHUNKY, DIFFERENCES, UNASSOCIATED_ALPHA = 8, 2, 1, 2, 2
BYTE, SHORT, LONG, UNDEFINED = 1, 3, 4, 7
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # bytes
CODES = {SHORT: "H", LONG: "I"}


@dataclass(frozen=True)
class Field:
    """One field of a directory: the type and number of its values, and their bytes."""

    kind: int
    count: int
    content: bytes


def tiff_bytes(samples: Samples, *, xmp: bytes | None = None, profile: bytes = b"") -> bytes:
    """Return a TIFF with 8 or 16 bits per channel, by the samples' type, losslessly compressed.

    Args:
        samples: (H, W, 3) RGB or (H, W, 4) RGBA.
        xmp: a packet of XMP.
        profile: the ICC profile of the colours.
    """
    height, width, channels = samples.shape
    rows = max(1, STRIP // (width * channels * samples.itemsize))
    strips = [_packed(samples[top : top + rows]) for top in range(0, height, rows)]
    offsets = [8 + sum(map(len, strips[:index])) for index in range(len(strips))]
    fields = {
        WIDTH: _numbers(LONG, width),
        HEIGHT: _numbers(LONG, height),
        BITS: _numbers(SHORT, *[8 * samples.itemsize] * channels),
        COMPRESSION: _numbers(SHORT, DEFLATE),
        PHOTOMETRIC: _numbers(SHORT, RGB),
        STRIP_OFFSETS: _numbers(LONG, *offsets),
        ORIENTATION: _numbers(SHORT, 1),
        CHANNELS: _numbers(SHORT, channels),
        ROWS_PER_STRIP: _numbers(LONG, rows),
        STRIP_SIZES: _numbers(LONG, *map(len, strips)),
        PLANES: _numbers(SHORT, CHUNKY),
        PREDICTOR: _numbers(SHORT, DIFFERENCES),
    }
    if channels == 4:
        fields[EXTRA_CHANNELS] = _numbers(SHORT, UNASSOCIATED_ALPHA)
    if xmp:
        fields[XMP] = Field(BYTE, len(xmp), xmp)
    if profile:
        fields[PROFILE] = Field(UNDEFINED, len(profile), profile)
    return _assembled(fields, strips)


def _assembled(fields: dict[int, Field], strips: Sequence[bytes]) -> bytes:
    """Return a file of the strips, which begin at byte 8, and one directory behind them."""
    body = b"".join(strips)
    body += b"\0" * (len(body) % 2)
    values = b""
    directory = 8 + len(body)
    behind = directory + 2 + 12 * len(fields) + 4
    entries = b""
    for tag, field in sorted(fields.items()):
        content = field.content.ljust(4, b"\0")
        if len(content) > 4:
            place = behind + len(values)
            values += content + b"\0" * (len(content) % 2)
            content = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, field.kind, field.count) + content
    head = b"II" + struct.pack("<HI", 42, directory)
    count = struct.pack("<H", len(fields))
    return b"".join([head, body, count, entries, bytes(4), values])


def read_fields(data: bytes) -> dict[int, Field]:
    """Return the fields of the first directory; those that are damaged are left out.

    Raises `ValueError` for what is no TIFF, or has no directory.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise ValueError("no TIFF")
    try:
        (directory,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, directory)
        entries: list[Any] = [
            (*struct.unpack_from(order + "HHI", data, directory + 2 + 12 * index), index)
            for index in range(min(count, MOST_FIELDS))
        ]
    except struct.error:
        raise ValueError("no directory") from None
    fields = {}
    room = len(data)  # fields do not overlap: together they are no larger than the file
    for tag, kind, number, index in entries:
        size, at = SIZES.get(kind, 0) * number, directory + 2 + 12 * index + 8
        if size > 4:
            (at,) = struct.unpack_from(order + "I", data.ljust(at + 4, b"\0"), at)
        if 0 < size <= min(room, len(data) - at):
            room -= size
            fields[tag] = Field(kind, number, bytes(data[at : at + size]))
    return fields


def _numbers(kind: int, *values: int) -> Field:
    """Return a field of whole numbers."""
    return Field(kind, len(values), struct.pack(f"<{len(values)}{CODES[kind]}", *values))


def _packed(strip: Samples) -> bytes:
    """Return rows as differences between neighbours (TIFF 6.0, section 14), deflated."""
    differences = strip.copy()
    differences[:, 1:] -= strip[:, :-1]
    return zlib.compress(differences.astype(strip.dtype.newbyteorder("<")).tobytes(), 6)
