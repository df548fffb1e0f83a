"""The recipe: how a picture was painted, as JSON inside its file, and how to paint it again.

Knows settings, hashes and JSON; nothing of jobs or pages. The text chunk `nst-recipe` holds one
object:

    version     4, that of the settings (see `TransferSettings.from_json` for older ones)
    content     {"sha256": of `hash_of`, "width": px, "height": px}
    styles      the same of every painting that was used
    passages    [{"iteration": where it begins, "settings": {name: value}, "styles": [index, …],
                "continues": whether with what the optimiser had learned, "painted_by": index,
                "keep": where something is left as it is, the index of its mask}, …]
    iterations  done in all
    colors      the colour dial, −1 … 1
    provenance  [{"device": "cpu", "cuda", "mps" or "xpu", "processor": "AVX512" or a GPU's name,
                "precision": "float32" or "bfloat16", "threads": on a CPU,
                "software": {"nst": "0.2.0", "torch": "2.14.1"}}, …], one for each way in which
                passages were painted
    masks       where there are some: {"known": [each different one, once], "regions": [of each
                painting an index of these, null without one], "within": [like regions]}, each
                {"sha256", "width", "height" as above, "small_width", "small_height", "small": a
                small copy, see `nst.images.mask_records`}
    init        where there is one: the picture that the run started from, as the content

Each passage goes on from the 8-bit picture of the one before, or, where it continues, from where
the optimiser stood. A painting whose masks were edited is another one of `styles`, so that each
passage has its own. No names, paths or dates.

Version 1 is read as well: it has `device` and `software` in place of `provenance`, those of the
process that wrote the recipe, and no passage of it continues. So are masks without `known`: they
are in the place of their indices, and `keep`, if there is one, is that of all passages.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst.errors import RecipeError, SettingsError
from nst.images.deep_png import deep_png_bytes
from nst.images.mask_records import MOST_TEXT, MaskRecord, MaskRecords
from nst.images.masks import NO_MASKS, Mask, Masks
from nst.images.png_text import MAX_TEXT, read_text
from nst.images.tiff import Samples, tiff_bytes
from nst.images.transforms import seen_parts
from nst.images.writing import hash_of, jpeg_bytes, png_bytes, srgb_profile, webp_bytes
from nst.images.xmp import JPEG, TIFF, WEBP, packet_of, read_packet
from nst.provenance import Provenance
from nst.settings import MOST_STYLES, NO_WEIGHT, VERSION, TransferSettings

KEYWORD = "nst-recipe"
MOST_PASSAGES = 1000
MOST_ITERATIONS = 1_000_000
MOST_MASKS = 3 * MOST_STYLES  # different ones of a recipe
MOST_THREADS = 100_000
MAX_BYTES = 400_000_000  # of a picture that is read for its recipe: 8192×6144 of 16 bits
DELIVERED = 95  # quality of a JPEG or WebP that is delivered
WORD = re.compile(r"[\w.+-]{1,40}", re.ASCII)  # a name or a version


@dataclass(frozen=True)
class Passage:
    """A stretch of a run under one choice of settings and paintings."""

    iteration: int  # where it begins
    settings: TransferSettings
    styles: tuple[int, ...] = (0,)  # which of the paintings
    continues: bool = False  # with what the optimiser had learned, not from the picture alone
    painted_by: int = 0  # which of the recipe's provenances
    keep: MaskRecord | None = None  # of what is left as it is


@dataclass(frozen=True)
class Ingredient:
    """A picture that went in, without the picture."""

    sha256: str
    width: int
    height: int

    @staticmethod
    def of(image: Image.Image) -> Ingredient:
        """Describe a picture by its size and the hash of its pixels."""
        return Ingredient(hash_of(image), image.width, image.height)


@dataclass(frozen=True)
class Recipe:
    """All that a picture depends on. Raises `RecipeError` for what cannot have been."""

    content: Ingredient
    styles: tuple[Ingredient, ...]
    passages: tuple[Passage, ...]
    iterations: int
    colors: float
    provenance: tuple[Provenance, ...] = ()  # none before anything is painted
    regions: tuple[MaskRecord | None, ...] = ()  # of the styles, see `Masks`
    within: tuple[MaskRecord | None, ...] = ()
    init: Ingredient | None = None  # a picture of one's own that the run started from

    def __post_init__(self) -> None:
        begins = [passage.iteration for passage in self.passages]
        used = {index for passage in self.passages for index in passage.styles}
        if not begins or begins[0] != 0 or begins != sorted(begins):
            raise RecipeError("The recipe's passages do not follow each other from iteration 0.")
        if not self.iterations >= begins[-1]:
            raise RecipeError("The recipe ends before its last passage begins.")
        for passage, end in zip(self.passages, self.ends, strict=True):
            if end > max(passage.iteration, passage.settings.iterations):
                raise RecipeError("The recipe counts more iterations than its settings allow.")
        if not all(passage.styles for passage in self.passages) or not used <= set(
            range(len(self.styles))
        ):
            raise RecipeError("The recipe names a painting that it does not have.")
        if max(len(self.regions), len(self.within)) > len(self.styles):
            raise RecipeError("The recipe has more masks than paintings.")
        painters = {passage.painted_by for passage in self.passages}
        if (self.provenance or self.iterations) and max(painters) >= len(self.provenance):
            raise RecipeError("The recipe does not tell what painted each of its passages.")

    @property
    def ends(self) -> list[int]:
        """Return the last iteration of each passage, where the next one begins."""
        return [passage.iteration for passage in self.passages[1:]] + [self.iterations]

    @property
    def settings(self) -> TransferSettings:
        """Return the last choice, as the controls showed it."""
        return self.passages[-1].settings.replace(colors=self.colors)

    @property
    def painting(self) -> Ingredient:
        """Return the (first) painting in force at the end."""
        return self.styles[self.passages[-1].styles[0]]

    @property
    def masks(self) -> MaskRecords:
        """Return the masks of all paintings, and of what is left as it is at the end."""
        return MaskRecords(self.regions, self.passages[-1].keep, self.within)

    def all_masks(self, given: Masks = NO_MASKS) -> Masks:
        """Return the masks of all paintings: those given, and the small copies of other kinds."""
        copies = self.masks.copies()
        return Masks(
            given.regions if any(given.regions) else copies.regions,
            given.keep or copies.keep,
            given.within if any(given.within) else copies.within,
        )

    def passage_masks(self, given: Masks = NO_MASKS) -> list[Masks]:
        """Return the same of the paintings of each passage.

        A keep mask that is the one of some passages is theirs alone, and the others have the small
        copies; any other is that of all passages.
        """
        masks = self.all_masks(given)
        return [
            replace(masks.chosen(passage.styles), keep=keep)
            for passage, keep in zip(self.passages, self._keeps(given.keep), strict=True)
        ]

    def keeps(self, mask: Mask) -> bool:
        """Tell whether a mask is what a passage leaves as it is, to the last pixel."""
        sha256 = hash_of(mask)
        return any(passage.keep and passage.keep.sha256 == sha256 for passage in self.passages)

    def _keeps(self, given: Mask | None) -> list[Mask | None]:
        """Return the keep mask of each passage; the same one is one object."""
        records = [passage.keep for passage in self.passages]
        copies = {record: record.copy() if record else None for record in records}
        if given:
            sha256 = hash_of(given)
            same = [record for record in copies if record and record.sha256 == sha256]
            copies |= dict.fromkeys(same or records, given)
        return [copies[record] for record in records]

    def painted_until(self, passages: int, iterations: int) -> Recipe:
        """Return the recipe of the picture that was reached after `iterations`.

        It lies in the last of the first `passages`.
        """
        return replace(self, passages=self.passages[:passages], iterations=iterations)

    def paired(self, paintings: Sequence[Image.Image]) -> list[Image.Image]:
        """Return the painting of each style, given all of them, or each different one once.

        A painting is there again with each edit of its masks. Raises `RecipeError` for another
        number of paintings.
        """
        different = list(dict.fromkeys(self.styles))
        if len(paintings) == len(self.styles):
            return list(paintings)
        if len(paintings) == len(different):
            return [paintings[different.index(style)] for style in self.styles]
        needed = "one painting" if len(different) == 1 else f"{len(different)} paintings"
        raise RecipeError(f"The recipe needs {needed}, not {len(paintings)}.")

    def paired_masks(self, masks: Masks, paintings: int) -> Masks:
        """Return the masks of each style, given those of so many paintings; see `paired`."""
        if paintings == len(self.styles):
            return masks
        different = list(dict.fromkeys(self.styles))
        return masks.chosen(different.index(style) for style in self.styles)

    def last_of(
        self, styles: Sequence[Image.Image], within: Sequence[Mask | None] = ()
    ) -> list[Image.Image]:
        """Return what is seen at the end of `styles`, paintings in the recipe's order.

        `within` are the masks of the parts that are taken, of the last passage's paintings.
        """
        return self.seen_in(-1, styles, within)

    def seen_in(
        self, passage: int, styles: Sequence[Image.Image], within: Sequence[Mask | None] = ()
    ) -> list[Image.Image]:
        """Return what a passage sees of `styles`, paintings in the recipe's order.

        Those of weight 0 are not among it. `within` are the masks of the passage's paintings.
        """
        chosen = self.passages[passage]
        return seen_parts([styles[index] for index in chosen.styles], chosen.settings, within)

    def differences(self, present: Recipe) -> list[str]:
        """Return why following it may lead to another picture: what is not the same at present."""
        differ = []
        if self.content != present.content:
            differ.append("the photo is not the recipe's")
        if self.styles != present.styles:
            differ.append("the paintings are not the recipe's")
        n_styles = max(len(self.styles), len(present.styles))
        if self._mask_hashes(n_styles) != present._mask_hashes(n_styles):
            differ.append("the masks are not the recipe's")
        if self.init != present.init:
            differ.append("the picture to start from is not the recipe's")
        used = {passage.painted_by for passage in self.passages}
        subject = "the recipe" if len(used) == 1 else "a part of the recipe"
        for here in present.provenance[:1]:
            for painter in [self.provenance[i] for i in sorted(used) if i < len(self.provenance)]:
                differ += painter.differences(here, subject)
        return list(dict.fromkeys(differ))

    def painted_again(self, present: Recipe, masks: Sequence[Masks]) -> Recipe:
        """Return the recipe of the picture that following this one gave.

        It has the pictures of `present`, and all of it was painted by what that names. `masks` are
        those of each passage.
        """
        distinct = {id(each.keep): each.keep for each in masks if each.keep}  # often the same
        records = {key: MaskRecord.of(keep) for key, keep in distinct.items()}
        keeps = [records.get(id(each.keep)) for each in masks]
        passages = zip(self.passages, keeps, strict=True)
        return replace(
            self,
            content=present.content,
            styles=present.styles,
            passages=tuple(replace(each, painted_by=0, keep=keep) for each, keep in passages),
            provenance=present.provenance,
            regions=present.regions,
            within=present.within,
            init=present.init,
        )

    def _mask_hashes(self, n_styles: int) -> list[str | None]:
        """Return the hashes of all masks, with those of so many styles, to be compared."""
        by_style = (
            (*records, *[None] * (n_styles - len(records)))
            for records in (self.regions, self.within)
        )
        keeps = dict.fromkeys(passage.keep for passage in self.passages)
        return [record.sha256 if record else None for record in (*chain(*by_style), *keeps)]

    def _known_masks(self) -> list[MaskRecord]:
        """Return the different masks, in a fixed order."""
        keeps = (passage.keep for passage in self.passages)
        known = dict.fromkeys(chain(self.regions, self.within, keeps))
        return [record for record in known if record]

    def to_text(self) -> str:
        """Return the chunk's text, ASCII."""
        known = self._known_masks()
        indices = {record: index for index, record in enumerate(known)}
        masks = {
            "known": list(map(vars, known)),
            "regions": [record and indices[record] for record in self.regions],
            "within": [record and indices[record] for record in self.within],
        }
        return json.dumps(
            {
                "version": VERSION,
                "content": vars(self.content),
                "styles": [vars(style) for style in self.styles],
                "passages": [
                    {
                        "iteration": passage.iteration,
                        "settings": passage.settings.to_json(),
                        "styles": list(passage.styles),
                        "continues": passage.continues,
                        "painted_by": passage.painted_by,
                        **({"keep": indices[passage.keep]} if passage.keep else {}),
                    }
                    for passage in self.passages
                ],
                "iterations": self.iterations,
                "colors": self.colors,
                "provenance": [
                    {**vars(each), "software": dict(each.software)} for each in self.provenance
                ],
                **({"masks": masks} if known else {}),
                **({"init": vars(self.init)} if self.init else {}),
            },
            separators=(",", ":"),
        )


