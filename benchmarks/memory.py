"""What this process holds and held of the machine's memory (Linux)."""

from __future__ import annotations

import resource
from pathlib import Path


def resident_megabytes() -> float:
    """Held now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_megabytes() -> float:
    """The most that was ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
