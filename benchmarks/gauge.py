"""What a server that runs beside us holds of the machine: memory, threads, open files, and files in
its folders (Linux).

Knows processes and folders; nothing of what is served.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")  # a second
QUIET_FOR = 2.0  # seconds
IDLE = 0.1  # of one processor


@dataclass(frozen=True)
class Sample:
    """One look at a server."""

    seconds: float  # on the monotonic clock
    megabytes: float  # resident, with its child processes
    threads: int  # its own, as is the next
    descriptors: int
    temporary_files: int
    temporary_bytes: int
    job_files: int
    job_bytes: int


@dataclass(frozen=True)
class Gauge:
    """Where to look: a process, its folder of temporary files and that of its jobs."""

    pid: int
    temporary: Path
    jobs: Path

    def look(self) -> Sample:
        temporary_files, temporary_bytes = contents(self.temporary)
        job_files, job_bytes = contents(self.jobs)
        return Sample(
            seconds=time.monotonic(),
            megabytes=sum(map(resident_bytes, family(self.pid))) / 1e6,
            threads=len(os.listdir(f"/proc/{self.pid}/task")),
            descriptors=len(os.listdir(f"/proc/{self.pid}/fd")),
            temporary_files=temporary_files,
            temporary_bytes=temporary_bytes,
            job_files=job_files,
            job_bytes=job_bytes,
        )

    @contextmanager
    def looking(
        self, every: float, tell: Callable[[Sample], None] = lambda _: None
    ) -> Iterator[list[Sample]]:
        """What is seen every so many seconds while the block lasts, and at its end; each look is
        told at once."""
        samples: list[Sample] = []
        is_over = threading.Event()

        def look_on() -> None:
            while True:
                samples.append(self.look())
                tell(samples[-1])
                if is_over.wait(every):
                    return

        thread = threading.Thread(target=look_on, daemon=True)
        thread.start()
        try:
            yield samples
        finally:
            is_over.set()
            thread.join()
            samples.append(self.look())

    def quiet(self, within: float) -> float | None:
        """Seconds until the process computes next to nothing any more; None when it is not quiet
        within so many."""
        began = time.monotonic()
        while time.monotonic() - began < within:
            before = cpu_seconds(self.pid)
            time.sleep(QUIET_FOR)
            if cpu_seconds(self.pid) - before < IDLE * QUIET_FOR:
                return time.monotonic() - began - QUIET_FOR
        return None


def cpu_seconds(pid: int) -> float:
    """What a process has computed, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    with suppress(FileNotFoundError, ProcessLookupError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(c) for task in tasks for c in (task / "children").read_text().split()]
        return [pid, *(one for child in children for one in family(child))]
    return [pid]


def resident_bytes(pid: int) -> int:
    """0 when it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def contents(folder: Path) -> tuple[int, int]:
    """The files in a folder and all below it, and their bytes."""
    files = size = 0
    for home, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += os.stat(os.path.join(home, name)).st_size
                files += 1
    return files, size


def slope(samples: Sequence[Sample]) -> float:
    """Megabytes an hour by which memory grows: the median over all pairs of samples (Theil–Sen),
    which a single peak does not move."""
    pairs = [(a, b) for a, b in combinations(samples, 2) if b.seconds > a.seconds]
    slopes = [(b.megabytes - a.megabytes) / (b.seconds - a.seconds) for a, b in pairs]
    return 3600 * statistics.median(slopes) if slopes else 0.0
