"""The workshop: paints jobs in threads of its own, and keeps them on disk.

There is one thread, or several where the painting itself happens elsewhere.

Knows when a run must end and a checkpoint is due; `nst.studio.queue` knows whose turn it is,
and nothing here knows pages. `Workshop.paint` runs a job in the caller's thread, where there can be
no other.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from nst.engine.out_of_memory import give_back
from nst.errors import BusyError, UserError
from nst.studio.backends.base import Backend
from nst.studio.backends.local import LocalBackend
from nst.studio.batch_job import Batch
from nst.studio.film_job import Film
from nst.studio.job import Job
from nst.studio.job_deleter import JobDeleter
from nst.studio.job_saver import JobSaver
from nst.studio.job_store import ELSEWHERE, Card, JobStore, error_text, is_id
from nst.studio.limits import Limits
from nst.studio.queue import Load, TaskQueue
from nst.studio.server_presence import ServerPresence
from nst.studio.sheet_job import Sheet
from nst.studio.statistics import NoRoomError, Statistics
from nst.studio.task import State, Task, owner_of, share_id
from nst.studio.task_cache import TaskCache
from nst.studio.task_stores import Kept, TaskStores, card_of
from nst.studio.task_takeover import TaskTakeover

log = logging.getLogger(__name__)

TOO_LONG = "Ended after {:.0f} minutes, the most for one {} here."
CLOSED = "Interrupted by a restart of the server; it can be continued."
CLOSING = "This server is about to restart; please try again in a minute."
UNWATCHED = "Ended because nobody was watching any more."
PAUSE = 0.5  # seconds after an error of our own, and between two tries
HANDOVER = 5.0  # seconds within which a job has usually come from another server
SWEEP_EVERY = 3600.0  # seconds without work
SWEEP_AT_MOST_EVERY = 60.0  # seconds


class Workshop:
    """Paints one task after another, and keeps the jobs.

    With no `folder` nothing is written to disk. Jobs are painted by engines of the `backend`. Its
    methods wait for tasks and for the disk: hold no task's lock when calling them.
    """

    def __init__(
        self,
        folder: Path | None = None,
        limits: Limits | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.backend = backend or LocalBackend()
        self.job_store = JobStore(folder) if folder else None
        self.statistics = Statistics()
        self._queue = TaskQueue(self.limits)  # with `_news`
        self._background: OrderedDict[str, Iterator[object]] = OrderedDict()
        self._swept = float("-inf")  # when, on the monotonic clock
        self._tasks = TaskCache(self.limits, self._queue.is_painting)  # with `_news`
        # Its locks come before `_news`, which comes before a task's lock.
        self._saver = JobSaver(self.job_store, self.statistics)
        self._news = threading.Condition()
        self._deleter = JobDeleter(self._tasks, self._saver, self._news, self.limits)
        self._painters: list[threading.Thread] = []
        self._is_closing = threading.Event()
        self._takeover: TaskTakeover | None = None
        self.backend.watch_painters(self.set_painters)

    def share_folder(self) -> None:
        """Let other servers on the folder know of this one, and see which jobs are theirs.

        A folder that cannot be written to is only logged. Nothing is shared where GPUs are lent in
        a visitor's name, as no visitor asks for a job that is taken over.
        """
        store = self.job_store
        if store is None or self.backend.lends_gpus:
            return
        try:
            store.presence = ServerPresence(store.folder)
        except OSError as error:
            log.warning("the folder of jobs cannot be shared: %s", error_text(error))
            return
        submit = partial(self.submit, is_admitted=True)
        self._takeover = TaskTakeover(
            store, self._tasks, self._saver, self._news, self.limits, self.backend, submit
        )

    def take_over_jobs(self) -> None:
        """Take over what other servers on a shared folder leave, from now on."""
        if self._takeover:
            self._takeover.start()

    def set_painters(self, count: int) -> None:
        """Paint so many tasks at the same time from now on; what is painted already goes on."""
        with self._news:
            self.limits = self._queue.limits = replace(self.limits, painters=count)
            self._wake()

    def submit(
        self, task: Task, seconds: float = 0.0, source: str = "", *, is_admitted: bool = False
    ) -> None:
        """Queue a waiting task, for so many expected seconds of painting.

        One that is queued already keeps its place, and a deleted one finds none. Raises `BusyError`
        where there is no room, and the task is stopped then. `source` is the network that it came
        from, where that can be told. One that `is_admitted`, by another server, only needs memory.
        """
        with self._news:
            if self._deleter.marks.is_noted(task.id):
                task.stop()
                return
            for place in self._queue.waiting:
                if self._is_abandoned(place.task):
                    place.task.stop(UNWATCHED)
            left = self._queue.forget_ended()
            if task in self._queue:
                self._queue.expect(task, seconds)
                return
            if task.state is not State.WAITING:
                return
            try:
                with self.statistics.refusals():
                    self._check_open()
                    self._queue.join(task, seconds, source, is_admitted=is_admitted)
            except BusyError as error:
                task.stop(str(error))
                raise
            finally:
                self._saver.save_soon(left)
            self._tasks.add(task)
            self._wake()
            self._saver.save_soon([task])

    def check_room(self, owner: str, source: str = "", size: int = 0) -> None:
        """Raise `BusyError` when the queue has no room for a task with so many bytes of pictures.

        The same where there is none for more from there, or it closes.
        """
        with self._news, self.statistics.refusals():
            self._check_open()
            self._queue.check_room(owner, source, size)

    def check_pictures(self, size: int) -> None:
        """Raise `BusyError` when there is no room in memory for so many bytes of pictures more."""
        with self._news, self.statistics.refusals():
            self._queue.check_pictures(size)

    def expect(self, task: Task, seconds: float) -> None:
        """Expect so many seconds of painting of a task from now on."""
        with self._news:
            self._queue.expect(task, seconds)

    def background_task(self, name: str, work: Iterator[object]) -> None:
        """Queue work that is done a piece at a time while nobody waits for a picture.

        The latest comes first, one of each name, and there are no more than a few.
        """
        with self._news:
            if name not in self._background:
                self._background[name] = work
            self._background.move_to_end(name)
            while len(self._background) > self.limits.background_tasks:
                self._background.popitem(last=False)
            self._wake()

    def has_background_task(self, name: str) -> bool:
        """Tell whether it is still to be done."""
        with self._news:
            return name in self._background

    def paint(self, task: Task) -> Iterator[object]:
        """Run a task here and now, with its checkpoints and limits, in the caller's thread."""
        if self._is_abandoned(task):
            task.stop(UNWATCHED)
        saved = last = time.monotonic()
        is_begun = task.has_given_way
        try:
            with self._counted(task), contextlib.closing(task.run()) as pieces:
                for piece in pieces:
                    now = time.monotonic()
                    if piece is not None:  # or else it was held up since the last one
                        task.painted += now - last
                    last = now
                    if piece is not None and not is_begun:
                        is_begun = True
                        self.statistics.spend("first_picture", task.painted)
                    if isinstance(task, Job) and piece is not None:
                        self._saver.add_frame(task)
                    is_due = now - saved >= self.limits.checkpoint_every or task.is_between
                    if isinstance(task, Kept) and piece is not None and is_due:
                        self.save(task)
                        saved = time.monotonic()
                    self._stop_where_due(task)
                    self._let_others_by(task)
                    yield piece
        finally:
            if isinstance(task, Job):
                self._saver.add_frame(task, is_last=True)
            if isinstance(task, Kept):
                self.save(task)
                self.sweep()

    def _stop_where_due(self, task: Task) -> None:
        """Stop a task that was painted for too long, that nobody watches, or that is in the way."""
        most = task.most_seconds(self.limits)
        if task.painted > most:
            task.stop(TOO_LONG.format(most / 60, task.noun))
        elif self._is_abandoned(task):
            task.stop(UNWATCHED)
        elif self._is_closing.is_set():
            task.stop(CLOSED, State.INTERRUPTED)

    def _let_others_by(self, task: Task) -> None:
        """Ask a task of many pictures to give way between two of them, where others wait."""
        if task.is_between:
            with self._news:
                if self._queue.waiting:
                    task.give_way()

    @contextlib.contextmanager
    def _counted(self, task: Task) -> Iterator[None]:
        """Count how long a task has waited and was painted, and how that ends.

        Once for a task that gives way, which waits and is painted many times.
        """
        if task.state is not State.WAITING:  # it only has to be put away
            yield
            return
        if not task.has_given_way:
            self.statistics.spend("waiting", time.time() - task.changed)
        try:
            yield
        finally:
            if not task.state.is_live:
                self.statistics.spend("painting", task.painted)
                self.statistics.end(task.state.value)

    @property
    def load(self) -> Load:
        """Return how much there is to paint now."""
        with self._news:
            return self._queue.load

    @property
    def in_memory(self) -> set[str]:
        """Return the ids of the tasks that are not on disk alone."""
        with self._news:
            return self._tasks.ids

    def find(self, id: str) -> Task | None:
        """Return the task of this id, from memory or from disk.

        Raises `BusyError` while it goes from one server to another.
        """
        with self._news:
            task = self._tasks.look_at(id)
        if task or not self.job_store:
            return task
        with self._saver.locks.held(id):
            with self._news:
                task = self._tasks.get(id)
            if not task and self._takeover and self._takeover.is_due(id):
                raise BusyError(ELSEWHERE)
            job = None if task or not self.stores else self.stores.load(id)
            if job:
                with self._news:
                    self._tasks.add(job)
            return task or job

    @property
    def stores(self) -> TaskStores | None:
        """Return where tasks are kept on disk, if anything is."""
        return self._saver.stores

    def find_batch(self, id: str) -> Batch | None:
        """Return the batch of this id, from memory or from disk."""
        task = self.find(id)
        return task if isinstance(task, Batch) else None

    def find_job(self, id: str) -> Job | None:
        """Return the job of this id, from memory or from disk."""
        task = self.find(id)
        return task if isinstance(task, Job) else None

    def find_film(self, id: str) -> Film | None:
        """Return the film of this id, from memory or from disk."""
        task = self.find(id)
        return task if isinstance(task, Film) else None

    def find_shared_film(self, share: str) -> Film | None:
        """Return the film that a link speaks of."""
        return next((self.find_film(id) for id in self._ids() if share_id(id) == share), None)

    def wait_for_job(self, id: str, seconds: float = HANDOVER) -> Job | None:
        """Return the job of this id, when it has come from another server; see `wait_for`."""
        task = self.wait_for(id, seconds)
        return task if isinstance(task, Job) else None

    def wait_for(self, id: str, seconds: float = HANDOVER) -> Task | None:
        """Return the task of this id, when it has come from another server.

        Raises `BusyError` when it has not after so many seconds, or this server closes.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                return self.find(id)
            except BusyError:
                if time.monotonic() >= end or self._is_closing.wait(PAUSE):
                    raise

    def find_shared(self, share: str) -> Job | None:
        """Return the job that a link speaks of."""
        return next((self.find_job(id) for id in self._ids() if share_id(id) == share), None)

    def _ids(self) -> set[str]:
        """Return the ids of all tasks, in memory and on disk."""
        with self._news:
            ids = {task.id for task in self._tasks}
        return ids | set(self.job_store.ids()) if self.job_store else ids

    def latest_sheet(self, visitor: str) -> Sheet | None:
        """Return the contact sheet that the visitor asked for last, while it is remembered."""
        with self._news:
            tasks = [task for task in self._tasks if task.id.startswith(owner_of(visitor))]
        return next((task for task in reversed(tasks) if isinstance(task, Sheet)), None)

    def cards(self, visitor: str) -> list[Card]:
        """Return the cards of the visitor's jobs, the latest first."""
        owner = owner_of(visitor)
        with self._news:
            own = [task for task in self._tasks if task.id.startswith(owner)]
        cards = [card for task in own if (card := card_of(task))]
        if self.stores:
            cards += self.stores.cards(owner, {card.id for card in cards})
        return sorted(cards, key=lambda card: card.created, reverse=True)

    def card_of(self, id: str) -> Card | None:
        """Return the card of a task, also of one that is damaged."""
        with self._news:
            task = self._tasks.get(id)
        if card := task and card_of(task):
            return card
        return self.stores.card(id) if self.stores and is_id(id) else None

    def branch(self, job: Job, visitor: str) -> Job:
        """Return a copy of an ended job for a visitor, to be taken elsewhere."""
        with self._saver.locks.held(job.id):  # no frame comes or goes meanwhile
            twin = job.copy(visitor)
            self.save(twin)
            if self.job_store:
                with self._saver.writing(twin.id):
                    self.job_store.copy_frames(job.id, twin.id)
        with self._news:
            self._tasks.add(twin)
        return twin

    def adopt(self, job: Job) -> None:
        """Keep a job that has ended elsewhere, as one of the visitor's own."""
        self.save(job)
        with self._news:
            self._tasks.add(job)

    def delete(self, id: str) -> None:
        """Stop a job and hide it; for `Limits.undo` seconds `restore` brings it back.

        From then on it is as if there were none, but that it takes room on disk.
        """
        self._deleter.delete(id)
        with self._news:
            self._wake()  # its end is due sooner than the next sweep

    def restore(self, id: str) -> bool:
        """Bring a deleted job back, stopped if it was live; tell whether that could be done."""
        return self._deleter.restore(id)

    def is_deleted(self, id: str) -> bool:
        """Tell whether a job was deleted, but not yet for good."""
        return self._deleter.is_deleted(id)

    def latest_deleted(self, visitor: str) -> str:
        """Return the id of what the visitor deleted last and `restore` brings back, or ""."""
        return self._deleter.latest_of(visitor)

    def forget(self, id: str) -> None:
        """End a job and delete all of it, for good."""
        self._deleter.forget(id)

    def close(self, seconds: float = 20.0, *, hands_over: bool = False) -> bool:
        """Keep what the present task has reached, and paint no more; for the end of the process.

        Return whether all is kept and still after so many seconds. Where it `hands_over`, the tasks
        that wait or were interrupted are left to the next server on the folder. A job whose
        iteration lasts longer than that is left as it was last saved.
        """
        end = time.monotonic() + seconds
        if self._takeover:  # first: a job that it claims later would find the workshop closed
            self._takeover.end(seconds / 4)
        with self._news:
            self._is_closing.set()
            self._news.notify_all()
            places = [*self._queue.painted, *self._queue.waiting]
            unfinished = [place.task for place in places if isinstance(place.task, Kept)]
        for thread in self._painters:
            thread.join(max(0.0, end - time.monotonic()))
        self._interrupt_waiting()
        is_kept = self._saver.wait(max(0.0, end - time.monotonic()))
        if hands_over:
            self._hand_over(unfinished)
        if self.job_store and self.job_store.presence:
            self.job_store.presence.end()
        return is_kept and not any(thread.is_alive() for thread in self._painters)

    def _interrupt_waiting(self) -> None:
        """End the films and batches that wait, with the processes and locks that they hold."""
        with self._news:
            tasks = [place.task for place in self._queue.waiting]
        for task in tasks:
            if task.lets_others_by:
                task.stop(CLOSED, State.INTERRUPTED)
                self._saver.save_soon([task])

    @property
    def is_closing(self) -> bool:
        """Tell whether no more is painted here."""
        return self._is_closing.is_set()

    def _hand_over(self, tasks: Iterable[Kept]) -> None:
        """Leave those of the tasks that are not finished to the next server on the folder."""
        if not self.job_store or self.backend.lends_gpus:
            return
        left = [task for task in tasks if task.is_kept and is_left(task)]
        for task in left:
            with self._saver.locks.held(task.id):  # what is being written is whole
                task.is_kept = False  # nothing of it is written here any more
        wanted = {
            task.id: task.settings_to_resume if isinstance(task, Job) else task.settings
            for task in left
        }
        try:
            self.job_store.handover.offer(wanted)
        except OSError as error:
            log.warning("nothing could be handed over: %s", error_text(error))
        else:
            log.info("tasks left to the next server: %d", len(left))

    def _check_open(self) -> None:
        if self._is_closing.is_set():
            raise NoRoomError(CLOSING, "closing")

    def greet(self, owner: str, due: float = 0.0) -> None:
        """Note that a visitor is there, and looks again in `due` seconds at the latest.

        None of their tasks is abandoned until then.
        """
        with self._news:
            tasks = [task for task in self._tasks if task.owner == owner]
        for task in tasks:
            task.greet(due)

    def ahead_of(self, task: Task) -> int:
        """Return how many are painted before this one."""
        with self._news:
            return self._queue.ahead_of(task)

    def wait_of(self, task: Task) -> float:
        """Return the seconds until it is painted, as expected."""
        with self._news:
            return self._queue.wait_of(task)

    def wait_until_idle(self, seconds: float = 20.0) -> bool:
        """Wait until nothing is painted, queued or to be done; return False after so long."""
        with self._news:
            return self._news.wait_for(lambda: not self._queue and not self._background, seconds)

    def wait_until_saved(self, seconds: float = 20.0) -> bool:
        """Wait until every job that was admitted has a record on disk; false after so long."""
        return self._saver.wait(seconds)

    def _wake(self) -> None:
        self._news.notify_all()
        wanted = min(max(1, len(self._queue)), self.limits.painters)
        for number in range(len(self._painters), wanted):
            painter = threading.Thread(
                target=self._work, args=(number,), name=f"painter {number}", daemon=True
            )
            painter.start()
            self._painters.append(painter)

    def _work(self, number: int) -> None:
        while not self._is_closing.is_set():
            try:
                self._do_next(number)
            except BaseException:  # whatever it was, who is next must not wait for ever
                with contextlib.suppress(Exception):  # there may be no memory to say it
                    log.exception("the workshop goes on after an error")
                self._is_closing.wait(PAUSE)

    def _do_next(self, number: int) -> None:
        """Paint the next task, or do a piece of a background task, as soon as there is one.

        The first painter does those pieces; the latest ones do nothing while there are too many.
        """
        does_background = number == 0
        with self._news:
            while not (
                (self._queue.has_next and number < max(1, self.limits.painters))
                or (does_background and self._background)
            ):
                patience = self._until_sweep() if does_background else SWEEP_EVERY
                if not self._news.wait(patience) and does_background:
                    self._background["sweep"] = self._tidy()
                if self._is_closing.is_set():
                    return
            task = self._queue.take()
            name = next(reversed(self._background), "") if task is None else ""
        if task is None:
            self._do_piece(name)
            return
        try:
            deque(self.paint(task), maxlen=0)
        finally:
            with self._news:
                self._queue.leave(task)
                self._news.notify_all()
                if not task.is_kept:
                    self._tasks.remove(task.id)
            give_back()

    def _do_piece(self, name: str) -> None:
        """Do one piece of a background task, which ends with its work or an error."""
        with self._news:
            work = self._background[name]
        is_over = True
        try:
            for _ in work:
                is_over = False
                break
        except UserError as error:
            log.warning("a background task has ended: %s", error)
        finally:
            if is_over:
                with self._news:
                    self._background.pop(name, None)
                    self._news.notify_all()

    def _is_abandoned(self, task: Task) -> bool:
        with self._news:
            is_wanted = bool(self._queue.waiting)
        return task.unwatched > task.most_unwatched(self.limits, others_wait=is_wanted)

    def save(self, job: Kept) -> None:
        """Write a task to disk as it is now; a disk that refuses is only logged."""
        self._saver.save(job)

    def sweep(self) -> None:
        """Delete, from disk and from memory, what is older or larger than the limits allow."""
        if time.monotonic() - self._swept >= SWEEP_AT_MOST_EVERY:
            self._swept = time.monotonic()
            self._deleter.sweep()

    def _until_sweep(self) -> float:
        """Return the seconds until a sweep is due without work."""
        due = self._deleter.due
        if due is None:
            return SWEEP_EVERY
        return max(0.0, due + 1.0, self._swept + SWEEP_AT_MOST_EVERY - time.monotonic())

    def _tidy(self) -> Iterator[None]:
        self.sweep()
        yield


def is_left(task: Kept) -> bool:
    """Tell whether a task of a workshop that has closed is still to be painted elsewhere.

    A film that is in the middle of an iteration is not: this process still holds its frames.
    """
    is_live = task.state.is_live and not isinstance(task, Film)
    return is_live or task.state is State.INTERRUPTED
