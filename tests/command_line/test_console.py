"""What commands print: in every encoding, into closed pipes, to streams that are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.pictures import MakePicture
from helpers.places import ROOT
from nst.console import BROKEN_PIPE, spell

pytestmark = pytest.mark.slow


ENCODINGS = ("ascii", "cp1252", "cp437", "latin-1", "utf-16", "utf-8")
COMMANDS = {
    "nst": ["-m", "nst"],
    "nst.hub": ["-m", "nst.hub"],
    "crowd": ["-m", "benchmarks.crowd"],
    "engine": ["-m", "benchmarks.engine"],
    "peers": ["-m", "benchmarks.peers"],
    "studio": ["-m", "benchmarks.studio"],
    "contact sheet": ["examples/contact_sheet.py"],
}
# Stands for a run: what the engine yields is made up, what is printed is not.
PAINT = """
import sys
import nst.engine.devices
from helpers.tiny_network import tiny_weights
from nst.console import run_command
from nst.__main__ import main
from nst.vgg.network import VGG
nst.engine.devices.load_network = lambda *_: VGG(tiny_weights())
sys.exit(run_command(main, "nst"))
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return kept | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | more


def python(*words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        timeout=300,
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", ["nst", "nst.hub"])
def test_help_is_printed_in_every_encoding(command: str, encoding: str) -> None:
    run = python(*COMMANDS[command], "--help", PYTHONIOENCODING=encoding)
    assert (run.returncode, run.stderr) == (0, b"")
    text = run.stdout.decode(encoding)
    assert text.startswith("usage: ")
    assert text.rstrip().endswith((".", "push-weights", "page, as a Space", "exit"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_speaks_ascii(command: str) -> None:
    run = python(*COMMANDS[command], "--help", PYTHONIOENCODING="ascii")
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.startswith(b"usage: ")
    assert run.stdout.isascii()
    assert b"\\x" not in run.stdout
    assert b"\\u" not in run.stdout


def test_help_is_printed_where_the_locale_is_c() -> None:
    settings = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = python("-m", "nst", "--help", **settings)
    assert (run.returncode, run.stderr) == (0, b"")
    assert b"LAYER=lambda,..." in run.stdout


def test_what_an_encoding_has_is_printed_as_it_is() -> None:
    text = python("-m", "nst", "--help", PYTHONIOENCODING="utf-8").stdout.decode()
    assert "LAYER=λ,…" in text
    windows = python("-m", "nst", "--help", PYTHONIOENCODING="cp1252").stdout.decode("cp1252")
    assert "LAYER=lambda,…" in windows


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_the_usage_and_a_reason_are_printed(tmp_path: Path, encoding: str) -> None:
    wrong = python("-m", "nst", "--size", "λ", PYTHONIOENCODING=encoding)
    assert wrong.returncode == 2
    assert b"Traceback" not in wrong.stderr
    missing = str(tmp_path / "日本\udcff.jpg")  # a name that is no UTF-8 either
    run = python(
        "-m", "nst", missing, missing, "-o", str(tmp_path / "o.png"), PYTHONIOENCODING=encoding
    )
    assert run.returncode == 1
    (line,) = run.stderr.decode(encoding).splitlines()
    assert line.startswith("nst: ")
    assert line.endswith("No such file or directory.")
    assert "\\udcff" in line


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_the_progress_bar_is_printed(
    tmp_path: Path, make_picture: MakePicture, encoding: str
) -> None:
    make_picture().save(tmp_path / "photo.png")
    photo, out = str(tmp_path / "photo.png"), str(tmp_path / "out.png")
    words = [photo, photo, "-o", out, "--size", "64", "--iterations", "2"]
    run = python("-c", PAINT, *words, PYTHONIOENCODING=encoding)
    assert run.returncode == 0, run.stderr
    assert run.stdout == b""
    last = run.stderr.decode(encoding).strip().split("\r")[-1]
    assert last.startswith(("#" * 10, "█" * 10))
    assert f"64{'x' if encoding != 'cp1252' else '×'}48" in last


def test_signs_are_spelled() -> None:
    assert spell("λ = α · β … 64×48 é") == "lambda = alpha . beta ... 64x48 e"
    assert spell("日") == "\\u65e5"


def closed_after(lines: int, *words: str) -> tuple[int, bytes]:
    """Exit status and stderr of a command whose stdout is closed after some lines."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for _ in range(lines):
        assert process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    return process.wait(timeout=300), errors


@pytest.mark.parametrize("command", ["nst", "nst.hub"])
def test_help_into_a_closed_pipe_ends_quietly(command: str) -> None:
    assert closed_after(0, *COMMANDS[command], "--help") == (BROKEN_PIPE, b"")


def test_progress_into_a_closed_pipe_ends_quietly(
    tmp_path: Path, make_picture: MakePicture
) -> None:
    make_picture().save(tmp_path / "photo.png")
    photo, out = str(tmp_path / "photo.png"), str(tmp_path / "out.png")
    words = [photo, photo, "-o", out, "--size", "64", "--iterations", "1000", "--json"]
    assert closed_after(1, "-c", PAINT, *words) == (BROKEN_PIPE, b"")
    assert os.listdir(tmp_path) == ["photo.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_below_stdout_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [sys.executable, "-m", "nst", "--help"],
            cwd=ROOT,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=300,
        )
    assert run.returncode == 1
    assert run.stderr == b"nst: the output cannot be printed: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_streams_that_are_not_there(tmp_path: Path, make_picture: MakePicture, closed: str) -> None:
    make_picture().save(tmp_path / "photo.png")
    (tmp_path / "paint.py").write_text(PAINT)
    words = "photo.png photo.png -o out.png --size 64 --iterations 2 --json"
    command = f"{sys.executable} paint.py {words} {closed}"
    run = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment(), timeout=300)
    assert run.returncode == 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
