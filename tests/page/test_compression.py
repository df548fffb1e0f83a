"""Text is compressed for whoever accepts it, once where it never changes; all else passes."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import brotli
import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from page.http import compression
from page.http.caching import CachingMiddleware
from page.http.compression import (
    SMALLEST,
    CompressedBodies,
    CompressionMiddleware,
    coding_for,
    compress,
)
from page.http.middleware import SecurityMiddleware

TEXT = b"Vermilion, ochre and paper white. " * 100
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": '"a"'}
BROWSER = "gzip, deflate, br, zstd"

Make = Callable[[Request], Response]


def decoded(answer: httpx.Response) -> bytes:
    """The body of an answer whose bytes were taken as they came."""
    coding = answer.headers.get("Content-Encoding", "")
    raw = answer.extensions["raw"]
    assert answer.headers["Content-Length"] == str(len(raw))
    unpack: dict[str, Callable[[bytes], bytes]] = {
        "br": brotli.decompress,
        "gzip": gzip.decompress,
        "": bytes,
    }
    return unpack[coding](raw)


class Site:
    """An app with one route at any address, behind the middleware."""

    def __init__(self, make: Make, *middleware: Middleware) -> None:
        async def send(request: Request) -> Response:
            return make(request)

        route = Route("/{path:path}", send, methods=["GET", "POST"])
        layers = middleware or (Middleware(CompressionMiddleware),)
        self.app = Starlette(routes=[route], middleware=list(layers))

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            given = {"Accept-Encoding": BROWSER, **headers}
            async with (
                httpx.AsyncClient(transport=transport, base_url="http://page") as web,
                web.stream(method, path, headers=given) as answer,
            ):
                raw = b"".join([chunk async for chunk in answer.aiter_raw()])
                answer.extensions["raw"] = raw
                return answer

        return asyncio.run(ask())


def text(media_type: str = "text/html", body: bytes = TEXT, **headers: str) -> Make:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(body, headers=given, media_type=media_type)


# --- What is compressed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (BROWSER, "br"),
        ("gzip, deflate", "gzip"),  # a browser over plain http
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("BR", "br"),
        ("*", "br"),
        ("br;q=0, *;q=0.1", "gzip"),
        ("identity", ""),
        ("br;q=0, gzip;q=0", ""),
        ("gzip;q=nonsense", ""),
        ("", ""),
    ],
)
def test_the_coding_is_what_the_client_prefers(accepted: str, coding: str) -> None:
    assert coding_for(accepted) == coding
    answer = Site(text()).ask(**{"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding", "") == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert decoded(answer) == TEXT


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html; charset=utf-8",
        "text/javascript",
        "application/javascript",
        "text/css",
        "application/json",
        "application/manifest+json",
        "image/svg+xml",
        "text/plain",
    ],
)
def test_text_is_compressed(media_type: str) -> None:
    answer = Site(text(media_type)).ask()
    assert answer.headers["Content-Encoding"] == "br"
    assert len(answer.extensions["raw"]) < len(TEXT) / 10
    assert decoded(answer) == TEXT


# --- What is not --------------------------------------------------------------------------------


def ranged(_: Request) -> Response:
    return Response(TEXT, 206, {"Content-Range": "bytes 0-3399/9000"}, media_type="text/css")


@pytest.mark.parametrize(
    "make",
    [
        text("image/png"),
        text("image/jpeg"),
        text("video/mp4"),
        text("font/woff2"),
        text("application/octet-stream"),
        text("text/event-stream"),
        text(body=TEXT[: SMALLEST - 1]),
        text(Content_Encoding="zstd"),
        text(Cache_Control="no-transform"),
        ranged,
        lambda _: Response(TEXT, 500, media_type="text/plain"),
    ],
)
def test_what_must_stay_as_it_is_does(make: Make) -> None:
    answer, alone = Site(make).ask(), make(Request({"type": "http"}))
    assert answer.extensions["raw"] == alone.body
    assert answer.status_code == alone.status_code
    assert answer.headers.get("Content-Encoding") == alone.headers.get("Content-Encoding")


def test_answers_to_other_methods_stay_as_they_are() -> None:
    site = Site(text(ETag='"a"'))
    assert "Content-Encoding" not in site.ask(method="POST").headers
    head = site.ask(method="HEAD").headers
    assert (head["ETag"], head["Vary"]) == ('"a"', "Accept-Encoding")
    assert "Content-Encoding" not in head


@pytest.mark.parametrize("media_type", ["text/event-stream", "text/plain", "text/html"])
def test_each_part_of_a_stream_is_sent_at_once(media_type: str) -> None:
    sent: list[Message] = []

    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            bodies = [m.get("body") for m in sent if m["type"] == "http.response.body"]
            assert len(bodies) == number  # the one before has gone out already
            yield TEXT

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"accept-encoding", b"br")],
        "query_string": b"",
    }
    app = CompressionMiddleware(StreamingResponse(parts(), media_type=media_type))
    asyncio.run(app(scope, receive, send))
    assert [m.get("body") for m in sent[1:4]] == [TEXT] * 3


def test_other_connections_pass() -> None:
    passed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["type"])

    async def nothing(*_: object) -> Message:
        return {}

    asyncio.run(CompressionMiddleware(app)({"type": "lifespan"}, nothing, nothing))  # type: ignore[arg-type]
    assert passed == ["lifespan"]


# --- Entity tags --------------------------------------------------------------------------------


def conditional(request: Request) -> Response:
    """As most of the page's routes: 304 to whoever holds the content."""
    held = request.headers.get("if-none-match", "")
    if '"a"' in held:
        return Response(status_code=304, headers={"ETag": '"a"'})
    return Response(TEXT, headers={"ETag": '"a"'}, media_type="text/css")


