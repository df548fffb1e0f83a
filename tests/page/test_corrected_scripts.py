"""Gradio's count of seconds ends with its component, and a lost connection costs no reload."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from helpers.browsing import Visit
from page.http.corrected_scripts import corrected_routes

BUILT = "z(()=>{k.status===`pending`?$e():v(()=>{X1()})})"


def test_the_installed_version_of_gradio_is_corrected() -> None:
    names = [route.path.removeprefix("/assets/").partition("-")[0] for route in corrected_routes()]
    assert names == ["statustracker", "Blocks"]


def test_an_effect_ends_the_count(tmp_path: Path) -> None:
    (tmp_path / "statustracker-ABCD.js").write_text(f"a();{BUILT},b()")
    (route,) = corrected_routes(tmp_path)
    with TestClient(Starlette(routes=[route])) as client:
        answer = client.get("/assets/statustracker-ABCD.js")
    assert answer.text == f"a();{BUILT},z(()=>()=>{{X1()}}),b()"
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("code", ["", "other()", BUILT * 2], ids=["empty", "other", "twice"])
def test_a_version_that_is_built_otherwise_is_left_as_it_is(tmp_path: Path, code: str) -> None:
    (tmp_path / "statustracker-ABCD.js").write_text(code)
    assert corrected_routes(tmp_path) == []


COUNT_FRAMES = """
const request = window.requestAnimationFrame.bind(window);
window.framesAsked = 0;
window.requestAnimationFrame = (draw) => {
    window.framesAsked += 1;
    return request(draw);
};
"""
COMES_TO_REST = """async () => {
    for (let tries = 0; tries < 40; tries += 1) {
        const before = window.framesAsked;
        await new Promise((go) => setTimeout(go, 500));
        if (window.framesAsked === before) return true;
    }
    return false;
}"""


@pytest.mark.browser
def test_a_page_that_rests_draws_no_frames(visit: Visit) -> None:
    """Gradio's loading screen asked for sixty a second, long after it was gone."""
    page = visit(script=COUNT_FRAMES)
    assert page.evaluate("window.framesAsked") > 0
    assert page.evaluate(COMES_TO_REST)
