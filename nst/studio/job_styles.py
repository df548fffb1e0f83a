"""The paintings of a job, each with its masks: what the indices of a passage stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from nst.images.mask_records import MaskRecord, MaskRecords
from nst.images.masks import Mask, Masks
from nst.images.recipe import Ingredient


@dataclass(frozen=True, eq=False)
class Style:
    """A painting, and the masks of where it rules and of what is taken of it."""

    painting: Image.Image
    ingredient: Ingredient  # of the painting
    region: Mask | None = None
    within: Mask | None = None

    def equals(self, other: Style) -> bool:
        """Tell whether it is the same painting with the same masks."""
        return (
            self.ingredient == other.ingredient
            and are_equal(self.region, other.region)
            and are_equal(self.within, other.within)
        )


class JobStyles:
    """The styles that a job has used so far; none is there twice, and none goes."""

    def __init__(self, styles: Iterable[Style] = ()) -> None:
        self._styles: list[Style] = list(styles)
        self._records: dict[int, MaskRecord] = {}

    def __len__(self) -> int:
        return len(self._styles)

    def __getitem__(self, index: int) -> Style:
        return self._styles[index]

    @property
    def paintings(self) -> list[Image.Image]:
        """Return the painting of each style."""
        return [style.painting for style in self._styles]

    @property
    def ingredients(self) -> list[Ingredient]:
        """Return the ingredient of each style's painting."""
        return [style.ingredient for style in self._styles]

    @property
    def masks(self) -> list[Mask]:
        """Return the different masks of the styles."""
        masks = [m for each in self._styles for m in (each.region, each.within) if m]
        return list({id(mask): mask for mask in masks}.values())

    def pair(
        self, paintings: Sequence[Image.Image], masks: Masks, known: Sequence[Ingredient] = ()
    ) -> list[Style]:
        """Return paintings with their masks as styles.

        Paintings that are here already are not hashed again, and neither are those whose
        ingredients are `known`.
        """
        hashed = {id(style.painting): style.ingredient for style in self._styles}
        hashed |= dict(zip(map(id, paintings), known, strict=False))
        regions, within = _listed(masks, len(paintings))
        ingredients = [hashed.get(id(image)) or Ingredient.of(image) for image in paintings]
        return list(map(Style, paintings, ingredients, regions, within))

    def find(self, style: Style) -> int | None:
        """Return where an equal style is."""
        found = (at for at, each in enumerate(self._styles) if each.equals(style))
        return next(found, None)

    def add(self, style: Style) -> int:
        """Return where a style is, which joins where it is new.

        An equal painting or mask that is here takes its place, and is in memory once.
        """
        at = self.find(style)
        if at is not None:
            return at
        same = next((e.painting for e in self._styles if e.ingredient == style.ingredient), None)
        self._styles.append(
            replace(
                style,
                painting=same or style.painting,
                region=one_of(self.masks, style.region),
                within=one_of(self.masks, style.within),
            )
        )
        return len(self._styles) - 1

    def masks_of(self, indices: Iterable[int], keep: Mask | None) -> Masks:
        """Return the masks of some styles, beside that of what is left as it is."""
        used = [self._styles[index] for index in indices]
        regions, within = [each.region for each in used], [each.within for each in used]
        return Masks(
            tuple(regions) if any(regions) else (), keep, tuple(within) if any(within) else ()
        )

    def records(self) -> MaskRecords:
        """Return what a recipe tells of the masks of all styles; each is hashed once."""
        masks = self.masks_of(range(len(self)), None)
        regions, within = (tuple(map(self._record, each)) for each in (masks.regions, masks.within))
        return MaskRecords(regions, None, within)

    def _record(self, mask: Mask | None) -> MaskRecord | None:
        if mask is None:
            return None
        if id(mask) not in self._records:
            self._records[id(mask)] = MaskRecord.of(mask)
        return self._records[id(mask)]


def are_equal(one: Mask | None, other: Mask | None) -> bool:
    """Tell whether two masks have the same pixels, or there is neither."""
    if one is None or other is None:
        return one is other
    return one is other or (one.size == other.size and one.tobytes() == other.tobytes())


def one_of(known: Iterable[Mask], mask: Mask | None) -> Mask | None:
    """Return the one of some masks that equals a mask, or else that mask."""
    return next((each for each in known if are_equal(each, mask)), mask)


def _listed(masks: Masks, count: int) -> tuple[Sequence[Mask | None], Sequence[Mask | None]]:
    """Return the regions of so many paintings, and the masks within them."""
    listed = masks.listed(count)
    return listed[:count], listed[count + 1 :]
