"""One picture on several workers of a Ray cluster, also when one of them is lost."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("ray")

import ray

from helpers.elsewhere import OwnTileMap
from helpers.ray_calls import die, make_values, refuse, square_unless, sum_values
from helpers.ray_cluster import STORE, ray_environment
from helpers.waiting import until
from nst.engine.sharded_objective import ShardedObjective, minimize_sharded
from nst.engine.spread_objective import SpreadObjective
from nst.engine.tile_map import TileMap
from nst.errors import NumericalError, WorkerError
from nst.settings import DEFAULTS
from nst.studio.backends.ray_tiles import RayTileMap
from nst.vgg.network import VGG

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def joined() -> Iterator[None]:
    """A cluster of this process."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets want a short path
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        for name, value in ray_environment(folder).items():
            patch.setenv(name, value)
        patch.delenv("RAY_AUTH_MODE")  # which Ray has read when it was imported; it sets its own
        quiet = {"logging_level": "ERROR", "log_to_driver": False, "include_dashboard": False}
        ray.init(address="local", num_cpus=2, object_store_memory=STORE, **quiet)
        yield
        ray.shutdown()
        os.environ.pop("RAY_AUTH_MODE", None)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tile_map() -> Iterator[RayTileMap]:
    tile_map = RayTileMap(2)
    yield tile_map
    tile_map.close()


def random_image(height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, height, width), generator=generator)


def objective(network: VGG, tile_map: TileMap) -> SpreadObjective:
    photo, painting = random_image(150, 250, 1), random_image(90, 70, 2)
    return SpreadObjective(network, photo, [painting], DEFAULTS, 64, tile_map=tile_map)


def test_the_bits_are_those_of_one_process(network: VGG, tile_map: RayTileMap) -> None:
    image = random_image(150, 250, 3)
    costs, gradient = objective(network, OwnTileMap()).evaluate(image)
    its_costs, its_gradient = objective(network, tile_map).evaluate(image)
    assert costs == its_costs
    assert torch.equal(gradient, its_gradient)


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (1, "auto")])
def test_workers_without_gpus_compute_on_the_cpu(gpus: int, device: str) -> None:
    tile_map = RayTileMap(1, gpus=gpus)  # no worker starts where there is no GPU
    assert tile_map.device == device
    tile_map.close()


def sharded_steps(
    network: VGG, tile_map: TileMap, between: Callable[[int], None] = lambda _: None
) -> list[tuple[float, Tensor]]:
    """J and the pictures of some iterations, of a picture whose tiles the workers keep."""
    held = ShardedObjective(objective(network, tile_map))
    steps = []
    for number, each in enumerate(minimize_sharded(held, random_image(150, 250, 3), 0.02, 4)):
        steps.append((each.point.costs.J, each.point.image.gather()))
        between(number)
    return steps


def assert_bits_agree(
    ours: list[tuple[float, Tensor]], expected: list[tuple[float, Tensor]]
) -> None:
    assert [J for J, _ in ours] == [J for J, _ in expected]
    for (_, one), (_, other) in zip(ours, expected, strict=True):
        assert torch.equal(one, other)


def test_workers_that_keep_the_picture_have_the_bits_of_one_process(
    network: VGG, tile_map: RayTileMap
) -> None:
    expected = sharded_steps(network, OwnTileMap())
    assert_bits_agree(sharded_steps(network, tile_map), expected)


def test_a_worker_that_is_killed_costs_no_bit(network: VGG, tile_map: RayTileMap) -> None:
    def kill(number: int) -> None:
        if number == 2:
            os.kill(next(tile_map.map(os.getpid, [()])), signal.SIGKILL)

    expected = sharded_steps(network, OwnTileMap())
    assert_bits_agree(sharded_steps(network, tile_map, kill), expected)


def test_values_stay_where_they_are_made(tile_map: RayTileMap) -> None:
    ((own, pid),) = tile_map.keep(make_values, [(10**6,)], [2])
    assert tile_map.share(0).get() == 0
    assert own.get().shape == (10**6,)
    assert pid.get() != os.getpid()
    ((total,),) = tile_map.keep(sum_values, [(own,)], [1])
    assert total.get() == 10**6


def test_a_lost_worker_s_calls_are_taken_over(tile_map: RayTileMap, tmp_path: Path) -> None:
    calls = ((number, str(tmp_path / "died")) for number in range(12))
    results = tile_map.map(square_unless, calls)
    assert list(results) == [number * number for number in range(12)]


def processes(tile_map: RayTileMap) -> set[int]:
    """The processes that make the calls of a round."""
    return set(tile_map.map(os.getpid, [()] * 2))


def test_a_lost_worker_is_replaced(tile_map: RayTileMap) -> None:
    until(lambda: len(processes(tile_map)) == 2, "the workers do not start")
    lost, _ = before = processes(tile_map)
    os.kill(lost, signal.SIGKILL)
    until(lambda: len(processes(tile_map) - {lost}) == 2, "nobody takes its place")
    assert tile_map.workers == 2
    assert len(processes(tile_map) & before) == 1  # the other one goes on


def test_a_run_goes_on_without_a_worker(network: VGG, tile_map: RayTileMap) -> None:
    image = random_image(150, 250, 3)
    spread = objective(network, tile_map)
    costs, gradient = spread.evaluate(image)
    killed, *_ = tile_map.map(os.getpid, [()] * 2)
    os.kill(killed, signal.SIGKILL)
    its_costs, its_gradient = spread.evaluate(image)
    assert costs == its_costs
    assert torch.equal(gradient, its_gradient)


def test_the_last_worker_lost_is_replaced(tmp_path: Path) -> None:
    tile_map = RayTileMap(1)
    calls = ((number, str(tmp_path / "died")) for number in range(6))
    assert list(tile_map.map(square_unless, calls)) == [number * number for number in range(6)]
    tile_map.close()


def test_a_call_that_kills_all_workers_is_a_sentence(tile_map: RayTileMap) -> None:
    with pytest.raises(WorkerError, match="3 times over one tile"):
        list(tile_map.map(die, [()] * 2))


def test_more_workers_than_there_is_room_for() -> None:
    tile_map = RayTileMap(4)
    assert list(tile_map.map(abs, [(-1,), (-2,), (-3,)])) == [1, 2, 3]
    assert tile_map.workers <= 2
    tile_map.close()


def test_what_the_work_raises_comes_home(tile_map: RayTileMap) -> None:
    with pytest.raises(NumericalError, match=r"^Not a number\.$"):
        list(tile_map.map(refuse, [()]))
    assert list(tile_map.map(abs, [(-1,), (-2,)])) == [1, 2]  # goes on
