"""What is wanted of the Gram matrices of a picture, and a kinder way to get there.

Knows pictures of the style; nothing of the picture that is painted.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.engine.eigen import eigen
from nst.engine.fingerprint import bytes_of
from nst.engine.tiles import gram_matrices
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


class Style:
    """What is wanted of the Gram matrices: the mean of those of one or several pictures.

    A seamless picture has no edges, and so could not have what VGG-19 sees at those of a painting:
    for one the paintings are endless, too. Large pictures go in tiles, of `side` pixels if that is
    given.
    """

    def __init__(
        self,
        network: VGG,
        pictures: Sequence[Tensor],
        layers: Sequence[str],
        *,
        side: int | None = None,
        is_endless: bool = False,
    ) -> None:
        self.grams: dict[str, Tensor] = {}
        for picture in pictures:
            for layer, gram in gram_matrices(
                network, picture, layers, side=side, is_endless=is_endless
            ):
                share = gram / len(pictures)
                self.grams[layer] = self.grams[layer] + share if layer in self.grams else share

    @functools.cached_property
    def guides(self) -> dict[str, Guide]:
        """Return the guide of each layer; a run that is never guided does not need them."""
        return {layer: Guide(gram) for layer, gram in self.grams.items()}

    def size(self) -> int:
        """Return the bytes of the Gram matrices; guides are slim."""
        return bytes_of(*self.grams.values())


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
