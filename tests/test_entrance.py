"""The way in: what is refused before it is painted, and which network asks."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

import page.entrance
from nst.decoder import BUSY
from nst.forecast import TooLargeError
from nst.jobs import State, Task
from nst.limits import Limits
from nst.line import BusyError
from nst.settings import DEFAULTS, TransferSettings
from nst.workshop import Workshop
from page.endpoint import add_endpoint
from page.entrance import Entrance, source_of

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
    allowed = Entrance(Workshop()).expected(photo, [painting], settings)
    assert 0 < allowed.seconds < Limits().seconds
    hasty = Entrance(Workshop(limits=Limits(seconds=allowed.seconds / 2)))
    with pytest.raises(TooLargeError, match=r"There is room for .*\d iterations\.$"):
        hasty.expected(photo, [painting], settings)


def test_pictures_are_opened_by_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    entrance = Entrance(Workshop())
    monkeypatch.setattr(page.entrance, "load_network", lambda _: None)
    monkeypatch.setattr(page.entrance, "PATIENCE", 0.01)
    said: list[str] = []

    def come_in() -> None:
        try:
            with entrance.opened(DEFAULTS):
                said.append("in")
        except BusyError as error:
            said.append(str(error))

    with entrance.opened(DEFAULTS):
        other = threading.Thread(target=come_in)
        other.start()
        other.join()
    assert said == [BUSY]
    with pytest.raises(ZeroDivisionError), entrance.opened(DEFAULTS):
        raise ZeroDivisionError
    come_in()
    assert said == [BUSY, "in"]


def test_nobody_waits_for_a_network_that_somebody_else_has_to_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entrance, is_fetching, has_come = Entrance(Workshop()), threading.Event(), threading.Event()

    def fetch(settings: TransferSettings) -> None:
        if settings.weights == "hub":
            is_fetching.set()
            assert has_come.wait(PATIENCE)

    def come_in() -> None:
        with entrance.opened(DEFAULTS.replace(weights="hub")):
            pass

    monkeypatch.setattr(page.entrance, "load_network", fetch)
    other = threading.Thread(target=come_in)
    other.start()
    assert is_fetching.wait(PATIENCE)
    with entrance.opened(DEFAULTS):
        has_come.set()
    other.join(PATIENCE)
    assert not other.is_alive()


class Slow(Entrance):
    """A way in that takes until the test lets it."""

    def __init__(self) -> None:
        super().__init__(Workshop())
        self.entered, self.may_go_on = threading.Event(), threading.Event()
        self.tasks: list[Task] = []

    def submit(self, task: Task, seconds: float, request: gr.Request) -> None:
        self.tasks.append(task)
        self.entered.set()
        assert self.may_go_on.wait(PATIENCE)
        super().submit(task, seconds, request)


@pytest.mark.real
def test_a_program_that_leaves_while_its_pictures_are_opened_leaves_no_job(
    tmp_path: Path, photo: Image.Image, painting: Image.Image
) -> None:
    files = [tmp_path / "photo.png", tmp_path / "painting.png"]
    for image, file in zip((photo, painting), files, strict=True):
        image.save(file)
    entrance = Slow()
    with gr.Blocks() as demo:
        add_endpoint(entrance)
    (stylize,) = (event.fn for event in demo.fns.values())

    async def leave() -> None:
        results = stylize(*map(str, files), request_from("8.8.8.8"), size=64, iterations=1000)
        first = asyncio.ensure_future(anext(results))
        await asyncio.to_thread(entrance.entered.wait, PATIENCE)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        entrance.may_go_on.set()
        while entrance.tasks[0].state.is_live:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(leave(), PATIENCE))
    assert entrance.tasks[0].state is State.STOPPED
    assert not entrance.tasks[0].is_kept
