"""A batch that cannot be, or is not the visitor's, and what is said of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from helpers.painting import SMALL, tone
from helpers.photo_batches import MakeBatch, make_batch
from helpers.pictures import MakePicture
from helpers.working import settle
from nst.errors import TooLargeError
from nst.studio.batch_job import Batch, BatchPhoto
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.task import State
from page.panels.components import Choice
from page.panels.paintings import Paintings, Region
from page.panels.photo_tray import Tray, TrayPhoto, named
from page.studio import Studio

__all__ = ["make_batch"]  # a fixture

TAB: Any = SimpleNamespace(session_hash="tab", client=SimpleNamespace(host="127.0.0.1"))


@pytest.fixture
def studio(waiting_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A page whose pictures wait and are never painted."""
    expected = SimpleNamespace(seconds=2.0, bytes=1, borrowed=0)
    admit = "nst.studio.backends.local.LocalBackend.admit"
    monkeypatch.setattr(admit, lambda *_, **__: expected)
    monkeypatch.setattr(gr, "Warning", lambda _: None)
    waiting_studio.session.tabs.sessions.enter(TAB.session_hash, "")
    return waiting_studio


@pytest.fixture
def values(studio: Studio, tmp_path: Path, make_picture: MakePicture) -> dict[Any, Any]:
    """What a click on Stylize brings, with three photos in the tray."""
    session = studio.session
    paths = [tmp_path / f"{name}.png" for name in ("painting", "one", "two", "three")]
    for seed, path in enumerate(paths):
        make_picture(40, 30, seed).save(path)
    tray = tuple(TrayPhoto(Choice(str(path)), path.name) for path in paths[1:])
    values: dict[Any, Any] = {part: part.value for part in session.controls.components}
    values |= {session.visitor: "jane", session.current: "", session.init: None}
    values |= {session.photo: str(paths[1]), session.painting: str(paths[0])}
    return values | {session.paintings: Paintings(), session.tray: Tray(tray)}


def begun(studio: Studio, values: dict[Any, Any]) -> Batch:
    id = studio.painting.begin(values, TAB)[studio.session.current]
    batch = studio.session.workshop.find_batch(id)
    assert batch
    return batch


def test_the_tray_becomes_one_batch_with_one_card(studio: Studio, values: dict[Any, Any]) -> None:
    batch = begun(studio, values)
    assert [photo.name for photo in batch.photos] == ["one.png", "two.png", "three.png"]
    assert {photo.size for photo in batch.photos} == {(40, 30)}
    assert batch.expected == 2.0
    (card,) = studio.session.workshop.cards("jane")
    assert (card.id, card.noun, card.total) == (batch.id, "batch", 3)
    assert studio.painting.estimate(values) == '<p class="hint">3 photos will take about 6 s.</p>'


def test_an_empty_tray_is_one_picture(studio: Studio, values: dict[Any, Any]) -> None:
    id = studio.painting.begin({**values, studio.session.tray: Tray()}, TAB)[studio.session.current]
    assert isinstance(studio.session.workshop.find(id), Job)


def test_regions_belong_to_one_photo(
    studio: Studio, values: dict[Any, Any], tmp_path: Path
) -> None:
    regions = (Region(str(tmp_path / "missing.png"), 0),)
    values[studio.session.paintings] = Paintings(regions=regions)
    assert len(begun(studio, values).paintings) == 1


def test_that_faces_are_protected_is_told_and_kept(studio: Studio, values: dict[Any, Any]) -> None:
    pytest.importorskip("cv2")
    tray = studio.session.tray
    values[tray] = Tray(values[tray].photos, protects_faces=True)
    batch = begun(studio, values)
    assert batch.protects_faces
    assert studio.session.on_panel(batch)[tray]["faces"] is True
    value = tray.preprocess(studio.session.on_panel(batch)[tray] | {"photos": []})
    assert (value.protects_faces, bool(value)) == (True, False)


