"""The Hub on loopback answers the real client as the Hub would, and fails as a network does."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    RepoFile,
    RepoFolder,
    SpaceHardware,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from helpers.loopback_hub import LoopbackHub, loopback_hub, sha256, without_xet

pytestmark = pytest.mark.slow


disable_progress_bars()

WEIGHTS = bytes(range(256)) * 40  # 10 KiB
CARD = b"---\ntags:\n- looks\nlicense: mit\n---\n# Looks\n"
FILES = {
    "README.md": CARD,
    "index.json": b'{"n": 1}',
    "looks/a.json": b"{}",
    "looks/deep/b.json": b"[]",
    "weights.safetensors": WEIGHTS,
}


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with loopback_hub() as hub, without_xet():
        yield hub


@pytest.fixture
def ada(hub: LoopbackHub) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.add_user("ada"))


@pytest.fixture
def bob(hub: LoopbackHub) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.add_user("bob"))


@pytest.fixture
def anyone(hub: LoopbackHub) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


def safetensors(**shapes: list[int]) -> bytes:
    """A file of zeros, in float32."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(offset)


# --- Looking things up --------------------------------------------------------------------------


def test_info_describes_the_repository_at_a_revision(hub: LoopbackHub, anyone: HfApi) -> None:
    first = hub.add_repo("ada/looks", "dataset", FILES)
    second = hub.push("ada/looks", "dataset", {"new.txt": b"new"}, delete=["index.json"])
    info = anyone.dataset_info("ada/looks", files_metadata=True)
    assert (info.id, info.author, info.sha, info.private) == ("ada/looks", "ada", second, False)
    assert info.tags == ["looks"]
    assert info.card_data is not None
    assert info.card_data["license"] == "mit"
    names = {file.rfilename: file for file in info.siblings or []}
    assert names["new.txt"].size == 3
    assert names["weights.safetensors"].lfs is not None
    assert names["weights.safetensors"].lfs["sha256"] == sha256(WEIGHTS)
    before = anyone.dataset_info("ada/looks", revision=first)
    assert {file.rfilename for file in before.siblings or []} == set(FILES)


def test_model_info_counts_parameters_and_names_unsafe_files(
    hub: LoopbackHub, anyone: HfApi
) -> None:
    hub.add_repo("ada/net", files={"model.safetensors": safetensors(a=[2, 3], b=[5])})
    hub.repo("ada/net").issues["old.pkl"] = "unsafe"
    info = anyone.model_info("ada/net", securityStatus=True)
    assert info.safetensors is not None
    assert info.safetensors.total == 11
    assert info.security_repo_status == {
        "scansDone": True,
        "filesWithIssues": [{"path": "old.pkl", "level": "unsafe"}],
    }
    few = anyone.model_info("ada/net", expand=["sha", "tags"])
    assert few.sha == info.sha
    assert few.siblings is None


def test_a_space_tells_its_sdk_and_hardware(hub: LoopbackHub, ada: HfApi) -> None:
    ada.create_repo(
        "ada/studio",
        repo_type="space",
        space_sdk="gradio",
        space_secrets=[{"key": "KEY", "value": "hidden"}],
    )
    assert ada.space_info("ada/studio").sdk == "gradio"
    runtime = ada.request_space_hardware("ada/studio", SpaceHardware.T4_SMALL)
    assert runtime.requested_hardware == "t4-small"
    assert ada.get_space_runtime("ada/studio").stage == "RUNNING"
    ada.add_space_secret("ada/studio", "OTHER", "hidden too")
    assert ada.add_space_variable("ada/studio", "SIZE", "384")["SIZE"].value == "384"
    space = hub.repo("ada/studio", "space")
    assert space.secrets == {"KEY": "hidden", "OTHER": "hidden too"}
    assert set(ada.get_space_secrets("ada/studio")) == {"KEY", "OTHER"}
    assert ada.delete_space_variable("ada/studio", "SIZE") == {}


