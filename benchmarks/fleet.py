"""How a page's workshop bears visitors on more and more workers: `python -m benchmarks.fleet`.

Each number of workers has a Ray cluster of its own on this machine. Visitors ask for one picture
after another, four for each worker, without HTTP between them and the workshop. Real workers paint
with VGG-19, one core each; more than this machine has cores for are simulated: they wait instead of
painting, for 0.2 s an iteration, and send pictures of 384 px. That shows what the page, the process
that drives the cluster and Ray let through; it shows nothing about painting, or a network.

Reported are iterations a second, and to how much of linear growth that comes; the median time to
the first preview; and fairness, as `benchmarks.crowd` has it: the mean wait for the first preview
of the visitor who waited longest, to that of the one who waited least, and to the median. Also the
processor seconds of this process, of the one that drives the cluster and of the workers, by picture
sent: where others use the machine, they are what can be relied on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.example_pictures import load_pair
from nst import TransferSettings
from nst.console import run_command
from nst.outputs import check_output
from nst.studio.backends.ray import PAINTER, RayBackend
from nst.studio.backends.ray_fleet import Fleet
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.task import State
from nst.studio.workshop import Workshop

WAITING = "benchmarks.waiting_painter:WaitingPainter"
VISITORS = 4  # for each worker
PICTURES = 3  # for each visitor
REAL = TransferSettings(size=256, iterations=16)
SIMULATED = TransferSettings(size=384, iterations=20)
LOOK_EVERY = 0.02  # seconds
STORE = 2**29  # bytes of Ray's object store
ROOT = Path(__file__).parents[1]

Figures = dict[str, Any]


@dataclass
class Visitor:
    """Somebody who asks for pictures, one after another."""

    name: str
    left: int = PICTURES
    job: Job | None = None
    asked: float = 0.0
    previews: list[float] = field(default_factory=list)  # seconds until the first of each picture

    def look(self) -> None:
        if self.job and self.job.moment and len(self.previews) < PICTURES - self.left:
            self.previews.append(time.monotonic() - self.asked)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--real", type=int, nargs="*", default=[1, 2], metavar="WORKERS")
    parser.add_argument("--simulated", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--json", type=Path, metavar="FILE", help="for the figures")
    options = parser.parse_args()
    if options.json:
        check_output(options.json, (".json",))
    figures = {
        "real": series(options.real, PAINTER, REAL),
        "simulated, they wait instead of painting": series(options.simulated, WAITING, SIMULATED),
    }
    if options.json:
        options.json.write_text(
            json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def series(counts: list[int], painter: str, settings: TransferSettings) -> list[Figures]:
    """The figures of each number of workers; throughput to that of the first by worker."""
    rows = list[Figures]()
    kind = "real" if painter == PAINTER else "simulated"
    for count in counts:
        with running_cluster(count) as address:
            row = bear(address, count, painter, settings)
        first = rows[0] if rows else row
        each = row["iterations a second"] / count
        row["of linear"] = each / (first["iterations a second"] / first["workers"])
        rows.append(row)
        print(f"{kind}: {json.dumps(row, ensure_ascii=False)}", flush=True)
    return rows


@contextlib.contextmanager
def running_cluster(cpus: int) -> Iterator[str]:
    """Yield the address of a cluster of this machine with so many cores, real or not."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # Ray's sockets want a short path
    os.environ |= {
        "RAY_TMPDIR": folder,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PYTHONPATH": str(ROOT),
    }
    head = subprocess.Popen(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--port=0", "--include-dashboard=false", "--node-ip-address=127.0.0.1"),
            *(f"--num-cpus={cpus}", f"--object-store-memory={STORE}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        current = Path(folder) / "ray" / "ray_current_cluster"
        while not (current.exists() and current.read_text().strip()):
            if head.poll() is not None:
                raise RuntimeError("Ray did not start")
            time.sleep(0.1)
        yield current.read_text().strip()
    finally:
        head.send_signal(signal.SIGTERM)
        head.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def bear(address: str, count: int, painter: str, settings: TransferSettings) -> Figures:
    """What visitors meet on so many workers."""
    fleet = Fleet(address, painter, cpus_each=1)
    backend = RayBackend(fleet)
    backend.prepare()
    workshop = Workshop(
        None, Limits(waiting=10**6, wait=10**6, grace=10**6, grace_in_line=10**6), backend
    )
    try:
        while workshop.limits.painters < count:
            time.sleep(0.1)
        visitors = [Visitor(f"visitor {number}") for number in range(VISITORS * count)]
        cpu, began = processor_seconds(fleet), time.monotonic()
        painted = crowd(visitors, workshop, backend, settings)
        seconds = time.monotonic() - began
        now = processor_seconds(fleet)
        page, driver, workers = (after - before for after, before in zip(now, cpu, strict=True))
        return figures_of(visitors, count, painted, seconds) | {
            "processor seconds by picture sent, of the page": page / painted,
            "… of the process that drives the cluster": driver / painted,
            "… of the workers": workers / painted,
        }
    finally:
        workshop.close()
        backend.close()


def crowd(
    visitors: list[Visitor], workshop: Workshop, backend: RayBackend, settings: TransferSettings
) -> int:
    """Let visitors ask until all have their pictures; return the iterations that were painted."""
    photo, painting = load_pair("castle", "night_impasto")
    painted = 0
    while any(visitor.left or visitor.job for visitor in visitors):
        for visitor in visitors:
            visitor.look()
            job = visitor.job
            if job and not job.state.is_live:
                assert job.state is State.FINISHED, job.note
                painted += len(job.steps)
                visitor.job = None
            if visitor.job is None and visitor.left:
                visitor.left -= 1
                visitor.asked = time.monotonic()
                visitor.job = Job(
                    photo, [painting], settings, visitor=visitor.name, engine=backend.engine()
                )
                workshop.submit(visitor.job, settings.iterations * 0.2)
        time.sleep(LOOK_EVERY)
    return painted


def processor_seconds(fleet: Fleet) -> tuple[float, float, float]:
    """Of this process, of the one that drives the cluster, and of all workers (Linux)."""
    assert fleet.process_id
    workers = sum(seconds_of(worker.process) for worker in fleet.workers)
    return time.process_time(), seconds_of(fleet.process_id), workers


def seconds_of(process: int) -> float:
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def figures_of(visitors: list[Visitor], count: int, painted: int, seconds: float) -> Figures:
    waits: dict[str, list[float]] = defaultdict(list)
    for visitor in visitors:
        waits[visitor.name] += visitor.previews
    means = [statistics.fmean(each) for each in waits.values()]
    return {
        "workers": count,
        "visitors": len(visitors),
        "pictures": len(visitors) * PICTURES,
        "seconds": round(seconds, 2),
        "iterations a second": painted / seconds,
        "median seconds to the first preview": statistics.median(
            wait for each in waits.values() for wait in each
        ),
        "longest to shortest mean wait": max(means) / min(means),
        "longest to their median": max(means) / statistics.median(means),
    }


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.fleet"))
