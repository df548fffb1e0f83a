"""What a run will cost on this machine, before it starts: seconds and bytes.

Knows what a run evaluates and how fast that is here (`nst.engine.work`); paints nothing.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from nst.engine.memory import TILED_TIME, bytes_at_once, bytes_in_tiles, tile_side
from nst.engine.progress import finish_of
from nst.engine.work import FORWARD as FORWARD
from nst.engine.work import PROBE as PROBE
from nst.engine.work import PlannedRun as PlannedRun
from nst.engine.work import Size as Size
from nst.engine.work import Work as Work
from nst.engine.work import seconds_per_pixel as seconds_per_pixel
from nst.engine.work import work_of as work_of
from nst.errors import TooLargeError
from nst.settings import TransferSettings, options
from nst.vgg.network import VGG

OFFERED = (4096, 3072, 2048)  # pixels; larger ones are for the command line
PHOTO = (4, 3)  # its shape
BYTES_HELD = 40  # by pixel of a painting as it is made ready
BYTES_HELD_IN_TILES = 12  # the same beside a picture in tiles


@dataclass(frozen=True)
class Forecast:
    """What a run needs.

    Seconds from start to finish, bytes above what the process holds already, and the seconds for
    which a GPU will be borrowed, where one is.
    """

    seconds: float
    bytes: int
    borrowed: int = 0


def forecast(network: VGG, run: PlannedRun, free: int | None = None) -> Forecast:
    """Return what `transfer_style` will need for a run, with so many bytes free."""

    def overhead(pixels: int) -> float:
        return TILED_TIME if tile_side(pixels, network.dtype, free) else 1.0

    work = work_of(run, overhead=overhead, finish=finish_of(network.dtype))
    return Forecast(work.pixels * seconds_per_pixel(network), bytes_for(work, network.dtype, free))


def bytes_for(work: Work, dtype: torch.dtype, free: int | None = None) -> int:
    """Return the most that a run holds, in bytes, with a network of this dtype."""
    if side := tile_side(work.largest, dtype, free):
        return bytes_in_tiles(work.largest, side, dtype) + work.held * BYTES_HELD_IN_TILES
    return bytes_at_once(max(work.largest, work.at_once), dtype) + work.held * BYTES_HELD


@dataclass(frozen=True)
class Room:
    """What one run may take: bytes, as far as that can be told, and seconds."""

    bytes: int | None
    seconds: float = math.inf

    def holds(self, expected: Forecast) -> bool:
        """Tell whether there is memory and time for a run."""
        return self.has_memory_for(expected) and expected.seconds <= self.seconds

    def has_memory_for(self, expected: Forecast) -> bool:
        """Tell whether there is memory for a run."""
        return self.bytes is None or expected.bytes <= self.bytes


def admitted(cost: Callable[[PlannedRun], Forecast], run: PlannedRun, room: Room) -> Forecast:
    """Return the cost of a run for which there is room. Raises `TooLargeError`."""
    expected = cost(run)
    if room.holds(expected):
        return expected
    if room.has_memory_for(expected):
        problem = (
            f"This would take about {_minutes(expected.seconds)} minutes, and"
            f" {_minutes(room.seconds)} are the most for one picture here."
        )
    else:
        problem = (
            f"At this size a picture needs {expected.bytes / 1e9:.1f} GB of memory, and"
            f" {(room.bytes or 0) / 1e9:.1f} GB are free here."
        )
    raise TooLargeError(f"{problem} {_remedy(cost, run, room)}")


def largest_size(admit: Callable[[PlannedRun], object]) -> int:
    """Return the longest side that a page can offer: where the default run of a photo is admitted.

    `admit` raises `TooLargeError` for a run without room. The usual sizes are offered anyway.
    """
    for size in OFFERED:
        with contextlib.suppress(TooLargeError):
            admit(PlannedRun(PHOTO, [PHOTO], TransferSettings(size=size)))
            return size
    return OFFERED[-1]


def _remedy(cost: Callable[[PlannedRun], Forecast], run: PlannedRun, room: Room) -> str:
    """Say what there would be room for."""
    settings, begin = run.settings, run.begin

    def is_too_much(tried: TransferSettings) -> bool:
        return not room.holds(cost(run.under(tried)))

    def most(name: str, low: int, step: int) -> int:
        """Return the largest value of a setting that fits, or 0.

        A larger picture that grows in one more stage may take less time than a smaller one.
        """
        largest_first = reversed(range(low, getattr(settings, name), step))
        fits = (v for v in largest_first if not is_too_much(settings.replace(**{name: v})))
        return next(fits, 0)

    smallest = max(begin.picture.size) if begin else int(options()["size"].range[0])
    choices = [("size", smallest, 16, "px")]
    if begin is None:  # what goes on has a number of its own
        choices.append(("iterations", 1, 1, "iterations"))
    fitting = [
        f"{value} {unit}" for name, low, step, unit in choices if (value := most(name, low, step))
    ]
    if not fitting:
        return "Fewer iterations may do." if begin else "Nothing smaller would fit either."
    return f"{' or '.join(fitting)} would fit."


def _minutes(seconds: float) -> int:
    return max(1, round(seconds / 60))
