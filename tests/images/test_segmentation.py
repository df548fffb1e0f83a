"""First masks of a photo: its subject, and the region around a click."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter

from helpers.pictures import MakePicture
from helpers.places import EXAMPLES
from nst import load_image
from nst.errors import MissingPackageError
from nst.images.segmentation import barrier_distance, similar_region, subject_mask


def example(name: str) -> Image.Image:
    return load_image(EXAMPLES / f"content/{name}.jpg")


def levels(mask: Image.Image) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = np.asarray(mask)
    return pixels


def at(mask: Image.Image, x: float, y: float) -> int:
    """Return the mask's level at a point, in shares of its width and height."""
    return int(levels(mask)[int(y * mask.height), int(x * mask.width)])


def overlap(mask: Image.Image, truth: Image.Image) -> float:
    """Return the intersection of two masks over their union."""
    ours, theirs = levels(mask) > 127, levels(truth.resize(mask.size)) > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


@pytest.fixture
def disc() -> tuple[Image.Image, Image.Image]:
    """A red disc with shading and grain on a green ground, and the mask of the disc."""
    truth = Image.new("L", (600, 400))
    ImageDraw.Draw(truth).ellipse((180, 90, 420, 330), fill=255)
    shade = Image.linear_gradient("L").resize(truth.size).point(lambda level: 90 + level // 6)
    dark = Image.new("L", truth.size)
    red, green = Image.merge("RGB", [shade, dark, dark]), Image.merge("RGB", [dark, shade, dark])
    grain = Image.effect_noise(truth.size, 12).convert("RGB")
    scene = Image.composite(red, green, truth.filter(ImageFilter.GaussianBlur(1)))
    return Image.blend(scene, grain, 0.2), truth


def test_the_barrier_distance_by_hand() -> None:
    """From the left, along one row: the largest value so far less the smallest."""
    row = np.array([[[10, 20, 15, 40, 5, 30]]], np.float32)
    seeds = np.array([[True, False, False, False, False, False]])
    assert barrier_distance(row, seeds).tolist() == [[0, 10, 10, 30, 35, 35]]


def test_a_path_goes_around_a_wall() -> None:
    wall = np.array([[0, 90, 0], [0, 90, 0], [0, 4, 0]], np.float32)
    seeds = np.array([[True, False, False], [False] * 3, [False] * 3])
    assert barrier_distance(wall[None], seeds).tolist() == [[0, 90, 4], [0, 90, 4], [0, 4, 4]]


def test_channels_add_up_and_what_no_seed_reaches_is_infinite() -> None:
    two = np.array([[[0, 3]], [[0, 4]]], np.float32)
    assert barrier_distance(two, np.array([[True, False]])).tolist() == [[0, 7]]
    assert np.isinf(barrier_distance(two, np.array([[False, False]]))).all()


def test_the_subject_of_a_simple_scene(disc: tuple[Image.Image, Image.Image]) -> None:
    scene, truth = disc
    mask = subject_mask(scene)
    assert (mask.size, mask.mode) == (scene.size, "L")
    assert overlap(mask, truth) > 0.97


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("astronaut", [(0.43, 0.22), (0.25, 0.7), (0.55, 0.45)], [(0.1, 0.2), (0.65, 0.2)]),
        ("castle", [(0.4, 0.5), (0.3, 0.55)], [(0.2, 0.1), (0.9, 0.9), (0.1, 0.8)]),
        ("moose", [(0.45, 0.72), (0.55, 0.55)], [(0.1, 0.1), (0.9, 0.8)]),
        ("dandelion", [(0.28, 0.3)], [(0.9, 0.6), (0.1, 0.9), (0.6, 0.05)]),
        ("honey-bee", [(0.5, 0.5), (0.32, 0.45)], [(0.1, 0.7), (0.1, 0.95)]),
        ("rocket", [(0.5, 0.5)], [(0.2, 0.3), (0.8, 0.3)]),
        ("coffee", [(0.5, 0.35)], [(0.05, 0.1), (0.95, 0.9)]),
    ],
)
def test_subjects_of_photos(
    name: str, inside: list[tuple[float, float]], outside: list[tuple[float, float]]
) -> None:
    mask = subject_mask(example(name))
    assert min(at(mask, *point) for point in inside) > 200
    assert max(at(mask, *point) for point in outside) < 55


