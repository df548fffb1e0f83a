"""What tests of deleted jobs share: a clock that they set, and who finds a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nst.studio.workshop
from nst.studio.clock import now
from nst.studio.deletion_marks import DELETED
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.task import share_id
from nst.studio.workshop import Workshop

UNDO = Limits.undo
UNKNOWN = f"{'a' * 16}-{'b' * 32}"


class Clock:
    """The time of day; `ahead` is how many seconds the test is ahead of it."""

    def __init__(self) -> None:
        self.start = float(round(now()))
        self.ahead = 0.0

    def now(self) -> float:
        return self.start + self.ahead


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still, and no limit on how often is swept."""
    clock = Clock()
    for module in ("deletion_marks", "job_deleter", "job_store"):
        monkeypatch.setattr(f"nst.studio.{module}.now", clock.now)
    monkeypatch.setattr(nst.studio.workshop, "SWEEP_AT_MOST_EVERY", -1.0)
    return clock


def still(folder: Path | None = None, **limits: Any) -> Workshop:
    """A workshop with no thread of its own, so that nothing is swept unless the test does."""
    return Workshop(folder, Limits(painters=0, checkpoint_every=-1.0, **limits))


def painted(workshop: Workshop, job: Job) -> Job:
    list(workshop.paint(job))
    return job


def is_hidden(workshop: Workshop, job: Job) -> bool:
    """Whether nobody who looks finds a job, or else all do."""
    found: list[object] = [
        workshop.find(job.id),
        workshop.find_job(job.id),
        workshop.find_shared(share_id(job.id)),
        workshop.card_of(job.id),
        next((card for card in workshop.cards("jane") if card.id == job.id), None),
    ]
    if workshop.job_store:
        store = workshop.job_store
        found.append(store.load(job.id))
        found.append(store.card(job.id))
        found.append(store.file(job.id, "content.png").is_file() or None)
        found.append(job.id in store.ids() or None)
    assert len({each is None for each in found}) == 1
    return found[0] is None


def is_on_disk(folder: Path, job: Job) -> bool:
    return (folder / job.id).exists()


def mark_of(folder: Path, job: Job) -> Path:
    return folder / job.id / DELETED
