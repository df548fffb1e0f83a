"""Make the folder for uploads and previews, and delete it at the end.

Folders of servers that were killed are deleted at the next start.

A server holds a lock (`flock`) on its folder for as long as it lives, which the system takes back
however it ends; so a folder that nobody has locked belongs to nobody any more. Must not know what
is in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

PREFIX = "nst-uploads-"
PATIENCE = 10.0  # seconds for what still writes when the server ends
PAUSE = 0.05  # seconds between two tries


@contextlib.contextmanager
def upload_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that is gone after the block.

    It is in `parent` (the system's for temporary files); those of this user that dead servers left
    are deleted first.
    """
    parent = parent or Path(tempfile.gettempdir())
    delete_abandoned(parent)
    folder, lock = _make(parent)
    try:
        yield folder
    finally:
        delete(folder)
        if lock is not None:
            os.close(lock)


def delete_abandoned(parent: Path) -> None:
    """Delete the folders in `parent` whose servers are dead.

    Other users' are left alone, and so are links.
    """
    with contextlib.suppress(OSError):
        for folder in sorted(parent.glob(f"{PREFIX}*")):
            lock = _lock(folder, wait=False)
            if lock is None:
                continue
            try:
                shutil.rmtree(folder, ignore_errors=True)
                log.info("deleted the uploads that an earlier server left")
            finally:
                os.close(lock)


def delete(folder: Path, patience: float = PATIENCE) -> None:
    """Delete a folder into which something may still be written, by threads that are just ending.

    What is left after so many seconds is deleted at the next start.
    """
    end = time.monotonic() + patience
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > end:
            log.warning("some uploads could not be deleted; the next start tries again")
            return
        if folder.exists():
            time.sleep(PAUSE)


def _make(parent: Path) -> tuple[Path, int | None]:
    """Make a new folder and return the lock on it; None where the system has no such locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = _lock(folder, wait=True)
        # Another server, starting just now, may have taken it for abandoned before it was locked.
        if lock is not None or folder.is_dir():
            return folder, lock


def _lock(folder: Path, *, wait: bool) -> int | None:
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
        pass  # locked by a living server, or gone
    os.close(descriptor)
    return None
