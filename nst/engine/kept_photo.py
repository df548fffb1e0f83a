"""What is left as it is: a picture is composed of the photo and of what is painted.

Composed before it is evaluated, the picture is painted around what is kept, and not over it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nst.engine.costs import Costs, Measure
from nst.engine.minimization import CostAround, CostFunction
from nst.images.tensors import to_unit

LEAST_SHARE = 1 / 510  # of what is painted; with less it has no part in 8 bits


class KeptPhoto:
    """G = k C + (1 − k) X: the photo C where it is kept, and what is painted, X.

    `photo` is (1, 3, H, W) in [0, 1] or bytes, `keep` is k, (1, 1, H, W) bytes: 255 is kept whole.
    """

    def __init__(self, photo: Tensor, keep: Tensor) -> None:
        self.photo = photo
        self.keep = keep.to(photo.device)

    def compose(self, painted: Tensor) -> Tensor:
        """Return G of X, both (1, 3, H, W); where k = 1 it is the photo to the bit."""
        return torch.lerp(painted, self._photo(painted), self._share(painted))

    def painted(self, picture: Tensor) -> Tensor:
        """Return an X in [0, 1] with G near a picture, (1, 3, H, W); where k = 1, the photo."""
        share = 1 - self._share(picture)
        photo = self._photo(picture)
        change = (picture - photo) / share.clamp_min(LEAST_SHARE)
        return (photo + change * (share > 0)).clamp_(0, 1)

    def pull_back(self, gradient: Tensor) -> None:
        """Make dJ/dX of dJ/dG, (1, 3, H, W), in place."""
        gradient.mul_(1 - self._share(gradient))

    def _photo(self, like: Tensor) -> Tensor:
        return to_unit(self.photo).to(like)

    def _share(self, like: Tensor) -> Tensor:
        return self.keep.to(like.dtype) / 255


class KeptObjective(CostAround):
    """The cost of the composed picture G, as a function of what is painted, X."""

    def __init__(self, objective: CostFunction, kept: KeptPhoto) -> None:
        super().__init__(objective)
        self.kept = kept

    def costs(self, image: Tensor) -> Costs:
        """Return the costs of J at what X composes, by the specification."""
        return self.objective.costs(self.kept.compose(image))

    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        """Return the costs at what X composes, and the gradient to follow in X."""

        def weigh_and_measure(gradient: Tensor) -> list[Tensor]:
            self.kept.pull_back(gradient)
            return measure(gradient) if measure else []

        return self.objective.evaluate(self.kept.compose(image), weigh_and_measure)
