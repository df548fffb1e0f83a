"""The manifest of an output folder: one JSON object a line, only ever appended to.

The first line is `{"nst_batch": 1}`. Each further one is about one output file:

    status     "writing" just before a file takes its place, "done" when it has; "failed"
    output     the file's name in this folder
    key        hash of all that decides the picture (`nst.batch.plan.Manner.key`)
    photo      {"path", "sha256" of the file's bytes}
    painting   the same
    sha256     of the output's bytes, which tells whether a file is still what was written
    settings   every setting by name; `depth`, `keep_alpha`, `controls` (hashes) beside them, of a
               film `film` with its settings, the most frames per second, and whether it has sound
    width, height, iterations, costs {"J", "content", "style", "smoothness"}, seconds
    error      of what failed: one sentence
    culprit    "photo" or "painting" where that file is to blame
    time       when the line was written, UTC

The last line about a file holds. A line that was cut off by the end of its process is passed over.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from nst.errors import OutputError

NAME = "manifest.jsonl"
HEADER = {"nst_batch": 1}
WRITTEN = ("writing", "done")

Record = dict[str, Any]


class Manifest:
    """The manifest of a folder, held by one process at a time where the system has locks.

    Raises `OutputError` for a file of that name that is no manifest, one that another batch holds,
    and one that cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._written: defaultdict[str, dict[str, Record]] = defaultdict(dict)
        self._outputs: defaultdict[str, list[str]] = defaultdict(list)
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise self._error(error) from None
        try:
            self._lock()
            self._read()
        except OSError as error:
            self.close()
            raise self._error(error) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def append(self, record: Record) -> None:
        """Add a line, which is on the disk when this returns. Raises `OutputError`."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        try:
            _write(self._descriptor, _line({**record, "time": now}))
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._error(error) from None
        self._take(record)

    def written(self, output: str, sha256: str) -> Record | None:
        """Return the record of a file with this name and these bytes, if a batch wrote it."""
        return self._written[output].get(sha256)

    def outputs_of(self, key: str) -> list[tuple[str, str]]:
        """Return name and SHA-256 of every file that was written under a key, latest first."""
        return [
            (output, sha256)
            for output in reversed(self._outputs[key])
            for sha256, record in self._written[output].items()
            if record["key"] == key
        ]

    def _lock(self) -> None:
        """Hold the file until the process ends, however it ends."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another batch is writing to {str(self.path.parent)!r}; wait for it, or choose"
                " another folder"
            ) from None
        except OSError:  # a file system without locks
            return

    def _read(self) -> None:
        data = self.path.read_bytes()
        if _line(HEADER).startswith(data):  # new, or its header was cut off
            _write(self._descriptor, _line(HEADER)[len(data) :])
            return
        first, *lines = data.split(b"\n")
        header = _parsed(first)
        if header != HEADER:
            raise OutputError(
                f"{str(self.path)!r} was not written by a batch; move it, or choose another folder"
            )
        if not data.endswith(b"\n"):  # the last line was cut off
            _write(self._descriptor, b"\n")
        for line in lines:
            self._take(_parsed(line))

    def _take(self, record: Record) -> None:
        if record.get("status") not in WRITTEN:
            return
        names = [record.get(name) for name in ("output", "key", "sha256")]
        if all(isinstance(name, str) for name in names):
            output, key, sha256 = map(str, names)
            self._written[output][sha256] = record
            if output not in self._outputs[key]:
                self._outputs[key].append(output)

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"{str(self.path)!r} cannot be written: {error.strerror or error}")


_CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def _line(record: Record) -> bytes:
    """Return a line of ASCII: file names that are no UTF-8 survive as escapes."""
    return json.dumps(record).encode("ascii") + b"\n"


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _parsed(line: bytes) -> Record:
    """Return the object on a line; an empty one for anything else."""
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(line)
        if isinstance(record, dict):
            return record
    return {}
