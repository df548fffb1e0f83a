"""What a batch and its workers say to each other; all of it can be pickled.

Pictures travel as the bytes of their files: a worker may be on another machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst.errors import UserError
from nst.settings import FilmSettings, TransferSettings

FILM_SUFFIX = ".mp4"  # of what clips become
READY = "ready"  # what a worker process says first
AT_ONCE = 2  # requests of a worker: one is painted while others are opened and encoded


@dataclass(frozen=True)
class FileFormat:
    """What kind of file the pictures become."""

    suffix: str = ".png"  # one of `nst.outputs.FORMATS`
    depth: int = 8  # bits per channel
    keep_alpha: bool = False


@dataclass(frozen=True)
class FilmFormat:
    """What clips become."""

    settings: FilmSettings = field(default_factory=FilmSettings)
    rate: float = 0.0  # the most frames per second; 0 for all
    has_sound: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**self.settings.to_json(), "fps": self.rate, "sound": self.has_sound}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> FilmFormat:
        """Return what `to_json` has made. Raises `KeyError`, `TypeError` or `SettingsError`."""
        settings = {name: each for name, each in values.items() if name not in ("fps", "sound")}
        return FilmFormat(FilmSettings(**settings), values["fps"], values["sound"])


@dataclass(frozen=True)
class Controls:
    """Files that every picture of a batch has in common; None where there is none."""

    mask: bytes | None = field(default=None, repr=False)  # where the painting rules
    keep: bytes | None = field(default=None, repr=False)  # where the photo is left as it is
    within: bytes | None = field(default=None, repr=False)  # the part of the painting that counts
    init: bytes | None = field(default=None, repr=False)  # what a run starts from

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each file there is, by name."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in vars(self).items() if data}


@dataclass(frozen=True)
class PaintRequest:
    """One picture to be painted, with all that it takes."""

    number: int  # of the batch's item
    photo: bytes = field(repr=False)
    painting: bytes = field(repr=False)
    settings: TransferSettings = field(repr=False)
    format: FileFormat
    controls: Controls = field(default_factory=Controls, repr=False)
    protect_faces: bool = False
    checkpoint: bytes | None = field(default=None, repr=False)  # to go on from: see `Progress`


@dataclass(frozen=True)
class Progress:
    """An iteration of a picture is done."""

    number: int
    iteration: int
    total: int
    J: float
    elapsed: float  # seconds since its run began, or went on
    remaining: float  # estimated seconds
    checkpoint: bytes | None = field(default=None, repr=False)
    """Now and then a PNG of the picture so far with its recipe, from which a run can go on."""

    @property
    def share(self) -> float:
        """Return how much of the run's time is over, from 0 to 1."""
        whole = self.elapsed + self.remaining
        return self.elapsed / whole if whole > 0 else 0.0


@dataclass(frozen=True)
class Painted:
    """A picture is finished."""

    number: int
    data: bytes = field(repr=False)  # its file
    width: int
    height: int
    iterations: int
    costs: dict[str, float]  # J, content, style and smoothness at the end
    seconds: float  # of painting, since it began or went on; opening and encoding not counted
    file: Path | None = None  # on this machine, which has what is not in `data`; it is moved


@dataclass(frozen=True)
class Failed:
    """A picture cannot be painted."""

    number: int
    reason: str  # one sentence
    culprit: str = ""
    """`photo` or `painting` where no picture with that file can be painted, `all` where none can be
    painted at all, "" where it is about this picture alone."""
    kind: type[UserError] = UserError  # of error that ends the batch where the culprit is `all`


@dataclass(frozen=True)
class Lost:
    """A worker ended without an answer: its requests are to be given to another."""

    number: int
    is_suspect: bool  # whether this request was its turn, and may have been the reason
    reason: str  # how the worker ended, in a few words


Event = Progress | Painted | Failed | Lost
