"""Faces that keep more of the photo: the paintings are less strong there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from nst.images.faces import mask_of_all_faces
from nst.images.masks import NO_MASKS, Masks
from nst.settings import TransferSettings

FACE_STRENGTH = 0.05  # of the paintings, where a face is protected


@dataclass(frozen=True)
class Protected:
    """The paintings of a picture, its settings, and where each painting rules."""

    paintings: Sequence[Image.Image]
    settings: TransferSettings
    masks: Masks = NO_MASKS


def protect_faces(
    paintings: Sequence[Image.Image], settings: TransferSettings, photo: Image.Image
) -> Protected:
    """Return what paints the faces of a photo at a lower strength, and all else as usual.

    Every painting is there twice, once for the faces. Where there is no face nothing changes.
    Raises `MissingPackageError`.
    """
    mask, uses = mask_of_all_faces(photo), settings.uses(len(paintings))
    if mask is None:
        return Protected(paintings, settings)
    weaker = [replace(use, strength=FACE_STRENGTH) for use in uses]
    return Protected(
        [*paintings, *paintings],
        settings.replace(paintings=(*uses, *weaker)),
        Masks((None,) * len(paintings) + (mask,) * len(paintings)),
    )
