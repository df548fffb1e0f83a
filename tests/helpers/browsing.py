"""What a visitor does on the page, for the tests that drive a real Chromium."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from helpers.places import ROOT

PHOTO = ROOT / "examples" / "content" / "bridge.jpg"
PAINTING = ROOT / "examples" / "style" / "great_wave.jpg"
ARTIFACTS = ROOT / "artifacts"  # git-ignored; screenshots to look at
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-features=LocalNetworkAccessChecks",  # a page of elsewhere may show this machine's
]
AFTER = "#stage img.after"  # what is on the stage
LONG = 150_000  # milliseconds for what computes on a slow machine

Visit = Callable[..., Page]


def upload(page: Page, role: str, path: Path) -> None:
    """Choose a file for the photo or the painting, and wait until the server has shown it."""
    shown = page.locator(f"#{role} img.chosen")
    before = str(shown.get_attribute("src"))
    page.locator(f"#{role} input[type=file]").set_input_files(path)
    expect(shown).not_to_have_attribute("src", before, timeout=LONG)
    expect(shown).to_have_attribute("src", re.compile("^gradio_api/file="), timeout=LONG)


def choose_example(page: Page, role: str, title: str) -> None:
    """Click one of the examples of the photo or the painting; `title` begins its name."""
    page.locator(f"#{role}-examples").get_by_role("button", name=title).click()


def choose_look(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).click()


def reveal(control: Locator) -> Locator:
    """Open the folds that a control is in; return it."""
    control.evaluate(
        "control => { for (let fold = control.closest('.fold:not(.open)'); fold;"
        " fold = control.closest('.fold:not(.open)')) fold.querySelector('.fold-head').click(); }"
    )
    return control


def number_of(page: Page, name: str) -> Locator:
    """The box of a slider, unfolded."""
    return reveal(page.get_by_label(f"number input for {name}"))


def set_slider(page: Page, name: str, value: float | str) -> None:
    box = number_of(page, name)
    box.fill(str(value))
    box.blur()


def move_slider(page: Page, label: str, value: str) -> None:
    """By its handle; `label` begins its name."""
    slider = reveal(page.get_by_label(f"range slider for {label}").first)
    # Playwright's own way to fill it does not see the value that the page's script gives it.
    slider.evaluate(
        "(slider, value) => { slider.value = value;"
        " slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


def open_fold(page: Page, elem_id: str) -> None:
    page.locator(f"#{elem_id} > button, #{elem_id} .fold-head").first.click()


def start(page: Page, *, size: int = 128, iterations: int = 1000) -> None:
    set_slider(page, "Size", size)
    set_slider(page, "Iterations", iterations)
    page.get_by_role("button", name="Stylize", exact=True).click()


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop", exact=True).click()


def status(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_contain_text(text, timeout=LONG)


def finish(page: Page, *, size: int = 64, iterations: int = 4) -> None:
    """Paint a picture to its end."""
    start(page, size=size, iterations=iterations)
    status(page, "Finished after")
    expect(page.locator("#finish")).to_be_visible()


def downloaded_file(page: Page, name: str = "Download PNG") -> bytes:
    """What a link to a file delivers."""
    with page.expect_download(timeout=LONG) as download:
        page.get_by_role("link", name=name, exact=True).click()
    return Path(download.value.path()).read_bytes()


def downloaded(page: Page) -> Image.Image:
    picture = Image.open(io.BytesIO(downloaded_file(page)))
    picture.load()
    assert picture.format == "PNG"
    return picture.convert("RGB")


def iteration(page: Page) -> int:
    """How far the status says that the run is."""
    text = page.locator("#status").inner_text()
    return int(re.findall(r"Iteration (\d+) of|, (\d+) of", text)[0][0] or "-1")


def wait_for_iteration(page: Page, least: int) -> int:
    """Wait until a run under way has come so far."""
    page.wait_for_function(
        "least => { const text = document.querySelector('#status')?.innerText ?? '';"
        " return Number((text.match(/Iteration (\\d+)/) || [0, -1])[1]) >= least; }",
        arg=least,
        timeout=LONG,
    )
    return iteration(page)


def wait_for_transitions(page: Page) -> None:
    """Wait until no style is on its way: what axe sees half-way has half the contrast."""
    page.wait_for_function(
        "document.getAnimations().every((each) => !(each instanceof CSSTransition)"
        " || each.playState !== 'running')"
    )


def screenshot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


def watch_previews(page: Page, count: int) -> list[str]:
    """Wait until the stage has shown `count` different previews, and return their addresses."""
    seen: list[str] = []
    while len(seen) < count:
        page.wait_for_function(
            "([selector, last]) => { const image = document.querySelector(selector);"
            " return image.src.startsWith('blob:') && image.src !== last; }",
            arg=[AFTER, seen[-1] if seen else ""],
            timeout=LONG,
        )
        seen.append(str(page.locator(AFTER).first.get_attribute("src")))
    return seen
