"""Timelapses: the pictures of a run as a short film in one file, written whole or not at all.

Knows frames, seconds and film formats; nothing of networks, runs or pages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate, chain, pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from PIL import Image

from nst.files import whole_file
from nst.images.tensors import fitted_size

FORMATS: Mapping[str, str] = {"mp4": "video/mp4", "webp": "image/webp", "gif": "image/gif"}
# The longest side in pixels. At one size a WebP weighs 3 times as much as an MP4, a GIF 8 times.
SIDES: Mapping[str, int] = {"mp4": 720, "webp": 480, "gif": 480}

FIRST_HOLD = Fraction("0.7")  # seconds
LAST_HOLD = Fraction("1.8")
MIDDLE = 5  # seconds for all the frames between, as far as the rates allow
SLOWEST, FASTEST = 8, 30  # frames per second

MP4_TICKS = 90_000  # per second, the usual clock of films
WEBP_TICKS = 1000  # the file counts in milliseconds
GIF_TICKS = 100  # the file counts in hundredths; three of them are safe, browsers slow down one

LAST_QP = 7  # of the frame that is held: no pixel of Y' is 8 levels off; 1.1 times the bytes
LUMA_709 = (0.2126, 0.7152, 0.0722)  # of R, G and B; ITU-R BT.709-6, item 3.2
X264 = {"preset": "veryfast", "crf": "17"}  # as good and as large as fast at 18, in a third of it
WEBP = {"quality": 90, "method": 4}  # 6 takes fifteen times as long to save 3 % of the bytes
PALETTE_FRAMES = 9  # looked at for the colours of a GIF
LAST_PALETTE_SIDE = 192  # pixels of the last frame, which has colours of its own
PALETTE_SIDE = 96  # pixels of each; more take seconds and find no better colours


def encode_timelapse(
    frames: Iterable[Image.Image], format: str, path: str | os.PathLike[str]
) -> None:
    """Write the frames as one film, the file at `path` whole or not at all.

    `format` is one of `FORMATS`, whose values are the media types. All frames are shown at the size
    of the last one, within `SIDES`; smaller ones are enlarged, so a run may begin coarse. MP4 needs
    even sides and loses up to one pixel of each. The first frame is held for 0.7 s, the last for
    1.8 s, those between take about 5 s together. WebP and GIF start over for ever. Nothing that
    the pictures carry besides their pixels gets into the file.

    Raises `ValueError` for an unknown format or no frames, `OSError` when the folder cannot be
    written to.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    pictures = list(frames)
    if not pictures:
        raise ValueError("at least one frame is needed")
    size = shown_size(pictures[-1].size, format)
    with whole_file(path) as temporary:
        _WRITERS[format]([_shown(picture, size) for picture in pictures], temporary)


def shown_size(size: tuple[int, int], format: str) -> tuple[int, int]:
    """Return width and height in pixels of the film whose last frame has that `size`."""
    width, height = fitted_size(size, min(max(size), SIDES[format]))
    if format == "mp4":  # yuv420p has one colour for two by two pixels
        return max(2, width - width % 2), max(2, height - height % 2)
    return width, height


def frame_rate(count: int) -> int:
    """Return the frames per second between the first and the last of `count` frames."""
    return min(FASTEST, max(SLOWEST, round((count - 2) / MIDDLE)))


def durations(count: int, ticks: int) -> list[int]:
    """Return how long each of `count` frames is shown, in units of 1 / `ticks` seconds.

    Each one ends at the tick nearest to its true end, so that rounding never adds up. A single
    frame is a last one.
    """
    between = [Fraction(1, frame_rate(count))] * (count - 2)
    seconds = [FIRST_HOLD, *between, LAST_HOLD][-count:]
    ends = [round(end * ticks) for end in accumulate(seconds)]
    return [end - start for start, end in pairwise([0, *ends])]


