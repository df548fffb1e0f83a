"""A picture that cannot be used leaves the one that is there, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from helpers.browsing import LONG, PHOTO, Visit, finish, status, upload

pytestmark = pytest.mark.browser

SLOW = 6  # times slower than this machine: events of the page overtake each other


def slow_down(page: Page, factor: int) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": factor})


def refuse(page: Page, role: str, path: Path) -> None:
    """Choose a file that cannot be used, and wait until the page has said so."""
    file = page.locator(f"#{role} input[type=file]")
    file.set_input_files(path)
    expect(page.locator(f"#{role} .notice")).to_contain_text("cannot be used", timeout=LONG)
    file.set_input_files([])


@pytest.mark.parametrize("factor", [1, SLOW])
@pytest.mark.parametrize("role", ["content", "style"])
def test_a_file_that_is_no_picture_leaves_the_good_one(
    visit: Visit, tmp_path: Path, role: str, factor: int
) -> None:
    (tmp_path / "text.jpg").write_text("This is no picture.")
    page = visit()
    slow_down(page, factor)
    chosen = page.locator(f"#{role} img.chosen")
    before = chosen.get_attribute("src")
    assert before
    for _ in range(2):
        refuse(page, role, tmp_path / "text.jpg")
        expect(chosen).to_have_attribute("src", before)
    expect(page.locator("#bar [data-act=undo]")).to_be_disabled()
    slow_down(page, 1)
    finish(page, size=64, iterations=3)
    status(page, "3 of 3 iterations")


def test_undo_goes_past_a_file_that_is_no_picture(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("This is no picture.")
    page = visit()
    chosen = page.locator("#content img.chosen")
    before = chosen.get_attribute("src")
    assert before
    upload(page, "content", PHOTO)
    expect(page.locator(".topbar[data-step='1']")).to_be_attached()
    refuse(page, "content", tmp_path / "text.jpg")
    expect(page.locator(".topbar[data-step='1']")).to_be_attached()
    page.locator("#bar [data-act=undo]").click()
    expect(chosen).to_have_attribute("src", before)
    expect(page.locator("#bar [data-act=undo]")).to_be_disabled()


def test_on_a_phone_the_notice_lies_on_no_button(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("This is no picture.")
    page = visit(390)
    refuse(page, "content", tmp_path / "text.jpg")
    expect(page.locator(".toast-body")).to_be_visible()
    notice, stylize = (page.locator(each).bounding_box() for each in (".toast-wrap", "#stylize"))
    assert notice
    assert stylize
    assert notice["y"] < 20
    assert notice["y"] + notice["height"] < stylize["y"]
