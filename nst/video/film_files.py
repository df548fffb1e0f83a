"""A film's way to its file: whether there is room for it, and the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nst.engine.memory import bytes_needed, host_memory
from nst.errors import TooLargeError
from nst.video import writing
from nst.video.animation_writing import ANIMATIONS, check_animation, write_animation

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


def check_kind(clip: Clip, output: Path, *, has_sound: bool = True) -> None:
    """Raise `OutputError` where a file of that kind cannot hold the film of a clip.

    It is to have the clip's sound if `has_sound`, unless the kind has none.
    """
    if output.suffix.lower() in ANIMATIONS:
        check_animation(output, clip.facts)
        return
    if not output.suffix or not has_sound:
        return
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
    """Write the frames that are done: a film, an animation, or, without an ending, PNGs.

    Raises `OutputError` where the kind of file cannot hold the clip's sound.
    """
    frames = plan.delivered(store)
    if not output.suffix:
        writing.write_frames(output, frames, recipe=recipe)
        return
    if output.suffix.lower() in ANIMATIONS:
        write_animation(output, frames, plays=max(0, plan.clip.facts.plays), recipe=recipe)
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
