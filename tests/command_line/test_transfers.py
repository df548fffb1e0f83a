"""The command line: its flags, its promises about stdout, stderr, exit status and files."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.pictures import MakePicture
from helpers.places import ROOT
from nst import TransferSettings, load_image, save_png, stylize, transfer_style
from nst.__main__ import ProgressBar, build_parser, main
from nst.engine.schedule import Moment
from nst.errors import NumericalError
from nst.images.color import dial_colors
from nst.images.recipe import KEYWORD, Passage, Recipe, new_recipe, read_recipe
from nst.provenance import Provenance
from nst.settings import LAYER_CHANNELS, options
from nst.vgg.network import VGG

if TYPE_CHECKING:
    from nst import TransferStep

KEYS = {"iteration", "total", "width", "height", "J", "content", "style", "elapsed"}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    """The command line with a tiny network in place of the real one."""
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)


def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def arguments(folder: Path, *more: str) -> list[str]:
    photo, painting, out = (folder / f"{name}.png" for name in ("photo", "painting", "out"))
    return [str(photo), str(painting), "-o", str(out), "--size", "64", "--iterations", "2", *more]


def assert_nothing_written(folder: Path) -> None:
    assert sorted(os.listdir(folder)) == ["painting.png", "photo.png"]


@pytest.mark.real
def test_json_on_stdout_and_a_whole_picture(folder: Path) -> None:
    run = python("-m", "nst", *arguments(folder, "--json", "--seed", "5", "--start", "noise"))
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    steps = [json.loads(line) for line in run.stdout.splitlines()]
    assert [step["iteration"] for step in steps] == [0, 1, 2]
    for step in steps:
        assert set(step) >= KEYS
        assert (step["total"], step["width"], step["height"]) == (2, 64, 48)
        assert step["J"] == pytest.approx(step["content"] + step["style"], rel=1e-5)
    assert [step["elapsed"] for step in steps] == sorted(step["elapsed"] for step in steps)
    assert steps[2]["J"] < steps[0]["J"]

    settings = TransferSettings(size=64, iterations=2, seed=5, start="noise")
    expected = stylize(
        load_image(folder / "photo.png"), load_image(folder / "painting.png"), settings
    )
    with Image.open(folder / "out.png") as image:
        assert image.format == "PNG"
        assert image.size == (64, 48)
        assert image.tobytes() == expected.tobytes()
    assert sorted(os.listdir(folder)) == ["out.png", "painting.png", "photo.png"]


@pytest.mark.real
def test_progress_bar_on_stderr_and_nothing_on_stdout(folder: Path) -> None:
    run = python("-m", "nst", *arguments(folder))
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert "2/2, 64×48, J " in run.stderr
    assert run.stderr.endswith("\n")
    assert load_image(folder / "out.png").size == (64, 48)


@pytest.mark.real
def test_a_missing_file_is_one_line_on_stderr(folder: Path) -> None:
    missing = folder / "missing.jpg"
    run = python("-m", "nst", missing, *arguments(folder)[1:])
    assert run.returncode != 0
    assert run.stdout == ""
    assert run.stderr == f"nst: {missing}: The picture cannot be read: No such file or directory.\n"
    assert_nothing_written(folder)


@pytest.mark.real
def test_help_comes_at_once() -> None:
    """Before torch is imported, which takes seconds."""
    run = python("-X", "importtime", "-m", "nst", "--help")
    assert run.returncode == 0
    assert "CONTENT" in run.stdout
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "argparse" in imported
    assert "torch" not in imported


def test_help_explains_every_setting() -> None:
    text = " ".join(build_parser().format_help().split())
    for name, option in options().items():
        assert f"--{name.replace('_', '-')}" in text
        assert " ".join(option.help.split()) in text
    for flag in ("--output", "--device", "--json"):
        assert flag in text


def test_flags_default_to_the_settings_defaults() -> None:
    parsed = vars(build_parser().parse_args(["photo", "painting", "-o", "out.png"]))
    assert not set(parsed) & set(options())  # what is not given is left to the settings


def test_flags_reach_the_settings() -> None:
    flags = {
        "size": "128",
        "iterations": "7",
        "alpha": "2.5",
        "beta": "0.5",
        "layer-weights": "relu1_1=1,relu3_2=0.5",
        "style-loss": "gram=1,histogram=0.5",
        "content-layer": "relu3_1",
        "content-layers": "relu4_2=1,relu3_2=0.3",
        "laplacian": "2.5",
        "optimizer": "adam",
        "start": "noise",
        "init-weight": "0.25",
        "restructure": "much",
        "base-size": "512",
        "base-weight": "0.5",
        "edges": "seamless",
        "pooling": "average",
        "style-scale": "1.5",
        "total-variation": "0.1",
        "colors": "-0.5",
        "color-transfer": "pca",
        "seed": "3",
        "precision": "float32",
        "weights": "torchvision",
    }
    words = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    parsed = vars(build_parser().parse_args(["photo", "a", "b", "-o", "out.png", *words]))
    assert parsed["styles"] == ["a", "b"]
    assert TransferSettings(**{name: parsed[name] for name in options()}) == TransferSettings(
        size=128,
        iterations=7,
        alpha=2.5,
        beta=0.5,
        layer_weights={"relu1_1": 1.0, "relu3_2": 0.5},
        style_costs={"gram": 1.0, "histogram": 0.5},
        content_layer="relu3_1",
        content_layers={"relu4_2": 1.0, "relu3_2": 0.3},
        laplacian=2.5,
        optimizer="adam",
        start="noise",
        init_weight=0.25,
        restructure="much",
        base_size=512,
        base_weight=0.5,
        edges="seamless",
        pooling="average",
        style_scale=1.5,
        total_variation=0.1,
        colors=-0.5,
        color_transfer="pca",
        seed=3,
        precision="float32",
        weights="torchvision",
    )


@pytest.mark.usefixtures("tiny")
def test_two_paintings_and_an_older_result(
    folder: Path, capsys: pytest.CaptureFixture[str], make_picture: MakePicture
) -> None:
    make_picture(30, 30, seed=3).save(folder / "out.png")
    words = arguments(folder, "--json")
    assert main([*words[:2], words[1], *words[2:]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(set(json.loads(line)) >= KEYS for line in lines)
    assert load_image(folder / "out.png").size == (64, 48)
    assert sorted(os.listdir(folder)) == ["out.png", "painting.png", "photo.png"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--size", "63"], "nst: --size must be from 64 to 16384, not 63"),
        (["--iterations", "0"], "iterations must be from 1 to 1000, not 0"),
        (["--alpha", "nan"], "alpha must be a finite number, not nan"),
        (["--layer-weights", "relu9_9=1"], f"the layers are {', '.join(LAYER_CHANNELS)}"),
        (["--layer-weights", "relu1_1=-1"], "the weight of relu1_1 must be from 0 to "),
        (["-o", "out.gif"], ".webp, .jpg or .jpeg file, not 'out.gif'"),
        (["-o", "missing/out.png"], "there is no folder 'missing' to write to"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_argument_is_one_line_on_stderr(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(arguments(folder, *more)) == 1
    assert_one_line(capsys, reason)
    assert_nothing_written(folder)


def assert_one_line(capsys: pytest.CaptureFixture[str], reason: str) -> None:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert reason in captured.err
    assert captured.err.startswith("nst: ")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    "more",
    [
        ["--content-layer", "relu9_9"],
        ["--layer-weights", "relu1_1"],
        ["--optimizer", "sgd"],
        ["--size", "large"],
        ["--device", "abacus"],
        ["--nonsense"],
    ],
    ids=" ".join,
)
def test_an_unreadable_argument_is_told_with_the_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments(folder, *more))
    assert caught.value.code == 2
    assert more[0] in capsys.readouterr().err.splitlines()[-1]
    assert_nothing_written(folder)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("which", [0, 1], ids=["photo", "painting"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"hello", "not a picture"), (None, "No such file"), (b"tiny", "at least 16")],
    ids=["text", "missing", "tiny"],
)
def test_a_bad_picture_is_one_line_on_stderr(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    which: int,
    data: bytes | None,
    reason: str,
) -> None:
    path = tmp_path_factory.mktemp("bad") / "bad.png"
    if data == b"tiny":
        Image.new("RGB", (3, 3)).save(path)
    elif data is not None:
        path.write_bytes(data)
    words = arguments(folder)
    words[which] = str(path)
    assert main(words) == 1
    assert_one_line(capsys, reason)
    assert_nothing_written(folder)


@pytest.mark.usefixtures("tiny")
def test_a_folder_in_the_way_is_one_line_and_no_temporary_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out.png").mkdir()
    assert main(arguments(folder, "--json")) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert sorted(os.listdir(folder)) == ["out.png", "painting.png", "photo.png"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_an_unwritable_folder_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.chmod(0o555)
    assert main(arguments(folder, "--json")) == 1
    folder.chmod(0o755)
    assert "Permission denied" in capsys.readouterr().err
    assert_nothing_written(folder)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "nst: stopped, nothing was written"),
        (RuntimeError("out of memory\nand a long story"), 1, "nst: out of memory"),
        (NumericalError("not a number"), 1, "nst: not a number"),
        (MemoryError(), 1, "nst: "),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_run_that_ends_early_writes_nothing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    message: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("nst.engine.devices.load_network", fail)
    assert main(arguments(folder)) == status
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1
    assert message in captured.err
    assert_nothing_written(folder)


def test_the_bar_grows(capsys: pytest.CaptureFixture[str]) -> None:
    class Step:
        total, width, height, J, remaining = 10, 64, 48, 1234.5, 3.0

        def __init__(self, iteration: int) -> None:
            self.iteration = iteration

    lines, bar = [], ProgressBar(sys.stderr)
    for iteration in (0, 5, 10):
        bar.show(cast("TransferStep", Step(iteration)))
        lines.append(capsys.readouterr().err.rpartition("\r")[2])
    bar.close()
    assert [line.count("█") for line in lines] == [0, 5, 10]
    assert lines[1].endswith("5/10, 64×48, J 1.23e+03, 3 s left")
    assert capsys.readouterr().err.endswith("\n")


def again(folder: Path, *more: str) -> list[str]:
    """The arguments that paint `again.png` by the recipe in `out.png`."""
    photo, painting, out = (str(folder / f"{name}.png") for name in ("photo", "painting", "out"))
    return ["--recipe", out, photo, painting, *more, "-o", str(folder / "again.png")]


def assert_painted_again(folder: Path) -> Recipe:
    first, second = (load_image(folder / f"{name}.png") for name in ("out", "again"))
    assert second.size == first.size
    assert second.tobytes() == first.tobytes()
    recipe = read_recipe(folder / "out.png")
    assert read_recipe(folder / "again.png") == recipe
    return recipe


@pytest.mark.real
def test_a_recipe_paints_the_same_picture(folder: Path) -> None:
    run = python("-m", "nst", *arguments(folder, "--iterations", "4", "--seed", "5", "--json"))
    assert run.returncode == 0, run.stderr
    run = python("-m", "nst", *again(folder, "--json"))
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""  # nothing differs
    recipe = assert_painted_again(folder)
    assert recipe.settings == TransferSettings(size=64, iterations=4, seed=5)
    assert recipe.iterations == 4


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "more",
    [
        ["--colors", "-0.7"],
        ["--colors", "0.5", "--optimizer", "adam", "--layer-weights", "relu1_1=1,relu2_2=0.3"],
        ["--start", "noise", "--seed", "7", "--iterations", "22", "--restructure", "much"],
    ],
    ids=" ".join,
)
def test_a_recipe_has_all_settings(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert main(arguments(folder, *more)) == 0
    assert main(again(folder)) == 0
    recipe = assert_painted_again(folder)
    parsed = vars(build_parser().parse_args(arguments(folder, *more)))
    given = {name: value for name, value in parsed.items() if name in options()}
    assert recipe.settings == TransferSettings(**given)
    assert "nst:" not in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_a_recipe_of_a_job_with_edits_and_two_paintings(
    folder: Path, make_picture: MakePicture
) -> None:
    other = folder / "other.png"
    make_picture(64, 40, seed=3).save(other)
    content, *styles = (load_image(folder / f"{n}.png") for n in ("photo", "painting", "other"))
    small, large = TransferSettings(size=64, iterations=3), TransferSettings(size=80, iterations=6)
    *_, step = transfer_style(content, styles[:1], small)
    begin = Moment(step.image, step.iteration)
    *_, step = transfer_style(content, styles[1:], large, begin=begin)
    assert step.provenance
    recipe = dataclasses.replace(
        new_recipe(content, styles, large, step.provenance),
        passages=(Passage(0, small, (0,)), Passage(3, large, (1,))),
        colors=0.8,
    )
    picture = dial_colors(step.image, content, styles[1:], 0.8)
    save_png(picture, folder / "out.png", {KEYWORD: recipe.to_text()})
    assert main(again(folder, str(other), "--device", "cpu")) == 0
    assert assert_painted_again(folder) == recipe


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and contents of the chunks of a PNG."""
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


