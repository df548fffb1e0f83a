"""The wheel has all that the commands need, and `nst studio` serves the page."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import page.serving
from helpers.places import ROOT
from nst.__main__ import command
from page.examples import FOLDER

pytestmark = pytest.mark.slow


PYPROJECT = (ROOT / "pyproject.toml").read_text()  # Python 3.10 cannot parse it by itself


def test_every_package_is_listed() -> None:
    listed = re.search(r"^packages = \[(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
    assert listed
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in ("nst", "page")
        for path in (ROOT / name).rglob("__init__.py")
    }
    assert set(re.findall(r'"([\w.]+)"', listed[1])) == found | {"nst.example_pictures"}


def test_everything_that_is_no_code_is_listed() -> None:
    files = {
        path
        for path in (ROOT / "page").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyi", ".pyc")
    }
    listed = re.findall(r'^"?(page[\w.]*)"? = \[(.*)\]$', PYPROJECT, re.MULTILINE)
    packed = {
        path
        for package, patterns in listed
        for pattern in re.findall(r'"([^"]+)"', patterns)
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    assert packed == files - {ROOT / "page" / "assets" / "deno.json"}  # the formatter's own
    assert FOLDER == ROOT / "examples"
    patterns = re.search(r'^"nst.example_pictures" = \[(.*)\]$', PYPROJECT, re.MULTILINE)
    assert patterns
    for pattern in re.findall(r'"([^"]+)"', patterns[1]):
        assert list(FOLDER.glob(pattern)), pattern


def test_nst_studio_serves_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[bool] = []
    monkeypatch.setattr(page.serving, "main", lambda: served.append(True))
    monkeypatch.setattr(sys, "argv", ["nst", "studio"])
    assert command() == 0
    assert served == [True]


def test_a_picture_may_be_called_studio(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst", "studio", "painting", "-o", "out.png"])
    assert command() == 1
    assert "studio" in capsys.readouterr().err
