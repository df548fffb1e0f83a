"""Crops: what they keep of a picture, and what anybody may send as one."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.pictures import MakePicture, make_waves
from nst.errors import ImageError
from nst.images.framing import Box, Crop, crop
from nst.images.reading import MAX_RATIO, MIN_SIDE

WHOLE = {"left": 0, "top": 0, "right": 1, "bottom": 1, "quarter_turns": 0}


def pixels(image: Image.Image) -> Any:
    return np.asarray(image)


def test_a_crop_of_everything_is_the_picture(make_picture: MakePicture) -> None:
    image = make_picture(80, 60)
    assert crop(image, Crop()).tobytes() == image.tobytes()


@pytest.mark.parametrize("turns", range(4))
def test_turns_are_clockwise_and_come_first(make_picture: MakePicture, turns: int) -> None:
    image = make_picture(80, 60)
    turned = np.rot90(pixels(image), -turns)  # clockwise
    height, width, _ = turned.shape
    kept = crop(image, Crop(0.25, 0.1, 0.75, 0.6, turns))
    expected = turned[
        round(0.1 * height) : round(0.6 * height), round(0.25 * width) : round(0.75 * width)
    ]
    assert (pixels(kept) == expected).all()


def test_the_picture_itself_stays_as_it_is(make_picture: MakePicture) -> None:
    image = make_picture(80, 60)
    before = image.tobytes()
    crop(image, Crop(0.1, 0.1, 0.9, 0.9, 1)).paste((0, 0, 0), (0, 0, 9, 9))
    crop(image, Crop()).paste((0, 0, 0), (0, 0, 9, 9))
    assert (image.size, image.tobytes()) == ((80, 60), before)


SIZE = st.integers(MIN_SIDE, 5000)


@given(size=st.tuples(SIZE, SIZE), data=st.data())
def test_a_box_comes_back_to_the_pixel(size: tuple[int, int], data: st.DataObject) -> None:
    left = data.draw(st.integers(0, size[0] - MIN_SIDE))
    top = data.draw(st.integers(0, size[1] - MIN_SIDE))
    box = Box(
        left,
        top,
        data.draw(st.integers(left + MIN_SIDE, size[0])),
        data.draw(st.integers(top + MIN_SIDE, size[1])),
    )
    edges = Crop.of_box(box, size).edges
    lengths = (*size, *size)
    assert tuple(round(a * b) for a, b in zip(edges, lengths, strict=True)) == box


def test_a_side_has_at_least_so_many_pixels(make_picture: MakePicture) -> None:
    image = make_picture(160, 100)
    assert crop(image, Crop(0, 0, 0.1, 1)).size == (MIN_SIDE, 100)
    for part in (Crop(0, 0, 0.09, 1), Crop(0, 0.9, 1, 1), Crop(0, 0, 0.12, 1, 1)):
        with pytest.raises(ImageError, match=r"^The crop is \d+×\d+ pixels; each side must have"):
            crop(image, part)


def test_a_side_is_at_most_so_many_times_the_other() -> None:
    image = Image.new("RGB", (1000, 100))
    height = 1000 / MAX_RATIO
    assert crop(image, Crop(0, 0, 1, height / 100)).size == (1000, height)
    with pytest.raises(ImageError, match=f"one side may be at most {MAX_RATIO} times"):
        crop(image, Crop(0, 0, 1, (height - 1) / 100))


# From a browser


@given(
    edges=st.tuples(*[st.floats(0, 1)] * 4).filter(lambda e: e[0] < e[2] and e[1] < e[3]),
    turns=st.integers(0, 3),
)
def test_json_and_back(edges: tuple[float, float, float, float], turns: int) -> None:
    part = Crop(*edges, turns)
    assert Crop.from_json(json.loads(json.dumps(part.to_json()))) == part


def test_whole_numbers_are_fractions_too() -> None:
    assert Crop.from_json(WHOLE) == Crop()


@pytest.mark.parametrize("name", ["left", "top", "right", "bottom"])
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, -0.01, 1.01, 10**400, True, None, "0.5", [], {}]
)
def test_an_edge_that_cannot_be(name: str, value: object) -> None:
    with pytest.raises(ImageError, match=r"^The edges of a crop must be numbers from 0 to 1\.$"):
        Crop.from_json({**WHOLE, name: value})


@pytest.mark.parametrize("value", [-1, 4, 1.0, 0.5, True, None, "1", 10**400, math.nan, []])
def test_a_turn_that_cannot_be(value: object) -> None:
    with pytest.raises(ImageError, match=r"^A picture can be turned by 0, 1, 2 or 3 quarter turns"):
        Crop.from_json({**WHOLE, "quarter_turns": value})


@pytest.mark.parametrize("edges", [(0.5, 0, 0.5, 1), (0.6, 0, 0.5, 1), (0, 1, 1, 1), (0, 1, 1, 0)])
def test_a_crop_of_nothing(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(ImageError, match=r"^A crop must end to the right of its left edge"):
        Crop(*edges)


@pytest.mark.parametrize(
    "value",
    [
        *(None, 1, "crop", [], [0, 0, 1, 1, 0], {}, [WHOLE]),
        {name: value for name, value in WHOLE.items() if name != "quarter_turns"},
        {**WHOLE, "more": 1},
        {**WHOLE, "": 0},
    ],
)
def test_other_values_than_those_of_a_crop(value: object) -> None:
    with pytest.raises(ImageError, match=r"^A crop has exactly these values: bottom, left,"):
        Crop.from_json(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(value=JSON | st.fixed_dictionaries(dict.fromkeys(WHOLE, JSON | st.floats(0, 1))))
def test_anything_is_a_crop_or_one_sentence(value: object) -> None:
    said = "Cropped."
    try:
        crop(make_waves(80, 60), Crop.from_json(value))
    except ImageError as error:
        said = str(error)
    assert said.endswith(".")
    assert "\n" not in said
