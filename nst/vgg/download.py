"""VGG-19's parameters from a repository on the Hub: the convolutions alone, about 80 of 575 MB.

Two layouts of a `model.safetensors` are understood: torchvision's names and units, as in
`timm/vgg19.tv_in1k`, and that of `push_weights`, the original parameters in 8 bits. Knows layouts
and the cache; files are read by `nst.web.range_download` and `nst.vgg.safetensors`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.utils import WeakFileLock, tqdm
from torch import Tensor

from nst.errors import HubError
from nst.files import cache_folder, whole_file
from nst.settings import LAYER_CHANNELS
from nst.vgg.safetensors import (
    Entry,
    FormatError,
    Header,
    Raw,
    check_sum,
    header_stop,
    pack,
    parse_header,
    read_header,
    read_tensors,
)
from nst.vgg.weights import VGGWeights, convert_torchvision, decode_original
from nst.web.hub_client import COMMIT_HASH, hub_errors
from nst.web.range_download import OutOfReachError, Partial, RemoteFile, find, read_range

log = logging.getLogger(__name__)

REPO = "timm/vgg19.tv_in1k"
FILE = "model.safetensors"
BEGINNING = 1 << 14  # bytes, in which a header usually fits
LONGEST_DOWNLOAD = 900.0  # seconds that another process' download is waited for

POSITIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)  # in torchvision's network
FLOATS = ("F32", "F16", "BF16")

Progress = Callable[[int, int], object]  # bytes that are here, bytes in all
Layout = Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]]  # name: its dtypes, its shape
Tensors = dict[str, Tensor]


def load_from_hub() -> VGGWeights:
    """Return the parameters in the repository NST_WEIGHTS_REPO at NST_WEIGHTS_REVISION.

    The revision is a branch, a tag or a commit. Files are downloaded where they are not cached.
    Raises `HubError`.
    """
    repo = os.environ.get("NST_WEIGHTS_REPO") or REPO
    _, tensors = _obtain(repo, os.environ.get("NST_WEIGHTS_REVISION") or None, None)
    return _network_of(tensors)


def fetch_convolutions(
    repo: str, revision: str | None = None, *, progress: Progress | None = None
) -> Path:
    """Return a safetensors file here that holds VGG-19's 16 convolutions of a repository.

    A whole file in huggingface_hub's cache, or a pinned commit that was fetched before, is used
    without any request; so is everything that was fetched before when the Hub is out of reach.
    Otherwise the ranges of the tensors are downloaded; what an interruption left goes on.
    `progress` replaces the bar on stderr, which appears in a terminal only. Raises `HubError`.
    """
    path, _ = _obtain(repo, revision, progress)
    return path


def _obtain(repo: str, revision: str | None, progress: Progress | None) -> tuple[Path, Tensors]:
    revision = revision or "main"
    if found := _in_hub_cache(repo, revision):
        return found
    shelf = _WeightsFolder(cache_folder() / "weights" / repo.replace("/", "--"))
    if COMMIT_HASH.fullmatch(revision) and (found := shelf.known(revision)):
        return found
    try:
        file = find(repo, FILE, revision)
    except OutOfReachError:
        if found := shelf.known(revision):
            log.info("the Hub is out of reach; the parameters of %s are those from before", repo)
            return found
        raise
    found = shelf.get(file) or shelf.fetch(file, progress)
    shelf.remember(file, revision)
    return found


def _in_hub_cache(repo: str, revision: str) -> tuple[Path, Tensors] | None:
    with hub_errors(repo):
        path = try_to_load_from_cache(repo, FILE, revision=revision)
    return _opened(Path(path), all_sums=False) if isinstance(path, str) else None


def _opened(path: Path, *, all_sums: bool = True) -> tuple[Path, Tensors] | None:
    """Return what is in a file, or nothing when it is not there or not sound."""
    try:
        header = read_header(path)
        return path, read_tensors(path, header, _wanted(header), all_sums=all_sums)
    except FileNotFoundError:
        return None
    except (FormatError, OSError) as error:
        log.warning("cached parameters of VGG-19 are not used: %s", type(error).__name__)
        return None


@dataclass(frozen=True)
class _WeightsFolder:
    """The folder of a repository in the cache.

    It has a file for each version (`KEY.safetensors`, or `KEY.partial` while it is downloaded), and
    one that names the version of a revision (`REVISION.ref`).
    """

    folder: Path

    def path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def known(self, revision: str) -> tuple[Path, Tensors] | None:
        """Return what the revision was when it was last asked for."""
        key = self._read_ref(revision)
        return _opened(self.path(key)) if re.fullmatch(r"[0-9a-f]{32}", key) else None

    def get(self, file: RemoteFile) -> tuple[Path, Tensors] | None:
        return _opened(self.path(_key(file)))

    def fetch(self, file: RemoteFile, progress: Progress | None) -> tuple[Path, Tensors]:
        """Download it, or wait for whoever does."""
        with self._alone():
            return self.get(file) or self._download(file, progress)

    def remember(self, file: RemoteFile, revision: str) -> None:
        with contextlib.suppress(OSError):  # a cache that is only read is a cache all the same
            for name in {revision, file.commit or revision}:
                if self._read_ref(name) != _key(file):
                    with whole_file(self._ref(name)) as temporary:
                        temporary.write_text(_key(file))

    def _ref(self, revision: str) -> Path:
        return self.folder / f"{quote(revision, safe='')}.ref"

    def _read_ref(self, revision: str) -> str:
        """Return the key of what the revision was; empty when it never was asked for."""
        with contextlib.suppress(OSError, UnicodeError):
            return self._ref(revision).read_text()
        return ""

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes and threads from downloading into this folder meanwhile."""
        with contextlib.ExitStack() as stack:
            with _storing():
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = WeakFileLock(self.folder / ".lock", timeout=LONGEST_DOWNLOAD)
                try:
                    stack.enter_context(lock)
                except TimeoutError:
                    raise HubError("VGG-19 is still being downloaded by another program.") from None
            yield

    def _download(self, file: RemoteFile, progress: Progress | None) -> tuple[Path, Tensors]:
        header = _remote_header(file)
        with _usable(file.repo):
            names = sorted(_wanted(header), key=lambda name: header.tensors[name].start)
        spans = _spans([header.tensors[name] for name in names])
        plan = hashlib.sha256(repr(spans).encode()).hexdigest()[:8]
        with _partial(self.folder / f"{_key(file)}-{plan}.partial") as partial:
            _fill(partial, file, spans, progress)
            content = memoryview(partial.content())
        try:
            raws = _cut(content, header, names)
        except FormatError:
            partial.path.unlink(missing_ok=True)
            raise HubError(
                f"What came of {file.repo} does not match its checksums; nothing of it is kept."
            ) from None
        path = self.path(_key(file))
        with _storing():
            with whole_file(path) as temporary:
                temporary.write_bytes(pack(raws, {"format": "pt"}))
            for leftover in self.folder.glob("*.partial"):
                leftover.unlink(missing_ok=True)
        if found := _opened(path):
            return found
        raise HubError("VGG-19's parameters cannot be stored: the disk gives back something else.")


