"""PNG and TIFF with 16 bits per channel: what libvips and Pillow, which wrote none of it, read."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips  # type: ignore[import-untyped]
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.painting import SMALL
from helpers.pictures import make_waves
from nst.errors import RecipeError
from nst.images.color import dial_colors, dial_pixels
from nst.images.deep_png import deep_png_bytes
from nst.images.delivery import encode, finished_samples
from nst.images.reading import load_image
from nst.images.recipe import new_recipe, read_recipe, signed_deep_png, signed_tiff
from nst.images.tensors import to_16_bits, to_image, to_tensor
from nst.images.tiff import XMP, read_fields, tiff_bytes
from nst.images.writing import jpeg_bytes, png_bytes, srgb_profile, webp_bytes

PICTURE = make_waves(48, 32)
RECIPE = new_recipe(PICTURE, [PICTURE], SMALL, "cpu")
Samples = npt.NDArray[Any]
SIGNED: list[Callable[..., bytes]] = [signed_deep_png, signed_tiff]


def noise(height: int, width: int, channels: int, kind: Any = np.uint16) -> Samples:
    rng = np.random.default_rng(height * width)
    return rng.integers(0, np.iinfo(kind).max, (height, width, channels), kind, endpoint=True)


def gradient(width: int = 2000) -> torch.Tensor:
    """(1, 3, 20, width) from 0.3 to 0.5: from 76.5 to 127.5 in 8 bits."""
    ramp = torch.linspace(0.3, 0.5, width)
    return ramp.expand(1, 3, 20, width) * torch.tensor([1.0, 0.9, 0.8]).view(1, 3, 1, 1)


def vips(data: bytes) -> Samples:
    found: Samples = pyvips.Image.new_from_buffer(data, "").numpy()
    return found


@pytest.mark.parametrize("write", [deep_png_bytes, tiff_bytes])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 5), (40, 31), (700, 411)], ids=str)
def test_every_sample_comes_back(
    write: Callable[[Samples], bytes], channels: int, size: tuple[int, int]
) -> None:
    for samples in (noise(*size, channels), np.cumsum(noise(*size, channels), 1, np.uint16)):
        found = vips(write(samples))
        assert found.dtype == np.uint16
        assert np.array_equal(found.reshape(samples.shape), samples)


@pytest.mark.parametrize("channels", [3, 4])
def test_an_8_bit_tiff_is_read_by_pillow_and_here(channels: int) -> None:
    samples = noise(60, 41, channels, np.uint8)
    data = tiff_bytes(samples, profile=srgb_profile())
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(np.asarray(opened), samples)
    assert np.array_equal(np.asarray(load_image(data, keep_alpha=True)), samples)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_smooth_gradient_has_no_bands(suffix: str) -> None:
    """At 8 bits red has 53 values, 76 to 128, each 39 pixels wide."""
    samples = finished_samples(gradient(), PICTURE, [PICTURE], 0, depth=16)
    found = vips(encode(samples, RECIPE, suffix))
    row = found[10, :, 0].astype(int)
    assert len(np.unique(row)) == 2000
    assert np.diff(row).max() <= 7  # of 65535; a step of 8 bits is 257
    shallow = finished_samples(gradient(), PICTURE, [PICTURE], 0, depth=8)
    assert len(np.unique(shallow[10, :, 0])) == 53


def rounded(samples: Samples) -> Samples:
    return np.rint(samples / 257).astype(np.uint8)


@given(st.integers(0, 2**32 - 1))
def test_rounded_to_8_bits_it_is_the_8_bit_picture(seed: int) -> None:
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    assert np.array_equal(rounded(to_16_bits(pixels)), np.asarray(to_image(pixels)))


def test_at_the_border_between_two_values_both_depths_choose_the_same() -> None:
    borders = (torch.arange(255, dtype=torch.float64) + 0.5) / 255
    near = torch.cat([borders.float() + shift * 2.0**-26 for shift in range(-12, 13)])
    pixels = near.expand(1, 3, 1, -1)
    assert np.array_equal(rounded(to_16_bits(pixels)), np.asarray(to_image(pixels)))


def test_the_ends_of_the_range_and_what_is_beyond() -> None:
    pixels = torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.1]).expand(1, 3, 1, 5)
    assert to_16_bits(pixels)[0, :, 0].tolist() == [0, 0, 32768, 65535, 65535]


@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.3, 1.0])
def test_colours_are_dialled_before_anything_is_rounded(amount: float) -> None:
    """Of the same pixels the 8-bit dial has a handful of values, and none is far from these."""
    photo, painting = make_waves(200, 20, seed=3), make_waves(30, 40, seed=4)
    flat = Image.new("RGB", (200, 20), (90, 120, 140))
    pixels = gradient(2000) + 0.02 * to_tensor(photo.resize((2000, 20)))
    chosen = flat if amount < 0 else photo
    deep = finished_samples(pixels, chosen, [painting], amount, depth=16)
    shallow = finished_samples(pixels, chosen, [painting], amount, depth=8)
    assert np.array_equal(
        shallow, np.asarray(dial_colors(to_image(pixels), chosen, [painting], amount))
    )
    assert np.array_equal(deep, to_16_bits(dial_pixels(pixels, chosen, [painting], amount)))
    assert np.abs(rounded(deep).astype(int) - shallow).max() <= 4
    assert len(np.unique(deep[..., 1])) > 20 * len(np.unique(shallow[..., 1]))


@pytest.mark.parametrize("sign", SIGNED)
def test_the_recipe_comes_back(sign: Callable[..., bytes]) -> None:
    data = sign(noise(32, 48, 3), RECIPE)
    assert read_recipe(data) == RECIPE
    assert load_image(data).size == (48, 32)


def test_a_long_recipe_has_room_in_a_tiff() -> None:
    """A JPEG has room for 65,000 bytes of it."""
    passages = RECIPE.passages * 400
    data = signed_tiff(noise(32, 48, 3), RECIPE.__class__(**{**vars(RECIPE), "passages": passages}))
    assert len(read_fields(data)[XMP].content) > 100_000
    assert len(read_recipe(data).passages) == 400


@given(share=st.floats(0, 1), junk=st.binary(max_size=12))
def test_whatever_the_bytes_of_a_tiff_a_recipe_or_a_sentence(share: float, junk: bytes) -> None:
    data = signed_tiff(noise(4, 6, 3), RECIPE)
    at = round(share * len(data))
    for broken in (data[:at], data[:at] + junk, data[:at] + junk + data[at + len(junk) :]):
        with contextlib.suppress(RecipeError):  # anything else would fail
            read_recipe(broken)


def test_fields_that_overlap_take_no_memory() -> None:
    """Each of 1000 claims the whole file."""
    size = 1_000_000
    entries = b"".join(struct.pack("<HHII", 1000 + i, 7, size, 0) for i in range(1000))
    data = struct.pack("<2sHIH", b"II", 42, 8, 1000) + entries
    data = data.ljust(size, b"\0")
    assert sum(len(field.content) for field in read_fields(data).values()) <= size


def test_others_are_told_that_it_is_srgb() -> None:
    assert len(srgb_profile()) < 1000
    for data in (deep_png_bytes(noise(4, 4, 3)), png_bytes(PICTURE)):
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.info["srgb"] == 0
    for suffix in (".tif", ".webp", ".jpg"):
        data = encode(noise(20, 20, 3, np.uint8), RECIPE, suffix)
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.info["icc_profile"] == srgb_profile()
        assert read_recipe(data) == RECIPE


def test_what_is_no_delivery_carries_no_profile() -> None:
    for data in (jpeg_bytes(PICTURE), webp_bytes(PICTURE, 90)):
        with Image.open(io.BytesIO(data)) as opened:
            assert "icc_profile" not in opened.info


def test_our_profile_changes_no_value() -> None:
    levels = np.arange(256, dtype=np.uint8)
    samples = np.stack([levels, levels[::-1], np.roll(levels, 77)], axis=-1)[None].repeat(20, 0)
    found = np.asarray(load_image(tiff_bytes(samples, profile=srgb_profile())))
    assert np.array_equal(found, samples)


def test_the_checksum_of_every_chunk_is_right() -> None:
    data, at = deep_png_bytes(noise(9, 9, 4), {"a": "b"}), 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        assert zlib.crc32(body) == struct.unpack_from(">I", data, at + 8 + length)[0]
        at += 12 + length
    assert at == len(data)
