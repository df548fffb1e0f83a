"""The base-size term: the objective at the base size, of a larger picture seen at that size.

A departure from Gatys et al. VGG-19 sees shapes of so many pixels: J of a large picture says
nothing of those that were settled at the base size, and a run that descends J alone loses them.
Gram matrices of a picture at several sizes at once are Snelgrove's (2017, "High-Resolution
Multi-Scale Neural Texture Synthesis"); here there are two sizes, and the content cost counts too.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nst.engine.costs import Costs, Measure
from nst.engine.objective import Objective
from nst.engine.schedule import base_weight_at
from nst.engine.style_target import Guidance

LOBES = 3  # of the Lanczos kernel


class HeldObjective:
    """J(G) + w · J_base(D G): D resamples G to the base size, J_base is the objective there.

    D is linear, so that the gradient of the term is Dᵀ of J_base's. The weight w is `base_weight`
    times the pixels of G in 32 pictures of the base size: the larger a picture, the fewer of its
    iterations are left to bring the base back. The costs that are reported stay those of J, `full`;
    the term is `Costs.base`, and part of the goal.
    """

    def __init__(self, full: Objective, base: Objective) -> None:
        self.full = full
        self.base = base
        self.settings = full.settings
        (height, width), (base_height, base_width) = full.size, base.size
        wraps, network = full.settings.is_seamless, full.network
        like = network.mean.to(torch.promote_types(network.dtype, torch.float32))
        self.rows = lanczos(height, base_height, wraps=wraps).to(like)
        self.columns = lanczos(width, base_width, wraps=wraps).to(like)
        ratio = height * width / (base_height * base_width)
        self.weight = base_weight_at(ratio, self.settings)

    @property
    def guidance(self) -> Guidance | None:
        """Return what guides both gradients."""
        return self.full.guidance

    @guidance.setter
    def guidance(self, guidance: Guidance | None) -> None:
        self.full.guidance = self.base.guidance = guidance

    def reduce(self, image: Tensor) -> Tensor:
        """Return D G, (1, 3, H', W') of (1, 3, H, W)."""
        return self.rows @ image @ self.columns.T

    def spread(self, gradient: Tensor) -> Tensor:
        """Return Dᵀ of (1, 3, H', W'), (1, 3, H, W)."""
        return self.rows.T @ gradient.to(self.rows) @ self.columns

    def lifted(self, change: Tensor) -> Tensor:
        """Return X, (1, 3, H', W'), with D Dᵀ X = a change of D G: so `spread` of X makes it."""
        for matrix, dim in ((self.rows, -2), (self.columns, -1)):
            square = matrix.double() @ matrix.double().T
            moved = torch.linalg.solve(square, change.double().movedim(dim, -2))
            change = moved.movedim(-2, dim)
        return change.to(self.rows)

    def forget(self) -> None:
        """Let nothing of an earlier picture count in the next evaluation."""
        self.full.forget()
        self.base.forget()

    def cost(self, image: Tensor) -> Tensor:
        """Return the specification of the whole, differentiable."""
        return self.full.cost(image) + self.weight * self.base.cost(self.reduce(image))

    def costs(self, image: Tensor) -> Costs:
        """Return the costs of J alone, by the specification."""
        return self.full.costs(image)

    @torch.no_grad()
    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        """Return the costs at `image` and the gradient to follow there, as `Objective` does."""
        its_costs, its_gradient = self.base.evaluate(self.reduce(image))

        def add_and_measure(gradient: Tensor) -> list[Tensor]:
            gradient.add_(self.weight * self.spread(its_gradient))
            return measure(gradient) if measure else []

        costs, gradient = self.full.evaluate(image, add_and_measure)
        return self.with_term(costs, its_costs), gradient

    def with_term(self, costs: Costs, its_costs: Costs) -> Costs:
        """Return the costs of J together with the term, whose own costs are those of J_base."""
        return replace(
            costs,
            base=self.weight * its_costs.J,
            goal=costs.goal + self.weight * its_costs.goal,
            steepest=costs.steepest + self.weight * its_costs.steepest,  # at most so steep
        )


def lanczos(length: int, reduced: int, *, wraps: bool = False) -> Tensor:
    """Return the matrix (reduced, length) that resamples as Pillow's LANCZOS does, in float64.

    The kernel is as wide as what it reduces to, so that nothing aliases. It ends at the edges, or
    `wraps` around to the opposite ones.
    """
    factor = length / reduced
    centers = (torch.arange(reduced, dtype=torch.float64) + 0.5) * factor
    distances = torch.arange(length, dtype=torch.float64) + 0.5 - centers[:, None]
    if wraps:
        distances = (distances + length / 2) % length - length / 2
    distances /= max(factor, 1.0)
    kernel = torch.sinc(distances) * torch.sinc(distances / LOBES) * (distances.abs() < LOBES)
    matrix: Tensor = kernel / kernel.sum(1, keepdim=True)
    return matrix
