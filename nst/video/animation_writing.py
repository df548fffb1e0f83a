"""Write films as animated pictures, GIF or WebP, with transparency; whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import compress
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
MOST_HELD = 2 * MOST_PIXELS  # of those that are there; clips only estimate how many they have
MOST_LOOPS = 65_535  # both kinds of files count them in 16 bits
GIF_FASTEST = 50  # frames per second; browsers slow down what is quicker
LAST = Fraction(1, 12)  # seconds that the last frame is shown, where nothing else is known
VISIBLE = 128  # of alpha; a GIF has no half transparency
TRANSPARENT = 255  # its colour in a GIF with transparency


def check_animation(path: Path, facts: Facts) -> None:
    """Raise `OutputError` where a clip is too long or too quick for an animated picture.

    One that does not say how long it is may be too long.
    """
    if not facts.frames:
        raise OutputError(
            f"the clip does not say how long it is, and a {path.suffix.lower()} file must be short;"
            " write .mp4"
        )
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
    More plays than a file can count are for ever. The recipe is the comment of a GIF, and in the
    XMP of a WebP where there is room for it.

    Raises `OutputError` for more frames than are held in memory.
    """
    pictures, times = list[Image.Image](), list[Fraction]()
    last: Fraction | None = None
    held = 0
    for frame in frames:
        held += frame.picture.width * frame.picture.height
        if held > MOST_HELD:
            raise OutputError(
                f"the film has more than {len(pictures)} frames, too many for a"
                f" {path.suffix.lower()} file; choose a smaller --size or --fps, or write .mp4"
            )
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

    Each one ends at the tick nearest to its true end, so that rounding never adds up. One that
    would be shorter than `least` takes from the next; it is 0 long, and left out, where those
    before have taken all of it. The first one never is.
    """
    begin = ends = round(times[0] * ticks)
    shown = list[int]()
    for time in times[1:]:
        due = round(time * ticks)
        shown.append(max(least, due - ends) if due > ends or ends == begin else 0)
        ends += shown[-1]
    return shown


def _write_webp(
    path: Path, pictures: Sequence[Image.Image], times: Sequence[Fraction], plays: int, recipe: str
) -> None:
    shown = lengths(times, WEBP_TICKS)
    first, *others = compress(pictures, shown)
    options: dict[str, Any] = {**WEBP, "icc_profile": srgb_profile()}
    if recipe and (packet := packet_of(recipe)):
        options["xmp"] = packet
    first.save(
        *(path, "WEBP"),
        save_all=True,
        append_images=others,
        duration=list(filter(None, shown)) if others else shown[0],
        loop=plays if plays <= MOST_LOOPS else 0,
        **options,
    )


def _write_gif(
    path: Path, pictures: Sequence[Image.Image], times: Sequence[Fraction], plays: int, recipe: str
) -> None:
    shown = [10 * length for length in lengths(times, GIF_TICKS, least=2)]
    pictures = list(compress(pictures, shown))
    has_alpha = any(picture.mode == "RGBA" for picture in pictures)
    palette = common_palette([each.convert("RGB") for each in pictures], 255 if has_alpha else 256)
    first, *others = [_indexed(picture, palette) for picture in pictures]
    options: dict[str, Any] = {"comment": recipe.encode()} if recipe else {}
    if has_alpha:
        options |= {"transparency": TRANSPARENT, "disposal": 2}
    if plays != 1:  # the file counts how often it is played again
        options["loop"] = max(0, plays - 1) if plays - 1 <= MOST_LOOPS else 0
    first.save(
        *(path, "GIF"),
        save_all=True,
        append_images=others,
        duration=list(filter(None, shown)) if others else shown[0],
        **options,
    )


def _indexed(picture: Image.Image, palette: Image.Image) -> Image.Image:
    """Return a picture in the colours of a palette; what is transparent is one of its own."""
    indexed = picture.convert("RGB").quantize(palette=palette)
    if picture.mode == "RGBA":
        hidden = picture.getchannel("A").point([255 * (a < VISIBLE) for a in range(256)])
        indexed.paste(TRANSPARENT, mask=hidden)
    return indexed
