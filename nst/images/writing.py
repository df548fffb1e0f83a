"""Encode pictures as PNG, JPEG and WebP without their metadata, and hash their pixels."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping

from PIL import Image, PngImagePlugin

from nst.files import whole_file


def png_bytes(
    image: Image.Image, text: Mapping[str, str] | None = None, *, compression: int = 6
) -> bytes:
    """Return a PNG with `text` chunks of ASCII by keyword, and no other metadata.

    `compression` is from 0 to 9.
    """
    chunks = PngImagePlugin.PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_text(keyword, value)
    buffer = io.BytesIO()
    _bare(image).save(buffer, format="PNG", pnginfo=chunks, compress_level=compression)
    return buffer.getvalue()


def jpeg_bytes(
    image: Image.Image, quality: int = 82, *, subsampling: int = 2, xmp: bytes | None = None
) -> bytes:
    """Return a JPEG of an RGB picture, without metadata but for a packet of XMP.

    `subsampling` is Pillow's: 2 halves the resolution of colours, 0 keeps it.
    """
    buffer = io.BytesIO()
    extra = {"xmp": xmp} if xmp else {}
    _bare(image).save(buffer, format="JPEG", quality=quality, subsampling=subsampling, **extra)
    return buffer.getvalue()


def webp_bytes(
    image: Image.Image, quality: int, *, method: int = 4, xmp: bytes | None = None
) -> bytes:
    """Return a WebP of an RGB picture, without metadata but for a packet of XMP.

    `method` is from 0, quick, to 6, small.
    """
    buffer = io.BytesIO()
    _bare(image).save(buffer, format="WEBP", quality=quality, method=method, xmp=xmp or b"")
    return buffer.getvalue()


def _bare(image: Image.Image) -> Image.Image:
    """Return the pixels alone: Pillow would write the profile that a picture came with."""
    bare = image.copy()
    bare.info = {}
    return bare


def save_png(
    image: Image.Image,
    path: str | os.PathLike[str],
    text: Mapping[str, str] | None = None,
    *,
    compression: int = 6,
) -> None:
    """Write `png_bytes` whole or not at all.

    Raises `OSError` when the folder cannot be written to.
    """
    data = png_bytes(image, text, compression=compression)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def hash_of(image: Image.Image) -> str:
    """Return the SHA-256 of a picture's size and RGB pixels, in hexadecimal.

    The file it came in and what else is in there do not count.
    """
    digest = hashlib.sha256(f"RGB {image.width}x{image.height} ".encode())
    digest.update(image.convert("RGB").tobytes())
    return digest.hexdigest()
