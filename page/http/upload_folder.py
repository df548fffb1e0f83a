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
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nst.folder_locks import lock_folder, make_locked_folder

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
    folder, lock = make_locked_folder(parent, PREFIX)
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
            lock = lock_folder(folder, wait=False)
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
