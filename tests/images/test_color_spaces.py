"""Colour spaces that files name without a profile: cICP, nclx, gAMA with cHRM, EXIF's Adobe RGB.

The expected colours are worked out with the matrices that are published for linear light, and
the standards' formulas.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from pillow_heif import register_heif_opener

from nst.images.colorspaces import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    CodePoints,
    avif_code_points,
    gamma_profile,
    make_profile,
    png_code_points,
)
from nst.images.reading import load_image

register_heif_opener()

Color = tuple[int, int, int]

P3_TO_SRGB = [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]
BT2020_TO_SRGB = [
    [1.6605, -0.5876, -0.0728],
    [-0.1246, 1.1329, -0.0083],
    [-0.0182, -0.1006, 1.1187],
]
ADOBE_TO_SRGB = [[1.3984, -0.3984, 0.0], [0.0, 1.0, 0.0], [0.0, -0.0429, 1.0429]]
COLORS: list[Color] = [(200, 120, 90), (90, 140, 120), (40, 60, 160), (128, 128, 128), (0, 0, 0)]


def srgb_light(signal: float) -> float:
    return signal / 12.92 if signal <= 0.04045 else ((signal + 0.055) / 1.055) ** 2.4


def bt709_light(signal: float) -> float:
    return signal / 4.5 if signal < 0.081 else ((signal + 0.099) / 1.099) ** (1 / 0.45)


def in_srgb(light: list[float]) -> list[int]:
    """8-bit sRGB of linear light."""
    signals = [
        12.92 * max(0.0, x) if x <= 0.0031308 else 1.055 * min(x, 1.0) ** (1 / 2.4) - 0.055
        for x in light
    ]
    return [round(255 * signal) for signal in signals]


def converted(color: Color, curve: Any, matrix: list[list[float]]) -> list[int]:
    light = [curve(value / 255) for value in color]
    return in_srgb([sum(m * x for m, x in zip(row, light, strict=True)) for row in matrix])


def png(color: Any, *chunks: tuple[bytes, bytes], mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (16, 16), color).save(buffer, "PNG", **options)
    data = buffer.getvalue()
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return data[:33] + extra + data[33:]  # after IHDR


def cicp(*values: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes(values)


def read(data: bytes) -> list[int]:
    pixel = load_image(data).getpixel((8, 8))
    assert isinstance(pixel, tuple)
    return list(pixel)


def assert_near(found: list[int], expected: list[int], most: int = 1) -> None:
    assert np.abs(np.subtract(found, expected)).max() <= most, (found, expected)


IDENTITY = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]


@pytest.mark.parametrize("color", COLORS, ids=str)
@pytest.mark.parametrize(
    ("primaries", "transfer", "curve", "matrix"),
    [
        (12, 13, srgb_light, P3_TO_SRGB),
        (9, 13, srgb_light, BT2020_TO_SRGB),
        (9, 1, bt709_light, BT2020_TO_SRGB),
        (9, 14, bt709_light, BT2020_TO_SRGB),
        (1, 1, bt709_light, IDENTITY),
        (1, 8, lambda x: x, IDENTITY),
        (1, 4, lambda x: x**2.2, IDENTITY),
        (12, 5, lambda x: x**2.8, P3_TO_SRGB),
    ],
)
def test_a_png_of_another_colour_space_is_converted(
    color: Color, primaries: int, transfer: int, curve: Any, matrix: list[list[float]]
) -> None:
    found = read(png(color, cicp(primaries, transfer, 0, 1)))
    assert_near(found, converted(color, curve, matrix))


def test_srgb_by_its_numbers_is_left_as_it_is() -> None:
    for color in COLORS:
        assert read(png(color, cicp(1, 13, 0, 1))) == list(color)


@pytest.mark.parametrize(
    ("transfer", "value", "expected"),
    [
        (16, 0, 0),
        (16, 65, 46),  # PQ 0.2549: 5.52 cd/m², 0.0272 of the reference white
        (16, 130, 188),  # PQ 0.5098: 101.7 cd/m², half the reference white: the knee
        (16, 148, 227),  # PQ 0.5804: 203 cd/m²: 0.5 + 0.5 / (1 + 1.774 · 0.5) = 0.765
        (16, 192, 255),  # PQ 0.7529: 1000 cd/m²
        (16, 255, 255),
        (18, 0, 0),
        (18, 128, 137),  # HLG 0.502: (0.502² / 3)^1.2 · 1000 = 51.2 cd/m², 0.2522
        (18, 191, 227),  # HLG 0.749: 0.2646^1.2 · 1000 = 203 cd/m²
        (18, 255, 255),
    ],
)
def test_hdr_is_tone_mapped(transfer: int, value: int, expected: int) -> None:
    assert_near(read(png((value,) * 3, cicp(9, transfer, 0, 1))), [expected] * 3, most=2)


def test_narrow_range_is_widened() -> None:
    assert read(png((16,) * 3, cicp(1, 13, 0, 0))) == [0, 0, 0]
    assert_near(read(png((235,) * 3, cicp(1, 13, 0, 0))), [255] * 3)
    assert_near(read(png((126,) * 3, cicp(1, 13, 0, 0))), [128] * 3)  # (126 − 16) · 255 / 219


def profile_of_linear_light() -> bytes:
    return make_profile((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), np.linspace(0, 1, 64))


@pytest.mark.parametrize("color", COLORS, ids=str)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("profile", "curve", "matrix"),
    [
        (CodePoints(12, 13).profile(), srgb_light, P3_TO_SRGB),
        (gamma_profile(ADOBE_RGB, ADOBE_GAMMA), lambda x: x**ADOBE_GAMMA, ADOBE_TO_SRGB),
    ],
    ids=["Display P3", "Adobe RGB"],
)
def test_a_wide_gamut_profile_is_converted_and_not_carried(
    color: Color, format: str, profile: bytes, curve: Any, matrix: list[list[float]]
) -> None:
    """LittleCMS finds the profile sound, and the picture looks as it did."""
    assert ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip() == "RGB"
    data = io.BytesIO()
    options = {"lossless": True} if format == "WEBP" else {}
    Image.new("RGB", (16, 16), color).save(data, format, icc_profile=profile, **options)
    assert_near(read(data.getvalue()), converted(color, curve, matrix))
    assert load_image(data.getvalue()).info == {}


def test_cicp_comes_before_a_profile_and_that_before_the_rest() -> None:
    """PNG, third edition, 4.3: cICP, iCCP, sRGB, gAMA with cHRM."""
    color, linear = (100, 100, 100), [168] * 3  # 0.392 of linear light
    profile = profile_of_linear_light()
    gamma = (b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", chromaticities())
    srgb = (b"sRGB", b"\0")
    assert_near(read(png(color, icc_profile=profile)), linear)
    assert read(png(color, cicp(1, 13, 0, 1), icc_profile=profile)) == list(color)
    assert read(png(color, cicp(1, 13, 0, 1), *gamma)) == list(color)
    assert_near(read(png(color, cicp(1, 8, 0, 1), srgb)), linear)
    assert read(png(color, srgb, *gamma)) == list(color)
    assert_near(read(png(color, *gamma)), linear)


def chromaticities(*values: int) -> bytes:
    srgb = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    return struct.pack(">8I", *(values or srgb))


def test_gamma_or_chromaticities_alone_change_nothing() -> None:
    assert read(png((100,) * 3, (b"gAMA", struct.pack(">I", 100_000)))) == [100] * 3
    p3 = chromaticities(31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    assert read(png(COLORS[0], (b"cHRM", p3))) == list(COLORS[0])
    both = read(png(COLORS[0], (b"cHRM", p3), (b"gAMA", struct.pack(">I", 45455))))
    assert_near(both, converted(COLORS[0], lambda x: x**2.2, P3_TO_SRGB))
    plain = (b"gAMA", struct.pack(">I", 45455)), (b"cHRM", chromaticities())
    assert read(png(COLORS[0], *plain)) == list(COLORS[0])  # as encoders write it for sRGB


@pytest.mark.parametrize(
    "body",
    [
        bytes((12, 13, 1, 1)),  # YCbCr: there is none in a PNG
        bytes((12, 13, 0, 2)),
        bytes((12, 13, 0)),
        bytes((2, 2, 0, 1)),  # unspecified
        bytes((12, 255, 0, 1)),
        bytes((255, 13, 0, 1)),
    ],
    ids=bytes.hex,
)
def test_what_is_not_known_is_passed_over(body: bytes) -> None:
    assert read(png((100,) * 3, (b"cICP", body))) == [100] * 3
    found = read(png((100,) * 3, (b"cICP", body), icc_profile=profile_of_linear_light()))
    assert_near(found, [168] * 3)


@pytest.mark.parametrize(
    "values",
    [(0,) * 8, (31270, 0, 64000, 33000, 30000, 60000, 15000, 6000), (2**31 - 1,) * 8, (1, 1) * 4],
)
def test_chromaticities_of_no_colours_are_passed_over(values: tuple[int, ...]) -> None:
    gamma = (b"gAMA", struct.pack(">I", 100_000))
    found = read(png((100,) * 3, (b"cHRM", chromaticities(*values)), gamma))
    assert found == [100] * 3


@pytest.mark.parametrize(
    ("mode", "color", "options"),
    [
        ("L", 100, {}),
        ("LA", (100, 255), {}),
        ("RGBA", (100, 100, 100, 255), {}),
        ("P", 0, {}),
        ("I;16", 100 * 257, {}),
    ],
)
def test_every_kind_of_png_is_converted(mode: str, color: Any, options: dict[str, Any]) -> None:
    image = Image.new(mode, (16, 16), color)
    if mode == "P":
        image.putpalette([100] * 3)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    data = buffer.getvalue()
    kind, body = cicp(1, 8, 0, 1)
    extra = struct.pack(">I", 4) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    assert_near(read(data[:33] + extra + data[33:]), [168] * 3)


def test_the_chunk_counts_only_before_the_pixels() -> None:
    data = png(COLORS[0], cicp(12, 13, 0, 1))
    assert png_code_points(data) == CodePoints(12, 13)
    kind, body = cicp(12, 13, 0, 1)
    late = struct.pack(">I", 4) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    plain = png(COLORS[0])
    assert png_code_points(plain[:-12] + late + plain[-12:]) is None
    assert png_code_points(plain[:20]) is None


@pytest.mark.parametrize("color", COLORS, ids=str)
@pytest.mark.parametrize(
    ("primaries", "transfer", "curve", "matrix"),
    [(12, 13, srgb_light, P3_TO_SRGB), (9, 14, bt709_light, BT2020_TO_SRGB)],
)
@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_the_numbers_of_heic_and_avif_are_followed(
    color: Color, primaries: int, transfer: int, curve: Any, matrix: list[list[float]], format: str
) -> None:
    found = read(with_nclx(color, format, primaries, transfer))
    assert_near(found, converted(color, curve, matrix), most=6)  # they are lossy


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
@pytest.mark.parametrize("numbers", [(1, 13), (1, 1), (6, 6), (2, 2)])
def test_still_pictures_with_the_numbers_of_video_are_srgb(
    format: str, numbers: tuple[int, int]
) -> None:
    assert_near(read(with_nclx(COLORS[0], format, *numbers)), list(COLORS[0]), most=5)


def with_nclx(color: Color, format: str, primaries: int, transfer: int) -> bytes:
    """A file with these numbers; the colours themselves are stored as they are."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(buffer, format, quality=100, subsampling="4:4:4")
    data = bytearray(buffer.getvalue())
    at = data.index(b"colrnclx")
    assert data.count(b"colrnclx") == 1
    struct.pack_into(">HH", data, at + 8, primaries, transfer)
    return bytes(data)


