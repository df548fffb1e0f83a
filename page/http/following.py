"""Looking at a task from a page: when there is news, who looks at what, and how events go.

Knows tasks and browser tabs; nothing of components.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from nst.studio.task import Task
from page.http.event_queue import MOST_UNREAD, BoundedQueue
from page.http.sessions import Sessions

LOOK_EVERY = 0.1  # seconds
AT_LEAST_EVERY = 1.0  # a closed tab is only noticed when something is sent to it

AT_ONCE: dict[str, Any] = {
    # No handler waits for another: painting is the workshop's business.
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}
LATEST: dict[str, Any] = {**AT_ONCE, "trigger_mode": "always_last"}


async def changes(task: Task) -> AsyncGenerator[bool, None]:
    """Yield whether the task has changed since the last time, until it has ended.

    At once, at each change that is noticed, and at least every second. While this is iterated,
    somebody watches.
    """
    with task.watched():
        seen, told = -1, 0.0
        while True:
            is_live = task.state.is_live  # first: a change after this look is seen in the next
            version, now = task.version, time.monotonic()
            if version != seen or now - told >= AT_LEAST_EVERY or not is_live:
                is_news, seen, told = version != seen, version, now
                yield is_news
            if not is_live:
                return
            await asyncio.sleep(LOOK_EVERY)


def is_read(request: gr.Request, most: int = MOST_UNREAD) -> bool:
    """Tell whether the caller takes what is sent.

    Gradio sends on to one who asked and never opened the stream of answers, and notices only
    streams that break.
    """
    queue = getattr(LocalContext.blocks.get(None), "_queue", None)
    return not isinstance(queue, BoundedQueue) or queue.is_read(request.session_hash, most)


@dataclass(frozen=True, eq=False)
class Mark:
    """One thing that a tab looks at for a while."""

    subject: str  # the id of a job, or ""
    before: str  # the subject of the mark before it


class Tabs:
    """What each tab looks at now: a tab that turns to something else drops what it had."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self._turning = threading.Lock()

    def turn(self, tab: str, kind: str, subject: str = "") -> Mark:
        """Note that a tab looks at another thing of this kind from now on; return a mark of it."""
        values = self.sessions.values(tab)
        with self._turning:
            before = values.get(kind)
            values[kind] = mark = Mark(subject, before.subject if before else "")
        return mark

    def is_current(self, tab: str, kind: str, mark: Mark) -> bool:
        """Tell whether a tab still looks at what a mark stands for."""
        return self.sessions.values(tab).get(kind) is mark

    def subject(self, tab: str, kind: str) -> str:
        """Return the id of what a tab looks at, or "" where that is not known."""
        mark = self.sessions.values(tab).get(kind)
        return mark.subject if mark else ""


def tab_of(request: gr.Request) -> str:
    """Return an id that tells tabs apart."""
    return str(request.session_hash)


def event_value(event: gr.EventData, name: str) -> str:
    """Return what the browser says of an event, as text.

    Raises `gr.Error` where it says nothing: programs may leave it out.
    """
    try:
        return str(getattr(event, name))
    except (AttributeError, TypeError) as error:
        raise gr.Error(f"This event needs a {name}.", print_exception=False) from error
