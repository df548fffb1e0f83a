"""A cache that several threads share: cachetools' least-recently-used one, with a lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import cachetools

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LRUCache(Generic[Key, Value]):
    """Keep the values used last, as many as `limit` admits in all.

    `size_of` tells how much of it a value takes, which is 1 unless it is given. Safe to share
    between threads.
    """

    def __init__(self, limit: int, size_of: Callable[[Value], int] | None = None) -> None:
        self._kept: cachetools.LRUCache[Key, Any] = cachetools.LRUCache(limit, size_of)
        self._lock = threading.Lock()

    def get(self, key: Key, default: Value | None = None) -> Value | None:
        """Return the value under `key`, or `default`."""
        with self._lock:
            value: Value | None = self._kept.get(key, default)
            return value

    def keep(self, key: Key, value: Value) -> Value:
        """Keep a value, unless it is larger than the limit, and return it."""
        with self._lock:
            if self._kept.getsizeof(value) <= self._kept.maxsize:
                self._kept[key] = value
        return value

    def recall(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value under `key`, or a new one from `make`, which is kept then."""
        with self._lock:
            if key in self._kept:
                kept: Value = self._kept[key]
                return kept
        return self.keep(key, make())  # two threads may make the same at once, at worst

    def forget(self) -> None:
        """Keep nothing of what was there."""
        with self._lock:
            self._kept.clear()

    @property
    def size(self) -> int:
        """Return how much of the limit is taken."""
        with self._lock:
            return int(self._kept.currsize)
