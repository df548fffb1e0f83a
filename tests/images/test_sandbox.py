"""The process in which pictures from strangers are opened: what ends it, and what that costs."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

import nst.images.reading
import nst.images.sandbox
from helpers.places import ROOT
from nst.errors import ImageError
from nst.images.reading import load_image
from nst.images.sandbox import BUSY, DEFEATED, UNAVAILABLE, Decoder

pytestmark = pytest.mark.slow


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc of Linux")

WORKER = """
import os, resource, signal, sys, time
from dataclasses import dataclass
from nst.errors import ImageError
from nst.images.sandbox import serve

@dataclass
class Grey:
    size: tuple
    several: bool = False
    missing: int = 0
    has_alpha: bool = False
    def rows(self):
        yield bytes((4 if self.has_alpha else 3) * self.size[0] * self.size[1] - self.missing)

def work(data, *, keep_alpha):
    word = data.decode()
    if word == "exit": os._exit(0)
    if word == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if word == "crash": os.kill(os.getpid(), signal.SIGSEGV)
    if word == "raise": raise RuntimeError("not an ImageError")
    if word == "hang": time.sleep(60)
    if word == "spin":
        while True: pass
    if word == "swell": bytearray(1 << 31)
    if word[:6] == "write ": os.write(os.open(word[6:], os.O_CREAT | os.O_WRONLY), b"it")
    if word == "open": [open(os.devnull) for _ in range(200)]
    if word == "print": print("P" * 100, flush=True); os.write(1, b"P" * 100)
    if word == "refuse": raise ImageError("It is not to my taste.")
    if word == "path": raise ImageError("There is no /etc/passwd.")
    if word == "lines": raise ImageError("One.\\nTwo.")
    if word == "long": raise ImageError("a" * 1000)
    if word == "huge": return Grey((2**31, 2**31))
    if word == "none": return Grey((0, 5))
    if word == "short": return Grey((5, 5), missing=7)
    if word == "long answer": return Grey((5, 5), missing=-7)
    if word == "clear": return Grey((5, 5), has_alpha=keep_alpha)
    if word == "always clear": return Grey((5, 5), has_alpha=True)
    if word == "garbage": os.write(4, b"garbage" * 9)
    if word == "environment": raise ImageError(" ".join(sorted(os.environ)))
    return Grey((len(data), 1), True)

