"""A GPU on a machine without one: its tensors compute on the CPU and are checked as the GPU's.

Every operator runs twice: on PyTorch's fake tensors of that device, which raise for mixed devices
and tell shape, dtype and strides, and on the CPU for the values. So runs take their real way, and
what launches a kernel or makes the host wait is counted. Operators whose result has a shape that
depends on values raise. The CPU's kernels stand in for the GPU's:
this tells nothing of speed, or of the GPU's rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

aten = torch.ops.aten

ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach"}
"""Operators that launch nothing, beside views."""

JOINING = {aten.cat.default, aten.stack.default}
"""Operators whose tensors PyTorch's fake ones let be on several devices."""


class EmulatedTensor(Tensor):
    """A tensor that says it is on a GPU."""

    fake: Tensor
    value: Tensor

    @staticmethod
    def __new__(cls, fake: Tensor, value: Tensor) -> EmulatedTensor:
        wrapper: EmulatedTensor = Tensor._make_wrapper_subclass(
            cls, fake.shape, strides=fake.stride(), dtype=fake.dtype, device=fake.device
        )
        return wrapper

    def __init__(self, fake: Tensor, value: Tensor) -> None:
        self.fake, self.value = fake, value

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, *arguments: Any) -> Any:
        raise RuntimeError("an emulated tensor was used outside emulated_device()")

    def tolist(self) -> Any:
        return self.cpu().tolist()


class EmulatedDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs operators on emulated tensors, and counts launches and waits by operator."""

    def __init__(self, device_type: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device_type = device_type
        self.fakes = FakeTensorMode(allow_non_fake_inputs=True)
        self.launches: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.operators: set[Any] = set()  # all that ran there
        self.dtypes: set[torch.dtype] = set()  # of all that was made there

    def clear(self) -> None:
        """Count anew."""
        self.launches.clear()
        self.waits.clear()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        emulated = [leaf for leaf in tree_leaves((args, kwargs)) if is_emulated(leaf)]
        if func in JOINING and 0 < len(emulated) < len(args[0]):
            raise RuntimeError(f"{func} expects all tensors to be on the same device")
        if not emulated and not self._is_here(kwargs.get("device", "cpu")):
            return _computed(func, args, kwargs)
        comes_home = self._count(func, args, kwargs)
        value = _computed(func, _values(args), _values(_on_cpu(kwargs)))
        if comes_home:
            return value
        fake = func(*_fakes(args), **_fakes(kwargs))
        if not func.is_view and not func._schema.is_mutable:
            value = _laid_out(value, fake)
        return self._paired(fake, value, emulated)

    def _count(self, func: Any, args: Any, kwargs: Any) -> bool:
        """Count an operator; return whether its result comes to the host."""
        self.operators.add(func)
        name = func.overloadpacket.__name__
        comes_home = name == "_local_scalar_dense" or (
            name in ("_to_copy", "copy_") and not self._stays(func, args, kwargs)
        )
        if comes_home:
            self.waits[name] += 1
        elif not func.is_view and name not in ALLOCATIONS:
            self.launches[name] += 1
        return comes_home

    def _stays(self, func: Any, args: Any, kwargs: Any) -> bool:
        """Return whether a copy goes to the device."""
        if func.overloadpacket is aten.copy_:
            return is_emulated(args[0])
        return self._is_here(kwargs.get("device") or args[0].device)

    def _is_here(self, device: torch.device | str | None) -> bool:
        return torch.device(device or "cpu").type == self.device_type

    def _paired(self, fake: Any, value: Any, inputs: list[EmulatedTensor]) -> Any:
        if isinstance(fake, (list, tuple)):
            return type(fake)(self._paired(f, v, inputs) for f, v in zip(fake, value, strict=True))
        if not isinstance(fake, Tensor):
            return fake
        for each in inputs:
            if each.fake is fake:  # it worked in place
                return each
        self.dtypes.add(fake.dtype)
        return EmulatedTensor(fake, value)


def is_emulated(value: Any) -> bool:
    return isinstance(value, EmulatedTensor)


def _computed(func: Any, args: Any, kwargs: Any) -> Any:
    """Return what the CPU makes of it; of CUDA's own operators, what another one does."""
    with unset_fake_temporarily():
        if func in (aten.mm.dtype, aten.mm.dtype_out):
            a, b, dtype = args
            product = a.to(dtype) @ b.to(dtype)
            return kwargs["out"].copy_(product) if kwargs else product
        return func(*args, **kwargs)


def _laid_out(value: Any, fake: Any) -> Any:
    """Return new values with the strides that the device would give them."""
    if isinstance(value, (list, tuple)):
        return type(value)(_laid_out(v, f) for v, f in zip(value, fake, strict=True))
    if not isinstance(value, Tensor) or value.stride() == fake.stride():
        return value
    with unset_fake_temporarily():
        return torch.empty_strided(value.shape, fake.stride(), dtype=value.dtype).copy_(value)


def _on_cpu(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "device": "cpu"} if "device" in kwargs else kwargs


def _values(tree: Any) -> Any:
    return tree_map_only(EmulatedTensor, lambda tensor: tensor.value, tree)


def _fakes(tree: Any) -> Any:
    return tree_map_only(EmulatedTensor, lambda tensor: tensor.fake, tree)


@contextmanager
def emulated_device(device_type: str = "cuda") -> Iterator[EmulatedDevice]:
    """Lend a device of a type while the block lasts; yield its counts."""
    device = EmulatedDevice(device_type)
    with device.fakes, device:  # under fake tensors nothing looks for a driver
        yield device
