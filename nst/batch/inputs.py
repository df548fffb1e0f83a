"""The files that a batch reads: found in folders, told apart by the hashes of their bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst.errors import ImageError
from nst.images.reading import MAX_BYTES

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),
)
"""The endings of the files that are taken from a folder, in lower case."""
CLIP_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"),
)
"""The endings of clips. A GIF is a picture here: its first frame."""
CHUNK = 1 << 20  # bytes
CHANGED = "It was changed while the batch ran; start the batch again."


@dataclass(frozen=True)
class InputFile:
    """A file to read: its path, and the SHA-256 of its bytes or why it cannot be used."""

    path: Path
    sha256: str = ""
    problem: str = ""  # one sentence

    @property
    def is_clip(self) -> bool:
        """Tell whether it is a clip by its name, and not a picture."""
        return is_clip(self.path)

    @staticmethod
    def of(path: Path) -> InputFile:
        """Return the file as it is now."""
        try:
            if not is_clip(path) and path.stat().st_size > MAX_BYTES:
                problem = f"The file is larger than {MAX_BYTES // 1_000_000} MB."
                return InputFile(path, problem=problem)
            return InputFile(path, sha256_of_file(path))
        except OSError as error:
            return InputFile(path, problem=f"It cannot be read: {error.strerror or error}.")

    def read(self) -> bytes:
        """Return the bytes that have the hash. Raises `ImageError`."""
        if self.problem:
            raise ImageError(self.problem)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ImageError(f"It cannot be read: {error.strerror or error}.") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ImageError(CHANGED)
        return data

    def checked_path(self) -> Path:
        """Return the path of bytes that have the hash, however many. Raises `ImageError`."""
        now = InputFile.of(self.path)
        if now.problem or now.sha256 != self.sha256:
            raise ImageError(now.problem or CHANGED)
        return self.path


def is_clip(path: Path) -> bool:
    """Tell whether a file is a clip by its name."""
    return path.suffix.lower() in CLIP_SUFFIXES


def find_pictures(paths: Sequence[str], *, clips: bool = False) -> list[Path]:
    """Return the files named, and the pictures in the folders named, each once; `clips` as well.

    Files keep the order in which they are given; those of a folder are sorted by name, hidden ones
    and those in its own folders left out. Raises `ImageError` for what is not there, and for a
    folder without any.
    """
    suffixes = (*SUFFIXES, *CLIP_SUFFIXES) if clips else SUFFIXES
    found = dict[Path, None]()
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found.update(dict.fromkeys(_files_in(path, suffixes)))
        elif path.exists():
            found[path] = None
        else:
            raise ImageError(f"there is no file or folder {name!r}")
    return list(found)


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal. Raises `OSError`."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hashed(paths: Iterable[Path]) -> dict[Path, InputFile]:
    """Return each file with its hash; a file that cannot be read has a problem instead."""
    return {path: InputFile.of(path) for path in dict.fromkeys(paths)}


def _files_in(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise ImageError(
            f"the folder {str(folder)!r} cannot be read: {error.strerror or error}"
        ) from None
    pictures = [
        path
        for path in entries
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
    if not pictures:
        raise ImageError(f"there are no pictures in the folder {str(folder)!r}")
    return pictures
