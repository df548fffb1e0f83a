"""J(G): what the optimiser minimises, as a function of the pixels of G.

Combines the costs of `losses` over the layers of `vgg` with the weights of `settings`. Knows
nothing of optimisers, scales or files.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nst.caches import LRUCache
from nst.engine.costs import Costs, Measure, read_costs
from nst.engine.cuda_graphs import CudaGraphs, shared_graphs
from nst.engine.fingerprint import bytes_of, fingerprint
from nst.engine.finite import finite
from nst.engine.forward_backward import (
    DEEP_GRADIENT,
    IMAGE,
    ComparedLayers,
    content_tensors,
    forward_backward,
    pull_back,
)
from nst.engine.layer_statistics import LayerSums, accumulate
from nst.engine.losses import content_cost, widened
from nst.engine.out_of_memory import give_back
from nst.engine.pixel_terms import OutlinesTerm, SmoothnessTerm
from nst.engine.region_targets import RegionTarget, region_targets
from nst.engine.regions import WHOLE, Regions
from nst.engine.style_batch import LayerShare, Tensors, style_tensors
from nst.engine.style_target import Guidance, Painting, Style
from nst.engine.style_terms import StyleTerms, Term
from nst.engine.windows import Window, Windows, seen_through, windows_of
from nst.images.color import is_grey
from nst.settings import LAYER_CHANNELS, TransferSettings, gatys_layer_weight
from nst.vgg.network import VGG, Trace, carry_down

Sums = dict[tuple[int, str], LayerSums]  # by region and layer


def _target_size(target: dict[str, Tensor] | Style) -> int:
    return target.size() if isinstance(target, Style) else bytes_of(*target.values())


targets: LRUCache[Any, Any] = LRUCache(256 * 2**20, _target_size)
"""What was worked out of pictures, up to so many bytes; shared by all runs of the process."""

NO_SCENE = "The photo's scene is not a finite number."
DEEP_EVERY = 10  # evaluations
DEEP_SHARE = 0.03  # of J


def make_room() -> None:
    """Give up what is only remembered of earlier pictures, and return it to the system."""
    targets.forget()
    shared_graphs.forget()
    give_back()


class Objective:
    """J(G) = α · (2/N) J_content + β · Σ_r p s Σ λ[l] J_style[l] + smoothness, for fixed C and S.

    Gatys et al. 2016, eq. 7, with a departure: the textbook's J_content grows with the number of
    pixels and J_style does not, so the content term is divided by half the number N of activations.
    One α/β then keeps their balance at every size, and equals Gatys' published code, which takes
    means as well. The content term is a sum over layers where the settings name several, and has a
    term of Laplacians where that has a weight; J_style[l] is a sum over the style costs that have
    one.

    Without masks there is one region r, with p = s = 1. Otherwise p is a region's share of the
    photo's pixels, so that α and β keep their balance in each, and s its strength; its Gram
    matrices are those of `guided_gram_matrix`, and all that is compared is weighed as these are. A
    layer where a region has vanished, or where none of its paintings is tied, is left out of its
    sum. Where several paintings rule, S is their `blend`, by weight.

    `content` is (1, 3, H, W) and each of `styles` (1, 3, H', W'), float32 RGB in [0, 1], on the
    network's device. Where all of them are grey, with three equal channels, J is a function of the
    mean of a picture's channels alone, so that its gradient has no colour: the network's filters
    would bring in colours that no input has.

    While `guidance` is set, `evaluate` returns the gradient of a surrogate that is easier to
    descend, with the differences of Gram matrices seen through `Guide` and a larger α; the costs
    that it reports stay those of J.
    """

    side: int | None = None
    """Pixels of a tile, where pictures go in tiles."""

    def __init__(
        self,
        network: VGG,
        content: Tensor,
        styles: Sequence[Tensor],
        settings: TransferSettings,
        regions: Regions | None = None,
    ) -> None:
        self.network = network
        self.settings = settings
        self.size = content.shape[-2:]  # height, width
        self.regions = regions or Regions(settings.uses(len(styles)))
        self.guidance: Guidance | None = None
        self.is_grey = all(map(is_grey, [content, *(styles[i] for i in self.regions.used)]))
        self.constants: dict[tuple[Guidance | None, ComparedLayers], Tensors] = {}
        self.graphs: CudaGraphs | None = shared_graphs if network.cuda_options.graphs else None
        self.forget()
        self._take_photo(content)
        self.outlines, self.smoothness = OutlinesTerm(content, settings), SmoothnessTerm(settings)
        self.targets = self._region_targets(styles, self._place_regions())
        self.terms = {
            number: StyleTerms(number, target, settings) for number, target in self.targets.items()
        }

    def forget(self) -> None:
        """Let nothing of an earlier picture count in the next evaluation."""
        self._kept: DeepLayers | None = None

    @torch.no_grad()
    def _take_photo(self, content: Tensor) -> None:
        layers = list(self.settings.content_weights)

        def make() -> dict[str, Tensor]:
            activations = self.network(content, layers)
            return {layer: finite(widened(activations[layer]), NO_SCENE) for layer in layers}

        key = (self.network.identity, *layers, fingerprint(content))
        self.content: dict[str, Tensor] = targets.recall(key, make)

    def _place_regions(self) -> Iterable[tuple[slice, slice]]:
        """Work out where the regions are at each layer; return the parts that the photo goes in."""
        self._windows = self._windows_at(WHOLE, WHOLE)
        return [(WHOLE, WHOLE)]

    def _windows_at(self, rows: slice, columns: slice) -> list[Windows | None]:
        """Return the windows of each region in some rows and columns; None for all of the photo."""
        if self.regions.is_whole:
            return [None]
        weights = self.regions.weights(rows, columns)
        return [windows_of(self.network, each, self.settings.style_layers) for each in weights]

    @torch.no_grad()
    def _region_targets(
        self, styles: Sequence[Tensor], places: Iterable[tuple[slice, slice]]
    ) -> dict[int, RegionTarget]:
        """Return what is wanted of each region that counts, by its number."""
        regions, is_endless = self.regions, self.settings.is_seamless
        paintings = {
            index: Painting(
                styles[index],
                regions.within[index] if regions.within else None,
                side=self.side,
                is_endless=is_endless,
                costs=self.settings.used_style_costs,
            )
            for index in regions.used
        }
        layers = tuple(self.settings.style_layers)
        return region_targets(
            self.network, paintings, regions, layers, self.size, places, targets.recall
        )

    @functools.cached_property
    def style_layers(self) -> dict[str, float]:
        """Return the layers that count in some region, shallow to deep, with their weights."""
        known = {layer for target in self.targets.values() for layer in target.style.grams}
        return {name: w for name, w in self.settings.style_layers.items() if name in known}

    def parts(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the content term and λ[l] · J_style[l] by layer, before α and β.

        This is the specification: differentiable, plain and slow; `evaluate` is held to it by the
        tests.
        """
        weights, layers, image = self.settings.content_weights, {}, self._spanned(image)
        content, levels = self.outlines.cost(image), self._levels()
        for layer, activation in self.network.walk(image, self._layers):
            if layer in weights:
                generated = widened(activation)
                cost = content_cost(self.content[layer], generated)
                content = content + cost * (2 * weights[layer] / generated.numel())
            if layer in self.style_layers:
                layers[layer] = self._style_cost(layer, activation, levels)
        return content, layers

    def _levels(self) -> list[dict[str, Tensor] | None]:
        """Return the weights of each region's positions by layer, or None where all are 1."""
        if self.regions.is_whole:
            return [None]
        wide = torch.promote_types(self.network.dtype, torch.float32)
        return [
            {
                layer: level.to(self.network.device, wide)
                for layer, level in carry_down(weights, self.style_layers)
            }
            for weights in self.regions.weights()
        ]

    def _style_cost(
        self, layer: str, activation: Tensor, levels: Sequence[Mapping[str, Tensor] | None]
    ) -> Tensor:
        """Return λ[l] · J_style[l], summed over the regions, by the specification."""
        cost = torch.zeros(())
        for number, terms in self.terms.items():
            if layer in terms.lambdas:
                level = levels[number]
                its_level = None if level is None else level[layer]
                cost = cost + terms.specification(layer, activation, its_level)
        return self.settings.style_layers[layer] * gatys_layer_weight(layer) * cost

    def cost(self, image: Tensor) -> Tensor:
        """Return J, the specification of the whole, differentiable."""
        content, layers = self.parts(image)
        smoothness = self.smoothness.cost(self._spanned(image))
        return self._total(self.settings.alpha, content, layers.values(), smoothness)

    @torch.no_grad()
    def costs(self, image: Tensor) -> Costs:
        """Return the costs alone, by the specification."""
        settings, (content, layers) = self.settings, self.parts(image)
        smoothness = self.smoothness.cost(self._spanned(image))
        return read_costs(settings, settings.alpha, content, layers, layers.values(), smoothness)

    @torch.no_grad()
    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        """Return the costs at `image` and the gradient to follow there, both (1, 3, H, W) float32.

        The gradient is dJ/d(image), unless `guidance` is set. This is the fast path: J's
        derivatives with respect to activations are short formulas, and the network takes them back
        to the pixels.

        Layers beyond the content layer take a fifth of the time and move little. While they own
        little of J as well, their part is taken from an earlier evaluation, see `DeepLayers`.

        All numbers come from the device in one transfer, those of `measure` as `Costs.measured`.
        """
        settings, image = self.settings, self._spanned(image)
        kept = self._kept if self._kept and self._kept.serves(self.guidance) else None
        compute = self._batched if self._is_batched else self._layer_by_layer
        own = compute(image, kept)
        gradient, alpha = own.gradient, self._alpha
        smoothness, its_gradient = self.smoothness.with_gradient(image)
        if its_gradient is not None:
            gradient = gradient + its_gradient
        content = own.content + self.outlines.add_gradient(gradient, image, alpha)
        gradient = self._spanned(gradient)

        terms = {**kept.terms, **own.terms} if kept else own.terms
        layers = {layer: terms[layer].cost for layer in self.style_layers}
        goals = [terms[layer].goal for layer in self.style_layers]
        steepest = torch.linalg.vector_norm(gradient, torch.inf)
        measured = [steepest, *(measure(gradient) if measure else [])]
        costs = read_costs(settings, alpha, content, layers, goals, smoothness, measured)
        if kept is None and own.deep_gradient is not None:
            share = settings.beta * sum(costs.layers[layer] for layer in self._deep)
            small = share < DEEP_SHARE * costs.J
            deep = DeepLayers(own.deep_gradient, terms, self.guidance, costs.J)
            self._kept = deep if small else None
        elif kept and costs.J < kept.J / 2:
            self._kept = None  # the rest has shrunk beside what it keeps
        return costs, gradient

    def _spanned(self, image: Tensor) -> Tensor:
        """Project (1, 3, H, W) on the colours that the inputs span: all, or the grey axis."""
        return image.mean(1, keepdim=True).repeat(1, 3, 1, 1) if self.is_grey else image

    @property
    def _is_batched(self) -> bool:
        """Tell whether launching a kernel is what costs, and only Gram matrices are compared."""
        is_plain = self.regions.is_whole and not {*self.settings.used_style_costs} - {"gram"}
        return self.network.device.type == "cuda" and is_plain

    def _batched(self, image: Tensor, kept: DeepLayers | None) -> Evaluation:
        """Return what `_layer_by_layer` does, in few kernels."""
        layers = self._observed(kept)
        key = self.guidance, layers
        if key not in self.constants:
            self.constants[key] = self._constant_tensors(layers)
        varying = {IMAGE: image}
        if kept:
            varying[DEEP_GRADIENT] = kept.gradient
        if self.graphs:
            found = self.graphs.forward_backward(self.network, layers, varying, self.constants[key])
        else:
            found = forward_backward(self.network, layers, {**varying, **self.constants[key]})
        terms = {
            layer: Term(found["costs"][i], found["goals"][i], {})
            for i, layer in enumerate(layers.style)
        }
        return Evaluation(found["content"], terms, found["gradient"], found.get(DEEP_GRADIENT))

    def _constant_tensors(self, layers: ComparedLayers) -> dict[str, Tensor]:
        """Return what is the same for all pictures that are compared at some layers."""
        settings = self.settings
        tensors = content_tensors(self.content, settings.content_weights, self._alpha)
        if not layers.style:
            return tensors
        (own,) = self.terms.values()
        pixels = torch.empty((1, 1, *self.size), device="meta")
        shares = [
            LayerShare(layer, own.gram_unit(layer), positions.numel())
            for layer, positions in carry_down(pixels, layers.style)
        ]
        return {**tensors, **style_tensors(own.style, shares, self.guidance, settings.beta)}

    def _layer_by_layer(self, image: Tensor, kept: DeepLayers | None) -> Evaluation:
        """Return the network's part of the costs and of the gradient.

        What `kept` has is taken from there.
        """
        layers = self._observed(kept)
        trace = self.network.observe(image, {*layers.content, *layers.style})
        terms = {layer: self._term_at(layer, trace.activations[layer]) for layer in layers.style}
        content, content_pulls = self._content_pulls(trace)

        def add_style(layer: str, gradient: Tensor | None) -> Tensor | None:
            if layer not in terms:
                return gradient
            return self._add_pulls(gradient, trace.activations[layer], layer, terms[layer])

        gradient, deep_gradient = pull_back(
            self.network, trace, content_pulls, add_style, kept.gradient if kept else None
        )
        settled = {layer: term.settled() for layer, term in terms.items()}
        return Evaluation(content, settled, gradient, deep_gradient)

    def _content_pulls(self, trace: Trace) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the content term of activations, and α times its derivatives by layer."""
        content, pulls = torch.zeros(()), {}
        for layer, weight in self.settings.content_weights.items():
            residual = widened(trace.activations[layer]) - self.content[layer]
            content = content + weight * residual.square().mean()
            pulls[layer] = (2 * self._alpha * weight / residual.numel()) * residual
        return content, pulls

    def _observed(self, kept: DeepLayers | None) -> ComparedLayers:
        """Return the layers where a picture is compared, without those that are kept."""
        left_out = self._deep if kept else set()
        style = tuple(layer for layer in self.style_layers if layer not in left_out)
        return ComparedLayers(tuple(self.settings.content_weights), style)

    def _term_at(self, layer: str, activation: Tensor) -> Term:
        """Return a layer's J_style[l] with its derivative, from its activations."""
        sums: Sums = {}
        self._count(sums, layer, activation, self._windows)
        return self._term(layer, sums)

    def _count(
        self, sums: Sums, layer: str, activation: Tensor, windows: Sequence[Windows | None]
    ) -> None:
        """Count (a part of) a layer's activations in each region that is there."""
        for number, window in self._places(layer, windows):
            part = self.terms[number].sums(layer, activation, window)
            accumulate(sums, (number, layer), part)

    def _places(
        self, layer: str, windows: Sequence[Windows | None]
    ) -> Iterator[tuple[int, Window | None]]:
        """Yield the regions that count at a layer, with where they are in (a part of) the photo."""
        for number, terms in self.terms.items():
            if layer in terms.lambdas:
                for window in seen_through(windows[number], layer):
                    yield number, window

    def _term(self, layer: str, sums: Sums) -> Term:
        """Return the same from the sums of all regions."""
        terms = [
            each.term(layer, sums[number, layer], self.guidance)
            for number, each in self.terms.items()
            if layer in each.lambdas
        ]
        return functools.reduce(Term.__add__, terms)

    @property
    def _alpha(self) -> float:
        """Return α as the goal has it; the guide, and what makes up for it, is of Gram costs."""
        is_guided = self.guidance is not None and "gram" in self.settings.used_style_costs
        return self.settings.alpha * (self.guidance.content if self.guidance and is_guided else 1)

    def _add_pulls(
        self, gradient: Tensor | None, activation: Tensor, layer: str, term: Term
    ) -> Tensor:
        """Return the gradient of a layer's activations with a style term's added."""
        for number, window in self._places(layer, self._windows):
            pull = term.pulls[number]
            if window is None:
                gradient = pull.onto(gradient, activation)
            else:
                gradient = torch.zeros_like(activation) if gradient is None else gradient
                pull.add(gradient, activation, window)
        assert gradient is not None, "a term pulls somewhere"
        return gradient

    @property
    def _layers(self) -> set[str]:
        """Return the layers with a weight; λ = 0 costs nothing."""
        return {*self.settings.content_weights, *self.style_layers}

    @property
    def _deep(self) -> set[str]:
        """Return the style layers beyond the content layers."""
        names, deepest = list(LAYER_CHANNELS), [*self.settings.content_weights][-1]
        return set(names[names.index(deepest) + 1 :]) & self._layers

    def _total(
        self, alpha: float, content: Tensor, style: Iterable[Tensor], smoothness: Tensor
    ) -> Tensor:
        style_cost = sum(style, torch.zeros_like(content))
        return alpha * content + self.settings.beta * style_cost + smoothness


@dataclass(frozen=True)
class Evaluation:
    """The network's part of the costs at a picture, and of their gradient."""

    content: Tensor
    terms: dict[str, Term]  # by layer, with nothing to pull any more
    gradient: Tensor  # of the pixels
    deep_gradient: Tensor | None  # of the content layer's activations, from beyond it


class DeepLayers:
    """The part of layers beyond the content layer, of one evaluation, for the next few.

    To the optimiser it is a linear term of constant slope, renewed after `DEEP_EVERY` evaluations
    or when J has halved.
    """

    def __init__(
        self, gradient: Tensor, terms: Mapping[str, Term], guidance: Guidance | None, J: float
    ) -> None:
        self.gradient = gradient  # with respect to the content layer's activations
        self.terms = terms
        self.guidance = guidance
        self.J = J
        self.left = DEEP_EVERY - 1

    def serves(self, guidance: Guidance | None) -> bool:
        """Tell whether it may be used once more; count the uses."""
        self.left -= 1
        return self.left >= 0 and guidance == self.guidance
