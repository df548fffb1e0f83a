"""Colours of a run: what it works on, and what becomes of the pictures that it yields."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from nst.engine.seamless import fit_seamless
from nst.images.color import to_grey, with_luminance
from nst.images.color_transfer import prepare_colors
from nst.images.tensors import fit, to_bytes, to_unit
from nst.settings import TransferSettings

ROWS = 512  # that get their colours at once; a very large picture leaves no room for more

Finish = Callable[[Tensor], Tensor]
"""Makes of the pixels that are optimised, (1, 3, H, W) in [0, 1], those that are delivered."""


def transfer_colors(
    content: Image.Image,
    paintings: Sequence[Image.Image],
    within: Sequence[Image.Image | None],
    settings: TransferSettings,
    *starts: Image.Image | None,
) -> tuple[Image.Image, list[Image.Image], list[Image.Image | None], Finish]:
    """Return what a run works on, and what finishes its pictures.

    Where luminance alone is painted, all of them are grey, and `Objective` has no gradient in
    colour; the photo's chroma is put back into each picture that is yielded, and taken off those
    that a run starts or goes on from. `within` are masks of what is taken of the paintings.
    """
    photo, prepared = prepare_colors(content, paintings, settings.color_transfer, within)
    if not settings.is_luminance_only:
        return photo, prepared, list(starts), lambda pixels: pixels
    grey = [start and to_grey(start) for start in starts]
    return photo, prepared, grey, Chroma(content, is_seamless=settings.is_seamless)


class Chroma:
    """The photo's chroma, to be put back into a picture of luminance alone.

    Holds the photo at the size of the latest picture and on its device, as bytes.
    """

    def __init__(self, photo: Image.Image, *, is_seamless: bool) -> None:
        self._photo = photo
        self._fit = fit_seamless if is_seamless else fit
        self._fitted: Tensor | None = None

    def __call__(self, luminance: Tensor) -> Tensor:
        """Return the photo's colours at this luminance, (1, 3, H, W) RGB in [0, 1]."""
        if self._fitted is None or self._fitted.shape != luminance.shape:
            fitted = self._fit(self._photo, max(luminance.shape[-2:]))
            self._fitted = to_bytes(fitted).to(luminance.device)
        result = torch.empty_like(luminance)
        strips = (torch.split(each, ROWS, dim=2) for each in (self._fitted, luminance, result))
        for photo, grey, place in zip(*strips, strict=True):
            place.copy_(with_luminance(to_unit(photo), grey))
        return result
