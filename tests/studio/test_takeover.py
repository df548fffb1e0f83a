"""Servers that share a folder of jobs: one ends, and the next goes on with what it has left."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops
from typing_extensions import override

from helpers.filming import MakeFilm, Observed, film_engine, make_film
from helpers.painting import SMALL, iterations, picture_of, tone, tone_of
from helpers.photo_batches import MakeBatch, make_batch
from helpers.pictures import MakePicture
from helpers.waiting import until
from helpers.working import ALWAYS, PATIENCE, Gate, MakeJob, assert_ends, make_job, settle
from nst.engine.transfer import Engine
from nst.errors import BusyError, TooLargeError
from nst.images.masks import Masks
from nst.settings import PaintingUse, TransferSettings
from nst.studio.backends.base import Backend
from nst.studio.backends.local import LocalBackend
from nst.studio.film_job import FilmEngine
from nst.studio.forecast import Forecast, PlannedRun
from nst.studio.handover_marks import HandoverMarks
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.server_presence import ServerPresence
from nst.studio.task import State
from nst.studio.task_takeover import TaskTakeover
from nst.studio.workshop import CLOSED, CLOSING, Workshop
from nst.video.forecast import FilmForecast

__all__ = ["film_engine", "make_batch", "make_film", "make_job"]  # fixtures


class ToneBackend(Backend):
    """Paints with `engine`, and has room for runs of up to `room` pixels."""

    def __init__(self, engine: Engine = tone, room: int = 10**9) -> None:
        self.paints_with, self.room = engine, room
        self.forecasts: list[PlannedRun] = []

    @override
    def prepare(self) -> None:
        pass

    @override
    def fetch_weights(self, settings: TransferSettings) -> None:
        pass

    @override
    def engine(self) -> Engine:
        return self.paints_with

    @override
    def forecast(self, run: PlannedRun) -> Forecast:
        self.forecasts.append(run)
        return Forecast(1.0, run.settings.size, 0)

    @override
    def free_memory(self, settings: TransferSettings, held: int) -> int | None:
        return self.room


class Filming(ToneBackend):
    """Paints films in this process, with `film_engine`."""

    def __init__(self, film_engine: FilmEngine) -> None:
        super().__init__()
        self.films = FilmPainter(film_engine)

    @property
    @override
    def in_process(self) -> Backend:
        return self.films


class FilmPainter(LocalBackend):
    """Paints films with `paints_with`, and has room for all."""

    def __init__(self, engine: FilmEngine) -> None:
        super().__init__("cpu")
        self.paints_with = engine
        self.when_asked: Callable[[], object] = lambda: None

    @override
    def film_engine(self) -> FilmEngine:
        return self.paints_with

    @override
    def film_forecast(self, *_: object) -> FilmForecast:
        self.when_asked()
        return FilmForecast(2.0, 1.0)

    @override
    def admit(self, *_: object, **__: object) -> Forecast:
        return Forecast(1.0, 64, 0)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken over but by `take_all`."""
    monkeypatch.setattr(TaskTakeover, "start", lambda _: None)
    monkeypatch.setattr(TaskTakeover, "end", lambda *_: None)


def opened(
    folder: Path, limits: Limits = ALWAYS, backend: Backend | None = None
) -> tuple[Workshop, TaskTakeover]:
    """A server's workshop, and what takes jobs over into it."""
    workshop = Workshop(folder, limits, backend or ToneBackend())
    workshop.share_folder()
    assert workshop._takeover
    return workshop, workshop._takeover


