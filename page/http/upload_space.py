"""Keep Gradio's temporary folder from filling the disk.

It holds uploads, previews, and what programs were given. Gradio deletes what is old, and all of it
at the end.

Knows files; nothing of what is in them. The folder has a folder for each file, and these are read
again only when they have changed.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nst.studio.clock import now

MOST = 2_000_000_000  # bytes
MOST_FILES = 20_000
YOUNG = 3600.0  # seconds; a file that may still be wanted, by somebody who has waited in the queue
LOOK_EVERY = 10.0  # seconds
LEFT_FREE = 100_000_000  # bytes of the disk, for pictures that are being painted
FILES_LEFT_FREE = 2_000  # of those that the disk has room for
SHARE = 0.25  # of all of it, for one network
ENTRY = 8_192  # bytes that a file and its folder take beside the content
UNSURE = 2.0  # seconds in which a change of a folder may go unnoticed
MOST_NETWORKS = 10_000  # remembered


@dataclass(frozen=True, order=True)
class Amount:
    """Bytes and files."""

    bytes: float = 0
    files: float = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.bytes + other.bytes, self.files + other.files)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.bytes - other.bytes, self.files - other.files)

    def fits(self, room: Amount) -> bool:
        """Tell whether there is room for this much."""
        return self.bytes <= room.bytes and self.files <= room.files


NOTHING = Amount()


@dataclass(frozen=True, order=True)
class File:
    """When a file was changed, its bytes on disk, and where it is."""

    changed: float
    bytes: int
    path: Path


class UploadSpace:
    """A folder of at most `most` bytes and `most_files` files, fewer where the disk is nearly full.

    The oldest files give way to new ones, but none younger than `young` seconds, and none of
    `spare`. A network has at most a `share` of it within `young` seconds. `deleted` is called with
    the paths of files that gave way.
    """

    def __init__(
        self,
        folder: Path,
        spare: Iterable[str] = (),
        *,
        most: int = MOST,
        most_files: int = MOST_FILES,
        young: float = YOUNG,
        look_every: float = LOOK_EVERY,
        share: float = SHARE,
        deleted: Callable[[list[str]], None] = lambda _: None,
    ) -> None:
        self.folder, self.young, self.look_every = folder, young, look_every
        self.most = Amount(most, most_files)
        self.share = Amount(share * most, share * most_files)
        self.deleted = deleted
        self.spare = {Path(path) for path in spare}
        self._lock = threading.Lock()  # of the numbers; never held while the disk is asked
        self._sweeping = threading.Lock()
        self._looked = -math.inf  # on the monotonic clock
        self._room = NOTHING  # that files may still take
        self._arriving = NOTHING  # of it, by uploads under way
        self._landed = NOTHING  # what may have come too late for the look that is under way
        self._oldest = 0.0  # seconds; the age of the next file that may give way
        self._of_networks: OrderedDict[str, deque[tuple[float, Amount]]] = OrderedDict()
        self._folders: dict[str, tuple[int, list[File]]] = {}  # when changed (ns), their files

    def wait_for(self, size: int, network: str = "") -> float:
        """Return the seconds until there may be room for so many bytes; 0 when there is.

        Reserves none.
        """
        self._look(Amount(size, 1))
        wanted = Amount(size, 1)
        with self._lock:
            if network and not (self._taken_by(network) + wanted).fits(self.share):
                return max(self._until_share(network), 1.0)
            if wanted.fits(self._room - self._arriving):
                return 0.0
            until_one_gives_way = min(max(self.young - self._oldest, 0.0), self.young)
            is_taken = not wanted.fits(self._room)  # by files; uploads are soon over
            return max(until_one_gives_way if is_taken else 0.0, self.look_every, 1.0)

    def arrive(self, size: int, files: int = 0) -> bool:
        """Reserve room for what has arrived of an upload; return False where there is none."""
        with self._lock:
            more = Amount(size + files * ENTRY, files)
            if not more.fits(self._room - self._arriving):
                return False
            self._arriving += more
            return True

    def end(self, size: int, files: int, network: str = "", *, is_kept: bool) -> None:
        """End an upload of which so much has arrived; its files are there if it `is_kept`."""
        amount = Amount(size + files * ENTRY, files)
        with self._lock:
            self._arriving -= amount
            if is_kept:
                self._room -= amount
                self._landed += amount
                if network:
                    self._of_networks.setdefault(network, deque()).append(
                        (time.monotonic(), amount)
                    )
                    self._of_networks.move_to_end(network)
                    while len(self._of_networks) > MOST_NETWORKS:
                        self._of_networks.popitem(last=False)

    def drop_halves(self) -> None:
        """Delete uploads that are not whole yet.

        On a disk that is full they will never be, and Gradio leaves them. The whole ones are in
        folders of their own.
        """
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path.is_file():
                    path.unlink(missing_ok=True)

    def _taken_by(self, network: str) -> Amount:
        """Return what a network has uploaded lately."""
        uploads = self._of_networks.get(network, deque())
        while uploads and time.monotonic() - uploads[0][0] > self.young:
            uploads.popleft()
        return sum((amount for _, amount in uploads), NOTHING)

    def _until_share(self, network: str) -> float:
        """Return the seconds until the earliest upload of a network counts no more."""
        uploads = self._of_networks.get(network)
        return uploads[0][0] + self.young - time.monotonic() if uploads else self.young

    def _look(self, wanted: Amount) -> None:
        """See how much room there is, unless somebody just has; the first look is waited for."""
        is_first = self._looked == -math.inf
        if not is_first and time.monotonic() - self._looked < self.look_every:
            return
        if not self._sweeping.acquire(blocking=is_first):
            return
        try:
            if self._looked == -math.inf or not is_first:
                self._make_room(wanted)
        finally:
            self._sweeping.release()

    def _make_room(self, wanted: Amount) -> None:
        """Delete what is in the way of what is wanted, and see how much room there is."""
        with self._lock:
            arriving, self._landed = self._arriving, NOTHING
        files = sorted(self._files())
        total = sum((Amount(file.bytes, 1) for file in files), NOTHING)
        free = self._free() - Amount(LEFT_FREE, FILES_LEFT_FREE)
        possible = total + free
        most = Amount(min(self.most.bytes, possible.bytes), min(self.most.files, possible.files))
        oldest, gone = self.young, list[str]()
        for file in files:
            if file.path in self.spare:
                continue
            oldest = now() - file.changed
            if (total + wanted + arriving).fits(most) or oldest < self.young:
                break
            with contextlib.suppress(OSError):
                file.path.unlink()
                total -= Amount(file.bytes, 1)
                gone.append(str(file.path))
        self.deleted(gone)
        with self._lock:
            self._room = most - total - self._landed
            self._oldest, self._looked = oldest, time.monotonic()

    def _files(self) -> Iterator[File]:
        """Return the files that there are; of folders that have not changed, as they were."""
        known, self._folders = self._folders, {}
        try:
            entries = list(os.scandir(self.folder))
        except OSError:
            return
        for entry in entries:
            with contextlib.suppress(OSError):  # it has just gone
                if not entry.is_dir(follow_symlinks=False):
                    yield self._file(Path(entry.path))
                    continue
                changed = entry.stat(follow_symlinks=False).st_mtime_ns
                before, files = known.get(entry.path, (0, []))
                if changed != before or not files:
                    files = [self._file(path) for path in _below(Path(entry.path))]
                    if not files:
                        _remove_if_old(entry.path, changed)
                        continue
                is_sure = now() - changed / 1e9 > UNSURE
                self._folders[entry.path] = (changed if is_sure else 0, files)
                yield from files

    def _file(self, path: Path) -> File:
        found = path.lstat()
        # A copy has the times of its original, but for the last one.
        changed = max(found.st_mtime, found.st_ctime)
        size = max(found.st_size, getattr(found, "st_blocks", 0) * 512)
        return File(changed, size + ENTRY, path)

    def _free(self) -> Amount:
        """Return what the disk has room for.

        Where there is no folder yet, it is any number of bytes.
        """
        try:
            space = shutil.disk_usage(self.folder).free
        except OSError:
            return Amount(math.inf, math.inf)
        files = os.statvfs(self.folder) if hasattr(os, "statvfs") else None
        return Amount(space, files.f_favail if files and files.f_files else math.inf)


def _below(folder: Path) -> Iterator[Path]:
    """Return the files in a folder and in all folders in it."""
    for path in folder.rglob("*"):
        if not path.is_dir():
            yield path


def _remove_if_old(folder: str, changed: int) -> None:
    """Remove an empty folder, unless a file may just be on its way into it."""
    if now() - changed / 1e9 > 60:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
