"""Masks that the server finds in a photo: what may be asked for, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image, ImageChops

from helpers.places import ROOT
from nst.errors import MissingPackageError
from nst.images import faces
from nst.images.found_masks import NO_FACE, NO_SUBJECT
from nst.images.mask_records import MaskRecord
from page.actions.finding import Finding, Wanted
from page.panels.components import Choice
from page.panels.paintings import REST, Paintings, Region

ASTRONAUT = Choice(str(ROOT / "examples" / "content" / "astronaut.jpg"), "astronaut")


@pytest.fixture
def finding(tmp_path: Path) -> Finding:
    """Finds masks for a session whose cache is `tmp_path`."""
    session: Any = SimpleNamespace(photo=SimpleNamespace(GRADIO_CACHE=str(tmp_path)))
    return Finding(session)


@pytest.fixture
def plain(tmp_path: Path) -> Choice:
    """A photo of nothing."""
    path = tmp_path / "plain.png"
    Image.new("RGB", (80, 60), "grey").save(path)
    return Choice(str(path))


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, {"ticket": "7", **data})


def answered(
    finding: Finding, photo: Choice | None, regions: Sequence[Region] = (), **data: Any
) -> dict[str, Any]:
    held = Paintings(regions=tuple(regions))
    answer: dict[str, Any] = json.loads(finding.find(photo, held, event(**data)))
    assert answer.pop("ticket") == "7"
    return answer


def test_faces_are_a_mask_of_the_photos_shape(finding: Finding, tmp_path: Path) -> None:
    answer = answered(finding, ASTRONAUT, kind="faces")
    path = Path(answer["file"]["path"])
    assert path.is_relative_to(tmp_path)
    assert answer["shown"].startswith("gradio_api/file=")
    with Image.open(path) as mask, Image.open(ASTRONAUT.path) as photo:
        assert mask.mode == "L"
        assert mask.size == photo.size
        assert mask.getpixel((round(0.44 * mask.width), round(0.22 * mask.height))) == 255
        assert mask.getpixel((5, 5)) == 0


def test_the_same_mask_is_the_same_file(finding: Finding) -> None:
    assert answered(finding, ASTRONAUT, kind="faces") == answered(finding, ASTRONAUT, kind="faces")


def test_an_upload_is_shown_as_any_browser_can(
    finding: Finding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("page.actions.finding.uploaded", Path)
    Image.new("RGB", (80, 60), "grey").save(tmp_path / "mine.tiff")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    answers = [
        json.loads(finding.look_at(None, event(path=str(tmp_path / name))))
        for name in ("mine.tiff", "bad.png")
    ]
    assert [answer.pop("ticket") for answer in answers] == ["7", "7"]
    assert answers[0]["shown"].endswith(".webp")
    assert list(answers[1]) == ["said"]
    assert answers[1]["said"].startswith("The painting cannot be used")


def saved(mask: Image.Image, path: Path) -> str:
    mask.save(path)
    return str(path)


def test_a_region_that_has_the_faces_is_known_by_its_mask(finding: Finding, tmp_path: Path) -> None:
    """Whatever file it is in: that of a stored picture, a recipe's small copy, a painted one."""
    first = answered(finding, ASTRONAUT, kind="faces")
    assert first["region"] is None
    with Image.open(first["file"]["path"]) as opened:
        mask = opened.copy()
    half = mask.copy()
    half.paste(0, (0, 0, round(0.44 * mask.width), mask.height))
    files = {
        "again": mask,
        "copy": MaskRecord.of(mask).copy(),
        "more": Image.new("L", mask.size, 255),
        "half": half,
        "other": ImageChops.invert(mask),
    }
    paths = {name: saved(each, tmp_path / f"{name}.png") for name, each in files.items()}

    def found(*regions: tuple[str, int | str | None, float]) -> int | None:
        held = [Region(paths[name], painting, strength) for name, painting, strength in regions]
        index: int | None = answered(finding, ASTRONAUT, held, kind="faces")["region"]
        return index

    assert found(("again", REST, 0.3)) == 0
    assert found(("copy", REST, 0.3)) == 0
    assert found(("more", None, 1.0)) == 0
    assert found(("half", REST, 0.3), ("other", None, 1.0)) is None
    assert found(("more", REST, 1.4)) is None  # which is about much else, too
    assert found(("again", 1, 1.0)) is None  # another painting rules there
    assert found(("other", REST, 0.3), ("again", REST, 2.0)) == 1
    assert found(("again", REST, 0.3), ("copy", REST, 0.2), ("more", 0, 0.1)) == 1
    assert found(("again", REST, 0.3), ("more", None, 1.0)) == 1


def test_a_region_that_cannot_be_opened_gets_a_sentence(finding: Finding, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    answer = answered(finding, ASTRONAUT, [Region(str(broken), REST)], kind="faces")
    assert answer["said"].startswith("A painted region cannot be used.")


def test_an_area_and_the_subject_are_found(finding: Finding) -> None:
    area = answered(finding, ASTRONAUT, kind="similar", x=0.3, y=0.8)
    subject = answered(finding, ASTRONAUT, kind="subject")
    assert area["file"] != subject["file"]
    with Image.open(area["file"]["path"]) as mask:
        assert mask.getpixel((round(0.3 * mask.width), round(0.8 * mask.height))) == 255


def test_where_nothing_is_found_there_is_a_sentence(finding: Finding, plain: Choice) -> None:
    assert answered(finding, plain, kind="faces") == {"said": NO_FACE}
    assert answered(finding, plain, kind="subject") == {"said": NO_SUBJECT}
    assert answered(finding, None, kind="faces") == {"said": "Please choose a photo first."}


def test_without_opencv_there_is_a_sentence(
    finding: Finding, plain: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingPackageError("OpenCV is missing.")

    monkeypatch.setattr(faces, "load_opencv", missing)
    assert answered(finding, plain, kind="faces") == {"said": "OpenCV is missing."}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "everything"},
        {"kind": "similar"},
        {"kind": "similar", "x": "much", "y": 0},
        {"kind": "similar", "x": 0.5, "y": float("nan")},
        {"kind": "similar", "x": 1.1, "y": 0.5},
    ],
)
def test_nothing_else_can_be_asked_for(data: dict[str, Any]) -> None:
    with pytest.raises(gr.Error):
        Wanted.of(event(**data))


def test_rest_is_no_number_of_a_painting() -> None:
    assert REST == "rest"  # as page/assets/regions.js has it
    assert f'REST = "{REST}"' in (ROOT / "page/assets/regions.js").read_text(encoding="utf-8")
