"""Deleted jobs: hidden at once, and restored as they were."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from helpers.deleting import (
    UNDO,
    UNKNOWN,
    Clock,
    clock,
    is_hidden,
    mark_of,
    painted,
    still,
)
from helpers.painting import SMALL, iterations, picture_of
from helpers.working import ALWAYS, PATIENCE, Gate, MakeJob, make_job, settle
from nst.studio.job_store import Card
from nst.studio.sheet_job import Sheet
from nst.studio.task import State, share_id
from nst.studio.workshop import Workshop
from page.examples import ExampleSet
from page.http.job_files import JobFiles, file_routes
from page.rendering import shared_renderings

__all__ = ["clock", "make_job"]  # fixtures


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


# Hidden, and back


@pytest.mark.parametrize("where", ["memory", "disk", "both"])
def test_a_deleted_job_is_hidden_and_comes_back_as_it_was(
    tmp_path: Path, make_job: MakeJob, where: str
) -> None:
    folder = None if where == "memory" else tmp_path
    workshop, job, other = still(folder), make_job(), make_job()
    for each in (job, other):
        workshop.submit(each)
        painted(workshop, each)
    if where == "disk":
        workshop = still(folder)
    card = workshop.card_of(job.id)
    workshop.delete(job.id)
    assert is_hidden(workshop, job)
    assert not is_hidden(workshop, other)
    assert [card.id for card in workshop.cards("jane")] == [other.id]
    assert workshop.restore(job.id)
    assert not is_hidden(workshop, job)
    assert workshop.card_of(job.id) == card
    again = workshop.find_job(job.id)
    assert again
    assert (again.state, again.steps, again.frames) == (State.FINISHED, job.steps, job.frames)
    assert picture_of(again).tobytes() == picture_of(job).tobytes()
    assert {card.id for card in workshop.cards("jane")} == {job.id, other.id}


def test_what_was_deleted_last_is_offered_as_long_as_it_comes_back(
    tmp_path: Path, make_job: MakeJob, clock: Clock
) -> None:
    workshop, first, second = still(tmp_path), make_job(), make_job()
    for job in (first, second):
        workshop.submit(job)
        painted(workshop, job)
    assert workshop.latest_deleted("jane") == ""
    for job in (first, second):
        workshop.delete(job.id)
        clock.ahead += 1
        assert workshop.latest_deleted("jane") == job.id
    assert workshop.latest_deleted("joe") == ""
    assert workshop.restore(second.id)
    assert workshop.latest_deleted("jane") == first.id
    clock.ahead += UNDO
    assert workshop.latest_deleted("jane") == ""


def test_a_painted_job_stops_and_keeps_what_it_has_reached(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    workshop, job = Workshop(tmp_path, ALWAYS), make_job(gate)
    workshop.submit(job)
    gate.wait()
    gate.step()
    gate.step()
    workshop.delete(job.id)
    assert is_hidden(workshop, job)
    gate.open()
    settle(workshop)
    assert is_hidden(workshop, job), "what was written at its end does not bring it back"
    assert (job.state, iterations(job)) == (State.STOPPED, [0, 1, 2])
    after = tmp_path / "after"
    shutil.copytree(tmp_path / job.id, after / job.id)
    for each in (workshop, Workshop(after)):  # here, and after a restart
        assert is_hidden(each, job)
        assert each.restore(job.id)
        again = each.find_job(job.id)
        assert again
        assert (again.state, again.note, iterations(again)) == (State.STOPPED, "", [0, 1, 2])
        assert again.frames == [0, 1, 2]


def test_restored_before_its_iteration_has_ended_it_stops_all_the_same(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    """And it is one job, not a twin from the disk, which can be continued."""
    workshop, job = Workshop(tmp_path, ALWAYS), make_job(gate)
    workshop.submit(job)
    gate.wait()
    gate.step()
    workshop.delete(job.id)
    assert workshop.restore(job.id)
    assert workshop.find(job.id) is job
    gate.open()
    settle(workshop)
    assert (job.state, iterations(job)) == (State.STOPPED, [0, 1])
    job.resume(SMALL)
    workshop.submit(job)
    settle(workshop)
    assert (job.state, iterations(job)) == (State.FINISHED, [0, 1, *range(1, 7)])


def test_a_waiting_job_is_not_painted(tmp_path: Path, make_job: MakeJob, gate: Gate) -> None:
    workshop, first, job = Workshop(tmp_path), make_job(gate), make_job()
    workshop.submit(first)
    gate.wait()
    workshop.submit(job)
    workshop.delete(job.id)
    assert workshop.ahead_of(job) == 0
    assert workshop.wait_until_saved(PATIENCE)
    after = still(tmp_path)
    assert is_hidden(after, job)
    gate.open()
    settle(workshop)
    assert (job.state, job.moment) == (State.STOPPED, None)
    assert is_hidden(workshop, job)
    assert workshop.restore(job.id)
    assert workshop.card_of(job.id) == Card(job.id, job.created, State.STOPPED, 0, 6)
    assert after.card_of(job.id) == Card(job.id, job.created, State.STOPPED, 0, 6)


def test_where_nobody_paints_it_is_written_as_stopped_too(
    tmp_path: Path, make_job: MakeJob
) -> None:
    workshop, job = still(tmp_path), make_job()
    workshop.submit(job)
    assert workshop.wait_until_saved(PATIENCE)
    workshop.delete(job.id)
    assert workshop.wait_until_saved(PATIENCE)
    after = still(tmp_path)
    assert after.restore(job.id)
    assert after.card_of(job.id) == Card(job.id, job.created, State.STOPPED, 0, 6)


def test_a_deleted_job_cannot_be_queued(make_job: MakeJob, tmp_path: Path) -> None:
    """Somebody had opened it before, and presses Continue when it is gone."""
    workshop, job = still(tmp_path), make_job()
    workshop.submit(job)
    painted(workshop, job)
    workshop.delete(job.id)
    job.resume(SMALL.replace(iterations=9))
    workshop.submit(job)
    assert (job.state, workshop.ahead_of(job)) == (State.STOPPED, 0)
    assert is_hidden(workshop, job)
    workshop.save(job)
    assert is_hidden(workshop, job)
    assert is_hidden(still(tmp_path), job)
    assert workshop.restore(job.id)
    job.resume(SMALL.replace(iterations=9))
    workshop.submit(job)
    assert job.state is State.WAITING


@pytest.mark.parametrize("name", ["job.json", "picture.png", "content.png", "style-0.png"])
def test_a_damaged_job_can_be_deleted_and_restored(
    tmp_path: Path, make_job: MakeJob, name: str
) -> None:
    job = painted(still(tmp_path), make_job())
    path = tmp_path / job.id / name
    path.write_bytes(path.read_bytes()[:20])
    workshop = still(tmp_path)
    assert workshop.find(job.id) is None  # which notes the damage
    [card] = workshop.cards("jane")
    assert card.is_damaged
    workshop.delete(job.id)
    assert (workshop.cards("jane"), workshop.card_of(job.id)) == ([], None)
    assert workshop.restore(job.id)
    assert [card.is_damaged for card in workshop.cards("jane")] == [True]
    workshop.delete(job.id)
    assert workshop.cards("jane") == []


def test_a_contact_sheet_is_deleted_from_memory(tmp_path: Path, make_job: MakeJob) -> None:
    workshop, job = still(tmp_path), make_job()
    sheet = Sheet(job.content, job.styles, [], visitor="jane")
    workshop.submit(sheet)
    workshop.delete(sheet.id)
    assert (workshop.find(sheet.id), workshop.latest_sheet("jane")) == (None, None)
    assert workshop.restore(sheet.id)
    assert workshop.latest_sheet("jane") is sheet
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("is_in_memory", [True, False])
def test_its_files_are_not_sent(tmp_path: Path, make_job: MakeJob, is_in_memory: bool) -> None:
    workshop, job = still(tmp_path), make_job()
    if is_in_memory:
        workshop.submit(job)
    painted(workshop, job)
    if not is_in_memory:
        workshop = still(tmp_path)
    web = TestClient(
        Starlette(routes=file_routes(JobFiles(workshop, shared_renderings()), ExampleSet()))
    )
    names = ["picture.png", "picture.jpg", "thumbnail.jpg", "frames/000001.jpg", "timelapse.gif"]
    paths = [f"{job.id}/{name}" for name in names] + [f"shared/{share_id(job.id)}/picture.png"]

    def answers() -> list[tuple[int, bool]]:
        found = [web.get(f"/studio/{path}") for path in paths]
        return [(answer.status_code, bool(answer.content)) for answer in found]

    assert answers() == [(200, True)] * len(paths)
    workshop.delete(job.id)
    # What the page shows by itself is empty: for a browser a 404 would be an error.
    assert answers() == [(404, True), (404, True), (204, False), (204, False), *[(404, True)] * 2]
    assert workshop.restore(job.id)
    assert answers() == [(200, True)] * len(paths)


# Harmless


def test_deleting_twice_does_not_lengthen_the_time(
    tmp_path: Path, make_job: MakeJob, clock: Clock
) -> None:
    workshop = still(tmp_path)
    job = painted(workshop, make_job())
    workshop.delete(job.id)
    clock.ahead = UNDO - 1
    workshop.delete(job.id)
    still(tmp_path).delete(job.id)
    assert mark_of(tmp_path, job).stat().st_mtime == clock.start
    clock.ahead = UNDO + 1
    assert not workshop.restore(job.id)
    assert not still(tmp_path).restore(job.id)


@pytest.mark.parametrize("id", [UNKNOWN, "", "..", "../x", "a\0b", f"{UNKNOWN}/.."])
@pytest.mark.parametrize("has_folder", [True, False])
def test_what_is_no_job_is_neither_deleted_nor_restored(
    tmp_path: Path, id: str, has_folder: bool
) -> None:
    (tmp_path / "x").mkdir()
    workshop = still(tmp_path / "jobs" if has_folder else None)
    workshop.delete(id)
    assert not workshop.restore(id)
    workshop.sweep()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["x"]


def test_restoring_what_is_not_deleted_changes_nothing(tmp_path: Path, make_job: MakeJob) -> None:
    workshop = still(tmp_path)
    job = painted(workshop, make_job())
    assert not workshop.restore(job.id)
    assert not is_hidden(workshop, job)
    workshop.delete(job.id)
    assert workshop.restore(job.id)
    assert not workshop.restore(job.id)
    assert not is_hidden(workshop, job)
    workshop.delete(job.id)
    assert is_hidden(workshop, job)
    assert workshop.restore(job.id)


def test_forgotten_it_cannot_be_restored(tmp_path: Path, make_job: MakeJob) -> None:
    for folder in (tmp_path, None):
        workshop, job = still(folder), make_job()
        workshop.submit(job)
        painted(workshop, job)
        workshop.delete(job.id)
        workshop.forget(job.id)
        assert workshop._deleter.due is None
        assert not workshop.restore(job.id)
        assert is_hidden(workshop, job)
        assert list(tmp_path.iterdir()) == []
        workshop.save(job)
        assert list(tmp_path.iterdir()) == []
