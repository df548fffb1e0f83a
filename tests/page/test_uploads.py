"""Uploads on their way in: their form, their number, their pace, and what a refusal leaves."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from gradio.route_utils import upload_fn
from starlette.applications import Starlette
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Scope

import page.http.middleware
import page.http.uploads
from page.http.body_limits import MAX_TOOL_CALL, TOO_LARGE
from page.http.identifiers import RequestError
from page.http.middleware import SecurityMiddleware
from page.http.upload_space import UploadSpace
from page.http.uploads import (
    AT_ONCE_OF_A_NETWORK,
    MOST_FILES,
    MOST_TRACKED,
    NOT_A_FORM,
    NOT_FILES,
    TOO_MANY_FILES,
    TOO_MANY_UPLOADS,
    TOO_SLOW,
    BoundedUploadProgress,
    Pace,
    UploadForm,
    UploadsUnderWay,
)

pytestmark = pytest.mark.slow


FORM = "multipart/form-data; boundary=b"
PATH = "/gradio_api/upload"
PATIENCE = 30.0  # seconds until a test that hangs fails


def part(head: str = 'form-data; name="files"; filename="a.png"', data: bytes = b"it") -> bytes:
    return b"--b\r\nContent-Disposition: " + head.encode() + b"\r\n\r\n" + data + b"\r\n"


def form_of(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


# --- The form -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_files_are_counted_however_they_arrive(step: int) -> None:
    form, data = UploadForm(FORM), form_of(part(), part(data=b"\r\n--bogus"), part())
    for start in range(0, len(data), step):
        form.feed(data[start : start + step])
    assert form.files == 3


def refusal(*parts: bytes, content_type: str = FORM) -> tuple[str, int]:
    with pytest.raises(RequestError) as caught:
        UploadForm(content_type).feed(form_of(*parts))
    return str(caught.value), caught.value.http_status


def test_a_request_has_so_many_files() -> None:
    UploadForm(FORM).feed(form_of(*[part()] * MOST_FILES))
    assert refusal(*[part()] * (MOST_FILES + 1)) == (TOO_MANY_FILES, 413)


@pytest.mark.parametrize(
    "head",
    [
        'form-data; name="files"',  # a text, which would be held in memory
        'form-data; name="files"; filename=""',
        'form-data; filename="a.png"',
        'form-data; name=""; filename="a.png"',
        'form-data; name="other"; filename="a.png"',  # which nobody would delete
        "",
    ],
)
def test_each_part_is_a_file_with_a_name(head: str) -> None:
    assert refusal(part(head)) == (NOT_FILES, 400)


def test_a_parts_head_is_short() -> None:
    assert refusal(part(f'form-data; name="files"; filename="{"x" * 9000}"')) == (NOT_A_FORM, 400)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "multipart/form-data", f"multipart/form-data; boundary={'b' * 71}"],
)
def test_what_is_no_form_is_refused(content_type: str) -> None:
    assert refusal(part(), content_type=content_type) == (NOT_A_FORM, 400)


def test_a_broken_form_is_refused() -> None:
    with pytest.raises(RequestError, match=NOT_A_FORM):
        UploadForm(FORM).feed(b"no form at all")


# --- Their number -------------------------------------------------------------------------------


def test_a_network_has_so_many_uploads_at_once() -> None:
    uploads = UploadsUnderWay()
    several = [uploads.another("8.8.8.8/32") for _ in range(AT_ONCE_OF_A_NETWORK)]
    for upload in several:
        upload.__enter__()
    with pytest.raises(RequestError, match=TOO_MANY_UPLOADS), uploads.another("8.8.8.8/32"):
        pass
    with uploads.another("9.9.9.9/32"), uploads.another(""):
        pass
    for upload in several:
        upload.__exit__(None, None, None)
    with uploads.another("8.8.8.8/32"):
        pass


def test_progress_is_kept_for_so_many_and_for_nobody_who_never_came() -> None:
    async def attack() -> BoundedUploadProgress:
        progress = BoundedUploadProgress()
        for number in range(1000):
            progress.append(f"{number}", "a.png", b"it")
            progress.set_done(f"{number}")
        for number in range(1000):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(progress.is_tracked(f"never {number}"), 0)
        assert await progress.is_tracked("999")
        assert progress.is_done("999")
        progress.stop_tracking("999")
        return progress

    kept = vars(asyncio.run(attack()))
    assert {name: len(table) for name, table in kept.items()} == {
        "_statuses": MOST_TRACKED - 1,
        "_signals": MOST_TRACKED - 1,
    }


# --- Their pace, and the room that they take ------------------------------------------------------


@pytest.fixture
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client that never ends still sends is not read after a refusal."""
    monkeypatch.setattr("page.http.answer.LINGER_SECONDS", 0.0)


def test_who_sends_more_may_take_longer_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    pace = Pace()
    lefts = [pace.left(size) for size in (0, 8_000, 800_000, 25_000_000)]
    assert lefts == [20.0, 21.0, 120.0, 600.0]


