"""Wait for what happens in another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds until a test that waits in vain fails


def until(is_so: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.02)
