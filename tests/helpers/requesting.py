"""What tests of the server share: requests as a program sends them, well-formed or not."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from helpers.browsing import PAINTING, PHOTO
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED

SECRETS = {
    name: f"hf_planted{name.replace('_', '').lower()}"
    for name in ("HF_TOKEN", "NST_GALLERY_TOKEN", "OAUTH_CLIENT_SECRET")
}

META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of jobs, with a photo that is nobody's business."""
    folder = tmp_path_factory.mktemp("jobs")
    shutil.copy(PHOTO, folder / "private.jpg")
    return folder


@pytest.fixture(scope="module")
def server(jobs: Path) -> Iterator[Server]:
    """The page; whatever it is sent, nothing falls over."""
    with running_server(jobs, environment=SECRETS, plant=SERVED) as server:
        yield server
        assert server.trouble() == ""


@pytest.fixture(scope="module")
def web(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as web:
        yield web


def sent(web: httpx.Client, name: str = "photo.jpg", data: bytes | None = None) -> str:
    """The path of an upload."""
    files = {"files": (name, PHOTO.read_bytes() if data is None else data)}
    (path,) = web.post("/gradio_api/upload", files=files).raise_for_status().json()
    return str(path)


def connected(server: Server) -> contextlib.closing[socket.socket]:
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    return contextlib.closing(socket.create_connection((address.hostname, address.port), 60))


def head_of(path: str, length: str) -> bytes:
    content = "multipart/form-data; boundary=b" if path.endswith("upload") else "application/json"
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content}\r\n{length}\r\n\r\n"
    ).encode()


def arguments(web: httpx.Client, **changes: Any) -> list[Any]:
    """What `/stylize` is called with: two uploads, unless it is changed."""
    painting = {"path": sent(web, "style.jpg", PAINTING.read_bytes()), "meta": META}
    given = {"content": painting, "style": painting, "size": 64, "iterations": 1, **changes}
    info = web.get("/gradio_api/info").json()["named_endpoints"]["/stylize"]["parameters"]
    return [given.get(p["parameter_name"], p.get("parameter_default")) for p in info]


def call(web: httpx.Client, data: list[Any]) -> str:
    """What comes of a call, as text."""
    event = web.post("/gradio_api/call/stylize", json={"data": data}).raise_for_status().json()
    return web.get(f"/gradio_api/call/stylize/{event['event_id']}").text
