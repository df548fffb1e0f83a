"""Paint on the workers of a Ray cluster, which may come and go while pictures are painted.

A worker that dies takes its run along; the picture goes on from its last step on another one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from typing_extensions import override

from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep
from nst.errors import WorkerError
from nst.images.masks import Masks
from nst.settings import DEFAULTS, TransferSettings
from nst.studio.backends.base import Backend
from nst.studio.backends.ray_fleet import Fleet, FleetRun
from nst.studio.backends.ray_messages import WorkerFacts
from nst.studio.backends.ray_painter import Order, unpacked
from nst.studio.backends.remote import RemoteBackend, RunInputs
from nst.studio.forecast import Forecast, PlannedRun, bytes_for, work_of

log = logging.getLogger(__name__)

PAINTER = "nst.studio.backends.ray_painter:NetworkPainter"
CPUS_EACH = 4  # cores of a worker without a GPU
FIRST_WORKER = 60.0  # seconds to wait for one at the start
EVERY = 0.1  # seconds between two pictures of a run
DEATHS = 3  # of workers in a row, over one iteration, until it is the picture's fault
GUESS = 1e-6  # seconds per pixel of an evaluation, while no worker has told its own


class RayBackend(RemoteBackend):
    """The workers of a cluster.

    Runs of one that `is_spare` are painted beside others, and outlast their workers by themselves:
    those of contact sheets and textures.
    """

    guess = GUESS

    def __init__(self, fleet: Fleet, *, is_spare: bool = False) -> None:
        super().__init__()
        self.fleet = fleet
        self.is_spare = is_spare

    @property
    @override
    def in_process(self) -> Backend:
        return self if self.is_spare else RayBackend(self.fleet, is_spare=True)

    @override
    def prepare(self) -> None:
        """Join the cluster. Raises `MissingPackageError` and `SettingsError`."""
        if not self.fleet.start(FIRST_WORKER):
            log.warning("no worker of the cluster is there yet")

    @override
    def watch_painters(self, changed: Callable[[int], None]) -> None:
        def count(workers: Sequence[WorkerFacts]) -> None:
            self.painters = max(1, len(workers))  # one learns why nothing is painted
            changed(self.painters)

        self.fleet.watch(count)

    @override
    def fetch_weights(self, settings: TransferSettings) -> None:
        """Load nothing: each worker loads the network's parameters."""

    @override
    def engine(self) -> Engine:
        """Return what paints a run; only some of its steps have pictures, but always the last.

        It may end early, which is where the next call goes on, and raises `UnreachableError`,
        `WorkerError`, and `LostStateError` for a moment whose worker is lost.
        """
        return self._paint_through if self.is_spare else self._paint

    @override
    def forecast(self, run: PlannedRun) -> Forecast:
        work = work_of(run)
        workers = self.fleet.workers
        if not self.paces and workers:
            seconds = work.pixels * max(worker.pace for worker in workers)
        else:
            seconds = self.seconds_for(work)
        free = self.free_memory(run.settings, 0)
        return Forecast(seconds, bytes_for(work, self._dtype(run.settings), free))

    @override
    def free_memory(self, settings: TransferSettings, held: int) -> int | None:
        """Return the bytes of the worker that has the fewest; each run has a worker to itself."""
        known = [worker.memory for worker in self.fleet.workers if worker.memory is not None]
        return min(known, default=None)

    @override
    def close(self) -> None:
        self.fleet.close()

    def _dtype(self, settings: TransferSettings) -> torch.dtype:
        """Return the dtype that needs the most memory of those that the workers paint in."""
        if settings.precision != "auto":
            return torch.float32 if settings.precision == "float32" else torch.bfloat16
        are_fast = all(worker.dtype == "bfloat16" for worker in self.fleet.workers)
        return torch.bfloat16 if are_fast else torch.float32

    def _paint(
        self,
        content: Image.Image,
        styles: Image.Image | Sequence[Image.Image],
        settings: TransferSettings = DEFAULTS,
        *,
        masks: Masks | None = None,
        init: Image.Image | None = None,
        begin: Moment | None = None,
    ) -> Iterator[TransferStep]:
        """Paint until the run or its worker ends.

        A worker that dies before it has got any further is replaced, some times.
        """
        inputs = RunInputs.of(content, styles, settings, masks, init, begin)
        reached = inputs.done - 1
        for deaths in range(1, DEATHS + 1):
            try:
                for step in self._steps(inputs, self._submit(inputs)):
                    if step.iteration > reached:
                        reached = step.iteration
                        yield step
                return
            except WorkerError:
                log.warning("a worker has ended at iteration %d of a picture", max(reached, 0))
                if reached > inputs.done:
                    return
                if deaths == DEATHS:
                    raise

    def _paint_through(
        self,
        content: Image.Image,
        styles: Image.Image | Sequence[Image.Image],
        settings: TransferSettings = DEFAULTS,
        **control: Any,
    ) -> Iterator[TransferStep]:
        """Return the steps of a run that begins at once, and reaches its end on any workers."""
        inputs = RunInputs.of(content, styles, settings, **control)
        return self._through(inputs, self._submit(inputs, every=0.0))

    def _through(self, inputs: RunInputs, run: FleetRun) -> Iterator[TransferStep]:
        """Yield each step once, and go on from the last on another worker when one dies."""
        reached, deaths = inputs.done - 1, 0
        while True:
            try:
                for step in self._steps(inputs, run):
                    if step.iteration > reached:
                        reached, deaths, latest = step.iteration, 0, step
                        yield step
                return
            except WorkerError:
                deaths += 1
                if deaths == DEATHS:
                    raise
            if reached > inputs.done:
                inputs = inputs.going_on(latest)
            run = self._submit(inputs, every=0.0)

    def _submit(self, inputs: RunInputs, every: float = EVERY) -> FleetRun:
        """Hand a run to the fleet, with a picture in so many seconds at most."""
        order = Order(inputs, every, keeps_state=not self.is_spare)
        return self.fleet.paint(
            pickle.dumps(order, pickle.HIGHEST_PROTOCOL),
            is_spare=self.is_spare,
            follows=inputs.state[0] if inputs.state else None,
        )

    def _steps(self, inputs: RunInputs, run: FleetRun) -> Iterator[TransferStep]:
        """Yield the steps of a run, and learn its pace."""
        step: TransferStep | None = None
        try:
            with contextlib.closing(run) as pieces:
                for piece in pieces:
                    for step in unpacked(piece):
                        yield step
        finally:
            if step and step.iteration > inputs.done and not self.is_spare:
                self.learn(work_of(inputs.planned), step)


def join_cluster(address: str) -> RayBackend:
    """Return the backend of the cluster at an address: `auto`, or HOST:PORT.

    `NST_RAY_CPUS` is the number of cores of a worker without a GPU.
    """
    cpus = int(os.environ.get("NST_RAY_CPUS") or CPUS_EACH)
    return RayBackend(Fleet(address, PAINTER, cpus))
