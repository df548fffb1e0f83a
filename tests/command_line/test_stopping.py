"""Ctrl-C on the command line: once, the picture so far is written; twice, nothing is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from PIL import Image

from helpers.places import ROOT
from nst import TransferSettings, load_image
from nst.engine.repaint import repaint
from nst.engine.transfer import transfer_style
from nst.images.recipe import Passage, new_recipe, read_recipe, signed_png
from nst.vgg.network import VGG

pytestmark = pytest.mark.slow


ITERATIONS = 60  # of which none but the first few are waited for
PAUSE = 3  # the iteration at which a run waits for a line on stdin
# Runs the command with a tiny network, and waits for a line on stdin at one place: in the network's
# loading, at an iteration, or in the final write. Each signal is announced when it has been noted.
COMMAND = f"""
import os, signal, sys
import nst.console, nst.engine.devices, nst.engine.transfer, nst.images.recipe
import nst.studio.backends.local
from helpers.tiny_network import tiny_weights
from nst.__main__ import main
from nst.vgg.network import VGG

def wait():
    print("waiting", flush=True)
    sys.stdin.readline()

def load(*_):
    if place == "loading":
        wait()
    return VGG(tiny_weights())

def paint(*arguments, **options):
    for step in transfer_style(*arguments, **options, network=VGG(tiny_weights())):
        yield step
        if place == "painting" and step.iteration == {PAUSE}:
            wait()

def sign(*arguments):
    if place == "writing":
        wait()
    return signed_png(*arguments)

def announced(handler):
    def handle(*arguments):
        try:
            handler(*arguments)
        finally:
            os.write(1, b"noted\\n")
    return handle if callable(handler) else handler

place = sys.argv.pop(1)
set_handler = signal.signal
signal.signal = lambda number, handler: set_handler(number, announced(handler))
transfer_style, signed_png = nst.engine.transfer.transfer_style, nst.images.recipe.signed_png
nst.engine.devices.load_network = load
nst.studio.backends.local.transfer_style, nst.images.recipe.signed_png = paint, sign
sys.exit(nst.console.run_command(main, "nst"))
"""


class Run:
    """The command in a process of its own, that waits at a place."""

    def __init__(self, folder: Path, place: str, *more: str) -> None:
        words = ["photo.png", "painting.png", "-o", "out.png", *more, "--json"]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, place, *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.steps: list[dict[str, float]] = []

    def until_waiting(self) -> None:
        self._until("waiting")

    def send(self, number: signal.Signals) -> None:
        """Send a signal and wait until its handler has run."""
        self.process.send_signal(number)
        self._until("noted")

    def go_on(self) -> None:
        stdin = self._pipe(self.process.stdin)
        stdin.write("\n")
        stdin.flush()

    def end(self) -> tuple[int, list[str]]:
        """The exit status and the lines on stderr."""
        self.steps += map(json.loads, self._pipe(self.process.stdout))
        errors = self._pipe(self.process.stderr).read()
        return self.process.wait(timeout=300), errors.strip().splitlines()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            self._pipe(pipe).close()

    def _until(self, word: str) -> None:
        for line in self._pipe(self.process.stdout):
            if line == f"{word}\n":
                return
            self.steps.append(json.loads(line))
        raise AssertionError(self._pipe(self.process.stderr).read())

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@pytest.fixture(autouse=True)
def _signals_are_heard() -> Iterator[None]:
    """Undo for the command what a shell's background job inherits: SIGINT that is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run(folder: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    run = Run(folder, request.param, "--size", "64", "--iterations", str(ITERATIONS))
    yield run
    run.close()


def pictures_of(folder: Path) -> tuple[Image.Image, list[Image.Image]]:
    return load_image(folder / "photo.png"), [load_image(folder / "painting.png")]


def assert_nothing_written(folder: Path) -> None:
    assert sorted(os.listdir(folder)) == ["painting.png", "photo.png"]


