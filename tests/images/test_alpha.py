"""Transparency that is kept: what nobody sees changes nothing, and leaves no edge."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.pictures import make_waves
from nst.errors import ImageError
from nst.images.alpha import FILL_SIDE, NOTHING, split_alpha
from nst.images.delivery import finished_samples
from nst.images.reading import load_image
from nst.images.tensors import to_tensor


def disc(width: int, height: int, soft: float = 1.0) -> Image.Image:
    """An alpha channel: opaque within a circle, with an edge of `soft` pixels."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - width / 2, y - height / 2)
    level = (0.35 * min(width, height) - distance) / soft + 0.5
    return Image.fromarray((255 * level.clip(0, 1)).round().astype(np.uint8))


def with_hidden(colors: Image.Image, alpha: Image.Image, hidden: Any) -> Image.Image:
    """RGBA with another colour, or another picture, where nothing is to be seen."""
    below = hidden if isinstance(hidden, Image.Image) else Image.new("RGB", colors.size, hidden)
    is_seen = alpha.point([255 if level else 0 for level in range(256)])
    picture = Image.composite(colors, below, is_seen)
    picture.putalpha(alpha)
    return picture


def difference(picture: Image.Image, place: tuple[int, int], color: tuple[int, ...]) -> int:
    """The largest difference of a pixel from a colour, in levels."""
    pixel = picture.getpixel(place)
    assert isinstance(pixel, tuple)
    return round(max(abs(a - b) for a, b in zip(pixel, color, strict=True)))


@pytest.mark.parametrize("size", [(60, 40), (61, 43), (2 * FILL_SIDE + 37, 900)], ids=str)
@pytest.mark.parametrize("soft", [0.01, 9.0])
def test_the_colour_under_transparent_pixels_changes_nothing(
    size: tuple[int, int], soft: float
) -> None:
    colors, alpha = make_waves(*size), disc(*size, soft)
    hiding = ["black", "white", (255, 0, 255), make_waves(*size, seed=9)]
    found = {split_alpha(with_hidden(colors, alpha, each))[0].tobytes() for each in hiding}
    assert len(found) == 1


def test_what_is_seen_stays_as_it_is() -> None:
    colors, alpha = make_waves(80, 60), disc(80, 60, 5)
    filled, kept = split_alpha(with_hidden(colors, alpha, "black"))
    assert kept is not None
    assert kept.tobytes() == alpha.tobytes()
    is_seen = np.asarray(alpha) >= 64
    assert np.array_equal(np.asarray(filled)[is_seen], np.asarray(colors)[is_seen])


@pytest.mark.parametrize("size", [(160, 120), (3000, 2200)], ids=str)
def test_the_fill_leaves_no_edge(size: tuple[int, int]) -> None:
    """A smooth picture is as smooth after its outside was cut off and filled again."""
    y, x = np.mgrid[: size[1], : size[0]] / max(size)
    colors = Image.fromarray((np.stack([80 + 100 * x, 60 + 90 * y, 150 - 60 * x], -1)).astype("u1"))
    filled, _ = split_alpha(with_hidden(colors, disc(*size), "lime"))
    values = np.asarray(filled.resize((160, 120), Image.Resampling.BOX)).astype(int)
    for axis in (0, 1):
        assert np.abs(np.diff(values, axis=axis)).max() <= 8  # lime would be 200 away


def test_the_fill_is_of_the_surroundings() -> None:
    """Left half red, right half blue, a hole in each."""
    colors = Image.new("RGB", (80, 40), (200, 30, 30))
    colors.paste((30, 30, 200), (40, 0, 80, 40))
    alpha = Image.new("L", (80, 40), 255)
    for left in (10, 60):
        alpha.paste(0, (left, 12, left + 10, 26))
    filled, _ = split_alpha(with_hidden(colors, alpha, "white"))
    assert difference(filled, (15, 19), (200, 30, 30)) <= 12
    assert difference(filled, (65, 19), (30, 30, 200)) <= 12


def test_opaque_pictures_have_no_transparency() -> None:
    picture = make_waves(40, 30)
    assert split_alpha(picture) == (picture, None)
    data = io.BytesIO()
    picture.convert("RGBA").save(data, "PNG")
    assert load_image(data.getvalue(), keep_alpha=True).mode == "RGB"


def test_nothing_to_see_is_refused() -> None:
    with pytest.raises(ImageError) as caught:
        split_alpha(Image.new("RGBA", (40, 30), (200, 10, 10, 0)))
    assert str(caught.value) == NOTHING


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True}), ("GIF", {})],
)
def test_every_format_keeps_its_transparency(format: str, options: dict[str, Any]) -> None:
    alpha = disc(64, 48, 0.01)  # a GIF has holes only
    picture = Image.new("RGB", (64, 48), (200, 120, 40))
    picture.putalpha(alpha)
    data = io.BytesIO()
    picture.save(data, format, **options)
    opened = load_image(data.getvalue(), keep_alpha=True)
    assert opened.mode == "RGBA"
    assert opened.getchannel("A").tobytes() == alpha.tobytes()
    assert difference(opened, (32, 24), (200, 120, 40, 255)) <= 2
    assert load_image(data.getvalue()).getpixel((1, 1)) == (255, 255, 255)  # as ever


def test_a_turned_photo_has_its_transparency_turned() -> None:
    picture = Image.new("RGBA", (40, 20), (10, 20, 30, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    data = io.BytesIO()
    picture.save(data, "PNG", exif=exif)
    opened = load_image(data.getvalue(), keep_alpha=True)
    assert opened.size == (20, 40)
    assert (opened.getpixel((10, 5)), opened.getpixel((10, 35))) == (
        (0, 0, 0, 0),
        (10, 20, 30, 255),
    )


@pytest.mark.parametrize(("depth", "top"), [(8, 255), (16, 65535)])
def test_the_alpha_channel_is_fitted_without_ringing(depth: int, top: int) -> None:
    photo, alpha = make_waves(50, 40), disc(200, 160, 0.01)
    samples = finished_samples(to_tensor(photo), photo, [photo], 0, depth=depth, alpha=alpha)
    assert samples.shape == (40, 50, 4)
    channel = samples[..., 3].astype(int)
    assert (channel.min(), channel.max()) == (0, top)
    middle = channel[20, :25]
    assert (np.diff(middle) >= 0).all()  # from outside to inside it only rises
    opaque = finished_samples(to_tensor(photo), photo, [photo], 0, depth=depth)
    assert np.array_equal(samples[..., :3], opaque)
