"""Pictures: files to clean RGB, RGB to tensors and back, PNG files written whole or not at all.

Knows file formats and pixels; nothing of networks or pages.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAX_BYTES = 25_000_000
MAX_PIXELS = 50_000_000
MIN_SIDE = 16


class ImageError(ValueError):
    """A picture that cannot be used; the message is one plain sentence for the user."""


def load_image(source: str | os.PathLike[str] | bytes) -> Image.Image:
    """The picture in a file or in bytes, as RGB with 8 bits per channel.

    Upright (EXIF orientation applied), converted to sRGB from its own colour profile, 16-bit
    values scaled, transparency laid on white, the first frame of an animation. Raises `ImageError`
    for anything that is not a whole picture in one of `FORMATS`, at least 16 pixels on each side.
    """
    data = source if isinstance(source, bytes) else _read(Path(source))
    if len(data) > MAX_BYTES:
        raise ImageError(f"The file is larger than {MAX_BYTES // 1_000_000} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no reason to refuse a picture
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image)
                image.load()
                return _to_srgb(image)
    except ImageError:
        raise
    except (Image.DecompressionBombError, MemoryError):
        raise ImageError(_too_large()) from None
    except Exception:  # Pillow's decoders raise nearly anything on damaged data
        raise ImageError(
            "This is not a picture that can be read; use a whole JPEG, PNG, WebP, GIF, BMP,"
            " TIFF or AVIF file."
        ) from None


def to_tensor(image: Image.Image) -> Tensor:
    """(1, 3, H, W) float32 in [0, 1] from an RGB picture."""
    pixels = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32))  # (H, W, 3)
    return pixels.permute(2, 0, 1).unsqueeze(0).div(255)


def to_image(tensor: Tensor) -> Image.Image:
    """An 8-bit RGB picture from (1, 3, H, W) in [0, 1], rounded to the nearest value."""
    pixels = tensor.detach()[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def fit(image: Image.Image, longest_side: int) -> Image.Image:
    """The picture scaled to a longest side in pixels; its aspect ratio is kept, always."""
    size = fitted_size(image.size, longest_side)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def fitted_size(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """The width and height in pixels of such a picture after `fit`."""
    factor = longest_side / max(size)
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height


def png_bytes(
    image: Image.Image, text: Mapping[str, str] | None = None, *, compression: int = 6
) -> bytes:
    """A PNG with `text` chunks of ASCII by keyword; `compression` is from 0 to 9."""
    chunks = PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_text(keyword, value)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=chunks, compress_level=compression)
    return buffer.getvalue()


def jpeg_bytes(image: Image.Image, quality: int = 82) -> bytes:
    """A JPEG of an RGB picture, without metadata."""
    buffer = io.BytesIO()
    bare = image.copy()
    bare.info = {}
    bare.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def save_png(
    image: Image.Image,
    path: str | os.PathLike[str],
    text: Mapping[str, str] | None = None,
    *,
    compression: int = 6,
) -> None:
    """Write `png_bytes` whole or not at all. Raises `OSError` when the folder cannot be written
    to."""
    data = png_bytes(image, text, compression=compression)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file in the same folder to write to, which takes its place at `path` when the block has
    ended well, and is deleted when it has not."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def hash_of(image: Image.Image) -> str:
    """SHA-256 of the size and the RGB pixels of a picture, in hexadecimal: the file it came in and
    what else is in there do not count."""
    digest = hashlib.sha256(f"RGB {image.width}x{image.height} ".encode())
    digest.update(image.convert("RGB").tobytes())
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"The picture cannot be read: {error.strerror or error}.") from None


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(_too_large())
    if min(image.size) < MIN_SIDE:
        raise ImageError(
            f"The picture is {image.width}×{image.height} pixels;"
            f" each side must have at least {MIN_SIDE}."
        )


def _too_large() -> str:
    return f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels."


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _to_8_bits(image)
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if "A" in image.getbands() else None
    colors = image.convert({"LA": "L", "RGBA": "RGB", "1": "L"}.get(image.mode, image.mode))
    colors = _apply_profile(colors, profile).convert("RGB")
    if alpha is None:
        return colors
    white = Image.new("RGB", colors.size, "white")
    white.paste(colors, mask=alpha)
    return white


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Greyscale of 16 bits and more (Pillow would clip it) scaled to 8 bits."""
    values = np.asarray(image).astype(np.float64)
    top = 65535.0 if image.mode != "F" else max(1.0, float(values.max()))
    scaled = (values * (255.0 / top)).round().clip(0, 255).astype(np.uint8)
    result = Image.fromarray(scaled)
    result.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return result


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours as sRGB shows them; a profile that does not fit the picture is ignored."""
    if not profile or image.mode not in ("RGB", "L", "CMYK"):
        return image
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image
