"""What one visitor, and all of them together, may take of this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The workshop's limits.

    Those of a picture are in `nst.images.reading`, those of a request in `page.http.middleware`.
    """

    painters: int = 1  # tasks at the same time; more only share the same processor
    seconds: float = 1800.0  # of painting at a stretch
    film_seconds: float = 3 * 3600.0  # the same, of a film, which others are painted between
    film_length: float = 120.0  # seconds of a clip
    film_frames: int = 1200
    film_bytes: float = 600e6  # on disk, of the frames of one film while it is painted
    begun: int = 4  # films and batches that are begun at the same time: each holds a decoder
    waiting: int = 60  # tasks in the queue
    waiting_of_one: int = 4  # the same, of one visitor
    waiting_of_source: int = 12  # the same, from one network
    wait: float = 1800.0  # seconds that the last in the queue may expect to wait
    deference: float = 600.0  # seconds by which a visitor's further pictures give way, at most
    pictures: int = 1_700_000_000  # bytes in memory, of all tasks; those that have ended give way
    opened: int = 300_000_000  # the same, of uploads opened last: two of the largest there are
    background_tasks: int = 8  # to be done while nobody waits
    grace: float = 300.0  # seconds that a job goes on with nobody watching
    grace_in_line: float = 30.0  # the same while others wait
    grace_of_many: float = 1800.0  # the same of what lets others by, whether they wait or not
    checkpoint_every: float = 2.0  # seconds; what a crash can lose
    kept: float = 24 * 3600.0  # seconds after the last change
    undo: float = 600.0  # seconds during which a deleted job can be restored
    bytes: int = 4_000_000_000  # on disk, of all jobs
    remembered: int = 16  # jobs in memory that are not live
