"""Choose the device and the dtype that a run computes on, and keep one network for each."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable

import torch

from nst.errors import DeviceError
from nst.settings import DEFAULTS, TransferSettings
from nst.vgg.loading import load_weights
from nst.vgg.network import VGG

DEVICES = ("auto", "cuda", "mps", "cpu", "xpu")


def pick_device(name: str = "auto") -> torch.device:
    """Return the best device there is, or the one named. Raises `DeviceError` where it is not.

    An Intel GPU has to be named: no run was tried on one.
    """
    is_there: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
        "xpu": torch.xpu.is_available,
    }
    if name == "auto":
        return torch.device(next(device for device in is_there if is_there[device]()))
    if name not in is_there:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {name!r}")
    if not is_there[name]():
        raise DeviceError(f"This machine has no {name} device.")
    return torch.device(name)


def load_network(
    settings: TransferSettings = DEFAULTS, device: str = "auto", *, is_lent: bool = False
) -> VGG:
    """Return VGG-19 as the settings want it, kept for the next run.

    A device that is lent to other processes computes nothing in this one: the parameters are only
    laid out on it. Raises `ValueError` for a device that is not there, and `WeightsError`.
    """
    where = pick_device(device)
    dtype = pick_dtype(settings.precision, where)
    load_weights(settings.weights)  # first: they may have to be fetched
    with _building:
        return cached_network(settings.weights, settings.pooling, where, dtype, is_lent)


_building = threading.RLock()  # or a crowd would build as many as there are callers


def _after_fork() -> None:
    """Replace a lock that a thread of the parent may have held."""
    global _building
    _building = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.lru_cache(maxsize=4)
def cached_network(
    weights: str, pooling: str, device: torch.device, dtype: torch.dtype, is_lent: bool
) -> VGG:
    """Return a network of these properties, one of the four used last."""
    network = VGG(load_weights(weights), pooling=pooling, device=device, dtype=dtype)
    if is_lent:
        network.lay_out()
    else:
        network.warm_up()
    return network


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return bfloat16 where the processor multiplies it faster than float32.

    Sums stay in float32.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    has_bfloat16 = {
        "cuda": _cuda_has_bfloat16,
        "cpu": _cpu_has_bfloat16,
        "xpu": torch.xpu.is_bf16_supported,
    }
    fast = has_bfloat16.get(device.type, lambda: False)()
    return torch.bfloat16 if fast else torch.float32


def _cuda_has_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_has_bfloat16() -> bool:
    """Tell whether the processor has AMX or AVX512-BF16.

    Older torch cannot tell; the answer is no then.
    """
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)
