"""Colour: give one picture the colours of another, all of them or a share.

Knows only pixels: (1, 3, H, W) float32 RGB tensors in [0, 1], and pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from nst.images import fit, to_image, to_tensor

LUMA = (0.299, 0.587, 0.114)  # of R, G and B; ITU-R BT.601
STATISTICS_SIDE = 512  # pixels; a larger painting has the same mean and covariance


def dial_colors(
    painted: Image.Image, photo: Image.Image, paintings: Sequence[Image.Image], amount: float
) -> Image.Image:
    """A finished picture with its colours moved by `amount`, at once: −1 is the photo's own colours
    (the luminance alone is painted, as in Gatys et al. 2016, "Preserving color", section 2),
    0 leaves it as it is, 1 is the mean and covariance of the paintings' colours."""
    if amount == 0:
        return painted
    image = to_tensor(painted)
    if amount < 0:
        target = with_luminance(to_tensor(photo.resize(painted.size)), image)
    else:
        small = [to_tensor(fit(painting, STATISTICS_SIDE)) for painting in paintings]
        target = match_colors(image, all_colors(small))
    return to_image(image.lerp(target, abs(amount)))


def with_luminance(photo: Tensor, image: Tensor) -> Tensor:
    """The colours of `photo` at the brightness of `image`: YIQ's Y replaced."""
    weights = photo.new_tensor(LUMA).view(1, 3, 1, 1)
    brighter = ((image - photo) * weights).sum(1, keepdim=True)
    return (photo + brighter).clamp(0, 1)


def all_colors(pictures: Sequence[Tensor]) -> Tensor:
    """The pixels of several pictures as one, (1, 3, 1, pixels)."""
    return torch.cat([picture.flatten(2) for picture in pictures], dim=2).unsqueeze(2)


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
