"""`--depth` and `--keep-alpha`, and the formats that the command line writes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import pyvips  # type: ignore[import-untyped]
from PIL import Image

from helpers.pictures import make_waves
from nst import load_image
from nst.__main__ import main
from nst.images.alpha import NOTHING
from nst.images.recipe import read_recipe
from nst.vgg.network import VGG


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    """The present folder, with photos and a painting; the network is a tiny one."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    cut = make_waves(80, 60, seed=1).convert("RGBA")
    cut.paste((255, 0, 255, 0), (0, 0, 40, 60))
    cut.save("cut.png")
    cut.paste((0, 255, 0, 0), (0, 0, 40, 60))
    cut.save("other-cut.png")


def paint(output: str, *more: str, photo: str = "photo.png") -> int:
    size = ("--size", "64", "--iterations", "2", "--json")
    return main([photo, "painting.png", "-o", output, *size, *more])


def samples(path: str) -> np.ndarray:
    # libvips remembers files by their names, which are the same in every test's folder.
    found = pyvips.Image.new_from_buffer(Path(path).read_bytes(), "").numpy()
    assert isinstance(found, np.ndarray)
    return found


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
@pytest.mark.parametrize("colors", ["0", "-0.5"])
def test_16_bits_are_real_and_rounded_the_8_bit_picture(suffix: str, colors: str) -> None:
    assert paint("shallow.png", "--colors", colors) == 0
    assert paint("deep" + suffix, "--depth", "16", "--colors", colors) == 0
    deep = samples("deep" + suffix)
    assert deep.dtype == np.uint16
    assert len(np.unique(deep)) > 1500  # of 9216 samples
    rounded = np.rint(deep / 257).astype(int)
    difference = np.abs(rounded - np.asarray(load_image("shallow.png")))
    assert difference.max() <= (0 if colors == "0" else 1)
    assert read_recipe("deep" + suffix) == read_recipe("shallow.png")


@pytest.mark.parametrize("name", ["out.jpg", "out.jpeg", "out.webp", "out.tif"])
def test_every_format_has_its_recipe(name: str) -> None:
    assert paint(name) == 0
    assert load_image(name).size == (64, 48)
    recipe = read_recipe(name)
    assert recipe.iterations == 2
    assert paint("plain.png") == 0
    assert recipe == read_recipe("plain.png")
    again = main(["photo.png", "painting.png", "-o", "again.png", "--recipe", name])
    assert again == 0
    assert load_image("again.png").tobytes() == load_image("plain.png").tobytes()


@pytest.mark.parametrize(
    ("name", "flags", "reason"),
    [
        (
            "out.jpg",
            ("--depth", "16"),
            "nst: 16 bits per channel need a .png, .tif or .tiff file, not 'out.jpg'",
        ),
        (
            "out.webp",
            ("--depth", "16"),
            "nst: 16 bits per channel need a .png, .tif or .tiff file, not 'out.webp'",
        ),
        (
            "out.JPEG",
            ("--keep-alpha",),
            "nst: transparency needs a .png, .tif, .tiff or .webp file, not 'out.JPEG'",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_one_sentence(
    capsys: pytest.CaptureFixture[str], name: str, flags: tuple[str, ...], reason: str
) -> None:
    before = sorted(os.listdir())
    assert paint(name, *flags) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", reason + "\n")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("name", "flags"),
    [("out.png", ()), ("out.png", ("--depth", "16")), ("out.webp", ()), ("out.tif", ())],
)
def test_the_photos_transparency_is_kept(name: str, flags: tuple[str, ...]) -> None:
    assert paint(name, "--keep-alpha", *flags, photo="cut.png") == 0
    found = samples(name)
    assert found.shape == (48, 64, 4)
    top = np.iinfo(found.dtype).max
    assert (found[:, :31, 3] == 0).all()
    assert (found[:, 33:, 3] == top).all()


def test_what_is_hidden_changes_nothing_at_all() -> None:
    for name in ("cut.png", "other-cut.png"):
        assert paint(f"from-{name}", "--keep-alpha", photo=name) == 0
    assert Path("from-cut.png").read_bytes() == Path("from-other-cut.png").read_bytes()


def test_without_the_flag_it_is_laid_on_white() -> None:
    Image.alpha_composite(
        Image.new("RGBA", (80, 60), "white"), Image.open("cut.png").convert("RGBA")
    ).convert("RGB").save("white.png")
    for name in ("cut.png", "white.png"):
        assert paint(f"from-{name}", photo=name) == 0
    assert Path("from-cut.png").read_bytes() == Path("from-white.png").read_bytes()


def test_an_opaque_photo_is_painted_as_without_the_flag() -> None:
    assert paint("kept.png", "--keep-alpha") == 0
    assert paint("plain.png") == 0
    assert Path("kept.png").read_bytes() == Path("plain.png").read_bytes()


def test_a_photo_of_nothing_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGBA", (80, 60)).save("clear.png")
    assert paint("out.png", "--keep-alpha", photo="clear.png") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"nst: clear.png: {NOTHING}"
    assert not Path("out.png").exists()
