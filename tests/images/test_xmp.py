"""Recipes in JPEG and WebP: written and read back, and refused where they are hostile."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.painting import SMALL
from helpers.pictures import make_waves
from nst.errors import RecipeError
from nst.images.reading import load_image
from nst.images.recipe import Recipe, new_recipe, read_recipe, signed_jpeg, signed_webp
from nst.images.writing import jpeg_bytes, webp_bytes
from nst.images.xmp import LONGEST, packet_of, read_packet

PICTURE = make_waves(48, 32)
RECIPE = new_recipe(PICTURE, [PICTURE], SMALL, "cpu")
SIGNED = [signed_jpeg, signed_webp]
Sign = Callable[[Image.Image, Recipe], bytes]


def with_packets(data: bytes, *packets: bytes) -> bytes:
    """A JPEG with further segments of XMP."""
    segments = b""
    for packet in packets:
        body = b"http://ns.adobe.com/xap/1.0/\0" + packet
        segments += b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    return data[:2] + segments + data[2:]


@pytest.mark.parametrize("sign", SIGNED)
def test_a_recipe_comes_back(sign: Sign) -> None:
    data = sign(PICTURE, RECIPE)
    assert read_recipe(data) == RECIPE
    assert load_image(data).size == PICTURE.size
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.getxmp(), "others understand the packet"
        assert not opened.getexif()


@pytest.mark.parametrize("data", [jpeg_bytes(PICTURE), webp_bytes(PICTURE, 90)])
def test_a_picture_from_elsewhere_carries_none(data: bytes) -> None:
    with pytest.raises(RecipeError, match="carries no recipe"):
        read_recipe(data)


def test_a_recipe_that_is_too_long_is_left_out() -> None:
    assert packet_of("x" * LONGEST) is None
    assert read_packet(jpeg_bytes(PICTURE, xmp=packet_of("x" * LONGEST))) is None


def test_markup_in_a_text_comes_back() -> None:
    text = "<b>&amp; </nst:recipe> ü"
    packet = packet_of(text)
    assert packet is not None
    assert read_packet(jpeg_bytes(PICTURE, xmp=packet)) == text


def test_two_recipes_are_none() -> None:
    packet = packet_of(RECIPE.to_text())
    assert packet is not None
    with pytest.raises(RecipeError, match="damaged"):
        read_recipe(with_packets(jpeg_bytes(PICTURE), packet, packet))


@pytest.mark.parametrize("sign", SIGNED)
@given(share=st.floats(0, 1), noise=st.binary(max_size=8))
def test_whatever_the_bytes_a_recipe_or_a_sentence(sign: Sign, share: float, noise: bytes) -> None:
    data = sign(PICTURE, RECIPE)
    at = round(share * len(data))
    for broken in (data[:at], data[:at] + noise, data[:at] + noise + data[at + len(noise) :]):
        with contextlib.suppress(RecipeError):  # anything else would fail
            read_recipe(broken)
