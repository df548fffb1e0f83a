"""The paintings of a run, opened: what becomes of what a visitor chose, and back.

Knows pictures, uses and masks, and what the component of them holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from PIL import Image, ImageChops, ImageOps

from nst import ImageError, SettingsError, TransferSettings
from nst.errors import MaskError
from nst.images.masks import NO_MASKS, Mask, Masks, load_mask
from nst.images.reading import MIN_SIDE
from nst.images.recipe import Ingredient
from nst.images.transforms import share_taken
from nst.settings import PaintingUse
from nst.studio.job import Job
from nst.studio.job_styles import are_equal
from page.panels.components import Choice
from page.panels.paintings import MOST_REGIONS, REST, Paintings, placed
from page.panels.picture_inputs import load_named
from page.picture_cache import PictureCache
from page.previews import file_url

LONGEST_MASK = 1024  # pixels, of a mask's longest side
MOST_MASK_BYTES = 2_000_000  # of its file
MOST_OPENED = 32_000_000  # bytes of masks that are kept opened
LEAST_PART = 1 / 2000  # of what is seen of a painting: at 256 pixels deep layers see no less
HARDLY_ANYTHING = "Hardly anything of painting {} is used; paint over more of it, or crop less."
ALL_ZERO = "The weights of the paintings are all 0; at least one must count."

opened_masks = PictureCache(load_mask, MOST_OPENED)
"""Those that were used last."""


@dataclass(frozen=True)
class Mix:
    """The paintings of a run, opened: how each is used, and where it rules.

    A painting that rules two regions is there twice. `numbers` are those that the visitor sees.
    """

    paintings: Sequence[Image.Image]
    uses: tuple[PaintingUse, ...] = ()
    masks: Masks = NO_MASKS
    numbers: tuple[int, ...] = ()

    def check(self, photo: Image.Image) -> None:
        """Raise `ImageError` or `SettingsError` where nothing can be painted on a photo so."""
        settings, count = TransferSettings(paintings=self.uses), len(self.paintings)
        uses, numbers = settings.uses(count), self.numbers or range(1, count + 1)
        self.masks.check(photo, self.paintings, uses, numbers)
        for number, mask, use in zip(numbers, self.masks.within, uses, strict=False):
            if mask and use.weight > 0 and share_taken(mask, use) < LEAST_PART:
                raise MaskError(HARDLY_ANYTHING.format(number))
        if self.uses and not settings.used(self.paintings):
            raise SettingsError(ALL_ZERO)

    def is_of(self, job: Job) -> bool:
        """Tell whether a job uses as many paintings so, in the same regions."""
        wanted, masks = job.settings, job.wanted_masks
        count = len(job.wanted_paintings)
        pairs = zip(self.masks.listed(count), masks.listed(count), strict=True)
        return (
            len(self.paintings) == count
            and wanted.replace(paintings=self.uses).paintings == wanted.paintings
            and all(are_equal(mine, its) for mine, its in pairs)
        )

    @staticmethod
    def of(job: Job) -> Mix:
        """Return what a job is painted with, or will be from the next iteration on."""
        return Mix(job.wanted_paintings, job.settings.paintings, job.wanted_masks)


def unheard_note(settings: TransferSettings, n_paintings: int) -> str:
    """Return a sentence about the first painting whose layers do not count, or ""."""
    layers = settings.style_layers
    for number, use in enumerate(settings.uses(n_paintings), start=1):
        if layers and use.weight and not any(map(use.counts_at, layers)):
            return f"Painting {number} gives nothing: none of its layers has a λ above 0."
    return ""


def mix_of(first: Choice | None, held: Paintings) -> Mix:
    """Return what becomes of a first painting and of what the component holds.

    Raises `ImageError`.
    """
    return mixed(load_named(first, "painting"), held.beside(first))


def mixed(first: Image.Image, held: Paintings) -> Mix:
    """Return what becomes of the first painting and of what the component holds.

    The paintings without a region rule wherever no region is; where each has one, all of them do.
    Raises `ImageError`.
    """
    others = [load_named(choice, "painting") for choice in held.more]
    paintings, number_of = [first, *others], range(len(others) + 1)
    tied = {region.painting for region in held.regions}
    free = [number for number in number_of if number not in tied] or list(number_of)
    parts = [_open_part(held.part(number), number) for number in number_of]
    entries: list[tuple[int, PaintingUse, Mask | None]] = []
    for number in number_of:
        use = held.use(number)
        blended = replace(use, weight=held.weights[number] if len(free) > 1 else 1.0)
        used_by: dict[int | str | None, PaintingUse] = {number: use}
        if number in free:
            used_by[REST] = blended
            entries.append((number, blended, None))
        entries += [
            (
                number,
                replace(used_by[region.painting], strength=region.strength),
                open_mask(region.mask),
            )
            for region in held.regions
            if region.painting in used_by
        ]
    kept = [open_mask(region.mask) for region in held.regions if region.painting is None]
    numbers, uses, ruled = zip(*entries, strict=True)
    taken = tuple(parts[number] for number in numbers)
    regions, within = (each if any(each) else () for each in (ruled, taken))
    return Mix(
        [paintings[number] for number in numbers],
        uses,
        Masks(regions, union(kept) if kept else None, within),
        tuple(number + 1 for number in numbers),
    )


def _open_part(path: str | None, number: int) -> Mask | None:
    return open_mask(path, f"The part of painting {number + 1}") if path else None


def open_mask(path: str, name: str = "A painted region") -> Mask:
    """Return the mask in an upload, black where it is transparent.

    Raises `MaskError` that says which one it is.
    """
    try:
        if Path(path).stat().st_size > MOST_MASK_BYTES:
            raise ImageError(f"A mask has at most {MOST_MASK_BYTES // 1_000_000} MB.")
        mask = opened_masks.open(path)
        if max(mask.size) > LONGEST_MASK:
            raise ImageError(f"A mask has at most {LONGEST_MASK} pixels on its longest side.")
    except (ImageError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MaskError(f"{name} cannot be used. {reason}") from error
    return mask


def union(masks: Sequence[Image.Image]) -> Image.Image:
    """Return what any of the masks covers, in the size of the first."""
    whole, *others = masks
    for other in others:
        whole = ImageChops.lighter(whole, other.resize(whole.size))
    return whole


class OpenRegion(NamedTuple):
    """A region as `Region` is one, with its mask opened."""

    mask: Mask
    painting: int | str | None
    strength: float


@dataclass(frozen=True)
class Plan:
    """How a run uses its paintings, as the component shows it: the inverse of a mix.

    A painting is known by its ingredient, and there once for each choice of layers, size,
    direction and part with which it is used. Its weight is that outside of the regions.
    """

    paintings: list[Ingredient]
    uses: list[PaintingUse]  # their layers, sizes and directions
    weights: list[float]
    regions: list[OpenRegion]
    parts: list[Mask | None]  # of the paintings that are taken; None for all of one

    @staticmethod
    def of(used: Sequence[Ingredient], uses: Sequence[PaintingUse], masks: Masks) -> Plan:
        """Return the plan of a run: its paintings in their order, their uses and their masks."""
        parts, taken = Masks(masks.within).distinct(len(used))
        placements = list(zip(used, map(placed, uses), taken, strict=True))
        paintings = list(dict.fromkeys(placements))
        weights = dict.fromkeys(paintings, 1.0)
        distinct, numbers = masks.distinct(len(used))
        rulers: dict[int | None, dict[int, PaintingUse]] = {}  # by the number of their mask
        for painting, use, number in zip(placements, uses, numbers, strict=True):
            rulers.setdefault(number, {})[paintings.index(painting)] = use
            if number is None:
                weights[painting] = use.weight
        free = rulers.pop(None, {})
        regions = [
            OpenRegion(distinct[number], ruler, strength)
            for number, ruling in rulers.items()
            if number is not None
            for ruler, strength in _ruling(ruling, free)
        ]
        if masks.keep:
            regions.append(OpenRegion(masks.keep, None, 1.0))
        ingredients, sizes, taken = (list(each) for each in zip(*paintings, strict=True))
        return Plan(
            ingredients,
            sizes,
            list(weights.values()),
            regions,
            [None if number is None else parts[number] for number in taken],
        )


def _ruling(
    ruling: dict[int, PaintingUse], free: dict[int, PaintingUse]
) -> list[tuple[int | str | None, float]]:
    """Return what rules in a region, and its strength: its paintings, or those that are free."""
    strengths = {use.strength for use in ruling.values()}
    weights, elsewhere = ({n: use.weight for n, use in uses.items()} for uses in (ruling, free))
    if weights == elsewhere and len(strengths) == 1:
        return [(REST, strengths.pop())]
    return [(number, use.strength) for number, use in ruling.items()]


def _usable(mask: Mask) -> Mask:
    """Return a mask that can be opened again: a small copy may have a side that no picture has."""
    factor = math.ceil(MIN_SIDE / min(mask.size))
    return ImageOps.scale(mask, factor) if factor > 1 else mask


def region_values(regions: Sequence[OpenRegion], component: gr.HTML) -> list[dict[str, Any]]:
    """Return what the component holds for regions; the masks are put in its cache."""
    return [
        {
            **_mask_value(mask, component),
            "painting": painting,
            "strength": strength,
            "color": color % MOST_REGIONS,
        }
        for color, (mask, painting, strength) in enumerate(regions)
    ]


def part_values(parts: Sequence[Mask | None], component: gr.HTML) -> list[dict[str, Any] | None]:
    """Return what the component holds for parts of paintings; the masks are put in its cache."""
    return [_mask_value(part, component) if part else None for part in parts]


def _mask_value(mask: Mask, component: gr.HTML) -> dict[str, Any]:
    path = str(save_pil_to_cache(_usable(mask), component.GRADIO_CACHE, "region", format="png"))
    return {"file": {"path": path}, "shown": file_url(path)}
