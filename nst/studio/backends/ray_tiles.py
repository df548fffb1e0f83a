"""Evaluate the tiles of one picture on the workers of a Ray cluster.

For programs and the command line: it drives the cluster from this process, which ends with the
cluster's head. A lost worker's tiles are taken over by the others within the evaluation, and a new
worker takes its place when the cluster has room.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import override

from nst.engine.tile_map import Handle, LostValueError, Result, TileMap, Value
from nst.errors import WorkerError
from nst.ray_clusters import ActorStarter, JoinedCluster, Share, divide, first_line, import_ray

log = logging.getLogger(__name__)

IN_FLIGHT = 2  # calls of a worker: one at work, and the next one's pixels on their way
KEPT = 4  # lasting values that a worker keeps: a job of each size, and that of the last costs
MOST_LOSSES = 3  # workers that one call may cost
PATIENCE = 300.0  # seconds for a first worker, or for another where all are lost
LOST = "A machine of the cluster is lost with tiles that it kept; paint the picture again."
NO_WORKERS = (
    "The cluster had no room for a worker within 5 minutes; end what else runs on it, and paint the"
    " picture again."
)

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
        ray = import_ray()
        try:
            value: Value = ray.get(self.reference)
        except ray.exceptions.ObjectLostError:
            raise LostValueError(LOST) from None
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

    def is_ready(self) -> bool:
        """Return True, as a sign of life."""
        return True

    def call(self, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        """Return what the work makes of its arguments."""
        return work(*arguments)

    def keep(
        self, work: Callable[..., Sequence[Any]], arguments: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Return None, which tells that it is done, and all values, each an object of its own."""
        return None, *work(*arguments)


@dataclass(eq=False)
class _WorkerSlot:
    """A worker, and the calls that it has."""

    actor: Any
    start: Any  # what tells that it is ready; None when it is
    calls: dict[Any, int] = field(default_factory=dict)  # number of the call by its reference

    @staticmethod
    def of(actor: Any) -> _WorkerSlot:
        """Return the slot of a worker that was just started."""
        return _WorkerSlot(actor, actor.is_ready.remote())

    @property
    def waited(self) -> list[Any]:
        """Return the references that Ray is to wait for."""
        return [*self.calls, *([] if self.start is None else [self.start])]


