"""A large file of a repository on the Hub, a range at a time, taken up again where it broke off.

Knows HTTP and the disk; nothing of what is in the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, OfflineModeIsEnabled
from huggingface_hub.utils import (
    build_hf_headers,
    hf_raise_for_status,
)

from nst.errors import HubError
from nst.web.hub_client import explain, is_passing, seconds_asked, status_of

TRIES = 4  # in a row that bring less than a block
WAIT = 0.5  # seconds before the second of them; doubled before each further one
LONGEST_WAIT = 5.0  # seconds; a server that asks for more is not waited for
WINDOW = 30.0  # seconds over which the pace is judged
SLOWEST = 50_000  # bytes per second
BLOCK = 1 << 20  # bytes that are kept or lost together
DIGEST = 32  # bytes of a SHA-256


class OutOfReachError(HubError):
    """The Hub gives no answer now, or is switched off; what is cached will do."""


@dataclass(frozen=True)
class RemoteFile:
    """One version of a file."""

    repo: str
    name: str
    url: str  # of the commit, so that it cannot change
    etag: str
    size: int  # bytes
    commit: str | None


def find(repo: str, name: str, revision: str) -> RemoteFile:
    """Return the file as it is now, by one request.

    It waits no longer than HF_HUB_ETAG_TIMEOUT. Raises `OutOfReachError` when the Hub is switched
    off or does not answer, and `HubError`.
    """
    with _download_errors(repo, name):
        url = hf_hub_url(repo, name, revision=revision)
        found = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        if not found.etag or not found.size:
            raise HubError(f"The Hugging Face Hub does not say which {name} {repo} has.")
        pinned = hf_hub_url(repo, name, revision=found.commit_hash or revision)
        return RemoteFile(repo, name, pinned, found.etag, found.size, found.commit_hash)


def read_range(file: RemoteFile, start: int, stop: int, take: Callable[[bytes], None]) -> None:
    """Hand the bytes from `start` to `stop` to `take` as they arrive.

    A connection that breaks is opened again and goes on from there. Raises `HubError` when the Hub
    does not send them, sends another version, or is too slow; what `take` has got is good in any
    case.
    """
    at, fruitless, pace = start, 0, _Pace(file.repo)
    with _download_errors(file.repo, file.name):
        while at < stop:
            begun = at
            problem: Exception | None = None
            try:
                with contextlib.closing(_stream(file, at, stop)) as pieces:
                    for piece in pieces:
                        take(piece)
                        at += len(piece)
                        pace.count(len(piece))
            except HubError:
                raise
            except Exception as error:
                if not is_passing(error):
                    raise
                problem = error
            if at == stop:
                return
            fruitless = 1 if at - begun >= BLOCK else fruitless + 1
            if fruitless == TRIES:
                raise problem or HubError(f"The Hugging Face Hub sends nothing of {file.repo}.")
            time.sleep(_patience(problem, fruitless))


def _stream(file: RemoteFile, start: int, stop: int) -> Generator[bytes, None, None]:
    """Yield the bytes from `start` on, up to `stop` at most."""
    wanted = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    with get_session().stream(
        "GET",
        file.url,
        headers={**build_hf_headers(), **wanted},
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        follow_redirects=True,
    ) as response:
        hf_raise_for_status(response)
        _check(file, response, start)
        left = stop - start
        for piece in response.iter_raw():
            if piece[:left]:
                yield piece[:left]
            left -= len(piece)
            if left < 0:  # more than was asked for: no need to see how much
                return


def _check(file: RemoteFile, response: Any, start: int) -> None:
    """Check that this is the part that was asked for, of the version that was found."""
    if _etag(response) != file.etag:
        raise HubError(f"{file.repo} changed while it was read; please try again.")
    part = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    is_encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    if response.status_code != 206 or part is None or is_encoded:
        raise HubError(f"What serves {file.repo} does not send parts of files.")
    if (int(part[1]), int(part[2])) != (start, file.size):
        raise HubError(f"What serves {file.repo} sends other parts than it is asked for.")


def _etag(response: Any) -> str:
    """Return the ETag without quotes, like `get_hf_file_metadata`.

    It is what the Hub says when it sends us on to its storage, or else what the file's own server
    says.
    """
    answers = [*response.history, response]
    linked = (answer.headers.get(constants.HUGGINGFACE_HEADER_X_LINKED_ETAG) for answer in answers)
    tag: str = next(filter(None, linked), None) or response.headers.get("ETag", "")
    return tag.removeprefix("W/").strip('"')


class _Pace:
    """Notices a download that no longer gets anywhere."""

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self.since, self.arrived = time.monotonic(), 0

    def count(self, arrived: int) -> None:
        self.arrived += arrived
        seconds = time.monotonic() - self.since
        if seconds < WINDOW:
            return
        if self.arrived < SLOWEST * seconds:
            raise HubError(
                f"{self.repo} arrives too slowly now; what is here is kept for the next try."
            )
        self.since, self.arrived = time.monotonic(), 0


@contextlib.contextmanager
def _download_errors(repo: str, name: str) -> Iterator[None]:
    """Let what goes wrong with reading leave the block as a `HubError`."""
    try:
        yield
    except HubError:
        raise
    except EntryNotFoundError:
        raise HubError(f"{repo} on the Hugging Face Hub has no {name}.") from None
    except Exception as error:
        if is_passing(error) or isinstance(error, OfflineModeIsEnabled):
            raise OutOfReachError(explain(error, repo)) from None
        if status_of(error) == 403 and not isinstance(error, GatedRepoError):
            sentence = f"{repo} on the Hugging Face Hub is not open to this account."
            raise HubError(sentence) from None
        raise HubError(explain(error, repo)) from None


def _patience(problem: Exception | None, fruitless: int) -> float:
    """Return the seconds until the next try: what the server asks for, or twice as long each time.

    Raises the problem when the server asks for too much.
    """
    asked = seconds_asked(problem)
    if asked is None:
        return WAIT * 2 ** (fruitless - 1) if fruitless else 0.0
    if problem and asked > LONGEST_WAIT:
        raise problem
    return asked


class Partial:
    """What has arrived of a download, in a file that a later process can trust.

    Each block is followed by its SHA-256, and reading ends before the first one that is not whole.
    Closing writes the last, shorter block too; a process that is killed loses less than a block.
    All methods raise `OSError` when the disk does not take it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._file = path.open("r+b")
        self._rest = bytearray()  # of a block that is not full yet
        self._blocks = 0
        for block in self._sound_blocks():
            if len(block) == BLOCK:
                self._blocks += 1
            else:
                self._rest += block
        self._file.seek(self._blocks * (BLOCK + DIGEST))
        self._file.truncate()

    @property
    def size(self) -> int:
        """Return the bytes that are here."""
        return self._blocks * BLOCK + len(self._rest)

    def append(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        self._rest += data
        while len(self._rest) >= BLOCK:
            self._write(self._rest[:BLOCK])
            self._blocks += 1
            del self._rest[:BLOCK]

    def content(self) -> bytearray:
        """Return all of it; nothing can be appended afterwards."""
        self._file.flush()
        content = bytearray().join(self._sound_blocks())
        content += self._rest
        return content

    def close(self) -> None:
        """Write the last block, and close the file."""
        with self._file:
            if self._rest:
                self._write(self._rest)

    def _write(self, block: bytearray) -> None:
        self._file.write(block + hashlib.sha256(block).digest())

    def _sound_blocks(self) -> Iterator[bytes]:
        self._file.seek(0)
        while framed := self._file.read(BLOCK + DIGEST):
            block, digest = framed[:-DIGEST], framed[-DIGEST:]
            if hashlib.sha256(block).digest() != digest:
                return
            yield block
