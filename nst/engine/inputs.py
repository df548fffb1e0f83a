"""The photo and the paintings at one stage of a run, as tensors of its size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from nst.engine.memory import available_memory, bytes_needed, tile_side
from nst.engine.objective import Objective
from nst.engine.schedule import Scale, style_side
from nst.engine.seamless import fit_seamless
from nst.engine.tiled_objective import TiledObjective
from nst.images.tensors import fit, fitted_size, to_bytes, to_tensor
from nst.settings import TransferSettings
from nst.vgg.network import VGG


@dataclass(frozen=True)
class Inputs:
    """Pictures (1, 3, H, W) on the network's device, in [0, 1]; bytes where they go in tiles."""

    photo: Tensor
    paintings: list[Tensor]
    tile: int | None  # the side of the tiles in pixels, or None for no tiles

    @staticmethod
    def at(
        scale: Scale,
        content: Image.Image,
        paintings: Sequence[Image.Image],
        settings: TransferSettings,
        device: torch.device,
        tile: int | None,
    ) -> Inputs:
        """Bring the pictures to the size of a stage."""
        convert = to_bytes if tile else to_tensor
        side = style_side(scale, settings)
        return Inputs(
            convert(fit_photo(content, scale.size, settings)).to(device),
            [convert(fit(painting, side)).to(device) for painting in paintings],
            tile,
        )

    def objective(self, network: VGG, settings: TransferSettings) -> Objective:
        """Return J for these pictures."""
        if self.tile is None and not settings.is_seamless:
            return Objective(network, self.photo, self.paintings, settings)
        return TiledObjective(network, self.photo, self.paintings, settings, self.tile)


def fit_photo(photo: Image.Image, size: int, settings: TransferSettings) -> Image.Image:
    """Return the photo as a run sees it at a longest side."""
    return fit_seamless(photo, size) if settings.is_seamless else fit(photo, size)


def tile_sides(
    scales: Sequence[Scale], content: Image.Image, network: VGG
) -> dict[int, int | None]:
    """Return the side of the tiles for each size of a run, or None for no tiles.

    A run whose full size goes in tiles takes no more memory for any other size.
    """
    areas = {scale.size: math.prod(fitted_size(content.size, scale.size)) for scale in scales}
    free, full = available_memory(network.device), areas[scales[-1].size]
    if tile_side(full, network.dtype, free):
        free = bytes_needed(full, network.dtype, free)
    return {size: tile_side(pixels, network.dtype, free) for size, pixels in areas.items()}