def test_a_tree_is_listed_level_by_level_or_whole(hub: LoopbackHub, anyone: HfApi) -> None:
    sha = hub.add_repo("ada/looks", "dataset", FILES)
    top = anyone.list_repo_tree("ada/looks", repo_type="dataset")
    kinds = {item.path: type(item) for item in top}
    assert kinds["looks"] is RepoFolder
    assert kinds["index.json"] is RepoFile
    assert "looks/a.json" not in kinds
    below = anyone.list_repo_tree("ada/looks", "looks", repo_type="dataset", recursive=True)
    assert [item.path for item in below] == ["looks/a.json", "looks/deep", "looks/deep/b.json"]
    assert set(anyone.list_repo_files("ada/looks", repo_type="dataset")) == set(FILES)
    (file,) = anyone.get_paths_info(
        "ada/looks", ["weights.safetensors", "missing"], repo_type="dataset", expand=True
    )
    assert isinstance(file, RepoFile)
    assert file.lfs is not None
    assert (file.size, file.lfs.sha256) == (len(WEIGHTS), sha256(WEIGHTS))
    assert file.last_commit is not None
    assert file.last_commit.oid == sha
    assert file.security is not None
    assert file.security.safe


@pytest.mark.parametrize("expand", [False, True])
def test_a_long_tree_comes_in_pages(hub: LoopbackHub, anyone: HfApi, expand: bool) -> None:
    names = [f"{number:03}.txt" for number in range(23)]
    hub.add_repo("ada/many", files=dict.fromkeys(names, b""))
    hub.page_size = 10
    assert [item.path for item in anyone.list_repo_tree("ada/many", expand=expand)] == names
    assert len(hub.asked("/tree/")) == 3


def test_repositories_can_be_found(hub: LoopbackHub, anyone: HfApi, ada: HfApi) -> None:
    hub.add_repo("ada/looks", "dataset", FILES)
    hub.add_repo("ada/hidden", "dataset", FILES, private=True)
    hub.add_repo("bob/other", "dataset")
    found = anyone.list_datasets(author="ada")
    assert [info.id for info in found] == ["ada/looks"]
    assert {info.id for info in ada.list_datasets(filter="looks")} == {"ada/looks", "ada/hidden"}


def test_history_branches_and_tags(hub: LoopbackHub, ada: HfApi) -> None:
    first = hub.add_repo("ada/looks", files={"a": b"1"})
    second = hub.push("ada/looks", files={"a": b"2"}, title="Second")
    ada.create_tag("ada/looks", tag="v1", revision=first)
    ada.create_branch("ada/looks", branch="draft")
    listed = [(commit.commit_id, commit.title) for commit in ada.list_repo_commits("ada/looks")]
    assert listed == hub.commits("ada/looks") == [(second, "Second"), (first, "initial commit")]
    refs = ada.list_repo_refs("ada/looks")
    branches = [(branch.name, branch.target_commit) for branch in refs.branches]
    assert branches == [("main", second), ("draft", second)]
    assert [tag.target_commit for tag in refs.tags] == [first]
    assert ada.model_info("ada/looks", revision="v1").sha == first


# --- Downloads ----------------------------------------------------------------------------------


