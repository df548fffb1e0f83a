"""Damaged job files: one card that says so and can be deleted, and never an exception."""

from __future__ import annotations

import io
import json
import math
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import escape
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from helpers.painting import tone
from helpers.pictures import MakePicture
from nst.hub.gallery import Gallery
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.job_record import DamagedError, parse_record, read_file
from nst.studio.job_store import JobStore
from nst.studio.limits import Limits
from nst.studio.task import State, owner_of
from nst.studio.task_stores import TaskStores
from nst.studio.workshop import Workshop
from page.examples import ExampleSet
from page.http.job_files import JobFiles, file_routes
from page.panels.own_gallery import DAMAGED, gallery_markup
from page.panels.result_panel import takeaway_markup, timelapse_markup
from page.rendering import shared_renderings
from page.studio import Studio

pytestmark = pytest.mark.slow


TOKEN = "jane"
SMALL = TransferSettings(size=64, iterations=3)
NAMES = ("job.json", "picture.png", "content.png", "style-0.png")
DAMAGED_MARKUP = escape(DAMAGED)
FRAMES = ("000000.jpg", "000001.jpg", "000002.jpg", "000003.jpg")


def kept_job(folder: Path, make_picture: MakePicture) -> Job:
    """A finished job with frames, on disk."""
    job = Job(make_picture(80, 60), [make_picture(50, 70)], SMALL, visitor=TOKEN, engine=tone)
    list(Workshop(folder, Limits(checkpoint_every=-1.0)).paint(job))
    return job


@pytest.fixture
def job(tmp_path: Path, make_picture: MakePicture) -> Job:
    return kept_job(tmp_path, make_picture)


def short(value: object) -> str:
    """The name of a test's value."""
    return ascii(value)[:30]


def open_everything(folder: Path, id: str) -> tuple[str, Job | None]:
    """What a page asks of the store when its owner comes, opens the card, and looks at the film."""
    workshop = Workshop(folder)
    gallery_markup(workshop.cards(TOKEN), 3600)
    job = workshop.find_job(id)
    if job:
        assert job.moment is None or job.moment.picture.mode == "RGB"
        assert math.isfinite(time.time() - job.created + job.changed + job.seconds)
        takeaway_markup(job, "stylized")
        timelapse_markup(job)
        json.dumps([[step.J, step.elapsed, step.iteration] for step in job.steps])
        assert job.recipe()
    return gallery_markup(workshop.cards(TOKEN), 3600), job


def is_damaged(folder: Path, id: str) -> bool:
    """Opened, it is no job but one card that says so."""
    markup, job = open_everything(folder, id)
    assert (DAMAGED_MARKUP in markup) == (job is None)
    assert markup.count('<div class="card ') == 1
    return job is None


def change_record(folder: Path, id: str, **changes: Any) -> None:
    path = folder / id / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


IMPOSSIBLE: list[Any] = [1e300, math.nan, math.inf, -math.inf, -1, None, True, "1", [], {}, 10**400]


@pytest.mark.parametrize("value", IMPOSSIBLE, ids=short)
@pytest.mark.parametrize("name", ["created", "changed", "seconds", "iteration", "total"])
def test_a_number_that_cannot_be(tmp_path: Path, job: Job, name: str, value: Any) -> None:
    change_record(tmp_path, job.id, **{name: value})
    assert is_damaged(tmp_path, job.id)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "painted"),
        ("state", 1),
        ("note", None),
        ("note", "x" * 10_000),
        ("recipe", 1),
        ("frames", 1),
        ("frames", [1.5]),
        ("frames", [[0]]),
        ("frames", [-1]),
        ("steps", [[]]),
        ("steps", {"0": 1}),
        ("steps", [[0, 3, 64, 48, math.nan, 0.5, 0.5, {}, 0.1, 0.1]]),
        ("steps", [[0, 3, 64, 48, 1.0, 0.5, 0.5, {"relu1_1": "1"}, 0.1, 0.1]]),
        ("steps", [[0, 3, 64, 48, 1.0, 0.5, 0.5, {}, 0.1]]),
        ("figures", ["iteration"]),
        ("figures", 7),
    ],
    ids=short,
)
def test_a_field_that_cannot_be(tmp_path: Path, job: Job, name: str, value: Any) -> None:
    change_record(tmp_path, job.id, **{name: value})
    assert is_damaged(tmp_path, job.id)


def test_frames_that_are_no_steps_are_passed_over(tmp_path: Path, job: Job) -> None:
    change_record(tmp_path, job.id, frames=[0, 2, 3, 900, 2])
    assert not is_damaged(tmp_path, job.id)
    found = Workshop(tmp_path).find_job(job.id)
    assert found
    assert found.frames == [0, 2, 3]