def test_a_body_that_is_cut_off_belongs_to_its_face() -> None:
    """Shoulders reach to the sides of the photo, in the colour of what is beside the head."""
    portrait = example("astronaut").crop((100, 20, 360, 280))
    mask = subject_mask(portrait)
    assert at(mask, 0.5, 0.4) > 200
    assert at(mask, 0.5, 0.97) > 200
    assert at(mask, 0.1, 0.1) < 55


@pytest.mark.parametrize(
    ("name", "point", "inside", "outside"),
    [
        ("castle", (0.2, 0.15), [(0.9, 0.3), (0.5, 0.05)], [(0.4, 0.5), (0.5, 0.9)]),
        ("castle", (0.5, 0.9), [(0.1, 0.9), (0.9, 0.8)], [(0.2, 0.1), (0.4, 0.5)]),
        ("bridge", (0.2, 0.1), [(0.6, 0.05), (0.9, 0.2)], [(0.5, 0.4), (0.5, 0.9)]),
        ("citrus", (0.33, 0.4), [(0.25, 0.52)], [(0.6, 0.6), (0.05, 0.3)]),
        ("astronaut", (0.3, 0.6), [(0.2, 0.7), (0.2, 0.9)], [(0.43, 0.2), (0.8, 0.8), (0.1, 0.1)]),
    ],
)
def test_a_click_takes_what_is_alike_and_connected(
    name: str,
    point: tuple[float, float],
    inside: list[tuple[float, float]],
    outside: list[tuple[float, float]],
) -> None:
    mask = similar_region(example(name), *point)
    assert min(at(mask, *each) for each in [point, *inside]) > 200
    assert max(at(mask, *each) for each in outside) < 55


def test_a_click_in_the_disc_and_one_beside_it(disc: tuple[Image.Image, Image.Image]) -> None:
    scene, truth = disc
    assert overlap(similar_region(scene, 0.5, 0.5), truth) > 0.97
    around = truth.point(lambda level: 255 - level)
    assert overlap(similar_region(scene, 0.05, 0.05), around) > 0.97


def test_only_what_is_connected_is_taken(disc: tuple[Image.Image, Image.Image]) -> None:
    scene, _ = disc
    pair = Image.new("RGB", (1200, 400))
    pair.paste(scene, (0, 0))
    pair.paste(scene, (600, 0))
    mask = similar_region(pair, 0.25, 0.5)
    assert (at(mask, 0.25, 0.5), at(mask, 0.75, 0.5)) == (255, 0)


def test_more_tolerance_is_a_larger_region() -> None:
    areas = [
        levels(similar_region(example("moose"), 0.5, 0.7, tolerance=tolerance)).mean()
        for tolerance in (10, 45, 150)
    ]
    assert areas[0] < areas[1] < areas[2]


def test_edges_are_soft(disc: tuple[Image.Image, Image.Image]) -> None:
    between = levels(subject_mask(disc[0]))
    share = ((between > 20) & (between < 235)).mean()
    assert 0.001 < share < 0.05


def test_the_same_click_is_the_same_mask() -> None:
    first, second = (similar_region(example("cat"), 0.7, 0.3).tobytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_masks_are_as_large_as_they_need_to_be(make_picture: MakePicture, mode: str) -> None:
    photo = make_picture(2000, 500).convert(mode)
    for mask in (subject_mask(photo), similar_region(photo, 0.5, 0.5)):
        assert (mask.size, mask.mode) == ((1024, 256), "L")


@pytest.mark.parametrize("size", [(16, 16), (16, 900), (900, 16), (1, 1), (40, 30)])
@pytest.mark.parametrize("is_plain", [True, False])
def test_small_and_plain_pictures_have_a_mask(
    make_picture: MakePicture, size: tuple[int, int], is_plain: bool
) -> None:
    photo = Image.new("RGB", size, (120, 90, 60)) if is_plain else make_picture(*size)
    assert subject_mask(photo).size == similar_region(photo, 1.0, 1.0).size == size
    if is_plain:
        assert subject_mask(photo).getextrema() == (0, 0)  # nothing stands out
        assert similar_region(photo, 0.0, 0.0).getextrema() == (255, 255)


@pytest.mark.parametrize("point", [(-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_a_point_outside_is_refused(photo: Image.Image, point: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        similar_region(photo, *point)


def test_opencv_is_asked_for(monkeypatch: pytest.MonkeyPatch, photo: Image.Image) -> None:
    modules: dict[str, Any] = sys.modules
    monkeypatch.setitem(modules, "cv2", None)  # as if it were not installed
    for find in (subject_mask, lambda photo: similar_region(photo, 0.5, 0.5)):
        with pytest.raises(MissingPackageError, match=r"nst\[masks\]"):
            find(photo)
