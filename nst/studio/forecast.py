"""What a run will cost on this machine, before it starts: seconds and bytes.

Knows the plan of a run and how fast the network is here; measures once, and paints nothing.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch

from nst.engine.memory import TILED_TIME, bytes_at_once, bytes_in_tiles, tile_side
from nst.engine.objective import Objective
from nst.engine.schedule import Moment, plan_scales, style_side
from nst.engine.style_terms import style_time
from nst.engine.tiles import AT_ONCE
from nst.errors import TooLargeError
from nst.images.tensors import fitted_size
from nst.settings import TransferSettings, options
from nst.vgg.network import VGG

PROBE = 192  # pixels; the side of the picture that the machine is timed on
OFFERED = (4096, 3072, 2048)  # pixels; larger ones are for the command line
PHOTO = (4, 3)  # its shape
REGION_TIME = 0.05  # of an evaluation's, for each region: see benchmarks/regions.py
FORWARD = 0.5  # of an evaluation's time: a target, or the costs of the finished picture

BYTES_HELD = 40  # by pixel of a painting as it is made ready
BYTES_HELD_IN_TILES = 12  # the same beside a picture in tiles

Size = tuple[int, int]


@dataclass(frozen=True)
class PlannedRun:
    """A run before it begins.

    It has the sizes of its pictures (width, height) in pixels, its settings, the moment that it
    goes on from, and the number of its regions.
    """

    photo: Size
    paintings: Sequence[Size]
    settings: TransferSettings
    begin: Moment | None = None
    regions: int = 0

    def under(self, settings: TransferSettings) -> PlannedRun:
        """Return the same run under other settings."""
        return replace(self, settings=settings)


@dataclass(frozen=True)
class Forecast:
    """What a run needs.

    Seconds from start to finish, bytes above what the process holds already, and the seconds for
    which a GPU will be borrowed, where one is.
    """

    seconds: float
    bytes: int
    borrowed: int = 0


@dataclass(frozen=True)
class Work:
    """What a run evaluates of J with its gradient, wherever that is.

    Pixels in all, those of what costs less in proportion; pixels of the picture at its largest, of
    the largest painting that the network sees at once, and of all paintings at their largest.
    """

    pixels: float
    largest: int
    at_once: int
    held: int = 0


def work_of(
    run: PlannedRun, *, least: int = 0, overhead: Callable[[int], float] = lambda pixels: 1.0
) -> Work:
    """Return the work of a run; no picture counts for fewer pixels than `least`.

    `overhead` is the factor of an evaluation's time for a picture of so many pixels.
    """
    evaluated, seen, last = 0.0, 0, 0
    largest = at_once = held = 0
    for scale in plan_scales(run.settings, run.begin):
        picture = _area(run.photo, scale.size)
        side = style_side(scale.size, run.settings)
        styles = [_area(painting, side) for painting in run.paintings]
        largest = max(largest, picture)
        at_once = max(at_once, *(min(style, AT_ONCE) for style in styles))
        held = max(held, sum(styles))
        picture, styles = max(picture, least), [max(style, least) for style in styles]
        base = max(_area(run.photo, scale.base), least) if scale.base else 0
        evaluations = scale.iterations + len(scale.phases)
        evaluated += (picture * overhead(picture) + base) * evaluations
        last = picture + sum(styles)
        seen += last
    seen += last + picture  # the finished picture in float32, and its targets
    evaluated *= style_time(run.settings) + REGION_TIME * run.regions
    return Work(evaluated + FORWARD * seen, largest, at_once, held)


def forecast(network: VGG, run: PlannedRun, free: int | None = None) -> Forecast:
    """Return what `transfer_style` will need for a run, with so many bytes free."""

    def overhead(pixels: int) -> float:
        return TILED_TIME if tile_side(pixels, network.dtype, free) else 1.0

    work = work_of(run, overhead=overhead)
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


def seconds_per_pixel(network: VGG) -> float:
    """Return the seconds per pixel of one evaluation of J and its gradient.

    It is the quickest of a few, tried once per network.
    """
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


def _area(picture: Size, side: int) -> int:
    """Return the pixels of a picture with its longest side brought to `side`."""
    width, height = fitted_size(picture, side)
    return width * height
