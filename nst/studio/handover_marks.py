"""Which tasks a server left to the next one on the same folder: a file for each, with its settings.

Whoever deletes the file has the task, so that no two servers paint it. Knows only the ids of tasks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from nst.errors import SettingsError
from nst.files import whole_file
from nst.settings import TransferSettings
from nst.studio.clock import now

FOLDER = "handed-over"  # in that of the jobs


class HandoverMarks:
    """The marks in a folder of jobs. Callers check ids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def offer(self, tasks: Mapping[str, TransferSettings]) -> None:
        """Leave tasks to whoever comes, the first to be painted first, with what is wanted of each.

        Raises `OSError`.
        """
        moment = now()
        for place, (id, settings) in enumerate(tasks.items()):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with whole_file(self._folder / id) as temporary:
                temporary.write_text(json.dumps(settings.to_json()), encoding="ascii")
                os.utime(temporary, (moment, moment + place / 1000))

    def ids(self) -> list[str]:
        """Return the ids of the tasks that nobody has taken yet, in the order of their offers."""
        try:
            found = {path.name: path.lstat().st_mtime_ns for path in self._folder.iterdir()}
        except OSError:  # there are none, or one was taken just now
            return []
        return sorted(found, key=lambda id: found[id])

    def has(self, id: str) -> bool:
        """Tell whether a task is offered."""
        return (self._folder / id).exists()

    def wanted(self, id: str) -> TransferSettings | None:
        """Return what is wanted of a task; None where that cannot be read."""
        try:
            return TransferSettings.from_json(json.loads((self._folder / id).read_bytes()))
        except (OSError, ValueError, RecursionError, SettingsError):
            return None

    def claim(self, id: str) -> bool:
        """Take a task, and tell whether nobody else has."""
        try:
            (self._folder / id).unlink()
        except OSError:
            return False
        return True
