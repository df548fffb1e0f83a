"""Faces of a film as a mask that neither trembles nor blinks: found on each frame, and held."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from nst.images.faces import face_mask, faces
from nst.video.flow import Motion, warp

HELD = 6  # frames for which a face that is not found stays where the flow leads it
FADES = 6  # frames in which it then goes
COMES = 4  # frames in which one comes that was to be seen before it was found


class FaceTrack:
    """The mask of the faces on the frame before.

    Boxes around a face differ a little from frame to frame, and a face that turns is not found: so
    the mask of the frame before, moved along the flow, counts as well until it has had no face in
    it for some frames.
    """

    def __init__(self) -> None:
        self._mask: npt.NDArray[np.float32] | None = None  # (H, W) in [0, 1]
        self._missed: npt.NDArray[np.float32] | None = None  # frames since a face was found there

    def follow(
        self, filmed: Image.Image, size: tuple[int, int], motion: Motion | None
    ) -> Image.Image:
        """Return the mask of the next frame, mode "L" of (width, height) pixels.

        `motion` leads to the frame before, at that size; None where a scene begins. Raises
        `MissingPackageError`.
        """
        found = _found(filmed, size)
        if motion is None or self._mask is None or self._missed is None:
            self._mask, self._missed = found, np.zeros_like(found)
            return _picture(found)
        held = np.stack([self._mask, np.minimum(self._missed, HELD + 1)])
        moved = warp(torch.from_numpy(held)[None], motion.backward)[0].numpy()
        before = np.where(motion.hidden, 0, moved[0].clip(0, 1))
        missed = np.where(found >= before, 0, moved[1].round() + 1)
        left = np.where(missed > HELD, before - 1 / FADES, before)
        wanted = np.maximum(found, left)
        gentle = np.minimum(wanted, before + 1 / COMES)
        self._mask = np.where(motion.hidden, wanted, gentle).clip(0, 1).astype(np.float32)
        self._missed = missed.astype(np.float32)
        return _picture(self._mask)


def _found(filmed: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    mask = face_mask(filmed, faces(filmed)).resize(size, Image.Resampling.BILINEAR)
    levels = np.asarray(mask, np.float32)
    return levels / np.float32(255)


def _picture(mask: npt.NDArray[np.float32]) -> Image.Image:
    return Image.fromarray((255 * mask).round().clip(0, 255).astype(np.uint8))
