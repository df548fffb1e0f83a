"""Compress text answers, with Brotli or gzip: ASGI middleware.

It stands outside of `page.http.middleware`, which reads pages as they are written. Only answers to
GET are compressed: those to POST may hold what a visitor keeps secret beside what somebody else has
sent, and their length would tell (BREACH).
"""

from __future__ import annotations

import asyncio
import gzip
from collections import OrderedDict

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from page.http.etags import without_weakness

CODINGS = ("br", "gzip")  # the preferred one first
TEXT = (
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/plain",
)
SMALLEST = 1000  # bytes; less fits into one packet of the network anyway
LARGEST = 4_000_000  # bytes that an answer may hold in memory meanwhile

QUICK = {"br": 5, "gzip": 6}  # of what is made anew for each request; 218 KB take 5 ms
BEST = {"br": 11, "gzip": 9}  # of what is kept: a seventh smaller, and 200 times slower
LARGEST_BEST = 1_000_000  # bytes, which take a second
MOST_KEPT = 16_000_000  # bytes of compressed answers; all that Gradio has are less than ten


def coding_for(accept_encoding: str) -> str:
    """Return the coding that a client prefers, `br` or `gzip`, or "" where it takes neither."""
    weights = dict(map(weighted, accept_encoding.lower().split(",")))
    best = max(CODINGS, key=lambda coding: weights.get(coding, weights.get("*", 0.0)))
    return best if weights.get(best, weights.get("*", 0.0)) > 0 else ""


def weighted(part: str) -> tuple[str, float]:
    """Return a coding and its weight: `gzip;q=0.5`. One that cannot be read counts nothing."""
    name, _, weight = part.partition(";")
    try:
        return name.strip(), float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        return name.strip(), 0.0


def compress(body: bytes, coding: str, *, is_kept: bool) -> bytes:
    """Return the body in a coding, as small as can be if it will be kept."""
    quality = (BEST if is_kept and len(body) <= LARGEST_BEST else QUICK)[coding]
    if coding == "gzip":
        return gzip.compress(body, quality, mtime=0)
    packed: bytes = brotli.compress(body, mode=brotli.MODE_TEXT, quality=quality)
    return packed


class CompressedBodies:
    """An LRU cache of compressed bodies, by path, entity tag and coding, up to so many bytes.

    Belongs to the event loop. Requests for the same one at the same time wait for one computation.
    """

    def __init__(self, most_bytes: int = MOST_KEPT) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._kept: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._begun: dict[tuple[str, str, str], asyncio.Task[bytes]] = {}

    def find(self, path: str, tag: str, coding: str) -> bytes | None:
        """Return a body that is kept."""
        body = self._kept.get((path, tag, coding))
        if body is not None:
            self._kept.move_to_end((path, tag, coding))
        return body

    async def make(self, path: str, tag: str, coding: str, body: bytes) -> bytes:
        """Return the body in a coding, and keep it."""
        key = (path, tag, coding)
        if key not in self._begun:
            work = asyncio.to_thread(compress, body, coding, is_kept=True)
            self._begun[key] = asyncio.create_task(work)
            self._begun[key].add_done_callback(lambda task: self._end(key, task))
        return await asyncio.shield(self._begun[key])  # others may wait for it too

    def _end(self, key: tuple[str, str, str], task: asyncio.Task[bytes]) -> None:
        del self._begun[key]
        if task.cancelled() or task.exception():
            return
        self._kept[key] = task.result()
        self.bytes += len(task.result())
        while self.bytes > self.most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.bytes -= len(oldest)


class CompressionMiddleware:
    """Compress text of known length for clients that accept it.

    Event streams, pictures, films, ranges and small bodies pass as they are. What an answer calls
    immutable is compressed once.
    """

    def __init__(self, app: ASGIApp, kept: CompressedBodies | None = None) -> None:
        self.app = app
        self.kept = kept or CompressedBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        answer = CompressedAnswer(scope, send, self.kept)
        await self.app(scope, receive, answer.send)


class CompressedAnswer:
    """An answer under way, which is compressed as soon as all of it has come."""

    def __init__(self, scope: Scope, send: Send, kept: CompressedBodies) -> None:
        self._path: str = scope["path"]
        self._is_get = scope["method"] == "GET"
        headers = Headers(scope=scope)
        self._coding = coding_for(headers.get("accept-encoding", ""))
        self._held = headers.get("if-none-match", "")
        self._kept = kept
        self._send = send
        self._start: Message | None = None  # of an answer that is compressed
        self._body = bytearray()
        self._is_sent = False

    async def send(self, message: Message) -> None:
        """Send a message of ASGI on."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._start is None:
            await self._send(message)
        elif message["type"] == "http.response.body" and not self._is_sent:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_compressed(await self._compressed(bytes(self._body)))

    async def _begin(self, start: Message) -> None:
        headers = MutableHeaders(scope=start)
        if start["status"] == 304:
            self._weaken_where_held(headers)
        if not is_compressible(start["status"], headers):
            await self._send(start)
            return
        headers.add_vary_header("Accept-Encoding")
        if not self._coding or not self._is_get:
            await self._send(start)
            return
        self._start = start
        if self._is_immutable and (kept := self._kept.find(self._path, self._tag, self._coding)):
            await self._send_compressed(kept)

    async def _compressed(self, body: bytes) -> bytes:
        if self._is_immutable:
            return await self._kept.make(self._path, self._tag, self._coding, body)
        return await asyncio.to_thread(compress, body, self._coding, is_kept=False)

    async def _send_compressed(self, body: bytes) -> None:
        """Send all of the answer; what its maker still sends of the original is dropped."""
        assert self._start
        self._is_sent = True
        headers = MutableHeaders(scope=self._start)
        headers["Content-Encoding"] = self._coding
        headers["Content-Length"] = str(len(body))
        del headers["Accept-Ranges"]  # ranges are those of the original
        if self._tag:
            headers["ETag"] = f"W/{without_weakness(self._tag)}"
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})

    def _weaken_where_held(self, headers: MutableHeaders) -> None:
        """Name the form that a browser holds: a strong tag would be that of another one."""
        tag = without_weakness(headers.get("etag", ""))
        if tag and f"W/{tag}" in self._held:
            headers["ETag"] = f"W/{tag}"
            headers.add_vary_header("Accept-Encoding")

    @property
    def _tag(self) -> str:
        return Headers(raw=self._start["headers"]).get("etag", "") if self._start else ""

    @property
    def _is_immutable(self) -> bool:
        if not self._start or not self._tag:
            return False
        return "immutable" in Headers(raw=self._start["headers"]).get("cache-control", "")


def is_compressible(status: int, headers: Headers | MutableHeaders) -> bool:
    """Tell whether an answer is whole, text, and of a length that is worth it.

    A stream does not say its length.
    """
    length = headers.get("content-length", "")
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return (
        status == 200
        and media_type in TEXT
        and "content-encoding" not in headers
        and "no-transform" not in headers.get("cache-control", "")
        and length.isdecimal()
        and SMALLEST <= int(length) <= LARGEST
    )
