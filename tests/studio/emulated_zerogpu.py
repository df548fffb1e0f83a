"""The way through the package `spaces`, with its own emulation of ZeroGPU and a forked worker.

Not collected by itself: `test_zerogpu.py` runs it in a process of its own, because `spaces` changes
torch for good. What a machine without a GPU cannot do is left out: the worker computes on the CPU.
"""

from __future__ import annotations

import base64
import contextlib
import contextvars
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlparse

import gradio as gr
import pytest
import spaces.config
import spaces.zero.torch
import torch
from gradio.context import LocalContext
from gradio_client import Client
from PIL import Image
from spaces.zero.torch.patching import cuda_aliases
from starlette.datastructures import Headers

import nst.engine.devices
import nst.engine.repaint
import nst.images.recipe
import nst.studio.backends.zerogpu
from helpers.tiny_network import tiny_weights
from nst.engine.contact_sheet import plan_sheet
from nst.engine.devices import load_network
from nst.engine.repaint import repaint
from nst.engine.texture import paint_texture
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.errors import NumericalError, WeightsError
from nst.images.recipe import Passage, parse_recipe
from nst.provenance import Provenance
from nst.settings import DEFAULTS, TransferSettings
from nst.studio.backends import pick_backend
from nst.studio.backends.zerogpu import SETUP, ZeroGPUBackend
from nst.studio.forecast import PlannedRun
from nst.studio.job import Job
from nst.studio.sheet_job import Sheet
from nst.studio.task import State
from nst.vgg.network import VGG

SMALL = TransferSettings(size=64, iterations=6)
TOKEN = ".".join(base64.urlsafe_b64encode(part).decode() for part in (b"{}", b"{}", b"signed"))
ALWAYS, NEVER = 0.0, 1e9  # seconds between two pictures
QUOTA_REPLY = {"left": 3, "wait": 3600}

chosen = pick_backend()
assert isinstance(chosen, ZeroGPUBackend)
backend: ZeroGPUBackend = chosen
fork = multiprocessing.get_context("fork")  # its events reach the workers


class Platform:
    """What grants GPUs and ends workers; `calls` holds the path and the query of each request."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.workers: list[int] = []  # process ids
        self.keeps_workers = False
        self.refusals: dict[int, tuple[int, dict[str, str], dict[str, Any]]] = {}  # by request
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02])
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.calls]

    @property
    def asked(self) -> list[int]:
        """Seconds of each request for a GPU."""
        return [int(query["durationSeconds"]) for path, query in self.calls if path == "/schedule"]

    def refuse(
        self, status: int, reply: dict[str, Any], headers: dict[str, str], *, request: int = 0
    ) -> None:
        """Answer the given request for a GPU with something else than a GPU."""
        self.refusals[request] = status, headers, reply

    def end_workers(self) -> None:
        """As at the end of the seconds granted."""
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def close(self) -> None:
        self.end_workers()
        for worker in multiprocessing.active_children():  # or the next test would still find them
            worker.join(timeout=30)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(
        self, path: str, query: dict[str, str]
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        count = self.paths.count("/schedule")
        self.calls.append((path, query))
        if path == "/allow":
            self.workers.append(int(query["pid"]))
        if path != "/schedule":
            return 200, {}, {}
        grant = {"idle": self.keeps_workers, "nvidiaIndex": 0, "nvidiaUUID": "0", "allowToken": "0"}
        return self.refusals.get(count, (200, {}, grant))

    def _handler(platform) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                url = urlparse(self.path)
                status, headers, reply = platform.answer(url.path, dict(parse_qsl(url.query)))
                body = json.dumps(reply).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    platform = Platform()
    monkeypatch.setattr(spaces.config.Config, "zero_device_api_url", platform.url)
    monkeypatch.setattr(spaces.zero.torch, "init", lambda _: None)
    monkeypatch.setattr(spaces.zero.torch, "move", lambda callback: None)
    monkeypatch.setattr(backend, "paces", backend.paces.copy())
    monkeypatch.setattr(nst.studio.backends.zerogpu, "load_weights", lambda _: None)
    yield platform
    platform.close()


class Bench:
    """What the worker paints with, inherited by the fork: the real engine on a tiny network, which
    counts its pictures, and waits or fails after one of them if told to."""

    def __init__(self, network: VGG) -> None:
        self.engine = partial(transfer_style, network=network)
        self.painted = fork.Value("i", 0)
        self.is_closed = fork.Event()
        self.waits_after: int | None = None
        self.fails_after: int | None = None
        self.error: Exception = ValueError()
        self.has_waited = fork.Event()

    def __call__(self, *args: Any, **options: Any) -> Iterator[TransferStep]:
        try:
            for step in self.engine(*args, **options):
                self.painted.value += 1
                if step.iteration == self.fails_after:
                    raise self.error
                yield step
                if step.iteration == self.waits_after and not self.has_waited.is_set():
                    self.has_waited.set()
                    threading.Event().wait()  # for ever
        finally:
            self.is_closed.set()


@pytest.fixture
def bench(network: VGG, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(network)
    monkeypatch.setattr(nst.studio.backends.zerogpu, "transfer_style", bench)
    return bench


@pytest.fixture
def every(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return partial(monkeypatch.setattr, nst.studio.backends.zerogpu, "EVERY")


def in_thread(work: Callable[[], Any]) -> Any:
    """As in the workshop: this thread is the one in which `spaces` pretends that there is CUDA."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def paint(job: Job) -> Job:
    in_thread(lambda: list(job.run()))
    return job


