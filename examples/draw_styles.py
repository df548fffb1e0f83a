"""Draw the style pictures that the demo page offers.

Every picture is painted from scratch with numpy and Pillow: brush strokes laid along flow
fields, carved lines, tiles, glass cells and combed inks.  Each one is drawn at twice its
size, scaled down for clean edges, and seeded, so a second run gives the same picture.

    python examples/draw_styles.py                      # all of them, to examples/style/
    python examples/draw_styles.py --only mosaic_koi    # just one

Coordinates: fields are arrays indexed [row, column]; points are (x, y) in working pixels.
Compositions are written in "units", where the picture is 1.0 high and ``aspect`` wide.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1]))  # runs from a clone, nothing installed

from nst.console import run_command
from nst.files import whole_file
from nst.outputs import check_output

Array = NDArray[np.floating[Any]]
Points = NDArray[np.floating[Any]]  # rows of x, y
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]
Colour = tuple[int, int, int]

OVERSAMPLE = 2
TAU = 2.0 * np.pi


# --------------------------------------------------------------------------------------
# Colour
# --------------------------------------------------------------------------------------


def single(values: Any) -> Array:
    """The values in single precision, which halves the time of large pictures."""
    return np.asarray(values, np.float32)


def palette(text: str) -> Array:
    """Colours from a string of hex codes, as rows of 0..1 values."""
    codes = text.split()
    rows = [[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in codes]
    return np.array(rows, np.float32) / 255.0


def ramp(values: Array, colours: Array, stops: Sequence[float] | None = None) -> Array:
    """Colour for each value, fading between ``colours`` placed at ``stops`` (0..1)."""
    places = np.linspace(0, 1, len(colours)) if stops is None else np.asarray(stops)
    channels = [np.interp(values, places, colours[:, c]) for c in range(3)]
    return single(np.stack(channels, axis=-1))


def mix(under: Array, over: Array, amount: Array | float) -> Array:
    """Fade from ``under`` to ``over``; ``amount`` is a number or a field of 0..1."""
    if isinstance(amount, np.ndarray):
        amount = single(np.clip(amount, 0, 1))[..., None]
    return single(under + (over - under) * amount)


def ink(colour: Array, shift: float = 0.0) -> Colour:
    """A colour as Pillow wants it, made lighter or darker by ``shift``."""
    r, g, b = (round(v) for v in np.clip(colour + shift, 0, 1) * 255)
    return r, g, b


# --------------------------------------------------------------------------------------
# Fields
# --------------------------------------------------------------------------------------


def units(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Horizontal and vertical position of every pixel, in units of the picture's height."""
    rows, columns = shape
    v, u = np.mgrid[0:rows, 0:columns].astype(np.float32) / np.float32(rows)
    return u, v


def noise(shape: tuple[int, int], cells: float, rng: Generator, octaves: int = 4) -> Array:
    """Smooth noise within -1..1 with about ``cells`` bumps along the picture's height."""
    return stretched_noise(shape, cells, cells, rng, octaves)


def stretched_noise(
    shape: tuple[int, int], across: float, down: float, rng: Generator, octaves: int = 4
) -> Array:
    """Smooth noise whose bumps are counted separately along the two axes."""
    rows, columns = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        wide = across * 2**octave * columns / rows
        tall = down * 2**octave
        knots = rng.uniform(-1, 1, (int(tall) + 4, int(wide) + 4)).astype(np.float32)
        box = (1.0, 1.0, 1.0 + wide, 1.0 + tall)
        layer = Image.fromarray(knots).resize((columns, rows), Image.Resampling.BICUBIC, box=box)
        total += np.asarray(layer) / np.float32(2**octave)
    return single(total / np.abs(total).max())


def blur(field: Array, radius: float) -> Array:
    """Nearly Gaussian blur: three box filters in a row, run with cumulative sums."""
    width = max(1, round(np.sqrt(4.0 * radius * radius + 1.0)))
    width += 1 - width % 2
    out = field.astype(np.float64)
    for axis in (0, 1):
        for _ in range(3):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (width // 2 + 1, width // 2)
            sums = np.cumsum(np.pad(out, pad, mode="edge"), axis=axis)
            n = out.shape[axis]
            upper = np.take(sums, range(width, width + n), axis=axis)
            lower = np.take(sums, range(0, n), axis=axis)
            out = (upper - lower) / width
    return out.astype(np.float32)


def smoothstep(low: float, high: float, values: Array) -> Array:
    """0 below ``low``, 1 above ``high``, an easy slope between (also with low > high)."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return single(t * t * (3 - 2 * t))


def flow_along(stream: Array) -> Array:
    """Angle of the lines along which ``stream`` stays constant."""
    down, across = np.gradient(stream)
    return single(np.arctan2(-across, down))


def seams(labels: Labels) -> Mask:
    """Where the label differs from its left or upper neighbour."""
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return edge


def around(u: Array, v: Array, x: float, y: float) -> tuple[Array, Array]:
    """Distance and bearing of every pixel as seen from a point."""
    return np.hypot(u - x, v - y), np.arctan2(v - y, u - x)


def swing(bearing: Array, heading: float) -> Array:
    """How far a bearing lies to the side of a heading, within -pi..pi."""
    return (bearing - heading + np.pi) % TAU - np.pi


def relief(height: Array, strength: float, light: tuple[float, float] = (-0.7, -0.7)) -> Array:
    """Brightness of a bumpy surface lit from the side; flat ground gives 1."""
    down, across = np.gradient(height)
    slope = (across * -light[0] + down * -light[1]) * -strength
    return single(1.0 + slope / np.sqrt(1.0 + slope * slope))


def lit(colour: Array, shade: Array, gloss: float = 0.25) -> Array:
    """Apply a relief: darken what faces away, and glint where it faces the light."""
    dark = np.minimum(shade, 1.0)[..., None]
    glint = np.maximum(shade - 1.0, 0.0)[..., None]
    return single(colour * (0.35 + 0.65 * dark) + glint * gloss * (0.35 + colour))


def paper(shape: tuple[int, int], rng: Generator) -> Array:
    """Fine fibre and tooth of a sheet of paper, about -1..1."""
    tooth = rng.normal(0, 1, shape).astype(np.float32)
    fibres = stretched_noise(shape, 40, 260, rng, 2) + stretched_noise(shape, 260, 40, rng, 2)
    return (0.5 * blur(tooth, 1.5) * 3 + 0.5 * fibres).astype(np.float32)


# --------------------------------------------------------------------------------------
# Curves
# --------------------------------------------------------------------------------------


def smooth_curve(knots: Sequence[tuple[float, float]], steps: int = 24) -> Points:
    """Catmull-Rom curve through the knots."""
    p = np.array([knots[0], *knots, knots[-1]], np.float64)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        pieces.append(
            0.5
            * (
                2 * b
                + (c - a) * t
                + (2 * a - 5 * b + 4 * c - d) * t**2
                + (3 * b - a - 3 * c + d) * t**3
            )
        )
    return np.vstack([*pieces, p[-1:]])


def resample(path: Points, count: int) -> Points:
    """The same path as ``count`` points at even distances."""
    lengths = np.hypot(*np.diff(path, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    places = np.linspace(0, along[-1], count)
    return np.stack([np.interp(places, along, path[:, i]) for i in (0, 1)], axis=1)


def normals(path: Points) -> Points:
    """Unit vectors at right angles to the path."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.hypot(tangent[:, 0], tangent[:, 1])[:, None] + 1e-9
    return np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)


def ribbon(path: Points, widths: Points | float) -> Points:
    """Outline of a line of varying width drawn along the path."""
    half = np.broadcast_to(np.asarray(widths, np.float64) / 2, (len(path),))[:, None]
    side = normals(path) * half
    return np.vstack([path + side, (path - side)[::-1]])


def polygon(draw: ImageDraw.ImageDraw, points: Points, fill: Colour | int) -> None:
    """Fill a polygon given as an array of points."""
    draw.polygon([(float(x), float(y)) for x, y in points], fill=fill)


def disc(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour | int) -> None:
    """Fill a circle."""
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)


