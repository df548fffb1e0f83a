"""The part of a painting that is used: painted, live, undone and remembered, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from helpers.browsing import (
    LONG,
    Visit,
    choose_example,
    downloaded_file,
    finish,
    screenshot,
    start,
    status,
    stop,
    wait_for_iteration,
)
from helpers.pictures import MakePicture
from helpers.region_painting import EDITOR, add_painting, drag, open_panel, press
from helpers.waiting import until
from nst.images.recipe import Recipe, read_recipe

pytestmark = pytest.mark.browser

WAVE = "Under the Wave"
ROWS = "#paintings .weights li"
MARKS = ".marks"
SAID = "#paintings .said"
UNDO = "#bar [data-act=undo]"


def take_upper_part(page: Page) -> None:
    """Paint over the upper third of the painting whose panel is open."""
    press(page, "Use a part…")
    expect(page.locator(EDITOR)).to_be_visible(timeout=LONG)
    page.locator(f"{EDITOR} [name=size]").fill("60")
    drag(page, (0, 0.05), (1, 0.05))
    press(page, "Done")


def part_of(page: Page, number: int) -> Image.Image | None:
    """The small copy of a painting's mask in the recipe of the picture that is there."""
    recipe: Recipe = read_recipe(downloaded_file(page))
    within = recipe.masks.copies().chosen(recipe.passages[-1].styles).within
    return within[number] if number < len(within) else None


