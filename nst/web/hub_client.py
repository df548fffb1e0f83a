"""Talking to the Hub: one way to write, reads that end, and sentences for what goes wrong.

Knows HTTP statuses and tokens; nothing of pictures. What a server or a library says about an error
may hold addresses and tokens, and is never passed on.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import math
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    RepoFile,
    get_session,
    get_token,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from nst.errors import HubError

T = TypeVar("T")

log = logging.getLogger(__name__)

Operation = CommitOperationAdd | CommitOperationDelete

COMMIT_HASH = re.compile(r"[0-9a-f]{40}")
TRIES = 4  # of a commit
WAIT = 1.0  # seconds before the second try; doubled before each further one
LONGEST_WAIT = 30.0  # seconds that a server may ask for
CONFLICTS = (409, 412)  # another commit came first
PASSING = (408, 429, 500, 502, 503, 504)
LOCAL_ERRORS = (
    *(errno.EACCES, errno.EFBIG, errno.EIO, errno.EISDIR, errno.EMFILE),
    *(errno.ENOENT, errno.ENOSPC, errno.ENOTDIR, errno.EROFS),
    getattr(errno, "EDQUOT", errno.ENOSPC),  # Windows has none
)
"""What the system says about files, and never about a connection."""


class ConflictError(HubError):
    """Another commit came first; what was decided by looking at the one before it may be wrong."""


@contextlib.contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Let what goes wrong with `repo` inside the block leave it as a `HubError`.

    The original is not printed with it: its text may hold what must not be shown.
    """
    try:
        yield
    except HubError:
        raise
    except Exception as error:
        log.debug("the Hub: %s", type(error).__name__)
        raise HubError(explain(error, repo)) from None


def call_hub(repo: str, call: Callable[[], T], *, within: float | None = None) -> T:
    """Return what `call` returns, or raise a `HubError` that does not know the original at all.

    `within` so many seconds there is an answer: the library retries for minutes, and waits for a
    silent server without end. What was sent may still be done.
    """
    outcome = _outcome(repo, call) if within is None else _outcome_within(repo, call, within)
    if isinstance(outcome, HubError):
        raise outcome
    return outcome


def _outcome(repo: str, call: Callable[[], T]) -> T | HubError:
    try:
        with hub_errors(repo):
            return call()
    except HubError as error:
        return type(error)(*error.args)  # a new one, with neither traceback nor context


def _outcome_within(repo: str, call: Callable[[], T], seconds: float) -> T | HubError:
    outcomes: queue.Queue[T | HubError] = queue.Queue()
    work = threading.Thread(
        target=lambda: outcomes.put(_outcome(repo, call)), name=f"hub {repo}", daemon=True
    )
    work.start()
    try:
        return outcomes.get(timeout=seconds)
    except queue.Empty:
        return HubError("The Hugging Face Hub takes too long; what was begun may still be done.")


def explain(error: Exception, repo: str) -> str:
    """Return one sentence about an error of `huggingface_hub`, or below it."""
    if isinstance(error, HFValidationError):
        return f"{repo!r} is not the name of a repository: it looks like owner/name."
    if isinstance(error, OfflineModeIsEnabled):
        return "The Hugging Face Hub is switched off here (HF_HUB_OFFLINE)."
    if isinstance(error, GatedRepoError):
        return f"{repo} on the Hugging Face Hub is only open to those whom its owner has let in."
    if is_local(error):
        return local_problem(error)
    status = status_of(error)
    if status == 401 and not isinstance(error, RepositoryNotFoundError):
        return "The Hugging Face Hub does not accept this sign-in any more; please sign in again."
    if isinstance(error, RepositoryNotFoundError):
        if get_token() or status == 404:
            return f"{repo} is not on the Hugging Face Hub, or not open to this account."
        return f"The Hugging Face Hub wants a sign-in for {repo}."
    if isinstance(error, (EntryNotFoundError, RevisionNotFoundError)) or status == 404:
        return f"{repo} on the Hugging Face Hub does not have what was looked for."
    return _explain_status(status, repo)


def _explain_status(status: int | None, repo: str) -> str:
    if status == 402:
        return "This account has no credits for this on the Hugging Face Hub."
    if status == 403:
        return f"This account may not write to {repo} on the Hugging Face Hub."
    if status == 429:
        return "The Hugging Face Hub is asked too often now; please try again in a few minutes."
    if status in CONFLICTS:
        return f"Others are writing to {repo} just now; please try again."
    if status is not None:
        return f"The Hugging Face Hub has a problem of its own (status {status})."
    return "The Hugging Face Hub cannot be reached now."


def is_local(error: Exception) -> bool:
    """Tell whether it is about a file of this machine, such as on a disk that is full."""
    return isinstance(error, OSError) and error.errno in LOCAL_ERRORS


def local_problem(error: Exception) -> str:
    """Return one sentence about such an error."""
    reason = os.strerror(getattr(error, "errno", None) or errno.EIO)
    return f"A file cannot be read or written on this machine: {reason}."


