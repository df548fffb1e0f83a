"""The edges of a picture are painted as its interior is, where the painting has no frame."""

from __future__ import annotations

import pytest
from PIL import Image

from benchmarks.borders import cropped, energy_ratios
from helpers.places import EXAMPLES
from nst import TransferSettings, load_image, stylize


@pytest.mark.real
@pytest.mark.parametrize("side", [128, 129])  # a multiple of 16, and what the poolings cut
def test_the_edges_are_as_rich_as_the_interior(side: int) -> None:
    """The mosaic's own frame of dark and of long tiles is painted like all of it: it is cut off."""
    photo = Image.new("RGB", (side, side), (70, 120, 180))
    painting = cropped(load_image(EXAMPLES / "style" / "mosaic_koi.jpg"), 0.15)
    painted = stylize(photo, painting, TransferSettings(size=side, start="noise"))
    for width in (2, 8):
        assert all(0.6 < ratio < 1.5 for ratio in energy_ratios(painted, width)), width
