"""Sessions: how many there are, who gives way, and that nothing of them is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.routes import App
from starlette.middleware import Middleware

import page.http.event_queue
from nst.errors import BusyError
from page.http.bounded_blocks import BoundedBlocks
from page.http.event_queue import ENOUGH, SlimState, Unread, size_of
from page.http.following import Tabs
from page.http.request_limits import RequestLimits
from page.http.sessions import (
    ENOUGH_FROM_THERE,
    ENOUGH_STREAMS,
    MOST_STREAMS,
    NO_ROOM,
    Sessions,
)

PATIENCE = 30.0  # seconds until a test that hangs fails


# --- The table ----------------------------------------------------------------------------------


def test_the_least_lately_used_gives_way() -> None:
    sessions = Sessions(most=3)
    gone: list[str] = []
    sessions.when_dropped(gone.append)
    for name in ("a", "b", "c", "a", "d", "e"):
        sessions.enter(name, "")
    assert gone == ["b", "c"]
    assert [name in sessions for name in "abcde"] == [True, False, False, True, True]


def test_an_open_stream_is_never_cut() -> None:
    """Thousands of sessions come and go meanwhile."""
    sessions = Sessions(most=10)
    sessions.enter("visitor", "")
    with sessions.streaming("visitor", answers=True):
        for number in range(3000):
            sessions.enter(f"attack {number}", "")
        assert "visitor" in sessions
        assert sessions.is_heard("visitor")
        assert len(sessions) == 10
    assert not sessions.is_heard("visitor")


def test_where_everybody_listens_newcomers_are_told_so() -> None:
    sessions = Sessions(most=2)
    sessions.enter("a", "")
    sessions.enter("b", "")
    with sessions.streaming("a", answers=True), sessions.streaming("b", answers=False):
        with pytest.raises(BusyError, match=NO_ROOM):
            sessions.enter("c", "")
        sessions.enter("a", "")
    sessions.enter("c", "")


def test_a_network_has_a_share() -> None:
    sessions = Sessions(most=100, of_network=3)
    for number in range(50):
        sessions.enter(f"many {number}", "8.8.8.8/32")
    assert len(sessions) == 3
    for number in range(50):
        sessions.enter(f"local {number}", "")
    assert len(sessions) == 53
    with (
        sessions.streaming("many 47", answers=True),
        sessions.streaming("many 48", answers=True),
        sessions.streaming("many 49", answers=True),
        pytest.raises(BusyError, match=ENOUGH_FROM_THERE),
    ):
        sessions.enter("one more", "8.8.8.8/32")
    sessions.enter("another", "9.9.9.9/32")


def test_a_session_has_so_many_streams() -> None:
    sessions = Sessions()
    sessions.enter("a", "")
    streams = [sessions.streaming("a", answers=False) for _ in range(MOST_STREAMS + 1)]
    for stream in streams[:-1]:
        stream.__enter__()
    with pytest.raises(BusyError, match=ENOUGH_STREAMS):
        streams[-1].__enter__()
    for stream in streams[:-1]:
        stream.__exit__(None, None, None)
    with sessions.streaming("a", answers=False):
        pass


def test_what_the_page_keeps_goes_with_the_session() -> None:
    sessions = Sessions(most=1)
    sessions.enter("a", "")
    tabs = Tabs(sessions)
    mark = tabs.turn("a", "job")
    assert tabs.is_current("a", "job", mark)
    sessions.enter("b", "")
    assert not tabs.is_current("a", "job", mark)
    assert not tabs.is_current("a", "job", tabs.turn("a", "job"))  # nothing comes back
    sessions.enter("a", "")
    assert sessions.values("a") == {}


# --- With Gradio --------------------------------------------------------------------------------


class Page:
    """A page of two functions in this process: one answers at once, the other goes on for ever."""

    def __init__(self) -> None:
        self.is_going_on = asyncio.Event()
        self.ended = asyncio.Event()
        with BoundedBlocks(analytics_enabled=False) as demo:
            text, state = gr.Textbox(), gr.State("")
            shown = gr.Textbox()

            def answer(value: str, request: gr.Request) -> tuple[Any, str]:
                return gr.update(value=value, label="answered"), value

            async def go_on(value: str) -> AsyncIterator[str]:
                try:
                    while True:
                        yield value
                        self.is_going_on.set()
                        await asyncio.sleep(0.01)
                finally:
                    self.ended.set()

            gr.Button().click(answer, text, [shown, state], api_name="answer")
            gr.Button().click(go_on, text, shown, api_name="go_on", concurrency_limit=None)
        self.demo = demo.queue()
        self.queue = demo._queue
        limits = Middleware(RequestLimits, blocks=demo, sessions=demo.sessions)
        self.app = App.create_app(demo, app_kwargs={"middleware": [limits]})
        self.queue.set_server_app(self.app)
        demo.is_running = True
        demo.create_limiter()
        self.queue.start()
        self.web = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://page"
        )

    async def join(self, session: str, function: int, value: str) -> httpx.Response:
        body = {"session_hash": session, "fn_index": function, "data": [value]}
        return await self.web.post("/gradio_api/queue/join", json=body)

    async def until(self, is_so: Any) -> None:
        async def wait() -> None:
            while not is_so():
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), PATIENCE)

    def tables(self) -> dict[str, int]:
        """How much is kept for sessions and events, wherever that is."""
        queue = self.queue
        return {
            "sessions": len(self.demo.sessions),
            "unread": len(queue.pending_messages_per_session),
            "ids": len(queue.pending_event_ids_session),
            "events": len(queue.event_ids_to_events),
            "analytics": len(queue.event_analytics),
            "states": len(self.app.state_holder.session_data),
            "iterators": len(self.app.iterators) + len(self.app.iterators_to_reset),
            "streams": len(self.demo.pending_streams) + len(self.demo.pending_diff_streams),
        }


NOTHING = dict.fromkeys(
    ("sessions", "unread", "ids", "events", "analytics", "states", "iterators", "streams"), 0
)


def on_a_page(visit: Any) -> None:
    async def run() -> None:
        page = Page()
        try:
            await visit(page)
        finally:
            page.queue.close()
            await page.web.aclose()
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(run(), 2 * PATIENCE))


def test_what_is_evicted_is_gone_from_all_tables() -> None:
    async def visit(page: Page) -> None:
        page.demo.sessions.most = 5
        for number in range(20):
            assert (await page.join(f"session{number}", 0, "it")).status_code == 200
        await page.until(lambda: not page.queue.event_ids_to_events)
        tables = page.tables()
        assert tables["analytics"] == tables["iterators"] == 0
        assert max(tables.values()) == tables["sessions"] == 5
        for number in range(20):
            page.demo.sessions.drop(f"session{number}")
        assert page.tables() == NOTHING

    on_a_page(visit)


def test_a_session_that_is_dropped_ends_its_events_for_good() -> None:
    async def visit(page: Page) -> None:
        await page.join("one", 1, "it")
        await asyncio.wait_for(page.is_going_on.wait(), PATIENCE)
        page.demo.sessions.drop("one")
        await asyncio.wait_for(page.ended.wait(), PATIENCE)
        await page.until(lambda: page.tables() == NOTHING)

    on_a_page(visit)


def test_a_place_that_was_lost_is_taken_back() -> None:
    """An event that is cancelled before it begins never ends; 500 of them would stop the page."""

    async def visit(page: Page) -> None:
        await page.join("one", 1, "it")
        while not page.queue._asyncio_tasks:
            await asyncio.sleep(0)
        for task in page.queue._asyncio_tasks:
            task.cancel()
        await asyncio.sleep(0.05)
        page.queue.sweep()
        await page.until(lambda: not page.queue.event_ids_to_events)
        assert page.queue.get_active_worker_count() == 0
        assert all(
            each.current_concurrency == 0
            for each in page.queue.event_queue_per_concurrency_id.values()
        )

    on_a_page(visit)


def test_who_does_not_listen_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the event goes on or has ended, was joined or called, as soon as it is too late."""

    async def visit(page: Page) -> None:
        await page.join("ended", 0, "it")
        await page.join("going", 1, "it")
        called = await page.web.post("/gradio_api/call/go_on", json={"data": ["it"]})
        assert called.status_code == 200
        await asyncio.wait_for(page.is_going_on.wait(), PATIENCE)
        await page.until(lambda: len(page.queue.pending_messages_per_session) == 3)
        await page.until(lambda: all(map(page.queue.is_read, ["ended", "going"])))
        page.queue.sweep()
        assert len(page.demo.sessions) == 3  # there was time
        monkeypatch.setattr(page_module, "LISTEN_WITHIN", 0.0)
        assert not page.queue.is_read("ended")
        page.queue.sweep()
        await page.until(lambda: page.tables() == NOTHING)
        assert not page.queue.is_read("going")
        assert page.queue.is_read(None)  # a call that waits for its one answer

    page_module = page.http.event_queue
    on_a_page(visit)


