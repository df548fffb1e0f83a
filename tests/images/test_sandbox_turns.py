"""Who may have pictures opened, and how often: turns by client, and files that were refused."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import nst.images.sandbox
from nst.errors import ImageError
from nst.fair_lock import MOST_OF_ONE
from nst.images.jpeg_scans import MOST_MARKERS, MOST_SCANS, count_scans
from nst.images.reading import MANY_SCANS, load_image
from nst.images.sandbox import BUSY, DEFEATED, Decoder, client

pytestmark = pytest.mark.slow


PATIENCE = 30.0  # seconds until a test that hangs fails

WORKER = """
import os, sys, time
from dataclasses import dataclass
from nst.errors import ImageError
from nst.images.sandbox import serve

@dataclass
class Grey:
    size: tuple
    several: bool = False
    has_alpha: bool = False
    def rows(self):
        yield bytes(3 * self.size[0] * self.size[1])

def work(data, *, keep_alpha):
    word, _, rest = data.decode().partition(" ")
    if word == "wait":  # for a file to be there
        while not os.path.exists(rest): time.sleep(0.005)
    if word == "exit": os._exit(0)
    if word == "exit-unless" and not os.path.exists(rest): os._exit(0)
    if word == "refuse": raise ImageError(f"Not this one, {os.getpid()}.")
    return Grey((len(data), 1))

serve(work)
"""


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(WORKER, most_pixels=1000)
    yield decoder
    decoder.close()


class Asking:
    """Threads that have pictures opened, each for a client."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.served: list[str] = []
        self.threads: list[threading.Thread] = []
        self.asked = 0

    def open(self, who: str, data: bytes) -> None:
        def ask() -> None:
            client.set(who)
            self.asked += 1
            try:
                self.decoder.open(data)
                self.served.append(who)
            except ImageError as error:
                self.served.append(f"{who}: {error}")

        self.threads.append(threading.Thread(target=ask))
        self.threads[-1].start()

    def wait(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_another_client_is_served_before_one_with_many_pictures(
    decoder: Decoder, tmp_path: Path
) -> None:
    """Of 25 that are asked for at once, some find no place at all."""
    asking = Asking(decoder)
    asking.open("many", f"wait {tmp_path / 'go'}".encode())
    until(lambda: decoder.worker is not None and not asking.served and asking.asked == 1)
    for number in range(25):
        asking.open("many", b"x" * (number + 1))
    refused = f"many: {BUSY}"
    until(lambda: asking.served.count(refused) >= 25 - MOST_OF_ONE)
    asking.open("new", b"picture")
    until(lambda: decoder.waiting == MOST_OF_ONE + 1)
    (tmp_path / "go").touch()
    asking.wait()
    assert asking.served.count(refused) == 25 - MOST_OF_ONE
    opened = [who for who in asking.served if who != refused]
    assert opened == ["many", "new", *["many"] * MOST_OF_ONE]


def refusal(decoder: Decoder, data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decoder.open(data)
    return str(caught.value)


def test_a_file_over_which_the_worker_was_lost_once_is_tried_again(
    decoder: Decoder, tmp_path: Path
) -> None:
    """It may have been ended by something else."""
    data = f"exit-unless {tmp_path / 'go'}".encode()
    assert refusal(decoder, data) == DEFEATED
    (tmp_path / "go").touch()
    assert decoder.open(data).width == len(data)


@pytest.mark.parametrize("request_", [b"exit", b"refuse"])
def test_a_refused_file_is_not_tried_again(decoder: Decoder, request_: bytes) -> None:
    first = refusal(decoder, request_)
    refusal(decoder, request_)  # a worker that was lost counts the second time
    decoder.open(b"another")
    assert decoder.worker is not None
    pid = decoder.worker.pid
    assert [refusal(decoder, request_) for _ in range(25)] == [first] * 25
    assert decoder.worker.pid == pid  # nobody lost it


def test_a_refusal_is_forgotten_after_a_while(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may have been too busy."""
    monkeypatch.setattr(nst.images.sandbox, "REMEMBERED_FOR", 0.0)
    first = refusal(decoder, b"refuse")
    assert refusal(decoder, b"exit") == DEFEATED
    assert refusal(decoder, b"refuse") != first  # by another process


def test_so_many_refusals_are_remembered(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nst.images.sandbox, "REMEMBERED", 5)
    first = refusal(decoder, b"refuse")
    for number in range(10):
        refusal(decoder, b"refuse %d" % number)
    assert refusal(decoder, b"exit") == DEFEATED
    assert refusal(decoder, b"refuse") != first


# --- JPEG files with very many scans --------------------------------------------------------------


def jpeg(*, progressive: bool, **options: bytes) -> bytes:
    buffer = io.BytesIO()
    image = Image.effect_noise((64, 64), 60).convert("RGB")
    image.save(buffer, "JPEG", progressive=progressive, quality=80, **options)
    return buffer.getvalue()


def with_scans(data: bytes, count: int) -> bytes:
    """A progressive file whose last scan is there so many times more."""
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def test_scans_are_counted() -> None:
    assert count_scans(jpeg(progressive=False)) == 1
    usual = jpeg(progressive=True)
    assert 5 < count_scans(usual) < 20
    assert count_scans(with_scans(usual, 30)) == count_scans(usual) + 30
    assert count_scans(with_scans(usual, 5000)) == MOST_SCANS + 1


def test_what_only_looks_like_scans_is_not_counted() -> None:
    """In metadata, behind the end, and between restarts."""
    marks = b"\xff\xda\0\x08" * 1000
    assert count_scans(jpeg(progressive=False, exif=b"Exif\0\0" + marks)) == 1
    assert count_scans(jpeg(progressive=False, comment=marks)) == 1
    assert count_scans(jpeg(progressive=False) + marks) == 1


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8\xff", b"\xff\xd8\xff\xda\xff\xff"])
def test_counting_ends_where_the_file_does(data: bytes) -> None:
    assert count_scans(data) <= 1


def test_counting_ends_in_a_file_of_nothing_but_markers() -> None:
    assert count_scans(b"\xff\xd8" + b"\xff\x01" * (MOST_MARKERS + 1)) == MOST_SCANS + 1


def test_a_file_with_very_many_scans_is_refused_unopened() -> None:
    usual = jpeg(progressive=True)
    assert load_image(with_scans(usual, 30)).size == (64, 64)
    with pytest.raises(ImageError, match=MANY_SCANS):
        load_image(with_scans(usual, 5000))
