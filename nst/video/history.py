"""What earlier frames tell of a frame: their paint, moved to where its things are now."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from nst.images.tensors import to_tensor
from nst.video.flow import Field, FlowEstimator, Mask, Motion, box_mean, warp

ANCHORS = (1, 5, 10, 20, 40)  # frames back: the short-term term, and the long-term ones
MATURE = 24  # iterations, after which paint on what stands still is left as it is
NOISE_FADES = 7  # pixels, the side of a square whose mean has hardly any noise
SAME_LIGHT = 3.0  # levels around a pixel, up to which what stands still has not changed
CUT = 0.6  # of the pixels; where more are new a scene begins
MOST_ITERATIONS = 1000  # of a pixel; more are not told apart
NEW_TO_SEARCH = 0.002  # of the pixels; where fewer are new no older frame is asked


def is_cut(motion: Motion) -> bool:
    """Tell whether so much of a frame is new that it begins a scene."""
    return bool(motion.hidden.mean() > CUT)


MaskLevels = npt.NDArray[np.uint8]
"""Masks of a frame at its size, (n, H, W)."""


@dataclass(frozen=True)
class Painted:
    """A frame as it was filmed and as it was painted, RGB of one size."""

    frame: Image.Image
    picture: Image.Image


@dataclass(frozen=True)
class Recalled:
    """What is known of a frame before it is painted.

    `warped` is earlier paint at its present places, (1, 3, H, W) in [0, 1]; `backward` is the flow
    to the frame before, (H, W, 2) in pixels. The others are (H, W) bool: `seen` where the temporal
    cost counts, `new` where no earlier frame shows what is there, `kept` where paint stays.
    """

    warped: Tensor
    backward: Field
    seen: Mask
    new: Mask
    kept: Mask

    @property
    def new_share(self) -> float:
        """Return the share of the pixels that no earlier frame shows."""
        return float(self.new.mean())

    @property
    def is_all_kept(self) -> bool:
        """Tell whether there is nothing to paint."""
        return bool(self.kept.all())


class SceneHistory:
    """The frames of a scene that were painted, as far as they are still asked.

    Memory does not grow with the length of the scene: pictures are 8-bit, and at most the oldest of
    `ANCHORS` are held.
    """

    def __init__(self, estimator: FlowEstimator) -> None:
        self._estimator = estimator
        self._painted: deque[Painted] = deque(maxlen=max(ANCHORS))
        self._iterations: npt.NDArray[np.float32] | None = None  # spent on the paint of each pixel
        self._filmed: npt.NDArray[np.float32] | None = None  # what its paint was painted after
        self._masks: MaskLevels | None = None  # and under which masks

    def recall(
        self, frame: Image.Image, *, keeps: bool = True, masks: MaskLevels | None = None
    ) -> Recalled | None:
        """Return what earlier frames tell of a frame, or None where it begins a scene.

        Without `keeps` all paint may change; so may that where the frame's masks are others.
        """
        if not self._painted:
            return None
        last = self._painted[-1]
        motion = self._estimator.motion(last.frame, frame)
        if is_cut(motion):
            return None
        warped = warp(to_tensor(last.picture), motion.backward).clamp_(0, 1)
        seen, new = motion.seen.copy(), motion.hidden.copy()
        self._take_age_along(motion)
        self._ask_older_frames(frame, warped, seen, new)
        kept = self._kept(frame, motion) & seen & keeps & self._has_same_masks(masks)
        return Recalled(warped, motion.backward, seen, new, kept)

    def add(
        self,
        frame: Image.Image,
        picture: Image.Image,
        iterations: int,
        kept: Mask | None = None,
        masks: MaskLevels | None = None,
    ) -> None:
        """Remember a frame that was painted in so many iterations, but for what was kept."""
        self._painted.append(Painted(frame, picture))
        filmed = np.asarray(frame, np.float32)
        if kept is None or self._iterations is None or self._filmed is None:
            self._iterations = np.full(filmed.shape[:2], iterations, np.float32)
            self._filmed, self._masks = filmed, masks
            return
        more = np.where(kept, np.float32(0), np.float32(iterations))
        self._iterations = np.minimum(self._iterations + more, MOST_ITERATIONS)
        self._filmed = np.where(kept[..., None], self._filmed, filmed)
        if masks is not None and self._masks is not None and masks.shape == self._masks.shape:
            self._masks = np.where(kept, self._masks, masks)
        else:
            self._masks = masks

    def _ask_older_frames(self, frame: Image.Image, warped: Tensor, seen: Mask, new: Mask) -> None:
        """Complete the paint, and both masks, by what the nearest of the older frames show.

        The weights of Ruder et al., eq. 10: a pixel is compared with one earlier frame, the nearest
        that shows it.
        """
        for distance in ANCHORS[1:]:
            if distance > len(self._painted) or new.mean() < NEW_TO_SEARCH:
                return
            older = self._painted[-distance]
            motion = self._estimator.motion(older.frame, frame)
            found = motion.seen & new
            moved = warp(to_tensor(older.picture), motion.backward).clamp_(0, 1)
            warped.copy_(torch.where(torch.from_numpy(found), moved, warped))
            seen |= found
            new &= ~found

    def _take_age_along(self, motion: Motion) -> None:
        """Move the number of iterations with the paint; what was hidden has none."""
        assert self._iterations is not None
        age = torch.from_numpy(self._iterations / MOST_ITERATIONS)[None, None]
        moved = MOST_ITERATIONS * warp(age, motion.backward)[0, 0].numpy()
        self._iterations = np.where(motion.hidden, 0, moved).astype(np.float32)

    def _has_same_masks(self, masks: MaskLevels | None) -> Mask | bool:
        """Return where the masks are those that the paint was painted under."""
        before = self._masks
        if masks is None or before is None or masks.shape != before.shape:
            return masks is before
        change = np.abs(masks.astype(np.int16) - before).max(0)
        result: Mask = change < SAME_LIGHT
        return result

    def _kept(self, frame: Image.Image, motion: Motion) -> Mask:
        """Return where paint stays as it is: it is mature, and nothing there moves or changes."""
        assert self._iterations is not None
        assert self._filmed is not None
        change = np.abs(box_mean(np.asarray(frame, np.float32) - self._filmed, NOISE_FADES)).max(-1)
        is_mature = self._iterations >= MATURE
        result: Mask = motion.still & is_mature & (change < SAME_LIGHT)
        return result
