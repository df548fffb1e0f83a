"""The style terms of J at a layer: their costs, and what they say about its activations.

Knows the sums of a layer in a region and what is wanted of them; nothing of networks or pictures.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.engine.layer_statistics import LayerSums
from nst.engine.losses import gram_style_cost, guided_gram_matrix, normalized_gram_matrix
from nst.engine.region_targets import RegionTarget
from nst.engine.style_costs import (
    MOMENT_COSTS,
    HistogramCost,
    MomentCost,
    Moments,
    histogram_cost,
    mean_std_cost,
    moments,
    positions_of,
    wasserstein_cost,
)
from nst.engine.style_target import Guidance
from nst.engine.windows import Window, seen_in
from nst.settings import TransferSettings, gatys_layer_weight

UNITS = {"mean_std": 1.0, "wasserstein": 0.25, "histogram": 1.0}
"""What a weight of 1 stands for, see `StyleTerms.ratios`."""

EXTRA_TIME = {"mean_std": (0.15, 0.05), "wasserstein": (0.5, 0.4), "histogram": (0.5, 0.25)}
"""What a style cost adds to an evaluation with Gram matrices alone, and again for each region
beyond the first, in its time: measured, see docs/style-costs.md."""


def style_time(settings: TransferSettings, regions: int = 1) -> float:
    """Return the time of an evaluation in those with Gram matrices alone.

    `regions` are all that the style is compared in, what no mask covers among them.
    """
    extras = [EXTRA_TIME[name] for name in settings.used_style_costs if name in EXTRA_TIME]
    return 1.0 + sum(whole + (regions - 1) * more for whole, more in extras)


@dataclass(frozen=True)
class Pull:
    """The derivative of a cost with respect to activations a with weights m.

    It is m (matrix a + offset + h(a)). The derivative of a cost with respect to the mean is the
    offset, twice that to the raw second moment the matrix, over the sum of all m; h is of
    histograms. Activations are (1, n_C, H, W), and those of all parts of a picture come once.
    """

    matrix: Tensor  # (n_C, n_C), symmetric
    offset: Tensor | None = None  # (n_C,)
    histogram: HistogramPull | None = None

    def add(self, gradient: Tensor, activation: Tensor, window: Window | None = None) -> None:
        """Add the derivative at some activations to their gradient, in place; both may be views."""
        own, weights = seen_in(activation, window)
        slope = self._at(own, weights)
        if window is None:
            gradient.add_(slope)
        else:
            window.add(slope, gradient)

    def onto(self, gradient: Tensor | None, activation: Tensor) -> Tensor:
        """Return a gradient with the derivative added, where all weights are 1.

        It is added in place where there is a gradient. Both are channels_last and whole.
        """
        A, matrix = _positions(activation), self.matrix.to(activation.dtype)
        if gradient is None:
            gradient = (A @ matrix).view(_channels_last(activation).shape).permute(0, 3, 1, 2)
        else:
            _positions(gradient).addmm_(A, matrix)
        if self.offset is not None:
            _positions(gradient).add_(self.offset)
        if self.histogram is not None:
            self.histogram.add(_positions(gradient), A)
        return gradient

    def visit(self, activation: Tensor, window: Window | None = None) -> None:
        """Count the cost of the histograms of some activations alone."""
        if self.histogram is not None:
            own, weights = seen_in(activation, window)
            self.histogram.cost_function.visit(positions_of(own), weights)

    def _at(self, activation: Tensor, weights: Tensor | None) -> Tensor:
        """Return matrix a + offset + h(a), shaped like the activations."""
        A = _channels_last(activation)
        slope = A @ self.matrix.to(A.dtype)
        if self.offset is not None:
            slope.add_(self.offset)
        if self.histogram is not None:
            self.histogram.add(slope.view(-1, A.shape[-1]), A.flatten(0, 2), weights)
        return slope.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class HistogramPull:
    """The derivative of a weighted `histogram_cost`, which is known once it is taken everywhere."""

    cost_function: HistogramCost
    weight: float  # of the cost
    slope: float  # of the derivative: β

    @property
    def cost(self) -> Tensor:
        """Return the weighted cost of the activations seen so far."""
        return self.weight * self.cost_function.cost

    def add(self, gradient: Tensor, A: Tensor, weights: Tensor | None = None) -> None:
        """Add the derivative with respect to A, over m, to a gradient in place, both (n, n_C)."""
        self.cost_function.add_derivative(gradient, A, self.slope * self.weight, weights)


@dataclass(frozen=True)
class Term:
    """One style layer at one picture.

    It holds λ[l] · J_style[l], the same as guided, and β times the latter's derivative with respect
    to the activations of each region, by its number.
    """

    cost: Tensor
    goal: Tensor
    pulls: Mapping[int, Pull]

    def __add__(self, other: Term) -> Term:
        pulls = {**self.pulls, **other.pulls}
        return Term(self.cost + other.cost, self.goal + other.goal, pulls)

    @property
    def has_histogram(self) -> bool:
        """Tell whether activations must be visited before the cost is known."""
        return any(pull.histogram for pull in self.pulls.values())

    def settled(self) -> Term:
        """Return the term with the costs of histograms, once all pulls were taken, without them."""
        found = [pull.histogram.cost for pull in self.pulls.values() if pull.histogram]
        cost, goal = (functools.reduce(torch.add, found, own) for own in (self.cost, self.goal))
        return Term(cost, goal, {})


class StyleTerms:
    """J_style[l] of a region by all style costs: its values and derivatives.

    `number` is that of the region.
    """

    def __init__(self, number: int, target: RegionTarget, settings: TransferSettings) -> None:
        self.number, self.style, self.factor = number, target.style, target.factor
        self.beta = settings.beta
        costs = settings.used_style_costs
        self.gram_weight = costs.pop("gram", 0.0)
        self.others = {name: UNITS[name] * weight for name, weight in costs.items()}
        self.lambdas = {
            layer: target.factor * (weight * gatys_layer_weight(layer))
            for layer, weight in settings.style_layers.items()
            if layer in target.style.grams
        }
        """The region's factor times the textbook's λ[l], of the layers that count there."""

    def gram_unit(self, layer: str) -> float:
        """Return the factor of ‖G − G_S‖² in λ[l] · J_style[l]."""
        weight = self.gram_weight * self.lambdas[layer]
        return weight / (2 * len(self.style.grams[layer])) ** 2

    @functools.cached_property
    def ratios(self) -> dict[str, float]:
        """Return what the other costs of each layer are multiplied by: ‖M_S‖²_F / (4 n_C tr M_S).

        Gram costs are of the fourth power of activations and these are of the second. The ratio is
        that of the Gram cost of a layer without activations to its mean square, so that the
        gradients of all costs are about as long, at every layer and of every network.
        """
        return {layer: _gram_cost_by_square(self.style.grams[layer]) for layer in self.lambdas}

    @functools.cached_property
    def closed_forms(self) -> dict[str, dict[str, MomentCost]]:
        """Return the other costs of moments by layer and name."""
        names = [name for name in self.others if name in MOMENT_COSTS]
        return {
            layer: {name: MOMENT_COSTS[name](self.style.moments(layer)) for name in names}
            for layer in self.lambdas
        }

    def specification(self, layer: str, activation: Tensor, level: Tensor | None) -> Tensor:
        """Return the region's factor times J_style[l] of (1, n_C, h, w), differentiable.

        `level` are the weights of its positions, (1, 1, h, w).
        """
        if level is None:
            gram = normalized_gram_matrix(activation)
        else:
            gram = guided_gram_matrix(activation, level)
        cost = self.gram_weight * gram_style_cost(self.style.grams[layer], gram)
        if self.others:
            cost = cost + self._other_costs(layer, activation, level)
        return self.factor * cost

    def sums(self, layer: str, activation: Tensor, window: Window | None) -> LayerSums:
        """Return what the costs need of (a part of) a layer's activations, (1, n_C, h, w)."""
        if not self.others:
            return LayerSums.of_gram(activation, window)
        top = self.style.histograms[layer].top if "histogram" in self.others else None
        return LayerSums.of_moments(activation, window, top)

    def term(self, layer: str, sums: LayerSums, guidance: Guidance | None) -> Term:
        """Return the region's term with its derivative, from the sums of all of a layer."""
        cost, goal, matrix = self._gram_term(layer, sums, guidance)
        if not self.others:
            return Term(cost, goal, {self.number: Pull(matrix)})
        other_cost, derivative = self._moment_term(layer, sums.moments)
        slope = self.beta / sums.total
        matrix = matrix + 2 * slope * derivative.second
        pull = Pull(matrix, slope * derivative.mean, self._histogram_pull(layer, sums))
        return Term(cost + other_cost, goal + other_cost, {self.number: pull})

    def _gram_term(
        self, layer: str, sums: LayerSums, guidance: Guidance | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the cost of Gram matrices, the same as guided, and the matrix of its pull.

        J_style[l] = unit · ‖G − G_S‖² with G = Σ m a aᵀ / n, so dJ/da = 4 unit m (G − G_S) a / n.
        """
        unit = self.gram_unit(layer)
        difference = sums.normalized_gram - self.style.grams[layer]
        toward = difference
        if guidance and unit:
            toward = self.style.guides[layer](difference, guidance.exponent)
        return (
            unit * (difference * difference).sum(),
            unit * (difference * toward).sum(),
            (4 * self.beta * unit / sums.total) * toward,
        )

    def _moment_term(self, layer: str, at: Moments) -> tuple[Tensor, Moments]:
        """Return the other costs of moments with their derivatives."""
        cost, mean, second = (torch.zeros_like(x) for x in (at.mean[0], at.mean, at.second))
        for name, closed_form in self.closed_forms[layer].items():
            weight = self._weight(layer, name)
            value, derivative = closed_form(at)
            cost = cost + weight * value
            mean = mean + weight * derivative.mean
            second = second + weight * derivative.second
        return cost, Moments(mean, second)

    def _histogram_pull(self, layer: str, sums: LayerSums) -> HistogramPull | None:
        if sums.counts is None:
            return None
        cost_function = HistogramCost(self.style.histograms[layer], sums.counts, sums.total)
        return HistogramPull(cost_function, self._weight(layer, "histogram"), self.beta)

    def _weight(self, layer: str, name: str) -> float:
        """Return the factor of one of the other costs in λ[l] · J_style[l]."""
        return self.lambdas[layer] * self.ratios[layer] * self.others[name]

    def _other_costs(self, layer: str, activation: Tensor, level: Tensor | None) -> Tensor:
        """Return the other costs of activations by their specifications."""
        at, target = moments(activation, level), self.style.moments(layer)
        values = {
            "mean_std": lambda: mean_std_cost(at, target),
            "wasserstein": lambda: wasserstein_cost(at, target),
            "histogram": lambda: histogram_cost(activation, self.style.histograms[layer], level),
        }
        terms: Iterable[Tensor] = (weight * values[name]() for name, weight in self.others.items())
        return self.ratios[layer] * sum(terms, torch.zeros_like(at.mean[0]))


def _gram_cost_by_square(gram: Tensor) -> float:
    """Return ‖M‖²_F / (4 n_C tr M), 0 where nothing is active."""
    return float(gram.square().sum() / (4 * len(gram) * gram.trace()).clamp_min(1e-12))


def _channels_last(activation: Tensor) -> Tensor:
    """Return a view (1, H, W, n_C) of (1, n_C, H, W)."""
    return activation.permute(0, 2, 3, 1)


def _positions(activation: Tensor) -> Tensor:
    """Return (1, n_C, H, W) channels_last viewed as a matrix (H · W, n_C)."""
    return _channels_last(activation).view(-1, activation.shape[1])
