"""Files that are made on first request: one computation for all who ask, a bounded wait, and
addresses that never stand for two contents."""

from __future__ import annotations

import asyncio
import io
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message

from benchmarks.gauge import family, resident_bytes
from helpers.pictures import MakePicture
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED
from nst.engine.schedule import Moment
from nst.engine.transfer import TransferStep
from nst.images.recipe import read_recipe
from nst.images.tensors import shrink
from nst.provenance import UNKNOWN
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.job_store import THUMBNAIL_SIDE, Card, JobStore
from nst.studio.task import State, share_id
from nst.studio.workshop import Workshop
from page.examples import THUMBNAIL, ExampleSet, thumbnail_of
from page.http import job_files
from page.http.display_files import display_routes
from page.http.job_files import JobFiles, byte_range, file_routes
from page.looks import look_route
from page.panels.own_gallery import gallery_markup
from page.panels.result_panel import takeaway_markup, timelapse_markup
from page.picture_cache import PictureCache
from page.rendering import (
    RENDER_BYTES,
    HungUpError,
    Rendering,
    RenderingBusyError,
    Renderings,
    worker_count,
)

pytestmark = pytest.mark.slow


SETTINGS = TransferSettings(size=64, iterations=8)
LONG = 60.0  # seconds after which a test has failed

Get = Callable[..., Awaitable[httpx.Response]]


def figures(iteration: int, picture: Image.Image) -> TransferStep:
    return TransferStep(
        iteration=iteration,
        total=4,
        width=picture.width,
        height=picture.height,
        J=10.0,
        content=5.0,
        style=5.0,
        layers={},
        elapsed=1.0,
        remaining=0.0,
        pixels=torch.empty(0),
    )


def finished_job(
    job_store: JobStore, pictures: list[Image.Image], photo: Image.Image, painting: Image.Image
) -> Job:
    """A finished job on disk with these moments, the last of them its result."""
    job = Job(photo, [painting], SETTINGS, visitor="me")
    for index, picture in enumerate(pictures):
        job.steps.append(figures(index, picture))
        job.moment = Moment(picture, index)
        job.frames = job_store.add_frame(job.id, job.frames, index, picture, is_last=True)
    job.provenance = [UNKNOWN]
    job.state = State.FINISHED
    job_store.save(job)
    return job


@dataclass
class Site:
    """The routes over HTTP, without a server, and the job that they serve."""

    workshop: Workshop
    renderings: Renderings
    job: Job
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        files, examples = JobFiles(self.workshop, self.renderings), ExampleSet()
        routes = [*display_routes(files, examples, PictureCache()), *file_routes(files, examples)]
        routes.append(look_route(self.workshop, self.renderings))
        # As Gradio's are: answered in a thread of the pool that all of the server shares.
        page = Route("/page", lambda _: PlainTextResponse("The page."))
        self.app = Starlette(routes=[*routes, page])

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://studio", timeout=LONG)

    def get(self, path: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with self.client() as client:
                return await client.get(f"/studio/{path}", headers=headers)

        return asyncio.run(ask())

    def of_job(self, name: str, **headers: str) -> httpx.Response:
        return self.get(f"{self.job.id}/{name}", **headers)


@pytest.fixture
def site(tmp_path: Path, make_picture: MakePicture) -> Iterator[Site]:
    workshop = Workshop(tmp_path / "jobs")
    assert workshop.job_store
    pictures = [make_picture(64, 48, seed) for seed in range(3)]
    made = finished_job(workshop.job_store, pictures, make_picture(), make_picture(30, 40, 9))
    job = workshop.find_job(made.id)
    assert job
    renderings = Renderings(workers=2)
    yield Site(workshop, renderings, job)
    renderings.close()


@dataclass
class Held:
    """A function that is held up until it is let go, and how often it was called."""

    make: Callable[..., bytes]
    calls: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *args: object) -> bytes:
        self.calls += 1
        self.begun.set()
        assert self.go.wait(LONG)
        return self.make(*args)


