"""The environment that asks for a cluster, where there is none to be had."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import page.serving
from helpers.places import ROOT
from nst.errors import MissingPackageError, SettingsError
from nst.studio.backends import pick_backend


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    monkeypatch.setenv("NST_RAY_ADDRESS", "auto")


@pytest.mark.usefixtures("address")
def test_without_ray_a_sentence_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install nst\[ray\]"):
        pick_backend().prepare()
    with pytest.raises(SystemExit) as exit:
        page.serving.prepared_backend()
    assert exit.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.ray
def test_an_address_that_cannot_stream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("NST_RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(SettingsError, match="HOST:PORT"):
        pick_backend().prepare()


BACKEND = """
import sys
from nst.studio.backends import pick_backend
assert type(pick_backend()).__name__ == "RayBackend"
assert not {"ray", "gradio"} & set(sys.modules)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("address")
def test_ray_stays_out_of_the_page_s_process() -> None:
    subprocess.run([sys.executable, "-c", BACKEND], cwd=ROOT, check=True, timeout=120)
