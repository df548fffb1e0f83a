"""The memory that a run takes, by the pixels of its picture, and what a device has left of it.

Where a picture does not fit at once it goes in tiles, and what they save and cost is known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nst.engine.optimizers import history_bytes
from nst.engine.tiles import AT_ONCE, halo_of

# Measured: the most that a run holds above the idle process, by pixels of its largest picture.
PER_PIXEL = {torch.float32: 2400, torch.bfloat16: 1850}
AT_LEAST = 60 * 2**20

# The same for a run in tiles: by pixels of a tile with its halo, and of the picture beside that.
PER_PIXEL_OF_TILE = {torch.float32: 1300, torch.bfloat16: 850}
PER_PIXEL_BESIDE = 100

NEVER_TILED = 1024 * 1024  # pixels; a smaller picture is never worth it
SIDES = (1024, 512)  # pixels of a tile without its halo; small ones cost more time
SHARE = 0.5  # of the memory that a picture above `AT_ONCE` may take to go without tiles
TILED_TIME = 2.0  # of the time without tiles

LIMIT_AND_USE = ("memory.max", "memory.current")


def tile_side(pixels: int, dtype: torch.dtype, free: int | None) -> int | None:
    """Return the side of the tiles for a picture of so many pixels, or None for no tiles.

    `free` are the bytes that may be taken, where they are known.
    """
    if pixels <= NEVER_TILED:
        return None
    if free is None:
        return None if pixels <= AT_ONCE else SIDES[0]
    if bytes_at_once(pixels, dtype) <= free * (1 if pixels <= AT_ONCE else SHARE):
        return None
    fitting = (side for side in SIDES if bytes_in_tiles(pixels, side, dtype) <= free)
    return next(fitting, None if pixels <= AT_ONCE else SIDES[-1])


def bytes_needed(pixels: int, dtype: torch.dtype, free: int | None) -> int:
    """Return the most that a run holds, with tiles where it takes them."""
    side = tile_side(pixels, dtype, free)
    return bytes_in_tiles(pixels, side, dtype) if side else bytes_at_once(pixels, dtype)


def bytes_at_once(pixels: int, dtype: torch.dtype) -> int:
    """Return the most that a run without tiles holds."""
    return AT_LEAST + round(pixels * PER_PIXEL[_known(dtype)])


def bytes_in_tiles(pixels: int, side: int, dtype: torch.dtype) -> int:
    """Return the most that a run in tiles of `side` pixels holds."""
    tile = (side + 2 * halo_of(["relu5_1"])) ** 2
    own = round(tile * PER_PIXEL_OF_TILE[_known(dtype)])
    return AT_LEAST + own + pixels * PER_PIXEL_BESIDE + history_bytes(3 * pixels)


def available_memory(device: torch.device) -> int | None:
    """Return the bytes that a run may take on a device, where that can be told."""
    card: Any = getattr(torch, device.type, None)
    if not hasattr(card, "mem_get_info"):  # it has no memory of its own
        return host_memory()
    if not card.is_available():  # a make-believe one
        return None
    free, _ = card.mem_get_info(device)
    kept = card.memory_reserved(device) - card.memory_allocated(device)
    return int(free + kept)


def host_memory() -> int | None:
    """Return the bytes of main memory that this process may still take, where that can be told."""
    kibibytes = _number(Path("/proc/meminfo"), "MemAvailable:")
    grants = [kibibytes * 1024 if kibibytes else None, left_in_container(), _left_to_process()]
    return min((amount for amount in grants if amount is not None), default=None)


def _known(dtype: torch.dtype) -> torch.dtype:
    return torch.bfloat16 if dtype == torch.bfloat16 else torch.float32


def _number(path: Path, name: str) -> int | None:
    """Return the number after `name` in one of the lines of a file, where there is one."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), None)


def left_in_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that a container of control groups (version 2) still grants.

    Caches give way.
    """
    try:
        limit, used = ((group / name).read_text().strip() for name in LIMIT_AND_USE)
    except OSError:
        return None
    cache = _number(group / "memory.stat", "inactive_file") or 0
    return int(limit) - int(used) + cache if limit.isdigit() else None


def _left_to_process() -> int | None:
    """Return the bytes that `ulimit -v` still grants this process, where it was set."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _number(Path("/proc/self/status"), "VmSize:")
    if limit == resource.RLIM_INFINITY or used is None:
        return None
    return max(0, limit - used * 1024)
