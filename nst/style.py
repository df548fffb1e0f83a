"""What is wanted of the Gram matrices of a picture, and a kinder way to get there.

Knows pictures of the style; nothing of the picture that is painted.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from nst.memory import bytes_of
from nst.tiles import gram_matrices
from nst.vgg import VGG

GUIDE_RANK = 5  # the eigenvalues of a Gram matrix above this one are held back


class Style:
    """What is wanted of the Gram matrices: the mean of those of one or several pictures."""

    def __init__(self, network: VGG, pictures: Sequence[Tensor], layers: Sequence[str]) -> None:
        self.grams: dict[str, Tensor] = {}
        for picture in pictures:
            for layer, gram in gram_matrices(network, picture, layers):
                share = gram / len(pictures)
                self.grams[layer] = self.grams[layer] + share if layer in self.grams else share

    @functools.cached_property
    def guides(self) -> dict[str, Guide]:
        """The guide of each layer; a run that is never guided does not need them."""
        return {layer: Guide(gram) for layer, gram in self.grams.items()}

    def size(self) -> int:
        """Bytes, of the Gram matrices; guides are slim."""
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
        values, vectors = torch.linalg.eigh(gram.cpu())  # ascending; not every device can
        rank = min(GUIDE_RANK, len(gram) // 12)  # the narrowest of VGG-19's layers has 64 channels
        great = values[len(gram) - rank :].clamp_min(1e-9)
        self.strengths = (great[:1] / great).to(gram)
        self.vectors = vectors[:, len(gram) - rank :].to(gram)

    def __call__(self, difference: Tensor) -> Tensor:
        """Only the great directions U differ from the identity: four slim products do."""
        U, s = self.vectors, self.strengths
        rows = U.T @ difference
        taken = U @ ((1 - s)[:, None] * rows)
        twice_taken = U @ ((1 - torch.maximum(s[:, None], s)) * (rows @ U)) @ U.T
        guided: Tensor = difference - taken - taken.T + twice_taken
        return guided
