"""The progress of a run: iterations counted, and the seconds that are left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

RECENT = 20  # evaluations: two rounds of those that leave the deep layers out and the one that not
SET_UP = 1.0  # evaluations that the targets of a further scale take
FINISH = 1.5  # evaluations that the costs of the finished picture take, with their targets
FINISH_IN_FLOAT32 = 4.0  # the same, where the run computes in a faster format


def finish_of(dtype: torch.dtype) -> float:
    """Return the evaluations that the costs of the finished picture take, with their targets."""
    return FINISH if dtype == torch.float32 else FINISH_IN_FLOAT32


class Stage(Protocol):
    """What is known of a scale."""

    @property
    def size(self) -> int:
        """Return the longest side in pixels."""

    @property
    def iterations(self) -> int:
        """Return the number of iterations."""

    @property
    def pixels(self) -> int:
        """Return the number of pixels of an evaluation."""

    @property
    def work(self) -> int:
        """Return the number of pixels to evaluate."""


class Progress:
    """Counts evaluations, and estimates the seconds that are left from how long the latest took.

    Work is counted in evaluated pixels. Setting up does not count as work: not the targets, and not
    the first evaluation of a scale, in which memory is allocated and kernels are chosen, as soon as
    there is another one to go by. `overhead` is the factor of a pixel's time at a stage.
    """

    def __init__(
        self,
        scales: Sequence[Stage],
        done: int = 0,
        *,
        finish: float = FINISH,
        overhead: Callable[[Stage], float] = lambda stage: 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = done  # iterations before this run
        self.iteration = done - 1
        self.total = done + sum(scale.iterations for scale in scales)
        self._overhead = overhead
        self._clock = clock
        self._started = self._marked = clock()
        set_ups = sum(map(self._area, scales[1:])) * SET_UP
        evaluations = sum(scale.work * overhead(scale) for scale in scales)
        self._left = evaluations + set_ups + finish * self._area(scales[-1])
        self._pace = 0.0  # seconds per pixel, by first evaluations alone
        self._recent: deque[float] = deque(maxlen=RECENT)  # the same, by the others
        self._is_first = True

    def begin(self, scale: Stage) -> None:
        """Say that a scale is set up, and its first evaluation comes next."""
        if self.iteration >= self.done:
            self._left -= SET_UP * self._area(scale)
        self._is_first = True
        self._marked = self._clock()

    def count(self, scale: Stage, *, reported: bool) -> None:
        """Say that a picture was evaluated; `reported` where that is an iteration."""
        now = self._clock()
        pace = (now - self._marked) / self._area(scale)
        if self._is_first:
            self._pace = pace
        else:
            self._recent.append(pace)
        self._is_first, self._marked = False, now
        self._left -= self._area(scale)
        self.iteration += reported

    def count_beside(self, pixels: int) -> None:
        """Say that so many pixels were evaluated that belong to no picture of a scale."""
        self._left -= pixels
        self._marked = self._clock()

    def _area(self, scale: Stage) -> float:
        """Return the pixels of an evaluation, as they count for its time."""
        return scale.pixels * self._overhead(scale)

    @property
    def is_fresh(self) -> bool:
        """Tell whether nothing was reported yet."""
        return self.iteration < self.done

    @property
    def is_over(self) -> bool:
        """Tell whether the last iteration was reported."""
        return self.iteration == self.total

    @property
    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return self._clock() - self._started

    @property
    def remaining(self) -> float:
        """Return the estimated seconds until the finished picture."""
        if self.is_over:
            return 0.0
        pace = sum(self._recent) / len(self._recent) if self._recent else self._pace
        return pace * self._left
