"""The page on a cluster, as a program sees it through HTTP, while a worker dies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from gradio_client import Client, handle_file
from PIL import Image

from helpers.places import EXAMPLES
from helpers.ray_cluster import Cluster, running_cluster
from helpers.ray_painting import TINY_PAINTER, UNHURRIED_FROM
from helpers.server import Server, running_server

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

PLANT = f"""
import os, sys
if "app.py" in " ".join(sys.orig_argv):  # not in the process that drives the cluster
    import nst.studio.backends.ray
    nst.studio.backends.ray.PAINTER = {TINY_PAINTER!r}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster(cpus=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Server]:
    address = {"NST_RAY_ADDRESS": cluster.address, "NST_RAY_CPUS": "1"}
    with running_server(environment=address, plant=PLANT) as server:
        yield server
        assert "Traceback" not in server.log()


def test_a_program_gets_its_picture_whatever_dies(
    cluster: Cluster, server: Server, tmp_path: Path
) -> None:
    client = Client(server.url, verbose=False, analytics_enabled=False, download_files=tmp_path)
    call = client.submit(
        content=handle_file(EXAMPLES / "content" / "moose.jpg"),
        style=handle_file(EXAMPLES / "style" / "stained_glass.jpg"),
        size=64,
        iterations=UNHURRIED_FROM,
        api_name="/stylize",
    )
    cluster.kill_worker()
    path, costs = call.result(timeout=200)
    with Image.open(path) as picture:
        assert max(picture.size) == 64
    assert (costs["iteration"], costs["total"]) == (UNHURRIED_FROM, UNHURRIED_FROM)
    assert "a worker has ended at iteration" in server.log()
    assert "workers of the cluster: 1" in server.log()
