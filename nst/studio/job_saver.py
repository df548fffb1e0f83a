"""Write jobs to the store: now, soon, and as a film grows.

A disk that is full or read-only is logged, and must not end a run.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator

from nst.studio.job import Job
from nst.studio.job_store import JobStore, error_text
from nst.studio.keyed_locks import KeyedLocks
from nst.studio.statistics import Statistics
from nst.studio.task import Task
from nst.studio.task_stores import Kept, TaskStores

log = logging.getLogger(__name__)


class JobSaver:
    """Save jobs to `store`, one writer for each job at a time; without a store do nothing.

    `statistics` count the seconds that it takes.
    """

    def __init__(self, store: JobStore | None, statistics: Statistics | None = None) -> None:
        self.store = store
        self.stores = TaskStores(store) if store else None
        self.statistics = statistics or Statistics()
        self.locks = KeyedLocks()  # one for each job
        self._news = threading.Condition()
        self._unsaved: deque[Kept] = deque()  # admitted, and nowhere on disk yet
        self._thread: threading.Thread | None = None

    def save(self, job: Kept) -> None:
        """Write a task to disk as it is now."""
        if self.stores:
            with self.writing(job.id):
                if job.is_kept:
                    with self.statistics.timed("saving"):
                        self.stores.save(job)

    def save_soon(self, tasks: Iterable[Task]) -> None:
        """Save jobs in a thread of their own: whoever asks for one need not wait for the disk."""
        jobs = [task for task in tasks if isinstance(task, Kept) and task.is_kept]
        if not self.store or not jobs:
            return
        with self._news:
            self._unsaved.extend(jobs)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="job saver", daemon=True)
                self._thread.start()

    def add_frame(self, job: Job, *, is_last: bool = False) -> None:
        """Keep the present picture of a job as a frame of its film."""
        if self.store and job.moment:
            with self.writing(job.id):
                if job.is_kept:
                    index, picture = len(job.steps) - 1, job.moment.picture
                    job.frames = self.store.add_frame(
                        job.id, job.frames, index, picture, is_last=is_last
                    )

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is unsaved; return False after so many seconds."""
        with self._news:
            return self._news.wait_for(lambda: not self._unsaved, seconds)

    @contextlib.contextmanager
    def writing(self, id: str) -> Iterator[None]:
        """Hold a job's files alone, so that an older state never replaces a newer one.

        Other jobs, and whoever only looks, wait for nothing.
        """
        with self.locks.held(id):
            try:
                yield
            except OSError as error:
                log.warning("a job could not be kept on disk: %s", error_text(error))

    def _work(self) -> None:
        """Save what is unsaved, until there is nothing."""
        while True:
            with self._news:
                if not self._unsaved:
                    self._thread = None
                    return
                job = self._unsaved[0]
            try:
                self.save(job)
            except Exception:
                log.exception("a job could not be saved")
            with self._news:
                self._unsaved.popleft()
                self._news.notify_all()
