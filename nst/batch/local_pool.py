"""Paint a batch by worker processes on this machine; torch is loaded in them alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from typing_extensions import override

from nst.batch.messages import AT_ONCE, READY, Event, Lost, PaintRequest, Progress
from nst.batch.pool import Pool
from nst.errors import UserError

PATIENCE = 5.0  # seconds for a worker to end
MOST_FAILED_STARTS = 3  # workers in a row that end before they are ready


class LocalPool(Pool):
    """So many processes, each with a network of its own and its share of the threads."""

    def __init__(self, jobs: int, device: str) -> None:
        self._jobs, self._device = jobs, device
        self._failed_starts = 0
        self._workers = [_Worker(index, jobs, device) for index in range(jobs)]

    @property
    @override
    def has_room(self) -> bool:
        return any(len(each.requests) < AT_ONCE for each in self._workers)

    @override
    def submit(self, request: PaintRequest) -> None:
        least = min(self._workers, key=lambda each: len(each.requests))
        least.requests.append(request.number)
        with contextlib.suppress(OSError):  # it has ended, which `events` notes
            least.connection.send(request)

    @override
    def events(self, seconds: float) -> Sequence[Event]:
        ready = wait([each.connection for each in self._workers], seconds)
        events = list[Event]()
        for each in [each for each in self._workers if each.connection in ready]:
            try:
                event = each.receive()
            except (EOFError, OSError):
                events += self._replace(each)
                continue
            if event is None:
                self._failed_starts = 0
            else:
                events.append(event)
        return events

    @override
    def close(self) -> None:
        for each in self._workers:
            each.end()

    def _replace(self, lost: _Worker) -> Iterator[Lost]:
        """Start another worker in the place of one that has ended.

        Raises `UserError` where none can start.
        """
        reason = lost.end()
        self._failed_starts += not lost.is_ready
        if self._failed_starts == MOST_FAILED_STARTS:
            self._workers.remove(lost)
            raise UserError(f"the processes that paint cannot start ({reason})")
        self._workers[lost.index] = _Worker(lost.index, self._jobs, self._device)
        for position, number in enumerate(lost.requests):
            yield Lost(number, lost.is_ready and position == 0, reason)


class _Worker:
    """A process, its end of the pipe, and the requests that it has, the oldest first."""

    def __init__(self, index: int, jobs: int, device: str) -> None:
        self.index = index
        self.requests: list[int] = []
        self.is_ready = False
        spawning = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self.connection: Connection
        self.connection, theirs = spawning.Pipe()
        self.process: BaseProcess = spawning.Process(
            target=_serve, args=(theirs, device, index, jobs), daemon=True
        )
        with _deaf_to_interrupts():
            self.process.start()
        theirs.close()

    def receive(self) -> Event | None:
        """Return its next event; None when it says that it is ready.

        Raises `EOFError` or `OSError` where it has ended, and the `UserError` for which it cannot
        paint at all.
        """
        event: Event | str | UserError = self.connection.recv()
        if isinstance(event, UserError):
            raise event
        if isinstance(event, str):
            self.is_ready = event == READY
            return None
        if not isinstance(event, Progress):
            self.requests.remove(event.number)
        elif event.number != self.requests[0]:  # the one that is painted comes first
            self.requests.remove(event.number)
            self.requests.insert(0, event.number)
        return event

    def end(self) -> str:
        """End the process; return how it ended, in a few words."""
        self.connection.close()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        return f"signal {-code}" if code < 0 else f"exit status {code}"


def _serve(connection: Connection, device: str, index: int, jobs: int) -> None:
    from nst.batch.worker import serve

    serve(connection, device, index, jobs)


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Have processes that are started meanwhile never see Ctrl-C, which is their parent's."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
