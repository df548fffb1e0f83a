"""Let browsers keep Gradio's own files for good where their address names the content.

ASGI middleware. Gradio sends them without a word on caching, and again to whoever has them.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from page.http.etags import matches
from page.http.fixed_content import IMMUTABLE

HASHED_NAME = re.compile(r"/assets/[^/]+-[\w-]{8,}\.[a-z0-9]+")  # as Vite names what it builds
HASHED_QUERY = re.compile(rb"v=[0-9a-f]{16,}")
THEME = "/theme.css"


class CachingMiddleware:
    """Mark immutable files as such, and answer 304 to browsers that hold them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or not names_content(scope):
            await self.app(scope, receive, send)
            return
        if_none_match = Headers(scope=scope).get("if-none-match", "")
        is_held = False

        async def send_marked(message: Message) -> None:
            nonlocal is_held
            if message["type"] == "http.response.start" and message["status"] == 200:
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = IMMUTABLE
                is_held = matches(if_none_match, headers.get("etag", ""))
                if is_held:
                    message = not_modified(message)
            elif is_held and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app(scope, receive, send_marked)


def names_content(scope: Scope) -> bool:
    """Tell whether an address stands for one content alone, whatever Gradio's version."""
    path, query = scope["path"], scope.get("query_string", b"")
    if path == THEME:
        return HASHED_QUERY.fullmatch(query) is not None
    return HASHED_NAME.fullmatch(path) is not None


def not_modified(start: Message) -> Message:
    """Return the head of the answer to a browser that holds the content."""
    headers = MutableHeaders(raw=list(start["headers"]))
    for name in ("Content-Length", "Content-Type", "Accept-Ranges", "Last-Modified"):
        del headers[name]
    return {**start, "status": 304, "headers": headers.raw}
