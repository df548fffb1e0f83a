"""Run this project and its peers in turns on the same pictures, and judge what each delivers.

Every method runs in a process of its own; they take turns of a few seconds, so that the machine's
noise falls on all alike, and only the time of a method's own turns counts. What is judged is the
8-bit picture, in float32, by the textbook's cost at Gatys' published weights. A time counts only
when the content cost is as low as the reference's was, too: a picture of the painting alone has a
low J as well. Beside it stands the verdict of a network that nobody optimised (`benchmarks.judge`).

Writes into the output folder, anew after every pair: curves.png, pictures.jpg, table.md and
results.json. Progress is on stderr.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from benchmarks.example_pictures import painting_path, photo_path
from benchmarks.judge import MISSING, Judge, load_judge
from benchmarks.memory import peak_megabytes, resident_megabytes
from benchmarks.methods import METHODS, Enough, Task, tensor_of
from benchmarks.textbook import Textbook
from nst.console import run_command
from nst.images.tensors import fit

PAIRS = (  # the engine's schedule was found with the first three, and without the others
    ("castle", "night_impasto"),
    ("bridge", "woodblock_waves"),
    ("coffee", "cubist_shards"),
    ("rocket", "mosaic_koi"),
    ("dandelion", "ink_hatching"),
    ("honey-bee", "pointillism"),
)
SIZES = (256, 384, 512)
MILESTONES = (50, 100, 150)  # evaluations
TARGETS = (("reference", 50), ("reference", 100), ("reference", 150), ("pastiche", 150))
TURN = 4.0  # seconds
RESOLUTION = 1.06  # moments that are judged: each at least so many times later than the last
COLORS = {
    "ours": "#d1495b",
    "ours-float32": "#e8a0a9",
    "reference": "#30343f",
    "pastiche": "#00798c",
    "tutorial": "#edae49",
    "crowson": "#8d6a9f",
    "neural-style-pt": "#6a994e",
}


@dataclass(frozen=True)
class Moment:
    """What a method would deliver after some evaluations (full-size ones) and seconds."""

    evaluations: float
    seconds: float
    J: float
    content: float


@dataclass(frozen=True)
class Judged:
    """A delivered picture in the eyes of the independent judge; `Verdict` says what they see."""

    evaluations: float
    seconds: float
    style: float
    content: float


@dataclass(frozen=True)
class Run:
    """One method on one task: a content picture, a style picture and a size."""

    method: str
    task: tuple[str, str, int]
    moments: list[Moment]
    megabytes: float  # the most memory it held, above what it held before its first turn
    judged: list[Judged] = field(default_factory=list)  # at the milestones and at the end
    untouched: float | None = None  # the judge's distance of style of the photo as it was

    @property
    def size(self) -> int:
        return self.task[2]

    def reached(self, *, J: float, content: float) -> Moment | None:
        """The first moment with costs no higher than these."""
        for moment in self.moments:
            if moment.J <= J and moment.content <= content:
                return moment
        return None


Delivery = tuple[float, float, Image.Image]  # evaluations, seconds, the 8-bit picture
Row = list[tuple[str, Image.Image]]  # captions and pictures


def main() -> None:
    options = _parse()
    torch.backends.cudnn.allow_tf32 = False  # the judge's float32 is float32
    options.output.mkdir(parents=True, exist_ok=True)
    runs = load(options.output) if options.append else []
    pictures: list[Row] = []
    judge = load_judge(options.device)
    if judge is None:
        print(MISSING, file=sys.stderr)
    pairs = [PAIRS[number - 1] for number in options.pairs]
    for size, (content, style) in itertools.product(options.sizes, pairs):
        with task_files(content, style, size, options.device) as task:
            results = compete(task, options.methods, options.evaluations)
            row: Row = []
            for method, (delivered, megabytes) in results.items():
                moments = costs_of(task, delivered)
                verdicts = ask(judge, task, delivered) if judge else []
                run = Run(
                    method=method,
                    task=(content, style, size),
                    moments=moments,
                    megabytes=megabytes,
                    judged=verdicts[1:],
                    untouched=verdicts[0].style if verdicts else None,
                )
                runs.append(run)
                evaluations, seconds, picture = _as_shown(method, delivered)
                caption = f"{method}, {evaluations:.0f} evaluations, {seconds:.0f} s"
                row.append((caption, picture))
                print(f"{content}, {style}, {size} px, {caption}", moments[-1], *run.judged[-1:])
                sys.stdout.flush()
        if size == 384 or (len(options.sizes) == 1 and not options.append):
            pictures.append(row)
        write(runs, pictures, options.output)
    print((options.output / "table.md").read_text(encoding="utf-8"))


def _as_shown(method: str, delivered: Sequence[Delivery]) -> Delivery:
    """The last of what was delivered; of the reference, what it had after 100 iterations."""
    early = [moment for moment in delivered if moment[0] <= 100]
    return early[-1] if method == "reference" and early else delivered[-1]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=SIZES, metavar="PX", help="longest sides")
    every = list(range(1, len(PAIRS) + 1))
    add("--pairs", type=int, nargs="+", choices=every, default=every, help="which, by number")
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="which to run")
    add("--evaluations", type=int, default=max(MILESTONES), help="of each method, at most")
    add("--device", default="cpu", help="cpu or cuda")
    add("--append", action="store_true", help="to what the output folder has already")
    add("--output", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    return parser.parse_args()


@contextmanager
def task_files(content: str, style: str, size: int, device: str) -> Iterator[Task]:
    """A task whose pictures are resized once and for all; the files go when the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for source in (photo_path(content), painting_path(style)):
            with Image.open(source) as picture:
                paths.append(Path(folder) / f"{source.stem}.png")
                fit(picture.convert("RGB"), size).save(paths[-1])
        yield Task(paths[0], paths[1], device)


