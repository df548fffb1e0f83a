"""Find a frame around a picture, and crop.

A frame is a uniform border with straight edges: the wall or the paper around a scan, or black bars.
A plain background is none, since what stands before it does not end in a straight line along a
whole side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst.errors import ImageError
from nst.images.reading import MAX_RATIO, MIN_SIDE

SEARCH_SIDE = 512  # pixels; the longest side of the copy in which a frame is looked for
SMALLEST = 128  # pixels; no frame is looked for in a picture with a shorter side
WORTH = 0.015  # of a side; narrower borders are not worth cropping
LEAST_LEFT = 0.25  # of the picture's area

MOST_NOISE = 6.0  # levels, the standard deviation along a border
MOST_GRADIENT = 48.0  # levels, from the darkest part of a border to the brightest
MOST_APART = 40.0  # levels, between the mean colours of two borders
LEAST_STEP = 13.0  # levels, between a border and what is inside; a faint shadow has less
NOISES = 4.0  # standard deviations of a border, the same
SLACK = 2  # pixels of the copy by which an edge may leave the straight line
BLOCK = 16  # pixels by which a JPEG's noise reaches out of an edge, where its colours are halved
FEWEST = 8  # lines of the copy that are an edge
EARLY = 0.03  # of an edge may lie further outside than that, as dust does
LEAST_EDGE = {2: 0.7, 3: 0.4, 4: 0.4}  # of each edge is a step on the line, by their number
MEAN_EDGE = {2: 0.7, 3: 0.85, 4: 0.75}  # the same, of all edges on average
SHARP = 0.6  # of a step's height is where an edge is, at full resolution
INSIDE = 0.85  # of an edge's lines, at full resolution, are outside what is kept

Pixels = npt.NDArray[np.float32]  # (lines, depth, 3) RGB in [0, 255], the side at depth 0
Levels = npt.NDArray[np.float32]  # (lines, depth)
Colors = npt.NDArray[np.float32]  # (lines, 3) RGB in [0, 255]
Depths = npt.NDArray[np.intp]  # (lines,) pixels from the side

SIDES = ("left", "top", "right", "bottom")
PAIRS = (SIDES[::2], SIDES[1::2])  # opposite ones
NEIGHBORS = {"left": PAIRS[1], "top": PAIRS[0], "right": PAIRS[1], "bottom": PAIRS[0]}


class Box(NamedTuple):
    """The part of a picture from (left, top) up to, but without, (right, bottom), in pixels."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class _Border:
    """A uniform strip along a side, and how far the lines across it stay uniform."""

    color: Colors
    threshold: float  # levels; what differs more is inside
    depths: Depths  # where each line ends to be uniform
    is_step: npt.NDArray[np.bool_]  # (lines,) whether it does so at once
    reach: int  # pixels by which noise may reach out of its edge
    is_wide: bool  # whether nearly all lines stay so for as long as is worth cropping


@dataclass(frozen=True)
class _Edge:
    """Where a border ends."""

    depth: int
    share: float  # of the lines, which end there in a step


def find_frame(image: Image.Image) -> Box | None:
    """Return what is inside a picture's frame; None where there is none worth cropping.

    A frame has all four sides, three, or two opposite ones, of any widths and of one colour but for
    noise, a faint gradient and a faint shadow. It is looked for in a small copy; only its edges are
    looked at in full resolution.
    """
    if min(image.size) < SMALLEST:
        return None
    image = image if image.mode == "RGB" else image.convert("RGB")
    factor = max(1, round(max(image.size) / SEARCH_SIDE))
    copy = np.asarray(image.reduce(factor), dtype=np.float32)  # (H, W, 3)
    borders = {
        side: border for side in SIDES if (border := _border(_seen_from(side, copy), factor))
    }
    depths = {side: edge.depth for side, edge in _find_edges(borders).items()}
    if not depths or _is_uniform(copy, depths):
        return None
    widths = {
        side: _refine(image, side, depths, borders[side], factor) if side in depths else 0
        for side in SIDES
    }
    return _box_inside(widths, image.size)


def _seen_from(side: str, pixels: Pixels) -> Pixels:
    """Return (H, W, 3) as lines that begin at a side."""
    lines = pixels if side in PAIRS[0] else pixels.swapaxes(0, 1)
    return lines if side in ("left", "top") else lines[:, ::-1]


def _border(pixels: Pixels, factor: int) -> _Border | None:
    """Return the border along the side at depth 0; None where that is not uniform.

    The pixels are those of a copy that is smaller by `factor`.
    """
    pixels = _smooth(pixels)
    found = _even_color(pixels[:, :2].mean(1))
    if found is None:
        return None
    color, noise = found
    threshold = max(LEAST_STEP, NOISES * noise)
    differences = _differences(pixels, color)
    depths = _first_above(differences, threshold)
    around = _around(differences, depths, -4, 4)  # (lines, 8)
    steps = around[:, 4:7].max(1) - around[:, :3].max(1)
    length = pixels.shape[1]
    return _Border(
        color=color,
        threshold=threshold,
        depths=depths,
        is_step=(depths < length) & (steps >= threshold),
        reach=SLACK + round(BLOCK / factor),
        is_wide=bool(np.quantile(depths, 0.05) >= WORTH * length),
    )