def test_records_of_earlier_and_later_versions_are_read(tmp_path: Path, job: Job) -> None:
    """Earlier ones do not tell the names of their figures; later ones may have more of them."""
    record = json.loads((tmp_path / job.id / "job.json").read_bytes())
    steps = [[0, 3, 64, 48, 1.5, 0.5, 0.25, {"relu1_1": 2}, 0.1, 0.2]]
    del record["figures"]
    old = parse_record(json.dumps({**record, "steps": steps}).encode())
    names = ["more", "iteration", "total", "width", "height", "J", "content", "style", "layers"]
    figures = [*names, "elapsed", "remaining"]
    later = {**record, "steps": [["x", *steps[0]]], "figures": figures, "more": "x"}
    new = parse_record(json.dumps(later).encode())
    assert old.steps == new.steps
    assert (new.steps[0].J, new.steps[0].remaining) == (1.5, 0.2)


def put(path: Path, kind: str) -> None:
    """Another thing in the place of a file."""
    data = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.with_name("elsewhere").write_bytes(data)
        path.symlink_to(path.with_name("elsewhere"))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "half":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(10**12)
    elif kind == "bomb":
        image, buffer = Image.new("1", (30_000, 2000)), io.BytesIO()
        image.save(buffer, format="PNG")
        path.write_bytes(buffer.getvalue())


KINDS = ("missing", "pipe", "folder", "link", "device", "empty", "half", "sparse", "bomb")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_another_thing_in_the_place_of_a_file(
    tmp_path: Path, job: Job, name: str, kind: str
) -> None:
    """Nobody waits for a pipe, and nothing is read without end."""
    put(tmp_path / job.id / name, kind)
    if (name, kind) == ("picture.png", "missing"):
        assert not is_damaged(tmp_path, job.id), "nothing was painted yet, as far as is known"
    else:
        assert is_damaged(tmp_path, job.id)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_job_can_be_deleted(tmp_path: Path, job: Job, name: str) -> None:
    put(tmp_path / job.id / name, "half")
    assert is_damaged(tmp_path, job.id)
    workshop = Workshop(tmp_path)
    assert workshop.card_of(job.id)
    workshop.forget(job.id)
    assert workshop.card_of(job.id) is None
    assert workshop.cards(TOKEN) == []
    assert not (tmp_path / job.id).exists()


def test_one_damaged_job_hides_no_other(
    tmp_path: Path, job: Job, make_picture: MakePicture
) -> None:
    other = kept_job(tmp_path, make_picture)
    change_record(tmp_path, job.id, created=1e300)
    cards = {card.id: card for card in Workshop(tmp_path).cards(TOKEN)}
    assert {card.id: card.is_damaged for card in cards.values()} == {job.id: True, other.id: False}
    assert 0 < cards[job.id].created <= time.time()


def test_a_job_that_was_only_begun_to_be_written_is_no_card(tmp_path: Path, job: Job) -> None:
    """The pictures are written first; a crash then leaves no job, and the sweep takes them."""
    for name in ("job.json", "picture.png", "thumbnail.jpg"):
        (tmp_path / job.id / name).unlink()
    assert TaskStores(JobStore(tmp_path)).cards(owner_of(TOKEN)) == []


def test_a_card_is_read_again_when_its_file_was_written(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_store, reads = JobStore(tmp_path), list[str]()

    def counted(path: Path, most: int) -> bytes:
        reads.append(path.name)
        return read_file(path, most)

    monkeypatch.setattr("nst.studio.job_store.read_file", counted)
    first = TaskStores(job_store).cards(owner_of(TOKEN))
    assert TaskStores(job_store).cards(owner_of(TOKEN)) == first
    assert reads == ["job.json"]
    job.stop()
    job.state = State.STOPPED
    job_store.save(job)
    assert [card.state for card in TaskStores(job_store).cards(owner_of(TOKEN))] == [State.STOPPED]
    assert reads == ["job.json"] * 2


# The page

REQUEST: Any = SimpleNamespace(session_hash="tab", query_params={})


@pytest.mark.parametrize("value", [1e300, math.nan])
def test_the_owner_s_page_opens_and_the_card_can_be_deleted(
    unserved_studio: Studio, tmp_path: Path, make_picture: MakePicture, value: float
) -> None:
    studio, home = unserved_studio, tmp_path / "jobs"
    job = kept_job(home, make_picture)
    change_record(home, job.id, created=value)
    click: Any = SimpleNamespace(job=job.id)
    assert DAMAGED_MARKUP in studio.visits.arrive(TOKEN, REQUEST)[studio.session.gallery]
    opened = studio.own_pictures.open_card(TOKEN, click, REQUEST)
    assert "it can only be deleted" in opened[studio.session.result_panel.status]
    assert studio.session.current not in opened
    left = studio.own_pictures.delete_card("another", "", "", click, REQUEST)
    assert (home / job.id).exists(), "only its owner can"
    left = studio.own_pictures.delete_card(TOKEN, "", "", click, REQUEST)
    assert 'class="card ' not in left[studio.session.gallery]
    assert studio.session.workshop.card_of(job.id) is None
    assert studio.session.workshop.restore(job.id), "for a while it can be brought back"
    studio.session.workshop.forget(job.id)
    assert not (home / job.id).exists()


@pytest.mark.parametrize("id", ["", "..", "../jobs", "jane", f"{owner_of(TOKEN)}-", "a\0b"])
def test_what_is_no_job_is_not_deleted(unserved_studio: Studio, tmp_path: Path, id: str) -> None:
    click: Any = SimpleNamespace(job=id)
    unserved_studio.own_pictures.delete_card(TOKEN, "", "", click, REQUEST)
    assert (tmp_path / "metadata.jsonl").exists()


def test_a_job_that_was_never_painted_can_be_begun_again(
    unserved_studio: Studio, tmp_path: Path, make_picture: MakePicture
) -> None:
    """The server was killed before the first picture: settings and pictures are in their places."""
    studio = unserved_studio
    job = Job(make_picture(80, 60), [make_picture(50, 70)], SMALL, visitor=TOKEN)
    JobStore(tmp_path / "jobs").save(job)
    arrived = studio.visits.arrive(TOKEN, REQUEST)
    assert arrived[studio.session.current] == job.id
    assert Path(arrived[studio.session.photo]["file"]["path"]).is_file()
    found = studio.session.own_job(job.id, TOKEN)
    assert found
    ended = studio.painting.see_the_end(found.id, TOKEN, REQUEST)
    assert "press Stylize to paint it" in ended[studio.session.result_panel.status]
    assert 'class="card ' in ended[studio.session.gallery], "it is still there"


# Frames


def web(folder: Path) -> TestClient:
    gallery: Gallery | None = None
    return TestClient(
        Starlette(
            routes=file_routes(
                JobFiles(Workshop(folder), shared_renderings()), ExampleSet(), gallery
            )
        )
    )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "link"])
