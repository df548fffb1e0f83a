"""The work that `benchmarks.gpu` times, done in a process of its own that reports as it goes.

A process that has imported torch and this package, and done nothing on the device yet, is where a
cold picture begins.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import torch
from PIL import Image

from benchmarks.example_pictures import painting_path, photo_path
from benchmarks.memory import peak_megabytes, resident_megabytes
from benchmarks.methods import METHODS, Enough, Task, tensor_of
from benchmarks.peers import task_files
from benchmarks.textbook import Textbook
from nst.engine.cuda_graphs import shared_graphs
from nst.engine.devices import load_network
from nst.engine.objective import targets
from nst.engine.out_of_memory import has_run_out
from nst.engine.schedule import plan_scales
from nst.engine.transfer import transfer_style
from nst.errors import UserError
from nst.images.tensors import fit
from nst.settings import TransferSettings

PAIR = ("castle", "starry_night")
JUDGED_UP_TO = 1024  # pixels; the textbook's cost of larger pictures takes too much memory
OURS = "ours"
TELL_EVERY = 0.5  # seconds


@dataclass(frozen=True)
class Work:
    """One line of the table: a method at a size."""

    method: str  # `OURS`, or one of `METHODS`
    size: int  # pixels, the longest side
    iterations: int  # of ours; of a peer, the evaluations at most
    processes: int = 1  # each with a cold picture
    warm: int = 2  # more pictures in each process
    limit: float = 120.0  # seconds, for all of it
    options: str = ""  # of CUDA, as NST_CUDA has them

    @property
    def name(self) -> str:
        return f"{self.method} with {self.options}" if self.options else self.method

    @property
    def title(self) -> str:
        return f"{self.name}, {self.size} px, {self.iterations} iterations"


@dataclass(frozen=True)
class Round:
    """One picture."""

    is_cold: bool
    seconds: float
    evaluations: float  # in those of the picture's own size
    pace: float  # evaluations a second, at that size
    megabytes: float | None  # the most memory it held on the device
    J: float | None = None  # of the delivered picture, by the textbook
    content: float | None = None
    pixels: bytes = field(default=b"", repr=False)  # of the delivered picture, 8-bit RGB


@dataclass(frozen=True)
class Remark:
    """A sentence on why there is no more of a work."""

    text: str
    is_failure: bool = False


@dataclass(frozen=True)
class Progress:
    """How far it is."""

    text: str


Tell = Callable[[Round | Remark | Progress], None]


class TimeIsUp(Exception):  # noqa: N818  # nothing went wrong
    """Ends a work that would take longer than it may."""


def work_in_process(pipe: Connection, work: Work, device: str, seconds: float) -> None:
    """Do a work within so many seconds, and send what comes of it: a process's main function."""
    os.environ["NST_CUDA"] = work.options
    deadline = Deadline(seconds)
    do = _paint if work.method == OURS else _run_peer
    try:
        do(work, device, _seldom(pipe.send), deadline)
    except TimeIsUp as reached:
        pipe.send(Remark(f"cut short by the time budget{reached}"))
    except UserError as error:
        pipe.send(Remark(f"refused: {error}"))
    except Exception as error:
        if not has_run_out(error):
            pipe.send(Remark(f"failed: {_first_line(error)}", is_failure=True))
            raise
        pipe.send(Remark(f"out of memory: {_first_line(error)}"))


def _seldom(tell: Tell) -> Tell:
    """Leave out progress that follows other progress closely: telling takes time, too."""
    told = -math.inf

    def tell_seldom(news: Round | Remark | Progress) -> None:
        nonlocal told
        if not isinstance(news, Progress):
            tell(news)
        elif time.perf_counter() - told > TELL_EVERY:
            tell(news)
            told = time.perf_counter()

    return tell_seldom


class Deadline:
    """A moment after which nothing is begun."""

    def __init__(self, seconds: float) -> None:
        self.end = time.perf_counter() + seconds

    def check(self, reached: str = "", *, needed: float = 0.0) -> None:
        """Raise `TimeIsUp` where less than `needed` seconds are left."""
        if time.perf_counter() + needed > self.end:
            raise TimeIsUp(reached)


