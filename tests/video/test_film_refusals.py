"""What a film cannot have is told before anything is painted, in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.clips import write_frames, write_sounding
from nst.video.__main__ import SLOWEST, main
from nst.video.clips import Clip

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
