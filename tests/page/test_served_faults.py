"""What can fail around a running page, made to fail: disks, helpers, clocks, visitors.

Each fault ends with a picture or one plain sentence, and the same server paints the next job.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import resource
import secrets
import signal
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from helpers.browsing import (
    LONG,
    PHOTO,
    Visit,
    downloaded,
    move_slider,
    open_fold,
    set_slider,
    start,
    status,
    stop,
    upload,
    wait_for_iteration,
)
from helpers.places import ROOT
from helpers.requesting import META, arguments, call, connected, head_of, sent, web
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED
from helpers.waiting import until
from nst.images.sandbox import DEFEATED
from nst.images.writing import png_bytes
from nst.studio.task import UNEXPECTED
from page.http.bounded_blocks import NOT_UPLOADED

__all__ = ["web"]  # a fixture

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc of Linux")
PATIENCE = 30.0  # seconds until a test that hangs fails
SOON = 20_000  # milliseconds for what a visitor sees at once
SICK = 13  # the seed of a job that fails on its way
SECRET = "nobody's business: /etc/passwd"
PLANT = f"""
import functools, os, time
now = time.time
time.time = lambda: now() + float(open(os.environ["CLOCK"]).read() or 0)
{SERVED}
import nst.studio.backends.local, page.api
page.api.is_read = functools.partial(page.api.is_read, most=10)
paint = nst.studio.backends.local.transfer_style
def paint_or_fail(content, styles, settings, **options):
    for step in paint(content, styles, settings, **options):
        if settings.seed == {SICK} and step.iteration == 3:
            raise RuntimeError({SECRET!r})
        yield step
nst.studio.backends.local.transfer_style = paint_or_fail
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server of these tests keeps: `jobs`, `uploads`, and the seconds that its `clock` is
    ahead."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """The page, some of whose jobs fail."""
    (folder / "clock").write_text("0")
    environment = {
        "CLOCK": str(folder / "clock"),
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
    }
    with running_server(folder / "jobs", environment=environment, plant=PLANT) as server:
        yield server


@contextlib.contextmanager
def nothing_logged(server: Server) -> Iterator[None]:
    """No error is logged in the block."""
    before = len(server.log())
    yield
    log = server.log()[before:]
    assert "Traceback" not in log, log
    assert "ERROR" not in log, log


def assert_serves(web: httpx.Client) -> None:
    """The next two uploads become a picture."""
    answer = call(web, arguments(web, content=unseen(web)))
    assert "event: complete" in answer, answer[-300:]


def unseen(web: httpx.Client) -> dict[str, Any]:
    """An upload that nobody has opened: what was opened is remembered."""
    picture = Image.frombytes("RGB", (24, 24), secrets.token_bytes(3 * 24 * 24))
    return {"path": sent(web, "unseen.png", png_bytes(picture)), "meta": META}


def assert_says(answer: str, sentence: str) -> None:
    """A failed call ends with that sentence, and nothing of where it happened."""
    assert "event: error" in answer, answer[-300:]
    end = answer[answer.index("event: error") :]
    assert sentence in end
    for inner in ("Traceback", SECRET, "/tmp", str(ROOT), ".py"):
        assert inner not in end


# --- Errors -------------------------------------------------------------------------------------


@pytest.mark.real
def test_an_error_on_the_way_is_a_sentence_for_programs(server: Server, web: httpx.Client) -> None:
    before = len(server.log())
    assert_says(call(web, arguments(web, seed=SICK, iterations=6)), UNEXPECTED)
    until(lambda: SECRET in server.log()[before:], "it is logged, for us to mend")
    assert_serves(web)


@pytest.mark.real
def test_an_upload_that_is_gone_is_a_sentence(server: Server, web: httpx.Client) -> None:
    data = arguments(web)
    Path(data[0]["path"]).unlink()
    with nothing_logged(server):
        assert_says(call(web, data), NOT_UPLOADED)
        assert_serves(web)


# --- Disks --------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """No file of the server can grow in the block."""
    endless = resource.RLIM_INFINITY
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, endless))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (endless, endless))


@ON_LINUX
@pytest.mark.real
def test_an_upload_for_which_there_is_no_room_is_a_sentence(
    server: Server, web: httpx.Client, folder: Path
) -> None:
    before = half_uploads(folder)
    with full_disk(server):
        answer = web.post("/gradio_api/upload", files={"files": ("a.jpg", PHOTO.read_bytes())})
    assert answer.status_code >= 400
    assert str(folder) not in answer.text
    assert answer.text.endswith(".")
    assert half_uploads(folder) == before, "nothing is left of it"
    assert_serves(web)


@ON_LINUX
@pytest.mark.real
def test_a_result_for_which_there_is_no_room_is_a_sentence(
    server: Server, web: httpx.Client
) -> None:
    data = arguments(web)
    with full_disk(server):
        answer = call(web, data)
    assert "event: error" in answer, answer[-300:]
    assert re.search(r'"error": ?"[A-Z][^"]+\."', answer), answer[-300:]
    assert "/tmp" not in answer
    assert_serves(web)


def half_uploads(folder: Path) -> set[Path]:
    return {path for path in (folder / "uploads").glob("tmp*") if path.is_file()}


# --- Helpers ------------------------------------------------------------------------------------


def decoder_of(server: Server) -> int:
    """The process in which pictures are opened."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    for pid in " ".join(task.read_text() for task in tasks).split():
        if b"nst.images.sandbox" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    raise AssertionError("no picture was opened yet")


