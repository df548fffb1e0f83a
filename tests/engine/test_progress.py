"""The time left, by a clock that the tests set."""

from __future__ import annotations

import itertools

import pytest

from nst import TransferSettings
from nst.engine.progress import FINISH, SET_UP, Progress
from nst.engine.schedule import Scale, plan_scales


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


PACE = 0.1 / 384**2  # seconds per pixel


def figures(
    scales: list[Scale], *, process_start: float, deep_every: int = 10
) -> list[tuple[int, float, float]]:
    """Iteration, seconds said to be left and those that were, of a run as it is timed: a slow start
    of the process, set-up at every scale, first evaluations twice as slow, and every tenth one a
    quarter slower, since it looks at the deep layers."""
    clock = Clock()
    progress = Progress(scales, clock=clock)
    said = []
    clock.now += process_start
    for scale in scales:
        clock.now += SET_UP * PACE * scale.size**2
        progress.begin(scale)
        count = itertools.count()
        for phase, (guidance, iterations) in enumerate(scale.phases):
            if scale.settling and guidance is None:
                pixels = scale.base**2 * scale.settled
                clock.now += PACE * pixels
                progress.count_beside(pixels)
            for done in range(iterations + 1):
                number = next(count)
                slow = 2.0 if number == 0 else 1.25 if number % deep_every == 0 else 1.0
                clock.now += slow * PACE * scale.pixels
                is_news = done > 0 or (phase == 0 and progress.is_fresh)
                progress.count(scale, reported=is_news)
                if progress.is_over:
                    clock.now += FINISH * PACE * scale.size**2
                if is_news:
                    said.append((progress.iteration, progress.remaining, clock.now))
    return [(iteration, remaining, said[-1][2] - at) for iteration, remaining, at in said]


@pytest.mark.parametrize("process_start", [0.0, 30.0])
@pytest.mark.parametrize("size", [128, 384, 1024])
def test_the_time_left_is_told_early(size: int, process_start: float) -> None:
    scales = plan_scales(TransferSettings(size=size))
    for iteration, said, true in figures(scales, process_start=process_start)[:-1]:
        if iteration >= 2:
            assert 1 / 1.5 < said / true < 1.5
        if iteration >= 5:
            assert 1 / 1.25 < said / true < 1.25


def test_nothing_is_left_at_the_end() -> None:
    scales = plan_scales(TransferSettings(size=128, iterations=30))
    assert figures(scales, process_start=1.0)[-1][1:] == (0.0, 0.0)


def test_a_machine_that_slows_down_is_noticed() -> None:
    (scale,) = plan_scales(TransferSettings(size=128, iterations=100))
    clock = Clock()
    progress = Progress([scale], clock=clock)
    progress.begin(scale)
    for pace, count in ((0.1, 31), (0.4, 20)):
        for _ in range(count):
            clock.now += pace
            progress.count(scale, reported=True)
    evaluations_left = scale.work / scale.size**2 - 51
    assert progress.remaining == pytest.approx(0.4 * (evaluations_left + FINISH))
