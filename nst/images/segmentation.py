"""A first mask of a photo: what stands in the foreground, or the region around a click.

Both rest on the minimum barrier distance (Strand et al. 2013), by which a saliency is worked out as
Zhang et al. 2015 do ("Minimum barrier salient object detection at 80 FPS"), and on GrabCut (Rother
et al. 2004), which draws the line along edges. Neither knows what it sees, but for faces. Masks are
grey pictures of the photo's shape, white in the region, of at most `MASK_SIDE` pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst.images.faces import MASK_SIDE, faces
from nst.images.framing import Box
from nst.images.opencv import load_opencv
from nst.images.tensors import shrink

Levels = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]

SIDE = 320  # pixels, at which regions are found; GrabCut takes half a second there
TOLERANCE = 45.0  # levels of L*a*b*, summed, between a click and what still belongs to it
LIGHTNESS = 0.6  # its weight around a click: the same thing is lit here and in shade there
CENTER = 0.25  # of the saliency is left far from the middle of the photo
SURE = 0.2  # of the threshold; what is less salient is background
EDGE = 1 / 60  # of the shorter side; so much along the edges is background
LEAST_PART = 0.1  # of the largest; smaller parts of a subject are left out
ROUNDS = 3  # of learning colours and drawing the line
FEWEST = 32  # pixels of the foreground or the background from which colours can be learned
FEATHER = 1 / 128  # of the longest side; the radius within which a mask follows the photo's edges
EDGE_VARIANCE = 1e-3  # of the brightness in [0, 1]; from there on a step is an edge
STEEPNESS = 1.6  # of the mask's own edge, after the filter

BACKGROUND, FOREGROUND, MAYBE_BACKGROUND, MAYBE_FOREGROUND = range(4)  # as GrabCut numbers them


def subject_mask(photo: Image.Image) -> Image.Image:
    """Return a mask of what stands out, people before all; black where nothing does.

    People are found by their faces, and their bodies are taken to be below; other subjects by what
    differs from the edges of the photo and is near its middle. Raises `MissingPackageError`.
    """
    cv2 = load_opencv()
    photo = shrink(photo.convert("RGB"), 4 * SIDE)
    scene = _Scene.of(photo, cv2)
    factor = scene.width / photo.width
    people = [Box(*(round(factor * edge) for edge in box)) for box in faces(photo)]
    labels = _subject_labels(scene, people, cv2)
    return _finish(photo, _without_small_parts(_grab_cut(scene, labels, cv2), cv2), cv2)


def similar_region(
    photo: Image.Image, x: float, y: float, *, tolerance: float = TOLERANCE
) -> Image.Image:
    """Return a mask of the region around a point that has colours like it, up to the next edge.

    Gradual changes, as in a sky, belong to it.

    Args:
        photo: any picture.
        x: the point as a share of the width, from the left, 0 to 1.
        y: the point as a share of the height, from the top, 0 to 1.
        tolerance: how far colours may differ along the way from the point; more is a larger region.

    Raises:
        ValueError: for a point outside the photo.
        MissingPackageError: where OpenCV is not installed.
    """
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"x and y must be from 0 to 1, not {x!r} and {y!r}")
    cv2 = load_opencv()
    photo = shrink(photo.convert("RGB"), 4 * SIDE)
    scene = _Scene.of(photo, cv2)
    point = min(int(x * scene.width), scene.width - 1), min(int(y * scene.height), scene.height - 1)
    labels = _region_labels(scene, point, tolerance, cv2)
    region = _grab_cut(scene, labels, cv2)
    return _finish(photo, _part_at(point, region, cv2), cv2)


@dataclass(frozen=True)
class _Scene:
    """A small copy of the photo."""

    rgb: npt.NDArray[np.uint8]  # (H, W, 3)
    lab: Levels  # (H, W, 3), L*a*b* from 0 to 255, grain smoothed away and edges kept

    @classmethod
    def of(cls, photo: Image.Image, cv2: Any) -> _Scene:
        rgb = np.ascontiguousarray(np.asarray(shrink(photo, SIDE)))
        lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
        return cls(rgb, cv2.bilateralFilter(lab, 9, 30, 9))

    @property
    def height(self) -> int:
        return len(self.rgb)

    @property
    def width(self) -> int:
        return len(self.rgb[0])


def barrier_distance(image: Levels, seeds: Flags) -> Levels:
    """Return the minimum barrier distance of each pixel from the seeds, (H, W).

    That is the least, over all paths of neighbours from a seed, of the difference between the
    largest and the smallest value on the way; channels are added up. Paths are grown from the seeds
    until none gets better by half a level, so that the result is near the minimum and not below.

    Args:
        image: (C, H, W).
        seeds: (H, W), where it is 0; infinite where no path leads.
    """
    distance = np.where(seeds, 0, np.inf).astype(np.float32)[None].repeat(len(image), 0)
    highest = np.where(seeds, image, np.inf).astype(np.float32)
    lowest = np.where(seeds, image, -np.inf).astype(np.float32)
    is_better = True
    while is_better:
        is_better = False
        for here, there in _NEIGHBORS:
            high = np.maximum(highest[there], image[here])
            low = np.minimum(lowest[there], image[here])
            gains = high - low < distance[here] - 0.5
            if gains.any():
                is_better = True
                distance[here] = np.where(gains, high - low, distance[here])
                highest[here] = np.where(gains, high, highest[here])
                lowest[here] = np.where(gains, low, lowest[here])
    total: Levels = distance.sum(0)
    return total


_ALL, _LATER, _EARLIER = slice(None), slice(1, None), slice(None, -1)
_NEIGHBORS = [  # of a pixel, and where the one above, below, left and right of it is
    ((_ALL, _LATER), (_ALL, _EARLIER)),
    ((_ALL, _EARLIER), (_ALL, _LATER)),
    ((_ALL, _ALL, _LATER), (_ALL, _ALL, _EARLIER)),
    ((_ALL, _ALL, _EARLIER), (_ALL, _ALL, _LATER)),
]


def _distances(lab: Levels, seeds: Flags, factor: int, cv2: Any) -> Levels:
    """Return the barrier distance at the copy's size, worked out at a size that is smaller."""
    height, width = seeds.shape
    size = max(1, width // factor), max(1, height // factor)
    image = np.moveaxis(cv2.resize(lab, size, interpolation=cv2.INTER_AREA), 2, 0)
    fewer = cv2.resize(seeds.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    result: Levels = cv2.resize(barrier_distance(image, fewer), (width, height))
    return result


def _subject_labels(scene: _Scene, people: Sequence[Box], cv2: Any) -> Labels:
    """Return what GrabCut begins with, for the subject of a photo."""
    edges = _edges(scene, people)
    distance = _distances(scene.lab, edges, 3, cv2)
    saliency = cv2.GaussianBlur(distance * _center(scene), (0, 0), max(scene.rgb.shape) / 150)
    brightest = max(float(np.percentile(saliency, 99)), 1.0)
    levels = (255 * (saliency / brightest).clip(0, 1)).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
    labels = np.full(levels.shape, MAYBE_BACKGROUND, np.uint8)
    labels[levels > threshold] = MAYBE_FOREGROUND
    labels[levels < SURE * threshold] = BACKGROUND
    labels[edges] = BACKGROUND
    for face in people:
        _add_person(labels, face, cv2)
    return labels


def _edges(scene: _Scene, people: Sequence[Box]) -> Flags:
    """Return which pixels lie along the top and the sides.

    Subjects are often cut off below, and so are shoulders at the sides.
    """
    height, width = scene.rgb.shape[:2]
    depth = max(1, round(EDGE * min(height, width)))
    chin = max((face.bottom for face in people), default=height)
    edges = np.zeros((height, width), bool)
    edges[:depth] = edges[:chin, :depth] = edges[:chin, -depth:] = True
    return edges


def _center(scene: _Scene) -> Levels:
    """Return 1 in the middle, falling to `CENTER` outwards."""
    y = (np.arange(scene.height, dtype=np.float32) + 0.5) / scene.height - 0.52
    x = (np.arange(scene.width, dtype=np.float32) + 0.5) / scene.width - 0.5
    near = np.exp(-0.5 * ((y[:, None] / 0.32) ** 2 + (x / 0.3) ** 2))
    weights: Levels = (CENTER + (1 - CENTER) * near).astype(np.float32)
    return weights


def _add_person(labels: Labels, face: Box, cv2: Any) -> None:
    """Mark a head and what may be the body below it."""
    width, height = face.right - face.left, face.bottom - face.top
    x, y, bottom = (face.left + face.right) // 2, (face.top + face.bottom) // 2, len(labels)
    chest = face.bottom + round(0.7 * height)
    below = labels[face.bottom :, max(0, x - round(2.2 * width)) : x + round(2.2 * width)]
    below[below == BACKGROUND] = MAYBE_BACKGROUND
    sides = [(0.5, face.bottom), (1.6, chest), (1.6, bottom)]
    outline = [(x - round(share * width), at) for share, at in sides]
    outline += [(x + round(share * width), at) for share, at in reversed(sides)]
    cv2.fillPoly(labels, [np.array(outline, np.int32)], MAYBE_FOREGROUND)
    for share, label in ((0.75, MAYBE_FOREGROUND), (0.45, FOREGROUND)):
        axes = round(share * width), round(share * height)
        cv2.ellipse(labels, (x, y), axes, 0, 0, 360, label, -1)
    neck = max(0, x - round(0.35 * width)), x + round(0.35 * width)
    labels[face.bottom : chest + round(0.5 * height), slice(*neck)] = FOREGROUND


def _region_labels(scene: _Scene, point: tuple[int, int], tolerance: float, cv2: Any) -> Labels:
    """Return what GrabCut begins with, for the region around a point."""
    (x, y), seeds = point, np.zeros(scene.rgb.shape[:2], bool)
    seeds[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = True
    lab = scene.lab * np.array([LIGHTNESS, 1, 1], np.float32)
    distance = _distances(lab, seeds, 2, cv2)
    labels = np.full(distance.shape, MAYBE_BACKGROUND, np.uint8)
    labels[distance < tolerance] = MAYBE_FOREGROUND
    labels[(distance < 0.6 * tolerance) | seeds] = FOREGROUND
    labels[distance > 2.5 * tolerance] = BACKGROUND
    return labels


def _grab_cut(scene: _Scene, labels: Labels, cv2: Any) -> Flags:
    """Return where the foreground is, its line drawn along edges of colour."""
    foreground = np.isin(labels, (FOREGROUND, MAYBE_FOREGROUND))
    if not FEWEST <= np.count_nonzero(foreground) <= foreground.size - FEWEST:
        return foreground
    cv2.setRNGSeed(0)  # this thread's; it divides the colours among the models
    models = np.zeros((1, 65)), np.zeros((1, 65))
    labels, _, _ = cv2.grabCut(scene.rgb, labels, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (FOREGROUND, MAYBE_FOREGROUND))


def _without_small_parts(region: Flags, cv2: Any) -> Flags:
    """Return the region without parts that are small beside the largest."""
    _, numbers, statistics, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    areas = statistics[:, cv2.CC_STAT_AREA]
    is_large = areas >= LEAST_PART * areas[1:].max(initial=0)
    kept: Flags = region & is_large[numbers]
    return kept


def _part_at(point: tuple[int, int], region: Flags, cv2: Any) -> Flags:
    """Return the connected part of the region that a point is in."""
    x, y = point
    _, numbers = cv2.connectedComponents(region.astype(np.uint8), connectivity=4)
    kept: Flags = region & (numbers == numbers[y, x])
    return kept


def _finish(photo: Image.Image, region: Flags, cv2: Any) -> Image.Image:
    """Return a region as a mask whose soft edge follows the photo's."""
    copy = shrink(photo, MASK_SIDE).convert("L")
    guide = np.asarray(copy, np.float32) / np.float32(255)
    mask = cv2.resize(region.astype(np.float32), copy.size, interpolation=cv2.INTER_LINEAR)
    smooth = _guided_filter(mask, guide, max(1, round(FEATHER * max(copy.size))), cv2)
    steep = (STEEPNESS * (smooth - 0.5) + 0.5).clip(0, 1)
    return Image.fromarray((255 * steep).round().astype(np.uint8))


def _guided_filter(image: Levels, guide: Levels, radius: int, cv2: Any) -> Levels:
    """Return the image smoothed but for the edges of the guide (He et al. 2013)."""

    def mean(values: npt.NDArray[Any]) -> Levels:
        blurred: Levels = cv2.blur(values, (2 * radius + 1, 2 * radius + 1))
        return blurred

    guide_mean, image_mean = mean(guide), mean(image)
    covariance = mean(guide * image) - guide_mean * image_mean
    slope = covariance / (mean(guide * guide) - guide_mean**2 + EDGE_VARIANCE)
    smooth: Levels = mean(slope) * guide + mean(image_mean - slope * guide_mean)
    return smooth
