"""Plan a batch: which photo is painted after which painting, to which file, under which key."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst.batch.inputs import InputFile, hashed
from nst.batch.messages import Controls, FileFormat, FilmFormat, PaintRequest
from nst.batch.names import output_names
from nst.errors import SettingsError
from nst.provenance import engine_version
from nst.settings import VERSION, TransferSettings

PAIRS = ("all", "zip")


@dataclass(frozen=True)
class Manner:
    """How all pictures of a batch are painted, whatever the photo and the painting."""

    settings: TransferSettings
    format: FileFormat = field(default_factory=FileFormat)
    controls: Controls = field(default_factory=Controls)
    film: FilmFormat = field(default_factory=FilmFormat)
    protect_faces: bool = False

    def key(self, photo: InputFile, painting: InputFile) -> str:
        """Return a hash of all that decides a picture: its inputs, the settings, and the engine.

        The device, the number of threads and the version of torch are left out: they change bits,
        and no look.
        """
        decisive: dict[str, Any] = {
            "photo": photo.sha256,
            "painting": painting.sha256,
            "settings": _with_floats(self.settings.to_json()),
            "settings version": VERSION,
            "engine": engine_version(),
        }
        if self.protect_faces:
            decisive["protect faces"] = True
        if photo.is_clip:
            decisive["film"] = _with_floats(self.film.to_json())
        else:
            decisive |= {"format": vars(self.format), "controls": self.controls.hashes()}
        text = json.dumps(decisive, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Item:
    """One picture of a batch."""

    number: int
    photo: InputFile
    painting: InputFile
    output: str  # the name of its file in the output folder
    key: str

    @property
    def is_film(self) -> bool:
        """Tell whether it is a film, painted after a clip."""
        return self.photo.is_clip

    def request(self, manner: Manner) -> PaintRequest:
        """Return what a worker is sent. Raises `ImageError` where a file cannot be read."""
        return PaintRequest(
            self.number,
            self.photo.read(),
            self.painting.read(),
            manner.settings,
            manner.format,
            manner.controls,
            manner.protect_faces,
        )


def pair_up(
    photos: Sequence[Path], paintings: Sequence[Path], pairs: str = "all"
) -> list[tuple[Path, Path]]:
    """Return which photo goes with which painting.

    With `all` each goes with each, photo by photo; with `zip` the first with the first and so on.
    Raises `SettingsError` where their numbers differ then.
    """
    if pairs not in PAIRS:
        raise ValueError(f"pairs must be one of {', '.join(PAIRS)}, not {pairs!r}")
    if pairs == "all":
        return list(itertools.product(photos, paintings))
    if len(photos) != len(paintings):
        raise SettingsError(
            f"--pairs zip needs as many paintings as photos, not {len(paintings)} for {len(photos)}"
        )
    return list(zip(photos, paintings, strict=True))


def plan_items(pairs: Sequence[tuple[Path, Path]], manner: Manner) -> list[Item]:
    """Return the pictures of a batch in order; reads and hashes every file once."""
    files = hashed(path for pair in pairs for path in pair)
    names = output_names(pairs, manner.format.suffix)
    return [
        Item(number, files[photo], files[painting], name, manner.key(files[photo], files[painting]))
        for number, ((photo, painting), name) in enumerate(zip(pairs, names, strict=True))
    ]


def _with_floats(value: Any) -> Any:
    """Return JSON in which 1 and 1.0 are the same number."""
    if isinstance(value, dict):
        return {name: _with_floats(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_floats(each) for each in value]
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole else value
