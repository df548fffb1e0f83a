"""What each visitor's run has reached, so that Stop can deliver it.

Knows the runs of this process by visitor; nothing of components.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from PIL import Image

from nst import TransferSettings, TransferStep, transfer_style


@dataclass
class Run:
    """One transfer: what it was asked for, and the steps so far, without their pictures' pixels
    but for the latest."""

    photo: Image.Image
    paintings: Sequence[Image.Image]
    settings: TransferSettings
    steps: list[TransferStep] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[TransferStep]:
        for step in transfer_style(self.photo, self.paintings, self.settings):
            if self.stop.is_set():
                return
            if self.steps:
                self.steps[-1] = self.steps[-1].without_pixels()
            self.steps.append(step)
            yield step


class Runs:
    """The latest run of each visitor, by session."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def begin(self, session: str, run: Run) -> None:
        """Remember `run`, and stop the one that the visitor had before."""
        with self._lock:
            previous = self._runs.get(session)
            self._runs[session] = run
        if previous:
            previous.stop.set()

    def end(self, session: str) -> Run | None:
        """Stop and forget the visitor's run, and return it."""
        with self._lock:
            run = self._runs.pop(session, None)
        if run:
            run.stop.set()
        return run
