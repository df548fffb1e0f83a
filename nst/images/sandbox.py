"""Pictures from strangers are opened in a process of their own, which may crash, swell or hang.

One worker, a fresh interpreter without torch, waits for the next picture; whatever ends it costs
that one upload, and the next one gets a new worker. It has no secrets (hardly any environment), and
where the system has such limits at most `MEMORY` bytes, `CPU_SECONDS` a picture, `OPEN_FILES` and
none that it may write. On any system it has `SECONDS`.

Knows processes, pipes and limits; nothing of pictures but that they are rows of RGB or RGBA. A
request is a length, whether transparency is to be kept, and bytes; an answer one of

    b"P" width height several has_alpha  and width × height × 3 or 4 bytes, row by row
    b"R" length                          and so many bytes of UTF-8: the sentence of an `ImageError`

and neither is ever pickled or trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from nst.errors import ImageError
from nst.fair_lock import FairLock

log = logging.getLogger(__name__)

CPU_SECONDS = 4.0  # of computing for one picture
SECONDS = 20.0  # for one picture, however busy the machine is
START_SECONDS = 30.0  # until the worker waits
PATIENCE = 60.0  # seconds in the queue for the worker
MEMORY = 1_150_000_000  # bytes of address space; 90 MB of the libraries are never in memory
OPEN_FILES = 64
REMEMBERED = 512  # refused files
REMEMBERED_FOR = 120.0  # seconds; the machine may have been busy
LONGEST_SENTENCE = 300  # bytes
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")  # what an interpreter may need to start

REQUEST = struct.Struct(">Q?")
LENGTH = struct.Struct(">Q")
PICTURE = struct.Struct(">II??")
READY = b"W"
REFUSAL = b"R"

DEFEATED = "This picture needs more time or memory than there is for one; it may be damaged."
BUSY = "Too many pictures are being opened at this moment; please try again."
UNAVAILABLE = "Pictures cannot be opened here at this moment."

client: ContextVar[str] = ContextVar("client", default="")
"""On whose behalf pictures are opened: clients take turns. "" is whoever cannot be told apart."""


@dataclass(frozen=True)
class Pixels:
    """(height, width, channels) uint8 sRGB, row by row."""

    width: int
    height: int
    several: bool  # whether there were more pictures in the file
    has_alpha: bool  # behind R, G and B
    samples: bytearray

    @property
    def channels(self) -> int:
        """Return 3 for RGB, 4 for RGBA."""
        return 4 if self.has_alpha else 3


class Decoded(Protocol):
    """What a worker's function makes of the bytes."""

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""

    @property
    def several(self) -> bool:
        """Tell whether the file holds more pictures than this one."""

    @property
    def has_alpha(self) -> bool:
        """Tell whether the pixels are RGBA, and not RGB."""

    def rows(self) -> Iterable[bytes]:
        """Yield the pixels from the top, some rows at a time."""


class Decode(Protocol):
    """A worker's function."""

    def __call__(self, data: bytes, *, keep_alpha: bool) -> Decoded:
        """Return the picture in the bytes, opaque unless transparency is to be kept."""


