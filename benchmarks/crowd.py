"""How the page bears a crowd: `python -m benchmarks.crowd` (about ten minutes on two cores).

`python app.py` runs as a process of its own, with the real network, and programs call `/stylize`
through `gradio_client`, each visitor one job after another. 20 % of the jobs are cancelled by their
visitor and 10 % lose their connection, in line or while they are painted; who is told that there is
no room tries again. Reported are

- throughput, and how long visitors waited for the first preview and for the result;
- fairness: the mean wait for the first preview of the visitor who waited longest, to that of the
  one who waited least, and to the median; all have the same works to be painted to the end;
- how every job ended for its visitor, and how long the server went on after the last of them had
  left: what nobody waits for may not be painted;
- the server's memory with its child processes, its threads and open files, and the files that it
  leaves behind; whether its log tells of trouble.

`--soak MINUTES` lets a few visitors paint small pictures without pause instead, and reports by how
much memory grows in the second half of that time.

Ends with status 1 when a job was lost, the server does not become quiet, or its log tells of
trouble.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gauge import Gauge, Sample, slope
from benchmarks.served import running_server
from benchmarks.visitors import PAINTINGS, PHOTOS, Order, Outcome, deal, visits, without_end
from nst.console import run_command
from nst.outputs import check_output

CROWD, SOAKING = 30, 4  # visitors
JOBS = 200
LOOK_EVERY = 2.0  # seconds
QUIET_WITHIN = 60.0  # seconds after the last visitor has left
ALONE = Order(128, 12, PHOTOS[0], PAINTINGS[0])  # painted before all others, and after them

Figures = dict[str, Any]


@dataclass(frozen=True)
class Load:
    """What visitors met, and what was seen of the server."""

    alone: list[Outcome]
    crowd: list[Outcome]
    before: Sample
    samples: list[Sample]  # while they came and went
    after: Sample
    quiet_after: float | None  # seconds, if ever
    log: str  # where it tells of trouble


def main() -> None:
    options = parse()
    if options.json:
        check_output(options.json, (".json",))
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # where gradio_client leaves empty folders
        load = bear(hands_of(options), Path(folder))
    figures = figures_of(load) | (growth(load.samples) if options.soak else {})
    for name, value in figures.items():
        print(f"{name}: {in_words(value)}")
    if options.json:
        text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
        options.json.write_text(text, encoding="utf-8")
    if load.log:
        print(load.log, file=sys.stderr)
    sys.exit(bool(figures["lost"] or load.quiet_after is None or load.log))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crowd",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--visitors", type=int, help=f"default: {CROWD}, or {SOAKING} who soak")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"of a crowd (default: {JOBS})")
    parser.add_argument("--seed", type=int, default=1, help="of what is ordered (default: 1)")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--json", type=Path, metavar="FILE", help="for the figures")
    options = parser.parse_args()
    options.visitors = options.visitors or (SOAKING if options.soak else CROWD)
    return options


def hands_of(options: argparse.Namespace) -> Sequence[Iterable[Order]]:
    """What each visitor orders."""
    if not options.soak:
        return deal(options.visitors, options.jobs, options.seed)
    seeds = (f"{options.seed} {number}" for number in range(options.visitors))
    return [for_minutes(options.soak, without_end(seed)) for seed in seeds]


def for_minutes(minutes: float, orders: Iterable[Order]) -> Iterator[Order]:
    """Orders for so long from the first on."""
    end = time.monotonic() + 60 * minutes
    yield from itertools.takewhile(lambda _: time.monotonic() < end, orders)


def bear(hands: Sequence[Iterable[Order]], folder: Path) -> Load:
    """Let a server of its own bear these visitors."""
    temporary, jobs, downloads = (folder / name for name in ("gradio", "jobs", "downloads"))
    progress = Progress()
    with running_server(jobs, environment={"GRADIO_TEMP_DIR": str(temporary)}) as server:
        gauge = Gauge(server.process.pid, temporary, jobs)
        alone = visits(server.url, [[ALONE]], downloads)
        before = gauge.look()
        with gauge.looking(LOOK_EVERY, progress.tell) as samples:
            crowd = visits(server.url, hands, downloads, progress.count)
        quiet_after = gauge.quiet(QUIET_WITHIN)
        after = gauge.look()
        alone += visits(server.url, [[ALONE]], downloads)
    return Load(alone, crowd, before, samples, after, quiet_after, server.trouble())


class Progress:
    """A line every minute, and one for each job that is lost."""

    def __init__(self) -> None:
        self._ended: Counter[str] = Counter()
        self._next = time.monotonic() + 60

    def count(self, outcome: Outcome) -> None:
        self._ended[outcome.ending] += 1
        if outcome.ending == "lost":
            print(f"lost: {outcome.said}", flush=True)

    def tell(self, sample: Sample) -> None:
        if sample.seconds >= self._next:
            self._next += 60
            print(f"{in_words(dict(self._ended))}; {in_words(held(sample))}", flush=True)


def figures_of(load: Load) -> Figures:
    """What the visitors met, and what the server held."""
    painted = [outcome for outcome in load.crowd if outcome.ending == "result"]
    everyone = load.alone + load.crowd
    minutes = (load.samples[-1].seconds - load.samples[0].seconds) / 60
    megapixels = sum(outcome.megapixels for outcome in painted)
    return {
        "minutes": minutes,
        "jobs a minute": len(load.crowd) / minutes,
        "pictures a minute": len(painted) / minutes,
        "megapixels × iterations a minute": megapixels / minutes,
        "seconds to the first preview": spread([outcome.preview for outcome in painted]),
        "seconds to the result": spread([outcome.end for outcome in painted]),
        **fairness(painted),
        "ended": Counter(outcome.ending for outcome in load.crowd),
        "sentences": Counter(one.said for one in load.crowd if one.ending == "sentence"),
        "lost": [f"{one.order.size} px: {one.said}" for one in everyone if one.ending == "lost"],
        "refusals, then tried again": sum(outcome.refusals for outcome in load.crowd),
        "seconds until it was quiet": load.quiet_after,
        "held before": held(load.before),
        "held at most": most_held(load.samples),
        "held after": held(load.after),
        "trouble in the log": bool(load.log),
    }


def fairness(painted: Sequence[Outcome]) -> Figures:
    """Of the waits for a first preview, over the jobs that were painted to the end."""
    waits: dict[int, list[float]] = defaultdict(list)
    for outcome in painted:
        waits[outcome.visitor].append(outcome.preview)
    means = {visitor: statistics.fmean(seconds) for visitor, seconds in sorted(waits.items())}
    if not means:
        return {}
    longest, shortest = max(means.values()), min(means.values())
    return {
        "mean seconds to the first preview, by visitor": means,
        "longest to shortest of these": longest / shortest,
        "longest to their median": longest / statistics.median(means.values()),
    }


def growth(samples: Sequence[Sample]) -> Figures:
    """Of memory while the server was soaked; its first half is left to warm up."""
    half, quarter = len(samples) // 2, max(1, len(samples) // 4)
    first, last = (
        statistics.median(sample.megabytes for sample in some)
        for some in (samples[:quarter], samples[-quarter:])
    )
    return {
        "MB in the first quarter": first,
        "MB in the last quarter": last,
        "growth in the second half, MB an hour": slope(samples[half:]),
    }


def held(sample: Sample) -> Figures:
    return {
        "MB": sample.megabytes,
        "threads": sample.threads,
        "descriptors": sample.descriptors,
        "temporary files": sample.temporary_files,
        "temporary MB": sample.temporary_bytes / 1e6,
        "job files": sample.job_files,
        "job MB": sample.job_bytes / 1e6,
    }


def most_held(samples: Sequence[Sample]) -> Figures:
    """The most of each, at whatever moment."""
    looks = [held(sample) for sample in samples]
    return {name: max(look[name] for look in looks) for name in looks[0]}


def spread(values: Sequence[float]) -> Figures:
    """The value that half of them, and 95 % of them, do not exceed."""
    ranked = sorted(values)
    return {
        f"p{percent}": ranked[math.ceil(percent / 100 * len(ranked)) - 1]
        for percent in (50, 95)
        if ranked
    }


def in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {in_words(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(in_words, value)) or "none"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.crowd"))
