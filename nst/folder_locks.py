"""Folders that a process locks (`flock`) for as long as it lives.

The system takes the lock back however the process ends, so a folder that nobody has locked belongs
to nobody any more. Where there are no such locks (Windows) nothing is ever locked.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

if sys.platform != "win32":
    import fcntl


def make_locked_folder(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """Make a new folder in `parent` and return it with the descriptor of the lock on it.

    The name begins with `prefix`. None where the system has no such locks.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = lock_folder(folder, wait=True)
        # Another process, looking just now, may have taken it for abandoned before it was locked.
        if lock is not None or folder.is_dir():
            return folder, lock


def hold_folder(folder: Path) -> int | None:
    """Make a folder if it is missing, and return the descriptor of the lock on it.

    None where the system, or the file system, has no such locks.

    Raises `BlockingIOError` where somebody holds it, and `OSError` where it cannot be made or read.
    """
    while True:
        folder.mkdir(exist_ok=True)
        if sys.platform == "win32":
            return None
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # whoever held it has just deleted it
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
        except FileNotFoundError:  # as above
            pass
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:  # a file system without locks
            os.close(descriptor)
            return None
        os.close(descriptor)


def lock_folder(folder: Path, *, wait: bool) -> int | None:
    """Return the descriptor of an own folder that is locked from now on.

    None where another process has locked it, or it is gone, somebody else's, or no folder.
    """
    if sys.platform == "win32":  # which has no such locks
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        locked, there = os.fstat(descriptor), folder.lstat()
        is_same = (locked.st_dev, locked.st_ino) == (there.st_dev, there.st_ino)
        if is_same and stat.S_ISDIR(there.st_mode) and there.st_uid == os.getuid():
            return descriptor
    except OSError:
        pass  # locked by a living process, or gone
    os.close(descriptor)
    return None
