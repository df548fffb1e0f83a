"""The actor on a cluster: one for each GPU, or for a share of a machine's cores.

Light at import, for the process that drives the cluster; the painter brings torch and the network.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Protocol

from nst.studio.backends.ray_messages import WorkerFacts


class Painter(Protocol):
    """What an actor paints with. It is made from the node's address and the workers there."""

    def facts(self) -> WorkerFacts:
        """Return what it can do; the memory as it is now."""

    def paint(self, run: int, inputs: bytes, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
        """Yield pickled batches of steps, or an error in the end.

        It ends early, after an iteration, when it is told to.
        """


class Worker:
    """Paints one run at a time, and small ones beside it, each in a thread of its own."""

    def __init__(self, painter: str, node: str, workers: int, threads: int) -> None:
        module, _, name = painter.partition(":")
        kind = getattr(importlib.import_module(module), name)
        self._painter: Painter = kind(node, workers, threads)
        self._stopped: set[int] = set()

    def facts(self) -> WorkerFacts:
        """Return what the worker can do."""
        return self._painter.facts()

    def paint(self, run: int, inputs: bytes) -> Iterator[bytes]:
        """Yield what the painter makes of a run."""
        try:
            yield from self._painter.paint(run, inputs, lambda: run in self._stopped)
        finally:
            self._stopped.discard(run)

    def stop(self, run: int) -> None:
        """End a run after its present iteration."""
        self._stopped.add(run)
