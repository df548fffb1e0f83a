"""What paintings give, their sizes and directions, in a real Chromium."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from helpers.browsing import (
    LONG,
    Visit,
    choose_example,
    downloaded_file,
    finish,
    screenshot,
    set_slider,
    start,
    status,
    stop,
    wait_for_iteration,
    wait_for_transitions,
)
from helpers.region_painting import add_painting, open_panel, press, set_range
from nst.images.recipe import Recipe, read_recipe
from nst.images.transforms import placement
from nst.settings import LAYER_GROUPS, PaintingUse

pytestmark = pytest.mark.browser

WAVE = "Under the Wave"
ROWS = "#paintings .weights li"
MARKS = ".marks"


def uses(page: Page) -> tuple[PaintingUse, ...]:
    recipe: Recipe = read_recipe(downloaded_file(page))
    return recipe.settings.uses(len(recipe.passages[-1].styles))


@pytest.mark.parametrize(
    "use",
    [
        PaintingUse(),
        PaintingUse(rotation=90),
        PaintingUse(rotation=-180, mirror=True),
        PaintingUse(rotation=30, crop=(0.1, 0.2, 0.6, 0.9)),
        PaintingUse(rotation=-75, mirror=True, crop=(0.25, 0, 1, 0.1)),
    ],
)
def test_the_preview_is_placed_as_the_network_sees_it(visit: Visit, use: PaintingUse) -> None:
    page = visit()
    path = page.wait_for_function(
        "performance.getEntriesByType('resource').map(({ name }) => name)"
        ".find((name) => name.endsWith('/placement.js'))",
        timeout=LONG,
    ).json_value()
    size = 641, 407
    drawn: dict[str, Any] = page.evaluate(
        """async ([path, size, use]) => {
            const { placement } = await import(path);
            const { size: { width, height }, matrix } = placement(size, use);
            const { a, b, c, d, e, f } = matrix;
            return { size: [width, height], matrix: [a, b, c, d, e, f] };
        }""",
        [
            path,
            {"width": size[0], "height": size[1]},
            {"crop": use.crop, "mirror": use.mirror, "rotation": use.rotation},
        ],
    )
    expected = placement(size, use)
    assert tuple(drawn["size"]) == expected.size
    assert drawn["matrix"] == pytest.approx(expected.matrix, abs=1e-6)


def test_a_painting_is_turned_and_mirrored_while_a_run_goes_on(visit: Visit) -> None:
    page = visit()
    add_painting(page, WAVE)
    panel = open_panel(page, f"Adjust {WAVE}")
    start(page, size=96, iterations=1000)
    wait_for_iteration(page, 2)
    press(page, "Turn to the left")
    expect(page.locator(MARKS)).to_contain_text("rotation of painting 2 0 → 90", timeout=LONG)
    press(page, "Mirror")
    expect(page.locator(MARKS)).to_contain_text("mirror of painting 2", timeout=LONG)
    twin = page.context.new_page()
    twin.goto(page.url)
    summary = twin.locator(ROWS).nth(1).locator("small")
    expect(summary).to_have_text("90° left · mirrored", timeout=LONG)
    set_range(panel.locator("[name=scale]"), 1)
    expect(page.locator(MARKS)).to_contain_text("scale of painting 2 1 → 2", timeout=LONG)
    expect(summary).to_have_text("×2 · 90° left · mirrored", timeout=LONG)
    page.locator("#bar [data-act=undo]").click()
    expect(page.locator(MARKS)).to_contain_text("scale of painting 2 2 → 1", timeout=LONG)
    expect(panel.locator("output").first).to_have_text("×1")
    wait_for_iteration(page, 8)
    stop(page)
    status(page, "Stopped after")
    assert uses(page) == (PaintingUse(), PaintingUse(rotation=90, mirror=True))


def test_a_painting_gives_its_strokes_while_a_run_goes_on(visit: Visit) -> None:
    page = visit()
    add_painting(page, WAVE)
    panel = open_panel(page, f"Adjust {WAVE}")
    summary = page.locator(ROWS).nth(1).locator("small")
    start(page, size=96, iterations=1000)
    wait_for_iteration(page, 2)
    panel.get_by_role("radio", name="Strokes").check()
    expect(page.locator(MARKS)).to_contain_text("layers of painting 2 all → strokes", timeout=LONG)
    expect(summary).to_have_text("strokes")
    page.keyboard.press("ArrowRight")
    expect(page.locator(MARKS)).to_contain_text(
        "layers of painting 2 strokes → composition", timeout=LONG
    )
    expect(summary).to_have_text("composition")
    page.locator("#bar [data-act=undo]").click()
    expect(page.locator(MARKS)).to_contain_text(
        "layers of painting 2 composition → strokes", timeout=LONG
    )
    expect(panel.get_by_role("radio", name="Strokes")).to_be_checked()
    wait_for_iteration(page, 8)
    stop(page)
    status(page, "Stopped after")
    assert uses(page) == (PaintingUse(), PaintingUse(layers=LAYER_GROUPS["strokes"]))
    page.reload()
    status(page, "Stopped after")
    expect(summary).to_have_text("strokes")
    press(page, "Copy link")
    field = page.locator("dialog.link [readonly]")
    expect(field).to_have_value(re.compile("style_layers=,strokes"), timeout=LONG)
    friend = visit(url=field.input_value())
    expect(friend.locator(ROWS).nth(1).locator("small")).to_have_text("strokes", timeout=LONG)


def test_other_layers_are_shown_by_name_and_kept(visit: Visit) -> None:
    page = visit(path="/?also=great_wave&style_layers=relu1_1%2Brelu4_1,relu5_1")
    rows = page.locator(ROWS)
    expect(rows.locator("small")).to_have_text(["relu1_1, relu4_1", "relu5_1"], timeout=LONG)
    expect(rows.locator("[type=range]:visible")).to_have_count(0)  # nowhere do they blend
    panel = open_panel(page)
    expect(panel.get_by_role("radio", name="relu1_1, relu4_1")).to_be_checked()
    set_range(panel.locator("[name=rotation]"), 30)
    finish(page, size=64, iterations=3)
    own = PaintingUse(layers=("relu1_1", "relu4_1"), rotation=-30)
    assert uses(page) == (own, PaintingUse(layers=("relu5_1",)))
    panel.get_by_role("radio", name="Composition").check()
    expect(rows.locator("small").first).to_have_text("composition · 30° right")
    expect(panel.get_by_role("radio")).to_have_count(3)
    expect(rows.locator("[type=range]:visible")).to_have_count(2)
    page.locator("#bar [data-act=undo]").click()
    expect(panel.get_by_role("radio", name="relu1_1, relu4_1")).to_be_checked()


def test_a_painting_whose_layers_have_no_weight_is_told_of(visit: Visit) -> None:
    page = visit(path="/?style_layers=relu5_4")
    expect(page.locator(ROWS).locator("small")).to_have_text("relu5_4", timeout=LONG)
    start(page, size=64, iterations=1000)
    told = page.locator(".toast-body", has_text="Painting 1 gives nothing")
    expect(told).to_be_visible(timeout=LONG)
    wait_for_iteration(page, 2)
    told.get_by_test_id("toast-close").click()
    expect(told).to_have_count(0)
    panel = open_panel(page)
    panel.get_by_role("radio", name="Composition").check()
    expect(page.locator(MARKS)).to_contain_text("relu5_4 → composition", timeout=LONG)
    for layer in ("relu4_1", "relu5_1"):
        expect(told).to_have_count(0)
        set_slider(page, f"λ {layer}", 0)
        expect(page.locator(MARKS)).to_contain_text(f"λ {layer} 1 → 0", timeout=LONG)
    expect(told).to_be_visible(timeout=LONG)
    stop(page)
    status(page, "Stopped after")
    assert uses(page) == (PaintingUse(layers=LAYER_GROUPS["composition"]),)


def test_the_only_painting_has_a_size_and_direction_that_last(visit: Visit) -> None:
    page = visit()
    expect(page.locator(ROWS)).to_be_hidden()
    panel = open_panel(page)
    set_range(panel.locator("[name=rotation]"), 30)
    expect(panel.locator("output").nth(1)).to_have_text("30° right")
    expect(page.locator(ROWS).locator("small")).to_have_text("30° right")
    finish(page, size=64, iterations=3)
    assert uses(page) == (PaintingUse(rotation=-30),)
    page.reload()
    status(page, "Finished after")
    expect(page.locator(ROWS).locator("small")).to_have_text("30° right")
    press(page, "Copy link")
    field = page.locator("dialog.link [readonly]")
    expect(field).to_have_value(re.compile("style_rotation=-30"), timeout=LONG)
    friend = visit(url=field.input_value())
    expect(friend.locator(ROWS).locator("small")).to_have_text("30° right", timeout=LONG)
    open_panel(friend)
    press(friend, "Reset")
    expect(friend.locator(ROWS)).to_be_hidden()
    expect(friend.get_by_role("radio", name="Everything")).to_be_focused()


def test_a_corner_of_a_painting_is_cropped_and_stays_its_own(visit: Visit) -> None:
    page = visit()
    panel = open_panel(page)
    expect(panel.locator("canvas")).to_be_visible()
    before = panel.locator("canvas").evaluate("({ width, height }) => width / height")
    press(page, "Crop…")
    box = page.locator(".cropper-crop-box").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    press(page, "Crop")
    summary = page.locator(ROWS).locator("small")
    expect(summary).to_have_text("cropped")
    after = panel.locator("canvas").evaluate("({ width, height }) => width / height")
    assert after == pytest.approx(before / 2, rel=0.05)
    finish(page, size=64, iterations=3)
    (use,) = uses(page)
    assert use.crop == pytest.approx((0, 0, 0.5, 1), abs=0.03)
    choose_example(page, "style", "The Scream")
    expect(page.locator(ROWS)).to_be_hidden()
    page.locator("#bar [data-act=undo]").click()
    expect(summary).to_have_text("cropped")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_panel_fits_reads_well_and_is_within_the_keyboards_reach(
    visit: Visit, width: int, dark: bool
) -> None:
    page = visit(width, dark=dark)
    add_painting(page, WAVE)
    panel = open_panel(page, f"Adjust {WAVE}")
    expect(panel.get_by_role("radio", name="Everything")).to_be_focused()
    set_range(panel.locator("[name=scale]"), -2)
    expect(panel.locator("output").first).to_have_text("×0.25")
    page.keyboard.press("Tab")
    for _ in range(4):  # each is less than the step of 0.05
        page.keyboard.press("ArrowRight")
    expect(panel.locator("output").first).to_have_text("×0.3")
    press(page, "Reset")
    expect(panel.get_by_role("radio", name="Everything")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(panel.get_by_role("radio", name="Strokes")).to_be_checked()
    # Its label shows which one is chosen.
    expect(panel.get_by_role("radio", name="Strokes")).to_have_css("opacity", "0")
    for label in panel.locator("label:has([name=gives]):visible").all():
        box = label.bounding_box()
        assert box
        assert box["height"] >= 40
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(panel.locator("output").nth(1)).to_have_text("1° right")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(panel.locator("output").nth(1)).to_have_text("89° left")
    wait_for_transitions(page)
    screenshot(page, f"direction_{width}_{'dark' if dark else 'light'}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    findings = [
        violation["id"]
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert findings == []
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    opener = page.get_by_role("button", name=re.compile(f"^Adjust {WAVE}"))
    expect(opener).to_be_focused()