def signed_png(picture: Image.Image, recipe: Recipe) -> bytes:
    """Return the picture as it is delivered: a PNG with its recipe as its only text."""
    return png_bytes(picture, {KEYWORD: recipe.to_text()})


def signed_deep_png(samples: npt.NDArray[np.uint16], recipe: Recipe) -> bytes:
    """Return a PNG with 16 bits per channel and its recipe as its only text."""
    return deep_png_bytes(samples, {KEYWORD: recipe.to_text()})


def signed_tiff(samples: Samples, recipe: Recipe) -> bytes:
    """Return a TIFF with 8 or 16 bits per channel and its recipe."""
    packet = packet_of(recipe.to_text(), 2 * MAX_TEXT)
    return tiff_bytes(samples, xmp=packet, profile=srgb_profile())


def signed_jpeg(picture: Image.Image, recipe: Recipe) -> bytes:
    """Return the picture as a JPEG with its recipe, unless that is too long for one."""
    packet = packet_of(recipe.to_text())
    profile = srgb_profile()
    # Strokes end in colour too.
    return jpeg_bytes(picture, DELIVERED, subsampling=0, xmp=packet, profile=profile)


def signed_webp(picture: Image.Image, recipe: Recipe) -> bytes:
    """Return the picture as a WebP with its recipe, unless that is too long."""
    packet = packet_of(recipe.to_text())
    return webp_bytes(picture, DELIVERED, xmp=packet, profile=srgb_profile())