def _paint(work: Work, device: str, tell: Tell, deadline: Deadline) -> None:
    """Paint one picture cold, its network loaded from files, and some more warm."""
    settings = TransferSettings(size=work.size, iterations=work.iterations)
    paths = photo_path(PAIR[0]), painting_path(PAIR[1])
    photo, painting = (Image.open(path).convert("RGB") for path in paths)
    for number in range(1 + work.warm):
        targets.forget()  # each picture works out its own
        began = time.perf_counter()
        memory = DeviceMemory(device)  # the first wakes the device up, which is part of the cold
        load_network(settings, device)
        gaps, last = [], time.perf_counter()
        for step in transfer_style(photo, painting, settings, device=device):
            now = time.perf_counter()
            if max(step.width, step.height) == work.size:
                gaps.append(now - last)
            last = now
            tell(Progress(f"{work.title}, {_temper(number)}: iteration {step.iteration}"))
            deadline.check(f" at iteration {step.iteration} of the {_temper(number)} picture")
        picture = step.image
        seconds = time.perf_counter() - began
        megabytes = memory.peak()
        evaluations = sum(scale.work for scale in plan_scales(settings)) / work.size**2
        pace = 1 / statistics.median(gaps)
        J, content = _judge(picture, work, device)
        pixels = picture.tobytes()
        tell(Round(number == 0, seconds, evaluations, pace, megabytes, J, content, pixels))
        if number < work.warm:
            deadline.check(f" after {number + 1} of {1 + work.warm} pictures", needed=seconds)
    if shared_graphs.failure:
        tell(Remark(f"CUDA graphs were given up: {shared_graphs.failure}", is_failure=True))


def _run_peer(work: Work, device: str, tell: Tell, deadline: Deadline) -> None:
    """Run a peer for some evaluations; what it loads beforehand is not counted."""
    with task_files(*PAIR, work.size, device) as task:
        clock = PeerClock(work, task, tell, deadline)
        with suppress(Enough):
            METHODS[work.method](task, clock.start, clock.report)
        J, content = _judge(clock.picture(), work, device)
    pace = clock.evaluations / clock.seconds
    tell(Round(False, clock.seconds, clock.evaluations, pace, clock.megabytes, J, content))
    if clock.evaluations < work.iterations:
        tell(Remark(f"cut short by the time budget after {clock.evaluations:.0f} evaluations"))


class PeerClock:
    """Counts a method's seconds, and ends it at its evaluations or at the deadline."""

    def __init__(self, work: Work, task: Task, tell: Tell, deadline: Deadline) -> None:
        self.work, self.tell, self.deadline = work, tell, deadline
        self.device = task.device
        self.seconds = self.evaluations = 0.0
        self.megabytes: float | None = None
        self.picture: Callable[[], Image.Image] = Image.Image

    def start(self) -> None:
        synchronize(self.device)
        self.memory = DeviceMemory(self.device)
        self.began = time.perf_counter()

    def report(self, evaluations: float, picture: Callable[[], Image.Image]) -> None:
        synchronize(self.device)
        self.seconds = time.perf_counter() - self.began
        self.evaluations, self.picture = evaluations, picture
        self.tell(Progress(f"{self.work.title}: evaluation {evaluations:.0f}"))
        try:
            self.deadline.check()
        except TimeIsUp:
            self._end()
        if evaluations >= self.work.iterations:
            self._end()

    def _end(self) -> None:
        self.megabytes = self.memory.peak()
        raise Enough


@torch.no_grad()
def _judge(picture: Image.Image, work: Work, device: str) -> tuple[float | None, float | None]:
    """Return J and its content term of a delivered picture, by the textbook in float32."""
    if work.size > JUDGED_UP_TO:
        return None, None
    photo, painting = (
        tensor_of(fit(Image.open(path).convert("RGB"), work.size)).to(device)
        for path in (photo_path(PAIR[0]), painting_path(PAIR[1]))
    )
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        cost = Textbook(photo, painting)(tensor_of(picture).to(device))
    return float(cost.total), float(cost.content)


def synchronize(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device != "cpu":
        _module(device).synchronize()


class DeviceMemory:
    """The most memory that is held on a device from now on, where the device tells."""

    def __init__(self, device: str) -> None:
        self.device, self.idle = device, 0.0
        with suppress(AttributeError, OSError):  # not on MPS; on a CPU, only on Linux
            if device == "cpu":
                self.idle = resident_megabytes()
            else:
                _module(device).reset_peak_memory_stats()

    def peak(self) -> float | None:
        with suppress(AttributeError, OSError):
            if self.device == "cpu":
                return peak_megabytes() - self.idle
            return float(_module(self.device).max_memory_allocated()) / 2**20
        return None


def _module(device: str) -> Any:
    """Return torch.cuda, torch.mps or their like."""
    return getattr(torch, torch.device(device).type)


def _temper(number: int) -> str:
    return "cold" if number == 0 else f"warm {number}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
