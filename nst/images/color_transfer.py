"""Colours before a run: paintings in the photo's colours, or luminance alone.

Gatys et al. 2016, "Preserving color in neural artistic style transfer", and the reverse. Knows
pictures, whole and of any size: statistics are those of small copies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, repeat

from PIL import Image, ImageStat

from nst.images.color import (
    LUMA,
    MOST_GAIN,
    STATISTICS_SIDE,
    color_map,
    counted_colors,
    dial_colors,
    has_color,
    to_grey,
    without_color_noise,
)
from nst.images.tensors import shrink
from nst.images.transforms import part_taken

RIDGE = 1e-5  # added to variances; of colours in [0, 1]


def match_painting(painting: Image.Image, photo: Image.Image, method: str) -> Image.Image:
    """Return a painting with the mean and the covariance of the photo's colours.

    `method` is monge, pca or cholesky, see `nst.images.color.linear_map`. The colours are sRGB as
    encoded; what leaves [0, 255] is clipped. What is transparent in the painting has no say in the
    statistics, and its colours are moved alike.
    """
    ours, theirs = (
        counted_colors(shrink(picture, STATISTICS_SIDE)) for picture in (painting, photo)
    )
    matrix, mean, target = color_map(ours, theirs, method, ridge=RIDGE)
    offset = 255 * (target - matrix @ mean)
    rows = [(*row.tolist(), float(shift)) for row, shift in zip(matrix, offset, strict=True)]
    return painting.convert("RGB").convert("RGB", tuple(number for row in rows for number in row))


def match_luminance(painting: Image.Image, photo: Image.Image) -> Image.Image:
    """Return a painting's luminance with the mean and deviation of the photo's, as grey RGB.

    L′ = (σ_C / σ_S) (L − μ_S) + μ_C (Gatys et al. 2016); a departure: the gain is at most
    `MOST_GAIN`, as it is for colours. Transparency is as in `match_painting`.
    """
    (mean, variance), (target_mean, target_variance) = map(_luminance, (painting, photo))
    ridge = 255**2 * RIDGE
    gain = min(math.sqrt((target_variance + ridge) / (variance + ridge)), MOST_GAIN)
    weights = (*(gain * weight for weight in LUMA), target_mean - gain * mean)
    return painting.convert("RGB").convert("L", weights).convert("RGB")


def _luminance(picture: Image.Image) -> tuple[float, float]:
    """Return mean and variance of the luminance, in levels, of what is not transparent."""
    small = shrink(picture, STATISTICS_SIDE)
    statistics = ImageStat.Stat(small.convert("L"), _most_opaque(small))
    return statistics.mean[0], statistics.var[0]


def _most_opaque(picture: Image.Image) -> Image.Image | None:
    """Return a mask of what is at least half as opaque as anything; None for an RGB picture."""
    if picture.mode != "RGBA":
        return None
    alpha = picture.getchannel("A")
    least = max(1, ImageStat.Stat(alpha).extrema[0][1] / 2)
    return alpha.point([255 * (value >= least) for value in range(256)])


def prepare_colors(
    photo: Image.Image,
    paintings: Sequence[Image.Image],
    how: str,
    within: Sequence[Image.Image | None] = (),
) -> tuple[Image.Image, list[Image.Image]]:
    """Return the photo and the paintings as a run is to see them, RGB.

    `how` is a value of `TransferSettings.color_transfer`. With `none` they are the very same
    objects; each painting is matched alone. To the colours of a grey photo means to its luminance,
    so that the picture is grey as well. `within` are masks of the parts of the paintings that are
    taken, which alone tell their colours.
    """
    if how == "none":
        return photo, list(paintings)
    paintings = list(map(part_taken, paintings, chain(within, repeat(None))))
    if not has_color(photo) and how != "luminance":
        how = "luminance_matched"
    if how == "luminance":
        return to_grey(photo), [to_grey(painting.convert("RGB")) for painting in paintings]
    if how == "luminance_matched":
        return to_grey(photo), [match_luminance(painting, photo) for painting in paintings]
    return photo, [match_painting(painting, photo, how) for painting in paintings]


def only_colors(photo: Image.Image, paintings: Image.Image | Sequence[Image.Image]) -> Image.Image:
    """Return the photo in the mean and covariance of the paintings' colours; nothing is painted.

    It has the photo's own size, and takes no network and hardly any time. The photo and the
    paintings, one or several, are RGB.
    """
    if isinstance(paintings, Image.Image):
        paintings = [paintings]
    return dial_colors(without_color_noise(photo), photo, paintings, 1.0)
