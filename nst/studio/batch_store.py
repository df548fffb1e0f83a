"""Batches on disk: a folder for each among those of the jobs, and what `batch.json` says of it.

The pictures themselves are the business of `nst.studio.batch_files`. What is read is checked; a
damaged batch is a card that says so, and never an exception.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.engine.transfer import TransferStep
from nst.errors import BusyError
from nst.settings import MOST_STYLES, TransferSettings
from nst.studio.batch_files import BatchFiles
from nst.studio.batch_job import MOST_PHOTOS, Batch, BatchPhoto
from nst.studio.job_record import (
    LATEST,
    LONGEST_NOTE,
    STEP_FIGURES,
    DamagedError,
    checked_value,
    field_of,
    figures_of,
    list_up_to,
    number_up_to,
    parse_object,
    read_file,
    settings_of,
    state_named,
    step_of,
    text_up_to,
    whole_number,
)
from nst.studio.job_store import ELSEWHERE, Card, JobStore, error_text, is_id, write_record
from nst.studio.task import State

log = logging.getLogger(__name__)

RECORD = "batch.json"
MOST_RECORD = 2_000_000  # bytes
LONGEST_NAME = 300  # characters, of a photo's file


@dataclass(frozen=True)
class BatchRecord:
    """What `batch.json` holds, checked."""

    created: float  # seconds since 1970
    changed: float
    state: State  # as it was written; after a restart nothing is live
    note: str
    server: str
    seconds: float  # that it was painted for
    expected: float  # seconds of a photo
    protects_faces: bool
    settings: TransferSettings
    paintings: int
    photos: tuple[BatchPhoto, ...]
    done: dict[int, TransferStep]
    failed: dict[int, str]
    opened: dict[int, str]

    @property
    def state_after_restart(self) -> State:
        """Return the state of a batch that a restart has found."""
        return State.INTERRUPTED if self.state.is_live else self.state


class BatchStore:
    """The batches among the jobs of a store. Raises `OSError` where the disk refuses."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def begin(self, id: str, photos: Sequence[Path]) -> BatchFiles:
        """Make the folder of a new batch, and copy its photos into it."""
        files = BatchFiles(self.store.make_home(id))
        try:
            files.take_photos(photos)
        except OSError:
            self.store.forget(id)
            raise
        return files

    def has(self, id: str) -> bool:
        """Tell whether there is a batch of this id, deleted or not."""
        return is_id(id) and self._record(id).exists()

    def save(self, batch: Batch) -> None:
        """Write what a batch knows; its pictures are on disk already."""
        server = self.store.presence.name if self.store.presence else ""
        write_record(json.dumps({**record_of(batch), "server": server}), self._record(batch.id))

    def load(self, id: str, *, is_claimed: bool = False) -> Batch | None:
        """Return a batch as it was saved last; one that was live then was interrupted since.

        None where it is deleted or damaged. Raises `BusyError` where another server paints it,
        unless it `is_claimed` from that one.
        """
        if self.store.deletions.moment_of(id) is not None:
            return None
        try:
            record = self._read(id)
            is_unfinished = record.state_after_restart is State.INTERRUPTED and not is_claimed
            if is_unfinished and self.store.is_elsewhere(record.server):
                raise BusyError(ELSEWHERE)
            return self._load(id, record)
        except (DamagedError, OSError) as error:
            log.warning("a batch on disk cannot be read: %s", error_text(error))
            return None

    def _load(self, id: str, record: BatchRecord) -> Batch:
        files = BatchFiles(self.store.folder / id)
        batch = Batch(
            record.photos,
            files.paintings(record.paintings),
            record.settings,
            files,
            id=id,
            expected=record.expected,
            protects_faces=record.protects_faces,
        )
        batch.created, batch.changed, batch.painted = record.created, record.changed, record.seconds
        batch.state, batch.note = record.state_after_restart, record.note
        batch.done = {n: step for n, step in record.done.items() if files.has_picture(n)}
        batch.failed, batch.opened = record.failed, record.opened
        return batch

    def card(self, id: str) -> Card | None:
        """Return the card of a batch; None where there is none, or it is deleted."""
        if not self.has(id) or self.store.deletions.moment_of(id) is not None:
            return None
        try:
            record = self._read(id)
        except (DamagedError, OSError):
            return self.store.damaged_card(id, Batch.noun)
        photos = len(record.photos)
        return Card(
            id, record.created, record.state_after_restart, len(record.done), photos,
            record.changed, noun=Batch.noun,
        )  # fmt: skip

    def _read(self, id: str) -> BatchRecord:
        return parse_batch(read_file(self._record(id), MOST_RECORD))

    def _record(self, id: str) -> Path:
        return self.store.folder / id / RECORD


