"""The base-size term: the objective at the base size, of a larger picture seen at that size.

A departure from Gatys et al. VGG-19 sees shapes of so many pixels: J of a large picture says
nothing of those that were settled at the base size, and a run that descends J alone loses them.
Gram matrices of a picture at several sizes at once are Snelgrove's (2017, "High-Resolution
Multi-Scale Neural Texture Synthesis"); here there are two sizes, and the content cost counts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor
from typing_extensions import override

from nst.engine.objective import Costs, Measure, Objective
from nst.engine.schedule import Scale, style_side
from nst.images.tensors import fit, to_tensor
from nst.settings import TransferSettings
from nst.vgg.network import VGG

LOBES = 3  # of the Lanczos kernel
WEIGHT_OF_PIXELS = 1 / 32  # w of a picture with as many pixels as at the base size


def make_objective(
    network: VGG,
    content: Image.Image,
    styles: Sequence[Image.Image],
    scale: Scale,
    settings: TransferSettings,
) -> Objective:
    """Return the objective of a stage: J, with the base-size term where the stage has one."""
    pictures = scaled_pictures(network, content, styles, scale.size, settings)
    if not scale.base:
        return Objective(network, *pictures, settings)
    small = scaled_pictures(network, content, styles, scale.base, settings)
    return HeldObjective(network, *pictures, settings, base=small)


def scaled_pictures(
    network: VGG,
    content: Image.Image,
    styles: Sequence[Image.Image],
    size: int,
    settings: TransferSettings,
) -> tuple[Tensor, list[Tensor]]:
    """Return the photo and the paintings as a stage of `size` px sees them, on the device."""
    side = style_side(size, settings)
    photo = to_tensor(fit(content, size)).to(network.device)
    return photo, [to_tensor(fit(style, side)).to(network.device) for style in styles]


class HeldObjective(Objective):
    """J(G) + w · J_base(D G): D resamples G to the base size, J_base is the objective there.

    D is linear, so that the gradient of the term is Dᵀ of J_base's. The weight w is `base_weight`
    times the pixels of G in 32 pictures of the base size: the larger a picture, the fewer of its
    iterations are left to bring the base back. The costs that are reported stay those of J; the
    term is `Costs.base`, and part of the goal. `base` is content and styles at the base size.
    """

    def __init__(
        self,
        network: VGG,
        content: Tensor,
        styles: Sequence[Tensor],
        settings: TransferSettings,
        *,
        base: tuple[Tensor, Sequence[Tensor]],
    ) -> None:
        self.base = Objective(network, *base, settings)
        super().__init__(network, content, styles, settings)
        (height, width), (base_height, base_width) = content.shape[-2:], base[0].shape[-2:]
        self.rows = lanczos(height, base_height).to(content)
        self.columns = lanczos(width, base_width).to(content)
        ratio = height * width / (base_height * base_width)
        self.weight = WEIGHT_OF_PIXELS * ratio * settings.base_weight

    def reduce(self, image: Tensor) -> Tensor:
        """Return D G, (1, 3, H', W') of (1, 3, H, W)."""
        return self.rows @ image @ self.columns.T

    def spread(self, gradient: Tensor) -> Tensor:
        """Return Dᵀ of (1, 3, H', W'), (1, 3, H, W)."""
        return self.rows.T @ gradient.to(self.rows) @ self.columns

    @override
    def forget(self) -> None:
        super().forget()
        self.base.forget()

    @override
    def cost(self, image: Tensor) -> Tensor:
        return super().cost(image) + self.weight * self.base.cost(self.reduce(image))

    @override
    @torch.no_grad()
    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        self.base.guidance = self.guidance
        its_costs, its_gradient = self.base.evaluate(self.reduce(image))
        pull = self.weight * self.spread(its_gradient)
        measure_sum: Measure | None = (lambda own: measure(own + pull)) if measure else None
        costs, gradient = super().evaluate(image, measure_sum)
        costs = replace(
            costs,
            base=self.weight * its_costs.J,
            goal=costs.goal + self.weight * its_costs.goal,
            steepest=costs.steepest + self.weight * its_costs.steepest,  # at most so steep
        )
        return costs, gradient + pull


def lanczos(length: int, reduced: int) -> Tensor:
    """Return the matrix (reduced, length) that resamples as Pillow's LANCZOS does, in float64.

    The kernel is as wide as what it reduces to, so that nothing aliases.
    """
    factor = length / reduced
    centers = (torch.arange(reduced, dtype=torch.float64) + 0.5) * factor
    distances = torch.arange(length, dtype=torch.float64) + 0.5 - centers[:, None]
    distances /= max(factor, 1.0)
    kernel = torch.sinc(distances) * torch.sinc(distances / LOBES) * (distances.abs() < LOBES)
    matrix: Tensor = kernel / kernel.sum(1, keepdim=True)
    return matrix
