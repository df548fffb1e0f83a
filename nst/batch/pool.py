"""The interface of what paints a batch: workers that take requests and answer with events."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from nst.batch.messages import Event, PaintRequest


class Pool(abc.ABC):
    """Some workers. A worker that ends is replaced; what it had is reported as `Lost`."""

    @property
    @abc.abstractmethod
    def has_room(self) -> bool:
        """Tell whether a worker can take a request now; each has a few at a time."""

    @abc.abstractmethod
    def submit(self, request: PaintRequest) -> None:
        """Give a request to the worker that has the fewest; call it only where there is room."""

    @abc.abstractmethod
    def events(self, seconds: float) -> Sequence[Event]:
        """Return what has happened, after so many seconds at most.

        Raises `UserError` where there can be no workers.
        """

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abc.abstractmethod
    def close(self) -> None:
        """End all workers, whatever they do."""
