"""The files of a batch: its photos as they came, and its pictures as they are painted.

    photo-00, photo-01, …     the photos, in whatever format they came
    style-0.png, …            the paintings
    picture-00.png, …         the finished pictures, as they are delivered, with their recipes
    picture-00-plain.png, …   the same before the colours were dialled, where they were
    thumbnail-00.jpg, …       and thumbnail.jpg, that of the first that was finished

Every file is written whole or not at all. What else a batch knows is in its `batch.json`, see
`nst.studio.batch_store`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from nst.files import whole_file
from nst.images.recipe import Recipe, read_recipe, signed_png
from nst.images.tensors import shrink
from nst.studio.job import Job
from nst.studio.job_record import MOST_PNG, is_file, read_file, read_picture
from nst.studio.job_store import THUMBNAIL_SIDE, save_jpeg, save_quickly


@dataclass(frozen=True)
class BatchFiles:
    """The files in the folder of one batch; photos are counted from 0."""

    home: Path

    def photo(self, number: int) -> Path:
        """Return where a photo is."""
        return self.home / f"photo-{number:02d}"

    def painting(self, number: int) -> Path:
        """Return where a painting is."""
        return self.home / f"style-{number}.png"

    def picture(self, number: int) -> Path:
        """Return where a finished picture is, or would be."""
        return self.home / f"picture-{number:02d}.png"

    def thumbnail(self, number: int) -> Path:
        """Return where the small one is, or would be."""
        return self.home / f"thumbnail-{number:02d}.jpg"

    def has_picture(self, number: int) -> bool:
        """Tell whether a picture is finished."""
        return is_file(self.picture(number))

    def take_photos(self, photos: Sequence[Path]) -> None:
        """Copy the photos. Raises `OSError`."""
        for number, path in enumerate(photos):
            with whole_file(self.photo(number)) as temporary:
                shutil.copyfile(path, temporary)

    def take_paintings(self, paintings: Sequence[Image.Image]) -> None:
        """Write the paintings. Raises `OSError`."""
        for number, painting in enumerate(paintings):
            save_quickly(painting, self.painting(number))

    def paintings(self, count: int) -> list[Image.Image]:
        """Return so many paintings. Raises `DamagedError` and `OSError`."""
        paths = map(self.painting, range(count))
        return [read_picture(read_file(path, MOST_PNG), path.name) for path in paths]

    def keep(self, number: int, job: Job) -> None:
        """Write the picture of a job that has finished, its small one first. Raises `OSError`."""
        assert job.moment
        picture, recipe = job.delivered()
        small = shrink(picture, THUMBNAIL_SIDE)
        for path in (self.thumbnail(number), self.home / "thumbnail.jpg"):
            if path.name != "thumbnail.jpg" or not path.exists():
                save_jpeg(small, path)
        if job.colors:
            save_quickly(job.moment.picture, self._plain(number))
        with whole_file(self.picture(number)) as temporary:
            temporary.write_bytes(signed_png(picture, recipe))

    def finished(self, number: int) -> tuple[Image.Image, Recipe]:
        """Return a picture as it was painted, before its colours were dialled, and its recipe.

        Raises `DamagedError`, `RecipeError` and `OSError`.
        """
        data = read_file(self.picture(number), MOST_PNG)
        recipe = read_recipe(data)
        if recipe.colors:
            data = read_file(self._plain(number), MOST_PNG)
        return read_picture(data, f"picture {number}"), recipe

    def _plain(self, number: int) -> Path:
        return self.home / f"picture-{number:02d}-plain.png"
