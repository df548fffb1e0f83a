"""What a visitor does with several paintings and painted regions, in a real Chromium."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from helpers.browsing import LONG

EDITOR = "dialog.regions"
CANVAS = f"{EDITOR} canvas"
PANEL = "#paintings .direction"


def press(page: Page, name: str) -> None:
    """Click a button of the page, or of the dialog that is open."""
    dialog = page.locator("dialog:modal")
    where = dialog if dialog.count() else page
    where.get_by_role("button", name=name, exact=True).click()


def open_editor(page: Page, button: str = "Paint regions") -> None:
    expect(page.locator("#content img.chosen")).to_be_visible()
    press(page, button)
    expect(page.locator(EDITOR)).to_be_visible(timeout=LONG)


def open_panel(page: Page, name: str = "Adjust the painting") -> Locator:
    """Open the panel that adjusts a painting, by the beginning of its button's name."""
    page.get_by_role("button", name=re.compile(f"^{name}")).click()
    panel = page.locator(PANEL)
    expect(panel).to_be_visible()
    return panel


def add_painting(page: Page, title: str) -> None:
    expect(page.locator("#style-examples").get_by_title(re.compile(f"^{title}"))).to_be_attached()
    press(page, "Add a painting")
    page.locator("dialog.another").get_by_title(re.compile(f"^{title}")).click()
    expect(page.locator("#paintings .said")).to_contain_text("is added")


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """A point of the photo, by its shares of width and height, on the screen."""
    box = page.locator(CANVAS).bounding_box()
    assert box
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Paint with the mouse."""
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=6)
    page.mouse.up()


def swipe(page: Page, *points: tuple[float, float]) -> None:
    """Paint with a finger."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *at: tuple[float, float]) -> None:
        places = [place(page, *point) for point in at]
        touches = [{"x": x, "y": y} for x, y in places]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    touch("touchStart", points[0])
    for point in points[1:]:
        touch("touchMove", point)
    touch("touchEnd")


def cover(page: Page, x: float, y: float) -> int:
    """How much of the overlay's colour lies on a point of the photo, 0 to 255."""
    alpha: int = page.locator(CANVAS).evaluate(
        "(canvas, [x, y]) => canvas.getContext('2d').getImageData("
        "Math.round(x * canvas.width), Math.round(y * canvas.height), 1, 1).data[3]",
        [x, y],
    )
    return alpha


def colors_at(page: Page, x: float, y: float) -> list[int]:
    pixel: list[int] = page.locator(CANVAS).evaluate(
        "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData("
        "Math.round(x * canvas.width), Math.round(y * canvas.height), 1, 1).data]",
        [x, y],
    )
    return pixel


def set_range(slider: Locator, value: float) -> None:
    slider.evaluate(
        "(slider, value) => { slider.value = value;"
        " for (const type of ['input', 'change'])"
        " slider.dispatchEvent(new Event(type, { bubbles: true })); }",
        value,
    )
