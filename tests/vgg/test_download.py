"""VGG-19 from a repository: what is asked of the Hub, what is kept here, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard, close_session, constants, hf_hub_download
from torch import Tensor

import nst.vgg.loading
from helpers.loopback_hub import LoopbackHub, loopback_hub, without_xet
from helpers.places import ROOT
from nst.errors import HubError, WeightsError
from nst.hub.push_weights import pack_original, push_weights
from nst.vgg.download import BEGINNING, FILE, fetch_convolutions, torchvision_layout
from nst.vgg.loading import load_weights
from nst.vgg.safetensors import FormatError, Raw, header_stop, pack, parse_header, read_header
from nst.vgg.weights import VGGWeights, convert_torchvision
from nst.web import range_download
from nst.web.range_download import BLOCK, DIGEST, Partial

pytestmark = pytest.mark.slow


REPO = "ada/vgg19"


@pytest.fixture(scope="session")
def packed() -> bytes:
    """The file that `push_weights` publishes, 20 MB: what most of these tests download."""
    return pack_original()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """An empty Hub that the client of this process talks to, and empty caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", os.devnull)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for name in ("NST_WEIGHTS_REPO", "NST_WEIGHTS_REVISION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(range_download, "WAIT", 0.0)
    with loopback_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        address = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        nst.vgg.loading.cached_weights.cache_clear()
        yield hub
        nst.vgg.loading.cached_weights.cache_clear()
        close_session()


@pytest.fixture
def sha(hub: LoopbackHub, packed: bytes) -> str:
    """The commit of a repository that holds the packed parameters."""
    return hub.add_repo(REPO, files={FILE: packed})


def cached_files(tmp_path: Path, kind: str = "safetensors") -> list[Path]:
    return sorted((tmp_path / "cache").rglob(f"*.{kind}"))


def asked_ranges(hub: LoopbackHub) -> list[tuple[int, int]]:
    """(start, stop) in bytes of each range that was asked for, in their order."""
    headers = [request.headers["range"] for request in hub.asked("/cdn/", "GET")]
    spans = [header.removeprefix("bytes=").split("-") for header in headers]
    return [(int(first), int(last) + 1) for first, last in spans]


def refused(repo: str = REPO, revision: str | None = None) -> str:
    """The sentence of a fetch that fails."""
    with pytest.raises(HubError) as caught:
        fetch_convolutions(repo, revision)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.endswith(".")
    for secret in ("http", "/tmp", "/cdn", "hf_", "safetensors."):
        assert secret not in message.replace(f"{FILE}.", "")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


def after_the_header(hub: LoopbackHub) -> None:
    """Whatever goes wrong with the storage next does so from the second range on."""
    hub.fail("/cdn/", times=1)


def assert_same(actual: VGGWeights, expected: VGGWeights) -> None:
    assert (actual.mean, actual.scale) == (expected.mean, expected.scale)
    assert list(actual.convolutions) == list(expected.convolutions)
    for layer, parameters in expected.convolutions.items():
        for mine, theirs in zip(actual.convolutions[layer], parameters, strict=True):
            assert torch.equal(mine, theirs)


def torchvision_file(
    dtypes: Mapping[str, torch.dtype], generator: torch.Generator
) -> tuple[dict[str, Tensor], bytes]:
    """A state dict in torchvision's names, in float32 unless said otherwise, and a file with more
    in it: before the convolutions, after the first weight, and at the end."""
    state = {
        name: (torch.rand(shape, generator=generator) - 0.5).to(dtypes.get(name, torch.float32))
        for name, (_, shape) in torchvision_layout().items()
    }
    raws = {name: raw_of(tensor) for name, tensor in state.items()}
    rest = Raw.of(torch.zeros(300_000, dtype=torch.uint8))
    first = {name: raws.pop(name) for name in ("features.0.weight",)}
    return state, pack({"a": rest, **first, "b": rest, **raws, "pre_logits.fc1.weight": rest}, {})


