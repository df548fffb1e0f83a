"""What a recipe tells of the masks that a picture was painted with.

That is a hash, and a small copy that paints nearly the same. Copies come from strangers: no decoder
of pictures reads them, and nothing is unpacked beyond the size that they must have.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import Image

from nst.errors import RecipeError
from nst.images.masks import Mask, Masks
from nst.images.tensors import fitted_size
from nst.images.writing import hash_of

SIDES = (128, 64, 32, 16)  # pixels of a copy's longest side; the largest whose text is short enough
MOST_TEXT = 4096  # characters of a copy
DAMAGED = "The recipe in this picture has a mask that is damaged."


def small_copy(mask: Mask, side: int) -> Mask:
    """Return a copy of a mask whose longest side has so many pixels at most."""
    size = fitted_size(mask.size, min(side, max(mask.size)))
    return mask.resize(size, Image.Resampling.BILINEAR)


def unpacked_copy(packed: bytes, size: tuple[int, int]) -> Mask:
    """Return the copy of a size whose grey values, a byte for each, are in the zlib format.

    Raises `ValueError` for a size that no copy has, and for bytes that are not of that size.
    """
    width, height = size
    if not all(0 < side <= SIDES[0] for side in size):
        raise ValueError("no copy has this size")
    try:
        pixels = zlib.decompressobj().decompress(packed, width * height + 1)
    except zlib.error as error:
        raise ValueError("not in the zlib format") from error
    if len(pixels) != width * height:
        raise ValueError("another number of pixels")
    return Image.frombytes("L", size, pixels)


@dataclass(frozen=True)
class MaskRecord:
    """A mask that went in, and a small copy of it.

    Raises `RecipeError` where the copy is not a picture of its size.
    """

    sha256: str  # of `hash_of`
    width: int  # in pixels
    height: int
    small_width: int  # of the copy
    small_height: int
    small: str  # base64 of its grey values, a byte for each, by rows, in the zlib format

    def __post_init__(self) -> None:
        self.copy()

    @staticmethod
    def of(mask: Mask) -> MaskRecord:
        """Describe a mask by its size, the hash of its pixels, and a copy."""
        for side in SIDES:
            copy = small_copy(mask, side)
            text = base64.b64encode(zlib.compress(copy.tobytes(), 9)).decode()
            if len(text) <= MOST_TEXT:
                break
        return MaskRecord(hash_of(mask), mask.width, mask.height, *copy.size, text)

    def copy(self) -> Mask:
        """Return the copy."""
        if len(self.small) > MOST_TEXT:
            raise RecipeError(DAMAGED)
        try:
            packed = base64.b64decode(self.small, validate=True)
            return unpacked_copy(packed, (self.small_width, self.small_height))
        except ValueError:
            raise RecipeError(DAMAGED) from None


@dataclass(frozen=True)
class MaskRecords:
    """Those of all masks of a run; see `Masks`."""

    regions: tuple[MaskRecord | None, ...] = ()
    keep: MaskRecord | None = None
    within: tuple[MaskRecord | None, ...] = ()

    @staticmethod
    def of(masks: Masks) -> MaskRecords:
        """Describe the masks of a run."""
        regions, within = (
            tuple(MaskRecord.of(mask) if mask else None for mask in each)
            for each in (masks.regions, masks.within)
        )
        return MaskRecords(regions, MaskRecord.of(masks.keep) if masks.keep else None, within)

    def copies(self) -> Masks:
        """Return the small copies, to paint with where the masks themselves are not at hand."""
        regions, within = (
            tuple(record.copy() if record else None for record in each)
            for each in (self.regions, self.within)
        )
        return Masks(regions, self.keep.copy() if self.keep else None, within)

    def to_json(self) -> dict[str, Any]:
        """Return them as numbers, texts, lists and dicts."""
        lists = {
            name: [record and vars(record) for record in getattr(self, name)]
            for name in ("regions", "within")
        }
        return lists | ({"keep": vars(self.keep)} if self.keep else {})

    def __bool__(self) -> bool:
        return any((*self.regions, self.keep, *self.within))
