"""The files that stand for the product, where browsers and other sites look for them.

Gradio has routes for some of these addresses too; ours come first.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from page.assets import FOLDER
from page.http.document import CARD
from page.http.etags import content_hash, matches
from page.http.static_files import asset_url
from page.identity import DESCRIPTION, NAME, PAPER

FOR_A_DAY = "public, max-age=86400"
ICONS = {  # name: (size, what for)
    "icons/icon-192.png": ("192x192", "any"),
    "icons/icon-512.png": ("512x512", "any"),
    "icons/maskable-512.png": ("512x512", "maskable"),
}


def identity_routes() -> list[Route]:
    """Return the routes of the manifest, the browser's icon and the picture that links show."""
    return [
        Route("/manifest.json", manifest),
        file_route("/favicon.ico", FOLDER / "icons" / "favicon.ico", "image/x-icon"),
        file_route(f"/{CARD}", FOLDER / "card.jpg", "image/jpeg"),
    ]


async def manifest(_: Request) -> Response:
    """Send what a system needs to install the page as an app; addresses are relative to it."""
    icons = [
        {"src": asset_url(name), "sizes": size, "type": "image/png", "purpose": purpose}
        for name, (size, purpose) in ICONS.items()
    ]
    content = {
        "name": NAME,
        "short_name": NAME,
        "description": DESCRIPTION,
        "lang": "en",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": PAPER,
        "theme_color": PAPER,
        "icons": icons,
    }
    headers = {"Cache-Control": FOR_A_DAY}
    return JSONResponse(content, headers=headers, media_type="application/manifest+json")


def file_route(address: str, path: Path, media_type: str) -> Route:
    """Return the route of one file, which is read once and kept by browsers for a day."""
    body = path.read_bytes()
    headers = {"Cache-Control": FOR_A_DAY, "ETag": f'"{content_hash(body)}"'}

    async def send(request: Request) -> Response:
        if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=media_type)

    return Route(address, send)
