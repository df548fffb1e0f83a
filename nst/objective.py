"""J(G): what the optimiser minimises, as a function of the pixels of G.

Combines the costs of `losses` over the layers of `vgg` with the weights of `settings`. Knows
nothing of optimisers, scales or files.
"""

from __future__ import annotations

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


class Objective:
    """J(G) = α · (2/N) J_content + β · Σ λ[l] J_style[l] + smoothness, for fixed C and S.

    Gatys et al. 2016, eq. 7, with a departure: the textbook's J_content grows with the number of
    pixels and J_style does not, so the content term is divided by half the number N of activations.
    One α/β then gives the same look at every size, and equals Gatys' published code, which takes
    means as well. With several styles, S is the mean of their Gram matrices.

    `content` is (1, 3, H, W) and each of `styles` (1, 3, H', W'), float32 RGB in [0, 1], on the
    network's device.
    """

    def __init__(
        self, network: VGG, content: Tensor, styles: Sequence[Tensor], settings: TransferSettings
    ) -> None:
        self.network = network
        self.settings = settings
        with torch.no_grad():
            layer = settings.content_layer
            self.content = network(content, [layer])[layer].float()
            self.grams = self._style_targets(styles)

    def _style_targets(self, styles: Sequence[Tensor]) -> dict[str, Tensor]:
        means: dict[str, Tensor] = {}
        for style in styles:
            activations = self.network(style, self.settings.style_layers)
            for layer in self.settings.style_layers:
                gram = normalized_gram_matrix(activations[layer]) / len(styles)
                means[layer] = means[layer] + gram if layer in means else gram
        return means

    def terms(self, image: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """(J, content, style by layer) as differentiable 0-dimensional tensors."""
        settings = self.settings
        layers_in_use = (settings.content_layer, *settings.style_layers)  # λ = 0 costs nothing
        activations = self.network(image, layers_in_use)
        generated = activations[settings.content_layer].float()
        content = content_cost(self.content, generated) * (2 / generated.numel())
        layers = {
            layer: weight
            * gatys_layer_weight(layer)
            * gram_style_cost(self.grams[layer], normalized_gram_matrix(activations[layer]))
            for layer, weight in settings.style_layers.items()
        }
        style = sum(layers.values(), torch.zeros((), device=image.device))
        J = settings.alpha * content + settings.beta * style
        if settings.total_variation > 0:
            J = J + settings.total_variation * total_variation(255 * image)
        return J, content, layers

    def evaluate(self, image: Tensor) -> tuple[Costs, Tensor]:
        """The costs at `image` and dJ/d(image), both exact; the gradient is (1, 3, H, W)."""
        with torch.enable_grad():
            variable = image.detach().requires_grad_()
            J, content, layers = self.terms(variable)
            (gradient,) = torch.autograd.grad(J, variable)
        values = torch.stack([J, content, *layers.values()]).tolist()  # one wait for the device
        by_layer = dict(zip(layers, values[2:], strict=True))
        return Costs(values[0], values[1], sum(by_layer.values()), by_layer), gradient
