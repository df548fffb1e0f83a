"""What a run will cost: in proportion to its plan, and refused where there is no room."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

import nst.studio.forecast
from helpers.tiny_network import MakeNetwork
from nst.engine.memory import available_memory, left_in_container
from nst.engine.progress import FINISH, FINISH_IN_FLOAT32
from nst.engine.schedule import Moment
from nst.engine.style_terms import EXTRA_TIME
from nst.engine.work import REGION_TIME
from nst.errors import TooLargeError
from nst.settings import TransferSettings
from nst.studio.backends.local import LocalBackend
from nst.studio.forecast import (
    Forecast,
    PlannedRun,
    forecast,
    largest_size,
    work_of,
)
from nst.vgg.network import VGG

PACE = 1e-6  # seconds per pixel and evaluation
admit = LocalBackend().admit


@pytest.fixture(autouse=True)
def known_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nst.studio.forecast, "seconds_per_pixel", lambda _: PACE)


def test_one_scale_by_hand(network: VGG) -> None:
    settings = TransferSettings(size=200, iterations=10)  # one scale, one phase: 11 evaluations
    expected = forecast(network, PlannedRun((400, 200), [(100, 100)], settings))
    photo, painting = 200 * 100, 200 * 200
    looked_at = photo + painting + 2 * photo + painting  # targets; the end, and its targets
    assert expected.seconds == pytest.approx(PACE * (11 * photo + 0.5 * looked_at))


def test_the_end_is_in_float32_whatever_the_run_computes_in(make_network: MakeNetwork) -> None:
    settings = TransferSettings(size=200, iterations=10)
    wide, narrow = (
        forecast(make_network(dtype=dtype), PlannedRun((400, 200), [(400, 200)], settings)).seconds
        for dtype in (torch.float32, torch.bfloat16)
    )
    evaluation = PACE * 200 * 100
    assert narrow - wide == pytest.approx((FINISH_IN_FLOAT32 - FINISH) * evaluation)


def test_the_end_of_a_picture_in_tiles_takes_longer_too() -> None:
    run = PlannedRun((400, 200), [(400, 200)], TransferSettings(size=200, iterations=10))
    tiled = work_of(run, overhead=lambda pixels: 2.0)
    assert tiled.pixels == pytest.approx(2 * work_of(run).pixels)


def test_iterations_and_pixels_cost_in_proportion(network: VGG) -> None:
    def seconds(size: int, iterations: int) -> float:
        settings = TransferSettings(size=size, iterations=iterations)
        return forecast(network, PlannedRun((300, 200), [(300, 200)], settings)).seconds

    assert seconds(384, 1000) / seconds(384, 100) == pytest.approx(10, rel=0.1)
    assert seconds(256, 400) / seconds(128, 400) == pytest.approx(4, rel=0.05)


def test_memory_grows_with_the_larger_picture_and_shrinks_with_the_format(
    make_network: MakeNetwork,
) -> None:
    settings = TransferSettings(size=1024)
    wide, narrow = (
        forecast(make_network(dtype=dtype), PlannedRun((1024, 768), [(64, 64)], settings)).bytes
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert narrow < wide
    larger_style = settings.replace(style_scale=2.0)
    assert forecast(make_network(), PlannedRun((1024, 768), [(64, 64)], larger_style)).bytes > wide


def test_a_container_grants_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("300\n")
    assert left_in_container(tmp_path) == 700
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 200\n")
    assert left_in_container(tmp_path) == 900
    (tmp_path / "memory.max").write_text("max\n")
    assert left_in_container(tmp_path) is None
    assert left_in_container(tmp_path / "none") is None


def test_this_machine_has_memory(network: VGG) -> None:
    available = available_memory(network.device)
    assert available is None or available > 2**20


def test_a_run_without_room_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, network: VGG
) -> None:
    monkeypatch.setattr("nst.studio.backends.local.load_network", lambda *_: network)
    monkeypatch.setattr("nst.studio.backends.local.available_memory", lambda _: 2 * 10**9)
    sizes = (64, 48), [(64, 48)]
    assert isinstance(admit(PlannedRun(*sizes, TransferSettings(size=384))), Forecast)
    with pytest.raises(
        TooLargeError, match=r"needs \d+\.\d GB of memory, and 2\.0 GB are free here"
    ):
        admit(PlannedRun(*sizes, TransferSettings(size=4096)))
    monkeypatch.setattr("nst.studio.backends.local.available_memory", lambda _: None)
    assert admit(PlannedRun(*sizes, TransferSettings(size=2048))).seconds > 0


SIZES = (640, 480), [(640, 480)]


def refusal(
    settings: TransferSettings, begin: Moment | None = None, *, seconds: float = math.inf
) -> str:
    with pytest.raises(TooLargeError) as refused:
        admit(PlannedRun(*SIZES, settings, begin), seconds=seconds)
    sentence = str(refused.value)
    assert "\n" not in sentence
    return sentence


def test_a_refusal_says_what_would_fit_and_that_fits(
    monkeypatch: pytest.MonkeyPatch, network: VGG
) -> None:
    monkeypatch.setattr("nst.studio.backends.local.load_network", lambda *_: network)
    settings = TransferSettings(size=8192, iterations=1000)
    monkeypatch.setattr("nst.studio.backends.local.available_memory", lambda _: 4 * 10**9)
    fits = re.search(r"(\d+) px would fit\.$", refusal(settings))
    assert fits, "fewer iterations would not take less memory"
    assert admit(PlannedRun(*SIZES, settings.replace(size=int(fits[1]))))
    refusal(settings.replace(size=int(fits[1]) + 16))

    monkeypatch.setattr("nst.studio.backends.local.available_memory", lambda _: None)
    settings = settings.replace(size=2048)
    sentence = refusal(settings, seconds=600.0)
    fits = re.search(r"(\d+) px or (\d+) iterations would fit\.$", sentence)
    assert fits, sentence
    assert re.match(r"This would take about \d\d minutes, and 10 are the most", sentence)
    for name, value, step in (("size", int(fits[1]), 16), ("iterations", int(fits[2]), 1)):
        assert admit(PlannedRun(*SIZES, settings.replace(**{name: value})), seconds=600.0)
        for larger in range(value + step, getattr(settings, name), 8 * step):
            refusal(settings.replace(**{name: larger}), seconds=600.0)


def test_what_is_painted_already_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch, network: VGG
) -> None:
    """And no smaller size is proposed than there is."""
    monkeypatch.setattr("nst.studio.backends.local.load_network", lambda *_: network)
    monkeypatch.setattr("nst.studio.backends.local.available_memory", lambda _: None)
    settings = TransferSettings(size=640, iterations=1000)
    begin = Moment(Image.new("RGB", (640, 480)), 900)
    assert admit(PlannedRun(*SIZES, settings, begin), seconds=100.0)
    assert refusal(settings, begin, seconds=20.0).endswith("Fewer iterations may do.")
    fits = re.search(
        r"(\d+) px would fit\.$", refusal(settings.replace(size=2048), begin, seconds=100.0)
    )
    assert fits
    assert 640 < int(fits[1]) < 2048


def test_where_nothing_fits_it_is_said(monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    monkeypatch.setattr("nst.studio.backends.local.load_network", lambda *_: network)
    monkeypatch.setattr("nst.studio.backends.local.available_memory", lambda _: 10**6)
    assert refusal(TransferSettings()).endswith("Nothing smaller would fit either.")


def test_a_page_offers_what_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, network: VGG
) -> None:
    monkeypatch.setattr("nst.studio.backends.local.load_network", lambda *_: network)
    backend = LocalBackend("cpu")

    def offered(gigabytes: float, seconds: float) -> int:
        monkeypatch.setattr(
            "nst.studio.backends.local.available_memory", lambda _: round(gigabytes * 1e9)
        )
        return largest_size(partial(backend.admit, seconds=seconds))

    assert offered(30.0, math.inf) == 4096
    assert offered(0.5, math.inf) == 2048, "a click there is answered by a sentence"
    assert offered(30.0, 0.001) == 2048
    assert {offered(size / 10, math.inf) for size in range(5, 80)} == {2048, 3072, 4096}


def test_style_costs_take_the_time_that_was_measured() -> None:
    plain = work_of(PlannedRun((64, 48), [(64, 48)], TransferSettings(size=64, iterations=1000)))
    costs = {"gram": 1.0, "histogram": 1.0}
    settings = TransferSettings(size=64, iterations=1000, style_costs=costs)
    slower = work_of(PlannedRun((64, 48), [(64, 48)], settings))
    assert slower.pixels / plain.pixels == pytest.approx(1 + EXTRA_TIME["histogram"][0], rel=0.01)


@pytest.mark.parametrize(("regions", "more"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_style_costs_take_their_time_in_each_region(regions: int, more: int) -> None:
    """Of three paintings: where one has no mask, it rules the rest, which is a region as well."""
    settings = TransferSettings(style_costs={"wasserstein": 1.0})
    run = PlannedRun((64, 48), [(64, 48)] * 3, settings, regions=regions)
    whole, each = EXTRA_TIME["wasserstein"]
    assert run.evaluation_time == pytest.approx(1 + whole + more * each + regions * REGION_TIME)


def test_regions_take_their_time() -> None:
    settings = TransferSettings(size=64, iterations=1000)
    sizes = (64, 48), [(64, 48)] * 3
    plain, slower = (work_of(PlannedRun(*sizes, settings, regions=count)) for count in (0, 2))
    assert slower.pixels / plain.pixels == pytest.approx(1 + 2 * REGION_TIME, rel=0.01)
