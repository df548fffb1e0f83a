"""Crop, mirror and rotate a painting before the network sees it, and tell where its points go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Protocol

from PIL import Image, ImageStat

from nst.settings import TransferSettings

_QUARTER_TURNS = {  # counter-clockwise, as Pillow's are; without resampling
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}

Matrix = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f) takes a point (x, y) to (a x + c y + e, b x + d y + f), as in CSS."""


class Transform(Protocol):
    """How a painting is used: which part of it, which way around and at which angle."""

    @property
    def crop(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom as shares of the painting's width and height."""

    @property
    def mirror(self) -> bool:
        """Tell whether left and right are exchanged, after the crop."""

    @property
    def rotation(self) -> float:
        """Return the angle in degrees, counter-clockwise, by which the rest is turned last."""


@dataclass(frozen=True)
class Placement:
    """Where the points of a painting are once it is transformed.

    `size` is the width and height of the result, and `matrix` takes points of the painting to
    points of the result, both in pixels from the top left corner. Points outside `size` are cut
    off. A canvas of that size with `setTransform(*matrix)` shows what the network sees where the
    painting is drawn at (0, 0).
    """

    size: tuple[int, int]
    matrix: Matrix


def transformed(painting: Image.Image, use: Transform) -> Image.Image:
    """Return the painting cropped, mirrored and rotated; the very same object if nothing changes.

    Works in any mode that Pillow resamples, masks among them. Of a rotated painting the largest
    upright rectangle inside is kept, so that no corner is empty. Turns by multiples of 90° move
    pixels and change none; others resample bicubically, and neither enlarge nor reduce.
    """
    box = _crop_box(painting.size, use.crop)
    result = painting if box == (0, 0, *painting.size) else painting.crop(box)
    if use.mirror:
        result = result.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = use.rotation % 360
    if angle == 0:
        return result
    if angle in _QUARTER_TURNS:
        return result.transpose(_QUARTER_TURNS[int(angle)])
    size = largest_rectangle(result.size, use.rotation)
    back = _rotation_matrix(size, result.size, -use.rotation)
    a, b, c, d, e, f = back
    return result.transform(
        size, Image.Transform.AFFINE, (a, c, e, b, d, f), Image.Resampling.BICUBIC
    )


def seen_parts(
    paintings: Sequence[Image.Image],
    settings: TransferSettings,
    within: Sequence[Image.Image | None] = (),
) -> list[Image.Image]:
    """Return what a run sees of the paintings that have a weight, each transformed as it is used.

    The colours of these are the paintings' colours. `within` are masks of the parts that are taken
    (`Masks.within`); what is not taken of a painting is transparent.
    """
    every = zip(paintings, settings.uses(len(paintings)), chain(within, repeat(None)), strict=False)
    return [
        part_taken(transformed(painting, use), mask and transformed(mask, use))
        for painting, use, mask in every
        if use.weight > 0
    ]


def part_taken(painting: Image.Image, mask: Image.Image | None) -> Image.Image:
    """Return a painting with what is black in a mask transparent, RGBA; itself without a mask.

    The mask has mode "L" and any size.
    """
    if mask is None:
        return painting
    part = painting.convert("RGB")
    part.putalpha(mask.resize(part.size, Image.Resampling.BILINEAR))
    return part


def share_taken(mask: Image.Image, use: Transform) -> float:
    """Return how much of what is seen of a painting is white in the mask of a part, from 0 to 1."""
    return ImageStat.Stat(transformed(mask, use)).mean[0] / 255


def placement(size: tuple[int, int], use: Transform) -> Placement:
    """Return where the points of a painting of this width and height are after `transformed`."""
    left, top, right, bottom = _crop_box(size, use.crop)
    width, height = right - left, bottom - top
    result = largest_rectangle((width, height), use.rotation)
    a, b, c, d, e, f = _rotation_matrix((width, height), result, use.rotation)
    if use.mirror:  # x becomes width − x, before it is rotated
        a, b, e, f = -a, -b, e + a * width, f + b * width
    return Placement(result, (a, b, c, d, e - a * left - c * top, f - b * left - d * top))


def largest_rectangle(size: tuple[int, int], degrees: float) -> tuple[int, int]:
    """Return width and height of the largest upright rectangle in one of `size`, rotated.

    Both are rounded down, and at least 1 pixel. Either all four corners touch the four sides, or
    two of them touch the long sides, where the rotated picture is too narrow for that.
    """
    width, height = size
    if degrees % 180 == 0:
        return size
    if degrees % 180 == 90:
        return height, width
    sine, cosine = (abs(f(math.radians(degrees))) for f in (math.sin, math.cos))
    long, short = max(size), min(size)
    if short <= 2 * sine * cosine * long:
        half = short / 2
        sides = (half / sine, half / cosine) if width >= height else (half / cosine, half / sine)
    else:
        difference = cosine**2 - sine**2
        sides = (
            (width * cosine - height * sine) / difference,
            (height * cosine - width * sine) / difference,
        )
    inner_width, inner_height = (max(1, math.floor(side + 1e-9)) for side in sides)
    return inner_width, inner_height


def _crop_box(
    size: tuple[int, int], crop: tuple[float, float, float, float]
) -> tuple[int, int, int, int]:
    """Return the crop in whole pixels, at least one wide and high."""
    (width, height), (left, top, right, bottom) = size, crop
    first, above = min(round(left * width), width - 1), min(round(top * height), height - 1)
    return (
        first,
        above,
        max(round(right * width), first + 1),
        max(round(bottom * height), above + 1),
    )


def _rotation_matrix(size: tuple[int, int], result: tuple[int, int], degrees: float) -> Matrix:
    """Return the counter-clockwise rotation about the centres of both sizes; y points down."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    (x, y), (center_x, center_y) = ((width / 2, height / 2) for width, height in (size, result))
    return (
        cosine,
        -sine,
        sine,
        cosine,
        center_x - cosine * x - sine * y,
        center_y + sine * x - cosine * y,
    )
