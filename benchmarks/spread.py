"""What one very large picture costs on many workers: `python -m benchmarks.spread`.

Measures on this machine, with Ray and VGG-19, what an evaluation of J and its gradient is made of,
and works out from it what one takes at a gigapixel (1024 tiles of 1024 × 1024 px) on 1 to 1024
workers of this kind. Nothing of a gigapixel is painted. The network between machines is assumed.

Two ways are worked out: that of `nst.engine.spread_objective`, where picture and optimiser are in
one process, and one where each worker keeps its tiles' pixels and L-BFGS pairs, so that only halos,
Gram matrices and dot products travel. The latter is on paper alone.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from nst.console import run_command
from nst.engine.devices import load_network
from nst.engine.optimizers import BoxLBFGS
from nst.engine.spread_objective import TileInputs, TileJob, pull_tile, sum_tile
from nst.engine.tile_map import OwnHandle
from nst.engine.tiles import Tile, halo_of, tiles
from nst.settings import DEFAULTS, LAYER_CHANNELS
from nst.studio.backends.ray_package import load_ray
from nst.studio.backends.ray_tiles import RayTileMap

SIDE, TILES = 1024, 1024  # pixels of a tile, and tiles of a gigapixel
HALO = halo_of(["relu5_1"])
CUT = (SIDE + 2 * HALO) ** 2 * 3 * 4  # bytes of a tile with its halo in float32
GRAMS = sum(LAYER_CHANNELS[layer] ** 2 for layer in DEFAULTS.style_layers) * 4  # bytes
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
PAIRS = 10  # of L-BFGS
DOTS = 4 * PAIRS + 4  # dot products of an iteration, in two rounds of messages
ROUND_TRIP = 2e-4  # seconds between two machines, assumed
ROUNDS = 5


@dataclass(frozen=True)
class Constants:
    """What was measured: seconds, and seconds by byte or pixel."""

    tile: float  # both passes over a tile with its halo
    call: float  # of an empty call
    byte: float  # from this process into a worker, through Ray's object store
    step: float  # of the optimiser, by pixel of the picture


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.spread",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--gigabits", type=float, default=10.0, help="a second, of each network card"
    )
    options = parser.parse_args()
    measured = measure()
    print(f"a tile of {SIDE} px, both passes: {measured.tile:.2f} s of processor time")
    print(f"an empty call: {1000 * measured.call:.2f} ms")
    print(f"into a worker on this machine: {1e-6 / measured.byte:.0f} MB/s")
    print(f"a step of the optimiser: {1e9 * measured.step:.0f} ns by pixel")
    print(f"by tile and evaluation: {CUT / 1e6:.1f} MB of pixels, {GRAMS / 1e6:.2f} MB of Grams")
    print(
        "| workers | picture in one process, s | of linear | pixels with workers, s | of linear |"
    )
    print("| --- | --- | --- | --- | --- |")
    wire = max(measured.byte, 8 / (options.gigabits * 1e9))
    ways: list[Callable[[int, Constants, float], float]] = [held_here, held_there]
    for count in WORKERS:
        cells = []
        for way in ways:
            seconds = way(count, measured, wire)
            cells += [f"{seconds:.0f}", f"{way(1, measured, wire) / count / seconds:.2f}"]
        print(f"| {count} | {' | '.join(cells)} |")


def held_here(workers: int, constants: Constants, wire: float) -> float:
    """Seconds of an evaluation and a step where the picture is in one process.

    Pixels go out, gradients and the Gram matrices of each tile come in, through one network card,
    beside the arithmetic of the workers; the step waits for all of it.
    """
    painting = math.ceil(TILES / workers) * constants.tile
    traffic = TILES * (2 * CUT + GRAMS) + workers * GRAMS
    carried = traffic * wire + 2 * TILES * constants.call
    return max(painting, carried) + constants.step * TILES * SIDE**2


def held_there(workers: int, constants: Constants, wire: float) -> float:
    """The same where pixels and pairs stay: halos to neighbours, and sums along a binary tree."""
    own = math.ceil(TILES / workers)
    halo = CUT - SIDE**2 * 12  # bytes, of pixels; as many come back as their gradient
    halos = own * 2 * halo * wire if workers > 1 else 0.0
    depth = math.ceil(math.log2(workers))
    grams = 2 * depth * (2 * GRAMS * wire + ROUND_TRIP)  # in float64, up and down
    dots = 2 * 2 * depth * (8 * DOTS * wire + ROUND_TRIP)
    return own * (constants.tile + constants.step * SIDE**2) + halos + grams + dots


def measure() -> Constants:
    """Measure on this machine; a worker has as many threads as this process."""
    ray = load_ray()
    ray.init(
        address="local", num_cpus=1, include_dashboard=False, object_store_memory=2**29,
        logging_level="ERROR", log_to_driver=False,
    )  # fmt: skip
    tile_map = RayTileMap(1)
    try:
        list(tile_map.map(abs, [(1,)]))  # it is there
        call = median(timed(lambda: list(tile_map.map(abs, [(1,)]))) for _ in range(100))
        pixels = torch.rand(1, 3, SIDE + 2 * HALO, SIDE + 2 * HALO)
        whole = median(
            timed(lambda: list(tile_map.map(size_of, [(tile_map.share(pixels),)])))
            for _ in range(ROUNDS)
        )
    finally:
        tile_map.close()
        ray.shutdown()
    return Constants(tile_seconds(), call, (whole - call) / CUT, step_seconds())


def size_of(handle: OwnHandle[Tensor]) -> int:
    return handle.get().numel()


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    work()
    return clock() - began


def tile_seconds() -> float:
    """Processor seconds of both passes over a tile in the middle of a picture, targets kept."""
    network = load_network(DEFAULTS)
    job = OwnHandle(
        TileJob(
            network.weights, network.pooling, network.dtype,
            tuple(DEFAULTS.content_weights), tuple(DEFAULTS.style_layers),
        )
    )  # fmt: skip
    middle: Tile = tiles((3 * SIDE, 3 * SIDE), SIDE, ["relu5_1"])[4]
    cut = OwnHandle(torch.rand(1, 3, SIDE + 2 * HALO, SIDE + 2 * HALO))
    inputs = TileInputs(middle, cut, None, cut)
    counted = dict.fromkeys(DEFAULTS.style_layers, (0,))
    slopes = dict.fromkeys(DEFAULTS.content_weights, 1e-6)

    def both() -> None:
        sums = sum_tile(job, inputs, counted)
        matrices = OwnHandle({key: each.gram * 1e-12 for key, each in sums.grams.items()})
        pull_tile(job, inputs, counted, slopes, matrices)

    both()
    return median(timed(both, time.process_time) for _ in range(2))


def step_seconds(side: int = 512) -> float:
    """Processor seconds of a step with all pairs learned, by pixel."""
    optimizer, image = BoxLBFGS(history=PAIRS), torch.rand(1, 3, side, side)
    goal = torch.rand(1, 3, side, side)
    curvature = torch.rand(1, 3, side, side) + 0.5
    for _ in range(PAIRS + 2):
        gradient = (image - goal) * curvature
        image = optimizer.step(image, gradient)
    gradient = (image - goal) * curvature
    return timed(lambda: optimizer.step(image, gradient), time.process_time) / side**2


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.spread"))
