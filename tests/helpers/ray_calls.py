"""Calls for the workers of a test's cluster, which can import this module."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from nst.errors import NumericalError


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def square_unless(number: int, path: str) -> int:
    """Die at the first call number 4, and leave a file."""
    if number == 4 and not Path(path).exists():
        Path(path).touch()
        die()
    return number * number


def refuse() -> None:
    raise NumericalError("Not a number.")
