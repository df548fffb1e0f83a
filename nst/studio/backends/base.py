"""The interface of a backend: where runs are painted, and what one needs there.

Another kind is a file beside `local.py`, `zerogpu.py` and `ray.py`, and a line in `pick_backend`.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable

from nst.engine.transfer import Engine
from nst.settings import TransferSettings
from nst.studio.forecast import Forecast, PlannedRun, Room, admitted


class Backend(abc.ABC):
    """Paint runs somewhere. One is chosen when the page starts, and handed in."""

    painters = 1
    """Runs at the same time; more only share the same processor, unless it is elsewhere."""

    lends_gpus = False
    """Whether a run takes seconds of a GPU that is lent in its visitor's name."""

    @property
    def in_process(self) -> Backend:
        """Return what paints contact sheets and textures, which no GPU is lent for."""
        return self

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make ready what the first visitor would wait for.

        Call it in the main thread, before the page is served.
        """

    def watch_painters(self, changed: Callable[[int], None]) -> None:  # noqa: B027
        """Call `changed` with the number of painters whenever it changes, from any thread."""

    def close(self) -> None:  # noqa: B027
        """Let go of what the backend holds elsewhere."""

    @abc.abstractmethod
    def fetch_weights(self, settings: TransferSettings) -> None:
        """Load the network's parameters where they are needed.

        Raises `WeightsError`.
        """

    @abc.abstractmethod
    def engine(self) -> Engine:
        """Return what paints a job, with the signature of `transfer_style`.

        Call it while the visitor's request is answered: a GPU is lent in their name.
        """

    @abc.abstractmethod
    def forecast(self, run: PlannedRun) -> Forecast:
        """Return what a run needs here."""

    @abc.abstractmethod
    def free_memory(self, settings: TransferSettings, held: int) -> int | None:
        """Return the bytes that a run may take, where that can be told.

        Bytes that are `held` by what the run takes the place of count as free.
        """

    def admit(self, run: PlannedRun, *, seconds: float = math.inf, held: int = 0) -> Forecast:
        """Return what a run needs.

        Raises `TooLargeError` when there is not enough memory, or it would take more than so many
        seconds.
        """
        room = Room(self.free_memory(run.settings, held), seconds)
        return admitted(self.forecast, run, room)
