"""The slow flow of the strokes of one painting, in a loop without a seam.

Strokes flow along themselves, as a smooth field without sources leads them, and rest at the photo's
edges, so that its things stay where they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst.images.opencv import load_opencv
from nst.video.flow import NEEDED, Field, warp

Values = npt.NDArray[np.float32]

WAY = 0.094  # of the longest side: how far strokes flow in a loop, on average
UNIT = 256  # pixels of the longest side, at which the following ones are meant
CURRENT = 40.0  # pixels, the breadth of the currents
STROKE_EDGE, STROKE = 1.0, 4.0  # pixels: of the edge of a stroke, and of the strokes around a place
PHOTO_EDGE, PHOTO_NEAR = 1.5, 3.0  # the same of the photo
SMOOTHNESS = 2.0  # pixels
EDGE_REST = 2.0  # times the photo's median slope, and so many levels a pixel: half as fast there
STEPS = 8  # in which the way along the field is gone
FINE = 9  # pixels, the side of a square; what is finer keeps its contrast


def stroke_field(painted: Image.Image, photo: Image.Image, seed: int = 0) -> Field:
    """Return in which direction and how fast the strokes of a painted photo flow, (H, W, 2).

    Both are RGB of one size; the mean length is 1. A random field without sources is projected on
    the direction of the strokes, where they have one: so neighbours flow the same way.
    """
    scale = max(painted.size) / UNIT
    xx, xy, yy = _structure(painted, STROKE_EDGE * scale, STROKE * scale)
    angle = (np.arctan2(2 * xy, xx - yy) + np.pi) / 2  # across the gradient
    clearness = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy + 1e-3)
    direction = np.stack([np.cos(angle), np.sin(angle)], -1)
    current = _current(painted.size, CURRENT * scale, seed)
    length = (current * direction).sum(-1) * clearness
    field = _blurred(length[..., None] * direction, SMOOTHNESS * scale)
    field *= _calm(photo, scale)[..., None]
    result: Field = (field / max(1e-6, float(np.sqrt(np.square(field).sum(-1)).mean()))).astype(
        np.float32
    )
    return result


def flowed(picture: Tensor, field: Field, phase: float) -> Tensor:
    """Return a picture (1, 3, H, W) whose strokes have flowed, at a phase of the loop from 0 to 1.

    Two copies flow from half the way before to half the way after, by turns: while one begins anew
    the other one alone is seen. Where both are, the contrast of fine detail is made up for.
    """
    way = WAY * max(picture.shape[-2:])
    phases = phase % 1, (phase + 0.5) % 1
    one, other = (warp(picture, displacement(field, way * (each - 0.5))) for each in phases)
    share = 1 - abs(2 * phases[0] - 1)
    mixed = share * one + (1 - share) * other
    coarse = F.avg_pool2d(mixed, FINE, stride=1, padding=FINE // 2, count_include_pad=False)
    lost = (share**2 + (1 - share) ** 2) ** 0.5
    result: Tensor = (coarse + (mixed - coarse) / lost).clamp(0, 1)
    return result


def displacement(field: Field, way: float) -> Field:
    """Return where each pixel comes from after a way along a field, in pixels, (H, W, 2)."""
    cv2 = load_opencv(NEEDED)
    height, width = field.shape[:2]
    start: Any = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    places = start.copy()
    for _ in range(STEPS):
        x, y = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
        here: Any = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        places -= here * np.float32(way / STEPS)
    result: Field = places - start
    return result


def _current(size: tuple[int, int], breadth: float, seed: int) -> Values:
    """Return a smooth random field without sources, (H, W, 2): the curl of smooth noise."""
    width, height = size
    margin = round(3 * breadth)
    noise = np.random.default_rng(seed).normal(size=(height + 2 * margin, width + 2 * margin))
    potential = _blurred(noise.astype(np.float32), breadth)
    down, right = np.gradient(potential[margin : margin + height, margin : margin + width])
    field = np.stack([down, -right], -1).astype(np.float32)
    return field / np.float32(np.abs(field).mean() + 1e-12)


def _calm(photo: Image.Image, scale: float) -> Values:
    """Return 1 where the photo is even, less towards its edges, (H, W)."""
    xx, _, yy = _structure(photo, PHOTO_EDGE * scale, PHOTO_NEAR * scale)
    slope = np.sqrt(xx + yy)
    rest = EDGE_REST * np.median(slope) + EDGE_REST / scale
    result: Values = (1 / (1 + np.square(slope / rest))).astype(np.float32)
    return result


def _structure(picture: Image.Image, edge: float, around: float) -> tuple[Values, Values, Values]:
    """Return the structure tensor of a picture: means around each pixel of products of slopes."""
    grey = _blurred(np.asarray(picture.convert("L"), np.float32), edge)
    down, right = np.gradient(grey)
    xx, xy, yy = (_blurred(each, around) for each in (right**2, right * down, down**2))
    return xx, xy, yy


def _blurred(values: Any, sigma: float) -> Values:
    blurred: Any = load_opencv(NEEDED).GaussianBlur(values, (0, 0), sigma)
    return np.asarray(blurred, np.float32)