class Sender:
    """A client that sends these, and then nothing while the connection is open."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.has_sent = asyncio.Event()

    async def __call__(self) -> Message:
        if self.chunks:
            return {"type": "http.request", "body": self.chunks.pop(0), "more_body": True}
        self.has_sent.set()
        await asyncio.Event().wait()
        raise AssertionError


def scope_of(length: int, address: str = "127.0.0.1") -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "headers": [(b"content-type", FORM.encode()), (b"content-length", b"%d" % length)],
        "client": (address, 1),
    }


def gradio_at(folder: Path) -> Callable[..., Awaitable[None]]:
    """Takes uploads as Gradio does."""

    async def take(scope: Scope, receive: Any, send: Any) -> None:
        try:
            files, _, _ = await upload_fn(Request(scope, receive), folder, 1e9, None)
        except MultiPartException as error:
            await PlainTextResponse(str(error), 400)(scope, receive, send)
        else:
            await JSONResponse(files)(scope, receive, send)

    return take


async def sent_to(app: Any, sender: Any, length: int, address: str = "127.0.0.1") -> list[Message]:
    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    await app(scope_of(length, address), sender, send)
    return answers


def test_stalled_uploads_are_given_up_and_keep_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was announced is not reserved; when it is too late, nothing of them is left."""
    monkeypatch.setattr(page.http.uploads, "FIRST_SECONDS", 3.0)
    app = SecurityMiddleware(
        gradio_at(tmp_path), upload_space=UploadSpace(tmp_path, most=60_000_000)
    )
    whole = form_of(part(data=b"x" * 1000))

    async def attack() -> None:
        senders = [Sender(part(data=b"x" * 200)) for _ in range(76)]
        stalled = [asyncio.create_task(sent_to(app, each, 26_000_000)) for each in senders]
        for sender in senders:
            await sender.has_sent.wait()
        assert len(list(tmp_path.iterdir())) == 76

        async def at_once() -> Message:
            return {"type": "http.request", "body": whole, "more_body": False}

        assert (await sent_to(app, at_once, 26_000_000))[0]["status"] == 200
        for answers in await asyncio.gather(*stalled):
            assert answers[0]["status"] == 408
            assert answers[1]["body"] == TOO_SLOW.encode()

    asyncio.run(asyncio.wait_for(attack(), PATIENCE))
    assert [path.is_dir() for path in tmp_path.iterdir()] == [True]  # the whole one


@pytest.mark.usefixtures("no_lingering")
def test_an_upload_that_finds_no_room_on_its_way_leaves_nothing(tmp_path: Path) -> None:
    app = SecurityMiddleware(gradio_at(tmp_path), upload_space=UploadSpace(tmp_path, most=300_000))

    async def attack() -> list[Message]:
        chunks = [part(data=b"x" * 100_000), *[b"x" * 100_000] * 9]
        return await sent_to(app, Sender(*chunks), 200_000)  # it sends more than it said

    answers = asyncio.run(asyncio.wait_for(attack(), PATIENCE))
    assert answers[0]["status"] == 503
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_lingering")
def test_many_small_files_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    app = SecurityMiddleware(gradio_at(tmp_path), upload_space=UploadSpace(tmp_path))

    async def attack() -> list[Message]:
        data = form_of(*[part(data=b"x")] * 1000)
        chunks = [data[start : start + 5000] for start in range(0, len(data), 5000)]
        return await sent_to(app, Sender(*chunks), len(data))

    answers = asyncio.run(asyncio.wait_for(attack(), PATIENCE))
    assert answers[0]["status"] == 413
    assert answers[1]["body"] == TOO_MANY_FILES.encode()
    assert list(tmp_path.iterdir()) == []


def test_any_body_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page.http.uploads, "FIRST_SECONDS", 0.2)

    async def read(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = SecurityMiddleware(Starlette(routes=[Route("/call", read, methods=["POST"])]))

    async def attack() -> int:
        async def stalling() -> AsyncIterator[bytes]:
            yield b"it"
            await asyncio.sleep(PATIENCE)

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as web:
            return (await web.post("/call", content=stalling())).status_code

    assert asyncio.run(asyncio.wait_for(attack(), PATIENCE)) == 408


# --- The refusal arrives ------------------------------------------------------------------------


@pytest.fixture
def served() -> Iterator[str]:
    """The app behind a real socket."""

    async def nothing(_: Request) -> PlainTextResponse:
        return PlainTextResponse("")

    app = SecurityMiddleware(
        Starlette(routes=[Route("/gradio_api/mcp/", nothing, methods=["POST"])])
    )
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(PATIENCE)


@pytest.mark.parametrize("size", [MAX_TOOL_CALL + 1, 5 * MAX_TOOL_CALL])
def test_a_client_that_sends_all_before_it_reads_gets_the_refusal(served: str, size: int) -> None:
    """The connection does not end under its hands."""
    address = urlsplit(served)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
    for _ in range(5):
        connection.request("POST", "/gradio_api/mcp/", bytes(size))
        answer = connection.getresponse()
        assert (answer.status, answer.read().decode()) == (413, TOO_LARGE)
    connection.close()
