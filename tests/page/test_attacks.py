"""Attacks on a started server: one client may take no more than its share of memory, disk, line and
decoder, and whoever is there already does not notice."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from benchmarks.gauge import contents, family, resident_bytes
from helpers.browsing import PAINTING, PHOTO
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED
from helpers.waiting import until
from nst.images.reading import MANY_SCANS
from page.http.event_queue import ENOUGH
from page.http.identifiers import NO_FUNCTION, ONE_RANGE
from page.http.request_limits import NOTHING_TO_HEAR, WRONG_ARGUMENTS
from page.http.sessions import ENOUGH_STREAMS, MOST_STREAMS
from page.http.uploads import NOT_FILES, TOO_MANY_FILES, TOO_SLOW

pytestmark = pytest.mark.real

LONG = 150.0  # seconds for what computes on a slow machine
SESSIONS = 60  # that the server remembers
PLANT = f"""
import page.http.sessions, page.http.event_queue, page.http.uploads
page.http.sessions.Sessions.__init__.__defaults__ = ({SESSIONS}, 30)
page.http.event_queue.LISTEN_WITHIN = 5.0
page.http.event_queue.SWEEP_EVERY = 0.5
page.http.uploads.FIRST_SECONDS = 4.0
{SERVED}
"""
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def server(uploads: Path) -> Iterator[Server]:
    """The page with less patience and fewer sessions, which trusts no proxy here. Whatever it is
    sent, nothing falls over."""
    environment = {
        "GRADIO_TEMP_DIR": str(uploads),
        "FORWARDED_ALLOW_IPS": "10.9.9.9",
        "NST_ALLOWED_HOSTS": "paint.example, *.paint.example",
    }
    with running_server(environment=environment, plant=PLANT) as server:
        yield server
        assert server.trouble() == ""


@pytest.fixture(scope="module")
def web(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=LONG) as web:
        yield web


@pytest.fixture(scope="module")
def dependencies(web: httpx.Client) -> dict[str, Any]:
    """The page's own events, by what they are to an attacker."""
    config = web.get("/config").json()
    parts = {part["id"]: part for part in config["components"]}
    (visitor,) = (id for id, part in parts.items() if part["type"] == "browserstate")
    (painting,) = (id for id, part in parts.items() if part["props"].get("elem_id") == "style")
    events = config["dependencies"]
    return {
        "arrive": next(e["id"] for e in events if [visitor] == e["inputs"]),
        "take": next(e["id"] for e in events if [painting] == e["inputs"] == e["outputs"]),
    }


def megabytes(server: Server) -> float:
    return sum(map(resident_bytes, family(server.process.pid))) / 1e6


def join(web: httpx.Client, function: int, session: str, *data: Any) -> httpx.Response:
    body = {"fn_index": function, "session_hash": session, "data": list(data)}
    return web.post("/gradio_api/queue/join", json=body)


def heard(web: httpx.Client, session: str) -> list[dict[str, Any]]:
    """All messages to a session until its events have ended."""
    lines = web.get("/gradio_api/queue/data", params={"session_hash": session}).text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line]


def uploaded(web: httpx.Client, data: bytes, name: str = "photo.jpg") -> dict[str, Any]:
    (path,) = web.post("/gradio_api/upload", files={"files": (name, data)}).json()
    return {"path": path, "meta": META}


def arguments(web: httpx.Client, **changes: Any) -> list[Any]:
    """What `/stylize` is called with."""
    given = {"size": 64, "iterations": 1, **changes}
    given.setdefault("content", uploaded(web, PHOTO.read_bytes()))
    given.setdefault("style", uploaded(web, PAINTING.read_bytes()))
    info = web.get("/gradio_api/info").json()["named_endpoints"]["/stylize"]["parameters"]
    return [given.get(p["parameter_name"], p.get("parameter_default")) for p in info]


def called(web: httpx.Client, data: list[Any]) -> str:
    """The event of a call of `/stylize` to which nobody listens yet."""
    answer = web.post("/gradio_api/call/stylize", json={"data": data}).raise_for_status()
    return str(answer.json()["event_id"])


