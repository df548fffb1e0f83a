"""The masks of a job on disk: each different one once, and which passage of the run has which.

A file that a crash or a failing disk has damaged raises `DamagedError`, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nst.files import whole_file
from nst.images.masks import Masks
from nst.images.writing import hash_of, save_png
from nst.settings import MOST_STYLES
from nst.studio.job_record import DamagedError, read_file, read_picture

RECORD = "masks.json"
MOST_RECORD = 10_000_000  # bytes
MOST_MASK = 60_000_000  # bytes of a PNG; grey that does not compress takes one a pixel
HASH = re.compile("[0-9a-f]{64}")

Names = dict[str, Any]  # the hashes of a passage's masks, None where there is none


def save_masks(passages: Iterable[Masks], home: Path) -> None:
    """Write the masks of a job's passages. Call it before the picture that they lead to is written.

    Raises `OSError`.
    """
    hashes: dict[int, str] = {}
    record = [_saved(masks, home, hashes) for masks in passages]
    with whole_file(home / RECORD) as temporary:
        temporary.write_text(json.dumps(record), encoding="ascii")


def read_masks(home: Path, passages: int) -> list[Masks]:
    """Return the masks of each of so many passages. A job without a record has none."""
    try:
        record = _parsed(read_file(home / RECORD, MOST_RECORD))
    except FileNotFoundError:
        return [Masks()] * passages
    if len(record) < passages:
        raise DamagedError(f"{RECORD} has too few passages")
    known: dict[str, Image.Image] = {}
    made: list[Masks] = []
    for number, names in enumerate(record[:passages]):
        is_same = number > 0 and names == record[number - 1]
        made.append(made[-1] if is_same else _read(names, home, known))
    return made


def _saved(masks: Masks, home: Path, hashes: dict[int, str]) -> Names:
    def name_of(mask: Image.Image | None) -> str | None:
        if mask is None:
            return None
        if id(mask) not in hashes:
            hashes[id(mask)] = hash_of(mask)
            path = _file(home, hashes[id(mask)])
            if not path.exists():
                save_png(mask, path)
        return hashes[id(mask)]

    return {
        "regions": list(map(name_of, masks.regions)),
        "keep": name_of(masks.keep),
        "within": list(map(name_of, masks.within)),
    }


def _read(names: Names, home: Path, known: dict[str, Image.Image]) -> Masks:
    def mask_of(name: str | None) -> Image.Image | None:
        if name is None:
            return None
        if name not in known:
            known[name] = _read_mask(_file(home, name))
        return known[name]

    return Masks(
        regions=tuple(map(mask_of, names["regions"])),
        keep=mask_of(names["keep"]),
        within=tuple(map(mask_of, names["within"])),
    )


def _read_mask(path: Path) -> Image.Image:
    try:
        mask = read_picture(read_file(path, MOST_MASK), path.name).convert("L")
    except OSError:
        raise DamagedError(f"{path.name} is missing") from None
    mask.info = {}  # equal to the mask that was written
    return mask


def _file(home: Path, name: str) -> Path:
    return home / f"mask-{name[:16]}.png"


def _parsed(data: bytes) -> list[Names]:
    """Return what a record says of each passage: hashes in their places, and nothing else."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedError(f"{RECORD} is damaged") from None
    if not isinstance(record, list) or not all(map(_is_passage, record)):
        raise DamagedError(f"{RECORD} is not what was written")
    return record


def _is_passage(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and all(_are_hashes(value.get(name)) for name in ("regions", "within"))
        and _are_hashes([value.get("keep")])
    )


def _are_hashes(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) <= MOST_STYLES
        and all(each is None or (isinstance(each, str) and HASH.fullmatch(each)) for each in value)
    )
