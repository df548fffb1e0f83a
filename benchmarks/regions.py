"""What a region costs: an evaluation with masks beside one without, in turns.

Prints the median ratio of the two times for several divisions of one photo, with every layer
evaluated every time.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor

import nst.engine.objective
from benchmarks.example_pictures import painting_path, photo_path
from nst import PaintingUse, TransferSettings, load_image
from nst.engine.devices import load_network
from nst.engine.objective import Objective
from nst.engine.regions import Regions
from nst.images.tensors import fit, to_tensor

PAINTINGS = ("starry_night", "udnie", "great_wave", "stained_glass")


def divisions(height: int, width: int) -> dict[str, Regions]:
    """Return divisions of a photo by their names."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    right = mask((columns / width - 0.45) / 0.1)
    center = ((rows - height / 2) ** 2 + (columns - width / 2) ** 2).sqrt()
    disk = mask((0.3 * height - center) / 10)
    uses = [PaintingUse()] * 4
    return {
        "two halves": Regions(uses[:2], [0, 1], torch.cat([right, 255 - right])),
        "a disk and the rest": Regions(uses[:2], [0, None], disk),
        "four that overlap": Regions(
            uses, [0, 1, 2, 3], torch.cat([right, 255 - right, disk, 255 - disk])
        ),
    }


def mask(values: Tensor) -> Tensor:
    """Return bytes (1, 1, H, W) of values (H, W) from 0 to 1."""
    return (255 * values.clamp(0, 1)).round().to(torch.uint8)[None, None]


def seconds(objective: Objective, image: Tensor) -> float:
    """Return how long one evaluation takes."""
    began = time.perf_counter()
    objective.evaluate(image)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regions", description=__doc__)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    nst.engine.objective.DEEP_SHARE = 0.0
    settings = TransferSettings(size=options.size)
    network = load_network(settings, "cpu")
    photo = to_tensor(fit(load_image(photo_path("castle")), options.size))
    paintings = [
        to_tensor(fit(load_image(painting_path(name)), options.size)) for name in PAINTINGS
    ]
    plain = Objective(network, photo, paintings[:1], settings)
    for name, regions in divisions(photo.shape[-2], photo.shape[-1]).items():
        styles = paintings[: len(regions.uses)]
        masked = Objective(network, photo, styles, settings, regions)
        for objective in (plain, masked):
            objective.evaluate(photo)  # memory is allocated
        pairs = [(seconds(masked, photo), seconds(plain, photo)) for _ in range(options.rounds)]
        ratio = statistics.median(with_masks / without for with_masks, without in pairs)
        print(f"{name}: {ratio:.3f} times an evaluation without masks", flush=True)


if __name__ == "__main__":
    main()
