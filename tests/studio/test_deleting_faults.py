"""Deleted jobs, crashes, full disks, and several clicks at once."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from helpers.deleting import (
    UNDO,
    Clock,
    clock,
    is_hidden,
    is_on_disk,
    mark_of,
    painted,
    still,
)
from helpers.painting import SMALL
from helpers.working import ALWAYS, PATIENCE, MakeJob, make_job, settle
from nst.studio.job import Job
from nst.studio.job_store import JobStore
from nst.studio.task import State, share_id
from nst.studio.workshop import Workshop

__all__ = ["clock", "make_job"]  # fixtures


# Faults


class Crash(BaseException):
    """The process ends."""


@pytest.mark.parametrize("count", range(9))
def test_what_a_crash_leaves_at_its_end_does_not_come_back(
    tmp_path: Path, make_job: MakeJob, clock: Clock, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    job = painted(still(tmp_path), make_job())
    still(tmp_path).delete(job.id)
    clock.ahead = UNDO + 1
    left = count
    unlink, rmtree = Path.unlink, shutil.rmtree

    def crash_at_some(act: Any) -> Any:
        def acting(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash
            return act(*args, **options)

        return acting

    monkeypatch.setattr(Path, "unlink", crash_at_some(unlink))
    monkeypatch.setattr(shutil, "rmtree", crash_at_some(rmtree))
    try:
        still(tmp_path).sweep()
    except Crash:
        assert count < 7
    else:
        assert count >= 7, "five files, the frames, and the folder with its mark"
    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    workshop = still(tmp_path)
    assert is_hidden(workshop, job)
    assert not workshop.restore(job.id)
    workshop.sweep()
    assert not is_on_disk(tmp_path, job)


def test_a_folder_that_does_not_go_stays_hidden(
    tmp_path: Path, make_job: MakeJob, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = still(tmp_path)
    job = painted(workshop, make_job())
    workshop.delete(job.id)
    clock.ahead = UNDO + 1
    unlink = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path.name == "content.png":
            raise PermissionError(13, "in use")
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refusing)
        workshop.sweep()
    for each in (workshop, still(tmp_path)):
        assert mark_of(tmp_path, job).exists()
        assert is_hidden(each, job)
        assert not each.restore(job.id)
    workshop.sweep()
    assert not is_on_disk(tmp_path, job)


def test_a_disk_that_takes_no_mark_hides_it_in_memory(
    tmp_path: Path,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    workshop = still(tmp_path)
    job = painted(workshop, make_job())
    monkeypatch.setattr(Path, "touch", refuse)
    workshop.delete(job.id)
    assert is_hidden(workshop, job)
    assert "a deletion could not be marked on disk: Read-only file system" in caplog.text
    assert str(tmp_path) not in caplog.text
    assert workshop.restore(job.id)
    assert not is_hidden(workshop, job)


def test_a_disk_that_keeps_the_mark_restores_nothing(
    tmp_path: Path,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    workshop = still(tmp_path)
    job = painted(workshop, make_job())
    workshop.delete(job.id)
    monkeypatch.setattr(Path, "unlink", refuse)
    assert not workshop.restore(job.id)
    assert is_hidden(workshop, job), "or a restart would hide it once more"
    assert "a deleted job could not be restored: Read-only file system" in caplog.text


@pytest.mark.parametrize("folder", [Path(__file__) / "jobs", Path("/proc/nst/jobs")])
def test_a_job_that_is_nowhere_on_disk_is_restored_from_memory(
    folder: Path, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    workshop, job = still(folder), make_job()
    workshop.submit(job)
    painted(workshop, job)
    workshop.delete(job.id)
    assert workshop.cards("jane") == []
    assert workshop.restore(job.id)
    assert workshop.find(job.id) is job


# Several at once


class Stall:
    """A method of the job store that waits, the first time, until it is let go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        real = getattr(JobStore, name)

        def waiting(*args: Any, **options: Any) -> Any:
            if not self.reached.is_set():
                self.reached.set()
                assert self.go.wait(PATIENCE)
            return real(*args, **options)

        monkeypatch.setattr(JobStore, name, waiting)

    def wait(self) -> None:
        assert self.reached.wait(PATIENCE)


