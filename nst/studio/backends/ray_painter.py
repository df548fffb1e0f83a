"""What a worker on a cluster paints with: the network, held ready in its process."""

from __future__ import annotations

import logging
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

import nst
from nst.engine.devices import load_network
from nst.engine.memory import available_memory
from nst.engine.minimization import DistantState, LostStateError, RunState
from nst.engine.out_of_memory import give_back, has_run_out
from nst.engine.schedule import Moment
from nst.engine.transfer import TransferStep, transfer_style
from nst.errors import UserError
from nst.images.masks import Masks
from nst.settings import DEFAULTS
from nst.studio.backends.ray_messages import WorkerFacts
from nst.studio.backends.remote import Batch, Pixels, RunInputs, in_batches
from nst.studio.forecast import seconds_per_pixel

log = logging.getLogger(__name__)


KEPT_OF_RUN = 256 * 2**20  # bytes of what a run has learned, at its latest pictures; two at least
KEPT = 512 * 2**20  # bytes, of all runs with their photos and paintings; the latest at least


@dataclass(frozen=True)
class Order:
    """A run to be painted, the seconds between two pictures at least, and if it may go on later."""

    inputs: RunInputs
    every: float
    keeps_state: bool = False


class KeptRun:
    """A run's pictures, and what it had learned at the latest pictures that were sent."""

    def __init__(self, inputs: RunInputs, like: KeptRun | None = None) -> None:
        known = like.own_pictures if like else []
        self._pixels = [inputs.content, *inputs.styles]
        self.pictures = [_same_or_new(each, known) for each in self._pixels]
        self.masks: Masks | None = inputs.masks
        if like and pickle.dumps(like.masks) == pickle.dumps(inputs.masks):
            self.masks = like.masks
        self.states: OrderedDict[int, RunState] = OrderedDict()  # by iteration

    @property
    def own_pictures(self) -> list[tuple[Pixels, Image.Image]]:
        """Return the pixels of photo and paintings, each with its picture."""
        return list(zip(self._pixels, self.pictures, strict=True))

    @property
    def bytes(self) -> int:
        """Return the memory that its states hold, where they had nothing in common."""
        return sum(state.bytes for state in self.states.values())

    @property
    def bytes_in_all(self) -> int:
        """Return the same with its pictures, which are held as arrays and as pictures of Pillow."""
        return self.bytes + 2 * sum(pixels.nbytes for pixels in self._pixels)

    def options(self, begin: Moment | None) -> dict[str, Any]:
        """Return the arguments of an engine that are known by their identity."""
        content, *styles = self.pictures
        return {"content": content, "styles": styles, "masks": self.masks, "begin": begin}

    def keep(self, iteration: int, state: RunState) -> None:
        """Keep a state, and let go of the earliest ones where they take too much."""
        self.states[iteration] = state
        while len(self.states) > 2 and self.bytes > KEPT_OF_RUN:
            self.states.popitem(last=False)


def _same_or_new(pixels: Pixels, known: list[tuple[Pixels, Image.Image]]) -> Image.Image:
    """Return the picture that is known with these pixels, or a new one."""
    same = (picture for other, picture in known if np.array_equal(pixels, other))
    return next(same, None) or Image.fromarray(pixels)


class NetworkPainter:
    """Paints with VGG-19, on a GPU where the worker has one."""

    def __init__(self, node: str, workers: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self._node, self._workers = node, workers
        self._network = load_network(DEFAULTS)
        self._pace = seconds_per_pixel(self._network)
        self._kept: OrderedDict[int, KeptRun] = OrderedDict()  # the latest last

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

    def paint(self, run: int, inputs: bytes, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
        """Yield pickled batches of steps, and in the end the error that there was.

        That is `LostStateError` where the run was to go on from a state that is not kept.
        """
        order: Order = pickle.loads(inputs)
        try:
            for batch in self._batches(run, order):
                yield pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
                if is_stopped():
                    return
        except Exception as error:
            yield pickle.dumps(_portable(error))
        finally:
            give_back()

    def _batches(self, run: int, order: Order) -> Iterator[Batch]:
        if not order.keeps_state:
            yield from in_batches(order.inputs.steps(transfer_style), order.every)
            return
        kept, begin = self._prepared(run, order.inputs)
        latest: TransferStep | None = None

        def steps() -> Iterator[TransferStep]:
            nonlocal latest
            for step in order.inputs.steps(transfer_style, **kept.options(begin)):
                latest = step
                yield step

        for batch in in_batches(steps(), order.every):
            if latest and isinstance(latest.state, RunState):
                kept.keep(latest.iteration, latest.state)
                state = DistantState((run, latest.iteration), latest.state.guidance)
                batch = replace(batch, state=state)
            yield batch

    def _prepared(self, run: int, inputs: RunInputs) -> tuple[KeptRun, Moment | None]:
        """Return what is kept of a run from now on, and the moment to begin with.

        Raises `LostStateError`.
        """
        begin, before = inputs.planned.begin, None
        if inputs.state and begin:
            before = self._kept.get(inputs.state[0])
            state = before.states.get(inputs.state[1]) if before else None
            if state is None:
                raise LostStateError
            begin = replace(begin, state=state)
        kept = self._kept[run] = KeptRun(inputs, before)
        while len(self._kept) > 1 and sum(each.bytes_in_all for each in self._kept.values()) > KEPT:
            self._kept.popitem(last=False)
        return kept, begin


def _portable(error: Exception) -> Exception:
    """Return an error as it can be pickled and read elsewhere."""
    if isinstance(error, (UserError, LostStateError)):
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