def read_recipe(source: str | os.PathLike[str] | bytes) -> Recipe:
    """Return the recipe in a PNG, JPEG, WebP or TIFF, a file or bytes; no decoder sees it.

    Raises `RecipeError` when there is none to be used.
    """
    return parse_recipe(picture_recipe_text(source))


def picture_recipe_text(source: str | os.PathLike[str] | bytes) -> str:
    """Return the text of the recipe in a picture. Raises `RecipeError` where there is none."""
    data = source if isinstance(source, bytes) else _read(Path(source))
    if data.startswith((JPEG, *TIFF)) or data[8:12] == WEBP:
        text = read_packet(data)
    else:
        text = read_text(data, KEYWORD)
    if text is None:
        raise RecipeError("This picture carries no recipe; it was not made here, or was re-saved.")
    return text


def parse_recipe(text: str) -> Recipe:
    """Return a `Recipe` from its text.

    Raises `RecipeError`, and nothing else.
    """
    if len(text) > MAX_TEXT:
        raise RecipeError("The recipe in this picture is too long.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise RecipeError("The recipe in this picture is damaged.") from None
    if isinstance(data, dict) and _is_number(data.get("version")) and data["version"] > VERSION:
        raise RecipeError("The recipe in this picture was written by a newer version.")
    try:
        return _recipe(data)
    except SettingsError as error:
        raise RecipeError(f"The recipe in this picture cannot be used: {_short(error)}.") from None
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise RecipeError("The recipe in this picture is not one that is known here.") from None


def new_recipe(
    content: Image.Image,
    styles: Sequence[Image.Image],
    settings: TransferSettings,
    provenance: Provenance | str,
    *,
    masks: Masks | None = None,
    init: Image.Image | None = None,
) -> Recipe:
    """Return the recipe of a run in one go, to its end.

    The name of a device stands for a provenance of which nothing else is known.
    """
    known = Provenance(provenance) if isinstance(provenance, str) else provenance
    records = MaskRecords.of(masks) if masks else MaskRecords()
    return Recipe(
        content=Ingredient.of(content),
        styles=tuple(map(Ingredient.of, styles)),
        passages=(Passage(0, settings, tuple(range(len(styles))), keep=records.keep),),
        iterations=settings.iterations,
        colors=settings.colors,
        provenance=(known,),
        regions=records.regions,
        within=records.within,
        init=Ingredient.of(init) if init else None,
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data: bytes = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"The file cannot be read: {error.strerror or error}.") from None
    if len(data) > MAX_BYTES:
        raise RecipeError(f"The file is larger than {MAX_BYTES // 1_000_000} MB.")
    return data


def _recipe(data: Any) -> Recipe:
    version = _whole(data["version"], VERSION)
    if version < 1:
        raise KeyError("version")
    painters = _list(data["provenance"], MOST_PASSAGES) if version > 1 else [data]
    masks = _masks(data.get("masks", {"regions": [], "within": []}))
    passages = _list(data["passages"], MOST_PASSAGES)
    return Recipe(
        content=_ingredient(data["content"]),
        styles=tuple(_ingredient(style) for style in _list(data["styles"], MOST_STYLES)),
        passages=tuple(_passage(each, version, masks) for each in passages),
        iterations=_whole(data["iterations"], MOST_ITERATIONS),
        colors=TransferSettings.from_json({"colors": data["colors"]}).colors,
        provenance=tuple(map(_provenance, painters)),
        regions=masks.regions,
        within=masks.within,
        init=_ingredient(data["init"]) if "init" in data else None,
    )


@dataclass(frozen=True)
class _Masks:
    """What a recipe's text tells of masks."""

    known: tuple[MaskRecord, ...]
    regions: tuple[MaskRecord | None, ...]
    within: tuple[MaskRecord | None, ...]
    keep: MaskRecord | None  # of passages that name none


def _masks(data: Any) -> _Masks:
    known: tuple[MaskRecord, ...] = ()
    if "known" in data:
        known = tuple(map(_mask, _list(data["known"], MOST_MASKS)))

    def read(value: Any) -> MaskRecord | None:
        """Return what an index stands for, or, as it was written before, what is in its place."""
        if value is None:
            return None
        return _mask_at(known, value) if "known" in data else _mask(value)

    regions, within = (
        tuple(map(read, _list(data[name], MOST_STYLES))) for name in ("regions", "within")
    )
    return _Masks(known, regions, within, _mask(data["keep"]) if "keep" in data else None)


def _mask_at(known: Sequence[MaskRecord], index: Any) -> MaskRecord:
    return known[_whole(index, MOST_MASKS)]


def _mask(data: Any) -> MaskRecord:
    mask, small = _ingredient(data), data["small"]
    if not isinstance(small, str):
        raise TypeError("a text")
    small_width, small_height = (
        _whole(data[name], MOST_TEXT) for name in ("small_width", "small_height")
    )
    return MaskRecord(mask.sha256, mask.width, mask.height, small_width, small_height, small)


def _passage(data: Any, version: int, masks: _Masks) -> Passage:
    settings = TransferSettings.from_json(data["settings"], version=version)
    styles = tuple(_whole(index, MOST_STYLES) for index in _list(data["styles"], MOST_STYLES))
    if styles and not settings.used(styles):
        raise RecipeError(NO_WEIGHT)
    return Passage(
        iteration=_whole(data["iteration"], MOST_ITERATIONS),
        settings=settings,
        styles=styles,
        continues=_flag(data.get("continues", False)),
        painted_by=_whole(data.get("painted_by", 0), MOST_PASSAGES),
        keep=_mask_at(masks.known, data["keep"]) if "keep" in data else masks.keep,
    )


def _provenance(data: Any) -> Provenance:
    """Return it from its own object, or from that of a whole recipe of version 1."""
    software = data["software"].items()
    return Provenance(
        device=_word(data["device"]),
        processor=_word_or_nothing(data.get("processor", "")),
        precision=_word_or_nothing(data.get("precision", "")),
        threads=_whole(data.get("threads", 0), MOST_THREADS),
        software={_word(name): _word(version) for name, version in software},
    )


def _ingredient(data: Any) -> Ingredient:
    sha256 = data["sha256"]
    if (
        not isinstance(sha256, str)
        or len(sha256) != 64
        or not set(sha256) <= set("0123456789abcdef")
    ):
        raise TypeError("sha256")
    return Ingredient(sha256, _whole(data["width"], 10**6), _whole(data["height"], 10**6))


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise TypeError("a list")
    return value


def _whole(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise TypeError("a whole number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or not WORD.fullmatch(value):
        raise TypeError("a word")
    return value


def _word_or_nothing(value: Any) -> str:
    return "" if value == "" else _word(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _short(error: Exception) -> str:
    """Return a sentence about somebody else's data: short, and without markup."""
    text = " ".join(str(error).split()).translate(str.maketrans("<>", "‹›"))
    return text if len(text) <= 160 else text[:160] + "…"