def assert_replays(job: Job, engine: Engine) -> None:
    recipe = parse_recipe(job.recipe().to_text())
    *_, last = in_thread(lambda: list(repaint(recipe, job.content, job.styles, engine=engine)))
    assert job.moment is not None
    assert last.iteration == job.moment.iteration
    assert last.image.tobytes() == job.moment.picture.tobytes()


def end_of(job: Job) -> tuple[State, str]:
    return job.state, job.note


@pytest.fixture
def job(photo: Image.Image, painting: Image.Image) -> Job:
    return Job(photo, [painting], SMALL, visitor="v", engine=backend.engine())


# ---------------------------------------------------------------- this process


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`load_network` makes small ones, and forgets them afterwards."""
    monkeypatch.setattr(nst.engine.devices, "load_weights", lambda _: tiny_weights())
    monkeypatch.setattr(backend, "_prepared", None)
    nst.engine.devices.cached_network.cache_clear()
    yield
    nst.engine.devices.cached_network.cache_clear()


@pytest.mark.usefixtures("tiny")
def test_what_is_painted_here_is_painted_on_the_cpu(painting: Image.Image) -> None:
    assert torch.cuda.is_available()  # so it seems
    here = backend.in_process.engine()
    step = in_thread(lambda: next(paint_texture(painting, "relu1_1", engine=here)))
    assert step.pixels.device == torch.device("cpu")


@pytest.mark.usefixtures("tiny")
def test_the_network_is_put_where_workers_look_for_it() -> None:
    """In this process it is make-believe; `spaces` keeps the real parameters for the workers."""
    backend.prepare()
    network = backend.prepared_for(DEFAULTS)["network"]
    assert network.device.type == "cuda"
    held = [network.mean, network.scale]
    for layer in ("relu1_1", "relu5_1"):
        convolution = network.convolutions[layer]
        assert {"weight", "_adjoint"} <= set(vars(convolution))  # laid out
        held += [convolution.weight, convolution.bias]
    assert all(tensor in cuda_aliases for tensor in held)
    assert "weight" not in vars(network.convolutions["relu5_2"])  # rarely needed
    assert backend.prepared_for(DEFAULTS.replace(pooling="average")) == {}
    other = "float32" if network.dtype == torch.bfloat16 else "bfloat16"
    assert backend.prepared_for(DEFAULTS.replace(precision=other)) == {}
    assert load_network(device="cpu").device.type == "cpu"


def test_what_a_run_will_cost() -> None:
    sizes = (1024, 768), [(800, 800)]
    asked = backend.admit(PlannedRun(*sizes, DEFAULTS)).borrowed
    assert 5 <= asked <= 15  # of the two minutes a day that a stranger has
    large = backend.admit(PlannedRun(*sizes, TransferSettings(size=2048, iterations=500))).borrowed
    assert large > 2 * nst.studio.backends.zerogpu.MOST
    assert backend.admit(PlannedRun(*sizes, DEFAULTS)).seconds < asked


# ---------------------------------------------------------------- a stretch


def test_the_worker_paints_the_same_picture(
    platform: Platform,
    bench: Bench,
    photo: Image.Image,
    painting: Image.Image,
    every: Callable[[float], None],
) -> None:
    every(NEVER)
    expected = in_thread(lambda: list(bench.engine(photo, painting, SMALL)))
    steps = in_thread(lambda: list(backend.engine()(photo, [painting], SMALL)))
    assert [step.iteration for step in steps] == list(range(7))
    assert [(step.J, step.layers) for step in steps] == [(e.J, e.layers) for e in expected]
    assert [step.iteration for step in steps if step.has_picture] == [0, 6]  # throttled
    for step in (steps[0], steps[-1]):
        assert step.image.tobytes() == expected[step.iteration].image.tobytes()
    assert bench.painted.value == 7  # in the other process
    assert platform.paths == ["/schedule", "/allow", "/release"]
    assert platform.workers[0] != os.getpid()
    assert platform.asked == [
        nst.studio.backends.zerogpu.ask_for(0)  # so small a picture asks for the least
    ]
    assert len(backend.paces) == 1  # learned


def test_a_job_in_one_stretch(platform: Platform, bench: Bench, job: Job) -> None:
    paint(job)
    assert end_of(job) == (State.FINISHED, "")
    assert [step.iteration for step in job.steps] == list(range(7))
    assert job.passages == [Passage(0, SMALL)]
    assert_replays(job, bench.engine)


def test_the_worker_tells_what_it_painted_on(platform: Platform, bench: Bench, job: Job) -> None:
    """A GPU that this process never sees, and software that may be newer."""
    lent = Provenance("cuda", "NVIDIA-H200", "bfloat16", 0, {"nst": "0.9.9", "torch": "2.20"})
    engine = bench.engine

    def on_a_gpu(*args: Any, **options: Any) -> Iterator[TransferStep]:
        return (replace(step, provenance=lent) for step in engine(*args, **options))

    bench.engine = on_a_gpu  # type: ignore[assignment]
    paint(job)
    assert end_of(job) == (State.FINISHED, "")
    assert job.recipe().provenance == (lent,)
    assert job.recipe().passages[0].painted_by == 0


@pytest.mark.usefixtures("tiny")
def test_a_contact_sheet_is_painted_on_this_processor(
    photo: Image.Image, painting: Image.Image
) -> None:
    grid = plan_sheet(SMALL, "beta", "style_scale")
    small = [[settings.replace(size=64, iterations=1) for settings in row] for row in grid]
    sheet = Sheet(photo, [painting], small, visitor="v", engine=backend.in_process.engine())
    in_thread(lambda: list(sheet.run()))
    (provenance,) = sheet.job_of(1, 2, SMALL, "v").recipe().provenance
    assert (provenance.device, provenance.threads) == ("cpu", torch.get_num_threads())


def test_pictures_come_one_by_one_when_they_are_slow(
    platform: Platform, bench: Bench, job: Job, every: Callable[[float], None]
) -> None:
    every(ALWAYS)
    versions = in_thread(lambda: [job.version for _ in job.run()])
    assert len(versions) == 7


def test_closing_ends_the_worker_with_its_next_picture(
    platform: Platform, bench: Bench, photo: Image.Image, painting: Image.Image, every: Any
) -> None:
    every(ALWAYS)
    platform.keeps_workers = True
    long = SMALL.replace(size=256, iterations=1000)

    def look_once() -> None:
        steps = backend.engine()(photo, [painting], long)
        next(steps)
        steps.close()  # type: ignore[attr-defined]

    in_thread(look_once)
    assert bench.is_closed.is_set()
    assert bench.painted.value < 1000
    assert platform.paths[-1] == "/release"
    *_, last = in_thread(lambda: list(backend.engine()(photo, [painting], SMALL)))
    assert last.iteration == 6
    assert len(platform.workers) == 1  # the same worker, in good health


def test_a_steered_job_replays(
    platform: Platform, bench: Bench, job: Job, every: Callable[[float], None]
) -> None:
    every(ALWAYS)

    def steer() -> None:
        for _ in job.run():
            if job.steps[-1].iteration == 2:
                job.steer(SMALL.replace(beta=3.0))

    in_thread(steer)
    assert end_of(job) == (State.FINISHED, "")
    assert job.passages == [Passage(0, SMALL), Passage(2, SMALL.replace(beta=3.0))]
    assert len(platform.asked) == 2
    assert_replays(job, bench.engine)


# ---------------------------------------------------------------- out of time


def test_a_run_longer_than_its_seconds_goes_on_in_further_stretches(
    platform: Platform, bench: Bench, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None are left for painting: each stretch makes the one iteration that it always makes."""
    monkeypatch.setattr(nst.studio.backends.zerogpu, "ask_for", lambda _: SETUP)
    paint(job)
    assert end_of(job) == (State.FINISHED, "")
    assert [passage.iteration for passage in job.passages] == list(range(6))
    assert platform.asked == [4] * 6
    assert_replays(job, bench.engine)


