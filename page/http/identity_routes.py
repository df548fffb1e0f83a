"""The files that stand for the product, where browsers and other sites look for them.

Gradio has routes for some of these addresses too; ours come first.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from page.assets import FOLDER
from page.http.document import CARD
from page.http.fixed_content import content_route
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
    icon, card = FOLDER / "icons" / "favicon.ico", FOLDER / "card.jpg"
    return [
        Route("/manifest.json", manifest),
        content_route("/favicon.ico", icon.read_bytes(), "image/x-icon", FOR_A_DAY),
        content_route(f"/{CARD}", card.read_bytes(), "image/jpeg", FOR_A_DAY),
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
