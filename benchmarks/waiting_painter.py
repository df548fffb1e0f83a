"""A worker that waits instead of painting, for clusters larger than the machine that holds them."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator

import torch
from PIL import Image

import nst
from nst.engine.transfer import TransferStep
from nst.images.tensors import fit, to_tensor
from nst.studio.backends.ray_messages import WorkerFacts
from nst.studio.backends.ray_painter import Order
from nst.studio.backends.remote import in_batches

ITERATION = 0.2  # seconds: about that of 384 px on two cores
PIXELS = 384 * 288


class WaitingPainter:
    """Sends the photo back as often as a picture would come, and takes as long."""

    def __init__(self, node: str, workers: int, threads: int) -> None:
        torch.set_num_threads(1)
        self._node = node

    def facts(self) -> WorkerFacts:
        return WorkerFacts(
            self._node, "cpu", "float32", ITERATION / PIXELS, None, nst.__version__, os.getpid()
        )

    def paint(self, run: int, inputs: bytes, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
        order: Order = pickle.loads(inputs)
        for batch in in_batches(waited(order), order.every):
            yield pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
            if is_stopped():
                return


def waited(order: Order) -> Iterator[TransferStep]:
    """The steps of a run that is not painted, in time by the clock."""
    settings, done = order.inputs.settings, order.inputs.done
    pixels = to_tensor(fit(Image.fromarray(order.inputs.content), settings.size))
    height, width = pixels.shape[-2:]
    began = time.monotonic()
    for iteration in range(done, settings.iterations + 1):
        due = (iteration - done + 1) * ITERATION
        time.sleep(max(0.0, began + due - time.monotonic()))
        left = (settings.iterations - iteration) * ITERATION
        yield TransferStep(
            iteration, settings.iterations, width, height,
            J=1.0, content=0.5, style=0.5, layers={},
            elapsed=due, remaining=left, pixels=pixels,
        )  # fmt: skip
