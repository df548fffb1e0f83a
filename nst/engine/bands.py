"""Go through very large pictures by bands of rows: what is worked out of them stays small."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

BAND = 2**24  # values; a picture of 2048 x 2048 pixels is one band


def bands(*pictures: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield views of the same rows of pictures of one size, (1, n_C, H, W)."""
    first = pictures[0]
    rows = max(1, BAND // (first.shape[-3] * first.shape[-1]))
    for top in range(0, first.shape[-2], rows):
        yield tuple(picture[..., top : top + rows, :] for picture in pictures)


def total(values: Iterable[Tensor]) -> Tensor:
    """Return the sum of at least one tensor, in their order."""
    return functools.reduce(torch.add, values)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the dot product of two pictures of one size, 0-dimensional."""
    return total((x * y).sum() for x, y in bands(a, b))
