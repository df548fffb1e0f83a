"""What is wanted of the statistics of a picture's layers, and a kinder way to Gram matrices.

Knows pictures of the style; nothing of the picture that is painted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nst.engine.eigen import eigen
from nst.engine.fingerprint import bytes_of
from nst.engine.layer_statistics import Statistics
from nst.engine.style_costs import Histogram, HistogramTarget, Moments, count, tops
from nst.engine.tiles import activations_in_parts, gram_matrices
from nst.vgg.network import VGG

GUIDE_RANK = 5  # the eigenvalues of a Gram matrix above this one are held back


@dataclass(frozen=True)
class Guidance:
    """How the gradient of a guided objective departs from that of J."""

    exponent: float  # of the weights of `Guide`: 1 is the whole guide, 0 would be J
    content: float  # times α: the quick way to the style would cost the scene


FULL = Guidance(1.0, 3.0)  # for a picture that has far to go
EASED = Guidance(0.75, 1.0)  # for one that goes on: nearly as quick, and J hardly strays from it
ENLARGED = Guidance(0.75, 4.0)  # for a small one that goes on larger: it has strayed from the photo
SLIGHT = Guidance(0.3, 1.0)  # the same for a few iterations: no detour would end before they do


Parts = Callable[[], Iterator[tuple[str, Tensor]]]  # a picture's activations, layer by layer


class Style:
    """What is wanted of the statistics of layers: the mean of those of one or several pictures.

    A seamless picture has no edges, and so could not have what VGG-19 sees at those of a painting:
    for one the paintings are endless, too. Large pictures go in tiles, of `side` pixels if that is
    given. `costs` are the style costs that are to be served; Gram matrices are there for all.
    """

    def __init__(
        self,
        network: VGG,
        pictures: Sequence[Tensor],
        layers: Sequence[str],
        *,
        side: int | None = None,
        is_endless: bool = False,
        costs: Collection[str] = ("gram",),
    ) -> None:
        self.grams: dict[str, Tensor] = {}
        self.means: dict[str, Tensor] = {}
        self.histograms: dict[str, HistogramTarget] = {}
        how: dict[str, Any] = {"side": side, "is_endless": is_endless}
        if set(costs) <= {"gram"}:
            for picture in pictures:
                for layer, gram in gram_matrices(network, picture, layers, **how):
                    _add(self.grams, layer, gram / len(pictures))
            return
        every = [
            functools.partial(activations_in_parts, network, picture, layers, **how)
            for picture in pictures
        ]
        for parts in every:
            for layer, found in _moments(parts).items():
                _add(self.grams, layer, found.second / len(pictures))
                _add(self.means, layer, found.mean / len(pictures))
        if "histogram" in costs:
            found_histograms = [_histograms(parts) for parts in every]
            for layer in layers:
                blended = [histograms[layer] for histograms in found_histograms]
                self.histograms[layer] = HistogramTarget(blended, [1.0] * len(blended))

    def moments(self, layer: str) -> Moments:
        """Return the mean and the second moment of a layer."""
        return Moments(self.means[layer], self.grams[layer])

    @functools.cached_property
    def guides(self) -> dict[str, Guide]:
        """Return the guide of each layer; a run that is never guided does not need them."""
        return {layer: Guide(gram) for layer, gram in self.grams.items()}

    def size(self) -> int:
        """Return the bytes of the Gram matrices and histograms; guides are slim."""
        shares = [share for each in self.histograms.values() for _, share, _ in each.parts]
        return bytes_of(*self.grams.values(), *shares)


def _add(sums: dict[str, Tensor], layer: str, share: Tensor) -> None:
    sums[layer] = sums[layer] + share if layer in sums else share


def _moments(parts: Parts) -> dict[str, Moments]:
    """Return the moments of a picture's layers."""
    sums: dict[str, Statistics] = {}
    for layer, activation in parts():
        seen = Statistics.of_moments(activation)
        sums[layer] = sums[layer] + seen if layer in sums else seen
    return {layer: seen.moments for layer, seen in sums.items()}


def _histograms(parts: Parts) -> dict[str, Histogram]:
    """Return the histograms of a picture's layers: a sweep for their ranges, and one to count."""
    highest: dict[str, Tensor] = {}
    for layer, activation in parts():
        top = tops(activation)
        highest[layer] = torch.maximum(highest[layer], top) if layer in highest else top
    counts: dict[str, Tensor] = {}
    for layer, activation in parts():
        _add(counts, layer, count(activation, highest[layer]))
    return {layer: Histogram(counts[layer], top) for layer, top in highest.items()}


class Guide:
    """A kinder metric for G − G_S than the sum of squares, from a style's Gram matrix, (n_C, n_C).

    A few eigenvalues of a Gram matrix are thousands of times the others and own the curvature of
    ‖G − G_S‖², so that an optimiser works on little else. With G_S = V Λ Vᵀ and τ the 5th largest
    eigenvalue, this multiplies the entries of VᵀDV by W[i, j] = min(1, τ / max(Λ_i, Λ_j)) and
    turns the result back; the surrogate cost of D = G − G_S is ⟨D, V (W ∘ VᵀDV) Vᵀ⟩. Weights of
    about 1 / Λ are those of the Bures distance of Gram matrices, to second order. A departure
    from Gatys, for the way and not for the goal: a run ends on J itself.
    """

    def __init__(self, gram: Tensor) -> None:
        values, vectors = eigen(gram)  # ascending
        rank = min(GUIDE_RANK, len(gram) // 12)  # the narrowest of VGG-19's layers has 64 channels
        great = values[len(gram) - rank :].clamp_min(1e-9)
        self.strengths = (great[:1] / great).to(gram)
        self.vectors = vectors[:, len(gram) - rank :].to(gram)

    def __call__(self, difference: Tensor, exponent: float = 1.0) -> Tensor:
        """Return the difference as it is seen, with the weights W raised to `exponent`.

        Only the great directions U differ from the identity: four slim products do.
        """
        U, s = self.vectors, self.strengths**exponent
        rows = U.T @ difference
        taken = U @ ((1 - s)[:, None] * rows)
        twice_taken = U @ ((1 - torch.maximum(s[:, None], s)) * (rows @ U)) @ U.T
        guided: Tensor = difference - taken - taken.T + twice_taken
        return guided
