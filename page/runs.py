"""What each visitor's run has reached, so that Stop can deliver it.

Knows the runs of this process by visitor; nothing of components.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from nst import TransferSettings, TransferStep, transfer_style
from nst.forecast import Forecast, available_memory, forecast
from nst.transfer import load_network

MAX_SECONDS = 1800.0  # one visitor must not hold the others up for longer
REMEMBERED = 64  # runs whose latest picture Stop can still deliver, after a lost connection too


class TooLargeError(ValueError):
    """A run that this machine has no room for; the message is one sentence for the visitor."""


@dataclass
class Run:
    """One transfer: what it was asked for, and the steps so far, without their pictures' pixels
    but for the latest."""

    photo: Image.Image
    paintings: Sequence[Image.Image]
    settings: TransferSettings
    seconds: float = MAX_SECONDS
    steps: list[TransferStep] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def admit(self) -> Forecast:
        """What the run will need. Raises `TooLargeError` when this machine has not enough."""
        network = load_network(self.settings)
        sizes = [painting.size for painting in self.paintings]
        expected = forecast(network, self.photo.size, sizes, self.settings)
        free = available_memory(network)
        if free is not None and expected.bytes > free:
            raise TooLargeError(
                f"At this size a picture needs {expected.bytes / 1e9:.1f} GB of memory, and"
                f" {free / 1e9:.1f} GB are free here. Please choose a smaller size."
            )
        return replace(expected, seconds=min(expected.seconds, self.seconds))

    def __iter__(self) -> Iterator[TransferStep]:
        for step in transfer_style(self.photo, self.paintings, self.settings):
            if self.stop.is_set() or step.elapsed > self.seconds:
                return
            self.steps.append(step)  # first: whoever looks meanwhile finds a last step with pixels
            if len(self.steps) > 1:
                self.steps[-2] = self.steps[-2].without_pixels()
            yield step

    @property
    def is_complete(self) -> bool:
        return bool(self.steps) and self.steps[-1].iteration == self.steps[-1].total


class Runs:
    """The latest run of each visitor, by session."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, session: str, run: Run) -> None:
        """Remember `run`, and stop the one that the visitor had before."""
        with self._lock:
            previous = self._runs.pop(session, None)
            self._runs[session] = run
            while len(self._runs) > REMEMBERED:
                self._runs.popitem(last=False)
        if previous:
            previous.stop.set()

    def interrupt(self, session: str) -> None:
        """Stop the visitor's run, and keep what it reached."""
        with self._lock:
            run = self._runs.get(session)
        if run:
            run.stop.set()

    def end(self, session: str) -> Run | None:
        """Stop and forget the visitor's run, and return it."""
        with self._lock:
            run = self._runs.pop(session, None)
        if run:
            run.stop.set()
        return run
