"""A lock that many clients share fairly: whoever has held it least lately has it next."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

HALF_LIFE = 30.0  # seconds, after which the time that a client held the lock counts half
MOST_REMEMBERED = 1000  # clients
MOST_OF_ONE = 8  # waiting threads of one client


@dataclass(eq=False)
class _Waiting:
    """A thread that waits for the lock."""

    client: str
    is_next: threading.Event = field(default_factory=threading.Event)


class FairLock:
    """A reentrant lock whose waiting threads belong to clients.

    When it is released, the next owner is the first thread of the client that has held the lock for
    the least time lately. A client with `of_one` waiting threads gets no further place; the client
    "" is whoever cannot be told apart, and may have any number.
    """

    def __init__(
        self, of_one: int = MOST_OF_ONE, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.of_one = of_one
        self._clock = clock
        self._guard = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._owner: int | None = None  # a thread
        self._client = ""
        self._depth = 0
        self._since = 0.0
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # seconds, until when

    @property
    def waiting(self) -> int:
        """Return the number of threads that wait."""
        return len(self._waiting)

    def acquire(self, client: str = "", timeout: float = -1) -> bool:
        """Take the lock for a client; return False if that takes longer than `timeout` seconds.

        A negative timeout is no limit. Where too many threads of the client wait already, the
        answer is False at once.
        """
        thread = threading.get_ident()
        with self._guard:
            if self._owner == thread:
                self._depth += 1
                return True
            if self._owner is None:
                self._give(thread, client)
                return True
            waiting = Counter(each.client for each in self._waiting)
            if client and waiting[client] >= self.of_one:
                return False
            place = _Waiting(client)
            self._waiting.append(place)
        is_mine = place.is_next.wait(None if timeout < 0 else timeout)
        with self._guard:
            if is_mine or place.is_next.is_set():
                self._give(thread, client)
                return True
            self._waiting.remove(place)
            return False

    def release(self) -> None:
        """Give the lock back, or one of the times that it was taken."""
        with self._guard:
            self._depth -= 1
            if self._depth:
                return
            self._note(self._clock() - self._since)
            self._owner = None
            if self._waiting:
                place = min(self._waiting, key=lambda each: self._lately(each.client))
                self._waiting.remove(place)
                self._owner = -1  # nobody else takes it meanwhile
                place.is_next.set()

    def _give(self, thread: int, client: str) -> None:
        self._owner, self._client, self._depth = thread, client, 1
        self._since = self._clock()

    def _note(self, seconds: float) -> None:
        """Remember for how long the client held the lock."""
        held = self._lately(self._client) + seconds
        self._held[self._client] = held, self._clock()
        self._held.move_to_end(self._client)
        while len(self._held) > MOST_REMEMBERED:
            self._held.popitem(last=False)

    def _lately(self, client: str) -> float:
        seconds, until = self._held.get(client, (0.0, 0.0))
        return float(seconds * 0.5 ** ((self._clock() - until) / HALF_LIFE))