def _shown(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return RGB of that size without metadata.

    One pixel too many is cut off, the rest stays sharp.
    """
    surplus = (picture.width - size[0], picture.height - size[1])
    if min(surplus) >= 0 and max(surplus) <= 1:
        shown = picture.crop((0, 0, *size)).convert("RGB")
    else:
        shown = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    shown.info = {}  # Pillow would write a comment of it into a GIF
    return shown


def _write_mp4(frames: Sequence[Image.Image], path: Path) -> None:
    """Write H.264 with a time and a duration for every frame, its index ahead of the pictures."""
    lengths = durations(len(frames), MP4_TICKS)
    starts = list(accumulate(lengths, initial=0))[:-1]
    length_at = dict(zip(starts, lengths, strict=True))
    # The prefix keeps a colon in a path from being read as a protocol.
    with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"}) as film:
        last = len(frames) - 1
        options = {**X264, "x264-params": f"zones={last},{last},q={LAST_QP}"}
        stream = film.add_stream("libx264", rate=frame_rate(len(frames)), options=options)
        describe_stream(stream, frames[0].size)
        pictures: Iterator[av.VideoFrame | None] = map(video_frame, frames, starts)
        for picture in chain(pictures, [None]):  # None asks for what the encoder still holds
            for packet in stream.encode(picture):
                packet.duration = length_at[packet.pts or 0]  # x264 guesses the last one's
                film.mux(packet)


def describe_stream(stream: VideoStream, size: tuple[int, int], ticks: int = MP4_TICKS) -> None:
    """Make a stream BT.709 of limited range in yuv420p, with so many ticks a second."""
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt = "yuv420p"  # the only one that phones and messengers play
    context.time_base = Fraction(1, ticks)
    context.max_b_frames = 0  # they save 1 % here; without them frames are coded as they are shown
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709


def video_frame(picture: Image.Image, start: int, ticks: int = MP4_TICKS) -> av.VideoFrame:
    """Return the picture in BT.709's Y'CbCr, limited range, shown from tick `start` on."""
    planes = np.concatenate([plane.ravel() for plane in _yuv420(np.asarray(picture))])
    rows = picture.height * 3 // 2
    frame = av.VideoFrame.from_ndarray(planes.reshape(rows, picture.width), format="yuv420p")
    frame.pts, frame.time_base = start, Fraction(1, ticks)
    return frame


def _yuv420(pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Convert (H, W, 3) RGB to the planes Y' (H, W), Cb and Cr (H / 2, W / 2).

    ITU-R BT.709-6 item 3 in 8 bits; libswscale's fast path is up to 3 levels off in Y'. Chroma is
    sited as H.264 has it by default: on even columns, between two rows.
    """
    rgb = pixels.astype(np.float32)
    luma = rgb @ np.array(LUMA_709, np.float32)  # (H, W) in [0, 255]
    planes = [16 + luma * (219 / 255)]
    for channel, weight in ((2, LUMA_709[2]), (0, LUMA_709[0])):
        chroma = (rgb[..., channel] - luma) / (2 * (1 - weight))
        left = np.pad(chroma, ((0, 0), (1, 0)), mode="edge")[:, :-1]
        right = np.pad(chroma, ((0, 0), (0, 1)), mode="edge")[:, 1:]
        sited = (left + 2 * chroma + right)[:, ::2] / 4  # (H, W / 2)
        planes.append(128 + (sited[::2] + sited[1::2]) / 2 * (224 / 255))
    return [plane.round().astype(np.uint8) for plane in planes]


def _write_webp(frames: Sequence[Image.Image], path: Path) -> None:
    lengths = durations(len(frames), WEBP_TICKS)
    first, *others = frames
    first.save(path, "WEBP", save_all=True, append_images=others, duration=lengths, loop=0, **WEBP)


def _write_gif(frames: Sequence[Image.Image], path: Path) -> None:
    """Write 256 colours for the whole film, dithered.

    A palette per frame would make the sky flicker. The last frame, which is held, has its own.
    """
    lengths = [length * 1000 // GIF_TICKS for length in durations(len(frames), GIF_TICKS)]
    palette = common_palette(frames)
    *moving, last = frames
    quantized = [frame.quantize(palette=palette) for frame in moving]
    own = _small(last, LAST_PALETTE_SIDE).quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    first, *others = [*quantized, last.quantize(palette=own)]
    first.save(path, "GIF", save_all=True, append_images=others, duration=lengths, loop=0)


def common_palette(frames: Sequence[Image.Image], colors: int = 256) -> Image.Image:
    """Return so many colours for all the frames, as the palette of a picture.

    They come by k-means from a median cut of a few of them, made small. Single pixels are picked
    and not averaged: averages would lose the brightest colours.
    """
    last = len(frames) - 1
    width, height = _small(frames[0], PALETTE_SIDE).size
    sheet = Image.new("RGB", (width, height * PALETTE_FRAMES))
    for row in range(PALETTE_FRAMES):
        frame = frames[round(last * row / (PALETTE_FRAMES - 1))]
        sheet.paste(_small(frame, PALETTE_SIDE), (0, row * height))
    return sheet.quantize(colors, Image.Quantize.MEDIANCUT, kmeans=1)


def _small(frame: Image.Image, side: int) -> Image.Image:
    size = fitted_size(frame.size, min(side, max(frame.size)))
    return frame.resize(size, Image.Resampling.NEAREST)


_WRITERS: Mapping[str, Callable[[Sequence[Image.Image], Path], None]] = {
    "mp4": _write_mp4,
    "webp": _write_webp,
    "gif": _write_gif,
}
