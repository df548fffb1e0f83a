"""Jobs: steered, stopped, continued, copied, with recipes that lead to the same picture again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from PIL import Image

import nst.engine.contact_sheet
import nst.engine.objective
import nst.images.recipe
import nst.studio.job
import nst.studio.sheet_job
from helpers.emulated_device import emulated_device
from helpers.painting import (
    SMALL,
    assert_replays,
    engine,
    iterations,
    job,
    lacking,
    paint,
    picture_of,
    tone,
    tone_of,
)
from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst.caches import LRUCache
from nst.engine.contact_sheet import plan_sheet
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.errors import NumericalError, SettingsError, WeightsError
from nst.images.recipe import Passage
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.job_store import ID
from nst.studio.sheet_job import Sheet
from nst.studio.task import UNEXPECTED, State, Task, new_id, owner_of

__all__ = ["engine", "job"]  # fixtures

TWO_SCALES = TransferSettings(size=160, iterations=24, restructure="much")  # 80 and 160 pixels
ENDS = (State.FINISHED, State.STOPPED, State.FAILED)


def change(job: Job, settings: TransferSettings) -> None:
    """What a page does, whatever state the job has come to meanwhile."""
    with job.lock:
        if job.state.is_live:
            job.steer(settings)
        else:
            job.resume(settings)


def state_of(task: Task) -> State:
    """The state now: the type checker takes an attribute for what it was a line before."""
    return task.state


@pytest.fixture
def mock(photo: Image.Image, painting: Image.Image) -> Job:
    return Job(photo, [painting], SMALL, visitor="v", engine=tone)


def test_a_job_paints_what_the_engine_paints(job: Job, engine: Engine) -> None:
    assert state_of(job) is State.WAITING
    *_, last = engine(job.content, job.styles, SMALL)
    versions = []
    for _ in job.run():
        assert state_of(job) is State.RUNNING
        versions.append(job.version)
    assert state_of(job) is State.FINISHED
    assert iterations(job) == list(range(7))
    assert picture_of(job).tobytes() == last.image.tobytes()
    assert versions == sorted(set(versions)), "each step can be seen to be new"
    assert all(step.pixels.numel() == 0 for step in job.steps), "figures keep no pixels"
    assert_replays(job, engine)


@pytest.mark.parametrize("every", [0.0, 1000.0])  # seconds
def test_on_a_gpu_few_iterations_wait_for_a_picture(
    photo: Image.Image,
    painting: Image.Image,
    make_network: MakeNetwork,
    monkeypatch: pytest.MonkeyPatch,
    every: float,
) -> None:
    monkeypatch.setattr(nst.studio.job, "PICTURE_EVERY", every)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "Emulated")
    with emulated_device("cuda") as device:
        paint = partial(transfer_style, network=make_network(device="cuda"))
        assert sum(1 for _ in paint(photo, painting, SMALL)) == 7  # and no picture
        alone = sum(device.waits.values())
        nst.engine.objective.targets.forget()
        device.clear()
        job = Job(photo, [painting], SMALL, visitor="v", engine=paint)
        seen = [job.moment.iteration for _ in job.run() if job.moment]
        made = sum(device.waits.values()) - alone
    assert job.state is State.FINISHED
    assert seen == (list(range(7)) if every == 0 else [0, 6])
    assert made == len(seen)
    assert [step.iteration for step in job.steps] == list(range(7))  # figures are of all


@pytest.mark.parametrize(
    "changes",
    [
        {"alpha": 5.0},
        {"beta": 0.2},
        {"layer_weights": {"relu1_1": 1.0, "relu3_1": 3.0}},
        {"total_variation": 2.0},
        {"iterations": 9},
        {"optimizer": "adam"},
        {"size": 80},
        {"restructure": "much"},
    ],
)
def test_an_edit_holds_from_the_next_iteration_on(
    job: Job, engine: Engine, changes: dict[str, object]
) -> None:
    edited = SMALL.replace(**changes)
    for _ in job.run():
        if iterations(job) == [0, 1, 2]:
            before = job.moment
            job.steer(edited)
            assert job.settings == edited
    assert job.passages == [Passage(0, SMALL), Passage(2, edited, continues=True)]
    assert iterations(job) == [0, 1, 2, *range(2, edited.iterations + 1)]
    *_, last = engine(job.content, job.styles, edited, begin=before)
    assert picture_of(job).tobytes() == last.image.tobytes(), "it went on from where it was"
    assert_replays(job, engine)


def test_edits_at_both_scales_replay(job: Job, engine: Engine) -> None:
    job.steer(TWO_SCALES)
    for _ in job.run():
        if iterations(job)[-1] in (2, 7):  # 80 and 160 pixels
            job.steer(job.settings.replace(alpha=2.0 + iterations(job)[-1]))
    assert [passage.iteration for passage in job.passages] == [0, 2, 7]
    assert {step.width for step in job.steps} == {80, 160}
    assert iterations(job)[-1] == 24
    assert_replays(job, engine)


def test_an_edit_works_out_no_targets_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Counting(LRUCache[Any, Any]):
        def recall(self, key: Hashable, make: Callable[[], Any]) -> Any:
            def counted() -> Any:
                made.append(key)
                return make()

            return super().recall(key, counted)

    monkeypatch.setattr(nst.engine.objective, "targets", Counting(2**28))
    for _ in job.run():
        if iterations(job)[-1] == 2 and len(job.passages) == 1:
            needed = len(made)
            job.steer(job.settings.replace(alpha=3.0, beta=0.5, total_variation=1.0, iterations=5))
    assert len(job.passages) == 2
    assert len(made) == needed > 0


def test_what_is_the_same_already_changes_nothing(job: Job) -> None:
    for _ in job.run():
        job.steer(SMALL, job.painting.copy())
        job.steer(SMALL)
    assert job.passages == [Passage(0, SMALL)]
    assert iterations(job) == list(range(7))
    assert len(job.styles) == 1


def test_there_and_back_between_two_iterations_changes_nothing(mock: Job) -> None:
    for _ in mock.run():
        mock.steer(SMALL.replace(alpha=9.0))
        mock.steer(SMALL)
    assert mock.passages == [Passage(0, SMALL)]


def test_several_edits_between_two_iterations_are_one(mock: Job, make_picture: MakePicture) -> None:
    another = make_picture(30, 30, seed=5)
    for _ in mock.run():
        if iterations(mock) == [0, 1, 2]:
            mock.steer(SMALL.replace(alpha=9.0))
            mock.steer(SMALL.replace(alpha=9.0), another)
            mock.steer(SMALL.replace(beta=3.0))
    assert mock.passages == [Passage(0, SMALL), Passage(2, SMALL.replace(beta=3.0), (1,))]


def test_an_edit_at_every_iteration_still_makes_progress(job: Job, engine: Engine) -> None:
    for count, _ in enumerate(job.run(), 1):
        assert count < 20
        job.steer(job.settings.replace(alpha=1.0 + count))
    assert state_of(job) is State.FINISHED
    assert iterations(job)[-1] == 6
    assert [passage.iteration for passage in job.passages] == [0, 1, 2, 3, 4, 5]
    assert_replays(job, engine)


def test_an_edit_while_waiting_is_how_it_begins(mock: Job) -> None:
    mock.steer(SMALL.replace(iterations=2, alpha=3.0))
    assert mock.settings.iterations == 2
    paint(mock)
    assert mock.passages == [Passage(0, SMALL.replace(iterations=2, alpha=3.0))]
    assert iterations(mock) == [0, 1, 2]


@pytest.mark.parametrize("wanted", [1, 4, 5])
def test_fewer_iterations_than_done_end_the_run(job: Job, wanted: int, engine: Engine) -> None:
    for _ in job.run():
        if iterations(job)[-1] == 5 and len(job.passages) == 1:
            job.steer(SMALL.replace(iterations=wanted))
    assert iterations(job) == [0, 1, 2, 3, 4, 5, 5]
    assert state_of(job) is State.FINISHED
    assert job.steps[-1].total == 5
    assert_replays(job, engine)


def test_fewer_iterations_than_done_bring_a_coarse_picture_to_its_size(
    job: Job, engine: Engine
) -> None:
    job.steer(TWO_SCALES)
    for _ in job.run():
        if iterations(job)[-1] == 2 and len(job.passages) == 1:
            assert job.steps[-1].width == 80
            job.steer(TWO_SCALES.replace(iterations=1))
    assert (job.steps[-1].iteration, job.steps[-1].width) == (2, 160)
    assert picture_of(job).width == 160
    assert_replays(job, engine)


def test_more_iterations_at_the_last_one_go_on(job: Job, engine: Engine) -> None:
    for step in job.run():
        assert isinstance(step, TransferStep)
        if step.iteration == step.total == 6:
            job.steer(SMALL.replace(iterations=8))
    assert iterations(job) == [*range(7), 6, 7, 8]
    assert state_of(job) is State.FINISHED
    assert_replays(job, engine)


def test_an_edit_after_the_last_iteration_has_nothing_left_to_paint(mock: Job) -> None:
    for step in mock.run():
        assert isinstance(step, TransferStep)
        if step.iteration == step.total:
            mock.steer(SMALL.replace(alpha=9.0))
    assert state_of(mock) is State.FINISHED
    assert mock.passages == [Passage(0, SMALL)]
    assert mock.settings == SMALL, "it says what was painted"


def test_the_colour_dial_paints_nothing_again(mock: Job) -> None:
    for _ in mock.run():
        before = mock.version
        mock.steer(SMALL.replace(colors=0.25))
        assert mock.version == before + (iterations(mock) == [0])
    assert mock.passages == [Passage(0, SMALL)]
    mock.dial(-1.0)
    assert (mock.colors, mock.settings.colors, mock.recipe().colors) == (-1.0, -1.0, -1.0)
    assert mock.recipe().settings == SMALL.replace(colors=-1.0)
    assert state_of(mock) is State.FINISHED
    before = mock.version
    mock.dial(-1.0)
    assert mock.version == before


def test_the_painting_can_be_swapped_and_swapped_back(
    job: Job, make_picture: MakePicture, painting: Image.Image, engine: Engine
) -> None:
    another = make_picture(44, 44, seed=7)
    for _ in job.run():
        if iterations(job)[-1] == 2:
            job.steer(job.settings, another)
        if iterations(job)[-1] == 4:
            job.steer(job.settings, painting.copy())
    assert [(each.iteration, each.styles) for each in job.passages] == [
        (0, (0,)),
        (2, (1,)),
        (4, (0,)),
    ]
    assert len(job.styles) == 2
    assert job.painting.tobytes() == painting.tobytes()
    assert_replays(job, engine)


def test_one_painting_takes_the_place_of_several(
    photo: Image.Image, painting: Image.Image, make_picture: MakePicture, engine: Engine
) -> None:
    another = make_picture(44, 44, seed=7)
    job = Job(photo, [painting, another], SMALL, engine=engine)
    assert job.passages[0].styles == (0, 1)
    for _ in job.run():
        if iterations(job) == [0, 1]:
            job.steer(SMALL, another)
    assert job.passages[1].styles == (1,)
    assert [image.tobytes() for image in job.paintings] == [another.tobytes()]
    assert_replays(job, engine)


def test_stopped_while_waiting_paints_nothing(mock: Job) -> None:
    mock.stop("no time")
    assert (mock.state, mock.note) == (State.STOPPED, "no time")
    assert list(mock.run()) == []
    assert mock.moment is None
    mock.resume(SMALL)
    assert mock.note == ""
    assert paint(mock).state is State.FINISHED
    assert iterations(mock) == list(range(7))


def test_stopped_after_the_last_iteration_it_is_finished(mock: Job) -> None:
    for _ in mock.run():
        if mock.steps[-1].iteration == SMALL.iterations:
            mock.stop("no time")
    assert (state_of(mock), mock.note) == (State.FINISHED, "")


def test_stopped_after_the_last_iteration_an_edit_is_still_to_be_painted(mock: Job) -> None:
    for _ in mock.run():
        if mock.steps[-1].iteration == SMALL.iterations:
            mock.steer(SMALL.replace(iterations=9))
            mock.stop()
    assert state_of(mock) is State.STOPPED


@pytest.mark.parametrize("last", [0, 1, 3, 5])
def test_stopped_and_resumed_goes_on_from_there(job: Job, last: int, engine: Engine) -> None:
    id = job.id
    paint(job, until=last)
    assert state_of(job) is State.STOPPED
    assert iterations(job) == list(range(last + 1))
    assert_replays(job, engine)
    job.resume(SMALL.replace(alpha=2.0))
    assert state_of(job) is State.WAITING
    assert paint(job).state is State.FINISHED
    assert job.id == id
    assert iterations(job) == [*range(last + 1), *range(last, 7)]
    assert_replays(job, engine)


def test_stopped_at_a_passage_s_first_step_and_resumed_at_another_size(
    job: Job, engine: Engine
) -> None:
    paint(job, until=3)
    job.resume(SMALL.replace(size=96))
    paint(job, until=3)  # the picture was brought to 96 pixels, and nothing more
    assert picture_of(job).width == 96
    assert_replays(job, engine)
    job.resume(SMALL.replace(size=80))
    paint(job)
    assert iterations(job) == [0, 1, 2, 3, 3, 3, 4, 5, 6]
    assert_replays(job, engine)


@pytest.mark.parametrize(
    "settings",
    [SMALL.replace(iterations=8), SMALL.replace(size=96), SMALL.replace(size=96, iterations=7)],
)
def test_a_finished_job_goes_on_longer_or_larger(
    job: Job, settings: TransferSettings, engine: Engine
) -> None:
    paint(job)
    assert job.seconds > 0
    before = job.seconds
    job.resume(settings)
    paint(job)
    assert state_of(job) is State.FINISHED
    assert (job.steps[-1].iteration, job.steps[-1].width) == (settings.iterations, settings.size)
    assert job.seconds > before
    assert [a.elapsed <= b.elapsed for a, b in pairwise(job.steps)].count(False) == 0
    assert_replays(job, engine)


def test_a_finished_job_with_nothing_more_to_do_is_finished(mock: Job) -> None:
    paint(mock)
    mock.resume(SMALL)
    assert list(mock.run()) == []
    assert state_of(mock) is State.FINISHED
    assert iterations(mock) == list(range(7))


def test_a_live_job_cannot_be_resumed(mock: Job) -> None:
    for _ in mock.run():
        with pytest.raises(SettingsError, match="being painted already"):
            mock.resume(SMALL.replace(alpha=7.0))
    assert mock.passages == [Passage(0, SMALL)]
    mock.resume(SMALL)
    with pytest.raises(SettingsError, match="being painted already"):
        mock.resume(SMALL)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SettingsError("alpha is odd"), "alpha is odd"),
        (WeightsError("The weights are not there."), "The weights are not there."),
        (NumericalError("Not a finite number."), "Not a finite number."),
        (RuntimeError("/secret/path"), UNEXPECTED),
        (ZeroDivisionError(), UNEXPECTED),
    ],
)
def test_a_failure_gets_a_sentence_and_can_be_continued(
    mock: Job, error: Exception, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*args: object, **options: object) -> Iterator[TransferStep]:
        for step in tone(*args, **options):  # type: ignore[arg-type]
            if step.iteration == 3:
                raise error
            yield step

    mock.engine = failing
    paint(mock)
    assert (mock.state, mock.note) == (State.FAILED, sentence)
    assert ("a run failed" in caplog.text) == (sentence == UNEXPECTED)
    assert iterations(mock) == [0, 1, 2]
    mock.stop("too late")
    assert (mock.state, mock.note) == (State.FAILED, sentence)
    mock.engine = tone
    mock.resume(SMALL)
    paint(mock)
    assert (mock.state, mock.note) == (State.FINISHED, "")
    assert tone_of(picture_of(mock)) == 6


def test_a_passage_that_never_began_leaves_no_trace(job: Job, engine: Engine) -> None:
    """Its network could not be had, say."""

    def failing(*args: object, **options: object) -> Iterator[TransferStep]:
        raise WeightsError("No network.")

    paint(job, until=3)
    job.engine = failing
    job.resume(SMALL.replace(size=96, alpha=7.0))
    paint(job)
    assert state_of(job) is State.FAILED
    assert_replays(job, engine)
    assert job.copy("w").recipe() == job.recipe()
    job.engine = engine
    job.resume(SMALL.replace(beta=2.0))
    paint(job)
    longer = SMALL.replace(beta=2.0)
    assert job.passages == [Passage(0, SMALL), Passage(3, longer, continues=True)]
    assert_replays(job, engine)


def test_closing_a_run_stops_the_job(mock: Job) -> None:
    run = mock.run()
    next(run)
    run.close()
    assert state_of(mock) is State.STOPPED
    mock.resume(SMALL)
    assert paint(mock).state is State.FINISHED


def test_stopping_what_has_ended_changes_nothing(mock: Job) -> None:
    paint(mock)
    before = mock.version
    mock.stop("nobody was watching")
    assert (mock.state, mock.note, mock.version) == (State.FINISHED, "", before)


def test_a_copy_goes_its_own_way(job: Job, photo: Image.Image, engine: Engine) -> None:
    paint(job, until=3)
    job.dial(0.5)
    twin = job.copy("another")
    assert twin.id != job.id
    assert twin.id.startswith(owner_of("another"))
    assert state_of(twin) is State.STOPPED
    assert twin.recipe() == job.recipe()
    assert (twin.moment, twin.steps, twin.seconds) == (job.moment, job.steps, job.seconds)
    kept = picture_of(job).tobytes(), job.recipe(), list(job.steps)
    twin.resume(twin.settings.replace(beta=9.0), photo)
    paint(twin)
    assert state_of(twin) is State.FINISHED
    assert (picture_of(job).tobytes(), job.recipe(), job.steps) == kept
    assert len(job.styles) == 1
    assert_replays(twin, engine)
    job.resume(SMALL)
    paint(job)
    assert picture_of(job).tobytes() != picture_of(twin).tobytes()


def test_somebody_watches_as_long_as_they_look(mock: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("nst.studio.job.time.monotonic", lambda: now)
    with mock.watched(), mock.watched():
        now = 200.0
        assert mock.unwatched == 0
    now = 230.0
    assert mock.unwatched == 30
    with pytest.raises(RuntimeError, match="tab closed"), mock.watched():
        raise RuntimeError("tab closed")
    assert mock.unwatched == 0
    now = 250.0
    assert mock.unwatched == 20
    mock.stop()
    mock.resume(SMALL)
    assert mock.unwatched == 0, "who resumes it is there"


# Threads: what counts is the order, so most of these act at the very moment in question.


class Meddler(Job):
    """A job whose visitor acts at the very moment at which it comes to its end."""

    def _become(self, state: State, note: str | None = None) -> None:
        super()._become(state, note)
        if state in ENDS and self.settings.iterations < 8:
            with self.lock:
                change(self, self.settings.replace(iterations=8))


@pytest.mark.parametrize("until", [3, None])
def test_resumed_the_moment_it_has_ended(
    photo: Image.Image, painting: Image.Image, until: int | None
) -> None:
    job = Meddler(photo, [painting], SMALL, engine=tone)
    paint(job, until)
    assert state_of(job) is State.WAITING, "the old run does not end the new one"
    paint(job)
    assert state_of(job) is State.FINISHED
    assert iterations(job)[-1] == 8


def test_an_edit_behind_the_last_step_is_not_lost(mock: Job) -> None:
    def late(*args: object, **options: object) -> Iterator[TransferStep]:
        yield from tone(*args, **options)  # type: ignore[arg-type]
        if mock.settings.iterations == 6:
            mock.steer(SMALL.replace(iterations=8))

    mock.engine = late
    paint(mock)
    assert (mock.state, iterations(mock)) == (State.FINISHED, [*range(7), 6, 7, 8])


def test_an_edit_at_any_moment_is_painted(photo: Image.Image, painting: Image.Image) -> None:
    """Of a visitor who does not know whether the job has just ended."""
    for _ in range(100):
        job = Job(photo, [painting], SMALL.replace(iterations=2), engine=tone)
        together = threading.Barrier(2)

        def visitor(job: Job = job, together: threading.Barrier = together) -> None:
            together.wait(10)
            change(job, SMALL.replace(iterations=4))

        thread = threading.Thread(target=visitor)
        thread.start()
        together.wait(10)
        paint(job)
        thread.join(10)
        paint(job)  # as the workshop would
        assert (job.state, iterations(job)[-1]) == (State.FINISHED, 4)
        assert [b - a in (0, 1) for a, b in pairwise(iterations(job))].count(False) == 0


def test_two_who_run_a_job_paint_it_once(mock: Job) -> None:
    together = threading.Barrier(2)

    def painter() -> None:
        together.wait(10)
        paint(mock)

    threads = [threading.Thread(target=painter) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert iterations(mock) == list(range(7))
    assert list(mock.run()) == []


# Contact sheets


@pytest.fixture
def sheet(photo: Image.Image, painting: Image.Image, engine: Engine) -> Sheet:
    grid = [row[:2] for row in plan_sheet(SMALL, "beta", "optimizer")[:2]]
    quick = [[tile.replace(iterations=3, size=64) for tile in row] for row in grid]
    return Sheet(photo, [painting], quick, visitor="v", engine=engine)


def test_the_tiles_are_those_of_lone_runs(sheet: Sheet, engine: Engine) -> None:
    pieces = list(sheet.run())
    assert len(pieces) == 4
    assert state_of(sheet) is State.FINISHED
    for row, settings in zip(sheet.tiles, sheet.grid, strict=True):
        for tile, lone in zip(row, settings, strict=True):
            *_, last = engine(sheet.content, sheet.styles, lone)
            assert (tile.iteration, tile.J) == (3, last.J)
            assert tile.image.tobytes() == last.image.tobytes()


@pytest.mark.parametrize("done", [1, 4])
def test_a_job_goes_on_from_a_tile(sheet: Sheet, engine: Engine, done: int) -> None:
    """Of a finished sheet, or of one that is under way."""
    run = sheet.run()
    for _ in range(done):
        next(run)
    tile = sheet.tiles[1][0]
    job = sheet.job_of(1, 0, SMALL.replace(size=96, colors=0.5), "w")
    assert state_of(job) is State.WAITING
    assert job.id.startswith(owner_of("w"))
    assert picture_of(job).tobytes() == tile.image.tobytes()
    job.engine = engine
    paint(job)
    assert iterations(job) == [tile.iteration, *range(tile.iteration, tile.iteration + 7)]
    assert (job.steps[-1].width, job.colors) == (96, 0.5)
    assert job.passages[0].settings == sheet.grid[1][0]
    assert_replays(job, engine)


def test_a_tile_that_is_not_there(sheet: Sheet) -> None:
    with pytest.raises(IndexError):
        sheet.job_of(0, 0, SMALL, "v")
    list(sheet.run())
    with pytest.raises(IndexError):
        sheet.job_of(2, 0, SMALL, "v")


def test_a_tile_s_job_never_has_more_iterations_than_there_can_be(sheet: Sheet) -> None:
    list(sheet.run())
    job = sheet.job_of(0, 0, SMALL.replace(iterations=1000), "v")
    assert job.settings.iterations == 1000


def test_a_sheet_is_stopped_and_fails_like_a_job(
    sheet: Sheet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in sheet.run():
        sheet.stop()
    assert state_of(sheet) is State.STOPPED
    assert sheet.tiles[0][0].iteration == 0
    closed = Sheet(sheet.content, sheet.styles, sheet.grid, engine=sheet.engine)
    run = closed.run()
    next(run)
    run.close()
    assert state_of(closed) is State.STOPPED

    def failing(*_: object, **__: object) -> Iterator[list[list[TransferStep]]]:
        raise NumericalError("Not a finite number.")

    monkeypatch.setattr(nst.studio.sheet_job, "paint_sheet", failing)
    failed = Sheet(sheet.content, sheet.styles, sheet.grid)
    assert list(failed.run()) == []
    assert (failed.state, failed.note) == (State.FAILED, "Not a finite number.")


# Ids


def test_ids_cannot_be_guessed_and_do_not_tell_the_visitor() -> None:
    ids = {new_id("secret-token") for _ in range(1000)}
    assert len(ids) == 1000
    assert len({id[-32:-16] for id in ids}) == len({id[-16:] for id in ids}) == 1000
    for id in ids:
        assert ID.fullmatch(id)
        assert id.startswith(f"{owner_of('secret-token')}-")
        assert "secret" not in id
    assert owner_of("secret-token") != owner_of("secret-tokem")


def test_a_recipe_does_not_grow_beyond_its_bounds(
    photo: Image.Image, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(photo, [painting], SMALL)
    monkeypatch.setattr("nst.studio.job.MOST_STYLES", 1)
    with pytest.raises(SettingsError, match="changed too often"):
        job.steer(SMALL, photo)
    assert len(job.styles) == 1
    monkeypatch.setattr("nst.studio.job.MOST_PASSAGES", 1)
    with pytest.raises(SettingsError, match="changed too often"):
        job.steer(SMALL.replace(beta=2.0))
    job.steer(SMALL)  # nothing new
    assert job.recipe().passages[0].settings == SMALL


# Memory


OUT_OF_MEMORY = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("MPS backend out of memory"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: str(error)[:20])
def test_without_memory_a_smaller_picture_is_painted(
    photo: Image.Image, painting: Image.Image, error: Exception
) -> None:
    settings = TransferSettings(size=512, iterations=3)
    job = Job(photo, [painting], settings, engine=lacking(error, above=300))
    paint(job)
    assert job.state is State.FINISHED
    assert job.moment is not None
    assert job.moment.picture.width == 240  # 512 · 0.7 in steps of 16 is 352, and that 240
    assert job.passages == [Passage(0, settings.replace(size=240))]
    assert "painted at 240 px" in job.note


def test_memory_that_is_only_remembered_is_given_up_first(
    photo: Image.Image, painting: Image.Image
) -> None:
    nst.engine.objective.targets.recall("a key", lambda: {"relu1_1": torch.ones(9)})
    once: list[Exception] = [MemoryError()]

    def stumbling(*args: Any, **options: Any) -> Iterator[TransferStep]:
        if once:
            raise once.pop()
        yield from tone(*args, **options)

    job = Job(photo, [painting], SMALL, engine=stumbling)
    paint(job)
    assert (job.state, job.note) == (State.FINISHED, "")
    assert job.passages == [Passage(0, SMALL)]
    assert nst.engine.objective.targets.size == 0


def test_memory_that_runs_out_on_the_way_leaves_the_picture(
    photo: Image.Image, painting: Image.Image
) -> None:
    job = Job(photo, [painting], SMALL, engine=lacking(MemoryError(), above=0, after=4))
    paint(job)
    assert job.state is State.STOPPED
    assert "not enough memory" in job.note
    assert job.moment is not None
    assert job.moment.iteration == 3
    job.engine = tone
    job.resume(SMALL)
    paint(job)
    assert (job.state, job.moment.iteration) == (State.FINISHED, SMALL.iterations)


def test_without_memory_for_anything_there_is_a_sentence(
    photo: Image.Image, painting: Image.Image
) -> None:
    job = Job(photo, [painting], SMALL, engine=lacking(MemoryError(), above=0))
    paint(job)
    assert job.state is State.FAILED
    assert "not enough memory" in job.note
