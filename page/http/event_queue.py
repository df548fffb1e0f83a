"""Gradio's queue of events with bounds: on the events that are under way, and on unread answers.

An answer waits until its session takes it. Bounded are the bytes and the age of what waits, for
every event: a session that does not take its answers is dropped, with its events. Depends on the
inner workings of the Gradio version that `requirements.txt` names.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from typing import Any

from gradio.caching import clear_session_caches
from gradio.components import State
from gradio.queueing import Event, Queue
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import run_coro_in_background, safe_aclose_iterator
from typing_extensions import override

from nst.errors import BusyError
from page.http.rate_limit import network_of
from page.http.sessions import Sessions, new_session_name

LISTEN_WITHIN = 30.0  # seconds until somebody must take an answer
READ_WITHIN = 600.0  # the same of a stream that is open: a phone may find its network again
MOST_UNREAD = 300  # messages of a session, after which what goes on for it ends
UNREAD_BYTES = 4_000_000  # of a session
ALL_UNREAD_BYTES = 64_000_000
MOST_EVENTS = 50  # under way, of a session
MOST_EVENTS_OF_A_NETWORK = 150
EVENT_BYTES = 4_000_000  # of the arguments of a session's events under way
ALL_EVENT_BYTES = 128_000_000
SWEEP_EVERY = 5.0  # seconds

ENOUGH = "This page has too many requests running already. Please wait a moment."
ENOUGH_FROM_THERE = "Your network has too many requests running already. Please wait a moment."
FULL = "The server has too much to do at this moment. Please try again in a minute."


class Unread(asyncio.Queue[Any]):
    """The answers that a session has not taken yet, with their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def _init(self, maxsize: int) -> None:
        self._queue: deque[tuple[Any, int, float]] = deque()

    def _put(self, item: Any) -> None:
        size = size_of(getattr(item, "output", None))
        self.bytes += size
        self._queue.append((item, size, time.monotonic()))

    def _get(self) -> Any:
        item, size, _ = self._queue.popleft()
        self.bytes -= size
        return item

    @property
    def age(self) -> float:
        """Return the seconds for which the oldest has waited."""
        return time.monotonic() - self._queue[0][2] if self._queue else 0.0


class Mailboxes(dict[str, Unread]):
    """The unread answers by session. Gradio puts a queue of its own here for each session."""

    def __setitem__(self, name: str, _: asyncio.Queue[Any]) -> None:
        super().__setitem__(name, Unread())

    def __delitem__(self, name: str) -> None:
        self.pop(name, None)  # it may have been dropped


class EventIds(dict[str, set[str]]):
    """The events by session whose last answer was not taken yet."""

    def __missing__(self, name: str) -> set[str]:
        return set()  # the session was dropped


class SlimState(SessionState):  # type: ignore[misc]  # Gradio is untyped here
    """The values of a session's states, and the component that was updated last.

    Gradio would keep a copy of each, 150 kB in all; no update here changes what a component
    accepts.
    """

    def __init__(self, blocks: Any) -> None:
        super().__init__(blocks)
        self._latest: tuple[int, Any] = (-1, None)  # Gradio reads it again at once

    def __setitem__(self, key: int, value: Any) -> None:
        if isinstance(self.blocks_config.blocks.get(key), State):
            super().__setitem__(key, value)
        else:
            self._latest = key, value

    def __getitem__(self, key: int) -> Any:
        latest, value = self._latest
        return value if key == latest else super().__getitem__(key)

    def _update_config(self, key: int) -> None:
        """Do nothing: only deep links, which are shut, would read it."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Do nothing, as above."""


class SessionStates(StateHolder):  # type: ignore[misc]
    """The states of components, for sessions in the table alone.

    What is dropped does not return with an event that is still under way.
    """

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self._sessions = sessions

    def __getitem__(self, name: str) -> SessionState:
        if name not in self._sessions:
            return SlimState(self.blocks)
        if name not in self.session_data:
            self.session_data[name] = SlimState(self.blocks)
        return self.session_data[name]


LOOK_EVERY = 0.05  # seconds, for new events


