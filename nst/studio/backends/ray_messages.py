"""What the page and the process that drives the cluster for it say to each other.

Light: that process knows neither torch nor pictures, and passes inputs and batches on as bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker can do."""

    node: str  # its machine's address
    device: str  # the type of torch's device
    dtype: str  # of the network: float32 or bfloat16
    pace: float  # seconds per pixel of an evaluation
    memory: int | None  # bytes that a run may take, where that can be told
    version: str  # of nst
    process: int  # its id on that machine


@dataclass(frozen=True)
class Paint:
    """To the cluster: paint a run.

    One that `is_spare` is small, and painted beside others. One that follows another goes to the
    worker of that, where it can.
    """

    run: int
    inputs: bytes
    is_spare: bool
    follows: int | None = None


@dataclass(frozen=True)
class Stop:
    """To the cluster: end a run after its present iteration; nobody waits for it any more."""

    run: int


@dataclass(frozen=True)
class Leave:
    """To the cluster: the page ends."""


@dataclass(frozen=True)
class Joined:
    """From the cluster: its address."""

    address: str


@dataclass(frozen=True)
class Warned:
    """From the cluster: a sentence for the log."""

    sentence: str


@dataclass(frozen=True)
class Workers:
    """From the cluster: the workers that are there now."""

    facts: tuple[WorkerFacts, ...]


@dataclass(frozen=True)
class Begun:
    """From the cluster: a run has a worker."""

    run: int


@dataclass(frozen=True)
class Piece:
    """From the cluster: a pickled batch of a run, or a pickled error that ends it."""

    run: int
    data: bytes


class Ending(Enum):
    """How a run has ended on the cluster."""

    DONE = "done"
    DIED = "died"  # its worker did
    NONE = "none"  # there was no worker for it


@dataclass(frozen=True)
class Ended:
    """From the cluster: the last word on a run."""

    run: int
    how: Ending