def test_a_compressed_form_has_a_weak_tag_and_is_not_sent_again() -> None:
    site = Site(conditional)
    plain, packed = site.ask(**{"Accept-Encoding": "identity"}), site.ask()
    assert (plain.headers["ETag"], packed.headers["ETag"]) == ('"a"', 'W/"a"')
    for tag in ('"a"', 'W/"a"'):
        again = site.ask(**{"If-None-Match": tag})
        assert (again.status_code, again.headers["ETag"]) == (304, tag)
        assert again.extensions["raw"] == b""


# --- What never changes -------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What is compressed: with which coding, and whether it is kept."""
    calls: list[tuple[str, bool]] = []

    def counted(body: bytes, coding: str, *, is_kept: bool) -> bytes:
        calls.append((coding, is_kept))
        return compress(body, coding, is_kept=is_kept)

    monkeypatch.setattr(compression, "compress", counted)
    return calls


def test_what_is_immutable_is_compressed_once(made: list[tuple[str, bool]]) -> None:
    site = Site(lambda _: Response(TEXT, headers=FOREVER, media_type="text/javascript"))
    for _ in range(3):
        answer = site.ask("/a.js")
        assert (decoded(answer), answer.headers["ETag"]) == (TEXT, 'W/"a"')
    assert decoded(site.ask("/a.js", **{"Accept-Encoding": "gzip"})) == TEXT
    assert made == [("br", True), ("gzip", True)]
    assert decoded(site.ask("/b.js")) == TEXT  # another file with the same tag
    assert len(made) == 3


def test_what_may_change_is_compressed_each_time(made: list[tuple[str, bool]]) -> None:
    site = Site(text(ETag='"a"', Cache_Control="no-cache"))
    assert [decoded(site.ask()) for _ in range(2)] == [TEXT] * 2
    assert made == [("br", False)] * 2


def test_callers_at_the_same_time_share_one_computation(made: list[tuple[str, bool]]) -> None:
    bodies = CompressedBodies()

    async def all_at_once() -> list[bytes]:
        return await asyncio.gather(*(bodies.make("/a", '"a"', "br", TEXT) for _ in range(5)))

    assert set(map(brotli.decompress, asyncio.run(all_at_once()))) == {TEXT}
    assert len(made) == 1


