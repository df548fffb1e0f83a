"""The page's own assets have addresses that name their content, and nothing else is served."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from page.assets import FOLDER
from page.http.static_files import asset_route, asset_url, read_assets, version_of

SERVED = {
    "style.css": "text/css; charset=utf-8",
    "script.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
    "icons/icon.png": "image/png",
    "fonts/serif.woff2": "font/woff2",
    "vendor/library.js": "text/javascript; charset=utf-8",
}
HIDDEN = ["head.html", "deno.json", "__init__.py", ".secret.js", "other/script.js", "icons/a/b.png"]


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """A folder with files that are served and files that are not, and one beside it."""
    folder = tmp_path / "assets"
    for name in [*SERVED, *HIDDEN]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"/* {name} */")
    (tmp_path / "outside.js").write_text("outside")
    (folder / "link.js").symlink_to(tmp_path / "outside.js")
    return folder


def get(folder: Path, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=[asset_route(folder)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as web:
            return await web.request(method, f"/studio/assets/{path}", headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize(("name", "media_type"), SERVED.items())
def test_an_asset_has_its_media_type(assets: Path, name: str, media_type: str) -> None:
    answer = get(assets, name)
    assert (answer.status_code, answer.text) == (200, f"/* {name} */")
    assert answer.headers["Content-Type"] == media_type
    assert get(assets, name, "HEAD").headers["Content-Length"] == str(len(answer.content))


@pytest.mark.parametrize(
    "path",
    [
        *HIDDEN,
        "link.js",
        "../outside.js",
        "%2e%2e/outside.js",
        "icons/../style.css",
        "icons%2f..%2fstyle.css",
        "/style.css",
        "style.css/",
        "style.css%00.png",
        "STYLE.CSS",
        "",
        "nothing.js",
    ],
)
def test_nothing_else_is_served(assets: Path, path: str) -> None:
    answer = get(assets, path.replace("..", "%2E%2E"))
    assert (answer.status_code, answer.text) == (404, "There is no such file.")


def test_only_the_address_that_names_the_content_is_kept_for_good(assets: Path) -> None:
    version = read_assets(assets)["style.css"].version
    named, plain, stale = (
        get(assets, f"{before}style.css") for before in (f"{version_of(assets)}/", "", "0123abcd/")
    )
    assert named.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert plain.headers["Cache-Control"] == stale.headers["Cache-Control"] == "no-cache"
    assert named.headers["ETag"] == plain.headers["ETag"] == f'"{version}"'


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_what_a_browser_holds_is_not_sent_again(assets: Path, form: str) -> None:
    tag = get(assets, "style.css").headers["ETag"]
    answer = get(assets, "style.css", **{"If-None-Match": form.format(tag)})
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    assert get(assets, "style.css", **{"If-None-Match": '"other"'}).status_code == 200


def test_an_address_names_an_asset_of_the_page() -> None:
    address = asset_url("style.css")
    assert address == f"studio/assets/{version_of()}/style.css"
    answer = get(FOLDER, address.removeprefix("studio/assets/"))
    assert answer.content == (FOLDER / "style.css").read_bytes()
    assert "immutable" in answer.headers["Cache-Control"]


def test_an_asset_that_is_not_there_has_no_address() -> None:
    with pytest.raises(FileNotFoundError, match=r"head\.html"):
        asset_url("head.html")