@ON_LINUX
@pytest.mark.real
def test_a_decoder_killed_while_it_waits_costs_nothing(server: Server, web: httpx.Client) -> None:
    assert_serves(web)
    before = decoder_of(server)
    os.kill(before, signal.SIGKILL)
    assert_serves(web)
    assert decoder_of(server) != before


@ON_LINUX
@pytest.mark.real
def test_a_decoder_killed_over_a_picture_costs_that_picture(
    server: Server, web: httpx.Client
) -> None:
    assert_serves(web)
    data, answers = arguments(web, content=unseen(web)), list[str]()
    pid = decoder_of(server)
    os.kill(pid, signal.SIGSTOP)  # it will be in the middle of it for as long as it takes
    caller = threading.Thread(target=lambda: answers.append(call(web, data)))
    caller.start()
    with open(f"/proc/{pid}/fd/0", "rb") as requests:
        until(lambda: waiting_in(requests.fileno()), "it has the picture")
    with nothing_logged(server):
        os.kill(pid, signal.SIGKILL)
        caller.join(LONG / 1000)
        assert_says(answers[0], DEFEATED)
        assert_serves(web)


def waiting_in(pipe: int) -> int:
    """Bytes that nobody has read yet."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(count)


# --- Visitors that go ---------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_an_upload_that_breaks_off_leaves_nothing(
    server: Server, web: httpx.Client, folder: Path, how: str
) -> None:
    start = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    before = half_uploads(folder)
    with nothing_logged(server):
        with connected(server) as connection:
            connection.sendall(head_of("/gradio_api/upload", "Content-Length: 1000000"))
            connection.sendall(start + PHOTO.read_bytes()[:200_000])
            until(lambda: half_uploads(folder) > before, "half of it is there")
            if how == "reset":
                never_linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, never_linger)
        until(lambda: half_uploads(folder) == before, "half of it goes")
        assert_serves(web)


@pytest.mark.real
def test_a_program_that_hangs_up_gives_its_place(server: Server, web: httpx.Client) -> None:
    data = arguments(web, iterations=1000)
    with nothing_logged(server):
        event = web.post("/gradio_api/call/stylize", json={"data": data}).json()["event_id"]
        with (
            httpx.Client(base_url=server.url, timeout=60) as gone,
            gone.stream("GET", f"/gradio_api/call/stylize/{event}") as answer,
        ):
            for line in answer.iter_lines():
                if '"iteration"' in line:
                    break  # it is being painted, and nobody will hear of it
        began = time.monotonic()
        assert_serves(web)
        assert time.monotonic() - began < LONG / 1000


@pytest.mark.real
def test_a_program_that_never_listens_gives_its_place(server: Server, web: httpx.Client) -> None:
    data = arguments(web, iterations=1000)
    with nothing_logged(server):
        web.post("/gradio_api/call/stylize", json={"data": data}).raise_for_status()
        assert_serves(web)


# --- Nowhere to write ---------------------------------------------------------------------------


@pytest.mark.browser
def test_a_page_with_nowhere_to_keep_anything_paints_and_delivers(
    visit: Visit, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    environment = {"XDG_CACHE_HOME": str(tmp_path / "file"), "NST_JOBS": ""}
    with running_server(environment=environment, plant=SERVED) as sealed:
        page = visit(url=sealed.url, is_cut_off=True)  # in the end
        for iterations in (3, 4):
            start(page, size=64, iterations=iterations)
            status(page, f"{iterations} of {iterations} iterations")
            assert downloaded(page).width == 64
        expect(page.locator("#gallery .card")).to_have_count(2)
        assert sealed.trouble() == ""
    assert sealed.trouble() == ""


# --- On the page --------------------------------------------------------------------------------


def another_tab(page: Page) -> Page:
    """Of the same visitor."""
    tab = page.context.new_page()
    tab.goto(page.url)
    return tab


def finish(page: Page, iterations: int = 3) -> None:
    start(page, size=64, iterations=iterations)
    status(page, f"{iterations} of {iterations} iterations")


@pytest.mark.browser
def test_an_error_on_the_way_is_a_sentence_on_the_page(server: Server, visit: Visit) -> None:
    page = visit()
    open_fold(page, "advanced")
    seed = page.locator("#advanced").get_by_label("Seed")
    seed.fill(str(SICK))
    seed.blur()
    start(page, size=64, iterations=6)
    status(page, UNEXPECTED)
    assert SECRET not in page.content()
    assert downloaded(page).width == 64, "the picture so far"
    seed.fill("0")
    seed.blur()
    finish(page)


@pytest.mark.browser
def test_an_upload_that_is_gone_is_a_sentence_on_the_page(
    server: Server, visit: Visit, folder: Path
) -> None:
    page = visit(is_cut_off=True)  # it may want to show the upload
    go = page.get_by_role("button", name="Stylize", exact=True)
    with nothing_logged(server):
        upload(page, "content", PHOTO)
        finish(page)
        for path in (folder / "uploads").rglob(PHOTO.name):
            path.unlink()
        go.click()
        expect(page.locator(".toast-body").last).to_contain_text(NOT_UPLOADED, timeout=LONG)
        expect(go).to_be_enabled(timeout=SOON)
        upload(page, "content", PHOTO)
        finish(page, iterations=4)


@pytest.mark.browser
def test_two_clicks_are_one_picture(server: Server, visit: Visit) -> None:
    page = visit()
    set_slider(page, "Size", 64)
    set_slider(page, "Iterations", 3)
    with nothing_logged(server):
        page.get_by_role("button", name="Stylize", exact=True).dblclick()
        status(page, "3 of 3 iterations")
        page.evaluate("for (const _ of Array(5)) document.querySelector('#stylize').click()")
        expect(page.locator("#gallery .card")).to_have_count(2, timeout=LONG)
        status(page, "3 of 3 iterations")
        again = another_tab(page)
        expect(again.locator("#gallery .card")).to_have_count(2, timeout=LONG)


@pytest.mark.browser
def test_a_hundred_clicks_leave_a_page_that_paints(server: Server, visit: Visit) -> None:
    """As fast as the page takes them."""
    page = visit()
    set_slider(page, "Size", 64)
    set_slider(page, "Iterations", 900)
    with nothing_logged(server):
        clicks = page.evaluate(
            """async () => {
                let clicks = 0;
                while (clicks < 100) {
                    for (const id of ["#stylize", "#stop"]) {
                        const button = document.querySelector(id);
                        if (!button.disabled) { button.click(); clicks += 1; }
                    }
                    await new Promise((done) => setTimeout(done, 5));
                }
                return clicks;
            }"""
        )
        assert clicks >= 100
        settle(page)
        finish(page)
        assert downloaded(page).width == 64
        again = another_tab(page)
        expect(again.locator("#gallery .card.finished")).to_have_count(1, timeout=LONG)
        expect(again.locator("#gallery .card:is(.running, .waiting)")).to_have_count(0)


def settle(page: Page) -> None:
    """Press Stop whenever it can be pressed, until the last of many clicks has been answered: for
    three seconds nothing is painted, and Stylize can be pressed."""
    page.wait_for_function(
        """() => {
            const [go, stop] = ["#stylize", "#stop"].map((id) => document.querySelector(id));
            if (!stop.disabled) stop.click();
            const live = document.querySelector("#gallery .card:is(.running, .waiting)");
            window.looks = go.disabled || live ? 0 : (window.looks ?? 0) + 1;
            return window.looks > 15;
        }""",
        timeout=LONG,
        polling=200,
    )


def job_on(page: Page) -> str:
    """The id of the job on the stage."""
    return page.locator("#current textarea").input_value()


def look(url: str, job: str, shown: threading.Semaphore) -> dict[str, Any]:
    """What a tab does, without the browser: follows what is painted to its end, and returns the
    last look at it."""
    has_begun = False
    with httpx.Client(base_url=url, timeout=LONG / 1000) as web:
        web.get("/").raise_for_status()
        while True:
            seen: dict[str, Any] = web.get(f"/studio/{job}/look.json?due=2").json()
            if "Iteration" in seen.get("status", "") and not has_begun:
                has_begun = True
                shown.release()
            if not seen["isLive"]:
                return seen


@pytest.mark.browser
def test_fifty_tabs_show_one_picture(server: Server, visit: Visit) -> None:
    page, shown = visit(), threading.Semaphore(0)
    with nothing_logged(server), ThreadPoolExecutor(50) as pool:
        start(page, iterations=1000)
        wait_for_iteration(page, 1)
        job = job_on(page)
        tabs = [pool.submit(look, server.url, job, shown) for _ in range(50)]
        for _ in tabs:
            assert shown.acquire(timeout=LONG / 1000)
        stop(page)
        status(page, "Stopped after")
        for tab in tabs:
            assert tab.result(LONG / 1000)["task"] == job
        finish(page)
        finish(visit())


@pytest.mark.browser
def test_any_number_of_tabs_follows_one_picture(server: Server, visit: Visit) -> None:
    """A browser opens six connections to a server; a tab that looks needs one for a moment."""
    page = visit()
    with nothing_logged(server):
        start(page, iterations=1000)
        before = wait_for_iteration(page, 1)
        others = [another_tab(page) for _ in range(8)]
        for tab in (page, *others):
            tab.bring_to_front()
            before = wait_for_iteration(tab, before)
        move_slider(others[-1], "Style weight β", "10")
        page.bring_to_front()
        expect(page.get_by_label("number input for Style weight β")).to_have_value(
            "10", timeout=LONG
        )
        page.bring_to_front()
        stop(page)
        for tab in (page, *others):
            tab.bring_to_front()
            status(tab, "Stopped after")


@pytest.mark.browser
def test_a_clock_that_jumps_is_not_seen_in_line(server: Server, visit: Visit, folder: Path) -> None:
    first, second = visit(is_cut_off=True), visit(is_cut_off=True)  # reloads end their streams
    with nothing_logged(server):
        start(first, iterations=1000)
        wait_for_iteration(first, 1)
        start(second, size=64, iterations=3)
        status(second, "In the queue")
        for days in (2, -2, 0):
            (folder / "clock").write_text(str(days * 24 * 3600))
            for _ in range(2):
                with second.expect_response(lambda answer: "look.json" in answer.url):
                    pass
            expect(second.locator("#status")).to_contain_text("In the queue", timeout=LONG)
            text = second.locator("#status").inner_text()
            assert not re.search(r"-\d|\d{3}", text), text
        (folder / "clock").write_text(str(2 * 24 * 3600))
        stop(first)
        status(first, "Stopped after")
        status(second, "3 of 3 iterations")
        for page in (first, second):
            page.reload()
            expect(page.locator("#gallery .card")).to_have_count(1, timeout=LONG)
            assert downloaded(page).width in (64, 128)  # the second one's, the first one's
        (folder / "clock").write_text("0")
