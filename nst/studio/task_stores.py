"""The tasks that are kept on disk, each kind by the record in its folder."""

from __future__ import annotations

from collections.abc import Set

from nst.studio.batch_job import Batch
from nst.studio.batch_store import BatchStore, batch_card
from nst.studio.film_job import Film
from nst.studio.film_store import FilmStore, film_card
from nst.studio.job import Job
from nst.studio.job_store import Card, JobStore
from nst.studio.task import Task

Kept = Job | Film | Batch


class TaskStores:
    """Jobs, films and batches in the folder of `jobs`. Raises `OSError` where the disk refuses."""

    def __init__(self, jobs: JobStore) -> None:
        self.jobs = jobs
        self.films = FilmStore(jobs)
        self.batches = BatchStore(jobs)

    def _store_of(self, id: str) -> JobStore | FilmStore | BatchStore:
        return next((each for each in (self.films, self.batches) if each.has(id)), self.jobs)

    def save(self, task: Kept) -> None:
        """Write what has changed of a task since the last time."""
        if isinstance(task, Film):
            self.films.save(task)
        elif isinstance(task, Batch):
            self.batches.save(task)
        else:
            self.jobs.save(task)

    def load(self, id: str, *, is_claimed: bool = False) -> Kept | None:
        """Return the task as it was saved last; None where there is none that can be read.

        Raises `BusyError` where another server paints it, unless it `is_claimed` from that one.
        """
        return self._store_of(id).load(id, is_claimed=is_claimed)

    def card(self, id: str) -> Card | None:
        """Return the card of a task; None where there is none, or it is deleted."""
        return self._store_of(id).card(id)

    def cards(self, owner: str, but: Set[str] = frozenset()) -> list[Card]:
        """Return the cards of the tasks whose ids begin with `owner`, `but` for some."""
        ids = [id for id in self.jobs.ids() if id.startswith(f"{owner}-") and id not in but]
        return [card for id in ids if (card := self.card(id))]


def card_of(task: Task) -> Card | None:
    """Return the card of a task in memory, where it has one."""
    if isinstance(task, Film):
        return film_card(task)
    if isinstance(task, Batch):
        return batch_card(task)
    return Card.of(task) if isinstance(task, Job) else None
