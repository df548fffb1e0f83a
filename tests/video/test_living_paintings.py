"""Living paintings: strokes that flow in a loop, and a scene that stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageDraw

from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst import TransferSettings
from nst.images.masks import Masks
from nst.settings import FilmSettings
from nst.video.__main__ import main
from nst.video.clips import Clip
from nst.video.film_recipe import recipe_text
from nst.video.living import living_painting
from nst.video.stroke_flow import WAY, displacement, flowed, stroke_field
from nst.video.transfer import FilmStep

SETTINGS = TransferSettings(size=96, iterations=12)
FILM = FilmSettings(frame_iterations=2)


def lines(size: tuple[int, int] = (128, 96)) -> Image.Image:
    """Strokes from left to right."""
    rows = 128 + 90 * np.sin(np.arange(size[1]) * 0.9)
    return Image.fromarray(np.tile(rows[:, None], (1, size[0])).astype(np.uint8)).convert("RGB")


def array(image: Image.Image) -> npt.NDArray[np.int64]:
    return np.asarray(image, int)


def test_strokes_flow_along_themselves() -> None:
    field = stroke_field(lines(), Image.new("RGB", (128, 96), "grey"))
    assert np.sqrt(np.square(field).sum(-1)).mean() == pytest.approx(1)
    assert np.abs(field[..., 1]).mean() < 0.1 * np.abs(field[..., 0]).mean()


def test_strokes_rest_at_the_edges_of_the_photo() -> None:
    photo = Image.new("RGB", (128, 96), "white")
    ImageDraw.Draw(photo).rectangle((64, 0, 128, 96), fill="black")
    speed = np.abs(stroke_field(lines(), photo)).max(-1)
    assert speed[:, 60:68].max() < 0.1 * speed[:, :40].mean()


def test_a_way_along_a_field_is_gone_along_its_curves() -> None:
    y, x = np.mgrid[0:81, 0:81].astype(np.float32) - 40
    turning = (np.stack([-y, x], -1) / 10).astype(np.float32)  # by 0.1 a unit
    moved = displacement(turning, 4.0)
    expected = np.array([10 * np.cos(-0.4) - 10, 10 * np.sin(-0.4)])
    np.testing.assert_allclose(moved[40, 50], expected, atol=0.15)
    assert not displacement(turning, 0.0).any()


def test_the_loop_has_no_seam() -> None:
    picture = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    field = np.full((40, 60, 2), (1, 0), np.float32)
    torch.testing.assert_close(flowed(picture, field, 0.0), flowed(picture, field, 1.0))
    torch.testing.assert_close(flowed(picture, field, 0.5), picture.clamp(0, 1))
    near, far = (
        float((flowed(picture, field, phase) - flowed(picture, field, 0.0)).abs().mean())
        for phase in (0.999, 0.25)
    )
    assert near < 0.1 * far
    assert WAY * 60 > 2  # pixels, so that they differ


@pytest.fixture
def painting_steps(make_network: MakeNetwork, make_picture: MakePicture) -> Any:
    def paint(**options: Any) -> list[FilmStep]:
        photo, style = make_picture(96, 72, seed=1), make_picture(50, 70, seed=2)
        return list(
            living_painting(photo, style, 6, SETTINGS, FILM, network=make_network(), **options)
        )

    return paint


def test_frames_are_those_of_a_loop(painting_steps: Any) -> None:
    steps = painting_steps()
    ends = [step for step in steps if step.is_finished]
    assert [step.frame for step in ends] == list(range(6))
    assert [step.step.iteration for step in steps[:13]] == list(range(13))
    frames = [array(step.image) for step in ends]
    changes = [np.abs(frames[n] - frames[n - 1]).mean() for n in range(6)]
    assert min(changes) > 0
    assert changes[0] < 1.5 * np.mean(changes[1:])  # from the last to the first


def test_frames_that_were_painted_are_not_painted_again(painting_steps: Any) -> None:
    whole = [step.image for step in painting_steps() if step.is_finished]
    steps = painting_steps(painted=lambda number: whole[number] if number < 4 else None)
    again = [step.image for step in steps if step.is_finished]
    assert [image.tobytes() for image in again] == [image.tobytes() for image in whole]
    assert sum(step.frame == 3 for step in steps) == 1


def test_what_is_kept_rests(painting_steps: Any) -> None:
    keep = Image.new("L", (96, 72))
    keep.paste(255, (48, 0, 96, 72))
    for step in painting_steps(masks=Masks(keep=keep)):
        assert step.filmed is not None
        difference = np.abs(array(step.image) - array(step.filmed)).max(-1)
        assert difference[:, 52:].max() <= 2


@pytest.fixture
def command(folder: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command in a folder with `photo.png` and `painting.png`."""
    network = make_network()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    quick = ("--size", "64", "--iterations", "3", "--frame-iterations", "1", "--device", "cpu")

    def run(output: str, *words: str) -> int:
        return main(["photo.png", "painting.png", "-o", output, *quick, *words])

    return run


def test_a_photo_becomes_a_loop(command: Any, folder: Path) -> None:
    assert command("out.webp", "--living", "1", "--fps", "8") == 0
    film = Clip(folder / "out.webp", 64)
    assert film.facts.plays == 0
    assert [frame.time for frame in film] == [n / 8 for n in range(8)]
    assert '"living":1.0' in recipe_text(folder / "out.webp")
    assert command("out.mp4", "--living", "1") == 0
    assert len(list(Clip(folder / "out.mp4", 64))) == 12


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--living", "0.5"), "--living must be from 1 to 30 seconds, not 0.5"),
        (("--living", "2", "--end-beta", "2"), "there is one photo; leave out --end-beta"),
        (("--living", "2", "--keep-at", "2=photo.png"), "leave out --keep-at"),
    ],
)
def test_what_a_loop_cannot_have_is_told(
    command: Any, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert command("out.webp", *words) == 1
    assert sentence in capsys.readouterr().err
