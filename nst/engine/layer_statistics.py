"""What style costs need of a layer's activations, as sums that parts of a picture add up to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nst.engine.losses import gram_matrix, widened
from nst.engine.style_costs import Moments, count, positions_of

ROWS = 4096  # positions that are widened at once


@dataclass(frozen=True)
class Statistics:
    """Sums over the positions of a layer's activations."""

    positions: int
    gram: Tensor  # (n_C, n_C)
    total: Tensor | None = None  # of the activations, (n_C,), where moments were asked for
    counts: Tensor | None = None  # of a histogram, (n_C, BINS), where one was asked for

    @staticmethod
    def of_gram(activation: Tensor) -> Statistics:
        """Return what Gram matrices are compared by, of (1, n_C, h, w)."""
        return Statistics(activation[0, 0].numel(), gram_matrix(activation))

    @staticmethod
    def of_moments(activation: Tensor, top: Tensor | None = None) -> Statistics:
        """Return what moments are compared by, exact in at least float32.

        With the counts of a histogram from 0 to `top` (n_C,), if that is given.
        """
        A = positions_of(activation)
        n_channels = A.shape[1]
        total = A.new_zeros(n_channels, dtype=torch.promote_types(A.dtype, torch.float32))
        gram = total.new_zeros(n_channels, n_channels)
        for rows in (A[start : start + ROWS] for start in range(0, len(A), ROWS)):
            X = widened(rows)
            gram.addmm_(X.T, X)
            total += X.sum(0)
        counts = None if top is None else count(activation, top)
        return Statistics(len(A), gram, total, counts)

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.positions + other.positions,
            self.gram + other.gram,
            _sum(self.total, other.total),
            _sum(self.counts, other.counts),
        )

    @property
    def normalized_gram(self) -> Tensor:
        """Return the Gram matrix divided by the number of positions."""
        return self.gram / self.positions

    @property
    def moments(self) -> Moments:
        """Return mean and second moment, where they were asked for."""
        assert self.total is not None
        return Moments(self.total / self.positions, self.normalized_gram)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return None if a is None or b is None else a + b
