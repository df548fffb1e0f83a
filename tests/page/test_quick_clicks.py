"""Clicks that are on their way at the same time leave one job, which the page shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from helpers.pictures import MakePicture
from nst.studio.job import Job
from nst.studio.task import State
from page.panels.paintings import Paintings
from page.studio import Studio

TAB: Any = SimpleNamespace(session_hash="tab", client=SimpleNamespace(host="127.0.0.1"))
OTHER_TAB: Any = SimpleNamespace(session_hash="other", client=SimpleNamespace(host="127.0.0.1"))
Stylize = Callable[..., Job]


@pytest.fixture
def studio(waiting_studio: Studio) -> Studio:
    """A page that is open in two tabs; its pictures wait and are never painted."""
    for tab in (TAB, OTHER_TAB):
        waiting_studio.session.tabs.sessions.enter(tab.session_hash, "")
    return waiting_studio


@pytest.fixture
def stylize(studio: Studio, tmp_path: Path, make_picture: MakePicture) -> Stylize:
    """Clicks Stylize and returns the job."""
    paths = {
        studio.session.photo: tmp_path / "photo.png",
        studio.session.painting: tmp_path / "painting.png",
    }
    for path in paths.values():
        make_picture(40, 30).save(path)
    values: dict[Any, Any] = {part: part.value for part in studio.session.controls.components}
    values |= {part: str(path) for part, path in paths.items()}
    values |= {studio.session.visitor: "jane", studio.session.current: ""}
    values |= {studio.session.paintings: Paintings(), studio.session.init: None}

    def click(tab: Any = TAB) -> Job:
        job = studio.session.workshop.find_job(
            studio.painting.begin(values, tab)[studio.session.current]
        )
        assert isinstance(job, Job)
        return job

    return click


def test_a_second_click_on_stylize_takes_the_place_of_the_first(
    studio: Studio, stylize: Stylize
) -> None:
    first, second = stylize(), stylize()
    assert studio.session.workshop.find_job(first.id) is None
    assert second.state is State.WAITING


def test_another_tab_paints_another_picture(stylize: Stylize) -> None:
    first, second = stylize(TAB), stylize(OTHER_TAB)
    assert first.state is second.state is State.WAITING


def test_stop_stops_what_the_page_shows_and_what_was_begun_since(
    studio: Studio, stylize: Stylize
) -> None:
    """A page that shows the first of two jobs must not be left with buttons that do nothing."""
    first, second = stylize(), stylize()
    updates = studio.painting.halt(first.id, TAB)
    assert not second.state.is_live
    assert list(updates) == [studio.session.result_panel.stop]
    ended = studio.painting.halt(first.id, TAB)
    assert ended[studio.session.result_panel.go] == gr.update(interactive=True)


def test_the_end_of_a_job_that_is_gone_gives_the_buttons_back(
    studio: Studio, stylize: Stylize
) -> None:
    job = stylize()
    job.stop()
    studio.session.workshop.forget(job.id)

    updates = studio.painting.see_the_end(job.id, "me", TAB)
    assert updates[studio.session.result_panel.go] == gr.update(interactive=True)


def test_a_tab_that_is_not_known_any_more_can_stop(studio: Studio, stylize: Stylize) -> None:
    job = stylize()
    studio.session.tabs.sessions.drop("tab")
    studio.painting.halt(job.id, TAB)
    assert job.state is State.STOPPED
