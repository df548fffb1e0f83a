"""OpenCV, which only masks and films need: 150 MB that an installation may do without."""

from __future__ import annotations

from typing import Any

from nst.errors import MissingPackageError

FOR_MASKS = "Masks that are found in a photo need OpenCV"


def load_opencv(needed: str = FOR_MASKS) -> Any:
    """Return the module `cv2`.

    Raises `MissingPackageError` where it is not installed, with the words that say what needs it.
    """
    try:
        import cv2
    except ImportError:
        raise MissingPackageError(f"{needed}; run 'pip install nst[masks]'.") from None
    return cv2
