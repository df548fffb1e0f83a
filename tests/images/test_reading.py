"""Untrusted picture files to clean RGB, tensors and back, and PNG files written whole."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips  # type: ignore[import-untyped]
import torch
from PIL import Image, ImageCms, PngImagePlugin
from pillow_heif import register_heif_opener

import nst.images.reading
from helpers.pictures import MakePicture
from helpers.places import SUITES_BESIDE
from nst.errors import ImageError
from nst.images.reading import (
    FORMATS,
    MAX_PIXELS,
    MAX_RATIO,
    MIN_SIDE,
    SEVERAL,
    load_image,
)
from nst.images.tensors import fit, to_image, to_tensor
from nst.images.writing import jpeg_bytes, save_png

register_heif_opener()

Color = tuple[int, int, int]
RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)
# PngSuite and imagetestsuite, where they are at hand; they are no part of the project.
MALFORMED = Path(os.environ.get("NST_MALFORMED", SUITES_BESIDE))


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def decode(image: Image.Image, format: str = "PNG", **options: Any) -> Image.Image:
    loaded = load_image(encode(image, format, **options))
    assert loaded.mode == "RGB"
    return loaded


def color(image: Image.Image, x: int = 8, y: int = 8) -> Color:
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    red, green, blue = (int(value) for value in pixel)
    return red, green, blue


def near(image: Image.Image, expected: Color, tolerance: int) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(color(image), expected, strict=True))


def refusal(source: bytes | str | Path) -> str:
    """The message with which `source` is refused: one line, and no path in it."""
    with pytest.raises(ImageError) as caught:
        load_image(source)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.endswith(".")
    assert "/" not in message
    assert caught.value.__cause__ is None
    return message


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [  # stored 40×20 with a red square at the top left; where an upright picture shows it
        (1, (40, 20), (0, 0)),
        (2, (40, 20), (39, 0)),
        (3, (40, 20), (39, 19)),
        (4, (40, 20), (0, 19)),
        (5, (20, 40), (0, 0)),
        (6, (20, 40), (19, 0)),
        (7, (20, 40), (19, 39)),
        (8, (20, 40), (0, 39)),
    ],
)
def test_exif_orientation_is_applied(
    orientation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    image = Image.new("RGB", (40, 20), BLUE)
    image.paste(RED, (0, 0, 5, 5))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = decode(image, exif=exif)
    assert upright.size == size
    corners = [(x, y) for x in (0, size[0] - 1) for y in (0, size[1] - 1)]
    assert [c for c in corners if color(upright, *c) == RED] == [corner]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(format: str) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    loaded = decode(Image.fromarray(257 * levels), format)  # 257 = 65535 / 255
    assert np.array_equal(np.asarray(loaded), np.stack([levels] * 3, axis=-1))


def test_16_bit_grey_where_0_is_white() -> None:
    values = np.array([[0, 0xFFFF]], np.uint16).repeat(16, 0).repeat(8, 1)
    picture = np.asarray(decode(Image.fromarray(values), "TIFF", tiffinfo={262: 0}))
    assert picture[0, 0].tolist() == list(WHITE)
    assert picture[0, -1].tolist() == list(BLACK)


def test_16_bit_grey_is_rounded_to_the_nearest() -> None:
    values = np.full((16, 16), 1000, dtype=np.uint16)  # 1000 / 257 = 3.89
    assert color(decode(Image.fromarray(values))) == (4, 4, 4)


def test_floating_point_grey_up_to_one_is_scaled() -> None:
    values = np.full((16, 16), 0.2, dtype=np.float32)
    assert color(decode(Image.fromarray(values), "TIFF")) == (51, 51, 51)


def test_transparent_palette_entry_becomes_white() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([*RED, *BLUE])
    image.paste(0, (0, 0, 16, 4))
    loaded = decode(image, transparency=0)
    assert color(loaded, 8, 0) == WHITE
    assert color(loaded, 8, 8) == BLUE


def test_plain_palette_keeps_its_colours() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([*RED, *BLUE])
    assert color(decode(image)) == BLUE


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, WHITE),
        ("1", 0, BLACK),
        ("LA", (40, 255), (40, 40, 40)),
        ("LA", (40, 0), WHITE),
        ("LA", (0, 51), (204, 204, 204)),  # 51 / 255 = 20 % black on white
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),
        ("RGBA", (0, 0, 255, 255), BLUE),
        ("RGB", (1, 2, 3), (1, 2, 3)),
    ],
)
def test_modes_become_rgb_on_white(mode: str, pixel: Any, expected: Color) -> None:
    assert near(decode(Image.new(mode, (16, 16), pixel)), expected, tolerance=1)


@pytest.mark.parametrize(("mode", "key"), [("RGB", GREEN), ("L", 7)])
def test_a_transparent_colour_becomes_white(mode: str, key: Any) -> None:
    image = Image.new(mode, (16, 16), key)
    assert color(decode(image, transparency=key)) == WHITE
    assert color(decode(Image.new(mode, (16, 16), 0), transparency=key)) == BLACK


def test_cmyk_jpeg_becomes_rgb() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    assert near(decode(image, "JPEG", quality=95), RED, tolerance=4)


def exchanged_profile() -> bytes:
    """sRGB with its red and blue primaries exchanged: what is stored as red looks blue."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert profile.count(b"rXYZ") == profile.count(b"bXYZ") == 1
    return profile.replace(b"rXYZ", b"____").replace(b"bXYZ", b"rXYZ").replace(b"____", b"bXYZ")


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_colour_profile_is_converted_to_srgb(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    image = Image.new("RGB", (16, 16), RED)
    loaded = decode(image, format, icc_profile=exchanged_profile(), **options)
    assert near(loaded, BLUE, tolerance=2)


def test_colour_profile_is_converted_below_transparency() -> None:
    image = Image.new("RGBA", (16, 16), (*RED, 255))
    assert near(decode(image, icc_profile=exchanged_profile()), BLUE, tolerance=2)


def test_colour_profile_of_a_palette_is_converted() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette(RED)
    assert near(decode(image, icc_profile=exchanged_profile()), BLUE, tolerance=2)


@pytest.mark.parametrize("profile", [b"nonsense", exchanged_profile()[:200]])
def test_broken_colour_profile_is_ignored(profile: bytes) -> None:
    assert color(decode(Image.new("RGB", (16, 16), RED), icc_profile=profile)) == RED


def test_colour_profile_of_another_kind_is_ignored() -> None:
    image = Image.new("L", (16, 16), 100)
    assert color(decode(image, icc_profile=exchanged_profile())) == (100, 100, 100)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), shade) for shade in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    loaded = decode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert color(loaded) == RED


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_read(format: str, make_picture: MakePicture) -> None:
    flat = Image.new("RGB", (64, 48), (180, 90, 40))
    assert decode(make_picture(64, 48), format).size == (64, 48)
    assert near(decode(flat, format), (180, 90, 40), tolerance=6)


