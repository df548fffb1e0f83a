"""Very large pictures: what tiles cost beside the whole, and the memory that a run takes.

    python -m benchmarks.giants overhead          # evaluations at 2048 px, with and without tiles
    python -m benchmarks.giants run --size 8000   # a whole run: its seconds, its peak of memory
    python -m benchmarks.giants history           # J with curvature that is shorter or narrower

`run` paints a square in a process of its own; the peak is that of the process, as the system counts
it, everything included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image

import nst.engine.optimizers
from nst import TransferSettings, load_image, transfer_style
from nst.engine.devices import load_network
from nst.engine.objective import Objective
from nst.engine.tiled_objective import TiledObjective

PHOTO, PAINTING = Path("examples/content/castle.jpg"), Path("examples/style/starry_night.jpg")
SIDE = 2048  # pixels; the largest square that goes without tiles as a rule
PAIRS = 2


def main() -> None:
    """Measure what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("overhead", "run", "history"))
    parser.add_argument("--size", type=int, default=4096, help="pixels, of `run`")
    parser.add_argument("--iterations", type=int, default=8, help="of `run`")
    options = parser.parse_args()
    if options.what == "overhead":
        overhead()
    elif options.what == "run":
        run(options.size, options.iterations)
    else:
        history()


def overhead() -> None:
    """Print the time of an evaluation in tiles over that of one without, in pairs."""
    network = load_network()
    image = torch.rand(1, 3, SIDE, SIDE)
    objectives = {
        "whole": Objective(network, image, [image[..., :512, :512]], TransferSettings()),
        **{
            f"tiles of {side}": TiledObjective(
                network, image, [image[..., :512, :512]], TransferSettings(), side
            )
            for side in (1024,)
        },
    }
    seconds: dict[str, list[float]] = {name: [] for name in objectives}
    for number in range(PAIRS + 1):
        for name, objective in objectives.items():
            objective.forget()  # all layers
            began = time.perf_counter()
            objective.evaluate(image)
            if number:  # the first lays the weights out
                seconds[name].append(time.perf_counter() - began)
    for name, taken in seconds.items():
        ratio = statistics.median(
            ours / whole for ours, whole in zip(taken, seconds["whole"], strict=True)
        )
        print(f"{name}: {statistics.median(taken):.1f} s, {ratio:.2f} times the whole", flush=True)


def run(size: int, iterations: int) -> None:
    """Print the seconds and the peak of memory of a square of `size` pixels."""
    with tempfile.TemporaryDirectory() as folder:
        photo, result = Path(folder, "photo.jpg"), Path(folder, "result.png")
        load_image(PHOTO).resize((size, size), Image.Resampling.LANCZOS).save(photo, quality=92)
        command = [sys.executable, "-m", "nst", str(photo), str(PAINTING), "-o", str(result)]
        command += ["--size", str(size), "--iterations", str(iterations), "--yes", "--json"]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            step = json.loads(line)
            print({name: step[name] for name in ("iteration", "width", "J", "elapsed")}, flush=True)
        _, status, usage = os.wait4(process.pid, 0)
        taken, peak = time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e9
        print(f"{size} px, {iterations} iterations: {taken:.0f} s, {peak:.2f} GB, status {status}")
        if result.exists():
            print(f"{result.stat().st_size / 1e6:.0f} MB written")


def history() -> None:
    """Print the delivered J of small runs over that with L-BFGS's usual history."""
    photo, painting = load_image(PHOTO), load_image(PAINTING)
    settings = TransferSettings(size=256)

    def delivered() -> float:
        *_, last = transfer_style(photo, painting, settings)
        return last.J

    usual = delivered()
    for narrow in (False, True):
        for pairs in (10, 6, 4, 2):
            with history_of(pairs, narrow=narrow):
                kind = "bfloat16" if narrow else "float32"
                print(f"{pairs} pairs in {kind}: {delivered() / usual:.3f}", flush=True)


@contextmanager
def history_of(pairs: int, *, narrow: bool) -> Iterator[None]:
    """Have L-BFGS keep so many pairs, in bfloat16 or in float32."""
    optimizers = nst.engine.optimizers
    usual: tuple[int, Callable[..., int]] = (optimizers.NARROW_FROM, optimizers._pairs)
    optimizers.NARROW_FROM = 0 if narrow else usual[0]
    optimizers._pairs = lambda *_: pairs
    try:
        yield
    finally:
        optimizers.NARROW_FROM, optimizers._pairs = usual


if __name__ == "__main__":
    main()
