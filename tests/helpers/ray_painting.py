"""What the workers of a test's cluster paint with: the tiny network, and long runs leisurely."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import nst.studio.backends.ray_painter
import nst.vgg.loading
from helpers.tiny_network import tiny_weights
from nst.engine.transfer import TransferStep, transfer_style
from nst.studio.backends.ray_painter import NetworkPainter

UNHURRIED_FROM = 100  # iterations, of a run that pauses after each
PAUSE = 0.05  # seconds
SLOW_SEED = 7  # of a run that is slow to begin
TINY_PAINTER = "helpers.ray_painting:TinyPainter"


def unhurried(*arguments: Any, **options: Any) -> Iterator[TransferStep]:
    if arguments[2].seed == SLOW_SEED:
        time.sleep(1.5)
    for step in transfer_style(*arguments, **options):
        if step.total >= UNHURRIED_FROM:
            time.sleep(PAUSE)
        yield step


class TinyPainter(NetworkPainter):
    """Notes in a folder of the test that this process is painting."""

    def __init__(self, node: str, workers: int, threads: int) -> None:
        weights = tiny_weights()
        loading: Any = nst.vgg.loading
        painting: Any = nst.studio.backends.ray_painter
        loading.cached_weights = lambda _: weights
        painting.transfer_style = unhurried
        super().__init__(node, workers, threads)
        torch.set_num_threads(1)  # as the tests' own process, for equal bits
        self._note = Path(os.environ["PAINTED_BY"]) / "painting" / str(os.getpid())
        self._note.parent.mkdir(exist_ok=True)

    def paint(self, run: int, inputs: bytes, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
        for count, data in enumerate(super().paint(run, inputs, is_stopped)):
            if count == 2:
                self._note.touch()
            yield data
        self._note.unlink(missing_ok=True)
