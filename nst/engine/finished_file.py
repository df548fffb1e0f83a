"""Make the file of a finished picture from the pixels that a run has painted."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from nst.engine.seamless import keep_mask
from nst.images.delivery import encode, finished_samples
from nst.images.masks import Masks
from nst.images.recipe import Recipe


def finished_file(
    pixels: Tensor,
    recipe: Recipe,
    content: Image.Image,
    styles: Sequence[Image.Image],
    masks: Masks,
    *,
    suffix: str,
    depth: int = 8,
    alpha: Image.Image | None = None,
) -> bytes:
    """Return a file with the finished picture, its colours dialled, and its recipe.

    Args:
        pixels: (1, 3, H, W) RGB in [0, 1], as they were painted.
        recipe: what they were painted by, with the colour dial.
        content: the photo.
        styles: all paintings of the recipe, in its order.
        masks: those of the last passage.
        suffix: one of the endings in `nst.outputs.FORMATS`.
        depth: bits per channel, 8 or 16.
        alpha: the photo's transparency, to be kept in the file.
    """
    samples = finished_samples(
        pixels,
        content,
        recipe.last_of(styles, masks.within),
        recipe.colors,
        depth=depth,
        alpha=alpha,
        keep=keep_mask(masks, content, recipe.settings),
    )
    return encode(samples, recipe, suffix)