class BoundedQueue(Queue):  # type: ignore[misc]
    """A queue of events that holds no more than a bounded number of bytes for anybody."""

    def __init__(self, sessions: Sessions, **options: Any) -> None:
        super().__init__(**options)
        self.sessions = sessions
        self.pending_messages_per_session = Mailboxes()
        self.pending_event_ids_session = EventIds()
        # Gradio looks a thousand times a second, 6 % of a core while nobody is there.
        self.sleep_when_free = self.progress_update_sleep_when_free = LOOK_EVERY
        self.ANALYTICS_MAX_EVENTS = 0  # for the monitoring page, which is shut
        self._sizes: dict[str, int] = {}  # of the arguments, by event
        self._begun: set[str] = set()  # events that are being processed

    @override
    def start(self) -> None:
        super().start()
        run_coro_in_background(self._sweep_for_ever)

    @override
    def set_server_app(self, app: Any) -> None:
        super().set_server_app(app)
        if not isinstance(app.state_holder, SessionStates):
            app.state_holder = SessionStates(self.sessions)
            app.state_holder.set_blocks(self.blocks)

    @override
    async def push(self, body: Any, request: Any, username: str | None) -> Any:
        network = network_of(request.client.host if request.client else "")
        if body.session_hash is None:
            body.session_hash = new_session_name()
        size = size_of([body.data, body.event_data])
        try:
            self.sessions.enter(body.session_hash, network)
            self._check_room(body.session_hash, network, size)
        except BusyError as error:
            return False, str(error), "queue_full"
        is_in, event, outcome = await super().push(body, request, username)
        if is_in:
            self._sizes[event] = size
        return is_in, event, outcome

    def _check_room(self, name: str, network: str, size: int) -> None:
        """Raise `BusyError` where too much is under way already."""
        live = self.event_ids_to_events
        self._sizes = {event: size for event, size in self._sizes.items() if event in live}
        own = [event for event in live.values() if event.session_hash == name]
        box = self.pending_messages_per_session.get(name)
        unread = box.bytes if box else 0
        if len(own) >= MOST_EVENTS or unread > UNREAD_BYTES / 2:
            raise BusyError(ENOUGH)
        if size + sum(self._sizes.get(event._id, 0) for event in own) > EVENT_BYTES:
            raise BusyError(ENOUGH)
        from_there = (self.sessions.network(event.session_hash) for event in live.values())
        if network and sum(other == network for other in from_there) >= MOST_EVENTS_OF_A_NETWORK:
            raise BusyError(ENOUGH_FROM_THERE)
        if size + sum(self._sizes.values()) > ALL_EVENT_BYTES:
            raise BusyError(FULL)

    @override
    def send_message(self, event: Event, event_message: Any) -> None:
        if event.session_hash not in self.pending_messages_per_session:
            event.alive = False
            return
        super().send_message(event, event_message)
        self._bound_bytes(event.session_hash)

    def _bound_bytes(self, name: str) -> None:
        """Drop sessions until what is unread is within its bounds.

        That is this one where it has too much, and those that have the most.
        """
        boxes = self.pending_messages_per_session
        if boxes[name].bytes > UNREAD_BYTES:
            self.sessions.drop(name)
        while sum(box.bytes for box in boxes.values()) > ALL_UNREAD_BYTES:
            most = max(boxes, key=lambda n: (not self.sessions.is_heard(n), boxes[n].bytes))
            self.sessions.drop(most)
            self.forget(most)

    def is_read(self, name: str | None, most: int = MOST_UNREAD) -> bool:
        """Tell whether a session takes its answers; a call without a session waits for its one."""
        if name is None:
            return True
        box = self.pending_messages_per_session.get(name)
        if box is None:
            return name in self.sessions
        return box.qsize() < most and box.bytes < UNREAD_BYTES / 2 and not self._is_late(name, box)

    def _is_late(self, name: str, box: Unread) -> bool:
        return box.age > (READ_WITHIN if self.sessions.is_heard(name) else LISTEN_WITHIN)

    async def _sweep_for_ever(self) -> None:
        while not self.stopped:
            self.sweep()
            await asyncio.sleep(SWEEP_EVERY)

    def sweep(self) -> None:
        """Drop the sessions that do not take their answers, and take back what Gradio lost."""
        self._take_places_back()
        boxes = list(self.pending_messages_per_session.items())
        for name in [name for name, box in boxes if self._is_late(name, box)]:
            self.sessions.drop(name)
            self.forget(name)

    def _take_places_back(self) -> None:
        """Free the places of events whose task was cancelled before it began, as `/cancel` can."""
        running = {task.get_name().rpartition("<gradio-sep>")[2] for task in self._asyncio_tasks}
        for place, events in enumerate(self.active_jobs):
            if not events or any(event._id in running for event in events):
                continue
            self.active_jobs[place] = None
            self.event_queue_per_concurrency_id[events[0].concurrency_id].current_concurrency -= 1
            for event in events:
                self._let_go(event)

    def forget(self, name: str) -> None:
        """End the events of a session, and drop all that is kept for it."""
        for event in [e for e in self.event_ids_to_events.values() if e.session_hash == name]:
            event.alive = False
            waiting = self.event_queue_per_concurrency_id[event.concurrency_id].queue
            if event in waiting:
                waiting.remove(event)
                self.event_ids_to_events.pop(event._id, None)
            if event._id in self._begun:  # cancelled before, it would never give its place back
                for task in [t for t in self._asyncio_tasks if t.get_name().endswith(event._id)]:
                    task.cancel()
        self.pending_messages_per_session.pop(name, None)
        self.pending_event_ids_session.pop(name, None)
        self.blocks.pending_streams.pop(name, None)
        self.blocks.pending_diff_streams.pop(name, None)
        clear_session_caches(name)
        if self.server_app:
            self.server_app.state_holder.session_data.pop(name, None)
            self.server_app.state_holder.time_last_used.pop(name, None)

    @override
    async def process_events(self, events: list[Event], *more: Any) -> None:
        self._begun.update(event._id for event in events)
        try:
            await super().process_events(events, *more)
        finally:
            for event in events:
                self._let_go(event)

    def _let_go(self, event: Event) -> None:
        """Drop what is kept for an event that has ended, be it by a second cancellation."""
        self._begun.discard(event._id)
        self._sizes.pop(event._id, None)
        self.event_ids_to_events.pop(event._id, None)
        if self.server_app:
            self.server_app.iterators_to_reset.discard(event._id)
            if iterator := self.server_app.iterators.pop(event._id, None):
                run_coro_in_background(safe_aclose_iterator, iterator)

    def compute_analytics_summary(self, records: Any) -> Any:
        """Do nothing: nobody can see it."""
        return self.cached_event_analytics_summary


def size_of(value: object) -> int:
    """Return about the bytes that a message's or an event's values take."""
    total, rest = 0, [value]
    while rest:
        each = rest.pop()
        total += sys.getsizeof(each)
        if isinstance(each, dict):
            rest += each.values()
            total += sum(map(sys.getsizeof, each))
        elif isinstance(each, (list, tuple)):
            rest += each
    return total
