"""What the README says is true: its commands and snippets run, its front matter is a Space's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import SpaceCard, SpaceHardware
from packaging.requirements import Requirement
from PIL import Image

from helpers.clips import write_frames
from helpers.places import ROOT
from helpers.server import running_server
from nst import load_image
from nst.vgg.download import REPO

pytestmark = pytest.mark.slow


README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_front_matter_is_a_gradio_space() -> None:
    data: Any = SpaceCard(README).data
    assert (data.sdk, data.app_file, data.license) == ("gradio", "app.py", "mit")
    assert (ROOT / str(data.app_file)).is_file()
    assert len(str(data.short_description)) <= 60
    assert SpaceHardware(data.suggested_hardware) is SpaceHardware.ZERO_A10G
    assert re.fullmatch(r"\d+[mh]", data.startup_duration_timeout)
    assert (data.hf_oauth, data.hf_oauth_scopes) == (True, ["contribute-repos"])
    for line in data.preload_from_hub:
        repo, *files = line.split(" ")
        assert repo == REPO
        assert files == ["model.safetensors"]
        assert repo in data.models
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    requirements = [Requirement(line.partition("  #")[0]) for line in lines if line[:1] != "#"]
    (gradio,) = (requirement for requirement in requirements if requirement.name == "gradio")
    assert gradio.specifier.contains(str(data.sdk_version))


def test_every_link_and_picture_is_there() -> None:
    for target in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_make_knows_the_targets() -> None:
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        result = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr


@pytest.mark.real
def test_the_command_line_examples_run(tmp_path: Path) -> None:
    lines = re.findall(r"^python -m nst(?:\.batch|\.video)? .*$", README, flags=re.MULTILINE)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    write_frames(tmp_path / "clip.mp4", 3)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for line in lines:
        words = [sys.executable, *shlex.split(line)[1:]]
        subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)
    first, again = (load_image(tmp_path / name) for name in ("castle.png", "again.png"))
    assert max(first.size) == 128
    assert again.tobytes() == first.tobytes()
    assert (tmp_path / "film.mp4").stat().st_size > 1000


@pytest.mark.real
def test_the_python_examples_run(tmp_path: Path) -> None:
    library, masks, client = snippets("python")
    prepare = f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for snippet in (library, masks):
        subprocess.run([sys.executable, "-c", prepare + snippet], cwd=tmp_path, check=True)
        with Image.open(tmp_path / "castle.png") as picture:
            assert max(picture.size) == 128
        (tmp_path / "castle.png").unlink()
    with running_server() as server:
        client = client.replace("http://127.0.0.1:7860", server.url)
        subprocess.run([sys.executable, "-c", client], cwd=tmp_path, check=True)