@pytest.mark.parametrize("name", FRAMES)
def test_a_damaged_frame_is_left_out_of_the_film(
    tmp_path: Path, job: Job, name: str, kind: str
) -> None:
    assert job.frames == [0, 1, 2, 3]
    put(tmp_path / job.id / "frames" / name, kind)
    job_store = JobStore(tmp_path)
    frames = [job_store.read_frame(job.id, index) for index in range(4)]
    assert [frame is None for frame in frames] == [name == each for each in FRAMES]
    answer = web(tmp_path).get(f"/studio/{job.id}/timelapse.gif")
    assert answer.status_code == 200
    with Image.open(io.BytesIO(answer.content)) as film:
        assert getattr(film, "n_frames", 1) >= 2


def test_all_frames_damaged_is_still_an_answer(tmp_path: Path, job: Job) -> None:
    for name in FRAMES:
        put(tmp_path / job.id / "frames" / name, "half")
    assert web(tmp_path).get(f"/studio/{job.id}/timelapse.gif").status_code in (200, 404)


# Anything at all

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=8)
    | st.sampled_from([1e300, 10**400, "running", "finished", -1, 2**63]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
Whole = dict[str, bytes]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Whole]:
    """A job's folder, its id, and the bytes of its files."""
    folder = tmp_path_factory.mktemp("damaged")
    noise = [Image.effect_noise(size, 60).convert("RGB") for size in ((80, 60), (50, 70))]
    job = kept_job(folder, lambda width, _: noise[width == 50])
    files = {name: (folder / job.id / name).read_bytes() for name in NAMES}
    return folder, job.id, files


def restore(folder: Path, id: str, files: Whole) -> None:
    for name, data in files.items():
        (folder / id / name).write_bytes(data)


PROPERTY = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@PROPERTY
@given(data=st.data())
def test_any_value_of_any_field(whole: tuple[Path, str, Whole], data: st.DataObject) -> None:
    folder, id, files = whole
    restore(folder, id, files)
    record = json.loads(files["job.json"])
    for name in data.draw(st.lists(st.sampled_from(sorted(record)), min_size=1, max_size=3)):
        record[name] = data.draw(JSON)
    (folder / id / "job.json").write_text(json.dumps(record))
    is_damaged(folder, id)


@PROPERTY
@given(name=st.sampled_from(NAMES), data=st.data())
def test_any_bytes_in_any_file(
    whole: tuple[Path, str, Whole], name: str, data: st.DataObject
) -> None:
    folder, id, files = whole
    restore(folder, id, files)
    damaged = bytearray(files[name])
    size = len(damaged)
    for at in data.draw(st.lists(st.integers(0, size - 1), max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, size) | st.just(size))
    (folder / id / name).write_bytes(bytes(damaged[:end]) + data.draw(st.binary(max_size=8)))
    open_everything(folder, id)


def test_a_record_is_never_more_than_damaged() -> None:
    for data in (b"", b"{}", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"created": 1e999}', b"NaN"):
        with pytest.raises(DamagedError):
            parse_record(data)