def ending(web: httpx.Client, event: str) -> str:
    text = web.get(f"/gradio_api/call/stylize/{event}").text
    return text[text.rindex("event: ") :]


def assert_serves(web: httpx.Client) -> None:
    """The next visitor gets a picture."""
    assert "event: complete" in ending(web, called(web, arguments(web)))


def test_long_names_of_sessions_do_not_fill_the_memory(
    server: Server, web: httpx.Client, dependencies: dict[str, int]
) -> None:
    before = megabytes(server)
    answers = [
        join(web, dependencies["arrive"], f"{number}" + "x" * 900_000, "") for number in range(100)
    ]
    assert {answer.status_code for answer in answers} == {400}
    assert megabytes(server) - before < 50  # 110 before there was a limit
    assert_serves(web)


def test_many_sessions_do_not_cut_a_visitors_stream(
    server: Server, web: httpx.Client, dependencies: dict[str, int]
) -> None:
    """Those that came before and listen to nothing are forgotten instead."""
    event = called(web, arguments(web, iterations=1000))
    path = f"/gradio_api/call/stylize/{event}"
    with web.stream("GET", path) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if "event: generating" in line)
        for number in range(2 * SESSIONS):
            answer = join(web, dependencies["arrive"], f"tiny{number}", "")
            assert answer.status_code == 200
        rest = 0
        for line in lines:
            assert "event: error" not in line
            rest += "event: generating" in line
            if rest == 3 or "event: complete" in line:
                break
        assert rest
    with pytest.raises(httpx.RemoteProtocolError):  # as Gradio says it
        heard(web, "tiny0")


def test_unread_answers_do_not_fill_the_memory(
    server: Server, web: httpx.Client, dependencies: dict[str, int]
) -> None:
    before = megabytes(server)
    answers = Counter(
        join(web, dependencies["arrive"], "deaf", "x" * 900_000).status_code for _ in range(60)
    )
    assert set(answers) <= {200, 503}
    large = [join(web, dependencies["arrive"], "large", ["x" * 990_000]) for _ in range(9)]
    assert all(a.status_code == 200 or a.json() == {"detail": ENOUGH} for a in large)
    assert megabytes(server) - before < 50
    assert_serves(web)


def test_a_visitors_token_is_short(web: httpx.Client, dependencies: dict[str, int]) -> None:
    """What is no token is not sent back, and a new one is given."""
    join(web, dependencies["arrive"], "newcomer", "x" * 1000)
    (end,) = (m for m in heard(web, "newcomer") if m["msg"] == "process_completed")
    assert end["success"]
    assert "x" * 100 not in json.dumps(end)


def test_callers_who_never_listen_give_up_their_places(web: httpx.Client) -> None:
    """These would be painted for ten minutes."""
    data = arguments(web, iterations=1000)
    events = [called(web, data) for _ in range(40)]
    for _ in range(30):  # until one finds room
        end = ending(web, called(web, arguments(web)))
        if "event: complete" in end:
            break
    assert "event: complete" in end
    answer = web.get(f"/gradio_api/call/stylize/{events[0]}")
    assert (answer.status_code, answer.json()) == (404, {"detail": NOTHING_TO_HEAR})


def test_many_files_in_a_request_are_refused(web: httpx.Client, uploads: Path) -> None:
    before = contents(uploads)
    files = [("files", (f"{number}.png", b"x")) for number in range(1000)]
    for _ in range(5):
        answer = web.post("/gradio_api/upload", files=files)
        assert (answer.status_code, answer.text) == (413, TOO_MANY_FILES)
    until(lambda: contents(uploads) == before, "the refused files are deleted")  # after the answer


def connected(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname
    return socket.create_connection((address.hostname, address.port or 0), LONG)


def test_stalled_uploads_lock_nobody_out(server: Server, web: httpx.Client) -> None:
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 26000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b"x" * 200
    )
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(connected(server)) for _ in range(76)]
        for connection in stalled:
            connection.sendall(head)
        uploaded(web, PHOTO.read_bytes())
        for connection in stalled:
            said = b""
            while more := connection.recv(65536):
                said += more
            assert said.startswith(b"HTTP/1.1 408 ")
            assert said.endswith(TOO_SLOW.encode())