serve(work)
"""


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(WORKER, most_pixels=1000, seconds=20)
    yield decoder
    decoder.close()


def refusal(decoder: Decoder, request: str) -> str:
    with pytest.raises(ImageError) as caught:
        decoder.open(request.encode())
    assert caught.value.__cause__ is None
    return str(caught.value)


def pid_of(decoder: Decoder) -> int:
    decoder.open(b"any")
    assert decoder.worker is not None
    return decoder.worker.pid


def test_a_picture_comes_back(decoder: Decoder) -> None:
    pixels = decoder.open(b"seven b")
    assert (pixels.width, pixels.height, pixels.several) == (7, 1, True)
    assert pixels.samples == bytes(21)


def test_transparency_comes_back_where_it_is_wanted(decoder: Decoder) -> None:
    assert len(decoder.open(b"clear").samples) == 75
    pixels = decoder.open(b"clear", keep_alpha=True)
    assert (pixels.has_alpha, pixels.channels, len(pixels.samples)) == (True, 4, 100)
    assert refusal(decoder, "always clear") == DEFEATED


def test_the_worker_is_used_again(decoder: Decoder) -> None:
    first = pid_of(decoder)
    assert refusal(decoder, "refuse") == "It is not to my taste."
    decoder.open(b"print")
    assert pid_of(decoder) == first


@pytest.mark.parametrize(
    "request_",
    ["exit", "kill", "crash", "raise", "swell", "open", "path", "lines", "huge", "none"],
)
def test_what_ends_the_worker_costs_one_picture(
    decoder: Decoder, request_: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = pid_of(decoder)
    assert refusal(decoder, request_) == DEFEATED
    assert re.search(r"the worker that opens pictures was lost: \w", caplog.text)
    assert pid_of(decoder) != first


@ON_LINUX
@ON_LINUX
def test_the_worker_leaves_no_core_dump(decoder: Decoder) -> None:
    """It would hold a visitor's picture, and could be as large as its memory."""
    limits = Path(f"/proc/{pid_of(decoder)}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]


@ON_LINUX
def test_nothing_can_be_written(decoder: Decoder, tmp_path: Path) -> None:
    assert refusal(decoder, f"write {tmp_path / 'file'}") == DEFEATED
    assert not (tmp_path / "file").exists() or (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("request_", ["short", "long answer", "garbage"])
def test_an_answer_of_another_length_is_not_believed_for_long(
    decoder: Decoder, request_: str
) -> None:
    decoder.seconds = 1
    for request in (request_, "any", "any"):
        with contextlib.suppress(ImageError):
            decoder.open(request.encode())
    assert decoder.open(b"seven b").samples == bytes(21)


def test_a_long_sentence_is_cut(decoder: Decoder) -> None:
    assert refusal(decoder, "long") == "a" * 300


def test_what_takes_too_long_is_given_up(decoder: Decoder) -> None:
    first = pid_of(decoder)
    decoder.seconds = 0.3
    begin = time.monotonic()
    assert refusal(decoder, "hang") == DEFEATED
    assert time.monotonic() - begin < 5
    decoder.seconds = 20
    assert pid_of(decoder) != first


@ON_LINUX
def test_computing_is_limited_for_each_picture(decoder: Decoder) -> None:
    pid_of(decoder)
    before = os.times().children_user
    assert refusal(decoder, "spin") == DEFEATED
    assert nst.images.sandbox.CPU_SECONDS - 1 < os.times().children_user - before < 5
    assert decoder.open(b"any").width == 3


def test_a_worker_that_ended_meanwhile_costs_nothing(decoder: Decoder) -> None:
    for _ in range(2):
        os.kill(pid_of(decoder), signal.SIGKILL)
        assert decoder.worker is not None
        decoder.worker.wait()
        assert decoder.open(b"any").width == 3


def test_many_threads_are_served_in_turn(decoder: Decoder) -> None:
    """A few of them lose the worker, and nobody else notices."""

    def ask(number: int) -> int:
        try:
            return decoder.open(b"exit" if number % 10 == 0 else b"x" * number).width
        except ImageError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        widths = list(pool.map(ask, range(1, 41)))
    assert widths == [0 if number % 10 == 0 else number for number in range(1, 41)]


def test_waiting_in_line_has_an_end(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nst.images.sandbox, "PATIENCE", 0.1)
    with decoder.turn(), ThreadPoolExecutor(1) as another:
        assert another.submit(refusal, decoder, "any").result() == BUSY
    assert decoder.open(b"any").width == 3


@pytest.mark.parametrize(
    "code", ["", "print('hello')", "import no_such_module", "raise SystemExit"]
)
def test_where_no_worker_can_be_started_it_is_said(code: str) -> None:
    decoder = Decoder(code, most_pixels=1000)
    assert refusal(decoder, "any") == UNAVAILABLE
    assert decoder.worker is None


def test_where_no_interpreter_is_it_is_said(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(ROOT / "no-such-python"))
    assert refusal(decoder, "any") == UNAVAILABLE


def test_the_worker_knows_no_secrets(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    names = refusal(decoder, "environment")
    assert "PYTHONPATH" in names
    assert "TOKEN" not in names


def test_closing_leaves_no_process(decoder: Decoder) -> None:
    pid = pid_of(decoder)
    decoder.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert decoder.open(b"any").width == 3  # it may be opened again


@ON_LINUX
def test_a_forked_process_has_a_worker_of_its_own(decoder: Decoder) -> None:
    first = pid_of(decoder)
    child = os.fork()
    if child == 0:
        try:
            is_other = pid_of(decoder) != first
            decoder.close()
            os._exit(0 if is_other else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert pid_of(decoder) == first


PARENT = """
import os, sys, threading
from nst.images.reading import decoder, load_image
def load():
    load_image(sys.argv[1])
    print(decoder.worker.pid, flush=True)
thread = threading.Thread(target=load, daemon=True)
thread.start()
thread.join()
if sys.argv[2] == "wait":
    sys.stdin.read()
"""


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@ON_LINUX
@pytest.mark.parametrize("how", ["end", "kill"])
def test_the_worker_ends_with_its_parent(tmp_path: Path, photo: Image.Image, how: str) -> None:
    photo.save(tmp_path / "photo.png")
    arguments = [str(tmp_path / "photo.png"), "end" if how == "end" else "wait"]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PARENT, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        ended = os.pidfd_open(worker) if is_alive(worker) else None
        if how == "kill":
            parent.kill()
        _, errors = parent.communicate(timeout=20)
    assert errors == ""
    if ended is not None:
        with os.fdopen(ended) as process:
            select.select([process], [], [], 60)
    assert not is_alive(worker)


@ON_LINUX
def test_the_worker_is_small_and_without_torch(photo: Image.Image) -> None:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    load_image(buffer.getvalue())
    assert nst.images.reading.decoder.worker is not None
    home = Path(f"/proc/{nst.images.reading.decoder.worker.pid}")
    assert "torch" not in (home / "maps").read_text()
    status = dict(line.split(":", 1) for line in (home / "status").read_text().splitlines())
    assert int(status["VmHWM"].split()[0]) < 1 << 20  # KiB


def test_importing_pictures_does_not_import_torch() -> None:
    code = "import sys, nst.images.reading; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "False"
