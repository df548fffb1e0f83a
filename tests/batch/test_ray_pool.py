"""Actors on a cluster: every picture is painted once, whoever dies on the way."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from helpers.batches import IN_WORKERS, Batch, Heard, arguments, planned, records
from helpers.pictures import MakePicture
from helpers.server import planted
from nst.batch.__main__ import main
from nst.batch.messages import Progress
from nst.batch.output_folder import OutputFolder
from nst.batch.plan import Item
from nst.batch.ray_pool import RayPool
from nst.batch.runner import Runner
from nst.batch.tally import Tally
from nst.console import StopRequest
from nst.images.recipe import read_recipe
from nst.ray_clusters import MISSING, Share, divide
from nst.settings import TransferSettings

HANGS_AT = 13  # iterations; the checkpoint before is that of the tenth
SETTINGS = TransferSettings(size=64, iterations=20)
# Runs hang: that of the process which makes the file, or all on a node that is told to.
HANGING = """
    import os, time
    import nst.studio.backends.local as local
    paint = local.transfer_style

    def may_hang():
        name = os.environ["HANG_FILE"]
        while os.environ.get("HANG_ON_NODE") and not os.environ.get("HANGING_NODE"):
            if os.path.exists(name):  # the other node has begun
                return False
            time.sleep(0.05)
        try:
            open(name, "x").close()
        except FileExistsError:
            return bool(os.environ.get("HANGING_NODE"))
        return True

    def hanging(*arguments, **options):
        hangs = may_hang()
        for step in paint(*arguments, **options):
            yield step
            while hangs and step.iteration == 13:
                time.sleep(0.05)

    local.transfer_style = hanging
"""


@pytest.fixture
def place(tmp_path: Path, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `photos/` and `paintings/`, where workers have the tiny network."""
    for name, seeds in (("photos", range(4)), ("paintings", [7])):
        (tmp_path / name).mkdir()
        for seed in seeds:
            make_picture(80, 60, seed=seed).save(tmp_path / name / f"{seed}.png")
    variables = planted(tmp_path, f"{IN_WORKERS}\n{HANGING}")
    for name, value in {**variables, "HANG_FILE": str(tmp_path / "hangs")}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


class Interfering(Heard):
    """Does something once, when a picture has come to where it hangs."""

    def __init__(self, interfere: Callable[[Item], bool]) -> None:
        super().__init__()
        self.interfere, self.hanging = interfere, ""

    @override
    def progress(self, item: Item, event: Progress) -> None:
        if event.iteration == HANGS_AT and not self.hanging and self.interfere(item):
            self.hanging = item.output


def run(place: Path, pool: RayPool, report: Interfering) -> Tally:
    photos = sorted((place / "photos").iterdir())
    items, manner = planned(photos, [place / "paintings" / "7.png"], SETTINGS)
    with OutputFolder(place / "out", []) as folder, StopRequest() as stop:
        runner = Runner(folder, manner, report)
        tally = runner.find_missing(items)
        runner.run(pool, stop)
    return tally


def assert_each_once(place: Path, report: Interfering, tally: Tally) -> None:
    names = [f"{number}--7.png" for number in range(4)]
    assert tally == Tally(4, painted=4)
    assert sorted(report.outputs("painted")) == names
    assert sorted(record["output"] for record in records(place / "out")) == names
    assert passages(place, report.hanging) == [0, 10]
    assert report.hanging in report.outputs("lost")
    assert all(passages(place, name) == [0] for name in names if name != report.hanging)


def passages(place: Path, output: str) -> list[int]:
    return [each.iteration for each in read_recipe(place / "out" / output).passages]


