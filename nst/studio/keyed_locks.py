"""Locks by name, as many as are held."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class KeyedLocks:
    """A reentrant lock for each key in use."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.RLock, int]] = {}  # and how many hold or want it

    def __len__(self) -> int:
        return len(self._locks)

    @contextlib.contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Hold `key` alone while the block lasts."""
        with self._guard:
            lock, users = self._locks.get(key) or (threading.RLock(), 0)
            self._locks[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[key]
                self._locks[key] = lock, users - 1
                if users == 1:
                    del self._locks[key]