def test_boxes_that_are_damaged_or_differ_tell_nothing() -> None:
    data = with_nclx(COLORS[0], "AVIF", 12, 13)
    assert avif_code_points(data) == CodePoints(12, 13)
    for end in range(0, len(data), 7):
        assert avif_code_points(data[:end]) in (None, CodePoints(12, 13))
    box = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", 1, 13, 0, 128)
    other = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", 12, 13, 0, 128)
    boxes = struct.pack(">I4s", 8 + 38, b"ipco") + box + other
    boxes = struct.pack(">I4s", 8 + len(boxes), b"iprp") + boxes
    assert avif_code_points(struct.pack(">I4sI", 12 + len(boxes), b"meta", 0) + boxes) is None


@pytest.mark.parametrize("color", COLORS, ids=str)
def test_adobe_rgb_is_known_by_its_exif(color: Color) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 0xFFFF, 0xA005: {1: "R03"}}
    buffer = io.BytesIO()
    image = Image.new("RGB", (16, 16), color)
    image.save(buffer, "JPEG", quality=100, subsampling=0, exif=exif)
    expected = converted(color, lambda x: x**2.19921875, ADOBE_TO_SRGB)
    assert_near(read(buffer.getvalue()), expected, most=3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=100, subsampling=0, exif=exif, icc_profile=srgb)
    assert_near(read(buffer.getvalue()), list(color), most=2)  # the profile comes first


@pytest.mark.parametrize(
    "ifd", [{0xA001: 1, 0xA005: {1: "R03"}}, {0xA001: 0xFFFF, 0xA005: {1: "R98"}}, {0xA001: 0xFFFF}]
)
def test_other_exif_means_srgb(ifd: dict[int, Any]) -> None:
    exif = Image.Exif()
    exif[0x8769] = ifd
    buffer = io.BytesIO()
    image = Image.new("RGB", (16, 16), COLORS[0])
    image.save(buffer, "JPEG", quality=100, subsampling=0, exif=exif)
    assert_near(read(buffer.getvalue()), list(COLORS[0]), most=2)


def test_pillow_does_not_read_the_chunk_itself() -> None:
    """Or it should be done there."""
    with Image.open(io.BytesIO(png(COLORS[0], cicp(12, 13, 0, 1)))) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert not any("cicp" in str(name).lower() for name in image.info)
