"""What is wanted of the Gram matrices of a picture, and a kinder way to get there.

Knows pictures of the style; nothing of the picture that is painted.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.engine.fingerprint import bytes_of, fingerprint
from nst.engine.finite import finite
from nst.engine.regions import shares
from nst.engine.tiles import moment_sums
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
ENLARGED = Guidance(0.75, 4.0)  # for a small one that goes on larger: it has strayed from the photo
SLIGHT = Guidance(0.3, 1.0)  # the same for a few iterations: no detour would end before they do


class Style:
    """What is wanted of the moments of a region, by layer, with the guides of Gram matrices.

    `grams` are the raw second moments, normalized Gram matrices (n_C, n_C); `means` are (n_C,),
    where a style cost asks for them. A layer that is missing does not count there.
    """

    def __init__(
        self, grams: Mapping[str, Tensor], means: Mapping[str, Tensor] | None = None
    ) -> None:
        self.grams = dict(grams)
        self.means = dict(means or {})

    @functools.cached_property
    def guides(self) -> dict[str, Guide]:
        """Return the guide of each layer; a run that is never guided does not need them."""
        return {layer: Guide(gram) for layer, gram in self.grams.items()}

    def size(self) -> int:
        """Return the bytes of the moments; guides are slim."""
        return bytes_of(*self.grams.values(), *self.means.values())


class Painting:
    """A painting as its style is seen, and which part of it is.

    A seamless picture has no edges, and so could not have what VGG-19 sees at those of a painting:
    for one the paintings are endless, too. Large pictures go in tiles, of `side` pixels if that is
    given. `within` are (1, 1, H, W) bytes, 255 where the painting counts.
    """

    def __init__(
        self,
        picture: Tensor,
        within: Tensor | None = None,
        *,
        side: int | None = None,
        is_endless: bool = False,
    ) -> None:
        self.picture, self.within = picture, within
        self.side, self.is_endless = side, is_endless
        seen = [fingerprint(picture), "" if within is None else fingerprint(within)]
        self.key = f"{side} {is_endless} {' '.join(seen)}"
        """Equal for paintings with the same style."""

    def style(self, network: VGG, layers: Sequence[str], *, has_means: bool = False) -> Style:
        """Return the style of this painting alone.

        A layer where too little is left of what is within is missing. Raises `NumericalError` where
        a moment is not a finite number.
        """
        sums = moment_sums(
            network,
            self.picture,
            layers,
            side=self.side,
            is_endless=self.is_endless,
            within=self.within,
            has_means=has_means,
        )
        grams = {layer: finite(sums.gram(layer), NO_STYLE) for layer in sums.layers}
        means = {layer: finite(sums.mean(layer), NO_STYLE) for layer in sums.layers if has_means}
        return Style(grams, means)


def blend(styles: Mapping[str, Style], weights: Weights) -> Style:
    """Return the style of several paintings: the means of their moments, by weight.

    Args:
        styles: those of each painting by its key.
        weights: the keys and weights of the paintings that are tied to a layer, by layer; equal
            keys may come more than once.
    """
    grams, means = dict[str, Tensor](), dict[str, Tensor]()
    for layer, weighed in weights.items():
        known = shares((key, weight) for key, weight in weighed if layer in styles[key].grams)
        for blended, kind in ((grams, "grams"), (means, "means")):
            moments = {key: getattr(styles[key], kind).get(layer) for key in known}
            parts = [known[key] * moment for key, moment in moments.items() if moment is not None]
            if parts:
                blended[layer] = functools.reduce(torch.add, parts)
    return Style(grams, means)


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
        values, vectors = _eigen(gram.cpu())  # ascending; not every device can
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


def _eigen(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors, in float64 where float32 fails.

    A tiny painting leaves most of the values at 0.
    """
    with contextlib.suppress(RuntimeError):  # LinAlgError is one
        values, vectors = torch.linalg.eigh(gram)
        if bool(values.isfinite().all() and vectors.isfinite().all()):
            return values, vectors
    values, vectors = torch.linalg.eigh(gram.double())
    return values, vectors