def _key(file: RemoteFile) -> str:
    return hashlib.sha256(file.etag.encode()).hexdigest()[:32]


def _remote_header(file: RemoteFile) -> Header:
    """Return the header by one short range, or two when it is long.

    Raises `HubError`.
    """
    data = bytearray()
    read_range(file, 0, min(BEGINNING, file.size), data.extend)
    with _usable(file.repo):
        stop = header_stop(data, file.size)
        if stop > len(data):
            read_range(file, len(data), stop, data.extend)
        return parse_header(data, file.size)


def _spans(entries: Sequence[Entry]) -> list[tuple[int, int]]:
    """Return the bytes (start, stop) of tensors in their order in the file, neighbours in one."""
    spans: list[tuple[int, int]] = []
    for entry in entries:
        start = spans.pop()[0] if spans and spans[-1][1] == entry.start else entry.start
        spans.append((start, entry.stop))
    return spans


def _fill(
    partial: Partial, file: RemoteFile, spans: Sequence[tuple[int, int]], progress: Progress | None
) -> None:
    """Download what the partial file has not got yet."""
    total = sum(stop - start for start, stop in spans)
    began, left = time.monotonic(), total - partial.size
    log.info("VGG-19 is fetched from %s: %.1f MB of %.1f", file.repo, left / 1e6, total / 1e6)
    with _reporting(file.repo, partial.size, total, progress) as report:

        def take(piece: bytes) -> None:
            with _storing():
                partial.append(piece)
            report(partial.size, total)

        skipped = partial.size
        for start, stop in spans:
            start, skipped = min(start + skipped, stop), max(0, skipped - (stop - start))
            read_range(file, start, stop, take)
    log.info("VGG-19 is here after %.1f s", time.monotonic() - began)


