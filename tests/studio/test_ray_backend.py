"""The studio on a Ray cluster: everything as on one machine, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from multiprocessing import Pipe

import pytest
from PIL import Image

pytest.importorskip("ray")

import nst.studio.backends.ray_fleet
from helpers.painting import SMALL
from helpers.ray_cluster import Cluster, running_cluster
from helpers.ray_painting import SLOW_SEED, TINY_PAINTER
from helpers.tiny_network import LONG_RUN
from helpers.waiting import until
from helpers.working import PATIENCE
from nst.engine.contact_sheet import plan_sheet
from nst.engine.repaint import repaint
from nst.engine.transfer import transfer_style
from nst.images.recipe import parse_recipe
from nst.settings import TransferSettings
from nst.studio.backends.ray import RayBackend
from nst.studio.backends.ray_fleet import LOST, Fleet
from nst.studio.forecast import PlannedRun
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.sheet_job import Sheet
from nst.studio.task import State
from nst.studio.workshop import Workshop
from nst.vgg.network import VGG

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

LONG = SMALL.replace(iterations=LONG_RUN, precision="float32")
SHORT = SMALL.replace(precision="float32")


class Bench:
    """A workshop on a cluster, and what a test asks of it."""

    def __init__(self, cluster: Cluster, photo: Image.Image, painting: Image.Image) -> None:
        self.cluster, self.photo, self.painting = cluster, photo, painting
        self.backend = RayBackend(Fleet(cluster.address, TINY_PAINTER, cpus_each=1))
        self.backend.prepare()
        self.workshop = Workshop(None, Limits(), self.backend)
        self.engine = self.backend.engine()

    @property
    def painters(self) -> int:
        return self.workshop.limits.painters

    def begin(self, settings: TransferSettings, visitor: str = "jane") -> Job:
        job = Job(self.photo, [self.painting], settings, visitor=visitor, engine=self.engine)
        self.workshop.submit(job)
        return job

    def wait_for(self, job: Job, iteration: int) -> None:
        until(lambda: job.moment and job.moment.iteration >= iteration, "no iterations")

    def has_any(self, processes: list[int]) -> bool:
        """Tell whether any of these workers is there."""
        return any(worker.process in processes for worker in self.backend.fleet.workers)

    def close(self) -> None:
        self.workshop.close()
        self.backend.close()


def finish(job: Job | Sheet) -> None:
    until(lambda: not job.state.is_live, "it is painted for ever")
    assert (job.state, job.note) == (State.FINISHED, "")


def shorten(job: Job) -> None:
    """Let a job end some iterations after the present one."""
    assert job.moment is not None
    job.steer(job.settings.replace(iterations=job.moment.iteration + 8))


def shorten_ended(job: Job) -> None:
    """Let a stopped job go on for some iterations."""
    assert job.moment is not None
    job.resume(job.settings.replace(iterations=job.moment.iteration + 4))


def assert_replays(job: Job, network: VGG) -> None:
    recipe = parse_recipe(job.recipe().to_text())
    engine = partial(transfer_style, network=network)
    *_, last = repaint(recipe, job.content, job.styles, engine=engine)
    assert job.moment is not None
    assert last.iteration == job.moment.iteration
    assert last.image.tobytes() == job.moment.picture.tobytes()


def assert_continues(job: Job) -> None:
    """No iteration is missing, and none is painted twice but where a passage begins."""
    iterations = [step.iteration for step in job.steps]
    assert all(after - before in (0, 1) for before, after in pairwise(iterations))
    assert len(iterations) == iterations[-1] + len(job.passages)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster(cpus=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def bench(cluster: Cluster) -> Iterator[Bench]:
    photo = Image.linear_gradient("L").convert("RGB").resize((48, 32))
    painting = Image.radial_gradient("L").convert("RGB").resize((40, 40))
    bench = Bench(cluster, photo, painting)
    until(lambda: bench.painters == 2, "no workers")
    yield bench
    bench.close()


def test_a_picture_is_the_same_as_in_one_process(bench: Bench, network: VGG) -> None:
    job = bench.begin(SHORT)
    finish(job)
    assert [step.iteration for step in job.steps] == list(range(7))
    assert_replays(job, network)


def test_the_workers_pace_and_memory_are_known(bench: Bench) -> None:
    expected = bench.backend.admit(PlannedRun((48, 32), [(40, 40)], LONG))
    assert 0 < expected.seconds < 60
    assert bench.backend.free_memory(LONG, 0)


def test_edited_stopped_and_continued(bench: Bench, network: VGG) -> None:
    job = bench.begin(LONG)
    bench.wait_for(job, 3)
    job.steer(job.settings.replace(beta=4.0))
    until(lambda: len(job.passages) == 2, "no edit")
    bench.wait_for(job, job.passages[-1].iteration + 2)
    job.stop()
    until(lambda: not job.state.is_live, "no stop")
    assert job.state is State.STOPPED
    shorten_ended(job)
    bench.workshop.submit(job)
    finish(job)
    assert [passage.settings.beta for passage in job.passages] == [1.0, 4.0, 4.0]
    assert [passage.continues for passage in job.passages] == [False, True, True]
    assert_continues(job)
    assert_replays(job, network)


def test_continued_when_its_worker_is_gone(bench: Bench, network: VGG) -> None:
    job = bench.begin(LONG)
    bench.wait_for(job, 3)
    job.stop()
    until(lambda: not job.state.is_live, "no stop")
    killed = [worker.process for worker in bench.backend.fleet.workers]
    for process in killed:
        os.kill(process, signal.SIGKILL)
    until(lambda: bench.painters == 2 and not bench.has_any(killed), "no new workers")
    shorten_ended(job)
    bench.workshop.submit(job)
    finish(job)
    assert [passage.continues for passage in job.passages] == [False, False]
    assert_continues(job)
    assert_replays(job, network)


def test_a_stopped_picture_leaves_its_worker_to_others(bench: Bench) -> None:
    jobs = [bench.begin(LONG, str(number)) for number in range(2)]
    for job in jobs:
        bench.wait_for(job, 1)
        job.stop()
    finish(bench.begin(SHORT, "third"))


def test_a_first_step_may_take_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nst.studio.backends.ray_fleet, "PATIENCE", 0.5)
    finish(bench.begin(SHORT.replace(seed=SLOW_SEED)))


def test_a_killed_worker_costs_no_iteration(bench: Bench, network: VGG) -> None:
    job = bench.begin(LONG)
    bench.wait_for(job, 5)
    bench.cluster.kill_worker()
    until(lambda: len(job.passages) == 2, "nobody goes on")
    reached = job.passages[-1].iteration
    assert reached >= 5
    bench.wait_for(job, reached + 1)
    assert not job.passages[-1].continues  # what was learned is lost
    bench.wait_for(job, reached + 2)
    shorten(job)
    finish(job)
    assert_continues(job)
    assert_replays(job, network)
    until(lambda: bench.painters == 2, "no new worker")


def test_a_contact_sheet_outlasts_a_worker(bench: Bench) -> None:
    grid = plan_sheet(LONG, "beta", "style_scale")
    grid = [[tile.replace(size=64, iterations=LONG_RUN) for tile in row] for row in grid]
    engine = bench.backend.in_process.engine()
    sheet = Sheet(bench.photo, [bench.painting], grid, visitor="v", engine=engine)
    bench.workshop.submit(sheet)
    until(lambda: sheet.tiles and sheet.tiles[0][0].iteration >= 4, "no tiles")
    job = bench.begin(SHORT, "another")  # finds a worker meanwhile
    finish(job)
    bench.cluster.kill_worker()
    before = sheet.tiles[0][0].iteration
    until(lambda: sheet.tiles[0][0].iteration > before + 3, "the sheet stands still")
    assert len({tile.iteration for row in sheet.tiles for tile in row}) == 1
    assert len({tile.image.tobytes() for row in sheet.tiles for tile in row}) > 6
    sheet.stop()
    until(lambda: not sheet.state.is_live, "no stop")
    until(lambda: bench.painters == 2, "no new worker")


def test_workers_come_and_go(bench: Bench, network: VGG) -> None:
    node = bench.cluster.add_node(cpus=1)
    until(lambda: bench.painters == 3, "no third worker")
    jobs = [bench.begin(LONG, f"visitor {number}") for number in range(3)]
    for job in jobs:
        bench.wait_for(job, 2)
    bench.cluster.kill(node)
    until(lambda: bench.painters == 2, "a worker that is not there")
    for job in jobs:
        shorten(job) if job.moment else job.stop()
    for job in jobs:
        finish(job)
        assert_continues(job)
        assert_replays(job, network)


def test_draining_keeps_what_was_reached(cluster: Cluster, bench: Bench) -> None:
    leaving = Workshop(None, Limits(), bench.backend)
    job = Job(bench.photo, [bench.painting], LONG, visitor="v", engine=bench.engine)
    leaving.submit(job)
    bench.wait_for(job, 1)
    leaving.close(PATIENCE)
    assert job.state is State.INTERRUPTED
    assert job.moment is not None
    finish(bench.begin(SHORT))  # the worker is free


def test_what_drives_the_cluster_ends_by_itself(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.studio.backends.ray_fleet, "ENDS_WITHIN", 0.0)
    fleet = Fleet(cluster.address, TINY_PAINTER, cpus_each=1)
    fleet.start(0.0)
    until(lambda: fleet.process_id, "nothing drives it")
    fleet.close()
    until(lambda: not fleet._thread.is_alive(), "it goes on")
    assert fleet._process
    # Not killed; Ray ends its process with 1 where a call is under way when it shuts down.
    assert fleet._process.returncode in (0, 1)


def test_what_drives_the_cluster_ends_with_the_page(cluster: Cluster) -> None:
    ours, theirs = Pipe()
    with theirs:
        process = Fleet(cluster.address, TINY_PAINTER, cpus_each=1)._start(theirs)
    ours.close()
    assert process.wait(PATIENCE) == 0


def test_a_lost_head_is_waited_for(photo: Image.Image, painting: Image.Image, network: VGG) -> None:
    with running_cluster(cpus=1) as cluster:
        bench = Bench(cluster, photo, painting)
        try:
            job = bench.begin(LONG)
            bench.wait_for(job, 3)
            (head,) = cluster.nodes
            cluster.kill(head)
            until(lambda: job.note == LOST, "nobody says it")
            waiting = bench.begin(SHORT, "another")
            assert (job.state, waiting.state) == (State.RUNNING, State.WAITING)
            cluster.start_head(1)
            until(lambda: job.note == "", "it is not back")
            shorten(job)
            finish(job)
            finish(waiting)
            assert_continues(job)
            assert_replays(job, network)
        finally:
            bench.close()
