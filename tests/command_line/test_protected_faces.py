"""`--protect-faces` for one picture and for a batch: faces stay as they were photographed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.batches import InlinePool
from helpers.places import EXAMPLES
from nst import __main__, load_image
from nst.batch.__main__ import main as paint_batch
from nst.images.faces import faces
from nst.images.framing import Box
from nst.images.recipe import read_recipe
from nst.images.tensors import fit
from nst.vgg.network import VGG

ASTRONAUT, CASTLE = (str(EXAMPLES / "content" / name) for name in ("astronaut.jpg", "castle.jpg"))
QUICK = ("--size", "128", "--iterations", "2", "--device", "cpu", "--protect-faces")
PLACES = ("nst.engine.devices", "nst.batch.painter")

pytest.importorskip("cv2")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, network: VGG, folder: Path) -> None:
    """The command line with a tiny network in place of the real one."""
    for module in PLACES:
        monkeypatch.setattr(f"{module}.load_network", lambda *_: network)
    monkeypatch.setattr("nst.batch.__main__.start_pool", lambda *_: InlinePool())
    monkeypatch.chdir(folder)


def changes(path: Path) -> tuple[float, float]:
    """By how many levels a picture differs from the photo: in the face at most, and on average."""
    photo = load_image(ASTRONAUT)
    (box,) = faces(photo)
    scale = 128 / max(photo.size)
    left, top, right, bottom = (round(scale * side) for side in box_sides(box))
    before, after = (np.asarray(each, int) for each in (fit(photo, 128), load_image(path)))
    difference = np.abs(after - before).max(-1)
    return float(difference[top:bottom, left:right].max()), float(difference.mean())


def box_sides(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right, box.bottom


def test_a_face_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main([ASTRONAUT, "painting.png", "-o", "out.png", *QUICK]) == 0
    in_face, everywhere = changes(Path("out.png"))
    assert in_face <= 2
    assert everywhere > 8
    assert read_recipe(Path("out.png")).masks.keep is not None
    again = [ASTRONAUT, "painting.png", "--recipe", "out.png", "--protect-faces"]
    assert __main__.main([*again, "-o", "again.png", "--device", "cpu"]) == 0
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()
    assert "nst: " not in capsys.readouterr().err


def test_that_no_face_was_found_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main([CASTLE, "painting.png", "-o", "out.png", *QUICK]) == 0
    assert "nst: no face was found in the photo" in capsys.readouterr().err
    assert read_recipe(Path("out.png")).masks.keep is None


def test_a_batch_finds_the_faces_of_each_photo() -> None:
    words = [ASTRONAUT, CASTLE, "--styles", "painting.png", "-o", "out"]
    assert paint_batch([*words, *QUICK]) == 0
    assert changes(Path("out", "astronaut--painting.png"))[0] <= 2
    assert read_recipe(Path("out", "castle--painting.png")).masks.keep is None
    before = Path("out", "astronaut--painting.png").read_bytes()
    assert paint_batch([*words, *QUICK[:-1]]) == 0  # other pictures, which replace these
    assert Path("out", "astronaut--painting.png").read_bytes() != before


def test_a_batch_keeps_what_a_shape_on_transparent_shows() -> None:
    mask = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    mask.paste((255, 255, 255, 255), (0, 0, 32, 64))
    mask.save("keep.png")
    words = [ASTRONAUT, "--styles", "painting.png", "-o", "out", *QUICK[:-1]]
    assert paint_batch([*words, "--keep", "keep.png"]) == 0
    painted = np.asarray(load_image("out/astronaut--painting.png"), int)
    differs = np.abs(painted - np.asarray(fit(load_image(ASTRONAUT), 128), int)).max(-1)
    assert differs[:, :56].max() == 0
    assert differs[:, 72:].max() > 8


def test_without_opencv_no_batch_begins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert paint_batch([ASTRONAUT, "--styles", "painting.png", "-o", "out", *QUICK]) == 1
    assert "need OpenCV; run 'pip install nst[masks]'" in capsys.readouterr().err
    assert not Path("out").exists()


def test_faces_come_beside_the_masks_of_a_recipe() -> None:
    region = Image.new("L", (512, 512))
    region.paste(255, (0, 0, 512, 100))
    region.save("sky.png")
    words = [ASTRONAUT, "painting.png", *QUICK[:-1]]
    assert __main__.main([*words, "-o", "out.png", "--masks", "sky.png", "--keep", "sky.png"]) == 0
    again = [ASTRONAUT, "painting.png", "--recipe", "out.png", "--protect-faces"]
    assert __main__.main([*again, "-o", "again.png", "--device", "cpu"]) == 0
    recipe = read_recipe(Path("again.png"))
    assert recipe.regions[0] is not None
    keep = recipe.masks.copies().keep
    assert keep is not None
    levels = np.asarray(keep, int)
    assert levels[0].min() > 200, "what the recipe kept is kept"
    assert levels[keep.height // 4, round(0.44 * keep.width)] > 200, "and the face"
