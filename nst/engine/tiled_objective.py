"""J(G) of a picture that is too large for the network at once: tile by tile, and exact.

The sums that style costs need come first, over all tiles of the picture. Then each tile takes J's
derivatives at its own positions back to its pixels, and what they say about its halo is added to
its neighbours; to cut that off instead, halos would have to be twice as wide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from nst.caches import LRUCache
from nst.engine.costs import Costs, Measure, read_costs
from nst.engine.fingerprint import bytes_of
from nst.engine.finite import finite
from nst.engine.losses import widened
from nst.engine.objective import NO_SCENE, Objective, Sums
from nst.engine.regions import Regions
from nst.engine.style_terms import Term
from nst.engine.tiles import GRID, Tile, WrappedTile, contiguous, sweep, tiles
from nst.engine.windows import Windows
from nst.settings import TransferSettings
from nst.vgg.network import VGG, Trace

Squares = dict[str, Tensor]  # sums of squared residuals, by content layer

KEPT_TARGET = 768 * 2**20  # bytes of the photo's activations
KEPT_WINDOWS = 256 * 2**20  # bytes of where the regions are in tiles


class TiledObjective(Objective):
    """`Objective` with the network at work on one tile at a time; costs and gradient are the same.

    `side` is that of a tile in pixels, a multiple of `tiles.GRID`; without one, all is one tile.
    The tiles of a seamless picture see beyond its edges to the opposite ones. Pictures may be
    (1, 3, H, W) bytes. The network goes forward twice where it goes once in `Objective`, in all
    tiles but one, and no layer is left out: 1.5 times the arithmetic, and the halos.
    """

    def __init__(
        self,
        network: VGG,
        content: Tensor,
        styles: Sequence[Tensor],
        settings: TransferSettings,
        side: int | None = None,
        regions: Regions | None = None,
    ) -> None:
        layers = {*settings.content_weights, *settings.style_layers}
        self.side = side
        whole = -(-max(content.shape[-2:]) // GRID) * GRID
        kind = WrappedTile if settings.is_seamless else Tile
        self.tiles = tiles(content.shape[-2:], side or whole, layers, kind)
        self._kept_windows: LRUCache[Tile, list[Windows | None]]
        self._kept_windows = LRUCache(KEPT_WINDOWS, bytes_of_windows)
        super().__init__(network, content, styles, settings, regions)

    @override
    def _take_photo(self, content: Tensor) -> None:
        layers = self.settings.content_weights
        self.contents: dict[str, ContentTarget] = {
            layer: ContentTarget(
                self.network, layer, content, self.tiles, KEPT_TARGET // len(layers)
            )
            for layer in layers
        }
        self.numels = {layer: target.numel for layer, target in self.contents.items()}

    @override
    def _place_regions(self) -> Iterable[tuple[slice, slice]]:
        return [tile.place for tile in self.tiles]

    def _windows_of(self, tile: Tile) -> list[Windows | None]:
        """Return the windows of each region in a tile; None for all of the photo."""
        return self._kept_windows.recall(tile, lambda: self._windows_at(*tile.place))

    @override
    def parts(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the same as `Objective.parts`."""
        image = self._spanned(image)
        squares, sums = self._measured(image)
        terms = self._terms_of(sums)
        self._visit(image, terms)
        content = self._content_cost(squares) + self.outlines.cost(image)
        return content, {layer: term.settled().cost for layer, term in terms.items()}

    def _measured(self, image: Tensor) -> tuple[Squares, Sums]:
        """Return what the costs of a spanned picture are made of, summed over its tiles."""
        squares: Squares = dict.fromkeys(self.settings.content_weights, image.new_zeros(()))
        sums: Sums = {}
        for tile, windows, layer, own in self._sweep(image, self._layers, self.tiles):
            if layer in squares:
                squares[layer] = squares[layer] + self._residual(tile, layer, own).square().sum()
            if layer in self.style_layers:
                self._count(sums, layer, own, windows)
        return squares, sums

    def _sweep(
        self, image: Tensor, layers: Iterable[str], parts: Iterable[Tile]
    ) -> Iterator[tuple[Tile, list[Windows | None], str, Tensor]]:
        """Yield each tile and its windows with a layer's name and its own activations there."""
        for tile in parts:
            windows = self._windows_of(tile)
            for _, layer, own in sweep(self.network, image, layers, [tile]):
                yield tile, windows, layer, own

    def _visit(self, image: Tensor, terms: Mapping[str, Term]) -> None:
        """Count the costs of histograms, which are known once all activations were seen again."""
        layers = [layer for layer, term in terms.items() if term.has_histogram]
        parts = self.tiles if layers else []
        for _, windows, layer, own in self._sweep(image, layers, parts):
            for number, window in self._places(layer, windows):
                terms[layer].pulls[number].visit(own, window)

    @override
    @torch.no_grad()
    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        """Return the same as `Objective.evaluate`."""
        image, alpha = self._spanned(image), self._alpha
        terms, squares, gradient = self._pulled(image)
        smoothness, its_gradient = self.smoothness.with_gradient(image)
        if its_gradient is not None:
            gradient.add_(its_gradient)
        content = self._content_cost(squares) + self.outlines.add_gradient(gradient, image, alpha)
        if self.is_grey:
            gradient = self._spanned(gradient)
        steepest = torch.linalg.vector_norm(gradient, torch.inf)
        measured = [steepest, *(measure(gradient) if measure else [])]
        return self._costs_of(terms, content, smoothness, measured), gradient

    def _costs_of(
        self,
        terms: Mapping[str, Term],
        content: Tensor,
        smoothness: Tensor,
        measured: Sequence[Tensor],
    ) -> Costs:
        """Return the costs once all pulls were taken; see `read_costs`."""
        terms = {layer: term.settled() for layer, term in terms.items()}
        layers = {layer: term.cost for layer, term in terms.items()}
        goals = [term.goal for term in terms.values()]
        return read_costs(self.settings, self._alpha, content, layers, goals, smoothness, measured)

    def _pulled(self, image: Tensor) -> tuple[dict[str, Term], Squares, Tensor]:
        """Return the terms of a spanned picture, squared residuals, and the gradient of both."""
        sums: Sums = {}
        *others, last = self.tiles
        for _, windows, layer, own in self._sweep(image, self.style_layers, others):
            self._count(sums, layer, own, windows)
        trace = self.network.observe(last.cut(image), self._layers)
        for layer in self.style_layers:
            own = contiguous(last.own(trace.activations[layer], layer))
            self._count(sums, layer, own, self._windows_of(last))
        terms = self._terms_of(sums)
        squares: Squares = dict.fromkeys(self.settings.content_weights, image.new_zeros(()))
        gradient = torch.zeros_like(image)
        for tile in [last, *others]:
            if tile is not last:
                trace = self.network.observe(tile.cut(image), self._layers)
            pulls = {}
            for layer, slope in self._slopes.items():
                own = tile.own(trace.activations[layer], layer)
                residual = self._residual(tile, layer, own)
                squares[layer] = squares[layer] + residual.square().sum()
                pulls[layer] = slope * residual
            tile.add(gradient, self._pull_tile_back(tile, trace, pulls, terms))
        return terms, squares, gradient

    @property
    def _slopes(self) -> dict[str, float]:
        """Return the content term's derivatives by the residuals of each layer, over these."""
        return {
            layer: 2 * self._alpha * weight / self.numels[layer]
            for layer, weight in self.settings.content_weights.items()
        }

    def _residual(self, tile: Tile, layer: str, own: Tensor) -> Tensor:
        return self.contents[layer].residual(tile, own)

    def _content_cost(self, squares: Mapping[str, Tensor]) -> Tensor:
        """Return the content term of activations from the sums of squared residuals by layer."""
        content = torch.zeros(())
        for layer, weight in self.settings.content_weights.items():
            content = content + weight * (squares[layer] / self.numels[layer])
        return content

    def _terms_of(self, sums: Sums) -> dict[str, Term]:
        return {layer: self._term(layer, sums) for layer in self.style_layers}

    def _pull_tile_back(
        self,
        tile: Tile,
        trace: Trace,
        content_pulls: Mapping[str, Tensor],
        terms: Mapping[str, Term],
    ) -> Tensor:
        """Return what the tile's own positions say about its pixels and those of its halo."""
        windows = self._windows_of(tile)

        def add_style(layer: str, place: Tensor, own: Tensor) -> None:
            if layer in terms:
                for number, window in self._places(layer, windows):
                    terms[layer].pulls[number].add(place, own, window)

        return pull_tile_back(self.network, tile, trace, content_pulls, add_style)


