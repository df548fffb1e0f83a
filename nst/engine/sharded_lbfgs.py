"""L-BFGS of a picture whose tiles are kept by many workers, and the part that a worker does.

The direction is that of `compact_lbfgs`: a linear combination of vectors whose coefficients follow
from their dot products. Each worker keeps its tiles of the pairs and returns dot products. This
process sums them in float64, in the order of the tiles, and sends coefficients. Only the halo that
the preconditioner sees travels from tile to tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from nst.engine.compact_lbfgs import first_coefficients, second_coefficients
from nst.engine.local_smoothing import REACH, smooth_locally
from nst.engine.losses import widened
from nst.engine.optimizers import (
    FIRST_STEP,
    HISTORY,
    LARGEST_STEP,
    LEAST_CURVATURE,
    NARROW_FROM,
    LBFGSSteps,
    held_at_bounds,
)
from nst.engine.sharding import Halos, Rectangle, ShardedPicture, cut_out, make_picture
from nst.engine.tile_map import Handle, TileMap
from nst.engine.tiles import Tile, tiles_with_halo

Shard = Handle[Tensor]  # a tile's own part of a vector, (1, 3, h, w)
Shards = list[Shard]  # of all tiles


class ShardedLBFGS(LBFGSSteps[ShardedPicture]):
    """`BoxLBFGS` of pictures whose tiles are kept elsewhere, with a preconditioner that is local.

    `halos` are those of the pictures, `side` that of a tile in pixels.
    """

    def __init__(
        self,
        tile_map: TileMap,
        halos: Halos,
        side: int,
        *,
        history: int = HISTORY,
        first_step: float = FIRST_STEP,
    ) -> None:
        super().__init__(first_step)
        self._map, self._halos = tile_map, halos
        self._values = 3 * math.prod(halos.size)
        self._smoothed = Halos(tiles_with_halo(halos.size, side, REACH))
        self._history = history
        self._forget()

    @override
    def _forget(self) -> None:
        self._pairs: list[tuple[Shards, Shards]] = []  # s and y, the oldest first
        self._SY = torch.zeros(0, 0, dtype=torch.float64)  # S Yᵀ

    @override
    def measure(self, image: ShardedPicture, gradient: ShardedPicture) -> list[Tensor]:
        """Return nothing: a step finds out for itself."""
        return []

    @override
    def _learn(
        self, image: ShardedPicture, gradient: ShardedPicture, measured: Sequence[float] = ()
    ) -> bool:
        if self.previous is None:
            return False
        dtype = torch.bfloat16 if self._values > NARROW_FROM else None
        first = max(0, len(self._pairs) + 1 - self._history)  # of the pairs that stay
        pairs, m = self._pairs[first:], len(self._pairs) - first
        before = (each.own for each in self.previous)
        calls = zip(image.own, gradient.own, *before, *self._by_tile(pairs), strict=True)
        s, y, dots = self._kept(learn_pair, ((dtype, *call) for call in calls), 3)
        curvature, length, *others = _summed(dots)
        if curvature <= LEAST_CURVATURE * length:
            return False
        SY = self._SY.new_empty(m + 1, m + 1)
        SY[:m, :m] = self._SY[first:, first:]
        SY[m, m] = curvature
        SY[m, :m], SY[:m, m] = torch.tensor(others, dtype=SY.dtype).view(2, m)
        self._SY, self._pairs = SY, [*pairs, (s, y)]
        return True

    @override
    def _next(self, image: ShardedPicture, gradient: ShardedPicture) -> ShardedPicture:
        direction, squares = self._direction(image, gradient)
        rms = max((float(squares) / self._values) ** 0.5, 1e-30)
        factor = 1.0 if self._pairs else self.first_step / rms
        factor *= self.caution * min(1.0, LARGEST_STEP / (factor * rms))
        calls = ((*each, factor) for each in zip(image.own, direction, strict=True))
        return make_picture(self._map, self._halos, move_tile, calls)

    def _direction(self, image: ShardedPicture, gradient: ShardedPicture) -> tuple[Shards, Tensor]:
        """Return −H · gradient but for pixels that are held at a bound, and its square."""
        at = list(zip(image.own, gradient.own, strict=True))
        if not self._pairs:
            direction, squares = self._kept(negate_gradient, at, 2)
            return direction, _summed(squares)[0]
        S, Y = self._by_tile(self._pairs)
        (Sq,) = self._kept(project_gradient, zip(at, S, strict=True), 1)
        alpha = first_coefficients(self._SY, _summed(Sq))
        calls = ((*call, alpha.tolist()) for call in zip(at, Y, strict=True))
        q = make_picture(self._map, self._smoothed, deflect_gradient, calls)
        smoothed = zip(self._smoothed.tiles, q.cuts(), Y, strict=True)
        r, dots = self._kept(smooth_tile, smoothed, 2)
        products = _summed(dots)
        scale = self._SY[-1, -1] / products[0]
        delta = second_coefficients(self._SY, alpha, scale * products[1:])
        given = (float(scale), delta.tolist())
        combined = ((*call, *given) for call in zip(at, r, S, strict=True))
        direction, squares = self._kept(combine_direction, combined, 2)
        return direction, _summed(squares)[0]

    def _by_tile(self, pairs: Sequence[tuple[Shards, Shards]]) -> tuple[list[Shards], list[Shards]]:
        """Return each tile's parts of all s, and of all y."""
        numbers = range(len(self._halos.tiles))
        S = [[s[number] for s, _ in pairs] for number in numbers]
        Y = [[y[number] for _, y in pairs] for number in numbers]
        return S, Y

    def _kept(
        self, work: Callable[..., Sequence[Any]], calls: Iterable[tuple[Any, ...]], count: int
    ) -> list[list[Handle[Any]]]:
        """Make a call for each tile; return the handles of each of its values, by value."""
        counts = [count] * len(self._halos.tiles)
        return [list(each) for each in zip(*self._map.keep(work, calls, counts), strict=True)]


