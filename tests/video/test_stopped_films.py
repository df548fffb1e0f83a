"""Films that were stopped go on, and what they leave is what is said; within this process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nst.video.transfer
import nst.video.writing
from helpers.clips import write_frames
from helpers.tiny_network import MakeNetwork
from nst.video.__main__ import main
from nst.video.clips import Clip
from nst.video.transfer import FilmStep

QUICK = ("--size", "64", "--iterations", "2", "--frame-iterations", "1", "--device", "cpu")

Paint = Callable[..., int]


@pytest.fixture
def paint(folder: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch) -> Paint:
    """`paint(output, *flags, stop_after=None)`: the command on a clip of four frames.

    It is stopped by a signal when so many frames are done, and for 0 before the first one is. Its
    status is returned.
    """
    write_frames(folder / "clip.mp4", 4)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: make_network())
    transfer_video = nst.video.transfer.transfer_video

    def command(output: str, *flags: str, stop_after: int | None = None) -> int:
        def stopped(*arguments: Any, **options: Any) -> Iterator[FilmStep]:
            for number, step in enumerate(transfer_video(*arguments, **options)):
                is_last = step.is_finished and step.frame + 1 == stop_after
                if is_last or (stop_after == 0 and number == 1):
                    signal.raise_signal(signal.SIGTERM)
                yield step

        monkeypatch.setattr("nst.video.transfer.transfer_video", stopped)
        return main(["clip.mp4", "painting.png", "-o", output, *QUICK, *flags])

    return command


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_stopped_film_goes_on_in_its_folder(
    folder: Path, paint: Paint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint("pictures", stop_after=3) == 143
    assert names(folder / "pictures") == ["000001.png", "000002.png", "000003.png"]
    assert paint("pictures", "--beta", "2", stop_after=2) == 143  # another film
    assert names(folder / "pictures") == ["000001.png", "000002.png"]
    assert paint("pictures", "--beta", "2") == 0
    assert names(folder / "pictures") == [f"{number:06}.png" for number in (1, 2, 3, 4)]
    assert paint("pictures") == 1  # it is whole: nothing goes on there
    assert "is not empty" in capsys.readouterr().err


def test_a_film_that_has_no_beginning_yet_says_what_is_kept(
    folder: Path, paint: Paint, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = ("--iterations", "5")
    told = "nst video: stopped before the first frame was done; "
    assert paint("film.mp4", *slow, stop_after=0) == 143
    assert capsys.readouterr().err.endswith(f"{told}nothing was written\n")
    assert paint("film.mp4", *slow, stop_after=3) == 143
    (folder / "film.mp4").unlink()
    (folder / ".film.mp4.frames" / "000000.png").unlink()  # as if its scene were still painted
    capsys.readouterr()
    assert paint("film.mp4", *slow, stop_after=0) == 143
    kept = "frames of later scenes are kept, and the same command goes on"
    assert capsys.readouterr().err.endswith(f"{told}{kept}\n")
    assert not (folder / "film.mp4").exists()


def test_a_whole_film_is_not_said_to_be_stopped_while_it_is_written(
    folder: Path,
    paint: Paint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_film = nst.video.writing.write_film

    def interrupted(*arguments: Any, **options: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        write_film(*arguments, **options)

    monkeypatch.setattr("nst.video.writing.write_film", interrupted)
    assert paint("film.mp4") == 0
    assert "stopped" not in capsys.readouterr().err
    assert len(list(Clip(folder / "film.mp4", 64))) == 4
    assert not list(folder.glob(".film*"))
