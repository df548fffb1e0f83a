"""Weights of a layer's positions, and what is seen of its activations through them.

Knows nothing of what the weights stand for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.engine.losses import gram_matrix
from nst.vgg.network import VGG, carry_down

LEAST_TOTAL = 0.5  # positions; a region with less of a layer has vanished there


@dataclass(frozen=True)
class Window:
    """The rectangle of a layer's positions that holds all weights m above 0."""

    rows: slice
    columns: slice
    weights: Tensor  # (1, 1, h, w) in [0, 1], in at least float32
    roots: Tensor  # of the weights, of the dtype of the activations
    total: float  # of all weights, in positions

    def cut(self, activation: Tensor) -> Tensor:
        """Return a view of the window's positions in (1, n_C, H, W)."""
        return activation[..., self.rows, self.columns]

    def gram_matrix(self, activation: Tensor) -> Tensor:
        """Return Σ m a aᵀ over the positions of (1, n_C, H, W), (n_C, n_C) in at least float32."""
        return gram_matrix(self.cut(activation) * self.roots)

    def add(self, slope: Tensor, gradient: Tensor) -> None:
        """Add derivatives at the window's positions, weighed, to (1, n_C, H, W) in place."""
        self.cut(gradient).addcmul_(slope, self.weights.to(slope.dtype))


Windows = dict[str, Window]  # by layer; one whose weights are all 0 has none


def windows_of(network: VGG, weights: Tensor, layers: Iterable[str]) -> Windows:
    """Return the windows of some layers from the weights of pixels, (1, 1, H, W)."""
    found = ((layer, _window(level, network)) for layer, level in carry_down(weights, layers))
    return {layer: window for layer, window in found if window}


def seen_through(windows: Windows | None, layer: str) -> list[Window | None]:
    """Return the one window of a layer: None for all of it; none where all weights are 0."""
    if windows is None:
        return [None]
    return [windows[layer]] if layer in windows else []


def seen_in(activation: Tensor, window: Window | None) -> tuple[Tensor, Tensor | None]:
    """Return a window's activations and weights; without one all of (1, n_C, H, W), and None."""
    return (activation, None) if window is None else (window.cut(activation), window.weights)


def _window(weights: Tensor, network: VGG) -> Window | None:
    rows, columns = (_extent(weights[0, 0].amax(across) > 0) for across in (1, 0))
    own = weights[..., rows, columns]
    if own.numel() == 0:
        return None
    total = float(own.double().sum())
    wide = torch.promote_types(network.dtype, torch.float32)
    weights = own.to(network.device, wide)
    roots = own.sqrt().to(network.device, network.dtype)
    return Window(rows, columns, weights, roots, total)


def _extent(is_seen: Tensor) -> slice:
    """Return the slice from the first to the last that is seen, of (n,) booleans."""
    places = is_seen.nonzero().flatten().tolist()
    return slice(places[0], places[-1] + 1) if places else slice(0)
