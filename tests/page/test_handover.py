"""SIGTERM: a real server leaves what it paints, and another on the same folder goes on with it."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
from PIL import Image

from helpers.browsing import LONG, Visit, start, status, stop, wait_for_iteration
from helpers.painting import tone
from helpers.proxy import wire_to
from helpers.requesting import arguments
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED
from helpers.waiting import until
from nst.images.recipe import read_recipe
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.job_store import JobStore
from nst.studio.server_presence import ServerPresence
from nst.studio.task import share_id
from nst.studio.workshop import CLOSING, Workshop
from page.studio import Studio

LEAVES_WITHIN = 10.0  # seconds
LONG_ITERATION = (
    SERVED
    + """
import time
import nst.studio.backends.local as local
paint = local.transfer_style
def endless(*arguments, **options):
    for step in paint(*arguments, **options):
        if step.iteration == 15:  # which is three seconds later, and one checkpoint
            print("a long iteration", flush=True)
            time.sleep(600)
        yield step
local.transfer_style = endless
"""
)


def served(jobs: Path, plant: str = SERVED) -> contextlib.AbstractContextManager[Server]:
    """A server that paints on while nobody looks."""
    return running_server(jobs, grace=600.0, plant=plant)


def offer(jobs: Path, photo: Image.Image, painting: Image.Image) -> str:
    """Leave a long job in the folder, as a server does; return its id."""
    settings = TransferSettings(size=64, iterations=1000)
    job = Job(photo, [painting], settings, visitor="jane", engine=tone)
    store = JobStore(jobs)
    store.save(job)
    store.handover.offer({job.id: settings})
    return job.id


def wait_for_picture(jobs: Path, id: str) -> None:
    until((jobs / id / "picture.png").exists, "a picture on disk")


def look(server: Server, id: str) -> httpx.Response:
    return httpx.get(f"{server.url}/studio/{id}/look.json?due=60", timeout=60)


def seen(server: Server, id: str) -> dict[str, Any]:
    answer: dict[str, Any] = look(server, id).raise_for_status().json()
    return answer


def reached(jobs: Path, id: str) -> int:
    return read_recipe(jobs / id / "picture.png").iterations


def told_to_leave(server: Server) -> Callable[[], float]:
    """Send SIGTERM; return what waits for the end and returns the seconds until it."""
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)

    def ended() -> float:
        server.process.wait(timeout=60)
        return time.monotonic() - began

    return ended


@pytest.mark.slow
def test_another_server_goes_on(tmp_path: Path, photo: Image.Image, painting: Image.Image) -> None:
    with contextlib.ExitStack() as servers:
        first = servers.enter_context(served(tmp_path))
        id = offer(tmp_path, photo, painting)
        wait_for_picture(tmp_path, id)
        record = tmp_path / id / "job.json"
        until(lambda: '"server"' in record.read_text(), "a record of the first server's")
        second = servers.enter_context(served(tmp_path))
        elsewhere = look(second, id)
        assert (elsewhere.status_code, elsewhere.headers["Retry-After"]) == (503, "10")
        assert "handed over" in elsewhere.text
        assert told_to_leave(first)() < LEAVES_WITHIN
        assert first.process.returncode == 0
        before = reached(tmp_path, id)  # the second server may paint already
        assert 0 < before < 1000
        until(lambda: look(second, id).status_code == 200, "the second server has the job")
        assert seen(second, id)["isLive"]
        until(lambda: reached(tmp_path, id) > before, "the second server paints on")
        recipe = read_recipe(tmp_path / id / "picture.png")
        begins = [passage.iteration for passage in recipe.passages]
        assert len(begins) == 2
        assert 0 < begins[1] <= before
        assert seen(second, id)["isLive"]
        assert not list((tmp_path / "handed-over").iterdir())
        assert first.trouble() == second.trouble() == ""
    assert list((tmp_path / "handed-over").iterdir())  # the second one was ended as well


@pytest.mark.slow
def test_the_next_server_goes_on_whenever_it_comes(
    tmp_path: Path, photo: Image.Image, painting: Image.Image
) -> None:
    with served(tmp_path):
        id = offer(tmp_path, photo, painting)
        wait_for_picture(tmp_path, id)
    before = reached(tmp_path, id)
    with served(tmp_path):
        until(lambda: reached(tmp_path, id) > before, "the second server paints on")


@pytest.mark.slow
def test_a_server_without_a_port_takes_nothing(
    tmp_path: Path, photo: Image.Image, painting: Image.Image
) -> None:
    id = offer(tmp_path, photo, painting)
    mark = tmp_path / "handed-over" / id
    offered = mark.stat()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, only = taken.getsockname()[1], {"GRADIO_NUM_PORTS": "1"}
        with (
            pytest.raises(RuntimeError, match="Cannot find empty port"),
            running_server(tmp_path, port=port, environment=only, plant=SERVED),
        ):
            raise AssertionError("it was served")
    assert mark.stat() == offered


@pytest.mark.slow
def test_a_long_iteration_does_not_hold_a_server(
    tmp_path: Path, photo: Image.Image, painting: Image.Image
) -> None:
    with served(tmp_path, plant=LONG_ITERATION) as first:
        id = offer(tmp_path, photo, painting)
        first.wait_for("a long iteration")
        ended = told_to_leave(first)
        until(lambda: "draining" in first.log(), "the server drains")
        answer = httpx.get(f"{first.url}/healthz", timeout=60)  # requests are still answered
        assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
        with httpx.Client(base_url=first.url, timeout=60) as web:
            data = arguments(web, iterations=3)
            event = web.post("/gradio_api/call/stylize", json={"data": data}).json()["event_id"]
            assert CLOSING in web.get(f"/gradio_api/call/stylize/{event}").text
        assert ended() < LEAVES_WITHIN
        assert first.process.returncode == 0
    before = reached(tmp_path, id)
    assert before < 15
    with served(tmp_path):
        until(lambda: reached(tmp_path, id) > 15, "the second server paints on")


@pytest.mark.slow
def test_gradio_s_debugging_hides_no_signal(tmp_path: Path) -> None:
    with running_server(tmp_path, environment={"GRADIO_DEBUG": "1"}, plant=SERVED) as server:
        assert told_to_leave(server)() < LEAVES_WITHIN
        assert server.process.returncode == 0
        assert "draining" in server.log()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_to_others(
    tmp_path: Path, photo: Image.Image, painting: Image.Image
) -> None:
    with served(tmp_path) as first:
        id = offer(tmp_path, photo, painting)
        wait_for_picture(tmp_path, id)
        first.process.send_signal(signal.SIGINT)
        first.process.wait(timeout=60)
        assert first.trouble() == ""
    assert not list((tmp_path / "handed-over").iterdir())
    assert '"state": "interrupted"' in (tmp_path / id / "job.json").read_text()


def test_a_page_that_is_opened_meanwhile_gets_a_sentence(
    unserved_studio: Studio,
    photo: Image.Image,
    painting: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = unserved_studio.session
    workshop, token = session.workshop, "a-visitor"
    job = Job(photo, [painting], TransferSettings(size=64), visitor=token, engine=tone)
    workshop.save(job)
    assert workshop.job_store
    other = ServerPresence(workshop.job_store.folder)
    workshop.job_store.presence = other
    workshop.save(job)  # by the other server, which lives
    workshop.job_store.presence = ServerPresence(workshop.job_store.folder)
    monkeypatch.setattr(Workshop.wait_for_job, "__defaults__", (0.0,))
    request = gr.Request(SimpleNamespace(query_params={}))
    updates = unserved_studio.visits.arrive(token, request)
    assert "handed over to another server" in str(updates[session.result_panel.status])
    assert job.id in updates[session.gallery]
    with pytest.raises(gr.Error, match="handed over to another server"):
        session.job_of(job.id)
    share = share_id(job.id)
    linked = gr.Request(SimpleNamespace(query_params={"result": share}))
    updates = unserved_studio.visits.arrive(token, linked)
    assert "handed over to another server" in str(updates[session.result_panel.status])
    with pytest.warns(UserWarning, match="handed over to another server"):
        unserved_studio.steering.dial(0.5, "", {"share": share})
    other.end()
    assert session.job_of(job.id)


@pytest.mark.browser
def test_a_page_that_looks_on_notices_little(visit: Visit, tmp_path: Path) -> None:
    with (
        served(tmp_path) as first,
        served(tmp_path) as second,
        wire_to(int(first.url.rpartition(":")[2])) as wire,
    ):
        page = visit(url=wire.url, is_cut_off=True)
        start(page, size=96, iterations=1000)
        before = wait_for_iteration(page, 3)
        ended = told_to_leave(first)
        assert ended() < LEAVES_WITHIN
        wire.target = ("127.0.0.1", int(second.url.rpartition(":")[2]))  # as a proxy does
        wait_for_iteration(page, before + 5)
        assert not re.search("restarted|lost|Interrupted", page.locator("body").inner_text())
        assert page.get_by_role("button", name="Stop", exact=True).is_enabled()
        stop(page)
        status(page, "Stopped after")
        page.wait_for_selector("#finish", timeout=LONG)
