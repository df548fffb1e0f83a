"""What `film.json` says of a film, and reading it with no trust.

Must not know where a film's files are.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from nst.errors import SettingsError
from nst.settings import FilmSettings, TransferSettings
from nst.studio.job_record import LATEST, LONGEST_NOTE, DamagedError
from nst.studio.task import State
from nst.video.decoding import MOST_FRAMES

MOST_FILM_JSON = 4_000_000  # bytes; the time of a frame takes about 20
LONGEST_RECIPE = 1_000_000  # characters
MOST_STYLES = 64


@dataclass(frozen=True)
class Cut:
    """What of a clip is painted: from `begin` to `end` in seconds, so large, so often.

    `size` is of the longest side in pixels, `rate` the most frames per second; 0 takes all.
    """

    begin: float
    end: float
    size: int
    rate: float = 0.0


@dataclass(frozen=True)
class FilmRecord:
    """A film without its pictures."""

    created: float  # seconds since 1970
    changed: float
    state: State  # as it was written; after a restart nothing is live
    note: str
    cut: Cut
    settings: TransferSettings
    film: FilmSettings
    styles: int  # how many paintings there are
    total: int  # frames, as far as that can be told
    seconds: float  # of painting
    has_sound: bool
    remark: str  # on the finished film, "" where there is none
    recipe: str
    rate: Fraction  # frames per second that the file tells
    times: list[Fraction] = field(default_factory=list)  # of the finished frames, in seconds

    @property
    def state_after_restart(self) -> State:
        """Return the state of a film that a restart has found."""
        return State.INTERRUPTED if self.state.is_live else self.state

    def to_text(self) -> str:
        """Return it as JSON."""
        cut = self.cut
        values = {
            **vars(self),
            "state": self.state.value,
            "cut": [cut.begin, cut.end, cut.size, cut.rate],
            "settings": self.settings.to_json(),
            "film": self.film.to_json(),
            "rate": str(self.rate),
            "times": list(map(str, self.times)),
        }
        return json.dumps(values)


def parse_film(data: bytes) -> FilmRecord:
    """Return the record in the bytes of a `film.json`. Raises `DamagedError`."""
    try:
        return _record(json.loads(data))
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        if isinstance(error, SettingsError):
            raise DamagedError(f"film.json has impossible settings: {error}") from None
        raise DamagedError("film.json is damaged") from None


def _record(values: dict[str, Any]) -> FilmRecord:
    begin, end, size, rate = values["cut"]
    times = [Fraction(_text(time, 60)) for time in values["times"]]
    if len(times) > MOST_FRAMES or any(time < 0 for time in times):
        raise ValueError("times of frames")
    return FilmRecord(
        created=_number(values["created"], LATEST),
        changed=_number(values["changed"], LATEST),
        state=State(values["state"]),
        note=_text(values["note"], LONGEST_NOTE),
        cut=Cut(
            _number(begin, LATEST),
            _number(end, LATEST),
            int(_number(size, 1e5)),
            _number(rate, 1e3),
        ),
        settings=TransferSettings.from_json(values["settings"]),
        film=FilmSettings(**values["film"]),
        styles=int(_number(values["styles"], MOST_STYLES)),
        total=int(_number(values["total"], MOST_FRAMES)),
        seconds=_number(values["seconds"], LATEST),
        has_sound=values["has_sound"] is True,
        remark=_text(values["remark"], LONGEST_NOTE),
        recipe=_text(values["recipe"], LONGEST_RECIPE),
        rate=Fraction(_text(values["rate"], 60)),
        times=times,
    )


def _number(value: Any, most: float) -> float:
    if isinstance(value, bool) or not math.isfinite(value) or not 0 <= value <= most:
        raise ValueError("a number in its range")
    return float(value)


def _text(value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError("a text")
    return value
