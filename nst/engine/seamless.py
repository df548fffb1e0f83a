"""Pictures that can be laid side by side, where each edge goes on at the opposite one.

A seamless picture is a torus. Its sides are multiples of `tiles.GRID`, so that the network's
poolings meet at the seam.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst.engine.tiles import GRID
from nst.images.masks import Masks
from nst.images.tensors import fitted_size
from nst.settings import TransferSettings

CUBIC_REACH = 3  # pixels
BORDER = 0.2  # of a photo's side, at each edge, where it passes into its other half


def seamless_size(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """Return width and height in pixels as `fitted_size` does, but multiples of `GRID`."""
    width, height = fitted_size(size, longest_side)
    return _on_grid(width), _on_grid(height)


def _on_grid(length: int) -> int:
    return max(GRID, round(length / GRID) * GRID)


def without_seam(photo: Image.Image) -> Image.Image:
    """Return a photo whose edges meet their opposite ones.

    Towards each edge it passes into itself, moved by half its width, and then by half its height:
    what was the middle is at the edge, where it goes on without a break.
    """
    pixels = np.asarray(photo.convert("RGB"), np.float32)
    for axis in (0, 1):
        moved = np.roll(pixels, pixels.shape[axis] // 2, axis)
        shape = [1, 1, 1]
        shape[axis] = -1
        share = _edges(pixels.shape[axis]).reshape(shape)
        pixels += share * (moved - pixels)
    return Image.fromarray(pixels.round().astype(np.uint8))


def mask_without_seam(mask: Image.Image, photo: Image.Image) -> Image.Image:
    """Return a mask of mode "L" that passes into itself as `without_seam` lets the photo."""
    seen = mask.resize(photo.size, Image.Resampling.BILINEAR)
    return without_seam(seen).getchannel(0)


def keep_mask(
    masks: Masks | None, photo: Image.Image, settings: TransferSettings
) -> Image.Image | None:
    """Return what is kept of the photo in a finished picture, for `dial_colors`; None for none."""
    keep = masks.keep if masks else None
    return mask_without_seam(keep, photo) if keep and settings.is_seamless else keep


def _edges(length: int) -> npt.NDArray[np.float32]:
    """Return 1 at both ends of a side, falling smoothly to 0 inside."""
    center = np.arange(length, dtype=np.float32) + 0.5
    distance = np.minimum(center, length - center) / max(1.0, BORDER * length)
    share: npt.NDArray[np.float32] = 0.5 + 0.5 * np.cos(np.pi * distance.clip(0, 1))
    return share


def fit_seamless(image: Image.Image, longest_side: int) -> Image.Image:
    """Return a seamless picture scaled to `seamless_size`, each edge looking beyond the seam."""
    size = seamless_size(image.size, longest_side)
    if size == image.size:
        return image
    reach = [4 * math.ceil(max(1, old / new)) for old, new in zip(image.size, size, strict=True)]
    columns, rows = (min(pad, side) for pad, side in zip(reach, image.size, strict=True))
    padding = ((rows, rows), (columns, columns), (0, 0))
    around = Image.fromarray(np.pad(np.asarray(image.convert("RGB")), padding, mode="wrap"))
    box = (columns, rows, columns + image.width, rows + image.height)
    return around.resize(size, Image.Resampling.LANCZOS, box=box)


def enlarge_seamless(change: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (1, 3, h, w) resampled to (height, width), across the seam.

    All sides are multiples of `GRID`, so that a narrow border has whole pixels before and after.
    """
    (rows, top), (columns, left) = map(_borders, change.shape[-2:], size)
    around = change[..., _wrapped(change.shape[-2], rows), :]
    around = around[..., _wrapped(change.shape[-1], columns)]
    larger = (size[0] + 2 * top, size[1] + 2 * left)
    whole = F.interpolate(around, larger, mode="bicubic", align_corners=False)
    return whole[..., top : top + size[0], left : left + size[1]]


def _borders(old: int, new: int) -> tuple[int, int]:
    """Return a border's pixels before and after, at least as many as a cubic kernel sees."""
    common = math.gcd(old, new)
    times = math.ceil(CUBIC_REACH * common / old)
    return times * old // common, times * new // common


def _wrapped(length: int, border: int) -> Tensor:
    """Return the indices from a border before 0 to one beyond the end, as the seam closes them."""
    return torch.arange(-border, length + border) % length
