"""The page's parts without a browser: controls to settings and back, texts and curves."""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
import pytest
import torch
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from nst import TransferStep, load_image
from nst.errors import SettingsError
from nst.images.mask_records import MaskRecord
from nst.images.recipe import Ingredient, Passage
from nst.looks import LOOKS
from nst.settings import (
    DEFAULTS,
    GATYS_STYLE_LAYERS,
    LAYER_GROUPS,
    STYLE_COSTS,
    PaintingUse,
    options,
)
from nst.studio.job_store import Card
from nst.studio.task import State, new_id, owner_of
from nst.studio.workshop import Workshop
from page.examples import Example, ExampleSet
from page.http.job_files import JobFiles, file_routes
from page.layout import build_demo
from page.links import Shared, link_to, read_link
from page.logs import is_our_business
from page.panels import charts
from page.panels.controls import OTHER_LAYERS, Controls
from page.panels.own_gallery import gallery_markup
from page.rendering import shared_renderings


@pytest.fixture
def controls() -> Controls:
    controls = Controls()
    with gr.Blocks():
        controls.add(*(name for name, option in options().items() if not option.keys))
        controls.add_style_costs()
        controls.add_content_layers()
        controls.add_layers(*GATYS_STYLE_LAYERS, *OTHER_LAYERS)
    return controls


def shown(controls: Controls) -> dict[Any, Any]:
    return {component: component.value for component in controls.components}


def test_untouched_controls_are_the_defaults(controls: Controls) -> None:
    settings = controls.settings(shown(controls))
    assert settings.style_layers == DEFAULTS.style_layers
    assert settings.used_style_costs == DEFAULTS.used_style_costs
    assert settings.paints_like(DEFAULTS)


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_moves_the_controls_to_its_settings(controls: Controls, look: str) -> None:
    wanted = LOOKS[look].settings
    values = shown(controls)
    for component, update in controls.show(wanted, set(options())).items():
        values[component] = update["value"] if isinstance(update, dict) else update
    settings = controls.settings(values)
    assert settings.style_layers == wanted.style_layers
    assert settings.paints_like(wanted)


def test_style_costs_have_sliders(controls: Controls) -> None:
    values = shown(controls)
    values[controls.costs["histogram"]] = 0.5
    settings = controls.settings(values)
    assert settings.used_style_costs == {"gram": 1.0, "histogram": 0.5}
    assert controls.show(settings, {"style_costs"})[controls.costs["histogram"]] == 0.5
    values[controls.costs["gram"]] = values[controls.costs["histogram"]] = 0.0
    with pytest.raises(SettingsError, match="style_costs must give one"):
        controls.settings(values)


def test_content_layers_have_sliders(controls: Controls) -> None:
    values = shown(controls)
    assert controls.settings(values).content_weights == {"relu4_2": 1.0}
    values[controls.sliders["content_layers"]["relu3_1"]] = 0.5
    settings = controls.settings(values)
    assert settings.content_weights == {"relu3_1": 0.5}
    updates = controls.show(settings, {"content_layers"})
    assert updates[controls.sliders["content_layers"]["relu3_1"]] == 0.5
    assert updates[controls.sliders["content_layers"]["relu4_2"]] == 0.0


def test_whole_numbers_may_come_as_floats_from_a_browser(controls: Controls) -> None:
    values = shown(controls)
    values[controls.by_name["iterations"]] = 7.0
    assert controls.settings(values).iterations == 7


def test_the_page_builds_and_shows_every_setting() -> None:
    labels = {
        str(block.label).split(":")[0]
        for block in build_demo(Workshop(), ExampleSet()).blocks.values()
        if getattr(block, "label", None)
    }
    expected = {option.label for option in options().values() if not option.keys}
    expected |= {meaning.split(":")[0] for meaning in STYLE_COSTS.values()}
    assert expected <= labels
    assert {f"λ {layer}" for layer in (*GATYS_STYLE_LAYERS, *OTHER_LAYERS)} <= labels
    assert {f"Content {layer}" for layer in (*GATYS_STYLE_LAYERS, *OTHER_LAYERS)} <= labels


