"""Bring what Pillow has loaded to 8 bits per channel, with its transparency."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import (  # those in `FORMATS`, so that Pillow need not look among all it has
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    ImageChops,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,  # noqa: F401
)

Values = npt.NDArray[Any]  # (H, W)
_PLAIN = {"1": "L", "LA": "L", "CMYK": "CMYK", "L": "L", "LAB": "LAB"}  # every other mode: RGB
_AT_ONCE = 1 << 20  # values that are converted


def colors_and_alpha(image: Image.Image, data: bytes) -> tuple[Image.Image, Image.Image | None]:
    """Return 8-bit L, RGB, CMYK or LAB, and the transparency if there is any."""
    key = image.info.get("transparency")
    depth = data[24] if image.format == "PNG" else 8  # bits a channel, from the header
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _scaled(image), _keyed(image, key)
    if image.mode == "RGB" and depth == 16 and key is not None:
        return image, _keyed_exactly(image, data, key)
    if image.mode == "L" and depth < 8 and key is not None:
        image.info["transparency"] = (key & (2**depth - 1)) * 255 // (2**depth - 1)
    if image.mode in ("P", "PA", "La", "RGBa") or key is not None:
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    mode = _PLAIN.get(image.mode, "RGB")
    return image if image.mode == mode else image.convert(mode), alpha


def _scaled(image: Image.Image) -> Image.Image:
    """Return greyscale of more than 8 bits (Pillow would clip it) as 8 bits.

    Signed values are black below zero; floating-point ones are white at 1, or at the largest.
    """
    values = np.asarray(image)
    tags: Any = getattr(image, "tag_v2", {})
    kind = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0]
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]
    if image.mode == "F":
        top = float(np.max(values, initial=1, where=np.isfinite(values)))
    else:
        top = 2.0 ** (bits - 1 if kind == 2 else bits) - 1
        if image.mode == "I" and kind == 1:
            values = values.view(np.uint32)  # which Pillow keeps as signed
    table = _in_8_bits(np.arange(65536), top)
    scaled = np.empty(values.shape, np.uint8)
    step = max(1, _AT_ONCE // values.shape[1])  # a few rows: what is between takes memory
    for row in range(0, len(values), step):
        part = values[row : row + step]
        scaled[row : row + step] = table[part] if part.itemsize == 2 else _in_8_bits(part, top)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero
        scaled = 255 - scaled
    return Image.fromarray(scaled)


def _in_8_bits(values: Values, top: float) -> Values:
    """Return 0 … 255 from 0 … top, rounded; what is not a number is black."""
    scaled: Values = np.nan_to_num(values.astype(np.float32)) * np.float32(255 / top)
    return scaled.round().clip(0, 255).astype(np.uint8)


def _keyed(image: Image.Image, key: int | None) -> Image.Image | None:
    """Return an alpha channel, transparent where the value is `key`."""
    if key is None:
        return None
    return Image.fromarray((np.asarray(image) != key).astype(np.uint8) * np.uint8(255))


def _keyed_exactly(image: Image.Image, data: bytes, key: tuple[int, int, int]) -> Image.Image:
    """Return an alpha channel, transparent where all 16 bits of a PNG's colour are `key`.

    Pillow has loaded the upper ones and is made to load the lower ones here.
    """
    opaque = Image.new("L", image.size, 0)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as lower:
        assert isinstance(lower, PngImagePlugin.PngImageFile)
        lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]
        lower.load()
        for picture, shift in ((image, 8), (lower, 0)):
            for channel, value in zip(picture.split(), key, strict=True):
                wanted = value >> shift & 255
                differs = channel.point([255 * (level != wanted) for level in range(256)])
                opaque = ImageChops.lighter(opaque, differs)
    return opaque
