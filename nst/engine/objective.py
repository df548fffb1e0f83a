"""J(G): what the optimiser minimises, as a function of the pixels of G.

Combines the costs of `losses` over the layers of `vgg` with the weights of `settings`. Knows
nothing of optimisers, scales or files.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nst.caches import LRUCache
from nst.engine.fingerprint import bytes_of, fingerprint
from nst.engine.finite import finite
from nst.engine.laplacian import LaplacianTerm
from nst.engine.layer_statistics import LayerSums, accumulate
from nst.engine.losses import content_cost, total_variation, total_variation_gradient, widened
from nst.engine.out_of_memory import give_back
from nst.engine.picture import Picture
from nst.engine.region_targets import RegionTarget, region_targets
from nst.engine.regions import WHOLE, Regions
from nst.engine.style_batch import LayerShare, StyleBatch
from nst.engine.style_target import Guidance, Painting, Style
from nst.engine.style_terms import Pull, StyleTerms, Term
from nst.engine.windows import Window, Windows, seen_through, windows_of
from nst.images.color import is_grey
from nst.settings import LAYER_CHANNELS, TransferSettings, gatys_layer_weight
from nst.vgg.network import VGG, Trace, carry_down

Sums = dict[tuple[int, str], LayerSums]  # by region and layer


@dataclass(frozen=True)
class Costs:
    """J and its parts at one picture: J = α · content + β · style + smoothness.

    `content` is 2 J_content / N, the mean squared difference of N activations, summed over the
    content layers with their weights, and the Laplacian term; `layers` holds λ[l] · J_style[l], and
    `style` is their sum; `smoothness` is the term of total variation, with all its factors.
    """

    J: float
    content: float
    style: float
    layers: dict[str, float]
    smoothness: float
    goal: float  # what the gradient descends: J, or the surrogate of a guided objective
    steepest: float = field(default=0.0, compare=False)  # of the gradient; NaN where one of it is
    measured: tuple[float, ...] = field(default=(), compare=False)  # what `evaluate` was asked for
    base: float = 0.0  # the base-size term, see `base_term`; not part of J
    temporal: float = 0.0  # the term of earlier frames, see `temporal`; not part of J


Measure = Callable[[Picture], list[Tensor]]
"""Makes numbers of the gradient that are read together with the costs; 0-dimensional tensors."""


def _target_size(target: dict[str, Tensor] | Style) -> int:
    return target.size() if isinstance(target, Style) else bytes_of(*target.values())


targets: LRUCache[Any, Any] = LRUCache(256 * 2**20, _target_size)
"""What was worked out of pictures, up to so many bytes; shared by all runs of the process."""

NO_SCENE = "The photo's scene is not a finite number."
DEEP_EVERY = 10  # evaluations
DEEP_SHARE = 0.03  # of J
SMOOTHNESS_UNIT = 1000.0  # of β; what a total variation weight of 1 stands for
LAPLACIAN_UNIT = 1000.0  # of α; what a Laplacian weight of 1 stands for


def make_room() -> None:
    """Give up what is only remembered of earlier pictures, and return it to the system."""
    targets.forget()
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
        self.batches: dict[tuple[Guidance | None, Sequence[LayerShare]], StyleBatch] = {}
        self.forget()
        self._take_photo(content)
        self.laplacian = (
            LaplacianTerm(content, wraps=settings.is_seamless) if settings.laplacian else None
        )
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
        content, levels = self._outlines_cost(image), self._levels()
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
        return self._total(
            self.settings.alpha, content, layers.values(), self._smoothness_cost(image)
        )

    @torch.no_grad()
    def costs(self, image: Tensor) -> Costs:
        """Return the costs alone, by the specification."""
        content, layers = self.parts(image)
        smoothness = self._smoothness_cost(image)
        return self._read(self.settings.alpha, content, layers, layers.values(), smoothness)

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
        trace = self.network.observe(image, self._layers - self._deep if kept else self._layers)
        terms = self._terms(trace, kept)
        alpha = self._alpha
        content, pulls = self._content_pulls(trace, alpha)
        gradient, deep_gradient = self._pull_back(trace, pulls, terms, kept)
        smoothness, its_gradient = self._smoothness(image)
        if its_gradient is not None:
            gradient = gradient + its_gradient
        content = content + self._add_outlines(gradient, image, alpha)
        gradient = self._spanned(gradient)

        terms = {layer: term.settled() for layer, term in terms.items()}
        layers = {layer: term.cost for layer, term in terms.items()}
        goals = [term.goal for term in terms.values()]
        steepest = torch.linalg.vector_norm(gradient, torch.inf)
        measured = [steepest, *(measure(gradient) if measure else [])]
        costs = self._read(alpha, content, layers, goals, smoothness, measured)
        if kept is None and deep_gradient is not None:
            share = settings.beta * sum(costs.layers[layer] for layer in self._deep)
            small = share < DEEP_SHARE * costs.J
            self._kept = DeepLayers(deep_gradient, terms, self.guidance, costs.J) if small else None
        elif kept and costs.J < kept.J / 2:
            self._kept = None  # the rest has shrunk beside what it keeps
        return costs, gradient

    def _spanned(self, image: Tensor) -> Tensor:
        """Project (1, 3, H, W) on the colours that the inputs span: all, or the grey axis."""
        return image.mean(1, keepdim=True).repeat(1, 3, 1, 1) if self.is_grey else image

    def _terms(self, trace: Trace, kept: DeepLayers | None) -> dict[str, Term]:
        """Return the terms of all style layers, those that are kept among them."""
        own = [name for name in self.style_layers if not (kept and name in self._deep)]
        if self.network.device.type == "cuda" and self._is_plain:
            terms = self._batched(own, trace)
        else:
            terms = {layer: self._term_at(layer, trace.activations[layer]) for layer in own}
        return {name: terms[name] if name in terms else kept.terms[name]  # type: ignore[union-attr]
                for name in self.style_layers}  # fmt: skip

    @property
    def _is_plain(self) -> bool:
        """Tell whether there are no masks, and no other style cost than that of Gram matrices."""
        return self.regions.is_whole and not {*self.settings.used_style_costs} - {"gram"}

    def _batched(self, names: Sequence[str], trace: Trace) -> dict[str, Term]:
        """Return what `_term` does for some layers, in as few kernels as it takes for one."""
        if not names:
            return {}
        ((number, own),) = self.terms.items()
        layers = tuple(
            LayerShare(name, own.gram_unit(name), trace.activations[name][0, 0].numel())
            for name in names
        )
        key = self.guidance, layers
        if key not in self.batches:
            self.batches[key] = StyleBatch(own.style, layers, self.guidance, self.settings.beta)
        terms = self.batches[key].terms(trace.activations)
        return {
            name: Term(cost, goal, {number: Pull(matrix)})
            for name, (cost, goal, matrix) in terms.items()
        }

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

    def _content_pulls(self, trace: Trace, alpha: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the content term of activations, and α times its derivatives by layer."""
        content, pulls = torch.zeros(()), {}
        for layer, weight in self.settings.content_weights.items():
            residual = widened(trace.activations[layer]) - self.content[layer]
            content = content + weight * residual.square().mean()
            pulls[layer] = (2 * alpha * weight / residual.numel()) * residual
        return content, pulls

    def _pull_back(
        self,
        trace: Trace,
        content_pulls: Mapping[str, Tensor],
        terms: Mapping[str, Term],
        kept: DeepLayers | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradient of the pixels, and what came from beyond the content layers."""
        deep_gradient, deepest = kept.gradient if kept else None, [*content_pulls][-1]

        def add_terms(layer: str, gradient: Tensor | None) -> Tensor:
            nonlocal deep_gradient
            if layer == deepest:
                if kept is None:
                    deep_gradient = None if gradient is None else gradient.clone()
                elif deep_gradient is not None:
                    gradient = deep_gradient.clone()
            if layer in content_pulls:
                pull = content_pulls[layer].to(self.network.dtype)
                gradient = pull if gradient is None else gradient.add_(pull)
            if layer in terms:
                gradient = self._add_pulls(gradient, trace.activations[layer], layer, terms[layer])
            assert gradient is not None, "the deepest layer observed has a term"
            return gradient

        return self.network.pull_back(trace, add_terms), deep_gradient

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

    def _read(
        self,
        alpha: float,
        content: Tensor,
        layers: Mapping[str, Tensor],
        goals: Iterable[Tensor],
        smoothness: Tensor,
        measured: Sequence[Tensor] = (),
    ) -> Costs:
        """Return the costs as numbers, in one transfer.

        `alpha` is that of the goal; the first of `measured` is the gradient's steepest entry.
        """
        settings, n_layers = self.settings, len(layers)
        tensors = [content, smoothness, *layers.values(), *goals, *measured]
        content_, smoothness_, *others = torch.stack(tensors).tolist()  # one wait
        by_layer = dict(zip(layers, others, strict=False))
        style, goal_style = sum(by_layer.values()), sum(others[n_layers : 2 * n_layers])
        steepest, *rest = others[2 * n_layers :] or [0.0]
        return Costs(
            J=settings.alpha * content_ + settings.beta * style + smoothness_,
            content=content_,
            style=style,
            layers=by_layer,
            smoothness=smoothness_,
            goal=alpha * content_ + settings.beta * goal_style + smoothness_,
            steepest=steepest,
            measured=tuple(rest),
        )

    def _outlines_cost(self, image: Tensor) -> Tensor:
        """Return the Laplacian part of the content term, 1000 · weight · `laplacian_cost`.

        As the weight is a factor beside α, it does the same whatever α is.
        """
        if self.laplacian is None:
            return image.new_zeros(())
        return LAPLACIAN_UNIT * self.settings.laplacian * self.laplacian.cost(image)

    def _add_outlines(self, gradient: Tensor, image: Tensor, alpha: float) -> Tensor:
        """Add α times the derivative of the same to a gradient; return it."""
        if self.laplacian is None:
            return image.new_zeros(())
        weight = LAPLACIAN_UNIT * self.settings.laplacian
        return weight * self.laplacian.add_gradient(gradient, image, alpha * weight)

    def _smoothness(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the smoothness term of a spanned image, and its gradient where it has one."""
        if self.settings.total_variation == 0:
            return image.new_zeros(()), None
        gradient = total_variation_gradient(255 * image, self._smoothness_weight)
        return self._smoothness_cost(image), 255 * gradient

    def _smoothness_cost(self, image: Tensor) -> Tensor:
        """Return β · 1000 · weight · total variation, in levels of 255.

        A weight does the same whatever β is.
        """
        return self._smoothness_weight * total_variation(255 * self._spanned(image))

    @property
    def _smoothness_weight(self) -> float:
        return self.settings.beta * SMOOTHNESS_UNIT * self.settings.total_variation


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
