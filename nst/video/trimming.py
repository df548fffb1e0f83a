"""Parts of clips: the frames between two times, and the sound that goes with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from typing_extensions import override

from nst.video.clips import Clip, Frame

TOLERANCE = Fraction(1, 1000)  # seconds; times are often rounded to milliseconds


@dataclass(frozen=True)
class TrimmedClip(Clip):
    """A clip from `begin` up to `end`, in seconds from its first frame; an end of 0 is its own.

    The times of its frames stay those of the whole clip; its sound counts from `begin`.
    """

    begin: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        ticks = round(Fraction(self.begin) / self.facts.time_base)
        trimmed = replace(self.facts, start=self.facts.start + ticks)
        object.__setattr__(self, "facts", trimmed)

    @override
    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            if self.end and frame.time >= Fraction(self.end) - TOLERANCE:
                return
            if frame.time >= Fraction(self.begin) - TOLERANCE:
                yield frame
