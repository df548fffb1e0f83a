"""How CUDA computes: what was not tried on a card is off unless `NST_CUDA` asks for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch

from nst.errors import SettingsError


@dataclass(frozen=True)
class CudaOptions:
    """What is asked for beyond the defaults."""

    graphs: bool = False  # an evaluation is one launch, see `nst.engine.cuda_graphs`
    benchmark: bool = False  # cuDNN tries its algorithms at each new size and takes the quickest
    tf32: bool = False  # float32 convolutions round what they multiply to 11 bits

    @contextmanager
    def convolutions(self) -> Iterator[None]:
        """Have cuDNN convolve so while the block lasts, and as before afterwards.

        cuDNN's switches are the process's: of several threads the first one sets them, and the last
        one sets them back. Options are the same in all threads.
        """
        _switches.take(self.benchmark, self.tf32)
        try:
            yield
        finally:
            _switches.give_back()


class _Switches:
    """cuDNN's switches, and how many threads want them as they are.

    Where somebody has set them by the names of single operators the old names cannot be read, and
    they are left as they are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: tuple[bool, bool] | None = None

    def take(self, benchmark: bool, tf32: bool) -> None:
        """Set the switches, unless another thread has."""
        cudnn = torch.backends.cudnn
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            try:
                self._before = cudnn.benchmark, cudnn.allow_tf32
            except RuntimeError:
                return
            cudnn.benchmark, cudnn.allow_tf32 = benchmark, tf32

    def give_back(self) -> None:
        """Set them as they were, once no other thread wants them."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._before is not None:
                cudnn = torch.backends.cudnn
                cudnn.benchmark, cudnn.allow_tf32 = self._before
                self._before = None


_switches = _Switches()


NAMES = tuple(field.name for field in fields(CudaOptions))


def cuda_options() -> CudaOptions:
    """Return what `NST_CUDA` names, with commas between.

    Raises `SettingsError` for a name that is not there.
    """
    asked = os.environ.get("NST_CUDA", "").replace(",", " ").split()
    if unknown := sorted(set(asked) - set(NAMES)):
        raise SettingsError(f"NST_CUDA has {unknown[0]!r}; it can name {', '.join(NAMES)}.")
    return CudaOptions(**dict.fromkeys(asked, True))