def many_scans() -> bytes:
    """A progressive JPEG file of 1.8 MB, with its last scan again and again."""
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 2000), "orange").save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:-2] + scan * (1_800_000 // len(scan)) + data[-2:]


def test_a_file_that_takes_long_to_open_keeps_nobody_out(
    web: httpx.Client, dependencies: dict[str, int]
) -> None:
    file = uploaded(web, many_scans(), "scans.jpg")
    for number in range(25):
        assert join(web, dependencies["take"], f"slow{number}", {"file": file}).status_code == 200
    assert_serves(web)
    said = [m.get("log", "") for m in heard(web, "slow24")]
    assert any(MANY_SCANS in text for text in said), said


def test_a_session_has_so_many_streams(server: Server, web: httpx.Client) -> None:
    path = "/gradio_api/heartbeat/many"
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            headers = {"Accept-Encoding": "identity"}  # or nothing comes before it is full
            answer = stack.enter_context(web.stream("GET", path, headers=headers))
            assert answer.status_code == 200
        answer = web.get(path)
        assert (answer.status_code, answer.json()) == (503, {"detail": ENOUGH_STREAMS})


def test_a_forged_address_counts_for_nothing(web: httpx.Client) -> None:
    """This server trusts no proxy on this machine: a public address would soon have had enough."""
    forged = {"X-Forwarded-For": "8.8.8.8"}
    for _ in range(600):
        answer = web.post("/gradio_api/reset", json={"event_id": "a"}, headers=forged)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("paint.example", 200),
        ("www.paint.example:443", 200),
        ("127.0.0.1:7860", 200),
        ("localhost", 200),
        ("evil.example", 400),
        ("paint.example.evil.example", 400),
        ("", 400),
    ],
)
def test_the_name_of_the_server_is_pinned(web: httpx.Client, host: str, status: int) -> None:
    assert web.get("/gradio_api/startup-events", headers={"Host": host}).status_code == status
    assert web.get("/healthz", headers={"Host": host}).status_code == status


def test_what_makes_no_sense_is_told_so(web: httpx.Client, dependencies: dict[str, int]) -> None:
    photo = uploaded(web, PHOTO.read_bytes())
    for ranges in ("bytes=0-1,3-4", "bytes=a-b"):
        answer = web.get(f"/gradio_api/file={photo['path']}", headers={"Range": ranges})
        assert (answer.status_code, answer.json()) == (416, {"detail": ONE_RANGE})
    for function in (-1, 10**6, 2**80):
        answer = join(web, function, "nobody")
        assert (answer.status_code, answer.json()) == (404, {"detail": NO_FUNCTION})
    for name in ("run", "call", "call/v2"):
        answer = web.post(f"/gradio_api/{name}/nothing", json={"data": []})
        assert (answer.status_code, answer.json()) == (404, {"detail": NO_FUNCTION})
    pictures: list[Any] = [5, True, [], "", {"path": 5}]
    for picture in pictures:
        data = arguments(web, content=picture, style=photo)
        answer = web.post("/gradio_api/run/stylize", json={"data": data})
        assert answer.status_code == 400, (picture, answer.text)
        assert answer.json()["error"], picture
    answer = web.post("/gradio_api/run/stylize", json={"data": [1, 2, 3]})
    assert (answer.status_code, answer.json()["error"]) == (400, WRONG_ARGUMENTS)
    answer = web.post("/gradio_api/call/v2/stylize", json={"nonsense": 1})
    assert (answer.status_code, answer.json()) == (400, {"detail": WRONG_ARGUMENTS})
    for name in ('name="files"; filename=""', 'name="files"', 'name="other"; filename="a"'):
        form = f"--b\r\nContent-Disposition: form-data; {name}\r\n\r\nx\r\n--b--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = web.post("/gradio_api/upload", content=form.encode(), headers=headers)
        assert (answer.status_code, answer.text) == (400, NOT_FILES)
