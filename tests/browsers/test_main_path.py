"""The page's main path in Firefox and in WebKit, the engine of Safari: `make browsers`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from helpers.driving import Tab
from helpers.other_browsers import BROWSERS
from helpers.page_errors import NOTED
from helpers.places import EXAMPLES
from helpers.server import Server, running_server
from helpers.tiny_network import LONG_RUN, SERVED
from nst import load_image
from nst.images.recipe import read_recipe

pytestmark = [
    pytest.mark.browsers,
    # Selenium warns of itself.
    pytest.mark.filterwarnings("ignore:setting remote_server_addr in Remote:DeprecationWarning"),
]

BETA = "#weights input[aria-label^='range slider for Style weight β']"
AFTER = "#stage img.after"
DIVIDER = "#stage .divider"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page on a tiny network; it notes the errors of its JavaScript."""
    plant = f"{SERVED}\n{NOTED}\n"
    with running_server(tmp_path_factory.mktemp("jobs"), plant=plant) as server:
        yield server
        assert server.trouble() == ""


@pytest.fixture(params=BROWSERS)
def tab(request: pytest.FixtureRequest) -> Iterator[Tab]:
    with BROWSERS[request.param]() as driver:
        yield Tab(driver)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_a_photo_is_painted_steered_and_compared(
    server: Server, tab: Tab, width: int, height: int
) -> None:
    tab.resize(width, height)
    tab.driver.get(server.url)
    tab.wait("document.querySelector('#stylize:enabled')")
    photograph(tab, "opened")
    choose_pictures(tab)
    begin(tab)
    watch_previews(tab, 3)
    steer(tab)
    photograph(tab, "steered")
    stop(tab)
    photograph(tab, "stopped")
    compare(tab)
    photograph(tab, "compared")
    take_back(tab)
    check_download(tab, server)
    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.ask("noted") == []


def choose_pictures(tab: Tab) -> None:
    before = tab.attribute("#style img.chosen", "src")
    tab.click("#style-examples button[data-name=great_wave]")
    tab.wait("document.querySelector('#style img.chosen').getAttribute('src') !== arguments[0]", before)
    tab.upload("#content input[type=file]", EXAMPLES / "content" / "cat.jpg")
    tab.wait("document.querySelector('#content img.chosen').src.includes('gradio_api/file=')")
    tab.wait("document.querySelector('#content img.chosen').naturalWidth")


def begin(tab: Tab) -> None:
    tab.click("#settings .fold-head")
    tab.fill("#settings input[aria-label='number input for Size']", "96")
    tab.fill("#settings input[aria-label='number input for Iterations']", str(LONG_RUN))
    tab.click("#stylize")


def watch_previews(tab: Tab, count: int) -> None:
    seen = ""
    for _ in range(count):
        tab.wait(
            "document.querySelector(arguments[0]).src.startsWith('blob:')"
            " && document.querySelector(arguments[0]).src !== arguments[1]",
            AFTER,
            seen,
        )
        seen = tab.attribute(AFTER, "src")


def steer(tab: Tab) -> None:
    tab.click("#weights .fold-head")
    tab.press(BETA, Keys.END)
    tab.click("#explain .fold-head")
    tab.wait("document.querySelector('#explain .marks')?.textContent.includes('β 1 → 100')")


def stop(tab: Tab) -> None:
    tab.click("#stop")
    tab.wait("document.querySelector('#status').textContent.includes('Stopped after')")
    tab.wait("document.querySelector(arguments[0]).alt.startsWith('The finished picture')", AFTER)
    tab.wait("document.querySelector(arguments[0]).src.includes('/display.webp')", AFTER)
    tab.wait("document.querySelector(arguments[0]).naturalWidth", AFTER)


def compare(tab: Tab) -> None:
    assert tab.ask(f"document.querySelector('{DIVIDER}').hidden")
    tab.click("#stage [data-act=compare]")
    tab.wait(f"!document.querySelector('{DIVIDER}').hidden")
    tab.press(DIVIDER, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert tab.attribute(DIVIDER, "aria-valuenow") == "55"


def take_back(tab: Tab) -> None:
    label = "document.querySelector('#weights').textContent.includes('Style weight β: {}')"
    assert tab.ask(label.format("100"))
    tab.click("#bar [data-act=undo]")
    tab.wait(label.format("1") + " && !" + label.format("100"))


def check_download(tab: Tab, server: Server) -> None:
    address = httpx.URL(server.url).join(tab.attribute("#download", "href"))
    picture = httpx.get(address).raise_for_status().content
    assert load_image(picture).width <= 96  # less when it was stopped soon
    recipe = read_recipe(picture)
    assert [passage.settings.beta for passage in recipe.passages] == [1, 100]
    assert recipe.settings.size == 96


def photograph(tab: Tab, moment: str) -> None:
    name = tab.driver.name.lower()
    tab.screenshot(f"{name}_{tab.ask('innerWidth')}_{moment}")
