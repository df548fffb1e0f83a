"""J(G) of a picture whose tiles are evaluated by many workers, and the part that a worker does.

Of a picture a worker is sent the pixels of its tiles with their halos, and the derivatives of J by
the Gram matrices; it sends Gram matrices back, and the gradient of those pixels. Sums are taken in
an order that the tiles alone decide, Gram matrices in float64: with the same tiles the result has
the same bits, however many workers there are, if they compute alike.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from nst.caches import LRUCache
from nst.engine.devices import pick_device
from nst.engine.fingerprint import bytes_of
from nst.engine.finite import finite
from nst.engine.layer_statistics import LayerSums
from nst.engine.losses import widened
from nst.engine.objective import NO_SCENE, Costs, Sums
from nst.engine.regions import Regions
from nst.engine.style_terms import Pull, Term
from nst.engine.tile_map import Handle, TileMap
from nst.engine.tiled_objective import KEPT_TARGET, Squares, TiledObjective, pull_tile_back
from nst.engine.tiles import Tile, contiguous
from nst.images.tensors import to_unit
from nst.settings import TransferSettings
from nst.vgg.network import VGG
from nst.vgg.weights import VGGWeights

FAN_IN = 8  # sums that are added by one call

Cut = tuple[Tile, Handle[Tensor], Handle[Tensor]]  # a tile, the pixels of its cut, and the photo's
Pulls = tuple[dict[str, float], Handle[dict[str, Tensor]]]  # slopes and matrices of `pull_tile`


@dataclass(frozen=True, eq=False)
class TileJob:
    """What all tiles of an objective have in common; workers keep it."""

    weights: VGGWeights
    pooling: str
    dtype: torch.dtype
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]

    @property
    def network(self) -> VGG:
        """Return the network on the best device of this process."""
        return _network_of(self)

    @property
    def layers(self) -> set[str]:
        """Return all layers that are compared."""
        return {*self.content_layers, *self.style_layers}


@functools.lru_cache(maxsize=2)  # a run's, and the one of its last costs in float32
def _network_of(job: TileJob) -> VGG:
    return VGG(job.weights, pooling=job.pooling, device=pick_device(), dtype=job.dtype)


_targets: LRUCache[tuple[TileJob, Tile], dict[str, Tensor]] = LRUCache(
    KEPT_TARGET, lambda target: bytes_of(*target.values())
)
"""The photo's own activations at tiles, of this process."""


@dataclass(frozen=True)
class TileSums:
    """What a tile adds to the sums of a picture, on the CPU."""

    grams: dict[str, LayerSums]
    squares: dict[str, Tensor]  # of the residuals, by content layer

    @property
    def wide(self) -> TileSums:
        """Return the same in float64."""
        grams = {
            layer: LayerSums(sums.total, sums.gram.double()) for layer, sums in self.grams.items()
        }
        return TileSums(grams, {layer: each.double() for layer, each in self.squares.items()})

    def __add__(self, other: TileSums) -> TileSums:
        grams = {layer: sums + other.grams[layer] for layer, sums in self.grams.items()}
        squares = {layer: each + other.squares[layer] for layer, each in self.squares.items()}
        return TileSums(grams, squares)


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
    job: Handle[TileJob], tile: Tile, cut: Handle[Tensor], photo: Handle[Tensor] | None
) -> TileSums:
    """Return the sums of a tile's own positions; those of residuals where the photo is given."""
    own = job.get()
    target = _target(own, tile, photo) if photo else {}
    grams, squares = {}, {}
    pixels = to_unit(cut.get().to(own.network.device))
    for layer, activation in own.network.walk(pixels, {*own.style_layers, *target}):
        seen = contiguous(tile.own(activation, layer))
        if layer in own.style_layers:
            sums = LayerSums.of_gram(seen)
            grams[layer] = LayerSums(sums.total, sums.gram.cpu())
        if layer in target:
            squares[layer] = (widened(seen) - widened(target[layer])).square().sum().cpu()
    return TileSums(grams, squares)


def kept_sums(*arguments: Any) -> list[TileSums]:
    """Return what `sum_tile` does, to be kept where it is made."""
    return [sum_tile(*arguments)]


def add_sums(*parts: Handle[TileSums]) -> list[TileSums]:
    """Return the sum of some sums, in float64 and in their order."""
    return [functools.reduce(TileSums.__add__, (part.get().wide for part in parts))]


