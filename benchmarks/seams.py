"""How copies of a seamless picture join: the energy of the seam beside that of its surroundings.

For each pair: the mean squared step from the last row (column) to the first of the next copy, over
that between the eight rows (columns) on each side of it, in the delivered picture. 1 is no seam.
The same picture with plain edges comes beside it.
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.example_pictures import load_pair
from nst import TransferSettings, stylize

PAIRS = ("castle night_impasto", "coffee great_wave", "citrus udnie", "moose olive_trees")
NEAR = 8  # rows on each side of the seam


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seams", description=__doc__)
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar='"PHOTO PAINTING"')
    parser.add_argument("--sizes", nargs="+", type=int, default=(128, 256, 384), metavar="PX")
    options = parser.parse_args()
    print("| pair | px | rows | columns | plain: rows | columns |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for pair in options.pairs:
        photo, painting = load_pair(*pair.split())
        for size in options.sizes:
            energies = [
                energy
                for edges in ("seamless", "plain")
                for energy in seam_energies(
                    stylize(photo, painting, TransferSettings(size=size, edges=edges))
                )
            ]
            figures = " | ".join(f"{energy:.2f}" for energy in energies)
            print(f"| {pair} | {size} | {figures} |", flush=True)


def seam_energies(picture: Image.Image) -> tuple[float, float]:
    """Return the energy of the seams of the rows and of the columns, beside their surroundings'."""
    levels = np.asarray(picture, np.float64)
    return _energy(levels), _energy(levels.swapaxes(0, 1))


def _energy(levels: npt.NDArray[np.float64]) -> float:
    around = np.roll(levels, NEAR, axis=0)[: 2 * NEAR]  # the seam is in the middle
    steps = (np.diff(around, axis=0) ** 2).mean((1, 2))
    return float(steps[NEAR - 1] / np.delete(steps, NEAR - 1).mean())


if __name__ == "__main__":
    main()
