"""J(G) of a picture whose tiles are evaluated by many workers, and the part that a worker does.

A worker is sent the pixels of its tiles with their halos, and the derivatives of J by the Gram
matrices. It returns Gram matrices, and the gradient of those pixels. Sums are taken in an order
that the tiles alone decide, Gram matrices in float64: with the same tiles the result has the same
bits, however many workers there are, if they compute alike.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from nst.caches import LRUCache
from nst.engine.costs import Costs
from nst.engine.devices import pick_device
from nst.engine.fingerprint import bytes_of
from nst.engine.finite import finite
from nst.engine.layer_statistics import LayerSums, accumulate
from nst.engine.losses import widened
from nst.engine.objective import NO_SCENE, Sums
from nst.engine.regions import Regions
from nst.engine.style_terms import Pull, Term
from nst.engine.tile_map import Handle, TileMap
from nst.engine.tiled_objective import (
    KEPT_TARGET,
    KEPT_WINDOWS,
    Squares,
    TiledObjective,
    bytes_of_windows,
    pull_tile_back,
)
from nst.engine.tiles import Tile, contiguous
from nst.engine.windows import Window, Windows, seen_through, windows_of
from nst.images.tensors import to_unit
from nst.provenance import Provenance, provenance_of
from nst.settings import TransferSettings
from nst.vgg.network import VGG
from nst.vgg.weights import VGGWeights

FAN_IN = 8  # sums that are added by one call

Counted = Mapping[str, Sequence[int]]  # the regions that count, by style layer
Matrices = dict[tuple[int, str], Tensor]  # the pulls of Gram matrices by region and layer
Pulls = tuple[dict[str, float], Handle[Matrices]]  # slopes and matrices of `pull_tile`


@dataclass(frozen=True, eq=False)
class TileJob:
    """The network and the layers that all tiles of an objective share; workers keep them."""

    weights: VGGWeights
    pooling: str
    dtype: torch.dtype
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    device: str  # of each worker, as `pick_device` has it

    @property
    def network(self) -> VGG:
        """Return the network on the device of this process."""
        return _network_of(self)


@functools.lru_cache(maxsize=2)  # a run's, and the one of its last costs in float32
def _network_of(job: TileJob) -> VGG:
    return VGG(job.weights, pooling=job.pooling, device=pick_device(job.device), dtype=job.dtype)


@dataclass(frozen=True, eq=False)
class TileInputs:
    """The inputs of the evaluation of a tile: handles of pixels (1, 3, H, W), halo included."""

    tile: Tile
    photo: Handle[Tensor]
    regions: Handle[Regions] | None  # at the tile's own pixels; None for all of the photo
    pixels: Handle[Tensor]  # of the picture


_windows: LRUCache[tuple[TileJob, Tile], list[Windows | None]] = LRUCache(
    KEPT_WINDOWS, bytes_of_windows
)
"""Where the regions are in tiles, of this process."""

_targets: LRUCache[tuple[TileJob, Tile], dict[str, Tensor]] = LRUCache(
    KEPT_TARGET, lambda target: bytes_of(*target.values())
)
"""The photo's own activations at tiles, of this process."""


@dataclass(frozen=True)
class TileSums:
    """A tile's part of the sums of a picture, on the CPU."""

    grams: Sums
    squares: Squares  # of the residuals

    @property
    def in_float64(self) -> TileSums:
        """Return the same in float64."""
        grams = {key: LayerSums(sums.total, sums.gram.double()) for key, sums in self.grams.items()}
        return TileSums(grams, {layer: each.double() for layer, each in self.squares.items()})

    def __add__(self, other: TileSums) -> TileSums:
        grams = dict(self.grams)
        for key, sums in other.grams.items():
            accumulate(grams, key, sums)
        squares = {layer: each + other.squares[layer] for layer, each in self.squares.items()}
        return TileSums(grams, squares)


def _places(
    job: TileJob, inputs: TileInputs, counted: Counted, layer: str
) -> Iterator[tuple[int, Window | None]]:
    """Yield the regions that count at a layer, with where they are in a tile."""

    def make() -> list[Windows | None]:
        assert inputs.regions is not None, "only masks make windows"
        weights = inputs.regions.get().weights()
        return [windows_of(job.network, each, job.style_layers) for each in weights]

    windows = _windows.recall((job, inputs.tile), make) if inputs.regions else [None]
    for number in counted.get(layer, ()):
        for window in seen_through(windows[number], layer):
            yield number, window


