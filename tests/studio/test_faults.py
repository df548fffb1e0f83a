"""What can fail, made to fail: memory, numbers, disks, processes, clients and clocks.

Each fault ends with a picture or one plain sentence, and the next job is painted as if nothing had
happened: in the same workshop, by the same server.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import nst.studio.workshop
from helpers.painting import SMALL, Recorder, Saboteur, iterations, lacking, picture_of, tone
from helpers.places import ROOT, TESTS
from helpers.tiny_network import tiny_weights
from helpers.working import ALWAYS, Gate, MakeJob, assert_ends, make_job, settle
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.images.recipe import signed_png
from nst.studio.job import NOT_ENOUGH, Job
from nst.studio.task import NO_MEMORY, UNEXPECTED, State
from nst.studio.workshop import Workshop
from nst.vgg.network import VGG

pytestmark = pytest.mark.slow


__all__ = ["make_job"]  # a fixture

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc of Linux")
DAY = 24 * 3600.0  # seconds
SECRET = "nobody's business: /etc/passwd"


def painted(workshop: Workshop, job: Job) -> Job:
    workshop.submit(job)
    settle(workshop)
    return job


def assert_paints(workshop: Workshop, job: Job) -> None:
    """The next job is painted to its end, and kept where anything is."""
    painted(workshop, job)
    assert (job.state, job.note) == (State.FINISHED, "")
    assert job.steps[-1].iteration == job.settings.iterations
    if workshop.job_store:
        again = Workshop(workshop.job_store.folder).find_job(job.id)
        assert again
        assert picture_of(again).tobytes() == picture_of(job).tobytes()


def apart(call: str, *prefix: str) -> None:
    """Run one of this file's functions in a process of its own, whose limits are nobody else's."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", f"import test_faults; test_faults.{call}"],
        cwd=Path(__file__).parent,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)]),
            "OMP_NUM_THREADS": "1",
            "MALLOC_MMAP_THRESHOLD_": "65536",  # what is freed goes back at once
        },
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def limited(kind: int, most: int) -> Iterator[None]:
    """This process may have no more of something than that, in the block."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def grain(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 60).convert("RGB")


# --- Memory -------------------------------------------------------------------------------------


def paint_with_little_memory(mebibytes: int, size: int, *, fits_smaller: bool) -> None:
    """To be run apart."""
    tiny = partial(transfer_style, network=VGG(tiny_weights()))
    workshop, photo = Workshop(), grain(80, 60)
    assert_paints(workshop, Job(photo, [photo], SMALL, engine=tiny))  # threads and libraries
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    large = Job(photo, [photo], SMALL.replace(size=size, iterations=1), engine=tiny)
    with limited(resource.RLIMIT_AS, held + mebibytes * 2**20):
        painted(workshop, large)
    if fits_smaller:
        assert large.state is State.FINISHED
        assert 128 <= large.settings.size < size
        assert max(picture_of(large).size) == large.settings.size
        assert large.note.endswith(f"it is painted at {large.settings.size} px.")
    else:
        assert (large.state, large.note, large.moment) == (State.FAILED, NO_MEMORY, None)
    assert_paints(workshop, Job(photo, [photo], SMALL, engine=tiny))


@ON_LINUX
def test_memory_that_really_runs_out_gives_a_smaller_picture() -> None:
    apart("paint_with_little_memory(130, 2048, fits_smaller=True)")


@ON_LINUX
def test_no_memory_at_all_gives_a_sentence() -> None:
    apart("paint_with_little_memory(0, 512, fits_smaller=False)")


def test_a_gpu_without_memory_gets_a_smaller_picture(tmp_path: Path, make_job: MakeJob) -> None:
    workshop, error = Workshop(tmp_path, ALWAYS), torch.OutOfMemoryError("CUDA out of memory.")
    large = SMALL.replace(size=512)
    job = painted(workshop, make_job(lacking(error, above=300), large))
    assert (job.state, job.note) == (State.FINISHED, NOT_ENOUGH.format(352, 240))
    assert picture_of(job).width == 240
    assert_paints(workshop, make_job(tone, large))


# --- Numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [[4], range(5, 9)], ids=["once", "from then on"])
def test_numbers_that_go_wrong_on_the_way_cost_no_picture(
    make_job: MakeJob, network: VGG, calls: Sequence[int]
) -> None:
    workshop, sound = Workshop(), partial(transfer_style, network=Recorder(network))
    reference = painted(workshop, make_job(sound))
    sick = partial(transfer_style, network=Saboteur(network, calls, math.nan))
    job = painted(workshop, make_job(sick))
    assert (job.state, iterations(job)) == (State.FINISHED, list(range(7)))
    assert job.steps[-1].J <= job.steps[0].J * (1 + 1e-6)
    follower = painted(workshop, make_job(sound))
    assert picture_of(follower).tobytes() == picture_of(reference).tobytes()


@pytest.mark.parametrize("call", [0, 1, 2], ids=["photo", "painting", "start"])
def test_numbers_that_went_wrong_at_the_start_are_not_remembered(
    make_job: MakeJob, network: VGG, call: int
) -> None:
    """A visitor who tries the same pictures again gets the picture."""
    workshop = Workshop()
    sick = partial(transfer_style, network=Saboteur(network, [call], math.nan))
    job = painted(workshop, make_job(sick))
    assert job.state is State.FAILED
    assert job.note.endswith("is not a finite number.")
    assert_paints(workshop, make_job(sick))


# --- Errors -------------------------------------------------------------------------------------


def failing(error: BaseException, after: int = 3) -> Engine:
    def paint(*args: Any, **options: Any) -> Iterator[TransferStep]:
        for step in tone(*args, **options):
            if step.iteration > after:
                raise error
            yield step

    return paint


@pytest.mark.parametrize(
    "error", [RuntimeError(SECRET), KeyError(SECRET), OSError(5, SECRET), AssertionError(SECRET)]
)
def test_an_error_on_the_way_leaves_the_picture_so_far(
    tmp_path: Path, make_job: MakeJob, error: Exception
) -> None:
    workshop = Workshop(tmp_path)
    job = painted(workshop, make_job(failing(error)))
    for seen in (job, Workshop(tmp_path).find_job(job.id)):
        assert seen
        assert (seen.state, seen.note) == (State.FAILED, UNEXPECTED)
        assert seen.moment
        assert seen.moment.iteration == 3
    job.engine = tone
    job.resume(SMALL)
    assert_paints(workshop, job)
    assert_paints(workshop, make_job())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_library_that_ends_its_thread_does_not_end_the_painting(make_job: MakeJob) -> None:
    others = set(threading.enumerate())
    workshop, job, follower = Workshop(), make_job(failing(SystemExit(1))), make_job()
    workshop.submit(job)
    for thread in set(threading.enumerate()) - others:
        thread.join(1.0)  # at most: it may live on
    assert (job.state.is_live, iterations(job)) == (False, list(range(4)))
    workshop.submit(follower)
    assert_ends(follower)


# --- Disks --------------------------------------------------------------------------------------


class Disk:
    """A disk that is full at times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        raise NotImplementedError


