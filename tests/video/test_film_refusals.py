"""What a film cannot have is told before anything is painted, in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from helpers.clips import write_frames, write_sounding
from helpers.tiny_network import MakeNetwork
from nst.errors import UserError
from nst.looks import LOOKS
from nst.settings import NO_WEIGHT, FilmSettings, PaintingUse, TransferSettings
from nst.video.__main__ import build_parser, chosen_settings, end_settings, main
from nst.video.clips import Clip
from nst.video.film_flags import SLOWEST
from nst.video.frame_store import film_key
from nst.video.mask_flags import read_key_masks

SIZE = ("--size", "64", "--device", "cpu")


@pytest.fixture
def films(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `painting.png` to run the command in, which must not paint."""

    def load_network(*_: object) -> None:
        raise AssertionError("it was about to paint")

    monkeypatch.chdir(folder)
    monkeypatch.setattr("nst.engine.devices.load_network", load_network)
    return folder


@pytest.mark.parametrize(
    ("clip", "codec", "seconds", "output", "sentence"),
    [
        (
            *("clip.mp4", "aac", 0.5, "film.webm"),
            "a .webm file cannot hold the clip's sound (aac) as it is; write .mp4, or leave it out"
            " with --no-sound",
        ),
        (
            *("clip.mkv", "pcm_s16le", 0.5, "film.mp4"),
            "a .mp4 file cannot hold the clip's sound (pcm_s16le) as it is; leave it out with"
            " --no-sound",
        ),
        (
            *("clip.mkv", "aac", 0.0, "film.mp4"),
            "the clip's sound cannot be read; leave it out with --no-sound",
        ),
    ],
)
def test_sound_that_cannot_be_copied_is_told_before_anything_is_painted(
    films: Path,
    capsys: pytest.CaptureFixture[str],
    clip: str,
    codec: str,
    seconds: float,
    output: str,
    sentence: str,
) -> None:
    write_sounding(films / clip, codec, seconds=seconds)
    assert main([clip, "painting.png", "-o", output, *SIZE]) == 1
    assert capsys.readouterr().err == f"nst video: {sentence}\n"
    assert main([clip, "painting.png", "-o", output, *SIZE, "--no-sound"]) == 1
    assert "about to paint" in capsys.readouterr().err


@pytest.mark.parametrize("fps", ["0.0004", "-1", "1000", "nan"])
def test_a_frame_rate_that_cannot_be_is_told(
    films: Path, capsys: pytest.CaptureFixture[str], fps: str
) -> None:
    write_frames(films / "clip.mp4", 2)
    assert main(["clip.mp4", "painting.png", "-o", "film.mp4", "--fps", fps]) == 1
    assert "--fps must be from 0.01 to 240, or 0 for all frames, not" in capsys.readouterr().err


def test_the_slowest_frame_rate_takes_a_frame(films: Path) -> None:
    clip = Clip(write_frames(films / "clip.mp4", 2), 64, rate=SLOWEST)
    assert len(list(clip)) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-o", "painting"), "'painting' is a file; choose another name"),
        (("-o", "nowhere/pictures"), "there is no folder 'nowhere' to write to"),
        (("-o", "new.v2"), "file, not 'new.v2'; a folder for PNGs has no ending"),
        (("-o", "film.mp4", "--end-style-weights", "1,2"), "has 2 values for one painting"),
        (("-o", "film.mp4", "--end-style-weights", "much"), "--end-… must be numbers"),
        (("-o", "film.mp4", "--end-style-weights", "0"), NO_WEIGHT),
        (("-o", "film.mp4", "--keep", "nowhere.png"), "nowhere.png: "),
        (("-o", "film.mp4", "--keep-at", "2=painting.png"), "must have the same shape"),
        (("-o", "film.mp4", "--keep-at", "3=white.png"), "frame 3, and the clip has 2 frames"),
        (("-o", "film.mp4", "--masks-at", "1=black.png"), "Mask 1 is black everywhere"),
        (("-o", "clip.mp4", "--keep", "white.png"), "same file as the input"),
        (("-o", "film.mp4", "--settings", "clip.mp4"), "clip.mp4: This film carries no recipe"),
        (("-o", "film.mp4", "--settings", "nowhere.mp4"), "nowhere.mp4: it cannot be read"),
        (("-o", "film.mp4", "--settings", "painting.png"), "This picture carries no recipe"),
    ],
)
def test_what_cannot_be_has_a_reason(
    films: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_network: MakeNetwork,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: make_network())
    write_frames(films / "clip.mp4", 2)
    (films / "painting").write_bytes(b"")
    Image.new("L", (96, 64)).save(films / "black.png")
    Image.new("L", (96, 64), 255).save(films / "white.png")
    assert main(["clip.mp4", "painting.png", *words, *SIZE]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--init", "--edges"])
def test_flags_of_pictures_alone_are_no_flags_of_films(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flag not in build_parser().format_help()
    with pytest.raises(SystemExit):
        build_parser().parse_args(["clip.mp4", "painting.png", "-o", "film.mp4", flag, "seamless"])
    assert f"unrecognized arguments: {flag}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--keep-at", "0=keep.png"), "'0=keep.png' is not FRAME=MASK.png, with frames from 1"),
        (("--keep-at", "keep.png"), "'keep.png' is not FRAME=MASK.png"),
        (("--keep-at", "2=a.png,b.png"), "'2=a.png,b.png' names more than one mask"),
        (("--masks-at", "2="), "'2=' is not FRAME=MASK.png"),
        (("--look", "Bald"), "'Bald' is none of Light touch, Balanced, "),
    ],
)
def test_flags_that_cannot_be_read_are_usage_errors(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["clip.mp4", "painting.png", "-o", "film.mp4", *words])
    assert sentence in capsys.readouterr().err


