"""Settings that change over a film, from those it begins with to those it ends with."""

from __future__ import annotations

from dataclasses import replace

from nst.settings import TransferSettings

GEOMETRIC = ("alpha", "beta")  # each frame has the same factor to the next


def between(begin: TransferSettings, end: TransferSettings, share: float) -> TransferSettings:
    """Return the settings at a share of the film, from 0 to 1.

    α and β go geometrically, as their sliders do; the weights of paintings go in straight lines.
    All else is as it was at the beginning.
    """
    factors = {
        name: getattr(begin, name) * (getattr(end, name) / getattr(begin, name)) ** share
        for name in GEOMETRIC
    }
    count = max(len(begin.paintings), len(end.paintings))
    uses = zip(begin.uses(count), end.uses(count), strict=True)
    return begin.replace(
        **factors,
        paintings=tuple(
            replace(first, weight=first.weight + share * (last.weight - first.weight))
            for first, last in uses
        ),
    )
