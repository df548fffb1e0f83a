"""What a local preconditioner costs: `python -m benchmarks.preconditioners`.

Paints two pairs at equal evaluations, in float32 and one process, with L-BFGS preconditioned by the
filter of `nst.engine.optimizers`, by the pyramid of `nst.engine.local_smoothing` that pictures on
many workers have, and not at all; once at all sizes to 256 px, once at 384 px alone, after the same
iterations at 192 px. Prints the last J, and its ratio to that of the filter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from unittest.mock import patch

from torch import Tensor

from benchmarks.example_pictures import painting_path, photo_path
from nst import TransferSettings, load_image, transfer_style
from nst.console import run_command
from nst.engine import optimizers
from nst.engine.devices import load_network
from nst.engine.local_smoothing import smooth_locally
from nst.engine.optimizers import smooth

Smooth = Callable[..., Tensor]

PAIRS = (("castle", "starry_night"), ("cat", "stained_glass"))
KINDS: dict[str, Smooth] = {
    "filter": smooth,
    "pyramid": lambda images, _: smooth_locally(images),
    "none": lambda images, _: images.clone(),
}
RUNS = (  # settings, and the size from which a preconditioner is in place
    (TransferSettings(size=256, iterations=60, precision="float32"), 0),
    (TransferSettings(size=384, base_size=192, iterations=80, precision="float32"), 384),
)


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m benchmarks.preconditioners",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    for settings, since in RUNS:
        for photo, painting in PAIRS:
            costs = {name: last_cost(photo, painting, settings, since, name) for name in KINDS}
            told = (f"{name} {J:.4g} ({J / costs['filter']:.3f})" for name, J in costs.items())
            print(f"{photo}, {painting}, {settings.size} px: {', '.join(told)}", flush=True)


def last_cost(
    photo: str, painting: str, settings: TransferSettings, since: int, name: str
) -> float:
    """Return the last J of a run with a preconditioner from a size on, and the filter before."""

    def chosen(images: Tensor, gain: Tensor | None = None) -> Tensor:
        is_own = max(images.shape[-2:]) >= since
        return (KINDS[name] if is_own else smooth)(images, gain)

    pictures = load_image(photo_path(photo)), load_image(painting_path(painting))
    network = load_network(settings, "cpu")
    with patch.object(optimizers, "smooth", chosen):
        *_, last = transfer_style(*pictures, settings, network=network)
    return last.J


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.preconditioners"))
