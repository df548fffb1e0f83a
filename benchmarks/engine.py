"""What an evaluation of J and its gradient costs: beside its convolutions alone, and as pictures
grow, in seconds and memory.

Every size runs in a process of its own, so that the memory of one is not counted for the next.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.memory import peak_megabytes, resident_megabytes
from nst.console import run_command
from nst.engine.devices import load_network
from nst.engine.minimization import minimize
from nst.engine.objective import Objective
from nst.engine.optimizers import make_optimizer
from nst.engine.style_target import FULL
from nst.settings import TransferSettings
from nst.vgg.network import VGG

SIZES = (128, 192, 256, 384, 512, 768, 1024, 1448, 2048)
ROUNDS = 5
ITERATIONS = 12  # enough to fill the optimiser's memory

Figures = tuple[int, float, float, float, float]  # pixels, and what `measure` gives


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="PX")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    options = parser.parse_args()
    print("| longest side | evaluation | its convolutions | ratio | iteration of a run | memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    figures = []
    for size in options.sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures.append(pool.apply(measure, (size, options.precision)))
        print(_row(size, figures[-1]), flush=True)
    if len(figures) > 1:
        print(f"\nSeconds of an iteration grow as pixels to the power of {_slope(figures):.2f}.")


def measure(size: int, precision: str) -> Figures:
    """For a picture of 4 to 3: pixels, seconds of a whole evaluation and of its convolutions alone
    (medians, taken in turns), seconds of an iteration within a run, and the run's megabytes."""
    settings = TransferSettings(precision=precision)
    network = load_network(settings, "cpu")
    run(network, settings, *_pictures(64))  # parameters are laid out
    idle = resident_megabytes()
    photo, painting = _pictures(size)
    pace = run(network, settings, photo, painting)
    megabytes = peak_megabytes() - idle
    convolve = convolutions_of(network, photo, settings)
    whole, alone = [], []
    for _ in range(ROUNDS):
        objective = Objective(network, photo, [painting], settings)  # new: it leaves nothing out
        objective.guidance = FULL
        whole.append(_seconds(lambda objective=objective: objective.evaluate(photo)))  # type: ignore[misc]
        alone.append(_seconds(convolve))
    pixels = photo.shape[-2] * photo.shape[-1]
    return pixels, statistics.median(whole), statistics.median(alone), pace, megabytes


def run(network: VGG, settings: TransferSettings, photo: Tensor, painting: Tensor) -> float:
    """A short run at one scale; seconds per iteration, targets and final costs left out."""
    objective = Objective(network, photo, [painting], settings)
    objective.guidance = FULL
    points = minimize(objective, photo, make_optimizer("lbfgs"), ITERATIONS)
    iterate = next(points)
    began = time.perf_counter()
    for iterate in points:  # noqa: B007  # the last is used
        pass
    pace = (time.perf_counter() - began) / ITERATIONS
    Objective(network.in_float32, photo, [painting], settings).costs(iterate.best.image)
    return pace


def convolutions_of(network: VGG, photo: Tensor, settings: TransferSettings) -> Callable[[], None]:
    """All convolutions of an evaluation, there and back, on activations worked out beforehand."""
    trace = network.observe(photo, [settings.content_layer, *settings.style_layers])
    layout = torch.channels_last
    pairs, (height, width) = [], photo.shape[-2:]
    for name in trace.layers:
        if pooling := trace.poolings.get(name):
            height, width = pooling.pooled.shape[-2:]
        n_out, n_in = network.convolutions[name].weight.shape[:2]
        ahead, back = (
            torch.ones((1, channels, height, width), dtype=network.dtype).to(memory_format=layout)
            for channels in (n_in, n_out)
        )
        pairs.append((network.convolutions[name], ahead, back))

    @torch.no_grad()
    def convolve() -> None:
        for convolution, ahead, back in pairs:
            convolution.activate(ahead)
            convolution.adjoint(back)

    convolve()
    return convolve


def _pictures(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    shape = (1, 3, round(size * 3 / 4), size)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _row(size: int, figures: Figures) -> str:
    pixels, whole, alone, pace, megabytes = figures
    return (
        f"| {size} px | {whole:.3f} s | {alone:.3f} s | {whole / alone:.2f} | {pace:.3f} s"
        f" | {megabytes:.0f} MB, {megabytes / pixels * 1e6:.0f} per megapixel |"
    )


def _slope(figures: Sequence[Figures]) -> float:
    """Least squares in the log-log plot."""
    points = [(math.log(pixels), math.log(pace)) for pixels, _, _, pace, _ in figures]
    slope, _ = statistics.linear_regression(*zip(*points, strict=True))
    return slope


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.engine"))
