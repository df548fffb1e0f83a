"""What each style cost, several content layers and the Laplacian add to an evaluation of J with its
gradient, and what they make of pictures.

Prints the times beside those of Gram matrices alone: medians of pairs, taken in turns, in seconds
that pass and in seconds of processors, which other programs disturb less. With `--sheet` the
pictures of two pairs are painted and laid side by side instead.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.example_pictures import load_pair
from nst import TransferSettings, stylize
from nst.console import run_command
from nst.engine.devices import load_network
from nst.engine.objective import Objective
from nst.engine.starting_picture import starting_picture
from nst.images.tensors import fit, to_tensor

VARIANTS: dict[str, dict[str, Any]] = {
    "Gram matrices": {},
    "means and deviations": {"style_costs": {"mean_std": 1}},
    "Wasserstein": {"style_costs": {"wasserstein": 1}},
    "histograms": {"style_costs": {"histogram": 1}},
    "Gram matrices and histograms": {"style_costs": {"gram": 1, "histogram": 1}},
    "two content layers": {"content_layers": {"relu3_2": 0.3, "relu4_2": 1}},
    "Laplacian": {"laplacian": 1.0},
}
SHOWN = ("Gram matrices", "means and deviations", "Wasserstein", "histograms", "Laplacian")
PAIRS = (("castle", "starry_night"), ("astronaut", "great_wave"))
ROUNDS = 15
TILE = (300, 300)  # pixels of the sheet
GAP = 4

Seconds = tuple[float, float]  # that pass, and of processors


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.style_costs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", type=int, metavar="PX", help="384, or 256 for a sheet")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="paint the pictures instead")
    options = parser.parse_args()
    if options.sheet:
        rows = [paint(*pair, options.size or 256) for pair in PAIRS]
        sheet_of(rows).save(options.sheet, quality=88)
    else:
        print_times(options.size or 384, options.rounds)


def print_times(size: int, rounds: int) -> None:
    photo, painting = (to_tensor(fit(each, size)) for each in load_pair(*PAIRS[0]))
    network = load_network(TransferSettings(), "cpu")
    image = starting_picture(photo, [painting], TransferSettings())
    objectives = {
        name: Objective(network, photo, [painting], TransferSettings(**changes))
        for name, changes in VARIANTS.items()
    }
    for objective in objectives.values():
        evaluate(objective, image)
    taken = [
        {name: evaluate(objective, image) for name, objective in objectives.items()}
        for _ in range(rounds)
    ]
    print(f"| {size} px | evaluation | factor | factor of processor time |")
    print("| --- | ---: | ---: | ---: |")
    for name in VARIANTS:
        seconds = statistics.median(each[name][0] for each in taken)
        print(f"| {name} | {seconds:.3f} s | {' | '.join(factors(taken, name))} |", flush=True)


def evaluate(objective: Objective, image: Tensor) -> Seconds:
    objective.forget()  # so that it leaves nothing out
    began = time.perf_counter(), time.process_time()
    objective.evaluate(image)
    return time.perf_counter() - began[0], time.process_time() - began[1]


def factors(taken: Sequence[dict[str, Seconds]], name: str) -> list[str]:
    usual = next(iter(VARIANTS))
    return [
        f"{statistics.median(each[name][kind] / each[usual][kind] for each in taken):.2f}"
        for kind in (0, 1)
    ]


def paint(content: str, style: str, size: int) -> list[Image.Image]:
    """The photo, the painting, and a picture by each of `SHOWN`."""
    photo, painting = load_pair(content, style)
    row = [photo, painting]
    for name in SHOWN:
        row.append(stylize(photo, painting, TransferSettings(size=size, **VARIANTS[name])))
        print(f"{content}, {style}: {name}", file=sys.stderr)
    return row


def sheet_of(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    scaled = [[ImageOps.contain(picture, TILE) for picture in row] for row in rows]
    heights = [max(picture.height for picture in row) + GAP for row in scaled]
    width = (TILE[0] + GAP) * len(scaled[0]) - GAP
    sheet, top = Image.new("RGB", (width, sum(heights) - GAP), "white"), 0
    for row, height in zip(scaled, heights, strict=True):
        for column, picture in enumerate(row):
            left = column * (TILE[0] + GAP) + (TILE[0] - picture.width) // 2
            sheet.paste(picture, (left, top + (height - GAP - picture.height) // 2))
        top += height
    return sheet


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.style_costs"))
