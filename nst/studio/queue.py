"""The queue: which task is painted next, how long it will take until then, and who finds no room.

A task is due when it comes; one whose visitor has others in the queue is due later, by what those
will take and by how many visitors share the workshop, up to a limit. So one visitor with four
pictures and four with one take turns, and nobody gives way for ever.

Knows tasks, expected seconds and limits; neither threads nor disks. Whoever uses it holds a lock.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from nst.studio.limits import Limits
from nst.studio.statistics import NoRoomError
from nst.studio.task import State, Task

FULL = "Too many pictures are waiting already. Please try again in about {}."
TOO_LONG = "The wait would be longer than {} now. Please try again in about {}."
ENOUGH = "Several of your pictures are waiting already; please let one of them be painted first."
ENOUGH_FROM_THERE = (
    "Many pictures from your network are waiting already; please let one of them be painted first."
)


@dataclass(eq=False)
class Place:
    """A task in the queue, or being painted."""

    task: Task
    seconds: float  # of painting, as expected
    source: str = ""  # the network that it came from, where that can be told
    due: float = 0.0  # on the monotonic clock
    began: float = field(default=math.inf)  # the same

    @property
    def left(self) -> float:
        """Return the seconds that it will still be painted, as expected."""
        return max(0.0, self.seconds - max(0.0, time.monotonic() - self.began))

    @property
    def in_the_way(self) -> float:
        """Return the seconds until others are painted: all of it, or until it gives way."""
        return min(self.left, self.task.piece_seconds)


@dataclass(frozen=True)
class Load:
    """How much there is to paint."""

    painted: int  # tasks, those included that are held up
    waiting: int  # tasks
    seconds: float  # until all of them are painted, as expected
    held_up: int = 0  # tasks, whose workers cannot be reached


class TaskQueue:
    """Who waits, and who is being painted."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.painted: list[Place] = []  # the earliest first
        self._places: list[Place] = []

    def __contains__(self, task: Task) -> bool:
        return any(place.task is task for place in self.waiting)

    @property
    def waiting(self) -> list[Place]:
        """Return the places of those who wait, the next one first."""
        return [place for place in self._places if place.task.state is State.WAITING]

    def join(
        self, task: Task, seconds: float = 0.0, source: str = "", *, is_admitted: bool = False
    ) -> None:
        """Wait, for so many expected seconds of painting. Raises `BusyError`.

        A task that `is_admitted`, by another server, only needs memory.
        """
        if is_admitted:
            self.check_pictures(task.bytes)
        else:
            self.check_room(task.owner, source, task.bytes)
        self._places.append(Place(task, seconds, source, self._due(task.owner)))
        self._places.sort(key=lambda place: place.due)  # stable

    def check_room(self, owner: str, source: str = "", size: int = 0) -> None:
        """Raise `BusyError` where the queue has no room for a task with so many bytes of pictures.

        The same where there is none for more from its owner or source.
        """
        waiting = self.waiting
        if sum(place.task.owner == owner for place in waiting) >= self.limits.waiting_of_one:
            raise NoRoomError(ENOUGH, "visitor")
        from_there = sum(place.source == source for place in waiting) if source else 0
        if from_there >= self.limits.waiting_of_source:
            raise NoRoomError(ENOUGH_FROM_THERE, "network")
        self.check_pictures(size)
        if len(waiting) >= self.limits.waiting:
            raise NoRoomError(FULL.format(in_minutes(self._until_next())), "queue_full")
        too_long = self._wait(waiting) - self.limits.wait
        if too_long > 0:
            longest, wait = in_minutes(self.limits.wait), in_minutes(too_long)
            raise NoRoomError(TOO_LONG.format(longest, wait), "long_wait")

    def check_pictures(self, size: int) -> None:
        """Raise `BusyError` where there is no room in memory for so many bytes more."""
        held = sum(place.task.bytes for place in self.painted + self.waiting)
        if held and held + size > self.limits.pictures:
            raise NoRoomError(FULL.format(in_minutes(self._until_next())), "memory")

    def expect(self, task: Task, seconds: float) -> None:
        """Expect so many seconds of painting of a task from now on."""
        for place in self.painted + self.waiting:
            if place.task is task:
                elapsed = place.seconds - place.left  # 0 for one that waits
                place.seconds = elapsed + seconds

    @property
    def has_next(self) -> bool:
        """Tell whether a task can be taken."""
        return self._next() is not None

    def take(self) -> Task | None:
        """Return the next task, which is painted from now on.

        First what has ended, and only has to be put away, then one of those for whom nothing is
        painted yet, then any.
        """
        place = self._next()
        if place is None:
            return None
        self._places.remove(place)
        place.began = time.monotonic()
        self.painted.append(place)
        return place.task

    def _next(self) -> Place | None:
        served = {place.task.owner for place in self.painted}
        begun = [place for place in self.painted if place.task.lets_others_by]
        begun += [place for place in self._places if place.task.has_given_way]
        is_full = len(begun) >= self.limits.begun

        def rank(place: Place) -> tuple[bool, bool]:
            return place.task.state is State.WAITING, place.task.owner in served

        def can_begin(place: Place) -> bool:
            task = place.task
            is_new = task.state is State.WAITING and not task.has_given_way
            return not (is_full and is_new and task.lets_others_by)

        return min(filter(can_begin, self._places), key=rank, default=None)  # the first of several

    def is_painting(self, task: Task) -> bool:
        """Tell whether a task is painted."""
        return any(place.task is task for place in self.painted)

    def __len__(self) -> int:
        """Return how many are painted and wait."""
        return len(self.painted) + len(self._places)

    def leave(self, task: Task) -> None:
        """Let go of a task that is painted no more; one that has given way waits again."""
        left = [place for place in self.painted if place.task is task]
        self.painted = [place for place in self.painted if place.task is not task]
        for place in left:
            if task.has_given_way and task not in self:
                self._wait_again(place)

    def _wait_again(self, place: Place) -> None:
        place.seconds, place.began = place.left, math.inf
        place.due = self._due(place.task.owner)
        self._places.append(place)
        self._places.sort(key=lambda place: place.due)  # stable

    def forget_ended(self) -> list[Task]:
        """Return those who wait no more, and are out of the queue from now on."""
        gone = [place.task for place in self._places if place.task.state is not State.WAITING]
        self._places = self.waiting
        return gone

    @property
    def load(self) -> Load:
        """Return how many are painted and wait, and for how long."""
        waiting = self.waiting
        held_up = sum(place.task.is_held_up for place in self.painted)
        seconds = sum(place.left for place in self.painted + waiting)
        each = seconds / max(1, self.limits.painters)
        return Load(len(self.painted), len(waiting), each, held_up)

    def ahead_of(self, task: Task) -> int:
        """Return how many are painted before this one."""
        tasks = [place.task for place in self.waiting]
        return tasks.index(task) + len(self.painted) if task in tasks else 0

    def wait_of(self, task: Task) -> float:
        """Return the seconds until it is painted, as expected."""
        waiting = self.waiting
        tasks = [place.task for place in waiting]
        return self._wait(waiting[: tasks.index(task)]) if task in tasks else 0.0

    def _wait(self, waiting: list[Place]) -> float:
        """Return the seconds until these have had a turn, and what is being painted now."""
        seconds = sum(place.in_the_way for place in self.painted + waiting)
        return seconds / max(1, self.limits.painters)

    def _until_next(self) -> float:
        """Return the seconds until one of those who wait is being painted."""
        return min((place.in_the_way for place in self.painted), default=0.0)

    def _due(self, owner: str) -> float:
        """Return when a task of this visitor's is due that comes now."""
        places = self.painted + self.waiting
        own = sum(place.in_the_way for place in places if place.task.owner == owner)
        visitors = {place.task.owner for place in places} | {owner}
        return time.monotonic() + min(own * len(visitors), self.limits.deference)


def in_minutes(seconds: float) -> str:
    """Return whole minutes in words, at least one."""
    count = max(1, math.ceil(seconds / 60))
    return "a minute" if count == 1 else f"{count} minutes"
