"""An answer under way: its headers, or a sentence instead of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from page.http.content_policy import HEADERS, page_policy, scripts_in

LINGER_BYTES = 64 * 1024 * 1024  # that are thrown away of a request which was refused
LINGER_SECONDS = 5.0


class Answer:
    """An answer under way, with its headers.

    Those of a page name its own inline scripts, by their hashes, so that markup which got in
    somehow runs nothing.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, scripts: Iterable[str]) -> None:
        self.has_begun = self.is_final = False
        self.status = 0
        self._scope, self._receive, self._send = scope, receive, send
        self._scripts = list(scripts)
        self._start: Message | None = None  # of a page, until its scripts are known
        self._page = b""

    async def send(self, message: Message) -> None:
        """Send a message of ASGI on."""
        if self.is_final:
            return
        if message["type"] == "http.response.start":
            self.has_begun, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if headers.get("content-type", "").startswith("text/html"):
                self._start = message
                return
        elif self._start:
            await self._send_page(message)
            return
        await self._send(message)

    async def say(self, text: str, status: int, *, lingers: bool = True) -> None:
        """Send a sentence instead of all else.

        What the client has yet to send is thrown away, for a while: closed at once, the connection
        would often end before the sentence was read.
        """
        response = PlainTextResponse(text, status, headers={"Connection": "close"})
        start = {"type": "http.response.start", "status": status, "headers": response.raw_headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": response.body, "more_body": True})
        self.is_final = True
        headers = Headers(scope=self._scope)
        # Who waits to be told to go on has nothing on the way.
        if lingers and "expect" not in headers and has_body(headers):
            await throw_away(self._receive)
        await self._send({"type": "http.response.body", "body": b""})

    async def _send_page(self, message: Message) -> None:
        self._page += message.get("body", b"")
        if message.get("more_body") or not self._start:
            return
        scripts = [*self._scripts, *scripts_in(self._page)]
        MutableHeaders(scope=self._start)["Content-Security-Policy"] = page_policy(scripts)
        await self._send(self._start)
        await self._send({**message, "body": self._page})


def has_body(headers: Headers) -> bool:
    """Return whether a request sends more than its head."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def throw_away(receive: Receive) -> None:
    """Read what a client still sends, up to a number of bytes and for a few seconds."""

    async def read() -> None:
        left = LINGER_BYTES
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return

    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(read(), LINGER_SECONDS)
