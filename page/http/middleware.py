"""The middleware between the network and the page.

It says what a browser may do with an answer, how much a request may send, which of Gradio's routes
stay shut, and which files a caller may name.

Knows HTTP and Gradio's files; nothing of pictures. The threat model is in SECURITY.md.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import hashlib
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import gradio as gr
import gradio.routes
from gradio.blocks import BlocksConfig
from gradio.processing_utils import save_base64_to_cache
from gradio.utils import get_space, get_upload_folder
from gradio_client.utils import traverse
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from nst.images import sandbox
from nst.images.reading import MAX_BYTES
from nst.studio.queue import in_minutes
from page.error_messages import NO_DISK
from page.http.event_queue import BoundedQueue
from page.http.identifiers import RequestError
from page.http.rate_limit import network_of, network_of_scope
from page.http.request_limits import WRONG_ARGUMENTS
from page.http.sessions import Sessions
from page.http.upload_space import UploadSpace
from page.http.uploads import (
    NO_ROOM,
    TOO_SLOW,
    BoundedUploadProgress,
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

FRAMES = "frame-ancestors 'self' https://huggingface.co https://*.hf.space"  # Spaces embed the page
NO_PAGE = (
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline';"
    " sandbox allow-same-origin; "  # of that origin, or a film that is opened would not play
    + FRAMES
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the address of a result is a secret
    "Permissions-Policy": "camera=(self), clipboard-read=(self), clipboard-write=(self),"
    " fullscreen=(self), display-capture=(), geolocation=(), hid=(), microphone=(), midi=(),"
    " payment=(), serial=(), usb=()",
    "Content-Security-Policy": NO_PAGE,
}

TOO_LARGE = (
    f"That is too large: {MAX_UPLOAD // 1_000_000} MB for a picture, 4 MB for a tool call, 1 MB for"
    " anything else."
)
NOT_UPLOADED = "Pictures are uploaded, or sent as data: URLs; no other path or address is opened."

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
OWN_FILE = re.compile(r"https?://.*?/gradio_api/file=(.+)", re.DOTALL)
META = {"_type": "gradio.FileData"}
TAKE_FILES = (gr.Image, gr.UploadButton)


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
            await answer.say(str(error), error.status)

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
            is_full = isinstance(error, OSError) and error.errno in NO_SPACE
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
                    await self._refuse(str(error), error.status)
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


def scripts_in(page: bytes) -> list[str]:
    """Return the sources that a policy must allow for the inline scripts of a page to run."""
    hashes = (hashlib.sha256(script).digest() for script in INLINE_SCRIPT.findall(page))
    return [f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes]


def page_policy(scripts: Iterable[str]) -> str:
    """Return what the page may load and run: its own, and these inline scripts.

    On a Space also what Gradio's header of the Hub shows. Gradio compiles its events' JavaScript,
    hence 'unsafe-eval', and sets styles inline.
    """
    hub = {
        "img-src": "https://huggingface.co https://*.huggingface.co",
        "connect-src": "https://huggingface.co",
        "style-src": "https://fonts.googleapis.com",
        "font-src": "https://fonts.gstatic.com",
    }
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' 'unsafe-eval' {' '.join(dict.fromkeys(scripts))}",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self' data: blob:",
        "manifest-src": "'self'",
        "base-uri": "'self'",
        "form-action": "'self'",
    }
    for name, hosts in hub.items() if get_space() else ():
        policy[name] += " " + hosts
    return "; ".join(f"{name} {sources}" for name, sources in policy.items()) + "; " + FRAMES


class SlimConfig(BlocksConfig):  # type: ignore[misc]
    """What Gradio knows of the page, copied for every session.

    For its deep links, which are shut, each copy would also hold what every component looks like:
    300 kB, and anybody may begin as many sessions as they like.
    """

    def __copy__(self) -> BlocksConfig:
        copy, nothing = super().__copy__(), dict[str, Any]()
        copy.config_for_block = lambda *_: nothing
        return copy


class BoundedBlocks(gr.Blocks):  # type: ignore[misc]  # Gradio is untyped here
    """Blocks whose callers can name no file but their uploads.

    Gradio checks only what calls itself a file (`meta`), and fetches addresses. Sessions and events
    are bounded.
    """

    _queue: BoundedQueue

    def __init__(self, **options: Any) -> None:
        self.sessions = Sessions()
        super().__init__(**options)
        self.default_config = SlimConfig(self)
        self.sessions.when_dropped(lambda name: self._queue.forget(name))
        gradio.routes.file_upload_statuses = BoundedUploadProgress()

    @override
    def queue(self, *args: Any, **named: Any) -> BoundedBlocks:
        super().queue(*args, **named)
        made: Any = self._queue
        self._queue = BoundedQueue(
            self.sessions,
            live_updates=made.live_updates,
            concurrency_count=made.max_thread_count,
            update_intervals=made.update_intervals,
            max_size=made.max_size,
            blocks=self,
            default_concurrency_limit=made.default_concurrency_limit,
        )
        return self

    def forget_files(self, paths: Iterable[str]) -> None:
        """Drop files that were deleted from the sets in which Gradio would keep their names."""
        for files in self.temp_file_sets:
            files.difference_update(paths)

    @override
    async def process_api(self, *args: Any, **named: Any) -> Any:
        sandbox.client.set(client_of(named.get("request")))
        return await super().process_api(*args, **named)

    @override
    async def preprocess_data(self, event: Any, inputs: Any, *more: Any, **named: Any) -> Any:
        named_as_files = [
            {"path": value} if isinstance(value, str) and isinstance(part, TAKE_FILES) else value
            for part, value in zip(event.inputs, inputs, strict=False)
        ]
        checked = traverse([*named_as_files, *inputs[len(named_as_files) :]], checked_file, is_file)
        try:
            return await super().preprocess_data(event, checked, *more, **named)
        except gr.Error:
            raise
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            if isinstance(error.__cause__, OSError):  # of the disk
                raise
            log.debug("arguments that do not fit: %s", type(error).__name__)
            raise gr.Error(WRONG_ARGUMENTS, print_exception=False) from error


def client_of(request: Any) -> str:
    """Return whom pictures are opened for.

    That is the network of a request, or its session where the address tells nothing.
    """
    client = getattr(request, "client", None)
    return network_of(getattr(client, "host", "")) or str(
        getattr(request, "session_hash", None) or ""
    )


def is_file(value: object) -> bool:
    """Tell whether Gradio, or one of its components, could take this for a file."""
    return isinstance(value, dict) and any(value.get(key) is not None for key in ("path", "url"))


def checked_file(file: dict[str, Any]) -> dict[str, Any]:
    """Return the same file, by a path that may be opened.

    Raises `gr.Error`.
    """
    named = file.get("path")
    path = uploaded(file["url"] if named is None else named)
    return {**file, "path": str(path), "url": None, "is_stream": False, "meta": META}


def uploaded(address: object) -> Path:
    """Return the upload that is meant: by its path, its address here, or as a data: URL.

    Raises `gr.Error` for anything else; nothing is ever fetched.
    """
    text = str(address)
    try:
        if text.startswith("data:"):
            return Path(save_base64_to_cache(text, get_upload_folder()))
        own = OWN_FILE.fullmatch(text)
        path = Path(unquote(own[1]) if own else text)
        real = path.resolve(strict=True)  # where links and dots lead
        is_upload = real.is_file() and real.is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError, IndexError):
        is_upload = False
    if not is_upload:
        raise gr.Error(NOT_UPLOADED, print_exception=False)
    return path
