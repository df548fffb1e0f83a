"""Encode sRGB pictures as PNG, JPEG and WebP without their metadata, and hash their pixels."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import struct
from collections.abc import Mapping

from PIL import Image, ImageCms, PngImagePlugin

from nst.files import whole_file
from nst.images.deep_png import PERCEPTUAL


def png_bytes(
    image: Image.Image, text: Mapping[str, str] | None = None, *, compression: int = 6
) -> bytes:
    """Return a PNG with `text` chunks of ASCII by keyword; its only other metadata names sRGB.

    `compression` is from 0 to 9.
    """
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"sRGB", PERCEPTUAL)
    for keyword, value in (text or {}).items():
        chunks.add_text(keyword, value)
    buffer = io.BytesIO()
    _bare(image).save(buffer, format="PNG", pnginfo=chunks, compress_level=compression)
    return buffer.getvalue()


def jpeg_bytes(
    image: Image.Image,
    quality: int = 82,
    *,
    subsampling: int = 2,
    xmp: bytes | None = None,
    profile: bytes | None = None,
) -> bytes:
    """Return a JPEG of an RGB picture, without metadata but for a packet of XMP and a profile.

    `subsampling` is Pillow's: 2 halves the resolution of colours, 0 keeps it.
    """
    buffer = io.BytesIO()
    metadata = {"xmp": xmp, "icc_profile": profile}
    extra = {name: value for name, value in metadata.items() if value}
    _bare(image).save(buffer, format="JPEG", quality=quality, subsampling=subsampling, **extra)
    return buffer.getvalue()


def webp_bytes(
    image: Image.Image,
    quality: int,
    *,
    method: int = 4,
    xmp: bytes | None = None,
    profile: bytes | None = None,
) -> bytes:
    """Return a WebP of an RGB or RGBA picture, without metadata but for XMP and a profile.

    `method` is from 0, quick, to 6, small.
    """
    buffer = io.BytesIO()
    metadata = {"xmp": xmp or b"", "icc_profile": profile or b""}
    _bare(image).save(buffer, format="WEBP", quality=quality, method=method, **metadata)
    return buffer.getvalue()


@functools.cache
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB, always the same bytes.

    Some programs take a JPEG, WebP or TIFF without a profile for the colours of the screen.
    """
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + data[36:]  # not today's date


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
