"""The photo and the paintings of a run as tensors of a size, and what is minimised there.

A very large picture leaves no room for what is not needed: tensors are made for a stage, as bytes
where it goes in tiles, and given up when its objective has seen them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from nst.engine.base_term import HeldObjective
from nst.engine.kept_photo import KeptObjective, KeptPhoto
from nst.engine.memory import NEVER_TILED, SIDES, available_memory, bytes_needed, tile_side
from nst.engine.minimization import CostFunction
from nst.engine.objective import Objective
from nst.engine.regions import Regions
from nst.engine.schedule import Scale, style_side
from nst.engine.seamless import fit_seamless, mask_without_seam
from nst.engine.spread_objective import SpreadObjective, can_be_spread
from nst.engine.starting_picture import keeps_detail, starting_picture
from nst.engine.tile_map import TileMap
from nst.engine.tiled_objective import TiledObjective
from nst.images.masks import Masks
from nst.images.tensors import (
    fit,
    fitted_size,
    into_frame,
    mask_bytes,
    to_bytes,
    to_tensor,
)
from nst.settings import TransferSettings
from nst.vgg.network import VGG


@dataclass(frozen=True)
class Inputs:
    """Pictures (1, 3, H, W) on the network's device, in [0, 1]; bytes where they go in tiles."""

    photo: Tensor
    paintings: list[Tensor]
    tile: int | None  # the side of the tiles in pixels, or None for no tiles
    regions: Regions
    own_start: Tensor | None = None
    kept: KeptPhoto | None = None
    tile_map: TileMap | None = None  # what evaluates tiles, where that is not this process

    def objective(self, network: VGG, settings: TransferSettings) -> Objective:
        """Return J for these pictures."""
        photo, paintings, regions = self.photo, self.paintings, self.regions
        if self.tile is None and not settings.is_seamless:
            return Objective(network, photo, paintings, settings, regions)
        if self.tile_map and self.tile and can_be_spread(settings):
            return SpreadObjective(
                network, photo, paintings, settings, self.tile, regions, tile_map=self.tile_map
            )
        return TiledObjective(network, photo, paintings, settings, self.tile, regions)

    def starting_picture(self, settings: TransferSettings) -> Tensor:
        """Return the picture that a run of this size starts from."""
        return starting_picture(self.photo, self.paintings, settings, self.regions, self.own_start)

    def composing(self, objective: CostFunction) -> CostFunction:
        """Return an objective of what is painted, which leaves the photo where it is kept."""
        return KeptObjective(objective, self.kept) if self.kept else objective


