"""The costs of neural style transfer, as the textbook writes them: pure, differentiable functions.

Activations are (n_C, n_H, n_W) or (1, n_C, n_H, n_W) floating-point tensors of any scale; every
cost is a 0-dimensional tensor of the same dtype. Knows nothing of networks, weights or pictures.

They are the specification. Runs follow `Objective.evaluate`, which has the same costs with their
derivatives as formulas: a cost that is added here needs its part there, and the tests compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 1024  # positions multiplied at once
BAND = 2048  # rows of pixels whose differences are taken at once


def content_cost(content: Tensor, generated: Tensor) -> Tensor:
    """Return J_content = ½ ‖a_C − a_G‖² over all activations (Gatys et al. 2016, eq. 1).

    Raises `ValueError` when the two shapes differ.
    """
    if content.shape != generated.shape:
        raise ValueError(
            f"content activations are {tuple(content.shape)}, generated {tuple(generated.shape)}"
        )
    return 0.5 * (content - generated).square().sum()


def widened(x: Tensor) -> Tensor:
    """Return the same values in at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gram_matrix(activations: Tensor) -> Tensor:
    """Return G (n_C, n_C), G[k, k'] = Σ_ij a[k, i, j] · a[k', i, j] (Gatys et al. 2016, eq. 3).

    It is computed in at least float32: sums over many pixels overflow or drown in narrower formats.
    Raises `ValueError` for a batch of several pictures.
    """
    positions = channels_first(activations).flatten(1).T  # (n_H * n_W, n_C)
    gram: Tensor = _SelfProduct.apply(positions)
    return gram


def _self_product(X: Tensor) -> Tensor:
    """Return XᵀX of (n, k), in at least float32.

    bfloat16 goes by blocks, which are fast to multiply and short enough that rounding each product
    to bfloat16 averages out.
    """
    if X.dtype != torch.bfloat16:
        wide = widened(X)
        return wide.T @ wide
    whole = len(X) - len(X) % BLOCK
    blocks, rest = X[:whole].view(-1, BLOCK, X.shape[1]), X[whole:]
    return (blocks.mT @ blocks).sum(0, dtype=torch.float32) + (rest.T @ rest).float()


class _SelfProduct(torch.autograd.Function):
    """XᵀX of a matrix X (n, k).

    Autograd would take it for a product of two matrices, and go back twice; its derivative X (D +
    Dᵀ) is one product, in the dtype of X.
    """

    @staticmethod
    def forward(ctx: Any, X: Tensor) -> Tensor:
        ctx.save_for_backward(X)
        return _self_product(X)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (X,) = ctx.saved_tensors
        product: Tensor = X @ (gradient + gradient.T).to(X.dtype)
        return product


def normalized_gram_matrix(activations: Tensor) -> Tensor:
    """Return the Gram matrix divided by n_H · n_W, (n_C, n_C).

    It is comparable between pictures of different sizes.
    """
    n_height, n_width = activations.shape[-2:]
    return gram_matrix(activations) / (n_height * n_width)


def guided_gram_matrix(activations: Tensor, weights: Tensor) -> Tensor:
    """Return Σ m a aᵀ / Σ m over positions with weights m, (n_H, n_W) in [0, 1]; (n_C, n_C).

    Activations are weighed by √m: weighed by m, as in Gatys et al. 2017 ("Controlling perceptual
    factors", eq. 5), two regions that pass into each other would leave m² + (1 − m)² of the energy
    in the middle of the seam, half of it, which shows as grey.
    """
    return gram_matrix(activations * weights.to(activations.dtype).sqrt()) / weights.sum()


def style_cost(style: Tensor, generated: Tensor) -> Tensor:
    """Return J_style[l] = 1 / (2 n_H n_W n_C)² · ‖G_S − G_G‖²_F of one layer's activations.

    Gatys et al. 2016, eq. 4, with one departure: each Gram matrix is divided by its own n_H · n_W
    before they are compared, so that the two pictures may differ in size. For equal sizes the value
    is the textbook's.
    """
    return gram_style_cost(normalized_gram_matrix(style), normalized_gram_matrix(generated))


def gram_style_cost(style_gram: Tensor, generated_gram: Tensor) -> Tensor:
    """Return J_style[l] from two normalized Gram matrices, both (n_C, n_C)."""
    n_channels = style_gram.shape[0]
    return (style_gram - generated_gram).square().sum() / (2 * n_channels) ** 2


def total_variation(image: Tensor) -> Tensor:
    """Return the mean squared difference between neighbouring pixels of a (1, 3, H, W) image.

    It is the anisotropic, squared form (after Mahendran & Vedaldi 2015, eq. 4, with β = 2),
    averaged over rows and columns so that it does not grow with the size. 0 for a single pixel.
    """
    squares = [down.square().sum() + right.square().sum() for _, down, right in _slopes(image)]
    return sum(squares, image.new_zeros(())) / _pairs_of(image)


def total_variation_gradient(image: Tensor, factor: float) -> Tensor:
    """Return the gradient of `factor` · `total_variation` at (1, 3, H, W), without a graph."""
    slope = 2 * (factor / _pairs_of(image))
    gradient = torch.zeros_like(image)
    for rows, down, right in _slopes(image):
        down, right, band = slope * down, slope * right, gradient[..., rows, :]
        height, lower = right.shape[-2], down.shape[-2]
        band[..., :height, :-1] -= right
        band[..., :height, 1:] += right
        band[..., :lower, :] -= down
        band[..., 1 : lower + 1, :] += down
    return gradient


def _slopes(image: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield bands of rows with their differences downward and to the right.

    A band reaches one row into the next.
    """
    height = image.shape[-2]
    for top in range(0, height, BAND):
        rows = slice(top, min(height, top + BAND + 1))
        band = image[..., rows, :]
        own = band[..., :BAND, :]
        yield rows, band[..., 1:, :] - band[..., :-1, :], own[..., 1:] - own[..., :-1]


def _pairs_of(image: Tensor) -> int:
    """Return the number of neighbouring pixels, at least 1."""
    n_channels, height, width = image.shape[-3:]
    return max(1, n_channels * ((height - 1) * width + height * (width - 1)))


def channels_first(activations: Tensor) -> Tensor:
    """Return (n_C, n_H, n_W), without a batch dimension.

    A batch must never fold into a Gram matrix. Raises `ValueError` for one of several pictures.
    """
    if activations.ndim == 4 and activations.shape[0] == 1:
        return activations[0]
    if activations.ndim != 3:
        raise ValueError(
            f"activations must be (n_C, n_H, n_W) of one picture, not {tuple(activations.shape)}"
        )
    return activations
