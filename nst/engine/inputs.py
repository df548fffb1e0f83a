"""The photo and the paintings of a run as tensors of a size, and what is minimised there.

A very large picture leaves no room for what is not needed: tensors are made for a stage, as bytes
where it goes in tiles, and given up when its objective has seen them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from nst.engine.base_term import HeldObjective
from nst.engine.memory import SIDES, available_memory, bytes_needed, tile_side
from nst.engine.minimization import CostFunction
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

    def objective(self, network: VGG, settings: TransferSettings) -> Objective:
        """Return J for these pictures."""
        if self.tile is None and not settings.is_seamless:
            return Objective(network, self.photo, self.paintings, settings)
        return TiledObjective(network, self.photo, self.paintings, settings, self.tile)


@dataclass(frozen=True)
class Sources:
    """What a run is made from: its pictures at their own sizes, its settings and its network."""

    photo: Image.Image
    paintings: Sequence[Image.Image]
    settings: TransferSettings
    network: VGG

    def at(self, size: int, tile: int | None = None) -> Inputs:
        """Return the pictures brought to a longest side."""
        convert, device = to_bytes if tile else to_tensor, self.network.device
        fit_photo = fit_seamless if self.settings.is_seamless else fit
        side = style_side(size, self.settings)
        return Inputs(
            convert(fit_photo(self.photo, size)).to(device),
            [convert(fit(painting, side)).to(device) for painting in self.paintings],
            tile,
        )

    def cost_function(self, scale: Scale, inputs: Inputs) -> CostFunction:
        """Return what a stage minimises: J, with the base-size term where the stage has one."""
        full = inputs.objective(self.network, self.settings)
        if not scale.base:
            return full
        return HeldObjective(full, self.at(scale.base).objective(self.network, self.settings))

    def in_float32(self, objective: CostFunction, scale: Scale, tile: int | None) -> CostFunction:
        """Return an objective of the same stage that is exact enough for costs to be shown."""
        network = self.network.in_float32
        if network is self.network:
            return objective
        small = SIDES[-1] if tile else None  # float32 takes twice the memory
        return self.at(scale.size, small).objective(network, self.settings)

    def tile_sides(self, scales: Sequence[Scale]) -> dict[int, int | None]:
        """Return the side of the tiles for each size of a run, or None for no tiles.

        A run whose full size goes in tiles takes no more memory for any other size.
        """
        areas = {each.size: math.prod(fitted_size(self.photo.size, each.size)) for each in scales}
        free, full = available_memory(self.network.device), areas[scales[-1].size]
        if tile_side(full, self.network.dtype, free):
            free = bytes_needed(full, self.network.dtype, free)
        return {size: tile_side(area, self.network.dtype, free) for size, area in areas.items()}
