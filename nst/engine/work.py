"""What a run evaluates, in pixels, and how fast that is on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch

from nst.engine.objective import Objective
from nst.engine.progress import FINISH
from nst.engine.schedule import Moment, plan_scales, style_side
from nst.engine.style_terms import style_time
from nst.engine.tiles import AT_ONCE
from nst.images.tensors import fitted_size
from nst.settings import TransferSettings
from nst.vgg.network import VGG

PROBE = 192  # pixels; the side of the picture that the machine is timed on
REGION_TIME = 0.05  # of an evaluation's, for each region: see benchmarks/regions.py
FORWARD = 0.5  # of an evaluation's time: a target, or the costs of the finished picture

Size = tuple[int, int]


@dataclass(frozen=True)
class PlannedRun:
    """A run before it begins.

    It has the sizes of its pictures (width, height) in pixels, its settings, the moment that it
    goes on from, and the number of its paintings with a mask.
    """

    photo: Size
    paintings: Sequence[Size]
    settings: TransferSettings
    begin: Moment | None = None
    regions: int = 0

    @property
    def evaluation_time(self) -> float:
        """Return the time of an evaluation of J, in those of the usual settings without regions."""
        has_rest = self.regions < len(self.paintings)  # where no mask is, some painting rules
        return style_time(self.settings, self.regions + has_rest) + REGION_TIME * self.regions

    def under(self, settings: TransferSettings) -> PlannedRun:
        """Return the same run under other settings."""
        return replace(self, settings=settings)


@dataclass(frozen=True)
class Work:
    """What a run evaluates of J with its gradient, wherever that is.

    Pixels in all, those of what costs less in proportion; pixels of the picture at its largest, of
    the largest painting that the network sees at once, and of all paintings at their largest.
    """

    pixels: float
    largest: int
    at_once: int
    held: int = 0


def work_of(
    run: PlannedRun,
    *,
    least: int = 0,
    overhead: Callable[[int], float] = lambda pixels: 1.0,
    finish: float = FINISH,
) -> Work:
    """Return the work of a run; no picture counts for fewer pixels than `least`.

    `overhead` is the factor of an evaluation's time for a picture of so many pixels, and `finish`
    the evaluations that the costs of the finished picture take where its painting is as large.
    """
    evaluated = seen = last = 0.0
    largest = at_once = held = picture = 0
    for scale in plan_scales(run.settings, run.begin):
        picture = _area(run.photo, scale.size)
        side = style_side(scale.size, run.settings)
        styles = [_area(painting, side) for painting in run.paintings]
        largest = max(largest, picture)
        at_once = max(at_once, *(min(style, AT_ONCE) for style in styles))
        held = max(held, sum(styles))
        picture, styles = max(picture, least), [max(style, least) for style in styles]
        base = max(_area(run.photo, scale.base), least) if scale.base else 0
        evaluations = scale.iterations + len(scale.phases)
        evaluated += (picture * overhead(picture) + base) * evaluations + base * scale.settled
        last = overhead(picture) * picture + sum(overhead(style) * style for style in styles)
        seen += last
    # In float32, whatever the run computes in: its targets, and the finished picture.
    seen += (last + overhead(picture) * picture) * finish / FINISH
    evaluated *= run.evaluation_time
    return Work(evaluated + FORWARD * seen, largest, at_once, held)


def seconds_per_pixel(network: VGG) -> float:
    """Return the seconds per pixel of one evaluation of J and its gradient.

    It is the quickest of a few, tried once per network.
    """
    if network not in _paces:
        picture = torch.full((1, 3, PROBE, PROBE), 0.5, device=network.device)
        objective = Objective(network, picture, [picture], TransferSettings())
        taken = []
        for _ in range(4):
            objective.forget()
            began = time.perf_counter()
            objective.evaluate(picture)
            taken.append(time.perf_counter() - began)
        _paces[network] = min(taken) / PROBE**2
    return _paces[network]


_paces: WeakKeyDictionary[VGG, float] = WeakKeyDictionary()


def _area(picture: Size, side: int) -> int:
    """Return the pixels of a picture with its longest side brought to `side`."""
    width, height = fitted_size(picture, side)
    return width * height
