"""What texts name is there: modules and their contents, files, and make's targets."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from helpers.places import ROOT

pytestmark = pytest.mark.slow


SOURCES = [*(ROOT / "nst").rglob("*.py"), *(ROOT / "page").rglob("*.py"), ROOT / "app.py"]
PAPERS = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]
PAPERS += (ROOT / "docs").glob("*.md")
TEXTS = sorted([*SOURCES, *PAPERS, *(ROOT / "tests").rglob("*.py")])
DOTTED = re.compile(r"`((?:nst|page)(?:\.\w+)+)`")
A_FILE = re.compile(
    r"(?<![\w/.-])((?:nst|page|tests|benchmarks|docs|examples)/[\w/.-]*\w\.(?:py|md|js|css|html|json|jpg|png))\b"
)


def is_there(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something inside one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_in_texts_are_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    stale = [name for name in DOTTED.findall(text) if not is_there(name)]
    if path.suffix == ".md" or path in SOURCES:
        stale += [name for name in A_FILE.findall(text) if not (ROOT / name).exists()]
    assert stale == []
