"""A batch in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Tally:
    """How many pictures a batch has, by what became of them."""

    total: int
    present: int = 0  # were there already
    painted: int = 0
    failed: int = 0

    @property
    def missing(self) -> int:
        """Return the number of pictures that are not there."""
        return self.total - self.present - self.painted
