"""The cache folder, and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder `nst` among the user's caches, as the system has it; it need not exist."""
    return Path(platformdirs.user_cache_path("nst", appauthor=False))


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary file that takes its place at `path` when the block has ended well.

    It is in the same folder, and deleted when the block fails. A link at `path` stays, and the file
    that it names is replaced. An existing file's mode stays.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".nst-{secrets.token_hex(4)}")  # short: names have a limit
    try:
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_through(path: Path, data: bytes) -> None:
    """Write a file that is on the disk when this returns."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
