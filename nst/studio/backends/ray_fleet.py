"""A Ray cluster as the page sees it: through a process that drives it, and is started again.

Knows messages and pipes; nothing of Ray, pictures or jobs.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from nst.errors import SettingsError, UnreachableError, WorkerError
from nst.ray_clusters import check_ray
from nst.studio.backends.ray_messages import (
    Begun,
    Ended,
    Ending,
    Joined,
    Leave,
    Paint,
    Piece,
    Stop,
    Warned,
    WorkerFacts,
    Workers,
)

log = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds that a run waits for a worker before it says so
AGAIN_AFTER = 2.0  # seconds until a lost cluster is asked again
ENDS_WITHIN = 3.0  # seconds, for the process that drives the cluster

NO_CLIENT = (
    "NST_RAY_ADDRESS takes auto or HOST:PORT of a cluster that this machine is part of, not {}."
)
LOST = "The cluster cannot be reached; this goes on when it is back."
NO_WORKER = "No worker of the cluster is free; this goes on when one is."
DIED = "The worker has ended that painted this; please try again, perhaps with a smaller size."

START = "from nst.studio.backends.ray_driver import main; main()"
VARIABLES = {  # unless the environment has others
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",  # in which a lost head may come back unnoticed
}

TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
TOKEN_FILE = Path(".ray") / "auth_token"  # in the home folder

Watcher = Callable[[tuple[WorkerFacts, ...]], None]


class Fleet:
    """The workers of a cluster, and the way to them.

    `painter` names the class that workers paint with, `cpus_each` the cores of one without a GPU.
    Any thread may call it.
    """

    def __init__(self, address: str, painter: str, cpus_each: int) -> None:
        self.address = address
        self.painter, self.cpus_each = painter, cpus_each
        self.workers: tuple[WorkerFacts, ...] = ()
        self._watchers: list[Watcher] = []
        # No locks: a run that is forgotten is let go by the garbage collector, in any thread.
        self._runs: dict[int, queue.SimpleQueue[object]] = {}
        self._numbers = itertools.count()
        self._outbox: queue.SimpleQueue[object] | None = None  # while there is somebody to send to
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closing = threading.Event()
        self._is_ready = threading.Event()  # there are workers
        self._thread = threading.Thread(target=self._keep_up, name="fleet", daemon=True)

    def start(self, seconds: float) -> bool:
        """Join the cluster; tell whether there is a worker within so many seconds.

        Without one, it is joined as soon as it can be. Raises `MissingPackageError` without Ray,
        and `SettingsError` for an address of the kind that Ray cannot stream from.
        """
        check_ray()
        if "://" in self.address:
            raise SettingsError(NO_CLIENT.format(self.address))
        self._thread.start()
        return self._is_ready.wait(seconds)

    @property
    def process_id(self) -> int | None:
        """Return the id of the process that drives the cluster, once there is one."""
        return self._process.pid if self._process else None

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` with the workers, now and whenever they change."""
        self._watchers.append(watcher)
        watcher(self.workers)

    def paint(
        self, inputs: bytes, *, is_spare: bool = False, follows: int | None = None
    ) -> FleetRun:
        """Hand a run to a worker, of that which it follows, and return what it will make of it.

        Raises `UnreachableError` where the cluster is lost.
        """
        run = FleetRun(self, next(self._numbers), None if is_spare else PATIENCE)
        self._runs[run.number] = run.pieces
        if not self.send(Paint(run.number, inputs, is_spare, follows)):
            raise UnreachableError(LOST)
        return run

    def let_go(self, number: int, *, is_over: bool) -> None:
        """Expect no more of a run, and end it where it goes on."""
        is_known = self._runs.pop(number, None) is not None
        if is_known and not is_over:
            self.send(Stop(number))

    def close(self) -> None:
        """Leave the cluster; its workers end.

        The process that drives it may take longer: it ends by itself, as it does without the page.
        """
        self._is_closing.set()
        self.send(Leave())
        if self._thread.is_alive():
            self._thread.join(ENDS_WITHIN)

    def send(self, message: object) -> bool:
        """Send a message; return False where there is nobody to send it to."""
        outbox = self._outbox
        if outbox is not None:
            outbox.put(message)
        return outbox is not None

    def _keep_up(self) -> None:
        """Drive the cluster, again and again, until the page leaves."""
        was_lost = False
        while not self._is_closing.is_set():
            self._drive(was_lost)
            if not self._is_closing.is_set() and not was_lost:
                log.warning("the cluster is lost, and asked again until it is back")
            was_lost = True
            self._is_closing.wait(AGAIN_AFTER)

    def _drive(self, was_lost: bool) -> None:
        """Start a process that drives the cluster, and listen to it until it ends."""
        ours, theirs = Pipe()
        outbox = queue.SimpleQueue[object]()
        sender = threading.Thread(target=_send_all, args=(outbox, ours), daemon=True)
        with ours:
            with theirs:
                self._process = self._start(theirs)
            sender.start()
            self._outbox = outbox
            if self._is_closing.is_set():  # in the meantime
                self.send(Leave())
            with contextlib.suppress(EOFError, OSError):
                while True:
                    self._take(ours.recv(), was_lost)
            self._outbox = None  # before the runs are told: whoever comes later is told at once
            outbox.put(None)
            sender.join()
        self._process.wait()
        self._set_workers(())
        for pieces in list(self._runs.values()):
            pieces.put(LOST)

    def _start(self, connection: Connection) -> subprocess.Popen[bytes]:
        descriptor = connection.fileno()
        arguments = [str(descriptor), self.address, self.painter, str(self.cpus_each)]
        return subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            env=VARIABLES | _authentication() | os.environ,
            stdin=subprocess.DEVNULL,
            pass_fds=[descriptor],
        )

    def _take(self, message: object, was_lost: bool) -> None:
        if isinstance(message, Joined):
            self.address = message.address  # the very same, should it be lost
        elif isinstance(message, Warned):
            log.log(logging.DEBUG if was_lost else logging.WARNING, message.sentence)
        elif isinstance(message, Workers):
            self._set_workers(message.facts)
        elif isinstance(message, (Begun, Piece, Ended)):
            pieces = self._runs.get(message.run)
            if pieces:
                pieces.put(message)

    def _set_workers(self, workers: tuple[WorkerFacts, ...]) -> None:
        if len(workers) != len(self.workers):
            log.info("workers of the cluster: %d", len(workers))
        self.workers = workers
        if workers:
            self._is_ready.set()
        for watcher in self._watchers:
            watcher(workers)


