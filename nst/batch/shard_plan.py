"""What one rented machine is to paint, and where things are in the folder that it shares.

    code/HASH.zip       the code that paints, see `nst.batch.code_archive`
    inputs/SHA256       photos, paintings and masks, without their names; clips with their ending
    plans/HASH.json     a `ShardPlan`
    frames/KEY/         the finished frames of a film that is being painted
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
from nst.batch.messages import FILM_SUFFIX, Controls, FileFormat, FilmFormat
from nst.batch.plan import Item, Manner
from nst.settings import TransferSettings

DIGITS = 32  # hexadecimal digits of a hash in a name


@dataclass(frozen=True)
class PlannedPicture:
    """A picture by its key, and the SHA-256 of its photo and its painting.

    `ending` is that of a clip, such as ".mov"; empty for a photo.
    """

    key: str
    photo: str
    painting: str
    ending: str = ""

    @staticmethod
    def of(item: Item) -> PlannedPicture:
        """Return an item without its names."""
        return PlannedPicture(item.key, item.photo.sha256, item.painting.sha256, clip_ending(item))


@dataclass(frozen=True)
class ShardPlan:
    """Some of the pictures of a batch, and how they are painted."""

    pictures: tuple[PlannedPicture, ...]
    settings: TransferSettings
    format: FileFormat
    film: FilmFormat = field(default_factory=FilmFormat)
    controls: Mapping[str, str] = field(default_factory=dict)  # SHA-256 by name
    protect_faces: bool = False

    @staticmethod
    def of(items: Sequence[Item], manner: Manner) -> ShardPlan:
        """Return the plan of some items."""
        pictures = tuple(PlannedPicture.of(item) for item in items)
        return ShardPlan(
            pictures,
            manner.settings,
            manner.format,
            manner.film,
            manner.controls.hashes(),
            manner.protect_faces,
        )

    def to_bytes(self) -> bytes:
        """Return the plan as JSON; the same plan has the same bytes."""
        values = {
            "pictures": [vars(picture) for picture in self.pictures],
            "settings": self.settings.to_json(),
            "format": vars(self.format),
            "film": self.film.to_json(),
            "controls": dict(self.controls),
            "protect_faces": self.protect_faces,
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
            FilmFormat.from_json(values["film"]),
            values["controls"],
            values["protect_faces"],
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

        def file(sha256: str, ending: str = "") -> InputFile:
            return InputFile(folder / input_path(sha256, ending), sha256)

        return [
            Item(
                number,
                file(each.photo, each.ending),
                file(each.painting),
                each.key + (FILM_SUFFIX if each.ending else self.format.suffix),
                each.key,
            )
            for number, each in enumerate(self.pictures)
        ]

    def manner(self, folder: Path) -> Manner:
        """Return how it is painted, with the masks in the shared folder. Raises `ImageError`."""
        files = {
            name: InputFile(folder / input_path(sha256), sha256).read()
            for name, sha256 in self.controls.items()
        }
        return Manner(self.settings, self.format, Controls(**files), self.film, self.protect_faces)


def shards(items: Sequence[Item], count: int) -> list[list[Item]]:
    """Return items by shards of the same size, give or take one; empty shards are left out.

    Films, which take longest, are spread first. The same items in another order give the same.
    """
    ordered = sorted(items, key=lambda each: (not each.is_film, each.key))
    return [ordered[first::count] for first in range(min(count, len(ordered)))]


def content_name(data: bytes) -> str:
    """Return a name for a file that says what is in it."""
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def clip_ending(item: Item) -> str:
    """Return the ending of an item's clip; nothing for a photo."""
    return item.photo.path.suffix.lower() if item.is_film else ""


def input_path(sha256: str, ending: str = "") -> str:
    """Return where a photo, a painting, a mask or a clip is."""
    return f"inputs/{sha256}{ending}"


def plan_path(name: str) -> str:
    """Return where a plan is."""
    return f"plans/{name}.json"


def frames_path(key: str) -> str:
    """Return the folder of the finished frames of a film."""
    return f"frames/{key}"


def output_path(item: Item, format: FileFormat) -> str:
    """Return where a finished picture or film is."""
    return f"outputs/{item.key}{FILM_SUFFIX if item.is_film else format.suffix}"


def record_path(key: str) -> str:
    """Return where the record of a finished picture is."""
    return f"outputs/{key}.json"


def failure_path(key: str) -> str:
    """Return where it says why a picture cannot be painted."""
    return f"failed/{key}.json"
