"""Regions of made-up photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nst.engine.regions import Regions
from nst.settings import PaintingUse

USUAL = PaintingUse()


def soft_mask(height: int, width: int, begin: float, end: float) -> Tensor:
    """Black on the left, white on the right, and a ramp between two shares of the width."""
    ramp = (torch.arange(width) / width - begin) / (end - begin)
    return (255 * ramp.clamp(0, 1)).round().to(torch.uint8).expand(1, 1, height, width)


def two_regions(height: int, width: int, **more: Any) -> Regions:
    """A soft seam in the middle, and two paintings."""
    right = soft_mask(height, width, 0.3, 0.6)
    return Regions([USUAL] * 2, [0, 1], torch.cat([right, 255 - right]), **more)


def regions_of_three(height: int, width: int, uses: Sequence[PaintingUse] = ()) -> Regions:
    """Two masks that overlap, a third painting everywhere else, and a corner that is kept."""
    masks = torch.cat([soft_mask(height, width, 0.3, 0.6), soft_mask(width, height, 0.5, 0.55).mT])
    keep = torch.zeros(1, 1, height, width, dtype=torch.uint8)
    keep[..., : height // 3, width // 2 :] = 200
    return Regions(uses or [USUAL] * 3, [0, 1, None], masks, keep)
