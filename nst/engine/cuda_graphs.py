"""Evaluations as CUDA graphs: the kernels of `forward_backward` in one launch.

A graph does again what was done while it was captured, with the same addresses and numbers. So it
is captured of copies of the tensors, and whoever replays it writes their own ones over them first.
Nobody has run this on a card: it is used where `NST_CUDA` asks for it.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nst.caches import LRUCache
from nst.engine.forward_backward import IMAGE, ComparedLayers, forward_backward
from nst.engine.out_of_memory import has_run_out
from nst.engine.style_batch import Tensors
from nst.vgg.network import VGG

MOST_PIXELS = 2**20  # of a picture; the arithmetic of larger ones takes longer than its launches
KEPT_PIXELS = 3 * MOST_PIXELS  # of all stages together; the memory of their evaluations stays taken
MOST_GRAPHS = 8  # of a stage; a run has four: guided or not, with deep layers or not

Replay = Callable[[], None]
Capture = Callable[[Callable[[], dict[str, Tensor]], Any], tuple[Replay, dict[str, Tensor]]]
"""Captures a function in a memory pool; returns what replays it, and what that writes to."""

log = logging.getLogger(__name__)


@dataclass
class Graph:
    """A captured evaluation, with the tensors that it reads and writes."""

    replay: Replay
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    constants: Tensors  # whose values are in the inputs

    def __call__(self, varying: Tensors, constants: Tensors) -> dict[str, Tensor]:
        """Return copies of what the evaluation gives for other tensors."""
        fresh = varying if constants is self.constants else {**varying, **constants}
        for name, tensor in fresh.items():
            self.inputs[name].copy_(tensor)
        self.constants = constants
        self.replay()
        return {name: output.clone() for name, output in self.outputs.items()}


@dataclass(eq=False)
class Stage:
    """The graphs of a network at one picture size; they share their memory."""

    network: VGG  # its parameters must live as long as the graphs
    pixels: int
    pool: Any = field(default_factory=lambda: torch.cuda.graph_pool_handle())
    graphs: LRUCache[Hashable, Graph] = field(default_factory=lambda: LRUCache(MOST_GRAPHS))


class CudaGraphs:
    """The graphs of a process, those used last, and one run at a time in them.

    A graph serves all evaluations of a network that compare the same layers of pictures of the same
    size: another photo, painting or weight is written over what it reads. When a capture fails
    there are no more graphs.
    """

    def __init__(self, capture: Capture | None = None) -> None:
        self.capture = capture or capture_on_cuda
        self.failure = ""  # why there are no more graphs
        self._lock = threading.Lock()
        self._stages: LRUCache[Hashable, Stage] = LRUCache(KEPT_PIXELS, lambda each: each.pixels)

    def forward_backward(
        self, network: VGG, layers: ComparedLayers, varying: Tensors, constants: Tensors
    ) -> dict[str, Tensor]:
        """Return what `forward_backward` does of all tensors.

        `constants` are those that stay the same as long as the mapping does.
        """
        with self._lock:
            if graph := self._graph(network, layers, varying, constants):
                return graph(varying, constants)
        return forward_backward(network, layers, {**varying, **constants})

    def forget(self) -> None:
        """Give up all graphs and their memory."""
        with self._lock:
            self._stages.forget()

    def _graph(
        self, network: VGG, layers: ComparedLayers, varying: Tensors, constants: Tensors
    ) -> Graph | None:
        """Return the graph of such an evaluation, captured where there is none yet."""
        size = varying[IMAGE].shape[-2:]
        if self.failure or size.numel() > MOST_PIXELS:
            return None
        tensors = {**varying, **constants}
        key = layers, *((name, each.shape, each.dtype) for name, each in tensors.items())
        try:
            stage = self._stages.recall(
                (network.identity, size), lambda: Stage(network, size.numel())
            )
            return stage.graphs.recall(
                key, lambda: self._captured(stage, layers, tensors, constants)
            )
        except Exception as error:  # of whatever kind: without graphs everything works
            if has_run_out(error):  # which another run may have been the reason for
                self._stages.forget()
                return None
            self.failure = (str(error).splitlines() or [type(error).__name__])[0]
            log.warning("CUDA graphs are given up, runs go on without them: %s", self.failure)
            self._stages.forget()
            return None

    def _captured(
        self, stage: Stage, layers: ComparedLayers, tensors: Tensors, constants: Tensors
    ) -> Graph:
        inputs = {name: tensor.clone() for name, tensor in tensors.items()}
        function = functools.partial(forward_backward, stage.network, layers, inputs)
        replay, outputs = self.capture(function, stage.pool)
        return Graph(replay, inputs, outputs, constants)


def capture_on_cuda(
    function: Callable[[], dict[str, Tensor]], pool: Any
) -> tuple[Replay, dict[str, Tensor]]:
    """Capture a function of tensors at fixed addresses on a stream of its own."""
    current, stream = torch.cuda.current_stream(), _capture_stream()
    graph = torch.cuda.CUDAGraph()
    try:
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            function()  # libraries allocate and choose, parameters are laid out
        current.wait_stream(stream)
        with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
            outputs = function()
    finally:
        torch.cuda.set_stream(current)  # a failed capture does not go back to it
    return graph.replay, outputs


@functools.cache
def _capture_stream() -> torch.cuda.Stream:
    """Return the stream of all captures: those that share memory must share it."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


shared_graphs = CudaGraphs()
