"""The parts of J that are of pixels alone: the photo's outlines, and total variation."""

from __future__ import annotations

from torch import Tensor

from nst.engine.laplacian import LaplacianTerm
from nst.engine.losses import total_variation, total_variation_gradient
from nst.settings import TransferSettings

SMOOTHNESS_UNIT = 1000.0  # of β; what a total variation weight of 1 stands for
LAPLACIAN_UNIT = 1000.0  # of α; what a Laplacian weight of 1 stands for


class OutlinesTerm:
    """The Laplacian part of the content term, 1000 · weight · `laplacian_cost`.

    As the weight is a factor beside α, it does the same whatever α is. `photo` is (1, 3, H, W).
    """

    def __init__(self, photo: Tensor, settings: TransferSettings) -> None:
        self._weight = LAPLACIAN_UNIT * settings.laplacian
        self._term = LaplacianTerm(photo, wraps=settings.is_seamless) if self._weight else None

    def cost(self, image: Tensor) -> Tensor:
        """Return the term, before α; differentiable."""
        return self._weight * self._term.cost(image) if self._term else image.new_zeros(())

    def add_gradient(self, gradient: Tensor, image: Tensor, alpha: float) -> Tensor:
        """Add α times the term's derivative to a gradient, in place; return the term."""
        if self._term is None:
            return image.new_zeros(())
        return self._weight * self._term.add_gradient(gradient, image, alpha * self._weight)


class SmoothnessTerm:
    """β · 1000 · weight · total variation, in levels of 255.

    A weight does the same whatever β is.
    """

    def __init__(self, settings: TransferSettings) -> None:
        self._weight = settings.beta * SMOOTHNESS_UNIT * settings.total_variation

    def cost(self, image: Tensor) -> Tensor:
        """Return the term; differentiable."""
        return self._weight * total_variation(255 * image)

    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the term, and its gradient where it has one."""
        if self._weight == 0:
            return image.new_zeros(()), None
        return self.cost(image), 255 * total_variation_gradient(255 * image, self._weight)
