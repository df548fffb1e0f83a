"""What backends share whose runs are painted in another process: inputs, steps and paces.

Pictures travel as arrays, steps in batches: the figures of several, and the picture of the last.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from nst.engine.minimization import DistantState
from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep, as_list
from nst.images.masks import Masks
from nst.images.tensors import to_tensor
from nst.settings import TransferSettings
from nst.studio.backends.base import Backend
from nst.studio.forecast import PlannedRun, Work

Pixels = npt.NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True)
class RunInputs:
    """The arguments of a run, as they are pickled.

    What an optimiser has learned stays where it is; `state` is the key of what a worker knows.
    """

    content: Pixels
    styles: list[Pixels]
    settings: TransferSettings
    masks: Masks | None
    init: Pixels | None
    begin: tuple[Pixels, int] | None  # a picture, and the iterations behind it
    state: tuple[int, int] | None = None

    @staticmethod
    def of(
        content: Image.Image,
        styles: Image.Image | Sequence[Image.Image],
        settings: TransferSettings,
        masks: Masks | None = None,
        init: Image.Image | None = None,
        begin: Moment | None = None,
    ) -> RunInputs:
        """Return the arguments of `transfer_style` without pictures of Pillow."""
        return RunInputs(
            pixels_of(content),
            [pixels_of(painting) for painting in as_list(styles)],
            settings,
            masks,
            pixels_of(init) if init else None,
            (pixels_of(begin.picture), begin.iteration) if begin else None,
            begin.state.key if begin and isinstance(begin.state, DistantState) else None,
        )

    @property
    def done(self) -> int:
        """Return the iterations that the run has behind it."""
        return self.begin[1] if self.begin else 0

    @property
    def planned(self) -> PlannedRun:
        """Return what a forecast asks of the run."""
        (height, width), sizes = self.content.shape[:2], [each.shape[:2] for each in self.styles]
        begin = Moment(Image.fromarray(self.begin[0]), self.done) if self.begin else None
        paintings = [(across, down) for down, across in sizes]
        regions = self.masks.count if self.masks else 0
        return PlannedRun((width, height), paintings, self.settings, begin, regions)

    def going_on(self, step: TransferStep) -> RunInputs:
        """Return the same run as it goes on from a step of it."""
        return replace(self, begin=(pixels_of(step.image), step.iteration), state=None)

    def steps(self, engine: Engine, **options: Any) -> Iterator[TransferStep]:
        """Return the steps that an engine makes of it, with further options of that.

        These may have pictures and masks in place of its own.
        """
        given: dict[str, Any] = {
            "content": Image.fromarray(self.content),
            "styles": [Image.fromarray(style) for style in self.styles],
            "masks": self.masks,
            "init": None if self.init is None else Image.fromarray(self.init),
            "begin": self.planned.begin,
        } | options
        return engine(given.pop("content"), given.pop("styles"), self.settings, **given)


@dataclass(frozen=True)
class Batch:
    """What a worker reports at once: the figures of some steps, and the picture of the last."""

    figures: list[dict[str, Any]]
    picture: Pixels
    state: DistantState | None = None  # at the last of them, where the worker keeps it

    def steps(self) -> list[TransferStep]:
        """Return the same as steps; all but the last are without pixels."""
        nothing = torch.empty(0)
        pixels = [nothing] * (len(self.figures) - 1) + [to_tensor(Image.fromarray(self.picture))]
        states = [None] * (len(self.figures) - 1) + [self.state]
        return [
            TransferStep(**figures, pixels=each, state=state)
            for figures, each, state in zip(self.figures, pixels, states, strict=True)
        ]


def in_batches(
    steps: Iterable[TransferStep],
    every: float,
    is_over: Callable[[TransferStep], bool] = lambda step: False,
) -> Iterator[Batch]:
    """Yield steps in batches, one in `every` seconds at most; the first and the last come at once.

    The last is that of the run, or the first for which `is_over`.
    """
    figures: list[dict[str, Any]] = []
    due = -math.inf
    for step in steps:
        figures.append(_figures(step))
        is_cut = is_over(step)
        if is_cut or step.iteration == step.total or time.monotonic() >= due:
            yield Batch(figures, pixels_of(step.image))
            figures, due = [], time.monotonic() + every
        if is_cut:
            return


def _figures(step: TransferStep) -> dict[str, Any]:
    return {name: value for name, value in vars(step).items() if name not in ("pixels", "state")}


def pixels_of(image: Image.Image) -> Pixels:
    """Return a picture as an array of RGB."""
    return np.asarray(image.convert("RGB"))


class RemoteBackend(Backend):
    """A backend that learns from the latest runs how fast its workers are."""

    guess: float
    """Seconds per pixel of an evaluation, until one is known."""

    def __init__(self) -> None:
        self.paces: deque[float] = deque(maxlen=5)  # seconds per pixel, of the latest runs

    def seconds_for(self, work: Work) -> float:
        """Return the seconds of painting, as the slowest of the latest runs took."""
        return work.pixels * max(self.paces, default=self.guess)

    def learn(self, work: Work, step: TransferStep) -> None:
        """Note the pace of a run from the latest of its steps."""
        self.paces.append((step.elapsed + step.remaining) / work.pixels)
