"""Made-up pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

MakePicture = Callable[..., Image.Image]  # of (width, height, seed)


def make_waves(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    """Return waves and grain in mid-range colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(rng.uniform(0.05, 0.6) * x + rng.uniform(0.05, 0.6) * y) for _ in "RGB"]
    grain = rng.normal(0, 12, (height, width, 3))
    pixels = rng.uniform(100, 150, 3) + 40 * np.stack(waves, axis=-1) + grain
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
