"""Names of a batch's output files: predictable, unique, and valid on every file system."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path, PurePath, PurePosixPath

from nst.batch.inputs import is_clip
from nst.batch.messages import FILM_SUFFIX

LONGEST_STEM = 100  # bytes of UTF-8, of 255 that a name may have: two stems and a number
DIGEST = 8  # hexadecimal digits that stand for what is cut off
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')


def output_names(pairs: Sequence[tuple[Path, Path]], suffix: str) -> list[str]:
    """Return the name of each pair's output: `PHOTO--PAINTING.png`, `CLIP--PAINTING.mp4`.

    Where two would have the same name (`a.jpg` and `a.png`, or the same name in two folders), the
    later ones are numbered: `a--x-2.png`. Upper and lower case, and the ways in which accents are
    written, do not tell names apart. What some file system forbids becomes `_`; long names are cut,
    with a hash of the whole.

    Args:
        pairs: photo and painting of each picture.
        suffix: the ending of pictures, such as ".png".
    """
    return _unique(
        (f"{_stem(photo)}--{_stem(painting)}", FILM_SUFFIX if is_clip(photo) else suffix)
        for photo, painting in pairs
    )


def names_after(photos: Iterable[str], suffix: str) -> list[str]:
    """Return a name for what becomes of each photo: its own, without its ending, and `suffix`.

    They are as unique, safe and predictable as those of `output_names`.

    Args:
        photos: the names of the photos' files; folders in them are left out.
        suffix: what follows, such as "-stylized.png".
    """
    return _unique((_stem(PurePosixPath(photo)), suffix) for photo in photos)


def _unique(wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Return a name for each stem and ending, none of which is there twice."""
    taken, names = set[str](), list[str]()
    for stem, ending in wanted:
        name = next(each for each in _numbered(stem, ending) if _folded(each) not in taken)
        taken.add(_folded(name))
        names.append(name)
    return names


def _numbered(stem: str, suffix: str) -> Iterator[str]:
    yield stem + suffix
    for number in count(2):
        yield f"{stem}-{number}{suffix}"


def _stem(path: PurePath) -> str:
    """Return a file's name without its ending, as part of a name that is valid anywhere."""
    stem = FORBIDDEN.sub("_", unicodedata.normalize("NFC", path.stem)).strip(" ")
    if not stem or stem[0] in "-.":  # an option of a command, or a hidden file
        stem = "_" + stem[1:]
    data = stem.encode()
    if len(data) <= LONGEST_STEM:
        return stem
    digest = hashlib.sha256(os.fsencode(path.stem)).hexdigest()[:DIGEST]
    return data[: LONGEST_STEM - DIGEST - 1].decode(errors="ignore") + "~" + digest


def _folded(name: str) -> str:
    """Return a text that is equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", name.casefold())