@contextlib.contextmanager
def _reporting(repo: str, done: int, total: int, progress: Progress | None) -> Iterator[Progress]:
    """Return what to call with the bytes that are here.

    By default it is a bar, if stderr is a terminal.
    """
    if progress is not None:
        yield progress
        return
    make_bar: Any = tqdm  # untyped
    with make_bar(
        desc=repo, initial=done, total=total, unit="B", unit_scale=True, disable=None
    ) as bar:
        yield lambda here, _: bar.update(here - bar.n)


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[Partial]:
    with _storing():
        partial = Partial(path)
    try:
        yield partial
    finally:
        with _storing():
            partial.close()


@contextlib.contextmanager
def _storing() -> Iterator[None]:
    """Say what the disk does not take in a sentence, without its path."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "the disk does not take them"
        raise HubError(f"VGG-19's parameters cannot be stored: {reason}.") from None


@contextlib.contextmanager
def _usable(repo: str) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        raise HubError(f"The {FILE} of {repo} cannot be used: it {error}.") from None


def _cut(content: memoryview, header: Header, names: Sequence[str]) -> dict[str, Raw]:
    """Return the tensors, from their bytes one after the other.

    Raises `FormatError` when one does not have the SHA-256 that the header speaks of.
    """
    raws, at = {}, 0
    for name in names:
        entry = header.tensors[name]
        stop = at + entry.stop - entry.start
        raws[name] = Raw(entry.dtype, entry.shape, content[at:stop])
        check_sum(header, name, raws[name].data)
        at = stop
    return raws


def _wanted(header: Header) -> list[str]:
    """Return the names of VGG-19's parameters in a file.

    Raises `FormatError` when they are not there, or of another shape or kind than they should be.
    """
    layout = packed_layout() if "relu1_1.codes" in header.tensors else torchvision_layout()
    for name, (dtypes, shape) in layout.items():
        if name not in header.tensors:
            raise FormatError(f"is not VGG-19: it has no {name}")
        if header.tensors[name].shape != shape:
            raise FormatError(f"is not VGG-19: its {name} has another shape")
        if header.tensors[name].dtype not in dtypes:
            raise FormatError(f"keeps {name} in another number format than {' or '.join(dtypes)}")
    return list(layout)


def torchvision_layout() -> Layout:
    """Return names, dtypes and shapes of torchvision's VGG-19.

    Batch normalisation and classifiers are left aside: `features.N.weight` (out, in, 3, 3) and
    `features.N.bias` (out,).
    """
    layout: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {}
    for position, (_, n_in, n_out) in zip(POSITIONS, _convolutions(), strict=True):
        layout[f"features.{position}.weight"] = (FLOATS, (n_out, n_in, 3, 3))
        layout[f"features.{position}.bias"] = (FLOATS, (n_out,))
    return layout


def packed_layout() -> Layout:
    """Return names, dtypes and shapes of the original parameters in 8 bits.

    `relu1_1.codes` (out, in, 3, 3) are indices into `relu1_1.table` (256,), and `relu1_1.bias` is
    (out,). Floats come first, to be aligned.
    """
    floats: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {}
    codes: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {}
    for layer, n_in, n_out in _convolutions():
        floats[f"{layer}.table"] = (("F32",), (256,))
        floats[f"{layer}.bias"] = (("F32",), (n_out,))
        codes[f"{layer}.codes"] = (("U8",), (n_out, n_in, 3, 3))
    return {**floats, **codes}


def _convolutions() -> Iterator[tuple[str, int, int]]:
    """Return (layer, channels in, channels out), shallow to deep."""
    n_in = 3
    for layer, n_out in LAYER_CHANNELS.items():
        yield layer, n_in, n_out
        n_in = n_out


def _network_of(tensors: Tensors) -> VGGWeights:
    """Return either layout as `VGGWeights`."""
    if "relu1_1.codes" not in tensors:
        return convert_torchvision(tensors)
    return decode_original({packed_name(name): tensor for name, tensor in tensors.items()})


def packed_name(name: str) -> str:
    """Return what the wheel calls a tensor: relu1_2.codes is block1_conv2_W_q there."""
    layer, kind = name.split(".")
    block, conv = layer.removeprefix("relu").split("_")
    suffix = {"codes": "W_q", "table": "W_table", "bias": "b"}[kind]
    return f"block{block}_conv{conv}_{suffix}"
