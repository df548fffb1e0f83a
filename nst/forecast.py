"""What a run will cost on this machine, before it starts: seconds and bytes.

Knows the plan of a run and how fast the network is here; measures once, and paints nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nst.images import fitted_size
from nst.objective import Objective
from nst.settings import TransferSettings
from nst.transfer import LARGEST_STYLE, plan_scales
from nst.vgg import VGG

PROBE = 192  # pixels; the side of the picture that the machine is timed on
FORWARD = 0.5  # of an evaluation: targets, and the costs of the finished picture

# Measured: the most that a run holds above the idle process, by pixels of its largest picture.
BYTES_PER_PIXEL = {torch.float32: 2400, torch.bfloat16: 1450}
BYTES_AT_LEAST = 60 * 2**20

LIMIT_AND_USE = ("memory.max", "memory.current")

Size = tuple[int, int]


@dataclass(frozen=True)
class Forecast:
    """Seconds from start to finish, and bytes above what the process holds already."""

    seconds: float
    bytes: int


def forecast(
    network: VGG, photo: Size, paintings: Sequence[Size], settings: TransferSettings
) -> Forecast:
    """What `transfer_style` will need for pictures of these sizes (width, height) in pixels."""
    evaluated = seen = largest = 0.0
    for scale in plan_scales(settings):
        width, height = fitted_size(photo, scale.size)
        side = min(round(scale.size * settings.style_scale), LARGEST_STYLE)
        styles = [w * h for w, h in (fitted_size(painting, side) for painting in paintings)]
        evaluated += width * height * (scale.iterations + len(scale.phases))
        seen += width * height + sum(styles)
        largest = max(largest, width * height, FORWARD * max(styles))
    seen += 2 * width * height + sum(styles)  # the finished picture in float32, and its targets
    seconds = (evaluated + FORWARD * seen) * seconds_per_pixel(network)
    return Forecast(seconds, BYTES_AT_LEAST + round(largest * BYTES_PER_PIXEL[_wide(network)]))


@functools.lru_cache(maxsize=8)
def seconds_per_pixel(network: VGG) -> float:
    """Of one evaluation of J and its gradient: the quickest of a few, tried once per process."""
    picture = torch.full((1, 3, PROBE, PROBE), 0.5, device=network.device)
    objective = Objective(network, picture, [picture], TransferSettings())
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        objective.evaluate(picture)
        taken.append(time.perf_counter() - began)
    return min(taken) / PROBE**2


def available_memory(network: VGG) -> int | None:
    """Bytes that a run may take on the network's device without harm, where that can be told."""
    if network.device.type == "cuda":
        return int(torch.cuda.mem_get_info(network.device)[0])
    free = [_kibibytes(Path("/proc/meminfo"), "MemAvailable:"), _left_in_container()]
    return min((amount for amount in free if amount is not None), default=None)


def _kibibytes(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def _left_in_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container of control groups (version 2) still grants."""
    try:
        limit, used = ((group / name).read_text().strip() for name in LIMIT_AND_USE)
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdigit() else None


def _wide(network: VGG) -> torch.dtype:
    return torch.bfloat16 if network.dtype == torch.bfloat16 else torch.float32
