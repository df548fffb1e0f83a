"""One picture whose tiles are kept on two machines of a Ray cluster, one of which is lost."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("ray")

import ray
from ray.cluster_utils import Cluster

from helpers.ray_cluster import STORE, TOKEN, ray_environment
from helpers.waiting import until
from nst.engine.sharded_objective import ShardedObjective, minimize_sharded
from nst.engine.spread_objective import SpreadObjective
from nst.settings import DEFAULTS
from nst.studio.backends.ray_tiles import RayTileMap
from nst.vgg.network import VGG

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

SIDE = 128  # pixels; smaller tiles travel with the calls, and nothing of them can be lost


@pytest.fixture
def joined() -> Iterator[Any]:
    """A cluster with two nodes that paint, which this process has joined, and one of them."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets want a short path
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        for name, value in ray_environment(folder).items():
            patch.setenv(name, value)
        for name in TOKEN:  # Ray has read them when it was imported
            patch.delenv(name)
        usual = {"object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args={**usual, "num_cpus": 0})
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        yield cluster, nodes[0]
        ray.shutdown()
        cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def random_image(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, 250, 380), generator=generator)


def test_a_lost_machine_s_tiles_are_taken_over_from_the_last_copy(
    network: VGG, joined: Any
) -> None:
    cluster, node = joined
    tile_map = RayTileMap(2)
    until(lambda: len(set(tile_map.map(os.getpid, [()] * 2))) == 2, "the workers do not start")
    photo, painting = random_image(1), random_image(2)
    spread = SpreadObjective(network, photo, [painting], DEFAULTS, SIDE, tile_map=tile_map)
    apart = ShardedObjective(spread)
    found = []
    for each in minimize_sharded(apart, random_image(3), 0.02, 14):
        found.append(each)
        if len(found) == 12:
            cluster.remove_node(node, allow_graceful=False)
    assert len(found) == 15
    assert [each.is_anew for each in found].count(True) == 1
    assert found[-1].best.costs.goal < found[10].best.costs.goal
    assert found[-1].best.image.gather().shape == (1, 3, 250, 380)
    assert tile_map.workers == 1
    tile_map.close()
