"""The Laplacian content term: the photo's outlines, whatever their colours.

Li, Xu, Nie & Chua 2017, "Laplacian-Steered Neural Style Transfer": the squared difference of the
Laplacians of photo and picture after average pooling. It is of pixels alone and knows no network.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from nst.images.tensors import to_unit

POOL = 4  # pixels
LEVELS = 255.0
BAND = 512  # rows of pixels at once, a multiple of `POOL`


def laplacian_cost(content: Tensor, generated: Tensor, *, wraps: bool = False) -> Tensor:
    """Return the mean of (D P (G − C))² of two pictures (1, 3, H, W) in [0, 1], in levels of 255.

    P takes means of `POOL` × `POOL` pixels, and D is the Laplacian ( 1; 1 −4 1; 1 ) of what is
    beyond the edges as at them, or of the opposite edges where the picture `wraps`. A departure
    from the paper: the mean in place of the sum, which would grow with the size.
    """
    difference = F.avg_pool2d(generated - content, POOL, ceil_mode=True)
    return _laplacian(LEVELS * difference, wraps=wraps).square().mean()


class LaplacianTerm:
    """`laplacian_cost` for a photo (1, 3, H, W), in [0, 1] or bytes, with its derivative.

    D is symmetric, so that the gradient is 2 / N · Pᵀ D D P (G − C). No more than a band of rows is
    taken from the pictures at once.
    """

    def __init__(self, photo: Tensor, *, wraps: bool) -> None:
        self.wraps = wraps
        self.photo = _pooled(photo)

    def cost(self, image: Tensor) -> Tensor:
        """Return the cost, differentiable."""
        return self._outlines(image).square().mean()

    def add_gradient(self, gradient: Tensor, image: Tensor, factor: float) -> Tensor:
        """Add `factor` times the derivative to (1, 3, H, W); return the cost."""
        outlines = self._outlines(image)
        slope = (2 * factor * LEVELS / outlines.numel()) * _laplacian(outlines, wraps=self.wraps)
        for rows, pooled_rows in _bands(gradient.shape[-2]):
            band = gradient[..., rows, :]
            band += torch.ops.aten.avg_pool2d_backward(
                slope[..., pooled_rows, :],
                band,
                [POOL, POOL],
                [POOL, POOL],
                [0, 0],
                True,
                True,
                None,
            )
        return outlines.square().mean()

    def _outlines(self, image: Tensor) -> Tensor:
        return _laplacian(LEVELS * (_pooled(image) - self.photo), wraps=self.wraps)


def _pooled(picture: Tensor) -> Tensor:
    bands = [
        F.avg_pool2d(to_unit(picture[..., rows, :]), POOL, ceil_mode=True)
        for rows, _ in _bands(picture.shape[-2])
    ]
    return torch.cat(bands, -2)


def _bands(height: int) -> Iterator[tuple[slice, slice]]:
    """Yield bands of rows, and where they are once pooled."""
    for top in range(0, height, BAND):
        yield slice(top, top + BAND), slice(top // POOL, (top + BAND) // POOL)


def _laplacian(picture: Tensor, *, wraps: bool) -> Tensor:
    around = F.pad(picture, (1, 1, 1, 1), mode="circular" if wraps else "replicate")
    rows, columns = around[..., 1:-1], around[..., 1:-1, :]
    return rows[..., :-2, :] + rows[..., 2:, :] + columns[..., :-2] + columns[..., 2:] - 4 * picture
