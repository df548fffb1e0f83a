"""The tasks in memory: which of them stay, and which give way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from nst.studio.limits import Limits
from nst.studio.task import Task


class TaskCache:
    """The tasks that wait or are painted, and of the others those looked at last.

    Deleted ones are kept beside them, where only `restore` finds them; they give way first. Whoever
    uses it holds a lock.
    """

    def __init__(self, limits: Limits, is_painting: Callable[[Task], bool]) -> None:
        self.limits = limits
        self._is_painting = is_painting
        self._tasks: OrderedDict[str, Task] = OrderedDict()  # the one looked at last at the end
        self._deleted: OrderedDict[str, Task] = OrderedDict()

    def __iter__(self) -> Iterator[Task]:
        """Iterate the tasks that are not deleted, the one looked at last at the end."""
        return iter(self._tasks.values())

    @property
    def ids(self) -> set[str]:
        """Return the ids of all tasks in memory, also of those deleted."""
        return {*self._tasks, *self._deleted}

    @property
    def live(self) -> set[str]:
        """Return the ids of those that wait or are painted, also of those deleted meanwhile."""
        return {task.id for task in self._all() if task.state.is_live}

    def get(self, id: str) -> Task | None:
        """Return a task that is not deleted."""
        return self._tasks.get(id)

    def look_at(self, id: str) -> Task | None:
        """Return a task that is not deleted, which is the last to give way from now on."""
        if id in self._tasks:
            self._tasks.move_to_end(id)
        return self._tasks.get(id)

    def add(self, task: Task) -> None:
        """Remember a task; what has ended gives way, the one looked at longest ago first."""
        self._tasks[task.id] = task
        self._tasks.move_to_end(task.id)
        tasks = self._all()
        in_use = [kept for kept in tasks if kept.state.is_live or self._is_painting(kept)]
        room = self.limits.pictures - sum(kept.bytes for kept in in_use)
        count = self.limits.remembered
        for kept in reversed(tasks):
            if kept in in_use:
                continue
            room, count = room - kept.bytes, count - 1
            if kept is not task and (room < 0 or count < 0):
                self.remove(kept.id)

    def remove(self, id: str) -> Task | None:
        """Forget a task, deleted or not, and return it."""
        return self._tasks.pop(id, None) or self._deleted.pop(id, None)

    def delete(self, id: str) -> Task | None:
        """Put a task among those deleted, and return it."""
        task = self._tasks.pop(id, None)
        if task:
            self._deleted.setdefault(id, task)
        return task

    def deleted(self, id: str) -> Task | None:
        """Return a deleted task."""
        return self._deleted.get(id)

    def restore(self, id: str) -> None:
        """Remember a deleted task like any other."""
        task = self._deleted.pop(id, None)
        if task:
            self.add(task)

    def _all(self) -> list[Task]:
        """Return all tasks, what gives way first first."""
        return [*self._deleted.values(), *self._tasks.values()]
