"""The finished frames of a film whose scenes are painted at the same time, in any order."""

from __future__ import annotations

from PIL import Image
from typing_extensions import override

from nst.files import whole_file, write_through
from nst.images.writing import png_bytes
from nst.video.frame_store import FrameStore


class SceneStore(FrameStore):
    """A `FrameStore` that takes frames in any order; `count` are those without a gap.

    A film that was begun with one kind of store goes on with the other.
    """

    @override
    def load(self, number: int) -> Image.Image | None:
        """Return a frame, RGB, if it was painted."""
        path = self._path(number)
        if not path.exists():
            return None
        if number < self.count or self._can_open(number):
            with Image.open(path) as picture:
                return picture.convert("RGB")
        path.unlink()  # the machine broke down
        return None

    @override
    def save(self, number: int, picture: Image.Image) -> None:
        """Store a frame, unless it is there already; it is whole and on the disk, or not there."""
        path = self._path(number)
        if not path.exists():
            with whole_file(path) as temporary:
                write_through(temporary, png_bytes(picture))
        while self._path(self.count).exists():
            self.count += 1

    def _can_open(self, number: int) -> bool:
        try:
            with Image.open(self._path(number)) as picture:
                picture.load()
        except (OSError, SyntaxError, ValueError):  # what Pillow has for damaged PNGs
            return False
        return True
