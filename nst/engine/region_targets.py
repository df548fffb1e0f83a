"""What is wanted of each region of a photo: a style at the layers that count there, and how much.

Knows nothing of the picture that is painted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nst.engine.regions import Regions
from nst.engine.style_target import Painting, Style, Weights, blend
from nst.engine.windows import LEAST_TOTAL
from nst.vgg.network import VGG, carry_down

Recall = Callable[[Any, Callable[[], Style]], Style]
"""Returns what is remembered under a key, or makes it."""


@dataclass(frozen=True)
class RegionTarget:
    """What is wanted of a region: its style, and how much that counts."""

    style: Style
    factor: float  # its share of the photo's pixels, times its strength


class Area:
    """How much of a photo and of each layer a region has: sums of weights, which come in parts."""

    def __init__(self) -> None:
        self.pixels = 0.0
        self.positions: dict[str, float] = {}

    def add(self, weights: Tensor, layers: Iterable[str]) -> None:
        """Count the weights of some pixels, (1, 1, h, w)."""
        self.pixels += float(weights.sum())
        for layer, level in carry_down(weights, layers):
            self.positions[layer] = self.positions.get(layer, 0.0) + float(level.sum())

    def has(self, layer: str) -> bool:
        """Tell whether the region has not vanished at a layer."""
        return self.positions[layer] >= LEAST_TOTAL


def areas_of(
    regions: Regions, layers: Sequence[str], places: Iterable[tuple[slice, slice]]
) -> list[Area]:
    """Return the area of each region, from parts of a photo that has masks."""
    areas = [Area() for _ in regions.groups]
    for place in places:
        for area, weights in zip(areas, regions.weights(*place), strict=True):
            area.add(weights, layers)
    return areas


def region_targets(
    network: VGG,
    paintings: Mapping[int, Painting],
    regions: Regions,
    layers: Sequence[str],
    size: Sequence[int],
    places: Iterable[tuple[slice, slice]],
    recall: Recall,
) -> dict[int, RegionTarget]:
    """Return what is wanted of each region that counts, by its number in `regions.groups`.

    Args:
        network: what sees the paintings.
        paintings: those with a weight, by their index in `regions.uses`.
        regions: where they rule.
        layers: the layers that count.
        size: height and width of the photo in pixels.
        places: rows and columns of the parts that the photo comes in.
        recall: the memory for styles, which take long to see.
    """
    areas = None if regions.is_whole else areas_of(regions, layers, places)
    found = {}
    for number, group in enumerate(regions.groups):
        area = areas[number] if areas else None
        share = area.pixels / math.prod(size) if area else 1.0
        factor = share * regions.strength(group)
        present = [layer for layer in layers if area is None or area.has(layer)]
        members = {index: paintings[index] for index in group}
        style = style_of(network, members, regions, layers, present, recall)
        if factor > 0 and style.grams:
            found[number] = RegionTarget(style, factor)
    return found


def style_of(
    network: VGG,
    paintings: Mapping[int, Painting],
    regions: Regions,
    layers: Sequence[str],
    present: Iterable[str],
    recall: Recall,
) -> Style:
    """Return what some paintings together want of the layers that are present in their region."""
    weights: Weights = {
        layer: tuple(
            sorted(
                (painting.key, regions.uses[index].weight)
                for index, painting in paintings.items()
                if regions.uses[index].counts_at(layer)
            )
        )
        for layer in present
    }
    how = (network.identity, tuple(layers))

    def alone(painting: Painting) -> Style:
        return recall((*how, painting.key), lambda: painting.style(network, layers))

    def blended() -> Style:
        return blend({each.key: alone(each) for each in paintings.values()}, weights)

    return recall((*how, tuple(weights.items())), blended)
