"""Batches: many photos as one task, which lets others by, stops, and goes on after a restart."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import nst.studio.batch_job
import nst.studio.task
from helpers.painting import SMALL, assert_replays, engine, picture_of, tone, tone_of
from helpers.photo_batches import MakeBatch, make_batch
from helpers.places import EXAMPLES
from helpers.working import PATIENCE, Gate, MakeJob, make_job, settle
from nst.engine.transfer import Engine, TransferStep
from nst.errors import GPUError, ImageError, SettingsError
from nst.images.masks import NO_MASKS, Masks
from nst.images.reading import load_image
from nst.images.recipe import read_recipe
from nst.images.sandbox import BUSY
from nst.studio.batch_job import MOST_BATCH_BYTES, MOST_PHOTOS, NO_DISK, check_photos
from nst.studio.job_store import Card
from nst.studio.limits import Limits
from nst.studio.protected_faces import FACE_STRENGTH
from nst.studio.task import State, Task
from nst.studio.workshop import CLOSED, TOO_LONG, Workshop

__all__ = ["engine", "make_batch", "make_job"]  # fixtures

STEPS = SMALL.iterations + 1  # of a run of `tone`


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def test_every_photo_becomes_a_picture_with_its_recipe(
    tmp_path: Path, make_batch: MakeBatch, engine: Engine
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, engine=engine)
    assert batch.missing == [0, 1, 2]
    workshop.submit(batch)
    settle(workshop)
    assert (batch.state, batch.note, batch.missing) == (State.FINISHED, "", [])
    for number in range(3):
        recipe = read_recipe(batch.files.picture(number))
        assert recipe.content.width == 40 + number
        assert recipe.iterations == SMALL.iterations == batch.done[number].iteration
        assert_replays(batch.job_of(number, "jane"), engine)
    first, card_file = batch.files.thumbnail(0), batch.files.home / "thumbnail.jpg"
    assert card_file.read_bytes() == first.read_bytes()


def test_others_are_painted_between_two_photos(
    tmp_path: Path, make_batch: MakeBatch, make_job: MakeJob, gate: Gate
) -> None:
    workshop, order = Workshop(tmp_path / "jobs"), list[str]()

    def noted(name: str, engine: Engine) -> Engine:
        def paint(*arguments: Any, **options: Any) -> Iterator[TransferStep]:
            order.append(name)
            yield from engine(*arguments, **options)

        return paint

    batches = [
        make_batch(workshop, 3, engine=noted(who, gate if who == "a" else tone), visitor=who)
        for who in "ab"
    ]
    single = make_job(noted("c", tone), visitor="c")
    for task in (*batches, single):
        workshop.submit(task, 6.0)
    gate.open()
    settle(workshop)
    assert order[:3] == ["a", "b", "c"]
    assert sorted(order) == [*"aaabbbc"]
    assert {batch.state for batch in batches} == {State.FINISHED}


def test_who_waits_behind_a_batch_waits_for_one_photo(
    tmp_path: Path, make_batch: MakeBatch, make_job: MakeJob, gate: Gate
) -> None:
    workshop = Workshop(tmp_path / "jobs", Limits(wait=120.0))
    batch, job = make_batch(workshop, 4, engine=gate), make_job(visitor="ada")
    batch.expected = 100.0
    workshop.submit(batch, 400.0)
    gate.wait()
    workshop.submit(job, 1.0)  # 400 seconds would be too long a wait
    assert workshop.wait_of(job) == pytest.approx(100.0, abs=10.0)
    assert workshop.load.seconds == pytest.approx(401.0, abs=10.0)


def test_stopped_it_keeps_what_is_done_and_goes_on_with_the_rest(
    tmp_path: Path, make_batch: MakeBatch, gate: Gate
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, engine=gate)
    workshop.submit(batch)
    gate.wait()
    for _ in range(STEPS):  # the first photo, and the beginning of the second
        gate.step()
    assert batch.present
    assert batch.present[0] == 1
    batch.stop()
    gate.open()
    settle(workshop)
    assert (batch.state, batch.missing) == (State.STOPPED, [1, 2])
    assert not batch.files.has_picture(1)
    kept = batch.files.picture(0).read_bytes()

    batch.resume(tone)
    workshop.submit(batch)
    settle(workshop)
    assert (batch.state, batch.missing) == (State.FINISHED, [])
    assert batch.files.picture(0).read_bytes() == kept


def test_it_cannot_be_resumed_while_it_is_painted(tmp_path: Path, make_batch: MakeBatch) -> None:
    batch = make_batch(Workshop(tmp_path / "jobs"))
    with pytest.raises(SettingsError, match="being painted already"):
        batch.resume(tone)


def test_a_damaged_photo_is_one_line_and_the_rest_go_on(
    tmp_path: Path, make_batch: MakeBatch
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, damaged=(1,))
    workshop.submit(batch)
    settle(workshop)
    assert batch.state is State.FINISHED
    assert sorted(batch.done) == [0, 2]
    assert list(batch.failed) == [1]
    assert batch.failed[1].startswith("This is not a picture that can be read")
    assert workshop.cards("jane")[0].iteration == 2


def test_a_photo_that_cannot_be_opened_just_now_is_waited_for(
    tmp_path: Path, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [ImageError(BUSY), ImageError(BUSY)]

    def busy(path: Path) -> Image.Image:
        if answers:
            raise answers.pop()
        return load_image(path)

    monkeypatch.setattr(nst.studio.batch_job, "load_image", busy)
    monkeypatch.setattr(nst.studio.task, "TRY_AGAIN", 0.0)
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop)
    workshop.submit(batch)
    settle(workshop)
    assert (batch.state, batch.note, batch.failed) == (State.FINISHED, "", {})


def test_without_a_single_picture_it_has_failed(tmp_path: Path, make_batch: MakeBatch) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, 2, damaged=(0, 1))
    workshop.submit(batch)
    settle(workshop)
    assert batch.state is State.FAILED
    assert batch.note == batch.failed[0]


def test_what_may_pass_stops_it_and_an_error_of_one_photo_does_not(
    tmp_path: Path, make_batch: MakeBatch
) -> None:
    def engine(photo: Image.Image, *arguments: Any, **options: Any) -> Iterator[TransferStep]:
        for step in tone(photo, *arguments, **options):
            if photo.width == 40 and step.iteration == 0:
                raise ValueError("no such photo")
            if photo.width == 42 and step.iteration == 2:
                raise GPUError("The GPU is gone.")
            yield step

    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, 4, engine=engine)
    workshop.submit(batch)
    settle(workshop)
    assert (batch.state, batch.note) == (State.STOPPED, "The GPU is gone.")
    assert (sorted(batch.done), sorted(batch.failed), batch.missing) == ([1], [0], [2, 3])
    batch.resume(tone)
    assert batch.missing == [0, 2, 3]


def test_after_a_restart_it_goes_on_from_the_first_photo_that_is_missing(
    tmp_path: Path, make_batch: MakeBatch, gate: Gate
) -> None:
    first = Workshop(tmp_path / "jobs")
    batch = make_batch(first, engine=gate, damaged=(0,))
    first.submit(batch)
    gate.wait()
    for _ in range(STEPS):
        gate.step()
    assert sorted(batch.done) == [1]

    second = Workshop(tmp_path / "jobs")  # as if the other process had been killed
    assert [card.state for card in second.cards("jane")] == [State.INTERRUPTED]
    again = second.find_batch(batch.id)
    assert again is not None
    assert (again.state, sorted(again.done), again.missing) == (State.INTERRUPTED, [1], [2])
    assert again.failed == batch.failed
    assert (again.photos, again.settings, again.expected) == (batch.photos, batch.settings, 2.0)
    assert [p.tobytes() for p in again.paintings] == [p.tobytes() for p in batch.paintings]
    painted = picture_of(again.job_of(1, "jane"))
    again.resume(tone)
    second.submit(again)
    settle(second)
    assert again.state is State.FINISHED
    assert sorted(again.done) == [1, 2]
    assert tone_of(painted) == tone_of(picture_of(again.job_of(2, "jane"))) == SMALL.iterations


def test_closing_keeps_it_interrupted(tmp_path: Path, make_batch: MakeBatch, gate: Gate) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, engine=gate)
    workshop.submit(batch)
    gate.wait()
    closing = threading.Thread(target=workshop.close)
    closing.start()
    while not workshop.is_closing:
        time.sleep(0.001)
    gate.open()
    closing.join(PATIENCE)
    assert batch.state is State.INTERRUPTED
    again = Workshop(tmp_path / "jobs").find_batch(batch.id)
    assert again
    assert (again.state, again.note) == (State.INTERRUPTED, CLOSED)


def test_one_photo_is_in_memory_at_a_time(
    tmp_path: Path, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    opened: list[weakref.ref[Image.Image]] = []
    alive: list[int] = []

    def noted(path: Path) -> Image.Image:
        gc.collect()
        alive.append(sum(photo() is not None for photo in opened))
        image = load_image(path)
        opened.append(weakref.ref(image))
        return image

    monkeypatch.setattr(nst.studio.batch_job, "load_image", noted)
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, 4, engine=engine)
    held = batch.bytes
    assert held == 3 * 30 * 30 + 3 * 43 * 30  # the painting, and the largest of the photos
    workshop.submit(batch)
    settle(workshop)
    assert alive == [0, 0, 0, 0]
    assert batch.bytes == 3 * 30 * 30


def test_it_is_one_card_that_can_be_deleted_and_brought_back(
    tmp_path: Path, make_batch: MakeBatch
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop)
    workshop.submit(batch)
    settle(workshop)
    assert workshop.wait_until_saved()
    expected = Card(batch.id, batch.created, State.FINISHED, 3, 3, batch.changed, noun="batch")
    elsewhere = Workshop(tmp_path / "jobs")
    for each in (workshop, elsewhere):
        assert each.cards("jane") == [expected]
        assert each.card_of(batch.id) == expected
        assert each.cards("ada") == []
    workshop.delete(batch.id)
    for each in (workshop, elsewhere):
        assert (each.find_batch(batch.id), each.cards("jane")) == (None, [])
    assert workshop.restore(batch.id)
    assert workshop.cards("jane") == [expected]
    workshop.forget(batch.id)
    assert not batch.files.home.exists()


def test_deleted_for_good_while_it_is_painted_it_leaves_nothing(
    tmp_path: Path, make_batch: MakeBatch, gate: Gate
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, engine=gate)
    workshop.submit(batch)
    gate.wait()
    workshop.forget(batch.id)
    gate.open()
    settle(workshop)
    assert not batch.files.home.exists()


def test_a_full_disk_stops_it_with_a_sentence(
    tmp_path: Path, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nst.studio.batch_files.BatchFiles.keep", full)
    workshop.submit(batch)
    settle(workshop)
    assert (batch.state, batch.note, batch.missing) == (State.STOPPED, NO_DISK, [0, 1, 2])


def test_it_may_be_painted_as_long_as_all_its_photos(tmp_path: Path, make_batch: MakeBatch) -> None:
    workshop = Workshop(tmp_path / "jobs", Limits(seconds=-1.0))
    batch = make_batch(workshop)
    assert batch.most_seconds(Limits(seconds=60.0)) == 180.0
    workshop.submit(batch)
    settle(workshop)
    assert (batch.state, batch.note) == (State.STOPPED, TOO_LONG.format(-0.05, "batch"))


def test_it_goes_on_for_a_while_with_nobody_watching(tmp_path: Path, make_batch: MakeBatch) -> None:
    batch, limits = make_batch(Workshop(tmp_path / "jobs")), Limits()
    assert batch.most_unwatched(limits, others_wait=True) == limits.grace_of_many
    assert Task("").most_unwatched(limits, others_wait=True) == limits.grace_in_line


@pytest.mark.parametrize(
    ("damage", "is_card"),
    [("", True), ("{}", True), ("[1]", True), ('{"photos": [[1, 2]]}', True), (None, False)],
)
def test_a_damaged_record_is_a_card_that_can_be_deleted(
    tmp_path: Path, make_batch: MakeBatch, damage: str | None, *, is_card: bool
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop)
    workshop.submit(batch)
    settle(workshop)
    record = batch.files.home / "batch.json"
    if damage is None:
        record.unlink()
    else:
        record.write_text(damage or "x")
    again = Workshop(tmp_path / "jobs")
    assert again.find_batch(batch.id) is None
    cards = again.cards("jane")
    assert [card.is_damaged for card in cards] == [True] * is_card


def test_a_picture_that_is_gone_is_painted_again(tmp_path: Path, make_batch: MakeBatch) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop)
    workshop.submit(batch)
    settle(workshop)
    batch.files.picture(1).unlink()
    again = Workshop(tmp_path / "jobs").find_batch(batch.id)
    assert again
    assert again.missing == [1]


def test_colours_are_dialled_in_the_file_and_not_in_what_is_gone_on_with(
    tmp_path: Path, make_batch: MakeBatch
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    batch = make_batch(workshop, 1, settings=SMALL.replace(colors=-1.0))
    workshop.submit(batch)
    settle(workshop)
    delivered = load_image(batch.files.picture(0))
    job = batch.job_of(0, "jane")
    assert tone_of(picture_of(job)) == SMALL.iterations
    assert delivered.tobytes() == job.delivered()[0].tobytes() != picture_of(job).tobytes()


def test_more_photos_or_bytes_than_a_batch_may_have_are_refused() -> None:
    check_photos(MOST_PHOTOS, MOST_BATCH_BYTES)
    with pytest.raises(SettingsError, match=r"at most 20 photos; please remove 2\."):
        check_photos(MOST_PHOTOS + 2, 0)
    with pytest.raises(SettingsError, match="have 300 MB together, and 200 MB are the most"):
        check_photos(1, 300_000_000)


def test_the_faces_of_each_photo_are_painted_less(
    tmp_path: Path, make_batch: MakeBatch, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    workshop, seen = Workshop(tmp_path / "jobs"), list[tuple[list[float], Masks]]()

    def noted(*arguments: Any, masks: Masks = NO_MASKS, **options: Any) -> Iterator[TransferStep]:
        seen.append(([use.strength for use in arguments[2].uses(len(arguments[1]))], masks))
        return tone(*arguments, **options)

    batch = make_batch(workshop, 2, engine=noted)
    with Image.open(EXAMPLES / "content" / "astronaut.jpg") as portrait:
        portrait.save(batch.files.photo(0), "PNG")
    batch.protects_faces = True
    workshop.submit(batch)
    settle(workshop)
    assert (batch.state, batch.failed) == (State.FINISHED, {})
    (strengths, masks), (usual, none) = seen
    assert strengths == [1.0, FACE_STRENGTH]
    assert masks.regions[0] is None
    assert masks.regions[1] is not None
    assert masks.regions[1].getextrema() == (0, 255)
    assert (usual, bool(none)) == ([1.0], False)
    (mask,) = read_recipe(batch.files.picture(0)).masks.copies().regions[1:]
    assert mask is not None
    assert len(batch.job_of(0, "jane").wanted_masks.regions) == 2
    found = Workshop(tmp_path / "jobs").find_batch(batch.id)
    assert found
    assert found.protects_faces
    monkeypatch.setattr(
        "nst.studio.protected_faces.mask_of_all_faces", lambda _: None
    )  # as another OpenCV might
    again = found.job_of(0, "jane")
    assert [bool(mask) for mask in again.wanted_masks.regions] == [False, True]
    assert [use.strength for use in again.settings.uses(2)] == strengths
