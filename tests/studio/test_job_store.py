"""Jobs on disk: what comes back, after a crash too, and what the files do not tell."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers.painting import (
    SMALL,
    assert_replays,
    engine,
    iterations,
    lacking,
    paint,
    picture_of,
    tone,
    tone_of,
)
from helpers.pictures import MakePicture
from nst.engine.transfer import Engine
from nst.errors import NumericalError
from nst.images.recipe import KEYWORD, Passage, parse_recipe, read_recipe
from nst.studio.job import Job
from nst.studio.job_store import MOST_FRAMES, Card, JobStore
from nst.studio.limits import Limits
from nst.studio.task import State, owner_of
from nst.studio.task_stores import TaskStores
from nst.studio.workshop import Workshop

__all__ = ["engine"]  # a fixture

TOKEN = "jane-doe-2b7e151628aed2a6"
ALWAYS = Limits(checkpoint_every=-1.0)  # a checkpoint at every iteration


@pytest.fixture
def job_store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture
def mock(photo: Image.Image, painting: Image.Image) -> Job:
    return Job(photo, [painting], SMALL, visitor=TOKEN, engine=tone)


def loaded(job_store: JobStore, id: str) -> Job:
    job = JobStore(job_store.folder).load(id)
    assert job
    return job


def facts(job: Job) -> dict[str, Any]:
    """All that is to be kept of a job; figures compare without pixels."""
    names = ("id", "created", "state", "note", "seconds", "frames", "steps", "passages", "colors")
    return {
        **{name: getattr(job, name) for name in names},
        "content": job.content.tobytes(),
        "styles": [(style.size, style.tobytes()) for style in job.styles],
        "picture": job.moment and (job.moment.iteration, job.moment.picture.tobytes()),
        "recipe": job.recipe(),
        "settings": job.settings,
        "card": Card.of(job),
    }


def eventful(job: Job, make_picture: MakePicture, folder: Path) -> Job:
    """Edited, swapped, dialled, stopped with a note, and all of it kept on disk."""
    for _ in Workshop(folder, ALWAYS).paint(job):
        if iterations(job)[-1] == 2:
            job.steer(SMALL.replace(layer_weights={"relu2_2": 1 / 3}, total_variation=0.7))
        if iterations(job)[-1] == 4:
            job.steer(job.settings.replace(colors=-0.35), make_picture(33, 44, seed=9))
        if iterations(job) == [0, 1, 2, 2, 3, 4, 4, 5]:
            job.stop("Ended, “so to speak”.")
    return job


def test_everything_comes_back(
    job_store: JobStore, mock: Job, engine: Engine, make_picture: MakePicture
) -> None:
    mock.engine = engine
    job = eventful(mock, make_picture, job_store.folder)
    again = loaded(job_store, job.id)
    assert facts(again) == facts(job)
    assert job.state is State.STOPPED
    assert len(job.frames) == 8
    assert_replays(again, engine)
    again.engine = engine
    again.resume(again.settings)
    paint(again)
    assert (again.state, iterations(again)[-1]) == (State.FINISHED, 6)
    assert_replays(again, engine)


@pytest.mark.parametrize("end", ["finished", "failed", "waiting"])
def test_other_ends_come_back(job_store: JobStore, mock: Job, end: str) -> None:
    if end == "failed":
        mock.engine = lacking(NumericalError("A sentence."), above=0)
        paint(mock)
    elif end == "finished":
        paint(mock)
    job_store.save(mock)
    again = loaded(job_store, mock.id)
    expected = facts(mock)
    if end == "waiting":
        expected["state"] = State.INTERRUPTED
        expected["card"] = Card(mock.id, mock.created, State.INTERRUPTED, 0, 6)
    assert facts(again) == expected


def test_a_job_saved_twice_is_the_latest(job_store: JobStore, mock: Job) -> None:
    job_store.save(mock)
    for _ in mock.run():
        job_store.save(mock)
    job_store.save(mock)
    assert facts(loaded(job_store, mock.id)) == facts(mock)


@pytest.mark.parametrize("crash", [0, 1, 3, 6])
def test_after_a_crash_it_goes_on_from_the_checkpoint(
    tmp_path: Path, photo: Image.Image, painting: Image.Image, engine: Engine, crash: int
) -> None:
    job = Job(photo, [painting], SMALL, engine=engine)
    for _ in Workshop(tmp_path / "before", ALWAYS).paint(job):
        if iterations(job)[-1] == crash:
            shutil.copytree(tmp_path / "before", tmp_path / "after")
            break
    again = Workshop(tmp_path / "after").find_job(job.id)
    assert again
    assert (again.state, again.note) == (State.INTERRUPTED, "")
    assert again.steps == job.steps
    assert_replays(again, engine)
    again.engine = engine
    again.resume(SMALL.replace(iterations=7))
    paint(again)
    assert iterations(again) == [*range(crash + 1), *range(crash, 8)]
    assert_replays(again, engine)


class Crash(BaseException):
    """The process ends."""


@pytest.mark.parametrize("count", range(12))
def test_a_crash_at_any_write_leaves_a_job_or_none(
    job_store: JobStore, mock: Job, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Eight files are written for the first checkpoint and four for each of the next ones."""
    left = count
    replace = Path.replace

    def crash_at_some(path: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", crash_at_some)
    done = -1
    with pytest.raises(Crash):  # noqa: PT012
        for step in mock.run():
            assert step
            job_store.save(mock)
            done += 1
    monkeypatch.undo()
    again = job_store.load(mock.id)
    if done >= 0:
        assert again
        assert again.moment
    if again and again.moment:
        assert again.moment.iteration in (done, done + 1)
        assert tone_of(again.moment.picture) == again.moment.iteration == again.recipe().iterations
    if again:
        assert again.state is State.INTERRUPTED
    assert not list(job_store.folder.rglob(".*"))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("job.json", None),
        ("content.png", None),
        ("style-0.png", None),
        ("job.json", b""),
        ("job.json", b"{}"),
        ("job.json", b"[1]"),
        ("job.json", b"[" * 100_000),
        ("job.json", b'{"created": 1e999, "iteration": 1e999, "total": 1, "state": "running"}'),
        ("job.json", b"\xff\x00"),
        ("picture.png", b""),
        ("picture.png", b"GIF89a"),
        ("content.png", b"no picture"),
    ],
)
def test_what_is_damaged_is_no_job_but_a_line_in_the_log(
    job_store: JobStore, mock: Job, caplog: pytest.LogCaptureFixture, name: str, data: bytes | None
) -> None:
    paint(mock)
    job_store.save(mock)
    if data is None:
        job_store.file(mock.id, name).unlink()
    else:
        job_store.file(mock.id, name).write_bytes(data)
    assert job_store.load(mock.id) is None
    assert Workshop(job_store.folder).find(mock.id) is None
    assert "a job on disk cannot be read" in caplog.text
    assert str(job_store.folder) not in caplog.text
    cards = TaskStores(job_store).cards(owner_of(TOKEN))
    assert [card.is_damaged for card in cards] == [True]


