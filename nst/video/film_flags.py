"""The flags of a clip's frames and sound, for every command that paints films."""

from __future__ import annotations

import argparse

from nst.errors import SettingsError

MOST_JOBS = 64
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


def add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--ray` and `--jobs`."""
    parser.add_argument(
        "--ray",
        metavar="auto|ADDRESS",
        help="paint the scenes of the clip at the same time on a Ray cluster: that of the address,"
        " or one that runs or is started here; needs `pip install nst[ray]`",
    )
    parser.add_argument(
        "--jobs",
        type=_jobs,
        metavar="N",
        help="with --ray: scenes that are painted at the same time (default: one on each GPU, or on"
        " each node)",
    )


def check_cluster_flags(options: argparse.Namespace) -> None:
    """Raise `SettingsError` for `--jobs` without the cluster that it is about."""
    if options.jobs is not None and not options.ray:
        raise SettingsError("--jobs is about a Ray cluster; add --ray, or leave it out")


def checked_rate(rate: float) -> float:
    """Return the value of `--fps`. Raises `SettingsError` where it is out of range."""
    if rate and not SLOWEST <= rate <= FASTEST:
        raise SettingsError(
            f"--fps must be from {SLOWEST:g} to {FASTEST:g}, or 0 for all frames, not {rate:g}"
        )
    return rate


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_JOBS}")
    return int(text)
