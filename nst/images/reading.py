"""Pictures: files to clean RGB, or RGBA where the transparency is kept.

Knows file formats and pixels; nothing of networks or pages. torch is imported where tensors are
made: the process in which files are opened is better off without.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import (  # those in `FORMATS`, so that Pillow need not look among all it has
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    ImageChops,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    WebPImagePlugin,  # noqa: F401
)

from nst.errors import ImageError
from nst.images.colorspaces import color_profile
from nst.images.jpeg_scans import MOST_SCANS, count_scans
from nst.images.pixel_formats import colors_and_alpha
from nst.images.sandbox import DEFEATED, Decoder

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
MAX_BYTES = 64_000_000  # a telephone's JPEG of 200 million pixels
MAX_PIXELS = 8192 * 6144
"""Pixels that are kept: the picture of a sensor of 50 megapixels, which takes 0.55 GB of the
decoder's 1.15 GB while it is turned upright. As many as the largest results have; files of more
pixels are refused, but for JPEGs."""
MAX_JPEG_PIXELS = 4 * MAX_PIXELS
"""The same of a JPEG, which is decoded at half its width and height, or a quarter, until it has no
more than `MAX_PIXELS`: a sensor of 200 megapixels. No other format can be decoded smaller."""
MAX_COEFFICIENTS = 700_000_000  # bytes; a progressive JPEG has them in memory, all at once
MIN_SIDE = 16
MAX_RATIO = 20  # of the longer side to the shorter
SEVERAL = "The file holds several pictures; only the first is used."
MANY_SCANS = f"The JPEG file has more than {MOST_SCANS} scans; please save it once more."


_SENT_AT_ONCE = 1 << 20  # bytes
_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIF"
)
_UPRIGHT = {  # how to turn what is stored, by its EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(source: str | os.PathLike[str] | bytes, *, keep_alpha: bool = False) -> Image.Image:
    """Return the picture in a file or in bytes, as RGB with 8 bits per channel and no metadata.

    It is upright (EXIF orientation applied), converted to sRGB from its own colour profile, 16-bit
    values scaled, transparency laid on white. Of an animation or of several pages it is the first,
    and `info["note"]` is a sentence that says so. With `keep_alpha` a picture that is transparent
    anywhere is RGBA instead; `nst.images.alpha.split_alpha` makes it ready for painting.

    The picture is opened in another process (`nst.images.sandbox`), whoever it comes from: that
    costs 0.2 s once and milliseconds after, and there is one way in.

    Raises `ImageError`, one plain sentence, for anything that is not a whole picture in one of
    `FORMATS`, by content and whatever its name, of at most `MAX_BYTES` and `MAX_PIXELS`, with sides
    of at least `MIN_SIDE` pixels, none more than `MAX_RATIO` times the other. A JPEG may have
    `MAX_JPEG_PIXELS`; where it has more than `MAX_PIXELS` it is read at half its width and height,
    or a quarter.
    """
    with decoder.turn():
        data = source if isinstance(source, bytes) else _read(Path(source))
        if len(data) > MAX_BYTES:
            raise ImageError(f"The file is larger than {MAX_BYTES // 1_000_000} MB.")
        format = format_of(data)
        if format is None:
            raise ImageError(f"This is not a picture that can be read; use a {NAMES} file.")
        if format == "JPEG" and count_scans(data) > MOST_SCANS:
            raise ImageError(MANY_SCANS)
        pixels = decoder.open(data, keep_alpha=keep_alpha)
    shape = (pixels.height, pixels.width, pixels.channels)
    image = Image.fromarray(np.frombuffer(pixels.samples, np.uint8).reshape(shape))
    image.info = {"note": SEVERAL} if pixels.several else {}
    return image


decoder = Decoder(
    "from nst.images.sandbox import serve; from nst.images.reading import decode; serve(decode)",
    most_pixels=MAX_PIXELS,
)
atexit.register(decoder.close)


@dataclass(frozen=True)
class Opened:
    """A picture as RGB or RGBA, and whether there are more in its file."""

    image: Image.Image
    several: bool

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return self.image.size

    @property
    def has_alpha(self) -> bool:
        """Tell whether the picture is RGBA."""
        return self.image.mode == "RGBA"

    def rows(self) -> Iterator[bytes]:
        """Yield the pixels from the top, a few rows at a time."""
        width, height = self.image.size
        step = max(1, _SENT_AT_ONCE // (3 * width))
        for top in range(0, height, step):
            yield self.image.crop((0, top, width, min(height, top + step))).tobytes()


def format_of(data: bytes) -> str | None:
    """Return which of `FORMATS` the bytes begin as; None for all else."""
    for beginning, format in _BEGINNINGS.items():
        if data.startswith(beginning):
            return format
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        length = min(int.from_bytes(data[:4], "big"), 256)
        brands = [data[8:12], *(data[i : i + 4] for i in range(16, length, 4))]
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    return None


def decode(data: bytes, *, keep_alpha: bool = False) -> Opened:
    """Return what `load_image` promises of bytes, decoded in this very process.

    Pictures from strangers belong where a crash does no harm. Raises `ImageError`.
    """
    format = format_of(data)
    if format is None:
        raise ImageError(f"This is not a picture that can be read; use a {NAMES} file.")
    name = {"HEIF": "HEIC", "WEBP": "WebP"}.get(format, format)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no reason to refuse a picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if format == "WEBP":  # Pillow takes memory for all its pixels before it tells the size
                check_size(*_webp_size(data))
            with _open(data, format) as image:
                check_size(*image.size, MAX_JPEG_PIXELS if format == "JPEG" else MAX_PIXELS)
                if isinstance(image, JpegImagePlugin.JpegImageFile):
                    _reduce(image)
                frame = image.tile[0].extents if format == "GIF" else None
                image.load()
                if format == "WEBP":  # and keeps three times as much again
                    image.fp, image.decoder = None, None  # type: ignore[attr-defined]
                srgb = _to_srgb(image, data, keep_alpha=keep_alpha)
                if frame:  # Pillow makes up colours for what it does not cover
                    srgb = _framed(srgb, frame, keep_alpha=keep_alpha)
                return Opened(_without_full_alpha(srgb), _is_one_of_several(image))
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(_too_large(MAX_PIXELS)) from None
    except MemoryError:
        raise ImageError(DEFEATED) from None
    except Exception:  # Pillow's decoders raise nearly anything on damaged data
        raise ImageError(
            f"The {name} file cannot be read: it is damaged, cut off or of an unusual kind."
        ) from None


def check_size(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raise `ImageError` for a size in pixels that cannot be used."""
    if width * height > most:
        raise ImageError(_too_large(most))
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"The picture is {width}×{height} pixels; each side must have at least {MIN_SIDE}."
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageError(
            f"The picture is {width}×{height} pixels; one side may be at most {MAX_RATIO} times"
            " the other."
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"The picture cannot be read: {error.strerror or error}.") from None


