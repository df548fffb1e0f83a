"""Animated GIFs and WebPs: read with timing, loop and transparency, and written with them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from helpers.clips import write_frames
from helpers.tiny_network import MakeNetwork
from nst.errors import ImageError, OutputError
from nst.video import animation_writing
from nst.video.__main__ import main
from nst.video.animation_writing import check_animation, lengths, write_animation
from nst.video.clips import Clip, Frame
from nst.video.decoding import MOST_FRAMES, NO_CLIP, NO_FRAMES, TOO_LONG, Facts

SIZE = (64, 48)
MILLISECONDS = [100, 40, 250, 70]


def drawn(number: int, *, alpha: bool) -> Image.Image:
    """A disc that moves, on a ramp or on nothing."""
    ramp = np.tile(np.linspace(40, 200, SIZE[0]).astype(np.uint8), (SIZE[1], 1))
    picture = Image.merge("RGB", [Image.fromarray(ramp)] * 3)
    hole = Image.new("L", SIZE, 0 if alpha else 255)
    x = 8 + 8 * number
    for canvas, color in ((picture, (200, 60, 30)), (hole, 255)):
        ImageDraw.Draw(canvas).ellipse((x, 12, x + 24, 36), fill=color)
    return Image.merge("RGBA", [*picture.split(), hole]) if alpha else picture


def write(path: Path, *, alpha: bool = False, **options: Any) -> Path:
    first, *others = [drawn(number, alpha=alpha) for number in range(len(MILLISECONDS))]
    usual: dict[str, Any] = {"duration": MILLISECONDS}
    usual |= {"disposal": 2} if path.suffix == ".gif" else {"lossless": True}
    first.save(path, save_all=True, append_images=others, **(usual | options))
    return path


@pytest.mark.parametrize("ending", [".gif", ".webp"])
@pytest.mark.parametrize("alpha", [False, True])
def test_frames_have_their_times_and_transparency(tmp_path: Path, ending: str, alpha: bool) -> None:
    clip = Clip(write(tmp_path / f"a{ending}", alpha=alpha, loop=0), 64)
    frames = list(clip)
    assert [frame.time * 1000 for frame in frames] == [0, 100, 140, 390]
    assert [frame.length for frame in frames] == [Fraction(n, 1000) for n in MILLISECONDS]
    assert clip.facts.frames == 4
    for number, frame in enumerate(frames):
        true = np.asarray(drawn(number, alpha=alpha), int)
        assert frame.picture.mode == "RGB"
        shown = true[..., 3] > 0 if alpha else np.full(true.shape[:2], True)
        assert np.abs(np.asarray(frame.picture, int) - true[..., :3])[shown].max() <= 12
        assert (frame.alpha is not None) == alpha
        if frame.alpha:
            assert np.array_equal(np.asarray(frame.alpha), true[..., 3])


@pytest.mark.parametrize(
    ("ending", "loop", "plays"),
    [(".gif", None, 1), (".gif", 0, 0), (".gif", 2, 3), (".webp", 0, 0), (".webp", 3, 3)],
)
def test_how_often_it_plays_is_read_and_written(
    tmp_path: Path, ending: str, loop: int | None, plays: int
) -> None:
    options: dict[str, Any] = {} if loop is None else {"loop": loop}
    clip = Clip(write(tmp_path / f"a{ending}", **options), 64)
    assert clip.facts.plays == plays
    for other in (".gif", ".webp"):
        write_animation(tmp_path / f"b{other}", clip, plays=plays)
        assert Clip(tmp_path / f"b{other}", 64).facts.plays == plays


@pytest.mark.parametrize("source", [".gif", ".webp"])
@pytest.mark.parametrize("target", [".gif", ".webp"])
def test_times_and_transparency_are_written(tmp_path: Path, source: str, target: str) -> None:
    clip = Clip(write(tmp_path / f"a{source}", alpha=True), 64)
    write_animation(tmp_path / f"b{target}", clip)
    again = list(Clip(tmp_path / f"b{target}", 64))
    for before, after in zip(clip, again, strict=True):
        assert before.alpha is not None
        assert after.alpha is not None
        assert (after.time, after.length) == (before.time, before.length)
        assert np.array_equal(np.asarray(after.alpha) > 127, np.asarray(before.alpha) > 127)
        shown = np.asarray(before.alpha) > 127
        difference = np.asarray(after.picture, int) - np.asarray(before.picture, int)
        assert np.abs(difference)[shown].mean() < 10


def test_frames_are_scaled_and_thinned_out(tmp_path: Path) -> None:
    clip = Clip(write(tmp_path / "a.gif", alpha=True), 32, rate=5)
    frames = list(clip)
    assert [frame.time * 1000 for frame in frames] == [0, 390]
    assert [1000 * (frame.length or 0) for frame in frames] == [390, 70]
    assert frames[0].picture.size == (32, 24)
    assert frames[0].alpha is not None
    assert 0 < np.mean(np.asarray(frames[0].alpha) > 127) < 0.3


def test_frames_that_say_10_ms_or_less_are_shown_for_100_as_browsers_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gif", duration=[0, 10, 20, 0])
    assert [1000 * (frame.length or 0) for frame in Clip(path, 64)] == [100, 100, 20, 100]


def test_a_frame_that_is_transparent_everywhere_is_one(tmp_path: Path) -> None:
    first, second = drawn(0, alpha=True), Image.new("RGBA", SIZE)
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second], lossless=True)
    _, last = Clip(tmp_path / "a.webp", 64)
    assert last.alpha is not None
    assert last.alpha.getextrema() == (0, 0)
    assert last.on_white().getextrema() == ((255, 255),) * 3


def test_a_picture_alone_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    drawn(0, alpha=False).save(tmp_path / "a.gif")
    (frame,) = Clip(tmp_path / "a.gif", 64)
    assert frame.alpha is None


@pytest.mark.parametrize("ending", [".gif", ".webp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_what_is_cut_off_is_a_clip_or_a_sentence(tmp_path: Path, ending: str, share: float) -> None:
    path = write(tmp_path / f"a{ending}")
    data = path.read_bytes()
    path.write_bytes(data[: max(14, round(share * len(data)))])
    try:
        told, frames = "", list(Clip(path, 64))
    except ImageError as error:
        told, frames = str(error), []
    assert told in (NO_CLIP, NO_FRAMES) or 1 <= len(frames) < 4


def test_limits_are_those_of_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("P", (8, 8)).save(tmp_path / "small.gif")
    with pytest.raises(ImageError, match="8×8 pixels, which cannot be used"):
        Clip(tmp_path / "small.gif", 64)
    header = (tmp_path / "small.gif").read_bytes()
    large = header[:6] + b"\xff\xff\xff\xff" + header[10:]
    (tmp_path / "large.gif").write_bytes(large)
    with pytest.raises(ImageError, match="65535×65535 pixels; 8192×4320 are the most"):
        Clip(tmp_path / "large.gif", 64)


def test_too_many_frames_are_told_before_the_first_one(tmp_path: Path) -> None:
    Image.new("P", (16, 16)).save(tmp_path / "one.gif", duration=20)
    data = (tmp_path / "one.gif").read_bytes()
    begin = data.index(b"!\xf9") if b"!\xf9" in data else data.index(b",")
    frame = data[begin:-1]
    many = data[:begin] + frame * (MOST_FRAMES + 1) + b";"
    (tmp_path / "many.gif").write_bytes(many)
    with pytest.raises(ImageError) as caught:
        Clip(tmp_path / "many.gif", 64)
    assert str(caught.value) == TOO_LONG


def test_lengths_end_where_frames_end() -> None:
    times = [Fraction(n, 30) for n in range(31)]
    assert sum(lengths(times, 100)) == 100
    assert set(lengths(times, 100)) == {3, 4}


def test_frames_that_are_too_short_take_from_the_next_or_are_left_out(tmp_path: Path) -> None:
    times = [Fraction(0), *(Fraction(500 + 12 * n, 1000) for n in range(41))]
    shown = lengths(times, 100, least=2)
    assert shown[0] == 50
    assert set(shown[1:]) == {0, 2}
    assert abs(sum(shown) - 98) <= 1  # of 500 + 40 · 12 ms
    assert lengths([Fraction(n, 1000) for n in (0, 14, 40)], 100, least=2) == [2, 2]
    assert lengths([Fraction(0), Fraction(1, 1000)], 100, least=2) == [2]
    frames = [
        Frame(drawn(number % 4, alpha=False), time, length=Fraction(12, 1000))
        for number, time in enumerate(times[:-1])
    ]
    write_animation(tmp_path / "a.gif", frames)
    written = list(Clip(tmp_path / "a.gif", 64))
    assert len(written) == sum(length > 0 for length in shown)
    assert written[1].time == Fraction(1, 2)
    assert abs(written[-1].time + (written[-1].length or 0) - times[-1]) <= Fraction(1, 100)


@pytest.mark.parametrize(
    ("ending", "plays", "told"),
    [
        (".webp", 65_535, 65_535),
        (".webp", 65_536, 0),
        (".gif", 65_536, 65_536),
        (".gif", 65_537, 0),
    ],
)
def test_more_plays_than_a_file_can_count_are_for_ever(
    tmp_path: Path, ending: str, plays: int, told: int
) -> None:
    clip = Clip(write(tmp_path / "a.gif"), 64)
    write_animation(tmp_path / f"b{ending}", clip, plays=plays)
    assert Clip(tmp_path / f"b{ending}", 64).facts.plays == told


def test_frames_are_counted_where_a_clip_has_more_than_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation_writing, "MOST_HELD", 3 * SIZE[0] * SIZE[1])
    clip = Clip(write(tmp_path / "a.gif"), 64)
    with pytest.raises(
        OutputError, match=r"more than 3 frames, too many for a \.webp file; choose"
    ):
        write_animation(tmp_path / "b.webp", clip)
    assert not (tmp_path / "b.webp").exists()


def test_what_an_animated_picture_cannot_hold_is_told() -> None:
    def facts(frames: int, rate: int) -> Facts:
        return Facts(1000, 1000, Fraction(1, 1000), Fraction(rate), frames, 0, False)

    check_animation(Path("a.gif"), facts(100, 50))
    check_animation(Path("a.webp"), facts(100, 120))
    with pytest.raises(OutputError, match="can have 100 frames; choose a smaller --size"):
        check_animation(Path("a.webp"), facts(101, 25))
    with pytest.raises(OutputError, match=r"does not say how long it is, and a \.webp file"):
        check_animation(Path("a.webp"), facts(0, 25))
    with pytest.raises(OutputError, match="add --fps 50, or write"):
        check_animation(Path("a.gif"), facts(10, 60))


@pytest.fixture
def paint(folder: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command in a folder with `painting.png`."""
    network = make_network()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    quick = ("--size", "64", "--iterations", "3", "--frame-iterations", "1", "--device", "cpu")

    def command(clip: str, output: str, *words: str) -> None:
        assert main([clip, "painting.png", "-o", output, *quick, *words]) == 0

    return command


