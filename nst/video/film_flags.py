"""The flags of a clip's frames and sound, for every command that paints films."""

from __future__ import annotations

import argparse

from nst.errors import SettingsError

SLOWEST, FASTEST = 0.01, 240.0  # frames per second


def add_film_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--fps` and `--no-sound`."""
    parser.add_argument(
        "--fps",
        type=float,
        default=0.0,
        metavar="N",
        help="take at most so many frames per second of a clip (default: all)",
    )
    parser.add_argument("--no-sound", action="store_true", help="leave a clip's sound out")


def checked_rate(rate: float) -> float:
    """Return the value of `--fps`. Raises `SettingsError` where it is out of range."""
    if rate and not SLOWEST <= rate <= FASTEST:
        raise SettingsError(
            f"--fps must be from {SLOWEST:g} to {FASTEST:g}, or 0 for all frames, not {rate:g}"
        )
    return rate