class Clock:
    """Lets a method run for a turn at a time, and counts only its own seconds."""

    def __init__(self, pipe: Connection, evaluations: int) -> None:
        self.pipe = pipe
        self.limit = evaluations
        self.elapsed = 0.0
        self.idle = 0.0
        self.last_kept = 0.0
        self.latest: tuple[float, float, Callable[[], Image.Image]] = (0.0, 0.0, Image.Image)
        self.resumed = self.turn_began = 0.0
        self.kept: list[Delivery] = []

    def start(self) -> None:
        """The method is ready to begin: wait for the first turn."""
        torch.nn.functional.conv2d(
            torch.ones(1, 8, 64, 64), torch.ones(8, 8, 3, 3)
        )  # threads, oneDNN
        self.idle = resident_megabytes()
        self._hand_over()

    def report(self, evaluations: float, picture: Callable[[], Image.Image]) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.elapsed += now - self.resumed
        self.latest = evaluations, self.elapsed, picture
        if evaluations in MILESTONES or self.elapsed >= RESOLUTION * self.last_kept:
            self._keep()
        if evaluations >= self.limit:
            raise Enough
        if now - self.turn_began >= TURN:
            self._hand_over()
        self.resumed = time.perf_counter()

    def finish(self) -> None:
        if self.latest[1] > self.last_kept:
            self._keep()
        self.pipe.send((self.kept, peak_megabytes() - self.idle))

    def _keep(self) -> None:
        evaluations, self.last_kept, picture = self.latest
        self.kept.append((evaluations, self.last_kept, picture()))

    def _hand_over(self) -> None:
        self.pipe.send((self.kept, None))
        self.pipe.recv()
        self.kept = []
        self.turn_began = self.resumed = time.perf_counter()


def _work(pipe: Connection, method: str, task: Task, evaluations: int) -> None:
    """A process: one method, until it has had its evaluations."""
    clock = Clock(pipe, evaluations)
    with suppress(Enough):
        METHODS[method](task, clock.start, clock.report)
    clock.finish()


