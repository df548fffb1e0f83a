"""The command line's flags for several paintings, masks, and a start of one's own."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.pictures import MakePicture
from nst import Masks, PaintingUse, TransferSettings, load_image, transfer_style
from nst.__main__ import build_parser, main
from nst.images.color import dial_colors
from nst.images.mask_records import MaskRecord
from nst.images.recipe import read_recipe, signed_png
from nst.images.tensors import fit
from nst.images.transforms import part_taken
from nst.painting_flags import painting_uses
from nst.settings import LAYER_CHANNELS
from nst.studio.job import Job
from nst.vgg.network import VGG

SMALL = TransferSettings(size=64, iterations=2)

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    """The command line with a tiny network in place of the real one."""
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)


@pytest.fixture
def place(folder: Path, make_picture: MakePicture) -> Path:
    """A folder with a photo, two paintings and masks."""
    make_picture(64, 40, seed=3).save(folder / "other.png")
    right = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((80, 60))
    right.save(folder / "right.png")
    right.point(lambda value: 255 - value).convert("RGB").save(folder / "left.png")
    keep = Image.new("L", (80, 60))
    keep.paste(255, (0, 0, 30, 60))
    keep.save(folder / "keep.png")
    keep.resize((50, 70)).save(folder / "within.png")
    Image.new("L", (80, 60)).save(folder / "black.png")
    Image.new("L", (60, 80), 255).save(folder / "tall.png")
    make_picture(90, 90, seed=4).save(folder / "init.png")
    return folder


def arguments(place: Path, *more: str) -> list[str]:
    """Those of a run with two paintings; what ends like a file is one in the folder."""
    names = [*("photo.png", "painting.png", "other.png"), "-o", "out.png", *more]
    paths = [
        ",".join(str(place / name) if name.endswith(".png") else name for name in word.split(","))
        for word in names
    ]
    return [*paths, "--size", "64", "--iterations", "2"]


def test_values_reach_the_paintings() -> None:
    flags = [
        *("--style-weights", "0.7,0.3", "--style-strengths", ",2"),
        *("--style-layers", "relu1_1+relu2_1,,relu5_1", "--style-scales", "2"),
        *("--style-rotation", "-90,,45", "--style-mirror", "yes,,no", "--style-crop", ",0:0.5:1:1"),
    ]
    given = build_parser().parse_args(["photo", "a", "b", "c", "-o", "out.png", *flags])
    assert painting_uses(given, 3) == (
        PaintingUse(
            weight=0.7, layers=("relu1_1", "relu2_1"), scale=2.0, rotation=-90.0, mirror=True
        ),
        PaintingUse(weight=0.3, strength=2.0, crop=(0.0, 0.5, 1.0, 1.0)),
        PaintingUse(layers=("relu5_1",), rotation=45.0),
    )
    groups = ["--style-layers", "strokes,composition,relu4_1+strokes"]
    given = build_parser().parse_args(["photo", "a", "b", "c", "-o", "out.png", *groups])
    strokes, composition, both = (use.layers for use in painting_uses(given, 3))
    assert (strokes[0], strokes[-1]) == ("relu1_1", "relu3_4")
    assert (composition[0], composition[-1]) == ("relu4_1", "relu5_4")
    assert both == (*strokes, "relu4_1")
    assert set(strokes) | set(composition) == set(LAYER_CHANNELS)
    plain = build_parser().parse_args(["photo", "a", "-o", "out.png"])
    assert painting_uses(plain, 1) == (PaintingUse(),)


def test_all_of_it_together_paints_what_the_library_paints(place: Path) -> None:
    flags = [
        *("--style-weights", "2,1", "--style-strengths", "1,1.5"),
        *("--masks", "left.png,", "--keep", "keep.png", "--within", "within.png"),
        *("--init", "init.png", "--colors", "0.5"),
    ]
    assert main(arguments(place, *flags)) == 0
    pictures = {path.stem: load_image(path) for path in place.glob("*.png")}
    styles = [pictures["painting"], pictures["other"]]
    masks = Masks((pictures["left"],), pictures["keep"], (pictures["within"],))
    uses = (PaintingUse(weight=2.0), PaintingUse(strength=1.5))
    settings = SMALL.replace(paintings=uses, colors=0.5)
    steps = transfer_style(
        pictures["photo"], styles, settings, masks=masks, init=pictures["init"], device="cpu"
    )
    *_, last = steps
    seen = [part_taken(styles[0], pictures["within"].convert("L")), styles[1]]
    expected = dial_colors(last.image, pictures["photo"], seen, 0.5, keep=masks.keep)
    assert pictures["out"].tobytes() == expected.tobytes()
    kept = np.asarray(fit(pictures["photo"], 64))[:, :22]
    assert (np.asarray(pictures["out"])[:, :22] == kept).all()
    recipe = read_recipe(place / "out.png")
    assert recipe.settings == settings
    assert recipe.masks
    assert recipe.init


def test_transparent_masks_are_those_that_are_black_there(place: Path) -> None:
    """A shape in white on transparent, as programs export it."""
    names = ("left", "keep", "within")
    flags = [*("--masks", "left.png,", "--keep", "keep.png", "--within", "within.png")]
    assert main(arguments(place, *flags)) == 0
    expected = load_image(place / "out.png").tobytes()
    for name in names:
        mask = load_image(place / f"{name}.png").convert("L")
        picture = Image.new("RGB", mask.size, "white")
        picture.putalpha(mask)
        picture.save(place / f"{name}.png")
    assert main(arguments(place, *flags)) == 0
    assert load_image(place / "out.png").tobytes() == expected


def test_what_is_kept_is_the_photo_with_16_bits_too(place: Path) -> None:
    flags = ["--keep", "keep.png", "--depth", "16", "--colors", "-1"]
    assert main(arguments(place, *flags)) == 0
    kept = np.asarray(fit(load_image(place / "photo.png"), 64))[:, :22]
    assert (np.asarray(load_image(place / "out.png"))[:, :22] == kept).all()


def again(place: Path, *more: str) -> list[str]:
    words = arguments(place, *more)[:-4]
    words[words.index("-o") + 1] = str(place / "again.png")
    return ["--recipe", str(place / "out.png"), *words]


def test_a_recipe_with_masks(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--masks", "left.png,right.png", "--keep", "keep.png", "--init", "init.png"]
    assert main(arguments(place, "--style-weights", "1,3", *files)) == 0
    assert main(again(place, *files)) == 0
    assert "may differ" not in capsys.readouterr().err
    first, second = (load_image(place / f"{name}.png") for name in ("out", "again"))
    assert first.tobytes() == second.tobytes()
    assert read_recipe(place / "out.png") == read_recipe(place / "again.png")
    assert main(again(place)) == 0  # with the small copies, and without its start
    said = capsys.readouterr().err
    assert "nst: the picture to start from is not the recipe's; the result may differ" in said
    assert main(again(place, "--style-weights", "1,2")) == 1
    assert "leave out --style-weights" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--masks", "left.png,"], ["--keep", "keep.png"]])
def test_a_recipe_with_masks_needs_a_photo_of_its_shape(
    place: Path, capsys: pytest.CaptureFixture[str], make_picture: MakePicture, flags: list[str]
) -> None:
    assert main(arguments(place, *flags)) == 0
    make_picture(60, 80).save(place / "photo.png")
    assert main(again(place)) == 1
    said = "The recipe has masks of a photo of 80×60 pixels, and this photo has another shape: "
    assert capsys.readouterr().err.endswith(f"nst: {said}60×80.\n")
    assert not (place / "again.png").exists()
    half = Image.new("L", (60, 80))
    half.paste(255, (0, 0, 30, 80))
    half.save(place / "half.png")
    own = [flags[0], flags[1].replace("left", "half").replace("keep", "half")]
    assert main(again(place, *own)) == 0


@pytest.mark.parametrize("how", ["luminance", "luminance_matched"])
def test_what_is_kept_is_within_a_level_where_luminance_alone_is_painted(
    place: Path, how: str
) -> None:
    assert main(arguments(place, "--keep", "keep.png", "--color-transfer", how)) == 0
    kept = np.asarray(fit(load_image(place / "photo.png"), 64), int)[:, :22]
    assert np.abs(np.asarray(load_image(place / "out.png"), int)[:, :22] - kept).max() <= 1


def test_each_passage_of_a_recipe_has_its_own_keep_mask(
    place: Path, network: VGG, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, painting, other = (
        load_image(place / f"{n}.png") for n in ("photo", "painting", "other")
    )
    keeps = [load_image(place / f"{name}.png").convert("L") for name in ("left", "keep")]
    engine = partial(transfer_style, network=network)
    job = Job(photo, [painting, other], SMALL, engine=engine, masks=Masks(keep=keeps[0]))
    list(job.run())
    longer = SMALL.replace(iterations=4)
    job.resume(longer, [painting, other], Masks(keep=keeps[1]))
    list(job.run())
    (place / "out.png").write_bytes(signed_png(*job.delivered()))
    for flags in ([], ["--keep", str(place / "keep.png")]):
        assert main(again(place, *flags)) == 0
        assert "the masks are not the recipe's" not in capsys.readouterr().err
        assert load_image(place / "again.png").tobytes() == job.delivered()[0].tobytes()
        told = [passage.keep for passage in read_recipe(place / "again.png").passages]
        assert told == list(map(MaskRecord.of, keeps))
    assert main(again(place, "--keep", str(place / "right.png"))) == 0
    assert "the masks are not the recipe's" in capsys.readouterr().err


def test_a_painting_whose_mask_was_edited_is_given_once(place: Path, network: VGG) -> None:
    photo, painting, other = (
        load_image(place / f"{n}.png") for n in ("photo", "painting", "other")
    )
    left, right = (load_image(place / f"{name}.png") for name in ("left", "right"))
    engine = partial(transfer_style, network=network)
    job = Job(photo, [painting, other], SMALL, engine=engine, masks=Masks((None, left)))
    list(job.run())
    job.resume(SMALL.replace(iterations=4), [painting, other], Masks((None, right)))
    list(job.run())
    assert len(job.styles) == 3
    (place / "out.png").write_bytes(signed_png(*job.delivered()))
    assert main(again(place)) == 0
    assert load_image(place / "again.png").tobytes() == job.delivered()[0].tobytes()
    assert read_recipe(place / "again.png").regions == job.recipe().regions


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--style-weights", "1,2,3"], "--style-weights has 3 values for 2 paintings"),
        (["--style-weights", "0,0"], "The weights of the paintings are all 0; at least one must"),
        (["--style-weights", "1,11"], "a painting's weight must be from 0 to 10, not 11.0"),
        (["--style-weights", "-1,2"], "a painting's weight must be from 0 to 10, not -1.0"),
        (["--style-strengths", "-.5,"], "a painting's strength must be from 0 to 4, not -0.5"),
        (["--style-crop", "-0.5:0:1:1"], "a painting's crop must be"),
        (["--style-loss", "gram=0"], "nst: --style-loss must give one of its costs a weight"),
        (["--style-costs", "gramm=1"], "nst: --style-loss names a cost 'gramm'; the costs are"),
        (["--init-weight", "2"], "nst: --init-weight must be from 0 to 1, not 2.0"),
        (["--content-layers", "relu9_1=1"], "nst: --content-layers names a layer 'relu9_1'; the"),
        (["--style-layers", "relu9_1"], "a painting's layers name 'relu9_1'; the layers are"),
        (["--masks", "left.png,right.png,left.png"], "There are 3 masks for 2 paintings; "),
        (["--masks", "black.png"], "The mask of painting 1 is black everywhere; "),
        (["--masks", ",tall.png"], "The mask of painting 2 is 60×80 pixels, and the photo 80×60"),
        (["--keep", "black.png"], "The keep mask is black everywhere; "),
        (["--keep", "missing.png"], "missing.png: The picture cannot be read: No such file"),
        (["--within", "keep.png"], "The mask within painting 1 is 80×60 pixels, and the painting"),
        (["--init", "missing.png"], "missing.png: The picture cannot be read: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    before = sorted(os.listdir(place))
    assert main(arguments(place, *flags)) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert sorted(os.listdir(place)) == before


@pytest.mark.parametrize(
    ("flag", "values", "sentence"),
    [
        ("--style-weights", "1,much", "'much' is not a number"),
        ("--style-mirror", "maybe", "'maybe' is neither yes nor no"),
        ("--style-crop", "0:0:1", "'0:0:1' is not LEFT:TOP:RIGHT:BOTTOM"),
        ("--style-crop", "0:0:1:all", "'all' is not a number"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_by_the_parser(
    place: Path, capsys: pytest.CaptureFixture[str], flag: str, values: str, sentence: str
) -> None:
    with pytest.raises(SystemExit):
        main(arguments(place, f"{flag}={values}"))
    assert f"argument {flag}: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["keep.png", "init.png", "left.png", "within.png"])
def test_no_mask_is_overwritten(place: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    flags = ["--keep", "keep.png", "--init", "init.png", "--masks", "left.png", "--within"]
    words = arguments(place, *flags, "within.png")
    words[words.index("-o") + 1] = str(place / name)
    before = (place / name).read_bytes()
    assert main(words) == 1
    assert "is the same file as the input" in capsys.readouterr().err
    assert (place / name).read_bytes() == before


def test_help_explains_them() -> None:
    text = " ".join(build_parser().format_help().split())
    for flag in ("--style-weights", "--style-layers", "--masks", "--keep", "--within", "--init"):
        assert f" {flag} " in text
