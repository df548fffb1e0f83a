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
from conftest import MakePicture
from painting import SMALL, assert_replays, engine, iterations, paint, picture_of, tone, tone_of
from PIL import Image

from nst.engine.transfer import Engine
from nst.images.recipe import KEYWORD, Passage, parse_recipe, read_recipe
from nst.studio.job import Job
from nst.studio.job_store import MOST_FRAMES, Archive, Card
from nst.studio.limits import Limits
from nst.studio.task import State, owner_of
from nst.studio.workshop import Workshop

__all__ = ["engine"]  # a fixture

TOKEN = "jane-doe-2b7e151628aed2a6"
ALWAYS = Limits(checkpoint_every=-1.0)  # a checkpoint at every iteration


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "jobs")


@pytest.fixture
def mock(photo: Image.Image, painting: Image.Image) -> Job:
    return Job(photo, [painting], SMALL, visitor=TOKEN, engine=tone)


def loaded(archive: Archive, id: str) -> Job:
    job = Archive(archive.folder).load(id)
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
    archive: Archive, mock: Job, engine: Engine, make_picture: MakePicture
) -> None:
    mock.engine = engine
    job = eventful(mock, make_picture, archive.folder)
    again = loaded(archive, job.id)
    assert facts(again) == facts(job)
    assert job.state is State.STOPPED
    assert len(job.frames) == 8
    assert_replays(again)
    again.engine = engine
    again.resume(again.settings)
    paint(again)
    assert (again.state, iterations(again)[-1]) == (State.FINISHED, 6)
    assert_replays(again)


@pytest.mark.parametrize("end", ["finished", "failed", "waiting"])
def test_other_ends_come_back(archive: Archive, mock: Job, end: str) -> None:
    if end == "failed":
        mock._become(State.FAILED, "A sentence.")
    elif end == "finished":
        paint(mock)
    archive.save(mock)
    again = loaded(archive, mock.id)
    expected = facts(mock)
    if end == "waiting":
        expected["state"] = State.INTERRUPTED
        expected["card"] = Card(mock.id, mock.created, State.INTERRUPTED, 0, 6)
    assert facts(again) == expected


def test_a_job_saved_twice_is_the_latest(archive: Archive, mock: Job) -> None:
    archive.save(mock)
    for _ in mock.run():
        archive.save(mock)
    archive.save(mock)
    assert facts(loaded(archive, mock.id)) == facts(mock)


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
    assert_replays(again)
    again.engine = engine
    again.resume(SMALL.replace(iterations=7))
    paint(again)
    assert iterations(again) == [*range(crash + 1), *range(crash, 8)]
    assert_replays(again)


class Crash(BaseException):
    """The process ends."""


@pytest.mark.parametrize("count", range(12))
def test_a_crash_at_any_write_leaves_a_job_or_none(
    archive: Archive, mock: Job, monkeypatch: pytest.MonkeyPatch, count: int
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
            archive.save(mock)
            done += 1
    monkeypatch.undo()
    again = archive.load(mock.id)
    if done >= 0:
        assert again
        assert again.moment
    if again and again.moment:
        assert again.moment.iteration in (done, done + 1)
        assert tone_of(again.moment.picture) == again.moment.iteration == again.recipe().iterations
    if again:
        assert again.state is State.INTERRUPTED
    assert not list(archive.folder.rglob(".*"))


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
    archive: Archive, mock: Job, caplog: pytest.LogCaptureFixture, name: str, data: bytes | None
) -> None:
    paint(mock)
    archive.save(mock)
    if data is None:
        archive.file(mock.id, name).unlink()
    else:
        archive.file(mock.id, name).write_bytes(data)
    assert archive.load(mock.id) is None
    assert Workshop(archive.folder).find(mock.id) is None
    assert "a job on disk cannot be read" in caplog.text
    assert str(archive.folder) not in caplog.text
    cards = archive.cards(owner_of(TOKEN))
    assert [card.is_damaged for card in cards] == [True]


