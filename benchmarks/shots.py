"""Pictures of the page in each of its states: `make shots` writes them to `artifacts/shots`.

Needs Chromium. Four sizes of screen, light and dark; what is painted is painted with the real
network. Look at them after every change of the page's styles.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.served import CHROMIUM_FLAGS, running_server, set_slider
from nst.console import run_command

SCREENS = ((390, 844), (768, 1024), (1280, 800), (1920, 1080))
FOLDER = Path(__file__).parents[1] / "artifacts" / "shots"
LONG = 180_000  # milliseconds
SIZE, ITERATIONS = 384, 40
HALF_WAY = 15  # iterations


def ready(page: Page) -> None:
    """Wait until the page can be used and its pictures in sight are there."""
    expect(page.get_by_role("button", name="Stylize", exact=True)).to_be_enabled(timeout=LONG)
    expect(page.locator("#estimate")).to_contain_text("It will take about", timeout=LONG)
    page.wait_for_function(
        "[...document.images].every((image) => image.complete || image.loading === 'lazy')"
    )


def painted_to(page: Page, words: str) -> None:
    expect(page.locator("#status")).to_contain_text(words, timeout=LONG)


def states(page: Page) -> Iterator[str]:
    """Lead the page through its states; yield the name of each."""
    ready(page)
    yield "start"
    page.locator("#style-examples button[data-name=great_wave]").click()
    set_slider(page, "Size", SIZE)
    set_slider(page, "Iterations", ITERATIONS)
    page.locator("#settings .fold-head").click()
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("button", name="Stylize", exact=True).click()
    page.wait_for_function(
        "least => Number((document.querySelector('#status').innerText.match(/Iteration (\\d+)/)"
        " || [])[1]) >= least",
        arg=HALF_WAY,
        timeout=LONG,
    )
    page.wait_for_function("document.querySelector('#stage img.after').src.startsWith('blob:')")
    yield "painting"
    painted_to(page, "Finished after")
    yield "finished"
    page.keyboard.press("c")
    yield "compared"
    page.locator("#look [data-look='Heavy paint']").click()
    set_slider(page, "Strength", 60)
    for fold in ("settings", "weights", "layers", "advanced", "explain"):
        page.locator(f"#{fold} .fold-head").first.click()
    expect(page.locator("#layers img.texture").first).to_be_visible(timeout=LONG)
    yield "unfolded"
    page.evaluate("scrollTo(0, 0)")
    page.locator("#content [data-act=crop]").click()
    expect(page.locator(".cropper-crop-box")).to_be_visible()
    yield "cropping"
    page.keyboard.press("Escape")
    page.locator("#bar [data-act=help]").click()
    yield "help"
    page.keyboard.press("Escape")
    page.locator("#finished-examples button").nth(1).click()
    painted_to(page, "Press Stylize to paint it yourself")
    page.evaluate("scrollTo(0, 0)")
    yield "example"


def shoot(browser: Browser, url: str, screen: tuple[int, int], *, is_dark: bool) -> None:
    """Write a picture of each state at one size, in one scheme of colours."""
    width, height = screen
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if is_dark else "light",
        has_touch=width < 800,
    )
    page = context.new_page()
    page.goto(url)
    for state in states(page):
        name = f"{state}_{width}_{'dark' if is_dark else 'light'}.png"
        page.screenshot(path=FOLDER / name, full_page=state == "unfolded")
        print(name, flush=True)
    context.close()


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shots", description=__doc__)
    parser.add_argument("--width", type=int, action="append", help="only screens of this width")
    chosen = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with running_server(grace=300.0) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        for screen in SCREENS:
            if not chosen.width or screen[0] in chosen.width:
                for is_dark in (False, True):
                    shoot(browser, server.url, screen, is_dark=is_dark)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.shots"))
