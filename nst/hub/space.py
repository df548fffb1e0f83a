"""The page on Hugging Face Spaces: creating the Space, and bringing the repository there.

Knows git and the Hub's Spaces; nothing of pictures.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from huggingface_hub import HfApi

from nst.errors import HubError
from nst.web.hub_client import Published, files_of, hub_errors, publish, signed_in

KEPT = (".gitattributes",)  # the Hub's own file, which says what its storage keeps elsewhere
THUMBNAIL = "examples/results.jpg"
ZEROGPU_TORCH = {  # the newest that ZeroGPU listed in November 2026; a CPU or a GPU takes any
    "torch>=2.8": "torch>=2.8,<2.12",
    "torchvision>=0.23": "torchvision>=0.23,<0.27",
}


def deploy(
    repo: str,
    folder: Path,
    *,
    private: bool = False,
    hardware: str | None = None,
    variables: Mapping[str, str] | None = None,
    api: HfApi | None = None,
) -> Published:
    """Bring the files that git tracks in `folder` to the Space `owner/name`, in one commit.

    The Space is made where there is none, and gets its hardware and variables; what is so already
    is left alone.

    `hardware` is a flavour of the Hub, such as cpu-basic or zero-a10g; the default is what the
    Space has, or what the account's Spaces begin with. Raises `HubError`.
    """
    api = signed_in(api or HfApi())
    files = tracked_files(folder)
    with hub_errors(repo):
        api.create_repo(
            repo,
            repo_type="space",
            space_sdk="gradio",
            space_hardware=cast(Any, hardware),  # new flavours come before their names do
            private=private,
            exist_ok=True,
        )
        hardware = _settle_hardware(api, repo, hardware)
        present = api.get_space_variables(repo)
        for name, value in (variables or {}).items():
            if name not in present or present[name].value != value:
                api.add_space_variable(repo, name, value)
    files["README.md"] = with_thumbnail(files["README.md"], f"{api.endpoint}/spaces/{repo}")
    files["requirements.txt"] += files.get("requirements-masks.txt", b"")  # a Space reads one file
    if hardware and hardware.startswith("zero"):
        files["requirements.txt"] = for_zerogpu(files["requirements.txt"])
    there = files_of(api, repo, "space")
    gone = set(there) - set(files) - set(KEPT)
    message = "The page as it is now"
    return publish(api, repo, files, message, kind="space", there=there, gone=gone)


def _settle_hardware(api: HfApi, repo: str, wanted: str | None) -> str | None:
    """Return what the Space runs on from now on."""
    runtime = api.get_space_runtime(repo)
    present = runtime.requested_hardware or runtime.hardware
    if wanted and wanted != present:
        api.request_space_hardware(repo, cast(Any, wanted))
    return wanted or present


def with_thumbnail(readme: bytes, space: str) -> bytes:
    """Return the README with the picture that stands for the Space elsewhere.

    It has to be an address and so depends on where the Space is.
    """
    line = f"thumbnail: {space}/resolve/main/{THUMBNAIL}\n"
    return readme.replace(b"---\n", b"---\n" + line.encode(), 1)


def for_zerogpu(requirements: bytes) -> bytes:
    """Return the requirements with the newest torch that ZeroGPU is known to run.

    Raises `HubError` when they are not the ones that are expected here.
    """
    lines = requirements.decode().splitlines()
    if not set(ZEROGPU_TORCH) <= set(lines):
        raise HubError("requirements.txt does not ask for torch in the way that ZeroGPU needs.")
    return "".join(f"{ZEROGPU_TORCH.get(line, line)}\n" for line in lines).encode()


def tracked_files(folder: Path) -> dict[str, bytes]:
    """Return what git tracks in `folder`, as it lies there, by path.

    Raises `HubError` outside of git.
    """
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=folder, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise HubError("Only a clone can be deployed: git does not know this folder.") from None
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
