"""Admit jobs: what a run may cost here, and how many pictures are open at once.

It also tells from which network a request comes.

Knows requests and the workshop's limits; nothing of components.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import gradio as gr
from PIL import Image

from nst import TransferSettings
from nst.engine.schedule import Moment
from nst.errors import BusyError, TooLargeError
from nst.images.masks import NO_MASKS, Masks
from nst.images.sandbox import BUSY, PATIENCE
from nst.studio.forecast import Forecast, PlannedRun
from nst.studio.job import Job
from nst.studio.task import State, Task
from nst.studio.workshop import Workshop
from page.http.rate_limit import network_of


@dataclass(frozen=True)
class Admission:
    """The way into a workshop."""

    workshop: Workshop
    _door: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def opened(self, settings: TransferSettings) -> Iterator[None]:
        """Hold pictures alone that the workshop has not made room for yet.

        A crowd that sends the largest there are would fill the memory before anybody is turned
        away. Raises `BusyError`.
        """
        self.workshop.backend.fetch_weights(settings)  # now: nobody else should wait for it
        if not self._door.acquire(timeout=PATIENCE):
            raise BusyError(BUSY)
        try:
            yield
        except TooLargeError:
            self.workshop.statistics.refuse("too_large")
            raise
        finally:
            self._door.release()

    def expected(
        self,
        photo: Image.Image,
        paintings: Sequence[Image.Image],
        settings: TransferSettings,
        begin: Moment | None = None,
        *,
        masks: Masks = NO_MASKS,
    ) -> Forecast:
        """Return what a run will need.

        Raises `TooLargeError` when that is more than there is.
        """
        sizes = [painting.size for painting in paintings]
        run = PlannedRun(photo.size, sizes, settings, begin, masks.count)
        return self.workshop.backend.admit(run, seconds=self.workshop.limits.seconds)

    def check_change(
        self,
        job: Job,
        settings: TransferSettings,
        paintings: Sequence[Image.Image] = (),
        masks: Masks = NO_MASKS,
    ) -> Forecast:
        """Return what a job that is painted will need after a change.

        Settings may change, and paintings with their masks. It is asked as for a new job, but for
        the memory that it holds already; what needs no more than was promised always passes.
        Raises `TooLargeError`.
        """
        moment, backend = job.moment, self.workshop.backend
        present_sizes = [each.size for each in job.wanted_paintings]
        count = job.wanted_masks.count
        present = PlannedRun(job.content.size, present_sizes, job.settings, moment, count)
        wanted = present.under(settings)
        if paintings:
            sizes = [painting.size for painting in paintings]
            wanted = dataclasses.replace(wanted, paintings=sizes, regions=masks.count)
        promised, expected = backend.forecast(present), backend.forecast(wanted)
        if expected.bytes <= promised.bytes and expected.seconds <= promised.seconds:
            return expected
        held = 0
        if moment and job.state is State.RUNNING:
            now = job.settings.replace(size=max(moment.picture.size))
            held = backend.forecast(present.under(now)).bytes
        return backend.admit(wanted, seconds=self.workshop.limits.seconds, held=held)

    def submit(self, task: Task, seconds: float, request: gr.Request) -> None:
        """Queue a task. Raises `BusyError`."""
        self.workshop.submit(task, seconds, source_of(request))


def source_of(request: gr.Request) -> str:
    """Return the network that a request comes from, or "" where the address tells nothing.

    That of a proxy in front of the page is everybody's.
    """
    return network_of(getattr(request.client, "host", ""))
