"""Recognise errors that say that memory ran out, and return free memory to the system."""

from __future__ import annotations

import ctypes

import torch

RAN_OUT = (
    *("not enough memory", "can't allocate memory", "out of memory"),
    *("could not create a primitive", "could not execute a primitive"),  # all that oneDNN says
    "could not create a memory",
)


def has_run_out(error: BaseException) -> bool:
    """Tell whether an error says that there was no memory left, on whatever device.

    torch has a class of its own for CUDA only.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in RAN_OUT)


def give_back() -> None:
    """Return to the system what is free in the C library's heaps.

    glibc keeps it for later: every thread that ever decoded or encoded a picture has a heap of its
    own.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another library, or another system
        return
    trim(0)