def test_a_worker_that_is_ended_leaves_its_best_picture(
    platform: Platform, bench: Bench, job: Job, every: Callable[[float], None]
) -> None:
    every(ALWAYS)
    bench.waits_after = 4

    def run() -> None:
        for _ in job.run():
            if job.steps[-1].iteration == 4 and len(platform.workers) == 1:
                bench.has_waited.wait()
                platform.end_workers()

    in_thread(run)
    assert end_of(job) == (State.FINISHED, "")
    assert job.passages == [Passage(0, SMALL), Passage(4, SMALL)]
    assert len(platform.workers) == 2
    assert_replays(job, bench.engine)


def test_a_worker_that_is_ended_before_it_got_anywhere(
    platform: Platform, bench: Bench, job: Job, every: Callable[[float], None]
) -> None:
    every(ALWAYS)
    bench.waits_after = 0

    def run() -> None:
        for _ in job.run():
            bench.has_waited.wait()
            platform.end_workers()

    in_thread(run)
    assert end_of(job) == (State.STOPPED, nst.studio.backends.zerogpu.TAKEN_BACK)
    assert job.moment is not None
    assert job.moment.iteration == 0
    job.resume(SMALL)
    assert end_of(paint(job)) == (State.FINISHED, "")
    assert_replays(job, bench.engine)


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("status", "reply", "headers", "sentence"),
    [
        (429, QUOTA_REPLY, {}, nst.studio.backends.zerogpu.QUOTA),
        (429, {"left": 0, "wait": -1}, {}, nst.studio.backends.zerogpu.TOO_LONG),
        (
            429,
            QUOTA_REPLY,
            {"X-Approve-Result": "pending-overquota-exceeded"},
            nst.studio.backends.zerogpu.OTHERS_FIRST,
        ),
        (503, {}, {}, nst.studio.backends.zerogpu.NO_GPU),
        (401, {}, {}, nst.studio.backends.zerogpu.EXPIRED),
        (500, {}, {}, nst.studio.backends.zerogpu.NO_GPU),
    ],
)
def test_no_gpu_from_the_start(
    platform: Platform,
    bench: Bench,
    job: Job,
    status: int,
    reply: dict[str, Any],
    headers: dict[str, str],
    sentence: str,
) -> None:
    platform.refuse(status, reply, headers)
    paint(job)
    assert end_of(job) == (State.FAILED, sentence)
    assert job.moment is None


