"""The temporal cost: a frame of a film keeps to what earlier frames show of the same things.

Ruder, Dosovitskiy & Brox 2016, "Artistic style transfer for videos", eq. 7. It is of pixels alone;
where things have moved, and which of them are seen again, is told by the caller.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nst.engine.costs import Costs, Measure
from nst.engine.minimization import CostAround, CostFunction

LEVELS = 255.0


def temporal_cost(image: Tensor, warped: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of m · (G − W)² over all values of a picture, in levels of 255.

    `image` is G and `warped` is W, earlier frames moved to where their things are now, both
    (1, 3, H, W) in [0, 1]; `mask` is m in [0, 1], (1, 1, H, W). Differentiable.
    """
    difference = LEVELS * (image - warped)
    return (mask * difference.square()).mean()


class TemporalObjective(CostAround):
    """J(G) + w · `temporal_cost`(G, W, m) of a frame G.

    The costs that are reported stay those of J; the term is `Costs.temporal`, and part of the goal.
    """

    def __init__(
        self, objective: CostFunction, warped: Tensor, mask: Tensor, weight: float
    ) -> None:
        super().__init__(objective)
        self.warped, self.mask, self.weight = warped, mask, weight

    def costs(self, image: Tensor) -> Costs:
        """Return the costs of J alone, by the specification."""
        return self.objective.costs(image)

    @torch.no_grad()
    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        """Return the costs at `image` and the gradient to follow there, as `Objective` does."""
        pull = self.mask * (image - self.warped)
        term = self.weight * LEVELS**2 * (pull * (image - self.warped)).mean()

        def add_and_measure(gradient: Tensor) -> list[Tensor]:
            gradient.add_(pull, alpha=2 * self.weight * LEVELS**2 / pull.numel())
            return [term, *(measure(gradient) if measure else [])]

        costs, gradient = self.objective.evaluate(image, add_and_measure)
        temporal, *measured = costs.measured
        return (
            replace(
                costs,
                temporal=temporal,
                goal=costs.goal + temporal,
                measured=tuple(measured),
            ),
            gradient,
        )
