"""Several paintings and painted regions in a real Chromium: the panel, and the editor of masks."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from helpers.browsing import (
    LONG,
    PAINTING,
    Visit,
    choose_example,
    screenshot,
    wait_for_transitions,
)
from helpers.region_painting import (
    CANVAS,
    EDITOR,
    add_painting,
    colors_at,
    cover,
    drag,
    open_editor,
    press,
    set_range,
    swipe,
)

pytestmark = pytest.mark.browser


def in_masks_module(page: Page, body: str, *args: Any) -> Any:
    """Run a function's body with the module of masks as `masks`."""
    path = page.evaluate(
        "performance.getEntriesByType('resource').map(({ name }) => name)"
        ".find((name) => name.endsWith('/paintings.js')).replace('paintings.js', 'masks.js')"
    )
    return page.evaluate(
        f"async ([path, args]) => {{ const masks = await import(path); {body} }}",
        [path, list(args)],
    )


def test_a_stroke_is_full_in_its_middle_soft_at_its_edge_and_does_not_add_up(visit: Visit) -> None:
    rows = in_masks_module(
        visit(),
        """const size = { width: 40, height: 21 };
        const stroke = new masks.Stroke(masks.emptyMask(size), size, { hardness: 0.5 });
        const at = (x) => ({ x, y: 10, radius: 8 });
        const boxes = [stroke.to(at(10)), stroke.to(at(30)), stroke.to(at(10))];
        return [[...stroke.mask], boxes];""",
    )
    mask = np.array(rows[0], np.uint8).reshape(21, 40)
    assert (mask[7:14, 10:31] == 255).all()  # within half the radius
    assert mask[4, 20] == 128  # three quarters of the way: smoothstep(1/2) = 1/2
    assert mask[2, 20] == 0
    assert mask[10, 1] == 0
    assert rows[1][0] == {"left": 2, "top": 2, "right": 19, "bottom": 19}
    assert np.array_equal(mask, mask[::-1])


def test_an_eraser_takes_away_and_a_gradient_fades_evenly(visit: Visit) -> None:
    erased, faded, inverted = in_masks_module(
        visit(),
        """const size = { width: 6, height: 3 };
        const full = masks.filled(masks.emptyMask(size));
        const stroke = new masks.Stroke(full, size, { hardness: 1, erases: true });
        stroke.to({ x: 2, y: 1, radius: 2 });
        const fade = masks.gradient(size, { x: 0, y: 0 }, { x: 5, y: 0 });
        return [stroke.mask, fade, masks.inverted(fade)].map((mask) => [...mask]);""",
    )
    erased = np.array(erased).reshape(3, 6)
    assert erased[1, 2] == 0
    assert (erased[:, 5:] == 255).all()
    row = np.array(faded).reshape(3, 6)[2]
    assert row.tolist() == [255, 204, 153, 102, 51, 0]
    assert (np.array(inverted) == 255 - np.array(faded)).all()


def test_a_mask_is_sent_as_a_grey_png_and_read_back_as_it_was(visit: Visit) -> None:
    data, again, size = in_masks_module(
        visit(),
        """const size = masks.maskSize({ width: 4000, height: 1000 });
        const mask = masks.gradient(size, { x: 0, y: 0 }, { x: 1023, y: 100 });
        const file = await masks.maskFile(mask, size, "region.png");
        const url = URL.createObjectURL(file);
        const read = await masks.loadedMask(url, size);
        return [[...new Uint8Array(await file.arrayBuffer())],
            mask.every((value, at) => value === read[at]), size];""",
    )
    assert size == {"width": 1024, "height": 256}
    assert again
    with Image.open(io.BytesIO(bytes(data))) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (1024, 256))
        picture.load()  # with every check sum


def test_every_tool_changes_the_region_and_can_be_undone(visit: Visit) -> None:
    page = visit()
    add_painting(page, "Under the Wave")
    open_editor(page)
    drag(page, (0.2, 0.3), (0.6, 0.3))
    assert cover(page, 0.4, 0.3) > 150
    assert cover(page, 0.4, 0.8) == 0
    press(page, "Undo")
    assert cover(page, 0.4, 0.3) == 0
    page.keyboard.press("Control+Shift+Z")
    assert cover(page, 0.4, 0.3) > 150
    page.get_by_role("radio", name="Eraser").check(force=True)
    drag(page, (0.4, 0.2), (0.4, 0.4))
    assert cover(page, 0.4, 0.3) == 0
    assert cover(page, 0.25, 0.3) > 150
    press(page, "Invert")
    assert cover(page, 0.4, 0.8) > 150
    press(page, "Clear")
    assert cover(page, 0.4, 0.8) == 0
    press(page, "Fill")
    assert cover(page, 0.4, 0.8) > 150
    page.get_by_role("radio", name="Gradient").check(force=True)
    drag(page, (0.5, 0.2), (0.5, 0.8))
    shades = [cover(page, 0.5, y) for y in (0.1, 0.4, 0.6, 0.9)]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] > 150
    assert shades[-1] == 0


