"""The workshop: whose turn it is, what ends a run, and what is kept of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import nst.engine.contact_sheet
import nst.studio.workshop
from helpers.painting import SMALL, assert_replays, engine, iterations, picture_of, tone, tone_of
from helpers.pictures import MakePicture
from helpers.working import ALWAYS, PATIENCE, Gate, MakeJob, assert_ends, make_job, settle
from nst.engine.contact_sheet import plan_sheet
from nst.engine.transfer import Engine, TransferStep
from nst.errors import BusyError
from nst.studio.job import Job
from nst.studio.job_store import Card, JobStore
from nst.studio.limits import Limits
from nst.studio.queue import FULL
from nst.studio.sheet_job import Sheet
from nst.studio.task import UNEXPECTED, State, Task, owner_of
from nst.studio.workshop import CLOSED, TOO_LONG, UNWATCHED, Workshop

__all__ = ["engine", "make_job"]  # fixtures


class Idling(Task):
    """A task that does `work` once."""

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        super().__init__("")
        self.work = work

    def _pieces(self) -> Iterator[object]:
        yield self.work()
        self._become(State.FINISHED)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


# RateLimit


def test_several_painters_paint_at_the_same_time(make_job: MakeJob) -> None:
    workshop = Workshop(limits=Limits(painters=2))
    gates = [Gate() for _ in range(4)]
    jobs = [make_job(gate) for gate in gates]
    for job in jobs:
        workshop.submit(job)
    for gate in gates[:2]:
        gate.wait()
    assert [job.state for job in jobs[2:]] == [State.WAITING] * 2
    assert [workshop.ahead_of(job) for job in jobs] == [0, 0, 2, 3]
    gates[1].open()
    gates[2].wait()
    for gate in gates:
        gate.open()
    for job in jobs:
        assert_ends(job)


def test_who_has_nothing_painted_yet_comes_first(make_job: MakeJob) -> None:
    workshop = Workshop(limits=Limits(painters=2))
    gates = [Gate() for _ in range(5)]
    visitors = ["jane", "ada", "jane", "grace", "ada"]
    jobs = [make_job(gate, visitor=visitor) for gate, visitor in zip(gates, visitors, strict=True)]
    for job, gate in zip(jobs[:2], gates, strict=False):
        workshop.submit(job)
        gate.wait()
    for job in jobs[2:]:
        workshop.submit(job)
    gates[1].open()  # ada's is done; jane has one already, so it is grace's turn
    gates[3].wait()
    assert [jobs[number].state for number in (2, 4)] == [State.WAITING] * 2
    for gate in gates:
        gate.open()
    for job in jobs:
        assert_ends(job)


def test_one_at_a_time_first_come_first_served(make_job: MakeJob) -> None:
    workshop, gate = Workshop(), Gate()
    order: list[int] = []
    busy = threading.Lock()

    def engine_of(number: int) -> Engine:
        def paint(*args: Any, **options: Any) -> Iterator[TransferStep]:
            assert busy.acquire(blocking=False), "one at a time"
            order.append(number)
            yield from (gate if number == 0 else tone)(*args, **options)
            busy.release()

        return paint

    jobs = [make_job(engine_of(number)) for number in range(4)]
    for job in jobs:
        workshop.submit(job)
        assert workshop.find(job.id) is job
    gate.wait()
    assert [workshop.ahead_of(job) for job in jobs] == [0, 1, 2, 3]
    jobs[1].stop()
    assert [workshop.ahead_of(job) for job in jobs] == [0, 0, 1, 2]
    gate.open()
    settle(workshop)
    assert order == [0, 2, 3]
    ends = [State.FINISHED, State.STOPPED, State.FINISHED, State.FINISHED]
    assert [job.state for job in jobs] == ends
    assert [workshop.ahead_of(job) for job in jobs] == [0, 0, 0, 0]


def test_a_full_line_turns_away(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop(limits=Limits(waiting=2))
    workshop.submit(make_job(gate))
    gate.wait()
    waiting = [make_job(), make_job()]
    for job in waiting:
        workshop.submit(job)
    late = make_job()
    with pytest.raises(BusyError, match="Too many pictures are waiting"):
        workshop.submit(late)
    assert workshop.find(late.id) is None
    workshop.submit(waiting[0])  # asking twice takes no room
    assert [workshop.ahead_of(job) for job in waiting] == [1, 2]
    waiting[0].stop()
    late.resume(SMALL)
    workshop.submit(late)
    assert [workshop.ahead_of(job) for job in (waiting[1], late)] == [1, 2]
    gate.open()
    settle(workshop)
    assert iterations(late) == list(range(7))


def test_a_job_that_was_turned_away_can_be_continued_later(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop(limits=Limits(waiting=0))
    job = make_job()
    list(workshop.paint(job))
    job.resume(SMALL.replace(iterations=8))
    with pytest.raises(BusyError):
        workshop.submit(job)
    assert (job.state, job.note) == (State.STOPPED, FULL.format("a minute"))
    job.resume(SMALL.replace(iterations=8))
    list(workshop.paint(job))
    assert iterations(job)[-1] == 8


def test_a_job_submitted_twice_is_painted_once(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop()
    first, job = make_job(gate), make_job()
    workshop.submit(first)
    gate.wait()
    workshop.submit(first)
    workshop.submit(job)
    workshop.submit(job)
    assert [workshop.ahead_of(each) for each in (first, job)] == [0, 1]
    gate.open()
    settle(workshop)
    assert iterations(first) == iterations(job) == list(range(7))
    workshop.submit(job)
    settle(workshop)
    assert iterations(job) == list(range(7)), "it has to be resumed first"


def test_stopped_and_resumed_in_line_is_painted_once(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop()
    first, job = make_job(gate), make_job()
    workshop.submit(first)
    gate.wait()
    workshop.submit(job)
    job.stop()
    job.resume(SMALL.replace(iterations=4))
    workshop.submit(job)
    gate.open()
    settle(workshop)
    assert (job.state, iterations(job)) == (State.FINISHED, list(range(5)))


def test_stopped_in_line_it_is_never_painted(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop()
    first, job = make_job(gate), make_job()
    workshop.submit(first)
    gate.wait()
    workshop.submit(job)
    job.stop()
    gate.open()
    settle(workshop)
    assert (job.state, job.moment) == (State.STOPPED, None)


def test_stop_ends_a_run_after_its_iteration(make_job: MakeJob, gate: Gate) -> None:
    workshop, job = Workshop(), make_job(gate)
    workshop.submit(job)
    gate.wait()
    gate.step()
    job.stop()
    gate.open()
    settle(workshop)
    assert (job.state, job.note, iterations(job)) == (State.STOPPED, "", [0, 1])
    job.resume(SMALL)
    workshop.submit(job)
    settle(workshop)
    assert (job.state, iterations(job)) == (State.FINISHED, [0, 1, *range(1, 7)])


def test_steered_from_another_thread(
    photo: Image.Image, painting: Image.Image, engine: Engine, make_picture: MakePicture
) -> None:
    """The real engine, and a visitor who moves something after every other iteration, or later."""
    workshop, another = Workshop(), make_picture(40, 40, seed=8)
    painted = threading.Semaphore(0)

    def announcing(*args: Any, **options: Any) -> Iterator[TransferStep]:
        for step in engine(*args, **options):
            yield step
            painted.release()

    job = Job(photo, [painting], SMALL.replace(iterations=30), engine=announcing)
    workshop.submit(job)
    for number in range(10):
        assert painted.acquire(timeout=PATIENCE)
        job.steer(job.settings.replace(alpha=2.0 + number), [painting, another][number % 2])
        assert painted.acquire(timeout=PATIENCE)
    settle(workshop)
    assert job.state is State.FINISHED
    assert len(job.passages) > 1
    assert sorted(set(iterations(job))) == list(range(31))
    assert len(iterations(job)) == 31 + len(job.passages) - 1
    assert_replays(job, engine)


def test_resumed_while_the_workshop_is_still_busy_with_its_end(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop, job = Workshop(tmp_path), make_job()
    save = JobStore.save

    def meddling(job_store: JobStore, saved: Job) -> None:
        save(job_store, saved)
        if saved.state is State.FINISHED and saved.settings.iterations == 6:
            saved.resume(SMALL.replace(iterations=9))
            workshop.submit(saved)

    monkeypatch.setattr(JobStore, "save", meddling)
    workshop.submit(job)
    settle(workshop)
    assert (job.state, iterations(job)[-1]) == (State.FINISHED, 9)
    assert Card.of(job) in Workshop(tmp_path).cards("jane")


# Ends


def test_nobody_watching_ends_a_run_and_the_wait(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop(limits=Limits(grace=0.0, grace_in_line=0.0))
    left, waiting, stays = make_job(gate), make_job(), make_job()
    with stays.watched():
        with left.watched():
            workshop.submit(left)
            gate.wait()
            gate.step()
            workshop.submit(waiting)
            workshop.submit(stays)
        gate.open()
        settle(workshop)
    assert (left.state, left.note, iterations(left)) == (State.STOPPED, UNWATCHED, [0, 1])
    assert (waiting.state, waiting.note, waiting.moment) == (State.STOPPED, UNWATCHED, None)
    assert (stays.state, stays.note) == (State.FINISHED, "")


def test_patience_is_shorter_while_others_wait(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop(limits=Limits(grace=1e9, grace_in_line=0.0))
    job, another, gone = make_job(gate), make_job(), make_job()
    workshop.submit(job)
    gate.wait()
    gate.step()
    gate.step()
    assert job.state is State.RUNNING
    workshop.submit(gone)
    gone.stop()  # does not wait any more
    gate.step()
    assert job.state is State.RUNNING
    with another.watched():
        workshop.submit(another)
        gate.open()
        settle(workshop)
    assert (job.state, job.note, iterations(job)) == (State.STOPPED, UNWATCHED, [0, 1, 2, 3])
    assert another.state is State.FINISHED


def test_those_who_left_the_line_make_room(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop(limits=Limits(waiting=1, grace=0.0, grace_in_line=0.0))
    running, gone, new = make_job(gate), make_job(), make_job()
    with running.watched():
        workshop.submit(running)
        gate.wait()
        workshop.submit(gone)
        with new.watched():
            workshop.submit(new)
            assert (gone.state, gone.note) == (State.STOPPED, UNWATCHED)
            gate.open()
            settle(workshop)
    assert new.state is State.FINISHED


def test_the_time_for_one_picture_is_limited(make_job: MakeJob) -> None:
    workshop, job = Workshop(limits=Limits(seconds=-1.0)), make_job()
    workshop.submit(job)
    settle(workshop)
    assert (job.state, job.note) == (State.STOPPED, TOO_LONG.format(-1 / 60, "picture"))
    assert iterations(job) == [0]
    workshop.limits = Limits()
    job.resume(SMALL)
    workshop.submit(job)
    settle(workshop)
    assert job.state is State.FINISHED


def test_a_failure_does_not_end_the_workshop(
    make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object, **__: object) -> Iterator[TransferStep]:
        raise RuntimeError("out of order")

    class Broken(Task):
        def run(self) -> Any:
            raise RuntimeError("a bug")

    workshop, failed, job = Workshop(), make_job(failing), make_job()
    workshop.submit(failed)
    workshop.submit(Broken(""))
    workshop.submit(job)
    settle(workshop)
    assert (failed.state, failed.note) == (State.FAILED, UNEXPECTED)
    assert "the workshop goes on after an error" in caplog.text
    assert job.state is State.FINISHED


# Chores


def test_chores_are_done_a_piece_at_a_time_when_nobody_waits(make_job: MakeJob, gate: Gate) -> None:
    workshop, order = Workshop(), []
    first, second, third = make_job(gate), Idling(lambda: order.append("second")), Idling()
    third.work = lambda: order.append("third")

    def background_task() -> Iterator[None]:
        order.append("piece 1")
        workshop.submit(third)
        yield
        order.append("piece 2")

    workshop.submit(first)
    gate.wait()
    workshop.background_task("a long one", background_task())
    assert workshop.has_background_task("a long one")
    workshop.submit(second)
    gate.open()
    settle(workshop)
    assert order == ["second", "piece 1", "third", "piece 2"]


def test_a_chore_that_fails_is_dropped(make_job: MakeJob, caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Iterator[None]:
        yield from ()
        raise RuntimeError("no network")

    workshop, job = Workshop(), make_job()
    workshop.background_task("fails", failing())
    settle(workshop)
    workshop.submit(job)
    settle(workshop)
    assert job.state is State.FINISHED
    assert caplog.text.count("RuntimeError: no network") == 1
    assert not workshop.has_background_task("fails")


def test_chores_are_few_and_the_latest_is_done_first(make_job: MakeJob, gate: Gate) -> None:
    workshop, job, done = Workshop(limits=Limits(background_tasks=3)), make_job(gate), list[str]()

    def background_task(name: str) -> Iterator[None]:
        done.append(name)
        yield

    workshop.submit(job)
    gate.wait()
    for name in ("a", "b", "c", "b", "d", "d"):
        workshop.background_task(name, background_task(name))
    gate.open()
    settle(workshop)
    assert done == ["d", "b"] or done == ["d", "b", "c"]


def test_one_visitor_cannot_take_the_whole_line(make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop(limits=Limits(waiting_of_one=2))
    workshop.submit(make_job(gate))
    gate.wait()
    for _ in range(2):
        workshop.submit(make_job())
    with pytest.raises(BusyError, match="Several of your pictures"):
        workshop.submit(make_job())
    workshop.submit(make_job(visitor="joe"))


def test_old_jobs_are_swept_when_it_is_quiet(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = threading.Event()
    monkeypatch.setattr(nst.studio.workshop, "SWEEP_EVERY", 0.001)

    def sweep(*_: object, **__: object) -> list[str]:
        swept.set()
        return []

    monkeypatch.setattr(JobStore, "sweep", sweep)
    workshop = Workshop(tmp_path)
    workshop.submit(make_job())
    assert swept.wait(PATIENCE)
    monkeypatch.setattr(nst.studio.workshop, "SWEEP_EVERY", None)


# Keeping


def test_checkpoints_on_the_way_and_at_the_end(
    tmp_path: Path, make_job: MakeJob, engine: Engine
) -> None:
    """What a checkpoint left is opened and continued after a restart."""
    workshop, gate = Workshop(tmp_path / "jobs", ALWAYS), Gate()

    def gated(*args: Any, **options: Any) -> Iterator[TransferStep]:
        for step, _ in zip(engine(*args, **options), gate(*args, **options), strict=True):
            yield step

    job = make_job(gated)
    workshop.submit(job)
    gate.wait()
    for _ in range(4):
        gate.step()
    shutil.copytree(tmp_path / "jobs", tmp_path / "after")  # the process ends here
    gate.open()
    settle(workshop)
    finished = Workshop(tmp_path / "jobs").find_job(job.id)
    assert finished
    assert finished.state is State.FINISHED
    assert finished.frames == list(range(7))
    assert picture_of(finished).tobytes() == picture_of(job).tobytes()
    assert_replays(finished, engine)
    again = Workshop(tmp_path / "after")
    interrupted = again.find_job(job.id)
    assert interrupted
    assert interrupted.state is State.INTERRUPTED
    assert again.cards("jane") == [Card(job.id, job.created, State.INTERRUPTED, 3, 6)]
    interrupted.engine = engine
    interrupted.resume(SMALL)
    again.submit(interrupted)
    settle(again)
    assert iterations(interrupted) == [0, 1, 2, 3, 3, 4, 5, 6]
    assert_replays(interrupted, engine)


def test_the_caller_s_own_thread_does_as_well(tmp_path: Path, make_job: MakeJob) -> None:
    workshop, job = Workshop(tmp_path), make_job()
    pieces = workshop.paint(job)
    assert [next(pieces).iteration for _ in range(3)] == [0, 1, 2]  # type: ignore[attr-defined]
    assert workshop.ahead_of(job) == 0
    pieces.close()  # type: ignore[attr-defined]
    assert job.state is State.STOPPED
    again = Workshop(tmp_path).find_job(job.id)
    assert again
    assert (again.state, again.moment and again.moment.iteration) == (State.STOPPED, 2)
    assert again.frames == [0, 1, 2]


def test_a_job_in_line_outlives_the_process(tmp_path: Path, make_job: MakeJob, gate: Gate) -> None:
    workshop, job = Workshop(tmp_path), make_job()
    workshop.submit(make_job(gate))
    gate.wait()
    workshop.submit(job)
    assert workshop.wait_until_saved(PATIENCE)
    again = Workshop(tmp_path).find_job(job.id)
    assert again
    assert (again.state, again.moment) == (State.INTERRUPTED, None)
    assert again.content.tobytes() == job.content.tobytes()
    gate.open()
    settle(workshop)


@pytest.mark.parametrize("kind", ["file", "full", "odd"])
def test_a_disk_that_fails_does_not_end_a_run(
    tmp_path: Path,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    folder = tmp_path / "folder"
    if kind == "file":
        folder.write_text("in the way")
    else:
        error = OSError(28, "No space left on device") if kind == "full" else OSError("encoder")

        def full(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(Image.Image, "save", full)
    workshop, job = Workshop(folder, ALWAYS), make_job()
    workshop.submit(job)
    settle(workshop)
    assert (job.state, iterations(job)) == (State.FINISHED, list(range(7)))
    assert "a job could not be kept on disk" in caplog.text
    assert "None" not in caplog.text
    assert str(tmp_path) not in caplog.text
    assert workshop.find(job.id) is job
    assert workshop.cards("jane") == [Card.of(job)]
    twin = workshop.branch(job, "jane")
    assert workshop.find(twin.id) is twin
    workshop.forget(job.id)
    assert workshop.find(job.id) is None
    assert not [path for path in tmp_path.rglob("*/*") if path.is_file()]


def test_with_no_folder_nothing_is_written(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workshop, job = Workshop(limits=ALWAYS), make_job()
    workshop.submit(job)
    settle(workshop)
    assert workshop.find(job.id) is job
    assert workshop.branch(job, "jane").recipe() == job.recipe()
    workshop.forget(job.id)
    assert (workshop.find(job.id), job.frames, list(tmp_path.iterdir())) == (None, [], [])


def test_cards_are_one_visitor_s_and_the_latest_first(tmp_path: Path, make_job: MakeJob) -> None:
    before = Workshop(tmp_path)
    jobs = [make_job() for _ in range(3)]
    for created, job in zip((20.0, 30.0, 10.0), jobs, strict=True):
        job.created = created
        list(before.paint(job))
    workshop = Workshop(tmp_path)
    another, sheet = make_job(visitor="john"), Sheet(jobs[0].content, [], [], visitor="jane")
    new = make_job()
    new.created = 25.0
    workshop.submit(another)
    workshop.submit(new)
    sheet.stop()
    settle(workshop)
    assert [card.id for card in workshop.cards("jane")] == [
        jobs[1].id,
        new.id,
        jobs[0].id,
        jobs[2].id,
    ]
    assert [card.id for card in workshop.cards("john")] == [another.id]
    assert workshop.cards("nobody") == []
    assert all(card.state is State.FINISHED for card in workshop.cards("jane"))


def test_memory_is_bounded(tmp_path: Path, make_job: MakeJob, gate: Gate) -> None:
    workshop = Workshop(tmp_path, Limits(remembered=2, waiting_of_one=5))
    jobs = [make_job(settings=SMALL.replace(iterations=1)) for _ in range(5)]
    for job in jobs:
        workshop.submit(job)
    settle(workshop)
    live, new = make_job(gate), make_job()
    workshop.submit(live)
    gate.wait()
    workshop.submit(new)
    assert workshop.in_memory == {jobs[3].id, jobs[4].id, live.id, new.id}
    again = workshop.find_job(jobs[0].id)
    assert again
    assert again is not jobs[0]
    assert again.steps == jobs[0].steps
    assert workshop.find_job(jobs[0].id) is again
    assert workshop.in_memory == {jobs[4].id, live.id, new.id, again.id}
    assert workshop.find(jobs[4].id) is jobs[4], "and looking at it keeps it"
    workshop.find(jobs[1].id)
    assert workshop.in_memory == {jobs[4].id, live.id, new.id, jobs[1].id}
    gate.open()
    settle(workshop)


def test_what_waits_pushes_out_what_is_only_remembered(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    size = make_job().bytes
    workshop = Workshop(tmp_path, Limits(pictures=3 * size))
    ended = [make_job() for _ in range(3)]
    for job in ended:
        workshop.submit(job)
    settle(workshop)
    assert workshop.in_memory == {job.id for job in ended}
    live = [make_job(gate), make_job()]
    for job in live:
        workshop.submit(job)
    assert workshop.in_memory == {ended[-1].id, *(job.id for job in live)}
    workshop.submit(make_job())
    with pytest.raises(BusyError):
        workshop.submit(make_job())
    gate.open()
    settle(workshop)


def test_a_job_is_remembered_until_its_end_is_on_disk(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or somebody would open its last checkpoint instead."""
    workshop, job, other = Workshop(tmp_path, Limits(remembered=1)), make_job(), make_job()
    list(Workshop(tmp_path).paint(other))
    save = JobStore.save
    found: list[Task | None] = []

    def looking(job_store: JobStore, saved: Job) -> None:
        found.extend(workshop.find(each.id) for each in (other, saved))
        save(job_store, saved)

    monkeypatch.setattr(JobStore, "save", looking)
    workshop.submit(job)
    settle(workshop)
    assert found[-1] is job


