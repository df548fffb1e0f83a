"""A picture that is still being sent: Stylize waits for it, and does not paint the one before."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from helpers.browsing import LONG, Visit, downloaded_file, finish, set_slider, status
from helpers.pictures import MakePicture
from helpers.places import ROOT
from helpers.region_painting import EDITOR, drag, press
from nst.images.reading import load_image
from nst.images.recipe import Ingredient, read_recipe

pytestmark = pytest.mark.browser

EXAMPLE_CLIP = ROOT / "page" / "assets" / "example.mp4"
NOTICE = "#content .notice"


def hold_uploads(page: Page) -> list[Route]:
    """Let no upload through; return those that were begun."""
    held: list[Route] = []
    page.route(re.compile("/upload"), lambda route: held.append(route))
    return held


def choose_own(page: Page, tmp_path: Path, make_picture: MakePicture) -> Path:
    own = tmp_path / "own.png"
    make_picture(96, 72).save(own)
    set_slider(page, "Size", 64)
    set_slider(page, "Iterations", 3)
    page.locator("#content input[type=file]").set_input_files(own)
    return own


def test_stylize_waits_for_a_photo_that_is_being_sent(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    page = visit()
    held = hold_uploads(page)
    own = choose_own(page, tmp_path, make_picture)
    expect(page.locator("#content .picture-input.busy")).to_be_visible(timeout=LONG)
    stylize = page.get_by_role("button", name="Stylize", exact=True)
    stylize.click()
    expect(page.locator(NOTICE)).to_have_text("It begins when the picture has been sent.")
    expect(stylize).to_have_attribute("aria-busy", "true")
    held[0].continue_()
    status(page, "3 of 3 iterations")
    expect(stylize).not_to_have_attribute("aria-busy", "true")
    painted = read_recipe(downloaded_file(page))
    assert painted.content == Ingredient.of(load_image(own))


def test_nothing_is_painted_where_it_could_not_be_sent(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    page = visit(is_cut_off=True)
    held = hold_uploads(page)
    choose_own(page, tmp_path, make_picture)
    expect(page.locator("#content .picture-input.busy")).to_be_visible(timeout=LONG)
    stylize = page.get_by_role("button", name="Stylize", exact=True)
    stylize.click()
    held[0].abort()
    expect(page.locator(NOTICE)).to_have_text("The picture could not be sent. Please try again.")
    expect(stylize).not_to_have_attribute("aria-busy", "true")
    expect(stylize).to_be_enabled()


def test_stylize_waits_for_all_photos_of_a_batch(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    page = visit()
    held = hold_uploads(page)
    set_slider(page, "Size", 64)
    set_slider(page, "Iterations", 3)
    photos = [tmp_path / f"{name}.png" for name in ("first", "second")]
    for photo in photos:
        make_picture(96, 72).save(photo)
    page.locator("#content input[type=file]").set_input_files(photos)
    expect(page.locator("#tray li.busy")).to_have_count(2)
    stylize = page.get_by_role("button", name="Stylize", exact=True)
    stylize.click()
    said = page.locator("#tray .said")
    expect(said).to_have_text("It begins when the photos have been sent.")
    stylize.click()
    expect(said).to_have_text("It begins when the photos have been sent.")
    for each in held:
        each.continue_()
    status(page, "Finished: 2 photos")
    expect(page.locator("#stage .batch li[data-state=done]")).to_have_count(2, timeout=LONG)
    expect(said).to_be_hidden()


def test_a_clip_on_its_way_keeps_no_picture_waiting(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    hold_uploads(page)
    page.get_by_role("tab", name="Film").click()
    page.locator("#clip input[type=file]").set_input_files(EXAMPLE_CLIP)
    expect(page.locator("#clip .busy")).to_be_visible()
    page.get_by_role("tab", name="Picture").click()
    finish(page, iterations=3)
    page.get_by_role("tab", name="Film").click()
    page.locator("#film-stylize").click()
    expect(page.locator("#clip")).to_contain_text("It begins when the clip has been sent.")


def test_a_clip_that_took_the_place_of_another_waits_for_itself_alone(visit: Visit) -> None:
    page = visit()
    held = hold_uploads(page)
    page.get_by_role("tab", name="Film").click()
    for _ in range(2):
        with page.expect_request(re.compile("/upload")):
            page.locator("#clip input[type=file]").set_input_files(EXAMPLE_CLIP)
    stylize = page.locator("#film-stylize")
    stylize.click()
    expect(stylize).to_have_attribute("aria-busy", "true")
    held[1].continue_()
    expect(stylize).not_to_have_attribute("aria-busy", "true", timeout=LONG)
    expect(page.locator("#clip .trim")).to_be_visible(timeout=LONG)


def test_regions_are_painted_on_the_photo_that_is_being_sent(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    page = visit()
    held = hold_uploads(page)
    choose_own(page, tmp_path, make_picture)
    expect(page.locator("#content .picture-input.busy")).to_be_visible(timeout=LONG)
    paint = page.get_by_role("button", name="Paint regions", exact=True)
    paint.click()
    expect(page.locator(NOTICE)).to_have_text("It begins when the picture has been sent.")
    expect(paint).to_have_attribute("aria-busy", "true")
    expect(page.locator(EDITOR)).to_have_count(0)
    held[0].continue_()
    page.unroute(re.compile("/upload"))
    expect(page.locator(EDITOR)).to_be_visible(timeout=LONG)
    drag(page, (0.1, 0.15), (0.9, 0.15))
    press(page, "Done")
    expect(page.locator("#paintings .legend li")).to_have_count(1, timeout=LONG)
    expect(page.locator("#paintings .said")).to_have_text("The regions are ready.")