def test_without_opencv_no_faces_can_be_protected(
    studio: Studio, values: dict[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    tray = studio.session.tray
    values[tray] = Tray(values[tray].photos, protects_faces=True)
    assert "need OpenCV" in studio.painting.estimate(values)
    updates = studio.painting.begin(values, TAB)
    assert "need OpenCV" in updates[studio.session.result_panel.status]
    assert studio.session.workshop.cards("jane") == []


@pytest.mark.parametrize(
    ("count", "sentence"), [(21, "at most 20 photos; please remove 1."), (20, "")]
)
def test_twenty_photos_are_the_most(
    studio: Studio, values: dict[Any, Any], count: int, sentence: str
) -> None:
    (first, *_) = values[studio.session.tray].photos
    values[studio.session.tray] = Tray((first,) * count)
    updates = studio.painting.begin(values, TAB)
    assert bool(studio.session.workshop.cards("jane")) == (not sentence)
    assert sentence in updates[studio.session.result_panel.status]
    assert sentence in studio.painting.estimate(values)


def test_photos_that_are_too_large_together_are_refused(
    studio: Studio, values: dict[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nst.studio.batch_job.MOST_BATCH_BYTES", 1000)
    said = studio.painting.begin(values, TAB)[studio.session.result_panel.status]
    assert "MB are the most; please remove some." in said
    assert studio.session.workshop.cards("jane") == []


def test_a_full_queue_refuses_it_and_keeps_nothing(
    studio: Studio, values: dict[Any, Any], tmp_path: Path
) -> None:
    studio.session.workshop._queue.limits = Limits(painters=0, waiting_of_one=1)
    begun(studio, values)
    said = studio.painting.begin(values, TAB)[studio.session.result_panel.status]
    assert "Several of your pictures are waiting already" in said
    assert len(list((tmp_path / "jobs").iterdir())) == 1


def test_a_full_disk_is_one_sentence(
    studio: Studio, values: dict[Any, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nst.studio.batch_files.shutil.copyfile", full)
    said = studio.painting.begin(values, TAB)[studio.session.result_panel.status]
    assert "The server&#39;s disk is full" in said
    assert list((tmp_path / "jobs").iterdir()) == []


def test_nobody_waits_while_the_photos_are_opened_and_copied(
    studio: Studio, values: dict[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    door, copyfile, admitted = studio.session.admission._door, shutil.copyfile, TrayPhoto.admitted
    seen: list[tuple[str, bool]] = []

    def copied(*paths: Path) -> object:
        seen.append(("copied", door.locked()))
        return copyfile(*paths)

    def opened(photo: TrayPhoto) -> BatchPhoto:
        seen.append(("opened", door.locked()))
        return admitted(photo)

    monkeypatch.setattr("nst.studio.batch_files.shutil.copyfile", copied)
    monkeypatch.setattr(TrayPhoto, "admitted", opened)
    begun(studio, values)
    assert seen == [("opened", False)] * 3 + [("copied", False)] * 3


def test_photos_of_a_run_that_is_too_large_are_not_kept(
    studio: Studio, values: dict[Any, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise TooLargeError("There is no room for it.")

    monkeypatch.setattr("nst.studio.backends.local.LocalBackend.admit", too_large)
    said = studio.painting.begin(values, TAB)[studio.session.result_panel.status]
    assert "There is no room for it." in said
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_damaged_photo_is_admitted_and_said_later(
    studio: Studio, values: dict[Any, Any], tmp_path: Path
) -> None:
    (tmp_path / "two.png").write_text("not a picture")
    assert [photo.size for photo in begun(studio, values).photos] == [(40, 30), None, (40, 30)]


def test_stop_and_two_quick_clicks(studio: Studio, values: dict[Any, Any]) -> None:
    first, second = begun(studio, values), begun(studio, values)
    assert studio.session.workshop.find(first.id) is None
    assert is_live(studio, second)
    studio.painting.halt(second.id, TAB)
    assert not is_live(studio, second)
    updates = studio.painting.halt(second.id, TAB)
    assert updates[studio.session.result_panel.stage]["left"] == 3


def is_live(studio: Studio, batch: Batch) -> bool:
    return studio.session.live_task(batch.id) is batch


def test_nobody_else_opens_or_continues_it(
    studio: Studio, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = studio.session
    workshop = session.workshop
    workshop.set_painters(1)
    batch = make_batch(workshop, 2, damaged=(1,))
    workshop.submit(batch)
    settle(workshop)
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    event: Any = SimpleNamespace(job=batch.id, photo="0")
    for act in (studio.batches.open_one, studio.batches.go_on):
        assert session.current not in act("ada", event, TAB)
    assert said == ["These photos are no longer kept; please choose them again."] * 2
    assert batch.state is State.FINISHED

    opened = studio.batches.open_one("jane", event, TAB)
    job = workshop.find_job(opened[session.current])
    assert job
    assert (job.state, job.owner) == (State.FINISHED, batch.owner)
    assert opened[session.tray] == {"photos": [], "faces": False}
    again = studio.batches.open_one("jane", event, TAB)
    assert again[session.current] == job.id  # not another copy
    assert session.current not in studio.batches.open_one(
        "jane", SimpleNamespace(job=batch.id, photo="1"), TAB
    )
    assert len(workshop.cards("jane")) == 2


def test_a_card_brings_the_photos_back_into_the_tray(studio: Studio, make_batch: MakeBatch) -> None:
    session = studio.session
    batch = make_batch(session.workshop, settings=SMALL, engine=tone)
    session.workshop.submit(batch)
    event: Any = SimpleNamespace(job=batch.id)
    shown = studio.own_pictures.open_card("jane", event, TAB)
    assert shown[session.current] == batch.id
    names = [photo["name"] for photo in shown[session.tray]["photos"]]
    assert names == ["photo 0.png", "photo 1.png", "photo 2.png"]
    assert shown[session.result_panel.stage]["kind"] == "batch"


def test_a_card_says_that_it_is_of_a_batch(studio: Studio, values: dict[Any, Any]) -> None:
    begun(studio, values)
    markup = studio.session.gallery_of("jane")
    assert 'aria-label="Batch, in the queue, 0 of 3 photos"' in markup
    assert 'aria-label="Delete the batch, in the queue, 0 of 3 photos"' in markup
    assert ">3 photos</div>" in markup


def test_names_are_text_that_can_be_written() -> None:
    assert named("Straße.jpg") == "Straße.jpg"
    assert named("\ud800.jpg") == "?.jpg"
    assert named("x" * 500) == "x" * 200
    assert named(None) == named("") == "photo"