@pytest.mark.usefixtures("tiny")
def test_nothing_private_is_in_the_picture(
    tmp_path: Path, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "PRIVATE")
    home = tmp_path / "PRIVATE-home"
    home.mkdir()
    photo, painting, out = (str(home / f"PRIVATE-{n}.png") for n in ("photo", "painting", "out"))
    about = PngInfo()
    about.add_text("Author", "PRIVATE")
    exif = Image.Exif()
    exif[0x010E] = "PRIVATE"
    for path in (photo, painting):
        make_picture(80, 60).save(path, pnginfo=about, exif=exif, dpi=(72, 72))
    assert main([photo, painting, "-o", out, "--size", "64", "--iterations", "1"]) == 0
    data = Path(out).read_bytes()
    assert b"PRIVATE" not in data
    assert str(tmp_path).encode() not in data
    said = [each for each in chunks(data) if each[0] not in (b"IHDR", b"IDAT")]
    color_space, (_, text), end = said
    assert (color_space, end) == ((b"sRGB", b"\0"), (b"IEND", b""))
    keyword, _, value = text.partition(b"\0")
    assert keyword == b"nst-recipe"
    assert value.isascii()
    assert set(json.loads(value)) == {
        *("version", "provenance", "content", "styles"),
        *("passages", "iterations", "colors"),
    }


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("which", "reason"),
    [
        ("photo", "the photo is not the recipe's"),
        ("painting", "the paintings are not the recipe's"),
    ],
)
def test_other_pictures_are_told_of_and_painted(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    make_picture: MakePicture,
    which: str,
    reason: str,
) -> None:
    assert main(arguments(folder, "--json")) == 0
    make_picture(90, 60, seed=9).save(folder / f"{which}.png")
    capsys.readouterr()
    assert main(again(folder, "--json")) == 0
    errors = capsys.readouterr().err
    assert errors == f"nst: {reason}; the result may differ\n"
    first, second = (load_image(folder / f"{name}.png") for name in ("out", "again"))
    assert first.tobytes() != second.tobytes()
    (folder / "again.png").replace(folder / "out.png")  # has a true recipe of its own
    assert main(again(folder)) == 0
    assert_painted_again(folder)


