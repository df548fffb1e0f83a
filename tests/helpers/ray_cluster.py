"""Ray clusters of this machine alone, whose nodes are processes that a test can kill."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from helpers.places import ROOT, TESTS
from helpers.server import free_port
from helpers.waiting import until

STORE = 2**27  # bytes
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def ray_environment(folder: Path) -> dict[str, str]:
    """What the processes of a cluster find: their folder, and the painter of the tests."""
    return {
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        **TOKEN,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, TESTS))),
        "PAINTED_BY": str(folder),
    }


class Cluster:
    """A head, and nodes beside it. Each node has a folder of its own, so that it can die alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.nodes: list[subprocess.Popen[bytes]] = []

    def start_head(self, cpus: int) -> subprocess.Popen[bytes]:
        return self._start(cpus, "--head", f"--port={self.port}", "--include-dashboard=false")

    def add_node(self, cpus: int) -> subprocess.Popen[bytes]:
        return self._start(cpus, f"--address={self.address}")

    def _start(self, cpus: int, *options: str) -> subprocess.Popen[bytes]:
        node = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
                *("--node-ip-address=127.0.0.1", f"--num-cpus={cpus}"),
                *(f"--object-store-memory={STORE}", *options),
            ],
            env=os.environ | ray_environment(self.folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.nodes.append(node)
        return node

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """End a node as the loss of its machine would: all of its processes at once."""
        self.nodes.remove(node)
        for pid in [node.pid, *descendants(node.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()

    def painting(self) -> list[int]:
        """The processes of the workers that are painting just now."""
        return [int(path.name) for path in self.folder.glob("painting/*")]

    def kill_worker(self) -> None:
        """End a worker that is painting."""
        until(self._kill_one, "nobody paints")

    def _kill_one(self) -> bool:
        """End one of those that say that they paint; tell whether there was one."""
        for pid in self.painting():
            (self.folder / "painting" / str(pid)).unlink(missing_ok=True)
            with contextlib.suppress(ProcessLookupError):  # it has ended before
                os.kill(pid, signal.SIGKILL)
                return True
        return False


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = status.read_text().rpartition(")")[2].split()
            children.setdefault(int(after_name[1]), []).append(int(status.parent.name))
    found, left = list[int](), [pid]
    while left:
        own = children.get(left.pop(), [])
        found += own
        left += own
    return found


@contextlib.contextmanager
def running_cluster(cpus: int) -> Iterator[Cluster]:
    """A cluster of one node, gone when the block is left; this process may join it meanwhile."""
    before = {name: os.environ.get(name) for name in TOKEN}
    os.environ.update(TOKEN)
    # Ray's sockets want a short path.
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    cluster = Cluster(folder)
    try:
        cluster.start_head(cpus)
        yield cluster
    finally:
        for node in list(cluster.nodes):
            cluster.kill(node)
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
