"""The textbook, written plainly: the cost that every method here is judged by, and the optimiser
that every speed is stated against.

Plain on purpose, and independent of the engine but for the file that VGG-19's parameters come in:
nothing is fused, packed or scheduled. The tests hold the engine's costs and gradients to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nst.vgg.loading import load_weights
from nst.vgg.weights import VGGWeights

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class Cost(NamedTuple):
    """α · content and β · style at Gatys' published weights (α = β = 1); 0-dimensional tensors."""

    content: Tensor
    style: Tensor

    @property
    def total(self) -> Tensor:
        return self.content + self.style


class Textbook:
    """J(G) of Gatys et al. 2016 (eq. 7), with the weights of their published code: the mean squared
    difference at relu4_2, and 1000 / C² times that of the Gram matrices / (H · W) at relu1_1 …
    relu5_1, on pixels from 0 to 255.

    `content` and `style` are (1, 3, H, W) float32 RGB in [0, 1]; calling it with such a picture
    gives its `Cost`, differentiable.
    """

    def __init__(self, content: Tensor, style: Tensor, weights: VGGWeights | None = None) -> None:
        weights = weights or load_weights("original")
        device = content.device
        self.mean = torch.tensor(weights.mean, device=device).view(1, 3, 1, 1)
        self.scale = torch.tensor(weights.scale, device=device).view(1, 3, 1, 1)
        self.convolutions = {
            name: (weight.to(device), bias.to(device))
            for name, (weight, bias) in weights.convolutions.items()
        }
        with torch.no_grad():
            self.content = self.activations(content)[CONTENT_LAYER]
            activations = self.activations(style)
            self.grams = {layer: _gram(activations[layer]) for layer in STYLE_LAYERS}

    def __call__(self, image: Tensor) -> Cost:
        activations = self.activations(image)
        content = F.mse_loss(activations[CONTENT_LAYER], self.content)
        style = torch.zeros((), device=image.device)
        for layer, target in self.grams.items():
            weight = 1000 / len(target) ** 2
            style = style + weight * F.mse_loss(_gram(activations[layer]), target)
        return Cost(content, style)

    def activations(self, image: Tensor) -> dict[str, Tensor]:
        """VGG-19 (Simonyan & Zisserman 2014) with max pooling, up to relu5_1."""
        x = (image - self.mean) * self.scale
        activations = {}
        for name, (weight, bias) in self.convolutions.items():
            if name in {"relu2_1", "relu3_1", "relu4_1", "relu5_1"}:
                x = F.max_pool2d(x, 2)
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
            activations[name] = x
            if name == "relu5_1":
                break
        return activations


def lbfgs(cost: Textbook, image: Tensor, *, history: int = 100) -> Iterator[Tensor]:
    """The reference: L-BFGS as practitioners run it for style transfer, in float32, from the photo.

    Nocedal & Wright 2006, algorithm 7.4, with the scaling of eq. 7.20; one evaluation per
    iteration and no line search, full steps. The first step changes pixels by 1 of 255 (root mean
    square): torch's own, 1 / ‖gradient‖₁, is so short that float32 sees only rounding in its
    curvature, and the next step may explode. Pixels are clamped after each step and the step that
    was really taken is remembered. Yields the picture, (1, 3, H, W) in [0, 1], after each
    iteration, without end.
    """
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # s, y, 1 / yᵀs
    slope = gradient(cost, image)
    while True:
        direction = -slope
        coefficients = []
        for s, y, rho in reversed(pairs):
            coefficients.append(rho * _dot(s, direction))
            direction = direction - coefficients[-1] * y
        if pairs:
            _, y, rho = pairs[-1]
            direction = direction / (rho * _dot(y, y))
        for (s, y, rho), coefficient in zip(pairs, reversed(coefficients), strict=True):
            direction = direction + (coefficient - rho * _dot(y, direction)) * s
        if not pairs:
            direction = direction / (255 * direction.square().mean().sqrt())
        moved = (image + direction).clamp(0, 1)
        yield moved
        new_slope = gradient(cost, moved)
        s, y = moved - image, new_slope - slope
        curvature = _dot(y, s)
        if curvature > 1e-10 * _dot(s, s):
            pairs = [*pairs, (s, y, 1 / curvature)][-history:]
        image, slope = moved, new_slope


def gradient(cost: Textbook, image: Tensor) -> Tensor:
    """dJ/d(image), shaped like it."""
    image = image.detach().requires_grad_()
    (slope,) = torch.autograd.grad(cost(image).total, image)
    return slope


def _gram(activations: Tensor) -> Tensor:
    """(C, C): Σ over positions of a[k] · a[k'], divided by their number H · W."""
    matrix = activations[0].flatten(1)
    return matrix @ matrix.T / matrix.shape[1]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum()