@dataclass(frozen=True)
class Sources:
    """What a run is made from: its pictures at their own sizes, its settings and its network.

    `original` is the photo of which a part may be kept: with its colour noise.
    """

    photo: Image.Image
    paintings: Sequence[Image.Image]
    settings: TransferSettings
    network: VGG
    masks: Masks = field(default_factory=Masks)
    own_start: Image.Image | None = None
    original: Image.Image | None = None
    tile_map: TileMap | None = None

    def at(self, size: int, tile: int | None = None) -> Inputs:
        """Return the pictures brought to a longest side."""
        convert, side = to_bytes if tile else to_tensor, style_side(size, self.settings)
        photo, uses = self._fitted(self.photo, size), self.settings.uses(len(self.paintings))
        paintings = [
            self._on_device(convert(fit(each, max(1, round(side * use.scale)))))
            for each, use in zip(self.paintings, uses, strict=True)
        ]
        return self._inputs(photo, paintings, tile)

    def change_since_start(self, picture: Image.Image, inputs: Inputs) -> Tensor:
        """Return what distinguishes a picture from what a run would start from at its size.

        It has the paintings of `inputs`. A picture larger than the run will be is reduced first.
        """
        picture = fit(picture, min(max(picture.size), self.settings.size))
        photo = self.photo.resize(picture.size, Image.Resampling.LANCZOS)
        earlier = self._inputs(photo, inputs.paintings, None)
        painted = self._on_device(to_tensor(picture))
        if earlier.kept:
            painted = earlier.kept.painted(painted)
        return painted - earlier.starting_picture(self.settings) if self.keeps_detail else painted

    @property
    def keeps_detail(self) -> bool:
        """Tell whether detail comes from the larger start when a run moves up a scale."""
        return keeps_detail(self.settings, has_own=self.own_start is not None)

    def _inputs(self, photo: Image.Image, paintings: list[Tensor], tile: int | None) -> Inputs:
        """Return what belongs to a photo that has its size already."""
        convert = to_bytes if tile else to_tensor
        regions = self._regions(photo.size, paintings)
        own_start, kept = None, None
        if self.own_start:
            own_start = self._on_device(convert(into_frame(self.own_start, photo.size)))
        if regions.keep is not None:
            original = self._fitted(self.original or self.photo, max(photo.size))
            if original.size != photo.size:  # of a picture to go on from, which has its own
                original = original.resize(photo.size, Image.Resampling.LANCZOS)
            kept = KeptPhoto(self._on_device(convert(original)), regions.keep)
        photo_pixels = self._on_device(convert(photo))
        return Inputs(photo_pixels, paintings, tile, regions, own_start, kept, self.tile_map)

    def _fitted(self, photo: Image.Image, size: int) -> Image.Image:
        return fit_seamless(photo, size) if self.settings.is_seamless else fit(photo, size)

    def _on_device(self, pixels: Tensor) -> Tensor:
        return pixels.to(self.network.device)

    def _regions(self, size: tuple[int, int], paintings: Sequence[Tensor]) -> Regions:
        """Return the regions of a photo of (width, height) pixels, and parts of the paintings."""
        n_paintings = len(paintings)
        uses, masks = self.settings.uses(n_paintings), self.masks
        if not masks:
            return Regions(uses)
        distinct, mask_of = masks.distinct(n_paintings)
        fitted = [self._mask(mask, size) for mask in distinct]
        within = masks.listed(n_paintings)[n_paintings + 1 :]
        return Regions(
            uses,
            mask_of,
            torch.cat(fitted) if fitted else None,
            self._mask(masks.keep, size) if masks.keep else None,
            [
                mask_bytes(mask, (painting.shape[-1], painting.shape[-2])) if mask else None
                for mask, painting in zip(within, paintings, strict=True)
            ],
        )

    def _mask(self, mask: Image.Image, size: tuple[int, int]) -> Tensor:
        """Return a mask of the photo at (width, height) pixels.

        That of a seamless photo passes into itself as the photo does.
        """
        if self.settings.is_seamless:
            mask = fit_seamless(mask_without_seam(mask, self.photo), max(size)).getchannel(0)
        return mask_bytes(mask, size)

    def cost_function(self, scale: Scale, inputs: Inputs) -> CostFunction:
        """Return what a stage minimises: J, with the base-size term where the stage has one."""
        full = inputs.objective(self.network, self.settings)
        if not scale.base:
            return inputs.composing(full)
        base = self.at(scale.base).objective(self.network, self.settings)
        return inputs.composing(HeldObjective(full, base))

    def in_float32(self, objective: CostFunction, scale: Scale, tile: int | None) -> CostFunction:
        """Return an objective of the same stage that is exact enough for costs to be shown."""
        network = self.network.in_float32
        if network is self.network:
            return objective
        small = SIDES[-1] if tile else None  # float32 takes twice the memory
        inputs = self.at(scale.size, small)
        return inputs.composing(inputs.objective(network, self.settings))

    def tile_sides(self, scales: Sequence[Scale]) -> dict[int, int | None]:
        """Return the side of the tiles for each size of a run, or None for no tiles.

        A run whose full size goes in tiles takes no more memory for any other size.
        """
        areas = {each.size: math.prod(fitted_size(self.photo.size, each.size)) for each in scales}
        if self.tile_map:
            return {size: SIDES[0] if area > NEVER_TILED else None for size, area in areas.items()}
        free, full = available_memory(self.network.device), areas[scales[-1].size]
        if tile_side(full, self.network.dtype, free):
            free = bytes_needed(full, self.network.dtype, free)
        return {size: tile_side(area, self.network.dtype, free) for size, area in areas.items()}
