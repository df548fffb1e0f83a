"""Links: the page's choices as an address, and back.

`/?content=castle&style=starry_night&beta=5&result=…`: settings that differ from the defaults by
name (and where the smoothness is among them, the version of what it means), example pictures by
theirs, and a stored result by an id that lets it be seen and nothing more. More paintings are
`also=great_wave&style_weights=1,0.5`; layers, sizes and directions are named like their flags:
`style_layers=strokes,composition&style_rotation=,90`. Painted regions come last, as
`page.link_regions` has them, and only with an example picture as the photo: they belong to it.
Knows addresses; nothing of components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from nst.errors import SettingsError
from nst.painting_flags import USES, read_values
from nst.settings import (
    DEFAULTS,
    VERSION,
    PaintingUse,
    TransferSettings,
    layers_text,
    options,
    parse_weights,
    weights_text,
)
from page.examples import ROLES, Example, ExampleSet
from page.link_regions import read_regions, regions_text
from page.panels.mix import OpenRegion
from page.panels.paintings import MOST_PAINTINGS, PLACED, placed

PLACES = {name: USES[name] for name in USES if USES[name][0] in PLACED}


@dataclass(frozen=True)
class Shared:
    """What a link asks for."""

    settings: TransferSettings = DEFAULTS
    examples: Mapping[str, Example] = field(default_factory=dict)  # by role
    result: str = ""  # a share id, where there is one
    also: Sequence[Example] = ()  # paintings beyond the first
    style_weights: Sequence[float] = (1.0,)  # of all paintings
    uses: Sequence[PaintingUse] = ()  # their layers, sizes and directions
    regions: Sequence[OpenRegion] = ()
    is_whole: bool = True  # or else it names examples that this page does not have


def link_to(shared: Shared) -> str:
    """Return the query of a link: `?beta=5`."""
    query: dict[str, Any] = {role: example.name for role, example in shared.examples.items()}
    if shared.also:
        query["also"] = ",".join(example.name for example in shared.also)
        query["style_weights"] = ",".join(f"{weight:g}" for weight in shared.style_weights)
    for name, (placing, *_) in PLACES.items():
        entries = [_place(use, placing) for use in shared.uses]
        if any(entries):
            query[name] = ",".join(entries)
    query |= _changed(shared.settings)
    if shared.result:
        query["result"] = shared.result
    if "content" in query and (regions := regions_text(shared.regions)):
        query["regions"] = regions
    return "?" + urlencode(query, safe=",=:")


def _changed(settings: TransferSettings) -> dict[str, Any]:
    """Return the settings that differ from the defaults, as a link has them."""
    changed: dict[str, Any] = {}
    for name in options():
        value = getattr(settings, name)
        if options()[name].keys:
            weights, usual = (_used(each, name) for each in (settings, DEFAULTS))
            if weights != usual:
                changed[name] = weights_text(weights)
        elif value != getattr(DEFAULTS, name):
            changed[name] = value
    if "total_variation" in changed:  # the one whose unit has changed
        changed["version"] = VERSION
    return changed


def _used(settings: TransferSettings, name: str) -> dict[str, float]:
    """Return the weights above 0 of a setting."""
    return {key: weight for key, weight in getattr(settings, name).items() if weight > 0}


def read_link(query: Mapping[str, str], examples: ExampleSet) -> Shared | None:
    """Return what a query asks for; None when it asks for nothing of ours.

    Raises `SettingsError`.
    """
    names = {*options(), *ROLES, *PLACES, "result", "also", "regions"}
    wanted = {name: value for name, value in query.items() if name in names}
    if not wanted:
        return None
    found = {role: examples.find(wanted[role]) for role in ROLES if role in wanted}
    chosen = {role: example for role, example in found.items() if example}
    values = {name: _value(name, wanted[name]) for name in options() if name in wanted}
    settings = TransferSettings.from_json(values, version=_version(query, values))
    named = [examples.find(name) for name in _named(wanted.get("also", ""))]
    said = _said(query, 1 + len(named))
    known = [0, *(number for number, example in enumerate(named, 1) if example)][:MOST_PAINTINGS]
    uses = [PaintingUse(**said[number]) for number in known]
    index_of = {number: known.index(number) for number in known}
    photo = chosen.get("content")
    return Shared(
        settings,
        chosen,
        wanted.get("result", ""),
        also=[example for number in known[1:] if (example := named[number - 1])],
        style_weights=[use.weight for use in uses],
        uses=list(map(placed, uses)),
        regions=_regions(wanted.get("regions", ""), photo, index_of) if photo else (),
        is_whole=all(found.values()) and all(named),
    )


def _regions(text: str, photo: Example, index_of: Mapping[int, int]) -> list[OpenRegion]:
    return read_regions(text, (photo.ingredient.width, photo.ingredient.height), index_of)


def _named(names: str) -> list[str]:
    return names.split(",")[:MOST_PAINTINGS] if names else []


def _said(query: Mapping[str, str], count: int) -> list[dict[str, Any]]:
    """Return what a query says of so many paintings: weight, layers, size and direction.

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
    if field == "layers":
        return layers_text(value)
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
