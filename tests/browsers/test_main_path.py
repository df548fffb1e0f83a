"""The page's main path in Firefox and in WebKit, Safari's engine: `make browsers`."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from helpers.driving import Tab
from helpers.other_browsers import BROWSERS
from helpers.page_errors import NOTED
from helpers.places import EXAMPLES
from helpers.server import Server, running_server
from helpers.tiny_network import LONG_RUN, SERVED
from nst.images.reading import load_image
from nst.images.recipe import read_recipe

pytestmark = [
    pytest.mark.browsers,
    # Selenium warns of itself.
    pytest.mark.filterwarnings("ignore:setting remote_server_addr in Remote:DeprecationWarning"),
]

PHOTO, PAINTING = "#content img.chosen", "#style img.chosen"
AFTER = "#stage img.after"
DIVIDER = "#stage .divider"
NUMBER = "#settings input[aria-label='number input for {}']"
BETA = "#weights input[aria-label^='range slider for Style weight β']"
BETA_BOX = "#weights input[aria-label='number input for Style weight β']"
SAYS = "element.textContent.includes(value)"


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
def test_a_picture_is_painted_steered_and_compared(
    server: Server, tab: Tab, width: int, height: int
) -> None:
    tab.resize(width, height)
    tab.driver.get(server.url)
    tab.wait_for("#stylize:enabled")
    tab.screenshot("opened")
    choose_pictures(tab)
    begin(tab)
    watch_previews(tab, 3)
    steer(tab)
    stop(tab)
    compare(tab)
    undo(tab)
    copy_link(tab)
    check_gallery(tab)
    check_download(tab, server)
    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.ask("noted") == []


def choose_pictures(tab: Tab) -> None:
    """An example of a painting, and a file for the photo."""
    before = tab.attribute(PAINTING, "src")
    tab.click("#style-examples button[data-name=great_wave]")
    tab.wait_for(PAINTING, "element.getAttribute('src') !== value && element.naturalWidth", before)
    tab.upload("#content input[type=file]", EXAMPLES / "content" / "cat.jpg")
    tab.wait_for(PHOTO, "element.src.includes('gradio_api/file=') && element.naturalWidth")


def begin(tab: Tab) -> None:
    tab.click("#settings .fold-head")
    tab.fill(NUMBER.format("Size"), "96")
    tab.fill(NUMBER.format("Iterations"), str(LONG_RUN))
    tab.click("#stylize")


def watch_previews(tab: Tab, count: int) -> None:
    """Wait until the stage has shown several previews, one after the other."""
    seen = ""
    for _ in range(count):
        tab.wait_for(AFTER, "element.src.startsWith('blob:') && element.src !== value", seen)
        seen = tab.attribute(AFTER, "src")


def steer(tab: Tab) -> None:
    tab.click("#weights .fold-head")
    tab.press(BETA, Keys.END)
    tab.click("#explain .fold-head")
    tab.wait_for("#explain .marks", SAYS, "β 1 → 100")
    tab.screenshot("steered")


def stop(tab: Tab) -> None:
    tab.click("#stop")
    tab.wait_for("#status", SAYS, "Stopped after")
    tab.wait_for(AFTER, "element.alt.startsWith('The finished picture')")
    tab.wait_for(AFTER, "element.src.includes('/display.webp') && element.naturalWidth")
    tab.screenshot("stopped")


def compare(tab: Tab) -> None:
    assert tab.is_so(DIVIDER, "element.hidden")
    tab.click("#stage [data-act=compare]")
    tab.wait_for(DIVIDER, "!element.hidden")
    tab.press(DIVIDER, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert tab.attribute(DIVIDER, "aria-valuenow") == "55"
    tab.screenshot("compared")


def undo(tab: Tab) -> None:
    """Take the last change of a slider back."""
    assert tab.is_so(BETA_BOX, "element.value === value", "100")
    tab.click("#bar [data-act=undo]")
    tab.wait_for(BETA_BOX, "element.value === value", "1")


def copy_link(tab: Tab) -> None:
    tab.click("#bar [data-act=share]")
    tab.wait_for("dialog.link[open] p", SAYS, "The link is copied.")
    tab.screenshot("linked")
    tab.click("dialog.link button")
    tab.wait_for("dialog.link:not([open])")


def check_gallery(tab: Tab) -> None:
    tab.find("#gallery .card")
    tab.wait_for("#gallery .card img", "element.complete && element.naturalWidth")
    tab.screenshot("kept")


def check_download(tab: Tab, server: Server) -> None:
    """The file has the picture and its recipe."""
    address = httpx.URL(server.url).join(tab.attribute("#download", "href"))
    picture = httpx.get(address).raise_for_status().content
    assert load_image(picture).width <= 96  # less when it was stopped soon
    recipe = read_recipe(picture)
    assert recipe.settings.size == 96
    assert [passage.settings.beta for passage in recipe.passages] == [1, 100]