@pytest.mark.parametrize("run", ["painting"], indirect=True)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_once_writes_the_picture_so_far(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    network: VGG,
    run: Run,
    number: signal.Signals,
    status: int,
) -> None:
    run.until_waiting()
    run.send(number)
    run.go_on()
    ended, errors = run.end()
    done = int(run.steps[-1]["iteration"])
    assert ended == status
    assert errors == [
        f"nst: stopped after {done} of {ITERATIONS} iterations; the picture so far is in out.png"
    ]
    assert done == PAUSE + 1
    assert sorted(os.listdir(folder)) == ["out.png", "painting.png", "photo.png"]
    recipe = read_recipe(folder / "out.png")
    assert recipe.iterations == done
    assert recipe.settings.iterations == ITERATIONS
    *_, step = repaint(
        recipe, *pictures_of(folder), engine=partial(transfer_style, network=network)
    )
    assert step.iteration == done
    assert step.image.size == load_image(folder / "out.png").size == (64, 48)


@pytest.mark.parametrize("run", ["writing", "painting"], indirect=True)
def test_twice_writes_nothing(folder: Path, run: Run) -> None:
    run.until_waiting()
    run.send(signal.SIGINT)
    run.send(signal.SIGTERM)
    assert run.end() == (130, ["nst: stopped, nothing was written"])
    assert_nothing_written(folder)


@pytest.mark.parametrize("run", ["loading"], indirect=True)
def test_before_there_is_a_picture_nothing_is_written(folder: Path, run: Run) -> None:
    run.until_waiting()
    run.send(signal.SIGINT)
    assert run.end() == (130, ["nst: stopped, nothing was written"])
    assert_nothing_written(folder)


@pytest.mark.parametrize("run", ["writing"], indirect=True)
def test_once_in_the_final_write_lets_it_end(folder: Path, run: Run) -> None:
    run.until_waiting()
    run.send(signal.SIGINT)
    run.go_on()
    ended, (line,) = run.end()
    assert ended == 130
    assert f"stopped after {ITERATIONS} of {ITERATIONS} iterations" in line
    assert read_recipe(folder / "out.png").iterations == ITERATIONS


@pytest.mark.parametrize("run", ["painting"], indirect=True)
def test_an_older_result_survives_two_signals(folder: Path, run: Run) -> None:
    (folder / "out.png").write_bytes(b"an older result")
    run.until_waiting()
    run.send(signal.SIGINT)
    run.send(signal.SIGTERM)
    assert run.end() == (130, ["nst: stopped, nothing was written"])
    assert (folder / "out.png").read_bytes() == b"an older result"


def test_a_recipe_that_is_stopped_tells_its_passages(folder: Path) -> None:
    """Of two passages, the second begins at iteration 2; the run is stopped in it."""
    content, styles = pictures_of(folder)
    first, second = TransferSettings(size=64, iterations=2), TransferSettings(size=64, iterations=9)
    whole = new_recipe(content, styles, second, "cpu")
    passages = (Passage(0, first), Passage(2, second.replace(beta=3)))
    recipe = whole.painted_until(1, 9)
    recipe = type(recipe)(**{**vars(recipe), "passages": passages})
    (folder / "old.png").write_bytes(signed_png(content, recipe))
    run = Run(folder, "painting", "--recipe", "old.png", "--device", "cpu")
    try:
        run.until_waiting()
        run.send(signal.SIGINT)
        run.go_on()
        assert run.end()[0] == 130
    finally:
        run.close()
    done = read_recipe(folder / "out.png")
    assert (done.passages, done.iterations) == (passages, PAUSE + 1)


def test_a_run_that_ignores_the_signal_goes_on(folder: Path) -> None:
    """As `nohup` and a shell's background jobs want it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = Run(folder, "painting", "--size", "64", "--iterations", "5")
    try:
        run.until_waiting()
        run.process.send_signal(signal.SIGINT)  # no handler will tell
        run.go_on()
        assert run.end() == (0, [])
        assert read_recipe(folder / "out.png").iterations == 5
    finally:
        run.close()
