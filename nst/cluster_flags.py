"""The flags of commands that compute on a Ray cluster."""

from __future__ import annotations

import argparse

from nst.errors import SettingsError

MOST_JOBS = 1024


def add_cluster_flags(parser: argparse.ArgumentParser, *, work: str, jobs: str) -> None:
    """Add `--ray`, whose help begins with `work`, and `--jobs`, which `jobs` explains."""
    parser.add_argument(
        "--ray",
        metavar="auto|ADDRESS",
        help=f"{work} on a Ray cluster: that of the address, or one that runs or is started here;"
        " needs `pip install nst[ray]`",
    )
    parser.add_argument(
        "--jobs",
        type=_jobs,
        metavar="N",
        help=f"with --ray: {jobs} (default: one on each GPU, or on each node)",
    )


def check_cluster_flags(options: argparse.Namespace) -> None:
    """Raise `SettingsError` for `--jobs` without the cluster that it is about."""
    if options.jobs is not None and not options.ray:
        raise SettingsError("--jobs is about a Ray cluster; add --ray, or leave it out")


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_JOBS}")
    return int(text)
