"""What one rented machine is to paint, and where things are in the folder that it shares.

    code/HASH.zip       the code that paints, see `nst.batch.code_archive`
    inputs/SHA256       photos, paintings and masks, without their names
    plans/HASH.json     a `ShardPlan`
    outputs/KEY.png     a finished picture, and
    outputs/KEY.json    what the manifest says of it, written when the picture is there
    failed/KEY.json     why a picture cannot be painted

All names are hashes of what decides the content, so nothing is sent, or painted, twice. Files are
written once, from beginning to end: the folder may be one that can do no more than that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nst.batch.inputs import InputFile
from nst.batch.messages import Controls, FileFormat
from nst.batch.plan import Item, Manner
from nst.settings import TransferSettings

DIGITS = 32  # hexadecimal digits of a hash in a name


@dataclass(frozen=True)
class PlannedPicture:
    """A picture by its key, and the SHA-256 of its photo and its painting."""

    key: str
    photo: str
    painting: str

    @staticmethod
    def of(item: Item) -> PlannedPicture:
        """Return an item without its names."""
        return PlannedPicture(item.key, item.photo.sha256, item.painting.sha256)


@dataclass(frozen=True)
class ShardPlan:
    """Some of the pictures of a batch, and how they are painted."""

    pictures: tuple[PlannedPicture, ...]
    settings: TransferSettings
    format: FileFormat
    controls: Mapping[str, str] = field(default_factory=dict)  # SHA-256 by name

    @staticmethod
    def of(items: Sequence[Item], manner: Manner) -> ShardPlan:
        """Return the plan of some items."""
        pictures = tuple(PlannedPicture.of(item) for item in items)
        return ShardPlan(pictures, manner.settings, manner.format, manner.controls.hashes())

    def to_bytes(self) -> bytes:
        """Return the plan as JSON; the same plan has the same bytes."""
        values = {
            "pictures": [vars(picture) for picture in self.pictures],
            "settings": self.settings.to_json(),
            "format": vars(self.format),
            "controls": dict(self.controls),
        }
        return json.dumps(values, sort_keys=True, indent=1).encode()

    @staticmethod
    def from_bytes(data: bytes) -> ShardPlan:
        """Return the plan in a file. Raises `ValueError`, `KeyError` or `TypeError` for others."""
        values = json.loads(data)
        return ShardPlan(
            tuple(PlannedPicture(**picture) for picture in values["pictures"]),
            TransferSettings.from_json(values["settings"]),
            FileFormat(**values["format"]),
            values["controls"],
        )

    @property
    def name(self) -> str:
        """Return the name of its file, without folder and ending."""
        return content_name(self.to_bytes())

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys of its pictures."""
        return frozenset(picture.key for picture in self.pictures)

    def items(self, folder: Path) -> list[Item]:
        """Return what is to be painted, from the inputs in the shared folder."""

        def file(sha256: str) -> InputFile:
            return InputFile(folder / input_path(sha256), sha256)

        suffix = self.format.suffix
        return [
            Item(number, file(each.photo), file(each.painting), each.key + suffix, each.key)
            for number, each in enumerate(self.pictures)
        ]

    def manner(self, folder: Path) -> Manner:
        """Return how it is painted, with the masks in the shared folder. Raises `ImageError`."""
        files = {
            name: InputFile(folder / input_path(sha256), sha256).read()
            for name, sha256 in self.controls.items()
        }
        return Manner(self.settings, self.format, Controls(**files))


def shards(items: Sequence[Item], count: int) -> list[list[Item]]:
    """Return items by shards, told apart by their keys; empty shards are left out.

    Which shard a picture is in depends on its key and the number of shards alone.
    """
    parts: list[list[Item]] = [[] for _ in range(count)]
    for item in sorted(items, key=lambda each: each.key):
        parts[int(item.key[:8], 16) % count].append(item)
    return [part for part in parts if part]


def content_name(data: bytes) -> str:
    """Return a name for a file that says what is in it."""
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def input_path(sha256: str) -> str:
    """Return where a photo, a painting or a mask is."""
    return f"inputs/{sha256}"


def plan_path(name: str) -> str:
    """Return where a plan is."""
    return f"plans/{name}.json"


def output_path(key: str, suffix: str) -> str:
    """Return where a finished picture is."""
    return f"outputs/{key}{suffix}"


def record_path(key: str) -> str:
    """Return where the record of a finished picture is."""
    return f"outputs/{key}.json"


def failure_path(key: str) -> str:
    """Return where it says why a picture cannot be painted."""
    return f"failed/{key}.json"
