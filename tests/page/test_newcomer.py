"""A newcomer's way through the page, with no word read, and a page inside another page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from helpers.browsing import (
    AFTER,
    LONG,
    Visit,
    choose_example,
    downloaded_file,
    set_slider,
    status,
    wait_for_iteration,
)
from helpers.places import EXAMPLES
from helpers.server import Server
from nst import load_image
from nst.images.recipe import read_recipe

pytestmark = pytest.mark.browser


def test_a_newcomer_s_first_picture(visit: Visit) -> None:
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose_example(page, "style", "Under the Wave")
    page.locator("#content input[type=file]").set_input_files(EXAMPLES / "content" / "castle.jpg")
    expect(page.locator(AFTER)).to_have_attribute("src", re.compile("^gradio_api"), timeout=LONG)
    set_slider(page, "Size", 192)
    set_slider(page, "Iterations", 400)  # which leave time to do things meanwhile
    page.get_by_role("button", name="Stylize", exact=True).click()
    before = wait_for_iteration(page, 2)
    set_slider(page, "Strength", 95)
    expect(page.locator(".marks")).to_contain_text("β 1 → 3.16", timeout=LONG)
    page.locator("#bar [data-act=undo]").click()
    expect(page.locator(".marks")).to_contain_text("β 3.16 → 1", timeout=LONG)
    assert wait_for_iteration(page, before) >= before
    page.get_by_role("button", name="Stop", exact=True).click()
    status(page, "Stopped after")
    page.locator("#stage [data-act=compare]").click()
    expect(page.locator("#stage .divider")).to_be_visible()
    recipe = read_recipe(downloaded_file(page, "Download JPEG"))
    assert [each.settings.beta for each in recipe.passages] == [1, 3.16, 1]
    picture = load_image(downloaded_file(page))
    page.locator("#bar [data-act=share]").click()
    field = page.locator("dialog.link [readonly]")
    expect(field).to_have_value(re.compile("result="), timeout=LONG)
    friend = visit(url=field.input_value())
    status(friend, "A picture from a link")
    expect(friend.locator(AFTER)).to_have_js_property("naturalWidth", picture.width)
    assert load_image(downloaded_file(friend)).tobytes() == picture.tobytes()


BLOCKED = """
Object.defineProperty(window, "localStorage", {
    configurable: true,
    get() { throw new DOMException("It is blocked.", "SecurityError"); },
});
"""


@pytest.mark.parametrize("is_blocked", [False, True])
def test_a_space_works_inside_the_hub_s_page(
    visit: Visit, server: Server, is_blocked: bool
) -> None:
    """In a frame of another site, whose storage a browser may block as a third party's."""
    frame = f'<!doctype html><iframe src="{server.url}" width="1200" height="800"></iframe>'
    page = visit(
        elsewhere=lambda route: route.fulfill(body=frame, content_type="text/html"),
        is_cut_off=True,
    )
    if is_blocked:
        page.add_init_script(BLOCKED)
    page.goto("https://huggingface.co/spaces/somebody/impasto")
    inside = page.frame_locator("iframe")
    expect(inside.locator("#stylize")).to_be_enabled(timeout=LONG)
    for name, value in (("Size", 64), ("Iterations", 3)):
        box = inside.get_by_label(f"number input for {name}")
        box.evaluate("box => box.closest('.fold:not(.open)')?.querySelector('button').click()")
        box.fill(str(value))
        box.blur()
    inside.locator("#stylize").click()
    expect(inside.locator("#status")).to_contain_text("Finished after", timeout=LONG)
    expect(inside.locator("#gallery .card")).to_have_count(1)


def test_a_page_of_strangers_cannot_embed_it(visit: Visit, server: Server) -> None:
    frame = f'<!doctype html><iframe src="{server.url}" width="1200" height="800"></iframe>'
    page = visit(
        elsewhere=lambda route: route.fulfill(body=frame, content_type="text/html"),
        is_cut_off=True,
    )
    page.goto("https://strangers.example/")
    page.wait_for_function("document.querySelector('iframe').contentDocument === null")
    expect(page.frame_locator("iframe").locator("#stylize")).to_have_count(0)
