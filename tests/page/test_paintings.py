"""What the component of more paintings and of regions takes from a browser, or from a stranger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from nst.images.framing import Crop
from nst.settings import LAYER_GROUPS, PaintingUse
from page.examples import ExampleSet
from page.panels.components import Choice
from page.panels.paintings import (
    MOST_PAINTINGS,
    MOST_REGIONS,
    REST,
    Paintings,
    PaintingsInput,
    Region,
    held_value,
    nothing_added,
)


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where uploads are."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


@pytest.fixture
def component(uploads: Path) -> PaintingsInput:
    with gr.Blocks():
        return PaintingsInput(examples=ExampleSet())


@pytest.fixture
def mask(uploads: Path) -> str:
    path = uploads / "region-1.png"
    Image.new("L", (64, 48), 255).save(path)
    return str(path)


def region(mask: str, **changes: Any) -> dict[str, Any]:
    usual = {"file": {"path": mask}, "painting": 0, "strength": 1, "color": 0}
    return {**usual, **changes}


def held(**changes: Any) -> dict[str, Any]:
    return {**nothing_added(), **changes}


def test_nothing_added_is_one_painting(component: PaintingsInput) -> None:
    payloads: list[Any] = [nothing_added(), None, "", []]
    for payload in payloads:
        assert component.preprocess(payload) == Paintings()


def test_examples_weights_and_regions_arrive(component: PaintingsInput, mask: str) -> None:
    wave = {"example": "great_wave", "file": None, "crop": None}
    regions = [
        region(mask, painting=1, strength=2.5, color=3),
        region(mask, painting=None),
        region(mask, painting=REST),
    ]
    payload = held(paintings=[wave], weights=[1, 0.5], regions=regions)
    taken = component.preprocess(payload)
    assert [choice.example for choice in taken.more] == ["great_wave"]
    assert taken.weights == (1.0, 0.5)
    assert taken.regions == (Region(mask, 1, 2.5, 3), Region(mask, None), Region(mask, REST))


def test_sizes_and_directions_arrive(component: PaintingsInput) -> None:
    wave = {"example": "great_wave"}
    uses = [{}, {"scale": 2, "rotation": -30, "mirror": True, "crop": [0, 0, 0.5, 1]}]
    taken = component.preprocess(held(paintings=[wave], weights=[1, 1], uses=uses))
    assert taken.use(0) == PaintingUse()
    assert taken.use(1) == PaintingUse(scale=2, rotation=-30, mirror=True, crop=(0, 0, 0.5, 1))
    assert Paintings().use(0) == PaintingUse()
    assert held_value([], [1], uses=[PaintingUse(weight=0.5, scale=2)])["uses"] == [{"scale": 2}]


def test_layers_arrive_and_go_back(component: PaintingsInput) -> None:
    strokes, own = LAYER_GROUPS["strokes"], ("relu1_1", "relu4_2")
    uses = [{"layers": list(strokes)}, {"layers": list(own)}]
    taken = component.preprocess(held(paintings=[{"example": "udnie"}], weights=[1, 1], uses=uses))
    assert [taken.use(number).layers for number in (0, 1)] == [strokes, own]
    assert held_value([], [1], uses=taken.uses)["uses"] == uses


def test_parts_of_paintings_arrive(component: PaintingsInput, mask: str) -> None:
    within = [None, {"file": {"path": mask}, "shown": "…"}, None]
    payload = held(paintings=[{"example": "udnie"}], weights=[1, 1], within=within)
    taken = component.preprocess(payload)
    assert [taken.part(number) for number in (0, 1, 2)] == [None, mask, None]
    assert Paintings().part(0) is None
    assert held_value([], [1], within=within[:1])["within"] == [None]


def test_a_page_from_before_a_restart_knows_no_parts(component: PaintingsInput) -> None:
    payload = nothing_added()
    del payload["within"]
    assert component.preprocess(payload) == Paintings()


def test_the_crop_and_the_part_of_a_painting_before_are_not_for_the_next(
    component: PaintingsInput, mask: str
) -> None:
    """Its choice may reach the server before the script has let them go."""
    crop = Crop(top=0.25)
    owner = json.dumps([None, "udnie", crop.to_json()])
    part = {"file": {"path": mask}, "shown": "…"}
    uses = [{"crop": [0, 0, 0.5, 1], "rotation": 90}, {"crop": [0, 0, 0.5, 1]}]
    payload = held(
        paintings=[{"example": "udnie"}],
        weights=[1, 1],
        uses=uses,
        within=[part, part],
        painting=owner,
    )
    taken = component.preprocess(payload)
    assert taken.owner
    assert taken.owner.crop == crop
    assert taken.beside(taken.owner) == taken
    assert replace(taken, owner=None).beside(taken.more[0]) == replace(taken, owner=None)
    other = taken.beside(taken.more[0])  # without that crop
    assert other.uses == (PaintingUse(rotation=90), PaintingUse(crop=(0, 0, 0.5, 1)))
    assert other.within == (None, mask)
    own = json.dumps(["/gone/mine.png", None, None])  # it is not opened
    assert component.preprocess({**payload, "painting": own}).owner == Choice("/gone/mine.png")


def test_there_are_bounds(component: PaintingsInput, mask: str) -> None:
    wave = {"example": "great_wave"}
    payload = held(paintings=[wave] * 99, weights=[1] * 99, regions=[region(mask)] * 99)
    taken = component.preprocess(payload)
    assert len(taken.more) == MOST_PAINTINGS - 1
    assert len(taken.regions) == MOST_REGIONS


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": [1, 1]},
        {"weights": ["much"]},
        {"weights": None},
        {"paintings": [{"example": "no such painting"}], "weights": [1, 1]},
        {"paintings": [7], "weights": [1, 1]},
        {"regions": [{"painting": 0}]},
        {"within": [{"file": {"path": "/etc/passwd"}}]},
        {"within": [{"shown": "x"}]},
        {"painting": "no JSON"},
        {"painting": "[1, 2]"},
        {"painting": "7"},
        {"regions": "none"},
        {"uses": [{"scale": 9}]},
        {"uses": [{"scale": "much"}]},
        {"uses": [{"mirror": 1}]},
        {"uses": [{"layers": ["relu9_1"]}]},
        {"uses": [{"layers": "strokes"}]},
        {"uses": [{"layers": [["relu1_1"]]}]},
        {"uses": [{"crop": [0, 0, 1]}]},
        {"uses": [{"strength": 2}]},
        {"uses": [7]},
        {"uses": None},
    ],
)
def test_what_does_not_fit_is_refused(component: PaintingsInput, changes: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):  # one answer to all
        component.preprocess(held(**changes))


@pytest.mark.parametrize("number", [1, -1, 9, "all"])
def test_a_region_of_no_painting_is_refused(
    component: PaintingsInput, mask: str, number: int | str
) -> None:
    with pytest.raises(ValueError, match=r"no painting|invalid literal"):
        component.preprocess(held(regions=[region(mask, painting=number)]))


def test_a_mask_is_an_upload_and_no_other_file(component: PaintingsInput, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.png"
    Image.new("L", (64, 48), 255).save(elsewhere)
    for path in (str(elsewhere), "/etc/passwd", "https://example.org/mask.png"):
        with pytest.raises(gr.Error, match="no other path or address is opened"):
            component.preprocess(held(regions=[region(path)]))
