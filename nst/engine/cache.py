"""What was worked out or fetched, kept for the next time it is wanted, and bounded.

Knows nothing of what it keeps.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, cast

from torch import Tensor

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Latest(Generic[Key, Value]):
    """Keeps the `most` values that were used last; safe to share between threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, default: Value | None = None) -> Value | None:
        with self._lock:
            if key not in self._kept:
                return default
            self._kept.move_to_end(key)
            return self._kept[key]

    def keep(self, key: Key, value: Value) -> Value:
        """The value, which is kept from now on."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return value


class Memory:
    """Keeps the most recently used values, up to `limit` bytes; safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()

    def recall(
        self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]
    ) -> Value:
        """The value kept under `key`, or a new one from `make`, of `size(value)` bytes."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(Value, self._kept[key][0])
        value = make()  # outside the lock: two runs may work at once, at worst on the same
        if size(value) > self.limit:
            return value
        with self._lock:
            self._kept[key] = (value, size(value))
            self._kept.move_to_end(key)
            while self.size > self.limit:
                self._kept.popitem(last=False)
        return value

    def forget(self) -> None:
        """Keep nothing of what was there."""
        with self._lock:
            self._kept.clear()

    @property
    def size(self) -> int:
        """Bytes kept now."""
        return sum(size for _, size in self._kept.values())


def fingerprint(picture: Tensor) -> str:
    """Equal for equal pixels and shapes, of any device."""
    pixels = picture.detach().cpu().contiguous().numpy()
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest() + str(pixels.shape)


def bytes_of(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
