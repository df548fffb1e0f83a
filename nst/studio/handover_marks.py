"""Which jobs a server left to the next one on the same folder: an empty file for each.

Whoever deletes the file has the job, so that no two servers paint it. Knows no jobs but their ids.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nst.studio.clock import now

FOLDER = "handed-over"  # in that of the jobs


class HandoverMarks:
    """The marks in a folder of jobs. Callers check ids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def offer(self, ids: Iterable[str]) -> None:
        """Leave jobs to whoever comes, the first to be painted first. Raises `OSError`."""
        moment = now()
        for place, id in enumerate(ids):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            path = self._folder / id
            path.touch(mode=0o600)
            os.utime(path, (moment, moment + place / 1000))

    def ids(self) -> list[str]:
        """Return the ids of the jobs that nobody has taken yet, in the order of their offers."""
        try:
            found = {path.name: path.lstat().st_mtime_ns for path in self._folder.iterdir()}
        except OSError:  # there are none, or one was taken just now
            return []
        return sorted(found, key=lambda id: found[id])

    def has(self, id: str) -> bool:
        """Tell whether a job is offered."""
        return (self._folder / id).exists()

    def claim(self, id: str) -> bool:
        """Take a job, and tell whether nobody else has."""
        try:
            (self._folder / id).unlink()
        except OSError:
            return False
        return True
