"""The paintings of a run, opened: what becomes of what a visitor chose, and back.

Knows pictures, uses and masks, and what the component of them holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from PIL import Image, ImageChops

from nst import ImageError, SettingsError, TransferSettings
from nst.images.masks import NO_MASKS, Masks
from nst.images.recipe import Ingredient
from nst.settings import PaintingUse
from nst.studio.job import Job
from nst.studio.job_styles import are_equal
from page.panels.components import pictures
from page.panels.paintings import MOST_REGIONS, REST, Paintings, placed
from page.panels.picture_inputs import load_named
from page.previews import file_url

LONGEST_MASK = 1024  # pixels, of a mask's longest side
MOST_MASK_BYTES = 2_000_000  # of its file
ALL_ZERO = "The weights of the paintings are all 0; at least one must count."


@dataclass(frozen=True)
class Mix:
    """The paintings of a run, opened: how each is used, and where it rules.

    A painting that rules two regions is there twice.
    """

    paintings: Sequence[Image.Image]
    uses: tuple[PaintingUse, ...] = ()
    masks: Masks = NO_MASKS

    def check(self, photo: Image.Image) -> None:
        """Raise `ImageError` or `SettingsError` where nothing can be painted on a photo so."""
        self.masks.check(photo, self.paintings)
        if self.uses and not TransferSettings(paintings=self.uses).used(self.paintings):
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


def mixed(first: Image.Image, held: Paintings) -> Mix:
    """Return what becomes of the first painting and of what the component holds.

    The paintings without a region rule wherever no region is; where each has one, all of them do.
    Raises `ImageError`.
    """
    others = [load_named(choice, "painting") for choice in held.more]
    paintings, number_of = [first, *others], range(len(others) + 1)
    tied = {region.painting for region in held.regions}
    free = [number for number in number_of if number not in tied] or list(number_of)
    entries: list[tuple[Image.Image, PaintingUse, Image.Image | None]] = []
    for number in number_of:
        use = held.use(number)
        blended = replace(use, weight=held.weights[number] if len(free) > 1 else 1.0)
        used_by: dict[int | str | None, PaintingUse] = {number: use}
        if number in free:
            used_by[REST] = blended
            entries.append((paintings[number], blended, None))
        entries += [
            (
                paintings[number],
                replace(used_by[region.painting], strength=region.strength),
                open_mask(region.mask),
            )
            for region in held.regions
            if region.painting in used_by
        ]
    kept = [open_mask(region.mask) for region in held.regions if region.painting is None]
    images, uses, masks = zip(*entries, strict=True)
    regions = masks if any(masks) else ()
    return Mix(list(images), uses, Masks(regions, union(kept) if kept else None))


def open_mask(path: str) -> Image.Image:
    """Return the mask in an upload. Raises `ImageError` that says that it is one."""
    try:
        if Path(path).stat().st_size > MOST_MASK_BYTES:
            raise ImageError(f"A mask has at most {MOST_MASK_BYTES // 1_000_000} MB.")
        mask = pictures.open(path)
        if max(mask.size) > LONGEST_MASK:
            raise ImageError(f"A mask has at most {LONGEST_MASK} pixels on its longest side.")
    except (ImageError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(f"A painted region cannot be used. {reason}") from error
    return mask.convert("L")


def union(masks: Sequence[Image.Image]) -> Image.Image:
    """Return what any of the masks covers, in the size of the first."""
    whole, *others = masks
    for other in others:
        whole = ImageChops.lighter(whole, other.resize(whole.size))
    return whole


@dataclass(frozen=True)
class Plan:
    """How a run uses its paintings, as the component shows it: the inverse of a mix.

    A painting is known by its ingredient, and there once for each size and direction in which it
    is used. Its weight is that outside of the regions. Regions are a mask, what rules there (see
    `Region`), and a strength.
    """

    paintings: list[Ingredient]
    uses: list[PaintingUse]  # their sizes and directions
    weights: list[float]
    regions: list[tuple[Image.Image, int | str | None, float]]

    @staticmethod
    def of(used: Sequence[Ingredient], uses: Sequence[PaintingUse], masks: Masks) -> Plan:
        """Return the plan of a run: its paintings in their order, their uses and their masks."""
        placements = list(zip(used, map(placed, uses), strict=True))
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
            (distinct[number], ruler, strength)
            for number, ruling in rulers.items()
            if number is not None
            for ruler, strength in _ruling(ruling, free)
        ]
        if masks.keep:
            regions.append((masks.keep, None, 1.0))
        ingredients, sizes = (list(each) for each in zip(*paintings, strict=True))
        return Plan(ingredients, sizes, list(weights.values()), regions)


def _ruling(
    ruling: dict[int, PaintingUse], free: dict[int, PaintingUse]
) -> list[tuple[int | str | None, float]]:
    """Return what rules in a region, and its strength: its paintings, or those that are free."""
    strengths = {use.strength for use in ruling.values()}
    weights, elsewhere = ({n: use.weight for n, use in uses.items()} for uses in (ruling, free))
    if weights == elsewhere and len(strengths) == 1:
        return [(REST, strengths.pop())]
    return [(number, use.strength) for number, use in ruling.items()]


def region_values(plan: Plan, component: gr.HTML) -> list[dict[str, Any]]:
    """Return what the component holds for the regions of a plan; the masks are put in its cache."""
    values = []
    for color, (mask, painting, strength) in enumerate(plan.regions):
        path = str(save_pil_to_cache(mask, component.GRADIO_CACHE, "region", format="png"))
        values.append(
            {
                "file": {"path": path},
                "shown": file_url(path),
                "painting": painting,
                "strength": strength,
                "color": color % MOST_REGIONS,
            }
        )
    return values
