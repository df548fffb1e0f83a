"""Count what a workshop has done since its process began. Knows no visitors and no pictures."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from nst.errors import BusyError

PHASES = ("waiting", "first_picture", "painting", "saving")
"""Of a task: until it is painted; from then until its first picture, and until it ends; one save to
disk, of which there are many."""


class NoRoomError(BusyError):
    """No room for another task; `reason` is one of `REASONS`."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


REASONS = ("queue_full", "long_wait", "visitor", "network", "memory", "closing", "too_large")


@dataclass(frozen=True)
class Duration:
    """How often something was done, and the seconds that it took in all."""

    count: int = 0
    seconds: float = 0.0


class Statistics:
    """Counts; any thread may count and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: Counter[str] = Counter()
        self._refused = Counter(dict.fromkeys(REASONS, 0))
        self._durations = dict.fromkeys(PHASES, Duration())

    def end(self, state: str) -> None:
        """Count a task that is painted no more, by its state."""
        with self._lock:
            self._ended[state] += 1

    def refuse(self, reason: str) -> None:
        """Count a task that was refused."""
        with self._lock:
            self._refused[reason] += 1

    def spend(self, phase: str, seconds: float) -> None:
        """Count seconds of a phase."""
        with self._lock:
            before = self._durations[phase]
            self._durations[phase] = Duration(before.count + 1, before.seconds + max(0.0, seconds))

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Count the seconds of a block as those of a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spend(phase, time.monotonic() - began)

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Count a `NoRoomError` that leaves the block."""
        try:
            yield
        except NoRoomError as error:
            self.refuse(error.reason)
            raise

    @property
    def ended(self) -> dict[str, int]:
        """Return how many tasks ended in each state."""
        with self._lock:
            return dict(self._ended)

    @property
    def refused(self) -> dict[str, int]:
        """Return how many tasks were refused, for each of `REASONS`."""
        with self._lock:
            return dict(self._refused)

    @property
    def durations(self) -> dict[str, Duration]:
        """Return the durations of each of `PHASES`."""
        with self._lock:
            return dict(self._durations)
