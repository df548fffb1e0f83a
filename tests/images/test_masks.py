"""Masks: what they are kept as, and those that do not go with the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from helpers.pictures import MakePicture
from nst import Masks, load_mask
from nst.errors import ImageError, MaskError
from nst.images.masks import mask_of
from nst.images.tensors import into_frame, mask_bytes
from nst.settings import PaintingUse


def half(width: int, height: int, *, is_right: bool = True) -> Image.Image:
    """White on one side."""
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (width // 2, 0, width, height) if is_right else (0, 0, width // 2, height))
    return mask


def test_masks_are_kept_as_they_are_or_as_grey() -> None:
    grey, rgb = half(8, 6), half(8, 6).convert("RGB")
    masks = Masks((grey, rgb, None), keep=rgb)
    assert masks.regions[0] is grey
    assert [mask and mask.mode for mask in (*masks.regions, masks.keep)] == ["L", "L", None, "L"]


def cut_out(mask: Image.Image, *, hidden: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """White where the mask is, on transparent; `hidden` is what lies under that."""
    picture = Image.new("RGBA", mask.size, (*hidden, 0))
    picture.paste((255, 255, 255, 255), mask=mask)
    return picture


@pytest.mark.parametrize("hidden", [(255, 255, 255), (0, 0, 0), (90, 200, 30)])
def test_what_is_transparent_in_a_mask_is_black(hidden: tuple[int, int, int]) -> None:
    mask = half(80, 60)
    masks = Masks((cut_out(mask, hidden=hidden),), cut_out(mask, hidden=hidden), (None, mask))
    assert masks == Masks((mask,), mask, (None, mask))
    assert Masks().keeping(cut_out(mask, hidden=hidden)).keep == mask


def test_alpha_and_luminance_are_multiplied() -> None:
    levels = Image.new("LA", (1, 3))
    for place, level in enumerate([(255, 128), (128, 255), (128, 128)]):
        levels.putpixel((0, place), level)
    assert list(mask_of(levels).tobytes()) == [128, 128, 64]
    indexed = Image.new("P", (2, 1))
    indexed.putpalette([255, 255, 255, 255, 255, 255])
    indexed.putpixel((1, 0), 1)
    indexed.info["transparency"] = 1
    assert list(mask_of(indexed).tobytes()) == [255, 0]


@pytest.mark.parametrize("name", ["mask.png", "mask.webp", "mask.tiff"])
def test_a_mask_is_read_from_a_file_in_the_same_way(tmp_path: Path, name: str) -> None:
    picture = cut_out(half(80, 60))
    picture.save(tmp_path / name, lossless=True)
    assert load_mask(tmp_path / name).tobytes() == mask_of(picture).tobytes()
    half(80, 60).save(tmp_path / "grey.png")
    assert load_mask(tmp_path / "grey.png").tobytes() == half(80, 60).tobytes()


def test_without_a_mask_there_are_none() -> None:
    assert not Masks()
    assert not Masks((None, None), None, (None,))
    assert Masks(keep=half(8, 6))
    assert Masks(within=(None, half(8, 6)))


def test_equal_masks_are_one_whatever_their_order_is() -> None:
    left, right = half(8, 6, is_right=False), half(8, 6)
    distinct, numbers = Masks((left, None, right, left.copy())).distinct(5)
    assert len(distinct) == 2
    assert numbers[0] == numbers[3] != numbers[2]
    assert numbers[1] is numbers[4] is None
    again, others = Masks((right, left)).distinct(2)
    assert [mask.tobytes() for mask in again] == [mask.tobytes() for mask in distinct]
    assert others == [numbers[2], numbers[0]]


def test_masks_of_some_paintings() -> None:
    left, right, keep = half(8, 6, is_right=False), half(8, 6), half(8, 6)
    masks = Masks((left, None, right), keep, (None, left))
    assert masks.chosen([2, 1, 5]) == Masks((right, None, None), keep, (None, left, None))
    assert masks.listed(4) == (left, None, right, None, keep, None, left, None, None)


@pytest.mark.parametrize("size", [(80, 60), (40, 30), (160, 121), (13, 10), (128, 96)])
def test_a_mask_may_be_smaller_or_larger_than_the_photo(
    size: tuple[int, int], make_picture: MakePicture
) -> None:
    Masks((half(*size),), half(*size)).check(make_picture(80, 60), [make_picture(30, 40)])


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        (
            Masks((half(60, 80),)),
            "The mask of painting 1 is 60×80 pixels, and the photo 80×60; they must have the same"
            " shape.",
        ),
        (
            Masks(keep=half(80, 65)),
            "The keep mask is 80×65 pixels, and the photo 80×60; they must have the same shape.",
        ),
        (
            Masks(within=(None, half(80, 60))),
            "The mask within painting 2 is 80×60 pixels, and the painting 30×40; they must have the"
            " same shape.",
        ),
        (
            Masks((None, Image.new("L", (80, 60)))),
            "The mask of painting 2 is black everywhere; paint white where it is to count.",
        ),
        (
            Masks(keep=Image.new("L", (80, 60))),
            "The keep mask is black everywhere; paint white where it is to count.",
        ),
        (
            Masks(keep=Image.new("L", (80, 60), 255)),
            "The keep mask is white everywhere; nothing would be painted.",
        ),
        (
            Masks((half(80, 60),) * 3),
            "There are 3 masks for 2 paintings; each painting takes one at most.",
        ),
        (
            Masks(within=(None,) * 3),
            "There are 3 masks within for 2 paintings; each painting takes one at most.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_masks_that_do_not_go_with_the_pictures(
    masks: Masks, sentence: str, make_picture: MakePicture
) -> None:
    with pytest.raises(ImageError) as caught:
        masks.check(make_picture(80, 60), [make_picture(30, 40), make_picture(30, 40)])
    assert str(caught.value) == sentence


def test_something_must_be_left_of_a_part_once_its_painting_is_cropped(
    make_picture: MakePicture,
) -> None:
    masks = Masks(within=(None, half(30, 40, is_right=False)))
    photo, paintings = make_picture(80, 60), [make_picture(30, 40)] * 2
    right, left = PaintingUse(crop=(0.6, 0, 1, 1)), PaintingUse(crop=(0, 0, 0.6, 1))
    masks.check(photo, paintings)
    masks.check(photo, paintings, (right, left))
    masks.check(photo, paintings, (left, replace(right, weight=0)))  # which does not count
    turned = replace(right, rotation=30, mirror=True)
    with pytest.raises(MaskError, match=r"^What is used of painting 2 lies outside"):
        masks.check(photo, paintings, (left, turned))
    with pytest.raises(MaskError, match="used of painting 1 lies"):
        masks.check(photo, paintings, (left, right), numbers=(1, 1))


@pytest.mark.parametrize("size", [(64, 48), (17, 13), (8, 6), (200, 150)])
def test_what_is_black_or_white_stays_so_at_any_size(size: tuple[int, int]) -> None:
    values = mask_bytes(half(80, 60), size)
    assert values.shape == (1, 1, size[1], size[0])
    border = size[0] // 2
    margin = max(2, size[0] // 16)
    assert bool((values[..., border + margin :] == 255).all())
    assert bool((values[..., : border - margin] == 0).all())


def test_a_picture_fills_the_frame_with_its_middle() -> None:
    wide = Image.new("RGB", (90, 30), "red")
    wide.paste((0, 0, 255), (30, 0, 60, 30))
    square = into_frame(wide, (20, 20))
    assert square.size == (20, 20)
    assert (np.asarray(square)[:, 3:-3] == (0, 0, 255)).all()


def test_what_is_kept_besides_has_the_size_of_the_larger_mask() -> None:
    masks = Masks((half(8, 6),), half(8, 6))
    lower = Image.new("L", (16, 12))
    lower.paste(200, (0, 6, 16, 12))
    both = masks.keeping(lower)
    assert both.regions == masks.regions
    assert both.keep is not None
    assert both.keep.size == (16, 12)
    grey = half(8, 6).resize((16, 12))
    assert both.keep.tobytes() == ImageChops.lighter(grey, lower).tobytes()
    assert Masks().keeping(lower) == Masks(keep=lower)
