"""Frames around pictures: found where there is one, and nowhere else."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw, ImageFilter

from helpers.pictures import make_waves
from helpers.places import DRAWN, EXAMPLES
from nst.images.framing import SMALLEST, Box, find_frame

Widths = tuple[float, float, float, float]  # left, top, right, bottom, of a picture's sides

REAL = [EXAMPLES / "content" / name for name in ("bridge.jpg", "cat.jpg", "castle.jpg")]
REAL += [EXAMPLES / "style" / name for name in ("great_wave.jpg", "straw_hat.jpg", "udnie.jpg")]
ALL = [path for name in ("content", "style", "results") for path in (EXAMPLES / name).iterdir()]
ALL += [path for path in DRAWN.iterdir() if path.suffix == ".jpg"]

WHITE, BLACK, GREY, CREAM = (255, 255, 255), (0, 0, 0), (128, 130, 127), (235, 228, 210)
SHAPES: dict[str, Widths] = {
    "even": (0.1, 0.1, 0.1, 0.1),
    "uneven": (0.03, 0.08, 0.2, 0.12),
    "wide": (0.3, 0.25, 0.3, 0.25),
    "narrow": (0.02, 0.02, 0.02, 0.02),
    "above and below": (0.0, 0.12, 0.0, 0.1),
    "beside": (0.15, 0.0, 0.09, 0.0),
    "three sides": (0.1, 0.1, 0.1, 0.0),
}


def opened(path: object) -> Image.Image:
    with Image.open(path) as image:  # type: ignore[arg-type]
        return image.convert("RGB")


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return opened(buffer)


def wall(
    size: tuple[int, int],
    color: tuple[int, int, int],
    *,
    noise: float = 0.0,
    gradient: float = 0.0,
    shadow: tuple[float, Box] | None = None,
) -> Image.Image:
    """Levels of noise, of a gradient from the upper left, and of a shadow to the lower right."""
    width, height = size
    pixels = np.tile(np.array(color, np.float64), (height, width, 1))
    ramp = np.linspace(-0.35, 0.35, width)[None, :] + np.linspace(-0.15, 0.15, height)[:, None]
    pixels += gradient * ramp[..., None]
    pixels += np.random.default_rng(0).normal(0, noise, (height, width, 1))
    if shadow:
        depth, box = shadow
        mask = Image.new("L", size)
        mask.paste(255, Box(*(edge + 8 for edge in box)))
        soft = mask.filter(ImageFilter.GaussianBlur(8))
        pixels -= depth * np.asarray(soft, np.float64)[..., None] / 255
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def inside(image: Image.Image, widths: Widths) -> Box:
    """Where a picture is in a frame of such widths around it."""
    lengths = (*image.size, *image.size)
    left, top, _, _ = (round(share * side) for share, side in zip(widths, lengths, strict=True))
    return Box(left, top, left + image.width, top + image.height)


def framed(
    image: Image.Image,
    widths: Widths,
    color: tuple[int, int, int] = WHITE,
    *,
    noise: float = 0.0,
    gradient: float = 0.0,
    shadow: float = 0.0,
) -> Image.Image:
    box = inside(image, widths)
    size = (
        box.right + round(widths[2] * image.width),
        box.bottom + round(widths[3] * image.height),
    )
    around = (shadow, box) if shadow else None
    whole = wall(size, color, noise=noise, gradient=gradient, shadow=around)
    whole.paste(image, box)
    return whole


def assert_found(whole: Image.Image, expected: Box, tolerance: int) -> None:
    found = find_frame(whole)
    assert found, "there is a frame"
    distances = [abs(a - b) for a, b in zip(found, expected, strict=True)]
    assert max(distances) <= tolerance, (found, expected)


# Frames


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("path", REAL[::2], ids=lambda path: path.stem)
@pytest.mark.parametrize("color", [WHITE, BLACK, GREY, CREAM], ids=["white", "black", "grey", "c"])
def test_a_plain_frame(path: object, shape: str, color: tuple[int, int, int]) -> None:
    image = opened(path)
    assert_found(framed(image, SHAPES[shape], color), inside(image, SHAPES[shape]), 3)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "flaws",
    [
        {"color": (250, 250, 248), "quality": 60},
        {"color": (215, 214, 210), "noise": 6.0, "quality": 85},
        {"color": (200, 198, 195), "gradient": 25.0, "noise": 2.0, "quality": 85},
        {"color": (225, 225, 225), "shadow": 9.0, "noise": 2.0, "quality": 85},
        {"color": (4, 4, 4), "noise": 3.0, "quality": 70},
    ],
    ids=["JPEG", "noise", "gradient", "shadow", "black"],
)
def test_a_frame_with_flaws(path: object, shape: str, flaws: dict[str, object]) -> None:
    image, quality = opened(path), flaws.get("quality")
    options = {name: value for name, value in flaws.items() if name != "quality"}
    whole = framed(image, SHAPES[shape], **options)  # type: ignore[arg-type]
    assert isinstance(quality, int)
    assert_found(as_jpeg(whole, quality), inside(image, SHAPES[shape]), 4)


def test_a_scan_that_is_not_quite_straight_keeps_hardly_anything_of_its_paper() -> None:
    image = opened(REAL[2])
    turned = image.convert("RGBA").rotate(0.3, expand=True, resample=Image.Resampling.BICUBIC)
    whole = Image.new("RGB", (turned.width + 200, turned.height + 160), (240, 240, 238))
    whole.paste(turned, (100, 80), turned)
    found = find_frame(as_jpeg(whole, 90))
    assert found
    for edge, near in zip(found, (100, 80, 100 + turned.width, 80 + turned.height), strict=True):
        assert abs(edge - near) <= 6
    assert found.left > 100
    assert found.bottom < 80 + turned.height


def test_a_soft_edge_is_left_outside() -> None:
    image = opened(REAL[2])
    box = inside(image, SHAPES["even"])
    whole = framed(image, SHAPES["even"], BLACK).filter(ImageFilter.GaussianBlur(1.5))
    assert_found(whole, box, 3)


@pytest.mark.parametrize("at", [(20, 30), (60, 300)])
def test_dust_and_a_stamp_hide_no_frame(at: tuple[int, int]) -> None:
    image = opened(REAL[2])
    whole = framed(image, SHAPES["even"])
    ImageDraw.Draw(whole).rectangle((*at, at[0] + 7, at[1] + 7), fill=(90, 40, 40))
    assert_found(whole, inside(image, SHAPES["even"]), 3)


def test_sides_too_narrow_alone_go_with_the_others() -> None:
    image = opened(REAL[2])
    widths = (0.1, 0.1, 0.1, 0.008)
    assert_found(framed(image, widths), inside(image, widths), 3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_mode_of_pixels(mode: str) -> None:
    image = opened(REAL[2])
    whole = framed(image, SHAPES["uneven"]).convert(mode)
    assert_found(whole, inside(image, SHAPES["uneven"]), 3)


WIDTH = st.floats(0.08, 0.3)  # two blocks of a JPEG in the smallest ones


@settings(max_examples=80, deadline=None)
@given(
    size=st.tuples(st.integers(200, 700), st.integers(200, 700)),
    widths=st.one_of(
        st.tuples(WIDTH, WIDTH, WIDTH, WIDTH),
        st.tuples(WIDTH, st.just(0.0), WIDTH, st.just(0.0)),
        st.tuples(st.just(0.0), WIDTH, st.just(0.0), WIDTH),
    ),
    level=st.one_of(st.integers(0, 40), st.integers(215, 255)),
    quality=st.integers(75, 95),
)
def test_any_frame(size: tuple[int, int], widths: Widths, level: int, quality: int) -> None:
    """Around a picture whose colours are all far from the frame's."""
    image = make_waves(*size, seed=level)
    whole = framed(image, widths, (level, level, level))
    if whole.width * whole.height <= 3.9 * image.width * image.height:
        assert_found(as_jpeg(whole, quality), inside(image, widths), 3)


# No frames


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
    assert find_frame(framed(opened(REAL[2]), (width, width, width, width))) is None


def test_a_stamp_on_a_sheet_is_not_cropped() -> None:
    """What would remain is less than a quarter of the picture; a little more is enough."""
    image = make_waves(400, 300)
    assert find_frame(framed(image, (0.55, 0.55, 0.55, 0.55))) is None
    assert_found(framed(image, (0.45, 0.45, 0.45, 0.45)), inside(image, (0.45,) * 4), 2)


def test_tiny_pictures_are_left_alone() -> None:
    image = make_waves(40, 40)
    assert find_frame(framed(image, (0.2, 0.2, 0.2, 0.2))) is None
    assert SMALLEST > 56


@settings(max_examples=150, deadline=None)
@given(
    pixels=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(SMALLEST, 90), st.integers(SMALLEST, 90), st.just(3)),
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


@pytest.mark.slow
def test_twelve_megapixels_take_little_time() -> None:
    """Measured at 20 to 30 ms; other tests run beside this one."""
    image = opened(REAL[2]).resize((3200, 2400))
    whole = framed(image, (0.125, 0.125, 0.125, 0.125), noise=2.0)
    assert whole.size == (4000, 3000)
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        assert find_frame(whole) is not None
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.15
