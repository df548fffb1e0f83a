"""What a film will take: forecast before it begins, and measured while it is painted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.tiny_network import MakeNetwork
from nst import TransferSettings, TransferStep
from nst.engine.work import FORWARD, PlannedRun, work_of
from nst.settings import FilmSettings
from nst.video import forecast
from nst.video.__main__ import duration_text
from nst.video.forecast import FilmForecast, FilmProgress, film_forecast
from nst.video.transfer import FilmStep

SETTINGS = TransferSettings(size=100, iterations=58)
FRAME = (100, 50)
PACE, MOTION = 1e-3, 1e-4  # seconds per pixel


@pytest.fixture
def expected(make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch) -> FilmForecast:
    monkeypatch.setattr(forecast, "seconds_per_pixel", lambda _: PACE)
    monkeypatch.setattr(forecast, "motion_seconds_per_pixel", lambda: MOTION)
    return film_forecast(make_network(), FRAME, [(80, 80)], SETTINGS, FilmSettings())


def test_a_film_takes_its_first_frame_and_those_that_follow(expected: FilmForecast) -> None:
    work = work_of(PlannedRun(FRAME, [(80, 80)], SETTINGS))
    assert expected.first == pytest.approx(work.pixels * PACE)
    evaluations = 8 + 50 * forecast.NEW + 1 + FORWARD
    assert expected.following == pytest.approx(5000 * (evaluations * PACE + MOTION))
    assert expected.seconds(10) == pytest.approx(expected.first + 9 * expected.following)
    assert expected.seconds(10, scenes=2) == pytest.approx(
        2 * expected.first + 8 * expected.following
    )
    assert expected.seconds(0) == 0


def test_the_size_and_the_regions_count(expected: FilmForecast, make_network: MakeNetwork) -> None:
    twice = film_forecast(make_network(), FRAME, [(80, 80)], SETTINGS.replace(size=200))
    assert twice.following == pytest.approx(4 * expected.following)
    regions = film_forecast(make_network(), FRAME, [(80, 80)], SETTINGS, regions=2)
    assert expected.following < regions.following < 1.2 * expected.following


def test_the_pace_of_the_flow_is_measured() -> None:
    assert 0 < forecast.motion_seconds_per_pixel() < 1


def step(frame: int, iteration: int, total: int, elapsed: float) -> FilmStep:
    blank = torch.zeros(1, 3, 1, 1)
    told = TransferStep(iteration, total, 1, 1, 0, 0, 0, {}, elapsed, 0.0, blank)
    return FilmStep(frame, 0, told, is_finished=iteration == total)


def test_what_is_left_is_forecast_and_then_measured() -> None:
    progress = FilmProgress(5, FilmForecast(first=60.0, following=10.0))
    assert progress.remaining(replace(step(0, 0, 2, 1), is_finished=False)) == 4 * 10 + 10
    assert progress.remaining(step(0, 2, 2, 30)) == 40
    assert progress.remaining(step(1, 0, 2, 32)) == 30 + 10
    assert progress.remaining(step(1, 1, 2, 33)) == 30 + 5
    assert progress.remaining(step(1, 2, 2, 34)) == 30  # 4 s, of one frame alone
    assert progress.remaining(step(2, 0, 2, 35)) == 20 + 10
    assert progress.remaining(step(2, 2, 2, 40)) == 2 * 5  # 4 and 6 s
    assert progress.remaining(step(3, 0, 0, 41)) == pytest.approx(11 / 3)  # nothing to paint
    assert progress.remaining(step(4, 2, 2, 45)) == 0


def test_frames_that_were_painted_before_are_no_measure() -> None:
    progress = FilmProgress(6, FilmForecast(first=60.0, following=10.0))
    for frame in range(4):
        left = progress.remaining(step(frame, 8, 8, 0.1 * frame))
    assert left == 20


def test_nothing_is_estimated_of_a_clip_whose_length_is_not_known() -> None:
    progress = FilmProgress(0, FilmForecast(first=60.0, following=10.0))
    assert progress.remaining(step(0, 0, 8, 1)) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 second"), (80, "80 seconds"), (700, "12 minutes"), (12600, "3.5 hours")],
)
def test_durations_are_told_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
