"""Changes of a job that is painted: admitted as a new one is, or refused while the job goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch
from PIL import Image

import nst.studio.backends.local
import nst.studio.forecast
from helpers.pictures import MakePicture
from nst.engine.schedule import Moment
from nst.engine.transfer import TransferStep
from nst.errors import TooLargeError
from nst.images.tensors import fitted_size
from nst.settings import TransferSettings, options
from nst.studio.forecast import PlannedRun
from nst.studio.job import Job
from nst.studio.task import State
from nst.vgg.network import VGG
from page.http.admission import Admission
from page.panels.components import Choice
from page.panels.controls import FIXED, FROM_THE_NEXT
from page.panels.paintings import Paintings
from page.studio import Studio

PATIENCE = 30.0  # seconds until a test that hangs fails
GB = 10**9
SMALL = TransferSettings(size=512, iterations=100, style_scale=0.25)
LARGE = SMALL.replace(style_scale=3.0)


class Free:
    """The memory of the machine, and its pace."""

    def __init__(self) -> None:
        self.bytes: int | None = 100 * GB
        self.pace = 1e-9  # seconds per pixel and evaluation


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch, network: VGG) -> Free:
    free = Free()
    monkeypatch.setattr(nst.studio.backends.local, "load_network", lambda *_: network)
    monkeypatch.setattr(nst.studio.backends.local, "available_memory", lambda _: free.bytes)
    monkeypatch.setattr(nst.studio.forecast, "seconds_per_pixel", lambda _: free.pace)
    return free


@pytest.fixture
def studio(free: Free, unserved_studio: Studio) -> Iterator[Studio]:
    """A page's, with a workshop of its own."""
    yield unserved_studio
    unserved_studio.session.workshop.close()


class Endless:
    """An engine whose iterations come when the test asks for them."""

    def __init__(self) -> None:
        self.painted: list[TransferSettings] = []
        self.may_go_on = threading.Semaphore(1)

    def __call__(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        settings: TransferSettings,
        *,
        begin: Moment | None = None,
    ) -> Iterator[TransferStep]:
        width, height = fitted_size(content.size, 256)  # of its first scale
        for iteration in range((begin.iteration + 1) if begin else 0, settings.iterations):
            assert self.may_go_on.acquire(timeout=PATIENCE)
            self.painted.append(settings)
            yield TransferStep(
                iteration=iteration,
                total=settings.iterations,
                width=width,
                height=height,
                J=1.0,
                content=0.5,
                style=0.5,
                layers={"relu1_1": 0.5},
                elapsed=0.0,
                remaining=0.0,
                pixels=torch.full((1, 3, height, width), 0.5),
            )

    def paint(self) -> TransferSettings:
        """One iteration more; returns its settings."""
        before = len(self.painted)
        self.may_go_on.release()
        until(lambda: len(self.painted) > before)
        return self.painted[-1]


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def job(studio: Studio, make_picture: MakePicture) -> Iterator[tuple[Job, Endless]]:
    """One of 512 px whose painting is small, after its first iteration."""
    engine = Endless()
    job = Job(make_picture(800, 600), [make_picture(600, 800)], SMALL, engine=engine)
    studio.session.workshop.submit(job)
    until(lambda: job.moment)
    yield job, engine
    job.stop()
    engine.may_go_on.release(9)


def values(studio: Studio, job: Job, **changes: Any) -> dict[Any, Any]:
    """What the page sends: all controls as they are for the job, with changes."""
    shown = {part: part.value for part in studio.session.controls.components}
    of_job = studio.session.controls.show(job.settings.replace(**changes), set(options()))
    shown |= {
        part: update.get("value", part.value) if isinstance(update, dict) else update
        for part, update in of_job.items()
    }
    return {**shown, studio.session.current: job.id}


def test_a_change_that_there_is_no_room_for_is_refused_and_the_job_goes_on(
    studio: Studio, free: Free, job: tuple[Job, Endless]
) -> None:
    painted, engine = job
    free.bytes = 2 * GB
    with pytest.warns(UserWarning, match=r"memory.*goes on as it was"):
        studio.steering.steer(values(studio, painted, style_scale=3.0))
    assert painted.settings.style_scale == 0.25
    assert engine.paint().style_scale == 0.25
    assert painted.state is State.RUNNING


def test_what_is_chosen_for_a_film_changes_no_picture(
    studio: Studio, free: Free, job: tuple[Job, Endless]
) -> None:
    painted, _ = job
    free.bytes = 6 * GB
    for_film = {**values(studio, painted, style_scale=3.0), studio.session.film.modes: "film"}
    studio.steering.steer(for_film)
    studio.steering.swap(for_film)
    studio.steering.dial(0.5, painted.id, None, "film")
    assert (painted.settings.style_scale, painted.colors) == (0.25, 0.0)


NEXT = {"start": "noise", "init_weight": 0.25, "seed": 7}  # of the next picture


