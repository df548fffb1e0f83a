"""The layout of a gallery: what is where in its dataset, and what of it can be believed.

A gallery is a dataset, an ordinary ImageFolder. Every picture has a folder of its own, so that
servers which know nothing of each other never write the same file:

    data/2026-11-22/143055-alice-0f3a9c2b5d7e4a10/picture.png      with its recipe inside
                                                  photo.jpg        only with consent
                                                  metadata.jsonl   role, title, author, time, recipe
    thumbnails/2026-11-22/143055-alice-0f3a9c2b5d7e4a10.jpg
    index/0f/0f3a9c2b5d7e4a10.txt                 which folder has the picture of this content
    README.md

The name of a folder is the day and time (UTC), who published it, and the beginning of the hash of
its pixels; from it alone come the order, the author, and how much somebody has published lately.

Knows names, metadata and pictures; nothing of requests.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from PIL import Image

from nst.errors import HubError
from nst.hub.image_folder import one_line
from nst.images.recipe import Recipe, parse_recipe
from nst.images.tensors import shrink
from nst.images.writing import jpeg_bytes

LICENCE = "CC BY 4.0"  # of what is published, the photo included

PICTURE, PHOTO, METADATA = "picture.png", "photo.jpg", "metadata.jsonl"
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
ID = re.compile(rf"({DAY.pattern})/(\d{{6}})-([\w.-]{{1,64}})-([0-9a-f]{{16}})", re.ASCII)

PHOTO_SIDE = 2048  # pixels at most
THUMBNAIL_SIDE = 320
LONGEST_TITLE = 80  # characters
MOST_METADATA = 1_000_000  # bytes
MAX_BYTES = 25_000_000  # of a published picture, which no run makes as large

CARD = f"""---
license: cc-by-4.0
pretty_name: Pictures by neural style transfer
task_categories:
  - image-to-image
tags:
  - art
  - neural-style-transfer
  - style-transfer
configs:
  - config_name: default
    data_files:
      - split: train
        path: data/**
---

# Pictures by neural style transfer

Each folder below `data/` is one picture (`picture.png`), published by the member of the Hub whose
name it bears, from the page that painted it. `photo.jpg` is what it was painted from, where that
member ticked that the photo may be shown.

`metadata.jsonl` has for each file its role (`result` or `photo`), the title, the author, the time
(UTC) and the recipe: all settings and the hashes of the pictures that went in, as JSON. The same
recipe is inside the PNG. Files below `index/` say which folder holds the picture of a given hash.

Who publishes a picture licenses it, and the photo beside it, under {LICENCE}. To have one taken
down, open a discussion here.
"""


@dataclass(frozen=True)
class Publication:
    """A picture in a gallery."""

    id: str  # its folder below data/
    author: str
    title: str  # one line of plain text, to be escaped where it is shown
    created: datetime  # UTC
    recipe: Recipe
    has_photo: bool
    url: str  # of its page on the Hub


@dataclass(frozen=True)
class Entry:
    """A folder, as its name and the listing show it."""

    id: str
    author: str
    created: datetime
    has_photo: bool = False
    problem: str = ""  # why it is of no use; empty: none so far
    content: str = ""  # the hash of its metadata

    @property
    def key(self) -> tuple[str, str]:
        """Return what a `Publication` depends on."""
        return self.id, f"{self.content} {self.has_photo} {self.problem}"


def new_id(author: str, created: datetime, digest: str) -> str:
    """Return a new folder's name for a picture, whose author is one `path_word`."""
    return f"{created:%Y-%m-%d/%H%M%S}-{author}-{digest}"


def named(id: str) -> Entry:
    """Return what the name of a folder says.

    Raises `ValueError` for one that is not ours.
    """
    match = ID.fullmatch(id)
    if not match:
        raise ValueError("not an id")
    moment = datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H%M%S")
    return Entry(id, match[3], moment.replace(tzinfo=timezone.utc))


def pointer_of(id: str) -> str:
    """Return the file that leads from the content of a picture to its folder."""
    digest = id[-16:]
    return f"index/{digest[:2]}/{digest}.txt"


def thumbnail_of(id: str) -> str:
    """Return the file of a small version; outside of data/, since it is no picture of its own."""
    return f"thumbnails/{id}.jpg"


def entries_of(listing: Iterable[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Return the folders of a day from the listing of all that is below it, newest first."""
    folders: dict[str, dict[str, Mapping[str, Any]]] = {}
    for file in listing:
        folder, _, name = str(file.get("path")).removeprefix("data/").rpartition("/")
        if file.get("type") == "file" and name in (PICTURE, PHOTO, METADATA):
            folders.setdefault(folder, {})[name] = file
    entries = []
    for id, files in sorted(folders.items(), reverse=True):
        with contextlib.suppress(ValueError):  # a folder of somebody else's making
            content = str(files.get(METADATA, {}).get("oid"))
            seen = replace(named(id), has_photo=PHOTO in files, problem=_problem(files))
            entries.append(replace(seen, content=content))
    return tuple(entries)


def _problem(files: Mapping[str, Mapping[str, Any]]) -> str:
    for name, most in ((PICTURE, MAX_BYTES), (METADATA, MOST_METADATA)):
        size = files.get(name, {}).get("size")
        if not isinstance(size, int):
            return f"no {name}"
        if size > most:
            return f"{name} is too large"
    return ""


class UnusableError(ValueError):
    """Metadata that nobody here has written; the message is ours."""


def write_metadata(
    names: Sequence[str], recipe: Recipe, author: str, title: str, created: datetime
) -> bytes:
    """Return one line for each picture, all with the same columns of text.

    An ImageFolder needs them: the recipe, whose inner names differ from picture to picture, is text
    too. Raises `HubError` for a recipe that would be too long to be read again.
    """
    rows = [
        {
            "file_name": name,
            "role": "result" if name == PICTURE else "photo",
            "title": title,
            "author": author,
            "created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            "recipe": recipe.to_text() if name == PICTURE else "",
        }
        for name in names
    ]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if len(data) > MOST_METADATA:
        raise HubError("This picture was changed too often on its way: its recipe is too long.")
    return data


def read_metadata(data: bytes) -> tuple[str, Recipe]:
    """Return the title and the recipe.

    Raises `UnusableError` and `RecipeError`.
    """
    try:
        rows = [json.loads(line) for line in data.decode().split("\n") if line.strip()]
    except (ValueError, RecursionError):
        raise UnusableError("the metadata are damaged") from None
    results = [row for row in rows if isinstance(row, dict) and row.get("file_name") == PICTURE]
    if len(results) != 1:
        raise UnusableError("the metadata are not about one picture")
    title, recipe = results[0].get("title"), results[0].get("recipe")
    if not isinstance(title, str) or not isinstance(recipe, str):
        raise UnusableError("the metadata are not text")
    return one_line(title, LONGEST_TITLE), parse_recipe(recipe)


def photo_bytes(photo: Image.Image) -> bytes:
    """Return the pixels of a photo, and nothing else that came in its file."""
    return jpeg_bytes(shrink(photo.convert("RGB"), PHOTO_SIDE), 90)


def thumbnail_bytes(picture: Image.Image) -> bytes:
    """Return a small JPEG of a picture."""
    return jpeg_bytes(shrink(picture, THUMBNAIL_SIDE))


def path_word(name: str) -> str:
    """Return a name as a part of a path: letters, digits, `_`, `.` and `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:64] or "somebody"
