"""What a region costs: an evaluation with masks beside one without, in turns.

Prints the median ratio of the two times for several divisions of one photo, and for each way of
comparing styles, beside one of the whole photo with Gram matrices alone: in seconds that pass and
in seconds of processors, which other programs disturb less. Every layer is evaluated every time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import nst.engine.objective
from benchmarks.example_pictures import painting_path, photo_path
from benchmarks.style_costs import VARIANTS, Seconds, evaluate
from nst import PaintingUse, TransferSettings, load_image
from nst.console import run_command
from nst.engine.devices import load_network
from nst.engine.objective import Objective
from nst.engine.regions import Regions
from nst.images.tensors import fit, to_tensor

PAINTINGS = ("starry_night", "udnie", "great_wave", "stained_glass")


def divisions(height: int, width: int) -> dict[str, Regions]:
    """Return divisions of a photo by their names, the whole among them."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    right = mask((columns / width - 0.45) / 0.1)
    center = ((rows - height / 2) ** 2 + (columns - width / 2) ** 2).sqrt()
    disk = mask((0.3 * height - center) / 10)
    uses = [PaintingUse()] * 4
    return {
        "the whole": Regions(uses[:1]),
        "two halves": Regions(uses[:2], [0, 1], torch.cat([right, 255 - right])),
        "a disk and the rest": Regions(uses[:2], [0, None], disk),
        "four that overlap": Regions(
            uses, [0, 1, 2, 3], torch.cat([right, 255 - right, disk, 255 - disk])
        ),
    }


def mask(values: Tensor) -> Tensor:
    """Return bytes (1, 1, H, W) of values (H, W) from 0 to 1."""
    return (255 * values.clamp(0, 1)).round().to(torch.uint8)[None, None]


def ratios(pairs: Sequence[tuple[Seconds, Seconds]]) -> list[str]:
    """Return the median ratios of the seconds that passed, and of those of processors."""
    return [
        f"{statistics.median(one[kind] / usual[kind] for one, usual in pairs):.3f}"
        for kind in (0, 1)
    ]


def main() -> None:
    """Evaluate all of it in turns, and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regions", description=__doc__)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--costs", nargs="+", default=["Gram matrices"], choices=list(VARIANTS))
    options = parser.parse_args()
    nst.engine.objective.DEEP_SHARE = 0.0
    network = load_network(TransferSettings(), "cpu")
    photo = to_tensor(fit(load_image(photo_path("castle")), options.size))
    paintings = [
        to_tensor(fit(load_image(painting_path(name)), options.size)) for name in PAINTINGS
    ]

    def objective_of(regions: Regions, **changes: Any) -> Objective:
        settings = TransferSettings(size=options.size, **changes)
        return Objective(network, photo, paintings[: len(regions.uses)], settings, regions)

    named = divisions(photo.shape[-2], photo.shape[-1])
    usual = objective_of(named["the whole"])
    print(f"| {options.size} px | style cost | factor | factor of processor time |")
    print("| --- | --- | ---: | ---: |")
    for name, regions in named.items():
        for cost in options.costs:
            other = objective_of(regions, **VARIANTS[cost])
            for objective in (usual, other):
                evaluate(objective, photo)  # memory is allocated
            pairs = [
                (evaluate(other, photo), evaluate(usual, photo)) for _ in range(options.rounds)
            ]
            print(f"| {name} | {cost} | {' | '.join(ratios(pairs))} |", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.regions"))