@pytest.fixture(scope="module")
def examples() -> ExampleSet:
    return ExampleSet()


def named(examples: ExampleSet, name: str) -> Example:
    example = examples.find(name)
    assert example
    return example


@pytest.mark.parametrize(("role", "first"), [("content", "castle"), ("style", "starry_night")])
def test_there_are_examples_and_the_first_is_the_chosen_one(
    examples: ExampleSet, role: str, first: str
) -> None:
    pictures = examples.of_role(role)
    assert len(pictures) >= 6
    assert pictures[0].name == first
    assert load_image(pictures[0].thumbnail).size == (160, 120)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (0.94, "0.9 s"),
        (12.4, "12 s"),
        (89.9, "90 s"),
        (185, "3 min 05 s"),
        (7500, "2 h 05 min"),
        (3599.6, "1 h 00 min"),
    ],
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


def test_long_curves_are_thinned() -> None:
    steps = [step(index, 1000) for index in range(1001)]
    kept = charts.thinned(steps, 7)
    assert [each.iteration for each in kept] == [0, 167, 333, 500, 667, 833, 1000]
    assert charts.thinned(steps[:7], 7) == steps[:7]
    assert len(charts.curves([step(index % 4, 1000) for index in range(1001)])) < 12_000


def test_every_change_of_course_is_marked_and_named() -> None:
    before = Passage(0, DEFAULTS)
    louder = Passage(2, DEFAULTS.replace(beta=5.0, layer_weights={"relu1_1": 0.5}))
    other = Passage(3, louder.settings, styles=(1,))
    svg = charts.curves([step(0), step(1), step(2), step(3)], [before, louder, other])
    assert svg.count('class="mark"') == 2
    assert "<b>2</b> β 1 → 5, λ relu1_1 1 → 0.5, λ relu2_1 1 → 0" in svg
    assert "<b>3</b> another painting" in svg
    assert charts.describe_change(louder, louder) == "continued"


def test_a_change_of_masks_is_told_from_one_of_paintings() -> None:
    """A painting with another part or region is another style of the same ingredient."""
    one, two = Ingredient("a" * 64, 8, 6), Ingredient("b" * 64, 8, 6)
    styles = (one, one, two, two)
    keep = MaskRecord.of(Image.new("L", (8, 6), 9))

    def change(before: tuple[int, ...], after: tuple[int, ...], keep: MaskRecord | None) -> str:
        passages = Passage(0, DEFAULTS, before), Passage(2, DEFAULTS, after, keep=keep)
        return charts.describe_change(*passages, styles)

    assert change((0,), (1,), None) == "another part of the painting"
    assert change((0,), (2,), None) == "another painting"
    assert change((0, 2), (1, 2), None) == "regions, or parts of paintings"
    assert change((0, 2), (0, 2, 3), None) == "regions, or parts of paintings"
    assert change((0,), (0, 2), None) == "other paintings"
    assert change((0, 2), (0, 2), keep) == "regions"


def test_a_change_of_layers_is_named_by_the_group_or_the_layers() -> None:
    uses = [(), LAYER_GROUPS["strokes"], ("relu1_1", "relu4_1")]
    all_of_it, strokes, own = (
        Passage(1, DEFAULTS.replace(paintings=(PaintingUse(), PaintingUse(layers=each))), (0, 1))
        for each in uses
    )
    changes = charts.describe_change(all_of_it, strokes), charts.describe_change(strokes, own)
    assert changes == (
        "layers of painting 2 all → strokes",
        "layers of painting 2 strokes → relu1_1+relu4_1",
    )


def test_the_summary_s_parts_add_up_to_j() -> None:
    settings = DEFAULTS.replace(alpha=2.0, beta=3.0)
    costs = {"relu1_1": 10.0, "relu4_1": 20.0}
    ended = dataclasses.replace(step(1), J=115.0, content=10.0, layers=costs, smoothness=5.0)
    text = charts.summary(ended, settings, finished=True)
    assert "J = 115 = content 20 + style 90 + smoothness 5." in text


