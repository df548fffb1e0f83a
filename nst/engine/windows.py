"""Weights of a layer's positions, and products of its activations that are weighed by them.

Knows nothing of what the weights stand for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from nst.engine.losses import gram_matrix, widened
from nst.vgg.network import VGG, carry_down

LEAST_TOTAL = 0.5  # positions; a region with less of a layer has vanished there


@dataclass(frozen=True)
class Window:
    """The rectangle of a layer's positions that holds all weights m above 0."""

    rows: slice
    columns: slice
    weights: Tensor  # (1, 1, h, w) in [0, 1], of the dtype of the activations
    roots: Tensor  # of the weights
    total: float  # of all weights, in positions

    def cut(self, activation: Tensor) -> Tensor:
        """Return a view of the window's positions in (1, n_C, H, W)."""
        return activation[..., self.rows, self.columns]

    def gram_matrix(self, activation: Tensor) -> Tensor:
        """Return Σ m a aᵀ over the positions of (1, n_C, H, W), (n_C, n_C) in at least float32."""
        return gram_matrix(self.cut(activation) * self.roots)

    def sum(self, activation: Tensor) -> Tensor:
        """Return Σ m a over the positions of (1, n_C, H, W), (n_C,) in at least float32."""
        return (widened(self.cut(activation)) * self.weights).sum((0, 2, 3))

    def add(self, pull: Pull, gradient: Tensor, activation: Tensor) -> None:
        """Add a pull, weighed, to a gradient in place; both are (1, n_C, H, W)."""
        self.cut(gradient).addcmul_(pull.at(self.cut(activation)), self.weights)


@dataclass(frozen=True)
class Pull:
    """The derivative of a cost with respect to activations a with weights m: m (matrix a + offset).

    That is what costs of the mean and the raw second moment have: the derivative with respect to
    the former is the offset, twice that to the latter the matrix, over the sum of all m.
    """

    matrix: Tensor  # (n_C, n_C), symmetric
    offset: Tensor | None = None  # (n_C,)

    def at(self, activation: Tensor) -> Tensor:
        """Return matrix a + offset for (1, n_C, h, w), shaped like it."""
        positions = activation.permute(0, 2, 3, 1)
        product = (positions @ self.matrix.to(activation.dtype)).permute(0, 3, 1, 2)
        return product if self.offset is None else product + self.shift(activation)

    def shift(self, like: Tensor) -> Tensor:
        """Return the offset for activations (1, n_C, h, w), in their dtype."""
        assert self.offset is not None
        return self.offset.to(like.dtype).view(1, -1, 1, 1)


Windows = dict[str, Window]  # by layer; one whose weights are all 0 has none


def windows_of(network: VGG, weights: Tensor, layers: Iterable[str]) -> Windows:
    """Return the windows of some layers from the weights of pixels, (1, 1, H, W)."""
    found = ((layer, _window(level, network)) for layer, level in carry_down(weights, layers))
    return {layer: window for layer, window in found if window}


def _window(weights: Tensor, network: VGG) -> Window | None:
    rows, columns = (_extent(weights[0, 0].amax(across) > 0) for across in (1, 0))
    own = weights[..., rows, columns]
    if own.numel() == 0:
        return None
    total = float(own.double().sum())
    place = network.device, network.dtype
    return Window(rows, columns, own.to(*place), own.sqrt().to(*place), total)


def _extent(is_seen: Tensor) -> slice:
    """Return the slice from the first to the last that is seen, of (n,) booleans."""
    places = is_seen.nonzero().flatten().tolist()
    return slice(places[0], places[-1] + 1) if places else slice(0)
