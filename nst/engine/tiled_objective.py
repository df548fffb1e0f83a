"""J(G) of a picture that is too large for the network at once: tile by tile, and exact.

The Gram matrices come first, summed over all tiles and divided by the positions of the whole
picture. Then each tile takes J's derivatives at its own positions back to its pixels, and what they
say about its halo is added to its neighbours; to cut that off instead, halos would have to be twice
as wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from nst.engine.fingerprint import bytes_of
from nst.engine.layer_statistics import Statistics
from nst.engine.losses import widened
from nst.engine.objective import NO_SCENE, Costs, Measure, Objective, finite
from nst.engine.style_terms import Term
from nst.engine.tiles import GRID, Tile, WrappedTile, contiguous, sweep, tiles
from nst.settings import TransferSettings
from nst.vgg.network import VGG, Trace

KEPT_TARGET = 768 * 2**20  # bytes of the photo's activations


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
    ) -> None:
        layers = {*settings.content_weights, *settings.style_layers}
        self.side = side
        whole = -(-max(content.shape[-2:]) // GRID) * GRID
        kind = WrappedTile if settings.is_seamless else Tile
        self.tiles = tiles(content.shape[-2:], side or whole, layers, kind)
        super().__init__(network, content, styles, settings)

    @override
    def _take_photo(self, content: Tensor) -> None:
        layers = self.settings.content_weights
        self.targets: dict[str, ContentTarget] = {
            layer: ContentTarget(
                self.network, layer, content, self.tiles, KEPT_TARGET // len(layers)
            )
            for layer in layers
        }

    @override
    def parts(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the same as `Objective.parts`."""
        settings, image = self.settings, self._spanned(image)
        squares = dict.fromkeys(settings.content_weights, image.new_zeros(()))
        sums = LayerSums(self._statistics)
        for tile, layer, own in sweep(self.network, image, self._layers, self.tiles):
            if layer in settings.content_weights:
                squares[layer] = squares[layer] + self._residual(tile, layer, own).square().sum()
            if layer in settings.style_layers:
                sums.add(layer, own)
        terms = self._terms_of(sums)
        with_histogram = [layer for layer, term in terms.items() if term.histogram]
        for _, layer, own in sweep(self.network, image, with_histogram, self.tiles):
            terms[layer].visit(own)
        content = self._content_cost(squares) + self._outlines_cost(image)
        return content, {layer: term.settled().cost for layer, term in terms.items()}

    @override
    @torch.no_grad()
    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        """Return the same as `Objective.evaluate`."""
        settings, image = self.settings, self._spanned(image)
        sums = LayerSums(self._statistics)
        *others, last = self.tiles
        for _, layer, own in sweep(self.network, image, settings.style_layers, others):
            sums.add(layer, own)
        trace = self.network.observe(last.cut(image), self._layers)
        for layer in settings.style_layers:
            sums.add(layer, contiguous(last.own(trace.activations[layer], layer)))
        terms, alpha = self._terms_of(sums), self._alpha
        squares = dict.fromkeys(settings.content_weights, image.new_zeros(()))
        gradient = torch.zeros_like(image)
        for tile in [last, *others]:
            if tile is not last:
                trace = self.network.observe(tile.cut(image), self._layers)
            pulls = {}
            for layer, weight in settings.content_weights.items():
                own = tile.own(trace.activations[layer], layer)
                residual = self._residual(tile, layer, own)
                squares[layer] = squares[layer] + residual.square().sum()
                pulls[layer] = (2 * alpha * weight / self.targets[layer].numel) * residual
            tile.add(gradient, self._pull_tile_back(tile, trace, pulls, terms))
        smoothness, its_gradient = self._smoothness(image)
        if its_gradient is not None:
            gradient.add_(its_gradient)
        content = self._content_cost(squares) + self._add_outlines(gradient, image, alpha)
        if self.is_grey:
            gradient = self._spanned(gradient)
        steepest = torch.linalg.vector_norm(gradient, torch.inf)
        measured = [steepest, *(measure(gradient) if measure else [])]
        terms = {layer: term.settled() for layer, term in terms.items()}
        layers = {layer: term.cost for layer, term in terms.items()}
        goals = [term.goal for term in terms.values()]
        return self._read(alpha, content, layers, goals, smoothness, measured), gradient

    def _residual(self, tile: Tile, layer: str, own: Tensor) -> Tensor:
        return self.targets[layer].residual(tile, own)

    def _content_cost(self, squares: Mapping[str, Tensor]) -> Tensor:
        """Return the content term of activations from the sums of squared residuals by layer."""
        content = torch.zeros(())
        for layer, weight in self.settings.content_weights.items():
            content = content + weight * (squares[layer] / self.targets[layer].numel)
        return content

    def _terms_of(self, sums: LayerSums) -> dict[str, Term]:
        return {layer: self._term(layer, sums[layer]) for layer in self.settings.style_layers}

    def _pull_tile_back(
        self,
        tile: Tile,
        trace: Trace,
        content_pulls: Mapping[str, Tensor],
        terms: Mapping[str, Term],
    ) -> Tensor:
        """Return what the tile's own positions say about its pixels and those of its halo."""

        def add_term(layer: str, gradient: Tensor | None) -> Tensor:
            activation = trace.activations.get(layer)
            if gradient is None:
                assert activation is not None, "the deepest layer observed has a term"
                gradient = torch.zeros_like(activation)
            if layer in content_pulls:
                tile.own(gradient, layer).add_(content_pulls[layer])
            if layer in terms and activation is not None:
                _add_term(tile.own(gradient, layer), tile.own(activation, layer), terms[layer])
            return gradient

        return self.network.pull_back(trace, add_term)


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


class LayerSums(dict[str, Statistics]):
    """The statistics of layers whose activations come in parts."""

    def __init__(self, statistics: Callable[[str, Tensor], Statistics]) -> None:
        super().__init__()
        self.statistics = statistics

    def add(self, layer: str, activation: Tensor) -> None:
        """Count a part of a layer's activations, (1, n_C, h, w)."""
        part = self.statistics(layer, activation)
        self[layer] = self[layer] + part if layer in self else part


def _add_term(gradient: Tensor, activation: Tensor, term: Term) -> None:
    """Add what a term says about a tile's own activations, (1, n_C, h, w), to their gradient."""
    A = activation.permute(0, 2, 3, 1)
    gradient = gradient.permute(0, 2, 3, 1)  # a view
    gradient.add_(A @ term.pull.to(A.dtype))
    if term.shift is not None:
        gradient.add_(term.shift)
    if term.histogram is not None:
        A = A.flatten(0, 2)
        its_gradient = torch.zeros_like(A)
        term.histogram.add_derivative(its_gradient, A)
        gradient.add_(its_gradient.view_as(gradient))
