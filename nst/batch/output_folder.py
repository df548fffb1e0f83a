"""The folder that a batch writes to: what is there already, and how a picture takes its place."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nst.batch.inputs import sha256_of_file
from nst.batch.manifest import NAME, Manifest
from nst.batch.messages import Painted
from nst.batch.plan import Item, Manner
from nst.errors import OutputError
from nst.files import whole_file, write_through
from nst.outputs import check_output

OCCUPIED = (
    "A file of this name is there that no batch has written, or that was changed since; move it, or"
    " choose another folder."
)


class OccupiedError(OutputError):
    """A file that no batch has written is where a picture would be."""


class OutputFolder:
    """A folder with a manifest, held by one batch at a time.

    It is made if only its parent is there. Raises `OutputError`, one sentence, where nothing can be
    written to it.

    Args:
        path: the folder.
        sources: the files and folders that the batch reads; the folder must not be one of them.
    """

    def __init__(self, path: Path, sources: Iterable[str]) -> None:
        self.path = path
        for source in sources:
            with contextlib.suppress(OSError):  # a missing source is told of when it is read
                if path.samefile(source):
                    raise OutputError(
                        f"the output folder {str(path)!r} is one of the inputs; choose another"
                    )
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder {str(path)!r} cannot be made: {error.strerror or error}"
            ) from None
        check_output(path / NAME, [Path(NAME).suffix])
        self.manifest = Manifest(path)

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.manifest.close()

    def holds(self, item: Item) -> bool:
        """Tell whether a picture is there, whole and of the same inputs and settings.

        One that was written under another name is copied. Raises `OccupiedError` where a file that
        no batch has written is in its place, and `OutputError` where nothing can be written.
        """
        if self._key_of(item.output) == item.key:
            return True
        for other, sha256 in self.manifest.outputs_of(item.key):
            data = self._bytes_of(other, sha256)
            if data is not None:
                record = dict(self.manifest.written(other, sha256) or {})
                self._write(item, data, {**record, **_identity(item)})
                return True
        return False

    def store(self, item: Item, painted: Painted, manner: Manner) -> None:
        """Write a finished picture, whole or not at all, and its line in the manifest.

        Raises as `holds` does.
        """
        record = {
            **_identity(item),
            **_manner(item, manner),
            "width": painted.width,
            "height": painted.height,
            "iterations": painted.iterations,
            "costs": painted.costs,
            "seconds": round(painted.seconds, 3),
        }
        if painted.file is None:
            self._write(item, painted.data, record)
        else:
            self._adopt(item, painted.file, record)

    def note_failure(self, item: Item, manner: Manner, reason: str, culprit: str = "") -> None:
        """Add a line about a picture that could not be painted. Raises `OutputError`."""
        record = {"status": "failed", **_identity(item), **_manner(item, manner), "error": reason}
        self.manifest.append({**record, **({"culprit": culprit} if culprit else {})})

    def _write(self, item: Item, data: bytes, record: dict[str, Any]) -> None:
        facts = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        self._place(item, lambda temporary: write_through(temporary, data), {**record, **facts})

    def _adopt(self, item: Item, file: Path, record: dict[str, Any]) -> None:
        """Move a file from the same file system to the place of an item."""
        facts = {"sha256": sha256_of_file(file), "bytes": file.stat().st_size}

        def move(temporary: Path) -> None:
            with file.open("rb") as written:
                os.fsync(written.fileno())
            file.replace(temporary)

        self._place(item, move, {**record, **facts})

    def _place(self, item: Item, fill: Callable[[Path], None], record: dict[str, Any]) -> None:
        """Have a file filled and take its place, between two lines of the manifest.

        The first line says whose the file is, should the process end before the second.
        """
        self._key_of(item.output)  # raises for a file that is not ours
        path = self.path / item.output
        try:
            with whole_file(path) as temporary:
                fill(temporary)
                self.manifest.append({**record, "status": "writing"})
        except OSError as error:
            raise OutputError(
                f"{str(path)!r} cannot be written: {error.strerror or error}"
            ) from None
        self.manifest.append({**record, "status": "done"})

    def _key_of(self, output: str) -> str | None:
        """Return the key of the picture in a file; None where there is no file.

        Raises `OccupiedError` for a file that no batch has written.
        """
        path = self.path / output
        if not os.path.lexists(path):
            return None
        record = None
        with contextlib.suppress(OSError):  # a folder, a link to nowhere
            record = self.manifest.written(output, sha256_of_file(path))
        if record is None:
            raise OccupiedError(OCCUPIED)
        return str(record["key"])

    def _bytes_of(self, output: str, sha256: str) -> bytes | None:
        """Return the bytes of a file, if they still have this hash."""
        with contextlib.suppress(OSError):
            data = (self.path / output).read_bytes()
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        return None


def _identity(item: Item) -> dict[str, Any]:
    return {
        "output": item.output,
        "key": item.key,
        "photo": {"path": str(item.photo.path), "sha256": item.photo.sha256},
        "painting": {"path": str(item.painting.path), "sha256": item.painting.sha256},
    }


def _manner(item: Item, manner: Manner) -> dict[str, Any]:
    if item.is_film:
        return {"settings": manner.settings.to_json(), "film": manner.film.to_json()}
    controls = manner.controls.hashes()
    return {
        "settings": manner.settings.to_json(),
        "depth": manner.format.depth,
        "keep_alpha": manner.format.keep_alpha,
        **({"controls": controls} if controls else {}),
    }
