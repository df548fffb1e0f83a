"""What is kept for the next run: by content, the latest, up to a number of bytes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nst.caches import LRUCache
from nst.engine.fingerprint import bytes_of, fingerprint


def forbidden() -> int:
    raise AssertionError("it was to be remembered")


def make(value: int) -> Callable[[], int]:
    return lambda: value


def test_a_value_is_made_once() -> None:
    cache = LRUCache[str, int](100)
    assert cache.recall("a", make(1)) == 1
    assert cache.recall("a", forbidden) == 1


def test_the_least_recently_used_makes_room() -> None:
    cache = LRUCache[str, int](25, lambda _: 10)
    for key, value in (("a", 1), ("b", 2)):
        cache.recall(key, make(value))
    cache.recall("a", forbidden)
    cache.recall("c", make(3))
    assert cache.size == 20
    assert cache.recall("a", forbidden) == 1
    assert cache.recall("b", make(4)) == 4, "b was forgotten"


def test_what_is_larger_than_all_is_not_kept() -> None:
    cache = LRUCache[str, int](15, lambda value: 16 if value == 2 else 10)
    cache.recall("a", make(1))
    assert cache.recall("b", make(2)) == 2
    assert cache.recall("a", forbidden) == 1


def test_a_fingerprint_is_of_pixels_and_shape() -> None:
    picture = torch.arange(24.0).view(1, 3, 2, 4)
    assert fingerprint(picture) == fingerprint(picture.clone())
    assert fingerprint(picture) == fingerprint(
        picture.contiguous(memory_format=torch.channels_last)
    )
    assert fingerprint(picture) != fingerprint(picture.view(1, 3, 4, 2))
    changed = picture.clone()
    changed[0, 1, 1, 1] += 1
    assert fingerprint(picture) != fingerprint(changed)


def test_bytes_are_those_of_the_elements() -> None:
    assert bytes_of(torch.zeros(3, 5), torch.zeros(7, dtype=torch.bfloat16)) == 60 + 14
