"""What tests of the workshop share: tasks that wait for a gate, and jobs that settle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from helpers.painting import SMALL, tone
from nst.engine.transfer import Engine, TransferStep
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.task import State
from nst.studio.workshop import Workshop

MakeJob = Callable[..., Job]

ALWAYS = Limits(checkpoint_every=-1.0)  # a checkpoint at every iteration

PATIENCE = 20.0  # seconds until a test that hangs fails


class Gate:
    """An engine that paints one step whenever the test lets it."""

    def __init__(self) -> None:
        self._asked = threading.Semaphore(0)
        self._allowed = threading.Semaphore(0)

    def __call__(self, *args: Any, **options: Any) -> Iterator[TransferStep]:
        for step in tone(*args, **options):
            self._asked.release()
            assert self._allowed.acquire(timeout=PATIENCE)
            yield step

    def wait(self) -> None:
        """Until the engine has been asked for its next step."""
        assert self._asked.acquire(timeout=PATIENCE)

    def step(self) -> None:
        """Let one step out, and wait until the next one is asked for."""
        self._allowed.release()
        self.wait()

    def open(self) -> None:
        for _ in range(1000):
            self._allowed.release()


def settle(workshop: Workshop) -> None:
    """Wait until there is nothing left to paint."""
    assert workshop.wait_until_idle(PATIENCE)


def assert_ends(job: Job) -> None:
    """It is painted to its end, soon."""
    deadline = time.monotonic() + PATIENCE
    while job.state.is_live and time.monotonic() < deadline:
        time.sleep(0.005)
    assert job.state is State.FINISHED


@pytest.fixture
def make_job(photo: Image.Image, painting: Image.Image) -> MakeJob:
    def make(
        engine: Engine = tone, settings: TransferSettings = SMALL, visitor: str = "jane"
    ) -> Job:
        return Job(photo, [painting], settings, visitor=visitor, engine=engine)

    return make
