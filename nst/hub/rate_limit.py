"""How much one visitor may publish, and how much they have.

Knows names and times; nothing of what is published.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from nst.errors import HubError

TEN_MINUTES, DAY = 600.0, 86_400.0  # seconds


class RateLimit:
    """The publications under way, for all threads.

    Raises `HubError` for what would be too much.
    """

    def __init__(self, in_ten_minutes: int, in_a_day: int) -> None:
        self._spans = (
            (in_ten_minutes, TEN_MINUTES, "10 minutes; please wait a little"),
            (in_a_day, DAY, "24 hours; there is room again tomorrow"),
        )
        self._taken: dict[str, list[float]] = {}  # by visitor, in seconds since 1970
        self._lock = threading.Lock()

    def take(self, visitor: str, now: float) -> None:
        """Count one more, unless it would be too much."""
        with self._lock:
            recent = {
                name: [moment for moment in moments if moment > now - DAY]
                for name, moments in self._taken.items()
            }
            self._taken = {name: moments for name, moments in recent.items() if moments}
            self.check(self._taken.get(visitor, []), now)
            self._taken.setdefault(visitor, []).append(now)

    def give_back(self, visitor: str, now: float) -> None:
        """Take back one that came to nothing."""
        with self._lock:
            if now in self._taken.get(visitor, []):
                self._taken[visitor].remove(now)

    def check(self, moments: Iterable[float], now: float) -> None:
        """Check what is known from elsewhere against the same limits."""
        past = list(moments)
        for most, seconds, span in self._spans:
            if sum(moment > now - seconds for moment in past) >= most:
                raise HubError(f"You have published {most} pictures within {span}.")
