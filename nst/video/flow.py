"""Optical flow between frames: where things have moved, what is seen again, and how to warp paint.

Masks are those of Ruder, Dosovitskiy & Brox 2016, "Artistic style transfer for videos", section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from nst.images.opencv import load_opencv

Field = npt.NDArray[np.float32]
"""A displacement (x, y) in pixels for each pixel, (H, W, 2)."""

Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]

AROUND = 15  # pixels, the side of the square in which frames are compared, for what is at rest,
NEAR = 7  # and for what is another thing
LARGEST_TREMBLE = 1.0  # pixels; what moves by more is not at rest
NO_BETTER = 1.2  # times the error along the flow, and so many levels:
NO_BETTER_LEVELS = 0.05
REFINEMENTS = 10  # iterations of the variational refinement
REFINED_SMOOTHNESS = 40.0  # its weight; twice OpenCV's, for flows that tremble less
MOST_ERROR = 24.0  # levels; what differs by more is another thing
LEAST_SIDE = 64  # pixels that DIS needs of a frame; smaller ones are enlarged for it
NEEDED = "Films need OpenCV for optical flow"


@dataclass(frozen=True)
class Motion:
    """Where each pixel of a frame was in an earlier one, and what was seen there.

    `backward` is ŵ, from this frame to the earlier one, (H, W, 2) float32 in pixels. The others are
    (H, W) bool: `hidden` where a pixel was not to be seen in the earlier frame, `steady` where the
    flow is precise, `still` where nothing has moved.
    """

    backward: Field
    hidden: Mask
    steady: Mask
    still: Mask

    @property
    def seen(self) -> Mask:
        """Return where the earlier frame tells what is to be seen: c of Ruder et al., eq. 7."""
        return self.steady & ~self.hidden


class FlowEstimator:
    """Dense inverse search (Kroeger et al. 2016), forward and backward, by OpenCV.

    Raises `MissingPackageError` where OpenCV is not installed.
    """

    def __init__(self) -> None:
        self._cv2 = load_opencv(NEEDED)
        self._search = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._search.setFinestScale(0)  # pixels themselves: paint is moved by fractions of them
        self._search.setVariationalRefinementIterations(REFINEMENTS)
        self._search.setVariationalRefinementAlpha(REFINED_SMOOTHNESS)

    def motion(self, earlier: Image.Image, later: Image.Image) -> Motion:
        """Return the motion between two frames of a size, RGB.

        Noise lets the flow of what stands still tremble: where a small displacement explains the
        frame no better than none does, there is none. What differs from the place that it is said
        to come from was hidden there, whatever the flows agree on.
        """
        before, after = (np.asarray(frame.convert("L")) for frame in (earlier, later))
        forward, backward = self.flow(before, after), self.flow(after, before)
        along, at_rest = (
            np.abs(after.astype(np.float32) - other)
            for other in (self._moved(before, backward), before)
        )
        no_better = box_mean(at_rest) <= NO_BETTER * box_mean(along) + NO_BETTER_LEVELS
        farthest = np.maximum(_length2(forward), _length2(backward))
        still = (farthest < LARGEST_TREMBLE**2) & no_better
        error = box_mean(np.where(still, at_rest, along), NEAR)
        hidden = (disoccluded(forward, backward) & ~still) | (error > MOST_ERROR)
        steady = ~motion_boundary(backward)
        backward[still] = 0
        return Motion(backward, hidden, steady | still, still)

    def flow(self, origin: Grey, end: Grey) -> Field:
        """Return the displacement of each pixel of `origin`, (H, W) 8-bit grey, to `end`."""
        height, width = origin.shape
        factor = max(1.0, LEAST_SIDE / min(height, width))
        if factor > 1:
            size = (round(width * factor), round(height * factor))
            origin, end = (self._cv2.resize(frame, size) for frame in (origin, end))
        flow: Any = self._search.calc(origin, end, None)
        if factor > 1:
            flow = self._cv2.resize(flow, (width, height)) / np.float32(factor)
        return np.asarray(flow, np.float32)

    def _moved(self, frame: Grey, backward: Field) -> Grey:
        edges = self._cv2.BORDER_REPLICATE
        moved: Any = self._cv2.remap(
            frame, *_places(backward), self._cv2.INTER_LINEAR, borderMode=edges
        )
        return np.asarray(moved, np.uint8)


def box_mean(values: npt.NDArray[np.float32], side: int = AROUND) -> npt.NDArray[np.float32]:
    """Return the mean of the square of so many pixels around each pixel, (H, W) or (H, W, C)."""
    blurred: Any = load_opencv(NEEDED).blur(values, (side, side))
    return np.asarray(blurred, np.float32)


def disoccluded(forward: Field, backward: Field) -> Mask:
    """Return where a pixel was not seen in the earlier frame, (H, W).

    |w̃ + ŵ|² > 0.01 (|w̃|² + |ŵ|²) + 0.5, where w̃ is the forward flow at the pixel's earlier place
    (eqs. 4 and 5); so are pixels that come from beyond the edges.
    """
    moved = _sampled(forward, backward)
    difference, size = _length2(moved + backward), _length2(moved) + _length2(backward)
    result: Mask = difference > 0.01 * size + 0.5
    return result | _from_outside(backward)


def motion_boundary(backward: Field) -> Mask:
    """Return where the flow changes too fast to be precise: |∇û|² + |∇v̂|² > 0.01 |ŵ|² + 0.002.

    Eq. 6; gradients are central differences.
    """
    slopes = [each for axis in (0, 1) for each in np.gradient(backward[..., axis])]
    steepness = sum(slope**2 for slope in slopes)
    result: Mask = steepness > 0.01 * _length2(backward) + 0.002
    return result


def warp(picture: Tensor, backward: Field) -> Tensor:
    """Return (1, C, H, W) moved along: each pixel takes the value of its earlier place.

    Lanczos' kernel of eight pixels: paint is moved again and again, and any shorter one blurs it
    too much for its style to come back in a few iterations. A flow of zero leaves values as they
    are. Beyond the edges the picture is mirrored: paint goes on as paint.
    """
    cv2 = load_opencv(NEEDED)
    values = picture[0].permute(1, 2, 0).cpu().contiguous().numpy()  # (H, W, C)
    places = _places(backward)
    moved: Any = cv2.remap(values, *places, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
    moved = np.asarray(moved, np.float32).reshape(values.shape)
    return torch.from_numpy(moved).permute(2, 0, 1)[None].contiguous().to(picture.device)


def _places(backward: Field) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return x and y of the earlier place of each pixel, (H, W) each."""
    height, width = backward.shape[:2]
    x = np.arange(width, dtype=np.float32) + backward[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + backward[..., 1]
    return x, y


def _sampled(field: Field, at: Field) -> Field:
    """Return a field at the places that `at` leads to, by linear interpolation, (H, W, 2)."""
    cv2 = load_opencv(NEEDED)
    sampled: Any = cv2.remap(field, *_places(at), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def _from_outside(backward: Field) -> Mask:
    height, width = backward.shape[:2]
    x, y = _places(backward)
    outside: Mask = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    return outside


def _length2(field: Field) -> npt.NDArray[np.float32]:
    result: npt.NDArray[np.float32] = np.square(field).sum(-1)
    return result
