"""Paint a batch by actors on a Ray cluster.

Requests and events travel as bytes: no file system is shared. Ray schedules, and tells who died.
What is done again, and from which checkpoint, is the runner's to say: no task is retried here.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from nst.batch.messages import AT_ONCE, Event, Failed, Lost, PaintRequest, Progress
from nst.batch.pool import Pool
from nst.errors import ClusterError
from nst.ray_clusters import ActorStarter, JoinedCluster, divide, first_line


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

    Raises `MissingPackageError` without Ray, and `ClusterError` where there is no such cluster.
    """

    def __init__(self, address: str, jobs: int | None, device: str) -> None:
        self._cluster = JoinedCluster(address)
        self._ray, nodes = self._cluster.ray, self._cluster.nodes
        n_actors, share = divide(nodes, jobs, uses_gpus=device in ("auto", "cuda"))
        at_once = AT_ONCE + 1  # and a sign of life
        self._starter = ActorStarter(
            self._ray, PainterActor, share, device, share.cpus, max_concurrency=at_once
        )
        self._actors = [_Actor.of(self._starter.start()) for _ in range(n_actors)]

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
        self._cluster.head.check()
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
        self._cluster.leave(actor.handle for actor in self._actors)

    def _news(self, actor: _Actor, ready: Any) -> Iterator[Event]:
        """Yield what an actor has to tell; where it has died, start another in its place."""
        try:
            if ready is actor.start:
                actor.node, actor.pid = self._ray.get(ready)
                actor.start = None
                self._starter.note_ready()
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
            yield Failed(number, f"The cluster could not paint it: {first_line(error)}")
        except self._ray.exceptions.RayError as error:
            raise ClusterError(f"The Ray cluster is lost: {first_line(error)}") from None
        else:
            if isinstance(event, Progress):
                actor.painting = number
            yield event

    def _replace(self, lost: _Actor, error: Exception) -> Iterator[Lost]:
        other = self._starter.replace(lost.handle, error, was_ready=lost.start is None)
        self._actors[self._actors.index(lost)] = _Actor.of(other)
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

    @staticmethod
    def of(handle: Any) -> _Actor:
        """Return one that was just started."""
        return _Actor(handle, handle.location.remote())

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
