"""What tests of batches on the page share: batches of small photos in a workshop's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.painting import SMALL, tone
from helpers.pictures import MakePicture
from nst.engine.transfer import Engine
from nst.settings import TransferSettings
from nst.studio.batch_job import Batch, BatchPhoto
from nst.studio.task import new_id
from nst.studio.workshop import Workshop

MakeBatch = Callable[..., Batch]


@pytest.fixture
def make_batch(tmp_path: Path, make_picture: MakePicture) -> MakeBatch:
    """`make_batch(workshop, count=3, …)`: a batch that waits to be submitted.

    `damaged` are the numbers of photos whose files are none.
    """

    def make(
        workshop: Workshop,
        count: int = 3,
        *,
        engine: Engine = tone,
        settings: TransferSettings = SMALL,
        visitor: str = "jane",
        damaged: tuple[int, ...] = (),
        names: tuple[str, ...] = (),
    ) -> Batch:
        assert workshop.stores
        paths = [tmp_path / f"upload-{number}.png" for number in range(count)]
        for number, path in enumerate(paths):
            if number in damaged:
                path.write_text("not a picture")
            else:
                make_picture(40 + number, 30, seed=number).save(path)
        paintings = [make_picture(30, 30, seed=99)]
        id = new_id(visitor)
        files = workshop.stores.batches.begin(id, paths)
        files.take_paintings(paintings)
        named = names or tuple(f"photo {number}.png" for number in range(count))
        photos = [
            BatchPhoto(name, None if number in damaged else (40 + number, 30))
            for number, name in enumerate(named)
        ]
        return Batch(photos, paintings, settings, files, id=id, engine=engine, expected=2.0)

    return make
