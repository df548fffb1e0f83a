"""What a worker on a cluster paints with: the network, held ready in its process."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

import nst
from nst.engine.devices import load_network
from nst.engine.memory import available_memory
from nst.engine.out_of_memory import give_back, has_run_out
from nst.engine.transfer import TransferStep, transfer_style
from nst.errors import UserError
from nst.settings import DEFAULTS
from nst.studio.backends.ray_messages import WorkerFacts
from nst.studio.backends.remote import Batch, RunInputs, in_batches
from nst.studio.forecast import seconds_per_pixel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """A run to be painted, and the seconds between two pictures at least."""

    inputs: RunInputs
    every: float


class NetworkPainter:
    """Paints with VGG-19, on a GPU where the worker has one."""

    def __init__(self, node: str, workers: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self._node, self._workers = node, workers
        self._network = load_network(DEFAULTS)
        self._pace = seconds_per_pixel(self._network)

    def facts(self) -> WorkerFacts:
        """Return what the worker can do; the workers of a machine share its memory."""
        device = self._network.device
        memory = available_memory(device)
        if memory is not None and device.type == "cpu":
            memory //= self._workers
        dtype = str(self._network.dtype).removeprefix("torch.")
        return WorkerFacts(
            self._node, device.type, dtype, self._pace, memory, nst.__version__, os.getpid()
        )

    def paint(self, inputs: bytes, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
        """Yield pickled batches of steps, and in the end the error that there was."""
        order: Order = pickle.loads(inputs)
        try:
            for batch in in_batches(order.inputs.steps(transfer_style), order.every):
                yield pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
                if is_stopped():
                    return
        except Exception as error:
            yield pickle.dumps(_portable(error))
        finally:
            give_back()


def _portable(error: Exception) -> Exception:
    """Return an error as it can be pickled and read elsewhere."""
    if isinstance(error, UserError):
        return error
    if has_run_out(error):
        return MemoryError(str(error))
    log.error("a run failed", exc_info=error)
    return RuntimeError(f"a worker failed: {type(error).__name__}: {error}")


def unpacked(data: bytes) -> list[TransferStep]:
    """Return the steps that a worker has reported. Raises the error that it has reported."""
    piece: Batch | Exception = pickle.loads(data)
    if isinstance(piece, Exception):
        raise piece
    return piece.steps()
