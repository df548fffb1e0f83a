"""Checks of an output path before the work begins: what would fail at the end, fails at once."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst.errors import OutputError


@dataclass(frozen=True)
class Format:
    """What a kind of file can hold."""

    depths: tuple[int, ...]  # bits per channel
    has_alpha: bool


FORMATS = {
    ".png": Format((8, 16), has_alpha=True),
    ".tif": Format((8, 16), has_alpha=True),
    ".tiff": Format((8, 16), has_alpha=True),
    ".webp": Format((8,), has_alpha=True),
    ".jpg": Format((8,), has_alpha=False),
    ".jpeg": Format((8,), has_alpha=False),
}
"""The pictures that can be written, by their endings."""

DISK_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def check_output(
    path: str | os.PathLike[str],
    suffixes: Iterable[str],
    sources: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Raise `OutputError`, one sentence, unless `whole_file` can write there.

    Args:
        path: the file to write, which need not exist. A link is followed: the file that it names
            is replaced, and the link stays.
        suffixes: the endings that are allowed, such as ".png", in lower case.
        sources: files that are read and must not be overwritten, also under another name.
    """
    output, name = Path(path), os.fspath(path)
    suffixes = tuple(suffixes)
    if output.suffix.lower() not in suffixes:
        raise OutputError(f"the output must be a {_one_of(suffixes)} file, not {output.name!r}")
    target = Path(os.path.realpath(output))
    if not target.parent.is_dir():
        raise OutputError(f"there is no folder {str(output.parent)!r} to write to")
    for source in sources:
        with contextlib.suppress(OSError):  # a missing source is told of when it is read
            if target.samefile(source):
                raise OutputError(
                    f"the output {name!r} is the same file as the input {str(source)!r};"
                    " choose another name"
                )
    try:
        _check_existing(target)
        with tempfile.TemporaryFile(dir=target.parent, prefix=".nst-"):
            pass  # the one sure way to know, whatever permissions say
    except OSError as error:
        raise OutputError(f"{name!r} cannot be written: {error.strerror}") from None


def check_format(path: str | os.PathLike[str], depth: int, *, keep_alpha: bool) -> None:
    """Raise `OutputError` where files of that ending cannot hold what is asked for.

    Args:
        path: the file to write, with one of the endings in `FORMATS`.
        depth: bits per channel.
        keep_alpha: whether transparency is to be kept.
    """
    output = Path(path)
    format = FORMATS[output.suffix.lower()]
    if depth not in format.depths:
        able = [suffix for suffix, each in FORMATS.items() if depth in each.depths]
        raise OutputError(
            f"{depth} bits per channel need a {_one_of(able)} file, not {output.name!r}"
        )
    if keep_alpha and not format.has_alpha:
        able = [suffix for suffix, each in FORMATS.items() if each.has_alpha]
        raise OutputError(f"transparency needs a {_one_of(able)} file, not {output.name!r}")


def check_space(path: str | os.PathLike[str], size: int) -> None:
    """Raise `OutputError` where `size` bytes have no room beside `path`.

    The reason may be the disk, a quota or a limit on the size of files.
    """
    folder = Path(os.path.realpath(path)).parent
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".nst-") as probe:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(probe.fileno(), 0, max(1, size))
            else:
                probe.truncate(size)
    except OSError as error:
        if error.errno not in DISK_FULL:  # a file system that cannot reserve
            return
        raise OutputError(
            f"{str(path)!r} cannot be written: up to {size / 1e6:.1f} MB are needed,"
            f" but: {error.strerror}"
        ) from None


def _one_of(suffixes: Sequence[str]) -> str:
    """Return endings as a sentence lists them."""
    *others, last = suffixes
    return f"{', '.join(others)} or {last}" if others else last


def _check_existing(target: Path) -> None:
    """Raise `OSError` for what cannot be replaced by a file.

    That is a folder, a device, a pipe, a file that may not be written, a name that is too long.
    """
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(None, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(None, "it is not an ordinary file")
    if not os.access(target, os.W_OK):
        raise PermissionError(None, "the file is write-protected")
