"""What a picture costs on the present GPU: cold, warm, in memory, and beside two peers.

Works go in turn, each in processes of its own, and end with the time budget: what does not fit is
said to be left out. Progress is on stderr; the table goes to stdout and, under the card's name,
into the output folder.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers import cpu_name
from benchmarks.timed_work import OURS, PAIR, Progress, Remark, Round, Work, work_in_process
from nst.console import fail, run_command
from nst.engine.devices import pick_device
from nst.errors import DeviceError
from nst.settings import DEFAULTS

SIZES = (512, 1024, 4096)
LONG_RUN = 500  # iterations, at the first size
PEERS = {"pastiche": 150, "reference": 100}  # and their evaluations, at the first size
BUDGET = 440.0  # seconds for everything, so that a run ends within eight minutes
LEAST = 12.0  # seconds; a process needs about as many until it paints
GIANT = 2048  # pixels; a larger picture comes last, and once
PEER_LIMIT = 75.0  # seconds
OPTIONS = ("graphs", "graphs,benchmark")  # of CUDA, which are off by default
PATIENCE = 5.0  # seconds from a work's deadline until its process is ended


@dataclass
class Line:
    """What is known of a work."""

    work: Work
    rounds: list[Round] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


class Budget:
    """The time that is left for all works."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


