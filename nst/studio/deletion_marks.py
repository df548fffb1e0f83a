"""When jobs were deleted: in memory, and marked in their folders so that a restart knows it too.

Must not know what a job is: callers check ids, and hold a job's lock while they write.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from nst.studio.clock import now

log = logging.getLogger(__name__)

DELETED = "deleted"  # an empty file, which a full disk takes too; its mtime is the moment


class DeletionMarks:
    """The moments, in seconds since 1970, at which jobs in `folder` were deleted.

    Without a folder they are in memory alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._moments: dict[str, float] = {}  # of this process; each access is atomic

    def moment_of(self, id: str) -> float | None:
        """Return when a job was deleted; None for one that is not."""
        known = self._moments.get(id)
        return known if known is not None else self._read(id)

    def is_noted(self, id: str) -> bool:
        """Tell whether this process has deleted a job; it asks no disk."""
        return id in self._moments

    def note(self, id: str) -> None:
        """Note in memory that a job is deleted now, unless it is already."""
        self._moments.setdefault(id, now())

    def write(self, id: str) -> None:
        """Mark a job's folder, which is made where there is none; a disk that refuses is logged."""
        moment = self._moments.setdefault(id, now())
        if self._folder is None:
            return
        path = self._file(self._folder, id)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.touch(mode=0o600)
            os.utime(path, (moment, moment))
        except OSError as error:
            log.warning("a deletion could not be marked on disk: %s", error.strerror)

    def remove(self, id: str) -> bool:
        """Take the mark away, and tell whether the disk let us."""
        if self._folder is not None and self._read(id) is not None:
            try:
                self._file(self._folder, id).unlink()
            except OSError as error:
                log.warning("a deleted job could not be restored: %s", error.strerror)
                return False
        self.forget(id)
        return True

    def forget(self, id: str) -> None:
        """Forget a job whose folder is gone."""
        self._moments.pop(id, None)

    def older_than(self, seconds: float) -> list[tuple[str, float]]:
        """Return the ids and moments of the jobs that this process deleted so long ago."""
        known = self._moments.copy()
        return [(id, moment) for id, moment in known.items() if now() - moment > seconds]

    def latest_of(self, owner: str) -> str:
        """Return the id of an owner's job that this process deleted last, or ""."""
        own = [(moment, id) for id, moment in self._moments.copy().items() if id.startswith(owner)]
        return max(own, default=(0.0, ""))[1]

    @property
    def first(self) -> float | None:
        """Return the first of the moments known in this process."""
        return min(self._moments.copy().values(), default=None)

    def _read(self, id: str) -> float | None:
        """Return the moment that the mark in a job's folder has."""
        if self._folder is None:
            return None
        try:
            return self._file(self._folder, id).lstat().st_mtime
        except OSError:
            return None

    @staticmethod
    def _file(folder: Path, id: str) -> Path:
        return folder / id / DELETED
