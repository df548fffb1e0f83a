"""What a tab sees of a task that it follows, and the pictures that the stage shows."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from helpers.painting import SMALL, paint, tone
from nst.settings import options
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.task import State, share_id
from nst.studio.workshop import Workshop
from page.examples import ExampleSet
from page.http.display_files import SIDES, display_routes
from page.http.job_files import JobFiles
from page.looks import MOST_AHEAD, course_of, look_route
from page.panels import charts
from page.picture_cache import PictureCache
from page.rendering import Renderings


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """One that paints nothing by itself."""
    workshop = Workshop(tmp_path, Limits(painters=0))
    yield workshop
    workshop.close()


@pytest.fixture
def web(workshop: Workshop) -> Iterator[TestClient]:
    renderings = Renderings(1)
    files = JobFiles(workshop, renderings)
    routes = [
        look_route(workshop, renderings),
        *display_routes(files, ExampleSet(), PictureCache()),
    ]
    yield TestClient(Starlette(routes=routes))
    renderings.close()


@pytest.fixture
def job(photo: Image.Image, painting: Image.Image) -> Job:
    return Job(photo, [painting], SMALL, visitor="jane", engine=tone)


def look(web: TestClient, id: str, due: str = "1") -> dict[str, Any]:
    answer = web.get(f"/studio/{id}/look.json?due={due}")
    assert answer.status_code == 200
    assert "no-cache" in answer.headers["Cache-Control"]
    seen: dict[str, Any] = answer.json()
    return seen


def picture(web: TestClient, address: str) -> Image.Image:
    answer = web.get(f"/studio/{address}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/webp"
    return Image.open(io.BytesIO(answer.content))


def test_a_queued_job_says_how_many_are_before_it(
    workshop: Workshop, web: TestClient, job: Job
) -> None:
    workshop.submit(job, 3.0)
    seen = look(web, job.id)
    assert seen["isLive"]
    assert "In the queue: 0 pictures are before yours, any moment now." in seen["status"]
    assert "preview" not in seen
    assert "1 picture is before yours, about 12 s" in charts.waiting(1, 12.0)


def test_a_job_under_way_shows_its_figures_and_where_its_picture_is(
    workshop: Workshop, web: TestClient, job: Job
) -> None:
    workshop.submit(job)
    steps = job.run()
    for _ in range(4):
        next(steps)
    seen = look(web, job.id)
    assert seen["percent"] == 50
    assert "Iteration 3 of 6" in seen["status"]
    assert "<svg" in seen["curves"]
    assert "relu1_1" in seen["explanation"]
    assert "3 of 6" in seen["card"]
    assert web.get("/" + seen["preview"]).status_code == 200
    before = seen["preview"]
    next(steps)
    assert look(web, job.id)["preview"] != before
    steps.close()
    assert not look(web, job.id)["isLive"]


def test_a_job_that_goes_on_says_nothing_of_the_run_before(
    workshop: Workshop, web: TestClient, job: Job
) -> None:
    paint(job)
    job.resume(SMALL.replace(iterations=9))
    workshop.submit(job)
    steps = job.run()
    with job.lock:
        job.state = State.RUNNING  # a moment before the first step
    assert {"status", "percent", "preview"}.isdisjoint(look(web, job.id))
    job.state = State.WAITING
    next(steps)
    next(steps)
    assert "Iteration 7 of 9" in look(web, job.id)["status"]
    steps.close()


def test_what_shows_a_job_that_was_deleted_just_now_is_empty(
    workshop: Workshop, web: TestClient, job: Job
) -> None:
    workshop.submit(job)
    paint(job)
    workshop.delete(job.id)
    assert look(web, job.id)["isGone"]
    for name in ("display.webp?side=256", "photo.webp"):
        answer = web.get(f"/studio/{job.id}/{name}")
        assert (answer.status_code, answer.content) == (204, b""), name
    assert workshop.restore(job.id)
    assert web.get(f"/studio/{job.id}/display.webp").status_code == 200
    workshop.forget(job.id)
    assert web.get(f"/studio/{job.id}/display.webp").status_code == 404


def test_a_task_that_is_not_there_is_not_found(web: TestClient) -> None:
    assert look(web, "nobody") == {"isLive": False, "isGone": True}
    assert web.get("/studio/nobody/display.webp").status_code == 404
    assert web.get("/studio/nobody/photo.webp").status_code == 404
    assert web.get("/studio/shared/nobody/display.webp").status_code == 404
    assert web.get("/studio/examples/nobody/display.webp").status_code == 404


@pytest.mark.parametrize(
    ("due", "ahead"),
    [("5", 5.0), ("0", 0.0), ("-3", 0.0), ("1e9", MOST_AHEAD), ("nan", 0.0), ("soon", 0.0)],
)
def test_a_look_counts_until_the_next_is_due(
    workshop: Workshop, web: TestClient, job: Job, due: str, ahead: float
) -> None:
    workshop.submit(job)
    look(web, job.id, due)
    until = job._last_seen - time.monotonic()
    assert until == pytest.approx(ahead, abs=0.5)
    assert job.unwatched == pytest.approx(0.0, abs=0.5)


def test_what_others_change_is_noticed(job: Job) -> None:
    paint(job, until=2)
    before = course_of(job)
    job.dial(0.5)
    assert course_of(job) == before  # the colours are dialled on what is painted
    job.resume(job.settings.replace(beta=7.0))
    assert course_of(job) != before


def test_pictures_come_at_the_sides_that_there_are(
    workshop: Workshop, web: TestClient, job: Job
) -> None:
    workshop.submit(job)
    paint(job)
    assert job.moment
    width, height = job.moment.picture.size
    for side in SIDES:
        assert picture(web, f"{job.id}/display.webp?side={side}").size == (width, height)
    large = Image.new("RGB", (1600, 800), (200, 30, 30))
    job.moment = job.moment.__class__(large, job.moment.iteration)
    job.version += 1
    assert picture(web, f"{job.id}/display.webp?side=384").size == (384, 192)
    assert picture(web, f"{job.id}/display.webp?side=7").size == (1600, 800)
    assert picture(web, f"{job.id}/display.webp?side=x").size == (1600, 800)
    assert picture(web, f"{job.id}/photo.webp?side=256").size == job.content.size


def test_a_shared_picture_comes_in_the_colours_asked_for(
    workshop: Workshop, web: TestClient, job: Job
) -> None:
    workshop.submit(job)
    paint(job)
    share = share_id(job.id)
    as_painted = picture(web, f"shared/{share}/display.webp").convert("RGB")
    low, _ = options()["colors"].range
    photo_s = picture(web, f"shared/{share}/display.webp?colors=-1e9").convert("RGB")
    assert picture(web, f"shared/{share}/display.webp?colors={low}").convert("RGB") == photo_s
    assert photo_s.tobytes() != as_painted.tobytes()
    nonsense = picture(web, f"shared/{share}/display.webp?colors=loud").convert("RGB")
    assert nonsense.tobytes() == as_painted.tobytes()


def test_a_finished_example_is_recoloured(web: TestClient) -> None:
    example = ExampleSet().of_role("result")[0]
    address = example.large.removeprefix("studio/")
    as_painted = picture(web, address).convert("RGB")
    assert as_painted.tobytes() != picture(web, f"{address}?colors=1").convert("RGB").tobytes()
    assert max(picture(web, f"{address}?side=256").size) == 256
