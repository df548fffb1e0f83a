"""OpenCV, which only masks need: 150 MB that an installation may do without."""

from __future__ import annotations

from typing import Any

from nst.errors import MissingPackageError


def load_opencv() -> Any:
    """Return the module `cv2`. Raises `MissingPackageError` where it is not installed."""
    try:
        import cv2
    except ImportError:
        raise MissingPackageError(
            "Masks that are found in a photo need OpenCV; run 'pip install nst[masks]'."
        ) from None
    return cv2
