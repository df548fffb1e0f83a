"""What many tests share: small made-up pictures, and VGG-19 with a handful of random channels."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: each test process has one core
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi
from hypothesis import settings
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Frame,
    Page,
    Request,
    Route,
    expect,
    sync_playwright,
)

from helpers.browsing import CHROMIUM_FLAGS, LONG, Visit
from helpers.loopback_hub import LoopbackHub, loopback_hub
from helpers.pictures import MakePicture, make_waves
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED, MakeNetwork, tiny_weights
from nst.engine.devices import load_network
from nst.settings import TransferSettings
from nst.vgg.network import VGG

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what is in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


expect.set_options(timeout=60_000)  # milliseconds; a page answers late on a busy machine

# The same examples on every machine: what fails in one run fails in all. New ones are looked for by
# `pytest --hypothesis-profile=default --hypothesis-seed=random`.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

if TYPE_CHECKING:
    from gradio import Blocks

    from page.studio import Studio


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a started page, so that `make fast` can leave it out."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


@pytest.fixture
def make_network() -> MakeNetwork:
    """`make_network(seed=0, **options of VGG)`: all 16 layers, very few channels."""

    def make(seed: int = 0, **options: object) -> VGG:
        return VGG(tiny_weights(seed), **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def network(make_network: MakeNetwork) -> VGG:
    return make_network()


@pytest.fixture
def make_picture() -> MakePicture:
    """`make_picture(width, height, seed)`: waves and grain in mid-range colours."""
    return make_waves


@pytest.fixture
def photo(make_picture: MakePicture) -> Image.Image:
    return make_picture(80, 60, seed=1)


@pytest.fixture
def painting(make_picture: MakePicture) -> Image.Image:
    """Another size and aspect ratio than `photo`."""
    return make_picture(50, 70, seed=2)


@pytest.fixture
def folder(tmp_path: Path, photo: Image.Image, painting: Image.Image) -> Path:
    """A folder with `photo.png` (80×60) and `painting.png`."""
    photo.save(tmp_path / "photo.png")
    painting.save(tmp_path / "painting.png")
    return tmp_path


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """A Hub on this machine, with nothing on it."""
    with loopback_hub() as hub:
        yield hub


@pytest.fixture
def api(hub: LoopbackHub) -> HfApi:
    """Its client, as ada uses it."""
    return HfApi(endpoint=hub.url, token=hub.add_user("ada"))


@pytest.fixture(scope="session")
def real_network() -> VGG:
    """The original VGG-19 in float32 on the CPU."""
    return load_network(TransferSettings(precision="float32"), "cpu")


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The page on a tiny network, with a folder of its own for jobs. Whatever visitors do, its log
    stays clean; what programs send that is out of range is logged by Gradio itself."""
    with running_server(tmp_path_factory.mktemp("jobs"), plant=SERVED) as server:
        yield server
        if request.node.get_closest_marker("browser"):
            assert server.trouble() == ""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "the browser tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


# Gradio's own words for streams that were open when a page was loaded again.
WHEN_LEFT = ("AbortError: signal is aborted", "Connection errored out")


def is_elsewhere(url: str) -> bool:
    """Whether an address is on another machine; data and blobs have none."""
    return urlsplit(url).hostname not in (None, "127.0.0.1", "localhost")


@pytest.fixture
def visit(server: Server, browser: Browser) -> Iterator[Visit]:
    """Open the page as a new visitor; in the end nobody's console may hold an error, and nobody
    may have been sent to another machine, but for what `elsewhere` answers."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []
    loads: list[Frame] = []

    def note(request: Request) -> None:
        if is_elsewhere(request.url):
            errors.append(f"another machine was asked for {request.url[:200]}")

    def note_error(message: ConsoleMessage) -> None:
        if message.type == "error":  # the address is what tells one 404 from another
            errors.append(f"{message.text} {message.location['url'][:200]}")

    def open_page(
        width: int = 1280,
        *,
        dark: bool = False,
        path: str = "",
        url: str = server.url,
        is_cut_off: bool = False,
        elsewhere: Callable[[Route], None] | None = None,
        script: str = "",
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        contexts.append(context)
        if elsewhere:
            context.route(is_elsewhere, elsewhere)  # it does without the browser's cache then
        else:
            context.on("request", note)
        page = context.new_page()
        page.add_init_script(script)  # before the page's own
        page.on("framenavigated", lambda frame: loads.append(frame))
        page.on("pageerror", lambda error: errors.append(str(error)))
        if not is_cut_off:  # Gradio and the browser report what they cannot reach
            page.on("console", note_error)
        page.set_default_timeout(LONG)
        page.goto(url + path)
        expect(page.get_by_role("button", name="Stylize", exact=True)).to_be_visible(timeout=LONG)
        expect(page.locator(".topbar[data-step]")).to_be_attached(timeout=LONG)
        return page

    yield open_page
    for context in contexts:
        context.close()
    if len(loads) > len(contexts):  # before the next load is noticed
        errors = [text for text in errors if not any(each in text for each in WHEN_LEFT)]
    assert errors == [], "\n".join(errors)


@pytest.fixture
def unserved_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """The page's handlers without a server: jobs are kept in `tmp_path / "jobs"`, and there are no
    examples."""
    from nst.studio.workshop import Workshop
    from page.examples import ExampleSet
    from page.layout import build_demo
    from page.studio import Studio

    studios: list[Studio] = []
    wire = Studio.wire

    def remembered(self: Studio, demo: Blocks) -> object:
        studios.append(self)
        return wire(self, demo)

    monkeypatch.setattr(Studio, "wire", remembered)
    (tmp_path / "metadata.jsonl").write_text("")
    build_demo(Workshop(tmp_path / "jobs"), ExampleSet(tmp_path))
    return studios[0]


@pytest.fixture
def waiting_studio(unserved_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """The same; its pictures wait and are never painted."""
    from nst.studio.limits import Limits

    expected = SimpleNamespace(seconds=1.0, bytes=1, borrowed=0)
    monkeypatch.setattr("nst.studio.backends.local.LocalBackend.fetch_weights", lambda *_: None)
    monkeypatch.setattr("page.http.admission.Admission.expected", lambda *_, **__: expected)
    unserved_studio.session.workshop.limits = Limits(painters=0)
    return unserved_studio
