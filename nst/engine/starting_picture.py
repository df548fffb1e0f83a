"""Make the picture that a run starts from, at each of its sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst.engine.fingerprint import fingerprint
from nst.engine.regions import Regions, shares
from nst.engine.seamless import enlarge_seamless
from nst.images.color import (
    ColorStatistics,
    blend_statistics,
    color_statistics,
    colors_within,
    has_color,
    is_grey,
    match_colors,
    to_grey,
)
from nst.images.tensors import to_unit
from nst.settings import TransferSettings

BAND = 2**22  # pixels whose weights are worked out at once
COLORS_OF = 2**22  # pixels; of a larger painting every other one, and so on, tells its colours


def starting_picture(
    photo: Tensor,
    paintings: Sequence[Tensor],
    settings: TransferSettings,
    regions: Regions | None = None,
    own: Tensor | None = None,
) -> Tensor:
    """Return the picture that the first iteration sees, float32 and shaped like `photo`.

    The photo and the paintings may be bytes. A picture of one's `own`, shaped like the photo, takes
    the place of what `settings.start` says, or is mixed with that by `settings.init_weight`.
    """
    weight = 0.0 if own is None else settings.init_weight
    if own is not None and weight == 1:
        return to_unit(own)
    start = _usual_start(photo, paintings, settings, regions)
    return start if own is None or weight == 0 else start.lerp(to_unit(own), weight)


def _usual_start(
    photo: Tensor,
    paintings: Sequence[Tensor],
    settings: TransferSettings,
    regions: Regions | None,
) -> Tensor:
    """Return the picture that `settings.start` names."""
    regions = regions or Regions(settings.uses(len(paintings)))
    if settings.start == "content":
        return to_unit(photo)
    if settings.start == "recolored":
        return _recolored(photo, paintings, regions)
    generator = torch.Generator().manual_seed(settings.seed)  # on the CPU: alike on all devices
    noise = torch.rand(photo.shape, generator=generator).to(photo.device)
    if all(map(is_grey, [photo, *(paintings[index] for index in regions.used)])):
        return noise[:, :1].repeat(1, 3, 1, 1)
    return noise


def _recolored(photo: Tensor, paintings: Sequence[Tensor], regions: Regions) -> Tensor:
    """Return the photo in the colours of the paintings, in each region its own."""
    groups = regions.groups
    if regions.is_whole:
        return match_colors(photo, _colors_of(groups[0], paintings, regions))
    height, width = photo.shape[-2:]
    step = max(1, BAND // width)
    recolored = to_unit(photo).clone()
    for number, group in enumerate(groups):
        matched = match_colors(photo, _colors_of(group, paintings, regions))
        for top in range(0, height, step):
            rows = slice(top, top + step)
            weights = regions.weights(rows)[number].to(matched)
            change = matched[..., rows, :] - to_unit(photo[..., rows, :])
            recolored[..., rows, :].addcmul_(weights, change)
    return recolored.clamp_(0, 1)


def _colors_of(
    group: Sequence[int], paintings: Sequence[Tensor], regions: Regions
) -> ColorStatistics:
    """Return mean and covariance of the colours of some paintings, by weight."""
    colors = {index: _colors_within(paintings[index], regions, index) for index in group}
    if len(group) == 1:
        return color_statistics(colors[group[0]])
    keys = {index: fingerprint(colors[index]) for index in group}
    distinct = {keys[index]: color_statistics(colors[index]) for index in group}
    weighed = shares((keys[index], regions.uses[index].weight) for index in group)
    return blend_statistics((distinct[key], share) for key, share in weighed.items())


def _colors_within(painting: Tensor, regions: Regions, index: int) -> Tensor:
    """Return the pixels of a painting that tell its colours, (1, 3, H, W)."""
    colors = _thinned(painting)
    within = regions.within[index] if regions.within else None
    if within is None:
        return colors
    return colors_within(colors, _thinned(within))


def _thinned(painting: Tensor) -> Tensor:
    """Return every n-th row and column, for the colours of a picture that is very large."""
    every = math.ceil(math.sqrt(painting[0, 0].numel() / COLORS_OF))
    return painting[..., ::every, ::every]


def without_color_noise(
    content: Image.Image,
    paintings: Sequence[Image.Image],
    settings: TransferSettings,
    *others: Image.Image | None,
) -> tuple[Image.Image, list[Image.Image], list[Image.Image | None]]:
    """Return what a run works on: pictures with nothing but colour noise are pure grey.

    Where all that count are grey, `others`, which are pictures to begin with, are too. `Objective`
    then has no gradient in colour.
    """
    pictures = [content, *paintings]
    colored = [has_color(picture) for picture in pictures]
    content, *paintings = (
        picture if color else to_grey(picture)
        for picture, color in zip(pictures, colored, strict=True)
    )
    uses = settings.uses(len(paintings))
    is_any = [color for color, use in zip(colored[1:], uses, strict=True) if use.weight > 0]
    if not any([colored[0], *is_any]):
        return content, paintings, [other and to_grey(other) for other in others]
    return content, paintings, list(others)


def keeps_detail(settings: TransferSettings, *, has_own: bool = False) -> bool:
    """Tell whether the photo's own detail comes from the larger photo when a run moves up a scale.

    Otherwise it is enlarged with the rest. Noise has none to keep, not even mixed with a start of
    one's own; that alone has.
    """
    is_noise = settings.start == "noise" and not (has_own and settings.init_weight == 1)
    return settings.restructure != "much" and not is_noise


def enlarge(change: Tensor, *, onto: Tensor, is_seamless: bool = False) -> Tensor:
    """Return `onto` plus `change` resampled to its height and width, inside [0, 1]."""
    height, width = onto.shape[-2:]
    if is_seamless:
        larger = enlarge_seamless(change, (height, width))
    else:
        larger = F.interpolate(change, (height, width), mode="bicubic", align_corners=False)
    return larger.add_(onto).clamp_(0, 1)
