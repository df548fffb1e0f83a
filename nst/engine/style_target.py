"""What is wanted of the statistics of a picture's layers, and a kinder way to Gram matrices.

Knows pictures of the style; nothing of the picture that is painted.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import mul

import torch
from torch import Tensor

from nst.engine.eigen import eigen
from nst.engine.fingerprint import bytes_of, fingerprint
from nst.engine.finite import finite
from nst.engine.layer_statistics import LayerSums, accumulate
from nst.engine.regions import shares
from nst.engine.style_costs import Histogram, HistogramTarget, Moments, count, tops
from nst.engine.tiles import activations_in_parts
from nst.engine.windows import LEAST_TOTAL, Window, seen_in
from nst.vgg.network import VGG

Weights = Mapping[str, Sequence[tuple[str, float]]]

NO_STYLE = "The painting's style is not a finite number."
GUIDE_RANK = 5  # the eigenvalues of a Gram matrix above this one are held back


@dataclass(frozen=True)
class Guidance:
    """How the gradient of a guided objective departs from that of J."""

    exponent: float  # of the weights of `Guide`: 1 is the whole guide, 0 would be J
    content: float  # times α: the quick way to the style would cost the scene


FULL = Guidance(1.0, 3.0)  # for a picture that has far to go
EASED = Guidance(0.75, 1.0)  # for one that goes on: nearly as quick, and J hardly strays from it
ENLARGED = Guidance(0.75, 3.0)  # for a small one that goes on larger: it has strayed from the photo
MOVED = Guidance(
    1.0, 1.0
)  # for a frame of a film: its paint was finished, and was blurred by moving
SLIGHT = Guidance(0.3, 1.0)  # the same for a few iterations: no detour would end before they do


class Style:
    """What is wanted of the statistics of a region, by layer, with the guides of Gram matrices.

    `grams` are the raw second moments, normalized Gram matrices (n_C, n_C); `means` are (n_C,) and
    `histograms` the distributions, where a style cost asks for them. A layer that is missing does
    not count there.
    """

    def __init__(
        self,
        grams: Mapping[str, Tensor],
        means: Mapping[str, Tensor] | None = None,
        histograms: Mapping[str, HistogramTarget] | None = None,
    ) -> None:
        self.grams = dict(grams)
        self.means = dict(means or {})
        self.histograms = dict(histograms or {})

    def moments(self, layer: str) -> Moments:
        """Return the mean and the second moment of a layer."""
        return Moments(self.means[layer], self.grams[layer])

    @functools.cached_property
    def guides(self) -> dict[str, Guide]:
        """Return the guide of each layer; a run that is never guided does not need them."""
        return {layer: Guide(gram) for layer, gram in self.grams.items()}

    def size(self) -> int:
        """Return the bytes of the moments and histograms; guides are slim."""
        parts = [part for each in self.histograms.values() for _, part in each.parts]
        distributions = [part.distribution for part in parts]
        return bytes_of(*self.grams.values(), *self.means.values(), *distributions)


class Painting:
    """A painting as its style is seen, and which part of it is.

    A seamless picture has no edges, and so could not have what VGG-19 sees at those of a painting:
    for one the paintings are endless, too. Large pictures go in tiles, of `side` pixels if that is
    given. `within` are (1, 1, H, W) bytes, 255 where the painting counts. `costs` are the style
    costs that are to be served; Gram matrices are there for all.
    """

    def __init__(
        self,
        picture: Tensor,
        within: Tensor | None = None,
        *,
        side: int | None = None,
        is_endless: bool = False,
        costs: Collection[str] = ("gram",),
    ) -> None:
        self.picture, self.within = picture, within
        self.side, self.is_endless, self.costs = side, is_endless, costs
        seen = [fingerprint(picture), "" if within is None else fingerprint(within)]
        self.key = f"{side} {is_endless} {','.join(sorted(costs))} {' '.join(seen)}"
        """Equal for paintings with the same style."""

    def style(self, network: VGG, layers: Sequence[str]) -> Style:
        """Return the style of this painting alone.

        A layer where too little is left of what is within is missing. Raises `NumericalError` where
        a moment is not a finite number.
        """
        has_moments = not set(self.costs) <= {"gram"}
        sums_of = LayerSums.of_moments if has_moments else LayerSums.of_gram
        sums: dict[str, LayerSums] = {}
        for layer, activation, window in self._parts(network, layers):
            accumulate(sums, layer, sums_of(activation, window))
        known = {layer: each for layer, each in sums.items() if each.total >= LEAST_TOTAL}
        grams = {layer: finite(each.normalized_gram, NO_STYLE) for layer, each in known.items()}
        if not has_moments:
            return Style(grams)
        means = {layer: finite(each.moments.mean, NO_STYLE) for layer, each in known.items()}
        histograms = self._histograms(network, layers) if "histogram" in self.costs else {}
        return Style(grams, means, {layer: histograms[layer] for layer in known if histograms})

    def _parts(
        self, network: VGG, layers: Sequence[str]
    ) -> Iterator[tuple[str, Tensor, Window | None]]:
        return activations_in_parts(
            network,
            self.picture,
            layers,
            side=self.side,
            is_endless=self.is_endless,
            within=self.within,
        )

    def _histograms(self, network: VGG, layers: Sequence[str]) -> dict[str, HistogramTarget]:
        """Return the layers' histograms: a sweep for their ranges, and one to count."""
        highest: dict[str, Tensor] = {}
        for layer, activation, window in self._parts(network, layers):
            top = tops(*seen_in(activation, window))
            highest[layer] = torch.maximum(highest[layer], top) if layer in highest else top
        counts: dict[str, Tensor] = {}
        for layer, activation, window in self._parts(network, layers):
            own, weights = seen_in(activation, window)
            accumulate(counts, layer, count(own, highest[layer], weights))
        return {
            layer: HistogramTarget([Histogram.of_counts(counts[layer], top)], [1.0])
            for layer, top in highest.items()
        }


def blend(styles: Mapping[str, Style], weights: Weights) -> Style:
    """Return the style of several paintings, by weight.

    Moments are linear in a distribution: theirs are the means. Histograms are blended by their
    quantiles.

    Args:
        styles: those of each painting by its key.
        weights: the keys and weights of the paintings that are tied to a layer, by layer; equal
            keys may come more than once.
    """
    grams, means = dict[str, Tensor](), dict[str, Tensor]()
    histograms = dict[str, HistogramTarget]()
    for layer, weighed in weights.items():
        known = shares((key, weight) for key, weight in weighed if layer in styles[key].grams)
        members, its_shares = [styles[key] for key in known], [*known.values()]
        for blended, kind in ((grams, "grams"), (means, "means")):
            moments = [found[layer] for each in members if layer in (found := getattr(each, kind))]
            if moments:
                blended[layer] = functools.reduce(torch.add, map(mul, its_shares, moments))
        targets = [each.histograms[layer] for each in members if layer in each.histograms]
        if targets:
            histograms[layer] = HistogramTarget.blend(targets, its_shares)
    return Style(grams, means, histograms)


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
