"""J and its parts as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nst.engine.picture import Picture
from nst.settings import TransferSettings


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


def read_costs(
    settings: TransferSettings,
    alpha: float,
    content: Tensor,
    layers: Mapping[str, Tensor],
    goals: Iterable[Tensor],
    smoothness: Tensor,
    measured: Sequence[Tensor] = (),
) -> Costs:
    """Return the costs as numbers, in one transfer from the device.

    Args:
        settings: those of the objective, with its α and β.
        alpha: α of the goal.
        content: the content term.
        layers: λ[l] · J_style[l].
        goals: the same as guided.
        smoothness: the term of total variation, with all its factors.
        measured: the gradient's steepest entry, and what `evaluate` was asked for.
    """
    n_layers = len(layers)
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
