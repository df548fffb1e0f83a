"""The page names exactly what Gradio will load, and bears a Gradio that is built otherwise."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import httpx
import pytest
from gradio.route_utils import BUILD_PATH_LIB
from playwright.sync_api import Page, expect
from playwright.sync_api import Route as BrowserRoute
from starlette.applications import Starlette

from helpers.browsing import LONG, Visit
from page.http.preloads import MOST_CHUNKS, early_links, find_page_files
from page.http.style_bundle import StyleBundle

INDEX = """<script type="module" src="./assets/index-AAAAAAAA.js"></script>
<link rel="stylesheet" href="./assets/index-AAAAAAAA.css">"""

# As Vite writes them: what a chunk imports at once stands first, the rest is listed by number.
FILES = {
    "index-AAAAAAAA.js": (
        'const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["./core-BBBBBBBB.js",'
        '"./index-AAAAAAAA.css","./core-BBBBBBBB.css"])))=>i.map(i=>d[i]);'
        "a(()=>import(`./unused-CCCCCCCC.js`),[],import.meta.url);"
        "a(()=>import(`./core-BBBBBBBB.js`),__vite__mapDeps([0,1,2]),import.meta.url)"
    ),
    "core-BBBBBBBB.js": (
        'const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["./Slider-DDDDDDDD.js",'
        '"./Slider-DDDDDDDD.css","./Image-EEEEEEEE.js","./HTML-FFFFFFFF.js"])))=>i.map(i=>d[i]);'
        'import{a}from"./shared-GGGGGGGG.js";'
        "const e=async()=>await import(`./Blocks-HHHHHHHH.js`),__vite__mapDeps([1]);"
        "const l=async()=>await import(`./Login-IIIIIIII.js`),__vite__mapDeps([1]);"
        "var map={image:{base:()=>v(()=>import(`./Image-EEEEEEEE.js`),__vite__mapDeps([2])),"
        "component:()=>v(()=>import(`./Image-EEEEEEEE.js`).then(e=>e.t),__vite__mapDeps([2]))},"
        "slider:{component:()=>v(()=>import(`./Slider-DDDDDDDD.js`),__vite__mapDeps([0,1]),u)},"
        "html:{example:()=>v(()=>import(`./Image-EEEEEEEE.js`),__vite__mapDeps([2])),"
        "component:()=>v(()=>import(`./HTML-FFFFFFFF.js`),__vite__mapDeps([3]),u)}}"
    ),
    "shared-GGGGGGGG.js": 'import"./core-BBBBBBBB.js";export const a=1',  # in a circle
    "Blocks-HHHHHHHH.js": 'import{b}from"./shared-GGGGGGGG.js"',
    "Login-IIIIIIII.js": "",
    "unused-CCCCCCCC.js": "",
    "Slider-DDDDDDDD.js": "",
    "Image-EEEEEEEE.js": "",
    "HTML-FFFFFFFF.js": "",
    "index-AAAAAAAA.css": "",
    "core-BBBBBBBB.css": ".a{color:red}",
    "Slider-DDDDDDDD.css": ".b{background:url(data:,)}",
}
FIRST = ["index-AAAAAAAA.js", "core-BBBBBBBB.css", "core-BBBBBBBB.js", "shared-GGGGGGGG.js"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    for name, content in FILES.items():
        (tmp_path / "assets" / name).write_text(content)
    return tmp_path / "assets"


def found(folder: Path, *types: str, **props: Any) -> list[str]:
    components = [{"type": name, "props": props} for name in types]
    return find_page_files({"components": components}, folder, folder.parent / "index.html")


def test_what_the_page_needs_is_found_in_its_order(folder: Path) -> None:
    shell = [*FIRST, "Slider-DDDDDDDD.css", "Blocks-HHHHHHHH.js"]
    assert found(folder) == shell
    assert found(folder, "slider") == [*shell, "Slider-DDDDDDDD.js"]
    html = "HTML-FFFFFFFF.js"
    assert found(folder, "image", "html", "html") == [*shell, html, "Image-EEEEEEEE.js"]


def test_a_component_that_is_not_visible_is_not_loaded(folder: Path) -> None:
    assert found(folder, "slider", visible=False) == found(folder)
    assert found(folder, "slider", visible="hidden") == found(folder, "slider")


def test_another_gradio_has_fewer_or_none(folder: Path) -> None:
    assert found(folder, "component-of-tomorrow") == found(folder)
    (folder / "Slider-DDDDDDDD.css").unlink()
    assert found(folder) == [*FIRST, "Blocks-HHHHHHHH.js"]
    (folder / "core-BBBBBBBB.js").write_text("export{other as build}")
    assert found(folder, "slider") == ["index-AAAAAAAA.js", *FIRST[1:3]]
    (folder / "index-AAAAAAAA.js").write_bytes(b"\xff not UTF-8")
    assert found(folder, "slider") == []
    (folder.parent / "index.html").write_text("<p>Another page.</p>")
    assert found(folder, "slider") == []
    (folder.parent / "index.html").unlink()
    assert found(folder, "slider") == []
    assert find_page_files({}, folder, folder.parent / "index.html") == []


def test_what_is_too_much_to_be_right_is_left_out(folder: Path) -> None:
    names = [f"part-{number:08}.js" for number in range(MOST_CHUNKS)]
    for name in names:
        (folder / name).write_text("")
    imports = "".join(f'import"./{name}";' for name in names)
    (folder / "index-AAAAAAAA.js").write_text(imports)
    assert found(folder) == []


def test_only_the_component_that_is_used_is_found_in_gradio_itself() -> None:
    def scripts(*components: type[gr.components.Component]) -> set[str]:
        with gr.Blocks(analytics_enabled=False) as demo:
            for component in components:
                component()
        return set(find_page_files(demo.config))

    empty, slider, both = scripts(), scripts(gr.Slider), scripts(gr.Slider, gr.Image)
    assert len(empty) > 10
    assert empty < slider < both
    assert all((Path(BUILD_PATH_LIB) / name).is_file() for name in both)


# --- Styles -------------------------------------------------------------------------------------


def test_styles_that_may_be_anywhere_come_as_one_file(folder: Path) -> None:
    places = {
        "import-AAAAAAAA.css": "@import './b.css';",
        "font-AAAAAAAA.css": '@font-face{src:url("./a.woff2")}',
    }
    for name, content in places.items():
        (folder / name).write_text(content)
    names = ["core-BBBBBBBB.css", *places, "Slider-DDDDDDDD.css"]
    bundle = StyleBundle.read(names, folder)
    assert bundle.names == ("core-BBBBBBBB.css", "Slider-DDDDDDDD.css")
    assert bundle.content.decode() == ".a{color:red}\n.b{background:url(data:,)}"
    links = early_links([*names, "a.js"], bundle)
    assert re.findall(r'rel="(\w+)".*?assets/([\w-]+)', links) == [
        ("preload", "import-AAAAAAAA"),
        ("preload", "font-AAAAAAAA"),
        ("modulepreload", "a"),
    ]


def test_the_bundle_has_an_address_that_names_its_content(folder: Path) -> None:
    bundle = StyleBundle.read(["core-BBBBBBBB.css"], folder)

    async def ask(**headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=bundle.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as web:
            return await web.get(f"/{bundle.address}", headers=headers)

    answer = asyncio.run(ask())
    assert (answer.content, answer.headers["Content-Type"]) == (
        bundle.content,
        "text/css; charset=utf-8",
    )
    assert "immutable" in answer.headers["Cache-Control"]
    assert asyncio.run(ask(**{"If-None-Match": answer.headers["ETag"]})).status_code == 304
    assert StyleBundle.read(["Slider-DDDDDDDD.css"], folder).address != bundle.address


def test_nothing_is_served_for_no_styles() -> None:
    assert (StyleBundle().links(), StyleBundle().routes()) == ("", [])


# --- In a browser -------------------------------------------------------------------------------


def fetched(page: Page, folder: str) -> list[str]:
    """The paths below an address that the page has fetched."""
    addresses = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    return [path for path in (urlsplit(a).path for a in addresses) if path.startswith(folder)]


def is_script(path: str) -> bool:
    return path.endswith(".js")


def is_style(path: str) -> bool:
    return path.endswith(".css")


def without_help(route: BrowserRoute) -> None:
    """Answer with the page as it would be if it named nothing."""
    answer = route.fetch()
    help_given = r'<link rel="(modulepreload|stylesheet" disabled)[^>]*>'
    route.fulfill(response=answer, body=re.sub(help_given, "", answer.text()))


@pytest.mark.browser
def test_the_page_names_exactly_what_it_loads(visit: Visit) -> None:
    """`visit` also sees that no script was stopped by the policy."""
    page = visit()
    expect(page.locator("#stylize")).to_be_enabled(timeout=LONG)
    links = page.locator("link[rel=modulepreload], link[disabled]")
    named = {urlsplit(a).path for a in links.evaluate_all("all => all.map((a) => a.href)")}
    (entry,) = (each for each in fetched(page, "/assets/") if is_style(each))
    assert set(fetched(page, "/assets/")) == {each for each in named if is_script(each)} | {entry}
    assert len(fetched(page, "/studio/styles-")) == 1
    other = page.context.new_page()
    other.route(re.compile(r"/$"), without_help)
    other.goto(page.url)
    expect(other.locator("#stylize")).to_be_enabled(timeout=LONG)
    assert other.locator("link[disabled]").count() == 0
    assert set(fetched(other, "/assets/")) == named | {entry}


@pytest.mark.browser
def test_pictures_wait_only_until_the_page_can_be_used(visit: Visit) -> None:
    page = visit()
    expect(page.locator("#stylize")).to_be_enabled(timeout=LONG)
    shown = "() => document.querySelector('img[loading=lazy]')?.naturalWidth > 0"
    page.wait_for_function(shown, timeout=10_000)  # less than the longest wait
    assert page.evaluate("document.documentElement.className") == ""
