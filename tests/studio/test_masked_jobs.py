"""Jobs with several paintings, masks and a starting picture: steered, kept, and continued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from helpers.painting import SMALL, iterations, paint, tone
from helpers.pictures import MakePicture
from nst.engine.contact_sheet import plan_sheet
from nst.engine.repaint import repaint
from nst.engine.schedule import Moment
from nst.engine.transfer import TransferStep, transfer_style
from nst.errors import SettingsError
from nst.images.color import dial_colors
from nst.images.mask_records import MaskRecord
from nst.images.masks import Masks
from nst.images.recipe import parse_recipe
from nst.images.transforms import part_taken
from nst.settings import PaintingUse, TransferSettings
from nst.studio.job import Job
from nst.studio.job_store import JobStore
from nst.studio.sheet_job import Sheet
from nst.vgg.network import VGG

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


def same(one: Masks | None, other: Masks) -> bool:
    """Whether these are the very same objects, which an optimiser's state needs."""
    pairs = zip((one or Masks()).listed(9), other.listed(9), strict=True)
    return all(a is b for a, b in pairs)


def pixels(masks: Masks) -> list[bytes | None]:
    return [mask.tobytes() if mask else None for mask in masks.listed(9)]


def test_the_engine_is_given_what_there_is_and_nothing_else(
    masked: Job, engine: Remembering, photo: Image.Image, painting: Image.Image
) -> None:
    plain = Remembering()
    paint(Job(photo, [painting], SMALL, engine=plain))
    assert not set(plain.runs[0]) & set(GIVEN)
    paint(masked, until=2)
    masked.resume(SMALL)
    paint(masked)
    assert len(engine.runs) == 2
    for run in engine.runs:
        assert same(run["masks"], masked.masks)
        assert run["init"] is masked.init


def test_masks_are_steered_with_the_paintings(
    masked: Job, engine: Remembering, painting: Image.Image, mask: Image.Image
) -> None:
    moved = Masks((ImageChops.invert(mask), None))
    first = masked.masks
    for _ in masked.run():
        if iterations(masked) == [0, 1, 2]:
            masked.steer(SMALL, [painting, masked.styles[1]], moved)
            assert pixels(masked.wanted_masks) == pixels(moved)
        if iterations(masked)[-1] == 4 and len(masked.passages) == 2:
            masked.steer(SMALL, painting)
    assert [passage.styles for passage in masked.passages] == [(0, 1), (2, 3), (0,)]
    assert [pixels(run.get("masks", Masks())) for run in engine.runs] == [
        pixels(first),
        pixels(moved),
        pixels(Masks()),
    ]
    assert len({id(image) for image in masked.styles}) == 2  # each painting is in memory once
    assert parse_recipe(masked.recipe().to_text()) == masked.recipe()


def test_a_weight_alone_keeps_the_masks_that_the_optimiser_knows(
    masked: Job, engine: Remembering, mask: Image.Image
) -> None:
    """Masks that are opened again are other objects; the run goes on with the first ones."""
    kept = masked.masks.keep
    assert kept
    again = Masks((None, mask.copy()), keep=kept.copy())
    weighed = SMALL.replace(paintings=(PaintingUse(weight=0.5),))
    for _ in masked.run():
        if iterations(masked) == [0, 1]:
            masked.steer(weighed, masked.paintings, again)
    assert engine.runs[1]["settings"].paintings == weighed.paintings
    assert same(engine.runs[1]["masks"], engine.runs[0]["masks"])
    assert len(masked.styles) == 2


def test_one_painting_may_rule_two_regions(
    photo: Image.Image, painting: Image.Image, mask: Image.Image, engine: Remembering
) -> None:
    masks = Masks((None, mask))
    job = Job(photo, [painting, painting.copy()], SMALL, engine=engine, masks=masks)
    paint(job)
    assert job.passages[0].styles == (0, 1)
    assert all(image is painting for image in engine.runs[0]["styles"])
    assert same(engine.runs[0]["masks"], masks)


