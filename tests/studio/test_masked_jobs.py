"""Jobs with several paintings, masks and a starting picture: steered, kept, and continued."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from helpers.painting import SMALL, iterations, paint, tone
from helpers.pictures import MakePicture
from nst.engine.contact_sheet import plan_sheet
from nst.engine.schedule import Moment
from nst.engine.transfer import TransferStep
from nst.images.masks import Masks
from nst.settings import PaintingUse, TransferSettings
from nst.studio.job import Job
from nst.studio.job_store import JobStore
from nst.studio.mask_files import RECORD
from nst.studio.sheet_job import Sheet

GIVEN = ("masks", "init")


class Remembering:
    """An engine that remembers what each run was given."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    def __call__(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        settings: TransferSettings,
        *,
        begin: Moment | None = None,
        **given: Any,
    ) -> Iterator[TransferStep]:
        self.runs.append({"styles": list(styles), "settings": settings, **given})
        yield from tone(content, styles, settings, begin=begin)


@pytest.fixture
def engine() -> Remembering:
    return Remembering()


@pytest.fixture
def mask() -> Image.Image:
    """White above, black below, soft between; of the photo's shape."""
    return Image.linear_gradient("L").resize((80, 60)).transpose(Image.Transpose.ROTATE_180)


@pytest.fixture
def other(make_picture: MakePicture) -> Image.Image:
    return make_picture(44, 44, seed=7)


@pytest.fixture
def masked(
    photo: Image.Image,
    painting: Image.Image,
    other: Image.Image,
    mask: Image.Image,
    engine: Remembering,
) -> Job:
    """Two paintings, of which the second rules a region, and a picture to start from."""
    masks = Masks((None, mask), keep=ImageChops.invert(mask).point(lambda value: value // 2))
    init = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    paintings = [painting, other]
    return Job(photo, paintings, SMALL, visitor="v", engine=engine, masks=masks, init=init)


def test_the_engine_is_given_what_there_is_and_nothing_else(
    masked: Job, engine: Remembering, photo: Image.Image, painting: Image.Image
) -> None:
    plain = Remembering()
    paint(Job(photo, [painting], SMALL, engine=plain))
    assert not set(plain.runs[0]) & set(GIVEN)
    paint(masked, until=2)
    assert engine.runs[0]["masks"] is masked.masks[0]
    assert engine.runs[0]["init"] is masked.init
    masked.resume(SMALL)
    paint(masked)
    assert engine.runs[1]["masks"] is masked.masks[0]
    assert "init" not in engine.runs[1]  # it goes on from its picture


def test_masks_are_steered_with_the_paintings(
    masked: Job, engine: Remembering, painting: Image.Image, mask: Image.Image
) -> None:
    moved = Masks((ImageChops.invert(mask), None))
    for _ in masked.run():
        if iterations(masked) == [0, 1, 2]:
            masked.steer(SMALL, [painting, masked.styles[1]], moved)
            assert masked.wanted_masks is moved
        if iterations(masked)[-1] == 4 and len(masked.passages) == 2:
            masked.steer(SMALL, painting)
    assert [passage.styles for passage in masked.passages] == [(0, 1), (0, 1), (0,)]
    assert [run.get("masks") for run in engine.runs] == [masked.masks[0], moved, None]


def test_a_weight_alone_keeps_the_masks_that_the_optimiser_knows(
    masked: Job, engine: Remembering, mask: Image.Image
) -> None:
    """Masks that are opened again are other objects; the run goes on with the first ones."""
    again = Masks((None, mask.copy()), keep=masked.masks[0].keep)
    weighed = SMALL.replace(paintings=(PaintingUse(weight=0.5),))
    for _ in masked.run():
        if iterations(masked) == [0, 1]:
            masked.steer(weighed, masked.paintings, again)
    assert engine.runs[1]["settings"].paintings == weighed.paintings
    assert engine.runs[1]["masks"] is masked.masks[0]


def test_one_painting_may_rule_two_regions(
    photo: Image.Image, painting: Image.Image, mask: Image.Image, engine: Remembering
) -> None:
    masks = Masks((None, mask))
    job = Job(photo, [painting, painting.copy()], SMALL, engine=engine, masks=masks)
    assert len(job.styles) == 1
    paint(job)
    assert job.passages[0].styles == (0, 0)
    assert engine.runs[0]["styles"] == [painting, painting]


def test_masks_and_the_starting_picture_come_back_from_disk_and_go_with_the_job(
    masked: Job, tmp_path: Path, mask: Image.Image, engine: Remembering
) -> None:
    store = JobStore(tmp_path)
    for _ in masked.run():
        store.save(masked)
        if iterations(masked) == [0, 1, 2]:
            masked.steer(SMALL, masked.paintings, Masks((mask, None)))
    store.save(masked)
    again = JobStore(tmp_path).load(masked.id)
    assert again
    assert again.masks == masked.masks
    assert again.init
    assert again.init.tobytes() == masked.init.tobytes()  # type: ignore[union-attr]
    assert len(list((tmp_path / masked.id).glob("mask-*.png"))) == 2
    again.engine = engine
    again.resume(SMALL.replace(iterations=9))
    paint(again)
    assert engine.runs[-1]["masks"] == masked.masks[-1]
    twin = again.copy("v")
    assert twin.masks == again.masks
    assert twin.init is again.init
    assert store.forget(masked.id)
    assert not (tmp_path / masked.id).exists()


@pytest.mark.parametrize("spoil", ["record", "passages", "hash", "mask", "no mask"])
def test_damaged_masks_are_no_exception(masked: Job, tmp_path: Path, spoil: str) -> None:
    store = JobStore(tmp_path)
    paint(masked)
    store.save(masked)
    home = tmp_path / masked.id
    record, file = home / RECORD, next(home.glob("mask-*.png"))
    if spoil == "record":
        record.write_text("[{")
    elif spoil == "passages":
        record.write_text("[]")
    elif spoil == "hash":
        record.write_text(json.dumps([{"regions": ["../../x"], "keep": None, "within": []}]))
    elif spoil == "mask":
        file.write_bytes(file.read_bytes()[:40])
    else:
        file.unlink()
    again = JobStore(tmp_path)
    assert again.load(masked.id) is None
    card = again.card(masked.id)
    assert card
    assert card.is_damaged


def test_memory_counts_masks_once(masked: Job, photo: Image.Image) -> None:
    pictures = sum(3 * image.width * image.height for image in (photo, *masked.styles, photo))
    assert masked.bytes == pictures + 2 * 80 * 60


def test_a_contact_sheet_has_the_same_regions_and_hands_them_on(
    masked: Job, photo: Image.Image, engine: Remembering
) -> None:
    masks, init = masked.masks[0], masked.init
    grid = plan_sheet(SMALL, "beta", "style_scale")
    sheet = Sheet(photo, masked.styles, grid, engine=engine, masks=masks, init=init)
    list(sheet.run())
    assert all(run["masks"] is masks and run["init"] is init for run in engine.runs)
    job = sheet.job_of(0, 0, SMALL, "v")
    assert job.masks[-1] is masks
