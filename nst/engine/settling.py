"""Settle what a large picture shows at its base size: a coarse-grid correction.

An iteration at full size changes the large shapes least, and there are a few iterations left. One
at the base size costs little and changes just these. So J_base is minimised from what the picture
shows there, D G, and the change is brought back: the picture shows it exactly, and keeps its
detail. The iterations on J that follow let the detail go along. A change that raises the cost by
too much for them is halved; and where the cost, with the base-size term, does not end lower, the
picture before stays the best.

A departure from Gatys et al. In multigrid optimisation this is the coarse-grid correction (Nash,
2000, "A multigrid approach to discretized optimization problems"). His shift of the coarse
objective is left out: the two differ in what they want of the large shapes, and the base is to win.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from nst.engine.base_term import HeldObjective
from nst.engine.kept_photo import KeptObjective
from nst.engine.minimization import CostFunction, Point, minimize
from nst.engine.optimizers import SMALLEST_STEP, Stepper, make_optimizer
from nst.engine.picture import Picture
from nst.engine.style_target import SLIGHT

SHARES = (1.0, 0.5, 0.25)  # of the change that are tried, the largest first
MOST_RISE = 1.6  # of the cost by it; a few iterations bring so much down again


def settled(objective: CostFunction[Any], image: Tensor, iterations: int) -> Iterator[Tensor]:
    """Yield pictures (1, 3, H, W) with the change of so many iterations at the base size.

    The whole change comes first, then smaller `SHARES` of it. Where a part of the photo is kept, it
    is seen, and stays.
    """
    if isinstance(objective, KeptObjective):
        seen, held = objective.kept.compose(image), objective.objective
    else:
        seen, held = image, objective
    assert isinstance(held, HeldObjective), "a stage that is settled has a base-size term"
    change = held.spread(lifted_change(held, held.reduce(seen), iterations))
    for share in SHARES:
        yield image.add(change, alpha=share)


def first_near(
    pictures: Iterable[Picture],
    objective: CostFunction[Picture],
    optimizer: Stepper[Picture],
    cost: float,
) -> Point[Picture] | None:
    """Return the first picture evaluated that costs no more than `MOST_RISE` times a cost.

    None where there is none: the detail would not come back in the iterations that are left.
    """
    for picture in pictures:
        point = Point.at(picture, objective, optimizer)
        if point.is_finite and point.costs.J + point.costs.base <= MOST_RISE * cost:
            return point
        del picture, point  # a very large one leaves no room for two
        objective.forget()
    return None


def lifted_change(held: HeldObjective, reduced: Tensor, iterations: int) -> Tensor:
    """Return what `HeldObjective.spread` makes the change of: (1, 3, H', W')."""
    return held.lifted(settled_base(held, reduced, iterations) - reduced)


def settled_base(held: HeldObjective, reduced: Tensor, iterations: int) -> Tensor:
    """Return what so many iterations at the base size make of D G, (1, 3, H', W')."""
    base = held.base
    before, base.guidance = base.guidance, SLIGHT
    base.forget()
    optimizer = make_optimizer("lbfgs", first_step=SMALLEST_STEP)
    with torch.no_grad():
        for iterate in minimize(base, reduced, optimizer, iterations):
            best = iterate.best.image
    base.guidance = before
    base.forget()
    return best
