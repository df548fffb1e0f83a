"""The style terms of several layers at once, for devices where launching a kernel is what costs.

A Gram matrix is small beside the activations that it is made of: layer by layer its cost, its guide
and its derivative take about 25 kernels of a few microseconds each, as a batch they take as many
for all layers together.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.engine.losses import gram_matrix
from nst.engine.style_target import Guidance, Guide, Style


@dataclass(frozen=True)
class LayerShare:
    """What a layer's style term is made of beside its activations.

    `unit` · ‖G − G_S‖² is its cost, of Gram matrices divided by the number of positions.
    """

    name: str
    unit: float
    positions: int


class StyleBatch:
    """The Gram matrices of style layers as one batch, padded with zeros to the widest of them.

    Zeros stay zeros all the way. `slope` is the factor of the derivative, β. It holds a buffer that
    every call overwrites: one run at a time.
    """

    def __init__(
        self, style: Style, layers: Sequence[LayerShare], guidance: Guidance | None, slope: float
    ) -> None:
        grams = [style.grams[layer.name] for layer in layers]
        like = grams[0]
        self.layers = layers
        self.widths = [len(gram) for gram in grams]
        self.negated = -_padded(grams)  # (L, n, n), n channels of the widest
        self.products = torch.zeros_like(self.negated)
        self.units = like.new_tensor([layer.unit for layer in layers])
        self.shares = like.new_tensor([1 / layer.positions for layer in layers]).view(-1, 1, 1)
        self.slopes = 4 * slope * self.units.view(-1, 1, 1) * self.shares
        self.guide = (
            GuideBatch([style.guides[layer.name] for layer in layers], guidance.exponent, like)
            if guidance
            else None
        )

    def terms(self, activations: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """Return cost, guided cost and pull of each layer; `Term` says what they are.

        Activations are (1, n_C, H, W) channels_last; the pull is of their dtype.
        """
        for layer, width, product in zip(self.layers, self.widths, self.products, strict=True):
            _multiply(activations[layer.name], product[:width, :width])
        difference = torch.addcmul(self.negated, self.products, self.shares)
        toward = self.guide(difference) if self.guide else difference
        costs = goals = self.units * (difference * difference).sum((1, 2))
        if self.guide:
            goals = self.units * (difference * toward).sum((1, 2))
        pulls = (self.slopes * toward).to(activations[self.layers[0].name].dtype)
        return {
            layer.name: (costs[i], goals[i], pulls[i, :width, :width])
            for i, (layer, width) in enumerate(zip(self.layers, self.widths, strict=True))
        }


class GuideBatch:
    """`Guide` for a batch of differences (L, n, n), which are symmetric.

    Then U Z and its transpose are all that is taken away, with Z = (1 − s) UᵀD − ½ C Uᵀ and
    C = (1 − max(s_i, s_j)) ∘ UᵀDU.
    """

    def __init__(self, guides: Sequence[Guide], exponent: float, like: Tensor) -> None:
        width = max(len(guide.vectors) for guide in guides)
        rank = max(len(guide.strengths) for guide in guides)
        self.vectors = like.new_zeros(len(guides), width, rank)
        strengths = like.new_ones(len(guides), rank)
        for guide, vectors, strength in zip(guides, self.vectors, strengths, strict=True):
            n_channels, n_great = guide.vectors.shape
            vectors[:n_channels, :n_great] = guide.vectors
            strength[:n_great] = guide.strengths**exponent
        self.rows = (1 - strengths)[:, :, None]
        self.core = 0.5 * (1 - torch.maximum(strengths[:, :, None], strengths[:, None, :]))

    def __call__(self, difference: Tensor) -> Tensor:
        """Return the differences as they are seen."""
        U = self.vectors
        rows = U.mT @ difference
        Z = torch.baddbmm(self.rows * rows, self.core * (rows @ U), U.mT, alpha=-1)
        half = torch.baddbmm(difference, U, Z, alpha=-1)
        return torch.baddbmm(half, Z.mT, U.mT, alpha=-1)


def _padded(grams: Sequence[Tensor]) -> Tensor:
    width = max(map(len, grams))
    batch = grams[0].new_zeros(len(grams), width, width)
    for gram, place in zip(grams, batch, strict=True):
        place[: len(gram), : len(gram)] = gram
    return batch


def _multiply(activation: Tensor, out: Tensor) -> None:
    """Write the Gram matrix of (1, n_C, H, W) channels_last to `out`, in at least float32."""
    A = activation.permute(0, 2, 3, 1).view(-1, activation.shape[1])
    if A.dtype == out.dtype:
        torch.mm(A.T, A, out=out)
    elif has_wide_product(A.device, A.dtype):
        torch.mm(A.T, A, out_dtype=out.dtype, out=out)
    else:
        out.copy_(gram_matrix(activation))


@functools.cache
def has_wide_product(device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether the device sums products of a narrow dtype in float32 and leaves them so."""
    try:
        tried = torch.ones((8, 8), device=device, dtype=dtype)
        torch.mm(tried, tried, out_dtype=torch.float32)
    except (NotImplementedError, RuntimeError, TypeError):
        return False
    return True
