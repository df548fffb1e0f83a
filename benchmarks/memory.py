"""What this process holds and held of the machine's memory (Linux)."""

from __future__ import annotations

from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_megabytes() -> float:
    """Held now; from here on `peak_megabytes` counts anew."""
    Path("/proc/self/clear_refs").write_text("5")  # else it has what its parent held, and loading
    return _megabytes("VmRSS:")


def peak_megabytes() -> float:
    """The most that was held since."""
    return _megabytes("VmHWM:")


def _megabytes(name: str) -> float:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))
