"""A Hub on this machine: the protocol that the real `huggingface_hub` client speaks, over loopback.

No client code is replaced. A test points the client here and sees what the Hub would answer:

    with loopback_hub() as hub:
        token = hub.add_user("ada")                     # a token that may write
        hub.add_repo("ada/looks", "dataset", {"README.md": b"# Looks"}, private=True)
        HfApi(endpoint=hub.url, token=token).dataset_info("ada/looks")
        hub.files("ada/looks", "dataset")               # {path: bytes} at the head of main
        hub.commits("ada/looks", "dataset")             # [(sha, title)], newest first
        hub.push("ada/looks", "dataset", {"a.txt": b"a"}, delete=["README.md"])
        hub.asked("/resolve/")                          # the requests so far, by path
        subprocess.run(..., env={**os.environ, **hub.environment(token)})

`huggingface_hub` reads `HF_ENDPOINT` and `HF_HUB_DISABLE_XET` when it is imported: a subprocess
gets them from `environment`, a test in this process passes `endpoint=` and uploads under
`without_xet`.

What goes wrong on a network is asked for by a regular expression over the path:

    hub.fail("/resolve/", status=503, times=2)      # status=429, headers={"Retry-After": "0"}
    hub.fail("/cdn/", cut=True)                     # the connection ends halfway through the body
    hub.fail("/commit/", lost=True)                 # it is done, and the answer never arrives
    hub.fail("/cdn/", garbage=True)                 # as long as it should be, but other bytes
    hub.fail("/api/", body=b"<html>")               # answered by something that is no Hub
    hub.fail("/cdn/", slow=0.1)                     # seconds between a KiB and the next
    hub.fail("/api/", delay=30)                     # seconds before the answer
    hub.fail("/cdn/", declare=+10)                  # what Content-Length says too much (or little)
    hub.heal()                                      # all of that ends
    hub.stop(); hub.start()                         # nobody listens; back on the same port

Someone logs in to a Space by OpenID Connect as `gradio.LoginButton` expects; `oauth_environment` is
what the Space finds in its environment, and `next_user` presses "Authorize" (or, "", "Deny") for
whoever comes next.

It does not know Xet storage, multipart uploads, discussions, organisations or git.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import html
import http.server
import importlib
import itertools
import json
import math
import re
import secrets
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatch
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import yaml
from huggingface_hub import constants

RepoType: TypeAlias = Literal["model", "dataset", "space"]
Files: TypeAlias = dict[str, bytes]
Json: TypeAlias = Any

PAGE = 1000  # entries of a tree in one answer; 50 when expanded
CHUNK = 1024  # bytes that a slow answer sends at once
CODE_SECONDS = 60.0  # how long an OAuth code may be redeemed

# What the Hub writes into .gitattributes of a new repository; datasets also keep pictures there.
LARGE = ("bin", "ckpt", "gguf", "npy", "npz", "onnx", "parquet", "pkl", "pt", "pth", "safetensors")
LARGE_PICTURES = ("jpg", "jpeg", "png", "webp")
LARGE_BINARY = 100_000  # bytes, from which a binary file of any name is kept as LFS
LARGE_TEXT = 10_000_000

WRITE_SCOPES = {"write-repos", "manage-repos"}
READ_SCOPES = {"read-repos", *WRITE_SCOPES}
CREATE_SCOPES = {"contribute-repos", "manage-repos"}
SCOPES = ["openid", "profile", "email", *sorted(READ_SCOPES | CREATE_SCOPES)]


# --- What is kept -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Commit:
    sha: str
    title: str
    message: str
    author: str
    date: str  # ISO 8601, UTC
    files: Files
    parent: str | None


@dataclass
class Repo:
    id: str
    type: RepoType
    private: bool = False
    gated: bool = False
    by_app: bool = False  # made with the token of a login: "contribute-repos" may write to it
    history: dict[str, Commit] = field(default_factory=dict)  # by sha
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    issues: dict[str, str] = field(default_factory=dict)  # path: "unsafe", "suspicious", ...
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    hardware: str = "cpu-basic"
    sdk: str | None = None

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def prefix(self) -> str:
        """Its place in addresses: models have no prefix."""
        return self.id if self.type == "model" else f"{self.type}s/{self.id}"

    def at(self, revision: str) -> Commit:
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha not in self.history:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.history[sha]

    def log(self, revision: str) -> list[Commit]:
        """The commit and all before it, newest first."""
        commits = [self.at(revision)]
        while parent := commits[-1].parent:
            commits.append(self.history[parent])
        return commits

    def add(self, branch: str, files: Files, title: str, message: str, author: str) -> Commit:
        """A commit on top of the branch, which begins at main where it is new."""
        parent = self.branches.get(branch) or self.branches.get("main")
        date = datetime.now(timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"
        sha = secrets.token_hex(20)  # never the same again: caches trust that a sha means one tree
        self.history[sha] = Commit(sha, title, message, author, date, dict(files), parent)
        self.branches[branch] = sha
        return self.history[sha]


@dataclass(frozen=True)
class Account:
    """Whom a token stands for and what it may do; one from the settings page has no scopes."""

    user: str
    may_write: bool
    scopes: frozenset[str] | None = None

    def may_create(self, owner: str) -> bool:
        return self.user == owner and self._may(CREATE_SCOPES, self.may_write)

    def may_delete(self, repo: Repo) -> bool:
        return self.user == repo.owner and self._may({"manage-repos"}, self.may_write)

    def may_change(self, repo: Repo) -> bool:
        scopes = WRITE_SCOPES | ({"contribute-repos"} if repo.by_app else set())
        return self.user == repo.owner and self._may(scopes, self.may_write)

    def may_see(self, repo: Repo) -> bool:
        scopes = READ_SCOPES | ({"contribute-repos"} if repo.by_app else set())
        return self.user == repo.owner and self._may(scopes, True)

    def _may(self, scopes: set[str], otherwise: bool) -> bool:
        return otherwise if self.scopes is None else bool(scopes & self.scopes)


@dataclass(frozen=True)
class Recorded:
    """A request as it came, and how it was answered."""

    method: str
    path: str  # unquoted, without the query
    query: dict[str, list[str]]
    token: str | None  # None: no Authorization header was sent
    status: int  # 0: the connection ended without an answer
    headers: dict[str, str]  # by lower-case name


@dataclass
class Fault:
    """What goes wrong with requests whose path matches."""

    pattern: re.Pattern[str]
    status: int | None = None
    cut: bool = False
    lost: bool = False
    garbage: bool = False
    body: bytes | None = None
    slow: float | None = None  # seconds between chunks
    delay: float = 0.0  # seconds before the answer
    declare: int = 0  # bytes that Content-Length is off by
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None  # requests that are still to fail; None: all
    methods: Sequence[str] | None = None
    hits: int = 0

    def takes(self, method: str, path: str) -> bool:
        if self.times == 0 or (self.methods is not None and method not in self.methods):
            return False
        return self.pattern.search(path) is not None


# --- Requests and replies -----------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # still quoted: a slash in a revision is %2F
    query: dict[str, list[str]]
    headers: dict[str, str]  # by lower-case name
    body: bytes

    @property
    def token(self) -> str | None:
        kind, _, value = self.headers.get("authorization", "").partition(" ")
        return value if kind.lower() == "bearer" else None

    def first(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        return self.first(name).lower() in ("true", "1")

    def json(self) -> Json:
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise HubError(400, "The body is not JSON") from None

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode())


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class HubError(Exception):
    """An answer that refuses: status, words, and the code by which the client tells them apart."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        named = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        self.reply = json_reply({"error": message}, status, {**named, **extra})


