"""Links: the page's choices as an address, and back.

`/?content=castle&style=starry_night&beta=5&result=…`: settings that differ from the defaults by
name (and where the smoothness is among them, the version of what it means), example pictures by
theirs, and a stored result by an id that lets it be seen and nothing more. Knows addresses; nothing
of components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nst.errors import SettingsError
from nst.settings import (
    DEFAULTS,
    VERSION,
    TransferSettings,
    options,
    parse_weights,
    weights_text,
)
from page.examples import ROLES, Example, ExampleSet


@dataclass(frozen=True)
class Shared:
    """What a link asks for."""

    settings: TransferSettings
    examples: Mapping[str, Example]  # by role
    result: str  # a share id, or ""


def link_to(settings: TransferSettings, examples: Mapping[str, Example], result: str) -> str:
    """Return the query of a link: `?beta=5`."""
    query: dict[str, Any] = {role: example.name for role, example in examples.items()}
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
    return "?" + urlencode(query, safe=",=")


def _used(settings: TransferSettings, name: str) -> dict[str, float]:
    """Return the weights above 0 of a setting."""
    return {key: weight for key, weight in getattr(settings, name).items() if weight > 0}


def read_link(query: Mapping[str, str], examples: ExampleSet) -> Shared | None:
    """Return what a query asks for; None when it asks for nothing of ours.

    Raises `SettingsError`.
    """
    names = {*options(), *ROLES, "result"}
    wanted = {name: value for name, value in query.items() if name in names}
    if not wanted:
        return None
    found = {role: examples.find(wanted[role]) for role in ROLES if role in wanted}
    chosen = {role: example for role, example in found.items() if example}
    values = {name: _value(name, wanted[name]) for name in options() if name in wanted}
    settings = TransferSettings.from_json(values, version=_version(query, values))
    return Shared(settings, chosen, wanted.get("result", ""))


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
