"""The Hub on the page, in a real Chromium: examples that arrive, signing in, and what is published.

The page runs as it would on a Space, and its Hub is on loopback. Faults are real answers of that
Hub, or none.
"""

from __future__ import annotations

import io
import json
import logging
import re
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Page, Route, expect

from helpers.browsing import (
    AFTER,
    ARTIFACTS,
    LONG,
    Visit,
    choose_look,
    downloaded_file,
    open_fold,
    screenshot,
    set_slider,
    start,
    status,
)
from helpers.loopback_hub import LoopbackHub, loopback_hub
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED
from nst import load_image
from nst.hub.gallery import OWN_NAME
from nst.hub.gallery_layout import LONGEST_TITLE
from nst.hub.image_folder import METADATA, Picture, write_metadata
from nst.images.recipe import Ingredient, new_recipe, read_recipe, signed_png
from nst.images.writing import png_bytes
from nst.settings import TransferSettings
from page.examples import ExampleSet

DIVIDER = "#stage .divider"

pytestmark = pytest.mark.slow


EXAMPLES = "ada/examples"
GALLERY = "studio/gallery"  # the account of the Space is called studio
OWN = f"ada/{OWN_NAME}"
HILL, STORM, RESULT = "A hill", "A storm", "A hill in a storm"
LOOK = TransferSettings(size=64, iterations=4, alpha=2.0, beta=5.0)
HOSTILE = "<img src=x onerror=alert(1)>"
BUNDLED = {"content": 8, "style": 10}  # how many at least


# --- A Hub, and a Space on it -------------------------------------------------------------------


