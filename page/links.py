"""Links: the page's choices as an address, and back.

`/?content=castle&style=starry_night&beta=5&result=…`: settings that differ from the defaults by
name (and where the smoothness is among them, the version of what it means), example pictures by
theirs, and a stored result by an id that lets it be seen and nothing more. More paintings are
`also=great_wave&style_weights=1,0.5`, sizes and directions are named like their flags:
`style_rotation=,90`. Painted regions are in no link. Knows addresses; nothing of components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nst.errors import SettingsError
from nst.painting_flags import USES, read_values
from nst.settings import (
    DEFAULTS,
    VERSION,
    PaintingUse,
    TransferSettings,
    options,
    parse_weights,
    weights_text,
)
from page.examples import ROLES, Example, ExampleSet
from page.panels.paintings import MOST_PAINTINGS, PLACED, placed

PLACES = {name: USES[name] for name in USES if USES[name][0] in PLACED}


@dataclass(frozen=True)
class Shared:
    """What a link asks for."""

    settings: TransferSettings
    examples: Mapping[str, Example]  # by role
    result: str  # a share id, or ""
    also: tuple[Example, ...] = ()  # paintings beyond the first
    style_weights: tuple[float, ...] = (1.0,)  # of all paintings
    uses: tuple[PaintingUse, ...] = ()  # their sizes and directions


def link_to(
    settings: TransferSettings,
    examples: Mapping[str, Example],
    result: str,
    also: Sequence[Example] = (),
    style_weights: Sequence[float] = (1.0,),
    uses: Sequence[PaintingUse] = (),
) -> str:
    """Return the query of a link: `?beta=5`."""
    query: dict[str, Any] = {role: example.name for role, example in examples.items()}
    if also:
        query["also"] = ",".join(example.name for example in also)
        query["style_weights"] = ",".join(f"{weight:g}" for weight in style_weights)
    for name, (field, *_) in PLACES.items():
        entries = [_place(use, field) for use in uses]
        if any(entries):
            query[name] = ",".join(entries)
    for name in options():
        value = getattr(settings, name)
        if options()[name].keys:
            weights, usual = (_used(each, name) for each in (settings, DEFAULTS))
            if weights != usual:
                query[name] = weights_text(weights)
        elif value != getattr(DEFAULTS, name):
            query[name] = value
    if "total_variation" in query:  # the one whose unit has changed
        query["version"] = VERSION
    if result:
        query["result"] = result
    return "?" + urlencode(query, safe=",=:")


def _used(settings: TransferSettings, name: str) -> dict[str, float]:
    """Return the weights above 0 of a setting."""
    return {key: weight for key, weight in getattr(settings, name).items() if weight > 0}


def read_link(query: Mapping[str, str], examples: ExampleSet) -> Shared | None:
    """Return what a query asks for; None when it asks for nothing of ours.

    Raises `SettingsError`.
    """
    names = {*options(), *ROLES, *PLACES, "result", "also"}
    wanted = {name: value for name, value in query.items() if name in names}
    if not wanted:
        return None
    found = {role: examples.find(wanted[role]) for role in ROLES if role in wanted}
    chosen = {role: example for role, example in found.items() if example}
    values = {name: _value(name, wanted[name]) for name in options() if name in wanted}
    settings = TransferSettings.from_json(values, version=_version(query, values))
    also, uses = _more_paintings(wanted.get("also", ""), query, examples)
    weights = tuple(use.weight for use in uses)
    places = tuple(map(placed, uses))
    return Shared(settings, chosen, wanted.get("result", ""), also, weights, places)


def _more_paintings(
    names: str, query: Mapping[str, str], examples: ExampleSet
) -> tuple[tuple[Example, ...], tuple[PaintingUse, ...]]:
    """Return the paintings beyond the first that are known here, and the uses of all.

    Raises `SettingsError`.
    """
    named = names.split(",")[:MOST_PAINTINGS] if names else []
    said = _said(query, len(named) + 1)
    found = [examples.find(name) for name in named]
    known = [number for number, example in enumerate(found, 1) if example][: MOST_PAINTINGS - 1]
    uses = [PaintingUse(**said[number]) for number in (0, *known)]
    also = [example for number in known if (example := found[number - 1])]
    return tuple(also), tuple(uses)


def _said(query: Mapping[str, str], count: int) -> list[dict[str, Any]]:
    """Return what a query says of so many paintings: weight, size and direction.

    Raises `SettingsError`.
    """
    said: list[dict[str, Any]] = [{} for _ in range(count)]
    for name in ("style_weights", *PLACES):
        for use, values in zip(said, read_values(name, query.get(name, "")), strict=False):
            use |= values
    return said


def _place(use: PaintingUse, field: str) -> str:
    """Return a field of a use as its flag takes it, or "" where it is usual."""
    value = getattr(use, field)
    if value == getattr(PaintingUse(), field):
        return ""
    if isinstance(value, tuple):
        return ":".join(f"{side:g}" for side in value)
    return "yes" if value is True else f"{value:g}"


def _version(query: Mapping[str, str], values: Mapping[str, Any]) -> int:
    """Return which version of the settings a link was written for, where that matters."""
    known = {str(version): version for version in range(1, VERSION + 1)}
    return known.get(query.get("version", ""), 1) if "total_variation" in values else VERSION


def _value(name: str, text: str) -> Any:
    default = getattr(DEFAULTS, name)
    if options()[name].keys:
        return parse_weights(text)
    if isinstance(default, str):
        return text
    try:
        return type(default)(text)
    except ValueError:
        raise SettingsError(f"{name} must be a number, not {text[:40]!r}") from None