def test_the_explanation_shares_out_j() -> None:
    settings = DEFAULTS.replace(alpha=2.0, beta=3.0)
    costs = {"relu1_1": 10.0, "relu4_1": 20.0}
    table = charts.explanation(
        dataclasses.replace(step(1), J=110.0, content=10.0, style=30.0, layers=costs), settings
    )
    rows = re.findall(
        r"<th scope=.row.>([^<]*)</th>.*?<td>([^<]*)</td>\s*<td>([^<]*)</td>", table, re.S
    )
    assert rows == [
        ("content, relu4_2", "20", "18%"),
        ("style, relu1_1", "30", "27%"),
        ("style, relu4_1", "60", "55%"),
    ]


def test_only_tabs_that_have_left_are_kept_out_of_the_log() -> None:
    def record(error: Exception) -> logging.LogRecord:
        trace = (type(error), error, None)
        return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "", None, trace)

    left = RuntimeError("Caught handled exception, but response already started.")
    assert not is_our_business(record(left))
    assert is_our_business(record(RuntimeError("another")))
    assert is_our_business(record(ValueError("response already started")))


def test_links_carry_what_differs_and_come_back(examples: ExampleSet) -> None:
    settings = DEFAULTS.replace(
        beta=5.0,
        start="noise",
        seed=7,
        total_variation=0.3,
        layer_weights={"relu3_1": 0.5},
        style_costs={"gram": 0.5, "histogram": 1},
        content_layers={"relu3_2": 0.3, "relu4_2": 1},
        laplacian=2.0,
    )
    pictures = {"content": named(examples, "moose"), "style": named(examples, "mosaic_koi")}
    link = link_to(Shared(settings, pictures, "abc"))
    shared = read_link(dict(parse_qsl(link[1:])), examples)
    assert shared is not None
    assert shared.settings.paints_like(settings)
    assert dict(shared.examples) == pictures
    assert shared.result == "abc"
    assert "alpha" not in link
    assert link_to(Shared()) == "?"


def test_links_carry_more_paintings_and_their_weights(examples: ExampleSet) -> None:
    more = [named(examples, "great_wave"), named(examples, "mosaic_koi")]
    link = link_to(Shared(also=more, style_weights=[1.0, 0.5, 2.0]))
    assert link == "?also=great_wave,mosaic_koi&style_weights=1,0.5,2"
    shared = read_link(dict(parse_qsl(link[1:])), examples)
    assert shared
    assert shared.also == more
    assert shared.style_weights == [1.0, 0.5, 2.0]


def test_links_carry_sizes_and_directions(examples: ExampleSet) -> None:
    more = [named(examples, "great_wave")]
    uses = [
        PaintingUse(scale=2, crop=(0, 0, 0.5, 1)),
        PaintingUse(rotation=-90, mirror=True),
    ]
    link = link_to(Shared(also=more, style_weights=[1.0, 1.0], uses=uses))
    assert link.endswith(
        "&style_scales=2,&style_rotation=,-90&style_mirror=,yes&style_crop=0:0:0.5:1,"
    )
    shared = read_link(dict(parse_qsl(link[1:])), examples)
    assert shared
    assert shared.uses == uses
    assert link_to(Shared(uses=[PaintingUse()])) == "?"
    alone = read_link({"style_rotation": "45,9"}, examples)
    assert alone
    assert alone.uses == [PaintingUse(rotation=45)]


def test_links_carry_layers_by_their_group_or_their_names(examples: ExampleSet) -> None:
    more = [named(examples, "great_wave")] * 2
    uses = [
        PaintingUse(layers=LAYER_GROUPS["composition"]),
        PaintingUse(),
        PaintingUse(layers=("relu1_1", "relu2_1")),
    ]
    link = link_to(Shared(also=more, style_weights=[1.0, 1.0, 1.0], uses=uses))
    assert link.endswith("&style_layers=composition,,relu1_1%2Brelu2_1")
    shared = read_link(dict(parse_qsl(link[1:])), examples)
    assert shared
    assert shared.uses == uses


