"""Limit how much a request may send, an upload too, while its bytes arrive."""

from __future__ import annotations

import asyncio
import re
from typing import NoReturn

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.types import Message, Receive, Scope

from nst.images.reading import MAX_BYTES
from page.http.answer import Answer
from page.http.identifiers import RequestError
from page.http.uploads import (
    TOO_SLOW,
    Pace,
    Upload,
)

MEGABYTE = 1024 * 1024
MAX_UPLOAD = MAX_BYTES  # one picture or clip
MULTIPART = MEGABYTE  # what a form adds to it
MAX_TOOL_CALL = 4 * MEGABYTE  # with pictures inside, in base64; the MCP server reads no more
MAX_CALL = MEGABYTE  # any other request: numbers, and names of uploads


TOO_LARGE = (
    f"That is too large: {MAX_UPLOAD // 1_000_000} MB for a picture or a clip, 4 MB for a tool"
    " call, 1 MB for anything else."
)


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
        raise RequestError("The Content-Length of this request is not a number.")
    return int(length)


def limit_of(path: str) -> int:
    """Return how many bytes a request may send there."""
    if path.startswith("/gradio_api/upload"):
        return MAX_UPLOAD + MULTIPART
    return MAX_TOOL_CALL if path.startswith("/gradio_api/mcp") else MAX_CALL