def status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error, if a server answered at all."""
    while error is not None:
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            return int(error.response.status_code)
        error = error.__cause__ or error.__context__
    return None


@dataclass(frozen=True)
class Answer:
    """What came for a GET."""

    data: bytes
    following: str | None  # the address of the next page


def get(
    url: str,
    *,
    token: str | bool | None,
    most: int,
    until: float,
    silence: float = 5.0,
    params: Mapping[str, str] | None = None,
) -> Answer:
    """Send one GET without retries, and return at most `most` bytes.

    It is over by `until` on the monotonic clock, with at most `silence` seconds between two
    packets. Raises what the library and HTTP raise, and `HubError` for what is too large or too
    slow.
    """
    late = HubError("The Hugging Face Hub is too slow now.")
    remaining = until - time.monotonic()
    if remaining <= 0:
        raise late
    with get_session().stream(
        "GET",
        url,
        params=dict(params or {}) or None,  # an empty dict would drop the query of `url`
        headers=build_hf_headers(token=token),
        follow_redirects=True,  # to the storage, without the token
        timeout=min(silence, remaining),
    ) as response:
        hf_raise_for_status(response)
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > most:
                raise HubError("A file on the Hugging Face Hub is larger than it may be.")
            if time.monotonic() > until:
                raise late
        return Answer(bytes(data), response.links.get("next", {}).get("url"))


def can_write(api: HfApi) -> bool:
    """Tell whether there is a token to write with; the Hub has the last word."""
    return bool(api.token or get_token())


def signed_in(api: HfApi) -> HfApi:
    """Return the same client, for somebody at a command line.

    Raises `HubError` when nobody has signed in.
    """
    if not can_write(api):
        raise HubError("Publishing needs a sign-in: run 'hf auth login', or set HF_TOKEN.")
    return api


@dataclass(frozen=True)
class Published:
    """What a publication did."""

    address: str  # of the repository's page
    uploaded: tuple[str, ...]  # file names; none when everything was there already


def files_of(api: HfApi, repo: str, kind: str) -> dict[str, RepoFile]:
    """Return what a repository holds now, by path.

    Raises `HubError`.
    """
    with hub_errors(repo):
        tree = api.list_repo_tree(repo, repo_type=kind, recursive=True)
        return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def publish(
    api: HfApi,
    repo: str,
    files: Mapping[str, bytes],
    message: str,
    *,
    kind: str,
    there: Mapping[str, RepoFile],
    gone: Iterable[str] = (),
) -> Published:
    """Bring `files` to a repository, and delete those that are `gone`, in one commit.

    The repository holds what is `there`; nothing is sent when all of it is so already. Raises
    `HubError`.
    """
    news = sorted(name for name, data in files.items() if not is_same(data, there.get(name)))
    operations: list[Operation] = [CommitOperationAdd(name, files[name]) for name in news]
    operations += [CommitOperationDelete(name) for name in sorted(gone) if name in there]
    if operations:
        commit(api, repo, operations, message, kind=kind)
    prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[kind]
    return Published(f"{api.endpoint}/{prefix}{repo}", tuple(news))


def is_same(data: bytes, entry: RepoFile | None) -> bool:
    """Tell whether a file of a repository holds these bytes, by git's hash or that of LFS."""
    if entry is None or entry.size != len(data):
        return False
    if entry.lfs:
        return bool(entry.lfs.sha256 == hashlib.sha256(data).hexdigest())
    return bool(entry.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())


def commit(
    api: HfApi,
    repo: str,
    operations: Sequence[Operation],
    message: str,
    *,
    kind: str = "dataset",
    description: str = "",
    parent: str | None = None,
    until: float = math.inf,
) -> CommitInfo:
    """Commit everything at once on top of whatever is there.

    It is tried again when another commit came first or the server has a weak moment, until `until`
    on the monotonic clock. Raises `HubError`; where `parent` is the only commit to follow,
    `ConflictError` when another one came first.
    """
    with hub_errors(repo):
        for attempt in range(TRIES):
            try:
                return api.create_commit(
                    repo,
                    # An operation remembers what was uploaded, and a second try goes on from there.
                    operations,
                    commit_message=message,
                    commit_description=description,
                    repo_type=kind,
                    parent_commit=parent,
                )
            except Exception as error:
                if parent and status_of(error) in CONFLICTS:
                    raise ConflictError(explain(error, repo)) from None
                is_over = attempt == TRIES - 1 or time.monotonic() > until
                if is_over or not is_passing(error, CONFLICTS):
                    raise
                asked = seconds_asked(error)
                time.sleep(min(WAIT * 2**attempt if asked is None else asked, LONGEST_WAIT))
        raise AssertionError("every try returns or raises")


def is_passing(error: Exception | None, also: Sequence[int] = ()) -> bool:
    """Tell whether the connection broke, or the server has a weak moment or a status of `also`."""
    status = status_of(error)
    if status is not None:
        return status in (*PASSING, *also)
    is_network = (isinstance(error, OSError) and not is_local(error)) or type(
        error
    ).__module__.startswith("httpx")
    return is_network and not isinstance(error, OfflineModeIsEnabled)


def seconds_asked(error: Exception | None) -> float | None:
    """Return the seconds for which the server asks to be left alone, where it does."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    asked = str(headers.get("Retry-After", ""))
    return float(asked) if asked.isdigit() else None
