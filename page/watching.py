"""Looking at a task from a page: when there is news, who looks at what, and how events go.

Knows tasks and browser tabs; nothing of components.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from nst.jobs import Task

LOOK_EVERY = 0.1  # seconds
AT_LEAST_EVERY = 1.0  # a closed tab is only noticed when something is sent to it
MOST_UNREAD = 300  # messages: minutes, in which a phone may find its network again

AT_ONCE: dict[str, Any] = {
    # No handler waits for another: painting is the workshop's business.
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}
LATEST: dict[str, Any] = {**AT_ONCE, "trigger_mode": "always_last"}


async def changes(task: Task) -> AsyncGenerator[bool, None]:
    """Whether the task has changed since the last time: at once, at each change that is noticed,
    and at least every second, until it has ended. While this is iterated, somebody watches."""
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
    """Whether the caller takes what is sent. Gradio sends on to one who asked and never opened the
    stream of answers, and notices only streams that break."""
    queue = getattr(LocalContext.blocks.get(None), "_queue", None)
    unread = getattr(queue, "pending_messages_per_session", {}).get(request.session_hash)
    return unread is None or unread.qsize() < most


class Tabs:
    """What each tab looks at now: a tab that turns to something else drops what it had."""

    def __init__(self) -> None:
        self._looking: dict[str, dict[str, object]] = {}

    def turn(self, tab: str, kind: str) -> object:
        """A tab looks at another thing of this kind from now on; returns a mark of it."""
        mark = object()
        self._looking.setdefault(tab, {})[kind] = mark
        return mark

    def is_current(self, tab: str, kind: str, mark: object) -> bool:
        return self._looking.get(tab, {}).get(kind) is mark

    def forget(self, tab: str) -> None:
        """The tab was closed."""
        self._looking.pop(tab, None)


def tab_of(request: gr.Request) -> str:
    """An id that tells tabs apart."""
    return str(request.session_hash)
