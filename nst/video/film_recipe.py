"""The recipe of a film: that of a picture, with what a film has beside it under `film`.

frame_iterations, temporal_weight   as in `FilmSettings`
fps            the most frames per second that were taken; 0 for all
end_alpha, end_beta, end_style_weights   what they were at the end, as texts; those that changed
masks          by the number of the frame, from 1, that they were painted on: as in a recipe
protect_faces  whether faces were left as they were filmed
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nst.errors import ImageError, RecipeError, SettingsError
from nst.images.mask_records import MaskRecords
from nst.images.recipe import new_recipe, parse_recipe, picture_recipe_text
from nst.provenance import Provenance
from nst.settings import FilmSettings, TransferSettings
from nst.video.clips import read_tag
from nst.video.mask_tracks import KeyMasks
from nst.video.writing import RECIPE

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
COMMENT = "comment"  # the tag of a GIF that has the recipe
MOST_SETTINGS = 1_000_000  # bytes of a JSON file
ENDS = ("end_alpha", "end_beta", "end_style_weights")


def film_recipe(
    first: Image.Image,
    styles: Sequence[Image.Image],
    settings: TransferSettings,
    film: FilmSettings,
    provenance: Provenance | str,
    *,
    masks: KeyMasks | None = None,
    protect_faces: bool = False,
    others: Mapping[str, Any] | None = None,
) -> str:
    """Return the recipe of a film as text: that of its first frame, and what films have beside it.

    `others` are `fps`, and what settings were at the end.
    """
    keys = {frame: each for frame, each in (masks or {}).items() if each}
    recipe = new_recipe(first, styles, settings, provenance, masks=keys.get(0))
    told: dict[str, Any] = {**film.to_json(), **(others or {})}
    if keys:
        told["masks"] = {
            str(frame + 1): MaskRecords.of(keys[frame]).to_json() for frame in sorted(keys)
        }
    if protect_faces:
        told["protect_faces"] = True
    return json.dumps({**json.loads(recipe.to_text()), "film": told}, separators=(",", ":"))


@dataclasses.dataclass(frozen=True)
class KnownSettings:
    """Settings that a file tells of: those of pictures, of films, and of a film's end, as texts."""

    settings: TransferSettings = dataclasses.field(default_factory=TransferSettings)
    film: FilmSettings = dataclasses.field(default_factory=FilmSettings)
    ends: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_settings(path: str) -> KnownSettings:
    """Return the settings in a film or picture that was made here, or in a JSON object.

    That may have those of films under `film`, as a recipe does. Raises `SettingsError` or
    `RecipeError`, with the file's name.
    """
    try:
        with open(path, "rb") as file:
            beginning = file.read(MOST_SETTINGS)
    except OSError as error:
        raise SettingsError(f"{path}: it cannot be read: {error.strerror or error}") from None
    try:
        if beginning.lstrip()[:1] == b"{":
            data = json.loads(beginning)
            film = data.pop("film", {})
            return _known(TransferSettings.from_json(data), film)
        text = recipe_text(Path(path))
        return _known(parse_recipe(text).settings, json.loads(text).get("film", {}))
    except (RecipeError, SettingsError) as error:
        raise type(error)(f"{path}: {error}") from None
    except ImageError as error:
        raise RecipeError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        raise SettingsError(f"{path}: it is no JSON object of settings") from None


def recipe_text(path: Path) -> str:
    """Return the text of the recipe in a film, or in a picture.

    Raises `RecipeError` where there is none, `ImageError` where the film cannot be read.
    """
    if path.suffix.lower() in PICTURES:
        return picture_recipe_text(path)
    text = read_tag(path, RECIPE) or read_tag(path, COMMENT)
    if not text.startswith("{"):
        raise RecipeError("This film carries no recipe; it was not made here, or was re-saved.")
    return text


def _known(settings: TransferSettings, told: Any) -> KnownSettings:
    """Return settings with what is told of a film. Raises `SettingsError` for what cannot be."""
    if not isinstance(told, dict):
        raise SettingsError("film must be an object")
    names = [spec.name for spec in dataclasses.fields(FilmSettings)]
    film = FilmSettings(**{name: told[name] for name in names if name in told})
    ends = {name: told[name] for name in ENDS if name in told}
    if not all(isinstance(text, str) for text in ends.values()):
        raise SettingsError("what settings are at the end must be texts")
    return KnownSettings(settings, film, ends)