def grained(width: int, height: int, seed: int) -> Image.Image:
    """A picture of a few kilobytes, whatever compresses it."""
    pixels = np.random.default_rng(seed).integers(60, 200, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


HILL_PICTURE, STORM_PICTURE = grained(96, 72, 1), grained(80, 100, 2)


def collection() -> dict[str, bytes]:
    """A photo, a painting, and what is said to have been made of them."""
    recipe = new_recipe(HILL_PICTURE, [STORM_PICTURE], LOOK, "cpu")
    hill, storm, result = "content/hill.png", "style/storm.png", "results/hill-storm.png"
    pictures = [
        Picture(hill, "content", HILL, artist="Ada", year=1843, licence="CC0"),
        Picture(storm, "style", STORM),
        Picture(result, "result", RESULT, content=hill, style=storm, recipe=recipe),
    ]
    return {
        METADATA: write_metadata(pictures),
        hill: png_bytes(HILL_PICTURE),
        storm: png_bytes(STORM_PICTURE),
        result: signed_png(grained(64, 48, 3), recipe),
    }


@dataclass(frozen=True)
class Home:
    """Where one installation of the page keeps what it keeps."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        names = {"HF_HOME": "hub", "GRADIO_TEMP_DIR": "gradio", "XDG_CACHE_HOME": "cache"}
        return {variable: str(self.folder / name) for variable, name in names.items()}

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs"


@pytest.fixture(scope="module")
def hub() -> Iterator[LoopbackHub]:
    """A Hub with examples; ada and the studio have accounts."""
    with loopback_hub() as hub:
        hub.add_user("ada")
        hub.add_repo(EXAMPLES, "dataset", collection())
        yield hub


@pytest.fixture(autouse=True)
def is_well(hub: LoopbackHub) -> Iterator[None]:
    """What a test did to the Hub ends with it."""
    yield
    hub.heal()
    hub.start()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("space"))


@pytest.fixture(scope="module")
def token(hub: LoopbackHub) -> str:
    """What the Space writes to its gallery with."""
    return hub.add_user("studio")


@pytest.fixture(scope="module")
def server(hub: LoopbackHub, home: Home, token: str) -> Iterator[Server]:
    """The page on a Space. The Hub's pictures are on their way, and get nowhere until `let_arrive`;
    the page has all the patience in the world."""
    hub.fail(r"/cdn/", slow=3600)
    environment = {
        **hub.environment(),
        **hub.oauth_environment("studio/page", "openid profile contribute-repos"),
        **home.environment,
        "HF_HUB_DOWNLOAD_TIMEOUT": "3600",
        "NST_EXAMPLES_REPO": EXAMPLES,
        "NST_GALLERY_REPO": GALLERY,
        "NST_GALLERY_TOKEN": token,
    }
    with running_server(home.jobs, environment=environment, plant=SERVED) as server:
        yield server
        let_arrive(hub, server)  # or it would not end before they are there
        assert server.trouble() == ""
        assert "Signature=" not in server.log()


def let_arrive(hub: LoopbackHub, server: Server) -> None:
    """What was being sent breaks off, and is sent again; until it has been put on the examples."""
    if "those of ada/examples included" not in server.log():
        hub.heal()
        hub.stop()
        hub.start()
        server.wait_for("those of ada/examples included")


def the_internet(route: Route) -> None:
    """What Gradio asks for on a Space that is opened under its own address: two fonts and the
    Space's likes, for a header of the Hub above the page."""
    url = route.request.url
    if url.startswith("https://fonts.googleapis.com/css2?"):
        route.fulfill(content_type="text/css", body="")
    elif url.startswith("https://huggingface.co/api/"):
        space = {"id": "studio/page", "author": "studio", "likes": 3, "private": False}
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(json=space, headers=headers)
    elif url.startswith("https://huggingface.co/avatars") or "/front/assets/" in url:
        route.fulfill(
            content_type="image/svg+xml", body="<svg xmlns='http://www.w3.org/2000/svg'/>"
        )
    else:
        route.abort()  # which the console reports


@pytest.fixture
def drop_in(visit: Visit) -> Visit:
    """`visit` for the page on a Space."""

    def open_page(width: int = 1280, **options: Any) -> Page:
        return visit(width, elsewhere=the_internet, **options)

    return open_page


# --- What visitors do ---------------------------------------------------------------------------


def titles(page: Page, row: str) -> list[str]:
    """What the pictures of a row of examples are called."""
    found = page.locator(f"#{row}-examples button img")
    return [str(found.nth(index).get_attribute("alt")) for index in range(found.count())]


def click_example(page: Page, row: str, title: str) -> None:
    page.locator(f"#{row}-examples").get_by_role("button", name=title, exact=True).click()


def setting(page: Page, text: str) -> None:
    """Wait until the box of a slider shows a value: `Style weight β: 5`."""
    name, value = text.split(": ")
    expect(page.get_by_label(f"number input for {name}")).to_have_value(value)


def pixels_at(page: Page, selector: str) -> Image.Image:
    """The picture that an image on the page shows."""
    image = page.locator(selector).first
    expect(image).to_have_js_property("complete", True, timeout=LONG)
    address = str(image.evaluate("image => image.currentSrc"))
    return load_image(page.request.get(address).body())


def shows(page: Page, selector: str, picture: Image.Image) -> None:
    """Wait until an image on the page is this picture, as WebP leaves it."""
    page.wait_for_function(
        "([selector, width, height]) => { const image = document.querySelector(selector);"
        " return image && image.complete && image.naturalWidth === width"
        " && image.naturalHeight === height; }",
        arg=[selector, *picture.size],
        timeout=LONG,
    )
    shown = pixels_at(page, selector)
    here, there = (each.resize((4, 4), Image.Resampling.BOX) for each in (shown, picture))
    assert max(ImageStat.Stat(ImageChops.difference(here, there)).mean) < 6  # levels of 255


def is_usable(page: Page) -> None:
    """The bundled examples are there, and a picture can be painted."""
    for role, least in BUNDLED.items():
        assert len(titles(page, role)) >= least
    assert len(titles(page, "finished")) >= 4
    start(page, size=64, iterations=2)
    status(page, "2 of 2 iterations")


def sign_in(page: Page, user: str) -> None:
    """By the button in the open panel, and the Hub's own page."""
    page.get_by_role("button", name="Sign in with Hugging Face").click()
    page.get_by_role("link", name=f"Authorize as {user}").click()
    expect(page.get_by_role("button", name=f"Sign out ({user})")).to_be_visible(timeout=LONG)
    expect(page.locator("#publish-now")).to_be_enabled(timeout=LONG)


def paint(page: Page, seed: int, *, iterations: int = 2) -> bytes:
    """A picture that no other test paints; its file."""
    set_slider(page, "Colours", seed / 20)
    start(page, size=64, iterations=iterations)
    status(page, f"{iterations} of {iterations} iterations")
    return downloaded_file(page)


def publish(page: Page, said: str) -> str:
    """Press the button; returns the address that is shown, if there is one."""
    page.evaluate("document.querySelector('#published p')?.classList.add('old')")
    page.locator("#publish-now").click()
    expect(page.locator("#published p:not(.old)")).to_contain_text(said, timeout=LONG)
    expect(page.locator("#publish-now")).to_be_enabled()
    link = page.locator("#published a")
    return str(link.get_attribute("href")) if link.count() else ""


def file_at(address: str) -> bytes:
    """What the Hub has behind the address of a file's page."""
    with urllib.request.urlopen(address.replace("/blob/", "/resolve/"), timeout=30) as answer:
        data: bytes = answer.read()
        return data


def folder_of(address: str) -> str:
    """The folder of a published picture, from the address of its page."""
    found = re.search(r"/blob/main/(data/.*)/picture\.png$", address)
    assert found, address
    return found[1]


def published(hub: LoopbackHub, address: str, repo: str = GALLERY) -> dict[str, bytes]:
    """The files beside a published picture, by name."""
    folder = folder_of(address) + "/"
    files = hub.files(repo, "dataset")
    return {path[len(folder) :]: data for path, data in files.items() if path.startswith(folder)}


# --- Examples -----------------------------------------------------------------------------------


@pytest.mark.browser
def test_examples_of_the_hub_come_to_a_tab_that_is_open(
    drop_in: Visit, hub: LoopbackHub, server: Server
) -> None:
    assert hub.faults, "this test has to be the first: the pictures come only once"
    page = drop_in()
    is_usable(page)
    before = {row: titles(page, row) for row in ("content", "style", "finished")}
    page.evaluate("window.is_the_same_page = true")
    let_arrive(hub, server)
    for row, title in (("content", HILL), ("style", STORM), ("finished", RESULT)):
        expect(page.locator(f"#{row}-examples img[alt='{title}']")).to_be_visible(timeout=LONG)
        assert titles(page, row) == [*before[row], title]
    assert page.evaluate("window.is_the_same_page")

    click_example(page, "finished", RESULT)
    status(page, f"{RESULT}. Press Stylize to paint it yourself, or move a slider first.")
    expect(page.locator(DIVIDER)).to_be_visible()
    expect(page.locator("#finish")).to_be_hidden()
    shows(page, "#content img.chosen", HILL_PICTURE)
    shows(page, "#style img.chosen", STORM_PICTURE)
    setting(page, "Content weight α: 2")
    setting(page, "Style weight β: 5")
    expect(page.get_by_label("number input for Size")).to_have_value("64")
    expect(page.get_by_label("number input for Iterations")).to_have_value("4")

    page.get_by_role("button", name="Stylize", exact=True).click()
    status(page, "Finished after")
    status(page, "4 of 4 iterations")
    recipe = read_recipe(downloaded_file(page))
    assert recipe.content == Ingredient.of(HILL_PICTURE)
    assert recipe.painting == Ingredient.of(STORM_PICTURE)
    assert recipe.settings.paints_like(LOOK)
    late = drop_in()
    expect(late.locator(f"#finished-examples img[alt='{RESULT}']")).to_be_visible(timeout=LONG)
    assert {row: titles(late, row) for row in before} == {row: titles(page, row) for row in before}


@pytest.mark.browser
@pytest.mark.parametrize("reason", ["nobody answers", "it is switched off"])
def test_a_warm_start_shows_the_same_examples_without_the_hub(
    visit: Visit, hub: LoopbackHub, server: Server, home: Home, tmp_path: Path, reason: str
) -> None:
    let_arrive(hub, server)
    hub.stop()
    environment = {
        **hub.environment(),
        **home.environment,
        "GRADIO_TEMP_DIR": str(tmp_path / "gradio"),
        "HF_HUB_OFFLINE": "1" if reason == "it is switched off" else "0",
        "NST_EXAMPLES_REPO": EXAMPLES,
    }
    with running_server(environment=environment, plant=SERVED) as warm:
        page = visit(url=warm.url)
        expect(page.locator(f"#finished-examples img[alt='{RESULT}']")).to_be_visible(timeout=LONG)
        assert [titles(page, row)[-1] for row in ("content", "style")] == [HILL, STORM]
        expect(page.locator("#publish")).to_have_count(0)  # nobody can sign in here
        expect(page.locator("#community")).to_be_hidden()
        click_example(page, "finished", RESULT)
        expect(page.locator(DIVIDER)).to_be_visible()
        setting(page, "Style weight β: 5")
        shows(page, "#content img.chosen", HILL_PICTURE)
        warm.wait_for("no (new) examples from the Hub")
        assert warm.log().count("examples") == 1
        assert warm.trouble() == ""
        page.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_finished_example_is_shown_before_and_after(drop_in: Visit, width: int) -> None:
    page = drop_in(width)
    title = next(each for each in titles(page, "finished") if "flowering valley" in each)
    click_example(page, "finished", title)
    status(page, f"{title}. Press Stylize")
    expect(page.locator(DIVIDER)).to_be_visible()
    expect(page.locator("#stage")).to_be_in_viewport()
    setting(page, "Content weight α: 10")  # of the look "Light touch"
    setting(page, "Style weight β: 0.1")
    for row in ("finished", "content", "style"):
        for picture in page.locator(f"#{row}-examples img").all():
            picture.scroll_into_view_if_needed()  # it is not loaded before
            expect(picture).to_have_js_property("complete", True, timeout=LONG)
            assert picture.evaluate("image => image.naturalWidth") > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    screenshot(page, f"finished_example_{width}")


@pytest.mark.browser
def test_while_a_picture_is_painted_no_other_takes_its_place(drop_in: Visit) -> None:
    page = drop_in()
    start(page, size=64, iterations=1000)
    expect(page.locator("#stop")).to_be_enabled(timeout=LONG)
    click_example(page, "finished", titles(page, "finished")[0])
    expect(page.locator(".toast-body")).to_contain_text("stop it first", timeout=LONG)
    expect(page.locator("#stop")).to_be_enabled(timeout=LONG)
    page.locator("#stop").click()
    status(page, "Stopped after")


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the Hub, and what the log says of it."""

    path: str
    fault: Mapping[str, Any]
    said: str


TROUBLES = {
    "401": Trouble("/api/", {"status": 401}, "does not accept this sign-in"),
    "403": Trouble("/api/", {"status": 403}, "may not"),
    "404": Trouble("/api/", {"status": 404}, "does not have what was looked for"),
    "429": Trouble("/api/", {"status": 429, "headers": {"Retry-After": "7200"}}, "too often"),
    "500": Trouble("/api/", {"status": 500}, "a problem of its own (status 500)"),
    "no Hub": Trouble("", {"body": b"<html>"}, "cannot be reached"),
    "cut": Trouble("/api/", {"cut": True}, "cannot be reached"),
    "damaged": Trouble("/cdn/", {"garbage": True}, "arrived damaged"),
    "no file": Trouble("/cdn/", {"status": 404}, "does not have what was looked for"),
}


@pytest.fixture
def our_hub(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopbackHub:
    """The Hub of this process, whose cache is empty."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return hub


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_whatever_is_wrong_with_the_hub_is_one_line_in_the_log(
    our_hub: LoopbackHub, caplog: pytest.LogCaptureFixture, trouble: Trouble
) -> None:
    caplog.set_level(logging.INFO, "page")
    our_hub.fail(trouble.path, **trouble.fault)
    examples = ExampleSet(repo=EXAMPLES)
    bundled = examples.all
    examples.start()
    assert examples.is_settled.wait(60)
    assert examples.all == bundled
    (line,) = [record for record in caplog.records if record.name == "page.examples"]
    assert line.levelname == "WARNING"
    assert line.exc_info is None
    assert trouble.said in line.getMessage()
    assert our_hub.url not in line.getMessage()


def test_a_hub_that_is_asked_too_often_is_asked_again_later(our_hub: LoopbackHub) -> None:
    fault = our_hub.fail("/resolve/", status=429, headers={"Retry-After": "1"}, times=2)
    examples = ExampleSet(repo=EXAMPLES)
    examples.start()
    assert examples.is_settled.wait(60)
    assert fault.hits == 2
    assert [example.title for example in examples.all[-3:]] == [HILL, STORM, RESULT]


@pytest.mark.browser
@pytest.mark.parametrize("fault", [{"status": 500}, {"garbage": True}], ids=["500", "damaged"])
def test_the_page_is_usable_whatever_is_wrong_with_the_hub(
    visit: Visit, hub: LoopbackHub, server: Server, tmp_path: Path, fault: Mapping[str, Any]
) -> None:
    let_arrive(hub, server)
    hub.fail("", **fault)
    environment = {
        **hub.environment(),
        **Home(tmp_path).environment,
        "NST_EXAMPLES_REPO": EXAMPLES,
        "NST_GALLERY_REPO": GALLERY,
    }
    with running_server(environment=environment, plant=SERVED) as troubled:
        page = visit(url=troubled.url)
        is_usable(page)
        open_fold(page, "community")
        expect(page.locator("#publications")).to_contain_text("Hugging Face Hub", timeout=LONG)
        troubled.wait_for("no (new) examples from the Hub")
        assert RESULT not in titles(page, "finished")
        assert troubled.trouble() == ""
        page.context.close()


# --- Signing in, publishing, and what others see ------------------------------------------------


@pytest.mark.browser
def test_a_picture_published_in_one_browser_is_in_the_gallery_of_another(
    drop_in: Visit, hub: LoopbackHub, server: Server, home: Home, token: str
) -> None:
    page = drop_in(is_cut_off=True)  # leaving to sign in ends its streams
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    choose_look(page, "Heavy paint")
    setting(page, "Style weight β: 5")
    picture = paint(page, 1)
    open_fold(page, "publish")
    expect(page.locator("#publish-now")).to_be_disabled()
    sign_in(page, "ada")
    status(page, "2 of 2 iterations")  # the picture is where it was
    assert downloaded_file(page) == picture

    page.get_by_label("Title").fill(f"  Waves &  {HOSTILE}")
    address = publish(page, "Published: ")
    screenshot(page, "published_1280")
    assert set(published(hub, address)) == {"picture.png", "metadata.jsonl"}
    assert file_at(address) == published(hub, address)["picture.png"]
    assert load_image(file_at(address)).tobytes() == load_image(picture).tobytes()
    assert read_recipe(file_at(address)) == read_recipe(picture)
    (line,) = published(hub, address)["metadata.jsonl"].splitlines()
    assert json.loads(line)["author"] == "ada"

    commits = hub.commits(GALLERY, "dataset")
    assert publish(page, "This picture was published before") == address
    assert hub.commits(GALLERY, "dataset") == commits

    other = drop_in()
    open_fold(other, "community")
    card = other.locator("#publications .card").first
    expect(card).to_have_text(f"Waves & {HOSTILE}, by ada", timeout=LONG)
    card.locator("img").scroll_into_view_if_needed()
    other.wait_for_function(
        "document.querySelector('#publications img').naturalWidth > 0", timeout=LONG
    )
    assert pixels_at(other, "#publications img").size == load_image(picture).size
    screenshot(other, "community_1280")
    card.get_by_role("button").click()
    status(other, f"Waves & {HOSTILE} by ada. Press Stylize")
    expect(other.locator(AFTER)).to_have_attribute("alt", f"Waves & {HOSTILE} by ada")
    expect(other.locator(DIVIDER)).to_be_hidden()  # the photo was not published
    setting(other, "Style weight β: 5")
    expect(other.get_by_label("number input for Size")).to_have_value("64")
    expect(other.get_by_label("number input for Iterations")).to_have_value("2")
    expect(other.get_by_label("number input for Colours")).to_have_value("0.05")

    # The same recipe paints the same picture in the other browser.
    other.get_by_role("button", name="Stylize", exact=True).click()
    status(other, "2 of 2 iterations")
    assert load_image(downloaded_file(other)).tobytes() == load_image(picture).tobytes()

    secrets = [token, hub.client_secret, *(t for t in hub.tokens if t.startswith("hf_oauth_"))]
    assert len(secrets) >= 3
    seen = {
        "the log": server.log(),
        "the pages": page.content() + other.content(),
        "the console": "\n".join(console),
        "what browsers keep": page.evaluate("JSON.stringify({...localStorage})"),
        "the dataset": repr(hub.files(GALLERY, "dataset")),
        "the picture": repr(picture),
        "the address": page.url + address,
    }
    for folder in home.folder.iterdir():
        for path in folder.rglob("*"):
            if path.is_file():
                seen[str(path)] = path.read_bytes().decode("latin-1")
    assert any("/jobs/" in place for place in seen)
    assert any("/gradio/" in place for place in seen)
    assert {place for place, text in seen.items() if any(secret in text for secret in secrets)} == (
        set()
    )


@pytest.mark.browser
def test_the_photo_is_published_only_by_whom_it_was_ticked(
    drop_in: Visit, hub: LoopbackHub
) -> None:
    page = drop_in(is_cut_off=True)
    open_fold(page, "publish")
    sign_in(page, "ada")
    paint(page, 2)
    page.get_by_label("Publish my photo too").check()
    address = publish(page, "Published: ")
    files = published(hub, address)
    assert set(files) == {"picture.png", "photo.jpg", "metadata.jsonl"}
    assert Image.open(io.BytesIO(files["photo.jpg"])).size == (1024, 750)  # the bridge

    page.get_by_label("A dataset of my own").check()
    page.get_by_label("Publish my photo too").uncheck()
    page.get_by_label("Title").fill("x" * 200)  # the page and the gallery cut it at the same place
    address = publish(page, "Published: ")
    assert f"/datasets/{OWN}/" in address
    files = published(hub, address, OWN)
    assert set(files) == {"picture.png", "metadata.jsonl"}
    assert json.loads(files["metadata.jsonl"])["title"] == "x" * LONGEST_TITLE
    writers = {hub.tokens[str(r.token)] for r in hub.asked(f"{OWN}/commit/")}
    assert {(account.user, account.may_write) for account in writers} == {("ada", False)}

    other = drop_in(390)
    open_fold(other, "community")
    card = other.locator("#publications .card").first
    expect(card).to_have_text("Untitled, by ada", timeout=LONG)
    card.get_by_role("button").click()
    status(other, "A picture by ada. Press Stylize")
    expect(other.locator(DIVIDER)).to_be_visible(timeout=LONG)
    expect(other.locator("#stage")).to_be_in_viewport()
    other.screenshot(path=ARTIFACTS / "publication_390.png")
    screenshot(other, "community_390")
    assert other.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_who_does_not_want_to_sign_in_is_back_on_the_page(drop_in: Visit) -> None:
    page = drop_in(is_cut_off=True)
    open_fold(page, "publish")
    page.get_by_role("button", name="Sign in with Hugging Face").click()
    page.get_by_role("link", name="Deny").click()
    expect(page.locator(".toast-body")).to_contain_text("You were not signed in", timeout=LONG)
    # A reload would say it again.
    expect(page).not_to_have_url(re.compile("sign_in_failed"))
    is_usable(page)


@pytest.mark.browser
def test_a_hub_that_fails_while_somebody_signs_in_is_no_server_error(
    drop_in: Visit, hub: LoopbackHub, server: Server
) -> None:
    page = drop_in(is_cut_off=True)
    open_fold(page, "publish")
    hub.fail("/oauth/token", status=500)
    page.get_by_role("button", name="Sign in with Hugging Face").click()
    page.get_by_role("link", name="Authorize as ada").click()
    expect(page.locator(".toast-body")).to_contain_text("You were not signed in", timeout=LONG)
    hub.heal()
    open_fold(page, "publish")
    sign_in(page, "ada")
    with page.expect_navigation(url=f"{server.url}/"):
        page.get_by_role("button", name="Sign out (ada)").click()
    expect(page.locator("#stylize")).to_be_enabled(timeout=LONG)
    open_fold(page, "publish")
    expect(page.get_by_role("button", name="Sign in with Hugging Face")).to_be_visible(timeout=LONG)
    expect(page.locator("#publish-now")).to_be_disabled()


@pytest.mark.browser
def test_what_goes_wrong_while_publishing_is_a_sentence_and_the_picture_stays(
    drop_in: Visit, hub: LoopbackHub
) -> None:
    page = drop_in(is_cut_off=True)
    open_fold(page, "publish")
    sign_in(page, "ada")
    publish(page, "Paint a picture first")
    picture = paint(page, 3)
    at_once = {"Retry-After": "0"}
    for path, fault, said in (
        ("/commit/", {"status": 401}, "please sign in again"),
        ("/commit/", {"status": 403}, "may not write"),
        ("/commit/", {"status": 404}, "Hugging Face Hub"),
        ("/commit/", {"status": 429, "headers": at_once}, "asked too often"),
        ("/commit/", {"status": 500, "headers": at_once}, "a problem of its own"),
        (f"/api/datasets/{GALLERY}", {"cut": True}, "cannot be reached"),
    ):
        hub.fail(path, **fault)
        assert publish(page, said) == ""
        hub.heal()
    hub.stop()
    assert publish(page, "cannot be reached") == ""
    open_fold(page, "community")
    expect(page.locator("#publications")).not_to_contain_text("Fetching", timeout=LONG)
    expect(page.locator("#publications")).not_to_be_empty()
    assert downloaded_file(page) == picture
    hub.start()
    assert publish(page, "Published: ")
    expect(page.locator("#publications .card").first).to_have_text("Untitled, by ada", timeout=LONG)
