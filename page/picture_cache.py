"""Keep the pictures that were opened last, so that one upload is decoded once.

From the first look at an upload to Stylize five handlers open it, and again with every changed
slider. A picture is known by the hash of its file, whatever its path. Must not know who opens it,
or how.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from PIL import Image

from nst.caches import LRUCache
from nst.errors import ImageError
from nst.images.reading import load_image
from nst.studio.job import picture_bytes
from nst.studio.limits import Limits

CHUNK = 1 << 20  # bytes

Load = Callable[[str], Image.Image]


class PictureCache:
    """The RGB pictures that were used last, up to `most` bytes; safe to share between threads.

    Nobody may change a picture from here: jobs and handlers share it, so while a job holds it too,
    it takes no memory of its own.
    """

    def __init__(self, load: Load = load_image, most: int = Limits.opened) -> None:
        self.load, self.most = load, most
        self._kept: LRUCache[str, Image.Image] = LRUCache(most, picture_bytes)  # by files' hashes
        self._opening: dict[str, Future[Image.Image]] = {}
        self._lock = threading.Lock()

    def open(self, path: str) -> Image.Image:
        """Return the picture in a file.

        Who asks while it is being opened waits for the same one. Raises `ImageError`.
        """
        key = hash_of_file(path)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                return kept
            opening = self._opening.get(key)
            is_first = opening is None
            opening = opening or self._opening.setdefault(key, Future())
        if is_first:
            self._open(key, path, opening)
        try:
            return opening.result()
        except ImageError as error:
            raise ImageError(str(error)) from None  # of one's own: several threads may raise it

    def _open(self, key: str, path: str, opening: Future[Image.Image]) -> None:
        """Open a picture and tell everybody who waits for it."""
        try:
            image = self.load(path)
        except BaseException as error:
            with self._lock:
                del self._opening[key]
            opening.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        with self._lock:
            del self._opening[key]
            self._kept.keep(key, image)
        opening.set_result(image)


def hash_of_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, read a piece at a time. Raises `ImageError`."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
    except OSError as error:
        raise ImageError(f"The picture cannot be read: {error.strerror or error}.") from None
    return digest.hexdigest()
