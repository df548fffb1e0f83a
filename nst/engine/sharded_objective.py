"""J(G) and its gradient where the workers keep the tiles of G, and the part that a worker does.

Tiles are evaluated by the functions of `spread_objective`. A worker reads the halo of a tile from
the workers that keep its neighbours; these read the gradient of the halo. The process that drives
the workers has sums alone, and the base-size term.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nst.engine.base_term import HeldObjective
from nst.engine.costs import Costs, Measure
from nst.engine.minimization import CostAround, CostFunction, Iterate, Point, minimize
from nst.engine.settling import SHARES, first_near, lifted_change
from nst.engine.sharded_lbfgs import ShardedLBFGS
from nst.engine.sharding import (
    Halos,
    LatestCopy,
    Rectangle,
    ShardedPicture,
    SummedPicture,
    cut_out,
    make_picture,
)
from nst.engine.spread_objective import SpreadObjective, pull_tile
from nst.engine.tile_map import Handle, LostValueError
from nst.engine.tiles import Tile, WrappedTile

KEPT_EVERY = 10  # iterations; so often this process takes a copy of the picture
MOST_LOSSES = 3  # machines, without an iteration between


@dataclass(frozen=True)
class Reducer:
    """A tile's part of what resamples a picture to the base size."""

    place: Rectangle  # in the small picture
    rows: Tensor  # (h', h)
    columns: Tensor  # (w', w)

    def reduce(self, own: Tensor) -> Tensor:
        """Return what a tile adds to the small picture at its place, in float64."""
        return self.rows.double() @ own.double() @ self.columns.double().T

    def spread(self, gradient: Tensor) -> Tensor:
        """Return the transpose of that, of the whole small picture."""
        return self.rows.T @ gradient[(..., *self.place)] @ self.columns