PixelsAndGradient = tuple[Shard, Shard]  # a tile's pixels and their gradient


def learn_pair(
    dtype: torch.dtype | None,
    image: Shard,
    gradient: Shard,
    old_image: Shard,
    old_gradient: Shard,
    S: Sequence[Shard],
    Y: Sequence[Shard],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a tile's s and y, and their dot products: y·s, s·s, s with all y, y with all s."""
    s, y = image.get() - old_image.get(), gradient.get() - old_gradient.get()
    first = [dot(y, s), dot(s, s)]
    if dtype is not None:
        s, y = s.to(dtype), y.to(dtype)
    dots = [*first, *(dot(s, each.get()) for each in Y), *(dot(each.get(), y) for each in S)]
    return s, y, torch.stack(dots)


def negate_gradient(image: Shard, gradient: Shard) -> tuple[Tensor, Tensor]:
    """Return −gradient of a tile but for pixels that are held, and its square."""
    q, _ = _start((image, gradient))
    return q, dot(q, q)[None]


def project_gradient(at: PixelsAndGradient, S: Sequence[Shard]) -> list[Tensor]:
    """Return a tile's part of S q."""
    q, _ = _start(at)
    return [torch.stack([dot(s.get(), q) for s in S])]


def deflect_gradient(
    at: PixelsAndGradient, Y: Sequence[Shard], alpha: Sequence[float], places: Sequence[Rectangle]
) -> tuple[Tensor, ...]:
    """Return a tile of q − Σ αᵢ yᵢ and of the latest y, (2, 3, h, w), and what others see of it."""
    q, _ = _start(at)
    for coefficient, each in zip(alpha, Y, strict=True):
        y = each.get()
        q.sub_(y, alpha=coefficient)
    return cut_out(torch.cat([q, y.to(q.dtype)]), places)


def smooth_tile(tile: Tile, cut: Shard, Y: Sequence[Shard]) -> tuple[Tensor, Tensor]:
    """Return a tile of r, smoothed, and dot products: of the latest y with it smoothed, and Y r."""
    smoothed = smooth_locally(cut.get())[..., tile.rows.own(1), tile.columns.own(1)]
    r, latest = smoothed[:1].clone(), smoothed[1:]
    vectors = [y.get() for y in Y]
    return r, torch.stack([dot(vectors[-1], latest), *(dot(y, r) for y in vectors)])


def combine_direction(
    at: PixelsAndGradient, r: Shard, S: Sequence[Shard], scale: float, delta: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Return scale · r + Σ δᵢ sᵢ of a tile but for pixels that are held, and its square."""
    _, held = _start(at)
    direction = scale * r.get()
    for coefficient, s in zip(delta, S, strict=True):
        direction.add_(s.get(), alpha=coefficient)
    direction.masked_fill_(held, 0)
    return direction, dot(direction, direction)[None]


def move_tile(
    image: Shard, direction: Shard, factor: float, places: Sequence[Rectangle]
) -> tuple[Tensor, ...]:
    """Return a tile's next pixels, inside the box, and what others see of them."""
    return cut_out(image.get().add(direction.get(), alpha=factor).clamp_(0, 1), places)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the dot product, 0-dimensional, of products in at least float32 summed in float64."""
    return (widened(a) * b).sum(dtype=torch.float64)


def _start(at: PixelsAndGradient) -> tuple[Tensor, Tensor]:
    """Return −gradient with 0 where a pixel is held at a bound, and where that is."""
    image, gradient = (each.get() for each in at)
    held = held_at_bounds(image, gradient)
    return gradient.masked_fill(held, 0).neg_(), held


def _summed(parts: Sequence[Handle[Tensor]]) -> Tensor:
    """Return the sum of what tiles say, in their order."""
    total = parts[0].get().clone()
    for part in parts[1:]:
        total += part.get()
    return total
