"""Short clips with known motion, made from the example pictures: for tests and benchmarks.

A `MadeClip` knows where each pixel of a frame was in the frame before.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from nst.console import run_command
from nst.images.reading import load_image
from nst.images.tensors import fit

CONTENT = Path(__file__).parents[1] / "examples" / "content"
SOURCE = 768  # pixels; the longest side of the pictures that clips are cut from
RATE = 12  # frames per second
NOISE = 3.0  # levels, the standard deviation of a sensor's

Placed = Callable[[int], tuple[float, float, float]]
"""Left, top and scale of what the camera sees in frame n, in pixels of the source."""


@dataclass(frozen=True)
class MadeClip:
    """A clip of `count` frames of (width, height) pixels."""

    name: str
    size: tuple[int, int]
    count: int
    frame: Callable[[int], Image.Image]
    earlier: Callable[[int], npt.NDArray[np.float32] | None]
    """Displacement (H, W, 2) of each pixel of frame n to frame n − 1; NaN where it was hidden, None
    where nothing of it was there."""
    mask: Callable[[int], npt.NDArray[np.bool_]] | None = None
    """Where its moving object is in frame n, (H, W), if it has one."""

    def __iter__(self) -> Iterator[Image.Image]:
        return map(self.frame, range(self.count))


def pan(size: tuple[int, int], count: int, step: float = 2.3, photo: str = "castle") -> MadeClip:
    """Return a camera that moves to the right by `step` pixels a frame, and down by a quarter."""
    source = _source(photo, size)

    def place(n: int) -> tuple[float, float, float]:
        return step * n, step * n / 4, 1.0

    return _camera("pan", source, size, count, place)


def zoom(size: tuple[int, int], count: int, photo: str = "bridge") -> MadeClip:
    """Return a camera that comes nearer by half a percent a frame."""
    source = _source(photo, size)
    width, height = size
    middle = (source.width / 2, source.height / 2)

    def place(n: int) -> tuple[float, float, float]:
        scale = 1.005**-n
        return middle[0] - scale * width / 2, middle[1] - scale * height / 2, scale

    return _camera("zoom", source, size, count, place)


def static(
    size: tuple[int, int], count: int, noise: float = 0.0, photo: str = "coffee"
) -> MadeClip:
    """Return a camera that stands still, with the noise of a sensor in levels."""
    source = _source(photo, size)
    clip = _camera("static", source, size, count, lambda n: (0.0, 0.0, 1.0))
    if not noise:
        return clip

    def noisy(n: int) -> Image.Image:
        grain = np.random.default_rng(n).normal(0, noise, (size[1], size[0], 3))
        pixels = np.asarray(clip.frame(n), np.float32) + grain
        return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))

    return MadeClip("noisy", size, count, noisy, clip.earlier)


def passing(size: tuple[int, int], count: int, step: float = 4.0) -> MadeClip:
    """Return a cat that goes back and forth before a still bridge: what it hides is seen again."""
    width, height = size
    ground = _source("bridge", size).crop((0, 0, width, height))
    cat = fit(load_image(CONTENT / "cat.jpg"), round(0.55 * min(size)))
    y, x = np.mgrid[0 : cat.height, 0 : cat.width]
    inside = ((x + 0.5) / cat.width - 0.5) ** 2 + ((y + 0.5) / cat.height - 0.5) ** 2 < 0.25
    shape = Image.fromarray((255 * inside).astype(np.uint8))
    way, top = width - cat.width, (height - cat.height) // 2

    def left(n: int) -> int:
        position = round(step * n) % (2 * way)
        return min(position, 2 * way - position)

    def frame(n: int) -> Image.Image:
        picture = ground.copy()
        picture.paste(cat, (left(n), top), shape)
        return picture

    def mask(n: int) -> npt.NDArray[np.bool_]:
        where = Image.new("L", size)
        where.paste(shape, (left(n), top))
        return np.asarray(where) > 0

    def earlier(n: int) -> npt.NDArray[np.float32] | None:
        field = np.zeros((height, width, 2), np.float32)
        field[mask(n - 1) & ~mask(n)] = np.nan
        field[mask(n)] = (left(n - 1) - left(n), 0)
        return field

    return MadeClip("passing", size, count, frame, earlier, mask)


def cut(size: tuple[int, int], count: int) -> MadeClip:
    """Return two shots, half of the frames each: a pan, and another pan elsewhere."""
    half = count // 2
    first, second = pan(size, half), pan(size, count - half, photo="moose")

    def frame(n: int) -> Image.Image:
        return first.frame(n) if n < half else second.frame(n - half)

    def earlier(n: int) -> npt.NDArray[np.float32] | None:
        if n == half:
            return None
        return first.earlier(n) if n < half else second.earlier(n - half)

    return MadeClip("cut", size, count, frame, earlier)


def _source(photo: str, size: tuple[int, int]) -> Image.Image:
    """Return a photo from which frames of that size are cut."""
    picture = load_image(CONTENT / f"{photo}.jpg")
    least = max(size[0] / picture.width, size[1] / picture.height) * max(picture.size)
    return fit(picture, max(SOURCE, math.ceil(least)))


def _camera(
    name: str, source: Image.Image, size: tuple[int, int], count: int, place: Placed
) -> MadeClip:
    width, height = size

    def frame(n: int) -> Image.Image:
        left, top, scale = place(n)
        coefficients = (scale, 0, left, 0, scale, top)
        return source.transform(
            size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
        )

    def earlier(n: int) -> npt.NDArray[np.float32] | None:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
        (left, top, scale), (old_left, old_top, old_scale) = place(n), place(n - 1)
        old_x = (scale * x + left - old_left) / old_scale
        old_y = (scale * y + top - old_top) / old_scale
        field = np.stack([old_x - x, old_y - y], -1)
        outside = (old_x < 0) | (old_y < 0) | (old_x > width) | (old_y > height)
        field[outside] = np.nan
        return field

    return MadeClip(name, size, count, frame, earlier)


def write_clip(
    clip: MadeClip, path: Path, rate: int = RATE, *, sound: bool = False, crf: int = 12
) -> None:
    """Write a clip as H.264 in an MP4, with a tone of 440 Hz in AAC where there is to be sound.

    `crf` is x264's, from 0 for the best quality to 51.
    """
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=rate, options={"crf": str(crf)})
        stream.width, stream.height = clip.size
        stream.pix_fmt = "yuv420p"
        tone = film.add_stream("aac", rate=44100, layout="mono") if sound else None
        for picture in clip:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), "rgb24")))
        film.mux(stream.encode(None))
        if tone is not None:
            seconds = np.arange(44100 * clip.count // rate) / 44100
            samples = (0.1 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
            for begin in range(0, len(samples), 1024):
                part = av.AudioFrame.from_ndarray(
                    samples[None, begin : begin + 1024], "fltp", "mono"
                )
                part.sample_rate, part.pts = 44100, begin
                part.time_base = Fraction(1, 44100)
                film.mux(tone.encode(part))
            film.mux(tone.encode(None))


MAKERS: dict[str, Callable[[tuple[int, int], int], MadeClip]] = {
    "pan": pan,
    "zoom": zoom,
    "passing": passing,
    "cut": cut,
    "static": static,
    "noisy": lambda size, count: static(size, count, NOISE),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clips", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=24, help="frames (default: 24)")
    parser.add_argument(
        "--example", action="store_true", help="only `example.mp4`, the one that the page offers"
    )
    options = parser.parse_args()
    if options.example:
        write_clip(pan((384, 256), 2 * RATE, 3.0), options.folder / "example.mp4", crf=16)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        write_clip(make((256, 192), options.count), options.folder / f"{name}.mp4", sound=True)


if __name__ == "__main__":
    raise SystemExit(run_command(main, "benchmarks.clips"))