def pull_tile_back(
    network: VGG,
    tile: Tile,
    trace: Trace,
    content_pulls: Mapping[str, Tensor],
    add_style: Callable[[str, Tensor, Tensor], None],
) -> Tensor:
    """Return the gradient (1, 3, h, w) of a tile and its halo from the tile's own positions.

    `add_style` adds what the style terms say at a layer to a gradient, in place, from the
    activations there; both are views of the tile's own positions.
    """

    def add_term(layer: str, gradient: Tensor | None) -> Tensor:
        activation = trace.activations.get(layer)
        if gradient is None:
            assert activation is not None, "the deepest layer observed has a term"
            gradient = torch.zeros_like(activation)
        if layer in content_pulls:
            tile.own(gradient, layer).add_(content_pulls[layer])
        if activation is not None:
            add_style(layer, tile.own(gradient, layer), tile.own(activation, layer))
        return gradient

    return network.pull_back(trace, add_term)


def bytes_of_windows(regions: Sequence[Windows | None]) -> int:
    """Return the memory of the windows of some regions, in bytes."""
    windows = [window for each in regions if each for window in each.values()]
    return bytes_of(*(each.weights for each in windows), *(each.roots for each in windows))


class ContentTarget:
    """The photo's activations at the content layer, tile by tile.

    They are kept, as the network's dtype has them, up to `limit` bytes; those of a larger
    photo are made of it whenever they are asked for. Raises `NumericalError` where one of them is
    not a finite number.
    """

    @torch.no_grad()
    def __init__(
        self, network: VGG, layer: str, photo: Tensor, parts: Sequence[Tile], limit: int
    ) -> None:
        self.network, self.layer, self.photo = network, layer, photo
        self.kept: dict[Tile, Tensor] | None = {}
        self.numel = 0
        for tile in parts:
            activation = self._activation(tile)
            finite(activation, NO_SCENE)
            self.numel += activation.numel()
            if self.kept is not None:
                self.kept[tile] = activation
                if bytes_of(*self.kept.values()) > limit:
                    self.kept = None

    def residual(self, tile: Tile, generated: Tensor) -> Tensor:
        """Return a_G − a_C at the tile's own positions, from a_G there, in at least float32."""
        target = self.kept[tile] if self.kept is not None else self._activation(tile)
        return widened(generated) - widened(target)

    @torch.no_grad()
    def _activation(self, tile: Tile) -> Tensor:
        ((_, _, own),) = sweep(self.network, self.photo, [self.layer], [tile])
        return own