def test_masks_past_the_end_are_told_before_anything_is_painted(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_frames(films / "clip.mp4", 3)
    Image.new("L", (96, 64), 255).save(films / "white.png")
    words = ["clip.mp4", "painting.png", "-o", "film.mp4", *SIZE, "--keep-at", "2=white.png"]
    assert main([*words, "--keep-at", "4=white.png"]) == 1
    told = "There are masks for frame 4, and the clip has 3 frames.\n"
    assert capsys.readouterr().err.endswith(told)
    assert main([*words, "--keep-at", "3=white.png"]) == 1
    assert "about to paint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--jobs", "3"), "--jobs is about a Ray cluster; add --ray, or leave it out"),
        (
            ("--masks-at", "3=a.png", "--masks-at", "3=b.png"),
            "--masks-at is given twice for frame 3; leave one out",
        ),
        (
            ("--keep-at", "2=a.png", "--keep-at", "2=b.png"),
            "--keep-at is given twice for frame 2; leave one out",
        ),
        (
            ("--keep", "a.png", "--keep-at", "1=b.png"),
            "--keep is painted on frame 1; leave it out, or leave out --keep-at 1=…",
        ),
        (
            ("--masks", "a.png", "--masks-at", "1=b.png"),
            "--masks is painted on frame 1; leave it out, or leave out --masks-at 1=…",
        ),
    ],
)
def test_flags_that_would_be_ignored_are_told(
    films: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert main(["clip.mp4", "painting.png", "-o", "film.mp4", *SIZE, *words]) == 1
    assert capsys.readouterr().err == f"nst video: {sentence}\n"


def test_masks_are_those_of_their_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["clip.mp4", "a.png", "b.png", "-o", "film.mp4", "--masks", "1.png,", "--keep", "k.png"]
    words += ["--masks-at", "3=2.png", "--keep-at", "3=l.png", "--keep-at", "5=m.png"]
    colors = {"1.png": 10, "2.png": 20, "k.png": 30, "l.png": 40, "m.png": 50}
    options = build_parser().parse_args(words)
    monkeypatch.chdir(tmp_path)
    for name, level in colors.items():
        Image.new("L", (16, 16), level).save(name)
    keys = read_key_masks(options)

    def color(mask: Image.Image | None) -> object:
        return mask and mask.getpixel((0, 0))

    assert {
        frame: ([color(mask) for mask in masks.regions], color(masks.keep))
        for frame, masks in keys.items()
    } == {0: ([10, None], 30), 2: ([20], 40), 4: ([], 50)}


def test_a_look_is_below_the_flags_and_above_the_file(tmp_path: Path) -> None:
    look = next(each for each in LOOKS.values() if "beta" in each.changes)
    words = ["clip.mp4", "painting.png", "-o", "film.mp4", "--look", look.name.lower()]
    settings, film = chosen_settings(build_parser().parse_args(words))
    assert settings == look.settings
    assert film == FilmSettings()
    path = tmp_path / "settings.json"
    path.write_text('{"beta": 7.5, "size": 300, "film": {"frame_iterations": 5, "end_beta": "2"}}')
    words += ["--settings", str(path), "--temporal-weight", "3"]
    options = build_parser().parse_args(words)
    settings, film = chosen_settings(options)
    assert settings == look.settings.replace(size=300)
    assert film == FilmSettings(frame_iterations=5, temporal_weight=3.0)
    assert options.end_beta == "2"
    options = build_parser().parse_args([*words, "--beta", "9", "--end-beta", "4"])
    assert chosen_settings(options)[0].beta == 9
    assert options.end_beta == "4"


@pytest.mark.parametrize(
    "text", ['{"film": 3}', '{"film": {"end_beta": 2}}', "[]", "{", '{"size": 1}']
)
def test_settings_that_cannot_be_read_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    words = ["clip.mp4", "painting.png", "-o", "film.mp4", "--settings", str(path)]
    with pytest.raises(UserError, match=r"settings\.json: "):
        chosen_settings(build_parser().parse_args(words))


def test_an_empty_weight_at_the_end_is_that_of_the_beginning() -> None:
    words = ["clip.mp4", "a.png", "b.png", "-o", "film.mp4", "--end-style-weights", ",0.25"]
    begin = TransferSettings(paintings=(PaintingUse(weight=0.5), PaintingUse(weight=0.75)))
    end = end_settings(build_parser().parse_args(words), begin)
    assert [use.weight for use in end.uses(2)] == [0.5, 0.25]


def test_frames_of_another_engine_are_those_of_another_film(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip(write_frames(films / "clip.mp4", 2), 64)
    key = film_key(clip, [], [])
    assert key == film_key(clip, [], [])
    monkeypatch.setattr("nst.video.frame_store.engine_version", lambda: "9.9.9")
    assert key != film_key(clip, [], [])
