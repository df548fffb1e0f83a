"""J(G) of a picture that is too large for the network at once: tile by tile, and exact.

The Gram matrices come first, summed over all tiles and divided by the positions of the whole
picture. Then each tile takes J's derivatives at its own positions back to its pixels, and what they
say about its halo is added to its neighbours; to cut that off instead, halos would have to be twice
as wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from nst.caches import LRUCache
from nst.engine.fingerprint import bytes_of
from nst.engine.finite import finite
from nst.engine.losses import widened
from nst.engine.objective import NO_SCENE, Costs, Measure, Objective, Term
from nst.engine.regions import Regions
from nst.engine.tiles import GRID, MomentSums, Tile, WrappedTile, contiguous, sweep, tiles
from nst.engine.windows import Windows
from nst.settings import TransferSettings
from nst.vgg.network import VGG, Trace

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
        layers = {settings.content_layer, *settings.style_layers}
        self.side = side
        whole = -(-max(content.shape[-2:]) // GRID) * GRID
        kind = WrappedTile if settings.is_seamless else Tile
        self.tiles = tiles(content.shape[-2:], side or whole, layers, kind)
        self._kept_windows: LRUCache[Tile, list[Windows | None]]
        self._kept_windows = LRUCache(KEPT_WINDOWS, _bytes_of_windows)
        super().__init__(network, content, styles, settings, regions)

    @override
    def _take_photo(self, content: Tensor) -> None:
        self.target = ContentTarget(self.network, self.settings.content_layer, content, self.tiles)

    @override
    def _place_regions(self) -> Iterable[tuple[slice, slice]]:
        return [tile.place for tile in self.tiles]

    def _windows_of(self, tile: Tile) -> list[Windows | None]:
        """Return the windows of each region in a tile; None for all of the photo."""
        return self._kept_windows.recall(tile, lambda: self._windows_at(*tile.place))

    @override
    def parts(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the same as `Objective.parts`."""
        sums, image = MomentSums(), self._spanned(image)
        content = image.new_zeros(())
        for tile in self.tiles:
            windows = self._windows_of(tile)
            for _, layer, own in sweep(self.network, image, self._layers, [tile]):
                if layer == self.settings.content_layer:
                    content = content + self.target.residual(tile, own).square().sum()
                if layer in self.style_layers:
                    self._count(sums, layer, own, windows)
        terms = self._terms_of(sums)
        return content / self.target.numel, {layer: term.cost for layer, term in terms.items()}

    @override
    @torch.no_grad()
    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        """Return the same as `Objective.evaluate`."""
        settings, image = self.settings, self._spanned(image)
        sums = MomentSums()
        *others, last = self.tiles
        for tile in others:
            windows = self._windows_of(tile)
            for _, layer, own in sweep(self.network, image, self.style_layers, [tile]):
                self._count(sums, layer, own, windows)
        trace = self.network.observe(last.cut(image), self._layers)
        windows = self._windows_of(last)
        for layer in self.style_layers:
            own = contiguous(last.own(trace.activations[layer], layer))
            self._count(sums, layer, own, windows)
        terms = self._terms_of(sums)
        alpha = settings.alpha * (self.guidance.content if self.guidance else 1)
        content, gradient = image.new_zeros(()), torch.zeros_like(image)
        for tile in [last, *others]:
            if tile is not last:
                trace = self.network.observe(tile.cut(image), self._layers)
            own = tile.own(trace.activations[settings.content_layer], settings.content_layer)
            residual = self.target.residual(tile, own)
            content += residual.square().sum()
            pull = (2 * alpha / self.target.numel) * residual
            tile.add(gradient, self._pull_tile_back(tile, trace, pull, terms))
        smoothness, its_gradient = self._smoothness(image)
        if its_gradient is not None:
            gradient.add_(its_gradient)
        if self.is_grey:
            gradient = self._spanned(gradient)
        steepest = torch.linalg.vector_norm(gradient, torch.inf)
        measured = [steepest, *(measure(gradient) if measure else [])]
        layers = {layer: term.cost for layer, term in terms.items()}
        goals = [term.goal for term in terms.values()]
        content = content / self.target.numel
        return self._read(alpha, content, layers, goals, smoothness, measured), gradient

    def _count(
        self, sums: MomentSums, layer: str, own: Tensor, windows: Sequence[Windows | None]
    ) -> None:
        """Count a tile's own activations of a layer in each region that counts."""
        for number in self.targets:
            sums.add(layer, own, windows[number], number)

    def _terms_of(self, sums: MomentSums) -> dict[str, Term]:
        return {layer: self._term(layer, sums) for layer in self.style_layers}

    def _pull_tile_back(
        self, tile: Tile, trace: Trace, content_pull: Tensor, terms: Mapping[str, Term]
    ) -> Tensor:
        """Return what the tile's own positions say about its pixels and those of its halo."""
        windows = self._windows_of(tile)

        def add_term(layer: str, gradient: Tensor | None) -> Tensor:
            activation = trace.activations.get(layer)
            if gradient is None:
                assert activation is not None, "the deepest layer observed has a term"
                gradient = torch.zeros_like(activation)
            if layer == self.settings.content_layer:
                tile.own(gradient, layer).add_(content_pull)
            if layer in terms and activation is not None:
                own, place = tile.own(activation, layer), tile.own(gradient, layer)
                for number, pull in terms[layer].pulls.items():
                    its_windows = windows[number]
                    if its_windows is None:
                        place.add_(pull.at(own))
                    elif layer in its_windows:
                        its_windows[layer].add(pull, place, own)
            return gradient

        return self.network.pull_back(trace, add_term)


def _bytes_of_windows(regions: Sequence[Windows | None]) -> int:
    windows = [window for each in regions if each for window in each.values()]
    return bytes_of(*(each.weights for each in windows), *(each.roots for each in windows))


class ContentTarget:
    """The photo's activations at the content layer, tile by tile.

    They are kept, as the network's dtype has them, up to `KEPT_TARGET` bytes; those of a larger
    photo are made of it whenever they are asked for. Raises `NumericalError` where one of them is
    not a finite number.
    """

    @torch.no_grad()
    def __init__(self, network: VGG, layer: str, photo: Tensor, parts: Sequence[Tile]) -> None:
        self.network, self.layer, self.photo = network, layer, photo
        self.kept: dict[Tile, Tensor] | None = {}
        self.numel = 0
        for tile in parts:
            activation = self._activation(tile)
            finite(activation, NO_SCENE)
            self.numel += activation.numel()
            if self.kept is not None:
                self.kept[tile] = activation
                if bytes_of(*self.kept.values()) > KEPT_TARGET:
                    self.kept = None

    def residual(self, tile: Tile, generated: Tensor) -> Tensor:
        """Return a_G − a_C at the tile's own positions, from a_G there, in at least float32."""
        target = self.kept[tile] if self.kept is not None else self._activation(tile)
        return widened(generated) - widened(target)

    @torch.no_grad()
    def _activation(self, tile: Tile) -> Tensor:
        ((_, _, own),) = sweep(self.network, self.photo, [self.layer], [tile])
        return own
