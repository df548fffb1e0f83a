"""Paint films on a rented machine: finished frames are kept in the shared folder as well.

So a film goes on when its machine is lost.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image
from typing_extensions import override

from nst.batch.films import FilmPainter
from nst.batch.plan import Manner
from nst.batch.shard_plan import frames_path
from nst.video.frame_store import FrameStore


class SharedFilmPainter(FilmPainter):
    """Paints films in a folder of its own.

    Args:
        shared: the folder that outlives this machine.
        own: a folder on this machine, for links, locks and what is renamed.
        manner: how they are painted.
        device: as on the command line.
    """

    def __init__(self, shared: Path, own: Path, manner: Manner, device: str) -> None:
        super().__init__(own, manner, device)
        self._shared = shared

    @override
    def _store(self, output: Path, key: str) -> FrameStore:
        return MirroredStore(output, key, self._shared / frames_path(output.stem))


class MirroredStore(FrameStore):
    """A `FrameStore` that begins with the frames in `mirror`, and has new ones there as well."""

    def __init__(self, output: Path, key: str, mirror: Path) -> None:
        super().__init__(output, key)
        self._mirror = mirror
        while picture := self._mirrored(self.count):
            super().save(self.count, picture)

    @override
    def save(self, number: int, picture: Image.Image) -> None:
        is_new = number >= self.count
        super().save(number, picture)
        if is_new:
            self._mirror.mkdir(parents=True, exist_ok=True)
            self._place(number).write_bytes(self._path(number).read_bytes())

    @override
    def delete(self) -> None:
        super().delete()
        shutil.rmtree(self._mirror, ignore_errors=True)

    def _mirrored(self, number: int) -> Image.Image | None:
        """Return a frame that was painted before, unless it was being written at the end."""
        try:
            with Image.open(self._place(number)) as picture:
                return picture.convert("RGB")
        except (OSError, SyntaxError, ValueError):
            return None

    def _place(self, number: int) -> Path:
        return self._mirror / self._path(number).name
