"""A CUDA graph on a machine without CUDA: operators are recorded and done again.

As in a graph, what is done again has the tensors and numbers of the first time: results go to where
they went then, views are not taken anew, and a number that Python has worked out stays. What a
capture refuses raises: values that go to the host, and tensors that come from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten

Results = dict[str, Tensor]


@dataclass
class Step:
    """An operator with its arguments and what it returned."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    def described(self) -> tuple[Any, ...]:
        """Return all that a capture would freeze, but the addresses."""
        return str(self.func), *tree_leaves(tree_map(_described, (self.args, self.kwargs)))

    def again(self) -> None:
        if self.func.is_view:
            return
        fresh = self.func(*self.args, **self.kwargs)
        for kept, new in zip(tree_leaves(self.result), tree_leaves(fresh), strict=True):
            if isinstance(kept, Tensor) and kept is not new:  # it did not work in place
                kept.copy_(new)


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the operators of one device while it is entered."""

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.steps: list[Step] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        leaves = [*tree_leaves((args, kwargs)), *tree_leaves(result)]
        places = {leaf.device.type for leaf in leaves if isinstance(leaf, Tensor)}
        if func is aten._local_scalar_dense.default or places - {self.device}:
            raise RuntimeError(f"{func} is not permitted in a capture")
        self.steps.append(Step(func, args, kwargs, result))
        return result

    def replay(self) -> None:
        for step in self.steps:
            step.again()

    @property
    def sequence(self) -> list[tuple[Any, ...]]:
        """Return the operators with shapes, dtypes, strides and numbers, in their order."""
        return [step.described() for step in self.steps]


@dataclass
class Recorder:
    """Captures as `cuda_graphs.Capture` does, and keeps what it captured; counts the replays."""

    device: str = "cuda"
    tapes: list[Tape] = field(default_factory=list)
    pools: list[Any] = field(default_factory=list)
    replays: int = 0

    def __call__(
        self, function: Callable[[], Results], pool: Any
    ) -> tuple[Callable[[], None], Results]:
        function()  # what is made once is made before
        with Tape(self.device) as tape:
            outputs = function()
        self.tapes.append(tape)
        self.pools.append(pool)

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return replay, outputs


def _described(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return tuple(leaf.shape), leaf.dtype, leaf.stride()
    return leaf