def batch_card(batch: Batch) -> Card:
    """Return the card of a batch in memory."""
    with batch.lock:
        photos, done = len(batch.photos), len(batch.done)
        return Card(
            batch.id, batch.created, batch.state, done, photos, batch.changed, noun=Batch.noun
        )


def record_of(batch: Batch) -> dict[str, Any]:
    """Return what `batch.json` says, but for the server that writes it."""
    with batch.lock:
        return {
            "created": batch.created,
            "changed": batch.changed,
            "state": batch.state.value,
            "note": batch.note,
            "seconds": batch.painted,
            "expected": batch.expected,
            "protects_faces": batch.protects_faces,
            "settings": batch.settings.to_json(),
            "paintings": len(batch.paintings),
            "photos": [[photo.name, list(photo.size or ())] for photo in batch.photos],
            "figures": STEP_FIGURES,
            "done": [[number, figures_of(step)] for number, step in batch.done.items()],
            "failed": list(batch.failed.items()),
            "opened": list(batch.opened.items()),
        }


def parse_batch(data: bytes) -> BatchRecord:
    """Return the record in the bytes of a `batch.json`. Raises `DamagedError`."""
    fields = parse_object(data)
    photos = tuple(map(_photo, field_of(fields, "photos", list_up_to(MOST_PHOTOS))))
    names = [text_up_to(40)(name) for name in field_of(fields, "figures", list_up_to(40))]
    count = len(photos)
    return BatchRecord(
        created=field_of(fields, "created", number_up_to(LATEST)),
        changed=field_of(fields, "changed", number_up_to(LATEST)),
        state=field_of(fields, "state", state_named),
        note=field_of(fields, "note", text_up_to(LONGEST_NOTE)),
        server=field_of(fields, "server", text_up_to(40)),
        seconds=field_of(fields, "seconds", number_up_to(LATEST)),
        expected=field_of(fields, "expected", number_up_to(LATEST)),
        protects_faces=fields.get("protects_faces") is True,
        settings=field_of(fields, "settings", settings_of),
        paintings=min(field_of(fields, "paintings", whole_number), MOST_STYLES),
        photos=photos,
        done={n: step_of(values, names) for n, values in _by_number(fields, "done", count)},
        failed={
            n: checked_value("failed", text, text_up_to(LONGEST_NOTE))
            for n, text in _by_number(fields, "failed", count)
        },
        opened={
            n: checked_value("opened", id, text_up_to(60))
            for n, id in _by_number(fields, "opened", count)
        },
    )


def _photo(value: Any) -> BatchPhoto:
    pair = checked_value("photos", value, list_up_to(2))
    if len(pair) != 2:
        raise DamagedError("the record has a photo without a name or a size")
    name = checked_value("photos", pair[0], text_up_to(LONGEST_NAME))
    size = [checked_value("photos", side, whole_number) for side in list_up_to(2)(pair[1])]
    return BatchPhoto(name, (size[0], size[1]) if len(size) == 2 else None)


def _by_number(fields: Mapping[str, Any], name: str, count: int) -> list[tuple[int, Any]]:
    """Return the entries of a list of pairs that are of one of so many photos."""
    pairs = [
        checked_value(name, pair, list_up_to(2))
        for pair in field_of(fields, name, list_up_to(MOST_PHOTOS))
    ]
    if any(len(pair) != 2 for pair in pairs):
        raise DamagedError(f"the record has an impossible value of {name}")
    numbered = [(checked_value(name, number, whole_number), value) for number, value in pairs]
    return [(number, value) for number, value in numbered if number < count]