def started(act: Any, *args: Any) -> threading.Thread:
    thread = threading.Thread(target=act, args=args, daemon=True)
    thread.start()
    return thread


def test_a_job_that_is_being_written_does_not_come_back(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sees it from the click on, while its checkpoint takes its time."""
    workshop, job = Workshop(tmp_path, ALWAYS), make_job()
    stall = Stall(monkeypatch, "save")
    workshop.submit(job)
    stall.wait()
    click = started(workshop.delete, job.id)
    while not workshop._deleter.marks.is_noted(job.id):
        assert click.is_alive()
    assert (workshop.cards("jane"), workshop.card_of(job.id)) == ([], None)
    assert workshop.find_shared(share_id(job.id)) is None
    stall.go.set()
    click.join(PATIENCE)
    settle(workshop)
    assert workshop.wait_until_saved(PATIENCE)
    assert (tmp_path / job.id / "job.json").exists()
    for each in (workshop, still(tmp_path)):
        assert is_hidden(each, job)
    assert workshop.restore(job.id)
    for each in (workshop, still(tmp_path)):
        card = each.card_of(job.id)
        assert card
        assert card.state is State.STOPPED or job.state is State.FINISHED


def test_a_job_that_is_just_being_opened_is_hidden_too(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, workshop = painted(still(tmp_path), make_job()), still(tmp_path)
    stall = Stall(monkeypatch, "_load")
    found: list[Job | None] = []
    look = started(lambda: found.append(workshop.find_job(job.id)))
    stall.wait()
    click = started(workshop.delete, job.id)
    while not workshop._deleter.marks.is_noted(job.id):
        assert click.is_alive()
    stall.go.set()
    for thread in (look, click):
        thread.join(PATIENCE)
    assert is_hidden(workshop, job)
    [opened] = found
    assert opened, "who opened it before the click has it"
    opened.resume(SMALL.replace(iterations=9))
    workshop.submit(opened)
    assert is_hidden(workshop, job)
    assert workshop.restore(job.id)
    assert workshop.find(job.id) is opened


def test_restored_before_it_is_marked_it_stays(tmp_path: Path, make_job: MakeJob) -> None:
    """The click on Undo overtakes the rest of the deletion, which waits for the job's files."""
    workshop = still(tmp_path)
    job = painted(workshop, make_job())
    with workshop._saver.locks.held(job.id):
        click = started(workshop.delete, job.id)
        while not workshop._deleter.marks.is_noted(job.id):
            assert click.is_alive()
        assert workshop.restore(job.id)
    click.join(PATIENCE)
    for each in (workshop, still(tmp_path)):
        assert not is_hidden(each, job)


def test_a_deletion_waits_for_no_other_job(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(tmp_path, ALWAYS)
    unwanted = painted(still(tmp_path), make_job())
    stall, job = Stall(monkeypatch, "save"), make_job()
    workshop.submit(job)
    stall.wait()
    workshop.delete(unwanted.id)
    assert is_hidden(workshop, unwanted)
    assert workshop.restore(unwanted.id)
    assert not stall.go.is_set()
    stall.go.set()
    settle(workshop)


def test_clicks_of_several_tabs_leave_one_whole_state(tmp_path: Path, make_job: MakeJob) -> None:
    """Whatever comes last, a job is hidden everywhere or nowhere, and all of it is there."""
    workshop = still(tmp_path)
    job = painted(workshop, make_job())

    def click(times: int) -> None:
        for _ in range(times):
            workshop.delete(job.id)
            workshop.find(job.id)
            workshop.restore(job.id)
            workshop.save(job)

    tabs = [started(click, 40) for _ in range(4)]
    for tab in tabs:
        tab.join(PATIENCE)
        assert not tab.is_alive()
    workshop.restore(job.id)
    assert not is_hidden(workshop, job)
    assert not is_hidden(still(tmp_path), job)
    assert workshop.wait_until_saved(PATIENCE)
    assert len(workshop._saver.locks) == 0
