"""Where the command line writes: no input is overwritten, and what cannot be written is told
before anything is painted."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers.places import EXAMPLES
from nst import load_image
from nst.__main__ import build_parser, main
from nst.engine.transfer import transfer_style
from nst.errors import OutputError
from nst.files import cache_folder, whole_file
from nst.images.recipe import read_recipe
from nst.images.writing import save_png
from nst.outputs import check_output, check_space
from nst.settings import MOST_STYLES
from nst.vgg.network import VGG

sys.path.insert(0, str(EXAMPLES))


@pytest.fixture
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch, network: VGG) -> Path:
    """The present folder, with `photo.png` and `painting.png`; the network is a tiny one."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    return folder


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Painting would be a failure."""

    def paint(*_: object, **__: object) -> Iterator[Any]:
        raise AssertionError("it was painted")

    monkeypatch.setattr("nst.studio.backends.local.transfer_style", paint)


def paint(output: str, *more: str, style: str = "painting.png") -> int:
    return main(
        ["photo.png", style, "-o", output, "--size", "64", "--iterations", "1", "--json", *more]
    )


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize("source", ["photo.png", "painting.png"])
@pytest.mark.parametrize("way", ["name", "dotted", "absolute", "symlink", "hardlink", "chain"])
def test_an_output_that_is_an_input_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], source: str, way: str
) -> None:
    output = {
        "name": source,
        "dotted": f"./../{folder.name}/{source}",
        "absolute": str(folder / source),
    }.get(way, "other.png")
    if way == "symlink":
        Path("other.png").symlink_to(source)
    elif way == "hardlink":
        os.link(source, "other.png")
    elif way == "chain":
        Path("between.png").symlink_to(folder / source)
        Path("other.png").symlink_to("between.png")
    before = bytes_in(folder)
    assert paint(output) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"nst: the output {output!r} is the same file as the input {source!r}; choose another name"
    )
    assert bytes_in(folder) == before


def test_the_picture_whose_recipe_is_followed_is_not_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint("out.png") == 0
    before = bytes_in(folder)
    assert main(["--recipe", "out.png", "photo.png", "painting.png", "-o", "./out.png"]) == 1
    assert "is the same file as the input 'out.png'" in capsys.readouterr().err
    assert bytes_in(folder) == before


def test_the_contact_sheet_overwrites_no_example(monkeypatch: pytest.MonkeyPatch) -> None:
    import contact_sheet

    source = next(iter((EXAMPLES / "style").glob("*.jpg")))
    before = source.read_bytes()
    monkeypatch.setattr(contact_sheet, "tile", lambda *_: Image.new("RGB", contact_sheet.TILE))
    monkeypatch.setattr(sys, "argv", ["contact_sheet.py", "--output", str(source)])
    try:
        with pytest.raises(OutputError, match="is the same file as the input"):
            contact_sheet.main()
        assert source.read_bytes() == before
    finally:
        source.write_bytes(before)


@pytest.mark.parametrize("is_there", [True, False], ids=["to a file", "to a file to be"])
def test_a_link_stays_and_the_file_it_names_is_replaced(folder: Path, is_there: bool) -> None:
    (folder / "below").mkdir()
    target = folder / "below" / "target.png"
    if is_there:
        target.write_bytes(b"an older result")
    Path("out.png").symlink_to("below/target.png")
    assert paint("out.png") == 0
    assert os.readlink("out.png") == "below/target.png"
    assert load_image(target).size == (64, 48)
    assert os.listdir(folder / "below") == ["target.png"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_an_older_result_stays(folder: Path, mode: int) -> None:
    Path("out.png").touch()
    Path("out.png").chmod(mode)
    assert paint("out.png") == 0
    assert stat.S_IMODE(Path("out.png").stat().st_mode) == mode
    assert load_image("out.png").size == (64, 48)


@pytest.mark.parametrize("length", [200, 246, 255])
def test_a_name_may_be_as_long_as_the_file_system_has_it(folder: Path, length: int) -> None:
    name = "n" * (length - 4) + ".png"
    assert paint(name) == 0
    assert load_image(folder / name).size == (64, 48)


@pytest.mark.parametrize("name", ["ü" * 125 + ".png", "n" * 252 + ".png"])
@pytest.mark.usefixtures("unpainted")
def test_a_longer_name_is_told_before_painting(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = bytes_in(folder)
    assert paint(name) == 1
    is_too_long = len(os.fsencode(name)) > 255
    reason = "cannot be written: File name too long" if is_too_long else "it was painted"
    assert reason in capsys.readouterr().err
    assert bytes_in(folder) == before


@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder.png", "it is a folder"),
        ("pipe.png", "it is not an ordinary file"),
        ("null.png", "it is not an ordinary file"),
        ("loop.png", "it is not an ordinary file"),
        ("photo.png/out.png", "there is no folder 'photo.png' to write to"),
        ("lost.png", "there is no folder"),
        ("/dev/stdout", "the output must be a .png, .tif, .tiff, .webp, .jpg or .jpeg file, not"),
    ],
)
def test_what_cannot_be_replaced_is_told_before_painting(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    Path("folder.png").mkdir()
    os.mkfifo("pipe.png")
    Path("null.png").symlink_to(os.devnull)
    Path("loop.png").symlink_to("loop.png")
    Path("lost.png").symlink_to("nowhere/lost.png")
    before = sorted(os.listdir())
    assert paint(name) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("unpainted", "folder")
def test_a_write_protected_result_is_told_before_painting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out.png").write_bytes(b"an older result")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "out.png")  # or root
    assert paint("out.png") == 1
    assert "'out.png' cannot be written: the file is write-protected" in capsys.readouterr().err
    assert Path("out.png").read_bytes() == b"an older result"


@pytest.mark.usefixtures("unpainted", "folder")
def test_a_folder_in_which_nothing_can_be_created_is_told_before_painting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def create(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", create)
    assert paint("out.png") == 1
    assert "'out.png' cannot be written: Read-only file system" in capsys.readouterr().err


@pytest.mark.usefixtures("unpainted", "folder")
def test_a_disk_without_room_is_told_before_painting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def allocate(file: int, start: int, size: int) -> None:
        assert size >= 64 * 48 * 3
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    assert paint("out.png") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["painting.png", "photo.png"]


def test_room_is_asked_of_the_system(tmp_path: Path) -> None:
    check_space(tmp_path / "out.png", 1000)
    with pytest.raises(OutputError, match="cannot be written: up to"):
        check_space(tmp_path / "out.png", 2**62)
    assert os.listdir(tmp_path) == []


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"an older result")
    check_output(tmp_path / "out.png", (".png",), [tmp_path / "missing.jpg"])
    assert (tmp_path / "out.png").read_bytes() == b"an older result"
    assert os.listdir(tmp_path) == ["out.png"]


def test_every_file_that_is_written_whole_has_a_short_temporary_name(tmp_path: Path) -> None:
    with whole_file(tmp_path / ("n" * 255)) as temporary:
        assert len(os.fsencode(temporary.name)) < 20
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"all of it")
    assert os.listdir(tmp_path) == ["n" * 255]


def test_an_interrupted_write_leaves_link_and_target(tmp_path: Path, photo: Image.Image) -> None:
    target, link = tmp_path / "target.png", tmp_path / "out.png"
    target.write_bytes(b"an older file")
    link.symlink_to(target)
    with contextlib.suppress(KeyboardInterrupt), whole_file(link) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert sorted(os.listdir(tmp_path)) == ["out.png", "target.png"]
    assert link.is_symlink()
    assert target.read_bytes() == b"an older file"
    save_png(photo, link)
    assert link.is_symlink()
    assert load_image(target).size == photo.size


@pytest.mark.usefixtures("unpainted", "folder")
def test_too_many_paintings_are_told_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("a picture was loaded")

    monkeypatch.setattr("nst.images.reading.load_image", load)
    styles = ["painting.png"] * (MOST_STYLES + 1)
    assert main(["photo.png", *styles, "-o", "out.png"]) == 1
    assert capsys.readouterr().err == "nst: at most 100 paintings can be used, not 101\n"


def test_as_many_paintings_as_are_allowed_give_a_recipe_that_is_read(folder: Path) -> None:
    styles = ["painting.png"] * (MOST_STYLES - 1)
    words = ["photo.png", "painting.png", *styles, "-o", "out.png", "--size", "64"]
    assert main([*words, "--iterations", "1", "--json"]) == 0
    assert len(read_recipe(folder / "out.png").styles) == MOST_STYLES


def test_the_limit_on_paintings_is_the_engines_and_in_the_help(
    photo: Image.Image, painting: Image.Image, network: VGG
) -> None:
    with pytest.raises(ValueError, match="at most 100 style pictures can be used, not 101"):
        next(transfer_style(photo, [painting] * (MOST_STYLES + 1), network=network))
    assert f"at most {MOST_STYLES}" in " ".join(build_parser().format_help().split())


@pytest.mark.parametrize("value", ["", "cache", "./cache", "../cache", "~/cache"])
def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == Path("/home/ada/.cache/nst")


def test_an_absolute_cache_folder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache_folder() == Path("/var/cache/nst")


def test_a_file_system_that_cannot_reserve_room_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allocate(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    check_space(tmp_path / "out.png", 1000)