def _target(job: TileJob, tile: Tile, photo: Handle[Tensor]) -> dict[str, Tensor]:
    """Return the photo's activations at a tile's own positions; `photo` is its cut."""

    def make() -> dict[str, Tensor]:
        cut = photo.get().to(job.network.device)
        return {
            layer: contiguous(finite(tile.own(activation, layer), NO_SCENE))
            for layer, activation in job.network.walk(to_unit(cut), job.content_layers)
        }

    return _targets.recall((job, tile), make)


@torch.no_grad()
def count_target(job: Handle[TileJob], tile: Tile, photo: Handle[Tensor]) -> dict[str, int]:
    """Return the number of the photo's activations at a tile, by content layer."""
    return {name: each.numel() for name, each in _target(job.get(), tile, photo).items()}


@torch.no_grad()
def sum_tile(
    job: Handle[TileJob], inputs: TileInputs, counted: Counted, *, with_squares: bool = False
) -> TileSums:
    """Return the sums of a tile's own positions; those of residuals where they are asked for."""
    own, tile = job.get(), inputs.tile
    target = _target(own, tile, inputs.photo) if with_squares else {}
    grams, squares = Sums(), Squares()
    pixels = to_unit(inputs.pixels.get().to(own.network.device))
    for layer, activation in own.network.walk(pixels, {*counted, *target}):
        seen = contiguous(tile.own(activation, layer))
        for number, window in _places(own, inputs, counted, layer):
            sums = LayerSums.of_gram(seen, window)
            grams[number, layer] = LayerSums(sums.total, sums.gram.cpu())
        if layer in target:
            squares[layer] = (widened(seen) - widened(target[layer])).square().sum().cpu()
    return TileSums(grams, squares)


def kept_sums(*arguments: Any, **options: Any) -> list[TileSums]:
    """Return what `sum_tile` does, to be kept where it is made."""
    return [sum_tile(*arguments, **options)]


def add_sums(*parts: Handle[TileSums]) -> list[TileSums]:
    """Return the sum of some sums, in float64 and in their order."""
    return [functools.reduce(TileSums.__add__, (part.get().in_float64 for part in parts))]


@torch.no_grad()
def pull_tile(
    job: Handle[TileJob],
    inputs: TileInputs,
    counted: Counted,
    slopes: Mapping[str, float],
    matrices: Handle[Matrices],
) -> tuple[Squares, Tensor]:
    """Return a tile's squared residuals, and the gradient of the pixels of its cut.

    `slopes` are those of the content layers, `matrices` the pulls of the style layers.
    """
    own, network, tile = job.get(), job.get().network, inputs.tile
    target = _target(own, tile, inputs.photo)
    trace = network.observe(inputs.pixels.get().to(network.device), {*counted, *slopes})
    squares, content_pulls = {}, {}
    for layer, slope in slopes.items():
        residual = widened(tile.own(trace.activations[layer], layer)) - widened(target[layer])
        squares[layer] = residual.square().sum().cpu()
        content_pulls[layer] = slope * residual
    pulls = {key: Pull(matrix.to(network.device)) for key, matrix in matrices.get().items()}

    def add_style(layer: str, place: Tensor, seen: Tensor) -> None:
        for number, window in _places(own, inputs, counted, layer):
            pulls[number, layer].add(place, seen, window)

    return squares, pull_tile_back(network, tile, trace, content_pulls, add_style).cpu()


def provenance_of_worker(device: str, dtype: torch.dtype) -> Provenance:
    """Return the provenance of what a worker paints on a device, one of `DEVICES`, in `dtype`."""
    return provenance_of(pick_device(device), dtype)


def can_be_spread(settings: TransferSettings) -> bool:
    """Tell whether `SpreadObjective` knows the style costs: Gram matrices alone."""
    return not {*settings.used_style_costs} - {"gram"}