def _smooth(pixels: Pixels) -> Pixels:
    """Average each line with its neighbours, which leaves edges along the side as sharp."""
    padded = np.concatenate([pixels[:1], pixels, pixels[-1:]])
    smoothed: Pixels = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return smoothed


def _even_color(strip: Colors) -> tuple[Colors, float] | None:
    """Return the colour along a strip, a quadratic curve, and the noise around it in levels.

    None where the strip is not uniform.
    """
    powers = np.vander(np.linspace(-1, 1, len(strip)), 3)  # (lines, 3)
    is_near = np.ones(len(strip), dtype=bool)
    for _ in range(2):  # again without the outliers
        curve, *_ = np.linalg.lstsq(powers[is_near], strip[is_near], rcond=None)
        color = (powers @ curve).astype(np.float32)
        distances = np.abs(strip - color).max(1)
        is_near = distances <= max(MOST_NOISE, 4.5 * float(np.median(distances)))
    noise = float((strip - color)[is_near].std(0).max())
    gradient = float(np.ptp(color, axis=0).max())
    return (color, noise) if noise <= MOST_NOISE and gradient <= MOST_GRADIENT else None


def _differences(pixels: Pixels, color: Colors) -> Levels:
    """Return how far each pixel is from its line's colour, in the channel that differs most."""
    red, green, blue = np.moveaxis(np.abs(pixels - color[:, None]), 2, 0)
    differences: Levels = np.maximum(np.maximum(red, green), blue)  # four times as fast as max(2)
    return differences


def _first_above(levels: Levels, threshold: float) -> Depths:
    """Return where two pixels in a row are above a threshold first; the length where none are."""
    is_above = levels > threshold
    is_above[:, :-1] &= is_above[:, 1:]
    first: Depths = np.where(is_above.any(1), is_above.argmax(1), levels.shape[1])
    return first


def _around(levels: Levels, depths: Depths, begin: int, end: int) -> Levels:
    """Return each line from `begin` to before `end`, counted from its depth."""
    indices = depths[:, None] + np.arange(begin, end)
    return np.take_along_axis(levels, indices.clip(0, levels.shape[1] - 1), 1)


def _find_edges(borders: Mapping[str, _Border]) -> dict[str, _Edge]:
    """Return the edges of a frame by side, if these are the borders of one."""
    if len(borders) > 2 and (edges := _edges_of(borders)):
        return edges
    for pair in PAIRS:
        others = [borders[side] for side in borders if side not in pair]
        if not any(border.is_wide for border in others):
            edges = _edges_of({side: borders[side] for side in pair if side in borders})
            if edges:
                return edges
    return {}


def _edges_of(borders: Mapping[str, _Border]) -> dict[str, _Edge]:
    """Return the edges of all these borders; none where one is not straight, or of another colour.

    An edge reaches from the one of its neighbours to the other.
    """
    depths = {side: _likeliest_depth(border, slice(None)) for side, border in borders.items()}
    edges = {}
    for side, border in borders.items():
        lines = _between(depths, NEIGHBORS[side], len(border.depths), SLACK)
        depth = _likeliest_depth(border, lines)
        edge = _edge_at(depth, border, lines)
        if edge:
            edges[side] = edge
    shares = [edge.share for edge in edges.values()]
    colors = np.array([border.color.mean(0) for border in borders.values()])
    is_frame = (
        len(edges) == len(borders) >= 2
        and min(shares) >= LEAST_EDGE[len(shares)]
        and sum(shares) / len(shares) >= MEAN_EDGE[len(shares)]
        and np.ptp(colors, axis=0).max() <= MOST_APART
    )
    return edges if is_frame else {}


def _between(depths: Mapping[str, int], pair: Sequence[str], length: int, margin: int = 0) -> slice:
    """Return what is between the borders of two opposite sides, which are so far apart."""
    before, after = (depths.get(side, 0) for side in pair)
    return slice(before + margin, max(0, length - after - margin))


def _likeliest_depth(border: _Border, lines: slice) -> int:
    """Return the depth at or near which most of the lines have a step; 0 where none has."""
    depths = border.depths[lines][border.is_step[lines]]
    if not len(depths):
        return 0
    near = np.ones(2 * SLACK + 1)
    counts = np.convolve(np.bincount(depths, minlength=len(near)), near, mode="same")
    return int(np.median(depths[np.abs(depths - counts.argmax()) <= SLACK]))


def _is_uniform(pixels: Pixels, depths: Mapping[str, int]) -> bool:
    """Return whether there is no picture inside a frame: a flag, or an empty sheet."""
    columns = _between(depths, PAIRS[0], pixels.shape[1], SLACK)
    rows = _between(depths, PAIRS[1], pixels.shape[0], SLACK)
    inside = pixels[rows, columns]
    return not inside.size or float(inside.std((0, 1)).max()) < MOST_NOISE