def test_damage_anywhere_never_raises(archive: Archive, mock: Job) -> None:
    paint(mock)
    archive.save(mock)
    rng = random.Random(0)
    for name in ("job.json", "picture.png", "content.png", "style-0.png"):
        path = archive.file(mock.id, name)
        whole = path.read_bytes()
        for _ in range(40):
            data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.5 else whole)
            for _ in range(rng.randrange(1, 4)):
                if data:
                    data[rng.randrange(min(len(data), 2000))] = rng.randrange(256)
            path.write_bytes(data)
            again = archive.load(mock.id)
            assert again is None or again.id == mock.id
            archive.cards(owner_of(TOKEN))
        path.write_bytes(whole)
    assert facts(loaded(archive, mock.id)) == facts(mock)


def test_no_such_job_is_no_news(
    archive: Archive, mock: Job, caplog: pytest.LogCaptureFixture
) -> None:
    assert archive.load(mock.id) is None
    assert archive.cards(owner_of(TOKEN)) == []
    assert archive.ids() == []
    assert caplog.text == ""


@pytest.mark.parametrize(
    "id", ["../x", "..", "", "/etc", "x", "0" * 49, f"{'a' * 16}-{'b' * 32}/..", "a\0b"]
)
def test_an_id_is_no_path(archive: Archive, id: str, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "job.json").write_text("{}")
    archive.folder.mkdir()
    assert archive.load(id) is None
    assert Workshop(archive.folder).find(id) is None
    for call in (
        lambda: archive.forget(id),
        lambda: Workshop(archive.folder).forget(id),
        lambda: archive.file(id, "job.json"),
        lambda: archive.frame_file(id, 0),
        lambda: archive.copy_frames(id, id),
        lambda: archive.add_frame(id, [], 0, Image.new("RGB", (20, 20))),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    assert (tmp_path / "x" / "job.json").read_text() == "{}"
    assert list(archive.folder.iterdir()) == []


@pytest.mark.parametrize("steps", [1, 2, 120, 121, 200, 240, 241, 500, 1001])
def test_frames_are_spread_evenly_from_the_first_to_the_last(
    archive: Archive, mock: Job, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "nst.studio.job_store._save_jpeg", lambda image, path: path.write_bytes(b"")
    )
    picture = Image.new("RGB", (20, 20))
    frames: list[int] = []
    for index in range(steps):
        frames = archive.add_frame(mock.id, frames, index, picture)
    frames = archive.add_frame(mock.id, frames, steps - 1, picture, is_last=True)
    assert archive.add_frame(mock.id, frames, steps - 1, picture, is_last=True) == frames
    assert (frames[0], frames[-1]) == (0, steps - 1)
    assert min(steps, MOST_FRAMES // 2) <= len(frames) <= MOST_FRAMES + 1
    strides = {b - a for a, b in pairwise(frames[:-1])}
    assert len(strides) <= 1
    kept = sorted(path.name for path in archive.file(mock.id, "frames").iterdir())
    assert kept == [archive.frame_file(mock.id, index).name for index in frames]


def test_frames_of_a_job_that_went_on(archive: Archive, mock: Job) -> None:
    """A last one that is off the stride makes room when there is a later one."""
    workshop = Workshop(archive.folder)
    mock.steer(SMALL.replace(iterations=129))
    list(workshop.paint(mock))
    assert mock.frames == [*range(0, 130, 2), 129]
    mock.resume(SMALL.replace(iterations=140))
    list(workshop.paint(mock))
    assert mock.frames == [*range(0, 142, 2), 141]  # the report at 129 came twice
    again = loaded(archive, mock.id)
    assert again.frames == mock.frames
    archive.frame_file(mock.id, 4).unlink()
    assert loaded(archive, mock.id).frames == [0, 2, *range(6, 142, 2), 141]


def test_frames_are_small_pictures_of_the_way(archive: Archive, make_picture: MakePicture) -> None:
    job = Job(make_picture(800, 400), [make_picture()], SMALL.replace(size=800))
    archive.add_frame(job.id, [], 0, job.content)
    archive.add_frame(job.id, [0], 1, make_picture(100, 90))
    with Image.open(archive.frame_file(job.id, 0)) as image:
        assert (image.format, image.size) == ("JPEG", (720, 360))
    with Image.open(archive.frame_file(job.id, 1)) as image:
        assert image.size == (100, 90), "never enlarged"


def aged(archive: Archive, photo: Image.Image, age: float, weight: int = 0) -> str:
    job = Job(photo, [photo], SMALL)
    archive.save(job)
    archive.file(job.id, "frames").mkdir()
    (archive.file(job.id, "frames") / "0.jpg").write_bytes(bytes(weight))
    record = archive.file(job.id, "job.json")
    then = record.stat().st_mtime - age
    os.utime(record, (then, then))
    return job.id


def test_old_jobs_are_swept(archive: Archive, photo: Image.Image) -> None:
    young, old, older, spared = (aged(archive, photo, age) for age in (0, 90, 300, 400))
    archive.sweep(200, 10**9, spare={spared})
    assert set(archive.ids()) == {young, old, spared}
    archive.sweep(60, 10**9, spare={spared})
    assert set(archive.ids()) == {young, spared}
    assert older not in archive.ids()


def test_beyond_the_bytes_the_oldest_go_first(archive: Archive, photo: Image.Image) -> None:
    ids = [aged(archive, photo, age, weight=1_000_000) for age in (10, 20, 30, 40)]
    archive.sweep(10**9, 3_500_000, spare=set())
    assert set(archive.ids()) == set(ids[:3])
    archive.sweep(10**9, 1_500_000, spare={ids[1]})
    assert set(archive.ids()) == set(ids[:2]), "never a spared one"
    archive.sweep(10**9, 0, spare=set())
    assert archive.ids() == []


def test_what_was_only_begun_is_swept_unless_spared(archive: Archive, mock: Job) -> None:
    archive.add_frame(mock.id, [], 0, mock.content)
    archive.sweep(100, 10**9, spare={mock.id})
    assert archive.ids() == [mock.id]
    archive.sweep(100, 10**9, spare=set())
    assert archive.ids() == [mock.id], "it may be saved yet"
    os.utime(archive.file(mock.id, ""), (0, 0))
    assert archive.sweep(100, 10**9, spare=set()) == [mock.id]
    assert archive.ids() == []


def test_sweeping_touches_nothing_else(archive: Archive, photo: Image.Image) -> None:
    aged(archive, photo, 500)
    (archive.folder / "some-thing").mkdir()
    (archive.folder / "note-to-self.txt").write_text("keep")
    archive.sweep(100, 0, spare=set())
    assert sorted(path.name for path in archive.folder.iterdir()) == [
        "note-to-self.txt",
        "some-thing",
    ]


def test_forgotten_is_gone(archive: Archive, mock: Job) -> None:
    archive.add_frame(mock.id, [], 0, mock.content)
    archive.save(mock)
    archive.forget(mock.id)
    assert list(archive.folder.iterdir()) == []
    archive.forget(mock.id)


def test_cards_are_of_one_owner(archive: Archive, mock: Job, photo: Image.Image) -> None:
    paint(mock, until=3)
    archive.save(mock)
    archive.save(Job(photo, [photo], SMALL, visitor="another"))
    assert archive.cards(owner_of(TOKEN)) == [Card(mock.id, mock.created, State.STOPPED, 3, 6)]
    assert archive.cards(owner_of("nobody")) == []


def test_the_picture_alone_carries_the_recipe(archive: Archive, mock: Job) -> None:
    paint(mock, until=4)
    archive.save(mock)
    path = archive.file(mock.id, "picture.png")
    assert read_recipe(path) == mock.recipe()
    with Image.open(path) as image:
        assert image.tobytes() == picture_of(mock).tobytes()
        assert parse_recipe(image.info[KEYWORD]).passages == (Passage(0, SMALL),)
    with Image.open(archive.file(mock.id, "thumbnail.jpg")) as image:
        assert image.size == (64, 48)


def test_folders_are_private_whatever_comes_first(archive: Archive, mock: Job) -> None:
    before = os.umask(0o000)
    try:
        archive.add_frame(mock.id, [], 0, mock.content)
        archive.save(mock)
    finally:
        os.umask(before)
    home = archive.file(mock.id, "")
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "frames").stat().st_mode & 0o777 == 0o700


def test_the_files_do_not_tell_who_or_where(
    archive: Archive, make_picture: MakePicture, tmp_path: Path
) -> None:
    photo, painting = make_picture(80, 60), make_picture(50, 50)
    for image in (photo, painting):
        image.info = dict.fromkeys(("comment", "exif", "xmp", "icc_profile"), TOKEN.encode())
        image.filename = f"{TOKEN}.jpg"  # type: ignore[attr-defined]
    job = Job(photo, [painting], SMALL, visitor=TOKEN, engine=tone)
    job.note = "Ended."
    list(Workshop(archive.folder, ALWAYS).paint(job))
    files = [path for path in archive.folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"job.json", "picture.png", "content.png", "000000.jpg"}
    secrets = (TOKEN, TOKEN[:8], tmp_path.name, str(tmp_path), Path.home().name + "/")
    for path in files:
        data = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in data]
        assert TOKEN not in str(path)
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert set(image.info) <= {KEYWORD}
        elif path.suffix == ".jpg":
            with Image.open(path) as image:
                assert not {"comment", "exif", "xmp", "icc_profile"} & set(image.info)
    assert photo.info["comment"] == TOKEN.encode(), "the caller's picture stays as it is"
    record = json.loads(archive.file(job.id, "job.json").read_bytes())
    assert set(record) == {
        "created", "changed", "state", "note", "iteration", "total", "seconds", "frames", "steps",
        "figures", "recipe",
    }  # fmt: skip


