"""Pictures of telephones with 48 to 200 megapixels, and what only claims to be one."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageOps
from pillow_heif import register_heif_opener

from nst.errors import ImageError
from nst.images.reading import (
    MANY_SCANS,
    MAX_BYTES,
    MAX_JPEG_PIXELS,
    MAX_PIXELS,
    load_image,
)

pytestmark = pytest.mark.slow


register_heif_opener()

RED, BLUE, WHITE = (200, 40, 40), (40, 40, 200), (255, 255, 255)
Size = tuple[int, int]


@pytest.fixture(scope="module")
def make_jpeg() -> Callable[..., bytes]:
    """`make_jpeg(width, height, …)`: left red and right blue, made once for
    all tests."""
    made: dict[Any, bytes] = {}

    def make(width: int, height: int, format: str = "JPEG", **options: Any) -> bytes:
        key = (width, height, format, str(options))
        if key not in made:
            image = Image.new("RGB", (width, height), RED)
            image.paste(BLUE, (width // 2, 0, width, height))
            buffer = io.BytesIO()
            image.save(buffer, format, quality=75, **options)
            made[key] = buffer.getvalue()
        return made[key]

    return make


def assert_halves(image: Image.Image, first: Size, second: Size) -> None:
    for place, expected in ((first, RED), (second, BLUE)):
        pixel = image.getpixel(place)
        assert isinstance(pixel, tuple)
        assert max(abs(a - b) for a, b in zip(pixel, expected, strict=True)) <= 4


@pytest.mark.parametrize(
    ("size", "read"),
    [
        ((8064, 6048), (8064, 6048)),  # 48 megapixels
        ((8160, 6144), (8160, 6144)),  # 50
        ((8192, 6144), (8192, 6144)),
        ((9248, 6936), (4624, 3468)),  # 64
        ((12000, 9000), (6000, 4500)),  # 108
        ((16320, 12240), (8160, 6120)),  # 200
        ((16384, 12288), (8192, 6144)),
    ],
    ids=str,
)
def test_what_telephones_deliver_is_read(
    make_jpeg: Callable[..., bytes], size: Size, read: Size
) -> None:
    image = load_image(make_jpeg(*size))
    assert image.size == read
    assert_halves(image, (2, 2), (read[0] - 3, read[1] - 3))


def test_an_odd_size_stays_within_the_limit(make_jpeg: Callable[..., bytes]) -> None:
    """Half of it, rounded up, would have more than `MAX_PIXELS`: a quarter."""
    width, height = 16387, 12285
    assert width * height <= MAX_JPEG_PIXELS
    assert -(-width // 2) * -(-height // 2) > MAX_PIXELS
    assert load_image(make_jpeg(width, height)).size == (4097, 3072)


def test_a_reduced_picture_is_upright(make_jpeg: Callable[..., bytes]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image = load_image(make_jpeg(9248, 6936, exif=exif))
    assert image.size == (3468, 4624)
    assert_halves(image, (2, 2), (2, 4620))


def test_a_reduced_picture_looks_like_the_whole_one(photo: Image.Image) -> None:
    """64 megapixels beside 48: the same scene, once read at half its size."""
    small = ImageOps.fit(photo, (96, 72))
    looks = []
    for size in ((8064, 6048), (9248, 6936)):
        buffer = io.BytesIO()
        small.resize(size, Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=80)
        looks.append(load_image(buffer.getvalue()).resize((96, 72), Image.Resampling.BOX))
    pairs = zip(looks[0].tobytes(), looks[1].tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 3


def test_two_pictures_behind_each_other_as_telephones_have_them() -> None:
    first, second = Image.new("RGB", (9248, 6936), RED), Image.new("RGB", (64, 48), WHITE)
    first.paste(BLUE, (4624, 0, 9248, 6936))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=75)
    image = load_image(buffer.getvalue())
    assert image.size == (4624, 3468)
    assert image.info == {}
    assert_halves(image, (9, 9), (4600, 3450))


def test_a_progressive_jpeg_of_108_megapixels_is_read(make_jpeg: Callable[..., bytes]) -> None:
    assert load_image(make_jpeg(12000, 9000, progressive=True)).size == (6000, 4500)


def claim(data: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its header."""
    at = next(data.index(kind) for kind in (b"\xff\xc0", b"\xff\xc2") if kind in data)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def refusal(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(data)
    return str(caught.value)


def test_more_than_200_megapixels_are_refused(make_jpeg: Callable[..., bytes]) -> None:
    small = make_jpeg(64, 48)
    for size in ((16384, 12289), (20000, 15000), (65500, 65500)):
        assert refusal(claim(small, *size)) == "The picture has more than 201 million pixels."


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_other_formats_have_the_limit_of_50(format: str) -> None:
    """They cannot be decoded smaller; the sentence names the limit, and what may have more."""
    size = (8192, 6145)
    buffer = io.BytesIO()
    options: dict[str, Any] = {"speed": 10} if format == "AVIF" else {}
    Image.new("L" if format != "AVIF" else "RGB", size).save(buffer, format, **options)
    assert refusal(buffer.getvalue()) == (
        "The picture has more than 50 million pixels; only a JPEG may have more, up to 201 million."
    )


def test_heic_has_the_limit_of_50() -> None:
    buffer = io.BytesIO()
    image = Image.new("L", (8192, 6145))
    image.save(buffer, "HEIF", quality=1, enc_params={"preset": "ultrafast"})
    assert refusal(buffer.getvalue()).startswith("The picture has more than 50 million pixels; ")


def test_a_progressive_jpeg_that_needs_too_much_memory_is_told_of(
    make_jpeg: Callable[..., bytes],
) -> None:
    """201 million pixels without subsampling: 1.2 GB of coefficients."""
    small = make_jpeg(64, 48, progressive=True, subsampling="4:4:4")
    assert refusal(claim(small, 16384, 12288)) == (
        "A progressive JPEG of so many pixels takes too much memory; save it as a baseline JPEG or"
        " smaller."
    )


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_small_file_that_claims_200_megapixels_stays_within_the_limits(
    make_jpeg: Callable[..., bytes], options: dict[str, Any]
) -> None:
    """What is missing is grey, as at every size; it takes no more than a picture of that size."""
    bomb = claim(make_jpeg(64, 48, **options), 16384, 12288)
    assert len(bomb) < 2000
    assert load_image(bomb).size == (8192, 6144)


def test_very_many_scans_of_200_megapixels_are_refused(make_jpeg: Callable[..., bytes]) -> None:
    """Each scan is cheap to write and dear to read; the next picture is read nevertheless."""
    small = make_jpeg(64, 48, progressive=True)
    first = small.index(b"\xff\xda")
    bomb = claim(small[:-2] + 400 * small[first:-2] + small[-2:], 16384, 12288)
    assert len(bomb) < 200_000
    assert refusal(bomb) == MANY_SCANS
    assert load_image(make_jpeg(64, 48)).size == (64, 48)


def test_the_limit_on_bytes_admits_what_telephones_write() -> None:
    assert MAX_BYTES >= 60_000_000
