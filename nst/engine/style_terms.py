"""The style terms of J at a layer: their costs, and what they say about its activations.

Knows a layer's statistics and those that are wanted; nothing of networks or pictures.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nst.engine.layer_statistics import Statistics
from nst.engine.style_costs import (
    MOMENT_COSTS,
    HistogramCost,
    MomentCost,
    histogram_cost,
    mean_std_cost,
    moments,
    positions_of,
    wasserstein_cost,
)
from nst.engine.style_target import Style
from nst.settings import TransferSettings

UNITS = {"mean_std": 1.0, "wasserstein": 0.25, "histogram": 1.0}
"""What a weight of 1 stands for, see `OtherCosts.units`."""

EXTRA_TIME = {"mean_std": 0.15, "wasserstein": 0.5, "histogram": 0.5}
"""Of an evaluation with Gram matrices alone: measured, see docs/style-costs.md."""


@dataclass(frozen=True)
class Term:
    """One style layer at one picture.

    It holds λ[l] · J_style[l], the same as guided, and β times the latter's derivative with respect
    to the activations A (positions, n_C): a matrix to multiply A by, and where other costs than
    Gram matrices count, what is added at every position and what histograms say.
    """

    cost: Tensor
    goal: Tensor
    pull: Tensor
    shift: Tensor | None = None
    histogram: HistogramTerm | None = None

    def visit(self, activation: Tensor) -> None:
        """Count the cost of histograms of (1, n_C, h, w) alone."""
        if self.histogram is not None:
            A = positions_of(activation)
            self.histogram.add_derivative(torch.zeros_like(A), A)

    def settled(self) -> Term:
        """Return the term with the cost of histograms, once all activations were visited."""
        if self.histogram is None:
            return self
        cost = self.histogram.cost
        return replace(self, cost=self.cost + cost, goal=self.goal + cost, histogram=None)


class HistogramTerm:
    """λ[l] · weight · `histogram_cost`, of activations that come in parts, once each."""

    def __init__(self, histogram: HistogramCost, weight: float, slope: float) -> None:
        self.histogram = histogram
        self.weight = weight
        self.slope = slope  # β

    @property
    def cost(self) -> Tensor:
        """Return the cost of the activations seen so far."""
        return self.weight * self.histogram.cost

    def add_derivative(self, gradient: Tensor, A: Tensor) -> None:
        """Add β times the derivative with respect to A, both (n, n_C)."""
        self.histogram.add_derivative(gradient, A, self.slope * self.weight)


def style_time(settings: TransferSettings) -> float:
    """Return the time of an evaluation in those with Gram matrices alone."""
    return 1.0 + sum(EXTRA_TIME[name] for name in settings.used_style_costs if name in EXTRA_TIME)


class OtherCosts:
    """The style costs beside that of Gram matrices, for a style and what they weigh.

    `costs` are names with their weights, `layers` names with λ[l].
    """

    def __init__(
        self, style: Style, costs: Mapping[str, float], layers: Mapping[str, float]
    ) -> None:
        self.style = style
        self.layers = layers
        self.costs = {name: UNITS[name] * weight for name, weight in costs.items()}

    @functools.cached_property
    def targets(self) -> dict[str, dict[str, MomentCost]]:
        """Return the costs of moments by layer and name, in closed form."""
        names = [name for name in self.costs if name in MOMENT_COSTS]
        return {
            layer: {name: MOMENT_COSTS[name](self.style.moments(layer)) for name in names}
            for layer in self.layers
        }

    @functools.cached_property
    def units(self) -> dict[str, float]:
        """Return what each layer's costs are multiplied by: λ[l] · ‖M_S‖²_F / (4 n_C tr M_S).

        Gram costs are of the fourth power of activations and these are of the second. The unit is
        the ratio of the Gram cost of a layer without activations to its mean square, so that the
        gradients of all costs are about as long, at every layer and of every network.
        """
        return {
            layer: weight * _gram_cost_by_square(self.style.grams[layer])
            for layer, weight in self.layers.items()
        }

    def statistics(self, layer: str, activation: Tensor) -> Statistics:
        """Return what the costs need of (1, n_C, h, w)."""
        has_histogram = "histogram" in self.costs
        return Statistics.of_moments(
            activation, self.style.histograms[layer].top if has_histogram else None
        )

    def specification(self, layer: str, activation: Tensor) -> Tensor:
        """Return λ[l] times the weighted costs of activations, differentiable."""
        at, target = moments(activation), self.style.moments(layer)
        values = {
            "mean_std": lambda: mean_std_cost(at, target),
            "wasserstein": lambda: wasserstein_cost(at, target),
            "histogram": lambda: histogram_cost(activation, self.style.histograms[layer]),
        }
        terms: Iterable[Tensor] = (weight * values[name]() for name, weight in self.costs.items())
        return self.units[layer] * sum(terms, activation.new_zeros((), dtype=at.mean.dtype))

    def add_to(self, term: Term, layer: str, seen: Statistics, slope: float) -> Term:
        """Return Gram's term with the other costs; `slope` is β."""
        unit, at, n = self.units[layer], seen.moments, seen.positions
        cost, pull, shift = torch.zeros_like(term.cost), term.pull, torch.zeros_like(at.mean)
        for name, closed_form in self.targets[layer].items():
            weight = unit * self.costs[name]
            value, derivative = closed_form(at)
            cost = cost + weight * value
            pull = pull + (2 * slope * weight / n) * derivative.second
            shift = shift + (slope * weight / n) * derivative.mean
        histogram = None
        if seen.counts is not None:
            compared = HistogramCost(self.style.histograms[layer], seen.counts, n)
            histogram = HistogramTerm(compared, unit * self.costs["histogram"], slope)
        return Term(term.cost + cost, term.goal + cost, pull, shift, histogram)


def _gram_cost_by_square(gram: Tensor) -> float:
    """Return ‖M‖²_F / (4 n_C tr M), 0 where nothing is active."""
    return float(gram.square().sum() / (4 * len(gram) * gram.trace()).clamp_min(1e-12))
