"""Whatever waits in the queue and is painted: its state, its watchers and its owner."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import secrets
import threading
import time
from collections.abc import Generator, Iterator
from enum import Enum

from nst.engine.out_of_memory import has_run_out
from nst.errors import UnreachableError, UserError
from nst.studio.limits import Limits

log = logging.getLogger(__name__)
NO_MEMORY = "There is not enough memory for this picture; please choose a smaller size."
TRY_AGAIN = 1.0  # seconds, until workers are asked again that could not be reached
UNEXPECTED = "Something went wrong on our side. Please try again, perhaps with a smaller size."


class State(str, Enum):
    """Where a job is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"  # by its visitor, or by a limit; can be continued
    INTERRUPTED = "interrupted"  # by the end of the process; can be continued
    FAILED = "failed"

    @property
    def is_live(self) -> bool:
        """Tell whether the task waits or is painted."""
        return self in (State.WAITING, State.RUNNING)


class Task:
    """What the workshop runs: it can be stopped, watched, and looked at from any thread."""

    noun = "picture"
    """What visitors call it."""

    lets_others_by = False
    """Whether it has many pictures, and others are painted between two of them."""

    def __init__(self, visitor: str, id: str | None = None) -> None:
        self.id = id or new_id(visitor)
        self.created = self.changed = time.time()  # seconds since 1970; the latter, of the state
        self.state = State.WAITING
        self.note = ""  # why it failed or was ended, one sentence
        self.version = 0  # grows with every change that can be seen
        self.stamp = secrets.token_hex(8)  # of this object, which a restart makes anew
        self.lock = threading.RLock()
        self.is_kept = True  # or else nothing of it may be written (any more)
        self._stopped = threading.Event()
        self._end = State.STOPPED  # what it will be when it has stopped
        self._obstacle = ""  # why it cannot be painted just now; its note meanwhile
        self._work: Iterator[object] | None = None  # its pieces, once begun
        self._gives_way = False
        self.is_between = False  # whether it could wait now for others, and go on at no loss
        self.painted = 0.0  # seconds since it was begun, those not counted when it gave way
        self._watchers = 0
        self._last_seen = time.monotonic()

    @property
    def revision(self) -> str:
        """Return what addresses carry: it never repeats, not even after a restart of the server."""
        return f"{self.stamp}-{self.version}"

    @property
    def owner(self) -> str:
        """Return what the ids of the visitor's tasks begin with."""
        return self.id.partition("-")[0]

    @property
    def bytes(self) -> int:
        """Return the in-memory size of the pictures that it is made from."""
        return 0

    def most_seconds(self, limits: Limits) -> float:
        """Return the seconds that it may be painted for."""
        return limits.seconds

    @property
    def piece_seconds(self) -> float:
        """Return the seconds after which it lets others by, as expected; its own are none of it."""
        return math.inf

    def most_unwatched(self, limits: Limits, *, others_wait: bool) -> float:
        """Return the seconds that it goes on with nobody watching."""
        if self.lets_others_by:
            return limits.grace_of_many  # it is in nobody's way
        return limits.grace_in_line if others_wait else limits.grace

    def run(self) -> Generator[object, None, None]:
        """Do the work, one yield for each small piece, or None when it is held up.

        Nothing happens where somebody has done so or it was stopped. One that has given way goes
        on.
        """
        with self.lock:
            if self.state is not State.WAITING:
                return
            self._become(State.RUNNING)
            if self._work is None:
                self._work, self.painted = self._pieces(), 0.0
            work = self._work
        try:
            for piece in work:
                yield piece
                if self._pauses():
                    return
        except Exception as error:
            self._become(self._end_after(error), error_message(error))
        except BaseException:
            self._become(State.STOPPED)
            raise
        finally:
            if self._work is not work:
                close(work)

    def _pauses(self) -> bool:
        """Stop or give way where that was asked for; tell whether it was."""
        with self.lock:
            is_over, gives_way = self._stopped.is_set(), self._gives_way
            self._gives_way = False
            if is_over and self.is_complete:
                self._become(State.FINISHED, "")
            elif is_over or gives_way:
                self._become(self._end if is_over else State.WAITING)
            return is_over or gives_way

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing is left to do, though its work has not ended yet."""
        return False

    @property
    def has_given_way(self) -> bool:
        """Tell whether it waits to go on with what it has begun."""
        with self.lock:
            return self.state is State.WAITING and self._work is not None

    def give_way(self) -> None:
        """Wait again after the present piece, so that others are painted before the next."""
        with self.lock:
            self._gives_way = self.state is State.RUNNING

    def _pieces(self) -> Iterator[object]:
        """Do the work itself; finished when it ends."""
        raise NotImplementedError

    def _hold_up(self, error: UnreachableError) -> None:
        """Say why nothing can be painted now, and wait a little until it is tried again."""
        with self.lock:
            if not self._stopped.is_set() and self.note != str(error):
                self._obstacle = self.note = str(error)
                self.version += 1
        self._stopped.wait(TRY_AGAIN)

    def _pass_obstacle(self) -> None:
        """Say no more what was in the way, once something is painted."""
        with self.lock:
            if self._obstacle and self.note == self._obstacle:
                self.note = ""
            self._obstacle = ""

    @property
    def is_held_up(self) -> bool:
        """Tell whether nothing can be painted of it just now."""
        return bool(self._obstacle)

    def _end_after(self, error: Exception) -> State:
        return State.FAILED

    def stop(self, note: str = "", end: State = State.STOPPED) -> None:
        """End after the present iteration, with what there is.

        What has ended stays as it is, and of several reasons the first counts.
        """
        with self.lock:
            if not self.state.is_live or self._stopped.is_set():
                return
            self.note, self._end = note, end
            self._stopped.set()
            if self.state is not State.WAITING:
                return
            work = self._work
            self._become(end)
        if work is not None:
            close(work)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Count somebody who is looking, while the block lasts."""
        with self.lock:
            self._watchers += 1
        try:
            yield
        finally:
            with self.lock:
                self._watchers -= 1
                self._last_seen = time.monotonic()

    def greet(self, due: float = 0.0) -> None:
        """Note that its visitor is there, and looks again in `due` seconds at the latest."""
        with self.lock:
            self._last_seen = time.monotonic() + due

    @property
    def unwatched(self) -> float:
        """Return the seconds since the last look, or since the next one was due."""
        with self.lock:
            since = time.monotonic() - self._last_seen
            return 0.0 if self._watchers else max(0.0, since)

    def _become(self, state: State, note: str | None = None) -> None:
        with self.lock:
            if not state.is_live:
                self._pass_obstacle()
                self._work = None
            self.state = state
            self.changed = time.time()
            self.note = self.note if note is None else note
            self.version += 1


def close(work: Iterator[object]) -> None:
    """End a generator that will not be asked for more."""
    if isinstance(work, Generator):
        work.close()


def new_id(visitor: str) -> str:
    """Return an unguessable id that begins with what the visitor's other jobs begin with."""
    return f"{owner_of(visitor)}-{secrets.token_hex(16)}"


def share_id(job_id: str) -> str:
    """Return what a link may carry.

    It lets a finished picture be seen, and does not tell the job's id.
    """
    return hashlib.sha256(f"share {job_id}".encode()).hexdigest()[:32]


def owner_of(visitor: str) -> str:
    """Return a name for a visitor that does not tell their token."""
    return hashlib.sha256(visitor.encode()).hexdigest()[:16]


def error_message(error: Exception) -> str:
    """Return what to tell the visitor; what only we can mend goes to the log instead."""
    if isinstance(error, UserError):
        return str(error)
    if has_run_out(error):
        return NO_MEMORY
    log.error("a run failed", exc_info=error)
    return UNEXPECTED
