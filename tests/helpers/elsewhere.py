"""Maps over tiles without workers: calls are made in this process, or as if sent to another."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from typing_extensions import override

from nst.engine.tile_map import Handle, OwnHandle, Result, TileMap, Value


class OwnTileMap(TileMap):
    """Makes all calls in this process, one after another."""

    @override
    def share(self, value: Value, *, is_lasting: bool = False) -> Handle[Value]:
        return OwnHandle(value)

    @override
    def map(
        self, work: Callable[..., Result], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        return (work(*call) for call in calls)

    @override
    def keep(
        self,
        work: Callable[..., Sequence[Any]],
        calls: Iterable[tuple[Any, ...]],
        counts: Iterable[int],
    ) -> list[list[Handle[Any]]]:
        return [[OwnHandle(value) for value in work(*call)] for call in calls]


class Elsewhere(OwnTileMap):
    """Pickles all that a worker would be sent, and makes calls in the reverse order."""

    def __init__(self) -> None:
        self.sent = 0  # bytes of the calls and their results, without what was shared before

    def share(self, value: Value, *, is_lasting: bool = False) -> Handle[Value]:
        return OwnHandle(pickle.loads(pickle.dumps(value)))

    def map(
        self, work: Callable[..., Result], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        made = [(number, call) for number, call in enumerate(calls)]
        results = {number: pickle.dumps(work(*call)) for number, call in reversed(made)}
        self.sent += sum(map(len, results.values()))
        return (pickle.loads(results[number]) for number, _ in made)

    def keep(
        self,
        work: Callable[..., Sequence[Any]],
        calls: Iterable[tuple[Any, ...]],
        counts: Iterable[int],
    ) -> list[list[Handle[Any]]]:
        kept = [list(map(self.share, values)) for values in self.map(work, calls)]
        assert [*map(len, kept)] == [*counts]
        return kept