def test_a_part_of_a_painting_is_used_and_stays_its_own(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    panel = open_panel(page)
    press(page, "Use a part…")
    expect(page.get_by_role("heading", name="Use a part", exact=True)).to_be_visible(timeout=LONG)
    for name in ("Find faces", "Add a region", "Similar area"):
        expect(page.locator(EDITOR).get_by_text(name)).to_be_hidden()
    press(page, "Done")  # nothing is painted: all of it
    expect(page.locator(SAID)).to_contain_text("All of The Starry Night is used.")
    expect(page.locator(ROWS)).to_be_hidden()
    whole = first_brightness(panel)
    take_upper_part(page)
    expect(page.locator(SAID)).to_contain_text("Only the painted part of The Starry Night is used.")
    summary = page.locator(ROWS).locator("small")
    expect(summary).to_have_text("a part of it")
    expect(panel.get_by_role("button", name="Change the part…")).to_be_visible()
    until_shaded(panel, whole)
    finish(page, size=64, iterations=3)
    part = part_of(page, 0)
    assert part
    mask = np.asarray(part)
    assert mask[1].mean() > 200
    assert mask[mask.shape[0] // 2 :].max() == 0
    (tmp_path / "picture.png").write_bytes(downloaded_file(page))
    page.reload()
    status(page, "Finished after")
    expect(summary).to_have_text("a part of it")
    expect(page.locator(".topbar[data-step]")).to_be_attached()
    choose_example(page, "style", "The Scream")
    expect(page.locator(SAID)).to_contain_text("went with it")
    expect(page.locator(ROWS)).to_be_hidden()
    page.locator("#bar [data-act=undo]").click()
    expect(summary).to_have_text("a part of it")
    expect(page.locator(SAID)).to_be_empty()
    open_panel(page)
    press(page, "Reset")
    expect(page.locator(ROWS)).to_be_hidden()
    expect(page.locator(SAID)).to_be_empty()
    start(page, size=64, iterations=4)
    status(page, "4 of 4 iterations")
    assert part_of(page, 0) is None
    friend = visit()
    bring_back = friend.locator("input[data-testid^='Settings from a picture']")
    bring_back.set_input_files(tmp_path / "picture.png")
    expect(friend.locator(ROWS).locator("small")).to_have_text("a part of it", timeout=LONG)


def test_a_part_of_a_painting_is_used_while_a_run_goes_on(visit: Visit) -> None:
    page = visit()
    add_painting(page, WAVE)
    open_panel(page, f"Adjust {WAVE}")
    start(page, size=96, iterations=1000)
    wait_for_iteration(page, 2)
    take_upper_part(page)
    said = "regions, or parts of paintings"
    expect(page.locator(MARKS)).to_contain_text(said, timeout=LONG)
    twin = page.context.new_page()
    twin.goto(page.url)
    summary = twin.locator(ROWS).nth(1).locator("small")
    expect(summary).to_have_text("a part of it", timeout=LONG)
    stop(page)
    status(page, "Stopped after")
    assert part_of(page, 0) is None
    assert part_of(page, 1)
    expect(page.locator(ROWS).nth(1).locator(".part")).to_be_visible()


def brightness(panel: Locator) -> float:
    """The mean of the preview's pixels."""
    mean: float = panel.locator("canvas").evaluate(
        """(canvas) => {
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return data.reduce((sum, value, at) => sum + (at % 4 < 3) * value, 0) / data.length;
        }"""
    )
    return mean


def first_brightness(panel: Locator) -> float:
    """The same as soon as there is a preview."""
    until(lambda: brightness(panel), "the preview is drawn")
    return brightness(panel)


def until_shaded(panel: Locator, whole: float) -> None:
    until(lambda: brightness(panel) < 0.7 * whole, "what is not taken is dark")


def crop_to_lower_half(page: Page, panel: Locator) -> None:
    panel.get_by_role("button", name="Crop…").click()
    corner = page.locator("dialog .cropper-point.point-n")
    expect(corner).to_be_visible(timeout=LONG)
    box = page.locator("dialog .cropper-face").bounding_box()
    assert box
    top, middle = corner.bounding_box(), box["y"] + box["height"] / 2
    assert top
    page.mouse.move(top["x"] + top["width"] / 2, top["y"] + top["height"] / 2)
    page.mouse.down()
    page.mouse.move(top["x"], middle + 4, steps=5)
    page.mouse.up()
    press(page, "Crop")


def test_a_part_outside_of_its_crop_gets_a_sentence_before_a_run_and_within(visit: Visit) -> None:
    page = visit()
    panel = open_panel(page)
    take_upper_part(page)
    crop_to_lower_half(page, panel)
    press(page, "Stylize")
    sentence = "What is used of painting 1 lies outside of its crop."
    status(page, sentence)
    page.locator(UNDO).click()
    start(page, size=96, iterations=1000)
    wait_for_iteration(page, 2)
    crop_to_lower_half(page, panel)
    expect(page.get_by_text(f"{sentence} The picture goes on as it was.")).to_be_visible(
        timeout=LONG
    )
    stop(page)
    status(page, "Stopped after")
    assert part_of(page, 0)


@pytest.mark.parametrize("mode", ["film", "several photos"])
def test_films_and_several_photos_show_and_keep_all_of_a_painting(
    visit: Visit, make_picture: MakePicture, tmp_path: Path, mode: str
) -> None:
    page = visit()
    panel = open_panel(page)
    whole = first_brightness(panel)
    take_upper_part(page)
    until_shaded(panel, whole)
    note = page.locator(ROWS).locator(".part")
    expect(note).to_be_visible()
    if mode == "film":
        page.get_by_role("tab", name="Film").click()
    else:
        photos = [tmp_path / f"{name}.png" for name in ("first", "second")]
        for photo in photos:
            make_picture(96, 72).save(photo)
        page.locator("#content input[type=file]").set_input_files(photos)
    expect(page.locator(ROWS)).to_be_hidden()
    until(lambda: brightness(panel) > 0.9 * whole, "all of it is shown")
    expect(panel.get_by_role("button", name="Change the part…")).to_be_hidden()
    press(page, "Mirror")
    press(page, "Reset")  # is for what is seen here
    if mode == "film":
        page.get_by_role("tab", name="Picture").click()
        expect(note).to_be_visible()
        until_shaded(panel, whole)


def test_a_part_stays_with_its_painting_where_one_before_it_is_removed(visit: Visit) -> None:
    page = visit()
    for title in (WAVE, "The Scream"):
        add_painting(page, title)
    open_panel(page, "Adjust The Scream")
    take_upper_part(page)
    page.get_by_role("button", name=f"Remove {WAVE}").click()
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.locator(ROWS).nth(1)).to_contain_text("a part of it")
    finish(page, size=64, iterations=3)
    assert part_of(page, 0) is None
    assert part_of(page, 1)


def test_an_added_painting_is_shown_whatever_its_format_is(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    """No browser but Safari shows a TIFF."""
    make_picture(60, 50, seed=4).save(tmp_path / "mine.tiff")
    page = visit()
    add_own(page, tmp_path / "mine.tiff")
    expect(page.locator(SAID)).to_have_text("mine.tiff is added.", timeout=LONG)
    picture = page.locator(ROWS).nth(1).locator("img")
    until(lambda: picture.evaluate("(image) => image.naturalWidth") == 60, "it is shown")
    open_panel(page, "Adjust mine.tiff")
    take_upper_part(page)
    expect(page.locator(SAID)).to_have_text("Only the painted part of mine.tiff is used.")


def test_a_file_that_is_no_picture_is_not_added(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page = visit()
    add_own(page, tmp_path / "bad.png")
    expect(page.locator(SAID)).to_contain_text("painting cannot be used", timeout=LONG)
    expect(page.locator(ROWS)).to_be_hidden()


def add_own(page: Page, path: Path) -> None:
    press(page, "Add a painting")
    page.locator("dialog.another [type=file]").set_input_files(path)


def test_a_phone_says_what_to_paint(visit: Visit) -> None:
    page = visit(390)
    open_panel(page)
    press(page, "Use a part…")
    hint = page.locator(EDITOR).get_by_text("Paint nothing to use all of it.")
    expect(hint).to_be_visible(timeout=LONG)
    screenshot(page, "part_390")
