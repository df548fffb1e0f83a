"""Clips among the photos of a batch: films, painted after the pictures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.clips import cut, pan, write_clip
from helpers.batches import Batch, InlinePool, records
from helpers.clips import write_sounding
from helpers.places import ROOT
from helpers.tiny_network import SERVED
from nst.batch import films as batch_films
from nst.batch.__main__ import main
from nst.errors import ClusterError, MissingPackageError
from nst.vgg.network import VGG
from nst.video.clips import Clip
from nst.video.frame_store import store_folder
from nst.video.writing import read_recipe_text

pytestmark = pytest.mark.slow

FRAMES = 4
QUICK = ("--size", "64", "--iterations", "2", "--frame-iterations", "1", "--device", "cpu")
FILM = "clip--painting.mp4"
# The command with a tiny network, which after its second frame waits to be killed.
STOPPING = """
import sys, time
import nst.engine.devices, nst.video.transfer
from helpers.tiny_network import tiny_weights
from nst.batch.__main__ import main
from nst.vgg.network import VGG

paint = nst.video.transfer.transfer_video

def stopping(*arguments, **options):
    for step in paint(*arguments, **options):
        yield step
        if step.is_finished and step.frame == 2:
            print("waiting", flush=True)
            time.sleep(600)

nst.engine.devices.load_network = lambda *_: VGG(tiny_weights())
nst.video.transfer.transfer_video = stopping
main()
"""


@pytest.fixture
def clips(folder: Path, monkeypatch: pytest.MonkeyPatch, network: VGG) -> Path:
    """A working folder with `photo.png`, `painting.png` and `clip.mp4`, which has sound."""
    write_clip(pan((96, 72), FRAMES), folder / "clip.mp4", sound=True)
    for module in ("nst.engine.devices", "nst.batch.painter"):
        monkeypatch.setattr(f"{module}.load_network", lambda *_: network)
    monkeypatch.setattr("nst.batch.__main__.start_pool", lambda *_: InlinePool())
    monkeypatch.chdir(folder)
    return folder


def paint(*photos: str, more: tuple[str, ...] = ()) -> int:
    return main([*photos, "--styles", "painting.png", "-o", "out", *QUICK, *more])


def test_a_clip_becomes_a_film_beside_the_pictures(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint("clip.mp4", "photo.png", more=("--json",)) == 0
    assert sorted(os.listdir("out")) == [FILM, "manifest.jsonl", "photo--painting.png"]
    film = Clip(Path("out", FILM), 64)
    assert len(list(film)) == FRAMES
    assert film.facts.has_sound
    assert json.loads(read_recipe_text(Path("out", FILM)))["film"]["frame_iterations"] == 1
    (record,) = (each for each in records(Path("out")) if each["output"] == FILM)
    assert record["film"] == {
        **{"frame_iterations": 1, "temporal_weight": 1.0, "fps": 0.0, "sound": True}
    }
    assert record["bytes"] == os.path.getsize(Path("out", FILM))
    assert "depth" not in record
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [each for each in events if each.get("output") == FILM and each["event"] == "progress"]
    assert (told[-1]["iteration"], told[-1]["total"]) == (FRAMES, FRAMES)
    assert events[-1] == {
        **{"event": "finished", "total": 2, "present": 0, "painted": 2, "failed": 0}
    }


def test_only_what_changed_is_painted_again(clips: Path) -> None:
    def written() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()}

    assert paint("clip.mp4", "photo.png") == 0
    before = written()
    assert paint("clip.mp4", "photo.png") == 0
    assert written() == before
    os.rename("clip.mp4", "same.mp4")  # is copied
    assert paint("same.mp4") == 0
    assert Path("out", "same--painting.mp4").read_bytes() == Path("out", FILM).read_bytes()
    assert paint("same.mp4", "photo.png", more=("--fps", "6", "--no-sound")) == 0
    film = Clip(Path("out", "same--painting.mp4"), 64)
    assert (len(list(film)), film.facts.has_sound) == (FRAMES // 2, False)
    assert written()["photo--painting.png"] == before["photo--painting.png"]
    assert main(["photo.png", "same.mp4", "--styles", "painting.png", "-o", "again", "--settings",
                 f"out/{FILM}", "--device", "cpu"]) == 0  # fmt: skip
    films = [each for each in records(Path("again")) if "film" in each]
    assert [each["film"]["frame_iterations"] for each in films] == [1]


def test_a_bad_clip_is_a_line_and_the_rest_goes_on(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.mov").write_bytes(b"junk")
    write_sounding(Path("other.mkv"), "pcm_s16le")
    assert paint("broken.mov", "clip.mp4", "other.mkv") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("nst: ")]
    assert len(lines) == 2
    assert "broken.mov: This is not a clip that can be read" in lines[0]
    assert "other.mkv: a .mp4 file cannot hold the clip's sound" in lines[1]
    assert lines[1].endswith("as it is; leave it out with --no-sound")  # no batch writes .mkv
    assert Path("out", FILM).exists()
    failed = records(Path("out"), "failed")
    assert [each["culprit"] for each in failed] == ["photo", "photo"]


def test_after_kill_9_a_film_goes_on_from_its_frames(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("clip.mp4", "--styles", "painting.png", "-o", "out", *QUICK)
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPING, *words],
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGKILL)
    stored = {path: path.stat().st_mtime_ns for path in Path("out").glob(f".{FILM}.frames/*.png")}
    assert len(stored) >= 2
    assert paint("clip.mp4", more=("--json",)) == 0
    assert sorted(os.listdir("out")) == [FILM, "manifest.jsonl"]
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [each for each in events if each["event"] == "progress"]
    n_new = FRAMES - len(stored)
    assert len(steps) == len(stored) + n_new * 2  # steps 0 and 1 of each that was not stored


def test_frames_that_a_kill_has_left_beside_a_film_are_deleted(clips: Path) -> None:
    assert paint("clip.mp4") == 0
    mine = Path("out", ".other.mp4.frames")
    for left in (store_folder(Path("out", FILM)), mine):
        left.mkdir()
        (left / "000000.png").write_bytes(b"frame")
    assert paint("clip.mp4") == 0
    assert sorted(os.listdir("out")) == [mine.name, FILM, "manifest.jsonl"]


def test_a_lost_cluster_ends_the_batch(
    clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(pan((96, 72), 2), clips / "other.mp4")

    def lost(*_: object) -> None:
        raise ClusterError("The Ray cluster 'auto' cannot be reached: nobody is there.")

    monkeypatch.setattr("nst.video.ray_scenes.JoinedCluster", lost)
    assert paint("clip.mp4", "other.mp4", more=("--ray", "auto")) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("nst: ")]
    assert lines == ["nst: The Ray cluster 'auto' cannot be reached: nobody is there."]
    assert not records(Path("out"), "failed")


def test_what_films_cannot_be_is_one_sentence(
    clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*more: str) -> str:
        assert paint("clip.mp4", "photo.png", more=more) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert refused("--keep", "photo.png") == f"nst: {batch_films.NO_CONTROLS}"
    assert refused("--seamless") == f"nst: {batch_films.NO_PATTERNS}"
    assert "--fps must be" in refused("--fps", "1000")

    def absent(needed: str) -> None:
        raise MissingPackageError(f"{needed}; install it.")

    monkeypatch.setattr(batch_films, "load_opencv", absent)
    assert refused() == "nst: Films need OpenCV for optical flow; install it."
    assert not Path("out").exists()


@pytest.mark.ray
def test_scenes_are_painted_on_a_cluster(folder: Path) -> None:
    pytest.importorskip("ray")
    write_clip(cut((64, 48), FRAMES), folder / "clip.mp4")
    words = ["clip.mp4", "photo.png", "--styles", "painting.png", "-o", "out", *QUICK]
    plant = f"""
    pass
if "nst.batch" in sys.orig_argv:
    {SERVED}
"""
    with Batch(folder, *words, "--ray", "local", "--jobs", "2", plant=plant) as batch:
        status, errors = batch.end()
    assert (status, batch.events[-1]["painted"]) == (0, 2), errors
    told = [event for event in batch.events if event.get("output") == FILM]
    assert [event["iteration"] for event in told if event["event"] == "progress"][-1] == FRAMES
    assert len(list(Clip(folder / "out" / FILM, 64))) == FRAMES
    (record,) = (each for each in records(folder / "out") if each["output"] == FILM)
    assert (record["width"], record["height"], record["iterations"]) == (64, 48, 2)
    with Batch(folder, *words, plant=plant) as batch:  # all is there
        assert batch.end() == (0, "")
    assert batch.events[-1]["present"] == 2
