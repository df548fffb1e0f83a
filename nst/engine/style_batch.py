"""The style terms of several layers at once, for devices where launching a kernel is what costs.

A Gram matrix is small beside the activations that it is made of: layer by layer its cost, its guide
and its derivative take about 25 kernels of a few microseconds each, as a batch they take as many
for all layers together. Matrices are padded with zeros to the widest of them; zeros stay zeros all
the way.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.engine.losses import gram_matrix
from nst.engine.style_target import Guidance, Guide, Style

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class LayerShare:
    """What a layer's style term is made of beside its activations.

    `unit` · ‖G − G_S‖² is its cost, of Gram matrices divided by the number of positions.
    """

    name: str
    unit: float
    positions: int


def style_tensors(
    style: Style, layers: Sequence[LayerShare], guidance: Guidance | None, slope: float
) -> dict[str, Tensor]:
    """Return all that `batched_terms` needs to know of L layers, at least one.

    `slope` is the factor of the derivative, β.
    """
    grams = [style.grams[layer.name] for layer in layers]
    like = grams[0]
    units = like.new_tensor([layer.unit for layer in layers])
    shares = like.new_tensor([1 / layer.positions for layer in layers]).view(-1, 1, 1)
    tensors = {
        "negated": -_padded(grams),  # (L, n, n), n channels of the widest
        "units": units,
        "shares": shares,
        "slopes": 4 * slope * units.view(-1, 1, 1) * shares,
    }
    if guidance:
        guides = [style.guides[layer.name] for layer in layers]
        tensors |= guide_tensors(guides, guidance.exponent, like)
    return tensors


def batched_terms(
    activations: Tensors, tensors: Tensors
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return costs (L,), guided costs (L,) and the pull of each layer; `Term` says what they are.

    Activations are (1, n_C, H, W) channels_last, by layer; the pulls are of their dtype.
    """
    products = torch.zeros_like(tensors["negated"])
    widths = {name: activation.shape[1] for name, activation in activations.items()}
    for (name, width), product in zip(widths.items(), products, strict=True):
        _multiply(activations[name], product[:width, :width])
    difference = torch.addcmul(tensors["negated"], products, tensors["shares"])
    costs = goals = tensors["units"] * (difference * difference).sum((1, 2))
    toward = difference
    if "vectors" in tensors:
        toward = guided(difference, tensors)
        goals = tensors["units"] * (difference * toward).sum((1, 2))
    pulls = (tensors["slopes"] * toward).to(next(iter(activations.values())).dtype)
    by_layer = zip(widths.items(), pulls, strict=True)
    return costs, goals, {name: pull[:width, :width] for (name, width), pull in by_layer}


def guide_tensors(guides: Sequence[Guide], exponent: float, like: Tensor) -> dict[str, Tensor]:
    """Return all that `guided` needs to know of the guides."""
    width = max(len(guide.vectors) for guide in guides)
    rank = max(len(guide.strengths) for guide in guides)
    all_vectors = like.new_zeros(len(guides), width, rank)
    strengths = like.new_ones(len(guides), rank)
    for guide, vectors, strength in zip(guides, all_vectors, strengths, strict=True):
        n_channels, n_great = guide.vectors.shape
        vectors[:n_channels, :n_great] = guide.vectors
        strength[:n_great] = guide.strengths**exponent
    core = 0.5 * (1 - torch.maximum(strengths[:, :, None], strengths[:, None, :]))
    return {"vectors": all_vectors, "rows": (1 - strengths)[:, :, None], "core": core}


def guided(difference: Tensor, tensors: Tensors) -> Tensor:
    """Return differences (L, n, n) as `Guide` sees them; they are symmetric.

    Then U Z and its transpose are all that is taken away, with Z = (1 − s) UᵀD − ½ C Uᵀ and
    C = (1 − max(s_i, s_j)) ∘ UᵀDU.
    """
    U = tensors["vectors"]
    rows = U.mT @ difference
    Z = torch.baddbmm(tensors["rows"] * rows, tensors["core"] * (rows @ U), U.mT, alpha=-1)
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
    """Tell whether the device sums products of a narrow dtype in float32 and leaves them so.

    It is tried as it will be used: written to a part of a larger matrix.
    """
    try:
        tried = torch.ones((8, 8), device=device, dtype=dtype)
        out = torch.zeros((16, 16), device=device)[:8, :8]
        torch.mm(tried, tried, out_dtype=out.dtype, out=out)
    except (NotImplementedError, RuntimeError, TypeError):
        return False
    return True