def test_nothing_temporary_is_left(archive: Archive, mock: Job) -> None:
    list(Workshop(archive.folder, ALWAYS).paint(mock))
    names = {path.name for path in archive.file(mock.id, "").iterdir()}
    assert names == {
        "job.json", "picture.png", "content.png", "style-0.png", "thumbnail.jpg", "frames",
    }  # fmt: skip
    assert len(list(archive.file(mock.id, "frames").iterdir())) == 7


def test_a_disk_that_cannot_be_written_to_is_an_os_error(tmp_path: Path, mock: Job) -> None:
    (tmp_path / "file").write_text("")
    archive = Archive(tmp_path / "file")
    with pytest.raises(OSError, match=r"exists|directory"):
        archive.save(mock)
    assert archive.load(mock.id) is None
    assert (archive.ids(), archive.cards("")) == ([], [])
    archive.sweep(0, 0, spare=set())


def test_looking_while_it_is_saved_finds_one_whole_state(archive: Archive, mock: Job) -> None:
    mock.steer(SMALL.replace(iterations=40))
    archive.save(mock)
    over = threading.Event()

    def painter() -> None:
        try:
            for _ in mock.run():
                archive.save(mock)
        finally:
            over.set()

    thread = threading.Thread(target=painter)
    thread.start()
    seen = []
    while not over.is_set():
        job = archive.load(mock.id)
        assert job
        if job.moment:
            assert tone_of(job.moment.picture) == job.moment.iteration == job.recipe().iterations
            seen.append(job.moment.iteration)
    thread.join(10)
    assert seen == sorted(seen)
    assert seen[-1] <= loaded(archive, mock.id).recipe().iterations == 40
