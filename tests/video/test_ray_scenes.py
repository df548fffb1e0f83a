"""`nst video --ray`: scenes painted at the same time by actors, as one process paints them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.clips import cut, write_clip
from helpers.server import planted
from helpers.tiny_network import SERVED
from helpers.waiting import until
from nst.images.recipe import parse_recipe
from nst.ray_clusters import MISSING
from nst.video.__main__ import main
from nst.video.clips import Clip
from nst.video.writing import RECIPE

FRAMES = 6  # in two scenes
WORDS = ("clip.mp4", "painting.png", "--size", "64", "--iterations", "4")
FEW = ("--frame-iterations", "2", "--device", "cpu", "--json")
# All paint with the tiny network. The first worker that has painted the second frame of the second
# scene says so, and hangs, where the test wants one that does.
PLANT = f"""
import os, sys
if any("default_worker" in word or "nst.video" in word for word in sys.orig_argv):
    {SERVED}
    import time
    import nst.video.transfer as transfer
    paint, hanging = transfer.transfer_video, os.environ.get("HANGING", "")

    def painting(*arguments, **options):
        for step in paint(*arguments, **options):
            yield step
            if hanging and step.is_finished and step.frame == 4 and not os.path.exists(hanging):
                with open(hanging + "~", "x") as file:
                    file.write(str(os.getpid()))
                os.rename(hanging + "~", hanging)
                time.sleep(600)

    transfer.transfer_video = painting
"""


@pytest.fixture
def clips(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `clip.mp4`, which has a cut in the middle, and `painting.png`."""
    write_clip(cut((64, 48), FRAMES), folder / "clip.mp4")
    monkeypatch.chdir(folder)
    return folder


class Film:
    """`python -m nst.video … --json` in a process of its own, and the steps that it has told of."""

    def __init__(self, folder: Path, *words: str, hanging: Path | None = None) -> None:
        self.steps: list[dict[str, Any]] = []
        self.errors = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nst.video", *WORDS, *FEW, *words],
            cwd=folder,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "RAY_USAGE_STATS_ENABLED": "0",
                "HANGING": str(hanging or ""),
                **planted(folder, PLANT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def until_finished(self, *frames: int) -> None:
        """Read on until all these frames, counted from 1, are finished."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.steps.append(json.loads(line))
            if set(frames) <= set(self.finished()):
                return
        assert self.process.stderr
        raise AssertionError(self.process.stderr.read())

    def end(self) -> int:
        out, self.errors = self.process.communicate(timeout=300)
        self.steps += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode

    def finished(self) -> list[int]:
        return [step["frame"] for step in self.steps if step["finished"]]


def pictures(folder: Path) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_paints_the_same_film(clips: Path) -> None:
    pytest.importorskip("ray")
    with Film(clips, "-o", "here") as here:
        assert here.end() == 0, here.errors
    with Film(clips, "-o", "there", "--ray", "local", "--jobs", "2") as there:
        assert there.end() == 0, there.errors
    assert sorted(there.finished()) == here.finished() == [1, 2, 3, 4, 5, 6]
    assert {step["scene"] for step in there.steps} == {1, 2}
    for one, other in zip(pictures(clips / "there"), pictures(clips / "here"), strict=True):
        assert np.array_equal(one, other)
    assert not list(clips.glob(".*.frames"))
    with Image.open(clips / "there" / "000001.png") as picture:
        recipe = parse_recipe(picture.info[RECIPE])
    assert recipe.provenance[0].device == "cpu"


@pytest.mark.ray
@pytest.mark.slow
def test_a_scene_whose_worker_is_killed_goes_on_from_its_last_frame(clips: Path) -> None:
    pytest.importorskip("ray")
    hanging = clips / "hanging"
    words = ("-o", "film.mp4", "--ray", "local", "--jobs", "2")
    with Film(clips, *words, hanging=hanging) as film:
        film.until_finished(5)
        until(hanging.exists, "a worker hangs")
        os.kill(int(hanging.read_text()), signal.SIGKILL)
        assert film.end() == 0, film.errors
    assert sorted(film.finished()) == [1, 2, 3, 4, 5, 6]  # each once
    assert len([step for step in film.steps if step["frame"] == 5]) == 3  # of two iterations
    assert len(list(Clip(clips / "film.mp4", 64))) == FRAMES


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_film_goes_on_without_a_cluster(clips: Path) -> None:
    pytest.importorskip("ray")
    words = ("-o", "film.mp4", "--ray", "local", "--jobs", "2")
    with Film(clips, *words, hanging=clips / "hanging") as film:
        film.until_finished(1, 2, 3, 5)
    with Film(clips, "-o", "film.mp4") as film:
        assert film.end() == 0, film.errors
    assert [step["iteration"] for step in film.steps if step["frame"] == 1] == [4]  # it was there
    assert len(list(Clip(clips / "film.mp4", 64))) == FRAMES


def test_without_ray_a_sentence_names_the_extra(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: None)
    assert main([*WORDS, "-o", "film.mp4", "--ray", "auto"]) == 1
    assert capsys.readouterr().err == f"nst video: {MISSING}\n"


def test_a_cluster_that_is_not_there_is_one_sentence(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))  # it is not even asked
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: None)
    assert main([*WORDS, "-o", "film.mp4", "--ray", "127.0.0.1:1"]) == 1
    last = capsys.readouterr().err
    assert (
        last == "nst video: The Ray cluster '127.0.0.1:1' cannot be reached: connection refused.\n"
    )
