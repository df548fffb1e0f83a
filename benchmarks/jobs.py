"""Compare ways to divide a processor's threads among the jobs of a batch.

`python -m benchmarks.jobs` paints the same pictures with each number of jobs in turn, forwards and
backwards, so that what else a machine does meets all of them. It prints, for each, the seconds from
the first iteration to the last picture, those of the whole command, and its CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.example_pictures import EXAMPLES, painting_path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Sample:
    """What a batch took, in seconds."""

    painting: float  # from the first iteration to the last picture
    whole: float  # of the command
    processor: float  # user and system time of all its processes


def measure(jobs: int, threads: int, size: int, iterations: int, photos: list[Path]) -> Sample:
    """Paint the photos by so many jobs that divide so many threads."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*map(str, photos), "--styles", str(painting_path("udnie")), "-o", f"{folder}/out"]
        words += ["--size", str(size), "--iterations", str(iterations), "--jobs", str(jobs)]
        before, began = _processor_seconds(), time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "nst.batch", *words, "--json"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        first = 0.0
        for line in process.stdout:
            if not first and json.loads(line)["event"] == "progress":
                first = time.monotonic()
        last = time.monotonic()
        if process.wait():
            raise SystemExit(f"the batch ended with {process.returncode}")
    return Sample(last - first, time.monotonic() - began, _processor_seconds() - before)


def table(samples: dict[tuple[int, int], list[Sample]]) -> str:
    """Return the medians as a table in Markdown, each also in proportion to one job."""
    lines = [
        "| Size | Jobs | From the first iteration | Whole command | CPU seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (size, jobs), taken in sorted(samples.items()):
        cells = [_cell(taken, samples[size, 1], name) for name in vars(taken[0])]
        lines.append(f"| {size} | {jobs} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(taken: list[Sample], ones: list[Sample], name: str) -> str:
    pairs = zip(taken, ones, strict=True)
    ratio = statistics.median(getattr(a, name) / getattr(b, name) for a, b in pairs)
    return f"{statistics.median(getattr(each, name) for each in taken):.1f} s ({ratio:.2f})"


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 384])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2, help="each of them there and back")
    options = parser.parse_args()
    photos = sorted((EXAMPLES / "content").glob("*.jpg"))[: options.pictures]
    numbers = sorted({1, *options.jobs})
    samples: dict[tuple[int, int], list[Sample]] = defaultdict(list)
    for size in options.sizes:
        for _ in range(options.rounds):
            for turn in (numbers, numbers[::-1]):
                for jobs in turn:
                    sample = measure(jobs, options.threads, size, options.iterations, photos)
                    samples[size, jobs].append(sample)
                    print(size, jobs, sample, file=sys.stderr, flush=True)
    print(f"{len(photos)} pictures, {options.iterations} iterations, {options.threads} threads")
    print(table(samples))


if __name__ == "__main__":
    main()