def test_a_quota_that_ends_on_the_way_leaves_the_picture(
    platform: Platform, bench: Bench, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.studio.backends.zerogpu, "ask_for", lambda _: SETUP)
    platform.refuse(429, QUOTA_REPLY, {}, request=2)
    paint(job)
    assert end_of(job) == (State.STOPPED, nst.studio.backends.zerogpu.QUOTA)
    assert job.moment is not None
    assert job.moment.iteration == 2
    assert_replays(job, bench.engine)
    job.resume(SMALL)
    assert end_of(paint(job)) == (State.FINISHED, "")
    assert_replays(job, bench.engine)


def test_the_platform_cannot_be_reached(
    platform: Platform, bench: Bench, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spaces.config.Config, "zero_device_api_url", "http://127.0.0.1:9")
    assert end_of(paint(job)) == (State.FAILED, nst.studio.backends.zerogpu.NO_GPU)


@pytest.mark.parametrize(
    ("error", "sentence", "state"),
    [
        (NumericalError("Not a number."), "Not a number.", State.FAILED),
        (WeightsError("No parameters."), "No parameters.", State.FAILED),
        (torch.OutOfMemoryError("1 GiB"), nst.studio.backends.zerogpu.NO_MEMORY, State.STOPPED),
        (ValueError("a secret"), nst.studio.backends.zerogpu.BROKEN, State.STOPPED),
    ],
)
def test_what_goes_wrong_in_the_worker(
    platform: Platform,
    bench: Bench,
    job: Job,
    error: Exception,
    sentence: str,
    state: State,
    every: Callable[[float], None],
) -> None:
    every(ALWAYS)
    bench.fails_after, bench.error = 3, error
    paint(job)
    assert end_of(job) == (state, sentence)
    assert job.moment is not None
    assert job.moment.iteration == 2


