"""The masks of a job on disk: each different one once, by its hash.

A file that a crash or a failing disk has damaged raises `DamagedError`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nst.images.mask_records import MaskRecord, MaskRecords
from nst.images.masks import Mask, Masks
from nst.images.writing import save_png
from nst.studio.job_record import DamagedError, read_file, read_picture

MOST_MASK = 60_000_000  # bytes of a PNG; grey that does not compress takes one a pixel

Masked = Iterable[tuple[Mask | None, MaskRecord | None]]


def save_masks(masks: Masks, records: MaskRecords, home: Path) -> None:
    """Write the masks that are not there yet; `records` tell their hashes.

    Raises `OSError`.
    """
    pairs: Masked = [
        *zip(masks.regions, records.regions, strict=True),
        *zip(masks.within, records.within, strict=True),
        (masks.keep, records.keep),
    ]
    for mask, record in pairs:
        if mask and record and not _file(home, record).exists():
            save_png(mask, _file(home, record))


def read_masks(records: MaskRecords, home: Path) -> Masks:
    """Return the masks that a recipe tells of, each different one once in memory."""
    known: dict[str, Mask] = {}

    def mask_of(record: MaskRecord | None) -> Mask | None:
        if record is None:
            return None
        if record.sha256 not in known:
            known[record.sha256] = _read(home, record)
        return known[record.sha256]

    return Masks(
        tuple(map(mask_of, records.regions)),
        mask_of(records.keep),
        tuple(map(mask_of, records.within)),
    )


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