def test_a_recipe_paints_the_same_again(
    photo: Image.Image, painting: Image.Image, other: Image.Image, network: VGG
) -> None:
    """With the network: its masks and start are the engine's."""
    mask = Image.linear_gradient("L").resize((80, 60))
    job = Job(
        photo, [painting, other], SMALL, engine=partial(transfer_style, network=network),
        masks=Masks((None, mask)), init=other,
    )  # fmt: skip
    for _ in job.run():
        if iterations(job)[-1] == 3:
            swapped = SMALL.replace(paintings=(PaintingUse(strength=2.0),))
            job.steer(swapped, [painting, other], Masks((mask, None)))
    recipe = parse_recipe(job.recipe().to_text())
    *_, last = repaint(recipe, photo, job.styles, masks=job.masks, init=job.init, engine=job.engine)
    assert job.moment
    assert last.image.tobytes() == job.moment.picture.tobytes()


def course_masks(job: Job) -> list[Masks]:
    return [job.masks_of(number) for number in range(len(job.passages))]


def test_what_is_left_as_it_is_is_edited_and_each_passage_knows_its_own(
    photo: Image.Image, painting: Image.Image, network: VGG, tmp_path: Path
) -> None:
    """While it is painted and before it is continued; on disk, and in the recipe."""
    above = Image.linear_gradient("L").resize(photo.size)
    below, most = ImageChops.invert(above), above.point(lambda value: 255 * (value > 60))
    engine = partial(transfer_style, network=network)
    job = Job(photo, [painting], SMALL, engine=engine, masks=Masks(keep=above))
    for _ in job.run():
        if iterations(job)[-1] == 3:
            job.steer(SMALL, [painting], Masks(keep=below))
    job.resume(SMALL.replace(iterations=9), [painting], Masks())
    paint(job)
    job.resume(SMALL.replace(iterations=11), [painting], Masks(keep=most))
    paint(job)
    job.resume(SMALL.replace(iterations=12), [painting], Masks(keep=above.copy()))
    paint(job)
    wanted = [above, below, None, most, above]
    assert [each.keep for each in course_masks(job)] == wanted
    assert job.masks_of(4).keep is above  # it is in memory once
    recipe = parse_recipe(job.recipe().to_text())
    assert [passage.keep for passage in recipe.passages] == [
        MaskRecord.of(each) if each else None for each in wanted
    ]
    *_, last = repaint(recipe, photo, [painting], masks=course_masks(job), engine=engine)
    assert job.moment
    assert last.image.tobytes() == job.moment.picture.tobytes()
    store = JobStore(tmp_path)
    store.save(job)
    assert len(list((tmp_path / job.id).glob("mask-*.png"))) == 3
    again = JobStore(tmp_path).load(job.id)
    assert again
    assert list(map(pixels, course_masks(again))) == list(map(pixels, course_masks(job)))
    assert again.recipe() == job.recipe()
    assert course_masks(again.copy("v"))[0].keep is again.masks_of(0).keep


def test_masks_are_changed_only_so_often(
    masked: Job, monkeypatch: pytest.MonkeyPatch, mask: Image.Image
) -> None:
    monkeypatch.setattr("nst.studio.job.MOST_MASKS", 3)
    flat, other = (Image.new("L", mask.size, value) for value in (90, 120))
    masked.steer(SMALL, masked.paintings, Masks((mask, None), flat))
    with pytest.raises(SettingsError, match="changed too often"):
        masked.steer(SMALL, masked.paintings, Masks((other, mask), flat))