def test_a_painting_of_a_link_that_is_gone_takes_its_weight_along(examples: ExampleSet) -> None:
    query = {"also": "gone,mosaic_koi,great_wave", "style_weights": "0.5,9,2"}
    shared = read_link(query, examples)
    assert shared
    assert [example.name for example in shared.also] == ["mosaic_koi", "great_wave"]
    assert shared.style_weights == [0.5, 2.0, 1.0]
    assert not shared.is_whole


@pytest.mark.parametrize(
    ("query", "is_whole"),
    [
        ({"content": "castle", "also": "great_wave"}, True),
        ({"content": "gone"}, False),
        ({"style": "gone"}, False),
        ({"also": "great_wave,gone"}, False),
    ],
)
def test_a_link_says_whether_all_that_it_names_is_here(
    examples: ExampleSet, query: dict[str, str], is_whole: bool
) -> None:
    shared = read_link({**query, "beta": "5"}, examples)
    assert shared
    assert shared.settings.beta == 5
    assert shared.is_whole is is_whole


@pytest.mark.parametrize("query", [{}, {"__theme": "dark"}, {"beta2": "5", "size_": "<b>"}])
def test_a_query_that_is_not_ours_is_left_alone(
    examples: ExampleSet, query: dict[str, str]
) -> None:
    assert read_link(query, examples) is None


@pytest.mark.parametrize(
    "query",
    [
        {"beta": "much"},
        {"beta": "nan"},
        {"size": "1e99"},
        {"size": "9" * 5000},
        {"layer_weights": "relu9_9=1"},
        {"style_costs": "gram=0"},
        {"content_layers": "relu4_2=x"},
        {"optimizer": "<script>"},
        {"iterations": "-1"},
        {"also": "great_wave", "style_weights": "1,<b>"},
        {"also": "great_wave", "style_weights": "1,nan"},
        {"also": "great_wave", "style_weights": "1,11"},
        {"style_rotation": "<b>"},
        {"style_scales": "nan"},
        {"style_mirror": "perhaps"},
        {"style_crop": "0:0:0:1"},
        {"style_layers": "relu9_1"},
        {"style_layers": "<b>" * 1000},
    ],
)
def test_a_hostile_link_gets_a_sentence(examples: ExampleSet, query: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        read_link(query, examples)
    assert len(str(caught.value)) < 200


def test_examples_are_known_by_their_pixels(examples: ExampleSet) -> None:
    moose = named(examples, "moose")
    assert examples.example_of(moose.ingredient) is moose
    assert examples.example_of(dataclasses.replace(moose.ingredient, width=1)) is None


def test_the_gallery_shows_a_card_for_each_job() -> None:
    assert "kept here for 24 hours" in gallery_markup([], 24 * 3600)
    cards = [Card(new_id("me"), 0.0, state, 3, 60) for state in State]
    markup = gallery_markup(cards, 24 * 3600)
    assert markup.count('data-act="select"') == markup.count('data-act="delete"') == len(State)
    assert "interrupted, 3 of 60" in markup


UNKNOWN_JOB = f"{owner_of('me')}-{'0' * 32}"


@pytest.mark.parametrize(
    "path",
    [
        "nobody/picture.png",
        f"{UNKNOWN_JOB}/picture.png",
        f"{UNKNOWN_JOB}/timelapse.mp4",
        f"{UNKNOWN_JOB}/timelapse.exe",
        "..%2f..%2fetc/thumbnail.jpg",
        "%2e%2e/frames/1.jpg",
        "shared/nothing/picture.png",
    ],
)
def test_files_of_no_job_are_not_found(tmp_path: Path, path: str) -> None:
    client = TestClient(
        Starlette(
            routes=file_routes(JobFiles(Workshop(tmp_path), shared_renderings()), ExampleSet())
        )
    )
    answer = client.get(f"/studio/{path}")
    assert answer.status_code == 404
    assert str(tmp_path) not in answer.text


def test_the_size_goes_as_far_as_the_host_does() -> None:
    for largest in (2048, 4096):
        controls = Controls(largest)
        with gr.Blocks():
            controls.add("size")
        slider = controls.by_name["size"]
        assert isinstance(slider, gr.Slider)
        assert slider.maximum == largest
        assert controls.words()["Size"]["stops"][-1] == largest
