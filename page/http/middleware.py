"""The middleware between the network and the page.

It says what a browser may do with an answer, how much a request may send, which of Gradio's routes
stay shut, and which files a caller may name.

Knows HTTP and Gradio's files; nothing of pictures. The threat model is in SECURITY.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst.images.reading import MAX_BYTES
from nst.outputs import DISK_FULL
from nst.studio.queue import in_minutes
from page.error_messages import NO_DISK
from page.http.content_policy import HEADERS, page_policy, scripts_in
from page.http.identifiers import RequestError
from page.http.rate_limit import network_of_scope
from page.http.upload_space import UploadSpace
from page.http.uploads import (
    NO_ROOM,
    TOO_SLOW,
    Pace,
    Upload,
    UploadsUnderWay,
)

log = logging.getLogger("page.http.middleware")

MEGABYTE = 1024 * 1024
MAX_UPLOAD = MAX_BYTES  # one picture
MULTIPART = MEGABYTE  # what a form adds to it
MAX_TOOL_CALL = 4 * MEGABYTE  # with pictures inside, in base64; the MCP server reads no more
MAX_CALL = MEGABYTE  # any other request: numbers, and names of uploads
LINGER_BYTES = 64 * MEGABYTE  # that are thrown away of a request which was refused
LINGER_SECONDS = 5.0

# Gradio's, but not the page's: to fetch from elsewhere, to keep states, to develop, to watch.
SHUT = re.compile(
    r"/gradio_api/(file=\w{2,}:|proxy=|stream/|deep_link|dev/|vibe|process_recording"
    r"|component_server|custom_component/|runs\b|run-history|profiling)|^/monitoring|^/openapi\.json",
    re.IGNORECASE,
)


TOO_LARGE = (
    f"That is too large: {MAX_UPLOAD // 1_000_000} MB for a picture, 4 MB for a tool call, 1 MB for"
    " anything else."
)


class SecurityMiddleware:
    """Add headers to every answer, and end requests that nobody should make.

    That is one that is too large, for a door that is shut, or with a file that `upload_space` has
    no room for. `heads` are the files with scripts that Gradio adds to the page. (ASGI middleware.)
    """

    def __init__(
        self, app: ASGIApp, heads: Iterable[Path] = (), upload_space: UploadSpace | None = None
    ) -> None:
        self.app = app
        self.upload_space = upload_space
        self.uploads = UploadsUnderWay()
        self.scripts = [name for head in heads for name in scripts_in(head.read_bytes())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "session" in scope and is_of_another_site(scope):
            scope = {**scope, "session": {}}  # who is signed in here did not ask for this
        answer = Answer(scope, receive, send, self.scripts)
        try:
            body = Body(scope, receive, answer)
            if SHUT.search(scope["path"]):
                await answer.say("Not found.", 404)
            elif body.announced > body.limit:
                await answer.say(TOO_LARGE, 413)
            elif self.upload_space and body.is_upload:
                await self._take(scope, body, answer, self.upload_space)
            else:
                await self._ask(scope, body, answer)
        except RequestError as error:
            await answer.say(str(error), error.http_status)

    async def _take(
        self, scope: Scope, body: Body, answer: Answer, upload_space: UploadSpace
    ) -> None:
        """Take an upload, if there is room for it."""
        network = network_of_scope(scope)
        with self.uploads.another(network):
            size = body.announced or body.limit
            if wait := await asyncio.to_thread(upload_space.wait_for, size, network):
                await answer.say(NO_ROOM.format(in_minutes(wait)), 503)
                return
            content_type = Headers(scope=scope).get("content-type", "")
            body.upload = Upload(content_type, upload_space, network)
            try:
                await self._ask(scope, body, answer)
            finally:
                body.upload.end(is_kept=answer.status == 200)

    async def _ask(self, scope: Scope, body: Body, answer: Answer) -> None:
        try:
            await self.app(scope, body.receive, answer.send)
        except Exception as error:
            if answer.is_final:
                return  # the request was refused half-way
            is_full = isinstance(error, OSError) and error.errno in DISK_FULL
            if is_full and body.is_upload and not answer.has_begun:
                log.warning("an upload could not be kept: %s", error)
                if self.upload_space:
                    await asyncio.to_thread(self.upload_space.drop_halves)
                await answer.say(NO_DISK, 507)
                return
            if not answer.has_begun:
                await answer.say("Internal Server Error", 500)
            raise


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


class Body:
    """What a request sends, up to its limit, announced or not, and no slower than it may be."""

    def __init__(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        path = scope["path"]
        self.limit = limit_of(path)
        self.announced = announced(Headers(scope=scope))
        self.is_upload = path.rstrip("/") == "/gradio_api/upload" and scope["method"] == "POST"
        self.upload: Upload | None = None
        self._receive, self._answer = receive, answer
        self._pace: Pace | None = None  # from the first look on
        self._received = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """Receive a message of ASGI, counted."""
        message = await (self._receive() if self._is_whole else self._in_time())
        if message["type"] == "http.request":
            data = message.get("body", b"")
            self._received += len(data)
            self._is_whole = not message.get("more_body")
            if self._received > self.limit:
                await self._refuse(TOO_LARGE, 413)
            if self.upload:
                try:
                    self.upload.take(data)
                except RequestError as error:
                    await self._refuse(str(error), error.http_status)
        elif self.is_upload and not self._is_whole:
            # On this error alone Gradio deletes what it has of an upload.
            raise MultiPartException("The upload broke off.")
        return message

    async def _in_time(self) -> Message:
        """Return the next message, unless it takes too long."""
        self._pace = self._pace or Pace()
        try:
            return await asyncio.wait_for(self._receive(), self._pace.left(self._received))
        except asyncio.TimeoutError:
            await self._refuse(TOO_SLOW, 408, lingers=False)
            raise

    async def _refuse(self, sentence: str, status: int, *, lingers: bool = True) -> NoReturn:
        if not self._answer.has_begun:
            lingers = lingers and not self._is_whole
            await self._answer.say(sentence, status, lingers=lingers)
        raise MultiPartException(sentence)


def announced(headers: Headers) -> int:
    """Return how many bytes a request says that it sends; 0 where it does not say.

    Raises `RequestError`.
    """
    length = headers.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,18}", length):
        raise RequestError("The Content-Length of this request is no number.")
    return int(length)


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


def is_of_another_site(scope: Scope) -> bool:
    """Tell whether a page elsewhere makes this request in a visitor's browser, links to here apart.

    Gradio lets it, and its session cookie goes along on a Space, which is shown in a frame.
    """
    headers = Headers(scope=scope)
    is_link = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_link


def limit_of(path: str) -> int:
    """Return how many bytes a request may send there."""
    if path.startswith("/gradio_api/upload"):
        return MAX_UPLOAD + MULTIPART
    return MAX_TOOL_CALL if path.startswith("/gradio_api/mcp") else MAX_CALL
