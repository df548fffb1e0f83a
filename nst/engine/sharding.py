"""Pictures whose tiles are kept by the workers that a `TileMap` calls.

A tile and the parts of it that other tiles see are separate values, so that only halos travel from
one worker to another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nst.engine.tile_map import Handle, LostValueError, TileMap
from nst.engine.tiles import Span, Tile

Rectangle = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True, eq=False)
class Piece:
    """A rectangle of the whole picture: own pixels of tile `source` that tile `target` sees."""

    source: int
    target: int
    rows: slice
    columns: slice

    def inside_own(self, tile: Tile) -> Rectangle:
        """Return where it is in the own pixels of a tile."""
        return _moved(self.rows, tile.rows.begin), _moved(self.columns, tile.columns.begin)

    def inside_cut(self, tile: Tile) -> Rectangle:
        """Return where it is in a tile with its halo."""
        return _moved(self.rows, tile.rows.first), _moved(self.columns, tile.columns.first)


class Halos:
    """The pieces that the tiles of a picture, in row-major order, see of one another."""

    def __init__(self, parts: Sequence[Tile]) -> None:
        self.tiles = parts
        columns = [tile.columns for tile in parts if tile.rows == parts[0].rows]
        rows = [tile.rows for tile in parts[:: len(columns)]]
        seen = [
            (_overlaps(row, rows), _overlaps(column, columns)) for row in rows for column in columns
        ]
        self.seen = [
            [
                Piece(i * len(columns) + j, target, its_rows, its_columns)
                for i, its_rows in down
                for j, its_columns in across
            ]
            for target, (down, across) in enumerate(seen)
        ]
        """The pieces that each tile sees, its own among them, in the order of the sources."""

        self.shown: list[list[Piece]] = [[] for _ in parts]
        """The pieces of each tile that others and itself see, in the order of the targets."""

        for pieces in self.seen:
            for piece in pieces:
                self.shown[piece.source].append(piece)

    @property
    def size(self) -> tuple[int, int]:
        """Return the height and width of the picture."""
        return self.tiles[-1].rows.end, self.tiles[-1].columns.end

    def sent(self, number: int) -> list[Rectangle]:
        """Return the places, in a tile's own pixels, of the pieces that others see."""
        tile = self.tiles[number]
        return [piece.inside_own(tile) for piece in self.shown[number] if piece.target != number]


@dataclass(frozen=True, eq=False)
class ShardedPicture:
    """A picture (N, n, H, W) whose tiles are kept by workers.

    `own` has the pixels of each tile, `sent` what others see of it, in the order of `Halos.shown`;
    without the latter, pixels are seen by their own tile alone.
    """

    halos: Halos
    own: Sequence[Handle[Tensor]]
    sent: Sequence[Sequence[Handle[Tensor]]] = ()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return that of a picture."""
        return (1, 3, *self.halos.size)

    def cuts(self) -> list[AssembledPicture]:
        """Return each tile with its halo, to be put together where it is asked for."""
        handles: dict[tuple[int, int], Handle[Tensor]] = {}
        for source, (shown, sent) in enumerate(zip(self.halos.shown, self.sent, strict=True)):
            others = (piece.target for piece in shown if piece.target != source)
            handles |= {
                (source, target): handle for target, handle in zip(others, sent, strict=True)
            }
            handles[source, source] = self.own[source]
        return [
            AssembledPicture(
                tile.shape,
                [(piece.inside_cut(tile), handles[piece.source, piece.target]) for piece in pieces],
            )
            for tile, pieces in zip(self.halos.tiles, self.halos.seen, strict=True)
        ]

    def gather(self) -> Tensor:
        """Return the whole picture."""
        places = (tile.place for tile in self.halos.tiles)
        return AssembledPicture(self.halos.size, list(zip(places, self.own, strict=True))).get()


@dataclass(frozen=True, eq=False)
class AssembledPicture(Handle[Tensor]):
    """A picture that is put together where it is asked for, of pieces that do not overlap."""

    shape: tuple[int, int]
    pieces: Sequence[tuple[Rectangle, Handle[Tensor]]]

    def get(self) -> Tensor:
        """Return (N, n, H, W)."""
        values = [(place, handle.get()) for place, handle in self.pieces]
        whole = values[0][1].new_empty((*values[0][1].shape[:-2], *self.shape))
        for place, piece in values:
            whole[(..., *place)] = piece
        return whole


@dataclass(frozen=True, eq=False)
class SummedPicture(Handle[Tensor]):
    """A picture that is added up where it is asked for, of pieces that overlap, in their order."""

    shape: tuple[int, int]
    pieces: Sequence[tuple[Rectangle, Handle[Tensor]]]

    def get(self) -> Tensor:
        """Return (N, n, H, W)."""
        whole: Tensor | None = None
        for place, handle in self.pieces:
            piece = handle.get()
            if whole is None:
                whole = piece.new_zeros((*piece.shape[:-2], *self.shape))
            whole[(..., *place)].add_(piece)
        assert whole is not None, "a tile sees itself"
        return whole


class LatestCopy:
    """The latest copy of a picture that workers keep, which replaces one that is lost.

    Pictures are fetched to `device`; the copy is on the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.pixels: Tensor | None = None

    def take(self, picture: Tensor | ShardedPicture) -> None:
        """Copy a whole picture to this process. Raises `LostValueError`."""
        self.pixels = picture.gather() if isinstance(picture, ShardedPicture) else picture.cpu()

    def fetch(self, picture: Tensor | ShardedPicture) -> Tensor:
        """Return a whole picture, or the latest copy where a machine is lost with a part of it."""
        if isinstance(picture, Tensor):
            return picture
        try:
            return picture.gather().to(self._device)
        except LostValueError:
            if self.pixels is None:
                raise
            return self.pixels.to(self._device)

    def release(self, picture: Tensor | ShardedPicture) -> Tensor:
        """Return what `fetch` does, and let go of the copy."""
        found = self.fetch(picture)
        self.pixels = None
        return found


def cut_out(own: Tensor, places: Sequence[Rectangle]) -> tuple[Tensor, ...]:
    """Return the own pixels of a tile, and what others see of them."""
    return own, *(own[(..., *place)].contiguous() for place in places)


def make_picture(
    tile_map: TileMap,
    halos: Halos,
    work: Callable[..., tuple[Tensor, ...]],
    calls: Iterable[tuple[Any, ...]],
) -> ShardedPicture:
    """Make a call for each tile, which keeps its own pixels; return them all as a picture.

    Each call is given one argument more, the places that `cut_out` needs.
    """
    sent = [halos.sent(number) for number in range(len(halos.tiles))]
    given = ((*call, places) for call, places in zip(calls, sent, strict=True))
    parts = tile_map.keep(work, given, [1 + len(places) for places in sent])
    return ShardedPicture(halos, [own for own, *_ in parts], [others for _, *others in parts])


def _overlaps(span: Span, spans: Sequence[Span]) -> list[tuple[int, slice]]:
    """Return which spans have own pixels in a span and its halo, and which these are."""
    both = [(max(span.first, each.begin), min(span.last, each.end)) for each in spans]
    return [(number, slice(*ends)) for number, ends in enumerate(both) if ends[0] < ends[1]]


def _moved(pixels: slice, by: int) -> slice:
    return slice(pixels.start - by, pixels.stop - by)