def test_regions_are_kept_and_undone_with_everything_else(visit: Visit) -> None:
    page = visit()
    add_painting(page, "Under the Wave")
    open_editor(page)
    ruler = page.get_by_label("What rules Region 1")
    expect(ruler).to_have_value("1")  # the second painting, for the first rules elsewhere
    press(page, "Fill")
    press(page, "Add a region")
    expect(page.get_by_label("What rules Region 2")).to_have_value("")  # left as it is
    expect(page.get_by_label("Strength of the painting in Region 2")).to_be_hidden()
    drag(page, (0.1, 0.9), (0.9, 0.9))
    assert colors_at(page, 0.5, 0.9)[:3] != colors_at(page, 0.5, 0.1)[:3]
    expect(page.locator(f"{EDITOR} .rest")).to_have_text("Everywhere else: The Starry Night.")
    set_range(page.get_by_label("Strength of the painting in Region 1"), 2.5)
    screenshot(page, "regions_editor_1280")
    press(page, "Done")
    legend = page.locator("#paintings .legend li")
    expect(legend).to_have_count(2, timeout=LONG)
    expect(legend.nth(0)).to_contain_text("Region 1: Under the Wave")
    expect(legend.nth(0).locator("output")).to_have_text("×2.5")
    expect(legend.nth(1)).to_contain_text("Left as it is")
    open_editor(page, "Edit regions")
    assert cover(page, 0.5, 0.1) > 100
    assert cover(page, 0.5, 0.9) > 40
    press(page, "Delete Region 1")
    press(page, "Cancel")
    expect(legend).to_have_count(2)
    page.locator("#bar [data-act=undo]").click()
    expect(legend).to_have_count(0)
    page.locator("#bar [data-act=redo]").click()
    expect(legend).to_have_count(2)


def test_the_keyboard_paints(visit: Visit) -> None:
    page = visit()
    open_editor(page)
    expect(page.locator(CANVAS)).to_be_focused()
    expect(page.get_by_label("What rules Region 1")).to_have_value("")  # there is one painting
    page.keyboard.press("Space")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert cover(page, 0.6, 0.5) > 60
    assert cover(page, 0.5, 0.9) == 0
    page.keyboard.press("Control+z")
    assert cover(page, 0.6, 0.5) == 0
    page.keyboard.press("Escape")  # with nothing to lose but what was undone
    expect(page.locator(EDITOR)).to_have_count(0)
    expect(page.get_by_role("button", name="Paint regions")).to_be_focused()


def test_escape_does_not_lose_what_was_painted(visit: Visit) -> None:
    page = visit()
    open_editor(page)
    drag(page, (0.3, 0.5), (0.6, 0.5))
    page.keyboard.press("Escape")
    expect(page.locator(f"{EDITOR} .said")).to_contain_text("Press Done to keep what you painted")
    press(page, "Done")
    expect(page.locator("#paintings .legend li")).to_have_count(1, timeout=LONG)


def test_no_more_than_six_paintings_and_six_regions(visit: Visit) -> None:
    page = visit()
    for title in ("Under the Wave", "The Scream", "Composition", "Wheat Field", "Olive Trees"):
        add_painting(page, title)
    rows = page.locator("#paintings .weights li")
    expect(rows).to_have_count(6)
    press(page, "Add a painting")
    expect(page.locator("#paintings .said")).to_have_text(
        "Six paintings are the most; remove one first."
    )
    set_range(page.get_by_label("Weight of The Starry Night"), 0)
    expect(rows.nth(0).locator("output")).to_have_text("0 %")
    expect(rows.nth(1).locator("output")).to_have_text("20 %")
    open_editor(page)
    for _ in range(6):
        press(page, "Add a region")
    sentence = "Six regions are the most; delete one first."
    expect(page.locator(f"{EDITOR} .said")).to_have_text(sentence)
    expect(page.locator(f"{EDITOR} .legend li")).to_have_count(6)
    press(page, "Cancel")
    page.get_by_role("button", name="Remove Under the Wave").click()
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_contain_text("The Scream")


def test_regions_go_with_their_photo_and_undo_brings_both_back(visit: Visit) -> None:
    page = visit()
    open_editor(page)
    drag(page, (0.3, 0.5), (0.6, 0.5))
    press(page, "Done")
    legend = page.locator("#paintings .legend li")
    expect(legend).to_have_count(1, timeout=LONG)
    before = page.locator("#content img.chosen").get_attribute("src")
    expect(page.locator("#bar [data-act=undo]")).to_be_enabled()  # it is a step of its own
    choose_example(page, "content", "Moose")
    expect(legend).to_have_count(0)
    expect(page.locator("#paintings .said")).to_contain_text("Undo brings both back")
    page.locator("#bar [data-act=undo]").click()
    expect(legend).to_have_count(1)
    expect(page.locator("#content img.chosen")).to_have_attribute("src", str(before))


def test_a_file_can_be_one_more_painting(visit: Visit) -> None:
    page = visit()
    press(page, "Add a painting")
    page.locator("dialog.another [type=file]").set_input_files(PAINTING)
    expect(page.locator("#paintings .weights li")).to_have_count(2, timeout=LONG)
    expect(page.locator("#paintings .weights li").nth(1)).to_contain_text(PAINTING.name)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_editor_fits_and_reads_well(visit: Visit, width: int, dark: bool) -> None:
    page = visit(width, dark=dark)
    add_painting(page, "Under the Wave")
    open_editor(page)
    swipe(page, (0.2, 0.3), (0.4, 0.3), (0.7, 0.4))
    assert cover(page, 0.4, 0.3) > 150
    press(page, "Add a region")
    swipe(page, (0.2, 0.8), (0.8, 0.8))
    wait_for_transitions(page)
    screenshot(page, f"regions_editor_{width}_{'dark' if dark else 'light'}")
    assert serious_findings(page) == []
    side = page.locator(f"{EDITOR} .side")
    assert side.evaluate("(side) => side.scrollWidth <= side.clientWidth")
    press(page, "Done")
    expect(page.locator("#paintings .legend li")).to_have_count(2, timeout=LONG)
    wait_for_transitions(page)
    screenshot(page, f"regions_{width}_{'dark' if dark else 'light'}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_findings(page) == []


def serious_findings(page: Page) -> list[tuple[str, str]]:
    return [
        (violation["id"], node["html"])
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
