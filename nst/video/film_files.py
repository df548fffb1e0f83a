"""A film's way to its file: whether there is room for it, and the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nst.engine.memory import bytes_needed, host_memory
from nst.errors import TooLargeError
from nst.video import writing

if TYPE_CHECKING:
    from nst.video.clips import Clip
    from nst.video.film_plan import FilmPlan
    from nst.video.frame_store import FrameStore


def check_room(clip: Clip) -> None:
    """Raise `TooLargeError` where a frame has no room in memory."""
    free = host_memory()
    needed = bytes_needed(clip.facts.width * clip.facts.height, torch.float32, free)
    if free is not None and needed > free:
        raise TooLargeError(
            f"At this size a frame needs {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB"
            " are free here; choose a smaller --size."
        )


def check_sound(clip: Clip, output: Path) -> None:
    """Raise `OutputError` where a film at `output` cannot have the clip's sound."""
    with clip.sound() as sound:
        if sound:
            writing.check_sound(output, sound)


def write_film(
    output: Path,
    plan: FilmPlan,
    store: FrameStore,
    *,
    recipe: str,
    has_sound: bool = True,
    is_whole: bool = True,
) -> None:
    """Write the frames that are done: a film, or a folder of PNGs where `output` has no ending.

    Raises `OutputError` where the kind of file cannot hold the clip's sound.
    """
    frames = plan.delivered(store)
    if not output.suffix:
        writing.write_frames(output, frames, recipe=recipe)
        return
    with plan.clip.sound() as sound:
        writing.write_film(
            output,
            frames,
            rate=plan.clip.facts.rate,
            sound=sound if has_sound else None,
            is_whole=is_whole,
            recipe=recipe,
        )
