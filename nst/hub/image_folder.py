"""A collection of pictures in the layout of a Hub dataset: an ImageFolder with `metadata.jsonl`.

Each line of it describes one picture of the folder:

    file_name   "content/castle.jpg"
    role        "content", "style" or "result"
    title, artist, year, licence, source
    content, style    of a result: the file names of what it was painted from
    look        of a result: the name of one of `LOOKS`
    recipe      of a finished result: the text of `nst.images.recipe`

`examples/` is such a folder, and so is what `push-examples` publishes. A folder from elsewhere may
hold anything: what does not fit is left out. Knows files and their descriptions; opens no pictures.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst.errors import RecipeError
from nst.images.recipe import Recipe, parse_recipe
from nst.looks import LOOKS

log = logging.getLogger(__name__)

METADATA = "metadata.jsonl"
ROLES = ("content", "style", "result")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
FILE_NAME = re.compile(r"(?:[\w-]+/){0,3}[\w-][\w.-]{0,80}", re.ASCII)
MOST_BYTES = 20_000_000  # of the metadata
MOST_PICTURES = 200
MOST_CHARACTERS = 200  # of a title


@dataclass(frozen=True)
class Picture:
    """One picture of a collection and what is known of it."""

    file_name: str  # below the folder, with forward slashes
    role: str
    title: str
    artist: str = ""
    year: int | None = None
    licence: str = ""
    source: str = ""
    content: str = ""  # of a result, as are the next three
    style: str = ""
    look: str = ""
    recipe: Recipe | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Return what links call it."""
        return Path(self.file_name).stem

    def to_json(self) -> dict[str, Any]:
        """Return the line that describes it."""
        line: dict[str, Any] = {"file_name": self.file_name, "role": self.role}
        known = ("title", "artist", "year", "licence", "source", "content", "style", "look")
        line |= {name: value for name in known if (value := getattr(self, name))}
        return line | ({"recipe": self.recipe.to_text()} if self.recipe else {})


def read_collection(folder: Path) -> list[Picture]:
    """Return what `metadata.jsonl` describes, whether the files are there or not.

    Raises `OSError` when it cannot be read; lines that are not understood are left out.
    """
    path = folder / METADATA
    if path.stat().st_size > MOST_BYTES:
        raise OSError(f"{METADATA} is too large")
    pictures: dict[str, Picture] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in filter(str.strip, lines):
        picture = _picture(line)
        if picture is None:
            log.warning("a picture of the examples is described in a way that is not understood")
        elif len(pictures) < MOST_PICTURES:
            pictures.setdefault(picture.file_name, picture)
    return list(pictures.values())


def write_metadata(pictures: Sequence[Picture]) -> bytes:
    """Return the content of `metadata.jsonl`."""
    lines = (json.dumps(picture.to_json(), ensure_ascii=False) for picture in pictures)
    return "".join(f"{line}\n" for line in lines).encode()


def one_line(value: Any, most: int = MOST_CHARACTERS) -> str:
    """Return a short plain text from elsewhere, in one line and without control characters.

    "" for anything but text.
    """
    if not isinstance(value, str):
        return ""
    seen = (char for char in value[:1000] if unicodedata.category(char) != "Cf")
    line = " ".join("".join(char if char.isprintable() else " " for char in seen).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _picture(line: str) -> Picture | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("role") not in ROLES:
        return None
    file_name = _file_name(data.get("file_name"))
    if not file_name:
        return None
    year = data.get("year")
    is_result = data["role"] == "result"
    look = data.get("look")
    return Picture(
        file_name=file_name,
        role=data["role"],
        title=one_line(data.get("title")) or Path(file_name).stem,
        artist=one_line(data.get("artist")),
        year=year if isinstance(year, int) and 0 < year < 10_000 else None,
        licence=one_line(data.get("licence")),
        source=one_line(data.get("source")),
        content=_file_name(data.get("content")) if is_result else "",
        style=_file_name(data.get("style")) if is_result else "",
        look=look if is_result and isinstance(look, str) and look in LOOKS else "",
        recipe=_recipe(data) if is_result else None,
    )


def _file_name(value: Any) -> str:
    """Return a path inside the folder, to a picture; "" for any other."""
    is_inside = isinstance(value, str) and FILE_NAME.fullmatch(value) and ".." not in value
    return value if is_inside and value.endswith(SUFFIXES) else ""


def _recipe(data: Mapping[str, Any]) -> Recipe | None:
    try:
        return parse_recipe(data["recipe"]) if isinstance(data.get("recipe"), str) else None
    except RecipeError:
        return None
