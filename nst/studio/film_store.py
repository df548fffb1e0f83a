"""Films on disk: a folder for each among those of the jobs, and what `film.json` says of it.

A film writes its own folder, see `nst.studio.film_job`. What is read is checked; a damaged film is
a card that says so, and never an exception.
"""

from __future__ import annotations

import logging
from pathlib import Path

from nst.errors import BusyError
from nst.studio.film_job import RECORD, Film, load_film
from nst.studio.film_record import MOST_FILM_JSON, parse_film
from nst.studio.job_record import DamagedError, is_file, read_file
from nst.studio.job_store import ELSEWHERE, Card, JobStore, error_text, is_id
from nst.studio.task import State

log = logging.getLogger(__name__)


class FilmStore:
    """The films among the jobs of a store. Raises `OSError` where the disk refuses."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def has(self, id: str) -> bool:
        """Tell whether there is a film of this id, deleted or not."""
        return is_id(id) and self._record(id).exists()

    def save(self, film: Film) -> None:
        """Write what a film knows; its frames are on disk already."""
        film.server = self.store.presence.name if self.store.presence else ""
        film.save()

    def load(self, id: str, *, is_claimed: bool = False) -> Film | None:
        """Return a film as it was saved last; one that was live then was interrupted since.

        None where it is deleted or damaged. Raises `BusyError` where another server paints it,
        unless it `is_claimed` from that one.
        """
        if self.store.deletions.moment_of(id) is not None:
            return None
        try:
            film = load_film(self.store.folder, id)
            is_unfinished = film.state is State.INTERRUPTED and not is_claimed
            if is_unfinished and self.store.is_elsewhere(film.server):
                raise BusyError(ELSEWHERE)
            return film
        except (DamagedError, OSError) as error:
            log.warning("a film on disk cannot be read: %s", error_text(error))
            return None

    def card(self, id: str) -> Card | None:
        """Return the card of a film; None where there is none, or it is deleted."""
        if not self.has(id) or self.store.deletions.moment_of(id) is not None:
            return None
        try:
            film = parse_film(read_file(self._record(id), MOST_FILM_JSON))
        except (DamagedError, OSError):
            return self.store.damaged_card(id, Film.noun)
        count, is_whole = len(film.times), is_file(self.store.folder / id / "style-0.png")
        return Card(
            id=id,
            created=film.created,
            changed=film.changed,
            state=film.state_after_restart,
            iteration=count,
            total=max(film.total, count, 1),
            is_damaged=not is_whole,
            noun=Film.noun,
        )

    def _record(self, id: str) -> Path:
        return self.store.folder / id / RECORD


def film_card(film: Film) -> Card:
    """Return the card of a film in memory."""
    with film.lock:
        count, total = film.count, film.total
        return Card(film.id, film.created, film.state, count, total, film.changed, noun=film.noun)
