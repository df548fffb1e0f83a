"""Delete jobs: until that is undone, for good, and those that are too old or too large.

A deleted job stops, is hidden from all who look, and can be restored for `Limits.undo` seconds.
"""

from __future__ import annotations

import threading

from nst.studio.clock import now
from nst.studio.deletion_marks import DeletionMarks
from nst.studio.job_saver import JobSaver
from nst.studio.job_store import is_id
from nst.studio.limits import Limits
from nst.studio.task import Task, owner_of
from nst.studio.task_cache import TaskCache
from nst.studio.task_stores import Kept


class JobDeleter:
    """Delete and restore jobs in memory, and in the saver's store if it has one.

    The saver's locks come before `news`, which `tasks` needs and which waits for no disk.
    """

    def __init__(
        self, tasks: TaskCache, saver: JobSaver, news: threading.Condition, limits: Limits
    ) -> None:
        self.tasks, self.saver, self.limits = tasks, saver, limits
        self.marks = saver.store.deletions if saver.store else DeletionMarks()
        self._news = news

    def delete(self, id: str) -> None:
        """Stop a job and hide it, so that `restore` can bring it back."""
        is_on_disk = self._is_on_disk(id)
        if not is_id(id) or self.marks.moment_of(id) is not None:
            return
        with self._news:
            if not (is_on_disk or self.tasks.get(id)):
                return
            self.marks.note(id)  # before anybody can open it once more
            task = self._hide(id)
        with self.saver.locks.held(id):
            if not self.marks.is_noted(id):
                return  # it was restored meanwhile, or its time was over
            with self._news:
                task = self._hide(id) or task  # somebody was just opening it
            if task is None or isinstance(task, Kept):
                self.marks.write(id)
        self.saver.save_soon([task] if task else [])

    def restore(self, id: str) -> bool:
        """Bring a deleted job back, stopped if it was live; tell whether that could be done."""
        with self.saver.locks.held(id):
            moment = self.marks.moment_of(id) if is_id(id) else None
            if moment is None or now() - moment > self.limits.undo:
                return False
            with self._news:
                is_in_memory = self.tasks.deleted(id) is not None
            if not (is_in_memory or self._is_on_disk(id)) or not self.marks.remove(id):
                return False
            with self._news:
                self.tasks.restore(id)
            return True

    def is_deleted(self, id: str) -> bool:
        """Tell whether a job was deleted, but not yet for good."""
        return is_id(id) and self.marks.moment_of(id) is not None

    def latest_of(self, visitor: str) -> str:
        """Return the id of the visitor's job that was deleted last and can be restored, or ""."""
        id = self.marks.latest_of(owner_of(visitor))
        moment = self.marks.moment_of(id) if id else None
        return id if moment is not None and now() - moment <= self.limits.undo else ""

    def forget(self, id: str) -> None:
        """End a job and delete all of it, for good."""
        with self._news:
            task = self.tasks.remove(id)
        if task:
            task.is_kept = False
            task.stop()
        with self.saver.locks.held(id):
            with self._news:
                self.tasks.remove(id)  # it may have been looked at meanwhile
            if self.saver.store:
                self.saver.store.forget(id)
            self.marks.forget(id)

    def sweep(self) -> None:
        """Delete for good what is older or larger than the limits allow.

        So are deleted jobs that can be restored no longer.
        """
        for id, moment in self.marks.older_than(self.limits.undo):
            self._delete_ended(id, moment)
        if self.saver.store:
            with self._news:
                live = self.tasks.live
            limits = self.limits
            self.saver.store.sweep(limits.kept, limits.bytes, live, self._delete_ended, limits.undo)

    @property
    def due(self) -> float | None:
        """Return the seconds until a job that this process deleted goes for good."""
        first = self.marks.first
        return None if first is None else first + self.limits.undo - now()

    def _delete_ended(self, id: str, moment: float | None) -> bool:
        """Delete a job from disk and from memory, unless it is painted on or restored by now.

        `moment` is when it had been deleted.
        """
        with self.saver.locks.held(id):
            if self.marks.moment_of(id) != moment:
                return False
            with self._news:
                if id in self.tasks.live:
                    return False
                task = self.tasks.remove(id)
            if task and moment is not None:
                task.is_kept = False
            if self.saver.store:
                return self.saver.store.forget(id)
            self.marks.forget(id)
            return True

    def _hide(self, id: str) -> Task | None:
        task = self.tasks.delete(id)
        if task:
            task.stop()
        return task

    def _is_on_disk(self, id: str) -> bool:
        return self.saver.store is not None and self.saver.store.has(id)
