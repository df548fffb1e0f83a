"""The page in a real Chromium with the real network, at small sizes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import pytest
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import expect

from helpers.browsing import (
    LONG,
    PAINTING,
    PHOTO,
    Visit,
    choose_example,
    downloaded,
    open_fold,
    screenshot,
    start,
    status,
    stop,
    upload,
    watch_previews,
)
from helpers.server import Server, running_server
from nst import load_image

pytestmark = [pytest.mark.browser, pytest.mark.real]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The page as it is."""
    with running_server() as server:
        yield server
        assert server.trouble() == ""


def test_a_photo_and_a_painting_become_one_picture(visit: Visit) -> None:
    page = visit()
    upload(page, "content", PHOTO)
    upload(page, "style", PAINTING)
    start(page)
    previews = watch_previews(page, 4)
    assert len(set(previews)) == 4
    status(page, "left")
    open_fold(page, "explain")
    expect(page.locator("#curves svg")).to_be_visible()
    screenshot(page, "running_1280")
    stop(page)
    status(page, "Stopped after")
    expect(page.locator("#finish")).to_be_visible()
    expect(page.get_by_role("button", name="Stylize", exact=True)).to_be_enabled()
    picture = downloaded(page)
    with Image.open(PHOTO) as photo:
        expected = (128, round(128 * photo.height / photo.width))
        small = photo.convert("RGB").resize(expected)
    assert picture.size == expected
    change = ImageStat.Stat(ImageChops.difference(picture, small)).mean
    assert max(change) > 15  # of 255: it is not the photo any more
    screenshot(page, "stopped_1280")


def test_the_layers_show_what_they_see(visit: Visit) -> None:
    page = visit()
    textures = page.locator("#layers img.texture")
    open_fold(page, "layers")
    expect(textures).to_have_count(5, timeout=LONG)
    night = [textures.nth(index).get_attribute("src") for index in range(5)]
    assert len(set(night)) == 5
    choose_example(page, "style", "Under the Wave")
    for index, before in enumerate(night):  # they come one after the other
        expect(textures.nth(index)).not_to_have_attribute("src", str(before), timeout=LONG)
    blue = picture_of(str(textures.first.get_attribute("src")))
    assert abs(mean(blue)[0] - mean(load_image(PAINTING))[0]) < 25  # relu1_1 knows the colours
    again = visit()
    open_fold(again, "layers")
    expect(again.locator("#layers img.texture")).to_have_count(5, timeout=LONG)
    assert again.locator("#layers img.texture").first.get_attribute("src") == night[0]
    start(page, size=64, iterations=400)
    open_fold(page, "explain")
    expect(page.locator("#explanation tbody tr")).to_have_count(6, timeout=LONG)
    expect(page.locator("#explanation tbody")).to_contain_text("style, relu5_1")
    screenshot(page, "explained_1280")
    stop(page)
    status(page, "Stopped after")


def picture_of(address: str) -> Image.Image:
    data = base64.b64decode(address.partition(",")[2])
    return Image.open(io.BytesIO(data)).convert("RGB")


def mean(picture: Image.Image) -> list[float]:
    return list(ImageStat.Stat(picture).mean)
