"""The page's parts without a browser: controls to settings and back, texts and curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest
import torch
from PIL import Image

from app import build_demo
from nst import TransferSettings, TransferStep
from nst.settings import DEFAULTS, GATYS_STYLE_LAYERS, LOOKS, options
from page import charts, runs
from page.controls import OTHER_LAYERS, Controls
from page.examples import FIRST, examples


@pytest.fixture
def controls() -> Controls:
    controls = Controls()
    with gr.Blocks():
        controls.add(*(name for name in options() if name != "layer_weights"))
        controls.add_layers(*GATYS_STYLE_LAYERS, *OTHER_LAYERS)
    return controls


def shown(controls: Controls) -> dict[Any, Any]:
    return {component: component.value for component in controls.components}


def test_untouched_controls_are_the_defaults(controls: Controls) -> None:
    settings = controls.settings(shown(controls))
    assert settings.style_layers == DEFAULTS.style_layers
    assert settings.replace(layer_weights=DEFAULTS.layer_weights) == DEFAULTS


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_moves_the_controls_to_its_settings(controls: Controls, look: str) -> None:
    wanted = TransferSettings.of_look(look)
    values = shown(controls)
    for component, update in controls.show(wanted, set(options())).items():
        values[component] = update["value"] if isinstance(update, dict) else update
    settings = controls.settings(values)
    assert settings.style_layers == wanted.style_layers
    assert settings.replace(layer_weights={}) == wanted.replace(layer_weights={})


def test_whole_numbers_may_come_as_floats_from_a_browser(controls: Controls) -> None:
    values = shown(controls)
    values[controls.by_name["iterations"]] = 7.0
    assert controls.settings(values).iterations == 7


def test_the_page_builds_and_shows_every_setting() -> None:
    labels = {
        str(block.label).split(":")[0]
        for block in build_demo().blocks.values()
        if getattr(block, "label", None)
    }
    expected = {option.label for name, option in options().items() if name != "layer_weights"}
    assert expected <= labels
    assert {f"λ {layer}" for layer in (*GATYS_STYLE_LAYERS, *OTHER_LAYERS)} <= labels


@pytest.mark.parametrize("role", FIRST)
def test_there_are_examples_and_the_first_is_the_chosen_one(role: str) -> None:
    pictures = examples(role)
    assert len(pictures) >= 6
    assert pictures[0].path.stem == FIRST[role]
    assert pictures[0].thumbnail().startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (0.94, "0.9 s"), (12.4, "12 s"), (89.9, "90 s"), (185, "3 min 05 s")],
)
def test_durations_read_at_a_glance(seconds: float, text: str) -> None:
    assert charts.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5"), (999, "999"), (1234, "1.23 k"), (5e6, "5 M"), (2e9, "2 G")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert charts.figure(value) == text


def step(iteration: int, total: int = 4) -> TransferStep:
    return TransferStep(
        iteration=iteration,
        total=total,
        width=6,
        height=4,
        J=10.0 ** (6 - iteration),
        content=10.0,
        style=10.0 ** (6 - iteration) - 10,
        layers={},
        elapsed=1.0 * iteration,
        remaining=1.0 * (total - iteration),
        pixels=torch.zeros(1, 3, 4, 6),
    )


def test_curves_fall_as_the_costs_do() -> None:
    assert charts.curves([]) == ""
    svg = charts.curves([step(0), step(1), step(2), step(3)])
    points = svg.split('class="curve total" points="')[1].split('"')[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    # J falls by a factor of ten each time: down by equal steps on a logarithmic scale. The first
    # value, often thousands of times the others, may leave the plot.
    assert heights[3] - heights[2] == pytest.approx(heights[2] - heights[1], abs=0.11)
    assert heights[2] > heights[1] >= heights[0]
    assert "J 1 k" in svg


def test_a_run_keeps_one_picture_and_stops_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(*_: object) -> Iterator[TransferStep]:
        yield from (step(i) for i in range(5))

    monkeypatch.setattr(runs, "transfer_style", steps)
    picture = Image.new("RGB", (6, 4))
    run = runs.Run(picture, [picture], DEFAULTS)
    seen = []
    for current in run:
        seen.append(current.iteration)
        if current.iteration == 2:
            run.stop.set()
    assert seen == [0, 1, 2]
    assert [s.pixels.numel() for s in run.steps] == [0, 0, 72]


def test_a_visitors_second_run_ends_the_first() -> None:
    all_runs, picture = runs.Runs(), Image.new("RGB", (6, 4))
    first, second = (runs.Run(picture, [picture], DEFAULTS) for _ in range(2))
    all_runs.begin("visitor", first)
    all_runs.begin("visitor", second)
    assert (first.stop.is_set(), second.stop.is_set()) == (True, False)
    assert all_runs.end("another") is None
    assert all_runs.end("visitor") is second
    assert second.stop.is_set()
