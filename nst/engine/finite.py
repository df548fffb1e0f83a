"""Refuse targets that are not finite numbers."""

from __future__ import annotations

from torch import Tensor

from nst.errors import NumericalError


def finite(values: Tensor, problem: str) -> Tensor:
    """Return the same tensor.

    Raises `NumericalError` where one of its values is not a number.
    """
    if not bool(values.isfinite().all()):
        raise NumericalError(problem)
    return values
