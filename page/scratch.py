"""Gradio's temporary folder: uploads, previews, and what programs were given. Gradio deletes what
is old, and all of it at the end; this keeps it from filling the disk until then.

Knows files; nothing of what is in them.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from nst.clock import now

MOST = 2_000_000_000  # bytes
YOUNG = 3600.0  # seconds; a file that may still be wanted, by somebody who has waited in line
LOOK_EVERY = 10.0  # seconds
LEFT_FREE = 100_000_000  # bytes of the disk, for pictures that are being painted


class Scratch:
    """A folder of at most `most` bytes, and fewer where the disk is nearly full. The oldest files
    give way to new ones, but none younger than `young` seconds, and none of `spare`."""

    def __init__(
        self,
        folder: Path,
        spare: Iterable[str] = (),
        *,
        most: int = MOST,
        young: float = YOUNG,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self.folder, self.most, self.young, self.look_every = folder, most, young, look_every
        self.spare = {Path(path) for path in spare}
        self._lock = threading.Lock()
        self._looked = -math.inf  # on the monotonic clock
        self._room = 0.0  # bytes that files may still take
        self._promised = 0  # bytes of it, to uploads under way
        self._oldest = 0.0  # seconds; the age of the next file that may give way

    def wait_for(self, size: int) -> float:
        """Seconds until there may be room for so many bytes; 0 when there is, and it is taken until
        `used` is told."""
        with self._lock:
            if time.monotonic() - self._looked >= self.look_every:
                self._make_room(size)
                self._looked = time.monotonic()
            if size <= self._room - self._promised:
                self._promised += size
                return 0.0
            until_one_gives_way = min(max(self.young - self._oldest, 0.0), self.young)
            is_taken = size > self._room  # by files; promises are soon kept
            return max(until_one_gives_way if is_taken else 0.0, self.look_every, 1.0)

    def used(self, size: int, *, of: int) -> None:
        """So many bytes came of those for which there was room."""
        with self._lock:
            self._promised -= of
            self._room -= size

    def drop_halves(self) -> None:
        """Delete uploads that are not whole yet: on a disk that is full they will never be, and
        Gradio leaves them. The whole ones are in folders of their own."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path.is_file():
                    path.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Delete what is in the way of so many bytes, and see how much room there is."""
        files = sorted(self._files())
        total = sum(bytes for _, bytes, _ in files)
        most = min(self.most, total + self._free() - LEFT_FREE)
        self._oldest = self.young
        for changed, bytes, path in files:
            if path in self.spare:
                continue
            self._oldest = now() - changed
            if total + size <= most or self._oldest < self.young:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= bytes
        self._room = most - total

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each was changed, its bytes, and where it is."""
        for path in self.folder.rglob("*"):
            with contextlib.suppress(OSError):  # it has just gone
                if path.is_file():
                    found = path.stat()
                    # A copy has the times of its original, but for the last one.
                    yield max(found.st_mtime, found.st_ctime), found.st_size, path

    def _free(self) -> float:
        """Bytes of the disk; where there is no folder yet, any number of them."""
        try:
            return shutil.disk_usage(self.folder).free
        except OSError:
            return math.inf
