"""What is no frame is left alone: skies, snow, plain backgrounds, and borders not worth it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw

from helpers.framing import (
    BLACK,
    SHAPES,
    WHITE,
    assert_found,
    framed,
    inside,
    opened,
)
from helpers.pictures import make_waves
from helpers.places import DRAWN, EXAMPLES
from nst.images.framing import SMALLEST, find_frame

ALL = [path for name in ("content", "style", "results") for path in (EXAMPLES / name).iterdir()]
ALL += [path for path in DRAWN.iterdir() if path.suffix == ".jpg"]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_the_example_pictures_have_none(path: object) -> None:
    image = opened(path)
    assert find_frame(image) is None
    assert find_frame(image.rotate(90, expand=True)) is None


def blank(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    """A sky of 800×600 from one colour down to another, with a little noise."""
    share = np.linspace(0, 1, 600)[:, None, None]
    pixels = (1 - share) * np.array(top) + share * np.array(bottom)
    pixels = pixels + np.random.default_rng(0).normal(0, 1.5, (600, 800, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def sea() -> Image.Image:
    image = blank((120, 160, 220), (190, 210, 235))
    image.paste(make_waves(800, 250).point(lambda level: level // 2), (0, 350))
    return image


def island() -> Image.Image:
    """Sky, sea and sand, each with a straight edge."""
    image = blank((120, 160, 220), (130, 170, 225))
    image.paste(make_waves(800, 200), (0, 200))
    image.paste((235, 220, 180), (0, 400, 800, 600))
    return image


def snow() -> Image.Image:
    """Hills before a white sky, which end in white: neither line is straight."""
    image = blank((245, 246, 248), (250, 250, 252))
    draw = ImageDraw.Draw(image)
    for x in range(0, 800, 40):
        draw.polygon([(x, 330), (x + 20, 200 + x % 130), (x + 40, 330)], fill=(40, 60, 50))
        draw.ellipse((x - 10, 300, x + 60, 340 + x % 70), fill=(70, 80, 90))
    return image


def portrait() -> Image.Image:
    """Head and shoulders before a grey background, which reach down to the bottom."""
    image = blank((150, 152, 156), (140, 142, 148))
    draw = ImageDraw.Draw(image)
    draw.ellipse((290, 100, 510, 380), fill=(210, 170, 150))
    draw.polygon(
        [(330, 360), (470, 360), (660, 460), (680, 600), (120, 600), (140, 460)], (30,) * 3
    )
    return image


def goods() -> Image.Image:
    """Something round on white."""
    image = blank(WHITE, (248, 248, 248))
    ImageDraw.Draw(image).ellipse((150, 60, 650, 540), fill=(180, 40, 30))
    return image


def night() -> Image.Image:
    image = blank((4, 5, 12), (10, 12, 24))
    draw = ImageDraw.Draw(image)
    draw.ellipse((560, 80, 660, 180), fill=(240, 235, 210))
    for index in range(60):
        x, y = 37 * index % 800, 91 * index % 420
        draw.ellipse((x, y, x + 2, y + 2), fill=(220, 220, 230))
    for x in range(0, 800, 50):
        draw.rectangle((x, 480 - x % 90, x + 40, 560), fill=(200, 160, 80))
    return image


def corner() -> Image.Image:
    """A house with a flat roof before the sky: straight edges above and on one side."""
    image = blank((200, 215, 235), (205, 220, 238))
    image.paste(make_waves(500, 400), (0, 200))
    return image


def tower() -> Image.Image:
    """A tower from the ground to above the picture, before a sky that brightens downwards."""
    image = blank((70, 110, 190), (200, 220, 245))
    image.paste(make_waves(400, 600), (180, 0))
    return image


def gable() -> Image.Image:
    """A house with a pointed roof before a plain background: three edges are straight."""
    image = blank((200, 215, 235), (205, 220, 238))
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).polygon([(400, 60), (650, 90), (650, 540), (150, 540), (150, 90)], 255)
    image.paste(make_waves(800, 600), (0, 0), mask)
    return image


def telephone() -> Image.Image:
    """Something with round corners: half of each edge is straight."""
    image = blank(WHITE, (248, 248, 248))
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rounded_rectangle((100, 40, 700, 560), 140, 255)
    image.paste(make_waves(800, 600), (0, 0), mask)
    return image


def ornament() -> Image.Image:
    """A framed picture with something that reaches out into the frame."""
    image = framed(make_waves(600, 500), SHAPES["even"])
    image.paste((160, 120, 40), (20, 200, 80, 260))
    return image


def faded() -> Image.Image:
    """A picture on paper that fades into it on the left: cropped on some sides, it is no better."""
    image = make_waves(600, 500)
    draw = ImageDraw.Draw(image)
    for y in range(0, 500, 10):
        draw.rectangle((0, y, 20 + 61 * y % 90, y + 10), fill=WHITE)
    return framed(image, (0.05, 0.05, 0.05, 0.05))


def flag() -> Image.Image:
    image = Image.new("RGB", (800, 600), (200, 20, 40))
    image.paste(WHITE, (0, 200, 800, 400))
    return image


def one_side() -> Image.Image:
    return framed(make_waves(600, 500), (0.2, 0.0, 0.0, 0.0))


def two_colors() -> Image.Image:
    image = framed(make_waves(600, 500), SHAPES["above and below"], BLACK)
    image.paste(WHITE, (0, 0, 600, 60))
    return image


def vignette() -> Image.Image:
    """A picture that fades to black on all sides."""
    x, y = np.meshgrid(np.linspace(-1, 1, 800), np.linspace(-1, 1, 600))
    light = (1 - np.maximum(np.abs(x), np.abs(y)) ** 2).clip(0, 1) ** 2
    pixels = np.asarray(make_waves(800, 600), np.float64) * light[..., None]
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize(
    "make",
    [
        *(sea, island, snow, portrait, goods, night, corner, flag, one_side, two_colors, vignette),
        *(tower, gable, telephone, ornament, faded),
        lambda: blank((90, 140, 220), (160, 195, 240)),
        lambda: blank((244, 246, 250), (236, 240, 248)),
        lambda: Image.new("RGB", (800, 600), WHITE),
    ],
)
def test_what_is_no_frame(make: Callable[[], Image.Image]) -> None:
    image = make()
    for turns in range(4):
        assert find_frame(image.rotate(90 * turns, expand=True)) is None


@pytest.mark.parametrize("width", [0.005, 0.014])
def test_a_narrow_frame_is_not_worth_cropping(width: float) -> None:
    image = opened(EXAMPLES / "content" / "castle.jpg")
    assert find_frame(framed(image, (width, width, width, width))) is None


def test_a_stamp_on_a_sheet_is_not_cropped() -> None:
    """What would remain is less than a quarter of the picture; a little more is enough."""
    image = make_waves(400, 300)
    assert find_frame(framed(image, (0.55, 0.55, 0.55, 0.55))) is None
    assert_found(framed(image, (0.45, 0.45, 0.45, 0.45)), inside(image, (0.45,) * 4), 2)


def test_tiny_pictures_are_left_alone() -> None:
    image = make_waves(90, 90)
    assert find_frame(framed(image, (0.2, 0.2, 0.2, 0.2))) is None
    assert SMALLEST > 126


@settings(max_examples=150, deadline=None)
@given(
    pixels=arrays.arrays(
        np.uint8,
        st.tuples(*[st.integers(SMALLEST, SMALLEST + 30)] * 2, st.just(3)),
        elements=st.sampled_from([0, 1, 127, 255]),
        fill=st.sampled_from([0, 200, 255]),
    )
)
def test_any_picture_has_an_answer(pixels: object) -> None:
    image = Image.fromarray(pixels)  # type: ignore[arg-type]
    found = find_frame(image)
    if found:
        assert 0 <= found.left < found.right <= image.width
        assert 0 <= found.top < found.bottom <= image.height
