"""The sessions of browsers and programs: how many there may be, and what hangs on each.

A session is whatever calls itself one. It holds a place in a bounded table, and everything that is
kept for it anywhere is dropped with it. A session to which nobody listens gives way to new ones; an
open stream is never cut for them.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nst.errors import BusyError

MOST_SESSIONS = 2000
MOST_OF_A_NETWORK = 200
MOST_STREAMS = 8  # of one session

NO_ROOM = "Too many people are using this page at this moment. Please try again in a minute."
ENOUGH_FROM_THERE = "Your network has too many of these pages open. Please close one of them."
ENOUGH_STREAMS = "You have this page open in too many tabs. Please close one of them."


@dataclass
class Session:
    """One visitor's tab, or one program."""

    network: str
    used: float  # on the clock of the table
    streams: int = 0  # open connections that something is sent to, of any kind
    listeners: int = 0  # those of them that take answers
    values: dict[str, Any] = field(default_factory=dict)  # what the page keeps for it


class Sessions:
    """The table of sessions.

    It belongs to the server's event loop, but for `values` and `in`, which any thread may use.
    """

    def __init__(
        self,
        most: int = MOST_SESSIONS,
        of_network: int = MOST_OF_A_NETWORK,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.of_network = most, of_network
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # the least lately used first
        self._of_network: Counter[str] = Counter()
        self._when_dropped: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, name: object) -> bool:
        return name in self._sessions

    def when_dropped(self, forget: Callable[[str], None]) -> None:
        """Call `forget` with the name of each session that is dropped."""
        self._when_dropped.append(forget)

    def enter(self, name: str, network: str) -> None:
        """Give a session a place, or note that it is used.

        Raises `BusyError` where there is none left without cutting somebody's stream.
        """
        if session := self._sessions.get(name):
            session.used = self._clock()
            self._sessions.move_to_end(name)
            return
        if network and self._of_network[network] >= self.of_network:
            self._make_place(ENOUGH_FROM_THERE, network)
        if len(self._sessions) >= self.most:
            self._make_place(NO_ROOM)
        self._sessions[name] = Session(network, self._clock())
        self._of_network[network] += 1

    def drop(self, name: str) -> None:
        """Forget a session and all that hangs on it."""
        session = self._sessions.pop(name, None)
        if session is None:
            return
        self._of_network[session.network] -= 1
        if not self._of_network[session.network]:
            del self._of_network[session.network]
        for forget in self._when_dropped:
            forget(name)

    @contextlib.contextmanager
    def streaming(self, name: str, *, answers: bool) -> Iterator[None]:
        """Count a connection of the session as open while the block lasts.

        One that takes `answers` listens. Raises `BusyError` where it has too many.
        """
        session = self._sessions.get(name)
        if session is None:
            yield
            return
        if session.streams >= MOST_STREAMS:
            raise BusyError(ENOUGH_STREAMS)
        session.streams += 1
        session.listeners += answers
        try:
            yield
        finally:
            session.streams -= 1
            session.listeners -= answers
            if self._sessions.get(name) is session:
                self.enter(name, session.network)

    def is_heard(self, name: str) -> bool:
        """Tell whether somebody listens to the answers of a session."""
        session = self._sessions.get(name)
        return session is not None and session.listeners > 0

    def network(self, name: str) -> str:
        """Return the network that a session came from, or ""."""
        session = self._sessions.get(name)
        return session.network if session else ""

    def values(self, name: str) -> dict[str, Any]:
        """Return what the page keeps for a session; nothing of one that is not (any more) here."""
        session = self._sessions.get(name)
        return session.values if session else {}

    def _make_place(self, refusal: str, network: str | None = None) -> None:
        """Drop the least lately used session without a stream, of a network or of all.

        Raises `BusyError` with the refusal where there is none.
        """
        for name, session in self._sessions.items():
            if not session.streams and network in (None, session.network):
                self.drop(name)
                return
        raise BusyError(refusal)


def new_session_name() -> str:
    """Return a name for a session that has none."""
    return secrets.token_hex(8)
