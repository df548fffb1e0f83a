"""What a run will cost on this machine, before it starts: seconds and bytes.

Knows the plan of a run and how fast the network is here; measures once, and paints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import torch

from nst.images import fitted_size
from nst.objective import Objective
from nst.settings import TransferSettings
from nst.transfer import Moment, load_network, plan_scales, style_side
from nst.vgg import VGG

PROBE = 192  # pixels; the side of the picture that the machine is timed on
FORWARD = 0.5  # of an evaluation's time: a target, or the costs of the finished picture

# Measured: the most that a run holds above the idle process, by pixels of its largest picture.
BYTES_PER_PIXEL = {torch.float32: 2400, torch.bfloat16: 1850}
BYTES_AT_LEAST = 60 * 2**20

LIMIT_AND_USE = ("memory.max", "memory.current")

Size = tuple[int, int]


@dataclass(frozen=True)
class Forecast:
    """Seconds from start to finish, and bytes above what the process holds already."""

    seconds: float
    bytes: int


def forecast(
    network: VGG,
    photo: Size,
    paintings: Sequence[Size],
    settings: TransferSettings,
    begin: Moment | None = None,
) -> Forecast:
    """What `transfer_style` will need for pictures of these sizes (width, height) in pixels."""
    evaluated = seen = largest = last = 0.0
    for scale in plan_scales(settings, begin):
        width, height = fitted_size(photo, scale.size)
        side = style_side(scale, settings)
        styles = [w * h for w, h in (fitted_size(painting, side) for painting in paintings)]
        evaluated += width * height * (scale.iterations + len(scale.phases))
        last = width * height + sum(styles)
        seen += last
        largest = max(largest, width * height, *styles)
    seen += last + width * height  # the finished picture in float32, and its targets
    seconds = (evaluated + FORWARD * seen) * seconds_per_pixel(network)
    narrow = network.dtype == torch.bfloat16
    per_pixel = BYTES_PER_PIXEL[torch.bfloat16 if narrow else torch.float32]
    return Forecast(seconds, BYTES_AT_LEAST + round(largest * per_pixel))


class TooLargeError(ValueError):
    """A run that this machine has no room for; the message is one sentence for the user."""


def admit(
    photo: Size, paintings: Sequence[Size], settings: TransferSettings, begin: Moment | None = None
) -> Forecast:
    """What a run will need here. Raises `TooLargeError` when this machine has not enough memory."""
    network = load_network(settings)
    expected = forecast(network, photo, paintings, settings, begin)
    free = available_memory(network)
    if free is not None and expected.bytes > free:
        raise TooLargeError(
            f"At this size a picture needs {expected.bytes / 1e9:.1f} GB of memory, and"
            f" {free / 1e9:.1f} GB are free here. Please choose a smaller size."
        )
    return expected


def seconds_per_pixel(network: VGG) -> float:
    """Of one evaluation of J and its gradient: the quickest of a few, tried once per network."""
    if network not in _paces:
        picture = torch.full((1, 3, PROBE, PROBE), 0.5, device=network.device)
        objective = Objective(network, picture, [picture], TransferSettings())
        taken = []
        for _ in range(4):
            objective.forget()
            began = time.perf_counter()
            objective.evaluate(picture)
            taken.append(time.perf_counter() - began)
        _paces[network] = min(taken) / PROBE**2
    return _paces[network]


_paces: WeakKeyDictionary[VGG, float] = WeakKeyDictionary()


def available_memory(network: VGG) -> int | None:
    """Bytes that a run may take on the network's device without harm, where that can be told."""
    if network.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(network.device)
        kept = torch.cuda.memory_reserved(network.device) - torch.cuda.memory_allocated(
            network.device
        )
        return int(free + kept)
    kibibytes = _number(Path("/proc/meminfo"), "MemAvailable:")
    grants = [kibibytes * 1024 if kibibytes else None, _left_in_container()]
    return min((amount for amount in grants if amount is not None), default=None)


def _number(path: Path, name: str) -> int | None:
    """The number after `name` in one of the lines of a file, where there is one."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), None)


def _left_in_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container of control groups (version 2) still grants; caches give way."""
    try:
        limit, used = ((group / name).read_text().strip() for name in LIMIT_AND_USE)
    except OSError:
        return None
    cache = _number(group / "memory.stat", "inactive_file") or 0
    return int(limit) - int(used) + cache if limit.isdigit() else None