def test_a_caller_who_hangs_up_takes_nothing_from_the_others() -> None:
    bodies = CompressedBodies()

    async def one_leaves() -> bytes:
        first = asyncio.create_task(bodies.make("/a", '"a"', "br", TEXT))
        second = asyncio.create_task(bodies.make("/a", '"a"', "br", TEXT))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert brotli.decompress(asyncio.run(one_leaves())) == TEXT


def test_what_is_kept_is_bounded() -> None:
    size = len(compress(TEXT, "gzip", is_kept=True))
    bodies = CompressedBodies(most_bytes=2 * size)

    async def fill() -> None:
        for name in "ab":
            await bodies.make(name, "", "gzip", TEXT)
        assert bodies.find("a", "", "gzip")  # and so it was used last
        await bodies.make("c", "", "gzip", TEXT)

    asyncio.run(fill())
    assert [bool(bodies.find(name, "", "gzip")) for name in "abc"] == [True, False, True]
    assert bodies.bytes == 2 * size


# --- Beside the other middleware ----------------------------------------------------------------


def test_a_page_is_compressed_with_the_hashes_of_its_scripts() -> None:
    script = "window.page = 1;" * 100
    page = f"<!doctype html><script>{script}</script>".encode()
    site = Site(text(body=page), Middleware(CompressionMiddleware), Middleware(SecurityMiddleware))
    answer = site.ask()
    assert answer.headers["Content-Encoding"] == "br"
    assert decoded(answer) == page
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["Content-Security-Policy"]


GRADIO = "/assets/Index-C71TU_Uc.js"


@pytest.fixture
def gradio(tmp_path: Path) -> Site:
    """A file as Gradio sends it: in parts, and with no word on caching."""
    file = tmp_path / "file.js"
    file.write_bytes(TEXT * 50)
    return Site(
        lambda request: Response("gone", 404) if "gone" in request.url.path else FileResponse(file),
        Middleware(CompressionMiddleware),
        Middleware(CachingMiddleware),
    )


@pytest.mark.parametrize(
    ("path", "is_immutable"),
    [
        (GRADIO, True),
        ("/assets/Index-Akn07EZk2.js", True),
        ("/assets/Blocks-0aNuD791.css", True),
        ("/theme.css?v=3257fc41560bf47c", True),
        ("/theme.css", False),
        ("/theme.css?v=3257fc41560bf47c&x=1", False),
        ("/assets/gone-C71TU_Uc.js", False),
        ("/assets/plain.js", False),
        ("/assets/sub/Index-C71TU_Uc.js", False),
        ("/static/js/iframeResizer.contentWindow.min.js", False),
        ("/", False),
    ],
)
def test_only_addresses_that_name_their_content_are_kept_for_good(
    gradio: Site, path: str, is_immutable: bool
) -> None:
    control = gradio.ask(path).headers.get("Cache-Control", "")
    assert control == (FOREVER["Cache-Control"] if is_immutable else "")


def test_gradios_files_are_compressed_once_and_not_sent_again(
    gradio: Site, made: list[tuple[str, bool]]
) -> None:
    answers = [gradio.ask(GRADIO) for _ in range(2)]
    assert [decoded(answer) for answer in answers] == [TEXT * 50] * 2
    assert made == [("br", True)]
    again = gradio.ask(GRADIO, **{"If-None-Match": answers[0].headers["ETag"]})
    assert (again.status_code, again.extensions["raw"]) == (304, b"")
    assert again.headers["ETag"] == answers[0].headers["ETag"]
    assert "Content-Length" not in again.headers


def test_a_range_of_gradios_files_stays_as_it_is(gradio: Site) -> None:
    answer = gradio.ask(GRADIO, Range="bytes=0-1999")
    assert (answer.status_code, answer.extensions["raw"]) == (206, (TEXT * 50)[:2000])
    assert "Content-Encoding" not in answer.headers
