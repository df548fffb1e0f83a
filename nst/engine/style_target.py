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
from nst.engine.regions import shares
from nst.engine.tiles import gram_matrices
from nst.vgg.network import VGG

Weights = Mapping[str, Sequence[tuple[str, float]]]

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
    """What is wanted of the Gram matrices of a region, by layer, with their guides.

    `grams` are normalized, (n_C, n_C). A layer that is missing does not count there.
    """

    def __init__(self, grams: Mapping[str, Tensor]) -> None:
        self.grams = dict(grams)

    @functools.cached_property
    def guides(self) -> dict[str, Guide]:
        """Return the guide of each layer; a run that is never guided does not need them."""
        return {layer: Guide(gram) for layer, gram in self.grams.items()}

    def size(self) -> int:
        """Return the bytes of the Gram matrices; guides are slim."""
        return bytes_of(*self.grams.values())


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

    def grams(self, network: VGG, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the normalized Gram matrices of some layers.

        A layer where too little is left of what is within is missing.
        """
        found = gram_matrices(
            network,
            self.picture,
            layers,
            side=self.side,
            is_endless=self.is_endless,
            within=self.within,
        )
        return dict(found)


def blend(grams: Mapping[str, Mapping[str, Tensor]], weights: Weights) -> Style:
    """Return the style of several paintings: the mean of their Gram matrices, by weight.

    Args:
        grams: those of each painting by its key, and by layer.
        weights: the keys and weights of the paintings that are tied to a layer, by layer; equal
            keys may come more than once.
    """
    blended = {}
    for layer, weighed in weights.items():
        known = [(key, weight) for key, weight in weighed if layer in grams[key]]
        parts = [share * grams[key][layer] for key, share in shares(known).items()]
        if parts:
            blended[layer] = functools.reduce(torch.add, parts)
    return Style(blended)


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
