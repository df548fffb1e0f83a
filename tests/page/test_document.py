"""Gradio's document has a head of our own, and links to the page are shown with a picture."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio.routes import templates
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from helpers.pictures import MakePicture
from nst.engine.schedule import Moment
from nst.provenance import UNKNOWN
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.task import State, share_id
from nst.studio.workshop import Workshop
from page.assets import FOLDER
from page.examples import ExampleSet
from page.http.cards import card_finder, compose_card
from page.http.content_policy import scripts_in
from page.http.document import DocumentMiddleware, rewrite
from page.http.identity_routes import identity_routes
from page.http.job_files import JobFiles, file_routes
from page.http.middleware import SecurityMiddleware
from page.http.static_files import asset_route
from page.identity import DESCRIPTION, INK, NAME
from page.rendering import Renderings

# What a page says of itself is JSON in a script.
CONFIG = {"title": "As before", "theme_hash": "0123abcd", "html": '<meta name="description">'}
PAGE = templates.get_template("frontend/index.html").render(config=CONFIG, gradio_api_info={})
PRELOADS = '<link rel="modulepreload" crossorigin href="./assets/a.js">'
STYLES = '<link rel="stylesheet" href="studio/styles.css">'


class Site:
    """Gradio's document behind the middleware, with the files that it names."""

    def __init__(self, workshop: Workshop, examples: ExampleSet, renderings: Renderings) -> None:
        self.workshop = workshop

        async def page(request: Request) -> Response:
            return HTMLResponse(PAGE, status_code=int(request.query_params.get("status", 200)))

        self.app = Starlette(
            routes=[
                *identity_routes(),
                asset_route(),
                *file_routes(JobFiles(workshop, renderings), examples),
                Route("/", page, methods=["GET", "POST"]),
                Route("/other", page),
                Route("/manifest.json", page),  # Gradio has one too
            ],
            middleware=[
                Middleware(SecurityMiddleware),
                Middleware(
                    DocumentMiddleware,
                    preloads=PRELOADS,
                    styles=STYLES,
                    find_card=card_finder(workshop, renderings),
                ),
            ],
        )

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as web:
                return await web.request(method, path, headers=headers)

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def examples() -> ExampleSet:
    return ExampleSet()


@pytest.fixture
def site(tmp_path: Path, examples: ExampleSet) -> Iterator[Site]:
    renderings = Renderings(workers=1)
    yield Site(Workshop(tmp_path / "jobs"), examples, renderings)
    renderings.close()


@pytest.fixture
def share(site: Site, make_picture: MakePicture) -> str:
    """What links call a finished picture of 64×48 px."""
    job = Job(make_picture(), [make_picture(30, 40, 9)], TransferSettings(size=64), visitor="me")
    job.moment = Moment(make_picture(64, 48, 3), 1)
    job.provenance = [UNKNOWN]
    job.state = State.FINISHED
    assert site.workshop.job_store
    site.workshop.job_store.save(job)
    return share_id(job.id)


