"""Eigenvalues of symmetric matrices, where a device or a format cannot tell them."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor


def eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return ascending eigenvalues (n,) and eigenvectors (n, n) of a symmetric matrix.

    They are found on the CPU, as not every device can, and in float64 where float32 fails: a tiny
    painting leaves most of the values at 0.
    """
    on_cpu = matrix.cpu()
    with contextlib.suppress(RuntimeError):  # LinAlgError is one
        values, vectors = torch.linalg.eigh(on_cpu)
        if bool(values.isfinite().all() and vectors.isfinite().all()):
            return values.to(matrix), vectors.to(matrix)
    values, vectors = torch.linalg.eigh(on_cpu.double())
    return values.to(matrix), vectors.to(matrix)
