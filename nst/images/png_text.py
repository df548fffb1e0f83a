"""Read text from a PNG without decoding it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from nst.errors import RecipeError

MAX_TEXT = 2_000_000  # characters
MOST_CHUNKS = 10_000  # before the pixels
SIGNATURE = b"\x89PNG\r\n\x1a\n"
NOT_A_PNG = "This is not a PNG, JPEG, WebP or TIFF that can be read."


def read_text(data: bytes, keyword: str) -> str | None:
    """Return the text under a keyword of a PNG; None where it has none.

    No decoder ever sees the file. Raises `RecipeError` when it is damaged up to its pixels.
    """
    found = [
        text
        for kind, body in _chunks_before_pixels(data)
        if kind in (b"tEXt", b"zTXt", b"iTXt") and (text := _text(kind, body, keyword)) is not None
    ]
    if len(found) > 1:
        raise RecipeError(NOT_A_PNG)
    return found[0] if found else None


def _chunks_before_pixels(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kinds and contents of a PNG's chunks up to its pixels.

    Raises `RecipeError` for what is damaged so far, and for more than `MOST_CHUNKS`.
    """
    at = len(SIGNATURE)
    if not data.startswith(SIGNATURE) or data[at + 4 : at + 8] != b"IHDR":
        raise RecipeError(NOT_A_PNG)
    for _ in range(MOST_CHUNKS):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in (b"IDAT", b"IEND"):
            return
        end = at + 8 + length
        if end + 4 > len(data):
            raise RecipeError(NOT_A_PNG)
        body = data[at + 8 : end]
        if zlib.crc32(kind + body) != int.from_bytes(data[end : end + 4], "big"):
            raise RecipeError(NOT_A_PNG)
        yield kind, body
        at = end + 4
    raise RecipeError(NOT_A_PNG)


def _text(kind: bytes, body: bytes, keyword: str) -> str | None:
    """Return the text of such a chunk as other software may have written it anew.

    None for another keyword.
    """
    name, _, value = body.partition(b"\0")
    if name != keyword.encode():
        return None
    if kind == b"tEXt":
        return value.decode("latin-1")
    if kind == b"zTXt":
        if value[:1] != b"\0":  # the only method there is
            raise RecipeError(NOT_A_PNG)
        return (_inflated(value[1:]) or b"").decode("latin-1")
    text = value[2:].split(b"\0", 2)[-1]  # after a language and the keyword in it
    utf_8 = _inflated(text) if value[:1] == b"\1" else text
    return None if utf_8 is None else utf_8.decode("utf-8", "replace")


def _inflated(data: bytes) -> bytes | None:
    """Return at most `MAX_TEXT` bytes; None for what is damaged.

    Raises `RecipeError` for more.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_TEXT + 1)
    except zlib.error:
        return None
    if len(text) > MAX_TEXT:
        raise RecipeError(NOT_A_PNG)
    return text
