"""The frames of a film that are painted already, as files beside it until it is written.

A film that was stopped or killed goes on from them. They are PNGs, which lose nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nst.files import whole_file
from nst.images.writing import hash_of, png_bytes
from nst.video.clips import Clip

KEY = "film.json"
DIGITS = 6


def store_folder(output: Path) -> Path:
    """Return where the frames of the film at `output` are until it is written."""
    return output.parent / f".{output.name}.frames"


class FrameStore:
    """A folder beside `output` with the finished frames of one film, by their numbers from 0.

    `key` says what the film is made of; frames of another one are deleted.
    """

    def __init__(self, output: Path, key: str) -> None:
        self.folder = store_folder(output)
        if not self._has(key):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            (self.folder / KEY).write_text(key)
        self.count = 0
        while self._path(self.count).exists():
            self.count += 1

    def load(self, number: int) -> Image.Image | None:
        """Return a frame, RGB, if it was painted."""
        if number >= self.count:
            return None
        with Image.open(self._path(number)) as picture:
            return picture.convert("RGB")

    def save(self, number: int, picture: Image.Image) -> None:
        """Store a frame, unless it is there already; the file is whole, or not there."""
        if number < self.count:
            return
        with whole_file(self._path(number)) as temporary:
            temporary.write_bytes(png_bytes(picture))
        self.count = number + 1

    def delete(self) -> None:
        """Delete all frames."""
        shutil.rmtree(self.folder)

    def _has(self, key: str) -> bool:
        try:
            return (self.folder / KEY).read_text() == key
        except OSError:
            return False

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:0{DIGITS}}.png"


def film_key(clip: Clip, styles: Sequence[Image.Image], settings: Sequence[Any]) -> str:
    """Return what a film is made of as JSON: hashes of its clip and paintings, and its settings."""
    with open(clip.path, "rb") as file:
        digest = hashlib.sha256()
        while part := file.read(1 << 20):
            digest.update(part)
    made_of = {
        "clip": digest.hexdigest(),
        "size": clip.size,
        "rate": clip.rate,
        "styles": [hash_of(style) for style in styles],
        "settings": list(settings),
    }
    return json.dumps(made_of, sort_keys=True)
