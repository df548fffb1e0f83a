"""Pictures that are too large for the network at once, cut into tiles; and exact all the same.

A position of a layer depends on the pixels within its `reach` only. So a tile that is cut out with
a halo of so many pixels around it has the activations of the whole picture at its own positions,
and what these say about the pixels ends inside the halo.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.engine.windows import Window, seen_through, windows_of
from nst.images.tensors import to_unit
from nst.settings import LAYER_CHANNELS
from nst.vgg.network import VGG

AT_ONCE = 2048 * 2048  # pixels; a larger painting goes in tiles
GRID = 16  # pixels from one position of block 5 to the next; where tiles may begin
SIDE = 1024  # pixels of a tile of a painting, without its halo; a multiple of `GRID`


def stride(layer: str) -> int:
    """Return the pixels from one position of a layer to the next."""
    return 1 << (int(layer[len("relu")]) - 1)


def reach(layers: Iterable[str]) -> int:
    """Return how many pixels beyond its own a position of the deepest of some layers sees."""
    names = list(LAYER_CHANNELS)
    deepest = max(map(names.index, layers))
    return sum(map(stride, names[: deepest + 1]))  # each convolution sees one position further


def halo_of(layers: Iterable[str]) -> int:
    """Return the pixels around a tile for the deepest of some layers, a multiple of `GRID`."""
    return -(-reach(layers) // GRID) * GRID


@dataclass(frozen=True)
class Span:
    """The rows, or the columns, of a tile: its own pixels, and those with the halo around them."""

    begin: int
    end: int
    first: int
    last: int
    is_at_end: bool  # of the picture

    @property
    def cut(self) -> slice:
        """Return the pixels of the tile with its halo, in the whole picture."""
        return slice(self.first, self.last)

    @property
    def place(self) -> slice:
        """Return the tile's own pixels, in the whole picture."""
        return slice(self.begin, self.end)

    def own(self, stride: int) -> slice:
        """Return the tile's own positions of a layer, in what was made of its cut.

        The last tile has whatever is left at the picture's edge.
        """
        begin, end = self.begin - self.first, self.end - self.first
        return slice(begin // stride, None if self.is_at_end else end // stride)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture, with a halo around it as far as the picture goes."""

    rows: Span
    columns: Span

    def cut(self, picture: Tensor) -> Tensor:
        """Return the tile and its halo of (1, n, H, W)."""
        return picture[..., self.rows.cut, self.columns.cut]

    def add(self, picture: Tensor, values: Tensor) -> None:
        """Add values for the tile and its halo to those of (1, n, H, W)."""
        self.cut(picture).add_(values)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the height and width of the tile with its halo."""
        return self.rows.last - self.rows.first, self.columns.last - self.columns.first

    @property
    def own_shape(self) -> tuple[int, int]:
        """Return the height and width of the tile's own pixels."""
        return self.rows.end - self.rows.begin, self.columns.end - self.columns.begin

    @property
    def place(self) -> tuple[slice, slice]:
        """Return the rows and columns of the tile's own pixels, in the whole picture."""
        return self.rows.place, self.columns.place

    def own(self, activation: Tensor, layer: str) -> Tensor:
        """Return a view of the tile's own positions in what a layer makes of its cut."""
        step = stride(layer)
        return activation[..., self.rows.own(step), self.columns.own(step)]


@dataclass(frozen=True)
class WrappedTile(Tile):
    """A tile of a seamless picture: its halo goes on at the opposite edge."""

    def cut(self, picture: Tensor) -> Tensor:
        """Return the tile and its halo of (1, n, H, W), as a copy."""
        rows, columns = self._indices(picture)
        return picture[..., rows[:, None], columns]

    def add(self, picture: Tensor, values: Tensor) -> None:
        """Add values for the tile and its halo, which may see a pixel more than once."""
        rows, columns = self._indices(picture)
        wide = values.new_zeros((*values.shape[:-1], picture.shape[-1]))
        picture.index_add_(2, rows, wide.index_add_(3, columns, values))

    def _indices(self, picture: Tensor) -> list[Tensor]:
        return [
            self._inside(torch.arange(span.first, span.last, device=picture.device), length)
            for span, length in zip((self.rows, self.columns), picture.shape[-2:], strict=True)
        ]

    def _inside(self, places: Tensor, length: int) -> Tensor:
        """Return which of `length` pixels are seen at some places, in or beyond them."""
        return places % length


@dataclass(frozen=True)
class MirroredTile(WrappedTile):
    """A tile of a picture that is mirrored at its edges: no position sees where it ends."""

    def _inside(self, places: Tensor, length: int) -> Tensor:
        """Return the same as `WrappedTile` does."""
        places = places % (2 * length)
        return torch.minimum(places, 2 * length - 1 - places)


def tiles(
    size: Sequence[int], side: int, layers: Iterable[str], kind: type[Tile] = Tile
) -> list[Tile]:
    """Return the tiles of a picture of (height, width) pixels, as some layers need them.

    Tiles have `side` pixels, a multiple of `GRID`; the last ones of a row or a column have what is
    left. The sides of a seamless picture, for `WrappedTile`, are multiples of `GRID`.
    """
    return tiles_with_halo(size, side, halo_of(layers), kind)


def tiles_with_halo(
    size: Sequence[int], side: int, halo: int, kind: type[Tile] = Tile
) -> list[Tile]:
    """Return the same with a halo of so many pixels, a multiple of `GRID`."""
    spans = _spans if kind is Tile else _endless_spans
    height, width = size
    return [
        kind(rows, columns)
        for rows in spans(height, side, halo)
        for columns in spans(width, side, halo)
    ]


def _spans(length: int, side: int, halo: int) -> Iterator[Span]:
    begins = range(0, max(1, length - GRID + 1), side)  # no tile is narrower than the grid
    width = side + halo * min(2, len(begins) - 1)  # alike: layouts are made for each size
    for begin, end in zip(begins, [*begins[1:], length], strict=True):
        highest = (length - width) // GRID * GRID
        first = max(0, min(begin - halo, highest))
        last = length if end == length else max(end + halo, first + width)
        yield Span(begin, end, first, min(length, last), end == length)


def _endless_spans(length: int, side: int, halo: int) -> Iterator[Span]:
    for begin in range(0, length, side):
        end = min(length, begin + side)
        yield Span(begin, end, begin - halo, end + halo, is_at_end=False)


def activations_in_parts(
    network: VGG,
    picture: Tensor,
    layers: Sequence[str],
    *,
    side: int | None = None,
    is_endless: bool = False,
    within: Tensor | None = None,
) -> Iterator[tuple[str, Tensor, Window | None]]:
    """Yield layers' names and activations (1, n_C, h, w) of (1, 3, H, W), each position once.

    A picture with more pixels than a tile of `side` goes in tiles; without a side, one of more than
    `AT_ONCE`. Of an endless one nothing is seen of the zeros that VGG-19 puts around a picture.
    `within` has the weights of the pixels, (1, 1, H, W) bytes; with it come the windows of what has
    a weight.
    """
    size = picture.shape[-2:]
    if is_endless:
        parts = tiles(size, side or SIDE, layers, MirroredTile)
    elif math.prod(size) > (side * side if side else AT_ONCE):
        parts = tiles(size, side or SIDE, layers)
    elif within is not None:
        parts = tiles(size, -(-max(size) // GRID) * GRID, layers)
    else:
        for layer, activation in network.walk(to_unit(picture), layers):
            yield layer, activation, None
        return
    for tile in parts:
        windows = None
        if within is not None:
            weights = within[(..., *tile.place)].double() / 255
            windows = windows_of(network, weights, layers)
        for _, layer, activation in sweep(network, picture, layers, [tile]):
            for window in seen_through(windows, layer):
                yield layer, activation, window


def sweep(
    network: VGG, picture: Tensor, layers: Iterable[str], parts: Iterable[Tile]
) -> Iterator[tuple[Tile, str, Tensor]]:
    """Yield each tile with a layer's name and its own activations there, (1, n_C, h, w)."""
    wanted = list(layers)
    for tile in parts:
        for layer, activation in network.walk(to_unit(tile.cut(picture)), wanted):
            yield tile, layer, contiguous(tile.own(activation, layer))


def contiguous(activation: Tensor) -> Tensor:
    """Return activations in the layout of the network's own."""
    return activation.contiguous(memory_format=torch.channels_last)
