"""`nst PHOTO PAINTING --ray`: one picture by the workers of a Ray cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typing_extensions import override

import nst.engine.devices
import nst.engine.inputs
import nst.engine.memory
import nst.engine.spread_objective
from helpers.elsewhere import Elsewhere
from helpers.pictures import MakePicture
from helpers.server import planted
from nst.__main__ import main
from nst.engine.tile_map import Handle, LostValueError, OwnHandle, Result, Value
from nst.errors import WorkerError
from nst.images.recipe import read_recipe
from nst.provenance import Provenance
from nst.ray_clusters import MISSING
from nst.studio.backends import ray_tiles
from nst.vgg.network import VGG

WORDS = ("photo.png", "painting.png", "-o", "out.png", "--device", "cpu")
LONG_RUN = 400  # iterations, of a run that is stopped
# The command has the tiny network, and pictures above 4,000 pixels go in tiles of 48.
PLANT = """
import sys
if "nst" in sys.orig_argv:
    from helpers.tiny_network import tiny_weights
    import nst.engine.inputs, nst.engine.memory
    import nst.vgg.loading
    weights = tiny_weights()
    nst.vgg.loading.cached_weights = lambda _: weights
    for module in (nst.engine.inputs, nst.engine.memory):
        module.NEVER_TILED, module.SIDES = 4000, (48,)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a photo and a painting."""
    make_picture(128, 100).save(tmp_path / "photo.png")
    make_picture(90, 110).save(tmp_path / "painting.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(place: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nst", *WORDS, "--size", "128", "--ray", "local", *words],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            **planted(place, PLANT),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_picture_by_two_workers(place: Path) -> None:
    pytest.importorskip("ray")
    process = command(place, "--iterations", "6", "--jobs", "2", "--json")
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    steps = [json.loads(line) for line in out.splitlines()]
    assert [step["iteration"] for step in steps] == [*range(7)]
    assert steps[-1]["J"] < 0.5 * steps[0]["J"]
    with Image.open(place / "out.png") as picture:
        assert picture.size == (128, 100)
    assert read_recipe(place / "out.png").passages[0].settings.iterations == 6


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ctrl_c_writes_the_picture_so_far(place: Path) -> None:
    pytest.importorskip("ray")
    process = command(place, "--iterations", str(LONG_RUN), "--jobs", "1", "--json")
    assert process.stdout
    assert json.loads(process.stdout.readline())["iteration"] == 0
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130, errors
    last = json.loads(out.splitlines()[-1])["iteration"] if out else 0
    assert f"stopped after {last} of {LONG_RUN} iterations" in errors
    with Image.open(place / "out.png") as picture:
        assert picture.size == (128, 100)


@pytest.fixture(name="in_tiles")
def _in_tiles(network: VGG, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny network, and tiles for small pictures."""
    monkeypatch.setattr(nst.engine.devices, "load_network", lambda *_, **__: network)
    for module in (nst.engine.inputs, nst.engine.memory):
        monkeypatch.setattr(module, "NEVER_TILED", 4000)
        monkeypatch.setattr(module, "SIDES", (48,))


@pytest.mark.usefixtures("in_tiles")
def test_the_recipe_names_the_device_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Provenance("cuda", "Their-GPU", "float32")
    monkeypatch.setattr(nst.engine.spread_objective, "provenance_of", lambda *_: theirs)
    monkeypatch.setattr(ray_tiles, "joined_tile_map", lambda *_, **__: nullcontext(Elsewhere()))
    assert main([*WORDS, "--size", "128", "--iterations", "2", "--ray", "local"]) == 0
    assert read_recipe("out.png").provenance == (theirs,)


class Losing(Elsewhere):
    """Loses all workers, with what they keep, in one of its calls."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.left = last

    @override
    def share(self, value: Value, *, is_lasting: bool = False) -> Handle[Value]:
        return LostHandle(self, super().share(value).get())

    @override
    def map(
        self, work: Callable[..., Result], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        self.left -= 1
        if self.left < 0:
            raise WorkerError("No worker is left.")
        return super().map(work, calls)


@dataclass(frozen=True)
class LostHandle(Handle[Value]):
    tile_map: Losing
    value: Value

    def get(self) -> Value:
        if self.tile_map.left < 0:
            raise LostValueError("It is lost.")
        return self.value

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnHandle, (self.value,)  # as a worker gets it


@pytest.mark.usefixtures("in_tiles")
def test_when_all_workers_are_lost_the_picture_so_far_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "--size", "128", "--iterations", str(LONG_RUN), "--ray", "local", "--json"]
    monkeypatch.setattr(ray_tiles, "joined_tile_map", lambda *_, **__: nullcontext(Losing(200)))
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.err.endswith("nst: No worker is left. The picture so far is in out.png.\n")
    steps = [json.loads(line) for line in captured.out.splitlines()]
    with Image.open("out.png") as picture:
        assert picture.size == (128, 100)
    assert len(read_recipe("out.png").passages) == 1
    assert 10 < steps[-1]["iteration"] < LONG_RUN


@pytest.mark.usefixtures("in_tiles")
def test_when_all_workers_are_lost_at_once_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "--size", "128", "--iterations", "4", "--ray", "local"]
    monkeypatch.setattr(ray_tiles, "joined_tile_map", lambda *_, **__: nullcontext(Losing(0)))
    assert main(words) == 1
    assert capsys.readouterr().err == "nst: No worker is left.\n"
    assert not Path("out.png").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--jobs", "2"], "--jobs is about a Ray cluster; add --ray, or leave it out"),
        (
            ["--ray", "auto", "--only-colors"],
            "with --only-colors nothing is painted; leave out --ray",
        ),
        (
            ["--ray", "auto", "--size", "1024"],
            "--ray is for pictures above 1024 × 1024 px; leave it out, or choose a larger --size",
        ),
        (
            ["--ray", "auto", "--size", "2048", "--style-loss", "gram=1,histogram=0.5"],
            "--ray is for the style cost of Gram matrices alone; leave out --style-loss",
        ),
        (["--ray", "auto", "--size", "2048"], MISSING),
    ],
)
def test_what_cannot_be_shared_out_is_a_sentence(
    words: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*WORDS, *words]) == 1
    assert capsys.readouterr().err == f"nst: {sentence}\n"
    assert not Path("out.png").exists()