class RayTileMap(TileMap):
    """Workers of the cluster that this process has joined (`ray.init`).

    There are up to `workers` of them with `cpus` cores and `gpus` each, as many as the cluster has
    room for. Without GPUs they compute on the CPU, though their machine may have a GPU.
    """

    def __init__(self, workers: int, *, cpus: int = 1, gpus: float = 0) -> None:
        self._ray = import_ray()
        self.device = "auto" if gpus else "cpu"  # Ray does not hide the GPUs that it does not lend
        self._starter = ActorStarter(self._ray, TileWorker, Share(cpus, gpus), cpus)
        self._slots = [_WorkerSlot.of(self._starter.start()) for _ in range(workers)]

    @property
    def workers(self) -> int:
        """Return how many workers are there, as far as is known."""
        return len(self._ready)

    @property
    def _ready(self) -> list[_WorkerSlot]:
        return [slot for slot in self._slots if slot.start is None]

    @override
    def share(self, value: Value, *, is_lasting: bool = False) -> Handle[Value]:
        return RayHandle(self._ray.put(value), is_lasting)

    @override
    def map(
        self, work: Callable[..., Result], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        """Yield the results in the order of the calls.

        Raises what the work raises, `WorkerError` where one call has cost several workers, or where
        there is none for long, and `ClusterError` where none can start.
        """
        return self._results(
            _Round(calls, lambda actor, call: (actor.call.remote(work, call), None))
        )

    @override
    def keep(
        self,
        work: Callable[..., Sequence[Any]],
        calls: Iterable[tuple[Any, ...]],
        counts: Iterable[int],
    ) -> list[list[Handle[Any]]]:
        """Return handles of the values, in Ray's object store, which a worker that dies leaves.

        Raises what `map` does.
        """

        def send(actor: Any, call: tuple[int, tuple[Any, ...]]) -> tuple[Any, list[Handle[Any]]]:
            count, arguments = call
            method = actor.keep.options(num_returns=1 + count)
            done, *values = method.remote(work, arguments)
            return done, [RayHandle(value, is_lasting=False) for value in values]

        return list(self._results(_Round(zip(counts, calls, strict=True), send)))

    def _results(self, round_: _Round) -> Iterator[Any]:
        """Yield the results of a round's calls in their order."""
        self._listen(round_, 0)
        try:
            while True:
                while (number := round_.due) is not None and (slot := self._slot_for(number)):
                    slot.calls[round_.send(number, slot.actor)] = number
                yield from round_.finished()
                if round_.due is None and not any(slot.calls for slot in self._slots):
                    return
                if not self._listen(round_, None if self._ready else PATIENCE):
                    raise WorkerError(NO_WORKERS)
        finally:  # nobody waits for the rest of a round that was given up
            for slot in self._slots:
                slot.calls.clear()

    def _slot_for(self, number: int) -> _WorkerSlot | None:
        """Return the worker that a call belongs to, unless it has enough to do."""
        own, ready = self._slots[number % len(self._slots)], self._ready
        if own.start is not None:
            if not ready:
                return None
            own = ready[number % len(ready)]
        return own if len(own.calls) < IN_FLIGHT else None

    def _listen(self, round_: _Round, seconds: float | None) -> bool:
        """Wait for one worker's result or start; tell whether there was one in so many seconds."""
        waited = {each: slot for slot in self._slots for each in slot.waited}
        if not waited:
            return False
        ready, _ = self._ray.wait(list(waited), num_returns=1, timeout=seconds)
        for reference in ready:
            self._receive(waited[reference], reference, round_)
        return bool(ready)

    def _receive(self, slot: _WorkerSlot, reference: Any, round_: _Round) -> None:
        """Take a result, note a start, or replace the worker that died over it."""
        try:
            result = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            self._replace(slot, error, round_)
            return
        if reference == slot.start:
            slot.start = None
            self._starter.note_ready()
        else:
            round_.receive(slot.calls.pop(reference), result)

    def _replace(self, lost: _WorkerSlot, error: Exception, round_: _Round) -> None:
        log.warning("a worker is lost, and its tiles are taken over: %s", first_line(error))
        other = self._starter.replace(lost.actor, error, was_ready=lost.start is None)
        self._slots[self._slots.index(lost)] = _WorkerSlot.of(other)
        round_.put_back(lost.calls.values())

    def close(self) -> None:
        """End the workers."""
        for slot in self._slots:
            self._ray.kill(slot.actor)
        self._slots = []


@contextmanager
def joined_tile_map(address: str, jobs: int | None, *, uses_gpus: bool) -> Iterator[RayTileMap]:
    """Give the workers of a cluster that is there, or that is started on this machine.

    Args:
        address: `auto`, `local`, or that of a cluster.
        jobs: number of workers; None for one on each GPU, or on each node where there are none.
        uses_gpus: whether GPUs are to be used.

    Raises `MissingPackageError` without Ray, and `ClusterError` where there is no such cluster.
    """
    cluster = JoinedCluster(address)
    try:
        workers, share = divide(cluster.nodes, jobs, uses_gpus=uses_gpus)
        yield RayTileMap(workers, cpus=share.cpus, gpus=share.gpus)
    finally:
        cluster.leave([])  # the workers end with the part that this process has in the cluster


class _Round:
    """The calls of one `map`: drawn, made again where they were lost, and put in order."""

    def __init__(
        self, calls: Iterable[Any], send: Callable[[Any, Any], tuple[Any, list[Handle[Any]] | None]]
    ) -> None:
        self._calls, self._send = enumerate(calls), send
        self._made: dict[int, Any] = {}  # without a result that was passed on
        self._kept: dict[int, list[Handle[Any]] | None] = {}  # of those that were sent
        self._due: deque[int] = deque()
        self._losses = Counter[int]()  # workers that a call has cost
        self._next = 0  # of the results
        self._results: dict[int, Any] = {}

    @property
    def due(self) -> int | None:
        """Return the number of the call to make next, or None when all were made."""
        if not self._due and (drawn := next(self._calls, None)):
            number, call = drawn
            self._made[number] = call
            self._due.append(number)
        return self._due[0] if self._due else None

    def send(self, number: int, actor: Any) -> Any:
        """Have an actor make a call; return what tells that it is done."""
        self._due.remove(number)
        done, self._kept[number] = self._send(actor, self._made[number])
        return done

    def receive(self, number: int, result: Any) -> None:
        """Take the result of a call, or the handles of what is kept of it."""
        kept = self._kept.pop(number)
        self._results[number] = result if kept is None else kept

    def put_back(self, numbers: Iterable[int]) -> None:
        """Make the calls of a lost worker again, before all others.

        Raises `WorkerError` where the one that was at work, the first, has cost too many workers.
        """
        lost = sorted(numbers)
        for number in lost[:1]:
            self._losses[number] += 1
            if self._losses[number] == MOST_LOSSES:
                raise WorkerError(
                    f"Workers were lost {MOST_LOSSES} times over one tile; memory may have run out."
                )
        self._due.extendleft(reversed(lost))

    def finished(self) -> Iterator[Any]:
        """Yield the results that are next in order."""
        while self._next in self._results:
            del self._made[self._next]
            self._next += 1
            yield self._results.pop(self._next - 1)
