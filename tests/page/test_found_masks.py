"""Masks that are found in the photo, in a real Chromium: in the region editor, and beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from helpers.browsing import (
    LONG,
    Visit,
    choose_example,
    downloaded_file,
    finish,
    screenshot,
    wait_for_transitions,
)
from helpers.region_painting import (
    CANVAS,
    EDITOR,
    add_painting,
    cover,
    drag,
    open_editor,
    place,
    press,
    set_range,
)
from nst.images.recipe import read_recipe
from nst.studio.protected_faces import FACE_STRENGTH

pytestmark = pytest.mark.browser

FACE = 0.44, 0.22  # of the astronaut, as shares of the photo's width and height
SUIT = 0.3, 0.8
LEGEND = "#paintings .legend li"
SAID = f"{EDITOR} .said"
SAID_BELOW = "#paintings .said"
PROTECT, PROTECTED = "Protect faces", "Faces protected"


def choose_astronaut(page: Page) -> None:
    choose_example(page, "content", "Astronaut")
    expect(page.locator("#content img.chosen")).to_be_visible()


def is_found(page: Page, sentence: str) -> None:
    expect(page.locator(SAID)).to_contain_text(sentence, timeout=LONG)


def wait_for_cover(page: Page, x: float, y: float) -> None:
    page.wait_for_function(
        "([selector, x, y]) => { const canvas = document.querySelector(selector);"
        " return canvas.getContext('2d').getImageData(Math.round(x * canvas.width),"
        " Math.round(y * canvas.height), 1, 1).data[3] > 60; }",
        arg=[CANVAS, x, y],
        timeout=LONG,
    )


def test_faces_are_left_as_they_are_and_painted_on(visit: Visit) -> None:
    page = visit()
    choose_astronaut(page)
    add_painting(page, "Under the Wave")
    open_editor(page)
    press(page, "Find faces")
    is_found(page, "The faces are in Region 1, which is left as it is.")
    expect(page.get_by_label("What rules Region 1")).to_have_value("")
    assert cover(page, *FACE) > 100
    assert cover(page, *SUIT) == 0
    press(page, "Undo")
    assert cover(page, *FACE) == 0
    expect(page.get_by_label("What rules Region 1")).to_have_value("1")
    press(page, "Redo")
    drag(page, (0.2, 0.8), (0.4, 0.8))  # the brush goes on from it
    assert cover(page, *SUIT) > 60
    page.get_by_role("radio", name="Eraser").check(force=True)
    drag(page, (0.2, 0.8), (0.4, 0.8))
    assert cover(page, *SUIT) == 0
    assert cover(page, *FACE) > 60
    press(page, "Done")
    expect(page.locator(LEGEND)).to_have_count(1, timeout=LONG)
    finish(page, size=96, iterations=4)
    assert read_recipe(downloaded_file(page)).masks.keep


def test_faces_get_a_region_of_their_own_where_another_is_at_hand(visit: Visit) -> None:
    page = visit()
    choose_astronaut(page)
    add_painting(page, "Under the Wave")
    open_editor(page)
    drag(page, (0.2, 0.9), (0.6, 0.9))
    press(page, "Find faces")
    is_found(page, "The faces are in Region 2")
    expect(page.get_by_label("What rules Region 1")).to_have_value("1")
    expect(page.get_by_label("What rules Region 2")).to_have_value("")


def test_a_similar_area_is_added_by_a_click_and_by_the_keyboard(visit: Visit) -> None:
    page = visit()
    choose_astronaut(page)
    open_editor(page)
    page.get_by_role("radio", name="Similar area").check(force=True)
    expect(page.locator(f"{EDITOR} .aim")).to_contain_text("Click a place")
    page.mouse.click(*place(page, *SUIT))
    is_found(page, "It is added to Region 1.")
    assert cover(page, *SUIT) > 60
    assert cover(page, 0.6, 0.1) == 0
    page.locator(CANVAS).focus()
    for _ in range(4):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    assert cover(page, 0.6, 0.1) == 0
    page.keyboard.press("Space")  # at 0.6, 0.1: the wall behind
    wait_for_cover(page, 0.6, 0.1)
    assert cover(page, *SUIT) > 60
    press(page, "Undo")
    assert cover(page, 0.6, 0.1) == 0
    assert cover(page, *SUIT) > 60


def test_the_subject_is_selected(visit: Visit) -> None:
    page = visit()
    choose_astronaut(page)
    open_editor(page)
    press(page, "Select the subject")
    is_found(page, "It is added to Region 1.")
    assert cover(page, *FACE) > 60
    assert cover(page, *SUIT) > 60
    assert cover(page, 0.65, 0.05) == 0


def test_faces_are_protected_with_one_click_and_that_can_be_undone(visit: Visit) -> None:
    page = visit()
    choose_astronaut(page)
    press(page, PROTECT)
    row = page.locator(LEGEND)
    expect(row).to_have_count(1, timeout=LONG)
    expect(row).to_contain_text("Region 1: As elsewhere")
    expect(row.locator("output")).to_have_text(f"×{FACE_STRENGTH}")
    expect(button(page, PROTECTED)).to_have_attribute("title", "The faces are Region 1")
    expect(page.locator("#bar [data-act=undo]")).to_be_enabled()
    page.locator("#bar [data-act=undo]").click()
    expect(row).to_have_count(0)
    expect(button(page, PROTECT)).to_be_visible()
    page.locator("#bar [data-act=redo]").click()
    expect(row).to_have_count(1)
    protected_already(page)
    finish(page, size=96, iterations=4)
    recipe = read_recipe(downloaded_file(page))
    assert [use.strength for use in recipe.settings.uses(2)] == [1.0, FACE_STRENGTH]
    open_editor(page, "Edit regions")
    expect(page.get_by_label("What rules Region 1")).to_have_value("rest")
    assert cover(page, *FACE) > 60
    press(page, "Cancel")
    press(page, "Remove Region 1")
    expect(row).to_have_count(0)
    expect(page.get_by_role("button", name="Paint regions")).to_be_focused()
    expect(button(page, PROTECT)).to_be_visible()


def test_protected_faces_are_known_after_a_reload_and_in_a_recipe(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit()
    choose_astronaut(page)
    press(page, PROTECT)
    expect(button(page, PROTECTED)).to_be_visible(timeout=LONG)
    finish(page, size=96, iterations=4)
    picture = tmp_path / "result.png"
    picture.write_bytes(downloaded_file(page))
    page.reload()
    protected_already(page)
    set_range(page.get_by_label("Strength in Region 1"), 1)
    press(page, PROTECT)  # which weakens the region that there is
    expect(page.locator(SAID_BELOW)).to_contain_text("The faces are Region 1", timeout=LONG)
    expect(page.locator(LEGEND).locator("output")).to_have_text(f"×{FACE_STRENGTH}")
    press(page, "Remove Region 1")
    expect(button(page, PROTECT)).to_be_visible()
    page.locator("#bring-back").locator("xpath=..").locator("input[type=file]").set_input_files(
        picture
    )
    expect(page.locator(LEGEND)).to_have_count(1, timeout=LONG)
    protected_already(page)
    page.reload()
    protected_already(page)


def test_a_region_that_was_painted_protects_faces_too(visit: Visit) -> None:
    page = visit()
    choose_astronaut(page)
    open_editor(page)
    press(page, "Fill")
    page.get_by_label("What rules Region 1").select_option("")
    drag(page, (0.2, 0.8), (0.4, 0.8))
    page.get_by_role("radio", name="Eraser").check(force=True)
    drag(page, (0.2, 0.8), (0.4, 0.8))
    press(page, "Done")
    protected_already(page)
    open_editor(page, "Edit regions")
    press(page, "Invert")
    press(page, "Done")
    expect(button(page, PROTECT)).to_be_visible(timeout=LONG)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def protected_already(page: Page) -> None:
    """Whether the button says so, and a click makes no second region."""
    expect(button(page, PROTECTED)).to_be_visible(timeout=LONG)
    press(page, PROTECTED)
    expect(page.locator(SAID_BELOW)).to_contain_text("protected already", timeout=LONG)
    expect(page.locator(LEGEND)).to_have_count(1)


def test_where_there_is_no_face_there_is_a_sentence(visit: Visit) -> None:
    page = visit()
    choose_example(page, "content", "Moose")
    press(page, "Protect faces")
    sentence = "No face was found in this photo"
    expect(page.locator("#paintings .said")).to_contain_text(sentence, timeout=LONG)
    expect(page.locator(LEGEND)).to_have_count(0)
    open_editor(page)
    press(page, "Find faces")
    is_found(page, sentence)


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_said_is_in_sight(visit: Visit, width: int) -> None:
    page = visit(width)
    choose_astronaut(page)
    open_editor(page)
    for _ in range(3):
        press(page, "Add a region")
    press(page, "Find faces")
    is_found(page, "The faces are in Region 4")
    expect(page.locator(SAID)).to_be_in_viewport()
    side = page.locator(f"{EDITOR} .side")
    assert side.evaluate("(side) => side.scrollWidth <= side.clientWidth")
    press(page, "Done")
    expect(page.locator(LEGEND)).to_have_count(1, timeout=LONG)
    expect(button(page, PROTECTED)).to_be_visible(timeout=LONG)
    wait_for_transitions(page)
    screenshot(page, f"found_masks_{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