def json_reply(data: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(data).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})


def redirect(url: str, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(302, b"Found", {"Location": url, "Content-Type": "text/plain", **(headers or {})})


def ranged(request: Request, content: bytes, headers: Mapping[str, str]) -> Reply:
    """The content, or the part of it that the request asks for."""
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if match is None or not any(match.groups()):
        return Reply(200, content, headers)
    size = len(content)
    if match[1]:
        start, stop = int(match[1]), min(int(match[2] or size) + 1, size)
    else:
        start, stop = max(0, size - int(match[2])), size
    if start >= stop:
        return Reply(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
    headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
    return Reply(206, content[start:stop], headers)


Handler: TypeAlias = Callable[["LoopbackHub", Request, dict[str, str]], Reply]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []

API = r"/api/(?P<type>model|dataset|space)s/(?P<repo>[^/]+/[^/]+)"
PAGES = r"/(?:(?P<type>dataset|space)s/)?(?P<repo>[^/]+/[^/]+)"
REVISION = r"/(?P<revision>[^/]+)"


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Files a handler under the path, a regular expression whose groups it gets unquoted."""

    def enter(handler: Handler) -> Handler:
        ROUTES.append((method, re.compile(path), handler))
        return handler

    return enter


# --- The Hub ------------------------------------------------------------------------------------


class LoopbackHub:
    """Repositories, accounts and faults, and the server that shows them."""

    def __init__(self) -> None:
        self.repos: dict[tuple[RepoType, str], Repo] = {}
        self.tokens: dict[str, Account] = {}
        self.large: dict[str, bytes] = {}  # LFS objects by SHA-256
        self.requests: list[Recorded] = []
        self.faults: list[Fault] = []
        self.errors: list[str] = []  # tracebacks: mistakes of this file, not of a client
        self.page_size = PAGE
        self.client_id = "loopback-client"
        self.client_secret = secrets.token_urlsafe(16)
        self.token_seconds = 28_800  # how long a token from a login lasts
        self.next_user: str | None = None
        self.codes: dict[str, Grant] = {}
        self._signature = secrets.token_hex(8)  # what an address of the storage is signed with
        self._lock = threading.RLock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @functools.cached_property
    def key(self) -> SigningKey:
        return SigningKey()

    @property
    def storage_url(self) -> str:
        """Where large files are: another origin, as on the real Hub, so no token goes there."""
        return f"http://localhost:{self.port}"

    # Accounts and repositories, as a test arranges them.

    def add_user(self, name: str, *, role: Literal["read", "write"] = "write") -> str:
        """A new access token of the user."""
        token = f"hf_{secrets.token_hex(12)}"
        self.tokens[token] = Account(name, role == "write")
        return token

    def revoke(self, token: str) -> None:
        self.tokens.pop(token, None)

    def add_repo(
        self,
        repo_id: str,
        type: RepoType = "model",
        files: Mapping[str, bytes] | None = None,
        *,
        private: bool = False,
        gated: bool = False,
    ) -> str:
        """Returns the sha of the only commit, on main."""
        with self._lock:
            repo = self.repos[type, repo_id] = Repo(repo_id, type, private=private, gated=gated)
            return self._commit(repo, "main", dict(files or {}), "initial commit", "", repo.owner)

    def push(
        self,
        repo_id: str,
        type: RepoType = "model",
        files: Mapping[str, bytes] | None = None,
        *,
        delete: Sequence[str] = (),
        title: str = "Update",
        branch: str = "main",
    ) -> str:
        """A commit by the owner that no client saw coming; returns its sha."""
        with self._lock:
            repo = self.repos[type, repo_id]
            after = {**repo.at(branch).files, **(files or {})}
            after = {path: content for path, content in after.items() if path not in delete}
            return self._commit(repo, branch, after, title, "", repo.owner)

    def repo(self, repo_id: str, type: RepoType = "model") -> Repo:
        return self.repos[type, repo_id]

    def files(self, repo_id: str, type: RepoType = "model", revision: str = "main") -> Files:
        with self._lock:
            return dict(self.repos[type, repo_id].at(revision).files)

    def commits(self, repo_id: str, type: RepoType = "model") -> list[tuple[str, str]]:
        """(sha, title), newest first."""
        with self._lock:
            log = self.repos[type, repo_id].log("main")
        return [(commit.sha, commit.title) for commit in log]

    def _commit(
        self, repo: Repo, branch: str, files: Files, title: str, message: str, author: str
    ) -> str:
        for path, content in files.items():
            if is_large(repo.type, path, len(content), content):
                self.large[sha256(content)] = content
        return repo.add(branch, files, title, message, author).sha

    # What was asked.

    def asked(self, pattern: str = "", method: str | None = None) -> list[Recorded]:
        """The requests so far whose path matches the regular expression, oldest first."""
        return [
            request
            for request in list(self.requests)
            if re.search(pattern, request.path) and method in (None, request.method)
        ]

    # Faults.

    def fail(
        self,
        pattern: str,
        *,
        status: int | None = None,
        cut: bool = False,
        lost: bool = False,
        garbage: bool = False,
        body: bytes | None = None,
        slow: float | None = None,
        delay: float = 0.0,
        declare: int = 0,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
        methods: Sequence[str] | None = None,
    ) -> Fault:
        """Requests whose path matches go wrong, `times` times; see the top of the file. With a
        `status` nothing is done on the Hub, with everything else the request is carried out."""
        fault = Fault(
            re.compile(pattern),
            status=status,
            cut=cut,
            lost=lost,
            garbage=garbage,
            body=body,
            slow=slow,
            delay=delay,
            declare=declare,
            headers=headers or {},
            times=times,
            methods=methods,
        )
        with self._lock:
            self.faults.append(fault)
        return fault

    def heal(self) -> None:
        with self._lock:
            self.faults.clear()

    # Environments of subprocesses.

    def environment(self, token: str | None = None) -> dict[str, str]:
        """For a process whose Hub this is, and which no other login on this machine reaches."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": token or "",
            "HF_TOKEN_PATH": "/dev/null",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def oauth_environment(
        self, space_id: str = "ada/studio", scopes: str = "openid profile"
    ) -> dict[str, str]:
        """What a Space with `hf_oauth: true` finds beside the above. SPACE_HOST is left out: with
        it Gradio sends whoever logged in back to https://, and a page on loopback has none."""
        return {
            "SYSTEM": "spaces",
            "SPACE_ID": space_id,
            "OAUTH_CLIENT_ID": self.client_id,
            "OAUTH_CLIENT_SECRET": self.client_secret,
            "OAUTH_SCOPES": scopes,
            "OPENID_PROVIDER_URL": self.url,
        }

    # The server.

    def start(self) -> None:
        if self._server is not None:
            return
        self._server = _Server(("127.0.0.1", self.port), functools.partial(_Connection, self))
        self.port = self._server.server_address[1]
        serve = functools.partial(self._server.serve_forever, poll_interval=0.02)
        self._thread = threading.Thread(target=serve, name="loopback hub", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nobody listens any more, and what was being sent breaks off."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None

    # From request to reply.

    def answer(self, request: Request) -> tuple[Reply, Fault | None]:
        with self._lock:
            path = unquote(request.path)
            fault = next((f for f in self.faults if f.takes(request.method, path)), None)
            if fault is not None:
                fault.hits += 1
                fault.times = None if fault.times is None else fault.times - 1
            reply = self._reply(request, fault)
            status = 0 if fault is not None and fault.lost else reply.status
            self.requests.append(
                Recorded(
                    request.method, path, request.query, request.token, status, request.headers
                )
            )
            return reply, fault

    def _reply(self, request: Request, fault: Fault | None) -> Reply:
        if fault is not None and fault.status is not None:
            reply = HubError(fault.status, "Something went wrong, as a test wished").reply
        else:
            reply = self._dispatch(request)
        if fault is None:
            return reply
        body = reply.body if fault.body is None else fault.body
        if fault.garbage:
            body = bytes(byte ^ 0xFF for byte in body)
        return Reply(reply.status, body, {**reply.headers, **fault.headers})

    def _dispatch(self, request: Request) -> Reply:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            for name, pattern, handler in ROUTES:
                if name == method and (match := pattern.fullmatch(request.path)):
                    groups = {key: unquote(value) for key, value in match.groupdict("").items()}
                    return handler(self, request, groups)
            raise HubError(404, "No such page")
        except HubError as error:
            return error.reply
        except Exception:
            self.errors.append(traceback.format_exc())
            return HubError(500, "Internal Error").reply

    # Who may do what.

    def account(self, request: Request) -> Account | None:
        if request.token is None:
            return None
        if request.token not in self.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.tokens[request.token]

    def readable(self, request: Request, groups: Mapping[str, str]) -> Repo:
        """The repository, for those who may know that it exists."""
        account = self.account(request)
        repo = self.repos.get((_type(groups["type"]), groups["repo"]))
        if repo is not None and (not repo.private or (account and account.may_see(repo))):
            return repo
        # The client takes a bare 401 for a missing repository only from https, so the code says it.
        if account is None:
            raise HubError(401, "Invalid username or password.", "RepoNotFound")
        raise HubError(404, "Repository not found", "RepoNotFound")

    def writable(self, request: Request, groups: Mapping[str, str]) -> tuple[Repo, Account]:
        repo = self.readable(request, groups)
        account = self.account(request)
        if account is None:
            raise HubError(401, "Invalid username or password.", "RepoNotFound")
        if not account.may_change(repo):
            raise HubError(403, "Authorization error.")
        return repo, account

    def granted(self, request: Request, repo: Repo) -> None:
        """Files of a gated repository are for its owner; that it exists is not hidden."""
        account = self.account(request)
        if not repo.gated or (account and account.may_see(repo)):
            return
        status = 401 if account is None else 403
        raise HubError(status, f"Access to {repo.prefix} is restricted.", "GatedRepo")


def _type(name: str) -> RepoType:
    return "dataset" if name == "dataset" else "space" if name == "space" else "model"


# --- Files --------------------------------------------------------------------------------------


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes, kind: str = "blob") -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


def is_large(type: RepoType, path: str, size: int, sample: bytes) -> bool:
    """Whether the file is kept as LFS; one rule for what is listed and what is uploaded."""
    suffixes = LARGE + (LARGE_PICTURES if type == "dataset" else ())
    if size == 0:
        return False
    if path.endswith(tuple(f".{suffix}" for suffix in suffixes)):
        return True
    return size > (LARGE_BINARY if b"\0" in sample[:512] else LARGE_TEXT)


def lfs_pointer(content: bytes) -> bytes:
    """What git keeps in place of the file."""
    version = "https://git-lfs.github.com/spec/v1"
    return f"version {version}\noid sha256:{sha256(content)}\nsize {len(content)}\n".encode()


@dataclass(frozen=True)
class Entry:
    """A file as listings name it."""

    path: str
    content: bytes
    large: bool

    @property
    def oid(self) -> str:
        return git_hash(lfs_pointer(self.content) if self.large else self.content)

    @property
    def etag(self) -> str:
        return sha256(self.content) if self.large else self.oid

    def lfs(self, digest: Literal["oid", "sha256"]) -> Json:
        """The tree calls the digest oid, the list of siblings sha256."""
        pointer = len(lfs_pointer(self.content))
        size = {"size": len(self.content), "pointerSize": pointer}
        return {digest: sha256(self.content), **size}

    def in_tree(self) -> Json:
        size = len(self.content)
        listed = {"type": "file", "oid": self.oid, "size": size, "path": self.path}
        return listed | ({"lfs": self.lfs("oid")} if self.large else {})

    def as_sibling(self, with_blobs: bool) -> Json:
        if not with_blobs:
            return {"rfilename": self.path}
        size = len(self.content)
        listed = {"rfilename": self.path, "size": size, "blobId": self.oid}
        return listed | ({"lfs": self.lfs("sha256")} if self.large else {})


def entry(repo: Repo, commit: Commit, path: str) -> Entry:
    if path not in commit.files:
        raise HubError(404, "Entry not found", "EntryNotFound", X_Repo_Commit=commit.sha)
    content = commit.files[path]
    return Entry(path, content, is_large(repo.type, path, len(content), content))


def folders(files: Files) -> set[str]:
    return {
        "/".join(parts[:n])
        for parts in (path.split("/") for path in files)
        for n in range(1, len(parts))
    }


def folder_in_tree(commit: Commit, path: str) -> Json:
    inside = [name for name in sorted(commit.files) if name.startswith(f"{path}/")]
    seed = "".join(name + git_hash(commit.files[name]) for name in inside)
    return {"type": "directory", "oid": git_hash(seed.encode(), "tree"), "size": 0, "path": path}


def last_change(repo: Repo, commit: Commit, path: str) -> Commit:
    """The commit that last touched the file or anything in the folder."""

    def below(files: Files) -> Files:
        return {name: files[name] for name in files if f"{name}/".startswith(f"{path}/")}

    log = repo.log(commit.sha)
    for newer, older in itertools.pairwise(log):
        if below(newer.files) != below(older.files):
            return newer
    return log[-1]


def expanded(repo: Repo, commit: Commit, listed: Json) -> Json:
    change = last_change(repo, commit, listed["path"])
    last = {"lastCommit": {"id": change.sha, "title": change.title, "date": change.date}}
    if listed["type"] == "directory":
        return {**listed, **last}
    status = repo.issues.get(listed["path"], "safe")
    scan = {"virusFound": False, "virusNames": None}
    security = {"status": status, "avScan": scan, "pickleImportScan": None}
    return {**listed, **last, "securityFileStatus": security}


# --- What a repository is -----------------------------------------------------------------------


@route("GET", API)
@route("GET", API + "/revision" + REVISION)
def repo_info(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo = hub.readable(request, groups)
    commit = repo.at(groups.get("revision", "main"))
    info = described(repo, commit, with_blobs=request.flag("blobs"))
    if request.flag("securityStatus"):
        info["securityRepoStatus"] = security_status(repo)
    if wanted := request.query.get("expand"):
        info = {key: value for key, value in info.items() if key in ("_id", "id", *wanted)}
    return json_reply(info)


def described(repo: Repo, commit: Commit, *, with_blobs: bool = False) -> dict[str, Json]:
    card = front_matter(commit.files.get("README.md", b""))
    entries = [entry(repo, commit, path) for path in sorted(commit.files)]
    info: dict[str, Json] = {
        "_id": git_hash(repo.prefix.encode())[:24],
        "id": repo.id,
        "author": repo.owner,
        "sha": commit.sha,
        "lastModified": commit.date,
        "createdAt": repo.log(commit.sha)[-1].date,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": list(card.get("tags") or []),
        "cardData": card,
        "siblings": [file.as_sibling(with_blobs) for file in entries],
        "usedStorage": sum(len(file.content) for file in entries),
    }
    if repo.type == "model":
        info["modelId"] = repo.id
        info |= {key: card[key] for key in ("library_name", "pipeline_tag") if key in card}
        info |= {"safetensors": counts} if (counts := parameters(commit.files)) else {}
    if repo.type == "space":
        info |= {"sdk": repo.sdk or card.get("sdk"), "runtime": runtime(repo)}
        info["host"] = f"https://{repo.id.replace('/', '-')}.hf.space"
    return info


def front_matter(readme: bytes) -> dict[str, Json]:
    match = re.match(rb"---\r?\n(.*?)\r?\n---", readme, re.DOTALL)
    try:
        data = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError:
        return {}
    return data if isinstance(data, dict) else {}


def parameters(files: Files) -> Json:
    """How many numbers of which kind the safetensors files hold, by their headers."""
    counts: dict[str, int] = {}
    for path, content in files.items():
        if not path.endswith(".safetensors"):
            continue
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            header.pop("__metadata__", None)
            for tensor in header.values():
                numbers = math.prod(tensor["shape"])
                counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + numbers
    return {"parameters": counts, "total": sum(counts.values())} if counts else None


def security_status(repo: Repo) -> Json:
    issues = [{"path": path, "level": level} for path, level in sorted(repo.issues.items())]
    return {"scansDone": True, "filesWithIssues": issues}


@route("GET", r"/api/(?P<type>model|dataset|space)s")
def list_repos(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    account = hub.account(request)
    author, words = request.first("author"), request.first("search")
    tags = request.query.get("filter", [])
    found = []
    for (type, repo_id), repo in hub.repos.items():
        if type != groups["type"] or (repo.private and not (account and account.may_see(repo))):
            continue
        info = described(repo, repo.at("main"))
        is_named = author in ("", repo.owner) and words.lower() in repo_id.lower()
        if is_named and set(tags) <= {*info["tags"]}:
            found.append(info)
    found.sort(key=lambda info: str(info["lastModified"]), reverse=True)
    limit = int(request.first("limit", str(PAGE)))
    return json_reply(found[:limit])


@route("GET", API + "/refs")
def refs(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo = hub.readable(request, groups)

    def listed(names: Mapping[str, str], prefix: str, pulls: bool = False) -> Json:
        return [
            {"name": name, "ref": name if pulls else prefix + name, "targetCommit": sha}
            for name, sha in names.items()
            if name.startswith("refs/pr/") == pulls
        ]

    data = {
        "branches": listed(repo.branches, "refs/heads/"),
        "tags": listed(repo.tags, "refs/tags/"),
        "converts": [],
    }
    if request.flag("include_prs"):
        data["pullRequests"] = listed(repo.branches, "", pulls=True)
    return json_reply(data)


@route("GET", API + "/commits" + REVISION)
def commits(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    log = hub.readable(request, groups).log(groups["revision"])
    return json_reply(
        [
            {
                "id": commit.sha,
                "title": commit.title,
                "message": commit.message,
                "authors": [{"user": commit.author}],
                "date": commit.date,
            }
            for commit in log
        ]
    )


@route("GET", API + "/tree" + REVISION + r"(?:/(?P<path>.+))?")
def tree(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo = hub.readable(request, groups)
    commit = repo.at(groups["revision"])
    path = groups["path"].strip("/")
    names = {*commit.files, *folders(commit.files)}
    if path and path not in folders(commit.files):
        raise HubError(404, f"{path} does not exist on {groups['revision']}", "EntryNotFound")
    below = {name for name in names if not path or name.startswith(f"{path}/")}
    if not request.flag("recursive"):
        depth = path.count("/") + 1 if path else 0
        below = {name for name in below if name.count("/") == depth}
    return page(hub, request, [listed(repo, commit, name, request) for name in sorted(below)])


def listed(repo: Repo, commit: Commit, name: str, request: Request, expand: bool = False) -> Json:
    is_file = name in commit.files
    found = entry(repo, commit, name).in_tree() if is_file else folder_in_tree(commit, name)
    return expanded(repo, commit, found) if expand or request.flag("expand") else found


def page(hub: LoopbackHub, request: Request, entries: list[Json]) -> Reply:
    """One page, and the address of the next in a Link header, as GitHub has it too."""
    size = min(hub.page_size, 50) if request.flag("expand") else hub.page_size
    start = int(base64.b64decode(request.first("cursor")) or 0)
    stop = start + size
    if stop >= len(entries):
        return json_reply(entries[start:])
    query = {**request.query, "cursor": [base64.b64encode(str(stop).encode()).decode()]}
    following = f"{hub.url}{request.path}?{urlencode(query, doseq=True)}"
    return json_reply(entries[start:stop], headers={"Link": f'<{following}>; rel="next"'})


@route("POST", API + "/paths-info" + REVISION)
def paths_info(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo = hub.readable(request, groups)
    commit = repo.at(groups["revision"])
    form = request.form()
    known = {*commit.files, *folders(commit.files)}
    names = [name for path in form.get("paths", []) if (name := path.strip("/")) in known]
    expand = form.get("expand", [""])[0].lower() == "true"
    return json_reply([listed(repo, commit, name, request, expand) for name in names])


# --- Downloads ----------------------------------------------------------------------------------


@route("GET", PAGES + "/(?:resolve|raw)" + REVISION + "/(?P<path>.+)")
def resolve(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    """A file; a large one by a redirect to the storage, which says what the file is."""
    repo = hub.readable(request, groups)
    hub.granted(request, repo)
    commit = repo.at(groups["revision"])
    file = entry(repo, commit, groups["path"])
    headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{file.etag}"'}
    name = quote(groups["path"].rsplit("/", 1)[-1])
    headers["Content-Disposition"] = f"inline; filename*=UTF-8''{name}; filename=\"{name}\";"
    if not file.large:
        return ranged(request, file.content, {**headers, "Content-Type": "text/plain"})
    size = str(len(file.content))
    linked = {"X-Linked-ETag": f'"{file.etag}"', "X-Linked-Size": size, "Accept-Ranges": "bytes"}
    target = f"{hub.storage_url}/cdn/{repo.prefix}/{file.etag}?Signature={hub._signature}"
    return redirect(target, {"X-Repo-Commit": commit.sha, **linked})


@route("GET", r"/cdn/.+/(?P<oid>[0-9a-f]{64})")
def storage(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    require_signature(hub, request)
    return ranged(request, hub.large[groups["oid"]], {"ETag": f'"{groups["oid"]}"'})


def require_signature(hub: LoopbackHub, request: Request) -> None:
    """The storage trusts the address alone, and refuses a token beside it, as S3 does."""
    if request.token is not None:
        raise HubError(400, "Only one auth mechanism allowed")
    if request.first("Signature") != hub._signature:
        raise HubError(403, "Access denied")


# --- Uploads ------------------------------------------------------------------------------------


@route("POST", API + "/preupload" + REVISION)
def preupload(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    """Says of each file how it is to be sent, and which one is already there."""
    repo, commit = target(hub, request, groups)
    asked = request.json()
    here = commit.files.get(".gitignore", b"").decode()
    ignored = str(asked.get("gitIgnore") or here).split()
    answers = []
    for file in asked["files"]:
        path = file["path"]
        large = is_large(repo.type, path, file["size"], base64.b64decode(file["sample"]))
        answer = {"path": path, "uploadMode": "lfs" if large else "regular"}
        answer["shouldIgnore"] = any(ignores(pattern, path) for pattern in ignored)
        if path in commit.files:
            answer["oid"] = entry(repo, commit, path).etag
        answers.append(answer)
    return json_reply({"files": answers, "commitOid": commit.sha})


def target(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> tuple[Repo, Commit]:
    """What is written to. Anyone may propose a change to what they can read."""
    if request.flag("create_pr") and hub.account(request):
        repo = hub.readable(request, groups)
    else:
        repo, _ = hub.writable(request, groups)
    return repo, repo.at(groups["revision"])


def ignores(pattern: str, path: str) -> bool:
    """The part of .gitignore that tests need: names, suffixes and folders."""
    name = path.rsplit("/", 1)[-1]
    folder = pattern.rstrip("/") + "/"
    return fnmatch(path, pattern) or fnmatch(name, pattern) or f"/{path}".find(f"/{folder}") >= 0


@route("POST", PAGES + r"\.git/info/lfs/objects/batch")
def lfs_batch(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo = hub.readable(request, groups)
    if hub.account(request) is None:
        raise HubError(401, "Invalid username or password.", "RepoNotFound")
    objects = []
    for wanted in request.json()["objects"]:
        oid = wanted["oid"]
        known = {"oid": oid, "size": wanted["size"]}
        if oid not in hub.large:
            upload = f"{hub.storage_url}/upload/{oid}?Signature={hub._signature}"
            verify = f"{hub.url}/{repo.prefix}.git/info/lfs/objects/verify"
            known["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        objects.append(known)
    return json_reply({"transfer": "basic", "objects": objects})


@route("PUT", r"/upload/(?P<oid>[0-9a-f]{64})")
def lfs_upload(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    require_signature(hub, request)
    if sha256(request.body) != groups["oid"]:
        raise HubError(400, "The content does not match its checksum")
    hub.large[groups["oid"]] = request.body
    return Reply(200, b"", {"ETag": f'"{groups["oid"]}"'})


@route("POST", PAGES + r"\.git/info/lfs/objects/verify")
def lfs_verify(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    hub.readable(request, groups)
    wanted = request.json()
    if len(hub.large.get(wanted["oid"], b"")) != wanted["size"]:
        raise HubError(404, "Object does not exist on the server")
    return json_reply({"message": "ok"})


@route("POST", API + "/commit" + REVISION)
def create_commit(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo, head = target(hub, request, groups)
    account = hub.account(request)
    assert account is not None  # target() has turned everyone else away
    try:
        lines = [json.loads(line) for line in request.body.splitlines() if line]
    except ValueError:
        raise HubError(400, "The body is not NDJSON") from None
    header = next((line["value"] for line in lines if line["key"] == "header"), None)
    if header is None or not header.get("summary"):
        raise HubError(400, "A commit needs a header with a summary")
    if header.get("parentCommit", head.sha) != head.sha:
        raise HubError(412, "A commit has happened since")
    files = dict(head.files)
    for line in lines:
        CHANGES[line["key"]](hub, files, line["value"])
    branch = groups["revision"]
    if propose := request.flag("create_pr"):
        number = 1 + sum(name.startswith("refs/pr/") for name in repo.branches)
        branch = f"refs/pr/{number}"
    elif branch not in repo.branches:
        raise HubError(400, "Can only commit on a branch")
    title, message = header["summary"], header.get("description", "")
    sha = hub._commit(repo, branch, files, title, message, account.user)
    page = f"{hub.url}/{repo.prefix}"
    answer = {"success": True, "commitOid": sha, "commitUrl": f"{page}/commit/{sha}"}
    if propose:
        answer["pullRequestUrl"] = f"{page}/discussions/{number}"
    return json_reply(answer)


def add_file(hub: LoopbackHub, files: Files, value: Json) -> None:
    encoded = value.get("encoding") == "base64"
    content = value["content"]
    files[value["path"]] = base64.b64decode(content) if encoded else content.encode()


def add_large_file(hub: LoopbackHub, files: Files, value: Json) -> None:
    if value["oid"] not in hub.large:
        raise HubError(400, "An LFS pointer names no file")
    files[value["path"]] = hub.large[value["oid"]]


def delete_file(hub: LoopbackHub, files: Files, value: Json) -> None:
    if value["path"] not in files:
        raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
    del files[value["path"]]


def delete_folder(hub: LoopbackHub, files: Files, value: Json) -> None:
    inside = [path for path in files if path.startswith(value["path"].rstrip("/") + "/")]
    if not inside:
        raise HubError(404, "A folder with this name doesn't exist", "EntryNotFound")
    for path in inside:
        del files[path]


CHANGES: dict[str, Callable[[LoopbackHub, Files, Json], None]] = {
    "header": lambda hub, files, value: None,
    "file": add_file,
    "lfsFile": add_large_file,
    "deletedFile": delete_file,
    "deletedFolder": delete_folder,
}


@route("POST", "/api/validate-yaml")
def validate_yaml(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    """Only whether the card is YAML and a mapping: the Hub checks the values too."""
    content = request.json()["content"]
    match = re.match(r"---\r?\n(.*?)\r?\n---", content, re.DOTALL)
    try:
        data = yaml.safe_load(match[1]) if match else {}
    except yaml.YAMLError as error:
        return json_reply({"errors": [{"message": str(error)}], "warnings": []}, 400)
    if match and not isinstance(data, dict):
        message = '"YAML front matter" must be of type object'
        return json_reply({"errors": [{"message": message}], "warnings": []}, 400)
    return json_reply({"errors": [], "warnings": []})


# --- Repositories come and go -------------------------------------------------------------------


@route("POST", "/api/repos/create")
def create_repo(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    account, wanted = hub.account(request), request.json()
    if account is None:
        raise HubError(401, "Invalid username or password.")
    type = _type(wanted.get("type") or "model")
    owner = wanted.get("organization") or account.user
    repo_id = f"{owner}/{wanted['name']}"
    if not account.may_create(owner):
        raise HubError(403, f"No right to create a {type} under {owner}")
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    repo = Repo(repo_id, type, private, by_app=account.scopes is not None)
    url = f"{hub.url}/{repo.prefix}"
    if (type, repo_id) in hub.repos:
        words = f"There is a {type} of this name already"
        return json_reply({"error": words, "url": url}, 409, {"X-Error-Message": words})
    repo.sdk = wanted.get("sdk")
    repo.hardware = wanted.get("hardware", repo.hardware)
    for name in ("secrets", "variables"):
        getattr(repo, name).update({one["key"]: one["value"] for one in wanted.get(name, [])})
    hub.repos[type, repo_id] = repo
    hub._commit(repo, "main", first_files(repo), "initial commit", "", account.user)
    return json_reply({"url": url, "name": repo_id, "id": git_hash(url.encode())[:24]})


def first_files(repo: Repo) -> Files:
    """What the Hub puts into a new repository."""
    suffixes = LARGE + (LARGE_PICTURES if repo.type == "dataset" else ())
    lines = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in suffixes)
    files = {".gitattributes": lines.encode()}
    if repo.type == "space":
        title = repo.id.split("/")[1]
        files["README.md"] = f"---\ntitle: {title}\nsdk: {repo.sdk}\n---\n".encode()
    return files


@route("DELETE", "/api/repos/delete")
def delete_repo(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    account, wanted = hub.account(request), request.json()
    owner = wanted.get("organization") or (account.user if account else "")
    place = {"type": wanted.get("type") or "model", "repo": f"{owner}/{wanted['name']}"}
    repo = hub.readable(request, place)
    if account is None or not account.may_delete(repo):
        raise HubError(401 if account is None else 403, "Authorization error.")
    del hub.repos[repo.type, repo.id]
    return json_reply({})


@route("PUT", API + "/settings")
def settings(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo, _ = hub.writable(request, groups)
    wanted = request.json()
    if "visibility" in wanted:
        repo.private = wanted["visibility"] == "private"
    if "gated" in wanted:
        repo.gated = bool(wanted["gated"])
    return json_reply({"private": repo.private, "gated": repo.gated})


@route("POST", API + "/(?P<kind>branch|tag)" + REVISION)
def create_ref(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    """A branch names itself in the path; a tag names in the path what it points to."""
    repo, _ = hub.writable(request, groups)
    wanted, name = request.json(), groups["revision"]
    if groups["kind"] == "branch":
        names, start = repo.branches, wanted.get("startingPoint", "main")
    else:
        names, name, start = repo.tags, wanted["tag"], name
    if name in names:
        raise HubError(409, f"Reference already exists: {name}")
    names[name] = repo.at(start).sha
    return json_reply({})


@route("DELETE", API + "/(?P<kind>branch|tag)" + REVISION)
def delete_ref(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo, _ = hub.writable(request, groups)
    names = repo.branches if groups["kind"] == "branch" else repo.tags
    if groups["revision"] not in names:
        raise HubError(404, "Reference not found", "RevisionNotFound")
    del names[groups["revision"]]
    return json_reply({})


# --- Spaces -------------------------------------------------------------------------------------


def runtime(repo: Repo) -> Json:
    hardware = {"current": repo.hardware, "requested": repo.hardware}
    return {"stage": "RUNNING", "hardware": hardware, "gcTimeout": 172800, "storage": None}


@route("GET", API + "/runtime")
def space_runtime(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    return json_reply(runtime(hub.readable(request, groups)))


@route("POST", API + "/hardware")
def request_hardware(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo, _ = hub.writable(request, groups)
    repo.hardware = request.json()["flavor"]
    return json_reply(runtime(repo))


@route("POST", API + "/(?P<kind>secrets|variables)")
def add_setting(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo, _ = hub.writable(request, groups)
    wanted = request.json()
    getattr(repo, groups["kind"])[wanted["key"]] = wanted["value"]
    return space_settings(repo, groups["kind"])


@route("DELETE", API + "/(?P<kind>secrets|variables)")
def delete_setting(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo, _ = hub.writable(request, groups)
    getattr(repo, groups["kind"]).pop(request.json()["key"], None)
    return space_settings(repo, groups["kind"])


@route("GET", API + "/(?P<kind>secrets|variables)")
def list_settings(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    repo, _ = hub.writable(request, groups)
    return space_settings(repo, groups["kind"])


def space_settings(repo: Repo, kind: str) -> Reply:
    """Secrets can be set and never be read."""
    if kind == "secrets":
        return json_reply({key: {"key": key} for key in repo.secrets})
    return json_reply({key: {"value": value} for key, value in repo.variables.items()})


# --- Who someone is, and logging in -------------------------------------------------------------


@route("GET", "/api/whoami-v2")
def whoami(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    account = hub.account(request)
    if account is None:
        raise HubError(401, "Invalid username or password.")
    role = "write" if account.may_write else "read"
    auth: Json = {"type": "access_token", "accessToken": {"displayName": "test", "role": role}}
    if account.scopes is not None:
        auth = {"type": "oauth", "scopes": sorted(account.scopes)}
    return json_reply(
        {
            "type": "user",
            "id": git_hash(account.user.encode())[:24],
            "name": account.user,
            "fullname": account.user.title(),
            "isPro": False,
            "avatarUrl": f"{hub.url}/avatars/{account.user}.svg",
            "orgs": [],
            "auth": auth,
        }
    )


@route("GET", r"/avatars/(?P<user>[^/]+)\.svg")
def avatar(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    drawn = (
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><circle cx="1" cy="1" r="1"/>'
    )
    return Reply(200, drawn + b"</svg>", {"Content-Type": "image/svg+xml"})


@dataclass(frozen=True)
class Grant:
    """What a code stands for until it is redeemed."""

    user: str
    redirect_uri: str
    scope: str
    nonce: str
    challenge: str  # of PKCE, S256; "" where the page does not use it
    expires: float  # on the monotonic clock


@route("GET", r"/\.well-known/openid-configuration")
def openid_configuration(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    return json_reply(
        {
            "issuer": hub.url,
            "authorization_endpoint": f"{hub.url}/oauth/authorize",
            "token_endpoint": f"{hub.url}/oauth/token",
            "userinfo_endpoint": f"{hub.url}/oauth/userinfo",
            "jwks_uri": f"{hub.url}/oauth/jwks",
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
        }
    )


@route("GET", "/oauth/authorize")
def authorize(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    """A page with a link for each user and one to refuse; or at once what `next_user` decides."""
    if request.first("client_id") != hub.client_id:
        raise HubError(400, "Client not found")
    if request.first("response_type") != "code" or not request.first("redirect_uri"):
        raise HubError(400, "A response_type of code and a redirect_uri are needed")
    if hub.next_user is not None:
        user, hub.next_user = hub.next_user, None
        return decided(hub, request, user)
    users = sorted({account.user for account in hub.tokens.values()})
    query = {key: values for key, values in request.query.items() if key != "user"}
    links = [
        f'<p><a href="/oauth/decide?{html.escape(urlencode({**query, "user": user}, doseq=True))}">'
        f"{html.escape(f'Authorize as {user}' if user else 'Deny')}</a></p>"
        for user in [*users, ""]
    ]
    title = "<!doctype html><html lang=en><title>Authorize</title><h1>Authorize?</h1>"
    page = f"{title}<p>It asks for: {html.escape(request.first('scope'))}</p>{''.join(links)}"
    return Reply(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})


@route("GET", "/oauth/decide")
def decide(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    return decided(hub, request, request.first("user"))


def decided(hub: LoopbackHub, request: Request, user: str) -> Reply:
    """Back to the page, with a code if a user agreed."""
    answer = {"state": request.first("state")} if "state" in request.query else {}
    if user:
        answer["code"] = secrets.token_urlsafe(12)
        hub.codes[answer["code"]] = Grant(
            user,
            request.first("redirect_uri"),
            request.first("scope"),
            request.first("nonce"),
            request.first("code_challenge"),
            time.monotonic() + CODE_SECONDS,
        )
    else:
        answer |= {"error": "access_denied", "error_description": "The user denied the request"}
    back = request.first("redirect_uri")
    return redirect(f"{back}{'&' if '?' in back else '?'}{urlencode(answer)}")


@route("POST", "/oauth/token")
def oauth_token(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    """A code for a token, once, and only to the client that the code was meant for."""
    form = {name: values[0] for name, values in request.form().items()}
    if client(request, form) != (hub.client_id, hub.client_secret):
        return oauth_error(401, "invalid_client", "Wrong client id or secret")
    if form.get("grant_type") != "authorization_code":
        return oauth_error(400, "unsupported_grant_type", "Only authorization_code is supported")
    grant = hub.codes.pop(form.get("code", ""), None)
    if grant is None or grant.expires < time.monotonic():
        return oauth_error(400, "invalid_grant", "The code is unknown, used or too old")
    verifier = base64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
    if grant.redirect_uri != form.get("redirect_uri") or grant.challenge not in ("", verifier):
        return oauth_error(400, "invalid_grant", "The code was given for another request")
    token = f"hf_oauth_{secrets.token_hex(12)}"
    scopes = frozenset(grant.scope.split())
    hub.tokens[token] = Account(grant.user, False, scopes)
    answer = {"access_token": token, "token_type": "bearer", "expires_in": hub.token_seconds}
    answer["scope"] = grant.scope
    if "openid" in scopes:
        answer["id_token"] = hub.key.sign(id_claims(hub, grant))
    return json_reply(answer, headers={"Cache-Control": "no-store"})


def client(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    """Who redeems the code: by basic authentication, or in the form."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        name, _, secret = base64.b64decode(value).decode().partition(":")
        return unquote(name), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def oauth_error(status: int, error: str, description: str) -> Reply:
    return json_reply({"error": error, "error_description": description}, status)


@route("GET", "/oauth/userinfo")
def userinfo(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    account = hub.account(request)
    if account is None or "openid" not in (account.scopes or ()):
        raise HubError(401, "Invalid username or password.")
    return json_reply(claims(hub, account.user, account.scopes or frozenset()))


def claims(hub: LoopbackHub, user: str, scopes: frozenset[str]) -> Json:
    known = {"sub": git_hash(user.encode())[:24]}
    if "profile" in scopes:
        known |= {
            "name": user.title(),
            "preferred_username": user,
            "profile": f"{hub.url}/{user}",
            "picture": f"{hub.url}/avatars/{user}.svg",
            "website": "",
        }
    return known | ({"email": f"{user}@example.org"} if "email" in scopes else {})


def id_claims(hub: LoopbackHub, grant: Grant) -> Json:
    now = int(time.time())
    about = claims(hub, grant.user, frozenset(grant.scope.split()))
    about |= {"iss": hub.url, "aud": hub.client_id, "iat": now, "exp": now + hub.token_seconds}
    return about | {"auth_time": now} | ({"nonce": grant.nonce} if grant.nonce else {})


@route("GET", "/oauth/jwks")
def jwks(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    return json_reply({"keys": [hub.key.public]})


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class SigningKey:
    """An RSA key that lasts as long as the Hub. `cryptography` is a requirement of authlib, so it
    is there whenever someone logs in, and is not asked for before."""

    def __init__(self) -> None:
        rsa = importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public(self) -> Json:
        numbers = self._key.public_key().public_numbers()
        n, e = (
            base64url(x.to_bytes((x.bit_length() + 7) // 8, "big")) for x in (numbers.n, numbers.e)
        )
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "loopback", "n": n, "e": e}

    def sign(self, payload: Json) -> str:
        """The claims as a JSON web token."""
        hashes = importlib.import_module("cryptography.hazmat.primitives.hashes")
        padding = importlib.import_module("cryptography.hazmat.primitives.asymmetric.padding")
        parts = ({"alg": "RS256", "typ": "JWT", "kid": "loopback"}, payload)
        text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{base64url(signature)}"


# --- HTTP ---------------------------------------------------------------------------------------


class _Server(http.server.ThreadingHTTPServer):
    """Remembers its connections, so that stopping ends the ones that are kept alive."""

    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        self.closing = threading.Event()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        self.closing.set()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; mistakes in handlers are in `errors`."""


class _Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def __init__(self, hub: LoopbackHub, *args: Any) -> None:
        self.hub = hub
        super().__init__(*args)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # hung up, by the client or by stop()
            self.close_connection = True

    def _serve(self) -> None:
        reply, fault = self.hub.answer(self._request())
        if fault is not None and fault.delay:
            self.server.closing.wait(fault.delay)
        if fault is not None and fault.lost:
            self.close_connection = True
            return
        self._send(reply, fault or Fault(re.compile("")))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _request(self) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        return Request(self.command, parts.path, query, headers, body)

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._read(int(headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self._read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _read(self, size: int) -> bytes:
        """A request that breaks off must not be carried out."""
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("the client hung up")
        return data

    def _send(self, reply: Reply, fault: Fault) -> None:
        self.send_response(reply.status)
        headers = {**reply.headers, "Content-Length": str(len(reply.body) + fault.declare)}
        if fault.cut or fault.declare:  # said, so that the client does not race for the connection
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = reply.body[: len(reply.body) // 2] if fault.cut else reply.body
        for piece in [body] if fault.slow is None else pieces(body):
            self.wfile.write(piece)
            if fault.slow is not None and self.server.closing.wait(fault.slow):
                break

    def log_message(self, format: str, *args: Any) -> None:
        """What was asked is in `requests`."""


def pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]


@contextlib.contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    """A Hub without repositories, which ends with the block."""
    hub = LoopbackHub()
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()
    if hub.errors:
        raise RuntimeError(f"the Hub itself failed:\n{hub.errors[0]}")


@contextlib.contextmanager
def without_xet() -> Iterator[None]:
    """HF_HUB_DISABLE_XET=1 for a client that is imported already: what it would have read. Its
    uploads hand files to httpx2 in a way that is deprecated there, which is not ours to mend."""
    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Use 'content=<...>'", DeprecationWarning)
            yield
    finally:
        constants.HF_HUB_DISABLE_XET = before
