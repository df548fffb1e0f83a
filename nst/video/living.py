"""A living painting: one photo, painted, whose strokes flow in a loop without a seam.

Each frame starts from the same painted picture, its strokes flowed, and is painted over in a few
iterations, which restores what the flow blurs and holds the scene in its place. Since the starts
close the loop, the frames do.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from PIL import Image
from torch import Tensor

from nst.engine import devices
from nst.engine.transfer import checked_paintings
from nst.images.masks import Masks
from nst.images.reading import load_image
from nst.images.tensors import fit, to_tensor
from nst.settings import (
    DEFAULTS,
    FILM_DEFAULTS,
    LIVING_RATE,
    FilmSettings,
    TransferSettings,
)
from nst.vgg.network import VGG
from nst.video.clips import Clip, Frame
from nst.video.decoding import Facts
from nst.video.history import Recalled
from nst.video.mask_tracks import check_key_masks, followed_masks
from nst.video.stroke_flow import flowed, stroke_field
from nst.video.transfer import FilmStep, FramePainter, Remembered

LOOSE = 0.2  # of the temporal weight of films: flowed strokes are no more than a start
TICK = Fraction(1, 90_000)  # seconds


def living_painting(
    photo: Image.Image,
    styles: Image.Image | Sequence[Image.Image],
    frames: int,
    settings: TransferSettings = DEFAULTS,
    film: FilmSettings = FILM_DEFAULTS,
    *,
    masks: Masks | None = None,
    protect_faces: bool = False,
    painted: Remembered = lambda frame: None,
    device: str = "auto",
    network: VGG | None = None,
) -> Iterator[FilmStep]:
    """Paint a loop of so many frames of one photo in the manner of `styles`.

    Yields `FilmStep`s as `transfer_video` does; those of the picture that all frames start from
    come first, as unfinished ones of frame 0. `masks` are those of pictures; what is kept rests,
    and so do faces where they are protected. Frames that were painted before are not painted again,
    but that picture is.

    Raises what `transfer_video` does.
    """
    paintings, masks = checked_paintings(styles), masks or Masks()
    network = network or devices.load_network(settings, device)
    check_key_masks({0: masks}, photo, paintings, settings.uses(len(paintings)))
    loose = replace(film, temporal_weight=LOOSE * film.temporal_weight)
    painter = FramePainter(photo, paintings, settings, loose, network, masks.within)
    small = [fit(photo, settings.size)]
    (followed,) = followed_masks(small, {0: masks}, protect_faces=protect_faces)
    frame = painter.prepared(photo, followed)
    began = time.monotonic()

    def told(step: FilmStep, number: int, *, is_finished: bool) -> FilmStep:
        pixels = painter.finish(step.step.pixels, photo)
        inner = replace(step.step, elapsed=time.monotonic() - began, pixels=pixels)
        shown = followed if followed else None
        return replace(
            step, frame=number, is_finished=is_finished, step=inner, filmed=photo, masks=shown
        )

    for first in painter.first(frame):
        yield told(first, 0, is_finished=False)
    picture = painter.paint_of(first.step)
    field, pixels = stroke_field(picture, frame, settings.seed), to_tensor(picture)
    for number in range(frames):
        start = _as_recalled(flowed(pixels, field, number / frames))
        done = painted(number)
        steps = painter.remembered(frame, done, start) if done else painter.afresh(frame, start)
        for step in steps:
            yield told(step, number, is_finished=step.is_finished)


def _as_recalled(start: Tensor) -> Recalled:
    """Return a start as what earlier frames tell of one: all of it is known, and may change."""
    no = np.zeros(start.shape[-2:], np.bool_)
    rest = np.zeros((*start.shape[-2:], 2), np.float32)
    return Recalled(start, rest, ~no, no, no)


@dataclass(frozen=True)
class StillClip(Clip):
    """A photo as a clip that stands still for so many seconds.

    Raises `ImageError` where the photo cannot be read.
    """

    seconds: float = 4.0

    def _answers(self) -> Generator[Facts | Frame, None, None]:
        photo = load_image(self.path)
        picture = fit(photo, self.size)
        rate = Fraction(self.rate or LIVING_RATE).limit_denominator(1000)
        count = max(1, round(self.seconds * rate))
        yield Facts(*picture.size, TICK, rate, count, 0, has_sound=False, plays=0)
        for number in range(count):
            yield Frame(picture, number / rate, length=1 / rate)
