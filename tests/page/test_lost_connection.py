"""A connection that is lost for a moment costs nothing of what a visitor chose or clicked."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from helpers.browsing import LONG, Visit, set_slider, start, status, wait_for_iteration
from helpers.pictures import MakePicture
from helpers.region_painting import drag, open_editor, press

pytestmark = pytest.mark.browser

LEGEND = "#paintings .legend li"
LOST = "Connection to the server was lost"


def test_what_was_chosen_is_there_when_the_connection_is_back(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    make_picture(96, 72).save(tmp_path / "own.png")
    page = visit(is_cut_off=True)
    page.evaluate("window.isTheSamePage = true")
    page.locator("#content input[type=file]").set_input_files(tmp_path / "own.png")
    open_editor(page)
    drag(page, (0.1, 0.15), (0.9, 0.15))
    press(page, "Done")
    expect(page.locator(LEGEND)).to_have_count(1, timeout=LONG)
    page.context.set_offline(True)
    set_slider(page, "Strength", 60)
    expect(page.get_by_text(LOST)).to_be_visible(timeout=LONG)
    page.context.set_offline(False)
    expect(page.get_by_text(LOST)).to_be_hidden(timeout=LONG)
    expect(page.locator(LEGEND)).to_have_count(1)
    assert page.evaluate("window.isTheSamePage")
    start(page, size=64, iterations=3)
    status(page, "3 of 3 iterations")


def test_what_was_clicked_meanwhile_happens(visit: Visit) -> None:
    page = visit(is_cut_off=True)
    page.evaluate("window.isTheSamePage = true")
    start(page, size=192, iterations=900)
    wait_for_iteration(page, 2)
    page.context.set_offline(True)
    set_slider(page, "Strength", 60)
    expect(page.get_by_text(LOST)).to_be_visible(timeout=LONG)
    press(page, "Stop")
    page.context.set_offline(False)
    status(page, "Stopped after")
    assert page.evaluate("window.isTheSamePage")
    expect(page.get_by_text(LOST)).to_be_hidden()
