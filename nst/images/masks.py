"""Masks: grey pictures that say where a painting rules, and what of the photo is left as it is.

Knows pictures, their shapes and how paintings are cropped and turned; nothing of tensors or layers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageChops

from nst.errors import MaskError
from nst.images.reading import load_image
from nst.images.tensors import fitted_size
from nst.images.transforms import share_taken
from nst.settings import PaintingUse

TOLERANCE = 0.02  # of a side; masks that were scaled by another program are off by a pixel or so

Mask = Image.Image  # 8-bit greyscale

OUTSIDE = "What is used of painting {} lies outside of its crop."
BLACK = "{} is black everywhere; paint white where it is to count."


@dataclass(frozen=True)
class Masks:
    """What masks a run is given, as pictures of any size and mode; they are kept as `mask_of` them.

    Args:
        regions: one for each painting, white where it rules; None, or nothing at the end, for a
            painting that rules wherever the others leave room. Paintings with equal masks blend.
        keep: white where the photo is left as it is.
        within: one for each painting, white in the part of the painting that is taken.
        is_followed: whether they were followed through a film, and may be black or white
            everywhere: what they stand for comes and goes.
    """

    regions: tuple[Mask | None, ...] = ()
    keep: Mask | None = None
    within: tuple[Mask | None, ...] = ()
    is_followed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "regions", tuple(map(_mask_or_none, self.regions)))
        object.__setattr__(self, "keep", _mask_or_none(self.keep))
        object.__setattr__(self, "within", tuple(map(_mask_or_none, self.within)))

    def __bool__(self) -> bool:
        return any(mask is not None for mask in (*self.regions, self.keep, *self.within))

    @property
    def are_of_photo(self) -> bool:
        """Tell whether one of them is a mask of the photo."""
        return self.keep is not None or self.count > 0

    @property
    def count(self) -> int:
        """Return the number of regions that are ruled by a painting."""
        return sum(mask is not None for mask in self.regions)

    def check(
        self,
        photo: Image.Image,
        paintings: Sequence[Image.Image],
        uses: Sequence[PaintingUse] = (),
        numbers: Sequence[int] = (),
    ) -> None:
        """Raise `MaskError`, one sentence, for masks that do not go with these pictures.

        With `uses` of the paintings something must be left of what is taken of each once it is
        cropped and turned. `numbers` are what the sentence calls the paintings, if not 1, 2, …
        """
        for kind, masks in (("masks", self.regions), ("masks within", self.within)):
            check_number_of_masks(kind, len(masks), len(paintings))
        numbers = numbers or range(1, len(paintings) + 1)
        for number, mask in zip(numbers, self.regions, strict=False):
            self._check(mask, f"The mask of painting {number}", photo, "the photo")
        self._check(self.keep, "The keep mask", photo, "the photo")
        if self.keep and self.keep.getextrema() == (255, 255) and not self.is_followed:
            raise MaskError("The keep mask is white everywhere; nothing would be painted.")
        for number, mask, painting in zip(numbers, self.within, paintings, strict=False):
            self._check(mask, f"The mask within painting {number}", painting, "the painting")
        for number, mask, use in zip(numbers, self.within, uses, strict=False):
            if mask and use.weight > 0 and not share_taken(mask, use):
                raise MaskError(OUTSIDE.format(number))

    def chosen(self, paintings: Iterable[int]) -> Masks:
        """Return the masks of some of the paintings, in their order, and the keep mask."""
        wanted = list(paintings)
        return Masks(
            tuple(_at(self.regions, index) for index in wanted),
            self.keep,
            tuple(_at(self.within, index) for index in wanted),
            self.is_followed,
        )

    def keeping(self, mask: Mask) -> Masks:
        """Return these masks where what another mask of the photo shows is left as it is, too."""
        if self.keep is None:
            return replace(self, keep=mask)
        size = max(self.keep.size, mask.size)
        both = [mask_of(each).resize(size) for each in (self.keep, mask)]
        return replace(self, keep=ImageChops.lighter(*both))

    def _check(self, mask: Mask | None, name: str, picture: Image.Image, whose: str) -> None:
        if mask is None:
            return
        if not has_shape_of(picture.size, mask.size):
            raise MaskError(
                f"{name} is {mask.width}×{mask.height} pixels, and {whose} {picture.width}×"
                f"{picture.height}; they must have the same shape."
            )
        if mask.getextrema()[1] == 0 and not self.is_followed:
            raise MaskError(BLACK.format(name))

    def listed(self, n_paintings: int) -> tuple[Mask | None, ...]:
        """Return all masks of so many paintings in a fixed order, None where one is missing."""
        every = range(n_paintings)
        regions, within = (
            [_at(masks, index) for index in every] for masks in (self.regions, self.within)
        )
        return (*regions, self.keep, *within)

    def distinct(self, n_paintings: int) -> tuple[list[Mask], list[int | None]]:
        """Return the different masks of regions, and which of them each painting has.

        The masks are in the order of their hashes, whatever the order of the paintings is.
        """
        masks = [_at(self.regions, index) for index in range(n_paintings)]
        by_hash = {_hash_of(mask): mask for mask in masks if mask}
        order = sorted(by_hash)
        numbers = [order.index(_hash_of(mask)) if mask else None for mask in masks]
        return [by_hash[hash] for hash in order], numbers


def mask_of(picture: Image.Image) -> Mask:
    """Return the mask in a picture of any mode: its luminance, and black where it is transparent.

    Between the two the luminance is multiplied by the alpha, so that half-transparent white is a
    grey of 128. A picture of mode "L" is returned as it is.
    """
    if not picture.has_transparency_data:
        return picture if picture.mode == "L" else picture.convert("L")
    picture = picture.convert("RGBA")
    return ImageChops.multiply(picture.convert("L"), picture.getchannel("A"))


def load_mask(source: str | os.PathLike[str] | bytes) -> Mask:
    """Return the mask in a file or in bytes, see `mask_of`. Raises `ImageError` as `load_image`."""
    return mask_of(load_image(source, keep_alpha=True))


def check_number_of_masks(kind: str, n_masks: int, n_paintings: int) -> None:
    """Raise `MaskError` for more masks of a kind, "masks" or "masks within", than paintings."""
    if n_masks > n_paintings:
        raise MaskError(
            f"There are {n_masks} {kind} for {_counted(n_paintings, 'painting')};"
            " each painting takes one at most."
        )


def _mask_or_none(mask: Image.Image | None) -> Mask | None:
    return mask and mask_of(mask)


def _at(masks: Sequence[Mask | None], index: int) -> Mask | None:
    return masks[index] if index < len(masks) else None


def _hash_of(mask: Mask) -> str:
    return hashlib.sha256(f"{mask.size} ".encode() + mask.tobytes()).hexdigest()


def has_shape_of(picture: tuple[int, int], mask: tuple[int, int]) -> bool:
    """Tell whether a mask of that size has a picture's aspect ratio."""
    expected = fitted_size(picture, max(mask))
    return all(
        abs(side - its) <= max(1, TOLERANCE * its) for side, its in zip(mask, expected, strict=True)
    )


def _counted(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"


NO_MASKS = Masks()