def test_what_a_picture_was_begun_with_stays(
    studio: Studio, free: Free, job: tuple[Job, Endless]
) -> None:
    """The controls go on to show what the visitor chose for the next one."""
    painted, engine = job
    studio.steering.steer(values(studio, painted, **NEXT, alpha=2.0))
    studio.steering.steer_typed(values(studio, painted, **NEXT, alpha=2.0))
    assert engine.paint() == SMALL
    until(lambda: len(painted.passages) == 2)
    for settings in (painted.passages[-1].settings, painted.settings):
        assert settings.paints_like(SMALL.replace(alpha=2.0))
    painted.steer(painted.settings.replace(alpha=3.0))
    session = studio.session
    known = {session.painting: None, session.paintings: Paintings()}
    updates = studio.steering.catch_up(values(studio, painted, **NEXT, alpha=2.0) | known)
    by_name = session.controls.by_name
    assert updates[by_name["alpha"]] == 3.0
    assert not {by_name[name] for name in FIXED} & set(updates)
    unchanged = studio.steering.catch_up(values(studio, painted, **NEXT) | known)
    assert unchanged == {by_name["alpha"]: gr.update()}


def test_what_counts_from_the_next_picture_on_says_so(studio: Studio) -> None:
    for name, part in studio.session.controls.by_name.items():
        assert part.info.endswith(FROM_THE_NEXT) == (name in FIXED)


def test_a_start_that_is_chosen_meanwhile_is_the_next_ones(
    studio: Studio,
    job: tuple[Job, Endless],
    make_picture: MakePicture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    painted, _ = job
    make_picture(80, 60).save(tmp_path / "start.png")
    choice = Choice(str(tmp_path / "start.png"))
    studio.steering.take_init(choice, painted.id)
    assert "the start of the next picture" in capsys.readouterr().out
    studio.steering.take_init(choice, "")
    studio.steering.take_init(None, painted.id)
    assert capsys.readouterr().out == ""
    assert painted.init is None


def test_a_change_that_there_is_room_for_is_made(
    studio: Studio, free: Free, job: tuple[Job, Endless]
) -> None:
    painted, _ = job
    free.bytes = 6 * GB
    studio.steering.steer(values(studio, painted, style_scale=3.0))
    assert painted.settings.style_scale == 3.0


def test_a_change_that_would_take_too_long_is_refused(
    studio: Studio, free: Free, job: tuple[Job, Endless]
) -> None:
    painted, _ = job
    free.pace = 4 * studio.session.workshop.limits.seconds / (512 * 384 * 1000)
    with pytest.warns(UserWarning, match=r"minutes.*goes on as it was"):
        studio.steering.steer_typed(values(studio, painted, iterations=1000))
    assert painted.settings.iterations == 100


def test_what_needs_no_more_than_was_promised_always_passes(
    studio: Studio, free: Free, job: tuple[Job, Endless]
) -> None:
    """Others may have taken the memory meanwhile."""
    painted, _ = job
    free.bytes = 0
    studio.steering.steer(values(studio, painted, alpha=2.0))
    assert painted.settings.alpha == pytest.approx(2.0)


def test_a_swap_asks_too(
    studio: Studio,
    free: Free,
    job: tuple[Job, Endless],
    make_picture: MakePicture,
    tmp_path: Path,
) -> None:
    """A painting that is long and narrow at scale 0.25 is wide at the same longest side."""
    painted, engine = job
    studio.steering.steer(values(studio, painted, style_scale=3.0))
    narrow = make_picture(400, 40)
    painted.steer(painted.settings, narrow)
    engine.paint()
    until(lambda: painted.painting.size == (400, 40))
    make_picture(400, 400).save(tmp_path / "square.png")
    session = studio.session
    swap = {
        session.current: painted.id,
        session.photo: None,
        session.painting: Choice(str(tmp_path / "square.png")),
        session.paintings: Paintings(),
    }
    free.bytes = GB
    with pytest.warns(UserWarning, match=r"memory.*goes on as it was"):
        studio.steering.swap(swap)
    assert [each.size for each in painted.wanted_paintings] == [(400, 40)]
    free.bytes = 100 * GB
    studio.steering.swap(swap)
    assert [each.size for each in painted.wanted_paintings] == [(400, 400)]


def test_memory_that_the_job_holds_counts_as_free(
    studio: Studio, free: Free, job: tuple[Job, Endless]
) -> None:
    """Where a new one would find just too little room."""
    painted, _ = job
    photo, paintings = painted.content.size, [painting.size for painting in painted.paintings]
    needed = studio.session.workshop.backend.forecast(
        PlannedRun(photo, paintings, LARGE, painted.moment)
    ).bytes
    free.bytes = needed - 50_000_000
    with pytest.raises(TooLargeError):
        Admission(studio.session.workshop).expected(painted.content, painted.paintings, LARGE)
    studio.steering.steer(values(studio, painted, style_scale=3.0))
    assert painted.settings.style_scale == 3.0


def test_a_job_in_line_holds_nothing(studio: Studio, free: Free, make_picture: MakePicture) -> None:
    waiting = Job(make_picture(800, 600), [make_picture(600, 800)], SMALL)
    admission = Admission(studio.session.workshop)
    needed = studio.session.workshop.backend.forecast(
        PlannedRun((800, 600), [(600, 800)], LARGE)
    ).bytes
    free.bytes = needed - 1
    with pytest.raises(TooLargeError):
        admission.check_change(waiting, LARGE)
    free.bytes = needed
    assert admission.check_change(waiting, LARGE).bytes == needed
