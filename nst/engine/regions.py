"""Regions: where in the photo which paintings rule, with what shares and how strongly.

Knows masks as tensors of the photo's size; nothing of activations or costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from nst.errors import SettingsError
from nst.settings import NO_WEIGHT, PaintingUse

WHOLE = slice(None)


@dataclass(frozen=True)
class Regions:
    """The regions of a photo at one size; without masks, one region that is all of it.

    Paintings with the same mask rule a region together, and so do all those without a mask: their
    region is what the masks leave. Where masks overlap, each has its share of their sum. Nobody
    rules where the photo is kept as it is. A painting of weight 0 counts as if it, and a mask that
    only it has, were not there.

    Raises `SettingsError` where all weights are 0.
    """

    uses: Sequence[PaintingUse]  # one for each painting
    mask_of: Sequence[int | None] = ()  # the same: which of the masks
    masks: Tensor | None = field(default=None, repr=False)  # (n, 1, H, W) bytes
    keep: Tensor | None = field(default=None, repr=False)  # (1, 1, H, W) bytes
    within: Sequence[Tensor | None] = field(default=(), repr=False)  # the same of each painting

    def __post_init__(self) -> None:
        if self.uses and not self.used:
            raise SettingsError(NO_WEIGHT)

    @property
    def used(self) -> list[int]:
        """Return which paintings have a weight."""
        return [index for index, use in enumerate(self.uses) if use.weight > 0]

    @property
    def is_whole(self) -> bool:
        """Tell whether there is one region, which is all of the photo."""
        return not self._masks_in_use and self.keep is None

    @property
    def groups(self) -> list[list[int]]:
        """Return the paintings of each region, in the order of their masks; without one, last."""
        groups: dict[int | None, list[int]] = {mask: [] for mask in (*self._masks_in_use, None)}
        for index in self.used:
            groups[self._mask_of(index)].append(index)
        return [group for group in groups.values() if group]

    def strength(self, group: Iterable[int]) -> float:
        """Return the factor of β in a region: the mean of its paintings', by weight."""
        uses = [self.uses[index] for index in group]
        whole = math.fsum(use.weight for use in uses)
        return math.fsum(use.weight * use.strength for use in uses) / whole

    def weights(self, rows: slice = WHOLE, columns: slice = WHOLE) -> list[Tensor]:
        """Return the weights of pixels in each region, (1, 1, h, w) float64 in [0, 1].

        They are those of some rows and columns of a photo that has masks. Where they do not add up
        to 1, only the content counts.
        """
        masks = self._bytes(rows, columns)
        whole = masks.sum(0, keepdim=True)  # exact, in whole numbers, in any order
        free = self._free(rows, columns)
        regions = [mask[None].double() / whole.clamp_min(255) * free for mask in masks]
        if any(self._mask_of(index) is None for index in self.used):
            regions.append((255 - whole).clamp_min(0).double() / 255 * free)
        return regions

    def _free(self, rows: slice, columns: slice) -> Tensor | float:
        """Return how far the photo is not kept as it is, (1, 1, h, w) float64 in [0, 1]."""
        return 1.0 if self.keep is None else 1 - self.keep[..., rows, columns].double() / 255

    def _bytes(self, rows: slice, columns: slice) -> Tensor:
        """Return the masks in use, (n, 1, h, w) whole numbers from 0 to 255."""
        some = self.keep if self.masks is None else self.masks
        assert some is not None, "a region that is all of the photo has no weights"
        return some[self._masks_in_use][..., rows, columns].int()

    def _mask_of(self, painting: int) -> int | None:
        return self.mask_of[painting] if self.mask_of else None

    @property
    def _masks_in_use(self) -> list[int]:
        return sorted({mask for index in self.used if (mask := self._mask_of(index)) is not None})


def shares(weighed: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    """Return the share of each key in the sum of all weights, in the order of the keys.

    Weights of equal keys are added. The order in which they come makes no difference to any bit.
    """
    weights: dict[str, list[float]] = {}
    for key, weight in weighed:
        weights.setdefault(key, []).append(weight)
    sums = {key: math.fsum(weights[key]) for key in sorted(weights)}
    whole = math.fsum(sums.values())
    return {key: weight / whole for key, weight in sums.items()}