def main() -> int:
    options = _parse()
    try:
        device = str(pick_device(options.device))
    except DeviceError as error:
        return fail("benchmarks.gpu", error)
    if device == "cpu" and options.device == "auto":
        return fail("benchmarks.gpu", DeviceError("This machine has no GPU to measure."))
    budget = Budget(options.budget)
    cuda_options = OPTIONS if options.options is None and device == "cuda" else options.options
    works = plan(
        options.sizes,
        options.long_run,
        options.peer_evaluations,
        options.rounds,
        cuda_options or (),
    )
    lines = [measure(work, device, budget, _show) for work in works]
    _show("")
    text = table(lines, describe(device), options.budget - budget.left)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{device}-{_slug(device_name(device))}.md"
    path.write_text(text, encoding="utf-8")
    print(text)
    print(f"written to {path}", file=sys.stderr)
    return int(any(remark.is_failure for line in lines for remark in line.remarks))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--device", default="auto", help="auto (a GPU), cuda, mps, or cpu to try the script")
    add("--sizes", type=int, nargs="+", default=SIZES, metavar="PX", help="longest sides")
    add("--long-run", type=int, default=LONG_RUN, metavar="N", help="iterations; 0 leaves it out")
    add("--peer-evaluations", type=int, metavar="N", help="of each peer; 0 leaves them out")
    add(
        "--options",
        nargs="*",
        metavar="NAMES",
        help=f"what NST_CUDA asks for in further works (on cuda: {' '.join(OPTIONS)})",
    )
    add(
        "--rounds", type=int, default=3, metavar="N", help="cold pictures, and warm ones after each"
    )
    add("--budget", type=float, default=BUDGET, metavar="SECONDS", help="for everything")
    add("--output", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    return parser.parse_args()


def plan(
    sizes: Sequence[int],
    long_run: int,
    peer_evaluations: int | None,
    rounds: int,
    options: Sequence[str] = (),
) -> list[Work]:
    """The works in turn: what a visitor asks for first, the largest pictures last."""
    usual = [size for size in sizes if size <= GIANT]
    giants = [size for size in sizes if size > GIANT]
    iterations = DEFAULTS.iterations
    works = [Work(OURS, size, iterations, processes=rounds, warm=rounds) for size in usual]
    if usual and long_run:
        works.insert(1, Work(OURS, usual[0], long_run, warm=max(0, rounds - 1)))
    works = [
        each
        for work in works
        for each in (work, *(replace(work, options=names, processes=1) for names in options))
    ]
    for method, evaluations in PEERS.items():
        count = evaluations if peer_evaluations is None else peer_evaluations
        if usual and count:
            works.append(Work(method, usual[0], count, limit=PEER_LIMIT))
    return works + [Work(OURS, size, iterations, warm=1) for size in giants]


def measure(work: Work, device: str, budget: Budget, show: Callable[[str], None]) -> Line:
    """Do a work in as many processes as it wants, within the budget."""
    line = Line(work)
    end = time.monotonic() + work.limit
    for number in range(work.processes):
        seconds = min(budget.left, end - time.monotonic())
        if seconds < LEAST:
            which = f" after {number} of {work.processes} processes" if number else ""
            line.remarks.append(Remark(f"left out{which}: the time budget is spent"))
            break
        show(f"{work.title}: starting, {budget.left:.0f} s left")
        for news in _run(work, device, seconds):
            if isinstance(news, Progress):
                show(news.text)
            elif isinstance(news, Round):
                line.rounds.append(news)
            else:
                line.remarks.append(news)
        if line.remarks:
            break
    return line


def _run(work: Work, device: str, seconds: float) -> Iterator[Round | Remark | Progress]:
    """Yield what a process tells until it ends, by itself or by force when its time is over."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    end = time.monotonic() + seconds
    arguments = (theirs, work, device, seconds - PATIENCE)
    process = context.Process(target=work_in_process, args=arguments, daemon=True)
    process.start()
    theirs.close()
    try:
        while ours.poll(max(0.0, end - time.monotonic())):
            yield ours.recv()
        yield Remark("ended: the time budget is spent")
    except EOFError:  # it has said everything
        process.join(PATIENCE)
        if process.exitcode:
            yield Remark(f"its process ended with status {process.exitcode}", is_failure=True)
    finally:
        process.kill()
        process.join()


def _show(text: str) -> None:
    """Write a line of progress over the last one, or below it where stderr is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text and not re.search(r"(iteration|evaluation) \d+$", text):
        print(text, file=sys.stderr, flush=True)


def table(lines: Sequence[Line], machine: str, seconds: float) -> str:
    """Markdown: a row for each work that has a picture, and a sentence for what is missing."""
    rows = [
        f"Measured on {machine}, in {seconds:.0f} s, with {' and '.join(PAIR)}.",
        "",
        "Seconds from the call to the delivered 8-bit picture; medians, with the number of pictures"
        " in brackets. A cold picture is the first of a process, its network read from files; the"
        " peers' loading is not counted. Evaluations of J and its gradient at full size. J and its"
        " content term are the textbook's, in float32, of the delivered picture.",
        "",
        "| method | size | iterations | cold | warm | evaluations | a second | peak memory | J"
        " | content |",
        "| --- " * 10 + "|",
    ]
    rows += [_row(line) for line in lines if line.rounds]
    remarks = [f"- {line.work.title}: {remark.text}" for line in lines for remark in line.remarks]
    remarks += [f"- {sentence}" for sentence in comparisons(lines)]
    return "\n".join([*rows, *([""] if remarks else []), *remarks]) + "\n"


def comparisons(lines: Sequence[Line]) -> Iterator[str]:
    """Sentences on how far CUDA's options change the delivered picture."""
    pictures = {
        replace(line.work, processes=1): [each.pixels for each in line.rounds]
        for line in lines
        if line.rounds
    }
    for work, these in pictures.items():
        plain = pictures.get(replace(work, options=""))
        if not work.options or not plain:
            continue
        yield (
            f"{work.title}: values of its pictures differ by at most {_farthest(these, plain)} of"
            f" 255 from those without; those differ by {_farthest(plain, plain)} among themselves"
        )


def _farthest(some: Sequence[bytes], others: Sequence[bytes]) -> int:
    """The largest difference of two values, between any two pictures."""
    arrays = [[np.frombuffer(each, np.uint8).astype(int) for each in of] for of in (some, others)]
    return max(int(abs(a - b).max()) for a in arrays[0] for b in arrays[1])


def _row(line: Line) -> str:
    work, last = line.work, line.rounds[-1]
    memory = [each.megabytes for each in line.rounds if each.megabytes is not None]
    cells = [
        work.name,
        f"{work.size} px",
        str(work.iterations),
        _median([each.seconds for each in line.rounds if each.is_cold]),
        _median([each.seconds for each in line.rounds if not each.is_cold]),
        f"{last.evaluations:.0f}",
        f"{statistics.median(each.pace for each in line.rounds):.3g}",
        f"{max(memory):.0f} MB" if memory else "–",
        "–" if last.J is None else f"{last.J:.3g}",
        "–" if last.content is None else f"{last.content:.3g}",
    ]
    return f"| {' | '.join(cells)} |"


def _median(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({len(seconds)})" if seconds else "–"


def describe(device: str) -> str:
    """The device's name and memory, its driver, and torch's version."""
    words = [device_name(device)]
    if device == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory
        words += [f"{memory / 2**30:.0f} GiB", f"driver {_driver()}", f"CUDA {torch.version.cuda}"]
    elif device == "cpu":
        words.append(f"{torch.get_num_threads()} threads")
    return ", ".join([*words, f"torch {str(torch.__version__).partition('+')[0]}"])


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return cpu_name() if device == "cpu" else f"{platform.processor()} {device}"


def _driver() -> str:
    """The version of NVIDIA's driver, which torch does not tell."""
    if not (command := shutil.which("nvidia-smi")):
        return "unknown"
    words = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    return (answer.stdout.splitlines() or ["unknown"])[0].strip()


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unknown"


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.gpu"))