class Decoder:
    """One worker that runs `code`, which must call `serve`; it is started when it is first needed.

    Any number of threads may call `open`, which serves one after another.
    """

    def __init__(self, code: str, *, most_pixels: int, seconds: float = SECONDS) -> None:
        self.code = code
        self.most_pixels = most_pixels
        self.seconds = seconds
        self._begin()

    def _begin(self) -> None:
        self.worker: subprocess.Popen[bytes] | None = None
        self._turn = FairLock()
        self._refused: OrderedDict[bytes, tuple[str, float]] = (
            OrderedDict()
        )  # sentences, until when
        self._owner = os.getpid()

    @property
    def waiting(self) -> int:
        """Return the number of threads that wait for the worker."""
        return self._turn.waiting

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the worker alone, to read a file only when it can be opened.

        Those who wait should hold nothing. Clients take turns. Raises `ImageError` after a long
        wait, and at once where the client waits for many pictures already.
        """
        if self._owner != os.getpid():  # after a fork: the worker is the parent's, and its turn
            self._begin()
        if not self._turn.acquire(client.get(), timeout=PATIENCE):
            raise ImageError(BUSY)
        try:
            yield
        finally:
            self._turn.release()

    def open(self, data: bytes, *, keep_alpha: bool = False) -> Pixels:
        """Return the picture in `data`, with its transparency if that is to be kept.

        Raises `ImageError` with the worker's sentence, or where the worker was lost over it; for a
        while again without asking the worker, unless it was lost over it only once.
        """
        with self.turn():
            digest = hashlib.sha256(data).digest()
            self._check_refused(digest)
            worker = self._waiting()
            try:
                return self._ask(worker, data, keep_alpha)
            except ImageError as error:
                # The worker may have been lost over it by chance: that counts the second time.
                is_sure = str(error) != DEFEATED or digest in self._refused
                sentence = str(error) if is_sure else ""
                self._refused.pop(digest, None)
                self._refused[digest] = sentence, time.monotonic() + REMEMBERED_FOR
                raise

    def _check_refused(self, digest: bytes) -> None:
        """Raise `ImageError` for a file that was refused lately."""
        now = time.monotonic()
        while self._refused:
            oldest, (_, until) = next(iter(self._refused.items()))
            if until > now and len(self._refused) <= REMEMBERED:
                break
            del self._refused[oldest]
        sentence, _ = self._refused.get(digest, ("", 0.0))
        if sentence:
            raise ImageError(sentence)

    def close(self) -> None:
        """End the worker; a picture that is being opened is refused."""
        worker, self.worker = self.worker, None
        if worker is not None and self._owner == os.getpid():
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                with contextlib.suppress(OSError):  # what could not be written
                    pipe.close()  # type: ignore[union-attr]

    def _waiting(self) -> subprocess.Popen[bytes]:
        if self.worker is not None and self.worker.poll() is not None:
            self.close()
        if self.worker is None:
            try:
                self.worker = start_worker(self.code)
                with ended_after(START_SECONDS, self.worker):
                    if read_exactly(self.worker.stdout, 1) != READY:
                        raise OSError("a worker that does not begin as one")
            except (OSError, EOFError) as error:
                self.close()
                log.warning("no worker that opens pictures: %s", error)
                raise ImageError(UNAVAILABLE) from None
            except BaseException:
                self.close()
                raise
        return self.worker

    def _ask(self, worker: subprocess.Popen[bytes], data: bytes, keep_alpha: bool) -> Pixels:
        try:
            with ended_after(self.seconds, worker):
                assert worker.stdin is not None
                worker.stdin.write(REQUEST.pack(len(data), keep_alpha))
                worker.stdin.write(data)
                worker.stdin.flush()
                return self._answer(worker.stdout, keep_alpha)
        except ImageError:
            raise
        except (OSError, EOFError, ValueError) as error:
            self.close()
            log.warning("the worker that opens pictures was lost: %s", str(error) or "it ended")
            raise ImageError(DEFEATED) from None
        except BaseException:  # half an answer may still be in the pipe
            self.close()
            raise

    def _answer(self, pipe: IO[bytes] | None, keep_alpha: bool) -> Pixels:
        """Return the worker's answer.

        Raises `ValueError` for what no sound worker says.
        """
        kind = read_exactly(pipe, 1)
        if kind == b"P":
            width, height, several, has_alpha = PICTURE.unpack(read_exactly(pipe, PICTURE.size))
            if not 0 < width * height <= self.most_pixels:
                raise ValueError(f"it claims {width}×{height} pixels")
            if has_alpha and not keep_alpha:
                raise ValueError("it sends more than it was asked for")
            size = width * height * (4 if has_alpha else 3)
            return Pixels(width, height, several, has_alpha, read_exactly(pipe, size))
        if kind != REFUSAL:
            raise ValueError("it speaks in tongues")
        raise ImageError(read_sentence(pipe))


def serve(decode: Decode) -> None:
    """Answer what comes on stdin until it ends: the worker's whole life.

    Whatever `decode` raises but `ImageError` ends it.
    """
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's
    limit_process()
    answers.write(READY)
    answers.flush()
    while header := requests.read(REQUEST.size):
        length, keep_alpha = REQUEST.unpack(header)
        data = requests.read(length)
        allow_seconds(CPU_SECONDS)
        try:
            _send(answers, decode(data, keep_alpha=keep_alpha))
        except ImageError as error:
            answers.write(refusal(str(error)))
        answers.flush()
        allow_seconds(0)


def _send(answers: IO[bytes], picture: Decoded) -> None:
    answers.write(b"P" + PICTURE.pack(*picture.size, picture.several, picture.has_alpha))
    for rows in picture.rows():
        answers.write(rows)


def refusal(sentence: str) -> bytes:
    """Return the answer that refuses a file with a sentence."""
    text = sentence.encode()[:LONGEST_SENTENCE]
    return REFUSAL + LENGTH.pack(len(text)) + text


def read_sentence(pipe: IO[bytes] | None) -> str:
    """Return the sentence of a refusal, whose kind was read. Raises `ValueError` for odd ones."""
    (length,) = LENGTH.unpack(read_exactly(pipe, LENGTH.size))
    if length > LONGEST_SENTENCE:
        raise ValueError("its sentence is too long")
    sentence = read_exactly(pipe, length).decode()
    if not sentence.isprintable() or set(sentence) & set("<>/\\"):
        raise ValueError("its sentence is not plain")
    return sentence


def limit_process(memory: int = MEMORY) -> None:
    """Limit this process, where the system can, to so many bytes of memory among others."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        "RLIMIT_AS": memory,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
    }
    for name, limit in limits.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (limit, limit))


def allow_seconds(seconds: float) -> None:
    """End this process when it has computed for so long from now, where the system can.

    0 takes that back.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def start_worker(code: str, stdin: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start a fresh interpreter in this package's folder, that finds the same modules.

    Its requests come through a pipe, or `stdin` is the file that it is to read.
    """
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        env={
            **kept,
            "PYTHONPATH": paths,
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",  # each would take address space
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
            "MALLOC_MMAP_THRESHOLD_": "1000000",  # what is freed goes back at once
        },
    )


@contextlib.contextmanager
def ended_after(seconds: float, worker: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the worker if the block takes longer, and raise `TimeoutError`."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        worker.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if is_late.is_set():
            raise TimeoutError(f"it took more than {seconds:g} s")


def read_exactly(pipe: IO[bytes] | None, count: int) -> bytearray:
    """Return so many bytes.

    Raises `EOFError` where they end before.
    """
    data = bytearray(count)
    view, done = memoryview(data), 0
    while done < count:
        read = pipe.readinto(view[done:])  # type: ignore[union-attr]
        if not read:
            raise EOFError
        done += read
    return data