def test_other_formats_are_refused() -> None:
    assert "PNG" in refusal(encode(Image.new("RGB", (32, 32)), "PPM"))


def test_paths_and_bytes_are_read_alike(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "photo.png"
    photo.save(path)
    for source in (path, str(path), path.read_bytes()):
        assert np.array_equal(np.asarray(load_image(source)), np.asarray(photo))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF"])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(
    format: str, fraction: float, make_picture: MakePicture
) -> None:
    data = encode(make_picture(200, 150), format)
    assert "damaged, cut off" in refusal(data[: int(fraction * len(data))])


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello, world\n" * 100, b"<svg/>", b"%PDF-1.7\n"], ids=repr
)
def test_what_is_no_picture_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "not a picture" in refusal(data)
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    assert "not a picture" in refusal(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.png")
    assert "directory" in refusal(tmp_path)


@pytest.mark.parametrize("size", [(MIN_SIDE - 1, 100), (100, MIN_SIDE - 1), (1, 1)])
def test_a_tiny_picture_is_refused(size: tuple[int, int]) -> None:
    message = refusal(encode(Image.new("RGB", size)))
    assert f"{size[0]}×{size[1]}" in message
    assert str(MIN_SIDE) in message


def test_the_smallest_picture_is_read() -> None:
    assert decode(Image.new("RGB", (MIN_SIDE, MIN_SIDE))).size == (MIN_SIDE, MIN_SIDE)


def test_a_file_of_too_many_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: Image.Image
) -> None:
    data = encode(photo)
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    monkeypatch.setattr(nst.images.reading, "MAX_BYTES", len(data))
    assert load_image(path).size == load_image(data).size == photo.size
    monkeypatch.setattr(nst.images.reading, "MAX_BYTES", len(data) - 1)
    assert "larger than" in refusal(path)
    assert "larger than" in refusal(data)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_nothing(width: int, height: int) -> bytes:
    """A few bytes that claim to be a large picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [int(MAX_PIXELS**0.5) + 1, 10_000, 30_000])
def test_a_picture_of_too_many_pixels_is_refused(side: int) -> None:
    assert "million pixels" in refusal(png_of_nothing(side, side))


@pytest.mark.parametrize(
    "size", [(16, 16 * MAX_RATIO + 1), (17 * MAX_RATIO + 1, 17), (20_000, 100)]
)
def test_an_extreme_aspect_ratio_is_refused(size: tuple[int, int]) -> None:
    assert f"{MAX_RATIO} times" in refusal(encode(Image.new("L", size)))


def test_the_most_extreme_aspect_ratio_is_read() -> None:
    assert decode(Image.new("L", (16 * MAX_RATIO, 16))).size == (16 * MAX_RATIO, 16)


HUGE = {
    "BMP": b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 30_000, 30_000, 1, 24, 0) + bytes(60),
    "GIF": b"GIF89a"
    + struct.pack("<HH", 30_000, 30_000)
    + bytes(3)
    + b",\0\0\0\0"
    + struct.pack("<HH", 30_000, 30_000)
    + bytes(60),
    "JPEG": b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", 30_000, 30_000) + b"\3\1\x22\0"
    b"\2\x11\0\3\x11\0\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0" + bytes(60),
    "WEBP": b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (b"\xff\x3f\0" * 2) + bytes(60),
    "WEBP, lossy": b"RIFF\x40\0\0\0WEBPVP8 \x40\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f"
    + bytes(60),
    "WEBP, lossless": b"RIFF\x40\0\0\0WEBPVP8L\x40\0\0\0\x2f\xff\xff\xff\x0f" + bytes(60),
}


@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)
def test_a_header_that_claims_too_many_pixels_is_refused(data: bytes) -> None:
    assert "million pixels" in refusal(data)


@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
        b"\xc5\xd0\xd3\xc6" + bytes(200),  # EPS with a preview
        b"\xd7\xcd\xc6\x9a" + bytes(200),  # WMF
        b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(200),
        b"%PDF-1.7\n%%EOF",
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(200),  # JPEG 2000
        b"8BPS\0\1" + bytes(200),  # Photoshop
        b"\0\0\1\0\1\0" + bytes(200),  # an icon
        b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(200),  # a film
    ],
)
@pytest.mark.parametrize("name", ["picture.jpg", "picture.png", "picture.eps"])
def test_other_formats_are_refused_whatever_their_name(
    tmp_path: Path, data: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(data)
    assert "not a picture" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.gif", "photo.eps", "photo.txt", "photo"])
def test_a_wrong_name_does_not_matter(tmp_path: Path, photo: Image.Image, name: str) -> None:
    (tmp_path / name).write_bytes(encode(photo))
    assert load_image(tmp_path / name).tobytes() == photo.tobytes()


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_that_there_are_more_pictures_is_said(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), shade) for shade in (RED, GREEN)]
    several = decode(frames[0], format, save_all=True, append_images=frames[1:])
    assert several.info == {"note": SEVERAL}
    assert decode(frames[0], format).info == {}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_no_metadata_comes_along(format: str, photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    options: dict[str, Any] = {"exif": exif, "icc_profile": exchanged_profile()}
    if format == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", "a secret place")
    data = encode(photo, format, **options)
    assert b"a secret place" in data
    loaded = load_image(data)
    assert loaded.info == {}
    assert not loaded.getexif()
    saved = encode(loaded) + jpeg_bytes(loaded)
    assert not any(word in saved for word in (b"secret", b"iCCP", b"ICC_PROFILE", b"Exif"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.full((16, 16), 2**32 // 5, np.uint32).view(np.int32), 51),
        (np.full((16, 16), 2**32 - 1, np.uint32).view(np.int32), 255),  # Pillow would say −1
        (np.full((16, 16), 0.4, np.float32), 102),
        (np.full((16, 16), np.nan, np.float32), 0),
    ],
)
def test_grey_of_32_bits_is_scaled(values: np.ndarray[Any, Any], expected: int) -> None:
    data = bytearray(encode(Image.fromarray(values), "TIFF"))
    if values.dtype == np.int32:  # Pillow writes it as signed
        at = data.index(struct.pack("<HHII", 339, 3, 1, 2))
        data[at + 8] = 1
    assert color(load_image(bytes(data))) == (expected,) * 3


@pytest.mark.parametrize(("value", "expected"), [(-5, 0), (2**31 // 5, 51), (2**31 - 1, 255)])
def test_signed_grey_is_black_below_zero(value: int, expected: int) -> None:
    image = Image.fromarray(np.full((16, 16), value, np.int32))
    assert color(decode(image, "TIFF")) == (expected,) * 3


def png_of(
    rows: np.ndarray[Any, Any], depth: int, kind: int, extra: bytes = b"", *, interlace: int = 0
) -> bytes:
    """A PNG of the packed bytes of its rows, (H, bytes in a row)."""
    width = rows.shape[1] * 8 // (depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind])
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, interlace)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", packed)
        + chunk(b"IEND", b"")
    )


def test_a_transparent_colour_of_16_bits_is_exact() -> None:
    """Two colours that differ in their last bit only: one is transparent."""
    values = np.full((16, 16, 3), 0x1234, ">u2")
    values[:, 8:, 2] = 0x1235
    rows = values.view(np.uint8).reshape(16, -1)
    loaded = load_image(png_of(rows, 16, 2, chunk(b"tRNS", struct.pack(">HHH", *[0x1234] * 3))))
    assert color(loaded, 0, 0) == WHITE
    assert color(loaded, 12, 0) == (0x12, 0x12, 0x12)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_any_depth(depth: int) -> None:
    """All black; transparent is black, or the lightest grey."""
    rows = np.zeros((16, 2 * depth), np.uint8)
    top = 2**depth - 1
    lightest = 255 - rows
    for key, data, expected in [
        (0, rows, WHITE),
        (top, rows, BLACK),
        (top, lightest, WHITE),
        (0, lightest, WHITE),
    ]:
        loaded = load_image(png_of(data, depth, 0, chunk(b"tRNS", struct.pack(">H", key))))
        assert color(loaded) == expected
    if depth > 1:  # a grey in between
        between = np.full((16, 2 * depth), {2: 0x55, 4: 0x11, 8: 1, 16: 1}[depth], np.uint8)
        value = {2: 1, 4: 1, 8: 1, 16: 0x0101}[depth]
        grey = png_of(between, depth, 0, chunk(b"tRNS", struct.pack(">H", value)))
        assert color(load_image(grey)) == WHITE


def test_lab_becomes_rgb() -> None:
    """L* = 50.2, a* = 22, b* = −38, worked out by hand with CIE's formulas."""
    assert near(decode(Image.new("LAB", (16, 16), (128, 150, 90)), "TIFF"), (130, 108, 185), 1)


