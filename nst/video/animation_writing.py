"""Write films as animated pictures, GIF or WebP, with transparency; whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from nst.errors import OutputError
from nst.files import whole_file
from nst.images.timelapse import GIF_TICKS, WEBP, WEBP_TICKS, common_palette
from nst.images.writing import srgb_profile
from nst.images.xmp import packet_of
from nst.video.clips import Frame
from nst.video.decoding import Facts

ANIMATIONS = (".gif", ".webp")
MOST_PIXELS = 100_000_000  # of all frames together: Pillow holds them at once
GIF_FASTEST = 50  # frames per second; browsers slow down what is quicker
LAST = Fraction(1, 12)  # seconds that the last frame is shown, where nothing else is known
VISIBLE = 128  # of alpha; a GIF has no half transparency
TRANSPARENT = 255  # its colour in a GIF with transparency


def check_animation(path: Path, facts: Facts) -> None:
    """Raise `OutputError` where a clip is too long or too quick for an animated picture."""
    if facts.frames * facts.width * facts.height > MOST_PIXELS:
        most = MOST_PIXELS // (facts.width * facts.height)
        raise OutputError(
            f"a {path.suffix.lower()} file of {facts.width}×{facts.height} pixels can have {most}"
            " frames; choose a smaller --size or --fps, or write .mp4"
        )
    if path.suffix.lower() == ".gif" and facts.rate > GIF_FASTEST:
        raise OutputError(
            f"browsers show at most {GIF_FASTEST} frames per second of a GIF; add --fps"
            f" {GIF_FASTEST}, or write .webp"
        )


def write_animation(
    path: Path, frames: Iterable[Frame], *, plays: int = 0, recipe: str = ""
) -> None:
    """Write frames with their times as a GIF or WebP, by the ending of `path`.

    `plays` says how often it is played, 0 for ever. Transparency is kept, in a GIF all or nothing.
    The recipe is the comment of a GIF, and in the XMP of a WebP where there is room for it.
    """
    pictures, times = list[Image.Image](), list[Fraction]()
    last: Fraction | None = None
    for frame in frames:
        pictures.append(frame.with_alpha())
        times.append(frame.time)
        last = frame.length
    last = last or (times[-1] - times[-2] if len(times) > 1 else LAST)
    times.append(times[-1] + last)
    write = _write_gif if path.suffix.lower() == ".gif" else _write_webp
    with whole_file(path) as temporary:
        write(temporary, pictures, times, plays, recipe)


def lengths(times: Sequence[Fraction], ticks: int, *, least: int = 1) -> list[int]:
    """Return how long frames are shown, in units of 1 / `ticks` seconds; the last time is the end.

    Each one ends at the tick nearest to its true end, so that rounding never adds up.
    """
    ends = [round(time * ticks) for time in times]
    return [max(least, end - start) for start, end in pairwise(ends)]


def _write_webp(
    path: Path, pictures: Sequence[Image.Image], times: Sequence[Fraction], plays: int, recipe: str
) -> None:
    first, *others = pictures
    options: dict[str, Any] = {**WEBP, "icc_profile": srgb_profile()}
    if recipe and (packet := packet_of(recipe)):
        options["xmp"] = packet
    shown = lengths(times, WEBP_TICKS)
    first.save(
        *(path, "WEBP"),
        save_all=True,
        append_images=others,
        duration=shown if others else shown[0],
        loop=plays,
        **options,
    )


def _write_gif(
    path: Path, pictures: Sequence[Image.Image], times: Sequence[Fraction], plays: int, recipe: str
) -> None:
    has_alpha = any(picture.mode == "RGBA" for picture in pictures)
    palette = common_palette([each.convert("RGB") for each in pictures], 255 if has_alpha else 256)
    first, *others = [_indexed(picture, palette) for picture in pictures]
    options: dict[str, Any] = {"comment": recipe.encode()} if recipe else {}
    if has_alpha:
        options |= {"transparency": TRANSPARENT, "disposal": 2}
    if plays != 1:
        options["loop"] = max(0, plays - 1)
    shown = [10 * length for length in lengths(times, GIF_TICKS, least=2)]
    first.save(
        *(path, "GIF"),
        save_all=True,
        append_images=others,
        duration=shown if others else shown[0],
        **options,
    )


def _indexed(picture: Image.Image, palette: Image.Image) -> Image.Image:
    """Return a picture in the colours of a palette; what is transparent is one of its own."""
    indexed = picture.convert("RGB").quantize(palette=palette)
    if picture.mode == "RGBA":
        hidden = picture.getchannel("A").point([255 * (a < VISIBLE) for a in range(256)])
        indexed.paste(TRANSPARENT, mask=hidden)
    return indexed