@pytest.fixture
def held_film(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(job_files.film)
    monkeypatch.setattr(job_files, "film", held)
    yield held
    held.go.set()


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until the condition holds."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


# ------------------------------------------------------------------ one computation


@pytest.mark.parametrize("name", ["timelapse.gif", "picture.png", "frames/000001.jpg"])
def test_simultaneous_callers_share_one_computation(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.job.dial(-0.5)
    maker = {"t": "film", "p": "delivered", "f": "dialled_frame"}[name[0]]
    held = Held(getattr(job_files, maker))
    monkeypatch.setattr(job_files, maker, held)

    async def ask() -> list[httpx.Response]:
        async with site.client() as client:
            asked = [
                asyncio.create_task(client.get(f"/studio/{site.job.id}/{name}")) for _ in range(40)
            ]
            await until(lambda: site.renderings.waiting == 40)
            held.go.set()
            return await asyncio.gather(*asked)

    answers = asyncio.run(ask())
    assert held.calls == 1
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert site.of_job(name).content == answers[0].content
    assert held.calls == 1  # it was kept


def test_who_waits_for_a_film_holds_up_nothing_else(site: Site, held_film: Held) -> None:
    async def ask() -> tuple[httpx.Response, list[httpx.Response]]:
        async with site.client() as client:
            address = f"/studio/{site.job.id}/timelapse.mp4"
            before = threading.active_count()
            films = [asyncio.create_task(client.get(address)) for _ in range(80)]
            await until(lambda: site.renderings.waiting == 80)
            assert site.renderings.pending == 1
            threads = threading.active_count() - before
            page = await client.get("/page")
            assert page.text == "The page."
            picture = await client.get(f"/studio/{site.job.id}/thumbnail.jpg")
            assert not any(film.done() for film in films)
            assert threads < 40  # nobody waits in a thread
            held_film.go.set()
            return picture, await asyncio.gather(*films)

    picture, films = asyncio.run(ask())
    assert picture.status_code == 200
    assert {film.status_code for film in films} == {200}
    assert held_film.calls == 1


def test_who_waits_too_long_is_told_when_to_ask_again(site: Site, held_film: Held) -> None:
    site.renderings.patience = 0.05
    busy = site.of_job("timelapse.mp4")
    assert busy.status_code == 503
    assert int(busy.headers["Retry-After"]) > 0
    assert busy.text.count(".") == 1
    site.renderings.patience = LONG
    held_film.go.set()
    assert site.of_job("timelapse.mp4").status_code == 200  # it was made meanwhile


def test_more_than_the_pool_takes_is_refused_at_once() -> None:
    renderings = Renderings(workers=1, most_pending=1)
    held = Held(lambda: b"made")

    async def ask() -> Rendering:
        first = asyncio.create_task(renderings.fetch("first", held))
        await until(held.begun.is_set)
        with pytest.raises(RenderingBusyError):
            await renderings.fetch("second", lambda: b"")
        held.go.set()
        return await first

    assert asyncio.run(ask()).read() == b"made"
    renderings.close()


def test_what_nobody_waits_for_any_more_is_not_made() -> None:
    renderings = Renderings(workers=1)
    held, made = Held(lambda: b""), list[str]()
    gone = asyncio.Event()

    def make_second() -> bytes:
        made.append("second")
        return b""

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def ask() -> None:
        first = asyncio.create_task(renderings.fetch("first", held))
        await until(held.begun.is_set)
        request = Request({"type": "http"}, receive)
        second = asyncio.create_task(renderings.fetch("second", make_second, request))
        await until(lambda: renderings.waiting == 2)
        gone.set()
        with pytest.raises(HungUpError):
            await second
        assert renderings.pending == 1
        held.go.set()
        await first

    asyncio.run(ask())
    renderings.close()
    assert made == []


def test_the_end_of_the_server_waits_only_for_what_has_begun() -> None:
    renderings = Renderings(workers=1)
    held, made = Held(lambda: b""), list[str]()

    def make_second() -> bytes:
        made.append("second")
        return b""

    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(renderings.fetch_now, "first", held)
        assert held.begun.wait(LONG)
        second = callers.submit(renderings.fetch_now, "second", make_second)
        while renderings.waiting < 2:
            time.sleep(0.001)
        closing = threading.Thread(target=renderings.close)
        closing.start()
        with pytest.raises(CancelledError):
            second.result(LONG)
        held.go.set()
        closing.join(LONG)
        assert first.result(LONG).read() == b""
    assert made == []


def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    renderings = Renderings(workers=1)
    calls: list[int] = []

    def make() -> bytes:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("damaged")
        return b"made"

    with pytest.raises(ValueError, match="damaged"):
        renderings.fetch_now("key", make)
    assert renderings.fetch_now("key", make).read() == b"made"
    assert renderings.fetch_now("key", make).read() == b"made"
    assert len(calls) == 2
    renderings.close()


def test_what_was_used_last_is_kept_and_readers_keep_the_rest() -> None:
    renderings = Renderings(workers=1, most_bytes=10)
    first = renderings.fetch_now("first", lambda: b"first!")
    renderings.fetch_now("second", lambda: b"second")
    assert first.read(2, 3) == b"rst"  # it is no longer kept, and can be read to its end
    assert renderings.fetch_now("second", lambda: b"").read() == b"second"
    assert renderings.fetch_now("first", lambda: b"again").read() == b"again"
    renderings.close()


def test_a_full_disk_keeps_nobody_from_a_picture(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> io.BytesIO:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert site.of_job("picture.png").status_code == 200
    monkeypatch.setattr(job_files, "encode_timelapse", lambda *_: full())
    answer = site.of_job("timelapse.mp4")
    assert answer.status_code == 507
    assert "disk" in answer.text


def test_the_pool_fits_memory_and_processors() -> None:
    assert worker_count(free=100 * RENDER_BYTES, cores=2) == 2
    assert worker_count(free=8 * RENDER_BYTES, cores=64) == 2
    assert worker_count(free=0, cores=64) == 1


# ------------------------------------------------------------------ what is sent


def test_a_film_is_not_taken_from_who_reads_it(site: Site) -> None:
    first = site.of_job("timelapse.webp")
    site.job.dial(0.7)
    second = site.of_job("timelapse.webp")
    assert first.status_code == second.status_code == 200
    assert first.content != second.content
    home = site.workshop.job_store.file(site.job.id, "") if site.workshop.job_store else Path()
    assert not list(home.glob("*film*"))


def test_a_damaged_frame_is_left_out_of_the_film(site: Site) -> None:
    assert site.workshop.job_store
    path = site.workshop.job_store.frame_file(site.job.id, 1)
    path.write_bytes(path.read_bytes()[:100])
    answer = site.of_job("timelapse.gif")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert getattr(image, "n_frames", 1) == 2


def test_a_part_of_a_film_can_be_asked_for(site: Site) -> None:
    whole = site.of_job("timelapse.mp4").content
    part = site.of_job("timelapse.mp4", Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert site.of_job("timelapse.mp4", Range="bytes=0-1,5-6").content == whole
    assert site.of_job("timelapse.mp4", Range=f"bytes={len(whole)}-").status_code == 416
    tag = part.headers["ETag"]
    again = site.of_job("timelapse.mp4", **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", (0, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=90-200", (90, 100)),
        ("bytes=-7", (93, 100)),
        ("bytes=-700", (0, 100)),
        ("bytes=5-4", (5, 5)),
        ("bytes=-", (0, 100)),
        ("lines=1-2", (0, 100)),
    ],
)
def test_ranges(header: str, expected: tuple[int, int]) -> None:
    assert byte_range(header, 100) == expected


def test_a_shared_picture_is_the_picture(site: Site) -> None:
    site.job.dial(0.5)
    own, shared = (
        site.of_job("picture.png"),
        site.get(f"shared/{share_id(site.job.id)}/picture.png"),
    )
    assert own.content == shared.content
    assert own.headers["ETag"] == shared.headers["ETag"]
    assert read_recipe(own.content).colors == 0.5


# ------------------------------------------------------------------ addresses


def test_addresses_do_not_repeat_after_a_restart(site: Site) -> None:
    before = [timelapse_markup(site.job), takeaway_markup(site.job, "stylized")]
    again = Workshop(site.workshop.job_store.folder) if site.workshop.job_store else Workshop()
    job = again.find_job(site.job.id)
    assert job
    assert job.version == site.job.version  # it counts from the beginning again
    assert timelapse_markup(job) != before[0]
    assert takeaway_markup(job, "stylized") != before[1]


def test_only_the_address_of_today_is_immutable(site: Site) -> None:
    def frame(revision: str) -> httpx.Response:
        return site.of_job(f"frames/000001.jpg?v={revision}")

    first = site.job.revision
    assert f"?v={first}" in timelapse_markup(site.job)
    plain = frame(first)
    assert "immutable" in plain.headers["Cache-Control"]
    site.job.dial(-1.0)
    second = site.job.revision
    assert second != first
    dialled = frame(second)
    assert "immutable" in dialled.headers["Cache-Control"]
    assert dialled.content != plain.content
    late = frame(first)  # the address is old, its content new: it may not be kept
    assert late.content == dialled.content
    assert "no-cache" in late.headers["Cache-Control"]
    assert "immutable" not in late.headers["Cache-Control"]


def test_the_address_of_a_thumbnail_changes_with_the_state(site: Site) -> None:
    card = Card.of(site.job)
    first = gallery_markup([card], 3600)
    later = Card(**{**card.__dict__, "changed": card.changed + 1})
    assert gallery_markup([later], 3600) != first


# ------------------------------------------------------------------ thumbnails


def test_small_pictures_are_not_enlarged(site: Site, make_picture: MakePicture) -> None:
    small, large = make_picture(64, 48), make_picture(640, 480)
    assert shrink(small, THUMBNAIL_SIDE).size == (64, 48)
    assert shrink(large, THUMBNAIL_SIDE).size == (320, 240)
    with Image.open(io.BytesIO(site.of_job("thumbnail.jpg").content)) as stored:
        assert stored.size == (64, 48)
    assert site.workshop.job_store
    site.workshop.job_store.file(site.job.id, "thumbnail.jpg").unlink()
    made = site.of_job("thumbnail.jpg")
    with Image.open(io.BytesIO(made.content)) as image:
        assert image.size == (64, 48)


def test_thumbnails_of_examples_are_not_enlarged(make_picture: MakePicture) -> None:
    for role, (width, height) in THUMBNAIL.items():
        assert thumbnail_of(make_picture(900, 700), role).size == (width, height)
        small = thumbnail_of(make_picture(60, 60), role)
        assert small.size == (60, 45)


# ------------------------------------------------------------------ against a started server


@pytest.fixture(scope="module")
def large_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Job]:
    """A folder with a finished job of 1024 px, its colours dialled, and six frames."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    pictures = [noise.resize((1024, 1024)).rotate(angle) for angle in range(0, 90, 15)]
    folder = tmp_path_factory.mktemp("jobs")
    job = finished_job(JobStore(folder), pictures, noise, noise.rotate(90))
    job.colors = 0.5
    JobStore(folder).save(job)
    return folder, job


@pytest.fixture(scope="module")
def started(large_job: tuple[Path, Job]) -> Iterator[Server]:
    with running_server(large_job[0], plant=SERVED) as server:
        yield server


def fetch(address: str) -> httpx.Response:
    return httpx.get(address, timeout=LONG)


def test_forty_downloads_take_the_memory_of_one(
    started: Server, large_job: tuple[Path, Job]
) -> None:
    address = f"{started.url}/studio/{large_job[1].id}/picture.png"
    assert fetch(address.replace("picture.png", "thumbnail.jpg")).status_code == 200
    before = sum(map(resident_bytes, family(started.process.pid)))
    peak = before
    with ThreadPoolExecutor(40) as crowd:
        asked = [crowd.submit(fetch, address) for _ in range(40)]
        while not all(answer.done() for answer in asked):
            peak = max(peak, sum(map(resident_bytes, family(started.process.pid))))
            time.sleep(0.01)
        answers = [answer.result() for answer in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert read_recipe(answers[0].content).colors == 0.5
    assert peak - before < 400e6  # at 2048 px, forty that shared nothing took 12 GB


def test_two_who_ask_for_a_film_get_the_same(started: Server, large_job: tuple[Path, Job]) -> None:
    address = f"{started.url}/studio/{large_job[1].id}/timelapse.webp"
    with ThreadPoolExecutor(2) as crowd:
        first, second = crowd.map(fetch, [address, address])
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert started.trouble() == ""


def test_the_page_answers_while_eighty_wait_for_films(
    started: Server, large_job: tuple[Path, Job]
) -> None:
    address = f"{started.url}/studio/{large_job[1].id}/timelapse.gif"
    with ThreadPoolExecutor(80) as crowd:
        films = [crowd.submit(fetch, address) for _ in range(80)]
        page = fetch(started.url)
        answers = [film.result() for film in films]
    assert page.status_code == 200
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