def _too_large(most: int) -> str:
    said = f"The picture has more than {most // 1_000_000} million pixels"
    if most == MAX_JPEG_PIXELS:
        return f"{said}."
    return f"{said}; only a JPEG may have more, up to {MAX_JPEG_PIXELS // 1_000_000} million."


def _reduce(image: JpegImagePlugin.JpegImageFile) -> None:
    """Have a JPEG decoded at half its size, or a quarter, if it has more than `MAX_PIXELS`."""
    width, height = image.size
    if image.info.get("progressive"):
        sampling = [(across, down) for _, across, down, _ in image.layer]
        widest, tallest = (max(factors) for factors in zip(*sampling, strict=True))
        samples = sum(across * down for across, down in sampling) / (widest * tallest)
        if 2 * samples * width * height > MAX_COEFFICIENTS:
            raise ImageError(
                "A progressive JPEG of so many pixels takes too much memory; save it as a"
                " baseline JPEG or smaller."
            )
    for scale in (1, 2, 4):
        if -(-width // scale) * -(-height // scale) <= MAX_PIXELS:
            image.draft(None, (width // scale, height // scale))
            return


def _open(data: bytes, format: str) -> ImageFile.ImageFile:
    if format == "HEIF":
        import pillow_heif  # 26 MB that few pictures need

        pillow_heif.register_heif_opener(DECODE_THREADS=1, THUMBNAILS=False, DEPTH_IMAGES=False)
    if format == "JPEG":  # without the limit that Pillow has for all formats
        return JpegImagePlugin.jpeg_factory(io.BytesIO(data), "")
    return Image.open(io.BytesIO(data), formats=(format,))


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height in pixels, as the first chunk has them."""
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if data[12:16] != b"VP8 ":
        raise ValueError("no picture")
    return (
        int.from_bytes(data[26:28], "little") & 0x3FFF,
        int.from_bytes(data[28:30], "little") & 0x3FFF,
    )


def _is_one_of_several(image: Image.Image) -> bool:
    """Tell whether its file has more frames or pages.

    What telephones put behind a JPEG is not meant to be looked at.
    """
    with contextlib.suppress(Exception):  # what follows may be damaged
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    return False


def _to_srgb(image: Image.Image, data: bytes, *, keep_alpha: bool) -> Image.Image:
    """Return upright 8-bit sRGB from what Pillow has loaded, on white unless alpha is kept."""
    colors, alpha = colors_and_alpha(image, data)
    profile = _profile_of(image, data)
    if profile is not image.info.get("icc_profile") and colors.mode == "L":
        colors = colors.convert("RGB")  # a profile made here is of RGB
    colors = _apply_profile(colors, profile)
    if colors.mode != "RGB":
        colors = colors.convert("RGB")
    if alpha is not None and keep_alpha:
        colors.putalpha(alpha)
    elif alpha is not None:
        colors.paste((255, 255, 255), mask=ImageChops.invert(alpha))
    turn = _UPRIGHT.get(_orientation(image))
    return colors if turn is None else colors.transpose(turn)


def _framed(
    image: Image.Image, frame: tuple[int, int, int, int], *, keep_alpha: bool
) -> Image.Image:
    """Return all white but for what is in the frame: left, top, right and bottom.

    Where alpha is kept, all the rest is transparent.
    """
    ground = Image.new("RGBA", image.size, (255, 255, 255, 0 if keep_alpha else 255))
    ground.paste(image.crop(frame), frame)
    return ground if keep_alpha else ground.convert("RGB")


def _without_full_alpha(image: Image.Image) -> Image.Image:
    """Return RGB where nothing is transparent."""
    is_opaque = image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255)
    return image.convert("RGB") if is_opaque else image


def _orientation(image: Image.Image) -> int:
    with contextlib.suppress(Exception):  # damaged EXIF
        return int(image.getexif().get(0x0112, 1))
    return 1


def _profile_of(image: Image.Image, data: bytes) -> bytes | None:
    """Return the ICC profile of a file's colours; None for sRGB."""
    exif = None
    with contextlib.suppress(Exception):  # damaged EXIF
        exif = image.getexif()
    return color_profile(image.info, image.format, data, exif)


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return colours as sRGB shows them; a profile that does not fit the picture is ignored."""
    source: Any = io.BytesIO(profile) if profile else None
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
    if source is None:
        return image
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(source),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
            inPlace=image.mode == "RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image