def raw_of(tensor: Tensor) -> Raw:
    """numpy has no bfloat16."""
    name = {torch.float16: "F16", torch.bfloat16: "BF16"}.get(tensor.dtype)
    if name is None:
        return Raw.of(tensor)
    return Raw(name, tuple(tensor.shape), tensor.view(torch.int16).numpy().tobytes())


# --- What is asked, and what is made of it ------------------------------------------------------


def test_of_torchvisions_network_only_the_convolutions_are_read(
    hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = {"features.2.weight": torch.float16, "features.34.weight": torch.bfloat16}
    state, data = torchvision_file(narrow, torch.Generator().manual_seed(0))
    hub.add_repo(REPO, files={FILE: data})
    monkeypatch.setenv("NST_WEIGHTS_REPO", REPO)

    weights = load_weights("hub")

    assert_same(weights, convert_torchvision(state))
    wanted = sum(tensor.nbytes for tensor in state.values())
    spans = asked_ranges(hub)
    assert len(spans) == 3  # the header, the first weight, and all others in one
    assert sum(stop - start for start, stop in spans) == BEGINNING + wanted
    assert not hub.asked("/cdn/", "GET")[0].token, "the storage is another server"
    (path,) = cached_files(tmp_path)
    assert wanted < path.stat().st_size < wanted + BEGINNING


def test_progress_counts_the_bytes_up_to_all(hub: LoopbackHub, sha: str, packed: bytes) -> None:
    seen: list[tuple[int, int]] = []
    fetch_convolutions(REPO, progress=lambda here, total: seen.append((here, total)))
    total = len(packed) - header_stop(packed, len(packed))
    assert seen == sorted(seen)
    assert {all_bytes for _, all_bytes in seen} == {total}
    assert seen[-1][0] == total


@pytest.mark.real
def test_what_is_pushed_loads_as_the_original(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.add_user("ada"))
    with without_xet():
        published = push_weights(REPO, private=True)
    assert published.address == f"{hub.url}/{REPO}"
    assert published.uploaded == ("README.md", FILE)
    assert hub.repo(REPO).private
    monkeypatch.setenv("NST_WEIGHTS_REPO", REPO)
    assert_same(load_weights("hub"), load_weights("original"))

    card = ModelCard(hub.files(REPO)["README.md"].decode())
    data: Any = card.data
    assert data.license == "cc-by-4.0"
    assert "vgg19" in data.tags
    assert f"NST_WEIGHTS_REPO={REPO}" in card.text


def test_pushing_twice_is_one_commit_and_keeps_an_edited_card(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.add_user("ada"))
    with without_xet():
        push_weights(REPO)
        hub.push(REPO, files={"README.md": b"# Ours now"})
        commits = hub.commits(REPO)
        assert push_weights(REPO).uploaded == ()
    assert hub.commits(REPO) == commits
    assert hub.files(REPO)["README.md"] == b"# Ours now"
    assert len(hub.asked("/upload/")) == 1


def test_pushing_needs_an_account(hub: LoopbackHub) -> None:
    with pytest.raises(HubError, match=r"^Publishing needs a sign-in: .*'hf auth login'"):
        push_weights(REPO)
    assert not hub.requests


# --- What is cached -----------------------------------------------------------------------------


def test_a_pinned_commit_that_is_cached_makes_no_request(
    hub: LoopbackHub, sha: str, tmp_path: Path
) -> None:
    path = fetch_convolutions(REPO, sha)
    requests = len(hub.requests)
    assert fetch_convolutions(REPO, sha) == path
    assert len(hub.requests) == requests
    hub.stop()
    assert fetch_convolutions(REPO, sha) == path


def test_a_branch_is_asked_for_once_and_cached_for_bad_times(hub: LoopbackHub, sha: str) -> None:
    path = fetch_convolutions(REPO)
    requests = len(hub.requests)
    assert fetch_convolutions(REPO) == path
    assert [request.method for request in hub.requests[requests:]] == ["HEAD"]
    assert fetch_convolutions(REPO, sha) == path, "the commit of main is known from then on"
    hub.fail("/resolve/", status=503)
    assert fetch_convolutions(REPO) == path
    hub.stop()
    assert fetch_convolutions(REPO) == path


def test_a_branch_that_moved_is_fetched_anew_only_for_other_parameters(
    hub: LoopbackHub, sha: str, packed: bytes
) -> None:
    path = fetch_convolutions(REPO)
    ranged = len(asked_ranges(hub))
    moved = hub.push(REPO, files={"README.md": b"# Better words"})
    assert fetch_convolutions(REPO) == path
    assert fetch_convolutions(REPO, moved) == path
    assert len(asked_ranges(hub)) == ranged
    other = with_metadata(packed, remark="another file")
    hub.push(REPO, files={FILE: other})
    assert fetch_convolutions(REPO) != path
    assert fetch_convolutions(REPO, sha) == path


def with_metadata(data: bytes, **more: str) -> bytes:
    """The file, saying more about itself."""
    stop = header_stop(data, len(data))
    header = json.loads(data[8:stop])
    header["__metadata__"] |= more
    return with_header(json.dumps(header).encode(), data[stop:])


def with_header(text: bytes, rest: bytes = b"") -> bytes:
    return len(text).to_bytes(8, "little") + text + rest


def test_without_the_hub_what_is_cached_loads_in_a_new_process(
    hub: LoopbackHub, sha: str, tmp_path: Path
) -> None:
    fetch_convolutions(REPO)
    requests = len(hub.requests)
    program = (
        "import nst.vgg.download as w\n"
        f"print(w.fetch_convolutions({REPO!r}).name)\n"
        f"try: w.fetch_convolutions('ada/other')\n"
        "except w.HubError as error: print(error)\n"
    )
    environment = {**os.environ, **hub.environment(), "HF_HUB_OFFLINE": "1"}
    environment["HF_HUB_CACHE"] = str(tmp_path / "hub")
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    name, sentence = result.stdout.splitlines()
    assert [path.name for path in cached_files(tmp_path)] == [name]
    assert sentence == "The Hugging Face Hub is switched off here (HF_HUB_OFFLINE)."
    assert len(hub.requests) == requests


@pytest.mark.parametrize("damage", ["one bit", "header", "cut off", "empty", "gone"])
def test_a_damaged_file_in_the_cache_is_fetched_anew(
    hub: LoopbackHub, sha: str, tmp_path: Path, damage: str
) -> None:
    path = fetch_convolutions(REPO, sha)
    good = path.read_bytes()
    spoil(path, damage)
    assert fetch_convolutions(REPO, sha) == path
    assert path.read_bytes() == good
    spoil(path, damage)
    hub.stop()
    assert "cannot be reached" in refused(revision=sha)


def spoil(path: Path, damage: str) -> None:
    data = bytearray(path.read_bytes())
    data[{"one bit": len(data) // 2, "header": 20}.get(damage, 0)] ^= 1
    path.write_bytes(data[: {"cut off": len(data) - 1, "empty": 0}.get(damage, len(data))])
    if damage == "gone":
        path.unlink()


def test_a_damaged_reference_is_asked_for_again(hub: LoopbackHub, sha: str, tmp_path: Path) -> None:
    path = fetch_convolutions(REPO, sha)
    (reference,) = cached_files(tmp_path, "ref")
    for content in (b"", b"../../elsewhere", b"\xff" * 32):
        reference.write_bytes(content)
        assert fetch_convolutions(REPO, sha) == path
    assert len(asked_ranges(hub)) == 2, "the header and the parameters, once"


def test_a_whole_file_in_the_hubs_own_cache_is_enough(
    hub: LoopbackHub, sha: str, tmp_path: Path
) -> None:
    """As a Space has it by `preload_from_hub`."""
    with without_xet():
        whole = hf_hub_download(REPO, FILE, endpoint=hub.url, cache_dir=constants.HF_HUB_CACHE)
    hub.stop()
    assert fetch_convolutions(REPO) == Path(whole)
    assert fetch_convolutions(REPO, sha) == Path(whole)
    assert not cached_files(tmp_path)


def test_two_at_once_download_once(hub: LoopbackHub, sha: str, tmp_path: Path) -> None:
    begin = threading.Barrier(3)
    paths: list[Path] = []

    def fetch() -> None:
        begin.wait()
        paths.append(fetch_convolutions(REPO))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == cached_files(tmp_path) * 3
    assert len(asked_ranges(hub)) == 2


def test_a_cache_that_cannot_be_written_is_told_in_a_sentence(
    hub: LoopbackHub, sha: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert refused() == "VGG-19's parameters cannot be stored: Not a directory."


def test_a_full_disk_is_told_in_a_sentence(
    hub: LoopbackHub, sha: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/secret")

    monkeypatch.setattr(Partial, "append", refuse)
    assert refused() == "VGG-19's parameters cannot be stored: No space left on device."
    assert not cached_files(tmp_path)


# --- Interruptions ------------------------------------------------------------------------------


def test_a_cut_connection_goes_on_where_it_broke(hub: LoopbackHub, sha: str, packed: bytes) -> None:
    after_the_header(hub)
    hub.fail("/cdn/", cut=True, times=2)
    path = fetch_convolutions(REPO)
    _, first, second, third = asked_ranges(hub)
    assert first[0] < second[0] < third[0]
    assert first[1] == second[1] == third[1] == len(packed)
    assert path.is_file()


def test_a_later_process_goes_on_where_one_gave_up(
    hub: LoopbackHub, sha: str, packed: bytes, tmp_path: Path
) -> None:
    after_the_header(hub)
    hub.fail("/cdn/", cut=True, times=1)
    hub.fail("/cdn/", status=503)
    assert "problem of its own (status 503)" in refused()
    assert not cached_files(tmp_path), "nothing partial is ever used"
    reached = max(start for start, _ in asked_ranges(hub))
    assert reached > len(packed) / 2 - BEGINNING

    hub.heal()
    before = len(asked_ranges(hub))
    seen: list[int] = []
    fetch_convolutions(REPO, progress=lambda here, _: seen.append(here))
    assert asked_ranges(hub)[before + 1 :] == [(reached, len(packed))]
    assert seen[0] > len(packed) / 2
    assert not cached_files(tmp_path, "partial")


def test_what_was_damaged_of_a_partial_download_is_fetched_again(
    hub: LoopbackHub, sha: str, packed: bytes, tmp_path: Path
) -> None:
    after_the_header(hub)
    hub.fail("/cdn/", cut=True, times=1)
    hub.fail("/cdn/", status=500)
    refused()
    (partial,) = cached_files(tmp_path, "partial")
    data = bytearray(partial.read_bytes())
    data[3 * (BLOCK + DIGEST) + 5] ^= 1
    partial.write_bytes(data)
    hub.heal()
    before = len(asked_ranges(hub))
    path = fetch_convolutions(REPO)
    start = header_stop(packed, len(packed)) + 3 * BLOCK
    assert asked_ranges(hub)[before + 1 :] == [(start, len(packed))]
    assert content_of(path) == content_of_bytes(packed)


def content_of(path: Path) -> bytes:
    return content_of_bytes(path.read_bytes())


def content_of_bytes(data: bytes) -> bytes:
    return data[header_stop(data, len(data)) :]


def test_a_partial_file_keeps_what_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "some.partial"
    data = os.urandom(2 * BLOCK + 70_001)
    partial = Partial(path)
    for start in range(0, len(data), 70_000):
        partial.append(data[start : start + 70_000])
    assert partial.content() == data
    partial.close()
    again = Partial(path)
    assert again.size == len(data)
    again.append(data)
    again.close()
    path.write_bytes(path.read_bytes()[:-1])  # the end never reached the disk
    after = Partial(path)
    assert after.size == 2 * len(data) // BLOCK * BLOCK
    assert after.content() == (data + data)[: after.size]
    after.close()


def test_a_download_that_crawls_is_given_up(
    hub: LoopbackHub, sha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_download, "WINDOW", 0.0)
    monkeypatch.setattr(range_download, "SLOWEST", float("inf"))
    assert "arrives too slowly now" in refused()


def test_a_dead_server_is_given_up_at_once(hub: LoopbackHub, sha: str) -> None:
    hub.stop()
    assert refused() == "The Hugging Face Hub cannot be reached now."


def test_a_silent_server_is_not_waited_for_without_end(
    hub: LoopbackHub, sha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    hub.fail("/resolve/", delay=3600, methods=["HEAD"])
    assert refused() == "The Hugging Face Hub cannot be reached now."


def test_a_server_that_falls_silent_is_given_up(
    hub: LoopbackHub, sha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    stream, tries = range_download._stream, list[int]()

    def counted(
        file: range_download.RemoteFile, start: int, stop: int
    ) -> Generator[bytes, None, None]:
        tries.append(start)
        return stream(file, start, stop)

    monkeypatch.setattr(range_download, "_stream", counted)
    after_the_header(hub)
    hub.fail("/cdn/", delay=3600)
    assert refused() == "The Hugging Face Hub cannot be reached now."
    after_header = [start for start in tries if start]  # those that a busy hub did not see, too
    assert len(after_header) == range_download.TRIES


def test_a_server_that_asks_for_patience_is_not_waited_for(hub: LoopbackHub, sha: str) -> None:
    after_the_header(hub)
    hub.fail("/cdn/", status=429, headers={"Retry-After": "3600"})
    assert "asked too often" in refused()
    assert len(asked_ranges(hub)) == 2


def test_a_weak_moment_passes(hub: LoopbackHub, sha: str) -> None:
    hub.fail("/cdn/", status=503, times=1)
    hub.fail("/cdn/", status=429, headers={"Retry-After": "0"}, times=1)
    hub.fail("/cdn/", lost=True, times=1)
    assert fetch_convolutions(REPO).is_file()


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "sign-in"),
        (403, "is not open to this account"),
        (404, "does not have what was looked for"),
        (429, "asked too often"),
        (500, "problem of its own (status 500)"),
    ],
)
@pytest.mark.parametrize("where", ["HEAD", "GET"])
def test_a_status_becomes_a_sentence(
    hub: LoopbackHub, sha: str, tmp_path: Path, status: int, words: str, where: str
) -> None:
    hub.fail("/resolve/", status=status, methods=[where])
    assert words in refused()
    assert not cached_files(tmp_path) + cached_files(tmp_path, "partial")


def test_private_gated_missing_and_impossible_repositories(hub: LoopbackHub) -> None:
    hub.add_repo("ada/private", files={FILE: b"-"}, private=True)
    hub.add_repo("ada/gated", files={FILE: b"-"}, gated=True)
    hub.add_repo("ada/empty")
    assert "wants a sign-in for ada/private" in refused("ada/private")
    assert "whom its owner has let in" in refused("ada/gated")
    assert refused("ada/empty") == f"ada/empty on the Hugging Face Hub has no {FILE}."
    assert "does not have what was looked for" in refused("ada/empty", "v2")
    for name in ("no such name", "../../etc", "a/b/c"):
        assert "is not the name of a repository" in refused(name)


def test_other_bytes_than_the_checksums_say_are_thrown_away(
    hub: LoopbackHub, sha: str, tmp_path: Path
) -> None:
    after_the_header(hub)
    hub.fail("/cdn/", garbage=True)
    assert "does not match its checksums; nothing of it is kept" in refused()
    assert not cached_files(tmp_path)
    assert not cached_files(tmp_path, "partial")
    hub.heal()
    assert fetch_convolutions(REPO).is_file()


@pytest.mark.parametrize("which", [0, 1], ids=["header", "tensors"])
def test_a_file_that_changes_meanwhile_is_refused(
    hub: LoopbackHub, sha: str, tmp_path: Path, which: int
) -> None:
    hub.fail("/resolve/", methods=["GET"], times=which)
    hub.fail("/resolve/", methods=["GET"], headers={"X-Linked-ETag": f'"{"0" * 64}"'})
    assert "changed while it was read" in refused()
    assert not cached_files(tmp_path)


def test_a_server_without_ranges_is_refused_before_it_sends_everything(
    hub: LoopbackHub, sha: str
) -> None:
    hub.fail("/cdn/", status=200)
    assert "does not send parts of files" in refused()


def test_other_parts_than_asked_for_are_refused(hub: LoopbackHub, sha: str, packed: bytes) -> None:
    size = len(packed)
    hub.fail("/cdn/", headers={"Content-Range": f"bytes 8-16391/{size}"}, times=1)
    assert "other parts than it is asked for" in refused()
    hub.fail("/cdn/", headers={"Content-Range": f"bytes 0-16383/{size + 1}"}, times=1)
    assert "other parts than it is asked for" in refused()


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {"features.0.weight": torch.zeros(64, 3, 3, 3)},
            "is not VGG-19: it has no features.0.bias",
        ),
        ({"features.0.weight": torch.zeros(64, 1, 3, 3)}, "features.0.weight has another shape"),
        (
            {"features.0.weight": torch.zeros(64, 3, 3, 3, dtype=torch.uint8)},
            "keeps features.0.weight in another number format than F32 or F16 or BF16",
        ),
        ({"relu1_1.codes": torch.zeros(64, 3, 3, 3)}, "is not VGG-19: it has no relu1_1.table"),
    ],
    ids=["missing", "shape", "numbers", "half packed"],
)
def test_another_network_is_refused_by_its_header(
    hub: LoopbackHub, tensors: dict[str, Tensor], words: str
) -> None:
    rest = {"classifier.0.weight": torch.zeros(300_000)}
    raws = {name: Raw.of(tensor) for name, tensor in (tensors | rest).items()}
    hub.add_repo(REPO, files={FILE: pack(raws, {})})
    assert words in refused()
    assert asked_ranges(hub) == [(0, BEGINNING)]


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HOSTILE: dict[str, Any] = {
    "overlapping": {"a": TENSOR, "b": {**TENSOR, "data_offsets": [4, 12]}},
    "outside": {"a": {**TENSOR, "data_offsets": [8, 16], "shape": [2]}, "b": TENSOR, "c": TENSOR},
    "too long": {"a": {**TENSOR, "data_offsets": [0, 10**12], "shape": [10**12 // 4]}},
    "negative": {"a": {**TENSOR, "data_offsets": [-8, 0]}},
    "backwards": {"a": {**TENSOR, "data_offsets": [8, 0]}},
    "negative shape": {"a": {**TENSOR, "shape": [-1, -2]}},
    "another size": {"a": {**TENSOR, "shape": [3]}},
    "fractions": {"a": {**TENSOR, "data_offsets": [0.0, 8.0]}},
    "truths": {"a": {**TENSOR, "shape": [True, 2]}},
    "words": {"a": {**TENSOR, "data_offsets": "08"}},
    "many offsets": {"a": {**TENSOR, "data_offsets": [0, 8, 9]}},
    "no dtype": {"a": {"shape": [2], "data_offsets": [0, 8]}},
    "a number for a tensor": {"a": 1},
    "a list": [],
    "a number": 7,
    "metadata of numbers": {"__metadata__": {"a": 1}, "a": TENSOR},
    "metadata in a list": {"__metadata__": ["a"], "a": TENSOR},
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_header_that_contradicts_itself_is_refused(header: Any) -> None:
    data = with_header(json.dumps(header).encode(), bytes(12))
    with pytest.raises(FormatError, match=r"^has a header that"):
        parse_header(data, len(data))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b'{"a": 1' + b"0" * 5000 + b"}",
        b'{"a": {}, "a": {}}',
    ],
    ids=["empty", "cut", "not UTF-8", "deep", "deeper", "huge number", "twice the same name"],
)
def test_a_header_that_is_no_header_is_refused(text: bytes) -> None:
    data = with_header(text, bytes(8))
    with pytest.raises(FormatError):
        parse_header(data, len(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!doctype html><title>Sign in</title>", "is no safetensors file"),
        (b"PK\3\4", "is no safetensors file"),
        ((2**63).to_bytes(8, "little") + bytes(100), "is no safetensors file"),
        ((2_000_000).to_bytes(8, "little") + bytes(2_000_000), "a header that is far too long"),
        (with_header(json.dumps(HOSTILE["overlapping"]).encode(), bytes(12)), "contradicts itself"),
        (with_header(b"{}" + b" " * 20_000), "is not VGG-19"),
    ],
    ids=["page", "short", "endless header", "long header", "overlapping", "two ranges"],
)
def test_what_is_no_network_is_refused_in_a_sentence(
    hub: LoopbackHub, tmp_path: Path, data: bytes, words: str
) -> None:
    hub.add_repo(REPO, files={FILE: data})
    message = refused()
    assert message.startswith(f"The {FILE} of {REPO} cannot be used: it ")
    assert words in message
    assert not cached_files(tmp_path) + cached_files(tmp_path, "partial")


def test_our_files_are_what_the_format_asks_for(tmp_path: Path, packed: bytes) -> None:
    """No gaps, aligned, a header of text and numbers, and a checksum for each tensor."""
    path = tmp_path / FILE
    path.write_bytes(packed)
    header = read_header(path)
    end = header_stop(packed, len(packed))
    assert end % 8 == 0
    for name, entry in header.tensors.items():
        assert entry.start == end
        assert entry.dtype == "U8" or entry.start % 4 == 0
        assert header.sum_of(name)
        end = entry.stop
    assert end == len(packed)
    assert pack_original() == packed


# --- As the setting asks for it -----------------------------------------------------------------


def test_a_failed_download_is_a_sentence_and_not_remembered(
    hub: LoopbackHub, packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_WEIGHTS_REPO", REPO)
    monkeypatch.setenv("NST_WEIGHTS_REVISION", "v1")
    with pytest.raises(WeightsError, match=f"^The Hugging Face Hub wants a sign-in for {REPO}"):
        load_weights("hub")
    sha = hub.add_repo(REPO, files={FILE: packed})
    with pytest.raises(WeightsError, match="does not have what was looked for"):
        load_weights("hub")
    hub.repo(REPO).tags["v1"] = sha
    assert list(load_weights("hub").convolutions)[-1] == "relu5_4"
    hub.stop()
    assert load_weights("hub") is load_weights("hub")


def test_nobody_waits_for_someone_elses_download(
    hub: LoopbackHub, sha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants the installed network gets it while another one is downloaded."""
    monkeypatch.setenv("NST_WEIGHTS_REPO", REPO)
    here, go_on = threading.Event(), threading.Event()
    loaded: list[VGGWeights] = []

    def wait() -> VGGWeights:
        here.set()
        assert go_on.wait(60)
        return load_original()

    load_original = nst.vgg.loading.load_original
    monkeypatch.setattr(nst.vgg.loading, "_load_hub", wait)
    thread = threading.Thread(target=lambda: loaded.append(load_weights("hub")))
    thread.start()
    assert here.wait(60)
    assert load_weights("original").convolutions
    assert not loaded
    go_on.set()
    thread.join()
    assert loaded


def test_the_default_is_timms_network(
    hub: LoopbackHub, packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_WEIGHTS_REPO", "")
    hub.add_repo("timm/vgg19.tv_in1k", files={FILE: packed})
    assert load_weights("hub").convolutions
    assert hub.asked("^/timm/vgg19.tv_in1k/resolve/main/")
