"""The frames of a film that are painted already, as files beside it until it is written.

A film that was stopped or killed goes on from them. They are PNGs, which lose nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nst.errors import OutputError
from nst.files import whole_file, write_through
from nst.folder_locks import hold_folder
from nst.images.writing import hash_of, png_bytes
from nst.provenance import engine_version
from nst.video.clips import Clip

KEY = "film.json"
DIGITS = 6


def store_folder(output: Path) -> Path:
    """Return where the frames of the film at `output` are until it is written."""
    return output.parent / f".{output.name}.frames"


class FrameStore:
    """A folder beside `output` with the finished frames of one film, by their numbers from 0.

    `key` says what the film is made of; frames of another one are deleted. One process at a time
    holds the folder, until `close` or the end of a `with` block.

    Raises `OutputError` where another film is being painted to that output, and where the folder
    cannot be made.
    """

    def __init__(self, output: Path, key: str) -> None:
        self.folder = store_folder(output)
        try:
            self._lock = hold_folder(self.folder)
        except BlockingIOError:
            raise OutputError(
                f"another film is being painted to {str(output)!r}; wait for it, or choose another"
                " name"
            ) from None
        except OSError as error:
            raise OutputError(
                f"the folder {str(self.folder)!r} cannot be made: {error.strerror or error}"
            ) from None
        if not self._has(key):
            self._empty()
            with whole_file(self.folder / KEY) as temporary:
                write_through(temporary, key.encode())
        self.count = 0
        while self._path(self.count).exists():
            self.count += 1
        while self.count and not self._is_readable(self.count - 1):  # the machine broke down
            self.count -= 1

    def __enter__(self) -> FrameStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have the folder."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    def load(self, number: int) -> Image.Image | None:
        """Return a frame, RGB, if it was painted."""
        if number >= self.count:
            return None
        with Image.open(self._path(number)) as picture:
            return picture.convert("RGB")

    def save(self, number: int, picture: Image.Image) -> None:
        """Store a frame, unless it is there already; it is whole and on the disk, or not there."""
        if number < self.count:
            return
        with whole_file(self._path(number)) as temporary:
            write_through(temporary, png_bytes(picture))
        self.count = number + 1

    @property
    def painted(self) -> int:
        """Return the number of frames that are there."""
        return sum(1 for _ in self.folder.glob(f"{'[0-9]' * DIGITS}.png"))

    def delete(self) -> None:
        """Delete all frames, and the folder unless it holds something else."""
        self._empty()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _empty(self) -> None:
        """Delete what a store writes, and nothing else."""
        for pattern in (f"{'[0-9]' * DIGITS}.png", ".nst-*", KEY):
            for path in self.folder.glob(pattern):
                path.unlink()

    def _has(self, key: str) -> bool:
        try:
            return (self.folder / KEY).read_text() == key
        except OSError:
            return False

    def _is_readable(self, number: int) -> bool:
        try:
            self.load(number)
        except (OSError, SyntaxError, ValueError):  # what Pillow has for damaged PNGs
            return False
        return True

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:0{DIGITS}}.png"


def film_key(clip: Clip, styles: Sequence[Image.Image], settings: Sequence[Any]) -> str:
    """Return what a film is made of as JSON: hashes of clip and paintings, settings, the engine."""
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
        "engine": engine_version(),
    }
    return json.dumps(made_of, sort_keys=True)