def test_forgotten_is_gone_for_good(tmp_path: Path, make_job: MakeJob, gate: Gate) -> None:
    """One that is being painted, one that waits, one that is only on disk."""
    workshop = Workshop(tmp_path, ALWAYS)
    old = make_job()
    list(Workshop(tmp_path).paint(old))
    running, waiting, kept = make_job(gate), make_job(), make_job()
    workshop.submit(running)
    gate.wait()
    workshop.submit(waiting)
    workshop.submit(kept)
    gate.step()
    assert workshop.wait_until_saved()
    assert {path.name for path in tmp_path.iterdir()} == {
        old.id, running.id, waiting.id, kept.id,
    }  # fmt: skip
    for job in (old, running, waiting):
        workshop.forget(job.id)
        assert workshop.find(job.id) is None
    gate.open()
    settle(workshop)
    assert [path.name for path in tmp_path.iterdir()] == [kept.id]
    assert [card.id for card in workshop.cards("jane")] == [kept.id]
    assert (running.state, waiting.state) == (State.STOPPED, State.STOPPED)
    assert waiting.moment is None


def test_a_branch_is_another_job(tmp_path: Path, make_job: MakeJob) -> None:
    workshop, job = Workshop(tmp_path), make_job()
    list(workshop.paint(job))
    twin = workshop.branch(job, "john")
    assert twin.id.startswith(owner_of("john"))
    assert workshop.find(twin.id) is twin
    assert twin.state is job.state is State.FINISHED
    assert twin.frames == job.frames == list(range(7))
    twin.resume(SMALL.replace(iterations=8))
    list(workshop.paint(twin))
    workshop.forget(job.id)
    again = Workshop(tmp_path).find_job(twin.id)
    assert again
    assert (tone_of(picture_of(again)), again.frames) == (8, list(range(10)))
    assert workshop.job_store
    assert all(workshop.job_store.frame_file(twin.id, index).is_file() for index in again.frames)
    assert (job.steps[-1].iteration, [card.id for card in workshop.cards("jane")]) == (6, [])


