"""Encode a PNG with 16 bits per channel, which Pillow cannot write for colours."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from nst.images.png_text import SIGNATURE

Bytes = npt.NDArray[np.uint8]

BAND = 1 << 20  # bytes that are filtered at once
COLOR_TYPES = {3: 2, 4: 6}  # by the number of channels: RGB, RGBA
PERCEPTUAL = b"\0"  # of the chunk sRGB


def deep_png_bytes(
    samples: npt.NDArray[np.uint16], text: Mapping[str, str] | None = None, *, compression: int = 6
) -> bytes:
    """Return a PNG of sRGB with 16 bits per channel.

    Args:
        samples: (H, W, 3) RGB or (H, W, 4) RGBA.
        text: chunks of ASCII by keyword.
        compression: from 0 to 9.

    Each row gets the filter whose result has the smallest sum of absolute values (PNG, third
    edition, 12.7).
    """
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"sRGB", PERCEPTUAL)]
    for keyword, value in (text or {}).items():
        chunks.append((b"tEXt", keyword.encode("latin-1") + b"\0" + value.encode("latin-1")))
    deflater = zlib.compressobj(compression)
    pixels = [deflater.compress(band) for band in _filtered(samples)] + [deflater.flush()]
    chunks += [(b"IDAT", part) for part in pixels if part] + [(b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(kind, body) for kind, body in chunks)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG: length, kind, content and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _filtered(samples: npt.NDArray[np.uint16]) -> Iterator[bytes]:
    """Yield the filtered rows, some at a time."""
    height, width, channels = samples.shape
    pixel = 2 * channels  # bytes
    step = max(1, BAND // (pixel * width))
    above = np.zeros(pixel * width, np.uint8)
    for top in range(0, height, step):
        rows = samples[top : top + step].astype(">u2").reshape(-1, width * channels).view(np.uint8)
        yield _filter_rows(rows, above, pixel).tobytes()
        above = rows[-1]


def _filter_rows(rows: Bytes, above: Bytes, pixel: int) -> Bytes:
    """Return (N, 1 + stride), each row behind the number of its filter.

    Args:
        rows: (N, stride) bytes of pixels.
        above: (stride,) the row before the first.
        pixel: bytes of one.
    """
    up = np.concatenate([above[None], rows[:-1]])
    left, corner = (np.pad(each, ((0, 0), (pixel, 0)))[:, :-pixel] for each in (rows, up))
    average = ((left.astype(np.uint16) + up) // 2).astype(np.uint8)
    predictions = (np.zeros_like(rows), left, up, average, _paeth(left, up, corner))
    results = np.stack([rows - prediction for prediction in predictions])  # (5, N, stride), wraps
    costs = np.abs(results.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = costs.argmin(axis=0)
    chosen = results[best, np.arange(len(rows))]
    return np.concatenate([best.astype(np.uint8)[:, None], chosen], axis=1)


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """Return which of the three neighbours is nearest to left + up − corner."""
    a, b, c = (each.astype(np.int16) for each in (left, up, corner))
    from_left, from_up, from_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    is_left = (from_left <= from_up) & (from_left <= from_corner)
    return np.where(is_left, left, np.where(from_up <= from_corner, up, corner))
