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
from nst.errors import SettingsError
from nst.images.reading import MAX_PIXELS
from nst.settings import TransferSettings
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
    fields = parse_object(data)
    names = field_of(fields, "figures", _names) if "figures" in fields else list(FIGURES)
    steps = field_of(fields, "steps", list_up_to(MOST_STEPS))
    frames = field_of(fields, "frames", list_up_to(MOST_STEPS))
    return JobRecord(
        created=field_of(fields, "created", number_up_to(LATEST)),
        changed=field_of(fields, "changed", number_up_to(LATEST)),
        state=field_of(fields, "state", state_named),
        note=field_of(fields, "note", text_up_to(LONGEST_NOTE)),
        iteration=field_of(fields, "iteration", whole_number),
        total=field_of(fields, "total", whole_number),
        seconds=field_of(fields, "seconds", number_up_to(LATEST)),
        frames=sorted({checked_value("frames", index, whole_number) for index in frames}),
        steps=[step_of(values, names) for values in steps] if with_steps else [],
        recipe=field_of(fields, "recipe", text_up_to(MOST_JSON)),
        server=field_of({"server": "", **fields}, "server", text_up_to(40)),
    )


def parse_object(data: bytes) -> dict[str, Any]:
    """Return the object in the bytes of a record. Raises `DamagedError`."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedError("the record is damaged") from None
    if not isinstance(fields, dict):
        raise DamagedError("the record is not an object")
    return fields


def figures_of(step: TransferStep) -> list[Any]:
    """Return the values that a record keeps of a step, in the order of `STEP_FIGURES`."""
    return [getattr(step, name) for name in STEP_FIGURES]


def field_of(fields: Mapping[str, Any], name: str, check: Callable[[Any], Value]) -> Value:
    """Return a field of a record, checked. Raises `DamagedError`."""
    if name not in fields:
        raise DamagedError(f"the record has no {name}")
    return checked_value(name, fields[name], check)


def checked_value(name: str, value: Any, check: Callable[[Any], Value]) -> Value:
    """Return what a check makes of a value. Raises `DamagedError` where that is an error."""
    try:
        return check(value)
    except (TypeError, ValueError, OverflowError):
        raise DamagedError(f"the record has an impossible value of {name}") from None


def step_of(values: Any, names: list[str]) -> TransferStep:
    """Return a step from the figures of a record; names that are not known here are left out."""
    if not isinstance(values, list) or len(values) != len(names):
        raise DamagedError("the record has a step of another length")
    found = dict(zip(names, values, strict=True))
    checks: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(("iteration", "total", "width", "height"), whole_number),
        **dict.fromkeys(("J", "content", "style", "elapsed", "remaining"), _finite),
        "layers": _layers,
    }
    known = {
        name: checked_value(name, found[name], checks.get(name, _finite))
        for name in STEP_FIGURES
        if name in found
    }
    try:
        return TransferStep(**known, pixels=torch.empty(0))
    except TypeError:  # one is missing
        raise DamagedError("the record has a step that lacks figures") from None


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def number_up_to(most: float) -> Callable[[Any], float]:
    """Return a check for finite numbers from 0 to `most`."""

    def check(value: Any) -> float:
        if not 0 <= _finite(value) <= most:
            raise ValueError("a number in its range")
        return float(value)

    return check


def whole_number(value: Any) -> int:
    """Return a whole number that is not negative. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**9:
        raise ValueError("a whole number")
    return value


def text_up_to(longest: int) -> Callable[[Any], str]:
    """Return a check for texts of so many characters at most."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest:
            raise ValueError("a text")
        return value

    return check


def list_up_to(most: int) -> Callable[[Any], list[Any]]:
    """Return a check for lists of so many values at most."""

    def check(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise ValueError("a list")
        return value

    return check


def _names(value: Any) -> list[str]:
    return [text_up_to(40)(name) for name in list_up_to(40)(value)]


def _layers(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or len(value) > 40:
        raise ValueError("costs by layer")
    return {text_up_to(40)(name): _finite(cost) for name, cost in value.items()}


def settings_of(value: Any) -> TransferSettings:
    """Return the settings in a record. Raises `ValueError`."""
    try:
        return TransferSettings.from_json(value)
    except SettingsError as error:
        raise ValueError(str(error)) from None


def state_named(value: Any) -> State:
    """Return the state of a name. Raises `ValueError`."""
    return State(text_up_to(40)(value))
