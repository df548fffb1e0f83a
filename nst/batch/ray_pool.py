"""Paint a batch by actors on a Ray cluster.

Requests and events travel as bytes: no file system is shared. Ray schedules, and tells who died.
What is done again, and from which checkpoint, is the runner's to say: no task is retried here.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from nst.batch.messages import AT_ONCE, Event, Failed, Lost, PaintRequest, Progress
from nst.batch.pool import Pool
from nst.console import SIGNALS
from nst.errors import MissingPackageError, UserError

AUTO, LOCAL = "auto", "local"  # addresses: of what runs here or is started, and always started
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
STARTED: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 500_000_000}
"""A cluster that is started here; requests pass through its object store, of so many bytes."""
REACH = 5.0  # seconds for the head to answer
CHECK_EVERY = 5.0  # seconds between two looks whether it is there
MOST_FAILED_STARTS = 3  # actors in a row that die before they are ready
MISSING = "Painting on a cluster needs Ray; install it with `pip install nst[ray]`."


@dataclass(frozen=True)
class Share:
    """What an actor takes of a node."""

    cpus: int
    gpus: int = 0


class PainterActor:
    """What runs on the cluster: a painter, and requests that it paints."""

    def __init__(self, device: str, threads: int) -> None:
        import torch

        from nst.batch.painter import Painter

        torch.set_num_threads(threads)
        self._painter = Painter(device)

    def location(self) -> tuple[str, int]:
        """Return the id of its node and that of its process, as a sign of life."""
        context = importlib.import_module("ray").get_runtime_context()
        return str(context.get_node_id()), os.getpid()

    def paint(self, request: PaintRequest) -> Iterator[Event]:
        """Yield what `Painter.run` does."""
        yield from self._painter.run(request)


class RayPool(Pool):
    """Actors on a cluster that is there, or that is started on this machine.

    Args:
        address: `auto`, or that of a cluster.
        jobs: number of actors; None for one on each GPU, or on each node where there are none.
        device: as on the command line.

    Raises `MissingPackageError` without Ray, and `UserError` where there is no such cluster.
    """

    def __init__(self, address: str, jobs: int | None, device: str) -> None:
        self._ray = _import_ray()
        _connect(self._ray, address)
        self._head = _head_address(self._ray)
        self._checked, self._is_lost = time.monotonic(), False
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        n_actors, share = divide(nodes, jobs, uses_gpus=device in ("auto", "cuda"))
        self._share, self._device = share, device
        self._failed_starts = 0
        self._actors = [self._start() for _ in range(n_actors)]

    @property
    @override
    def has_room(self) -> bool:
        return any(actor.has_room for actor in self._actors)

    @override
    def submit(self, request: PaintRequest) -> None:
        able = [actor for actor in self._actors if actor.has_room]
        least = min(able, key=lambda actor: len(actor.runs))
        paint = least.handle.paint.options(num_returns="streaming")
        least.runs[request.number] = paint.remote(request)

    @override
    def events(self, seconds: float) -> Sequence[Event]:
        self._check_head()
        waited = {id(each): (each, actor) for actor in self._actors for each in actor.waited}
        if not waited:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait([each for each, _ in waited.values()], timeout=seconds)
        events = list[Event]()
        for each in ready:
            events += self._news(waited[id(each)][1], each)
        return events

    @override
    def close(self) -> None:
        if not self._is_lost:  # Ray would wait for it in vain
            for actor in self._actors:
                self._ray.kill(actor.handle)
        self._ray.shutdown()

    def _check_head(self) -> None:
        """Raise `UserError` when the head is out of reach; Ray would end this process, in time."""
        if not self._head or time.monotonic() - self._checked < CHECK_EVERY:
            return
        self._checked = time.monotonic()
        if reason := _why_unreachable(self._head):
            self._is_lost = True
            raise UserError(
                f"The head of the Ray cluster is lost: {reason}; what is finished is kept, and the"
                " same command goes on when it is back."
            )

    def _start(self) -> _Actor:
        options = {
            "num_cpus": self._share.cpus,
            "num_gpus": self._share.gpus,
            "max_concurrency": AT_ONCE + 1,  # and a sign of life
        }
        remote = self._ray.remote(**options)(PainterActor)
        handle = remote.remote(self._device, self._share.cpus)
        return _Actor(handle, handle.location.remote())

    def _news(self, actor: _Actor, ready: Any) -> Iterator[Event]:
        """Yield what an actor has to tell; where it has died, start another in its place."""
        try:
            if ready is actor.start:
                actor.node, actor.pid = self._ray.get(ready)
                actor.start, self._failed_starts = None, 0
                return
            number = next(number for number, run in actor.runs.items() if run is ready)
            try:
                event = self._ray.get(next(ready))
            except StopIteration:  # the last event came before
                del actor.runs[number]
                return
        except self._ray.exceptions.RayActorError as error:
            yield from self._replace(actor, error)
        except self._ray.exceptions.RayTaskError as error:
            del actor.runs[number]
            yield Failed(number, f"The cluster could not paint it: {_first_line(error)}")
        except self._ray.exceptions.RayError as error:
            raise UserError(f"The Ray cluster is lost: {_first_line(error)}") from None
        else:
            if isinstance(event, Progress):
                actor.painting = number
            yield event

    def _replace(self, lost: _Actor, error: Exception) -> Iterator[Lost]:
        if lost.start is not None:
            self._failed_starts += 1
            if self._failed_starts == MOST_FAILED_STARTS:
                raise UserError(f"The Ray cluster cannot start a worker: {_first_line(error)}")
        with contextlib.suppress(Exception):  # it may only have been out of reach
            self._ray.kill(lost.handle)
        self._actors[self._actors.index(lost)] = self._start()
        for number in lost.runs:
            yield Lost(number, number == lost.suspect, type(error).__name__)


@dataclass(eq=False)
class _Actor:
    """An actor, and the generators of what it paints, by number, the oldest first."""

    handle: Any
    start: Any  # what tells that it is ready; None when it is
    node: str = ""
    pid: int = 0
    runs: dict[int, Any] = field(default_factory=dict)
    painting: int | None = None  # the request that has told of progress last

    @property
    def has_room(self) -> bool:
        """Tell whether it is ready, and has fewer requests than it may."""
        return self.start is None and len(self.runs) < AT_ONCE

    @property
    def waited(self) -> list[Any]:
        """Return what may have news."""
        return [*self.runs.values(), *([] if self.start is None else [self.start])]

    @property
    def suspect(self) -> int | None:
        """Return the request that it was painting, or about to."""
        return self.painting if self.painting in self.runs else next(iter(self.runs), None)


def divide(
    nodes: Sequence[Mapping[str, float]], jobs: int | None, *, uses_gpus: bool
) -> tuple[int, Share]:
    """Return the number of actors and what each takes.

    With GPUs each takes one of them and a share of the CPUs. Without, so many `jobs` divide all
    CPUs; where no number is given there is one for each node, of the size of the smallest.

    Args:
        nodes: the resources of each, such as {"CPU": 8.0, "GPU": 1.0}.
        jobs: number of actors.
        uses_gpus: whether GPUs are to be used.
    """
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    cpus = [count for count in cpus if count] or [1]
    n_gpus = int(sum(node.get("GPU", 0) for node in nodes)) if uses_gpus else 0
    if n_gpus:
        n_actors = min(jobs or n_gpus, n_gpus)
        return n_actors, Share(max(1, math.floor(min(cpus) * len(cpus) / n_gpus)), gpus=1)
    share = min(cpus) if jobs is None else max(1, min(sum(cpus) // jobs, min(cpus)))
    return jobs or sum(count // share for count in cpus), Share(share)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise MissingPackageError(MISSING) from None


def _connect(ray: Any, address: str) -> None:
    """Join a cluster, or start one on this machine: for `auto` where none runs here."""
    is_head = address not in (AUTO, LOCAL) and "://" not in address
    if is_head and (reason := _why_unreachable(address)):  # Ray would end this process
        raise UserError(f"The Ray cluster {address!r} cannot be reached: {reason}.")
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        if address == AUTO:
            try:
                ray.init(address=AUTO, **QUIET)
            except ConnectionError:
                ray.init(address=LOCAL, **QUIET, **STARTED)
        else:
            ray.init(address=address, **QUIET, **(STARTED if address == LOCAL else {}))
    except Exception as error:
        raise UserError(
            f"The Ray cluster {address!r} cannot be reached: {_first_line(error)}"
        ) from None
    finally:
        for number, handler in handlers.items():  # Ray puts its own in their place
            if handler is not None:
                signal.signal(number, handler)


def _head_address(ray: Any) -> str:
    """Return the address of the cluster's head; nothing where it is out of reach by design."""
    with contextlib.suppress(Exception):  # a client has none
        return str(ray.get_runtime_context().gcs_address)
    return ""


def _why_unreachable(address: str) -> str:
    """Return why nobody answers at `HOST:PORT`; nothing where somebody does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH).close()
    except ValueError:
        return "an address is HOST:PORT"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