def test_masks_and_the_starting_picture_come_back_from_disk_and_go_with_the_job(
    masked: Job, tmp_path: Path, mask: Image.Image, engine: Remembering
) -> None:
    store = JobStore(tmp_path)
    for _ in masked.run():
        store.save(masked)
        if iterations(masked) == [0, 1, 2]:
            masked.steer(SMALL, masked.paintings, Masks((mask, None), masked.masks.keep))
    store.save(masked)
    again = JobStore(tmp_path).load(masked.id)
    assert again
    assert again.init
    assert masked.init
    assert again.init.tobytes() == masked.init.tobytes()
    assert pixels(again.masks) == pixels(masked.masks)
    assert pixels(again.masks_of(0)) == pixels(masked.masks_of(0))
    assert again.recipe() == masked.recipe()
    assert sorted(path.name for path in (tmp_path / masked.id).glob("style-*")) == [
        "style-0.png",
        "style-1.png",
    ]
    assert len(list((tmp_path / masked.id).glob("mask-*.png"))) == 2
    again.engine = engine
    again.resume(SMALL.replace(iterations=9))
    paint(again)
    assert pixels(engine.runs[-1]["masks"]) == pixels(masked.masks_of(-1))
    twin = again.copy("v")
    assert twin.recipe() == again.recipe()
    assert twin.init is again.init
    assert store.forget(masked.id)
    assert not (tmp_path / masked.id).exists()


@pytest.mark.parametrize("spoil", ["size", "mask", "no mask", "no start"])
def test_damaged_masks_are_no_exception(masked: Job, tmp_path: Path, spoil: str) -> None:
    store = JobStore(tmp_path)
    paint(masked)
    store.save(masked)
    home = tmp_path / masked.id
    file = next(home.glob("mask-*.png"))
    if spoil == "size":
        Image.new("L", (8, 6), 255).save(file)
    elif spoil == "mask":
        file.write_bytes(file.read_bytes()[:40])
    elif spoil == "no mask":
        file.unlink()
    else:
        (home / "init.png").unlink()
    again = JobStore(tmp_path)
    assert again.load(masked.id) is None
    card = again.card(masked.id)
    assert card
    assert card.is_damaged


def test_the_colour_dial_leaves_what_is_left_as_it_is(
    photo: Image.Image, painting: Image.Image, engine: Remembering
) -> None:
    mask = Image.new("L", photo.size)
    mask.paste(255, (0, 0, 40, 60))
    job = Job(photo, [painting], SMALL, engine=engine, masks=Masks(keep=mask))
    shown = job.dialled(photo, 1.0)
    left, right = (0, 0, 36, 60), (44, 0, 80, 60)
    assert shown.crop(left).tobytes() == photo.crop(left).tobytes()
    assert shown.crop(right).tobytes() != photo.crop(right).tobytes()
    assert job.dialled(photo, 0.0) is photo


def test_the_colour_dial_counts_the_part_of_a_painting_that_is_taken(
    photo: Image.Image, painting: Image.Image, engine: Remembering
) -> None:
    part = Image.new("L", painting.size)
    part.paste(255, (0, 0, 20, 70))
    job = Job(photo, [painting], SMALL, engine=engine, masks=Masks(within=(part,)))
    shown, taken = job.dialled(photo, 1.0), part_taken(painting, part)
    assert shown.tobytes() == dial_colors(photo, photo, [taken], 1.0).tobytes()
    assert shown.tobytes() != dial_colors(photo, photo, [painting], 1.0).tobytes()


def test_memory_counts_masks_once(masked: Job, photo: Image.Image) -> None:
    pictures = sum(3 * image.width * image.height for image in (photo, *masked.styles, photo))
    assert masked.bytes == pictures + 2 * 80 * 60


def test_a_contact_sheet_has_the_same_regions_and_hands_them_on(
    masked: Job, photo: Image.Image, engine: Remembering
) -> None:
    masks, init = masked.masks, masked.init
    grid = plan_sheet(SMALL, "beta", "style_scale")
    sheet = Sheet(photo, masked.styles, grid, engine=engine, masks=masks, init=init)
    list(sheet.run())
    assert all(run["masks"] is masks and run["init"] is init for run in engine.runs)
    job = sheet.job_of(0, 0, SMALL, "v")
    assert same(job.masks, masks)
    assert job.init is init