def test_a_stream_that_is_open_may_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    async def visit(page: Page) -> None:
        await page.join("phone", 0, "it")
        await page.until(lambda: page.queue.pending_messages_per_session["phone"].qsize() > 1)
        monkeypatch.setattr(page_module, "LISTEN_WITHIN", 0.0)
        with page.demo.sessions.streaming("phone", answers=True):
            page.queue.sweep()
            assert "phone" in page.demo.sessions
        page.queue.sweep()
        assert "phone" not in page.demo.sessions

    page_module = page.http.event_queue
    on_a_page(visit)


def test_unread_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one session, and those of all."""
    monkeypatch.setattr(page.http.event_queue, "UNREAD_BYTES", 100_000)
    monkeypatch.setattr(page.http.event_queue, "ALL_UNREAD_BYTES", 300_000)

    async def visit(page: Page) -> None:
        boxes = page.queue.pending_messages_per_session
        for _ in range(20):
            answer = await page.join("one", 0, "x" * 30_000)
            await page.until(lambda: not page.queue.event_ids_to_events)
            assert sum(box.bytes for box in boxes.values()) <= 100_000
        assert (answer.status_code, answer.json()) == (503, {"detail": ENOUGH})
        for number in range(20):
            await page.join(f"many{number}", 0, "x" * 30_000)
            await page.until(lambda: not page.queue.event_ids_to_events)
            assert sum(box.bytes for box in boxes.values()) <= 300_000
        assert len(page.demo.sessions) < 20
        assert "many19" in page.demo.sessions

    on_a_page(visit)


def test_events_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page.http.event_queue, "MOST_EVENTS", 3)
    monkeypatch.setattr(page.http.event_queue, "EVENT_BYTES", 100_000)

    async def visit(page: Page) -> None:
        many = [(await page.join("many", 1, "it")).status_code for _ in range(5)]
        assert many == [200, 200, 200, 503, 503]
        large = [(await page.join("large", 1, "x" * 40_000)).status_code for _ in range(4)]
        assert large == [200, 200, 503, 503]
        assert (await page.join("other", 1, "it")).status_code == 200

    on_a_page(visit)


def test_a_state_keeps_no_copies_of_components() -> None:
    async def visit(page: Page) -> None:
        await page.join("one", 0, "it")
        await page.until(lambda: not page.queue.event_ids_to_events)
        box = page.queue.pending_messages_per_session["one"]
        messages = [box.get_nowait() for _ in range(box.qsize())]
        assert messages[-1].output["data"][0]["label"] == "answered"  # the update arrives
        state = page.app.state_holder.session_data["one"]
        assert isinstance(state, SlimState)
        assert list(state.state_data.values()) == ["it"]
        parts = state.blocks_config.blocks
        assert all(page.demo.blocks[key] is part for key, part in parts.items())

    on_a_page(visit)


def test_a_message_is_as_large_as_what_is_in_it() -> None:
    assert size_of({"data": ["x" * 1000, {"deep": ["y" * 2000]}]}) == pytest.approx(3000, rel=0.3)
    unread = Unread()
    assert unread.bytes == 0


def test_functions_that_are_not_there_are_not_called() -> None:
    async def visit(page: Page) -> None:
        for number in (-1, 99):
            assert (await page.join("one", number, "it")).status_code == 404
        assert page.tables() == NOTHING

    on_a_page(visit)
