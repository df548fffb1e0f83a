"""Films are read back by decoders that know nothing of how they were written."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from nst.images.timelapse import FORMATS, SIDES, durations, encode_timelapse, frame_rate, shown_size

pytestmark = pytest.mark.slow


SIZE = (96, 64)
ANIMATED = ("webp", "gif")


@dataclass
class Film:
    frames: list[Image.Image]
    lengths: list[float]  # seconds of each frame

    @property
    def size(self) -> tuple[int, int]:
        return self.frames[0].size


def frame(moment: float, size: tuple[int, int] = SIZE) -> Image.Image:
    """A smooth picture that moves to the side and turns blue; `moment` in [0, 1]."""
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    wave = abs((across + 4 * moment) % 2 - 1)
    channels = (wave, down, np.full_like(wave, moment))
    return Image.fromarray((np.stack(channels, axis=-1) * 200 + 20).astype(np.uint8))


def run(count: int) -> Iterator[Image.Image]:
    return (frame(moment) for moment in np.linspace(0, 1, count))


def psnr(image: Image.Image, other: Image.Image) -> float:
    """In decibels; 30 is a good compressed picture."""
    difference = np.asarray(image, dtype=float) - np.asarray(other, dtype=float)
    return float(10 * np.log10(255**2 / max(1e-9, float(np.mean(difference**2)))))


def read(path: Path) -> Film:
    return _read_mp4(path) if path.suffix == ".mp4" else _read_animation(path)


def _read_mp4(path: Path) -> Film:
    with av.open(path) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.duration is not None
        assert stream.time_base is not None
        times = [*(picture.time for picture in frames), float(stream.duration * stream.time_base)]
    lengths = [end - start for start, end in itertools.pairwise(times)]
    return Film(
        [Image.fromarray(picture.to_ndarray(format="rgb24")) for picture in frames], lengths
    )


def _read_animation(path: Path) -> Film:
    frames, lengths = [], []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(image.convert("RGB"))
            lengths.append(image.info.get("duration", 0) / 1000)
        assert len(frames) == 1 or image.info["loop"] == 0, "it starts over for ever"
    return Film(frames, lengths)


@pytest.mark.parametrize("format", FORMATS)
def test_a_film_shows_every_frame_and_holds_both_ends(format: str, tmp_path: Path) -> None:
    frames = list(run(62))  # 60 between, in 5 seconds: 12 per second
    path = tmp_path / f"film.{format}"
    encode_timelapse(frames, format, path)
    film = read(path)
    assert film.size == SIZE
    assert len(film.frames) == 62
    assert film.lengths[0] == pytest.approx(0.7, abs=0.001)
    assert film.lengths[-1] == pytest.approx(1.8, abs=0.001)
    assert sum(film.lengths) == pytest.approx(0.7 + 5 + 1.8, abs=0.005)
    assert film.lengths[1:-1] == pytest.approx([1 / 12] * 60, abs=0.01)
    for index in (0, 30, -1):
        seen, meant = film.frames[index].reduce(2), frames[index].reduce(2)  # dithering is noise
        assert psnr(seen, meant) > 30
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_frames_between_take_five_seconds_where_the_rates_allow() -> None:
    assert frame_rate(2 + 100) == 20
    assert frame_rate(2 + 1000) == 30
    assert frame_rate(2 + 10) == 8
    assert sum(durations(2 + 100, ticks=100)) == 70 + 500 + 180
    assert durations(5, ticks=1000) == [700, 125, 125, 125, 1800]


def test_durations_are_whole_ticks_that_do_not_drift() -> None:
    lengths = durations(2 + 150, ticks=100)  # 30 per second: three and a third hundredths
    assert lengths[0] == 70
    assert set(lengths[1:-1]) == {3, 4}
    assert sum(lengths) == 70 + 500 + 180


@pytest.mark.parametrize("format", FORMATS)
def test_a_run_that_begins_coarse_is_shown_at_its_last_size(format: str, tmp_path: Path) -> None:
    frames = [frame(0.1, (47, 32)), frame(0.5, (70, 46)), frame(0.9)]
    path = tmp_path / f"film.{format}"
    encode_timelapse(frames, format, path)
    film = read(path)
    assert [image.size for image in film.frames] == [SIZE] * 3
    assert psnr(film.frames[0], frame(0.1)) > 30


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_frames_are_a_film_too(count: int, format: str, tmp_path: Path) -> None:
    path = tmp_path / f"film.{format}"
    encode_timelapse(run(count), format, path)
    film = read(path)
    assert len(film.frames) == count
    is_still = count == 1 and format == "webp"  # a WebP of one frame has no duration
    assert film.lengths[-1] == (0 if is_still else pytest.approx(1.8, abs=0.001))


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_that_stands_still_takes_its_time(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"film.{format}"
    encode_timelapse([frame(0.1), *[frame(0.5)] * 16, frame(0.9)], format, path)
    assert sum(read(path).lengths) == pytest.approx(0.7 + 16 / 8 + 1.8, abs=0.005)


def test_odd_sides_lose_one_pixel_in_mp4_only(tmp_path: Path) -> None:
    stripes = np.zeros((33, 51, 3), dtype=np.uint8)
    stripes[::2] = 255
    sharp = Image.fromarray(stripes)
    for format, size in (("mp4", (50, 32)), ("webp", (51, 33)), ("gif", (51, 33))):
        path = tmp_path / f"film.{format}"
        encode_timelapse([sharp, sharp], format, path)
        film = read(path)
        assert film.size == size
        assert psnr(film.frames[-1], sharp.crop((0, 0, *size))) > 30, "cut, not blurred"


@pytest.mark.parametrize("format", FORMATS)
def test_the_longest_side_is_limited(format: str, tmp_path: Path) -> None:
    side = SIDES[format]
    path = tmp_path / f"film.{format}"
    encode_timelapse([frame(0.3, (600, 900))], format, path)
    assert read(path).size == (side * 2 // 3, side)
    assert shown_size((side + 1, 7), format)[0] == side
    assert min(shown_size((5000, 1), format)) >= 1
    assert shown_size((1, 1), format) == ((2, 2) if format == "mp4" else (1, 1))


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        # BT.709, limited range: Y = 16 + 219 (0.2126 R + 0.7152 G + 0.0722 B),
        # Cb = 128 + 224 (B - Y') / 1.8556, Cr = 128 + 224 (R - Y') / 1.5748.
        ((255, 0, 0), (62.6, 102.3, 240)),
        ((0, 0, 255), (31.8, 240, 117.7)),
        ((128, 128, 128), (125.9, 128, 128)),
    ],
)
def test_colors_are_those_of_the_tags(
    color: tuple[int, int, int], expected: tuple[float, float, float], tmp_path: Path
) -> None:
    path = tmp_path / "film.mp4"
    encode_timelapse([Image.new("RGB", (32, 32), color)], "mp4", path)
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc)
        assert (*tags, context.color_range) == (1, 1, 1, 1)  # BT.709 three times, limited range
        decoded = next(container.decode(video=0))
        planes = [bytes(plane)[0] for plane in decoded.planes]
        assert planes == pytest.approx(expected, abs=1)
        assert decoded.to_ndarray(format="rgb24")[16, 16] == pytest.approx(color, abs=3)


def test_phones_and_messengers_can_play_it(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    encode_timelapse(run(20), "mp4", path)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "it starts before it is loaded"
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_private_gets_into_the_file(format: str, tmp_path: Path) -> None:
    frames = list(run(3))
    for image in frames:
        image.info = dict.fromkeys(("comment", "exif", "xmp", "icc_profile"), b"Jane Doe")
    path = tmp_path / f"film.{format}"
    encode_timelapse(frames, format, path)
    assert b"Jane" not in path.read_bytes()
    assert str(tmp_path.name).encode() not in path.read_bytes()
    assert frames[0].info["comment"] == b"Jane Doe", "the caller's pictures stay as they are"


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format must be one of mp4, webp, gif, not 'avi'"):
        encode_timelapse(run(2), "avi", tmp_path / "film.avi")
    with pytest.raises(ValueError, match="at least one frame is needed"):
        encode_timelapse([], "mp4", tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", FORMATS)
def test_no_folder_is_an_os_error(format: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        encode_timelapse(run(2), format, tmp_path / "none" / "film")


@pytest.mark.parametrize("format", FORMATS)
def test_a_run_that_fails_leaves_what_was_there(format: str, tmp_path: Path) -> None:
    def broken() -> Iterator[Image.Image]:
        yield from run(3)
        raise RuntimeError("out of memory")

    path = tmp_path / "film"
    path.write_bytes(b"the film before")
    with pytest.raises(RuntimeError, match="out of memory"):
        encode_timelapse(broken(), format, path)
    assert path.read_bytes() == b"the film before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_cannot_be_replaced_leaves_nothing_else(format: str, tmp_path: Path) -> None:
    (tmp_path / "film").mkdir()
    with pytest.raises(OSError, match="directory"):
        encode_timelapse(run(3), format, tmp_path / "film")
    assert [file.name for file in tmp_path.iterdir()] == ["film"]


@pytest.mark.parametrize("format", FORMATS)
def test_odd_names_are_names(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a:b é %d").mkdir()
    encode_timelapse(run(2), format, f"a:b é %d/c:d.{format}")
    assert len(read(tmp_path / "a:b é %d" / f"c:d.{format}").frames) == 2
