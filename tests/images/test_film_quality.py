"""The frame that a film ends on looks like the picture: decoded again and compared."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from helpers.places import DRAWN
from nst.images.reading import load_image
from nst.images.tensors import fit
from nst.images.timelapse import encode_timelapse

pytestmark = pytest.mark.slow


Pixels = npt.NDArray[np.float64]

BT709 = (0.2126, 0.7152, 0.0722)
BT601 = (0.299, 0.587, 0.114)  # of WebP


def strokes() -> Image.Image:
    """Hard edges in saturated colours, the worst that a painting can be."""
    rng = np.random.default_rng(0)
    picture = Image.new("RGB", (320, 240), (90, 120, 160))
    draw = ImageDraw.Draw(picture)
    for _ in range(500):
        x, y = rng.uniform(0, 320), rng.uniform(0, 240)
        angle, length = rng.uniform(0, 6.3), rng.uniform(10, 60)
        end = (x + length * np.cos(angle), y + length * np.sin(angle))
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.line((x, y, *end), fill=color, width=int(rng.integers(2, 9)))
    return picture


def painting() -> Image.Image:
    small = fit(load_image(DRAWN / "night_impasto.jpg"), 320)
    return small.crop((0, 0, small.width // 2 * 2, small.height // 2 * 2))


def film_of(last: Image.Image, format: str, folder: Path) -> Path:
    """A run from grain to the picture."""
    rng = np.random.default_rng(1)
    grain = rng.normal(0, 40, (last.height, last.width, 1))
    pixels = np.asarray(last, float)
    moments = [pixels + grain * (1 - step / 10) for step in range(10)]
    frames = [Image.fromarray(m.round().clip(0, 255).astype(np.uint8)) for m in moments]
    path = folder / f"film.{format}"
    encode_timelapse([*frames, last], format, path)
    return path


def planes_of(frame: av.VideoFrame) -> list[Pixels]:
    """Y' in [0, 255], and Cb and Cr in [-127.5, 127.5], without libswscale's rounding."""
    planes = []
    for index, plane in enumerate(frame.planes):
        rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
        values = rows[: plane.height, : plane.width].astype(float)
        planes.append((values - 16) * 255 / 219 if index == 0 else (values - 128) * 255 / 224)
    return planes


def last_mp4_frame(path: Path) -> av.VideoFrame:
    with av.open(path) as film:
        return list(film.decode(video=0))[-1]


@pytest.mark.parametrize("picture", [strokes(), painting()], ids=["strokes", "painting"])
def test_the_frame_that_an_mp4_holds_is_the_picture(picture: Image.Image, tmp_path: Path) -> None:
    """Y' is within 8 levels everywhere; of the colours 4:2:0 keeps one for two by two pixels, and
    that one is within 8 levels nearly everywhere."""
    luma, *chroma = planes_of(last_mp4_frame(film_of(picture, "mp4", tmp_path)))
    pixels = np.asarray(picture, float)
    true_luma = pixels @ BT709
    difference = abs(luma - true_luma)
    assert difference.max() <= 8
    assert difference.mean() <= 2
    for plane, channel in zip(chroma, (2, 0), strict=True):
        true = (pixels[..., channel] - true_luma) / (2 * (1 - BT709[channel]))
        padded = np.pad(true, ((0, 0), (1, 1)), mode="edge")
        sited = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:])[:, ::2] / 4
        expected = (sited[::2] + sited[1::2]) / 2
        assert np.percentile(abs(plane - expected), 99) <= 8
        assert abs(plane - expected).mean() <= 2


def test_a_film_states_how_its_colors_are_coded(tmp_path: Path) -> None:
    with av.open(film_of(painting(), "mp4", tmp_path)) as film:
        context = film.streams.video[0].codec_context
        assert context.pix_fmt == "yuv420p"
        stated = (context.colorspace, context.color_primaries, context.color_trc)
        assert stated == (1, 1, 1)  # BT.709, all three
        assert context.color_range == 1  # limited


def test_a_webp_holds_the_picture(tmp_path: Path) -> None:
    picture = painting()
    with Image.open(film_of(picture, "webp", tmp_path)) as film:
        film.seek(getattr(film, "n_frames", 1) - 1)
        shown = np.asarray(film.convert("RGB"), float)
    difference = abs((shown - np.asarray(picture, float)) @ BT601)
    assert np.percentile(difference, 99) <= 8
    assert difference.mean() <= 2


def test_a_gif_holds_the_picture_in_colors_of_its_own(tmp_path: Path) -> None:
    """256 colours for it alone are closer than those of the whole film, which are 6.5 off."""
    picture = strokes()
    with Image.open(film_of(picture, "gif", tmp_path)) as film:
        film.seek(getattr(film, "n_frames", 1) - 1)
        shown = film.convert("RGB")
    difference = abs(np.asarray(shown, float) - np.asarray(picture, float))
    assert difference.mean() <= 4
