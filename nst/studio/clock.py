"""The time of day, for ages of files.

Knows clocks, and that somebody may set them.
"""

from __future__ import annotations

import time


def now() -> float:
    """Return the seconds since 1970, but never more than have passed since the start.

    A clock that is set ahead must not make everything old.
    """
    return min(time.time(), _AHEAD + _uptime())


def _uptime() -> float:
    """Return the seconds of a clock that nobody sets.

    It goes on while the machine sleeps, where it can.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


_AHEAD = time.time() - _uptime()
