"""Colour statistics: give one picture the colours of another.

Knows only pixels: (1, 3, H, W) float32 RGB tensors in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor


def match_colors(image: Tensor, reference: Tensor) -> Tensor:
    """`image` with the mean and the full RGB covariance of `reference`, kept inside [0, 1].

    The optimal transport between two Gaussians (Monge's linear map): with covariances A and B,
    T = A^−½ (A^½ B A^½)^½ A^−½, the smallest change of colours that does it.
    """
    mean, covariance = _color_statistics(image)
    target_mean, target_covariance = _color_statistics(reference)
    root = _matrix_power(covariance, 0.5)
    inverse_root = _matrix_power(covariance, -0.5)
    transport = inverse_root @ _matrix_power(root @ target_covariance @ root, 0.5) @ inverse_root
    pixels = _pixels(image)
    moved = transport @ (pixels - mean) + target_mean
    return moved.view_as(image[0]).clamp(0, 1).unsqueeze(0).to(image)


def _color_statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3, 1) and covariance (3, 3) of the colours, in float64."""
    pixels = _pixels(image)
    mean = pixels.mean(1, keepdim=True)
    centred = pixels - mean
    ridge = 1e-6 * torch.eye(3, dtype=torch.float64)  # grey photos are flat
    return mean, centred @ centred.T / pixels.shape[1] + ridge


def _pixels(image: Tensor) -> Tensor:
    """(3, H*W) in float64, on the CPU: not every device has float64."""
    return image[0].cpu().double().flatten(1)


def _matrix_power(matrix: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    powers: Tensor = values.clamp_min(1e-12).pow(power)
    result: Tensor = (vectors * powers) @ vectors.mT
    return result
