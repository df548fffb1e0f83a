"""What `film.json` says of a film, and reading it with no trust.

Must not know where a film's files are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from nst.errors import SettingsError
from nst.settings import MOST_STYLES, FilmSettings, TransferSettings
from nst.studio.job_record import (
    LATEST,
    LONGEST_NOTE,
    checked_value,
    field_of,
    list_up_to,
    number_up_to,
    parse_object,
    settings_of,
    state_named,
    text_up_to,
    whole_number,
)
from nst.studio.task import State
from nst.video.decoding import MOST_FRAMES

MOST_FILM_JSON = 4_000_000  # bytes; the time of a frame takes about 20
LONGEST_RECIPE = 1_000_000  # characters
FRACTION = re.compile(r"\d{1,20}(/[1-9]\d{0,19})?")


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
    server: str  # that paints it, where several share the folder
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
    fields = parse_object(data)
    return FilmRecord(
        created=field_of(fields, "created", number_up_to(LATEST)),
        changed=field_of(fields, "changed", number_up_to(LATEST)),
        state=field_of(fields, "state", state_named),
        note=field_of(fields, "note", text_up_to(LONGEST_NOTE)),
        server=checked_value("server", fields.get("server", ""), text_up_to(40)),
        cut=field_of(fields, "cut", _cut),
        settings=field_of(fields, "settings", settings_of),
        film=field_of(fields, "film", _film),
        styles=field_of(fields, "styles", _count_up_to(MOST_STYLES)),
        total=field_of(fields, "total", whole_number),
        seconds=field_of(fields, "seconds", number_up_to(LATEST)),
        has_sound=fields.get("has_sound") is True,
        remark=field_of(fields, "remark", text_up_to(LONGEST_NOTE)),
        recipe=field_of(fields, "recipe", text_up_to(LONGEST_RECIPE)),
        rate=field_of(fields, "rate", _rate),
        times=[
            checked_value("times", time, _fraction)
            for time in field_of(fields, "times", list_up_to(MOST_FRAMES))
        ],
    )


def _cut(value: Any) -> Cut:
    begin, end, size, rate = list_up_to(4)(value)
    seconds = number_up_to(LATEST)
    return Cut(seconds(begin), seconds(end), whole_number(size), number_up_to(1e3)(rate))


def _film(value: Any) -> FilmSettings:
    try:
        return FilmSettings(**value)
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _count_up_to(most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not 1 <= whole_number(value) <= most:
            raise ValueError("a count in its range")
        return int(value)

    return check


def _fraction(value: Any) -> Fraction:
    """Return a fraction of two whole numbers: an exponent could take for ever to work out."""
    text = text_up_to(60)(value)
    if not FRACTION.fullmatch(text):
        raise ValueError("a fraction")
    return Fraction(text)


def _rate(value: Any) -> Fraction:
    rate = _fraction(value)
    if not 0 < rate <= 1000:
        raise ValueError("a rate in its range")
    return rate
