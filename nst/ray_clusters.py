"""Clusters of Ray: joining or starting one, what its machines have, whether its head is there.

Knows nothing of what is computed on them.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nst.console import SIGNALS
from nst.errors import ClusterError, MissingPackageError

AUTO, LOCAL = "auto", "local"  # addresses: of what runs here or is started, and always started
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
STARTED: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 500_000_000}
"""A cluster that is started here; requests pass through its object store, of so many bytes."""
REACH = 5.0  # seconds for the head to answer
CHECK_EVERY = 5.0  # seconds between two looks whether it is there
MOST_FAILED_STARTS = 3  # actors in a row that die before they are ready
MISSING = "Painting on a cluster needs Ray; install it with `pip install nst[ray]`."


@dataclass(frozen=True)
class Share:
    """What an actor takes of a node."""

    cpus: int
    gpus: float = 0


class HeadWatch:
    """Looks now and then whether the head of the cluster that was joined is there."""

    def __init__(self, ray: Any) -> None:
        self._head = _head_address(ray)
        self._checked = time.monotonic()
        self.is_lost = False

    def check(self) -> None:
        """Raise `ClusterError` when the head is lost; Ray would end this process, in time."""
        if not self._head or time.monotonic() - self._checked < CHECK_EVERY:
            return
        self._checked = time.monotonic()
        if reason := _why_unreachable(self._head):
            self.is_lost = True
            raise ClusterError(
                f"The head of the Ray cluster is lost: {reason}; what is finished is kept, and the"
                " same command goes on when it is back."
            )


class JoinedCluster:
    """A cluster that this process has joined, or started, until it leaves.

    Meanwhile stdout leads to stderr, for all who do not hold the stream itself: Ray prints there
    when a worker dies.

    Raises `MissingPackageError` without Ray, and `ClusterError` where there is no such cluster.
    """

    def __init__(self, address: str) -> None:
        self.ray = import_ray()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            connect(self.ray, address)
            self.head = HeadWatch(self.ray)
            self._until_left = stack.pop_all()

    @property
    def nodes(self) -> list[Mapping[str, float]]:
        """Return the resources of each node that is there."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def leave(self, actors: Iterable[Any]) -> None:
        """End these actors, whatever they do, and leave; a cluster that was started here ends."""
        if not self.head.is_lost:  # Ray would wait for it in vain
            for actor in actors:
                self.ray.kill(actor)
        self.ray.shutdown()
        self._until_left.close()


class ActorStarter:
    """Starts the actors of one kind, and another in the place of each that dies.

    Args:
        ray: the module.
        kind: the class.
        share: what each takes of a node.
        arguments: of the class.
        options: more of Ray's options.
    """

    def __init__(
        self, ray: Any, kind: type, share: Share, *arguments: object, **options: object
    ) -> None:
        self._ray, self._arguments = ray, arguments
        self._kind = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, **options)(kind)
        self._failed_starts = 0

    def start(self) -> Any:
        """Return a new actor, which is placed as soon as the cluster has room for it."""
        return self._kind.remote(*self._arguments)

    def note_ready(self) -> None:
        """Note that an actor is ready."""
        self._failed_starts = 0

    def replace(self, lost: Any, error: Exception, *, was_ready: bool) -> Any:
        """End an actor that is lost, and return another in its place.

        Raises `ClusterError` when too many in a row have died before they were ready.
        """
        if not was_ready:
            self._failed_starts += 1
            if self._failed_starts == MOST_FAILED_STARTS:
                raise ClusterError(f"The Ray cluster cannot start a worker: {first_line(error)}")
        with contextlib.suppress(Exception):  # it may only have been out of reach
            self._ray.kill(lost)
        return self.start()


def divide(
    nodes: Sequence[Mapping[str, float]], jobs: int | None, *, uses_gpus: bool
) -> tuple[int, Share]:
    """Return the number of actors and what each takes.

    With GPUs each takes one of them, and as many CPUs as every node with GPUs has for each.
    Without, so many `jobs` divide all CPUs; where no number is given there is one for each node, of
    the size of the smallest.

    Args:
        nodes: the resources of each, such as {"CPU": 8.0, "GPU": 1.0}.
        jobs: number of actors.
        uses_gpus: whether GPUs are to be used.
    """
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    cpus = [count for count in cpus if count] or [1]
    with_gpus = [node for node in nodes if uses_gpus and node.get("GPU", 0) >= 1]
    if with_gpus:
        n_gpus = sum(int(node["GPU"]) for node in with_gpus)
        by_gpu = min(int(node.get("CPU", 0)) // int(node["GPU"]) for node in with_gpus)
        return min(jobs or n_gpus, n_gpus), Share(max(1, by_gpu), gpus=1)
    share = min(cpus) if jobs is None else max(1, min(sum(cpus) // jobs, min(cpus)))
    return jobs or sum(count // share for count in cpus), Share(share)


def check_ray() -> None:
    """Raise `MissingPackageError` where Ray is not installed; it is not imported."""
    if importlib.util.find_spec("ray") is None:
        raise MissingPackageError(MISSING)


def import_ray() -> Any:
    """Return the module `ray`. Raises `MissingPackageError` where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise MissingPackageError(MISSING) from None


def connect(ray: Any, address: str) -> None:
    """Join a cluster, or start one on this machine: for `auto` where none runs here.

    Raises `ClusterError` where there is no such cluster.
    """
    is_head = address not in (AUTO, LOCAL) and "://" not in address
    if is_head and (reason := _why_unreachable(address)):  # Ray would end this process
        raise ClusterError(f"The Ray cluster {address!r} cannot be reached: {reason}.")
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        if address == AUTO:
            try:
                ray.init(address=AUTO, **QUIET)
            except ConnectionError:
                ray.init(address=LOCAL, **QUIET, **STARTED)
        else:
            ray.init(address=address, **QUIET, **(STARTED if address == LOCAL else {}))
    except Exception as error:
        raise ClusterError(
            f"The Ray cluster {address!r} cannot be reached: {first_line(error)}"
        ) from None
    finally:
        for number, handler in handlers.items():  # Ray puts its own in their place
            if handler is not None:
                signal.signal(number, handler)


def _head_address(ray: Any) -> str:
    """Return the address of the cluster's head; nothing where it is out of reach by design."""
    with contextlib.suppress(Exception):  # a client has none
        return str(ray.get_runtime_context().gcs_address)
    return ""


def _why_unreachable(address: str) -> str:
    """Return why nobody answers at `HOST:PORT`; nothing where somebody does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH).close()
    except ValueError:
        return "an address is HOST:PORT"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def first_line(error: Exception) -> str:
    """Return the first line of an error, or its kind."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