def test_damage_anywhere_never_raises(job_store: JobStore, mock: Job) -> None:
    paint(mock)
    job_store.save(mock)
    rng = random.Random(0)
    for name in ("job.json", "picture.png", "content.png", "style-0.png"):
        path = job_store.file(mock.id, name)
        whole = path.read_bytes()
        for _ in range(40):
            data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.5 else whole)
            for _ in range(rng.randrange(1, 4)):
                if data:
                    data[rng.randrange(min(len(data), 2000))] = rng.randrange(256)
            path.write_bytes(data)
            again = job_store.load(mock.id)
            assert again is None or again.id == mock.id
            TaskStores(job_store).cards(owner_of(TOKEN))
        path.write_bytes(whole)
    assert facts(loaded(job_store, mock.id)) == facts(mock)


def test_no_such_job_is_no_news(
    job_store: JobStore, mock: Job, caplog: pytest.LogCaptureFixture
) -> None:
    assert job_store.load(mock.id) is None
    assert TaskStores(job_store).cards(owner_of(TOKEN)) == []
    assert job_store.ids() == []
    assert caplog.text == ""


@pytest.mark.parametrize(
    "id", ["../x", "..", "", "/etc", "x", "0" * 49, f"{'a' * 16}-{'b' * 32}/..", "a\0b"]
)
def test_an_id_is_no_path(job_store: JobStore, id: str, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "job.json").write_text("{}")
    job_store.folder.mkdir()
    assert job_store.load(id) is None
    assert Workshop(job_store.folder).find(id) is None
    for call in (
        lambda: job_store.forget(id),
        lambda: Workshop(job_store.folder).forget(id),
        lambda: job_store.file(id, "job.json"),
        lambda: job_store.frame_file(id, 0),
        lambda: job_store.copy_frames(id, id),
        lambda: job_store.add_frame(id, [], 0, Image.new("RGB", (20, 20))),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    assert (tmp_path / "x" / "job.json").read_text() == "{}"
    assert list(job_store.folder.iterdir()) == []


@pytest.mark.parametrize("steps", [1, 2, 120, 121, 200, 240, 241, 500, 1001])
def test_frames_are_spread_evenly_from_the_first_to_the_last(
    job_store: JobStore, mock: Job, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nst.studio.job_store.save_jpeg", lambda image, path: path.write_bytes(b""))
    picture = Image.new("RGB", (20, 20))
    frames: list[int] = []
    for index in range(steps):
        frames = job_store.add_frame(mock.id, frames, index, picture)
    frames = job_store.add_frame(mock.id, frames, steps - 1, picture, is_last=True)
    assert job_store.add_frame(mock.id, frames, steps - 1, picture, is_last=True) == frames
    assert (frames[0], frames[-1]) == (0, steps - 1)
    assert min(steps, MOST_FRAMES // 2) <= len(frames) <= MOST_FRAMES + 1
    strides = {b - a for a, b in pairwise(frames[:-1])}
    assert len(strides) <= 1
    kept = sorted(path.name for path in job_store.file(mock.id, "frames").iterdir())
    assert kept == [job_store.frame_file(mock.id, index).name for index in frames]


def test_frames_of_a_job_that_went_on(job_store: JobStore, mock: Job) -> None:
    """A last one that is off the stride makes room when there is a later one."""
    workshop = Workshop(job_store.folder)
    mock.steer(SMALL.replace(iterations=129))
    list(workshop.paint(mock))
    assert mock.frames == [*range(0, 130, 2), 129]
    mock.resume(SMALL.replace(iterations=140))
    list(workshop.paint(mock))
    assert mock.frames == [*range(0, 142, 2), 141]  # the report at 129 came twice
    again = loaded(job_store, mock.id)
    assert again.frames == mock.frames
    job_store.frame_file(mock.id, 4).unlink()
    assert loaded(job_store, mock.id).frames == [0, 2, *range(6, 142, 2), 141]


def test_frames_are_small_pictures_of_the_way(
    job_store: JobStore, make_picture: MakePicture
) -> None:
    job = Job(make_picture(800, 400), [make_picture()], SMALL.replace(size=800))
    job_store.add_frame(job.id, [], 0, job.content)
    job_store.add_frame(job.id, [0], 1, make_picture(100, 90))
    with Image.open(job_store.frame_file(job.id, 0)) as image:
        assert (image.format, image.size) == ("JPEG", (720, 360))
    with Image.open(job_store.frame_file(job.id, 1)) as image:
        assert image.size == (100, 90), "never enlarged"


def aged(job_store: JobStore, photo: Image.Image, age: float, weight: int = 0) -> str:
    job = Job(photo, [photo], SMALL)
    job_store.save(job)
    job_store.file(job.id, "frames").mkdir()
    (job_store.file(job.id, "frames") / "0.jpg").write_bytes(bytes(weight))
    record = job_store.file(job.id, "job.json")
    then = record.stat().st_mtime - age
    os.utime(record, (then, then))
    return job.id


def test_old_jobs_are_swept(job_store: JobStore, photo: Image.Image) -> None:
    young, old, older, spared = (aged(job_store, photo, age) for age in (0, 90, 300, 400))
    job_store.sweep(200, 10**9, spare={spared})
    assert set(job_store.ids()) == {young, old, spared}
    job_store.sweep(60, 10**9, spare={spared})
    assert set(job_store.ids()) == {young, spared}
    assert older not in job_store.ids()


def test_beyond_the_bytes_the_oldest_go_first(job_store: JobStore, photo: Image.Image) -> None:
    ids = [aged(job_store, photo, age, weight=1_000_000) for age in (10, 20, 30, 40)]
    job_store.sweep(10**9, 3_500_000, spare=set())
    assert set(job_store.ids()) == set(ids[:3])
    job_store.sweep(10**9, 1_500_000, spare={ids[1]})
    assert set(job_store.ids()) == set(ids[:2]), "never a spared one"
    job_store.sweep(10**9, 0, spare=set())
    assert job_store.ids() == []


def test_what_was_only_begun_is_swept_unless_spared(job_store: JobStore, mock: Job) -> None:
    job_store.add_frame(mock.id, [], 0, mock.content)
    job_store.sweep(100, 10**9, spare={mock.id})
    assert job_store.ids() == [mock.id]
    job_store.sweep(100, 10**9, spare=set())
    assert job_store.ids() == [mock.id], "it may be saved yet"
    os.utime(job_store.file(mock.id, ""), (0, 0))
    assert job_store.sweep(100, 10**9, spare=set()) == [mock.id]
    assert job_store.ids() == []


def test_sweeping_touches_nothing_else(job_store: JobStore, photo: Image.Image) -> None:
    aged(job_store, photo, 500)
    (job_store.folder / "some-thing").mkdir()
    (job_store.folder / "note-to-self.txt").write_text("keep")
    job_store.sweep(100, 0, spare=set())
    assert sorted(path.name for path in job_store.folder.iterdir()) == [
        "note-to-self.txt",
        "some-thing",
    ]


def test_forgotten_is_gone(job_store: JobStore, mock: Job) -> None:
    job_store.add_frame(mock.id, [], 0, mock.content)
    job_store.save(mock)
    job_store.forget(mock.id)
    assert list(job_store.folder.iterdir()) == []
    job_store.forget(mock.id)


def test_cards_are_of_one_owner(job_store: JobStore, mock: Job, photo: Image.Image) -> None:
    paint(mock, until=3)
    job_store.save(mock)
    job_store.save(Job(photo, [photo], SMALL, visitor="another"))
    assert TaskStores(job_store).cards(owner_of(TOKEN)) == [
        Card(mock.id, mock.created, State.STOPPED, 3, 6)
    ]
    assert TaskStores(job_store).cards(owner_of("nobody")) == []


def test_the_picture_alone_carries_the_recipe(job_store: JobStore, mock: Job) -> None:
    paint(mock, until=4)
    job_store.save(mock)
    path = job_store.file(mock.id, "picture.png")
    assert read_recipe(path) == mock.recipe()
    with Image.open(path) as image:
        assert image.tobytes() == picture_of(mock).tobytes()
        assert parse_recipe(image.info[KEYWORD]).passages == (Passage(0, SMALL),)
    with Image.open(job_store.file(mock.id, "thumbnail.jpg")) as image:
        assert image.size == (64, 48)


def test_folders_are_private_whatever_comes_first(job_store: JobStore, mock: Job) -> None:
    before = os.umask(0o000)
    try:
        job_store.add_frame(mock.id, [], 0, mock.content)
        job_store.save(mock)
    finally:
        os.umask(before)
    home = job_store.file(mock.id, "")
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "frames").stat().st_mode & 0o777 == 0o700


def test_the_files_do_not_tell_who_or_where(
    job_store: JobStore, make_picture: MakePicture, tmp_path: Path
) -> None:
    photo, painting = make_picture(80, 60), make_picture(50, 50)
    for image in (photo, painting):
        image.info = dict.fromkeys(("comment", "exif", "xmp", "icc_profile"), TOKEN.encode())
        image.filename = f"{TOKEN}.jpg"  # type: ignore[attr-defined]
    job = Job(photo, [painting], SMALL, visitor=TOKEN, engine=tone)
    job.note = "Ended."
    list(Workshop(job_store.folder, ALWAYS).paint(job))
    files = [path for path in job_store.folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"job.json", "picture.png", "content.png", "000000.jpg"}
    secrets = (TOKEN, TOKEN[:8], tmp_path.name, str(tmp_path), Path.home().name + "/")
    for path in files:
        data = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in data]
        assert TOKEN not in str(path)
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert set(image.info) <= {KEYWORD, "srgb"}
        elif path.suffix == ".jpg":
            with Image.open(path) as image:
                assert not {"comment", "exif", "xmp", "icc_profile"} & set(image.info)
    assert photo.info["comment"] == TOKEN.encode(), "the caller's picture stays as it is"
    record = json.loads(job_store.file(job.id, "job.json").read_bytes())
    assert set(record) == {
        "created", "changed", "state", "note", "iteration", "total", "seconds", "frames", "steps",
        "figures", "recipe",
    }  # fmt: skip


def test_nothing_temporary_is_left(job_store: JobStore, mock: Job) -> None:
    list(Workshop(job_store.folder, ALWAYS).paint(mock))
    names = {path.name for path in job_store.file(mock.id, "").iterdir()}
    assert names == {
        "job.json", "picture.png", "content.png", "style-0.png", "thumbnail.jpg", "frames",
    }  # fmt: skip
    assert len(list(job_store.file(mock.id, "frames").iterdir())) == 7


def test_a_disk_that_cannot_be_written_to_is_an_os_error(tmp_path: Path, mock: Job) -> None:
    (tmp_path / "file").write_text("")
    job_store = JobStore(tmp_path / "file")
    with pytest.raises(OSError, match=r"exists|directory"):
        job_store.save(mock)
    assert job_store.load(mock.id) is None
    assert (job_store.ids(), TaskStores(job_store).cards("")) == ([], [])
    job_store.sweep(0, 0, spare=set())


def test_looking_while_it_is_saved_finds_one_whole_state(job_store: JobStore, mock: Job) -> None:
    mock.steer(SMALL.replace(iterations=40))
    job_store.save(mock)
    over = threading.Event()

    def painter() -> None:
        try:
            for _ in mock.run():
                job_store.save(mock)
        finally:
            over.set()

    thread = threading.Thread(target=painter)
    thread.start()
    seen = []
    while not over.is_set():
        job = job_store.load(mock.id)
        assert job
        if job.moment:
            assert tone_of(job.moment.picture) == job.moment.iteration == job.recipe().iterations
            seen.append(job.moment.iteration)
    thread.join(10)
    assert seen == sorted(seen)
    assert seen[-1] <= loaded(job_store, mock.id).recipe().iterations == 40
