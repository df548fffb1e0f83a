"""Which servers share a folder of jobs: each has a locked folder in it for as long as it lives.

So a job that is live in its record, but whose server is gone, was interrupted; one whose server
lives is painted there. Knows no jobs.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from nst.folder_locks import lock_folder, make_locked_folder

FOLDER = "servers"  # in that of the jobs
NAME = re.compile(r"server-[A-Za-z0-9_]{1,32}")


class ServerPresence:
    """This process, as the others on the same folder see it.

    Raises `OSError` where the folder cannot be written to. `name` is "" where the system has no
    such locks: no server knows of another there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own, self._lock = make_locked_folder(self._folder, "server-")
        self.name = own.name
        if self._lock is None:
            own.rmdir()
            self.name = ""
        for other in list(self._folder.iterdir()):
            self.is_alive(other.name)  # what the dead left goes

    def is_alive(self, name: str) -> bool:
        """Tell whether another server of this name lives."""
        if name == self.name or not NAME.fullmatch(name):
            return False
        lock = lock_folder(self._folder / name, wait=False)
        if lock is None:
            return (self._folder / name).is_dir()
        with contextlib.suppress(OSError):
            (self._folder / name).rmdir()
        os.close(lock)
        return False

    def end(self) -> None:
        """Be gone for the others."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                (self._folder / self.name).rmdir()
            os.close(self._lock)
            self._lock = None