class ShardedObjective(CostAround, CostFunction[ShardedPicture]):
    """An objective of pictures whose tiles are kept elsewhere: J, and the base-size term.

    `objective` says what is minimised, and has it of pictures that are here.
    """

    objective: SpreadObjective | HeldObjective

    def __init__(self, objective: SpreadObjective | HeldObjective) -> None:
        super().__init__(objective)
        self._held = objective if isinstance(objective, HeldObjective) else None
        full = objective.full if isinstance(objective, HeldObjective) else objective
        assert isinstance(full, SpreadObjective)
        self._full = full
        self.tile_map = full.tile_map
        self.halos = Halos(full.tiles)
        self.copy = LatestCopy(full.network.device)
        self._reducers = [
            self.tile_map.share(_reducer(self._held, tile)) if self._held else None
            for tile in full.tiles
        ]

    @property
    def side(self) -> int:
        """Return the side of a tile in pixels."""
        assert self._full.side is not None
        return self._full.side

    def place(self, image: Tensor) -> ShardedPicture:
        """Return a picture (1, 3, H, W) as the workers keep it."""
        own = (image[(..., *tile.place)].cpu().contiguous() for tile in self.halos.tiles)
        calls = ((self.tile_map.share(pixels),) for pixels in own)
        return make_picture(self.tile_map, self.halos, keep_tile, calls)

    def costs(self, image: ShardedPicture) -> Costs:
        """Return the costs of J alone, by the specification."""
        return self.objective.costs(self.copy.fetch(image))

    @torch.no_grad()
    def evaluate(
        self, image: ShardedPicture, measure: Measure[ShardedPicture] | None = None
    ) -> tuple[Costs, ShardedPicture]:
        """Return the costs at `image` and the gradient to follow there, as `Objective` does.

        Nothing is asked of `measure`.
        """
        full, halos, keep = self._full, self.halos, self.tile_map.keep
        its_costs, base = self._base_term(image)
        inputs = list(full.inputs(image.cuts()))
        terms, pulls = full.terms_of(inputs)
        calls = (
            (full.job, each, full.counted, *pulls, [piece.inside_cut(each.tile) for piece in seen])
            for each, seen in zip(inputs, halos.seen, strict=True)
        )
        pulled = keep(pull_pieces, calls, [len(seen) + 1 for seen in halos.seen])
        squares = [squares.get() for squares, *_ in pulled]
        gradients = self._added([pieces for _, *pieces in pulled])
        given = zip(gradients, self._reducers, [base] * len(inputs), strict=True)
        parts = keep(collect_gradient, given, [2] * len(inputs))
        del pulled, gradients
        steepest = torch.stack([most.get() for _, most in parts]).amax()  # NaN where one is
        costs = full.costs_of(terms, full.added(squares), steepest)
        if self._held and its_costs:
            costs = self._held.with_term(costs, its_costs)
        return costs, ShardedPicture(halos, [own for own, _ in parts])

    def _added(self, pieces: Sequence[Sequence[Handle[Tensor]]]) -> list[SummedPicture]:
        """Return what all tiles say about the pixels of each, in their order."""
        found: list[list[tuple[Rectangle, Handle[Tensor]]]] = [[] for _ in self.halos.tiles]
        for seen, handles in zip(self.halos.seen, pieces, strict=True):
            for piece, handle in zip(seen, handles, strict=True):
                place = piece.inside_own(self.halos.tiles[piece.source])
                found[piece.source].append((place, handle))
        return [
            SummedPicture(tile.own_shape, each)
            for tile, each in zip(self.halos.tiles, found, strict=True)
        ]

    def settled(self, image: ShardedPicture, iterations: int) -> Iterator[ShardedPicture]:
        """Yield what `nst.engine.settling.settled` does, of a picture that the workers keep."""
        held = self._held
        assert held, "a stage that is settled has a base-size term"
        change = lifted_change(held, self._reduced(held, image), iterations)
        for share in SHARES:
            shared = self.tile_map.share((share * change).cpu())
            calls = ((*each, shared) for each in zip(image.own, self._reducers, strict=True))
            yield make_picture(self.tile_map, self.halos, change_tile, calls)

    def _base_term(self, image: ShardedPicture) -> tuple[Costs | None, Handle[Tensor] | None]:
        """Return J_base and w times its gradient, at the base size."""
        held = self._held
        if held is None:
            return None, None
        costs, gradient = held.base.evaluate(self._reduced(held, image))
        return costs, self.tile_map.share(held.weight * gradient.to(held.rows).cpu())

    def _reduced(self, held: HeldObjective, image: ShardedPicture) -> Tensor:
        reduced = torch.zeros(1, 3, *held.base.size, dtype=torch.float64)
        calls = zip(self._reducers, image.own, strict=True)
        for place, part in self.tile_map.map(reduce_tile, calls):
            reduced[(..., *place)] += part
        return reduced.to(held.rows)


def sharded(objective: CostFunction, optimizer: str) -> ShardedObjective | None:
    """Return an objective of pictures that the workers keep; None where this process must.

    That is where the optimiser is not L-BFGS, and for terms that see more of a picture than tiles
    are sent: smoothness, outlines, seams, and inputs that are all grey.
    """
    full = objective.full if isinstance(objective, HeldObjective) else objective
    if not isinstance(full, SpreadObjective) or optimizer != "lbfgs":
        return None
    settings = full.settings
    has_more = settings.total_variation or settings.laplacian or full.is_grey
    if has_more or isinstance(full.tiles[0], WrappedTile):
        return None
    assert isinstance(objective, (SpreadObjective, HeldObjective))
    return ShardedObjective(objective)


@dataclass(frozen=True)
class ShardedIterate(Iterate[ShardedPicture]):
    """An iterate; where it `is_anew`, a machine was lost, and all pictures before with it."""

    is_anew: bool = False


@dataclass(frozen=True)
class Settling:
    """How a stage settles its base: by so many iterations, from a picture that costs so much."""

    iterations: int
    cost: float


