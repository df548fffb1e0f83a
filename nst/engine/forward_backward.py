"""The network's part of an evaluation: forward, and backward with the terms of J.

For CUDA it is a function of tensors: what may change from one evaluation to the next, weights and
targets among it, comes in as one, and nothing goes to the host. So a graph that was captured of it
can be replayed for other pixels, pictures and weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import mul

import torch
from torch import Tensor

from nst.engine.losses import widened
from nst.engine.style_batch import Tensors, batched_terms
from nst.engine.style_terms import Pull
from nst.vgg.network import VGG, Trace

IMAGE = "image"
DEEP_GRADIENT = "deep gradient"

AddStyle = Callable[[str, Tensor | None], Tensor | None]
"""Adds the derivative of a layer's style term, where it has one, to the gradient there."""


@dataclass(frozen=True)
class ComparedLayers:
    """The layers where a picture is compared, each shallow to deep."""

    content: tuple[str, ...]
    style: tuple[str, ...]


def content_tensors(
    targets: Tensors, weights: Mapping[str, float], alpha: float
) -> dict[str, Tensor]:
    """Return all that `forward_backward` needs to know of the photo and its weights."""
    like = next(iter(targets.values()))
    slopes = [2 * alpha * weight / targets[layer].numel() for layer, weight in weights.items()]
    return {
        **{layer: targets[layer] for layer in weights},
        "content weights": like.new_tensor([*weights.values()]),
        "content slopes": like.new_tensor(slopes),
    }


def forward_backward(network: VGG, layers: ComparedLayers, tensors: Tensors) -> dict[str, Tensor]:
    """Return the costs of a picture and their gradient.

    Args:
        network: on the device of the tensors.
        layers: without those beyond the content layers where their gradient is given.
        tensors: the picture, (1, 3, H, W) under `IMAGE`, `content_tensors`, and `style_tensors` of
            the style layers; under `DEEP_GRADIENT` what came from beyond the content layers in an
            earlier evaluation, if it is to be taken from there.

    Returns:
        `content` () is the content term; `costs` and `goals` (L,) are those of the style terms,
        and `gradient` that of the pixels. Under `DEEP_GRADIENT` is what came from beyond the
        content layers, if anything did.
    """
    trace = network.observe(tensors[IMAGE], {*layers.content, *layers.style})
    pulls: dict[str, Tensor] = {}
    found: dict[str, Tensor] = {}
    if layers.style:
        activations = {layer: trace.activations[layer] for layer in layers.style}
        found["costs"], found["goals"], pulls = batched_terms(activations, tensors)
    residuals = [widened(trace.activations[layer]) - tensors[layer] for layer in layers.content]
    weights, slopes = tensors["content weights"], tensors["content slopes"]
    squares = [residual.square().mean() for residual in residuals]
    found["content"] = functools.reduce(torch.add, map(mul, weights, squares))
    content_pulls = dict(zip(layers.content, map(mul, slopes, residuals), strict=True))

    def add_style(layer: str, gradient: Tensor | None) -> Tensor | None:
        if layer not in pulls:
            return gradient
        return Pull(pulls[layer]).onto(gradient, trace.activations[layer])

    found["gradient"], deep_gradient = pull_back(
        network, trace, content_pulls, add_style, tensors.get(DEEP_GRADIENT)
    )
    return found if deep_gradient is None else {**found, DEEP_GRADIENT: deep_gradient}


def pull_back(
    network: VGG,
    trace: Trace,
    content_pulls: Tensors,
    add_style: AddStyle,
    deep_gradient: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of the pixels, and what came from beyond the content layers.

    `content_pulls` are the derivatives of the content term by layer. Where `deep_gradient` is given
    the layers beyond were not observed; it takes the place of what would have come from there.
    """
    deepest, found = [*content_pulls][-1], None

    def add_terms(layer: str, gradient: Tensor | None) -> Tensor:
        nonlocal found
        if layer == deepest:
            if deep_gradient is not None:
                gradient = deep_gradient.clone()
            elif gradient is not None:
                found = gradient.clone()
        if layer in content_pulls:
            pull = content_pulls[layer].to(network.dtype)
            gradient = pull if gradient is None else gradient.add_(pull)
        gradient = add_style(layer, gradient)
        assert gradient is not None, "the deepest layer observed has a term"
        return gradient

    return network.pull_back(trace, add_terms), found
