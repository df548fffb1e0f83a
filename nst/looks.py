"""The named looks: settings that go together, from `looks.json`, which a designer can edit.

Each entry has a name, a sentence that says what one gets, and the settings that depart from the
usual ones; `make looks` paints their small pictures again.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nst.settings import TransferSettings


@dataclass(frozen=True)
class Look:
    """A named look. Raises `SettingsError` for settings that are out of range or unknown."""

    name: str
    gives: str  # one sentence about the picture
    changes: Mapping[str, Any]  # to the usual settings
    covers: bool  # whether flat skies and walls are painted like the rest

    def __post_init__(self) -> None:
        TransferSettings.from_json(dict(self.changes))

    @property
    def file(self) -> str:
        """Return the name of its small picture's file."""
        words = self.name.lower().replace("'", "").split()
        return f"{'-'.join(words)}.webp"

    @property
    def settings(self) -> TransferSettings:
        """Return all of its settings."""
        return TransferSettings(**self.changes)


def _read_looks() -> dict[str, Look]:
    text = (importlib.resources.files("nst") / "looks.json").read_text(encoding="utf-8")
    looks = [
        Look(each["name"], each["gives"], each["settings"], each["covers"])
        for each in json.loads(text)
    ]
    return {look.name: look for look in looks}


LOOKS = _read_looks()
"""All looks by name, in the order in which they are shown."""
USUAL_LOOK = "Balanced"