@torch.no_grad()
def pull_tile(
    job: Handle[TileJob],
    tile: Tile,
    cut: Handle[Tensor],
    photo: Handle[Tensor],
    slopes: Mapping[str, float],
    matrices: Handle[dict[str, Tensor]],
) -> tuple[dict[str, Tensor], Tensor]:
    """Return a tile's squared residuals, and the gradient of the pixels of its cut.

    `slopes` are those of the content layers, `matrices` the pulls of the style layers.
    """
    own, network = job.get(), job.get().network
    target = _target(own, tile, photo)
    trace = network.observe(cut.get().to(network.device), own.layers)
    squares, content_pulls = {}, {}
    for layer, slope in slopes.items():
        residual = widened(tile.own(trace.activations[layer], layer)) - widened(target[layer])
        squares[layer] = residual.square().sum().cpu()
        content_pulls[layer] = slope * residual
    pulls = {layer: Pull(matrix.to(network.device)) for layer, matrix in matrices.get().items()}

    def add_style(layer: str, place: Tensor, seen: Tensor) -> None:
        if layer in pulls:
            pulls[layer].add(place, seen)

    return squares, pull_tile_back(network, tile, trace, content_pulls, add_style).cpu()


def can_be_spread(settings: TransferSettings, regions: Regions) -> bool:
    """Tell whether `SpreadObjective` knows all that counts: no masks, and Gram matrices alone."""
    return regions.is_whole and not {*settings.used_style_costs} - {"gram"}


class SpreadObjective(TiledObjective):
    """`TiledObjective` whose tiles are evaluated by a `TileMap`.

    The picture, its gradient and the optimiser are in this process; style targets are, too. Only
    for what `can_be_spread`.
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
        job = TileJob(network.weights, network.pooling, network.dtype, content_layers, style_layers)
        self.job = map_.share(job, is_lasting=True)
        self._photo = [map_.share(tile.cut(content).cpu().contiguous()) for tile in self.tiles]
        calls = ((self.job, *each) for each in zip(self.tiles, self._photo, strict=True))
        self.numels = dict.fromkeys(content_layers, 0)
        for counts in map_.map(count_target, calls):
            for layer, count in counts.items():
                self.numels[layer] += count

    def _cuts(self, image: Tensor) -> Iterator[Cut]:
        """Yield the tiles with their pixels, which are shared as they are drawn."""
        cuts = (self.tile_map.share(tile.cut(image).cpu().contiguous()) for tile in self.tiles)
        return self.seen_in(cuts)

    def seen_in(self, cuts: Iterable[Handle[Tensor]]) -> Iterator[Cut]:
        """Yield the tiles with the pixels of their cuts, and those of the photo."""
        return zip(self.tiles, cuts, self._photo, strict=True)

    @override
    def _measured(self, image: Tensor) -> tuple[Squares, Sums]:
        return self._summed((self.job, *each) for each in self._cuts(image))

    def _summed(self, calls: Iterable[tuple[Any, ...]]) -> tuple[Squares, Sums]:
        """Add up what tiles add to the sums, `FAN_IN` at a time, in float64."""
        ones = [1] * len(self.tiles)
        parts = [part for (part,) in self.tile_map.keep(kept_sums, calls, ones)]
        while True:
            groups = [tuple(parts[n : n + FAN_IN]) for n in range(0, len(parts), FAN_IN)]
            parts = [part for (part,) in self.tile_map.keep(add_sums, groups, ones[: len(groups)])]
            if len(parts) == 1:
                break
        total = parts[0].get()
        dtype = torch.promote_types(self.network.dtype, torch.float32)
        (region,) = self.terms
        return self.narrowed(total.squares), {
            (region, layer): LayerSums(sums.total, sums.gram.to(self.network.device, dtype))
            for layer, sums in total.grams.items()
        }

    def terms_of(self, cuts: Iterable[Cut]) -> tuple[dict[str, Term], Pulls]:
        """Return the terms of a picture, and what `pull_tile` needs of them."""
        calls = ((self.job, tile, cut, None) for tile, cut, _ in cuts)
        terms = self._terms_of(self._summed(calls)[1])
        (region,) = self.terms
        pulls = {layer: term.pulls[region].matrix.cpu() for layer, term in terms.items()}
        return terms, (self._slopes, self.tile_map.share(pulls))

    @override
    def _pulled(self, image: Tensor) -> tuple[dict[str, Term], Squares, Tensor]:
        cuts = list(self._cuts(image))
        terms, pulls = self.terms_of(cuts)
        given = ((self.job, *each, *pulls) for each in cuts)
        gradient, found = torch.zeros_like(image), list[Squares]()
        results = self.tile_map.map(pull_tile, given)
        for tile, (squares, pulled) in zip(self.tiles, results, strict=True):
            tile.add(gradient, pulled.to(image.device))
            found.append(squares)
        return terms, self.added(found), gradient

    def costs_of(self, terms: Mapping[str, Term], squares: Squares, steepest: Tensor) -> Costs:
        """Return the costs of a picture without smoothness and outlines, from all its tiles."""
        content, zero = self._content_cost(squares), torch.zeros(())
        return self._costs_of(terms, content, zero, [steepest.to(content)])

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
