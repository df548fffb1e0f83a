"""A job's folder as a whole: its age, its size, and its end."""

from __future__ import annotations

import contextlib
import shutil
import stat
from pathlib import Path

from nst.studio.deletion_marks import DELETED


def changed(home: Path) -> float:
    """Return when a job was saved last, in seconds since 1970, or begun to be."""
    for path in (home / "job.json", home / "batch.json", home):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def size(home: Path) -> int:
    """Return the bytes on disk of a job's files, but for those that are just going."""
    total = 0
    for path in home.rglob("*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


def delete_folder(home: Path) -> None:
    """Delete a job's folder as far as the disk lets us, the mark of its deletion last.

    So nothing that a crash leaves of a deleted job is found again.
    """
    if home.is_symlink():
        return
    with contextlib.suppress(OSError):
        for path in _unmarked(home):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        if not _unmarked(home):
            shutil.rmtree(home, ignore_errors=True)


def _unmarked(home: Path) -> list[Path]:
    return [path for path in home.iterdir() if path.name != DELETED]
