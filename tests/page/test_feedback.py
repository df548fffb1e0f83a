"""What a click did is said, and neither the focus nor anything else is lost by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from helpers.browsing import LONG, Visit, finish, set_slider, status
from helpers.pictures import MakePicture
from helpers.region_painting import press

pytestmark = pytest.mark.browser


def test_why_nothing_was_painted_is_said_until_there_is_a_clip(visit: Visit) -> None:
    page = visit()
    page.get_by_role("tab", name="Film").click()
    page.locator("#film-stylize").click()
    refusal = page.locator("#film-status").get_by_text("Please choose a clip first.")
    expect(refusal).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Try it with an example").press("Enter")
    expect(refusal).to_be_hidden(timeout=LONG)
    expect(page.locator("#clip .trim")).to_be_visible(timeout=LONG)
    expect(page.locator("#clip [data-act=replace]")).to_be_focused()
    expect(page.locator("#film-estimate")).to_contain_text("24 frames", timeout=LONG)


@pytest.mark.parametrize(
    ("button", "told"),
    [
        ("Keep a copy", "A copy has a card of its own now."),
        ("Use as photo", "The picture is the photo now."),
        ("Use as painting", "The picture is the painting now."),
        ("Start from this picture", "The next picture starts from this one."),
    ],
)
def test_what_is_done_with_a_picture_is_said(visit: Visit, button: str, told: str) -> None:
    page = visit()
    finish(page, size=64, iterations=3)
    press(page, button)
    expect(page.locator(".toast-body").get_by_text(told)).to_be_visible(timeout=LONG)


def test_all_of_the_result_comes_into_sight_on_a_low_screen(visit: Visit) -> None:
    page = visit()
    page.set_viewport_size({"width": 1280, "height": 620})
    finish(page, size=64, iterations=3)
    last = page.get_by_role("button", name="Timelapse")
    page.mouse.move(1000, 300)
    page.mouse.wheel(0, 400)
    expect(last).to_be_in_viewport(ratio=1)


def test_the_focus_goes_into_a_photo_of_a_batch_and_back(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    page = visit()
    paint_two(page, make_picture, tmp_path)
    page.get_by_role("button", name="Open the picture of second.png").press("Enter")
    back = page.locator("#stage .tools [data-act=batch]")
    expect(back).to_be_focused(timeout=LONG)
    back.press("Enter")
    expect(page.locator("#stage .batch ul")).to_be_focused(timeout=LONG)


def paint_two(page: Page, make_picture: MakePicture, folder: Path) -> None:
    set_slider(page, "Size", 64)
    set_slider(page, "Iterations", 3)
    photos = [folder / f"{name}.png" for name in ("first", "second")]
    for photo in photos:
        make_picture(96, 72).save(photo)
    page.locator("#content input[type=file]").set_input_files(photos)
    expect(page.locator("#tray li.busy")).to_have_count(0, timeout=LONG)
    press(page, "Stylize")
    status(page, "Finished: 2 photos")
    expect(page.locator("#stage .batch li[data-state=done]")).to_have_count(2, timeout=LONG)