def test_display_p3_is_converted() -> None:
    """Its red lies outside sRGB; half of it (0.5 linear) is sRGB's (0.612, −0.021, −0.010)."""
    to_xyz = [(0.515102, 0.241182, -0.001050), (0.291965, 0.692236, 0.041882)]
    to_xyz.append((0.157153, 0.066582, 0.784378))  # adapted to D50
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz, strict=True):
        at = 128 + 4 + 12 * [data[i : i + 4] for i in range(132, 132 + 12 * 20, 12)].index(name)
        offset = int.from_bytes(data[at + 4 : at + 8], "big") + 8
        numbers = struct.pack(">iii", *(round(value * 65536) for value in xyz))
        data = data[:offset] + numbers + data[offset + 12 :]
    red = decode(Image.new("RGB", (16, 16), (188, 0, 0)), icc_profile=data)  # 0.5 linear
    assert near(red, (206, 0, 0), tolerance=3)
    assert near(decode(Image.new("RGB", (16, 16), (99, 99, 99)), icc_profile=data), (99,) * 3, 1)


def profile_of(space: bytes, device: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2.4, of a `space` described in Lab or XYZ."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    pcs = b"Lab " if b"A2B0" in tags else b"XYZ "
    header = bytes(4) + b"\x02\x40\0\0" + device + space + pcs + bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">iii", 63190, 65536, 54061)  # D50
    return struct.pack(">I", 128 + len(table) + len(body)) + header.ljust(124, b"\0") + table + body


