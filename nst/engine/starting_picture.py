"""Make the picture that a run starts from, at each of its sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst.engine.schedule import Moment
from nst.engine.seamless import enlarge_seamless
from nst.images.color import all_colors, has_color, is_grey, match_colors, to_grey
from nst.images.tensors import fit, to_tensor, to_unit
from nst.settings import TransferSettings

COLORS_OF = 2**22  # pixels; of a larger painting every other one, and so on, tells its colours


def starting_picture(
    photo: Tensor, paintings: Sequence[Tensor], settings: TransferSettings
) -> Tensor:
    """Return the picture that the first iteration sees, float32 and shaped like `photo`.

    The photo and the paintings may be bytes.
    """
    if settings.start == "content":
        return to_unit(photo)
    if settings.start == "recolored":
        return match_colors(photo, all_colors(list(map(_thinned, paintings))))
    generator = torch.Generator().manual_seed(settings.seed)  # on the CPU: alike on all devices
    noise = torch.rand(photo.shape, generator=generator).to(photo.device)
    if all(map(is_grey, [photo, *paintings])):
        return noise[:, :1].repeat(1, 3, 1, 1)
    return noise


def _thinned(painting: Tensor) -> Tensor:
    """Return every n-th row and column, for the colours of a picture that is very large."""
    every = math.ceil(math.sqrt(painting[0, 0].numel() / COLORS_OF))
    return painting[..., ::every, ::every]


def without_color_noise(
    content: Image.Image, paintings: Sequence[Image.Image], begin: Moment | None
) -> tuple[Image.Image, list[Image.Image], Moment | None]:
    """Return what a run works on: pictures with nothing but colour noise are pure grey.

    Where all are grey, the picture to go on from is too. `Objective` then has no gradient in
    colour.
    """
    pictures = [content, *paintings]
    colored = [has_color(picture) for picture in pictures]
    content, *paintings = (
        picture if color else to_grey(picture)
        for picture, color in zip(pictures, colored, strict=True)
    )
    if begin and not any(colored):
        begin = replace(begin, picture=to_grey(begin.picture))
    return content, paintings, begin


def keeps_detail(settings: TransferSettings) -> bool:
    """Tell whether the photo's own detail comes from the larger photo when a run moves up a scale.

    Otherwise it is enlarged with the rest. Noise has none to keep.
    """
    return settings.restructure != "much" and settings.start != "noise"


def change_since_start(
    picture: Image.Image,
    content: Image.Image,
    paintings: Sequence[Tensor],
    settings: TransferSettings,
) -> Tensor:
    """Return what distinguishes `picture` from what a run would start from at its size.

    A picture larger than the run will be is reduced first.
    """
    picture = fit(picture, min(max(picture.size), settings.size))
    painted = to_tensor(picture).to(paintings[0].device)
    if not keeps_detail(settings):
        return painted
    photo = content.resize(picture.size, Image.Resampling.LANCZOS)
    return painted - starting_picture(to_tensor(photo).to(painted), paintings, settings)


def enlarge(change: Tensor, *, onto: Tensor, is_seamless: bool = False) -> Tensor:
    """Return `onto` plus `change` resampled to its height and width, inside [0, 1]."""
    height, width = onto.shape[-2:]
    if is_seamless:
        larger = enlarge_seamless(change, (height, width))
    else:
        larger = F.interpolate(change, (height, width), mode="bicubic", align_corners=False)
    return larger.add_(onto).clamp_(0, 1)
