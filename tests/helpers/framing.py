"""Pictures in made-up frames."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from nst.images.framing import Box, find_frame

Widths = tuple[float, float, float, float]  # left, top, right, bottom, of a picture's sides

WHITE, BLACK, GREY, CREAM = (255, 255, 255), (0, 0, 0), (128, 130, 127), (235, 228, 210)
SHAPES: dict[str, Widths] = {
    "even": (0.1, 0.1, 0.1, 0.1),
    "uneven": (0.03, 0.08, 0.2, 0.12),
    "wide": (0.3, 0.25, 0.3, 0.25),
    "narrow": (0.02, 0.02, 0.02, 0.02),
    "above and below": (0.0, 0.12, 0.0, 0.1),
    "beside": (0.15, 0.0, 0.09, 0.0),
    "three sides": (0.1, 0.1, 0.1, 0.0),
}


def opened(path: object) -> Image.Image:
    with Image.open(path) as image:  # type: ignore[arg-type]
        return image.convert("RGB")


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return opened(buffer)


def wall(
    size: tuple[int, int],
    color: tuple[int, int, int],
    *,
    noise: float = 0.0,
    gradient: float = 0.0,
    shadow: tuple[float, Box] | None = None,
) -> Image.Image:
    """Levels of noise, of a gradient from the upper left, and of a shadow to the lower right."""
    width, height = size
    pixels = np.tile(np.array(color, np.float64), (height, width, 1))
    ramp = np.linspace(-0.35, 0.35, width)[None, :] + np.linspace(-0.15, 0.15, height)[:, None]
    pixels += gradient * ramp[..., None]
    pixels += np.random.default_rng(0).normal(0, noise, (height, width, 1))
    if shadow:
        depth, box = shadow
        mask = Image.new("L", size)
        mask.paste(255, Box(*(edge + 8 for edge in box)))
        soft = mask.filter(ImageFilter.GaussianBlur(8))
        pixels -= depth * np.asarray(soft, np.float64)[..., None] / 255
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def inside(image: Image.Image, widths: Widths) -> Box:
    """Where a picture is in a frame of such widths around it."""
    lengths = (*image.size, *image.size)
    left, top, _, _ = (round(share * side) for share, side in zip(widths, lengths, strict=True))
    return Box(left, top, left + image.width, top + image.height)


def framed(
    image: Image.Image,
    widths: Widths,
    color: tuple[int, int, int] = WHITE,
    *,
    noise: float = 0.0,
    gradient: float = 0.0,
    shadow: float = 0.0,
) -> Image.Image:
    box = inside(image, widths)
    size = (
        box.right + round(widths[2] * image.width),
        box.bottom + round(widths[3] * image.height),
    )
    around = (shadow, box) if shadow else None
    whole = wall(size, color, noise=noise, gradient=gradient, shadow=around)
    whole.paste(image, box)
    return whole


def assert_found(whole: Image.Image, expected: Box, tolerance: int) -> None:
    found = find_frame(whole)
    assert found, "there is a frame"
    distances = [abs(a - b) for a, b in zip(found, expected, strict=True)]
    assert max(distances) <= tolerance, (found, expected)
