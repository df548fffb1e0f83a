"""Crop, mirror and rotation of a painting, against values worked out by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.pictures import MakePicture, make_waves
from nst.images.transforms import largest_rectangle, placement, transformed

WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Use:
    crop: tuple[float, float, float, float] = WHOLE
    mirror: bool = False
    rotation: float = 0.0


def numbered(width: int, height: int) -> Image.Image:
    """Return a picture whose pixels all differ."""
    return Image.fromarray(np.arange(width * height, dtype=np.uint8).reshape(height, width))


def rows(image: Image.Image) -> list[list[int]]:
    values: list[list[int]] = np.asarray(image).tolist()
    return values


def test_without_a_change_it_is_the_same_object(painting: Image.Image) -> None:
    assert transformed(painting, Use()) is painting
    assert transformed(painting, Use(rotation=360.0)) is painting


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (Use(mirror=True), [[2, 1, 0], [5, 4, 3]]),
        (Use(rotation=90), [[2, 5], [1, 4], [0, 3]]),
        (Use(rotation=-90), [[3, 0], [4, 1], [5, 2]]),
        (Use(rotation=180), [[5, 4, 3], [2, 1, 0]]),
        (Use(rotation=-180), [[5, 4, 3], [2, 1, 0]]),
        (Use(crop=(1 / 3, 0, 1, 0.5)), [[1, 2]]),
        (Use(crop=(1 / 3, 0, 1, 1), mirror=True), [[2, 1], [5, 4]]),
        (Use(crop=(1 / 3, 0, 1, 1), mirror=True, rotation=90), [[1, 4], [2, 5]]),
        (Use(crop=(0.5, 0.5, 0.5001, 0.5001)), [[5]]),  # never empty
    ],
)
def test_pixels_move_without_resampling(use: Use, expected: list[list[int]]) -> None:
    assert rows(transformed(numbered(3, 2), use)) == expected


@pytest.mark.parametrize(
    ("size", "degrees", "expected"),
    [
        ((100, 60), 0, (100, 60)),
        ((100, 60), -180, (100, 60)),
        ((100, 60), 90, (60, 100)),
        ((100, 100), 45, (70, 70)),  # half of the diagonal of 141.4
        ((200, 100), 45, (70, 70)),  # the same, as wide as the short side allows
        ((200, 100), 30, (100, 57)),  # 50 / sin 30° by 50 / cos 30°
        ((100, 200), 30, (57, 100)),
        ((100, 60), 10, (93, 44)),  # (98.48 − 10.42) / 0.9397 and (59.09 − 17.36) / 0.9397
        ((100, 60), -10, (93, 44)),
        ((100, 60), 170, (93, 44)),
        ((300, 1), 45, (1, 1)),
    ],
)
def test_the_largest_upright_rectangle(
    size: tuple[int, int], degrees: float, expected: tuple[int, int]
) -> None:
    assert largest_rectangle(size, degrees) == expected


@given(
    width=st.integers(8, 60),
    height=st.integers(8, 60),
    degrees=st.floats(-180, 180, allow_nan=False),
)
@settings(max_examples=60, deadline=None)
def test_no_corner_is_empty(width: int, height: int, degrees: float) -> None:
    white = Image.new("L", (width, height), 255)
    turned = transformed(white, Use(rotation=degrees))
    assert turned.getextrema() == (255, 255)
    assert turned.size == largest_rectangle((width, height), degrees)


def test_a_rotation_is_counter_clockwise() -> None:
    """A dot right of the centre rises, by the sine of the angle."""
    dark = np.zeros((101, 101), dtype=np.uint8)
    dark[49:52, 79:82] = 255  # 30 px right of the centre
    turned = np.asarray(transformed(Image.fromarray(dark), Use(rotation=30)), dtype=float)
    y, x = (float((index * turned).sum() / turned.sum()) for index in np.indices(turned.shape))
    center = (turned.shape[0] - 1) / 2
    assert x - center == pytest.approx(30 * math.cos(math.radians(30)), abs=0.1)
    assert y - center == pytest.approx(-30 * math.sin(math.radians(30)), abs=0.1)


@pytest.mark.parametrize(
    ("use", "size", "point", "expected"),
    [
        (Use(), (30, 20), (7, 5), (7, 5)),
        (Use(mirror=True), (30, 20), (7, 5), (23, 5)),
        (Use(rotation=90), (20, 30), (30, 0), (0, 0)),  # the right upper corner
        (Use(rotation=90), (20, 30), (0, 0), (0, 30)),
        (Use(crop=(0.1, 0.5, 1, 1)), (27, 10), (3, 10), (0, 0)),
        (Use(crop=(0.1, 0, 1, 1), mirror=True), (27, 20), (3, 5), (27, 5)),
        (Use(crop=(0.1, 0, 1, 1), mirror=True, rotation=90), (20, 27), (3, 5), (5, 0)),
    ],
)
def test_a_placement_tells_where_points_go(
    use: Use, size: tuple[int, int], point: tuple[int, int], expected: tuple[float, float]
) -> None:
    place = placement((30, 20), use)
    a, b, c, d, e, f = place.matrix
    x, y = point
    assert place.size == size
    assert (a * x + c * y + e, b * x + d * y + f) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rotation", [0.0, 17.0, 90.0, -135.0, 180.0])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_placement_is_what_is_done(rotation: float, mirror: bool) -> None:
    """A dot is found where its placement says."""
    use = Use((0.1, 0.2, 0.9, 1.0), mirror, rotation)
    dark = np.zeros((80, 100), dtype=np.uint8)
    dark[44:47, 54:57] = 255  # its centre is (55.5, 45.5), from the corner
    place = placement((100, 80), use)
    result = transformed(Image.fromarray(dark), use)
    assert result.size == place.size
    pixels = np.asarray(result, dtype=float)
    y, x = (
        float((index * pixels).sum() / pixels.sum()) + 0.5 for index in np.indices(pixels.shape)
    )
    a, b, c, d, e, f = place.matrix
    expected = (a * 55.5 + c * 45.5 + e, b * 55.5 + d * 45.5 + f)
    assert (x, y) == pytest.approx(expected, abs=0.1)


def test_masks_and_colour_pictures_go_the_same_way(make_picture: MakePicture) -> None:
    use, image = Use((0, 0, 0.8, 1), True, 12.0), make_picture(60, 40)
    turned = transformed(image, use)
    bands = [transformed(band, use) for band in image.split()]
    assert turned.tobytes() == Image.merge("RGB", bands).tobytes()


def test_a_rotation_there_and_back_is_the_picture() -> None:
    image = make_waves(160, 160).convert("L").resize((320, 320), Image.Resampling.BICUBIC)
    back = transformed(transformed(image, Use(rotation=20)), Use(rotation=-20))
    (width, height), (outer, _) = back.size, image.size
    left = (outer - width) // 2
    middle = np.asarray(image, dtype=float)[left : left + height, left : left + width]
    difference = np.abs(np.asarray(back, dtype=float) - middle)
    assert difference.mean() < 4  # of 255: sampled twice, and up to half a pixel beside