def compete(
    task: Task, methods: Sequence[str], evaluations: int
) -> dict[str, tuple[list[Delivery], float]]:
    """Run the methods in turns: what each delivered, and the megabytes it took."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for method in methods:  # loading is nobody's turn
        pipes[method], theirs = context.Pipe()
        arguments = (theirs, method, task, evaluations)
        context.Process(target=_work, args=arguments, daemon=True).start()
        theirs.close()
        pipes[method].recv()
    delivered: dict[str, list[Delivery]] = {method: [] for method in methods}
    megabytes: dict[str, float] = {}
    while len(megabytes) < len(methods):
        for method in [m for m in methods if m not in megabytes]:
            pipes[method].send("your turn")
            news, held = pipes[method].recv()
            delivered[method] += news
            if news:
                print(
                    f"{task.content.stem}: {method}, evaluation {news[-1][0]:.0f}", file=sys.stderr
                )
            if held is not None:
                megabytes[method] = held
    return {method: (delivered[method], megabytes[method]) for method in methods}


def costs_of(task: Task, delivered: Sequence[Delivery]) -> list[Moment]:
    """The cost of what was delivered."""
    cost = Textbook(*task.pixels())
    moments = []
    for evaluations, seconds, picture in delivered:
        with torch.no_grad():
            content, style = cost(tensor_of(picture).to(task.device))
        moments.append(Moment(evaluations, seconds, float(content + style), float(content)))
    return moments


def ask(judge: Judge, task: Task, delivered: Sequence[Delivery]) -> list[Judged]:
    """The judge's verdict on the untouched photo, and on what was delivered at the milestones and
    at the end."""
    with Image.open(task.content) as photo, Image.open(task.style) as painting:
        shown = [moment for moment in delivered[:-1] if moment[0] in MILESTONES] + [delivered[-1]]
        begin: Delivery = (0.0, 0.0, photo)
        verdicts = judge([picture for *_, picture in (begin, *shown)], photo, painting)
    return [
        Judged(evaluations, seconds, *verdict)
        for (evaluations, seconds, _), verdict in zip((begin, *shown), verdicts, strict=True)
    ]


def load(folder: Path) -> list[Run]:
    """The runs that were written there."""
    runs = []
    for entry in json.loads((folder / "results.json").read_text()):
        moments = [Moment(**moment) for moment in entry.pop("moments")]
        judged = [Judged(**verdict) for verdict in entry.pop("judged", [])]
        content, style, size = entry.pop("task")
        run = Run(**entry, task=(content, style, size), moments=moments, judged=judged)
        runs.append(run)
    return runs


def write(runs: Sequence[Run], pictures: Sequence[Row], folder: Path) -> None:
    """Everything that is known so far."""
    (folder / "results.json").write_text(json.dumps([asdict(run) for run in runs], indent=1))
    text = "\n".join(filter(None, (table(runs), judged_table(runs))))
    (folder / "table.md").write_text(text, encoding="utf-8")
    draw_curves(runs, folder / "curves.png")
    if pictures:
        draw_sheet(pictures).save(folder / "pictures.jpg", quality=88)


def table(runs: Sequence[Run]) -> str:
    """Markdown: by size and method, the time to the cost that others had at their milestones."""
    lines = [
        f"Measured on {_machine()}. Seconds until the delivered picture is as good as that of"
        " another method after so many evaluations, with a content cost no higher than the"
        " reference's then, and how many times sooner; medians over all pairs (in brackets: how"
        " many get there).",
        "",
        "| size | method | "
        + " | ".join(f"{method} at {milestone}" for method, milestone in TARGETS)
        + " | seconds per evaluation | memory |",
        "| --- " * (len(TARGETS) + 4) + "|",
    ]
    for size, method in sorted(
        dict.fromkeys((run.size, run.method) for run in runs), key=lambda key: key[0]
    ):
        mine = [run for run in runs if (run.size, run.method) == (size, method)]
        cells = [_cell(runs, mine, *target) for target in TARGETS]
        pace = statistics.median(m.moments[-1].seconds / m.moments[-1].evaluations for m in mine)
        memory = statistics.median(run.megabytes for run in mine)
        lines.append(f"| {size} | {method} | {' | '.join(cells)} | {pace:.2f} | {memory:.0f} MB |")
    return "\n".join(lines) + "\n"


def judged_table(runs: Sequence[Run]) -> str:
    """Markdown: what the independent judge says of each method's last picture; "" where it was not
    there."""
    judged = [run for run in runs if run.judged]
    if not judged:
        return ""
    lines = [
        "Judged by a network that no method optimises, the shift-tolerant AlexNet: style is the"
        " mean over its five layers of |G − G_S| / |G_S|, content is ST-LPIPS to the photo; 0 is"
        " the same. Of the last picture that each method delivered; medians over the pairs.",
        "",
        "| size | method | pairs | evaluations | seconds | style | content |",
        "| --- " * 7 + "|",
    ]
    for size in sorted({run.size for run in judged}):
        here = [run for run in judged if run.size == size]
        by_task = {run.task: run.untouched for run in here if run.untouched is not None}
        lines.append(
            f"| {size} | the photo, untouched | {len(by_task)} | – | –"
            f" | {statistics.median(by_task.values()):.2f} | 0.00 |"
        )
        for method in dict.fromkeys(run.method for run in here):
            last = [run.judged[-1] for run in here if run.method == method]
            evaluations, seconds, style, content = (
                statistics.median(getattr(verdict, name) for verdict in last)
                for name in ("evaluations", "seconds", "style", "content")
            )
            lines.append(
                f"| {size} | {method} | {len(last)} | {evaluations:.0f} | {seconds:.1f}"
                f" | {style:.2f} | {content:.2f} |"
            )
    return "\n".join(lines) + "\n"


def _cell(runs: Sequence[Run], mine: Sequence[Run], method: str, milestone: int) -> str:
    """`seconds s, ratio× (how many of how many pairs)`."""
    seconds, ratios = [], []
    for run in mine:
        target = moment_of(runs, method, run.task, milestone)
        reference = moment_of(runs, "reference", run.task, milestone)
        if target and reference:
            reached = run.reached(J=target.J, content=reference.content)
            seconds.append(reached.seconds if reached else math.inf)
            ratios.append(target.seconds / reached.seconds if reached else 0.0)
    if not seconds:
        return "–"
    of = f" ({sum(map(math.isfinite, seconds))} of {len(seconds)})"
    middle = statistics.median(seconds)
    return (
        f"{middle:.1f} s, {statistics.median(ratios):.1f}×{of}" if middle < math.inf else f"–{of}"
    )


def moment_of(
    runs: Sequence[Run], method: str, task: tuple[str, str, int], milestone: int
) -> Moment | None:
    """What `method` had on `task` after `milestone` evaluations, where it ran."""
    for run in runs:
        if (run.method, run.task) == (method, task):
            return next((m for m in run.moments if m.evaluations == milestone), None)
    return None


def _machine() -> str:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name()
    threads = torch.get_num_threads()
    return f"{name}, {threads} threads, torch {torch.__version__.split('+')[0]}"


def cpu_name() -> str:
    """The processor's name, as the system has it."""
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def draw_curves(runs: Sequence[Run], path: Path) -> None:
    """J of what is delivered against seconds, and against evaluations, one row for each size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    sizes = sorted({run.size for run in runs})
    figure, axes = plt.subplots(
        len(sizes), 2, figsize=(11, 3.6 * len(sizes)), squeeze=False, layout="constrained"
    )
    for row, size in zip(axes, sizes, strict=True):
        for axis, x in zip(row, ("seconds", "evaluations"), strict=True):
            for run in (run for run in runs if run.size == size):
                ends = moment_of(runs, "reference", run.task, 100)
                scale = ends.J if ends else run.moments[-1].J
                axis.plot(
                    [getattr(moment, x) for moment in run.moments],
                    [moment.J / scale for moment in run.moments],
                    color=COLORS[run.method],
                    alpha=0.85 if run.method == "ours" else 0.5,
                    linewidth=1.8 if run.method == "ours" else 1.1,
                )
            axis.axhline(1, color="#888", linewidth=0.8, linestyle=":")
            axis.set(xscale="log", yscale="log", ylim=(0.3, 300))
            axis.set_xlabel(
                x if x == "seconds" else "evaluations of J and its gradient at full size"
            )
            axis.xaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(f"{size} px: J delivered\n(reference after 100 = 1)")
    used = [method for method in COLORS if any(run.method == method for run in runs)]
    handles = [Line2D([], [], color=COLORS[method], label=method) for method in used]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(used), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_sheet(rows: Sequence[Row]) -> Image.Image:
    """Pictures side by side, each with its caption."""
    margin, caption = 6, 16
    width = max(sum(picture.width + margin for _, picture in row) for row in rows)
    height = sum(max(picture.height for _, picture in row) + caption + margin for row in rows)
    sheet = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    for row in rows:
        left = 0
        for text, picture in row:
            draw.text((left + 2, top + 2), text, fill="black")
            sheet.paste(picture, (left, top + caption))
            left += picture.width + margin
        top += max(picture.height for _, picture in row) + caption + margin
    return sheet


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.peers"))