def _send_all(outbox: queue.SimpleQueue[object], connection: Connection) -> None:
    """Send messages until there is nobody to send them to."""
    with contextlib.suppress(OSError):
        while (message := outbox.get()) is not None:
            connection.send(message)


def _authentication() -> dict[str, str]:
    """Return the variable that makes Ray use this machine's token, where there is one.

    Ray does so by itself only where it finds the cluster by itself.
    """
    has_token = any(map(os.environ.get, TOKENS)) or (Path.home() / TOKEN_FILE).is_file()
    return {"RAY_AUTH_MODE": "token"} if has_token else {}


class FleetRun:
    """A run on a cluster: an iterator of what its worker sends, whose end is that of the run.

    Raises `UnreachableError` where there is no worker, also where none is free for `patience`
    seconds, and `WorkerError` where the worker dies. Whoever closes or forgets it ends the run.
    """

    def __init__(self, fleet: Fleet, number: int, patience: float | None) -> None:
        self.number = number
        self.pieces = queue.SimpleQueue[object]()
        self._fleet, self._patience = fleet, patience

    def __iter__(self) -> FleetRun:
        return self

    def __next__(self) -> bytes:
        try:
            piece = self.pieces.get(timeout=self._patience)
            while isinstance(piece, Begun):
                self._patience = None  # its first step may take long
                piece = self.pieces.get()
        except queue.Empty:
            raise UnreachableError(NO_WORKER) from None
        if isinstance(piece, Piece):
            return piece.data
        self._fleet.let_go(self.number, is_over=True)
        if piece == LOST:
            raise UnreachableError(LOST)
        if piece == Ended(self.number, Ending.NONE):
            raise UnreachableError(NO_WORKER)
        if piece == Ended(self.number, Ending.DIED):
            raise WorkerError(DIED)
        raise StopIteration

    def close(self) -> None:
        """End the run."""
        self._fleet.let_go(self.number, is_over=False)

    def __del__(self) -> None:
        self.close()
