"""Renderings: files that are made when they are first asked for, in one bounded pool of threads.

Simultaneous callers of one key share one computation and one result (single flight); results are
kept in an LRU cache of unnamed temporary files, so that nothing is deleted under a reader and a
killed process leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import io
import os
import tempfile
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from starlette.requests import Request

from nst.engine.memory import host_memory
from nst.engine.out_of_memory import give_back
from nst.errors import BusyError

PATIENCE = 20.0  # seconds that a caller waits before the answer is 503
RETRY_AFTER = 10  # seconds
CLIP_PATIENCE = 180.0  # seconds, the same for a clip to be read, which may be minutes long
FILM_PATIENCE = 60.0  # seconds, the same for what is done of a film to be encoded
RENDER_BYTES = 900_000_000  # measured: dialling and encoding a square of 4096 px takes 850 MB
MEMORY_SHARE = 4  # the pool may take one part in so many of the memory that is free at its start
MOST_PENDING = 64  # renderings that are made or wait for a thread
MOST_BYTES = 400_000_000  # of finished renderings, on disk
MOST_FILES = 200  # finished renderings; each holds a file descriptor
LOOKUPS = 4  # threads that look jobs up and read files

BUSY = "Too many pictures and films are being prepared; please try again in a few seconds."

Value = TypeVar("Value")


class RenderingBusyError(BusyError, TimeoutError):
    """No thread became free in time; the message is one sentence for the user."""

    def __init__(self) -> None:
        super().__init__(BUSY)


class HungUpError(Exception):
    """The caller has closed the connection and waits no more."""


class Rendering:
    """Hold a finished file, which any number of callers may read at the same time.

    `tag` identifies the content, `size` is in bytes. The file is closed with its last reader.
    """

    def __init__(self, file: IO[bytes], tag: str) -> None:
        self.tag = tag
        self.size = file.seek(0, os.SEEK_END)
        self._file = file
        weakref.finalize(self, file.close)
        self._position = threading.Lock()

    @classmethod
    def of(cls, data: bytes) -> Rendering:
        """Keep `data` in an unnamed file, or in memory where the disk is full."""
        tag = hashlib.sha256(data).hexdigest()[:32]
        try:
            file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with its last reader
            try:
                file.write(data)
                file.flush()
            except OSError:
                with contextlib.suppress(OSError):
                    file.close()
                raise
        except OSError:
            file = io.BytesIO(data)
        return cls(file, tag)

    @classmethod
    def open(cls, path: Path) -> Rendering:
        """Open a stored file; what takes its place later is another file. Raises `OSError`."""
        file = path.open("rb")
        status = os.fstat(file.fileno())
        return cls(file, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}")

    @property
    def in_memory(self) -> bool:
        """Return the rendering's bytes in memory."""
        return isinstance(self._file, io.BytesIO)

    def read(self, offset: int = 0, size: int = -1) -> bytes:
        """Return up to `size` bytes from `offset` on, by default all of them."""
        with self._position:
            self._file.seek(offset)
            return self._file.read(size)


@dataclass
class Flight:
    """A rendering that is being made or waits for a thread, and how many callers wait for it."""

    future: Future[Rendering]
    waiting: int = 0


