"""What one very large picture costs on many workers: `python -m benchmarks.spread`.

Measures on this machine, with Ray and VGG-19, what an iteration is made of, and works out from it
what one takes at a gigapixel (1024 tiles of 1024 × 1024 px) on 1 to 1024 workers of this kind.
Nothing of a gigapixel is painted. The network between machines is assumed.

Two ways are worked out: that of `nst.engine.sharded_objective`, where workers keep the tiles of
the picture and of L-BFGS's pairs, and that of `nst.engine.spread_objective` alone, where both are
in one process, and pixels go out and gradients come in.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from unittest.mock import patch

import torch
from torch import Tensor

from nst.console import run_command
from nst.engine import sharded_lbfgs
from nst.engine.devices import load_network
from nst.engine.local_smoothing import REACH
from nst.engine.optimizers import BoxLBFGS
from nst.engine.sharded_lbfgs import ShardedLBFGS
from nst.engine.sharded_objective import keep_tile
from nst.engine.sharding import Halos, ShardedPicture, make_picture
from nst.engine.spread_objective import FAN_IN, TileInputs, TileJob, pull_tile, sum_tile
from nst.engine.tile_map import Handle, OwnHandle
from nst.engine.tiles import Tile, halo_of, tiles
from nst.ray_clusters import import_ray
from nst.settings import DEFAULTS, LAYER_CHANNELS
from nst.studio.backends.ray_tiles import RayTileMap

SIDE, TILES = 1024, 1024  # pixels of a tile, and tiles of a gigapixel
HALO = halo_of(["relu5_1"])
CUT = (SIDE + 2 * HALO) ** 2 * 3 * 4  # bytes of a tile with its halo in float32
GRAMS = sum(LAYER_CHANNELS[layer] ** 2 for layer in DEFAULTS.style_layers) * 4  # bytes
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
PAIRS = 10  # of L-BFGS
ROUND_TRIP = 2e-4  # seconds between two machines, assumed
ROUNDS = 5
LARGEST_INSIDE = 100 * 1024  # bytes of a value that Ray sends with a call, through the caller
VALUES = 9  # that a call keeps: a tile's own, and what eight neighbours see
CALLS = 10 + 1 / (FAN_IN - 1)  # of a tile in an iteration, and of the sums of others


@dataclass(frozen=True)
class Constants:
    """What was measured: seconds, and seconds by byte or pixel."""

    tile: float  # both passes over a tile with its halo
    call: float  # of an empty call
    kept: float  # of this process, for a call that keeps `VALUES` small values
    read: float  # of a worker, by byte that it takes out of the store of its machine
    write: float  # of a worker, by byte that it puts there
    step: float  # of the optimiser in one process, by pixel of the picture
    shard_step: float  # of a worker, for a step of a tile, with what it reads and writes


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
    print(f"a step of it with {PAIRS} pairs, by a worker: {measured.shard_step:.2f} s")
    print(f"an empty call: {1000 * measured.call:.2f} ms")
    print(f"a call that keeps values: {1000 * measured.kept:.2f} ms of this process")
    print(f"out of Ray's store: {1e-6 / measured.read:.0f} MB/s, in: {1e-6 / measured.write:.0f}")
    print(f"a step in one process: {1e9 * measured.step:.0f} ns by pixel")
    print(f"by tile and evaluation: {CUT / 1e6:.1f} MB of pixels, {GRAMS / 1e6:.2f} MB of Grams")
    print("| workers | with the workers, s | of linear | in one process, s | of linear |")
    print("| --- | --- | --- | --- | --- |")
    wire = measured.write + 8 / (options.gigabits * 1e9) + measured.read
    ways: list[Callable[[int, Constants, float], float]] = [held_there, held_here]
    for count in WORKERS:
        cells = []
        for way in ways:
            seconds = way(count, measured, wire)
            cells += [f"{seconds:.0f}", f"{way(1, measured, wire) / count / seconds:.2f}"]
        print(f"| {count} | {' | '.join(cells)} |")


def held_here(workers: int, constants: Constants, wire: float) -> float:
    """Seconds of an evaluation and a step where the picture is in one process.

    Pixels go out and gradients come in through one network card, beside the arithmetic of the
    workers; the step waits for all of it.
    """
    painting = math.ceil(TILES / workers) * constants.tile
    carried = (TILES * 2 * CUT + workers * GRAMS) * wire + 2 * TILES * constants.call
    return max(painting, carried) + constants.step * TILES * SIDE**2


def held_there(workers: int, constants: Constants, wire: float) -> float:
    """The same where pixels and pairs stay.

    A worker computes, takes halos out of others, and adds up Gram matrices. The driving process
    makes all calls, hands on what Ray sends with them, and sends each worker what the Gram matrices
    pull. Nothing is taken to happen at the same time, where much does.
    """
    own, is_alone = math.ceil(TILES / workers), workers == 1
    stored = 3 * CUT * constants.read + (2 * CUT + GRAMS) * constants.write
    computing = own * (constants.tile + constants.shard_step + stored)
    pieces = [*halo_pieces(HALO, 12), *halo_pieces(HALO, 12), *halo_pieces(REACH, 24)]
    halos = 0.0 if is_alone else own * sum(pieces) * wire
    levels = math.ceil(math.log(TILES, FAN_IN))
    sums = levels * FAN_IN * 2 * GRAMS * (constants.read if is_alone else wire)
    inside = sum(2 * size for size in pieces if size < LARGEST_INSIDE)  # in, and out again
    driving = TILES * (CALLS * constants.kept + (0.0 if is_alone else inside * wire))
    pulls = workers * GRAMS * wire
    return computing + halos + sums + driving + pulls + CALLS * ROUND_TRIP


def halo_pieces(halo: int, pixel: int) -> list[int]:
    """Return the bytes of the pieces of a halo, by those of a pixel."""
    return [SIDE * halo * pixel] * 4 + [halo * halo * pixel] * 4


def measure() -> Constants:
    """Measure on this machine; a worker has as many threads as this process."""
    ray = import_ray()
    ray.init(
        address="local", num_cpus=1, include_dashboard=False, object_store_memory=2**30,
        logging_level="ERROR", log_to_driver=False,
    )  # fmt: skip
    tile_map = RayTileMap(1)
    try:
        list(tile_map.map(abs, [(1,)]))  # it is there
        call = median(timed(lambda: list(tile_map.map(abs, [(1,)]))) for _ in range(100))
        calls = [()] * 200

        def keep() -> None:
            tile_map.keep(small_values, calls, [VALUES] * len(calls))

        kept = median(timed(keep, time.process_time) for _ in range(ROUNDS)) / len(calls)
        pixels = torch.rand(1, 3, SIDE + 2 * HALO, SIDE + 2 * HALO)
        read = [next(tile_map.map(seconds_out, [(tile_map.share(pixels),)])) for _ in range(ROUNDS)]
        write = [next(tile_map.map(seconds_in, [()])) for _ in range(ROUNDS)]
        shard_step = shard_step_seconds(tile_map)
    finally:
        tile_map.close()
        ray.shutdown()
    return Constants(
        tile_seconds(), call, kept, median(read) / CUT, median(write) / CUT,
        step_seconds(), shard_step,
    )  # fmt: skip


def small_values() -> tuple[int, ...]:
    return tuple(range(VALUES))


def seconds_out(handle: Handle[Tensor]) -> float:
    return timed(handle.get, time.process_time)


def seconds_in() -> float:
    pixels = torch.rand(1, 3, SIDE + 2 * HALO, SIDE + 2 * HALO)
    return timed(lambda: import_ray().put(pixels), time.process_time)


def processor_seconds() -> float:
    return time.process_time()


def shard_step_seconds(tile_map: RayTileMap) -> float:
    """Processor seconds of a worker for a step of a tile with all pairs learned, in bfloat16."""
    halos = Halos(tiles((2 * SIDE, SIDE), SIDE, ["relu5_1"]))
    goal, curvature = torch.rand(1, 3, *halos.size), torch.rand(1, 3, *halos.size) + 0.5

    def placed(image: Tensor) -> ShardedPicture:
        own = (tile_map.share(image[(..., *tile.place)].contiguous()) for tile in halos.tiles)
        return make_picture(tile_map, halos, keep_tile, ((each,) for each in own))

    image = placed(torch.rand(1, 3, *halos.size))
    with patch.object(sharded_lbfgs, "NARROW_FROM", 0):
        optimizer = ShardedLBFGS(tile_map, halos, SIDE, history=PAIRS)
        for _ in range(PAIRS + 3):
            gradient = placed((image.gather() - goal) * curvature)
            before = next(tile_map.map(processor_seconds, [()]))
            image = optimizer.step(image, gradient)
    return (next(tile_map.map(processor_seconds, [()])) - before) / len(halos.tiles)


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
            tuple(DEFAULTS.content_weights), tuple(DEFAULTS.style_layers), "auto",
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
