"""The pictures that benchmarks run on: the bundled examples, and those that figures refer to."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from nst import load_image

EXAMPLES = Path(__file__).parents[1] / "examples"
DRAWN = Path(__file__).parent / "pictures"


def photo_path(name: str) -> Path:
    """Return the file of a content image."""
    return EXAMPLES / "content" / f"{name}.jpg"


def painting_path(name: str) -> Path:
    """Return the file of a style image."""
    drawn = DRAWN / f"{name}.jpg"
    return drawn if drawn.exists() else EXAMPLES / "style" / f"{name}.jpg"


def load_pair(content: str, style: str) -> tuple[Image.Image, Image.Image]:
    """Return a photo and a painting by their names."""
    return load_image(photo_path(content)), load_image(painting_path(style))