@pytest.mark.parametrize("target", ["out.gif", "out.webp"])
def test_an_animated_picture_is_painted_as_one(paint: Any, folder: Path, target: str) -> None:
    source = Clip(write(folder / "in.gif", alpha=True, loop=4), 64)
    paint("in.gif", target)
    film = Clip(folder / target, 64)
    assert film.facts.plays == 5
    for before, after in zip(source, film, strict=True):
        assert (after.time, after.length) == (before.time, before.length)
        assert before.alpha is not None
        assert after.alpha is not None
        assert np.array_equal(np.asarray(after.alpha) > 127, np.asarray(before.alpha) > 127)
        shown = np.asarray(before.alpha) > 127
        difference = np.asarray(after.picture, int) - np.asarray(before.picture, int)
        assert np.abs(difference)[shown].mean() > 3
    paint("in.gif", "again.mp4", "--settings", target, "--frame-iterations", "2")


def test_a_gif_becomes_a_film_on_white(paint: Any, folder: Path) -> None:
    write(folder / "in.gif", alpha=True)
    paint("in.gif", "out.mp4")
    frames = list(Clip(folder / "out.mp4", 64))
    assert [round(1000 * frame.time) for frame in frames] == [0, 100, 140, 390]
    assert np.asarray(frames[0].picture)[2:8, 50:].min() > 245


def test_a_clip_becomes_a_gif_that_plays_for_ever(paint: Any, folder: Path) -> None:
    write_frames(folder / "clip.mp4", 3, SIZE)
    paint("clip.mp4", "out.gif")
    film = Clip(folder / "out.gif", 64)
    assert film.facts.plays == 0
    assert [frame.time for frame in film] == [0, Fraction(8, 100), Fraction(17, 100)]
    with Image.open(folder / "out.gif") as picture:
        assert json.loads(picture.info["comment"])["film"]["frame_iterations"] == 1


def test_a_folder_has_transparent_pictures(paint: Any, folder: Path) -> None:
    write(folder / "in.webp", alpha=True)
    paint("in.webp", "pictures")
    with Image.open(folder / "pictures" / "000001.png") as picture:
        assert picture.mode == "RGBA"
        assert picture.getchannel("A").getextrema() == (0, 255)
