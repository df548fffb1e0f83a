"""Painted regions as a part of a link, where the visitor agrees to that.

`1:0.5:64x43:…,rest:0.3:…,keep:1:…`: what rules in each region (a painting by its number, the
paintings that rule elsewhere, or the photo as it is), its strength, the size of a small copy of its
mask, and that copy's 32 levels of grey in the zlib format, as base64 for addresses. Copies come
from strangers: no decoder of pictures reads them.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from nst.errors import SettingsError
from nst.images.mask_records import small_copy, unpacked_copy
from nst.images.masks import Mask, has_shape_of
from nst.settings import PaintingUse
from page.panels.mix import OpenRegion
from page.panels.paintings import MOST_REGIONS, REST

MOST_TEXT = 4000  # characters of all regions; half of what an address may have
SIDES = (128, 96, 64, 48, 32, 16)  # pixels of a copy's longest side: the largest that fits
STEP = 8  # between two levels of grey, of 255; fewer levels take half of the text
KEEP = "keep"
DAMAGED = "a painted region is damaged"
OTHER_SHAPE = "a painted region has another shape than the photo"


def regions_text(regions: Sequence[OpenRegion]) -> str:
    """Return regions as a link has them; those that vanish in copies so small are left out."""
    text = ""
    for side in SIDES:
        copies = [_levels(small_copy(region.mask, side)) for region in regions]
        pairs = zip(regions, copies, strict=True)
        text = ",".join(_entry(region, copy) for region, copy in pairs if copy.getextrema()[1])
        if len(text) <= MOST_TEXT:
            break
    return text


def read_regions(
    text: str, photo: tuple[int, int], index_of: Mapping[int, int]
) -> list[OpenRegion]:
    """Return the regions in a link; those of paintings that are not known here are left out.

    `photo` is the size of theirs; `index_of` tells the index here of a painting by that in the
    link. Raises `SettingsError`.
    """
    if len(text) > MOST_TEXT:
        raise SettingsError(DAMAGED)
    read = [_read(entry) for entry in text.split(",")[:MOST_REGIONS]] if text else []
    if not all(has_shape_of(photo, region.mask.size) for region in read):
        raise SettingsError(OTHER_SHAPE)
    return renumbered([region for region in read if region.mask.getextrema()[1]], index_of)


def renumbered(regions: Iterable[OpenRegion], index_of: Mapping[int, int]) -> list[OpenRegion]:
    """Return regions with other indices of their paintings, without those that have none."""
    ruler_of: dict[Any, int | str | None] = {None: None, REST: REST, **index_of}
    return [
        region._replace(painting=ruler_of[region.painting])
        for region in regions
        if region.painting in ruler_of
    ]


def _entry(region: OpenRegion, levels: Image.Image) -> str:
    _, painting, strength = region
    ruler = KEEP if painting is None else painting if painting == REST else int(painting) + 1
    packed = base64.urlsafe_b64encode(zlib.compress(levels.tobytes(), 9)).decode().rstrip("=")
    return f"{ruler}:{strength:g}:{levels.width}x{levels.height}:{packed}"


def _read(entry: str) -> OpenRegion:
    """Return the region in an entry; its painting is the link's. Raises `SettingsError`."""
    try:
        ruler, strength, size, packed = entry.split(":")
        width, height = map(int, size.split("x"))
        data = base64.b64decode(packed + -len(packed) % 4 * "=", altchars=b"-_", validate=True)
        levels = unpacked_copy(data, (width, height))
        painting = {KEEP: None, REST: REST}[ruler] if ruler in (KEEP, REST) else int(ruler) - 1
        use = PaintingUse(strength=float(strength))
    except ValueError:
        raise SettingsError(DAMAGED) from None
    return OpenRegion(_grey(levels), painting, use.strength)


def _levels(mask: Mask) -> Image.Image:
    """Return the level of each of a mask's pixels, from 0."""
    return mask.point(lambda grey: grey // STEP)


def _grey(levels: Image.Image) -> Mask:
    """Return the mask of levels: the lowest is black, the highest white."""
    return levels.point(lambda level: min(255, round(level * 255 / (255 // STEP))))
