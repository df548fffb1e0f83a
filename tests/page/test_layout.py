"""The page in a real Chromium, on a tiny network."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from helpers.browsing import (
    AFTER,
    LONG,
    PHOTO,
    Visit,
    choose_example,
    choose_look,
    downloaded,
    downloaded_file,
    finish,
    move_slider,
    open_fold,
    screenshot,
    set_slider,
    start,
    status,
    stop,
    upload,
    wait_for_transitions,
    watch_previews,
)
from helpers.places import EXAMPLES
from nst import load_image, only_colors
from nst.images.recipe import read_recipe
from nst.images.tensors import fit
from nst.looks import LOOKS

pytestmark = pytest.mark.browser


def test_a_run_ends_by_itself_and_another_can_follow(visit: Visit) -> None:
    page = visit(390, dark=True)
    for iterations in (4, 5):
        start(page, size=64, iterations=iterations)
        status(page, f"{iterations} of {iterations} iterations")
        assert downloaded(page).width == 64
    screenshot(page, "finished_390_dark")


def test_examples_and_looks_set_the_controls(visit: Visit) -> None:
    page = visit()
    before = page.locator("#content img.chosen").get_attribute("src")
    choose_example(page, "content", "Moose")
    expect(page.locator("#content img.chosen")).not_to_have_attribute("src", str(before))
    expect(page.locator(AFTER)).not_to_have_attribute("src", str(before))
    choose_look(page, "Heavy paint")
    expect(page.get_by_label("number input for Style weight β")).to_have_value("5")
    expect(page.get_by_label("number input for Content weight α")).to_have_value("0.5")
    move_slider(page, "Style weight β", "10")
    expect(page.get_by_label("number input for Style weight β")).to_have_value("10")


@pytest.mark.parametrize("width", [390, 1280])
def test_every_look_has_room_for_its_name(visit: Visit, width: int) -> None:
    page = visit(width)
    looks = page.get_by_role("radiogroup", name="Look").get_by_role("radio")
    expect(looks).to_have_count(len(LOOKS))
    clipped = "all => all.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText)"
    assert looks.evaluate_all(clipped) == []
    screenshot(page, f"looks_{width}")


def test_a_look_of_colours_alone_paints_nothing(visit: Visit) -> None:
    page = visit()
    choose_example(page, "content", "Moose")
    choose_example(page, "style", "Udnie")
    choose_look(page, "Colours only")
    start(page, size=64, iterations=4)
    status(page, "4 of 4 iterations")
    settings = read_recipe(downloaded_file(page)).settings
    assert settings.paints_like(LOOKS["Colours only"].settings.replace(size=64, iterations=4))
    photo, painting = (
        load_image(EXAMPLES / name) for name in ("content/moose.jpg", "style/udnie.jpg")
    )
    ours, theirs = (
        np.asarray(picture, int)
        for picture in (downloaded(page), only_colors(fit(photo, 64), painting))
    )
    assert np.abs(ours - theirs).max() <= 3


def test_what_cannot_be_used_gets_a_sentence(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    fake = tmp_path / "fake.png"
    fake.write_text("not a picture")
    page.locator("#content input[type=file]").set_input_files(fake)
    sentence = "The photo cannot be used. This is not a picture that can be read"
    expect(page.locator(".toast-body", has_text=sentence)).to_be_visible(timeout=LONG)
    expect(page.locator("#content .notice")).to_contain_text(sentence)
    expect(page.get_by_role("button", name="Stylize", exact=True)).to_be_enabled()


def test_that_only_the_first_of_several_pictures_is_used_is_said_once(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit()
    with Image.open(PHOTO) as photo:
        first, second = photo.resize((96, 64)), photo.resize((96, 64)).rotate(180)
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    upload(page, "content", tmp_path / "moving.gif")
    note = page.locator(".toast-body", has_text="only the first is used")
    expect(note).to_have_count(1, timeout=LONG)
    start(page, size=64, iterations=3)
    status(page, "3 of 3 iterations")
    assert note.count() <= 1  # it goes by itself after a while


def test_a_second_visitor_waits_in_line_and_may_leave_it(visit: Visit) -> None:
    first, second = visit(), visit()
    start(first)
    watch_previews(first, 1)
    start(second, size=64, iterations=3)
    expect(second.locator("#status")).to_contain_text("queue", timeout=LONG)
    screenshot(second, "waiting_1280")
    stop(second)
    status(second, "Stopped before the first picture")
    start(second, size=64, iterations=3)
    expect(second.locator("#status")).to_contain_text("queue", timeout=LONG)
    stop(first)
    status(first, "Stopped after")
    status(second, "3 of 3 iterations")


def test_a_closed_tab_makes_way(visit: Visit) -> None:
    gone, next_one = visit(), visit()
    start(gone)
    watch_previews(gone, 1)
    gone.context.close()
    start(next_one, size=64, iterations=3)
    status(next_one, "3 of 3 iterations")


def test_the_keyboard_reaches_and_starts_everything(visit: Visit) -> None:
    page = visit()
    set_slider(page, "Size", 64)
    set_slider(page, "Iterations", 2)
    # These are disabled at first, and Tab passes over them.
    for name in ("Stylize", "Undo"):
        button = page.get_by_role("button", name=re.compile(name))
        expect(button.first).to_be_enabled(timeout=LONG)
    page.mouse.click(2, 2)  # nothing has the focus
    reached: list[str] = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(str(page.evaluate("document.activeElement.innerText.trim()")))
        if reached[-1] == "Stylize":
            break
    assert reached[-1] == "Stylize"
    page.keyboard.press("Enter")
    status(page, "2 of 2 iterations")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_reads_well(visit: Visit, width: int, dark: bool) -> None:
    page = visit(width, dark=dark)
    page.wait_for_function(  # what is out of sight may wait
        "[...document.images].every((image) => image.complete || image.loading === 'lazy')"
    )
    expect(page.locator("#stylize")).to_be_enabled(timeout=LONG)
    wait_for_transitions(page)
    screenshot(page, f"ready_{width}_{'dark' if dark else 'light'}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    serious = [
        (violation["id"], node["html"])
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert serious == []


def test_style_costs_and_content_layers_are_sliders_and_in_the_recipe(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit(390)
    open_fold(page, "advanced")
    open_fold(page, "style-costs")
    set_slider(page, "Histograms", 0.5)
    open_fold(page, "content-layers")
    set_slider(page, "Content relu3_1", 0.25)
    wait_for_transitions(page)
    screenshot(page, "folds_390")
    finish(page, size=64, iterations=4)
    picture = tmp_path / "picture.png"
    picture.write_bytes(downloaded_file(page))
    settings = read_recipe(picture).settings
    assert settings.used_style_costs == {"gram": 1.0, "histogram": 0.5}
    assert settings.content_weights == {"relu3_1": 0.25}