@pytest.mark.usefixtures("tiny")
def test_other_software_is_told_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(folder)) == 0
    made = read_recipe(folder / "out.png")
    old = Provenance("cpu", software={"nst": "0.0.1"})
    recipe = dataclasses.replace(made, provenance=(old,))
    save_png(load_image(folder / "out.png"), folder / "out.png", {KEYWORD: recipe.to_text()})
    capsys.readouterr()
    assert main(again(folder, "--json")) == 0
    assert "written by version 0.0.1" in capsys.readouterr().err
    assert read_recipe(folder / "again.png") == made


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--size", "64"], "with --recipe the settings are the recipe's; leave out --size"),
        (["--layer-weights", "relu1_1=1"], "leave out --layer-weights"),
        (["--colors", "0"], "leave out --colors"),
        (["painting.png"], "nst: The recipe needs one painting, not 2."),
        (["--recipe", ""], ": The file cannot be read: "),
        (["--recipe", "."], ".: The file cannot be read: Is a directory."),
        (["--recipe", "missing.png"], "missing.png: The file cannot be read: No such file"),
        (["--recipe", "photo.png"], "photo.png: This picture carries no recipe"),
        (["--recipe", "photo.jpg"], "photo.jpg: This picture carries no recipe"),
        (["--recipe", "newer.png"], "newer.png: The recipe in this picture was written by a newer"),
        (["--recipe", "hostile.png"], "recipe in this picture cannot be used: size must be"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_followed_is_one_line_on_stderr(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(arguments(folder)) == 0
    photo = load_image("photo.png")
    photo.save("photo.jpg")
    text = read_recipe("out.png").to_text()
    save_png(photo, "newer.png", {KEYWORD: text.replace('"version":4', '"version":5')})
    save_png(photo, "hostile.png", {KEYWORD: text.replace('"size":64', '"size":"<b>\\n"')})
    before = sorted(os.listdir())
    capsys.readouterr()
    assert main(again(folder, *more)) == 1
    assert_one_line(capsys, reason)
    assert sorted(os.listdir()) == before
