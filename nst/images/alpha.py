"""Transparency: split a picture into colours without holes and an alpha channel.

What lies under fully transparent pixels is never looked at: many programs leave anything there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from nst.errors import ImageError
from nst.images.tensors import fitted_size

Floats = npt.NDArray[Any]  # float32

FILL_SIDE = 1024  # pixels; the fill is smooth, and larger pictures need none that is finer
TRUSTED = 64  # alpha from which a pixel's own colour counts in full
NOTHING = "The photo is transparent everywhere; there is nothing to paint."


def split_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return RGB without holes, and the alpha channel; None where the picture has none.

    Transparent places are filled softly from their opaque surroundings, so that neither a colour
    that nobody sees nor an edge gets into what is painted. Raises `ImageError` for a picture that
    is transparent everywhere.
    """
    if picture.mode != "RGBA":
        return picture, None
    alpha = picture.getchannel("A")
    if alpha.getextrema()[1] == 0:
        raise ImageError(NOTHING)
    trust = alpha.point([min(255, level * 255 // TRUSTED) for level in range(256)])
    colors = picture.convert("RGB")
    fill = _fill(colors, trust).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.composite(colors, fill, trust), alpha


def _fill(colors: Image.Image, trust: Image.Image) -> Image.Image:
    """Return colours for every place, from the trusted ones around it, at most `FILL_SIDE` large.

    Colours count by their trust: those without any are multiplied by zero.
    """
    weighted = Image.merge("RGB", [ImageChops.multiply(each, trust) for each in colors.split()])
    size = fitted_size(colors.size, min(FILL_SIDE, max(colors.size)))
    small, weights = (
        np.asarray(each.resize(size, Image.Resampling.BOX), np.float32)
        for each in (weighted, trust)
    )
    filled = _pull_push(small, weights / 255)
    return Image.fromarray(filled.round().clip(0, 255).astype(np.uint8))


def _pull_push(colors: Floats, weights: Floats) -> Floats:
    """Return (H, W, 3) colours, from coarser and coarser averages where weights are below 1.

    Gortler et al. 1996, "The Lumigraph", section 3.4.

    Args:
        colors: (H, W, 3), multiplied by their weights.
        weights: (H, W) in [0, 1], not all zero.
    """
    height, width = weights.shape
    if min(weights.flat) >= 1 or height * width == 1:
        result: Floats = colors / np.maximum(weights, 1e-6)[..., None]
        return result
    sums, totals = _halved(colors), _halved(weights[..., None])
    kept = np.minimum(totals, 1)
    coarse = _pull_push(sums * (kept / np.maximum(totals, 1e-6)), kept[..., 0])
    channels = [
        np.asarray(Image.fromarray(channel).resize((width, height), Image.Resampling.BILINEAR))
        for channel in np.moveaxis(coarse, 2, 0)
    ]
    finer: Floats = colors + (1 - weights[..., None]) * np.dstack(channels)
    return finer


def _halved(values: Floats) -> Floats:
    """Return the sums over 2 × 2 places, (⌈H/2⌉, ⌈W/2⌉, C)."""
    height, width, _ = values.shape
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    sums: Floats = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return sums
