"""`python -m nst.video`: films, sentences, what Ctrl-C leaves, and going on after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.clips import pan, write_clip
from helpers.places import ROOT
from nst.video.clips import Clip
from nst.video.writing import read_recipe_text

pytestmark = pytest.mark.slow

FRAMES = 6
QUICK = ("--size", "64", "--iterations", "4", "--frame-iterations", "2", "--device", "cpu")
# The command with a tiny network; after a given frame it waits for a line on stdin.
COMMAND = """
import sys
import nst.engine.devices, nst.console, nst.video.transfer
from helpers.tiny_network import tiny_weights
from nst.video.__main__ import main
from nst.vgg.network import VGG

pause = int(sys.argv.pop(1))
paint = nst.video.transfer.transfer_video

def paused(*arguments, **options):
    for step in paint(*arguments, **options):
        yield step
        if step.is_finished and step.frame == pause:
            print("waiting", flush=True)
            sys.stdin.readline()

nst.engine.devices.load_network = lambda *_: VGG(tiny_weights())
nst.video.transfer.transfer_video = paused
sys.exit(nst.console.run_command(main, "nst video"))
"""


def start(folder: Path, *words: str, pause: int = -1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(pause), "clip.mp4", "painting.png", *words],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_waiting(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any(line == "waiting\n" for line in process.stdout)


@pytest.fixture
def films(folder: Path) -> Path:
    """A folder with `clip.mp4`, six frames with sound, and `painting.png`."""
    write_clip(pan((96, 72), FRAMES), folder / "clip.mp4", sound=True)
    return folder


def test_a_film_is_painted_with_its_sound_and_recipe(films: Path) -> None:
    process = start(films, "-o", "film.mp4", *QUICK, "--json")
    out, err = process.communicate()
    assert process.returncode == 0, err
    steps = [json.loads(line) for line in out.splitlines()]
    ends = [step for step in steps if step["finished"]]
    assert [step["frame"] for step in ends] == [1, 2, 3, 4, 5, 6]
    assert {"iteration", "total", "width", "height", "J", "style", "temporal"} <= steps[0].keys()
    film = Clip(films / "film.mp4", 64)
    assert len(list(film)) == FRAMES
    assert film.facts.has_sound
    recipe = json.loads(read_recipe_text(films / "film.mp4"))
    assert recipe["film"]["frame_iterations"] == 2
    assert recipe["passages"][0]["settings"]["size"] == 64
    assert sorted(path.name for path in films.glob(".*")) == []


def test_ctrl_c_leaves_a_film_of_the_frames_that_are_done(films: Path) -> None:
    process = start(films, "-o", "film.mp4", *QUICK, pause=2)
    until_waiting(process)
    process.send_signal(signal.SIGTERM)  # shells let background jobs ignore SIGINT
    _, err = process.communicate("\n")
    assert process.returncode == 143, err
    assert "stopped after" in err
    assert 3 <= len(list(Clip(films / "film.mp4", 64))) < FRAMES


def test_after_kill_9_the_same_command_goes_on(films: Path) -> None:
    process = start(films, "-o", "film.mp4", *QUICK, pause=3)
    until_waiting(process)
    process.kill()
    process.communicate()
    assert not (films / "film.mp4").exists()
    stored = {path.name: path.stat().st_mtime_ns for path in films.glob(".film.mp4.frames/*.png")}
    assert len(stored) >= 3
    process = start(films, "-o", "film.mp4", *QUICK, "--json")
    out, err = process.communicate()
    assert process.returncode == 0, err
    painted = [json.loads(line)["frame"] for line in out.splitlines()]
    assert all(painted.count(number) == 1 for number in range(1, len(stored) + 1))
    assert painted.count(FRAMES) > 1
    assert len(list(Clip(films / "film.mp4", 64))) == FRAMES


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-o", "film.avi"), "must be a .mp4, .webm, .gif or .webp file"),
        (("-o", "clip.mp4"), "same file as the input"),
        (("-o", "none/film.mp4"), "no folder"),
        (("-o", "film.mp4", "--fps", "1000"), "--fps must be"),
        (("-o", "film.mp4", "--end-beta", "much"), "must be numbers"),
        (("-o", "film.mp4", "--temporal-weight", "1000"), "nst video: --temporal-weight must be"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    films: Path, words: tuple[str, ...], sentence: str
) -> None:
    process = start(films, *words)
    _, err = process.communicate()
    assert process.returncode == 1
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_folder_of_pictures_is_an_output(films: Path) -> None:
    words = ("-o", "pictures", *QUICK, "--fps", "6", "--end-beta", "4")
    process = start(films, *words)
    _, err = process.communicate()
    assert process.returncode == 0, err
    pictures = sorted((films / "pictures").iterdir())
    assert len(pictures) == 3
    with Image.open(pictures[0]) as picture:
        assert picture.size == (64, 48)
        assert json.loads(picture.info["nst-recipe"])["film"]["end_beta"] == "4"


def test_masks_faces_and_looks_are_in_the_recipe_and_what_is_kept_is_the_frame(films: Path) -> None:
    keep = Image.new("L", (96, 72))
    keep.paste(255, (40, 20, 90, 60))
    keep.save(films / "keep.png")
    Image.new("L", (96, 72), 200).save(films / "region.png")
    words = ("--keep", "keep.png", "--masks-at", "4=region.png", "--protect-faces")
    process = start(films, "-o", "pictures", *QUICK, *words, "--look", "light-touch")
    _, err = process.communicate()
    assert process.returncode == 0, err
    pictures = sorted((films / "pictures").iterdir())
    assert len(pictures) == FRAMES
    frame = next(iter(Clip(films / "clip.mp4", 64))).picture
    with Image.open(pictures[0]) as picture:
        difference = np.abs(np.asarray(picture, int) - np.asarray(frame, int)).max(-1)
        recipe = json.loads(picture.info["nst-recipe"])
    assert difference[16:38, 29:58].max() <= 2
    assert difference[:, :20].mean() > 5
    assert recipe["masks"]["known"][recipe["passages"][0]["keep"]]["width"] == 96
    assert recipe["film"]["masks"].keys() == {"1", "4"}
    assert recipe["film"]["protect_faces"]
    process = start(films, "-o", "film.webm", "--no-sound", "--settings", str(pictures[0]))
    _, err = process.communicate()
    assert process.returncode == 0, err
    again = json.loads(read_recipe_text(films / "film.webm"))
    told, known = (each["passages"][0]["settings"] for each in (again, recipe))
    assert told == known
    assert again["film"]["frame_iterations"] == 2
    process = start(films, "-o", "film.mp4", "--settings", "film.webm", "--iterations", "3")
    _, err = process.communicate()
    assert process.returncode == 0, err
    last = json.loads(read_recipe_text(films / "film.mp4"))["passages"][0]["settings"]
    assert last == recipe["passages"][0]["settings"] | {"iterations": 3}