# ---------------------------------------------------------------- on a page


def test_the_visitor_s_own_quota_pays(
    platform: Platform,
    bench: Bench,
    photo: Image.Image,
    painting: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The job is painted in another thread, when the request has long been answered."""
    monkeypatch.setattr(nst.studio.backends.zerogpu, "ask_for", lambda _: SETUP)
    monkeypatch.setattr(spaces.zero.torch, "pack", lambda: 0)  # not every disk can be packed to
    jobs = []

    def begin() -> str:
        two = SMALL.replace(iterations=2)
        jobs.append(Job(photo, [painting], two, visitor="v", engine=backend.engine()))
        return "begun"

    with gr.Blocks(analytics_enabled=False) as demo:
        said = gr.Textbox()
        gr.Button().click(begin, None, said, api_name="begin")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    try:
        client = Client(url, headers={"x-ip-token": TOKEN}, verbose=False)
        assert client.predict(api_name="/begin") == "begun"
        paint(jobs[0])
    finally:
        demo.close()
    assert end_of(jobs[0]) == (State.FINISHED, "")
    assert platform.paths[0] == "/startup-report"
    tokens = [query.get("token") for path, query in platform.calls if path == "/schedule"]
    assert tokens == [TOKEN, TOKEN]


def test_no_sentence_tells_the_visitor_s_token(
    platform: Platform, job: Job, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither does the log, when a request with the token in it fails."""
    caplog.set_level("INFO", logger="nst")

    def ask() -> None:
        LocalContext.request.set(SimpleNamespace(headers=Headers({"x-ip-token": TOKEN})))
        job.engine = backend.engine()

    contextvars.copy_context().run(ask)
    platform.refuse(429, QUOTA_REPLY, {})
    paint(job)
    assert end_of(job) == (State.FAILED, nst.studio.backends.zerogpu.QUOTA)
    assert platform.calls[0][1]["token"] == TOKEN
    assert TOKEN not in caplog.text
    assert "quota" in caplog.text
