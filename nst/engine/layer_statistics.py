"""What style costs need of a layer's activations, as sums that parts of a picture add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from nst.engine.losses import gram_matrix, widened
from nst.engine.style_costs import Moments, count, positions_of
from nst.engine.windows import Window, seen_in

ROWS = 4096  # positions that are widened at once

Key = TypeVar("Key")


@dataclass(frozen=True)
class LayerSums:
    """Sums over the positions of a layer's activations, all of them or as a window weighs them."""

    total: float  # of the weights: the number of positions
    gram: Tensor  # (n_C, n_C)
    sum: Tensor | None = None  # of the activations, (n_C,), where moments were asked for
    counts: Tensor | None = None  # of a histogram, (n_C, BINS), where one was asked for

    @staticmethod
    def of_gram(activation: Tensor, window: Window | None = None) -> LayerSums:
        """Return what Gram matrices are compared by, of (1, n_C, h, w)."""
        if window is None:
            return LayerSums(activation[0, 0].numel(), gram_matrix(activation))
        return LayerSums(window.total, window.gram_matrix(activation))

    @staticmethod
    def of_moments(
        activation: Tensor, window: Window | None = None, top: Tensor | None = None
    ) -> LayerSums:
        """Return what moments are compared by, exact in at least float32.

        With the counts of a histogram from 0 to `top` (n_C,), if that is given.
        """
        own, weights = seen_in(activation, window)
        total = own[0, 0].numel() if window is None else window.total
        counts = None if top is None else count(own, top, weights)
        return LayerSums(total, *_gram_and_sum(own, weights), counts)

    def __add__(self, other: LayerSums) -> LayerSums:
        return LayerSums(
            self.total + other.total,
            self.gram + other.gram,
            _added(self.sum, other.sum),
            _added(self.counts, other.counts),
        )

    @property
    def normalized_gram(self) -> Tensor:
        """Return the Gram matrix divided by the number of positions."""
        return self.gram / self.total

    @property
    def moments(self) -> Moments:
        """Return mean and second moment, where they were asked for."""
        assert self.sum is not None
        return Moments(self.sum / self.total, self.normalized_gram)


def accumulate(sums: dict[Key, Any], key: Key, part: Any) -> None:
    """Add a part to the sum under a key, or begin one with it."""
    sums[key] = sums[key] + part if key in sums else part


def _gram_and_sum(activation: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return Σ m a aᵀ, (n_C, n_C), and Σ m a, (n_C,), of (1, n_C, h, w)."""
    A, m = positions_of(activation), None if weights is None else positions_of(weights)
    n_channels = A.shape[1]
    total = A.new_zeros(n_channels, dtype=torch.promote_types(A.dtype, torch.float32))
    gram = total.new_zeros(n_channels, n_channels)
    for rows in (slice(start, start + ROWS) for start in range(0, len(A), ROWS)):
        X = widened(A[rows])
        total += (X if m is None else m[rows] * X).sum(0)
        X = X if m is None else m[rows].sqrt() * X
        gram.addmm_(X.T, X)
    return gram, total


def _added(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return None if a is None or b is None else a + b