class Renderings:
    """Make renderings in at most `workers` threads and keep those used last.

    Safe to share between threads and event loops. A rendering that nobody waits for any more is
    dropped unless it has begun.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        patience: float = PATIENCE,
        most_pending: int = MOST_PENDING,
        most_bytes: int = MOST_BYTES,
        most_files: int = MOST_FILES,
    ) -> None:
        self.patience, self.most_pending = patience, most_pending
        self.most_bytes, self.most_files = most_bytes, most_files
        self._pool = ThreadPoolExecutor(workers or worker_count(), "rendering")
        self._lookups = ThreadPoolExecutor(LOOKUPS, "lookup")
        self._finished: OrderedDict[Hashable, Rendering] = OrderedDict()
        self._flights: dict[Hashable, Flight] = {}
        self._lock = threading.Lock()
        self.made: Counter[str] = Counter()  # how many of each kind, which keys begin with

    async def fetch(
        self, key: Hashable, make: Callable[[], bytes], request: Request | None = None
    ) -> Rendering:
        """Return the rendering of `key`, made by `make` in the pool unless it is cached.

        Raises `RenderingBusyError` after `patience` seconds or when too many are pending,
        `HungUpError` when the client of `request` disconnects, and what `make` raises.
        """
        found = self._join(key, make)
        if isinstance(found, Rendering):
            return found
        try:
            return await self._outcome(found.future, request)
        finally:
            self._leave(key, found)

    def fetch_now(
        self, key: Hashable, make: Callable[[], bytes], patience: float | None = None
    ) -> Rendering:
        """Return the same to a caller in a thread of its own, which waits up to `patience` seconds.

        Never call it from a thread of the pool.
        """
        found = self._join(key, make)
        if isinstance(found, Rendering):
            return found
        try:
            return found.future.result(self.patience if patience is None else patience)
        except FutureTimeoutError:
            if found.future.done():  # an error of the rendering itself
                raise
            raise RenderingBusyError from None
        finally:
            self._leave(key, found)

    async def look_up(self, look: Callable[[], Value], request: Request | None = None) -> Value:
        """Return what a short blocking function returns, outside the server's shared threads."""
        future = self._lookups.submit(look)
        try:
            return await self._outcome(future, request)
        finally:
            future.cancel()

    def is_pending(self, key: Hashable) -> bool:
        """Tell whether a rendering is made or waits for a thread."""
        with self._lock:
            return key in self._flights

    @property
    def pending(self) -> int:
        """Return how many renderings are made or wait for a thread."""
        with self._lock:
            return len(self._flights)

    @property
    def waiting(self) -> int:
        """Return how many callers wait for them."""
        with self._lock:
            return sum(flight.waiting for flight in self._flights.values())

    def close(self) -> None:
        """Drop what has not begun and wait for the rest."""
        for pool in (self._pool, self._lookups):
            pool.shutdown(cancel_futures=True)
        with self._lock:
            self._finished.clear()

    def _join(self, key: Hashable, make: Callable[[], bytes]) -> Rendering | Flight:
        with self._lock:
            if key in self._finished:
                self._finished.move_to_end(key)
                return self._finished[key]
            flight = self._flights.get(key)
            if flight is None:
                if len(self._flights) >= self.most_pending:
                    raise RenderingBusyError
                flight = Flight(self._pool.submit(self._render, key, make))
                self._flights[key] = flight
            flight.waiting += 1
            return flight

    def _leave(self, key: Hashable, flight: Flight) -> None:
        with self._lock:
            flight.waiting -= 1
            is_dropped = flight.waiting == 0 and flight.future.cancel()
            if is_dropped and self._flights.get(key) is flight:
                del self._flights[key]

    def _render(self, key: Hashable, make: Callable[[], bytes]) -> Rendering:
        rendering = None
        try:
            rendering = Rendering.of(make())
            return rendering
        finally:
            with self._lock:
                del self._flights[key]
                if rendering and isinstance(key, tuple):
                    self.made[str(key[0])] += 1
                if rendering and not rendering.in_memory:
                    self._keep(key, rendering)
                is_idle = not self._flights
            if is_idle:
                give_back()

    def _keep(self, key: Hashable, rendering: Rendering) -> None:
        self._finished[key] = rendering
        total = sum(kept.size for kept in self._finished.values())
        while total > self.most_bytes or len(self._finished) > self.most_files:
            _, oldest = self._finished.popitem(last=False)
            total -= oldest.size

    async def _outcome(self, future: Future[Value], request: Request | None) -> Value:
        """Wait for a result in the event loop, for a bounded time, while the client is there."""
        result = asyncio.wrap_future(future)
        result.add_done_callback(_look_at)
        awaited: set[asyncio.Future[object]] = {result}  # type: ignore[arg-type]
        gone = asyncio.ensure_future(disconnected(request)) if request else None
        if gone:
            awaited.add(gone)  # type: ignore[arg-type]
        try:
            await asyncio.wait(awaited, timeout=self.patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if gone:
                gone.cancel()
        if result.done():
            return result.result()
        raise HungUpError if gone and gone.done() else RenderingBusyError


async def disconnected(request: Request) -> None:
    """Return when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _look_at(result: asyncio.Future[Value]) -> None:
    """Retrieve an error that nobody waits for, which asyncio would log."""
    if not result.cancelled():
        result.exception()


def worker_count(free: int | None = None, cores: int | None = None) -> int:
    """Return how many threads may render at once.

    No more than there are cores, and than find room for the largest picture in their share of the
    `free` bytes of memory.
    """
    free = host_memory() if free is None else free
    cores = cores or os.cpu_count() or 1
    room = cores if free is None else free // MEMORY_SHARE // RENDER_BYTES
    return max(1, min(cores, room))


@functools.cache
def shared_renderings() -> Renderings:
    """Return the pool of this process, which routes and events share."""
    return Renderings()


@functools.cache
def clip_renderings() -> Renderings:
    """Return the pool of one thread that reads clips: a long one holds up no picture."""
    return Renderings(1, patience=CLIP_PATIENCE)


@functools.cache
def film_renderings() -> Renderings:
    """Return the pool of one thread that encodes films that are not finished yet."""
    return Renderings(1, patience=FILM_PATIENCE)
