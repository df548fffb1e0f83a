"""Pictures of several paintings, of regions, of a start of one's own, in a real Chromium."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from helpers.browsing import (
    LONG,
    Visit,
    downloaded_file,
    finish,
    screenshot,
    start,
    status,
    stop,
    wait_for_iteration,
)
from helpers.pictures import MakePicture
from helpers.region_painting import add_painting, drag, open_editor, press, set_range
from helpers.server import free_port, running_server
from helpers.tiny_network import SERVED
from nst.images.recipe import Recipe, read_recipe

pytestmark = pytest.mark.browser

WAVE = "Under the Wave"
MARKS = ".marks"
LEGEND = "#paintings .legend li"
ROWS = "#paintings .weights li"


def painted(page: Page) -> Recipe:
    """The recipe of the picture that is delivered."""
    return read_recipe(downloaded_file(page))


def with_two_regions(page: Page) -> None:
    """Two paintings: one rules above, the middle is left as it is, the other rules elsewhere."""
    add_painting(page, WAVE)
    open_editor(page)
    drag(page, (0.1, 0.15), (0.9, 0.15))
    press(page, "Add a region")
    drag(page, (0.3, 0.5), (0.7, 0.5))
    press(page, "Done")
    expect(page.locator(LEGEND)).to_have_count(2, timeout=LONG)


def paint_on_own_photo(page: Page, photo: Path) -> None:
    """One region above, on a photo from a file."""
    page.locator("#content input[type=file]").set_input_files(photo)
    open_editor(page)
    drag(page, (0.1, 0.15), (0.9, 0.15))
    press(page, "Done")


def test_a_picture_has_its_regions_and_opens_with_them_again(visit: Visit) -> None:
    page = visit()
    with_two_regions(page)
    set_range(page.get_by_label("Strength in Region 1"), 2)
    finish(page, size=96, iterations=4)
    recipe = painted(page)
    assert len(recipe.styles) == 2
    assert [record and record.width for record in recipe.masks.regions] == [None, 1024]
    assert recipe.masks.keep
    assert [use.strength for use in recipe.settings.uses(2)] == [1.0, 2.0]
    page.reload()
    status(page, "Finished after")
    expect(page.locator(LEGEND)).to_have_count(2)
    expect(page.locator(LEGEND).nth(0).locator("output")).to_have_text("×2")
    expect(page.locator(LEGEND).nth(1)).to_contain_text("Left as it is")
    press(page, "30 more iterations")
    status(page, "34 of 34 iterations")
    assert painted(page).masks == recipe.masks
    open_editor(page, "Edit regions")  # the masks are here again
    press(page, "Invert")
    press(page, "Done")
    expect(page.locator("#paintings .said")).to_have_text("The regions are ready.", timeout=LONG)
    finish(page, size=96, iterations=5)
    status(page, "5 of 5 iterations")
    assert painted(page).masks.regions[1] != recipe.masks.regions[1]
    screenshot(page, "regions_painted_1280")


def test_weights_strengths_and_regions_are_steered_while_a_run_goes_on(visit: Visit) -> None:
    page = visit()
    add_painting(page, WAVE)
    start(page, size=96, iterations=1000)
    wait_for_iteration(page, 2)
    set_range(page.get_by_label("Weight of The Starry Night"), 0.5)
    expect(page.locator(MARKS)).to_contain_text("weight of painting 1 1 → 0.5", timeout=LONG)
    expect(page.locator(ROWS).nth(1).locator("output")).to_have_text("67 %")
    open_editor(page)
    drag(page, (0.1, 0.15), (0.9, 0.15))
    press(page, "Done")
    said = "regions, or parts of paintings"
    expect(page.locator(MARKS)).to_contain_text(said, timeout=LONG)
    set_range(page.get_by_label("Strength in Region 1"), 3)
    expect(page.locator(MARKS)).to_contain_text("strength of painting 2 1 → 3", timeout=LONG)
    page.locator("#bar [data-act=undo]").click()
    expect(page.locator(MARKS)).to_contain_text("strength of painting 2 3 → 1", timeout=LONG)
    page.get_by_role("button", name=re.compile(f"^Remove {WAVE}")).click()
    expect(page.locator(ROWS).first).to_be_hidden()
    reached = wait_for_iteration(page, 8)
    wait_for_iteration(page, reached + 2)
    stop(page)
    status(page, "Stopped after")
    recipe = painted(page)
    assert len(recipe.passages) >= 5
    assert recipe.passages[0].settings.paintings == ()
    assert recipe.passages[1].settings.uses(2)[0].weight == 0.5


def test_another_tab_shows_the_weights_and_regions_of_its_job(visit: Visit) -> None:
    page = visit()
    add_painting(page, WAVE)
    start(page, size=96, iterations=1000)
    wait_for_iteration(page, 2)
    twin = page.context.new_page()
    twin.goto(page.url)
    status(twin, "Iteration")
    expect(twin.locator(ROWS)).to_have_count(2)
    set_range(page.get_by_label("Weight of The Starry Night"), 0.5)
    expect(twin.locator(ROWS).nth(0).locator("output")).to_have_text("33 %", timeout=LONG)
    stop(page)
    status(page, "Stopped after")


def test_all_weights_at_zero_get_a_sentence(visit: Visit) -> None:
    page = visit()
    add_painting(page, WAVE)
    for name in ("The Starry Night", WAVE):
        set_range(page.get_by_label(re.compile(f"^Weight of {name}")), 0)
    press(page, "Stylize")
    status(page, "The weights of the paintings are all 0")


def test_a_picture_can_start_from_another(visit: Visit) -> None:
    page = visit()
    finish(page, size=64, iterations=3)
    assert painted(page).init is None
    press(page, "Start from this picture")
    expect(page.locator("#paintings .start")).to_be_visible(timeout=LONG)
    finish(page, size=64, iterations=4)
    status(page, "4 of 4 iterations")
    recipe = painted(page)
    assert recipe.init
    assert recipe.init.width == 64
    page.reload()
    status(page, "4 of 4 iterations")
    expect(page.locator("#paintings .start")).to_be_visible()
    press(page, "Start afresh, without this picture")
    expect(page.locator("#paintings .start")).to_be_hidden()
    finish(page, size=64, iterations=5)
    status(page, "5 of 5 iterations")
    assert painted(page).init is None


def test_a_link_has_regions_where_the_visitor_agrees(visit: Visit) -> None:
    page = visit()
    with_two_regions(page)
    set_range(page.get_by_label("Strength in Region 1"), 2)
    press(page, "Copy link")
    field = page.locator("dialog.link [readonly]")
    expect(field).to_have_value(re.compile("also=great_wave"), timeout=LONG)
    screenshot(page, "link-with-regions")
    agreed = page.get_by_label("With the painted regions")
    expect(agreed).not_to_be_checked()
    plain = field.input_value()
    friend = visit(url=plain)
    expect(friend.locator(ROWS)).to_have_count(2, timeout=LONG)
    expect(friend.locator(LEGEND)).to_have_count(0)
    agreed.check()
    expect(field).to_have_value(re.compile("&regions=2:2:128x"))
    invited = visit(url=field.input_value())
    expect(invited.locator(LEGEND)).to_have_count(2, timeout=LONG)
    expect(invited.locator(LEGEND).nth(0).locator("output")).to_have_text("×2")
    finish(invited, size=96, iterations=3)
    recipe = painted(invited)
    assert [record and record.width for record in recipe.masks.regions] == [None, 128]
    assert recipe.masks.keep
    agreed.uncheck()
    expect(field).to_have_value(plain)
    page.locator("#stage").click()
    press(page, "Copy link")
    expect(agreed).not_to_be_checked()


def test_regions_of_a_photo_of_ones_own_are_in_no_link(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    make_picture(96, 72).save(tmp_path / "own.png")
    page = visit()
    paint_on_own_photo(page, tmp_path / "own.png")
    expect(page.locator(LEGEND)).to_have_count(1, timeout=LONG)
    press(page, "Copy link")
    left_out = page.locator("dialog.link .left-out")
    expect(left_out).to_have_text("Not in the link: your photo and its regions.", timeout=LONG)
    expect(page.get_by_label("With the painted regions")).to_be_hidden()


def test_a_picture_brings_its_regions_back(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    with_two_regions(page)
    set_range(page.get_by_label("Strength in Region 1"), 2)
    finish(page, size=96, iterations=3)
    (tmp_path / "painted.png").write_bytes(downloaded_file(page))
    other = visit()
    other.locator("input[data-testid^='Settings from a picture']").set_input_files(
        tmp_path / "painted.png"
    )
    status(other, "The settings of that picture are back")
    expect(other.locator(LEGEND)).to_have_count(2)
    expect(other.locator(LEGEND).nth(0).locator("output")).to_have_text("×2")
    finish(other, size=96, iterations=3)
    small = painted(other).masks.regions[1]
    assert small
    assert small.width == 128  # a recipe has a small copy of each mask


def test_regions_of_ones_own_photo_come_back_when_it_is_there(
    visit: Visit, make_picture: MakePicture, tmp_path: Path
) -> None:
    make_picture(96, 72).save(tmp_path / "own.png")
    page = visit()
    paint_on_own_photo(page, tmp_path / "own.png")
    finish(page, size=96, iterations=3)
    (tmp_path / "painted.png").write_bytes(downloaded_file(page))
    other = visit()
    bring_back = other.locator("input[data-testid^='Settings from a picture']")
    bring_back.set_input_files(tmp_path / "painted.png")
    status(other, "Its photo must be dropped in (again). Then bring this picture once more")
    expect(other.locator(LEGEND)).to_have_count(0)
    other.locator("#content input[type=file]").set_input_files(tmp_path / "own.png")
    expect(other.locator("#stage img.after")).to_have_attribute(
        "src", re.compile("gradio_api"), timeout=LONG
    )
    with other.expect_file_chooser() as chooser:
        other.get_by_role("button", name="Settings from a picture").click()
    chooser.value.set_files(tmp_path / "painted.png")
    status(other, "Press Stylize to paint it yourself")
    expect(other.locator(LEGEND)).to_have_count(1)


def test_regions_outlive_a_restart_of_the_server(visit: Visit, tmp_path: Path) -> None:
    port = free_port()
    with running_server(tmp_path, port=port, plant=SERVED) as first:
        page = visit(url=first.url, is_cut_off=True)
        with_two_regions(page)
        finish(page, size=96, iterations=4)
        before = painted(page)
        kept = next(tmp_path.glob("*/mask-*.png"))
        for address in (f"studio/{kept.parent.name}/{kept.name}", f"gradio_api/file={kept}"):
            answer = page.request.get(f"{first.url}/{address}")
            assert answer.status in (403, 404)
    with running_server(tmp_path, port=port, plant=SERVED):
        page.reload()
        status(page, "Finished after")
        expect(page.locator(LEGEND)).to_have_count(2, timeout=LONG)
        press(page, "30 more iterations")
        status(page, "34 of 34 iterations")
        assert painted(page).masks == before.masks
        page.get_by_role("button", name=re.compile("^Delete the picture")).click()
        status(page, "Deleted")
