"""Steps that raise the cost: taken back, learned from, and given up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nst.engine.costs import Costs, Measure
from nst.engine.minimization import Iterate, minimize
from nst.engine.optimizers import FIRST_STEP, MOST_REJECTED, BoxAdam, BoxLBFGS
from nst.engine.style_target import Guidance
from nst.settings import DEFAULTS

START = torch.full((1, 3, 4, 4), 0.52, dtype=torch.float64)
NEAR = 0.1 * FIRST_STEP  # a first step leads far beyond a minimum so near


class Bowl:
    """½ c ‖x − t‖² of pictures of one colour, as `minimize` knows objectives."""

    settings = DEFAULTS
    guidance: Guidance | None = None

    def __init__(self, target: float, curvature: float = 1.0) -> None:
        self.target, self.curvature = target, curvature
        self.forgotten = 0

    def forget(self) -> None:
        self.forgotten += 1

    def costs(self, image: Tensor) -> Costs:
        return self._costs(image, ())

    def evaluate(self, image: Tensor, measure: Measure | None = None) -> tuple[Costs, Tensor]:
        gradient = self.curvature * (image - self.target)
        measured = [float(value) for value in measure(gradient)] if measure else []
        return self._costs(image, measured), gradient

    def _costs(self, image: Tensor, measured: Sequence[float]) -> Costs:
        cost = self.cost(image)
        return Costs(cost, cost, 0.0, {}, 0.0, goal=cost, measured=tuple(measured))

    def cost(self, image: Tensor) -> float:
        return 0.5 * self.curvature * float((image - self.target).square().sum())


class Cliff(Bowl):
    """The same, and not a number beyond the start: no step leads anywhere."""

    def cost(self, image: Tensor) -> float:
        return super().cost(image) if torch.equal(image, START) else math.nan


class Hill(Bowl):
    """The same with a cost that is highest where the gradient leads: it is no derivative."""

    def cost(self, image: Tensor) -> float:
        return -super().cost(image)


def values(points: Sequence[Iterate]) -> list[float]:
    return [float(each.point.image.mean()) for each in points]


@pytest.mark.parametrize("curvature", [1e-6, 1.0, 1e6])
def test_a_step_that_goes_too_far_is_taken_back_and_teaches_the_next(curvature: float) -> None:
    """Of one colour the pictures are a line: its curvature known, the minimum is a step away."""
    bowl = Bowl(0.52 - NEAR, curvature)
    points = list(minimize(bowl, START, BoxLBFGS(), 2))
    assert values(points) == pytest.approx([0.52, 0.52, 0.52 - NEAR], abs=1e-9)
    assert bowl.forgotten == 1  # nothing of the picture that was taken back counts


def test_the_cost_never_rises_with_lbfgs() -> None:
    points = list(minimize(Bowl(0.52 - NEAR), START, BoxLBFGS(), 12))
    goals = [each.point.costs.goal for each in points]
    assert goals == sorted(goals, reverse=True)
    assert all(each.point is each.best for each in points)


def test_adam_may_raise_the_cost_and_keeps_the_best() -> None:
    near = 1.4 * BoxAdam().rate  # the second step leads as far beyond it, and a little farther
    points = list(minimize(Bowl(0.52 - near), START, BoxAdam(), 4))
    goals = [each.point.costs.goal for each in points]
    assert any(later > earlier for earlier, later in pairwise(goals))
    assert points[-1].best.costs.goal == min(goals)


def test_a_step_without_curvature_is_halved_until_it_is_given_up() -> None:
    """Downhill the gradient grows: nothing is to be learned, and the cost rises all the same."""
    optimizer, hill = BoxLBFGS(), Hill(0.6, -1.0)
    tried = []
    for _ in minimize(hill, START, optimizer, MOST_REJECTED - 1):
        tried.append(optimizer.caution)
    assert tried == [0.5**n for n in range(MOST_REJECTED)]
    assert optimizer.rejected == MOST_REJECTED - 1
    optimizer = BoxLBFGS()
    *_, last = minimize(hill, START, optimizer, MOST_REJECTED)
    assert optimizer.rejected == 0  # it begins anew
    assert torch.equal(last.point.image, START)


def test_what_is_not_a_number_is_taken_back_at_once() -> None:
    cliff = Cliff(0.0)
    *_, last = minimize(cliff, START, BoxLBFGS(), 3)
    assert torch.equal(last.point.image, START)
    assert cliff.forgotten == 3


def test_steps_are_of_the_usual_length_again_after_one_was_kept() -> None:
    optimizer = BoxLBFGS()
    first = optimizer.step(START, START - 0.5)
    assert optimizer.reject(first, 2 * (START - 0.5))
    assert optimizer.caution == 0.5
    shorter = optimizer.step(START, START - 0.5)
    assert float((shorter - START).abs().mean()) == pytest.approx(FIRST_STEP / 2)
    optimizer.step(shorter, shorter - 0.5)
    assert (optimizer.caution, optimizer.rejected) == (1.0, 0)
