"""The masks of a job on disk: each different one once, by its hash.

A file that a crash or a failing disk has damaged raises `DamagedError`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from nst.images.mask_records import MaskRecord
from nst.images.masks import Mask, Masks
from nst.images.recipe import Recipe
from nst.images.writing import save_png
from nst.studio.job_record import DamagedError, read_file, read_picture

MOST_MASK = 60_000_000  # bytes of a PNG; grey that does not compress takes one a pixel

Masked = Iterable[tuple[Mask | None, MaskRecord | None]]


def save_masks(masks: Masks, keeps: Mapping[str, Mask], recipe: Recipe, home: Path) -> None:
    """Write the masks that are not there yet; the recipe tells their hashes.

    `masks` are those of all paintings, `keeps` by their hashes those of what passages leave as it
    is. Raises `OSError`.
    """
    kept = [passage.keep for passage in recipe.passages]
    pairs: Masked = [
        *zip(masks.regions, recipe.regions, strict=True),
        *zip(masks.within, recipe.within, strict=True),
        *((keeps[record.sha256], record) for record in kept if record),
    ]
    for mask, record in pairs:
        if mask and record and not _file(home, record).exists():
            save_png(mask, _file(home, record))


def read_masks(recipe: Recipe, home: Path) -> tuple[Masks, dict[str, Mask]]:
    """Return what `save_masks` has written, each different mask once in memory."""
    known: dict[str, Mask] = {}

    def mask_of(record: MaskRecord | None) -> Mask | None:
        if record is None:
            return None
        if record.sha256 not in known:
            known[record.sha256] = _read(home, record)
        return known[record.sha256]

    keeps = {
        passage.keep.sha256: mask
        for passage in recipe.passages
        if passage.keep and (mask := mask_of(passage.keep))
    }
    regions, within = (tuple(map(mask_of, each)) for each in (recipe.regions, recipe.within))
    return Masks(regions, mask_of(recipe.passages[-1].keep), within), keeps


def _read(home: Path, record: MaskRecord) -> Mask:
    path = _file(home, record)
    try:
        mask = read_picture(read_file(path, MOST_MASK), path.name).convert("L")
    except OSError:
        raise DamagedError(f"{path.name} is missing") from None
    if mask.size != (record.width, record.height):
        raise DamagedError(f"{path.name} is not the mask that the recipe names")
    return mask


def _file(home: Path, record: MaskRecord) -> Path:
    return home / f"mask-{record.sha256[:16]}.png"
