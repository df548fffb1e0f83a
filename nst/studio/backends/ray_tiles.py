"""Evaluate the tiles of one picture on the workers of a Ray cluster.

For programs and the command line: it drives the cluster from this process, which ends with the
cluster's head. A lost worker's tiles are taken over by the others within the evaluation.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import override

from nst.engine.tile_map import Handle, Result, TileMap, Value
from nst.errors import WorkerError
from nst.studio.backends.ray_package import load_ray

log = logging.getLogger(__name__)

IN_FLIGHT = 2  # calls of a worker: one at work, and the next one's pixels on their way
KEPT = 4  # lasting values that a worker keeps: a job of each size, and that of the last costs
NO_WORKERS = "All workers of the cluster are lost; start it again, and continue from the last file."

_kept: OrderedDict[str, Any] = OrderedDict()  # in a worker, by the id of the object


@dataclass(frozen=True)
class RayHandle(Generic[Value]):
    """A value in Ray's object store."""

    reference: Any
    is_lasting: bool

    def get(self) -> Value:
        """Return the value, from this worker's own memory where it is lasting."""
        key = self.reference.hex()
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]  # type: ignore[no-any-return]
        value: Value = load_ray().get(self.reference)
        if self.is_lasting:
            _kept[key] = value
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
        return value


class TileWorker:
    """An actor that makes calls."""

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)

    def call(self, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        """Return what the work makes of its arguments."""
        return work(*arguments)


@dataclass(eq=False)
class _Seat:
    """A worker, and the calls that it has."""

    actor: Any
    calls: dict[Any, int] = field(default_factory=dict)  # number of the call by its reference


class RayTileMap(TileMap):
    """Workers of the cluster that this process has joined (`ray.init`).

    There are `workers` of them with `cpus` cores and `gpus` each.
    """

    def __init__(self, workers: int, *, cpus: int = 1, gpus: float = 0) -> None:
        self._ray = load_ray()
        kind = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)(
            TileWorker
        )
        self._seats = [_Seat(kind.remote(cpus)) for _ in range(workers)]

    @property
    def workers(self) -> int:
        """Return how many workers are left."""
        return len(self._seats)

    @override
    def share(self, value: Value, *, is_lasting: bool = False) -> Handle[Value]:
        return RayHandle(self._ray.put(value), is_lasting)

    @override
    def map(
        self, work: Callable[..., Result], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        """Yield the results in the order of the calls.

        Raises what the work raises, and `WorkerError` when the last worker is lost.
        """
        round_ = _Round(calls)
        try:
            while True:
                while (number := round_.due) is not None and (seat := self._seat_for(number)):
                    reference = seat.actor.call.remote(work, round_.take(number))
                    seat.calls[reference] = number
                yield from round_.finished()
                running = [reference for seat in self._seats for reference in seat.calls]
                if not running:
                    return
                (reference,), _ = self._ray.wait(running, num_returns=1)
                self._receive(reference, round_)
        finally:  # nobody waits for the rest of a round that was given up
            for seat in self._seats:
                seat.calls.clear()

    def _seat_for(self, number: int) -> _Seat | None:
        """Return the worker that a call belongs to, unless it has enough to do."""
        seat = self._seats[number % len(self._seats)]
        return seat if len(seat.calls) < IN_FLIGHT else None

    def _receive(self, reference: Any, round_: _Round) -> None:
        """Take a result, or let go of the worker that died over it."""
        seat = next(each for each in self._seats if reference in each.calls)
        try:
            result = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            log.warning("a worker is lost, and its tiles are taken over: %s", type(error).__name__)
            self._ray.kill(seat.actor)
            self._seats.remove(seat)
            round_.put_back(seat.calls.values())
            if not self._seats:
                raise WorkerError(NO_WORKERS) from None
            return
        round_.results[seat.calls.pop(reference)] = result

    def close(self) -> None:
        """End the workers."""
        for seat in self._seats:
            self._ray.kill(seat.actor)
        self._seats = []


class _Round:
    """The calls of one `map`: drawn, made again where they were lost, and put in order."""

    def __init__(self, calls: Iterable[tuple[Any, ...]]) -> None:
        self._calls = enumerate(calls)
        self._made: dict[int, tuple[Any, ...]] = {}  # without a result that was passed on
        self._due: deque[int] = deque()
        self._next = 0  # of the results
        self.results: dict[int, Any] = {}

    @property
    def due(self) -> int | None:
        """Return the number of the call to make next, or None when all were made."""
        if not self._due and (drawn := next(self._calls, None)):
            number, call = drawn
            self._made[number] = call
            self._due.append(number)
        return self._due[0] if self._due else None

    def take(self, number: int) -> tuple[Any, ...]:
        """Return a call's arguments; it is made now."""
        self._due.remove(number)
        return self._made[number]

    def put_back(self, numbers: Iterable[int]) -> None:
        """Make calls again before all others."""
        self._due.extendleft(sorted(numbers, reverse=True))

    def finished(self) -> Iterator[Any]:
        """Yield the results that are next in order."""
        while self._next in self.results:
            del self._made[self._next]
            self._next += 1
            yield self.results.pop(self._next - 1)