def test_a_grey_profile_is_converted() -> None:
    """Linear: 128 / 255 is 0.502 of the light, which sRGB writes as 188."""
    linear = profile_of(b"GRAY", b"mntr", {b"kTRC": b"curv" + bytes(8)})
    assert near(decode(Image.new("L", (16, 16), 128), icc_profile=linear), (188,) * 3, 1)
    half = Image.new("LA", (16, 16), (128, 255))
    assert near(decode(half, icc_profile=linear), (188,) * 3, 1)
    grey_16 = Image.fromarray(np.full((16, 16), 128 * 257, np.uint16))
    assert near(decode(grey_16, icc_profile=linear), (188,) * 3, 1)


@pytest.mark.parametrize("format", ["TIFF", "JPEG"])
def test_a_cmyk_profile_is_converted(format: str) -> None:
    """An ink that is called cyan and is grey, L* = 50.2: sRGB's 119."""
    colors = {0: (255, 128, 128), 8: (128, 128, 128)}  # Lab in 8 bits: no ink, only the first
    grid = b"".join(bytes(colors.get(corner, (0, 128, 128))) for corner in range(16))
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix
    table += bytes(range(256)) * 4 + grid + bytes(range(256)) * 3
    profile = profile_of(b"CMYK", b"prtr", {b"A2B0": table})
    ink = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    assert near(decode(ink, format, icc_profile=profile), (119,) * 3, 2)
    paper = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert near(decode(paper, format, icc_profile=profile), WHITE, 1)
    assert near(decode(ink, format), (0, 255, 255), 3)  # without a profile, by the formula


