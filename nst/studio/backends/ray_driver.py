"""The process that drives a Ray cluster for the page: places workers, and hands runs to them.

Ray ends the process that drives a cluster when the cluster's head is lost, so it is never the
page's own. Knows neither pictures nor torch. It has a pipe to the page, and ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import nst
from nst.ray_clusters import import_ray
from nst.studio.backends.ray_messages import (
    Begun,
    Ended,
    Ending,
    Joined,
    Leave,
    Paint,
    Piece,
    Stop,
    Warned,
    WorkerFacts,
    Workers,
)
from nst.studio.backends.ray_worker import Worker

LOOK_EVERY = 2.0  # seconds between two looks at the cluster
HEAD_PATIENCE = 6.0  # seconds in which the head answers, or is lost
RETRY_AFTER = 20.0  # seconds until a worker is placed again that did not come up
OBJECT_STORE = 2**30  # bytes, of a cluster of our own; Ray would take 30 % of the memory
CONTROL, SPARE = "control", "spare"  # concurrency groups, beside the one of pictures
SPARES = 9  # spare runs that a worker paints at the same time: a contact sheet


@dataclass(eq=False)
class Slot:
    """A place for a worker on a node, and the worker in it."""

    node: str  # Ray's id
    address: str
    gpus: float
    cpus: float
    workers: int  # on this node
    actor: Any = None
    facts: WorkerFacts | None = None  # once it is ready
    run: int | None = None  # that it paints
    latest: int | None = None  # run that it has painted
    spares: set[int] = field(default_factory=set)  # that it paints beside
    retry: float = 0.0  # on the loop's clock: not before

    @property
    def is_free(self) -> bool:
        """Tell whether a picture can be handed to it."""
        return self.facts is not None and self.run is None


def slots_of(node: Mapping[str, Any], cpus_each: int) -> list[Slot]:
    """Return the places on a node as `ray.nodes()` describes it.

    One for each GPU; without any, one for so many cores each, or for all where there are fewer.
    """
    resources = node["Resources"]
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    share = min(cpus_each, cpus)
    count = gpus or (cpus // share if share else 0)
    own = (1.0, 0.0) if gpus else (0.0, float(share))
    return [Slot(node["NodeID"], node["NodeManagerAddress"], *own, count) for _ in range(count)]


class Driver:
    """Keeps one worker in each slot of the cluster, and the runs that wait for one."""

    def __init__(self, connection: Connection, painter: str, cpus_each: int) -> None:
        self._ray = import_ray()
        self._actor = self._ray.remote(concurrency_groups={CONTROL: 1, SPARE: SPARES})(Worker)
        self._connection = connection
        self._painter, self._cpus_each = painter, cpus_each
        self._slots: list[Slot] = []
        self._waiting: deque[Paint] = deque()
        self._told: tuple[WorkerFacts, ...] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    async def serve(self) -> None:
        """Do what the page asks, until it is gone or the head is lost."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), daemon=True).start()
        while True:
            await self._look()
            self._news.clear()
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_EVERY)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(EOFError, OSError):
            while not isinstance(message := self._connection.recv(), Leave):
                loop.call_soon_threadsafe(self._take, message)
        self._ray.shutdown()  # ends the workers, and a cluster of our own
        os._exit(0)

    def _take(self, message: object) -> None:
        if isinstance(message, Paint):
            self._accept(message)
        elif isinstance(message, Stop):
            self._stop(message.run)

    def _accept(self, paint: Paint) -> None:
        """Let a picture wait for a free worker; a spare run goes to the one with least to do."""
        ready = [slot for slot in self._slots if slot.facts]
        if not ready:
            self._send(Ended(paint.run, Ending.NONE))
        elif paint.is_spare:
            slot = min(ready, key=lambda each: (each.run is not None, len(each.spares)))
            slot.spares.add(paint.run)
            self._spawn(self._paint(slot, paint))
        else:
            self._waiting.append(paint)
            self._hand_out()
            if paint in self._waiting and self._home_of(paint):
                self._send(Begun(paint.run))  # as soon as the one before has ended

    def _stop(self, run: int) -> None:
        self._waiting = deque(paint for paint in self._waiting if paint.run != run)
        for slot in self._slots:
            if run == slot.run or run in slot.spares:
                slot.actor.stop.options(concurrency_group=CONTROL).remote(run)

    async def _look(self) -> None:
        """Follow the nodes that come and go, and place a worker wherever one is missing."""
        try:
            nodes = await asyncio.wait_for(asyncio.to_thread(self._ray.nodes), HEAD_PATIENCE)
        except Exception:  # whatever Ray says: there is no cluster to drive any more
            os._exit(1)
        alive = {node["NodeID"]: node for node in nodes if node["Alive"]}
        self._slots = [slot for slot in self._slots if slot.node in alive]
        known = {slot.node for slot in self._slots}
        for id in alive.keys() - known:
            self._slots += slots_of(alive[id], self._cpus_each)
        now = asyncio.get_running_loop().time()
        for slot in self._slots:
            if slot.actor is None and now >= slot.retry:
                self._place(slot)
            elif slot.is_free:
                self._spawn(self._refresh(slot, slot.actor))
        self._tell()

    def _place(self, slot: Slot) -> None:
        """Start a worker in a slot."""
        strategies = self._ray.util.scheduling_strategies
        where = strategies.NodeAffinitySchedulingStrategy(slot.node, soft=False)
        resources = {"num_cpus": slot.cpus, "num_gpus": slot.gpus}
        threads = max(1, int(slot.cpus))
        slot.actor = self._actor.options(
            **resources, max_restarts=0, max_task_retries=0, scheduling_strategy=where
        ).remote(self._painter, slot.address, slot.workers, threads)
        self._spawn(self._refresh(slot, slot.actor))

    async def _refresh(self, slot: Slot, actor: Any) -> None:
        """Learn what a worker can do now; one that cannot tell is gone."""
        try:
            facts = await actor.facts.options(concurrency_group=CONTROL).remote()
        except self._ray.exceptions.RayError as error:
            if slot.actor is actor:
                self._lose(slot, str(error) if slot.facts is None else "")
            return
        if facts.version != nst.__version__:
            self._lose(slot, f"it has nst {facts.version}, and the page {nst.__version__}")
        elif slot.actor is actor:
            slot.facts = facts
            self._hand_out()
            self._tell()

    def _lose(self, slot: Slot, reason: str = "") -> None:
        """Let go of a worker; one that never came up is not tried again at once."""
        if slot.actor is not None:
            self._ray.kill(slot.actor)
        if reason:
            last = (reason.strip().splitlines() or [""])[-1]
            self._send(Warned(f"a worker on {slot.address} cannot be used: {last}"))
            slot.retry = asyncio.get_running_loop().time() + RETRY_AFTER
        slot.actor = slot.facts = slot.run = slot.latest = None
        slot.spares = set()
        self._tell()
        self._news.set()

    def _tell(self) -> None:
        """Tell the page of the workers, where that is news; without any, nothing can wait."""
        facts = tuple(slot.facts for slot in self._slots if slot.facts)
        if facts != self._told:
            self._told = facts
            self._send(Workers(facts))
        while self._waiting and not facts:
            self._send(Ended(self._waiting.popleft().run, Ending.NONE))

    def _hand_out(self) -> None:
        """Hand waiting pictures to free workers, first to those that paint nothing beside."""
        for paint in list(self._waiting):
            free = [slot for slot in self._slots if slot.is_free]
            home = self._home_of(paint)
            if home and not home.is_free:
                continue
            slot = home or min(free, key=lambda each: len(each.spares), default=None)
            if slot:
                self._waiting.remove(paint)
                slot.run = slot.latest = paint.run
                self._spawn(self._paint(slot, paint))

    def _home_of(self, paint: Paint) -> Slot | None:
        """Return where a run was painted that this one follows, unless another is painted there."""
        for slot in self._slots:
            if slot.facts and slot.latest is not None and slot.latest == paint.follows:
                return slot if slot.run in (None, paint.follows) else None
        return None

    async def _paint(self, slot: Slot, paint: Paint) -> None:
        """Pass on what a worker makes of a run."""
        actor, how = slot.actor, Ending.DONE
        options = {"concurrency_group": SPARE} if paint.is_spare else {}
        method = actor.paint.options(num_returns="streaming", **options)
        self._send(Begun(paint.run))
        try:
            async for reference in method.remote(paint.run, paint.inputs):
                self._send(Piece(paint.run, await reference))
        except self._ray.exceptions.RayError:
            how = Ending.DIED
        self._send(Ended(paint.run, how))
        if slot.actor is not actor:
            return
        if how is Ending.DIED:
            self._lose(slot)
            return
        slot.spares.discard(paint.run)
        slot.run = None if slot.run == paint.run else slot.run
        self._hand_out()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if error := task.exception():
            raise error

    def _send(self, message: object) -> None:
        tell(self._connection, message)


def tell(connection: Connection, message: object) -> None:
    """Send the page a message; ends the process, and its part in the cluster, without a page."""
    try:
        connection.send(message)
    except OSError:
        os._exit(0)


def join(address: str) -> str:
    """Join the cluster at an address, and return the address.

    `auto` is the one that this machine is part of, or else a new one of it alone, which ends with
    this process. Raises `ConnectionError`.
    """
    ray = import_ray()
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    if address != "auto":
        ray.init(address=address, **quiet)
    else:
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            ray.init(
                address="local", object_store_memory=OBJECT_STORE, include_dashboard=False, **quiet
            )
            return "auto"
    return str(ray.get_runtime_context().gcs_address)


def main(arguments: Sequence[str] = ()) -> None:
    """Drive a cluster: the pipe's descriptor, the address, the painter, and cores for a worker."""
    descriptor, address, painter, cpus = arguments or sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page, which ends its pipe
    connection = Connection(int(descriptor))
    try:
        joined = join(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        tell(connection, Warned(f"the cluster at {address} cannot be joined: {first}"))
        sys.exit(1)
    tell(connection, Joined(joined))
    asyncio.run(Driver(connection, painter, int(cpus)).serve())
