"""Go on with the tasks that another server on the same folder has left.

A thread looks for them every second. Meanwhile a request for one of them is told to ask again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from nst.errors import UserError
from nst.settings import TransferSettings
from nst.studio.backends.base import Backend
from nst.studio.batch_job import Batch
from nst.studio.film_job import Film
from nst.studio.film_resuming import resume_film
from nst.studio.forecast import PlannedRun
from nst.studio.job import Job
from nst.studio.job_saver import JobSaver
from nst.studio.job_store import JobStore, is_id
from nst.studio.limits import Limits
from nst.studio.task import State, Task
from nst.studio.task_cache import TaskCache
from nst.studio.task_stores import Kept, TaskStores

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two looks


class TaskTakeover:
    """Take over tasks into `tasks` and a queue, which `submit` puts them in.

    The saver's locks come before `news`, which `tasks` needs.
    """

    def __init__(
        self,
        store: JobStore,
        tasks: TaskCache,
        saver: JobSaver,
        news: threading.Condition,
        limits: Limits,
        backend: Backend,
        submit: Callable[[Task, float], None],
    ) -> None:
        self.store, self.tasks, self.saver, self._news = store, tasks, saver, news
        self.stores = TaskStores(store)
        self.limits, self.backend, self._submit = limits, backend, submit
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="task takeover", daemon=True)

    def start(self) -> None:
        """Begin to look for tasks."""
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Take no more, and wait for what is being taken, so many seconds at most."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def is_due(self, id: str) -> bool:
        """Tell whether a task is about to be taken over here, or by another server."""
        return is_id(id) and not self._is_over.is_set() and self.store.handover.has(id)

    def take_all(self) -> None:
        """Take over every task that is offered, in the order of the offers."""
        for id in self.store.handover.ids():
            if self._is_over.is_set():
                return
            try:
                self._take(id)
            except UserError as error:
                log.warning("a task was taken over, but not painted: %s", error)

    def _work(self) -> None:
        while not self._is_over.is_set():
            try:
                self.take_all()
            except Exception:
                log.exception("a task could not be taken over")
            self._is_over.wait(EVERY)

    def _take(self, id: str) -> None:
        """Take a task over unless somebody else has. Raises `UserError` where it finds no room."""
        if not is_id(id):
            return
        with self.saver.locks.held(id):
            wanted = self.store.handover.wanted(id)
            if not self.store.handover.claim(id) or not self._give_way(id):
                return
            task = self.stores.load(id, is_claimed=True)
            if task is None:
                return
            seconds = None
            try:
                if task.state is State.INTERRUPTED:
                    seconds = self._ready(task, wanted or task.settings)
            finally:  # not sooner: nobody is to see it as one that has ended
                with self._news:
                    self.tasks.add(task)
            if seconds is not None:
                self._submit(task, seconds)

    def _give_way(self, id: str) -> bool:
        """Drop what is remembered of a task, unless it is painted on already."""
        with self._news:
            if id in self.tasks.live:
                return False
            self.tasks.remove(id)
            return True

    def _ready(self, task: Kept, settings: TransferSettings) -> float:
        """Make a task ready to go on as it was asked for; return how many seconds that takes."""
        self.backend.fetch_weights(settings)
        if isinstance(task, Film):
            return resume_film(task, self.backend, self.limits).seconds
        if isinstance(task, Batch):
            task.resume(self.backend.engine(), retries=False)
            return task.seconds_left
        return self._ready_job(task, settings)

    def _ready_job(self, job: Job, settings: TransferSettings) -> float:
        sizes = [painting.size for painting in job.paintings]
        run = PlannedRun(job.content.size, sizes, settings, job.moment, job.wanted_masks.count)
        expected = self.backend.admit(run, seconds=self.limits.seconds)
        job.engine = self.backend.engine()
        job.resume(settings)
        return expected.seconds