def test_a_small_first_frame_lies_on_white(photo: Image.Image) -> None:
    """The rest of a GIF's screen is transparent, as in browsers (libvips says black)."""
    data = bytearray(encode(photo.convert("P"), "GIF"))
    data[6:10] = struct.pack("<HH", 200, 100)
    loaded = load_image(bytes(data))
    assert loaded.size == (200, 100)
    assert color(loaded, 150, 50) == WHITE
    assert np.array_equal(np.asarray(loaded)[:60, :80], by_libvips(bytes(data))[:60, :80])


INDEPENDENT = [  # format, mode, options, how far any value may be off
    ("PNG", "RGB", {}, 0),
    ("PNG", "RGBA", {}, 1),
    ("PNG", "LA", {}, 1),
    ("PNG", "P", {}, 0),
    ("PNG", "1", {}, 0),
    ("PNG", "L", {"icc_profile": None}, 0),
    ("JPEG", "RGB", {"quality": 90, "orientation": 6}, 2),
    ("JPEG", "RGB", {"quality": 60, "progressive": True, "profile": True}, 3),
    ("JPEG", "L", {}, 1),
    ("TIFF", "RGB", {"compression": "tiff_lzw", "orientation": 5}, 0),
    ("TIFF", "RGBA", {"compression": "tiff_deflate"}, 1),
    ("TIFF", "RGB", {"profile": True}, 1),
    ("WEBP", "RGB", {"quality": 70, "orientation": 8}, 0),
    ("WEBP", "RGBA", {"lossless": True}, 1),
    ("GIF", "P", {}, 0),
    ("AVIF", "RGB", {"quality": 80, "subsampling": "4:4:4"}, 2),
    ("PNG", "RGB", {"profile": True}, 1),
]


@pytest.mark.parametrize(("format", "mode", "options", "most"), INDEPENDENT, ids=str)
def test_libvips_reads_the_same(
    format: str, mode: str, options: dict[str, Any], most: int, make_picture: MakePicture
) -> None:
    image = make_picture(120, 90, seed=5).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    options = dict(options)
    if orientation := options.pop("orientation", 0):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    if options.pop("profile", False):
        options["icc_profile"] = exchanged_profile()
    opaque = image.convert("RGB" if mode in ("P", "1", "L") else mode)
    data = encode(opaque.convert(mode), format, **options)
    ours, theirs = np.asarray(load_image(data)).astype(int), by_libvips(data)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= most


def by_libvips(data: bytes) -> np.ndarray[Any, Any]:
    """(H, W, 3) 8-bit sRGB on white, as libvips reads it."""
    image = pyvips.Image.new_from_buffer(data, "").autorot()
    if image.get_typeof("icc-profile-data"):
        image = image.icc_transform("srgb", intent="perceptual")
    image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=[255, 255, 255])
    pixels = image.cast("uchar").numpy().astype(int).reshape(image.height, image.width, -1)
    return np.broadcast_to(pixels, (image.height, image.width, 3))


@pytest.mark.skipif(not MALFORMED.is_dir(), reason="NST_MALFORMED names no folder of damaged files")
def test_files_of_both_suites_give_the_right_picture_or_a_reason() -> None:
    opened, reasons = {}, []
    for path in sorted(p for p in MALFORMED.rglob("*") if p.is_file()):
        begin = time.monotonic()
        try:
            opened[path] = load_image(path)
        except ImageError as error:
            reasons.append(str(error))
        assert time.monotonic() - begin < 5
    assert {image.mode for image in opened.values()} == {"RGB"}
    assert min(min(image.size) for image in opened.values()) >= MIN_SIDE
    assert all(reason.isprintable() and "/" not in reason for reason in reasons)
    compared = [path for path, image in opened.items() if is_as_libvips_sees_it(path, image)]
    assert len(compared) > 0.9 * len(opened), "libvips opens most of them, too"