def test_a_file_is_downloaded_and_then_found_in_the_cache(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add_repo("ada/looks", "dataset", FILES)
    for name in ("index.json", "weights.safetensors"):
        path = hf_hub_download(
            "ada/looks", name, repo_type="dataset", endpoint=hub.url, cache_dir=tmp_path
        )
        assert Path(path).read_bytes() == FILES[name]
    sent = len(hub.asked(method="GET"))
    hf_hub_download(
        "ada/looks", "index.json", repo_type="dataset", endpoint=hub.url, cache_dir=tmp_path
    )
    assert len(hub.asked(method="GET")) == sent


def test_a_token_goes_to_the_hub_and_not_to_its_storage(
    hub: LoopbackHub, ada: HfApi, tmp_path: Path
) -> None:
    hub.add_repo("ada/looks", files=FILES, private=True)
    ada.hf_hub_download("ada/looks", "weights.safetensors", cache_dir=tmp_path)
    assert {request.token for request in hub.asked("/resolve/")} == {ada.token}
    assert [request.token for request in hub.asked("/cdn/")] == [None]


def test_a_snapshot_takes_what_the_patterns_allow(hub: LoopbackHub, tmp_path: Path) -> None:
    sha = hub.add_repo("ada/looks", "dataset", FILES)
    folder = snapshot_download(
        "ada/looks",
        repo_type="dataset",
        allow_patterns=["*.json"],
        endpoint=hub.url,
        cache_dir=tmp_path,
    )
    found = {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}
    assert found == {"index.json", "looks/a.json", "looks/deep/b.json"}
    assert Path(folder).name == sha
    assert not hub.asked("safetensors")


def test_a_range_is_answered_with_that_part(hub: LoopbackHub, anyone: HfApi) -> None:
    content = safetensors(gram=[64, 64])
    hub.add_repo("ada/net", files={"model.safetensors": content})
    metadata = anyone.get_safetensors_metadata("ada/net")
    assert metadata.files_metadata["model.safetensors"].tensors["gram"].shape == [64, 64]
    url = f"{hub.url}/ada/net/resolve/main/model.safetensors"
    for asked, status, part in [
        ("bytes=8-15", 206, content[8:16]),
        ("bytes=16380-", 206, content[16380:]),
        ("bytes=-4", 206, content[-4:]),
        (f"bytes={len(content)}-", 416, b""),
    ]:
        answer = httpx2.get(url, headers={"Range": asked}, follow_redirects=True)
        assert (answer.status_code, answer.content) == (status, part)


# --- What is refused ----------------------------------------------------------------------------


def test_what_is_missing_is_named(hub: LoopbackHub, ada: HfApi, tmp_path: Path) -> None:
    hub.add_repo("ada/looks", files=FILES)
    with pytest.raises(RepositoryNotFoundError):
        ada.model_info("ada/nothing")
    with pytest.raises(RevisionNotFoundError):
        ada.model_info("ada/looks", revision="v2")
    with pytest.raises(EntryNotFoundError):
        list(ada.list_repo_tree("ada/looks", "nowhere"))
    with pytest.raises(RemoteEntryNotFoundError):
        ada.hf_hub_download("ada/looks", "nothing.txt", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        ada.hf_hub_download("ada/looks", "index.json", revision="v2", cache_dir=tmp_path)


def test_a_private_repository_is_only_there_for_its_owner(
    hub: LoopbackHub, ada: HfApi, bob: HfApi, anyone: HfApi, tmp_path: Path
) -> None:
    hub.add_repo("ada/looks", files=FILES, private=True)
    assert ada.model_info("ada/looks").private
    for api, status in ((bob, 404), (anyone, 401)):
        with pytest.raises(RepositoryNotFoundError) as caught:
            api.model_info("ada/looks")
        assert caught.value.response.status_code == status
        with pytest.raises(RepositoryNotFoundError):
            api.hf_hub_download("ada/looks", "index.json", cache_dir=tmp_path)


def test_a_gated_repository_shows_itself_and_keeps_its_files(
    hub: LoopbackHub, bob: HfApi, anyone: HfApi, tmp_path: Path
) -> None:
    hub.add_repo("ada/looks", files=FILES, gated=True)
    assert bob.model_info("ada/looks").gated == "manual"
    for api in (bob, anyone):
        with pytest.raises(GatedRepoError):
            api.hf_hub_download("ada/looks", "index.json", cache_dir=tmp_path)


def test_a_revoked_token_is_refused_even_where_none_is_needed(hub: LoopbackHub, ada: HfApi) -> None:
    hub.add_repo("ada/looks", files=FILES)
    assert ada.whoami()["name"] == "ada"
    hub.revoke(str(ada.token))
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        ada.whoami()
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        ada.model_info("ada/looks")
    assert caught.value.response.status_code == 401


def test_only_the_owner_writes(hub: LoopbackHub, bob: HfApi, anyone: HfApi) -> None:
    hub.add_repo("ada/looks", files=FILES)
    reader = HfApi(endpoint=hub.url, token=hub.add_user("ada", role="read"))
    for api, status in ((bob, 403), (reader, 403), (anyone, 401)):
        with pytest.raises(HfHubHTTPError) as caught:
            api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="ada/looks")
        assert caught.value.response.status_code == status
        with pytest.raises(HfHubHTTPError):
            api.create_repo("ada/more")
        with pytest.raises(HfHubHTTPError):
            api.delete_repo("ada/looks")
    assert hub.files("ada/looks") == FILES


# --- Uploads ------------------------------------------------------------------------------------


def test_a_repository_is_made_once_and_deleted(hub: LoopbackHub, ada: HfApi) -> None:
    url = ada.create_repo("ada/looks", repo_type="dataset", private=True)
    assert (url.repo_id, url.repo_type) == ("ada/looks", "dataset")
    assert ada.create_repo("ada/looks", repo_type="dataset", exist_ok=True) == url
    with pytest.raises(HfHubHTTPError) as caught:
        ada.create_repo("ada/looks", repo_type="dataset")
    assert caught.value.response.status_code == 409
    assert hub.repo("ada/looks", "dataset").private
    ada.update_repo_settings("ada/looks", repo_type="dataset", private=False)
    assert not hub.repo("ada/looks", "dataset").private
    ada.delete_repo("ada/looks", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        ada.delete_repo("ada/looks", repo_type="dataset")
    ada.delete_repo("ada/looks", repo_type="dataset", missing_ok=True)


def test_a_commit_adds_copies_and_deletes(hub: LoopbackHub, ada: HfApi) -> None:
    hub.add_repo("ada/looks", files=FILES)
    info = ada.create_commit(
        "ada/looks",
        [
            CommitOperationAdd("new.txt", b"new"),
            CommitOperationAdd("empty.safetensors", b""),
            CommitOperationAdd("more.safetensors", WEIGHTS[::-1]),
            CommitOperationCopy("weights.safetensors", "copy.safetensors"),
            CommitOperationDelete("index.json"),
            CommitOperationDelete("looks/"),
        ],
        commit_message="Tidy up",
        commit_description="At last",
    )
    assert hub.files("ada/looks") == {
        "README.md": CARD,
        "new.txt": b"new",
        "empty.safetensors": b"",
        "weights.safetensors": WEIGHTS,
        "copy.safetensors": WEIGHTS,
        "more.safetensors": WEIGHTS[::-1],
    }
    assert hub.commits("ada/looks")[0] == (info.oid, "Tidy up")
    assert info.commit_url == f"{hub.url}/ada/looks/commit/{info.oid}"
    (upload,) = hub.asked("/upload/")
    assert upload.token is None
    assert len(hub.asked("lfs/objects/verify")) == 1


def test_what_is_there_already_is_not_sent_again(hub: LoopbackHub, ada: HfApi) -> None:
    head = hub.add_repo("ada/looks", files=FILES)
    again = [CommitOperationAdd(path, content) for path, content in FILES.items()]
    assert ada.create_commit("ada/looks", again, commit_message="Again").oid == head
    assert not hub.asked("/upload/|/commit/")
    moved = [CommitOperationAdd("elsewhere.safetensors", WEIGHTS)]
    ada.create_commit("ada/looks", moved, commit_message="Elsewhere")
    assert not hub.asked("/upload/")
    assert hub.files("ada/looks")["elsewhere.safetensors"] == WEIGHTS


def test_a_folder_is_uploaded_but_for_what_git_ignores(
    hub: LoopbackHub, ada: HfApi, tmp_path: Path
) -> None:
    contents = {"a.txt": "a", "sub/b.txt": "b", "sub/c.log": "c", ".gitignore": "*.log\n"}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    ada.create_repo("ada/looks")
    ada.upload_folder(repo_id="ada/looks", folder_path=tmp_path)
    wanted = {".gitattributes", ".gitignore", "a.txt", "sub/b.txt"}
    assert set(hub.files("ada/looks")) == wanted


def test_a_picture_of_a_dataset_is_kept_as_a_large_file(hub: LoopbackHub, ada: HfApi) -> None:
    ada.create_repo("ada/looks", repo_type="dataset")
    with io.BytesIO(b"\x89PNG" + bytes(100)) as picture:
        ada.upload_file(
            path_or_fileobj=picture,
            path_in_repo="a.png",
            repo_id="ada/looks",
            repo_type="dataset",
        )
    assert len(hub.asked("/upload/")) == 1
    assert hub.files("ada/looks", "dataset")["a.png"] == b"\x89PNG" + bytes(100)


def test_a_commit_onto_an_older_parent_is_refused(hub: LoopbackHub, ada: HfApi) -> None:
    parent = hub.add_repo("ada/looks", files=FILES)
    hub.push("ada/looks", files={"index.json": b"{}"})
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        ada.create_commit(
            "ada/looks",
            [CommitOperationAdd("index.json", b"[]")],
            commit_message="Mine",
            parent_commit=parent,
        )
    assert caught.value.response.status_code == 412
    assert hub.files("ada/looks")["index.json"] == b"{}"


def test_anyone_may_propose_a_change(hub: LoopbackHub, bob: HfApi) -> None:
    hub.add_repo("ada/looks", files=FILES)
    info = bob.upload_file(
        path_or_fileobj=b"better",
        path_in_repo="index.json",
        repo_id="ada/looks",
        create_pr=True,
    )
    assert (info.pr_num, info.pr_revision) == (1, "refs/pr/1")
    assert hub.files("ada/looks") == FILES
    assert hub.files("ada/looks", revision="refs/pr/1")["index.json"] == b"better"


def test_deleting_what_is_not_there_is_an_error(hub: LoopbackHub, ada: HfApi) -> None:
    hub.add_repo("ada/looks", files=FILES)
    with pytest.raises(EntryNotFoundError, match="trailing '/'"):
        ada.delete_file("looks", "ada/looks")


def test_a_card_is_checked_before_it_is_pushed(hub: LoopbackHub, ada: HfApi) -> None:
    hub.add_repo("ada/looks", files=FILES)
    ada.upload_file(path_or_fileobj=b"# New", path_in_repo="README.md", repo_id="ada/looks")
    assert len(hub.asked("/api/validate-yaml")) == 1
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        ada.upload_file(
            path_or_fileobj=b"---\na: [1\n---\n", path_in_repo="README.md", repo_id="ada/looks"
        )


def test_a_process_of_its_own_reaches_it_by_the_environment(hub: LoopbackHub) -> None:
    token = hub.add_user("ada")
    hub.add_repo("ada/looks", files={})
    script = (
        "from huggingface_hub import upload_file, whoami; print(whoami()['name']);"
        "upload_file(path_or_fileobj=b'0' * 9, path_in_repo='w.bin', repo_id='ada/looks')"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **hub.environment(token)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "ada\n"
    assert hub.files("ada/looks") == {"w.bin": b"0" * 9}


# --- What goes wrong ----------------------------------------------------------------------------


def download(hub: LoopbackHub, folder: Path, name: str = "weights.safetensors") -> bytes:
    path = hf_hub_download("ada/net", name, endpoint=hub.url, cache_dir=folder)
    return Path(path).read_bytes()


@pytest.fixture
def net(hub: LoopbackHub) -> LoopbackHub:
    hub.add_repo("ada/net", files=FILES)
    return hub


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_a_status_is_answered_as_long_as_wished(
    net: LoopbackHub, anyone: HfApi, status: int
) -> None:
    fault = net.fail("/api/models/ada/net$", status=status, times=1)
    with pytest.raises(BadRequestError if status == 400 else HfHubHTTPError) as caught:
        anyone.model_info("ada/net")
    assert caught.value.response.status_code == status
    assert anyone.model_info("ada/net").id == "ada/net"
    assert fault.hits == 1


def test_whoever_is_told_to_wait_comes_back(net: LoopbackHub, anyone: HfApi) -> None:
    net.fail("/tree/", status=429, headers={"Retry-After": "0"}, times=1)
    start = time.monotonic()
    assert set(anyone.list_repo_files("ada/net")) == set(FILES)
    assert time.monotonic() - start > 0.9  # the client adds a second to what it is told
    assert [request.status for request in net.asked("/tree/")] == [429, 200]


def test_a_download_that_is_cut_begins_again(net: LoopbackHub, tmp_path: Path) -> None:
    net.fail("/cdn/", cut=True, times=1)
    assert download(net, tmp_path) == WEIGHTS
    assert ["range" in request.headers for request in net.asked("/cdn/")] == [False, False]


def test_a_long_download_that_is_cut_goes_on_where_it_was(hub: LoopbackHub, tmp_path: Path) -> None:
    kept = 10 * 1024 * 1024  # the client writes down what it has in pieces of this size
    weights = bytes(2 * kept + 100)
    hub.add_repo("ada/net", files={"weights.safetensors": weights})
    hub.fail("/cdn/", cut=True, times=1)
    assert download(hub, tmp_path) == weights
    _, second = hub.asked("/cdn/")
    assert (second.headers["range"], second.status) == (f"bytes={kept}-", 206)


def test_wrong_bytes_of_the_right_length_are_not_noticed_by_the_client(
    net: LoopbackHub, tmp_path: Path
) -> None:
    net.fail("/cdn/", garbage=True)
    received = download(net, tmp_path)
    assert len(received) == len(WEIGHTS)
    assert sha256(received) != sha256(WEIGHTS)


def test_a_length_other_than_that_of_the_metadata_is_an_error(
    net: LoopbackHub, tmp_path: Path
) -> None:
    net.fail("/cdn/", body=WEIGHTS[:-1])
    with pytest.raises(OSError, match="Consistency check failed"):
        download(net, tmp_path)


def test_more_than_was_declared_is_left_in_the_wire(net: LoopbackHub, anyone: HfApi) -> None:
    net.fail("/api/models/ada/net$", declare=-5)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        anyone.model_info("ada/net")
    net.heal()
    assert anyone.model_info("ada/net").id == "ada/net"


def test_less_than_was_declared_is_a_broken_connection(net: LoopbackHub, anyone: HfApi) -> None:
    net.fail("/api/models/ada/net$", declare=+5)
    with pytest.raises(httpx2.RemoteProtocolError):
        anyone.model_info("ada/net")


def test_something_else_may_answer(net: LoopbackHub, anyone: HfApi) -> None:
    net.fail("/api/", body=b"<html>Log in to the hotel's network</html>")
    with pytest.raises(json.JSONDecodeError):
        anyone.model_info("ada/net")


def test_a_slow_answer_comes_in_the_end(net: LoopbackHub, tmp_path: Path) -> None:
    net.fail("/cdn/", slow=0.02)
    start = time.monotonic()
    assert download(net, tmp_path) == WEIGHTS
    assert time.monotonic() - start > 0.02 * 9  # the tenth of 10 KiB may end it


def test_a_late_answer_runs_into_the_timeout(net: LoopbackHub, anyone: HfApi) -> None:
    net.fail("/api/models/ada/net$", delay=30)
    with pytest.raises(httpx2.ReadTimeout):
        anyone.model_info("ada/net", timeout=0.2)


def test_a_commit_may_succeed_without_an_answer(net: LoopbackHub, ada: HfApi) -> None:
    net.fail("/commit/", lost=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        ada.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="ada/net")
    assert net.files("ada/net")["x.txt"] == b"x"
    assert [request.status for request in net.asked("/commit/")] == [0]


def test_an_upload_is_sent_again_when_the_storage_stumbles(net: LoopbackHub, ada: HfApi) -> None:
    net.fail("/upload/", status=503, times=1)
    ada.upload_file(path_or_fileobj=b"1" * 9, path_in_repo="w.bin", repo_id="ada/net")
    assert [request.status for request in net.asked("/upload/")] == [503, 200]
    assert net.files("ada/net")["w.bin"] == b"1" * 9


def test_a_fault_may_be_for_some_methods_only(net: LoopbackHub, tmp_path: Path) -> None:
    net.fail("/resolve/", status=500, methods=["GET"])
    with pytest.raises(HfHubHTTPError):
        download(net, tmp_path, "index.json")
    assert [(r.method, r.status) for r in net.asked("/resolve/")] == [("HEAD", 200), ("GET", 500)]


def test_a_hub_that_is_off_can_come_back_at_the_same_place(
    net: LoopbackHub, anyone: HfApi, tmp_path: Path
) -> None:
    url = net.url
    anyone.model_info("ada/net")  # leaves a connection open
    net.stop()
    with pytest.raises(httpx2.ConnectError):
        anyone.model_info("ada/net")
    with pytest.raises(LocalEntryNotFoundError):
        snapshot_download("ada/net", endpoint=net.url, cache_dir=tmp_path)
    net.start()
    assert net.url == url
    assert anyone.model_info("ada/net").id == "ada/net"
    content = download(net, tmp_path)
    net.stop()
    assert download(net, tmp_path) == content  # from the cache


def test_stopping_ends_a_slow_answer(net: LoopbackHub) -> None:
    net.fail("/cdn/", slow=30)
    timer = threading.Timer(0.2, net.stop)
    timer.start()
    start = time.monotonic()
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(
            f"{net.url}/ada/net/resolve/main/weights.safetensors",
            follow_redirects=True,
            timeout=10,
        )
    timer.join()
    assert time.monotonic() - start < 5


# --- Logging in ---------------------------------------------------------------------------------


def code_for(hub: LoopbackHub, user: str, scope: str = "openid profile") -> str:
    """The user follows their link on the page that asks."""
    asked = {
        "response_type": "code",
        "client_id": hub.client_id,
        "redirect_uri": "http://127.0.0.1/login/callback?_target_url=/",
        "scope": scope,
        "state": "the state",
    }
    hub.next_user = user
    answer = httpx2.get(f"{hub.url}/oauth/authorize", params=asked)
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == ["the state"]
    assert query["_target_url"] == ["/"]
    return query["code"][0]


def redeem(hub: LoopbackHub, code: str, secret: str | None = None) -> httpx2.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": "http://127.0.0.1/login/callback?_target_url=/",
    }
    client = (hub.client_id, secret or hub.client_secret)
    return httpx2.post(f"{hub.url}/oauth/token", data=form, auth=client)


def test_a_code_is_redeemed_once_for_a_token_with_scopes(hub: LoopbackHub) -> None:
    pytest.importorskip("cryptography")
    code = code_for(hub, "ada", "openid profile contribute-repos")
    assert redeem(hub, code, "a wrong secret").status_code == 401
    token = redeem(hub, code).json()["access_token"]
    assert redeem(hub, code).json()["error"] == "invalid_grant"
    answer = httpx2.get(
        f"{hub.url}/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}
    ).json()
    assert (answer["name"], answer["preferred_username"]) == ("Ada", "ada")
    api = HfApi(endpoint=hub.url, token=token)
    assert api.whoami()["name"] == "ada"
    hub.add_repo("ada/own", files=FILES)
    with pytest.raises(HfHubHTTPError, match="403"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="ada/own")
    api.create_repo("ada/made-by-the-app")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="ada/made-by-the-app")
    assert hub.files("ada/made-by-the-app")["x"] == b"x"


def test_a_login_without_a_scope_for_it_writes_nothing(hub: LoopbackHub) -> None:
    pytest.importorskip("cryptography")
    token = redeem(hub, code_for(hub, "ada")).json()["access_token"]
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(endpoint=hub.url, token=token).create_repo("ada/looks")


def test_the_page_offers_every_user_and_to_refuse(hub: LoopbackHub) -> None:
    hub.add_user("ada")
    hub.add_user("bob")
    back = "http://127.0.0.1/login/callback"
    asked = {"response_type": "code", "client_id": hub.client_id, "redirect_uri": back}
    page = httpx2.get(f"{hub.url}/oauth/authorize", params=asked).text
    assert [page.count(text) for text in ("Authorize as ada", "Authorize as bob", "Deny")] == [
        1
    ] * 3
    hub.next_user = ""
    answer = httpx2.get(f"{hub.url}/oauth/authorize", params=asked)
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["error"] == ["access_denied"]


LOGIN = """
import fastapi
import httpx2
from fastapi.testclient import TestClient
from gradio import oauth

app = fastapi.FastAPI()
oauth.attach_oauth(app)


@app.get("/me")
def me(request: fastapi.Request):
    profile = oauth.OAuthProfile(request.session["oauth_info"]["userinfo"])
    return [profile.username, profile.name, profile.picture, oauth.require_oauth_token(request)]


with TestClient(app, base_url="https://studio.test") as page:
    asked = page.get("/login/huggingface", follow_redirects=False).headers["location"]
    back = httpx2.get(asked).headers["location"]
    page.get(back, follow_redirects=False)
    print(*page.get("/me").json())
"""


def test_gradio_logs_a_user_in(hub: LoopbackHub) -> None:
    pytest.importorskip("authlib")
    pytest.importorskip("itsdangerous")
    hub.next_user = "ada"
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOGIN],
        env={**os.environ, **hub.environment(), **hub.oauth_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.returncode == 0, printed.stderr
    username, name, picture, token = printed.stdout.split()
    assert (username, name) == ("ada", "Ada")
    assert httpx2.get(picture).headers["content-type"] == "image/svg+xml"
    assert HfApi(endpoint=hub.url, token=token).whoami()["name"] == "ada"
