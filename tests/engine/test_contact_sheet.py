"""The contact sheet: which values are tried, and nine runs that come out as they would alone."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.painting import Recorder
from nst.engine.contact_sheet import (
    FACTOR,
    ITERATIONS,
    SIZE,
    STRIDE,
    VARIABLE,
    Grid,
    paint_sheet,
    plan_sheet,
    variations,
)
from nst.engine.transfer import Engine, transfer_style
from nst.errors import SettingsError
from nst.settings import DEFAULTS, TransferSettings, options
from nst.vgg.network import VGG


def presents(name: str) -> list[Any]:
    """Values that a user may have when asking for a sheet: every choice, or the bounds, the default
    and others all over the range."""
    option = options()[name]
    if option.choices:
        return list(option.choices)
    low, high = option.range
    default = getattr(DEFAULTS, name)
    if isinstance(default, int):
        return [int(low), default, 1, 12345, int(high) - 1, int(high)]
    return [low, default, *np.linspace(low, high, 41).tolist(), high]


def test_what_decides_the_look_can_be_compared() -> None:
    assert {"alpha", "beta", "content_layer", "style_scale", "start"} <= set(VARIABLE)
    assert not {"size", "iterations", "colors", "seed"} & set(VARIABLE)


@pytest.mark.parametrize("name", VARIABLE)
def test_variations_are_distinct_valid_and_ascend(name: str) -> None:
    option = options()[name]
    order = list(option.choices).index if option.choices else float
    for value in presents(name):
        values = variations(DEFAULTS.replace(**{name: value}), name)
        assert len(values) == (min(3, len(option.choices)) if option.choices else 3)
        assert values == sorted(set(values), key=order)
        for one in values:
            assert getattr(DEFAULTS.replace(**{name: one}), name) == one
            assert isinstance(one, type(getattr(DEFAULTS, name)))


@pytest.mark.parametrize("name", [name for name in VARIABLE if options()[name].choices])
def test_the_present_choice_is_compared_with_its_neighbours(name: str) -> None:
    choices = list(options()[name].choices)
    for position, choice in enumerate(choices):
        values = variations(DEFAULTS.replace(**{name: choice}), name)
        assert choice in values
        if 0 < position < len(choices) - 1:
            assert values == choices[position - 1 : position + 2]


@pytest.mark.parametrize("name", [name for name in VARIABLE if not options()[name].choices])
def test_the_present_number_is_among_the_variations(name: str) -> None:
    """In the middle, where the range has room on both sides; else the nearest that has is."""
    option = options()[name]
    low, high = option.range
    step = option.step or 1.0
    stride = round((high - low) * STRIDE / step) * step  # a slider can be there
    inner = (low * FACTOR, high / FACTOR) if option.logarithmic else (low + stride, high - stride)
    for value in presents(name):
        values = variations(DEFAULTS.replace(**{name: value}), name)
        assert values[1] == pytest.approx(min(max(value, inner[0]), inner[1]))
        if value in (low, high, getattr(DEFAULTS, name)):
            assert value in values


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("alpha", 1.0, [0.25, 1.0, 4.0]),
        ("alpha", 0.01, [0.01, 0.04, 0.16]),
        ("beta", 100.0, [6.25, 25.0, 100.0]),
        ("style_scale", 1.0, [0.3, 1.0, 1.7]),
        ("total_variation", 0.0, [0.0, 2.5, 5.0]),
        ("total_variation", 10.0, [5.0, 7.5, 10.0]),
        ("optimizer", "adam", ["lbfgs", "adam"]),
        ("pooling", "max", ["max", "average"]),
        ("restructure", "much", ["little", "some", "much"]),
        ("content_layer", "relu4_2", ["relu4_1", "relu4_2", "relu4_3"]),
        ("content_layer", "relu1_1", ["relu1_1", "relu1_2", "relu2_1"]),
        ("content_layer", "relu5_4", ["relu5_2", "relu5_3", "relu5_4"]),
    ],
)
def test_variations_by_hand(name: str, value: Any, expected: list[Any]) -> None:
    assert variations(DEFAULTS.replace(**{name: value}), name) == expected


@pytest.mark.parametrize("rows", VARIABLE)
def test_a_sheet_differs_in_two_settings_only(rows: str) -> None:
    settings = TransferSettings(size=900, iterations=500, layer_weights={"relu2_1": 3}, colors=0.5)
    small = settings.replace(size=SIZE, iterations=ITERATIONS)
    for columns in set(VARIABLE) - {rows}:
        grid = plan_sheet(settings, rows, columns)
        down, across = variations(settings, rows), variations(settings, columns)
        assert len(grid) == (2 if rows in ("optimizer", "edges", "pooling") else 3)
        for row, value in zip(grid, down, strict=True):
            for tile, other in zip(row, across, strict=True):
                assert tile == small.replace(**{rows: value, columns: other})


@pytest.mark.parametrize("name", VARIABLE)
def test_a_sheet_over_one_setting_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="two different settings"):
        plan_sheet(DEFAULTS, name, name)


@pytest.mark.parametrize("name", ["gamma", "", "size", "iterations", "layer_weights", "weights"])
def test_a_sheet_over_another_name_is_refused_with_the_list(name: str) -> None:
    for pair in ((name, "beta"), ("beta", name), (name, name)):
        with pytest.raises(ValueError, match="a sheet compares two of alpha, beta") as e:
            plan_sheet(DEFAULTS, *pair)
        assert str(e.value).endswith(f", not {name!r}")


TILE_ITERATIONS = 4


def tiny_grid(rows: str, columns: str) -> Grid:
    grid = plan_sheet(DEFAULTS, rows, columns)
    return [[tile.replace(size=64, iterations=TILE_ITERATIONS) for tile in row] for row in grid]


@pytest.fixture
def recorder(network: VGG) -> Recorder:
    """The network of every tile."""
    return Recorder(network)


def engine_on(network: VGG) -> Engine:
    return functools.partial(transfer_style, network=network)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ("alpha", "beta"),
        ("start", "pooling"),
        ("content_layer", "style_scale"),
        ("optimizer", "beta"),
    ],
)
def test_every_tile_is_what_it_would_be_alone(
    recorder: Recorder,
    network: VGG,
    photo: Image.Image,
    painting: Image.Image,
    rows: str,
    columns: str,
) -> None:
    grid = tiny_grid(rows, columns)
    *_, last = paint_sheet(photo, [painting], grid, engine=engine_on(recorder))
    assert [len(row) for row in last] == [len(row) for row in grid]
    for row, steps in zip(grid, last, strict=True):
        for settings, step in zip(row, steps, strict=True):
            *_, alone = transfer_style(photo, painting, settings, network=network)
            assert torch.equal(step.pixels, alone.pixels)
            assert step.layers == alone.layers
            assert (step.J, step.iteration, step.total) == (alone.J, alone.total, alone.total)


def test_targets_of_a_sheet_are_worked_out_once(
    recorder: Recorder, photo: Image.Image, painting: Image.Image
) -> None:
    grid = tiny_grid("alpha", "beta")
    sheet = paint_sheet(photo, [painting], grid, engine=engine_on(recorder))
    assert recorder.seen == []
    for count, tiles in enumerate(sheet):
        assert {step.iteration for row in tiles for step in row} == {count}
        at_the_end = 9 * (count == TILE_ITERATIONS)  # the finished pictures, judged afresh
        assert len(recorder.seen) == 2 + 9 * (count + 1) + at_the_end
    assert count == TILE_ITERATIONS


def test_a_sheet_that_is_closed_ends_at_once(
    recorder: Recorder, photo: Image.Image, painting: Image.Image
) -> None:
    grid = tiny_grid("alpha", "beta")
    sheet = paint_sheet(photo, [painting], grid, engine=engine_on(recorder))
    next(sheet)
    sheet.close()  # type: ignore[attr-defined]
    assert next(sheet, None) is None
    assert len(recorder.seen) == 2 + 9