def hand_over(workshop: Workshop, gate: Gate) -> None:
    """End a server; the iteration that its painter is at, behind the gate, still comes out."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(workshop.close(hands_over=True)))
    thread.start()
    until(lambda: workshop.is_closing, "the workshop closes")
    gate.open()
    thread.join()
    assert ended == [True]


@pytest.mark.usefixtures("never")
def test_what_is_painted_and_what_waits_goes_on_elsewhere(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path)
    painted, waiting = make_job(gate), make_job(visitor="joe")
    first.submit(painted)
    gate.wait()
    first.submit(waiting)
    gate.step()
    gate.step()
    assert first.wait_until_saved()
    for job in (painted, waiting):
        with pytest.raises(BusyError, match="handed over to another server"):
            second.find(job.id)
    hand_over(first, gate)
    reached = iterations(painted)
    assert (painted.state, painted.note) == (State.INTERRUPTED, CLOSED)
    assert reached[-1] < painted.settings.iterations
    with pytest.raises(BusyError, match="handed over"):
        second.find(painted.id)  # until it is taken
    takeover.take_all()
    taken, other = second.find_job(painted.id), second.find_job(waiting.id)
    assert taken
    assert other
    settle(second)
    assert_ends(taken)
    assert_ends(other)
    again = reached[-1]
    assert iterations(taken) == [*reached, *range(again, painted.settings.iterations + 1)]
    assert tone_of(picture_of(taken)) == painted.settings.iterations
    assert [passage.iteration for passage in taken.recipe().passages] == [0, again]
    assert list((tmp_path / "handed-over").iterdir()) == []
    assert Workshop(tmp_path).find_job(painted.id).state is State.FINISHED  # type: ignore[union-attr]


def test_a_thread_takes_jobs_over(tmp_path: Path, make_job: MakeJob, gate: Gate) -> None:
    (first, _), (second, _) = opened(tmp_path), opened(tmp_path)
    second.take_over_jobs()
    job = make_job(gate)
    first.submit(job)
    gate.wait()
    assert first.wait_until_saved()
    with pytest.raises(BusyError, match="handed over"):
        second.wait_for_job(job.id, 0.0)
    hand_over(first, gate)
    taken = second.wait_for_job(job.id, PATIENCE)
    assert taken
    assert_ends(taken)
    second.close()


@pytest.mark.usefixtures("never")
def test_nothing_is_handed_over_while_it_is_written(
    tmp_path: Path, make_job: MakeJob, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop, _ = opened(tmp_path)
    job = make_job(gate)
    workshop.submit(job)
    gate.wait()
    assert workshop.wait_until_saved()
    is_writing, is_written, offered = threading.Event(), threading.Event(), []
    monkeypatch.setattr(HandoverMarks, "offer", lambda *_: offered.append(is_written.is_set()))
    users = workshop._saver.locks._locks

    def write() -> None:
        with workshop._saver.writing(job.id):
            is_writing.set()
            until(lambda: offered or users[job.id][1] > 1, "somebody waits for it, or does not")
            is_written.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert is_writing.wait(PATIENCE)
    workshop.close(0.0, hands_over=True)
    writer.join()
    assert offered == [True]


@pytest.mark.usefixtures("never")
def test_an_iteration_that_lasts_too_long_is_begun_again_elsewhere(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path)
    job = make_job(gate)
    first.submit(job)
    gate.wait()
    gate.step()
    gate.step()  # the picture of the iteration before is on disk
    assert not first.close(0.0, hands_over=True)
    takeover.take_all()
    taken = second.find_job(job.id)
    assert taken
    settle(second)
    assert_ends(taken)
    gate.open()
    settle(first)  # what the first server still did is nowhere
    kept = Workshop(tmp_path).find_job(job.id)
    assert kept
    assert kept.state is State.FINISHED
    assert iterations(kept) == iterations(taken)


@pytest.mark.usefixtures("never")
def test_what_has_ended_is_nobody_s_to_go_on_with(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path)
    done, stopped, deleted = make_job(), make_job(), make_job(gate)
    first.submit(done)
    settle(first)
    first.submit(deleted)
    gate.wait()
    first.submit(stopped)
    stopped.stop()
    first.delete(deleted.id)
    hand_over(first, gate)
    assert second.job_store
    assert second.job_store.handover.ids() == []
    takeover.take_all()
    assert second.in_memory == set()


@pytest.mark.usefixtures("never")
def test_after_a_crash_visitors_decide(tmp_path: Path, make_job: MakeJob, gate: Gate) -> None:
    """A job may have been what it died of: nobody goes on with it unasked."""
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path)
    job = make_job(gate)
    first.submit(job)
    gate.wait()
    assert first.wait_until_saved()
    assert first.job_store
    assert first.job_store.presence
    first.job_store.presence.end()  # as the system does when the process is gone
    takeover.take_all()
    found = second.find_job(job.id)
    assert found
    assert found.state is State.INTERRUPTED


@pytest.mark.usefixtures("never")
def test_a_job_is_taken_once(tmp_path: Path, make_job: MakeJob, gate: Gate) -> None:
    (first, _), (second, takeover), (third, rival) = (opened(tmp_path) for _ in range(3))
    job = make_job(gate)
    first.submit(job)
    gate.wait()
    hand_over(first, gate)
    takeover.take_all()
    rival.take_all()
    assert second.in_memory == {job.id}
    assert third.in_memory == set()


@pytest.mark.usefixtures("never")
def test_without_room_a_job_can_be_continued_by_hand(
    tmp_path: Path, make_job: MakeJob, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path, backend=ToneBackend(room=1))
    job = make_job(gate)
    first.submit(job)
    gate.wait()
    hand_over(first, gate)
    takeover.take_all()
    assert "taken over, but not painted" in caplog.text
    found = second.find_job(job.id)
    assert found
    assert found.state is State.INTERRUPTED
    with pytest.raises(TooLargeError):
        second.backend.admit(PlannedRun((8, 8), [(8, 8)], found.settings))


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("limits", [{"waiting_of_one": 1}, {"waiting": 1}, {"wait": 0.5}])
def test_what_another_server_has_admitted_waits_here_too(
    tmp_path: Path, make_job: MakeJob, gate: Gate, limits: dict[str, Any]
) -> None:
    (first, _), (second, takeover) = (
        opened(tmp_path),
        opened(tmp_path, Limits(painters=0, **limits)),
    )
    jobs = [make_job(gate) for _ in range(3)]
    for job in jobs:
        first.submit(job)
    gate.wait()
    hand_over(first, gate)
    takeover.take_all()
    assert second.load.waiting == 3


@pytest.mark.usefixtures("never")
def test_what_another_server_has_admitted_needs_memory(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path, Limits(0, pictures=1))
    jobs = [make_job(gate) for _ in range(2)]
    for job in jobs:
        first.submit(job)
    gate.wait()
    hand_over(first, gate)
    takeover.take_all()
    assert second.load.waiting == 1
    assert second.statistics.refused["memory"] == 1


def test_what_is_taken_while_the_server_is_asked_to_leave_is_left_to_the_next(
    tmp_path: Path, make_job: MakeJob, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = opened(tmp_path)
    job = make_job(gate)
    first.submit(job)
    gate.wait()
    hand_over(first, gate)
    is_claiming, is_asked_to_end = threading.Event(), threading.Event()
    ready, end = TaskTakeover._ready, TaskTakeover.end

    def ready_late(takeover: TaskTakeover, job: Job, settings: TransferSettings) -> float:
        is_claiming.set()
        assert is_asked_to_end.wait(PATIENCE)
        return ready(takeover, job, settings)

    def end_now(takeover: TaskTakeover, seconds: float) -> None:
        is_asked_to_end.set()
        end(takeover, seconds)

    monkeypatch.setattr(TaskTakeover, "_ready", ready_late)
    monkeypatch.setattr(TaskTakeover, "end", end_now)
    second, _ = opened(tmp_path, Limits(painters=0))
    second.take_over_jobs()
    assert is_claiming.wait(PATIENCE)
    assert second.close(hands_over=True)
    assert second.job_store
    assert second.job_store.handover.ids() == [job.id]


@pytest.mark.usefixtures("never")
def test_regions_count_in_the_forecast(
    tmp_path: Path, make_job: MakeJob, gate: Gate, photo: Image.Image, painting: Image.Image
) -> None:
    backend = ToneBackend()
    (first, _), (_, takeover) = opened(tmp_path), opened(tmp_path, backend=backend)
    mask = Image.new("L", photo.size, 255)
    masks = Masks((mask, ImageChops.invert(mask)))
    settings = SMALL.replace(paintings=(PaintingUse(), PaintingUse()))
    paintings = [painting, painting.rotate(90)]
    job = Job(photo, paintings, settings, visitor="joe", engine=tone, masks=masks)
    first.submit(make_job(gate))
    gate.wait()
    first.submit(job)
    hand_over(first, gate)
    takeover.take_all()
    assert [run.regions for run in backend.forecasts] == [0, masks.count]


@pytest.mark.usefixtures("never")
def test_what_was_seen_before_gives_way_to_what_was_painted_since(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path)
    job = make_job()
    first.submit(job)
    settle(first)
    seen = second.find_job(job.id)
    assert seen
    job.engine = gate
    job.resume(job.settings.replace(iterations=9))
    first.submit(job)
    gate.wait()
    hand_over(first, gate)
    takeover.take_all()
    taken = second.find_job(job.id)
    assert taken
    assert taken is not seen
    settle(second)
    assert taken.steps[-1].total == 9


@pytest.mark.usefixtures("never")
def test_what_was_wanted_of_a_job_that_waits_is_not_forgotten(
    tmp_path: Path, make_job: MakeJob, gate: Gate
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path)
    finished, steered = make_job(), make_job(visitor="joe")
    first.submit(finished)
    settle(first)
    first.submit(make_job(gate, visitor="ann"))
    gate.wait()
    finished.resume(finished.settings.replace(iterations=9))
    first.submit(finished)
    first.submit(steered)
    steered.steer(steered.settings.replace(beta=3.0))
    assert first.wait_until_saved()
    hand_over(first, gate)
    takeover.take_all()
    settle(second)
    longer, changed = second.find_job(finished.id), second.find_job(steered.id)
    assert longer
    assert changed
    assert iterations(longer) == [*range(7), *range(6, 10)]
    assert [passage.settings.beta for passage in changed.recipe().passages] == [3.0]


@pytest.mark.usefixtures("never")
def test_a_painting_that_was_not_begun_with_is_left_out(
    tmp_path: Path, make_job: MakeJob, gate: Gate, make_picture: MakePicture
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path)
    first.submit(make_job(gate, visitor="ann"))
    gate.wait()
    job = make_job()
    first.submit(job)
    job.steer(job.settings.replace(beta=3.0), make_picture(30, 30, seed=9))
    hand_over(first, gate)
    takeover.take_all()
    settle(second)
    taken = second.find_job(job.id)
    assert taken
    assert taken.state is State.FINISHED
    assert taken.recipe().settings == job.passages[0].settings


def test_a_closing_workshop_takes_no_jobs(tmp_path: Path, make_job: MakeJob) -> None:
    workshop, job = Workshop(tmp_path), make_job()
    assert workshop.close(hands_over=True)
    assert workshop.is_closing
    with pytest.raises(BusyError, match=CLOSING):
        workshop.check_room("jane")
    with pytest.raises(BusyError, match=CLOSING):
        workshop.submit(job)
    assert (job.state, job.note) == (State.STOPPED, CLOSING)


def test_a_folder_that_cannot_be_shared_is_only_logged(
    tmp_path: Path, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jobs").write_text("no folder")
    workshop, job = Workshop(tmp_path / "jobs", backend=ToneBackend()), make_job()
    workshop.share_folder()
    assert "cannot be shared" in caplog.text
    workshop.submit(job)
    settle(workshop)
    assert job.state is State.FINISHED
    workshop.close(hands_over=True)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_servers_know_who_lives(tmp_path: Path) -> None:
    one, other = ServerPresence(tmp_path), ServerPresence(tmp_path)
    assert other.is_alive(one.name)
    assert not one.is_alive(one.name)  # it asks of others
    one.end()
    one.end()
    assert not other.is_alive(one.name)
    (tmp_path / "servers" / "server-dead").mkdir()
    for name in ("", "../servers", "server-dead", "server-unheard"):
        assert not other.is_alive(name)
    (tmp_path / "servers" / "server-dead2").mkdir()
    last = ServerPresence(tmp_path)  # sweeps
    assert {path.name for path in (tmp_path / "servers").iterdir()} == {other.name, last.name}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "servers").iterdir()} == {0o700}


def test_marks_keep_their_order_and_go_to_one(tmp_path: Path) -> None:
    marks = HandoverMarks(tmp_path)
    assert marks.ids() == []
    marks.offer({"c": SMALL, "a": SMALL, "b": SMALL.replace(alpha=2.0)})
    assert marks.wanted("b") == SMALL.replace(alpha=2.0)
    assert marks.wanted("d") is None
    for damaged in ("", "[1]", '{"alpha": "x"}', "[" * 10**5, '{"nothing": 1}'):
        (tmp_path / "handed-over" / "a").write_text(damaged)
        assert marks.wanted("a") is None
    marks.offer({"c": SMALL, "a": SMALL, "b": SMALL})
    assert marks.ids() == ["c", "a", "b"]
    assert [marks.claim("a"), marks.claim("a"), marks.claim("d")] == [True, False, False]
    assert [marks.has("a"), marks.has("b")] == [False, True]


@pytest.mark.usefixtures("never")
def test_a_batch_goes_on_with_the_photos_that_are_missing(
    tmp_path: Path, make_batch: MakeBatch, gate: Gate
) -> None:
    (first, _), (second, takeover) = opened(tmp_path), opened(tmp_path)
    batch = make_batch(first, 4, engine=gate, damaged=(0,))
    first.submit(batch)
    gate.wait()
    while not batch.done:
        gate.step()
    assert first.wait_until_saved()
    with pytest.raises(BusyError, match="handed over to another server"):
        second.find(batch.id)
    hand_over(first, gate)
    assert batch.state is State.INTERRUPTED
    painted = {number: batch.files.picture(number).read_bytes() for number in batch.done}
    assert len(painted) < 3
    assert batch.failed.keys() == {0}
    takeover.take_all()
    taken = second.find_batch(batch.id)
    assert taken
    settle(second)
    assert (taken.state, taken.missing) == (State.FINISHED, [])
    assert taken.failed == batch.failed
    assert {number: taken.files.picture(number).read_bytes() for number in painted} == painted
    assert Workshop(tmp_path).find_batch(batch.id).state is State.FINISHED  # type: ignore[union-attr]


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("is_waiting", [False, True])
def test_a_film_goes_on_from_its_last_frame(
    tmp_path: Path, make_film: MakeFilm, film_engine: FilmEngine, is_waiting: bool
) -> None:
    folder = tmp_path / "jobs"
    backend = Filming(film_engine)
    (first, _), (second, takeover) = opened(folder), opened(folder, backend=backend)
    is_there, seen = threading.Event(), list[bool]()
    backend.films.when_asked = lambda: seen.append(film.id in second.in_memory)

    def hold(frame: int) -> None:
        engine.gate.clear()
        is_there.set()

    engine = Observed(film_engine, hold)
    film, other = make_film(3), make_film(3, visitor="ada", engine=engine)
    if is_waiting:
        pieces = film.run()
        while film.count < 1:
            next(pieces)
        film.give_way()
        deque(pieces, maxlen=0)
    else:
        film, other = other, film
    first.submit(other if is_waiting else film, 1.0)
    assert is_there.wait(PATIENCE)
    first.submit(film if is_waiting else other, 1.0)
    first._is_closing.set()  # as `close` does, before it waits for the frame under way
    engine.gate.set()
    assert first.close(PATIENCE, hands_over=True)
    assert (film.state, film.count) == (State.INTERRUPTED, 1)
    takeover.take_all()
    taken = second.find_film(film.id)
    assert taken
    assert taken.count >= 1
    assert seen[0] is False, "nobody sees it as one that has ended"
    settle(second)
    assert (taken.state, taken.count) == (State.FINISHED, 3)
    assert second.find_film(other.id).state is State.FINISHED  # type: ignore[union-attr]
    assert list((folder / "handed-over").iterdir()) == []