def is_as_libvips_sees_it(path: Path, image: Image.Image) -> bool:
    """False where libvips cannot tell. Raises `AssertionError` where it sees another picture."""
    with Image.open(path) as original:
        if original.mode == "CMYK" and "icc_profile" not in original.info:
            return False  # then it is anybody's guess
        if {"gamma", "chromaticity"} <= set(original.info) and original.format == "PNG":
            return False  # libvips passes over both
    try:
        expected = by_libvips(path.read_bytes())
    except pyvips.Error:
        return False
    assert np.asarray(image).shape == expected.shape, path
    assert np.abs(np.asarray(image).astype(int) - expected).max() <= 2, path
    return True


def test_tensors_are_red_green_blue_rows_columns() -> None:
    image = Image.new("RGB", (3, 2), BLACK)
    image.putpixel((2, 1), (255, 51, 0))
    tensor = to_tensor(image)
    assert tensor.shape == (1, 3, 2, 3)
    assert tensor.dtype == torch.float32
    assert tensor[0, :, 1, 2].tolist() == pytest.approx([1.0, 0.2, 0.0])
    assert tensor[0, :, 0].abs().max() == 0


def test_all_256_values_survive_the_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.stack([levels, levels.T, 255 - levels], axis=-1)
    assert np.array_equal(np.asarray(to_image(to_tensor(Image.fromarray(pixels)))), pixels)


def test_values_are_rounded_and_clamped() -> None:
    values = torch.tensor([100.4, 100.6, -20.0, 300.0]) / 255
    image = to_image(values.expand(1, 3, 1, 4))
    assert np.asarray(image)[0, :, 0].tolist() == [100, 101, 0, 255]


@pytest.mark.parametrize("longest", [64, 100, 384, 1999])
@pytest.mark.parametrize(
    "size", [(100, 100), (100, 75), (75, 100), (1920, 1080), (333, 77), (17, 160), (160, 16)]
)
def test_fit_keeps_the_aspect_ratio(size: tuple[int, int], longest: int) -> None:
    fitted = fit(Image.new("RGB", size), longest)
    assert max(fitted.size) == longest
    for side, original in zip(fitted.size, size, strict=True):
        assert abs(side - original * longest / max(size)) <= 0.5


def test_fit_leaves_no_side_empty() -> None:
    assert fit(Image.new("RGB", (2000, 16)), 64).size == (64, 1)


def test_fit_changes_nothing_that_fits(photo: Image.Image) -> None:
    assert np.array_equal(np.asarray(fit(photo, max(photo.size))), np.asarray(photo))


def test_saved_png_is_what_was_given(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"an older file")
    save_png(photo, path)
    with Image.open(path) as saved:
        assert saved.format == "PNG"
        assert np.array_equal(np.asarray(saved), np.asarray(photo))
    assert os.listdir(tmp_path) == ["out.png"]


def test_saved_png_has_ordinary_permissions(tmp_path: Path, photo: Image.Image) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    save_png(photo, tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("failure", [OSError("No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: Image.Image, failure: BaseException
) -> None:
    def write(file: Path, data: bytes) -> None:
        with file.open("wb") as target:
            target.write(data[: len(data) // 2])
        raise failure

    path = tmp_path / "out.png"
    path.write_bytes(b"an older file")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write)
        with pytest.raises(type(failure)):
            save_png(photo, path)
    assert path.read_bytes() == b"an older file"
    assert os.listdir(tmp_path) == ["out.png"]


def test_saving_over_a_folder_fails_and_leaves_nothing(tmp_path: Path, photo: Image.Image) -> None:
    (tmp_path / "out.png").mkdir()
    with pytest.raises(OSError, match="directory"):
        save_png(photo, tmp_path / "out.png")
    assert os.listdir(tmp_path) == ["out.png"]


def test_saving_into_a_missing_folder_fails(tmp_path: Path, photo: Image.Image) -> None:
    with pytest.raises(FileNotFoundError):
        save_png(photo, tmp_path / "missing" / "out.png")
    assert os.listdir(tmp_path) == []
