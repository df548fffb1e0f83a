"""Finish a picture and encode it with its recipe, in the format and depth that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from nst.images import recipe as recipes
from nst.images.color import dial_colors, dial_pixels
from nst.images.recipe import Recipe
from nst.images.tensors import to_16_bits, to_image
from nst.images.tiff import Samples


def finished_samples(
    pixels: Tensor,
    photo: Image.Image,
    paintings: Sequence[Image.Image],
    colors: float,
    *,
    depth: int = 8,
    alpha: Image.Image | None = None,
    keep: Image.Image | None = None,
) -> Samples:
    """Return the samples of a finished picture, (H, W, 3) RGB or (H, W, 4) RGBA.

    Args:
        pixels: (1, 3, H, W) RGB in [0, 1], as they were painted.
        photo: the photo, for its colours.
        paintings: the paintings, for theirs.
        colors: the colour dial, see `dial_colors`.
        depth: bits per channel, 8 or 16; with 16 the pixels are rounded once, at the end.
        alpha: the photo's transparency, 8-bit greyscale of any size.
        keep: the same, white where the dial changes nothing.
    """
    samples: Samples
    if depth == 16:
        samples = to_16_bits(dial_pixels(pixels.detach(), photo, paintings, colors, keep=keep))
    else:  # of the 8-bit picture, as the page does it: a recipe leads to the same file
        samples = np.asarray(dial_colors(to_image(pixels), photo, paintings, colors, keep=keep))
    if alpha is None:
        return samples
    height, width, _ = samples.shape
    fitted = alpha.resize((width, height), Image.Resampling.BILINEAR)  # the others overshoot
    channel = np.asarray(fitted).astype(samples.dtype) * (257 if depth == 16 else 1)
    return np.dstack([samples, channel])


def encode(samples: Samples, recipe: Recipe, suffix: str) -> bytes:
    """Return a file for one of the endings in `nst.outputs.FORMATS`, with its recipe."""
    if suffix in (".tif", ".tiff"):
        return recipes.signed_tiff(samples, recipe)
    if samples.dtype == np.uint16:
        return recipes.signed_deep_png(samples.astype(np.uint16), recipe)
    sign = {".png": recipes.signed_png, ".webp": recipes.signed_webp}
    return sign.get(suffix, recipes.signed_jpeg)(Image.fromarray(samples), recipe)
