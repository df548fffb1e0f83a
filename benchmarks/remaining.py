"""How well a run tells the time that is left, in a fresh process on an idle machine.

For each size: the worst factor between the seconds said and the seconds that it took, from the
second iteration on and from the fifth on, up to the last but five.
"""

from __future__ import annotations

import argparse
import multiprocessing

from benchmarks.example_pictures import load_pair
from nst import TransferSettings, transfer_style
from nst.engine.devices import load_network

BOUNDS = {2: 1.5, 5: 1.25}  # iteration: the factor that is wanted from there on
LAST = 5  # iterations that are left out: fractions of a second


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remaining", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=(128, 384), metavar="PX")
    options = parser.parse_args()
    print("| longest side | seconds | worst factor from iteration 2 | from iteration 5 |")
    print("| --- | --- | --- | --- |")
    for size in options.sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, *factors = pool.apply(measure, (size,))
        told = " | ".join(f"{factor:.2f}" for factor in factors)
        print(f"| {size} px | {seconds:.1f} | {told} |", flush=True)


def measure(size: int) -> list[float]:
    """Return the seconds of a default run, and the worst factor from each of `BOUNDS` on."""
    settings = TransferSettings(size=size)
    photo, painting = load_pair("castle", "night_impasto")
    load_network(settings)
    steps = [
        (step.iteration, step.elapsed, step.remaining)
        for step in transfer_style(photo, painting, settings)
    ]
    end = steps[-1][1]
    factors = {
        iteration: max(said / (end - elapsed), (end - elapsed) / said)
        for iteration, elapsed, said in steps[:-LAST]
    }
    worst = [max(f for iteration, f in factors.items() if iteration >= begin) for begin in BOUNDS]
    return [end, *worst]


if __name__ == "__main__":
    main()