def _edge_at(depth: int, border: _Border, lines: slice) -> _Edge | None:
    """Return the edge at a depth; None where too much lies further outside."""
    depths, is_step = border.depths[lines], border.is_step[lines]
    if len(depths) < FEWEST or (depths < depth - border.reach).mean() > EARLY:
        return None
    return _Edge(depth, float((is_step & (np.abs(depths - depth) <= SLACK)).mean()))


def _refine(
    image: Image.Image, side: str, depths: Mapping[str, int], border: _Border, factor: int
) -> int:
    """Return the width of a border at full resolution.

    It is looked for near where it is in the copy, which is smaller by `factor`, along the lines
    that have a step there.
    """
    lines = _between(depths, NEIGHBORS[side], len(border.depths))
    is_on_line = border.is_step[lines] & (np.abs(border.depths[lines] - depths[side]) <= SLACK)
    about = depths[side] * factor
    if not is_on_line.any():
        return about
    begin, end = max(0, about - (SLACK + 2) * factor), about + (SLACK + 2) * factor
    pixels = _smooth(_strip(image, side, lines, (begin, end), factor))
    differences = _differences(pixels[is_on_line], border.color[lines][is_on_line])
    first = _first_above(differences, border.threshold)
    beyond = _around(differences, first, 0, max(4, factor))
    ends = first + (beyond >= SHARP * beyond.max(1, keepdims=True)).argmax(1)
    return begin + int(np.quantile(ends, INSIDE))


def _strip(
    image: Image.Image, side: str, lines: slice, depths: tuple[int, int], factor: int
) -> Pixels:
    """Return the copy's lines, from one depth to another of the picture itself."""
    (begin, end), (width, height) = depths, image.size
    first, last = lines.start * factor, lines.stop * factor
    left, top, right, bottom = {
        "left": (begin, first, end, last),
        "top": (first, begin, last, end),
        "right": (width - end, first, width - begin, last),
        "bottom": (first, height - end, last, height - begin),
    }[side]
    strip = image.crop((max(0, left), max(0, top), min(width, right), min(height, bottom)))
    reduced = strip.reduce((1, factor) if side in PAIRS[0] else (factor, 1))
    return _seen_from(side, np.asarray(reduced, dtype=np.float32))


def _box_inside(widths: Mapping[str, int], size: tuple[int, int]) -> Box | None:
    """Return what borders of these widths leave; None where it is too little, or nearly all."""
    width, height = size
    left, top, right, bottom = (widths[side] for side in SIDES)
    box = Box(left, top, width - right, height - bottom)
    kept = max(0, box.right - box.left) * max(0, box.bottom - box.top)
    is_worth_it = max(left, right) >= WORTH * width or max(top, bottom) >= WORTH * height
    return box if is_worth_it and kept >= LEAST_LEFT * width * height else None


@dataclass(frozen=True)
class Crop:
    """What to keep of a picture after turning it, as fractions of its width and height.

    The edges are counted from the left and from the top. The turns are clockwise. Raises
    `ImageError` for values that keep nothing, or more than there is.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    quarter_turns: int = 0  # 0 to 3

    def __post_init__(self) -> None:
        if type(self.quarter_turns) is not int or not 0 <= self.quarter_turns <= 3:
            raise ImageError("A picture can be turned by 0, 1, 2 or 3 quarter turns.")
        if not all(_is_fraction(edge) for edge in self.edges):
            raise ImageError("The edges of a crop must be numbers from 0 to 1.")
        if self.left >= self.right or self.top >= self.bottom:
            raise ImageError("A crop must end to the right of its left edge, and below its top.")

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom

    @classmethod
    def of_box(cls, box: Box, size: tuple[int, int]) -> Crop:
        """Return what keeps a box in pixels of a picture of this size, and turns nothing."""
        width, height = size
        return cls(box.left / width, box.top / height, box.right / width, box.bottom / height)

    @classmethod
    def from_json(cls, value: object) -> Crop:
        """Return the crop in what JSON from anybody holds. Raises `ImageError`."""
        names = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            raise ImageError(f"A crop has exactly these values: {', '.join(sorted(names))}.")
        return cls(**value)

    def to_json(self) -> dict[str, float]:
        """Return what `from_json` reads."""
        return asdict(self)


def crop(image: Image.Image, part: Crop) -> Image.Image:
    """Return a picture turned, and then the part of it that is kept.

    Raises `ImageError` where that is less, or narrower, than a picture must be.
    """
    turned = image.transpose(_TURNS[part.quarter_turns]) if part.quarter_turns else image
    lengths = (*turned.size, *turned.size)
    box = Box(*(round(edge * length) for edge, length in zip(part.edges, lengths, strict=True)))
    width, height = box.right - box.left, box.bottom - box.top
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"The crop is {width}×{height} pixels; each side must have {MIN_SIDE}.")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageError(
            f"The crop is {width}×{height} pixels; one side may be at most {MAX_RATIO} times the"
            " other."
        )
    return turned.crop(box)


_TURNS = {  # Pillow's are counterclockwise
    1: Image.Transpose.ROTATE_270,
    2: Image.Transpose.ROTATE_180,
    3: Image.Transpose.ROTATE_90,
}


def _is_fraction(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