class Head(HTMLParser):
    """The tags of a document, in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        wanted = attributes.items()
        return [found for name, found in self.tags if name == tag and wanted <= found.items()]

    def meta(self, name: str) -> str | None:
        (found,) = [m for m in self.all("meta") if name in (m.get("name"), m.get("property"))]
        return found["content"]


# --- The document -------------------------------------------------------------------------------


def test_the_page_says_what_it_is(site: Site) -> None:
    answer = site.ask()
    head = Head(answer.text)
    assert head.all("html")[0]["lang"] == "en"
    assert re.findall(r"<title>(.*?)</title>", answer.text) == [NAME]
    for name in ("description", "og:description", "twitter:description"):
        assert head.meta(name) == DESCRIPTION
    for name in ("og:title", "og:site_name", "twitter:title", "application-name"):
        assert head.meta(name) == NAME
    colors = {m["media"]: m["content"] for m in head.all("meta", name="theme-color")}
    assert colors == {
        "(prefers-color-scheme: light)": "#faf6f0",
        "(prefers-color-scheme: dark)": "#171412",
    }
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_nothing_of_gradios_own_is_left_and_no_other_host_is_named(site: Site) -> None:
    page = site.ask().text
    assert set(re.findall(r"https?://[\w.-]+", page)) == {"http://page"}
    assert not re.search(r'"@gradio|teamGradio|gradio\.app|githubusercontent', page, re.IGNORECASE)


def test_addresses_follow_the_base_and_bytes_the_character_set(site: Site) -> None:
    page = site.ask().text
    tags = [tag for tag, _ in Head(page).tags]
    assert tags.index("base") < tags.index("link")
    assert tags.count("base") == 1
    assert page.index("<meta charset") < 1024
    assert page.index(PRELOADS) < page.index("<script>window.gradio_config")
    assert page.index("index-") < page.index(STYLES) < page.index("</head>")
    assert '<link rel="preload" as="style" href="theme.css?v=0123abcd">' in page


def test_gradios_scripts_stay_and_may_run(site: Site) -> None:
    answer = site.ask()
    theirs = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", PAGE, re.DOTALL)
    assert len(theirs) >= 3
    for script in theirs:
        assert script in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert len(scripts_in(answer.content)) == len(theirs) + 2  # storage, and waiting pictures
    assert all(source in policy for source in scripts_in(answer.content))
    assert "frame-ancestors 'self' https://huggingface.co https://*.hf.space" in policy


def test_only_a_page_in_a_frame_tells_the_frame_its_height(site: Site) -> None:
    guarded = [s for s in site.ask().text.split("<script>") if "iframeResizer.content" in s]
    assert [s.startswith("if (window.parent !== window) {") for s in guarded] == [True]


@pytest.mark.parametrize(
    ("path", "method"), [("/?status=500", "GET"), ("/", "POST"), ("/other", "GET")]
)
def test_other_answers_stay_as_they_are(site: Site, path: str, method: str) -> None:
    assert site.ask(path, method).text == PAGE


def test_a_document_of_another_kind_stays_as_it_is() -> None:
    for page in ("", "No markup.", "<!doctype html><p>No head</p>", "</head>"):
        assert rewrite(page, "<title>Ours</title>") == page
    assert rewrite("<head></head>", "<x>") == "<head>\n<x></head>"


# --- What a link is shown with ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "root"),
    [
        ({}, "http://page"),
        ({"X-Forwarded-Proto": "https"}, "https://page"),
        (
            {"X-Forwarded-Host": "impasto.example", "X-Forwarded-Proto": "https"},
            "https://impasto.example",
        ),
    ],
)
def test_addresses_are_those_that_visitors_use(
    site: Site, headers: Mapping[str, str], root: str
) -> None:
    head = Head(site.ask(**headers).text)
    assert head.meta("og:url") == f"{root}/"
    assert head.meta("og:image") == head.meta("twitter:image") == f"{root}/studio/card.jpg"


def test_hostile_addresses_are_text(site: Site) -> None:
    hostile = '"><script>alert(1)</script>'
    for answer in (
        site.ask(params := f"/?result={hostile}&content={hostile}"),
        site.ask(params, **{"X-Forwarded-Host": f"evil.example/{hostile}"}),
    ):
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert len(Head(answer.text).all("script")) == len(Head(PAGE).all("script")) + 2


def test_a_link_to_a_shared_result_is_shown_with_it(site: Site, share: str) -> None:
    head = Head(site.ask(f"/?beta=5&result={share}").text)
    assert head.meta("og:url") == f"http://page/?result={share}"
    assert NAME in (head.meta("og:title") or "")
    address = head.meta("og:image") or ""
    assert address == f"http://page/studio/shared/{share}/card.jpg"
    answer = site.ask(address)
    picture = Image.open(io.BytesIO(answer.content))
    assert (answer.headers["Content-Type"], picture.size) == ("image/jpeg", (1200, 630))
    assert answer.headers["Cache-Control"] == "private, no-cache"
    again = site.ask(address, **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("result", ["", "0" * 32, "../../x", "é" * 40])
def test_a_result_that_is_not_there_is_not_shown(site: Site, result: str) -> None:
    head = Head(site.ask(f"/?result={result}").text)
    assert head.meta("og:image") == "http://page/studio/card.jpg"
    assert head.meta("og:url") == "http://page/"
    assert site.ask(f"/studio/shared/{'0' * 32}/card.jpg").status_code == 404


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (2000, 100), (1200, 630)])
def test_a_card_shows_all_of_the_picture_on_the_dark_ground(size: tuple[int, int]) -> None:
    card = Image.open(io.BytesIO(compose_card(Image.new("RGB", size, "#ffffff"))))
    bright = card.convert("L").point(lambda level: 255 * (level > 128)).getbbox()
    assert bright
    left, top, right, bottom = bright
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.05)
    assert (left + right, top + bottom) == pytest.approx(card.size, abs=3)
    assert min(left, top) == pytest.approx(30, abs=1)
    dark = tuple(bytes.fromhex(INK.removeprefix("#")))
    assert card.getpixel((5, 5)) == pytest.approx(dark, abs=2)


def test_the_products_own_picture(site: Site) -> None:
    answer = site.ask("/studio/card.jpg")
    picture = Image.open(io.BytesIO(answer.content))
    assert (answer.headers["Content-Type"], picture.size) == ("image/jpeg", (1200, 630))
    assert len(answer.content) < 300_000  # some sites show none that is larger
    again = site.ask("/studio/card.jpg", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


# --- Icons and manifest -------------------------------------------------------------------------


def test_the_page_can_be_installed(site: Site) -> None:
    answer = site.ask("/manifest.json")
    assert answer.headers["Content-Type"] == "application/manifest+json"
    manifest: dict[str, Any] = answer.json()
    assert (manifest["name"], manifest["short_name"]) == (NAME, NAME)
    assert (manifest["start_url"], manifest["display"]) == ("./", "standalone")
    icons = {(icon["sizes"], icon["purpose"]): icon for icon in manifest["icons"]}
    assert icons.keys() == {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")}
    for (sizes, purpose), icon in icons.items():
        sent = site.ask(f"/{icon['src']}")
        assert "immutable" in sent.headers["Cache-Control"]
        picture = Image.open(io.BytesIO(sent.content)).convert("RGBA")
        assert "{}x{}".format(*picture.size) == sizes
        corner = picture.getpixel((0, 0))
        assert isinstance(corner, tuple)
        assert (corner[3] == 255) == (purpose == "maskable")  # systems cut it themselves
    links = Head(site.ask().text)
    assert [link["href"] for link in links.all("link", rel="manifest")] == ["manifest.json"]


def test_the_page_has_an_icon(site: Site) -> None:
    answer = site.ask("/favicon.ico")
    assert answer.headers["Content-Type"] == "image/x-icon"
    assert Image.open(io.BytesIO(answer.content)).info["sizes"] == {(16, 16), (32, 32), (48, 48)}
    links = Head(site.ask().text)
    icons = [*links.all("link", rel="icon"), *links.all("link", rel="apple-touch-icon")]
    assert len(icons) == 3
    for icon in icons:
        assert site.ask(f"/{icon['href']}").status_code == 200
    assert "#c2401c" in (FOLDER / "mark.svg").read_text(encoding="utf-8")
