"""The minimisation of an objective over pixels: points, iterates, and the state of a run.

A run that goes on from its `RunState` takes the very steps that it would have taken without the
break.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Protocol, cast

import torch
from PIL import Image

from nst.engine.costs import Costs, Measure
from nst.engine.fingerprint import bytes_of
from nst.engine.optimizers import Optimizer, Stepper
from nst.engine.picture import Picture
from nst.engine.style_target import Guidance
from nst.errors import NumericalError
from nst.settings import TransferSettings

# What a state is bound to. Every other setting may change: weights by an edit, the rest freely.
BINDING = (
    *("size", "optimizer", "style_scale", "edges", "pooling", "precision", "weights"),
    "color_transfer",
)
FREE = ("iterations", "start", "init_weight", "seed")  # not part of the objective


class CostFunction(Protocol[Picture]):
    """What is minimised: an objective, with or without a term of another size."""

    settings: TransferSettings
    guidance: Guidance | None

    def forget(self) -> None:
        """Let nothing of an earlier picture count in the next evaluation."""

    def costs(self, image: Picture) -> Costs:
        """Return the costs of J at `image`, by the specification."""

    def evaluate(
        self, image: Picture, measure: Measure[Picture] | None = None
    ) -> tuple[Costs, Picture]:
        """Return the costs at `image` and the gradient to follow there."""


class CostAround:
    """A cost function around another, which it guides and lets forget."""

    def __init__(self, objective: CostFunction) -> None:
        self.objective = objective
        self.settings: TransferSettings = objective.settings

    @property
    def guidance(self) -> Guidance | None:
        """Return what guides the gradient of J."""
        return self.objective.guidance

    @guidance.setter
    def guidance(self, guidance: Guidance | None) -> None:
        self.objective.guidance = guidance

    def forget(self) -> None:
        """Let nothing of an earlier picture count in the next evaluation."""
        self.objective.forget()


@dataclass(frozen=True)
class Point(Generic[Picture]):
    """A picture that was evaluated, with its costs and gradient; tensors are (1, 3, H, W)."""

    image: Picture
    costs: Costs
    gradient: Picture

    @staticmethod
    def at(
        image: Picture, objective: CostFunction[Picture], optimizer: Stepper[Picture]
    ) -> Point[Picture]:
        """Evaluate the objective at a picture, and measure what the optimiser asks of it."""
        return Point(image, *objective.evaluate(image, partial(optimizer.measure, image)))

    def without_gradient(self) -> Point[Picture]:
        """Return the point for who only looks at it: its gradient is empty."""
        return replace(self, gradient=cast("Picture", torch.empty(0)))

    @property
    def is_finite(self) -> bool:
        """Tell whether costs and gradient are finite numbers."""
        return math.isfinite(self.costs.J + self.costs.goal + self.costs.steepest)


@dataclass(frozen=True)
class Iterate(Generic[Picture]):
    """Where a minimisation stands: the optimiser's own point, and the lowest goal so far."""

    point: Point[Picture]
    best: Point[Picture]


def minimize(
    objective: CostFunction[Picture],
    start: Picture | Point[Picture],
    optimizer: Stepper[Picture],
    iterations: int,
    *,
    goes_on: bool = True,
) -> Iterator[Iterate[Picture]]:
    """Yield the start, then an iterate after each iteration, of one evaluation each.

    A start that is a `Point` is not evaluated again. Where nobody `goes_on` from the end, the last
    evaluation has the memory of what only a further step would need: curvature, and a gradient.

    A step that raises the goal beyond what the optimiser tolerates is taken back; the optimiser
    tries another from the same point, and after too many of them goes on from the best one with
    nothing learned, as it does at once where a step leads to something that is not a number.

    Raises `NumericalError` when the cost of the start is not a finite number.
    """
    point = start if isinstance(start, Point) else Point.at(start, objective, optimizer)
    best: Point[Picture] = point
    if not best.is_finite:
        raise NumericalError("The cost of the starting picture is not a finite number.")
    yield Iterate(point, best)
    del start  # a very large picture leaves no room for it
    for left in reversed(range(iterations)):
        image = optimizer.step(point.image, point.gradient, point.costs.measured)
        if not (left or goes_on):
            optimizer.restart()
            best = point = best.without_gradient()
        tried = Point.at(image, objective, optimizer)
        if tried.is_finite and tried.costs.goal <= optimizer.tolerance * best.costs.goal:
            point = tried
            if point.costs.goal <= best.costs.goal:
                best = point
        else:
            objective.forget()
            if not (
                tried.is_finite and optimizer.reject(image, tried.gradient, tried.costs.measured)
            ):
                optimizer.restart()
                point = best
        del image, tried  # as above
        yield Iterate(point, best)


@dataclass(frozen=True)
class RunState:
    """What a run has learned beside its picture; immutable, of the size at which it was made.

    `optimizer` is a copy that nobody steps, `point` where it stood, `best` the picture with the
    lowest J, base-size term included. Holds references to the pictures that the run was made from.
    Where a part of the photo is kept, its pictures are what is painted, before they are composed.
    """

    pictures: Sequence[Image.Image | None]  # the photo, the paintings, and the masks that there are
    settings: TransferSettings
    guidance: Guidance | None  # of the phase that it was made in
    optimizer: Optimizer
    point: Point
    best: Point

    def fits(self, pictures: Sequence[Image.Image | None], settings: TransferSettings) -> bool:
        """Return whether a run from these very pictures can go on with it."""
        are_same = len(pictures) == len(self.pictures) and all(
            a is b for a, b in zip(pictures, self.pictures, strict=True)
        )
        return are_same and all(
            getattr(self.settings, name) == getattr(settings, name) for name in BINDING
        )

    def is_of_objective(self, settings: TransferSettings, guidance: Guidance | None) -> bool:
        """Return whether its costs and gradients are those of the objective under `settings`."""
        free = {name: getattr(settings, name) for name in FREE}
        return self.guidance == guidance and self.settings.replace(**free).paints_like(settings)

    def resume(self, objective: CostFunction, optimizer: Optimizer) -> Point:
        """Return the point to go on from.

        `optimizer` is a copy of its own. Where the objective has changed, the point is evaluated
        again and the curvature is scaled to the new gradient.
        """
        if self.is_of_objective(objective.settings, objective.guidance):
            return self.point
        same_guidance = self.guidance == objective.guidance
        origin = self.point if same_guidance else self.best
        point = Point.at(origin.image, objective, optimizer)
        old = origin.gradient if same_guidance else None
        optimizer.rescale(origin.image, old, point.gradient)
        return point

    @property
    def bytes(self) -> int:
        """Return the memory that the state holds, in bytes."""
        tensors = [
            tensor for at in (self.point, self.best) for tensor in (at.image, at.gradient)
        ] + self.optimizer.tensors()
        return bytes_of(*{id(tensor): tensor for tensor in tensors}.values())


@dataclass(frozen=True)
class DistantState:
    """What a run has learned in another process, which alone can go on with it."""

    key: tuple[int, int]  # of the run there, and the iteration
    guidance: Guidance | None

    @property
    def bytes(self) -> int:
        """Return the memory that it holds here."""
        return 0


class LostStateError(Exception):
    """The process that a run has learned in has no longer what it had learned."""
