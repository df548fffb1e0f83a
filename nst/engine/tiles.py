"""Gram matrices of pictures that are too large for the network at once: tile by tile, and exact.

A position of the deepest layer, relu5_4, depends on the pixels around it only, so that a tile which
is cut out with `HALO` pixels around it has the activations of the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from nst.engine.losses import gram_matrix, normalized_gram_matrix
from nst.vgg.network import VGG

AT_ONCE = 2048 * 2048  # pixels; a larger picture goes in tiles
GRID = 16  # pixels from one position of block 5 to the next
HALO = 144  # pixels; a multiple of `GRID` above the reach of relu5_4, 126
TILE = 2048 - 2 * HALO  # pixels; a multiple of `GRID`


def gram_matrices(
    network: VGG, picture: Tensor, layers: Sequence[str]
) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the normalized Gram matrix of each layer of (1, 3, H, W)."""
    if picture.shape[-2] * picture.shape[-1] <= AT_ONCE:
        for layer, activation in network.walk(picture, layers):
            yield layer, normalized_gram_matrix(activation)
        return
    sums: dict[str, Tensor] = {}
    positions: dict[str, int] = {}
    for tile, rows, columns in _tiles(picture):
        for layer, activation in network.walk(tile, layers):
            stride = 2 ** (int(layer[len("relu")]) - 1)
            own = activation[..., _cut(rows, stride), _cut(columns, stride)]
            gram = gram_matrix(own)
            sums[layer] = sums[layer] + gram if layer in sums else gram
            positions[layer] = positions.get(layer, 0) + own.shape[-2] * own.shape[-1]
    for layer, gram in sums.items():
        yield layer, gram / positions[layer]


def _tiles(picture: Tensor) -> Iterator[tuple[Tensor, slice, slice]]:
    """Yield each tile with its halo, and which of its rows and columns of pixels are its own.

    The last ones reach to the picture's edge.
    """
    for top, y in _spans(picture.shape[-2]):
        for left, x in _spans(picture.shape[-1]):
            yield picture[..., top, left], y, x


def _spans(length: int) -> Iterator[tuple[slice, slice]]:
    """Yield the pixels of each tile along one side with its halo, and its own among them."""
    begins = range(0, max(1, length - GRID + 1), TILE)  # no tile is narrower than the grid
    for begin, end in zip(begins, [*begins[1:], length], strict=True):
        first, last = max(0, begin - HALO), min(length, end + HALO)
        yield slice(first, last), slice(begin - first, None if end == length else end - first)


def _cut(span: slice, stride: int) -> slice:
    """Return the positions of a layer whose pixels are `stride` apart."""
    return slice(span.start // stride, None if span.stop is None else span.stop // stride)
