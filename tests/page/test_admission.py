"""The way in: what is refused before it is painted, and which network asks."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

import page.http.admission
from nst.errors import BusyError, TooLargeError
from nst.images.sandbox import BUSY
from nst.settings import DEFAULTS, TransferSettings
from nst.studio.limits import Limits
from nst.studio.task import State, Task
from nst.studio.workshop import Workshop
from page.api import API_SETTINGS, EACH, OPENERS, PICTURES, add_endpoint, api_value
from page.http.admission import Admission, source_of

PATIENCE = 30.0  # seconds until a test that hangs fails


def request_from(host: str | None) -> gr.Request:
    client = SimpleNamespace(host=host) if host is not None else None
    return gr.Request(SimpleNamespace(client=client))


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("8.8.8.8", "8.8.8.8/32"),
        ("2a00:1450:4001:81b::200e", "2a00:1450:4001:81b::/64"),
        ("127.0.0.1", ""),  # a proxy on this machine
        ("10.1.2.3", ""),
        ("::ffff:8.8.8.8", "8.8.8.8/32"),  # an IPv4 caller of a server that listens to both
        ("::1", ""),
        ("fe80::1%eth0", ""),
        ("testclient", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_only_addresses_of_the_internet_tell_networks_apart(host: str | None, source: str) -> None:
    assert source_of(request_from(host)) == source


@pytest.mark.real
def test_what_takes_longer_than_a_run_may_is_refused(
    photo: Image.Image, painting: Image.Image
) -> None:
    settings = TransferSettings(size=64, iterations=20)
    allowed = Admission(Workshop()).expected(photo, [painting], settings)
    assert 0 < allowed.seconds < Limits().seconds
    hasty = Admission(Workshop(limits=Limits(seconds=allowed.seconds / 2)))
    with pytest.raises(TooLargeError, match=r"\d iterations would fit\.$"):
        hasty.expected(photo, [painting], settings)


def test_pictures_are_opened_by_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(Workshop())
    monkeypatch.setattr("nst.studio.backends.local.load_network", lambda *_: None)
    monkeypatch.setattr(page.http.admission, "PATIENCE", 0.01)
    said: list[str] = []

    def come_in() -> None:
        try:
            with admission.opened(DEFAULTS):
                said.append("in")
        except BusyError as error:
            said.append(str(error))

    with admission.opened(DEFAULTS):
        other = threading.Thread(target=come_in)
        other.start()
        other.join()
    assert said == [BUSY]
    with pytest.raises(ZeroDivisionError), admission.opened(DEFAULTS):
        raise ZeroDivisionError
    come_in()
    assert said == [BUSY, "in"]


def test_nobody_waits_for_a_network_that_somebody_else_has_to_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admission, is_fetching, has_come = Admission(Workshop()), threading.Event(), threading.Event()

    def fetch(settings: TransferSettings, _: str) -> None:
        if settings.weights == "hub":
            is_fetching.set()
            assert has_come.wait(PATIENCE)

    def come_in() -> None:
        with admission.opened(DEFAULTS.replace(weights="hub")):
            pass

    monkeypatch.setattr("nst.studio.backends.local.load_network", fetch)
    other = threading.Thread(target=come_in)
    other.start()
    assert is_fetching.wait(PATIENCE)
    with admission.opened(DEFAULTS):
        has_come.set()
    other.join(PATIENCE)
    assert not other.is_alive()


class Slow(Admission):
    """A way in that takes until the test lets it."""

    def __init__(self) -> None:
        super().__init__(Workshop())
        self.entered, self.may_go_on = threading.Event(), threading.Event()
        self.tasks: list[Task] = []

    def ended(self) -> list[Task]:
        return [task for task in self.tasks if not task.state.is_live]

    def submit(self, task: Task, seconds: float, request: gr.Request) -> None:
        self.tasks.append(task)
        self.entered.set()
        assert self.may_go_on.wait(PATIENCE)
        super().submit(task, seconds, request)


@pytest.mark.real
def test_programs_that_leave_while_pictures_are_opened_leave_no_job(
    tmp_path: Path, photo: Image.Image, painting: Image.Image
) -> None:
    """Neither one whose pictures are being opened, nor one that waits for that."""
    files = [tmp_path / "photo.png", tmp_path / "painting.png"]
    for image, file in zip((photo, painting), files, strict=True):
        image.save(file)
    admission = Slow()
    with gr.Blocks() as demo:
        add_endpoint(admission)
    (stylize,) = (event.fn for event in demo.fns.values())

    values = [64 if name == "size" else api_value(name) for name in API_SETTINGS]
    values += [None] * len(PICTURES) + [""] * len(EACH)

    async def leave() -> None:
        request = request_from("8.8.8.8")
        calls = [
            asyncio.ensure_future(anext(stylize(*map(str, files), request, *values)))
            for _ in range(OPENERS + 3)
        ]
        await asyncio.to_thread(admission.entered.wait, PATIENCE)
        for call in calls:
            call.cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert set(map(type, ends)) == {asyncio.CancelledError}
        admission.may_go_on.set()

    asyncio.run(asyncio.wait_for(leave(), PATIENCE))
    deadline = time.monotonic() + PATIENCE
    while len(admission.ended()) < OPENERS and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(admission.tasks) == len(admission.ended()) == OPENERS
    assert {task.state for task in admission.tasks} == {State.STOPPED}
    assert not any(task.is_kept for task in admission.tasks)
