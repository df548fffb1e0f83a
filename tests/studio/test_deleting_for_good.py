"""Deleted jobs: how long they can be restored, and what makes them go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import nst.studio.job_folder
import nst.studio.workshop
from helpers.deleting import (
    UNDO,
    Clock,
    clock,
    is_hidden,
    is_on_disk,
    painted,
    still,
)
from helpers.working import ALWAYS, PATIENCE, Gate, MakeJob, make_job, settle
from nst.studio.limits import Limits
from nst.studio.workshop import Workshop

__all__ = ["clock", "make_job"]  # fixtures


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


# Its end


def test_it_can_be_restored_for_so_long_and_then_goes(
    tmp_path: Path, make_job: MakeJob, clock: Clock
) -> None:
    workshop, early, late = still(tmp_path), make_job(), make_job()
    for job in (early, late):
        workshop.submit(job)
        painted(workshop, job)
        workshop.delete(job.id)
    clock.ahead = UNDO
    workshop.sweep()
    assert workshop.restore(early.id)
    assert is_on_disk(tmp_path, late)
    clock.ahead = UNDO + 1
    assert not workshop.restore(late.id)
    assert is_hidden(workshop, late)
    workshop.sweep()
    assert not is_on_disk(tmp_path, late)
    assert not is_hidden(workshop, early)
    assert workshop._deleter.due is None
    workshop.save(late)
    assert not is_on_disk(tmp_path, late), "nothing of it is written any more"
    assert not workshop.restore(late.id)


def test_the_mark_survives_a_restart(tmp_path: Path, make_job: MakeJob, clock: Clock) -> None:
    before = still(tmp_path, undo=50.0)
    early, late, kept = (painted(before, make_job()) for _ in range(3))
    for job in (early, late):
        before.delete(job.id)
    clock.ahead = 50 - 1
    workshop = still(tmp_path, undo=50.0)
    workshop.sweep()  # as every start does
    assert [card.id for card in workshop.cards("jane")] == [kept.id]
    assert workshop.restore(early.id)
    clock.ahead = 50 + 1
    workshop = still(tmp_path, undo=50.0)
    assert not workshop.restore(late.id)
    workshop.sweep()
    assert not is_on_disk(tmp_path, late)
    assert {card.id for card in workshop.cards("jane")} == {early.id, kept.id}


def test_jobs_in_memory_go_too(make_job: MakeJob, clock: Clock) -> None:
    workshop, job, kept = still(), make_job(), make_job()
    for each in (job, kept):
        workshop.submit(each)
        workshop.delete(each.id)
        assert is_hidden(workshop, each)
    clock.ahead = UNDO
    assert workshop.restore(kept.id)
    clock.ahead = UNDO + 1
    assert not workshop.restore(job.id)
    assert workshop.in_memory == {job.id, kept.id}
    workshop.sweep()
    assert workshop.in_memory == {kept.id}


def test_an_idle_workshop_deletes_it_in_time(
    tmp_path: Path, make_job: MakeJob, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread wakes up for that, long before the next sweep without work."""
    over, delete = threading.Event(), nst.studio.job_folder.delete_folder

    def observed(home: Path) -> None:
        delete(home)
        over.set()

    monkeypatch.setattr("nst.studio.job_folder.delete_folder", observed)
    job, other = (painted(still(tmp_path), make_job()) for _ in range(2))
    workshop = Workshop(tmp_path)
    workshop.delete(job.id)
    clock.ahead = UNDO + 1
    workshop.delete(other.id)  # the clock of a test wakes nobody
    assert over.wait(PATIENCE)
    assert (is_on_disk(tmp_path, job), is_on_disk(tmp_path, other)) == (False, True)


def test_only_the_first_painter_watches_the_time(make_job: MakeJob, clock: Clock) -> None:
    """The others would find it over again and again while the first one paints."""
    workshop, job = Workshop(limits=Limits(painters=2)), make_job()
    assert workshop._until_sweep() == nst.studio.workshop.SWEEP_EVERY
    workshop._deleter.marks.note(job.id)
    assert workshop._until_sweep() == UNDO + 1
    clock.ahead = 10 * UNDO
    assert workshop._until_sweep() == 0.0


