"""Masks that are found in a photo as a whole: its faces, or its subject."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from nst.errors import ImageError
from nst.images.faces import mask_of_all_faces
from nst.images.masks import Masks
from nst.images.segmentation import subject_mask

NO_FACE = "No face was found in this photo; a region can be painted by hand."
NO_SUBJECT = "Nothing stands out in this photo; a region can be painted by hand."


def mask_of_faces(photo: Image.Image) -> Image.Image:
    """Return a mask of all faces, mode "L".

    Raises `ImageError` where there is none, and `MissingPackageError`.
    """
    mask = mask_of_all_faces(photo)
    if mask is None:
        raise ImageError(NO_FACE)
    return mask


def keep_faces(masks: Masks, photo: Image.Image) -> Masks:
    """Return masks where the faces of a photo are left as they are, too.

    They are the same where it has none. Raises `MissingPackageError`.
    """
    mask = mask_of_all_faces(photo)
    return masks.keeping(mask) if mask else masks


def mask_of_subject(photo: Image.Image) -> Image.Image:
    """Return a mask of what stands out, mode "L".

    Raises `ImageError` where nothing does, and `MissingPackageError`.
    """
    mask = subject_mask(photo)
    if mask.getextrema()[1] == 0:
        raise ImageError(NO_SUBJECT)
    return mask


FINDERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "faces": mask_of_faces,
    "subject": mask_of_subject,
}
"""What makes a mask of a photo, by the name of what it shows."""