def spiral(x: float, y: float, r: float, turns: float, start: float, hand: int) -> Points:
    """A spiral that winds inwards from radius ``r``."""
    t = np.linspace(0, 1, int(40 * turns) + 8)
    angle = start + hand * t * turns * TAU
    radius = r * (1 - t) ** 0.9
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def trace(angle: Array, starts: Points, steps: int, step: float) -> Points:
    """Follow a field of angles from many points at once: [start, step, xy]."""
    rows, columns = angle.shape
    here = starts.astype(np.float64).copy()
    route = np.empty((len(here), steps, 2))
    heading = np.zeros_like(here)
    for i in range(steps):
        route[:, i] = here
        column = np.clip(here[:, 0].astype(int), 0, columns - 1)
        row = np.clip(here[:, 1].astype(int), 0, rows - 1)
        turn = angle[row, column]
        move = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        move *= np.where((move * heading).sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
        heading = move
        here = here + move * step
    return route


# --------------------------------------------------------------------------------------
# Brushes
# --------------------------------------------------------------------------------------


@dataclass
class Painting:
    """Wet paint: its colour, and how thick it lies."""

    colour: Array
    height: Array


@dataclass
class Brush:
    """One brush mark, along [row] and across [column]: cover, thickness and streaks."""

    cover: Array
    thickness: Array
    streak: Array


def make_brushes(rng: Generator, count: int, dryness: float, bristles: int) -> list[Brush]:
    """A set of marks of the same brush; a dry one breaks up towards its end."""
    brushes = []
    for _ in range(count):
        hairs = rng.uniform(0, 1, (7, bristles)).astype(np.float32)
        hairs[1:] = 0.65 * hairs[:1] + 0.35 * hairs[1:]
        texture = np.asarray(
            Image.fromarray(hairs).resize((48, 160), Image.Resampling.BICUBIC), np.float32
        )
        across = np.linspace(-1, 1, 48, dtype=np.float32)[None, :]
        along = np.linspace(0, 1, 160, dtype=np.float32)[:, None]
        ragged = rng.uniform(-0.05, 0.05, 48).astype(np.float32)[None, :] + texture * 0.06
        ends = (along > ragged + 0.02 * across**2) & (along < 0.97 - ragged - 0.1 * across**2)
        wear = texture > dryness * (0.35 + 0.9 * along) * (0.55 + 0.5 * across**2)
        lip = np.exp(-(((np.abs(across) - 0.82) / 0.14) ** 2)) * 0.5
        body = np.sqrt(np.clip(1 - across**4, 0, 1)) * 0.5
        press = 0.75 + 0.5 * np.exp(-(((along - 0.93) / 0.08) ** 2))
        thickness = (body + lip + texture * 0.9) * press
        brushes.append(Brush((ends & wear).astype(np.float32), thickness, texture - 0.5))
    return brushes


def lay_stroke(
    painting: Painting,
    path: Points,
    width: float,
    colour: Array,
    brush: Brush,
    streak: float = 0.12,
    load: float = 1.0,
) -> None:
    """Drag a brush along the path, leaving opaque colour and ridges of paint."""
    length = np.hypot(*np.diff(path, axis=0).T).sum()
    if length < 2:
        return
    path = resample(path, int(length / 0.8) + 2)
    side = normals(path)
    offsets = np.linspace(-0.5, 0.5, int(width / 0.75) + 3)
    x = (path[:, :1] + side[:, :1] * offsets * width).astype(np.int32)
    y = (path[:, 1:] + side[:, 1:] * offsets * width).astype(np.int32)
    rows, columns = painting.height.shape
    along = np.linspace(0, 159, len(path)).astype(np.int32)[:, None]
    across = np.linspace(0, 47, len(offsets)).astype(np.int32)[None, :]
    wet = (brush.cover[along, across] > 0) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    x, y = x[wet], y[wet]
    tone = brush.streak[along, across][wet]
    painting.colour[y, x] = colour + tone[:, None] * streak
    painting.height[y, x] = brush.thickness[along, across][wet] * load


def scattered(shape: tuple[int, int], gap: float, rng: Generator) -> Points:
    """Points spread over the picture about ``gap`` apart, in random order."""
    rows, columns = shape
    y, x = np.mgrid[-gap : rows + gap : gap, -gap : columns + gap : gap]
    x = x + np.where(np.arange(len(x)) % 2, gap / 2, 0)[:, None]
    spots = np.stack([x.ravel(), y.ravel()], axis=1)
    spots += rng.uniform(-0.45, 0.45, spots.shape) * gap
    return rng.permutation(spots)


def sample(field: Array, x: Points, y: Points) -> Array:
    """Values of a field at points, with the border carried outwards."""
    row = np.clip(np.asarray(y).astype(int), 0, field.shape[0] - 1)
    column = np.clip(np.asarray(x).astype(int), 0, field.shape[1] - 1)
    return np.asarray(field[row, column], np.float32)


def jittered(colours: Array, rng: Generator, value: float, tint: float) -> Array:
    """Vary colours as a painter does: lighter and darker, warmer and cooler."""
    light = rng.normal(0, value, (len(colours), 1))
    warm = rng.normal(0, tint, (len(colours), 1)) * np.array([[1.0, 0.1, -1.0]])
    green = rng.normal(0, tint * 0.6, (len(colours), 1)) * np.array([[-0.4, 1.0, -0.4]])
    return single(np.clip(colours * (1 + light) + light * 0.2 + warm + green, 0, 1))


def paint_layer(
    painting: Painting,
    subject: Array,
    angle: Array,
    brushes: list[Brush],
    rng: Generator,
    *,
    width: float,
    length: float,
    gap: float,
    value: float = 0.08,
    tint: float = 0.03,
    fidelity: float = 0.25,
    streak: float = 0.12,
    load: float = 1.0,
    where: Mask | None = None,
) -> None:
    """Cover the picture with strokes along ``angle``, coloured from ``subject``.

    A stroke ends where the subject's colour departs from its own by more than ``fidelity``.
    """
    starts = scattered(painting.height.shape, gap, rng)
    if where is not None:
        inside = sample(where.astype(np.float32), starts[:, 0], starts[:, 1]) > 0.5
        starts = starts[inside]
    step = max(2.0, width / 4)
    steps = max(4, int(length / step))
    routes = trace(angle, starts, steps, step)
    own = sample(subject, routes[:, 1, 0], routes[:, 1, 1])
    ahead = sample(subject, routes[..., 0], routes[..., 1])
    astray = np.abs(ahead - own[:, None]).max(axis=-1) > fidelity
    astray[:, :3] = False
    ends = np.where(astray.any(axis=1), astray.argmax(axis=1), steps)
    ends = (ends * rng.uniform(0.6, 1.0, len(ends))).astype(int)
    colours = jittered(own, rng, value, tint)
    widths = width * rng.uniform(0.7, 1.2, len(starts))
    picks = rng.integers(0, len(brushes), len(starts))
    for route, end, colour, wide, pick in zip(routes, ends, colours, widths, picks, strict=True):
        if end >= 3:
            lay_stroke(painting, route[:end], wide, colour, brushes[pick], streak, load)


def lay_grass(
    painting: Painting,
    feet: Points,
    tall: Points,
    tones: Array,
    brushes: list[Brush],
    rng: Generator,
) -> None:
    """Blades of grass from points on the ground, later ones in front and lighter."""
    for i, ((x, y), rise) in enumerate(zip(feet, tall, strict=True)):
        lean = rng.normal(0.15, 0.25) * rise
        blade = smooth_curve([(x, y), (x + lean * 0.3, y - rise * 0.6), (x + lean, y - rise)])
        shade = rng.uniform(0, 0.6) + 0.4 * rng.uniform() * i / len(feet)
        tone = ramp(np.array([shade], np.float32), tones)[0]
        brush = brushes[int(rng.integers(0, len(brushes)))]
        lay_stroke(painting, blade, rng.uniform(9, 17), tone, brush, load=1.4)


# --------------------------------------------------------------------------------------
# Pictures: each takes its working shape and a generator, and returns colours in 0..1
# --------------------------------------------------------------------------------------


def night_impasto(shape: tuple[int, int], rng: Generator) -> Array:
    """A windy moonlit lake in thick, ridged oil paint."""
    u, v = units(shape)
    stream = v + 0.07 * np.sin(u * 4.2 + 0.7) + 0.14 * noise(shape, 2.2, rng, 3)
    for x, y, r, push in [
        (0.30, 0.22, 0.17, -0.45),
        (0.66, 0.40, 0.12, 0.36),
        (1.0, 0.27, 0.13, 0.4),
    ]:
        stream = stream + push * np.exp(-np.hypot(u - x, v - y) / r)
    bands = 0.5 + 0.5 * np.sin(stream * 42 + 1.5 * noise(shape, 3, rng))
    sky = palette("070f33 0c2361 164190 2b6db4 62a8cf bfe0d4")
    under = ramp(0.04 + 0.50 * bands + 0.26 * v + 0.18 * noise(shape, 5, rng), sky)

    moon = np.hypot(u - 1.0, v - 0.27)
    halo = 0.5 + 0.5 * np.cos((moon - 0.075) * 120)
    moonlight = ramp(moon / 0.25, palette("ffd24a ffc02e e0a83a 7fae86 3f8fb8 2b6db4"))
    crests = ramp(moon / 0.25, palette("ffe27a ffcc3f ffd860 c2d27a 74bdb8 4a90c4"))
    moonlight = mix(moonlight, crests, halo)
    moonlight = mix(moonlight, palette("fff9dc")[0], smoothstep(0.072, 0.062, moon))
    under = mix(under, moonlight, smoothstep(0.27, 0.14, moon + 0.04 * noise(shape, 6, rng, 2)))
    stars = [
        (0.10, 0.11, 0.020),
        (0.47, 0.09, 0.026),
        (0.72, 0.14, 0.016),
        (0.30, 0.22, 0.034),
        (0.09, 0.37, 0.024),
        (0.52, 0.27, 0.014),
        (0.66, 0.40, 0.026),
        (0.38, 0.45, 0.016),
        (1.27, 0.09, 0.022),
        (1.25, 0.47, 0.022),
        (0.20, 0.49, 0.013),
        (0.86, 0.52, 0.014),
    ]
    for n, (x, y, r) in enumerate(stars):
        d = np.hypot(u - x, v - y)
        tones = palette("fffbe6 ffd964 f0b53c 9cc48a" if n % 3 else "fffbe0 c4ecd8 6fc0d0 3f8fc8")
        rays = 0.5 + 0.5 * np.cos(d / r * 6.5)
        under = mix(
            under, ramp(d / r / 2.4, tones), smoothstep(2.6, 0.7, d / r) * (0.55 + 0.45 * rays)
        )
        under = mix(under, tones[0], smoothstep(0.8, 0.5, d / r))
        stream = stream + r * 2.2 * np.exp(-d / (1.4 * r))
    angle = flow_along(stream)

    ridges = [
        (0.605, 0.050, 3.0, 0.2, "24427c 4f7ab4"),
        (0.655, 0.055, 4.1, 1.9, "17305f 2f6a8e"),
        (0.725, 0.045, 2.4, 4.0, "0b1c3f 1d5a5e"),
    ]
    for base, swell, waves, phase, codes in ridges:
        crest = base + swell * np.sin(u * waves + phase) + 0.02 * np.sin(u * waves * 3.1 + phase)
        land = v > crest
        hatch = 0.5 + 0.5 * np.sin((v - crest) * 120 + 6 * noise(shape, 3, rng, 2))
        under = np.where(land[..., None], ramp(hatch, palette(codes)), under)
        bend = flow_along(v - crest * 0.8 + 0.05 * noise(shape, 4, rng, 2))
        angle = np.where(land, bend, angle)

    lake = v > 0.785 + 0.012 * np.sin(u * 6.0)
    swell_lines = 0.5 + 0.5 * np.sin(v * 150 + 7 * stretched_noise(shape, 3, 6, rng, 2))
    water = ramp(swell_lines, palette("081640 164488 3f86bf"))
    spread = 0.018 + 0.55 * np.clip(v - 0.78, 0, 1)
    wander = u - 1.0 + 0.018 * stretched_noise(shape, 5, 26, rng, 2)
    path = np.exp(-((wander / spread) ** 2)) * (0.25 + 0.85 * swell_lines)
    water = mix(
        water, ramp(path, palette("3f86bf d8b04a ffd24a fff3c0")), smoothstep(0.38, 0.62, path)
    )
    homes = [0.13, 0.17, 0.27, 0.45, 0.49, 0.60, 0.71]
    for x in homes:
        fall = np.exp(-(((wander + 1.0 - x) / 0.010) ** 2) - (v - 0.79) / 0.07)
        water = mix(water, palette("ffab3a")[0], fall * (0.2 + swell_lines) * 1.3)
    under = np.where(lake[..., None], water, under)
    angle = np.where(lake, 0.16 * noise(shape, 6, rng, 2), angle)
    for x in homes:
        window = (np.abs(u - x) < 0.009) & (np.abs(v - 0.764) < 0.012)
        under[window] = palette("ffd75a")[0]
    under = under.astype(np.float32)
    angle = angle.astype(np.float32)

    painting = Painting(under.copy(), np.zeros(shape, np.float32))
    brushes = make_brushes(rng, 24, 0.22, 9)
    layers = [(52, 300, 30, 0.4, 0.8), (30, 230, 17, 0.24, 1.0), (17, 130, 13, 0.16, 1.0)]
    for width, length, gap, fidelity, load in layers:
        paint_layer(
            painting,
            under,
            angle,
            brushes,
            rng,
            width=width,
            length=length,
            gap=gap,
            value=0.13,
            tint=0.035,
            fidelity=fidelity,
            load=load,
        )
    bright = (moon < 0.16) | (lake & (path > 0.4))
    paint_layer(
        painting,
        np.clip(under * 1.05, 0, 1),
        angle,
        brushes,
        rng,
        width=15,
        length=90,
        gap=13,
        value=0.07,
        fidelity=0.2,
        load=1.5,
        where=bright,
    )
    left = rng.uniform(0, 1, 360) < 0.64
    root = np.where(left, rng.normal(0.12, 0.16, 360), rng.normal(1.30, 0.07, 360))
    tall = (
        rng.uniform(0.10, 0.30, 360)
        * np.linspace(1.1, 0.7, 360)
        * np.exp(-np.abs(root - 0.08) * 0.7)
    )
    feet = np.stack([root, np.full(360, 1.03)], axis=1) * shape[0]
    reeds = palette("071428 0e2f3a 1d5a4a 5f8a3a c8a03a")
    lay_grass(painting, feet, tall * shape[0], reeds, brushes, rng)
    shade = relief(blur(painting.height, 1.2), 2.4)
    return lit(painting.colour, shade, 0.42)


def breaker(flip: bool = False) -> tuple[Points, Points]:
    """Back and face of a curling wave, both ending at its lip; y points up."""
    back = smooth_curve(
        [
            (-1.9, -0.1),
            (-1.2, 0.08),
            (-0.7, 0.34),
            (-0.32, 0.74),
            (0.02, 0.98),
            (0.36, 1.0),
            (0.62, 0.84),
            (0.70, 0.62),
        ]
    )
    face = smooth_curve(
        [
            (2.1, -0.1),
            (1.3, -0.04),
            (0.7, 0.06),
            (0.26, 0.24),
            (0.10, 0.48),
            (0.20, 0.70),
            (0.42, 0.76),
            (0.62, 0.70),
            (0.70, 0.62),
        ]
    )
    if flip:
        back, face = back * [-1, 1], face * [-1, 1]
    return resample(back, 120), resample(face, 120)


def draw_claws(
    draw: ImageDraw.ImageDraw,
    edge: Points,
    size: float,
    rng: Generator,
    foam: Colour,
    line: Colour,
    outward: float,
) -> None:
    """Foam along an edge: scalloped lobes with curled fingers, outlined."""
    side = normals(edge) * outward
    heading = np.arctan2(side[:, 1], side[:, 0])
    lobes: list[tuple[float, float, float]] = []
    fingers: list[tuple[Points, Points]] = []
    for i in range(0, len(edge), 2):
        r = size * rng.uniform(0.5, 1.0)
        x, y = edge[i] + side[i] * size * rng.uniform(-0.3, 0.7)
        lobes.append((x, y, r))
        for _ in range(2):
            aim = heading[i] + rng.uniform(-0.9, 0.9)
            curl = rng.choice([-1, 1]) * rng.uniform(1.4, 2.6)
            length = size * rng.uniform(1.6, 2.9)
            t = np.linspace(0, 1, 14)
            turn = aim + curl * t**1.5
            steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * length / 14
            fingers.append(
                (np.array([x, y]) + np.cumsum(steps, axis=0), size * 0.85 * (1 - t) ** 0.7)
            )
    rim = max(3.0, size * 0.16)
    for grow, colour in ((rim, line), (0.0, foam)):
        for path, widths in fingers:
            polygon(draw, ribbon(path, widths + 2 * grow), colour)
            disc(draw, path[-1, 0], path[-1, 1], 0.10 * size + grow, colour)
        for x, y, r in lobes:
            disc(draw, x, y, r + grow, colour)
    for x, y, r in lobes[::2]:
        a = rng.uniform(0, 360)
        box = (x - r * 0.55, y - r * 0.55, x + r * 0.55, y + r * 0.55)
        draw.arc(box, a, a + 200, fill=line, width=max(2, int(rim * 0.7)))


def woodblock_waves(shape: tuple[int, int], rng: Generator) -> Array:
    """Breaking seas cut as a colour woodblock print."""
    rows, columns = shape
    tones = palette("f3e6c8 e2c99a 12294f 1f4a80 4d82ab 9dbdbd d6462b e98a4a 0c1a33")
    cream, sand, prussian, blue, mid, pale, vermilion, coral, key = tones
    image = Image.new("RGB", (columns, rows), ink(cream))
    draw = ImageDraw.Draw(image)
    h = float(rows)

    sun_x, sun_y, sun_r = 0.62 * columns, 0.27 * h, 0.155 * h
    for k in range(34):
        level = (k + 0.5) / 34 * 0.95 * h
        t = np.linspace(0, columns, 260)
        near = np.exp(-(((t - sun_x) / (0.34 * h)) ** 2))
        lift = (level - sun_y) / (0.22 * h)
        bow = near * 0.115 * h * np.sign(lift) * np.exp(-(lift**2))
        wave = 0.010 * h * np.sin(t / h * 11 + 0.9 * k) + 0.012 * h * np.sin(t / h * 4.3 - 0.5 * k)
        path = np.stack([t, level + bow + wave], axis=1)
        weight = 0.0135 * h * (0.55 + 0.45 * np.sin(t / h * 7 + 1.7 * k))
        polygon(draw, ribbon(path, np.maximum(weight, 2.0)), ink(pale if k % 3 else sand))
    disc(draw, sun_x, sun_y, sun_r * 1.10, ink(cream))
    disc(draw, sun_x, sun_y, sun_r, ink(vermilion))

    for x, y, wide in [
        (0.10, 0.10, 0.5),
        (0.92, 0.14, 0.55),
        (0.36, 0.20, 0.34),
        (0.80, 0.40, 0.5),
        (0.18, 0.34, 0.4),
    ]:
        for k in range(5):
            reach = wide * h * rng.uniform(0.5, 1.0) * (1 - 0.12 * abs(k - 2))
            cx = x * columns + rng.uniform(-0.09, 0.09) * h
            cy = (y + 0.026 * k) * h
            t = np.linspace(-1, 1, 40)
            path = np.stack([cx + t * reach / 2, cy + 0.006 * h * np.sin(t * 5 + k)], axis=1)
            thick = 0.024 * h * (1 - t**4) ** 0.5
            polygon(draw, ribbon(path, thick + 5), ink(prussian))
            polygon(draw, ribbon(path, thick), ink([pale, cream, coral][k % 3]))

    seas = [
        (0.86, 0.66, 0.17, False),
        (0.30, 0.66, 0.19, False),
        (0.60, 0.71, 0.16, True),
        (1.06, 0.74, 0.24, True),
        (0.03, 0.78, 0.24, False),
        (0.46, 0.80, 0.22, False),
        (0.80, 0.88, 0.27, True),
        (0.22, 0.96, 0.46, False),
        (0.60, 1.02, 0.24, False),
        (1.00, 1.04, 0.32, True),
        (0.40, 1.14, 0.26, True),
        (0.76, 1.16, 0.22, False),
        (0.05, 1.17, 0.28, False),
    ]
    bodies = [(mid, pale), (blue, pale), (prussian, mid), (blue, cream)]
    for n, (x, y, size, flip) in enumerate(seas):
        body, stripe = bodies[n % len(bodies)]
        place = np.array([x * columns, y * h])
        grow = np.array([size * h, -size * h * 1.12])
        back, face = (place + curve * grow for curve in breaker(flip))
        floor = np.array([[face[0, 0], h * 1.3], [back[0, 0], h * 1.3]])
        outline = np.vstack([back, face[::-1], floor])
        rim = max(5.0, 0.020 * size * h)
        polygon(draw, outline, ink(body))
        for a in np.linspace(0.06, 0.97, 12):
            path = resample(back * (1 - a) + face * a, 90)
            t = np.linspace(0, 1, 90)
            lines = (
                0.046 * size * h * np.sin(np.pi * t) ** 0.6 * (0.55 + 0.45 * np.sin(9 * a + 7 * t))
            )
            polygon(draw, ribbon(path, np.maximum(lines, 2.5)), ink(stripe))
        for k in range(1, 9):
            drop = place + (np.array([0, 0.11 * k]) * size * h)
            t = np.linspace(-1.7, 1.9, 70) * (-1 if flip else 1)
            bow = drop + np.stack([t * size * h, 0.05 * size * h * np.sin(t * 4 + k)], axis=1)
            bow[:, 1] += 0.06 * size * h
            lines = 0.034 * size * h * (0.6 + 0.4 * np.sin(t * 5 + 2 * k))
            polygon(draw, ribbon(bow, lines), ink(stripe if k % 2 else prussian))
        polygon(draw, ribbon(np.vstack([back, face[::-1]]), rim), ink(key))
        turn = -1.0 if flip else 1.0
        crest = resample(back[52:], 46)
        draw_claws(draw, crest, 0.050 * size * h + 7, rng, ink(cream), ink(key), turn)
        lip = resample(face[88:], 20)
        draw_claws(draw, lip, 0.036 * size * h + 6, rng, ink(cream), ink(key), -turn)
        for _ in range(int(30 * size / 0.3)):
            aim = rng.uniform(-np.pi, 0)
            far = size * h * rng.uniform(0.22, 0.5)
            spot = back[rng.integers(80, 120)] + far * np.array([np.cos(aim), np.sin(aim) * 0.8])
            r = rng.uniform(3, 10)
            disc(draw, spot[0], spot[1], r + 3, ink(key))
            disc(draw, spot[0], spot[1], r, ink(cream))

    colour: Array = single(image) / 255
    _, v = units(shape)
    dusk = smoothstep(0.30, 0.0, v) * 0.75
    flat = np.abs(colour - cream).max(axis=-1) + np.abs(colour - sand).max(axis=-1)
    colour = mix(colour, colour * (mid + 0.12), dusk * (flat < 0.5))
    grain = stretched_noise(shape, 2.5, 170, rng, 3)
    knots = v + 0.05 * stretched_noise(shape, 0.8, 2.5, rng, 2)
    rings = np.sin(knots * 260) * (0.5 + 0.5 * noise(shape, 3, rng, 2))
    darkness = 1 - colour.mean(axis=-1)
    wear = 0.055 * grain + 0.025 * rings + 0.02 * paper(shape, rng)
    return single(colour + (wear * (0.5 + 1.1 * darkness))[..., None])


def glass_labels(shape: tuple[int, int], rng: Generator) -> tuple[Labels, list[int]]:
    """Cells of the window, and for every cell the number of its family of colours."""
    u, v = units(shape)
    aspect = shape[1] / shape[0]
    x, y = u - aspect / 2, v - 0.36
    d = np.hypot(x, y) + 0.012 * noise(shape, 4, rng, 2)
    turn = np.arctan2(y, x) / TAU
    key = np.zeros(shape, np.int64)
    family = np.zeros(shape, np.int64)

    swirl = turn + 0.10 * np.sin(d * 9) + 0.012 * noise(shape, 5, rng, 2)
    edges = np.array([-1, 0.042, 0.088, 0.132, 0.182, 0.236, 0.294, 0.356, 0.424, 0.50, 2.0])
    shares = [1, 8, 16, 16, 16, 32, 32, 32, 32, 32]
    for i, share in enumerate(shares):
        ring = (d >= edges[i]) & (d < edges[i + 1])
        wedge = np.floor((swirl + (0.5 / share if i % 2 else 0.0)) * share).astype(np.int64) % share
        key[ring] = 1000 * (i + 1) + wedge[ring]
        family[ring] = min(i, 8)
        if i in (3, 4, 5, 6):
            ray = ring & (wedge % 2 == 0)
            family[ray] = 9 + i - 3

    hills = [
        (0.66, 0.035, 5.0, 0.3),
        (0.74, 0.045, 6.5, 2.2),
        (0.83, 0.04, 4.2, 4.1),
        (0.92, 0.03, 7.0, 0.9),
    ]
    for i, (base, swell, waves, phase) in enumerate(hills):
        crest = base + swell * np.sin(u * waves * 1.6 + phase)
        slant = (u + 0.22 * (v - crest) * (1 if i % 2 else -1)) * 14 + 0.5 * noise(shape, 5, rng, 2)
        shelf = np.floor((v - crest) / 0.045).astype(np.int64)
        land = v > crest
        bed = np.floor(slant + 0.5 * (shelf % 2)).astype(np.int64)
        key[land] = (100000 * (i + 1) + shelf * 200 + bed)[land]
        family[land] = 13 + i
    winding = aspect / 2 + 0.13 * np.sin((v - 0.6) * 15) * (v - 0.45) * 2
    wide = 0.012 + 0.30 * np.clip(v - 0.63, 0, 1)
    river = (np.abs(u - winding) < wide) & (v > 0.665)
    lane = np.floor((u - winding) / wide * 1.5 + 1.5).astype(np.int64)
    reach = np.floor(np.log(np.maximum(v - 0.60, 0.01)) * 5 + 0.4 * lane).astype(np.int64)
    key[river] = (900000 + reach * 10 + lane)[river]
    family[river] = 17

    canvas = Image.new("I", (shape[1], shape[0]), 0)
    draw = ImageDraw.Draw(canvas)
    code = 1
    h = shape[0]
    for cx, cy, r in [
        (0.13, 0.83, 0.115),
        (0.63, 0.80, 0.125),
        (0.25, 0.935, 0.10),
        (0.50, 0.945, 0.105),
    ]:
        stem = smooth_curve(
            [(cx * h, cy * h), ((cx + 0.02) * h, (cy + 0.12) * h), (cx * h, 1.05 * h)]
        )
        polygon(draw, ribbon(stem, 0.022 * h), 500 + code)
        for side in (-1, 1):
            leaf = smooth_curve(
                [
                    ((cx + 0.01) * h, (cy + 0.19) * h),
                    ((cx + side * 0.07) * h, (cy + 0.10) * h),
                    ((cx + side * 0.115) * h, (cy + 0.05) * h),
                ]
            )
            t = np.linspace(0, 1, len(leaf))
            polygon(
                draw,
                ribbon(leaf, 0.05 * h * np.sin(np.pi * t**0.8) + 1),
                520 + code * 2 + (side > 0),
            )
        for k in range(7):
            a = k * TAU / 7 + cx * 9
            spot = [(cx + 0.60 * r * np.cos(a)) * h, (cy + 0.60 * r * np.sin(a)) * h]
            t = np.linspace(0, TAU, 40)
            petal = np.stack([0.46 * r * h * np.cos(t), 0.30 * r * h * np.sin(t)], axis=1)
            spin = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
            polygon(draw, petal @ spin + spot, 10 * code + k)
        disc(draw, cx * h, cy * h, 0.27 * r * h, 10 * code + 8)
        code += 1
    flowers = np.asarray(canvas, np.int64)
    bloom = flowers > 0
    key[bloom] = 2_000_000 + flowers[bloom]
    family[bloom] = np.where(flowers[bloom] >= 500, 18, np.where(flowers[bloom] % 10 == 8, 1, 19))

    inset = np.minimum(np.minimum(u, aspect - u), np.minimum(v, 1 - v))
    border = inset < 0.042
    blocks = np.floor(u / aspect * 14).astype(np.int64) * 40 + np.floor(v * 19).astype(np.int64)
    key[border] = 3_000_000 + blocks[border]
    family[border] = 20 + (blocks[border] // 40 + blocks[border]) % 2

    names, flat = np.unique(key * 32 + family, return_inverse=True)
    return flat.reshape(shape).astype(np.int32), [int(n % 32) for n in names]


def stained_glass(shape: tuple[int, int], rng: Generator) -> Array:
    """A sun over flowering hills, in leaded glass lit from behind."""
    labels, families = glass_labels(shape, rng)
    hues = [
        "fff6c0 ffe680",
        "ffd23f ffb81f",
        "ff9d1c ff7f11",
        "f25c1f e63b1e",
        "c3203a a5173f",
        "8a1c63 6d1f78",
        "4a2a8c 3a3aa0",
        "2349a8 1d5fb8",
        "1b3f94 15307c",
        "ffc23a ffad20",
        "ff8a2a f77420",
        "e8506a d63a66",
        "a04ac0 8a3ab0",
        "2f9e6b 1f8a5a",
        "86b93a 6aa52e",
        "1b7a52 126048",
        "b5c73c 8fb32f",
        "35b6d6 8fdcea",
        "1f9150 0f6b3c",
        "ff4d6d e0244f",
        "d8a520 f0c040",
        "1d4fa0 7a1f4a",
    ]
    stock = [palette(pair) for pair in hues]
    count = len(families)
    fade = rng.uniform(0, 1, (count, 1)).astype(np.float32)
    pairs = np.array([stock[f] for f in families])
    glass = jittered(pairs[:, 0] * fade + pairs[:, 1] * (1 - fade), rng, 0.09, 0.05)

    line = single(seams(labels))
    near = blur(line, 3.2)
    came = smoothstep(0.055, 0.085, near)
    glow = 1 - np.clip(blur(line, 22) * 9, 0, 1)

    push = rng.integers(0, 900, (count, 2))
    streaks = stretched_noise((shape[0] + 900, shape[1] + 900), 9, 34, rng, 4)
    rows, columns = np.indices(shape)
    shift = push[labels]
    streak = streaks[rows + shift[..., 0], columns + shift[..., 1]]
    ripple = noise(shape, 34, rng, 2)
    bright = 0.48 + 0.44 * glow + 0.30 * streak + 0.14 * relief(blur(ripple, 2), 18)
    colour = single(glass[labels] * bright[..., None])
    colour = mix(colour, np.ones(3, np.float32), np.clip(glow * 0.5 + streak * 0.7 - 0.42, 0, 0.45))
    for _ in range(700):
        r = int(rng.uniform(3, 8))
        y, x = int(rng.integers(r, shape[0] - r)), int(rng.integers(r, shape[1] - r))
        dy, dx = np.ogrid[-r : r + 1, -r : r + 1]
        ring = np.clip(1 - np.abs(np.hypot(dx, dy) - r * 0.7) / 1.6, 0, 1)
        patch = colour[y - r : y + r + 1, x - r : x + r + 1]
        patch += (ring * np.sign(-dx - dy + 0.5))[..., None] * 0.16
    metal = 0.10 + 0.20 * np.clip(relief(np.minimum(near, 0.16), 26) - 0.9, 0, 1)
    metal = metal + 0.03 * noise(shape, 60, rng, 2)
    return mix(colour, np.repeat(metal[..., None], 3, axis=2) * palette("d8dcf0")[0], came)


CLOUD, HILL, TREE = 1, 2, 3
# Orchard trees: centre of the crown, its size, and how near it stands.
GROVES = [
    (0.12, 0.535, 0.030, 3.5),
    (0.19, 0.525, 0.034, 3.5),
    (0.27, 0.53, 0.030, 3.5),
    (0.42, 0.56, 0.034, 3.5),
    (1.06, 0.50, 0.032, 3.6),
    (1.13, 0.485, 0.036, 3.6),
    (1.21, 0.485, 0.034, 3.6),
    (1.29, 0.50, 0.036, 3.6),
    (0.60, 0.65, 0.050, 4.5),
    (0.72, 0.64, 0.056, 4.5),
    (0.86, 0.67, 0.050, 4.5),
    (0.11, 0.77, 0.090, 5.5),
    (1.17, 0.78, 0.105, 5.6),
    (0.37, 0.86, 0.070, 5.5),
    (0.93, 0.88, 0.060, 5.6),
]


@dataclass
class Ball:
    """A rounded form in the engraved landscape: centre, radii and depth, in units.

    ``mass`` is the centre and size of the cloud or crown that it is a part of.
    """

    x: float
    y: float
    rx: float
    ry: float
    near: float
    kind: int
    mass: tuple[float, float, float] = (0.0, 0.0, 0.0)


def engraved_scene(aspect: float, rng: Generator) -> list[Ball]:
    """Billowing clouds, hills and orchard trees, all built of rounded forms."""
    balls = []
    for cx, cy, size in [(0.22, 0.33, 0.24), (1.08, 0.29, 0.29), (0.64, 0.43, 0.14)]:
        for _ in range(46):
            a, reach = rng.uniform(0, TAU), rng.uniform(0, 1) ** 0.6
            x, y = cx + 1.3 * size * reach * np.cos(a), cy + 0.5 * size * reach * np.sin(a)
            r = size * rng.uniform(0.16, 0.38) * (1.15 - 0.5 * reach)
            balls.append(Ball(x, y, r, r * 0.92, 1.0 + 0.5 * y, CLOUD, (cx, cy, 1.2 * size)))
    hills = [
        (0.20, 0.92, 0.62, 0.40, 3.0),
        (1.18, 0.95, 0.66, 0.46, 3.2),
        (0.68, 1.04, 0.60, 0.40, 4.0),
        (0.04, 1.24, 0.66, 0.46, 5.0),
        (1.22, 1.28, 0.76, 0.48, 5.2),
        (0.62, 1.42, 0.74, 0.48, 6.0),
    ]
    balls += [Ball(x, y, rx, ry, near, HILL) for x, y, rx, ry, near in hills]
    for cx, cy, size, near in GROVES:
        for _ in range(24):
            a, reach = rng.uniform(0, TAU), rng.uniform(0, 1) ** 0.5
            x, y = cx + 0.8 * size * reach * np.cos(a), cy + 0.75 * size * reach * np.sin(a)
            r = size * rng.uniform(0.24, 0.42)
            lump = near + 0.02 * rng.uniform() - 0.02 * reach
            balls.append(Ball(x, y, r, r, lump, TREE, (cx, cy, 1.2 * size)))
    return balls


def even_lines(angle: Array, wanted: Mask, gap: float, rng: Generator) -> list[Points]:
    """Lines along ``angle`` that keep ``gap`` apart, grown outwards from one another."""
    cell = 2
    turns, allow = angle[::cell, ::cell], wanted[::cell, ::cell]
    rows, columns = allow.shape
    reach = max(1, round(gap * 0.72 / cell))
    across, down = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    stamp = across**2 + down**2 <= reach**2 + 1
    taken = np.zeros((rows + 2 * reach, columns + 2 * reach), bool)
    cosines, sines = np.cos(turns), np.sin(turns)

    def walk(x: float, y: float, sign: float) -> list[tuple[float, float]]:
        points: list[tuple[float, float]] = []
        px, py = 0.0, 0.0
        for _ in range(int(rng.integers(40, 260))):
            i, j = int(y / cell), int(x / cell)
            if not (0 <= i < rows and 0 <= j < columns) or not allow[i, j]:
                break
            if taken[i + reach, j + reach]:
                break
            points.append((x, y))
            dx, dy = float(cosines[i, j]) * sign, float(sines[i, j]) * sign
            if points[1:] and dx * px + dy * py < 0:
                dx, dy = -dx, -dy
            if points[1:] and dx * px + dy * py < 0.6:
                break
            px, py = dx, dy
            x, y = x + dx * 4, y + dy * 4
        return points

    lines: list[Points] = []
    queue: deque[tuple[float, float]] = deque()
    spare = iter([(float(x), float(y)) for x, y in scattered(angle.shape, gap * 2.2, rng)])
    while True:
        if queue:
            x, y = queue.popleft()
        else:
            seed = next(spare, None)
            if seed is None:
                return lines
            x, y = seed
        ahead = walk(x, y, 1.0)
        route = walk(x, y, -1.0)[:0:-1] + ahead
        if len(route) < 5:
            continue
        line = np.array(route)
        lines.append(line)
        for px, py in route:
            i, j = int(py / cell), int(px / cell)
            taken[i : i + 2 * reach + 1, j : j + 2 * reach + 1] |= stamp
        side = normals(line)
        for k in range(2, len(line), 5):
            for sign in (-1, 1):
                queue.append(tuple(line[k] + side[k] * sign * gap))


def ink_hatching(shape: tuple[int, int], rng: Generator) -> Array:
    """Clouds over an orchard valley, engraved line by line on toned paper."""
    u, v = units(shape)
    aspect = shape[1] / shape[0]
    depth = np.zeros(shape, np.float32)
    kind = np.zeros(shape, np.int32)
    field = np.zeros(shape, np.int64)
    nx, ny = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    nz = np.ones(shape, np.float32)
    ploughed = np.zeros(shape, np.float32)
    puff = 0.010 * noise(shape, 16, rng, 3)
    twigs = 0.005 * noise(shape, 60, rng, 2)
    for n, ball in enumerate(engraved_scene(aspect, rng), start=1):
        stir = {CLOUD: puff, HILL: puff * 0.3, TREE: twigs}[ball.kind]
        px, py = (u + stir - ball.x) / ball.rx, (v + stir - ball.y) / ball.ry
        inside = 1 - px * px - py * py
        rise = np.sqrt(np.maximum(inside, 0))
        level = ball.near + rise * min(ball.rx, 0.14)
        seen = (inside > 0) & (level > depth)
        depth[seen], kind[seen] = level[seen], ball.kind
        if ball.kind != HILL:
            cx, cy, size = ball.mass
            px, py = 0.55 * px + 0.45 * (u - cx) / size, 0.55 * py + 0.45 * (v - cy) / size
        nx[seen], ny[seen], nz[seen] = px[seen], py[seen], rise[seen]
        if ball.kind == HILL:
            up = np.arcsin(np.clip(py, -1, 1))
            plot = (
                np.floor(px * 3.1 + 0.6 * up + 9 * puff + n) * 31
                + np.floor(up * 4 + px + 12 * puff) * 7
                + n * 211
            )
            field = np.where(seen, plot.astype(np.int64) % 997 + 1, field)
            steep = 1 / (ball.ry * np.sqrt(np.maximum(1 - py * py, 0.05)))
            lean = (field * 37 % 5) * 0.30 + 0.75
            furrow = np.arctan2(-np.cos(lean) / ball.rx, np.sin(lean) * steep)
            ploughed = np.where(seen, furrow, ploughed)
        else:
            field[seen] = 0

    sun_x, sun_y = 0.66, 0.19
    lamp = np.clip(-0.62 * nx - 0.62 * ny + 0.48 * nz, -0.3, 1).astype(np.float32)
    away = np.hypot(u - sun_x, v - sun_y)
    sky = kind == 0
    dark = 0.86 - 0.92 * lamp
    dark = np.where(sky, np.clip(0.12 + 0.95 * away + 0.16 * np.sin(away * 70), 0, 0.8), dark)
    dark = np.where(kind == CLOUD, dark * 0.95 - 0.03, dark)
    crop = (field * 53 % 7) / 7
    cast = np.zeros(shape, np.float32)
    for cx, cy, size, _ in GROVES:
        across, down = (u - cx - 0.8 * size) / (1.5 * size), (v - cy - 1.25 * size) / (0.26 * size)
        cast = np.maximum(cast, smoothstep(1.1, 0.8, np.hypot(across, down)))
    dark = np.where(kind == HILL, 0.08 + 0.55 * dark + 0.36 * crop + 0.6 * cast, dark)
    dark = np.where(kind == TREE, dark * 0.9 + 0.26, dark)
    dark = np.clip(dark + 0.10 * noise(shape, 9, rng, 3), 0, 1)
    dark = np.where(away < 0.085, 0.0, dark).astype(np.float32)

    isophote = flow_along(blur(lamp, 3) + 0.02 * noise(shape, 8, rng, 2))
    ring = np.arctan2(u - sun_x, -(v - sun_y)) + 0.05 * noise(shape, 6, rng, 2)
    angle = np.where(sky, ring, np.where(kind == HILL, ploughed, isophote)).astype(np.float32)

    plate = Image.new("L", (shape[1], shape[0]), 0)
    draw = ImageDraw.Draw(plate)
    for cx, cy, size, _ in GROVES:
        t = np.linspace(0, 1, 12)
        stem = np.stack([cx + 0.06 * size * np.sin(t * 4), cy + size * (0.7 + 0.6 * t)], axis=1)
        polygon(draw, ribbon(stem * shape[0], size * shape[0] * (0.16 + 0.16 * t**4)), 255)
    passes = [(0.0, 0.08, 11.0, 0.85), (0.95, 0.50, 11.5, 0.7), (-0.6, 0.76, 11.0, 0.7)]
    for turn, floor, gap, weight in passes:
        for line in even_lines(angle + np.float32(turn), dark > floor, gap, rng):
            tone = sample(dark, line[:, 0], line[:, 1])
            count = np.arange(len(line))
            taper = np.minimum(1, np.minimum(count, count[::-1]) / 4)
            swell = 0.12 + 0.66 * np.clip(tone - floor * 0.6, 0, 1)
            polygon(draw, ribbon(line, gap * weight * swell * (0.25 + 0.75 * taper)), 255)
    jump = np.zeros(shape, bool)
    for axis in (0, 1):
        near, far = np.moveaxis(depth, axis, 0), np.moveaxis(field, axis, 0)
        edge = (np.abs(np.diff(near, axis=0)) > 0.09) | (np.diff(far, axis=0) != 0)
        np.moveaxis(jump, axis, 0)[1:] |= edge
    contour = smoothstep(0.07, 0.15, blur(jump.astype(np.float32), 2.0))
    black = np.maximum(single(plate) / 255, contour)

    tooth = paper(shape, rng)
    sheet = ramp(0.5 + 0.5 * noise(shape, 3, rng), palette("f8ebcb f2dfb4"))
    tan = palette("dd9c55 c06f38")
    colour = mix(sheet, ramp(dark, tan), smoothstep(0.30, 0.38, dark + 0.03 * tooth) * 0.9)
    glow = smoothstep(0.40, 0.10, away) * sky
    colour = mix(colour, palette("eda83a")[0], 0.85 * glow)
    colour = mix(colour, palette("c8402a")[0], ((away < 0.085) & sky) * np.float32(1))
    colour = colour + 0.02 * tooth[..., None]
    return mix(colour, palette("1d1712")[0], np.clip(black * (0.97 + 0.06 * tooth), 0, 1))


@dataclass
class Cartoon:
    """A mosaic's full-size design: colours, directions of the rows, and numbered parts."""

    u: Array
    v: Array
    colour: Array
    angle: Array
    part: Labels

    def put(self, mask: Mask, tone: Array, angle: Array | float) -> None:
        """Add a new part on top of those already there."""
        self.colour = np.where(mask[..., None], tone, self.colour)
        self.angle = np.where(mask, angle, self.angle)
        self.part = np.where(mask, self.part.max() + 1, self.part)


def put_lily(cartoon: Cartoon, x: float, y: float, r: float, notch: float) -> None:
    """A lily pad with a notch and a flower."""
    far, bearing = around(cartoon.u, cartoon.v, x, y)
    whole = np.abs(swing(bearing, notch)) > 0.22
    veins = np.abs(np.sin(bearing * 5)) < 0.13
    greens = ramp(far / r, palette("d7dc6a 7fb03c 2f7a3e 1a5233"))
    greens[veins] = palette("e6e59a")[0]
    pinks = palette("f8d24a f6c8c8 e86a8a b52d62")
    petals = ramp(far / r / 0.42 + 0.2 * np.cos(bearing * 8), pinks)
    rows = bearing + np.pi / 2
    cartoon.put((far < r + 0.014) & whole, palette("0b2a33")[0], rows)
    cartoon.put((far < r) & whole, greens, rows)
    cartoon.put(far < r * 0.42, petals, rows)


def put_koi(cartoon: Cartoon, knots: list[tuple[float, float]], hues: Array, spots: Array) -> None:
    """A koi along a curve from nose to tail; ``spots`` above 0.25 are dark patches."""
    u, v, shape = cartoon.u, cartoon.v, cartoon.part.shape
    girth, count = 0.088, 80
    outline = palette("07222e")[0]
    path = resample(smooth_curve(knots), count)
    t = np.linspace(0, 1, count)
    body = np.sin(np.pi * np.clip(t * 1.08 + 0.06, 0, 1) ** 0.72) ** 0.8
    half = girth * np.maximum(body, 0.20)
    tangent = np.gradient(path, axis=0)
    lean = np.arctan2(tangent[:, 1], tangent[:, 0])

    gap, rows = np.full(shape, 9.0, np.float32), np.zeros(shape, np.float32)
    place, side = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for i, ((x, y), wide) in enumerate(zip(path, half, strict=True)):
        far = np.hypot(u - x, v - y)
        closer = far - wide < gap
        cross = tangent[i, 0] * (v - y) - tangent[i, 1] * (u - x)
        gap[closer], rows[closer], place[closer] = (far - wide)[closer], lean[i], t[i]
        side[closer] = (np.sign(cross) * far / girth)[closer]

    shoulder = 24
    far, bearing = around(u, v, path[shoulder, 0], path[shoulder, 1])
    for hand in (-1, 1):
        off = swing(bearing, lean[shoulder] + hand)
        reach = 0.165 * np.cos(off * 1.9)
        tone = ramp(0.3 + 2.5 * far + 0.2 * np.sin(off * 30), hues)
        cartoon.put((far < reach + 0.012) & (np.abs(off) < 0.76), outline, bearing)
        cartoon.put((far < reach) & (np.abs(off) < 0.7), tone, bearing)

    far, bearing = around(u, v, path[-1, 0], path[-1, 1])
    off = swing(bearing, lean[-4])
    reach = 0.17 * (0.55 + 0.45 * np.abs(np.sin(off * 1.7)))
    tail = ramp(0.6 * far / 0.17 - 0.25 * np.sin(off * 26) / 2 + 0.125, hues[::-1])
    halo = ((far < reach + 0.012) & (np.abs(off) < 1.02)) | (gap < 0.013)
    cartoon.put(halo, outline, np.where(gap < 0.013, rows, bearing))
    cartoon.put((far < reach) & (np.abs(off) < 0.95), tail, bearing)

    scales = (np.sin(place * 95 + np.pi * np.floor(side * 5)) > 0.2) & (place > 0.2)
    tone = ramp(np.abs(side) * 0.9, hues)
    tone = np.where((np.sin(place * 21 + 0.8) + spots > 0.25)[..., None], hues[2], tone)
    cartoon.put(gap < 0, np.where(scales[..., None], tone * 0.84, tone), rows)
    for hand in (-1, 1):
        x, y = path[7] + normals(path)[7] * hand * girth * 0.42
        eye = np.hypot(u - x, v - y)
        cartoon.put(eye < 0.017, palette("fff4dc")[0], 0.0)
        cartoon.put(eye < 0.011, palette("0a0a12")[0], 0.0)


def koi_pond(shape: tuple[int, int], rng: Generator) -> Cartoon:
    """The design: swirling water in a striped frame, four lily pads and two koi."""
    u, v = units(shape)
    aspect = shape[1] / shape[0]
    d, turn = around(u, v, aspect / 2, 0.5)
    stream = d + 0.05 * np.sin(3 * turn + 7 * d) + 0.10 * noise(shape, 2.4, rng, 2)
    wave = 0.5 + 0.5 * np.sin(stream * 34)
    water = ramp(
        wave * 0.72 + 0.2 * noise(shape, 5, rng) + 0.12,
        palette("0b3a53 10607a 1f8a96 59b8ac c2e3c8"),
    )
    rings = np.floor(stream * 34 / np.pi).astype(np.int32) % 2
    cartoon = Cartoon(u, v, water, flow_along(stream), rings)

    rim = np.minimum(np.minimum(u, aspect - u), np.minimum(v, 1 - v))
    stripes = ramp(0.5 + 0.5 * np.sin((u + v) * 60), palette("b8321f e8a53a f4dfa6"))
    cartoon.put(rim < 0.075, palette("3a1420")[0], 0.0)
    cartoon.put(rim < 0.058, stripes, 0.0)
    cartoon.put(rim < 0.020, palette("3a1420")[0], 0.0)
    for x, y, r, notch in [
        (0.17, 0.20, 0.10, 0.6),
        (1.17, 0.82, 0.115, 3.6),
        (1.19, 0.17, 0.07, 2.4),
        (0.15, 0.83, 0.075, 5.4),
    ]:
        put_lily(cartoon, x, y, r, notch)
    red = [(0.43, 0.62), (0.355, 0.43), (0.44, 0.25), (0.63, 0.175), (0.83, 0.20)]
    gold = [(0.92, 0.40), (0.985, 0.58), (0.89, 0.75), (0.69, 0.825), (0.50, 0.795)]
    for knots, hues in [
        (red, "f6ead2 f2742b d93a1e 8f1d1a"),
        (gold, "fff4dc f7b733 f08a24 b5451b"),
    ]:
        put_koi(cartoon, knots, palette(hues), 0.9 * noise(shape, 5, rng, 2))
    return cartoon


def settle_tiles(angle: Array, part: Labels, spots: Points, size: float, rounds: int) -> Points:
    """Move tiles to the middles of their own squares of space (Lloyd, in a turned grid)."""
    rows, columns = angle.shape
    reach = int(size * 1.1) + 1
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    seam = seams(part)
    grid_y, grid_x = np.mgrid[0:rows, 0:columns]
    for _ in range(rounds):
        best = np.full((rows + 2 * reach, columns + 2 * reach), 1e9, np.float32)
        owner = np.full(best.shape, -1, np.int64)
        for n, (x, y) in enumerate(spots):
            i = min(max(int(y), 0), rows - 1)
            j = min(max(int(x), 0), columns - 1)
            c, s = np.cos(angle[i, j]), np.sin(angle[i, j])
            gap = np.maximum(np.abs(dx * c + dy * s), np.abs(dy * c - dx * s))
            window = np.s_[i : i + 2 * reach + 1, j : j + 2 * reach + 1]
            nearer = gap < best[window]
            best[window][nearer] = gap[nearer]
            owner[window][nearer] = n
        mine = owner[reach:-reach, reach:-reach]
        live = (mine >= 0) & ~seam
        weight = np.bincount(mine[live], minlength=len(spots))
        sum_x = np.bincount(mine[live], grid_x[live], minlength=len(spots))
        sum_y = np.bincount(mine[live], grid_y[live], minlength=len(spots))
        held = weight > 0
        spots = spots.copy()
        spots[held, 0] = sum_x[held] / weight[held]
        spots[held, 1] = sum_y[held] / weight[held]
    return spots


def mosaic_koi(shape: tuple[int, int], rng: Generator) -> Array:
    """Two koi circling among lily pads, in glass and marble tesserae."""
    small = (shape[0] // 3, shape[1] // 3)
    cartoon = koi_pond(small, rng)
    angle = cartoon.angle
    size = 7.4
    spots = scattered(small, size, rng)
    keep = (spots[:, 0] > -3) & (spots[:, 0] < small[1] + 3)
    keep &= (spots[:, 1] > -3) & (spots[:, 1] < small[0] + 3)
    spots = settle_tiles(angle, cartoon.part, spots[keep], size, 14)

    bed = Image.new("RGB", (shape[1], shape[0]), ink(palette("2b2622")[0]))
    bump = Image.new("L", (shape[1], shape[0]), 0)
    draw, rise = ImageDraw.Draw(bed), ImageDraw.Draw(bump)
    tones = jittered(sample(cartoon.colour, spots[:, 0], spots[:, 1]), rng, 0.11, 0.035)
    for (x, y), tone in zip(spots, tones, strict=True):
        turn = float(sample(angle, np.array([x]), np.array([y]))[0]) + rng.normal(0, 0.03)
        half = size * 3 * 0.5 * rng.uniform(0.84, 0.93)
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
        corners = corners * rng.uniform(0.94, 1.04, 2) + rng.normal(0, 0.8, (4, 2))
        spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        at = corners @ spin + [x * 3, y * 3]
        polygon(draw, at, ink(tone))
        polygon(rise, at, int(rng.uniform(150, 255)))
    height = single(bump) / 255
    stone = single(bed) / 255
    grout = height == 0
    veins = noise(shape, 60, rng, 3)
    stone = stone * (1 + np.where(grout, 0.35, 0.13) * veins)[..., None]
    tilt = relief(blur(height, 3.0) + 0.05 * veins, 4.0)
    return lit(stone, tilt, 0.30)


def riverside(shape: tuple[int, int], rng: Generator) -> Array:
    """The dotted landscape's design: a river, boats, poplars and a meadow in low sun."""
    u, v = units(shape)
    level, sun_x, sun_y = 0.47, 0.46, 0.29
    sun = np.hypot(u - sun_x, v - sun_y)
    colour = ramp(v / level, palette("2f62b8 5a93d6 93c3dc d6dcc0 fbd28a f9a765"))
    drift = stretched_noise(shape, 2.2, 8, rng, 4)
    colour = mix(
        colour, ramp(v / level, palette("d9a6da f3aec0 ffd9a0")), smoothstep(0.08, 0.3, drift)
    )
    rings = 0.5 + 0.5 * np.cos(sun * 95)
    warm = ramp(sun / 0.30, palette("ffb63a ffc24a ffae58 f79a78"))
    colour = mix(colour, warm, smoothstep(0.30, 0.06, sun) * (0.55 + 0.45 * rings))
    colour = mix(colour, palette("fff09a")[0], smoothstep(0.062, 0.052, sun))

    def lay(mask: Mask, tone: Array) -> None:
        nonlocal colour
        colour = np.where(mask[..., None], tone, colour)

    bumps = noise(shape, 24, rng, 2)
    for lift, swell, waves, phase, codes in [
        (0.075, 0.035, 5.0, 1.0, "6f62b8 8a84d0 b8a0cc"),
        (0.040, 0.030, 7.0, 3.6, "33608f 4f8f8a 8fb06a"),
        (0.014, 0.010, 23.0, 0.4, "1f3f6a 2f7a4f b0b83a"),
    ]:
        crest = level - lift - swell * np.sin(u * waves + phase) - 0.006 * bumps
        lay((v > crest) & (v < level), ramp((v - crest) / 0.09 + 0.2 * bumps, palette(codes)))

    def poplar(x: float, foot: float, tall: float) -> None:
        t = np.clip((foot - v) / tall, 0, 1)
        half = 0.15 * tall * np.abs(np.sin(np.pi * t**0.6)) ** 0.7 + 0.010 * bumps * (t < 0.99)
        side = (u - x) / (0.15 * tall)
        turned = np.clip(0.42 - 0.55 * side + 0.35 * noise(shape, 30, rng, 2), 0, 1)
        crown = (np.abs(u - x) < half) & (t > 0.06) & (t < 1)
        lay((np.abs(u - x) < 0.012 * tall) & (t > 0) & (t < 0.2), palette("4a2a5a")[0])
        lay(crown, ramp(turned, palette("1c2a66 1f5470 2f8a4f a5bf3a f5d64a")))

    for x, foot, tall in [
        (0.05, 0.485, 0.26),
        (0.115, 0.482, 0.20),
        (0.17, 0.48, 0.15),
        (0.74, 0.48, 0.14),
    ]:
        poplar(x, foot, tall)

    water = v >= level
    mirror_row = np.clip((2 * level - v) * shape[0], 0, shape[0] - 1).astype(int)
    sway = 30 * np.sin(v * 190) * np.clip((v - level) * 4, 0, 1)
    mirror_column = np.clip(np.arange(shape[1]) + sway, 0, shape[1] - 1).astype(int)
    deep = ramp((v - level) / 0.5, palette("f9b56f c9a3b8 6a8fd0 2f5fb0 1f3f8f"))
    ripple = smoothstep(-0.2, 0.5, np.sin(v * 150 + 4 * stretched_noise(shape, 3, 8, rng, 2)))
    lay(water, mix(colour[mirror_row, mirror_column], deep, 0.35 + 0.4 * ripple * (v > 0.5)))
    glitter = np.exp(-(((u - sun_x) / (0.03 + 0.16 * (v - level))) ** 2)) * water
    colour = mix(colour, palette("fff0a8")[0], glitter * (0.55 + 0.5 * np.sin(v * 210)))

    for x, y, s in [(0.26, 0.635, 0.22), (0.60, 0.525, 0.10)]:
        rise = (y - v) / s
        wide = s * 0.42 * (1 - rise)
        fall = (v - y) / s
        echo = (fall > 0.1) & (fall < 0.8) & (np.abs(u - x - 0.01) < s * 0.3 * (1 - fall))
        lay(echo & (np.sin(v * 230) > -0.3), palette("f0d8d0")[0])
        lay((rise > 0.06) & (rise < 1) & (u > x) & (u < x + wide), palette("fff6e4")[0])
        lay(
            (rise > 0.1) & (rise < 0.9) & (u < x - 0.01) & (u > x - 0.7 * wide),
            palette("f2955f")[0],
        )
        lay(
            (np.abs(u - x) < s * 0.45 - fall * s * 1.1) & (fall > -0.04) & (fall < 0.10),
            palette("5a2350")[0],
        )

    bank = 0.50 + 0.56 * smoothstep(1.12, 0.22, u) + 0.012 * np.sin(u * 17) + 0.008 * bumps
    meadow = v > bank
    furrow = np.sin((v - 0.45 * u) * 44 + 3 * noise(shape, 4, rng, 2))
    grass = ramp(
        0.55 + 0.30 * furrow + 0.4 * noise(shape, 9, rng, 2) * 0.6,
        palette("2f3f8f 246f6a 4f9a3f a8c440 f4dc62"),
    )
    lay(meadow, grass)
    lay(meadow & (v < bank + 0.014), palette("23406f")[0])
    blooms = meadow & (v > 0.6)
    lay(blooms & (noise(shape, 40, rng, 2) > 0.40), palette("e23a2f")[0])
    lay(blooms & (noise(shape, 44, rng, 2) > 0.46), palette("f7c6d8")[0])
    for x, foot, tall in [(0.95, 0.575, 0.36), (1.03, 0.60, 0.46), (1.125, 0.635, 0.55)]:
        fall = (v - foot) / 0.16
        shade = (
            (fall > 0)
            & (fall < 1)
            & (np.abs(u - x - 0.75 * (v - foot)) < 0.018 + 0.012 * fall)
            & meadow
        )
        lay(shade, palette("3a3a96")[0])
        poplar(x, foot, tall)
    trunk = np.abs(u - 1.29 - 0.03 * np.sin(v * 6)) < 0.022 + 0.03 * smoothstep(0.7, 0.95, v)
    lay(trunk & (v < 0.9), ramp((u - 1.26) / 0.06, palette("d98a4a 7a3f5a 2a2560")))
    for x, y, r in [(1.33, 0.10, 0.20), (1.17, 0.06, 0.13), (1.32, 0.33, 0.13), (1.05, 0.02, 0.08)]:
        d = np.hypot(u - x, (v - y) * 1.15) / r + 0.30 * noise(shape, 22, rng, 2)
        turned = 0.5 - 0.35 * (u - x) / r + 0.5 * noise(shape, 17, rng, 2)
        lay(d < 1, ramp(turned, palette("1c2a66 1c5a60 3f8f3f b8c43a fbe27a")))
    return colour.astype(np.float32)


def pointillism(shape: tuple[int, int], rng: Generator) -> Array:
    """A river in low sun, in dots of divided colour."""
    colour = riverside(shape, rng)
    grey = colour.mean(axis=-1, keepdims=True)
    opposite = np.clip(grey + (grey - colour) * 0.8, 0, 1)
    vivid = np.clip(grey + (colour - grey) * 1.18, 0, 1)
    bed = mix(colour * 0.8, palette("efe0bf")[0], 0.25)
    image = Image.fromarray((np.clip(bed, 0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for gap, radius, spread in [(15.0, 9.6, 0.06), (12.0, 7.4, 0.10), (12.5, 5.8, 0.15)]:
        spots = scattered(shape, gap, rng)
        tones = jittered(sample(vivid, spots[:, 0], spots[:, 1]), rng, spread, spread * 0.55)
        counter = sample(opposite, spots[:, 0], spots[:, 1])
        swap = rng.uniform(0, 1, len(spots)) < 0.13 - 0.13 * tones.mean(axis=1) ** 2
        tones[swap] = 0.6 * counter[swap] + 0.4 * tones[swap]
        radii = radius * rng.uniform(0.75, 1.1, len(spots))
        for (x, y), tone, r in zip(spots, tones, radii, strict=True):
            disc(draw, x, y, r, ink(tone))
    canvas = single(image) / 255
    bump = blur(canvas.mean(axis=-1), 1.5)
    return lit(canvas, relief(bump, 1.6), 0.15) * (1 + 0.02 * paper(shape, rng))[..., None]


def marbled_paper(shape: tuple[int, int], rng: Generator) -> Array:
    """Inks dropped on a bath, drawn with rakes and combs, and lifted onto paper."""
    u, v = units(shape)
    aspect = shape[1] / shape[0]
    x, y = u.astype(np.float32), v.astype(np.float32)

    # The bath is worked backwards: undo the last comb first, then ask which drop lies there.
    for cx, cy, r, push in [
        (0.30, 0.28, 0.16, 0.9),
        (0.98, 0.34, 0.19, -1.0),
        (0.62, 0.74, 0.18, 1.0),
        (0.12, 0.82, 0.12, -0.8),
        (1.22, 0.84, 0.14, 0.9),
    ]:
        dx, dy = x - cx, y - cy
        turn = push * 2.2 * np.exp(-((dx * dx + dy * dy) / (r * r)))
        c, s = np.cos(turn), np.sin(turn)
        x, y = cx + dx * c - dy * s, cy + dx * s + dy * c
    x = x + 0.020 * np.sin(y * 9 + 0.6)
    teeth = np.abs((x * 19) % 1.0 - 0.5) * 2
    y = y + 0.085 * (np.exp(-((1 - teeth) * 2.6)) - 0.35)
    x = x + 0.03 * np.sin(y * 16 + 1.0)
    rake = np.floor(y * 8)
    teeth = np.abs((y * 8) % 1.0 - 0.5) * 2
    x = x + np.where(rake % 2 > 0, 1, -1) * 0.16 * np.exp(-(1 - teeth) * 2.2)
    teeth = np.abs((x * 5 + 0.3) % 1.0 - 0.5) * 2
    y = y + np.where(np.floor(x * 5 + 0.3) % 2 > 0, 1, -1) * 0.20 * np.exp(-(1 - teeth) * 1.8)

    inks = palette("16264f 0e5a6b b3202c e9b44c f4e6c8 1a1a24 2f8f83 d9622b 8fc1b5 6a1b3f")
    colour = np.broadcast_to(inks[0], (*shape, 3)).copy()
    free = np.ones(shape, bool)
    for _ in range(210):
        cx, cy = rng.uniform(-0.3, aspect + 0.3), rng.uniform(-0.3, 1.3)
        r = rng.uniform(0.03, 0.095)
        dx, dy = x - cx, y - cy
        far = dx * dx + dy * dy
        inside = free & (far < r * r)
        colour[inside] = inks[rng.integers(0, len(inks))]
        free &= ~inside
        squeeze = np.sqrt(np.maximum(1 - r * r / np.maximum(far, 1e-6), 0)).astype(np.float32)
        x, y = cx + dx * squeeze, cy + dy * squeeze
    band = (np.floor((x + 0.6 * y) * 9).astype(int)) % len(inks)
    colour[free] = inks[band][free]

    pool = (
        0.06 * noise(shape, 7, rng) + 0.035 * noise(shape, 120, rng, 2) + 0.02 * paper(shape, rng)
    )
    edge = np.abs(np.gradient(blur(colour.mean(axis=-1), 1.6))).max(axis=0)
    return single(colour * (1 + pool - np.clip(edge * 1.6, 0, 0.25))[..., None])


def split_facets(outline: Points, rng: Generator, smallest: float) -> list[Points]:
    """Cut a convex polygon again and again with slanted lines."""
    pieces: list[Points] = []
    stack = [outline]
    while stack:
        piece = stack.pop()
        x, y = piece[:, 0], piece[:, 1]
        area = 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
        if area < smallest * rng.uniform(0.7, 3.2):
            pieces.append(piece)
            continue
        spread = piece - piece.mean(axis=0)
        axis = np.linalg.eigh(spread.T @ spread)[1][:, 1]
        lean = np.arctan2(axis[1], axis[0]) + rng.normal(0, 0.5)
        across = np.array([np.cos(lean), np.sin(lean)])
        weights = rng.dirichlet(np.full(len(piece), 2.5))
        level = (piece - weights @ piece) @ across
        halves: tuple[list[Points], list[Points]] = ([], [])
        for i in range(len(piece)):
            j = (i + 1) % len(piece)
            halves[int(level[i] > 0)].append(piece[i])
            if (level[i] > 0) != (level[j] > 0):
                crossing = piece[i] + (piece[j] - piece[i]) * level[i] / (level[i] - level[j])
                halves[0].append(crossing)
                halves[1].append(crossing)
        stack += [np.array(half) for half in halves if len(half) >= 3]
    return pieces


def still_life(shape: tuple[int, int]) -> Array:
    """Bottle, guitar, fruit and table: the motif that the facets break up."""
    rows, columns = shape
    h = rows / 100
    tones = palette("c9a66b 2e5f66 7a3b1e e0b568 17343a f0e2c0 9a5a2a c4552d 3d8a86 24140e 6b7f4a")
    image = Image.new("RGB", (columns, rows), ink(tones[1]))
    draw = ImageDraw.Draw(image)

    def shape_of(knots: list[tuple[float, float]], tone: Array, shift: float = 0.0) -> None:
        polygon(draw, smooth_curve([*knots, knots[0]]) * h, ink(tone, shift))

    def box(corners: list[tuple[float, float]], tone: Array) -> None:
        polygon(draw, np.array(corners) * h, ink(tone))

    box([(0, 0), (34, 0), (20, 62), (0, 62)], tones[8])
    box([(50, 0), (82, 0), (82, 40), (58, 62)], tones[0])
    box([(0, 64), (82, 58), (82, 100), (0, 100)], tones[6])
    box([(6, 70), (60, 62), (76, 92), (14, 100)], tones[5])
    box([(20, 72), (54, 67), (64, 84), (26, 92)], tones[3])
    shape_of(
        [(22, 14), (30, 14), (31, 28), (37, 38), (37, 76), (15, 76), (15, 38), (21, 28)], tones[4]
    )
    box([(17, 48), (35, 48), (35, 64), (17, 64)], tones[5])
    box([(22, 10), (30, 10), (30, 18), (22, 18)], tones[7])
    shape_of(
        [
            (48, 36),
            (60, 34),
            (66, 42),
            (62, 52),
            (70, 62),
            (66, 80),
            (50, 84),
            (36, 76),
            (38, 62),
            (46, 54),
            (42, 44),
        ],
        tones[2],
    )
    shape_of(
        [
            (49, 39),
            (59, 37),
            (63, 43),
            (59, 52),
            (66, 63),
            (63, 77),
            (50, 80),
            (40, 74),
            (42, 63),
            (49, 54),
            (45, 44),
        ],
        tones[3],
    )
    disc(draw, 53 * h, 60 * h, 6.2 * h, ink(tones[9]))
    box([(50, 8), (56, 7), (56, 60), (51, 60)], tones[9])
    box([(47, 2), (59, 1), (58, 11), (49, 12)], tones[2])
    for k in range(5):
        x = 50.8 + k * 1.1
        draw.line(
            [(x * h, 6 * h), ((x + 0.4) * h, 76 * h)], fill=ink(tones[5]), width=int(h * 0.35)
        )
    box([(45, 71), (62, 69), (62, 73), (45, 75)], tones[9])
    for x, y, r, tone in [(12, 84, 8, tones[7]), (25, 89, 7, tones[10]), (72, 88, 8, tones[7])]:
        disc(draw, x * h, y * h, r * h, ink(tone))
        disc(draw, (x - r * 0.25) * h, (y - r * 0.25) * h, r * 0.55 * h, ink(tone, 0.14))
    return single(image) / 255


def cubist_shards(shape: tuple[int, int], rng: Generator) -> Array:
    """A still life with guitar, broken into shaded facets."""
    rows, columns = shape
    motif = still_life(shape)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    frame = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float64)
    facets = split_facets(frame, rng, rows * columns / 190)
    big = split_facets(frame, rng, rows * columns / 26)
    colour = np.zeros((rows, columns, 3), np.float32)
    angle = np.zeros(shape, np.float32)
    earth = palette("e8c98a b5783a 6b3a1e 1f4f56 5fa39c efe3c6 2a1a14 3f6f73")

    def cover(piece: Points) -> tuple[Mask, Array, Array]:
        stencil = Image.new("1", (columns, rows), 0)
        polygon(ImageDraw.Draw(stencil), piece, 1)
        mask = np.asarray(stencil, bool)
        i = int(rng.integers(0, len(piece)))
        edge = piece[(i + 1) % len(piece)] - piece[i]
        inward = np.array([-edge[1], edge[0]]) / (np.hypot(*edge) + 1e-6)
        depth = (x[mask] - piece[i, 0]) * inward[0] + (y[mask] - piece[i, 1]) * inward[1]
        depth = np.abs(depth) / (np.abs(depth).max() + 1e-6)
        return mask, depth.astype(np.float32), np.array([np.arctan2(edge[1], edge[0])], np.float32)

    for piece in facets:
        mask, depth, lean = cover(piece)
        middle = piece.mean(axis=0)
        slip = rng.normal(0, rows * 0.016, 2)
        turn, zoom = rng.normal(0, 0.10), rng.uniform(0.86, 1.12)
        dx, dy = x[mask] - middle[0], y[mask] - middle[1]
        from_x = middle[0] + slip[0] + zoom * (dx * np.cos(turn) - dy * np.sin(turn))
        from_y = middle[1] + slip[1] + zoom * (dx * np.sin(turn) + dy * np.cos(turn))
        tone = sample(motif, from_x, from_y)
        stain = earth[rng.integers(0, len(earth))]
        tone = mix(tone, np.broadcast_to(stain, tone.shape), float(rng.uniform(0.0, 0.34)))
        light = rng.uniform(0.75, 1.15)
        colour[mask] = tone * (light * (1.30 - 0.78 * depth))[:, None] + 0.03
        angle[mask] = lean[0] + rng.normal(0, 0.15)
    for piece in big:
        mask, depth, _ = cover(piece)
        colour[mask] *= (1.0 + 0.32 * (0.5 - depth))[:, None]

    painting = Painting(np.clip(colour, 0, 1), np.zeros(shape, np.float32))
    brushes = make_brushes(rng, 20, 0.42, 12)
    for width, length, gap in [(30, 90, 24), (15, 70, 12)]:
        paint_layer(
            painting,
            np.clip(colour, 0, 1),
            angle,
            brushes,
            rng,
            width=width,
            length=length,
            gap=gap,
            value=0.05,
            tint=0.02,
            fidelity=0.09,
            streak=0.10,
        )
    plate = Image.new("L", (columns, rows), 0)
    draw = ImageDraw.Draw(plate)
    for pieces, weight in ((facets, 6.0), (big, 9.0)):
        for piece in pieces:
            for i in range(len(piece)):
                if rng.uniform() < 0.62:
                    ends = np.array([piece[i], piece[(i + 1) % len(piece)]])
                    path = resample(ends, 12)
                    widths = weight * np.linspace(1.0, rng.uniform(0.1, 0.5), 12)
                    polygon(draw, ribbon(path, widths), 255)
    wear = 0.75 + 0.25 * noise(shape, 50, rng, 2)
    line = single(plate) / 255 * wear
    canvas = mix(painting.colour, np.clip(colour, 0, 1), 0.55)
    canvas = lit(canvas, relief(blur(painting.height, 1.2), 1.1), 0.22)
    return mix(canvas, palette("1a100c")[0], line)


def birch_sunset(shape: tuple[int, int], rng: Generator) -> Array:
    """Birches before a burning evening sky, in long wavering strokes."""
    u, v = units(shape)
    aspect = shape[1] / shape[0]
    sun_x, sun_y = 0.47, 0.47
    away = np.hypot(u - sun_x, v - sun_y)
    stream = v + 0.055 * np.sin(u * 7 + v * 3) + 0.10 * noise(shape, 1.8, rng, 2)
    stream = stream + 0.20 * np.exp(-((away / 0.15) ** 2))
    fire = palette("2a1454 7a1a5a c4203f f0512a ff8f1f ffd23f fff0a0 ff9a3a")
    bands = np.clip(stream / 0.62 + 0.10 * np.sin(stream * 64), 0, 1)
    under = ramp(bands, fire, [0, 0.16, 0.32, 0.5, 0.66, 0.82, 0.93, 1.0])
    cool = smoothstep(
        0.35, 0.75, np.sin(stream * 44 + 2.0 * noise(shape, 2, rng, 2)).astype(np.float32)
    )
    under = mix(under, palette("3f9aa8")[0], cool * 0.75 * smoothstep(0.42, 0.10, v))
    under = mix(under, palette("fff6c8")[0], smoothstep(0.085, 0.070, away))
    angle = flow_along(stream)

    for base, swell, waves, phase, codes in [
        (0.515, 0.035, 9.0, 0.5, "6a2a8a b04a9a"),
        (0.565, 0.030, 12.0, 2.6, "33206a 6a3a9a"),
    ]:
        crest = (
            base - swell * np.abs(np.sin(u * waves / 2 + phase)) - 0.012 * np.sin(u * 31 + phase)
        )
        slope = 0.5 + 0.5 * np.sin((v - crest) * 190 + 4 * noise(shape, 4, rng, 2))
        land = v > crest
        under = np.where(land[..., None], ramp(slope.astype(np.float32), palette(codes)), under)
        angle = np.where(land, flow_along(v - crest * 0.9 + 0.02 * noise(shape, 5, rng, 2)), angle)
    lake = v > 0.59
    ripples = np.sin(v * 155 + 3.5 * stretched_noise(shape, 2, 5, rng, 2))
    tide = ramp((0.5 + 0.5 * ripples).astype(np.float32), palette("1c1a58 2a5a98 5fa8b8 e0603f"))
    path = np.exp(-(((u - sun_x + 0.012 * ripples) / (0.035 + 0.20 * (v - 0.59))) ** 2)) * (
        0.62 + 0.45 * ripples
    )
    tide = mix(tide, ramp(path, palette("e0402f ff8a2a ffe27a")), smoothstep(0.25, 0.55, path))
    under = np.where(lake[..., None], tide, under)
    angle = np.where(lake, 0.10 * np.sin(u * 12 + v * 9) + 0.15 * noise(shape, 3, rng, 2), angle)

    shore = 0.83 + 0.04 * np.sin(u * 5 + 0.4) + 0.05 * (u / aspect - 0.5)
    ground = v > shore
    turf_stream = v - shore * 0.8 + 0.06 * noise(shape, 3, rng, 2)
    turf = 0.5 + 0.5 * np.sin(turf_stream * 130)
    under = np.where(
        ground[..., None],
        ramp(turf.astype(np.float32), palette("14203a 1f4f4a 6a8f3a d87a2a")),
        under,
    )
    angle = np.where(ground, flow_along(turf_stream), angle)

    trunks = [
        (0.085, 0.050, 0.98, 0.025),
        (0.215, 0.030, 0.90, -0.02),
        (0.66, 0.042, 0.95, 0.03),
        (0.745, 0.024, 0.88, -0.015),
    ]
    for x, wide, foot, bow in trunks:
        middle = x + bow * np.sin(v * 4.2 + x * 20)
        half = wide * (0.42 + 0.30 * v)
        side = (u - middle) / half
        trunk = (np.abs(side) < 1) & (v < foot)
        marks = (stretched_noise(shape, 16, 40, rng, 2) + 0.25 * np.abs(side) > 0.42) & trunk
        bark = ramp(np.clip(0.5 + 0.5 * side, 0, 1), palette("ffe0b0 fff6e6 d8c8e0 7a6ab0 2a2a6a"))
        under = np.where(trunk[..., None], bark, under)
        under = np.where(marks[..., None], palette("1a1230")[0], under)
        rim = (np.abs(side) >= 1) & (np.abs(side) < 1 + 0.007 / wide) & (v < foot)
        under = np.where(rim[..., None], palette("1a1038")[0], under)
        angle = np.where(trunk, np.where(marks, 0.25 * side, 1.5 + 0.2 * np.sin(v * 30)), angle)
        angle = np.where(rim, np.pi / 2, angle)

    under = under.astype(np.float32)
    angle = angle.astype(np.float32)
    painting = Painting(under.copy(), np.zeros(shape, np.float32))
    brushes = make_brushes(rng, 24, 0.34, 10)
    for width, length, gap, fidelity in [
        (44, 520, 32, 0.45),
        (26, 420, 20, 0.26),
        (15, 260, 15, 0.18),
    ]:
        paint_layer(
            painting,
            under,
            angle,
            brushes,
            rng,
            width=width,
            length=length,
            gap=gap,
            value=0.10,
            tint=0.05,
            fidelity=fidelity,
            streak=0.16,
        )
    depth = np.sort(rng.uniform(0, 1, 900))
    feet = np.stack([rng.uniform(-0.02, aspect + 0.02, 900), 0.865 + 0.20 * depth], axis=1)
    clear = np.ones(900, bool)
    for x, wide, foot, bow in trunks:
        at = x + bow * np.sin(foot * 4.2 + x * 20)
        clear &= ~((np.abs(feet[:, 0] - at) < wide) & (feet[:, 1] < foot + 0.02))
    feet, tall = feet[clear], ((0.03 + 0.06 * depth) * rng.uniform(0.7, 1.4, 900))[clear]
    meadow = palette("101a3c 1a4a52 3f7f4a a8a83a f0923a ffd060")
    lay_grass(painting, feet * shape[0], tall * shape[0], meadow, brushes, rng)
    return lit(painting.colour, relief(blur(painting.height, 1.2), 1.5), 0.3)


def pack_circles(
    size: tuple[float, float],
    radii: Iterable[float],
    rng: Generator,
    tries: int,
    gap: float,
    avoid: Points,
) -> list[tuple[float, float, float]]:
    """Circles of the given radii, largest first, clear of each other and of ``avoid``.

    ``avoid`` and the result are rows of x, y and radius.
    """
    placed: list[tuple[float, float, float]] = []
    table = avoid
    for r in radii:
        for _ in range(tries):
            x, y = (
                rng.uniform(-r * 0.4, size[0] + r * 0.4),
                rng.uniform(-r * 0.4, size[1] + r * 0.4),
            )
            clear = np.hypot(table[:, 0] - x, table[:, 1] - y) > table[:, 2] + r + gap
            if clear.all():
                placed.append((float(x), float(y), float(r)))
                table = np.vstack([table, [x, y, r]])
                break
    return placed


def draw_rosette(
    draw: ImageDraw.ImageDraw,
    rise: ImageDraw.ImageDraw,
    x: float,
    y: float,
    r: float,
    tones: Array,
    rng: Generator,
) -> None:
    """One round ornament: rings, spiral, flower, spokes or an eye."""
    dark, gold = tones[0], tones[1]
    pick = rng.permutation(tones[2:])
    disc(draw, x, y, r, ink(dark))
    disc(rise, x, y, r, 150)
    style = int(rng.integers(0, 5 if r < 110 else 4))
    if r < 26:
        disc(draw, x, y, r * 0.72, ink(pick[0]))
        disc(draw, x, y, r * 0.36, ink(gold, 0.1))
        return
    disc(draw, x, y, r * 0.92, ink(gold))
    disc(draw, x, y, r * 0.82, ink(pick[0]))
    if r > 55:
        for k in range(int(r / 2.2)):
            a = k * TAU / int(r / 2.2)
            disc(draw, x + r * 0.872 * np.cos(a), y + r * 0.872 * np.sin(a), r * 0.026, ink(dark))
            disc(draw, x + r * 0.70 * np.cos(a), y + r * 0.70 * np.sin(a), 3, ink(dark))
        disc(draw, x, y, r * 0.66, ink(pick[3]))
    if style == 0:
        for k, share in enumerate(np.linspace(0.66, 0.12, 6)):
            disc(draw, x, y, r * share, ink(pick[(k + 1) % len(pick)] if k % 2 else dark))
    elif style == 1:
        curl = spiral(x, y, r * 0.78, 3.2, rng.uniform(0, TAU), int(rng.choice([-1, 1])))
        widths = np.linspace(r * 0.13, r * 0.05, len(curl))
        polygon(draw, ribbon(curl, widths), ink(tones[1], 0.12))
        polygon(rise, ribbon(curl, widths), 255)
    elif style == 2:
        count = int(rng.integers(7, 12))
        for k in range(count):
            a = k * TAU / count
            disc(draw, x + r * 0.52 * np.cos(a), y + r * 0.52 * np.sin(a), r * 0.22, ink(dark))
            disc(draw, x + r * 0.52 * np.cos(a), y + r * 0.52 * np.sin(a), r * 0.17, ink(pick[1]))
            disc(rise, x + r * 0.52 * np.cos(a), y + r * 0.52 * np.sin(a), r * 0.17, 220)
        disc(draw, x, y, r * 0.30, ink(dark))
        disc(draw, x, y, r * 0.22, ink(tones[1], 0.15))
    elif style == 3:
        count = 2 * int(rng.integers(8, 13))
        for k in range(0, count, 2):
            a, b = k * TAU / count, (k + 1) * TAU / count
            wedge = np.array(
                [[x, y]] + [[x + r * 0.8 * np.cos(t), y + r * 0.8 * np.sin(t)] for t in (a, b)]
            )
            polygon(draw, wedge, ink(dark))
        disc(draw, x, y, r * 0.5, ink(gold, 0.05))
        disc(draw, x, y, r * 0.40, ink(pick[1]))
        disc(draw, x, y, r * 0.18, ink(dark))
    else:
        t = np.linspace(0, 1, 30)
        for hand, tone in ((1.0, tones[2]), (0.62, dark)):
            upper = np.stack(
                [x + (t * 2 - 1) * r * 0.74, y - np.sin(np.pi * t) * r * 0.44 * hand], axis=1
            )
            lower = np.stack([upper[:, 0], 2 * y - upper[:, 1]], axis=1)
            polygon(draw, np.vstack([upper, lower[::-1]]), ink(tone))
        disc(draw, x, y, r * 0.22, ink(pick[2]))
        disc(draw, x, y, r * 0.10, ink(dark))


def gilded_garden(shape: tuple[int, int], rng: Generator) -> Array:
    """Gold leaf with spirals, rosettes and ribbons of inlaid enamel."""
    rows, columns = shape
    h = float(rows)
    tones = palette("22160f d9a331 f4ead2 1f6f78 b3271e 5a2d82 2f8f4e e8762d 16325c e9b9c4")
    leaf = 0.5 + 0.35 * noise(shape, 5, rng) + 0.15 * noise(shape, 70, rng, 2)
    y, x = np.mgrid[0:rows, 0:columns]
    patch = rng.uniform(-0.14, 0.14, (rows // 120 + 2, columns // 120 + 2)).astype(np.float32)
    bent_x = x + 6 * noise(shape, 8, rng, 2)
    bent_y = y + 6 * noise(shape, 8, rng, 2)
    square = patch[
        (bent_y / 120).astype(int).clip(0, patch.shape[0] - 1),
        (bent_x / 120).astype(int).clip(0, patch.shape[1] - 1),
    ]
    gold = ramp(np.clip(leaf + square, 0, 1), palette("8a5a14 c28a22 e3b23c f6d873 fff0b0"))
    seam = (np.abs(bent_x % 120) < 2.5) | (np.abs(bent_y % 120) < 2.5)
    gold[seam] *= 0.82
    image = Image.fromarray((np.clip(gold, 0, 1) * 255).astype(np.uint8))
    bump = Image.new("L", (columns, rows), 60)
    draw, rise = ImageDraw.Draw(image), ImageDraw.Draw(bump)

    for _ in range(5200):
        px, py = rng.uniform(0, columns), rng.uniform(0, h)
        s = rng.uniform(4, 9)
        tone = (
            ink(tones[0])
            if rng.uniform() < 0.3
            else ink(tones[1], float(rng.choice([-0.25, 0.18])))
        )
        if rng.uniform() < 0.5:
            draw.rectangle((px - s, py - s, px + s, py + s), fill=tone)
            rise.rectangle((px - s, py - s, px + s, py + s), fill=130)
        else:
            disc(draw, px, py, s, tone)
            disc(rise, px, py, s, 150)

    avoid = np.zeros((0, 3))
    sweeps = [
        [(-0.05, 0.90), (0.16, 0.78), (0.26, 0.60), (0.34, 0.42), (0.54, 0.33), (0.82, 0.36)],
        [(-0.05, 0.16), (0.14, 0.21), (0.30, 0.15), (0.46, 0.10), (0.62, 0.12), (0.82, 0.03)],
        [(0.20, 1.06), (0.32, 0.93), (0.46, 0.84), (0.60, 0.72), (0.82, 0.62)],
    ]
    for n, knots in enumerate(sweeps):
        path = resample(smooth_curve([(a * h, b * h) for a, b in knots]), 120)
        wide = h * (0.085, 0.05, 0.06)[n]
        guard = np.full((len(path), 1), wide / 2 + 6)
        avoid = np.vstack([avoid, np.hstack([path, guard])])
        side = normals(path)
        polygon(draw, ribbon(path, wide + 16), ink(tones[0]))
        polygon(rise, ribbon(path, wide + 16), 160)
        for k in range(0, 118, 2):
            span = path[k : k + 3]
            for lane in range(4):
                low, high = (lane / 4 - 0.5) * wide + 2.5, ((lane + 1) / 4 - 0.5) * wide - 2.5
                cell = np.array(
                    [
                        span[0] + side[k] * low,
                        span[-1] + side[k + 2] * low,
                        span[-1] + side[k + 2] * high,
                        span[0] + side[k] * high,
                    ]
                )
                middle = cell.mean(axis=0)
                cell = middle + (cell - middle) * 0.86
                tone = tones[1 + int(rng.integers(0, 9))]
                polygon(draw, cell[:3] if (k // 2 + lane + n) % 3 == 0 else cell, ink(tone))
                polygon(rise, cell, int(rng.uniform(190, 250)))

    discs: list[tuple[float, float, float]] = []
    for low, high, count in [
        (0.075, 0.105, 8),
        (0.045, 0.065, 16),
        (0.038, 0.07, 13),
        (0.022, 0.036, 120),
        (0.008, 0.015, 420),
    ]:
        radii = rng.uniform(low, high, count) * h
        placed = pack_circles((columns, h), radii, rng, 160, 5, avoid)
        avoid = np.vstack([avoid, placed])
        if count != 13:
            discs += placed
            continue
        for x0, y0, r in placed:
            curl = spiral(x0, y0, r, 2.6, rng.uniform(0, TAU), int(rng.choice([-1, 1])))
            widths = np.linspace(19, 8, len(curl))
            polygon(draw, ribbon(curl, widths + 9), ink(tones[0]))
            polygon(draw, ribbon(curl, widths), ink(tones[1], 0.16))
            polygon(rise, ribbon(curl, widths), 255)
    for x0, y0, r in discs:
        draw_rosette(draw, rise, x0, y0, r, tones, rng)

    colour: Array = single(image) / 255
    height = blur(single(bump) / 255, 2.0)
    hammered = 0.030 * noise(shape, 44, rng, 2)
    return lit(colour, relief(height + hammered, 7.0), 0.5)


# --------------------------------------------------------------------------------------
# Running
# --------------------------------------------------------------------------------------

Painter = Callable[[tuple[int, int], Generator], Array]

# Name: the function, the finished size (width, height), and the seed.
PICTURES: dict[str, tuple[Painter, tuple[int, int], int]] = {
    "night_impasto": (night_impasto, (1024, 768), 11),
    "woodblock_waves": (woodblock_waves, (1024, 744), 23),
    "stained_glass": (stained_glass, (768, 1024), 31),
    "ink_hatching": (ink_hatching, (1024, 768), 41),
    "mosaic_koi": (mosaic_koi, (1024, 768), 53),
    "pointillism": (pointillism, (1024, 752), 61),
    "marbled_paper": (marbled_paper, (1024, 768), 71),
    "cubist_shards": (cubist_shards, (820, 1024), 83),
    "birch_sunset": (birch_sunset, (820, 1024), 97),
    "gilded_garden": (gilded_garden, (768, 1024), 101),
}


def draw_picture(name: str) -> Image.Image:
    """Paint one picture large and scale it down to its finished size."""
    painter, (width, height), seed = PICTURES[name]
    shape = (height * OVERSAMPLE, width * OVERSAMPLE)
    colour = painter(shape, np.random.default_rng(seed))
    large = Image.fromarray((np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8))
    return large.resize((width, height), Image.Resampling.LANCZOS)


def main() -> None:
    """Draw the pictures named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description="Draw the style pictures of the demo page.")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(PICTURES),
        metavar="NAME",
        help="draw just these: " + ", ".join(PICTURES),
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "style")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.only or PICTURES:
        target = options.output / f"{name}.jpg"
        check_output(target, (".jpg",))
        picture = draw_picture(name)
        with whole_file(target) as temporary:
            picture.save(temporary, "JPEG", quality=90, optimize=True)
        print(target)


if __name__ == "__main__":
    sys.exit(run_command(main, "draw_styles"))