class FileLimit(Disk):
    """No file of this process may grow, which any disk can do."""

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def clear(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class SmallDisk(Disk):
    """A disk of 8 MB, for a process that may mount one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self.folder / "ballast").open("wb", 0) as file:
            while True:
                file.write(bytes(4096))

    def clear(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)


def paint_on_full_disks(folder: str, kind: str) -> None:
    """To be run apart: during some of the checkpoints, at the end, and all the time."""
    disk = {"FileLimit": FileLimit, "SmallDisk": SmallDisk}[kind](Path(folder))
    for full in (range(2, 5), range(4, 7), range(7)):
        paint_on_a_full_disk(Path(folder), disk, full)


def paint_on_a_full_disk(folder: Path, disk: Disk, full: range) -> None:
    """It is full in some of six iterations; 0 is the first picture."""
    workshop = Workshop(folder / "jobs", ALWAYS)
    tiny, photo = partial(transfer_style, network=VGG(tiny_weights())), grain(80, 60)

    def paint(*args: Any, **options: Any) -> Iterator[TransferStep]:
        assert workshop.wait_until_saved()  # as it was admitted
        for step in tiny(*args, **options):
            if step.iteration in full:
                disk.fill()
            else:
                disk.clear()
            yield step

    before, job, after = (
        Job(photo, [photo], SMALL, visitor="jane", engine=each) for each in (tiny, paint, tiny)
    )
    assert_paints(workshop, before)
    painted(workshop, job)
    assert (job.state, job.note, iterations(job)) == (State.FINISHED, "", list(range(7)))
    assert signed_png(*job.delivered()), "it can be taken home"
    kept = Workshop(folder / "jobs").find_job(job.id)
    is_full_at_the_end, is_full_at_first = 6 in full, 0 in full
    assert kept, "it was kept when it was admitted"
    assert kept.state is (State.INTERRUPTED if is_full_at_the_end else State.FINISHED)
    assert (kept.moment is None) == (is_full_at_the_end and is_full_at_first)
    if kept.moment:
        assert kept.moment.iteration == (full.start - 1 if is_full_at_the_end else 6)
        assert kept.moment.iteration == kept.recipe().iterations
    assert not list(folder.rglob(".*")), "nothing half-written is left"
    assert {before.id, job.id} <= {card.id for card in workshop.cards("jane")}
    disk.clear()
    assert_paints(workshop, after)
    assert Workshop(folder / "jobs").find_job(before.id)


def prefix_of(kind: type[Disk], folder: Path) -> list[str]:
    """What a process must be started with to have such a disk. Skips where it cannot be had."""
    if kind is FileLimit:
        return []
    prefix = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = [*prefix, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    return prefix


@ON_LINUX
@pytest.mark.parametrize("kind", [FileLimit, SmallDisk])
def test_a_disk_that_is_really_full_costs_no_picture(tmp_path: Path, kind: type[Disk]) -> None:
    apart(f"paint_on_full_disks({str(tmp_path)!r}, {kind.__name__!r})", *prefix_of(kind, tmp_path))


UNWRITABLE = [Path(__file__) / "jobs", Path("/proc/nst/jobs")]  # for root too


@pytest.mark.parametrize("folder", UNWRITABLE, ids=["below a file", "below /proc"])
def test_a_folder_that_cannot_be_written_to_costs_no_picture(
    folder: Path, make_job: MakeJob, network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.studio.workshop, "SWEEP_AT_MOST_EVERY", -1.0)
    workshop = Workshop(folder, ALWAYS)
    workshop.sweep()
    for job in (make_job(), make_job()):
        painted(workshop, job)
        assert (job.state, job.note, iterations(job)) == (State.FINISHED, "", list(range(7)))
        assert workshop.find(job.id) is job
        assert signed_png(*job.delivered())
    assert len(workshop.cards("jane")) == 2
    assert workshop.find_shared("nobody's") is None


# --- Clocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [2, -2])
def test_a_clock_that_jumps_costs_no_picture(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """One that is kept, one that is painted and one that waits."""
    monkeypatch.setattr(nst.studio.workshop, "SWEEP_AT_MOST_EVERY", -1.0)
    workshop, gate, now = Workshop(tmp_path, ALWAYS), Gate(), time.time
    before, running, waiting = make_job(), make_job(gate), make_job()
    assert_paints(workshop, before)
    workshop.submit(running)
    gate.wait()
    gate.step()
    workshop.submit(waiting)
    monkeypatch.setattr(time, "time", lambda: now() + days * DAY)
    gate.step()
    gate.open()
    settle(workshop)
    after = make_job()
    assert_paints(workshop, after)
    workshop.sweep()
    for job in (before, running, waiting, after):
        assert (job.state, job.note, iterations(job)) == (State.FINISHED, "", list(range(7)))
        kept = Workshop(tmp_path).find_job(job.id)
        assert kept
        assert picture_of(kept).tobytes() == picture_of(job).tobytes()
    assert len(workshop.cards("jane")) == 4
