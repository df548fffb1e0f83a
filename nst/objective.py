"""J(G): what the optimiser minimises, as a function of the pixels of G.

Combines the costs of `losses` over the layers of `vgg` with the weights of `settings`. Knows
nothing of optimisers, scales or files.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.losses import content_cost, gram_style_cost, normalized_gram_matrix, total_variation
from nst.settings import TransferSettings, gatys_layer_weight
from nst.vgg import VGG


@dataclass(frozen=True)
class Costs:
    """J and its parts at one picture: J = α · content + β · style (+ smoothness).

    `content` is 2 J_content / N, the mean squared difference of N activations; `layers` holds
    λ[l] · J_style[l], and `style` is their sum.
    """

    J: float
    content: float
    style: float
    layers: dict[str, float]
    goal: float  # what the gradient descends: J, or the surrogate of a guided objective


GUIDE_RANK = 9  # the eigenvalues of a Gram matrix above this one are held back
GUIDE_EXPONENT = 0.6


class Objective:
    """J(G) = α · (2/N) J_content + β · Σ λ[l] J_style[l] + smoothness, for fixed C and S.

    Gatys et al. 2016, eq. 7, with a departure: the textbook's J_content grows with the number of
    pixels and J_style does not, so the content term is divided by half the number N of activations.
    One α/β then keeps their balance at every size, and equals Gatys' published code, which takes
    means as well. With several styles, S is the mean of their Gram matrices.

    `content` is (1, 3, H, W) and each of `styles` (1, 3, H', W'), float32 RGB in [0, 1], on the
    network's device. While `guided` is set, `evaluate` returns the gradient of a surrogate that is
    easier to descend, see `guide`; the costs that it reports stay those of J.
    """

    def __init__(
        self, network: VGG, content: Tensor, styles: Sequence[Tensor], settings: TransferSettings
    ) -> None:
        self.network = network
        self.settings = settings
        self.guided = False
        with torch.no_grad():
            layer = settings.content_layer
            self.content = network(content, [layer])[layer].float()
            self.grams = self._style_targets(styles)
            if not all(bool(gram.isfinite().all()) for gram in self.grams.values()):
                raise FloatingPointError("The painting's style is not a finite number.")

    def _style_targets(self, styles: Sequence[Tensor]) -> dict[str, Tensor]:
        means: dict[str, Tensor] = {}
        for style in styles:
            activations = self.network(style, self.settings.style_layers)
            for layer in self.settings.style_layers:
                gram = normalized_gram_matrix(activations[layer]) / len(styles)
                means[layer] = means[layer] + gram if layer in means else gram
        return means

    def evaluate(self, image: Tensor) -> tuple[Costs, Tensor]:
        """The costs at `image` and the gradient to follow there, (1, 3, H, W).

        The gradient is dJ/d(image), unless `guided` is set.
        """
        with torch.enable_grad():
            variable = image.detach().requires_grad_()
            content, grams = self._observe(variable)
            layers = self._style_costs(self.grams, grams)
            J = goal = self._total(variable, content, layers)
            if self.guided:
                through = self._style_costs(self._guide(self.grams), self._guide(grams))
                goal = self._total(variable, content, through)
            (gradient,) = torch.autograd.grad(goal, variable)
        values = torch.stack(
            [goal, J, content, *layers.values()]
        ).tolist()  # one wait for the device
        by_layer = dict(zip(layers, values[3:], strict=True))
        costs = Costs(values[1], values[2], sum(by_layer.values()), by_layer, goal=values[0])
        return costs, gradient

    def _observe(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The content cost, and the normalized Gram matrix of each style layer."""
        content_layer, style_layers = self.settings.content_layer, self.settings.style_layers
        activations = self.network(image, (content_layer, *style_layers))  # λ = 0 costs nothing
        generated = activations[content_layer].float()
        content = content_cost(self.content, generated) * (2 / generated.numel())
        return content, {
            layer: normalized_gram_matrix(activations[layer]) for layer in style_layers
        }

    def _style_costs(
        self, targets: dict[str, Tensor], grams: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """λ[l] · J_style[l] by layer."""
        return {
            layer: weight
            * gatys_layer_weight(layer)
            * gram_style_cost(targets[layer], grams[layer])
            for layer, weight in self.settings.style_layers.items()
        }

    def _total(self, image: Tensor, content: Tensor, layers: dict[str, Tensor]) -> Tensor:
        settings = self.settings
        style = sum(layers.values(), torch.zeros((), device=image.device))
        J = settings.alpha * content + settings.beta * style
        if settings.total_variation > 0:
            J = J + settings.total_variation * total_variation(255 * image)
        return J

    @functools.cached_property
    def guides(self) -> dict[str, Tensor]:
        """The guide of each style layer; an objective that is never guided does not need them."""
        return {layer: guide(gram) for layer, gram in self.grams.items()}

    def _guide(self, grams: dict[str, Tensor]) -> dict[str, Tensor]:
        return {layer: P @ grams[layer] @ P for layer, P in self.guides.items()}


def guide(gram: Tensor) -> Tensor:
    """P = V (1 + Λ/τ)^−0.6 Vᵀ from a style's Gram matrix V Λ Vᵀ, both (n_C, n_C).

    A few eigenvalues of a Gram matrix are thousands of times the others and own the curvature of
    ‖G_S − G_G‖², so that an optimiser works on little else. Compared as P G P, the directions count
    more evenly. τ is the 9th largest eigenvalue. A departure from Gatys, for the way and not for
    the goal: a run ends on J itself.
    """
    values, vectors = torch.linalg.eigh(gram.cpu().double())  # ascending; not every device can
    threshold = values[-min(GUIDE_RANK, len(values))].clamp_min(1e-9)
    strengths = (1 + values.clamp_min(0) / threshold) ** -GUIDE_EXPONENT
    projection: Tensor = (vectors * strengths) @ vectors.mT
    return projection.to(gram)
