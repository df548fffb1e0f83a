"""Read a job's files from disk, and believe none of them.

`job.json` becomes a `JobRecord`, pictures become RGB.

A file that a crash or a failing disk has damaged raises `DamagedError`, and nothing else. Must not
know where a job's files are.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from nst.engine.transfer import TransferStep
from nst.images.reading import MAX_PIXELS
from nst.studio.task import State

MOST_JSON = 100_000_000  # bytes; a step takes about 250
MOST_PNG = 4 * MAX_PIXELS  # bytes; RGB that does not compress takes three a pixel
MOST_JPEG = 20_000_000  # bytes
MOST_STEPS = 200_000
LATEST = 253_402_300_799.0  # seconds since 1970; the end of the year 9999
LONGEST_NOTE = 2000  # characters
FIGURES = (  # in the order of records that do not tell it
    *("iteration", "total", "width", "height"),
    *("J", "content", "style", "layers", "elapsed", "remaining"),
)
NOT_FIGURES = ("pixels", "provenance", "state")
STEP_FIGURES = tuple(n for n in TransferStep.__dataclass_fields__ if n not in NOT_FIGURES)

Value = TypeVar("Value")


class DamagedError(ValueError):
    """A job's file that is not what was written; the message tells which part."""


@dataclass(frozen=True)
class JobRecord:
    """What `job.json` holds, checked: finite numbers in their ranges, and frames that are steps."""

    created: float  # seconds since 1970
    changed: float
    state: State  # as it was written; after a restart nothing is live
    note: str
    iteration: int
    total: int
    seconds: float
    frames: list[int]
    steps: list[TransferStep]  # without pixels
    recipe: str
    server: str = ""  # that wrote it, where several may share the folder

    @property
    def state_after_restart(self) -> State:
        """Return the state of a job that a restart has found."""
        return State.INTERRUPTED if self.state.is_live else self.state


def read_file(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file, at most `most` of them.

    Links are not followed, and a pipe or a device is not waited for. Raises `FileNotFoundError`
    where there is nothing, and `DamagedError`.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise DamagedError(f"{path.name} is not a file")
        if found.st_size > most:
            raise DamagedError(f"{path.name} is too large")
        try:
            return file.read(most + 1)[:most]
        except OSError as error:
            raise DamagedError(f"{path.name} cannot be read: {error.strerror}") from None


def is_file(path: Path) -> bool:
    """Tell whether a regular file is there that is not empty; a link is none."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def read_picture(data: bytes, name: str, format: str = "PNG") -> Image.Image:
    """Return the RGB picture in a file that this program wrote. Raises `DamagedError`."""
    try:
        with Image.open(io.BytesIO(data), formats=(format,)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DamagedError(f"{name} has too many pixels")
            return image.convert("RGB")
    except DamagedError:
        raise
    except Exception:  # Pillow raises nearly anything on damaged data
        raise DamagedError(f"{name} is damaged") from None


def parse_record(data: bytes, *, with_steps: bool = True) -> JobRecord:
    """Return the record in the bytes of a `job.json`; a card needs no steps.

    Raises `DamagedError`.
    """
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedError("job.json is damaged") from None
    if not isinstance(fields, dict):
        raise DamagedError("job.json is not an object")
    names = _field(fields, "figures", _names) if "figures" in fields else list(FIGURES)
    steps = _field(fields, "steps", _list_of(MOST_STEPS))
    frames = _field(fields, "frames", _list_of(MOST_STEPS))
    return JobRecord(
        created=_field(fields, "created", _number(LATEST)),
        changed=_field(fields, "changed", _number(LATEST)),
        state=_field(fields, "state", _state),
        note=_field(fields, "note", _text(LONGEST_NOTE)),
        iteration=_field(fields, "iteration", _whole),
        total=_field(fields, "total", _whole),
        seconds=_field(fields, "seconds", _number(LATEST)),
        frames=sorted({_checked("frames", index, _whole) for index in frames}),
        steps=[_step(values, names) for values in steps] if with_steps else [],
        recipe=_field(fields, "recipe", _text(MOST_JSON)),
        server=_field({"server": "", **fields}, "server", _text(40)),
    )


def figures_of(step: TransferStep) -> list[Any]:
    """Return the values that a record keeps of a step, in the order of `STEP_FIGURES`."""
    return [getattr(step, name) for name in STEP_FIGURES]


def _field(fields: Mapping[str, Any], name: str, check: Callable[[Any], Value]) -> Value:
    if name not in fields:
        raise DamagedError(f"job.json has no {name}")
    return _checked(name, fields[name], check)


def _checked(name: str, value: Any, check: Callable[[Any], Value]) -> Value:
    try:
        return check(value)
    except (TypeError, ValueError, OverflowError):
        raise DamagedError(f"job.json has an impossible value of {name}") from None


def _step(values: Any, names: list[str]) -> TransferStep:
    """Return a step from the figures of a record; names that are not known here are left out."""
    if not isinstance(values, list) or len(values) != len(names):
        raise DamagedError("job.json has a step of another length")
    found = dict(zip(names, values, strict=True))
    checks: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(("iteration", "total", "width", "height"), _whole),
        **dict.fromkeys(("J", "content", "style", "elapsed", "remaining"), _finite),
        "layers": _layers,
    }
    known = {
        name: _checked(name, found[name], checks.get(name, _finite))
        for name in STEP_FIGURES
        if name in found
    }
    try:
        return TransferStep(**known, pixels=torch.empty(0))
    except TypeError:  # one is missing
        raise DamagedError("job.json has a step that lacks figures") from None


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def _number(most: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if not 0 <= _finite(value) <= most:
            raise ValueError("a number in its range")
        return float(value)

    return check


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**9:
        raise ValueError("a whole number")
    return value


def _text(longest: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest:
            raise ValueError("a text")
        return value

    return check


def _list_of(most: int) -> Callable[[Any], list[Any]]:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise ValueError("a list")
        return value

    return check


def _names(value: Any) -> list[str]:
    return [_text(40)(name) for name in _list_of(40)(value)]


def _layers(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or len(value) > 40:
        raise ValueError("costs by layer")
    return {_text(40)(name): _finite(cost) for name, cost in value.items()}


def _state(value: Any) -> State:
    return State(_text(40)(value))