def actor_of(pool: RayPool, item: Item) -> Any:
    """The actor that is painting an item."""
    return next(actor for actor in pool._actors if actor.painting == item.number)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_picture_goes_on_when_its_actor_is_killed(place: Path) -> None:
    pytest.importorskip("ray")

    def kill(item: Item) -> bool:
        os.kill(actor_of(pool, item).pid, signal.SIGKILL)
        return True

    pool = RayPool("local", 1, "cpu")
    report = Interfering(kill)
    try:
        tally = run(place, pool, report)
    finally:
        pool.close()
    assert_each_once(place, report, tally)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_picture_goes_on_elsewhere_when_its_node_is_lost(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cluster = pytest.importorskip("ray.cluster_utils").Cluster

    def remove(item: Item) -> bool:
        is_there = bool(actor_of(pool, item).node == node.node_id)
        if is_there:
            cluster.remove_node(node, allow_graceful=False)
        return is_there

    monkeypatch.setenv("HANG_ON_NODE", "yes")
    usual = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster: Any = Cluster(initialize_head=True, head_node_args=usual)
    node: Any = cluster.add_node(**usual, env_vars={"HANGING_NODE": "yes"})
    try:
        pool = RayPool(cluster.address, 2, "cpu")
        report = Interfering(remove)
        try:
            tally = run(place, pool, report)
        finally:
            pool.close()
    finally:
        cluster.shutdown()
    assert_each_once(place, report, tally)


@pytest.mark.ray
@pytest.mark.slow
def test_the_command_paints_on_a_cluster_of_its_own(place: Path) -> None:
    pytest.importorskip("ray")
    with Batch(place, *arguments(), "--ray", "local", "--jobs", "2") as batch:
        status, errors = batch.end()
    assert (status, batch.events[-1]["painted"]) == (0, 4), errors
    with Batch(place, *arguments()) as batch:  # both ways share the manifest
        assert batch.end() == (0, "")
    assert batch.events[-1]["present"] == 4


@pytest.mark.ray
@pytest.mark.slow
def test_the_loss_of_the_head_is_one_sentence(place: Path) -> None:
    pytest.importorskip("ray")
    with Batch(place, *arguments(iterations=20), "--ray", "local", plant=HANGING) as batch:
        hanging = batch.until("progress", HANGS_AT + 1)
        assert hanging["iteration"] == HANGS_AT
        kill_head(batch.process.pid)
        status, errors = batch.end()
    assert status == 1
    assert "nst: The head of the Ray cluster is lost: connection refused; " in errors
    with Batch(place, *arguments(iterations=20)) as batch:
        assert batch.end() == (0, "")


def kill_head(driver: int) -> None:
    """End the head of the cluster that a process has started."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, rest = entry.read_text().split(") ")
            if name.endswith("(gcs_server") and int(rest.split()[1]) == driver:
                os.kill(int(entry.parent.name), signal.SIGKILL)
                return
    raise AssertionError("there is no head")


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1:1", "connection refused"), ("nonsense", "an address is HOST:PORT")],
)
def test_a_cluster_that_is_not_there_is_one_sentence(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    reason: str,
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))  # it is not even asked
    assert main([*arguments(), "--ray", address]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"nst: The Ray cluster {address!r} cannot be reached: {reason}."


def test_without_ray_a_sentence_names_the_extra(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*arguments(), "--ray", "auto"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"nst: {MISSING}"


@pytest.mark.parametrize(
    ("nodes", "jobs", "uses_gpus", "expected"),
    [
        ([{"CPU": 8.0}], None, True, (1, Share(8))),
        ([{"CPU": 8.0}], 3, True, (3, Share(2))),
        ([{"CPU": 2.0}], 4, True, (4, Share(1))),
        ([{"CPU": 8.0}, {"CPU": 4.0}, {}], None, True, (3, Share(4))),
        ([{"CPU": 8.0}, {"CPU": 4.0}], 2, True, (2, Share(4))),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}], None, True, (4, Share(4, 1))),
        ([{"CPU": 8.0, "GPU": 2.0}], 1, True, (1, Share(4, 1))),
        ([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 64.0}], None, True, (1, Share(8, 1))),
        (
            [{"CPU": 64.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 9.0, "GPU": 2.0}],
            None,
            True,
            (3, Share(4, 1)),
        ),
        ([{"CPU": 2.0, "GPU": 4.0}], None, True, (4, Share(1, 1))),
        ([{"CPU": 8.0, "GPU": 2.0}], None, False, (1, Share(8))),
        ([{"memory": 1.0}], None, True, (1, Share(1))),
    ],
)
def test_what_an_actor_takes(
    nodes: list[dict[str, float]], jobs: int | None, uses_gpus: bool, expected: tuple[int, Share]
) -> None:
    assert divide(nodes, jobs, uses_gpus=uses_gpus) == expected
