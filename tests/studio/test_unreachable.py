"""Tasks whose workers cannot be reached: they say so, wait, and go on by themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

import nst.studio.task
from helpers.painting import SMALL, tone
from nst.engine.contact_sheet import plan_sheet
from nst.engine.minimization import DistantState, LostStateError
from nst.engine.schedule import Moment
from nst.engine.transfer import TransferStep
from nst.errors import UnreachableError
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.queue import TaskQueue
from nst.studio.sheet_job import Sheet
from nst.studio.task import State
from nst.studio.workshop import Workshop
from page.looks import looked_at
from page.panels.contact_sheet import sheet_markup

AWAY = "The cluster cannot be reached."


class Flaky:
    """An engine that cannot be reached at some of its calls, and breaks off after two steps."""

    def __init__(self, *away: int) -> None:
        self.away = away
        self.calls = 0

    def __call__(self, *pictures: Any, **options: Any) -> Iterator[TransferStep]:
        self.calls += 1
        if self.calls in self.away:
            raise UnreachableError(AWAY)
        for count, step in enumerate(tone(*pictures, **options)):
            yield step
            if count == 2 and self.calls + 1 in self.away:
                raise UnreachableError(AWAY)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nst.studio.task, "TRY_AGAIN", 0.0)


def test_a_job_says_why_it_waits_and_goes_on(photo: Image.Image, painting: Image.Image) -> None:
    job = Job(photo, [painting], SMALL, visitor="v", engine=Flaky(1, 2, 4, 5))
    workshop = Workshop(limits=Limits(painters=0))
    notes = list[str]()
    for piece in job.run():
        notes.append(job.note)
        if not job.steps:
            assert piece is None
            assert AWAY in str(looked_at(job, workshop)["status"])
    assert (job.state, job.note) == (State.FINISHED, "")
    assert notes[:3] == [AWAY, AWAY, ""]
    assert notes.count(AWAY) == 5
    iterations = [step.iteration for step in job.steps]
    assert iterations == [0, 1, 2, 2, 3, 4, 5, 6]
    assert [passage.iteration for passage in job.passages] == [0, 2]


def test_a_job_can_be_stopped_while_it_waits(photo: Image.Image, painting: Image.Image) -> None:
    job = Job(photo, [painting], SMALL, visitor="v", engine=Flaky(*range(1, 100)))
    for count, _ in enumerate(job.run()):
        if count == 3:
            job.stop()
    assert job.state is State.STOPPED


def test_a_sheet_is_painted_anew(photo: Image.Image, painting: Image.Image) -> None:
    grid = plan_sheet(SMALL, "beta", "style_scale")
    sheet = Sheet(photo, [painting], grid, visitor="v", engine=Flaky(1))
    seen = [str(sheet_markup(sheet, 0)) for _ in sheet.run()]
    assert AWAY in seen[0]
    assert AWAY not in seen[1]
    assert (sheet.state, sheet.note) == (State.FINISHED, "")


def test_a_lost_state_leaves_the_picture(photo: Image.Image, painting: Image.Image) -> None:
    def engine(*pictures: Any, begin: Moment | None, **options: Any) -> Iterator[TransferStep]:
        if begin and begin.state:
            raise LostStateError
        return tone(*pictures, begin=begin, **options)

    job = Job(photo, [painting], SMALL, visitor="v", engine=engine)
    job.moment = Moment(photo, 3, DistantState((1, 3), None))
    list(job.run())
    assert job.state is State.FINISHED
    assert not job.passages[-1].continues
    assert [step.iteration for step in job.steps] == [3, 4, 5, 6]


def test_an_outage_is_no_painting(
    photo: Image.Image, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try takes a minute, and a picture may be painted for half of one."""
    seconds = [0.0]
    monkeypatch.setattr("nst.studio.workshop.time.monotonic", lambda: seconds[0])

    def hold_up(job: Job, error: UnreachableError) -> None:
        seconds[0] += 60.0

    monkeypatch.setattr(Job, "_hold_up", hold_up)
    job = Job(photo, [painting], SMALL, visitor="v", engine=Flaky(1, 2, 4, 5))
    workshop = Workshop(limits=Limits(painters=0, seconds=30.0))
    deque(workshop.paint(job), maxlen=0)
    assert (job.state, job.note) == (State.FINISHED, "")
    assert seconds == [300.0]
    assert workshop.statistics.durations["first_picture"].seconds == 0.0


def test_what_is_held_up_is_counted(photo: Image.Image, painting: Image.Image) -> None:
    queue = TaskQueue(Limits())
    job = Job(photo, [painting], SMALL, visitor="v", engine=Flaky(1))
    queue.join(job)
    assert queue.take() is job
    assert (queue.load.painted, queue.load.held_up) == (1, 0)
    pieces = job.run()
    next(pieces)
    assert (queue.load.painted, queue.load.held_up) == (1, 1)
    next(pieces)
    assert (queue.load.painted, queue.load.held_up) == (1, 0)


def test_a_continued_job_says_again_why_it_waits(photo: Image.Image, painting: Image.Image) -> None:
    job = Job(photo, [painting], SMALL, visitor="v", engine=Flaky(*range(1, 100)))
    for _ in job.run():
        job.stop()
    assert (job.state, job.note, job.is_held_up) == (State.STOPPED, "", False)
    job.resume(SMALL)
    pieces = job.run()
    next(pieces)
    assert job.note == AWAY


def test_the_reason_of_a_stop_outlasts_an_outage(photo: Image.Image, painting: Image.Image) -> None:
    def engine(*pictures: Any, **options: Any) -> Iterator[TransferStep]:
        job.stop("Enough.")
        raise UnreachableError(AWAY)

    job = Job(photo, [painting], SMALL, visitor="v", engine=engine)
    list(job.run())
    assert (job.state, job.note) == (State.STOPPED, "Enough.")


def test_an_ended_job_does_not_say_that_it_waits(photo: Image.Image, painting: Image.Image) -> None:
    job = Job(photo, [painting], SMALL, visitor="v", engine=Flaky(1))
    pieces = job.run()
    next(pieces)
    assert job.note == AWAY
    job._become(State.INTERRUPTED)
    assert (job.note, job.is_held_up) == ("", False)
