"""Untrusted picture files to clean RGB, tensors and back, and PNG files written whole."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakePicture
from PIL import Image, ImageCms

import nst.images
from nst.images import (
    FORMATS,
    MAX_PIXELS,
    MIN_SIDE,
    ImageError,
    fit,
    load_image,
    save_png,
    to_image,
    to_tensor,
)

Color = tuple[int, int, int]
RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)
MALFORMED = Path(__file__).parents[2] / "shared/data/malformed"


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


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(
    format: str, fraction: float, make_picture: MakePicture
) -> None:
    data = encode(make_picture(200, 150), format)
    assert "whole JPEG" in refusal(data[: int(fraction * len(data))])


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
    monkeypatch.setattr(nst.images, "MAX_BYTES", len(data))
    assert load_image(path).size == load_image(data).size == photo.size
    monkeypatch.setattr(nst.images, "MAX_BYTES", len(data) - 1)
    assert "larger than" in refusal(path)
    assert "larger than" in refusal(data)


def png_of_nothing(width: int, height: int) -> bytes:
    """A few bytes that claim to be a large picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [int(MAX_PIXELS**0.5) + 1, 10_000, 30_000])
def test_a_picture_of_too_many_pixels_is_refused(side: int) -> None:
    assert "million pixels" in refusal(png_of_nothing(side, side))


@pytest.mark.skipif(not MALFORMED.is_dir(), reason="the collection of malformed files is not here")
def test_malformed_files_give_a_picture_or_a_reason() -> None:
    pictures, reasons = [], []
    for path in sorted(p for p in MALFORMED.rglob("*") if p.is_file()):
        try:
            pictures.append(load_image(path))
        except ImageError as error:
            reasons.append(str(error))
    assert len(pictures) > 100
    assert {image.mode for image in pictures} == {"RGB"}
    assert min(min(image.size) for image in pictures) >= MIN_SIDE
    assert len(reasons) > 100
    assert all(len(reason.splitlines()) == 1 and "/" not in reason for reason in reasons)


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
