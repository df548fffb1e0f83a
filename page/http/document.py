"""The document that Gradio serves, with a head of its own: names, pictures of links, preloads.

Gradio's template is rewritten as text: its own tags go, ours are put in. The scripts that it writes
into the page stay as they are, but for one that is only of use in a frame.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import escape

from gradio.route_utils import get_root_url
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from page.assets import on_load
from page.http.static_files import asset_url
from page.identity import DESCRIPTION, INK, NAME, PAPER

CARD = "studio/card.jpg"
CARD_SIZE = (1200, 630)  # pixels, as sites that show links want them

SCRIPT = re.compile(r"(<script\b.*?</script>)", re.DOTALL)
THEIRS = re.compile(
    r"\s*<(?:meta\s[^>]*?\b(?:property=\"og:|name=\"(?:twitter:|description\"|theme-color\"))[^>]*>"
    r"|link\s[^>]*?\brel=\"(?:manifest|(?:shortcut )?icon|apple-touch-icon)\"[^>]*>"
    r"|title\b[^>]*>.*?</title\s*>)",
    re.DOTALL | re.IGNORECASE,
)
HTML_TAG = re.compile(r"<html\b([^>]*)>")
LANGUAGE = re.compile(r"\s+lang=\"[^\"]*\"")
PLACES = [
    re.compile(tag) for tag in (r"<base\b[^>]*>", r"<meta\s+charset=[^>]*>", r"<head\b[^>]*>")
]
THEME_HASH = re.compile(r'"theme_hash":"(\w+)"')
FRAME_SCRIPT = "iframeResizer.contentWindow"

PICTURES_WAIT = """@supports selector(:has(a)) {
.pictures-wait img[loading="lazy"] { translate: 0 100000px; }
.pictures-wait :has(> img[loading="lazy"]) { overflow: clip; }
}"""

# On a phone Stylize and Stop are below. Gradio has the conditional rules of a page's own styles
# count within its container alone, which notices are not in.
NOTICES_ABOVE = """@media (max-width: 900px) {
body .toast-wrap.toast-wrap { top: 0.5rem !important; bottom: auto !important; }
}"""


@dataclass(frozen=True)
class Card:
    """What a link to the page is shown with: a title and a picture at `path`."""

    title: str = NAME
    path: str = CARD
    query: str = ""  # of the page that it leads to


FindCard = Callable[[Request], Awaitable[Card]]


class DocumentMiddleware:
    """Rewrite the page as it is served.

    `preloads` are links to Gradio's scripts that it will load, and `styles` those to its styles;
    `find_card` says how a link to the page is shown. (ASGI middleware.)
    """

    def __init__(self, app: ASGIApp, preloads: str, styles: str, find_card: FindCard) -> None:
        self.app = app
        self.preloads, self.styles = preloads, styles
        self.find_card = find_card

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        is_page = scope["type"] == "http" and scope["path"] == "/"
        if not is_page or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def send_rewritten(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and is_document(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    page = await self._rewritten(body.decode(), Request(scope))
                    await send_page(start, page.encode(), send)

        await self.app(scope, receive, send_rewritten)

    async def _rewritten(self, page: str, request: Request) -> str:
        root_path = getattr(request.app, "root_path", "") or request.scope.get("root_path")
        root = get_root_url(request, "/", root_path)
        head = own_head(root, await self.find_card(request))
        return rewrite(page, f"{head}\n{theme_preload(page)}{self.preloads}", self.styles)


def is_document(start: Message) -> bool:
    """Tell whether an answer begins a page."""
    content_type = MutableHeaders(scope=start).get("content-type", "")
    return start["status"] == 200 and content_type.startswith("text/html")


async def send_page(start: Message, body: bytes, send: Send) -> None:
    """Send a page whose length has changed. It says who is signed in, so nobody shares it."""
    headers = MutableHeaders(scope=start)
    headers["Content-Length"] = str(len(body))
    headers.setdefault("Cache-Control", "private, no-cache")
    await send(start)
    await send({"type": "http.response.body", "body": body})


def rewrite(page: str, head: str, styles: str = "") -> str:
    """Return a page of Gradio's with another head; a page without a head as it is.

    Ours follows the base of all addresses, where there is one; the styles come after those that it
    links to itself, as when it loads them one by one.
    """
    before, end, after = page.partition("</head>")
    parts = SCRIPT.split(before)  # every second is a script
    parts[::2] = [THEIRS.sub("", part) for part in parts[::2]]
    parts[1::2] = [only_in_a_frame(script) for script in parts[1::2]]
    place = next(filter(None, (tag.search(parts[0]) for tag in PLACES)), None)
    if not end or not place:
        return page
    parts[0] = in_english(f"{parts[0][: place.end()]}\n{head}{parts[0][place.end() :]}")
    return "".join(parts) + styles + end + after


def in_english(page: str) -> str:
    """Return a page that says which language it is written in."""
    return HTML_TAG.sub(lambda tag: f'<html lang="en"{LANGUAGE.sub("", tag[1])}>', page, count=1)


def only_in_a_frame(script: str) -> str:
    """Let the script that tells a frame its height be fetched by pages that are in one."""
    if FRAME_SCRIPT not in script:
        return script
    tag, _, code = script.partition(">")
    code = code.removesuffix("</script>")
    return f"{tag}>if (window.parent !== window) {{{code}}}</script>"


def own_head(root: str, card: Card) -> str:
    """Return the tags that say what the page is, here and where a link to it is shown.

    `root` is the address of the page as its visitors know it: other sites need whole addresses.
    """
    address = f"{root}/{card.query}"
    width, height = map(str, CARD_SIZE)
    named = {
        "description": DESCRIPTION,
        "application-name": NAME,
        "apple-mobile-web-app-title": NAME,
        "twitter:card": "summary_large_image",
        "twitter:title": card.title,
        "twitter:description": DESCRIPTION,
        "twitter:image": f"{root}/{card.path}",
    }
    shown = {
        "og:type": "website",
        "og:site_name": NAME,
        "og:title": card.title,
        "og:description": DESCRIPTION,
        "og:url": address,
        "og:image": f"{root}/{card.path}",
        "og:image:type": "image/jpeg",
        "og:image:width": width,
        "og:image:height": height,
        "og:image:alt": card.title,
    }
    return "\n".join(
        [
            *(f'<meta name="{name}" content="{escape(text)}">' for name, text in named.items()),
            *(f'<meta property="{name}" content="{escape(text)}">' for name, text in shown.items()),
            fixed_head(),
        ]
    )


@functools.cache
def fixed_head() -> str:
    """Return what is the same for everybody: title, colours, icons, and how pictures wait."""
    color = '<meta name="theme-color" media="(prefers-color-scheme: {})" content="{}">'
    return "\n".join(
        [
            f"<title>{escape(NAME)}</title>",
            color.format("light", PAPER),
            color.format("dark", INK),
            '<link rel="manifest" href="manifest.json" crossorigin="use-credentials">',
            '<link rel="icon" href="favicon.ico" sizes="32x32">',
            f'<link rel="icon" href="{asset_url("mark.svg")}" type="image/svg+xml">',
            f'<link rel="apple-touch-icon" href="{asset_url("icons/apple-touch-icon.png")}">',
            f"<style>{PICTURES_WAIT}{NOTICES_ABOVE}</style>",
            f"<script>{on_load('storage')}</script>",
            f"<script>{on_load('pictures_wait')}</script>",
        ]
    )


def theme_preload(page: str) -> str:
    """Return a link to the theme, which Gradio's code would look for only when it runs."""
    found = THEME_HASH.search(page)
    return f'<link rel="preload" as="style" href="theme.css?v={found[1]}">\n' if found else ""