class SpreadObjective(TiledObjective):
    """`TiledObjective` whose tiles are evaluated by a `TileMap`.

    Style targets are in this process. Pictures and gradients are, too, unless a `ShardedObjective`
    has the workers keep them. Only for settings that `can_be_spread` accepts.
    """

    def __init__(
        self,
        network: VGG,
        content: Tensor,
        styles: Sequence[Tensor],
        settings: TransferSettings,
        side: int | None = None,
        regions: Regions | None = None,
        *,
        tile_map: TileMap,
    ) -> None:
        self.tile_map = tile_map
        super().__init__(network, content, styles, settings, side, regions)

    @override
    def _take_photo(self, content: Tensor) -> None:
        network, map_ = self.network, self.tile_map
        content_layers = tuple(self.settings.content_weights)
        style_layers = tuple(self.settings.style_layers)
        job = TileJob(
            network.weights,
            network.pooling,
            network.dtype,
            content_layers,
            style_layers,
            map_.device,
        )
        self.job = map_.share(job, is_lasting=True)
        self._photo = [map_.share(tile.cut(content).cpu().contiguous()) for tile in self.tiles]
        calls = ((self.job, *each) for each in zip(self.tiles, self._photo, strict=True))
        self._regions = [
            None if self.regions.is_whole else map_.share(self._regions_at(tile))
            for tile in self.tiles
        ]
        self.numels = dict.fromkeys(content_layers, 0)
        for counts in map_.map(count_target, calls):
            for layer, count in counts.items():
                self.numels[layer] += count

    def _regions_at(self, tile: Tile) -> Regions:
        """Return the regions of a tile's own pixels."""
        masks, keep = (
            None if each is None else each[(..., *tile.place)].cpu().contiguous()
            for each in (self.regions.masks, self.regions.keep)
        )
        return replace(self.regions, masks=masks, keep=keep, within=())

    @functools.cached_property
    def counted(self) -> Counted:
        """Return the regions that count at each style layer."""
        return {
            layer: tuple(number for number, terms in self.terms.items() if layer in terms.lambdas)
            for layer in self.style_layers
        }

    def _cuts(self, image: Tensor) -> Iterator[TileInputs]:
        """Yield what is evaluated of tiles; pixels are shared as they are drawn."""
        return self.inputs(
            self.tile_map.share(tile.cut(image).cpu().contiguous()) for tile in self.tiles
        )

    def inputs(self, cuts: Iterable[Handle[Tensor]]) -> Iterator[TileInputs]:
        """Yield what is evaluated of tiles, whose pixels are given."""
        for given in zip(self.tiles, self._photo, self._regions, cuts, strict=True):
            yield TileInputs(*given)

    @override
    def _measured(self, image: Tensor) -> tuple[Squares, Sums]:
        return self._summed(self._cuts(image), with_squares=True)

    def _summed(
        self, inputs: Iterable[TileInputs], *, with_squares: bool = False
    ) -> tuple[Squares, Sums]:
        """Add up what tiles add to the sums, `FAN_IN` at a time, in float64."""
        ones = [1] * len(self.tiles)
        work = functools.partial(kept_sums, with_squares=with_squares)
        calls = ((self.job, each, self.counted) for each in inputs)
        parts = [part for (part,) in self.tile_map.keep(work, calls, ones)]
        while True:
            groups = [tuple(parts[n : n + FAN_IN]) for n in range(0, len(parts), FAN_IN)]
            parts = [part for (part,) in self.tile_map.keep(add_sums, groups, ones[: len(groups)])]
            if len(parts) == 1:
                break
        total = parts[0].get()
        dtype = torch.promote_types(self.network.dtype, torch.float32)
        return self.narrowed(total.squares), {
            key: LayerSums(sums.total, sums.gram.to(self.network.device, dtype))
            for key, sums in total.grams.items()
        }

    def terms_of(self, inputs: Iterable[TileInputs]) -> tuple[dict[str, Term], Pulls]:
        """Return the terms of a picture, and what `pull_tile` needs of them."""
        terms = self._terms_of(self._summed(inputs)[1])
        pulls = {
            (number, layer): pull.matrix.cpu()
            for layer, term in terms.items()
            for number, pull in term.pulls.items()
        }
        return terms, (self._slopes, self.tile_map.share(pulls))

    @override
    def _pulled(self, image: Tensor) -> tuple[dict[str, Term], Squares, Tensor]:
        cuts = list(self._cuts(image))
        terms, pulls = self.terms_of(cuts)
        given = ((self.job, each, self.counted, *pulls) for each in cuts)
        gradient, found = torch.zeros_like(image), list[Squares]()
        results = self.tile_map.map(pull_tile, given)
        for tile, (squares, pulled) in zip(self.tiles, results, strict=True):
            tile.add(gradient, pulled.to(image.device))
            found.append(squares)
        return terms, self.added(found), gradient

    def costs_of(self, terms: Mapping[str, Term], squares: Squares, steepest: Tensor) -> Costs:
        """Return the costs of a picture without smoothness and outlines, from all its tiles."""
        content = self._content_cost(squares)
        return self._costs_of(terms, content, content.new_zeros(()), [steepest.to(content)])

    def added(self, parts: Iterable[Squares]) -> Squares:
        """Return the sums of squared residuals over all tiles, added up in float64."""
        zero = torch.zeros((), dtype=torch.float64)
        squares = dict.fromkeys(self.settings.content_weights, zero)
        for part in parts:
            for layer, square in part.items():
                squares[layer] = squares[layer] + square.double()
        return self.narrowed(squares)

    def narrowed(self, squares: Squares) -> Squares:
        """Return sums of squared residuals as costs are made of them."""
        dtype = torch.promote_types(self.network.dtype, torch.float32)
        return {name: square.to(self.network.device, dtype) for name, square in squares.items()}