def minimize_sharded(
    objective: ShardedObjective,
    start: Tensor | ShardedPicture,
    first_step: float,
    iterations: int,
    settling: Settling | None = None,
) -> Iterator[ShardedIterate]:
    """Yield what `minimize` does by L-BFGS, also when a machine is lost with the tiles it kept.

    The start is settled at its base size first where `settling` says so.
    It goes on from the best picture of up to `KEPT_EVERY` iterations before, of which
    `objective.copy` has a copy; what L-BFGS had learned is lost. Fetch iterates by
    `objective.copy`, as the last one may be lost after it is yielded. Raises `LostValueError` where
    the copy cannot be placed.
    """
    copy, picture = objective.copy, start
    done = losses = 0
    has_begun = False
    while not (has_begun and done == iterations):
        optimizer = ShardedLBFGS(
            objective.tile_map, objective.halos, objective.side, first_step=first_step
        )
        try:
            if not (has_begun or losses):
                copy.take(start)
            placed = picture if isinstance(picture, ShardedPicture) else objective.place(picture)
            begun: ShardedPicture | Point[ShardedPicture] = placed
            if settling and not has_begun:
                pictures = objective.settled(placed, settling.iterations)
                begun = first_near(pictures, objective, optimizer, settling.cost) or placed
            for number, iterate in enumerate(
                minimize(objective, begun, optimizer, iterations - done)
            ):
                if number == 0 and has_begun:
                    continue  # it was counted before
                yield ShardedIterate(iterate.point, iterate.best, is_anew=losses > 0)
                has_begun, done, losses = True, done + (number > 0), 0
                if number and done % KEPT_EVERY == 0:
                    copy.take(iterate.best.image)
        except LostValueError:
            losses += 1
            if copy.pixels is None or losses == MOST_LOSSES:
                raise
            picture = copy.pixels


@torch.no_grad()
def pull_pieces(*arguments: Any) -> tuple[Any, ...]:
    """Return a tile's squared residuals, and what it says about the pixels of each that it sees.

    The last argument has the places of these in its cut; the others are those of `pull_tile`.
    """
    *others, places = arguments
    squares, gradient = pull_tile(*others)
    return squares, *(gradient[(..., *place)].contiguous() for place in places)


def collect_gradient(
    gradient: Handle[Tensor], reducer: Handle[Reducer] | None, base: Handle[Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Return the gradient of a tile's own pixels, and its steepest entry without the base term."""
    own = gradient.get()
    steepest = torch.linalg.vector_norm(own, torch.inf)
    if reducer and base:
        own.add_(reducer.get().spread(base.get()))
    return own, steepest


def reduce_tile(reducer: Handle[Reducer], own: Handle[Tensor]) -> tuple[Rectangle, Tensor]:
    """Return what a tile adds to the picture at the base size, and where."""
    return reducer.get().place, reducer.get().reduce(own.get())


def change_tile(
    own: Handle[Tensor],
    reducer: Handle[Reducer],
    change: Handle[Tensor],
    places: Sequence[Rectangle],
) -> tuple[Tensor, ...]:
    """Return a tile's pixels with what a change of the base size spreads to them."""
    return cut_out(own.get() + reducer.get().spread(change.get()), places)


def keep_tile(own: Handle[Tensor], places: Sequence[Rectangle]) -> tuple[Tensor, ...]:
    """Return a tile's pixels, for this worker to keep, and what others see of them."""
    return cut_out(own.get().clone(), places)


def _reducer(held: HeldObjective, tile: Tile) -> Reducer:
    rows, columns = (
        matrix[:, pixels].cpu()
        for matrix, pixels in zip((held.rows, held.columns), tile.place, strict=True)
    )
    place = _extent(rows), _extent(columns)
    return Reducer(place, rows[place[0]].clone(), columns[place[1]].clone())


def _extent(matrix: Tensor) -> slice:
    """Return from the first to the last row that is not 0."""
    places = matrix.any(1).nonzero().flatten().tolist()
    return slice(places[0], places[-1] + 1)
