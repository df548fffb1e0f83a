"""The page while its own scripts are still on their way, in a real Chromium."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import Browser, Route, expect

from helpers.browsing import LONG, choose_look, number_of
from helpers.server import Server

pytestmark = pytest.mark.browser


def test_clicks_and_the_first_step_wait_for_late_scripts(server: Server, browser: Browser) -> None:
    late = re.compile(r"/(history|paintings|topbar)\.js$")
    context = browser.new_context()
    context.set_default_timeout(LONG)
    held: list[Route] = []
    let_go = threading.Event()
    context.route(late, lambda route: route.continue_() if let_go.is_set() else held.append(route))
    page = context.new_page()
    page.goto(server.url)
    page.get_by_role("button", name="Add a painting", exact=True).click()
    expect(page.locator("html.pictures-wait")).to_have_count(0, timeout=LONG)  # it has opened
    expect(page.locator("#style-examples button").first).to_be_attached(timeout=LONG)
    assert held
    let_go.set()
    for route in held:
        route.continue_()
    dialog = page.locator("dialog.another")
    expect(dialog).to_be_visible(timeout=LONG)
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator(".topbar[data-step]")).to_be_attached(timeout=LONG)
    usual = number_of(page, "Style weight β").input_value()
    choose_look(page, "Heavy paint")
    expect(number_of(page, "Style weight β")).not_to_have_value(usual)
    expect(page.locator(".topbar[data-step='1']")).to_be_attached()
    undo = page.locator("#bar [data-act=undo]")
    undo.click()
    expect(undo).to_be_disabled()
    expect(number_of(page, "Style weight β")).to_have_value(usual)  # as the page was found
    context.close()