def test_a_sweep_for_age_leaves_it_its_time(
    tmp_path: Path, make_job: MakeJob, clock: Clock
) -> None:
    workshop = still(tmp_path, kept=100.0)
    old, job = (painted(workshop, make_job()) for _ in range(2))
    workshop.delete(job.id)
    clock.ahead = 200.0
    workshop.sweep()
    assert (is_on_disk(tmp_path, old), is_on_disk(tmp_path, job)) == (False, True)
    assert workshop.restore(job.id)


def test_it_takes_room_and_gives_way_first(tmp_path: Path, make_job: MakeJob, clock: Clock) -> None:
    """The one deleted longest ago, and all of them before the oldest job that is not."""
    workshop = still(tmp_path)
    jobs = [painted(workshop, make_job()) for _ in range(4)]
    for age, job in enumerate(jobs):
        path = tmp_path / job.id / "ballast"
        path.write_bytes(bytes(1_000_000))
        then = clock.start - 1000 * age
        os.utime(tmp_path / job.id / "job.json", (then, then))
    for after, job in enumerate(jobs[:2]):  # the newest
        clock.ahead = 10.0 * after
        workshop.delete(job.id)
    oldest = {job.id for job in jobs[2:]}

    def left(most: int) -> set[str]:
        workshop.limits = Limits(painters=0, bytes=most)
        workshop._deleter.limits = workshop.limits
        workshop.sweep()
        return {path.name for path in tmp_path.iterdir()}

    assert left(5_000_000) == {job.id for job in jobs}
    assert left(3_500_000) == oldest | {jobs[1].id}
    assert not workshop.restore(jobs[0].id)
    assert left(2_500_000) == oldest
    assert not workshop.restore(jobs[1].id)
    assert left(1_500_000) == {jobs[2].id}


def test_it_gives_way_first_in_memory(make_job: MakeJob) -> None:
    workshop = still(remembered=2)
    deleted, *jobs = [make_job() for _ in range(4)]
    for job in (jobs[0], deleted):
        workshop.submit(job)
        painted(workshop, job)
    workshop.delete(deleted.id)
    for job in jobs[1:]:
        workshop.submit(job)
        painted(workshop, job)
        workshop.find(job.id)
    live = make_job()
    workshop.submit(live)
    assert workshop.in_memory == {jobs[1].id, jobs[2].id, live.id}
    assert not workshop.restore(deleted.id)


def test_restored_while_a_sweep_looks_it_stays(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop, size = still(tmp_path, bytes=0), nst.studio.job_folder.size
    job = painted(still(tmp_path), make_job())
    workshop.delete(job.id)
    answers: list[bool] = []

    def restoring(home: Path) -> int:
        answers.append(workshop.restore(home.name))
        return size(home)

    monkeypatch.setattr("nst.studio.job_folder.size", restoring)
    workshop.sweep()
    assert answers == [True]
    assert not is_hidden(workshop, job)


def test_deleted_while_a_sweep_looks_it_keeps_its_time(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop, size = still(tmp_path, kept=-1.0), nst.studio.job_folder.size
    job = painted(still(tmp_path), make_job())

    def deleting(home: Path) -> int:
        workshop.delete(home.name)
        return size(home)

    monkeypatch.setattr("nst.studio.job_folder.size", deleting)
    workshop.sweep()
    assert workshop.restore(job.id)


def test_while_it_is_still_painted_no_sweep_takes_it(
    tmp_path: Path, make_job: MakeJob, gate: Gate, clock: Clock
) -> None:
    """Or its last checkpoint would bring it back."""
    workshop, job = Workshop(tmp_path, ALWAYS), make_job(gate)
    workshop.submit(job)
    gate.wait()
    gate.step()
    workshop.delete(job.id)
    clock.ahead = UNDO + 1
    assert not workshop.restore(job.id)
    workshop.sweep()
    assert is_on_disk(tmp_path, job)
    gate.open()
    settle(workshop)
    workshop.sweep()
    assert not is_on_disk(tmp_path, job)
    assert is_hidden(workshop, job)
