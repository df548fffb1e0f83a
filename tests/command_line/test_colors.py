"""The command line's ways with colours: before, after and instead of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.pictures import MakePicture
from nst import TransferSettings, load_image, stylize
from nst.__main__ import main
from nst.images.color_transfer import only_colors
from nst.images.recipe import read_recipe
from nst.vgg.network import VGG


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    """The command line with a tiny network in place of the real one."""
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)


@pytest.fixture
def pictures(tmp_path: Path, make_picture: MakePicture) -> list[str]:
    """The photo, two paintings and where to write."""
    paths = [str(tmp_path / name) for name in ("photo.png", "one.png", "two.png", "out.png")]
    for seed, path in enumerate(paths[:3]):
        make_picture(80, 60, seed=seed).save(path)
    return [*paths[:3], "-o", paths[3]]


def test_only_colors_paints_nothing(pictures: list[str]) -> None:
    """No network is needed, and the picture is as large as the photo."""
    assert main([*pictures, "--only-colors"]) == 0
    photo, one, two = (load_image(path) for path in pictures[:3])
    out = pictures[-1]
    assert load_image(out).tobytes() == only_colors(photo, [one, two]).tobytes()
    recipe = read_recipe(out)
    assert (recipe.iterations, recipe.colors, recipe.settings.size) == (0, 1.0, 80)


@pytest.mark.usefixtures("tiny")
def test_its_recipe_leads_to_the_same_picture(pictures: list[str], tmp_path: Path) -> None:
    assert main([*pictures, "--only-colors"]) == 0
    again = str(tmp_path / "again.png")
    assert main([*pictures[:-1], again, "--recipe", pictures[-1]]) == 0
    assert load_image(again).tobytes() == load_image(pictures[-1]).tobytes()


def test_only_colors_has_sixteen_bits_and_transparency(
    pictures: list[str], make_picture: MakePicture
) -> None:
    image = make_picture(80, 60)
    image.putalpha(Image.linear_gradient("L").resize((80, 60)))
    image.save(pictures[0])
    assert main([*pictures, "--only-colors", "--depth", "16", "--keep-alpha"]) == 0
    written = np.asarray(load_image(pictures[-1], keep_alpha=True), dtype=int)
    assert np.abs(written[..., 3] - np.asarray(image, dtype=int)[..., 3]).max() <= 1


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        (["--alpha", "2"], "--alpha"),
        (["--recipe", "x.png"], "--recipe"),
        (["--keep", "x.png"], "--keep"),
        (["--protect-faces"], "--protect-faces"),
        (["--init", "x.png"], "--init"),
    ],
)
def test_only_colors_takes_nothing_about_painting(
    pictures: list[str], capsys: pytest.CaptureFixture[str], more: list[str], flag: str
) -> None:
    assert main([*pictures, "--only-colors", *more]) == 1
    assert f"nothing is painted; leave out {flag}" in capsys.readouterr().err
    assert not Path(pictures[-1]).exists()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("how", ["monge", "luminance"])
def test_the_flag_is_the_setting(pictures: list[str], tmp_path: Path, how: str) -> None:
    small = ["--size", "64", "--iterations", "2", "--color-transfer", how]
    assert main([*pictures, *small]) == 0
    photo, *paintings = (load_image(path) for path in pictures[:3])
    settings = TransferSettings(size=64, iterations=2, color_transfer=how)
    expected = stylize(photo, paintings, settings)
    assert load_image(pictures[-1]).tobytes() == expected.tobytes()
    recipe = read_recipe(pictures[-1])
    assert recipe.settings.color_transfer == how
    again = str(tmp_path / "again.png")
    assert main([*pictures[:-1], again, "--recipe", pictures[-1]]) == 0
    assert load_image(again).tobytes() == expected.tobytes()
