"""Frames around pictures are found, to the pixel or nearly."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from helpers.framing import (
    BLACK,
    CREAM,
    GREY,
    SHAPES,
    WHITE,
    Widths,
    as_jpeg,
    assert_found,
    framed,
    inside,
    opened,
)
from helpers.pictures import make_waves
from helpers.places import EXAMPLES
from nst.images.framing import find_frame

REAL = [EXAMPLES / "content" / name for name in ("bridge.jpg", "cat.jpg", "castle.jpg")]
REAL += [EXAMPLES / "style" / name for name in ("great_wave.jpg", "straw_hat.jpg", "udnie.jpg")]


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
        {"color": (215, 212, 205), "noise": 8.0, "gradient": 15.0, "quality": 80},
    ],
    ids=["JPEG", "noise", "gradient", "shadow", "black", "plaster"],
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
    image = opened(REAL[2]).resize((1536, 1024))
    box = inside(image, SHAPES["even"])
    whole = framed(image, SHAPES["even"], BLACK).filter(ImageFilter.GaussianBlur(3))
    found = find_frame(whole)
    assert found
    assert box.left - 1 <= found.left <= box.left + 4
    assert box.bottom - 4 <= found.bottom <= box.bottom + 1


@pytest.mark.parametrize("at", [(20, 30), (60, 300)])
def test_dust_and_a_stamp_hide_no_frame(at: tuple[int, int]) -> None:
    image = opened(REAL[2])
    whole = framed(image, SHAPES["even"])
    ImageDraw.Draw(whole).rectangle((*at, at[0] + 7, at[1] + 7), fill=(90, 40, 40))
    assert_found(whole, inside(image, SHAPES["even"]), 3)


@pytest.mark.parametrize("narrow", [0.004, 0.008])
def test_sides_too_narrow_alone_go_with_the_others(narrow: float) -> None:
    image = opened(REAL[2])
    widths = (0.1, 0.1, 0.1, narrow)
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
# A block of a JPEG's colours has 16 pixels: it reaches 11 of them out of the edge at the right.
@example(size=(238, 200), widths=(0.296875, 0.0, 0.25, 0.0), level=238, quality=75)
def test_any_frame(size: tuple[int, int], widths: Widths, level: int, quality: int) -> None:
    """Around a picture whose colours are all far from the frame's."""
    image = make_waves(*size, seed=level)
    whole = framed(image, widths, (level, level, level))
    if whole.width * whole.height <= 3.9 * image.width * image.height:
        assert_found(as_jpeg(whole, quality), inside(image, widths), 3)


@pytest.mark.slow
def test_twelve_megapixels_take_little_time_and_lose_nothing() -> None:
    """Measured at 20 to 30 ms; other tests run beside this one."""
    image = opened(REAL[2]).resize((3200, 2400))
    widths = (0.1257, 0.1253, 0.1245, 0.1247)
    whole, times = framed(image, widths, noise=2.0), []
    for _ in range(10):
        begin = time.perf_counter()
        assert_found(whole, inside(image, widths), 1)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.15