def test_jobs_are_swept_when_a_run_ends(
    tmp_path: Path, make_job: MakeJob, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.studio.workshop, "SWEEP_AT_MOST_EVERY", -1.0)
    workshop = Workshop(tmp_path, Limits(kept=-1.0, checkpoint_every=-1.0))
    ended, live, waiting = make_job(), make_job(gate), make_job()
    workshop.submit(live)
    gate.wait()
    gate.step()
    workshop.submit(waiting)
    list(workshop.paint(ended))
    assert {path.name for path in tmp_path.iterdir()} == {live.id, waiting.id}
    gate.open()
    settle(workshop)
    assert list(tmp_path.iterdir()) == []


def test_no_older_state_takes_the_place_of_a_newer_one(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop, busy, save = Workshop(tmp_path, ALWAYS), threading.Lock(), JobStore.save

    def exclusive(job_store: JobStore, job: Job) -> None:
        assert busy.acquire(blocking=False), "a state is written as a whole"
        save(job_store, job)
        busy.release()

    monkeypatch.setattr(JobStore, "save", exclusive)
    job = make_job(settings=SMALL.replace(iterations=20))
    workshop.submit(job)
    for _ in range(20):
        workshop.save(job)
    workshop.branch(job, "jane")
    settle(workshop)
    again = Workshop(tmp_path).find_job(job.id)
    assert again
    assert (again.state, again.steps) == (State.FINISHED, job.steps)


def test_a_sheet_takes_its_turn_and_is_remembered(
    photo: Image.Image, painting: Image.Image, engine: Engine, tmp_path: Path
) -> None:
    grid = [[tile.replace(iterations=1, size=64) for tile in plan_sheet(SMALL, "beta", "alpha")[0]]]
    workshop = Workshop(tmp_path)
    sheet = Sheet(photo, [painting], grid, visitor="jane", engine=engine)
    workshop.submit(sheet)
    settle(workshop)
    assert sheet.state is State.FINISHED
    assert workshop.find(sheet.id) is sheet
    assert workshop.find_job(sheet.id) is None
    assert workshop.cards("jane") == []
    assert workshop.latest_sheet("jane") is sheet
    assert workshop.latest_sheet("john") is None
    job = sheet.job_of(0, 1, SMALL, "jane")
    job.engine = engine
    workshop.submit(job)
    settle(workshop)
    assert job.state is State.FINISHED
    again = Workshop(tmp_path).find_job(job.id)
    assert again
    assert_replays(again, engine)


class Album(Task):
    """A task of several pictures, which notes in `log` when each is painted."""

    def __init__(self, visitor: str, name: str, count: int, log: list[str]) -> None:
        super().__init__(visitor)
        self.name, self.count, self.log = name, count, log
        self.gate = threading.Event()
        self.is_between = True
        self.is_closed = False

    def _pieces(self) -> Iterator[object]:
        try:
            for number in range(self.count):
                assert self.gate.wait(PATIENCE)
                self.log.append(f"{self.name}{number}")
                yield number
            self._become(State.FINISHED)
        finally:
            self.is_closed = True


def test_a_task_of_many_pictures_gives_way_between_them() -> None:
    workshop, log = Workshop(), list[str]()
    albums = [Album(who, who, 3, log) for who in ("a", "b")]
    single = Album("c", "c", 1, log)
    for task in (*albums, single):
        workshop.submit(task, 9.0)
    for task in (*albums, single):
        task.gate.set()
    settle(workshop)
    assert log[:3] == ["a0", "b0", "c0"]  # everybody has one before anybody has two
    assert sorted(log) == ["a0", "a1", "a2", "b0", "b1", "b2", "c0"]
    assert {task.state for task in (*albums, single)} == {State.FINISHED}
    assert workshop.statistics.ended == {"finished": 3}
    assert {workshop.statistics.durations[each].count for each in ("waiting", "painting")} == {3}


def test_alone_it_does_not_give_way() -> None:
    workshop, log = Workshop(), list[str]()
    album = Album("a", "a", 3, log)
    album.gate.set()
    workshop.submit(album)
    settle(workshop)
    assert log == ["a0", "a1", "a2"]
    assert workshop.statistics.durations["waiting"].count == 1


def test_stopped_where_it_has_given_way_it_ends_there() -> None:
    album = Album("a", "a", 3, [])
    album.gate.set()
    pieces = album.run()
    next(pieces)
    album.give_way()
    assert list(pieces) == []
    assert album.has_given_way
    assert not album.is_closed
    album.stop()
    assert (album.state, album.is_closed, album.has_given_way) == (State.STOPPED, True, False)
    assert list(album.run()) == []


def test_closing_keeps_what_there_is(make_job: MakeJob, gate: Gate, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    painted, waiting = make_job(gate), make_job()
    workshop.submit(painted)
    gate.wait()
    gate.step()
    workshop.submit(waiting)
    closing = threading.Thread(target=workshop.close)
    closing.start()
    gate.open()
    closing.join(PATIENCE)
    assert (painted.state, painted.note) == (State.INTERRUPTED, CLOSED)
    again = Workshop(tmp_path)
    states = {card.id: card.state for card in again.cards("jane")}
    assert states == {painted.id: State.INTERRUPTED, waiting.id: State.INTERRUPTED}
