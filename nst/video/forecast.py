"""What a film will take on this machine, before it begins and while it is painted: seconds."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image

from nst.engine.work import (
    FORWARD,
    PROBE,
    PlannedRun,
    Size,
    seconds_per_pixel,
    work_of,
)
from nst.settings import FILM_DEFAULTS, FilmSettings, TransferSettings
from nst.vgg.network import VGG
from nst.video.flow import FlowEstimator, warp
from nst.video.transfer import FilmStep

NEW = 0.02  # of a frame that follows: what earlier ones do not show, in a quiet clip
WARPS = 34  # of pictures along the flow, for a frame: its paint, and what L-BFGS has learned
SET_UP = 1 + FORWARD  # evaluations of a frame before its first iteration
RECENT = 20  # frames whose time is that of the next ones
ENOUGH = 2  # frames that were measured, for them to count more than the forecast


@dataclass(frozen=True)
class FilmForecast:
    """What the frames of a film take: the first one of a scene, and each that follows. Seconds."""

    first: float
    following: float

    def seconds(self, frames: int, scenes: int = 1) -> float:
        """Return the seconds of a film of so many frames and scenes."""
        firsts = min(frames, scenes)
        return firsts * self.first + (frames - firsts) * self.following


def film_forecast(
    network: VGG,
    frame: Size,
    paintings: Sequence[Size],
    settings: TransferSettings,
    film: FilmSettings = FILM_DEFAULTS,
    *,
    regions: int = 0,
) -> FilmForecast:
    """Return what a film will take whose frames and paintings have these sizes in pixels.

    Frames count at the size of the settings. How fast the network and the optical flow are is
    measured once in a process, in a few seconds; a clip in which much is new takes longer.
    """
    pace, run = seconds_per_pixel(network), PlannedRun(frame, paintings, settings, None, regions)
    first, few = work_of(run), min(film.frame_iterations, settings.iterations)
    iterations = few + (settings.iterations - few) * NEW
    evaluations = iterations * run.evaluation_time + SET_UP
    following = evaluations * pace + motion_seconds_per_pixel()
    return FilmForecast(first.pixels * pace, following * first.largest)


@functools.cache
def motion_seconds_per_pixel() -> float:
    """Return the seconds per pixel of a frame's flow and of what is moved along it; tried once.

    Raises `MissingPackageError` where OpenCV is not installed.
    """
    frames = [Image.effect_noise((PROBE, PROBE), 60).convert("RGB") for _ in range(2)]
    picture, estimator = torch.zeros(1, 3, PROBE, PROBE), FlowEstimator()
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        motion = estimator.motion(*frames)
        for _ in range(WARPS):
            warp(picture, motion.backward)
        taken.append(time.perf_counter() - began)
    return min(taken) / PROBE**2


class Progress(Protocol):
    """Tells how far a film is, from step to step."""

    done: int  # frames

    def remaining(self, step: FilmStep) -> float | None:
        """Take the next step of the film; return the seconds that are left after it, if known."""


class FilmProgress:
    """Estimates the seconds that a film of `frames` frames has left, from step to step.

    By the forecast, until some frames that follow another one were painted; then by theirs. Frames
    that were painted before, of a film that goes on, do not count. Where the number of frames is
    not known, 0, nothing is estimated.
    """

    def __init__(self, frames: int, expected: FilmForecast) -> None:
        self._frames, self._expected = frames, expected
        self.done = 0  # frames
        self._taken: deque[float] = deque(maxlen=RECENT)
        self._frame = -1
        self._began = self._latest = 0.0  # seconds of the film
        self._is_painted = True  # the present frame, and not remembered

    def remaining(self, step: FilmStep) -> float | None:
        """Take the next step of the film; return the seconds that are left after it."""
        if step.frame != self._frame:
            self._frame, self._began = step.frame, self._latest
            self._is_painted = step.step.iteration == 0
        self._latest = step.step.elapsed
        self.done += step.is_finished
        if step.is_finished and step.frame > 0 and self._is_painted:
            self._taken.append(self._latest - self._began)
        if not self._frames:
            return None
        following = max(0, self._frames - step.frame - 1)
        return following * self._pace + (0 if step.is_finished else self._of_frame(step))

    @property
    def _pace(self) -> float:
        """Return the seconds of a frame that follows."""
        if len(self._taken) < ENOUGH:
            return self._expected.following
        return sum(self._taken) / len(self._taken)

    def _of_frame(self, step: FilmStep) -> float:
        """Return the seconds that the present frame has left."""
        left = 1 - step.step.iteration / max(1, step.step.total)
        return step.step.remaining or left * self._pace
