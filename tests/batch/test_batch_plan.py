"""Which pictures a batch has, and what makes one another picture."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from helpers.batches import QUICK, planned
from nst.batch.__main__ import build_parser, chosen_settings, controls_given
from nst.batch.inputs import InputFile, find_pictures
from nst.batch.messages import Controls, FileFormat
from nst.batch.plan import Manner, pair_up
from nst.errors import ImageError, RecipeError, SettingsError
from nst.images.recipe import new_recipe, signed_png
from nst.settings import PaintingUse, TransferSettings

PHOTO, PAINTING = InputFile(Path("a"), "1" * 64), InputFile(Path("b"), "2" * 64)


def test_a_folder_gives_its_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "c.heic"):
        (tmp_path / name).touch()
    (tmp_path / "sub.png").mkdir()
    (tmp_path / "sub.png" / "d.png").touch()
    found = find_pictures([str(tmp_path / "c.heic"), str(tmp_path), str(tmp_path / "notes.txt")])
    assert [path.name for path in found] == ["c.heic", "a.png", "b.JPG", "notes.txt"]


def test_what_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no file or folder 'nowhere'"):
        find_pictures(["nowhere"])
    with pytest.raises(ImageError, match="no pictures in the folder"):
        find_pictures([str(tmp_path)])


def test_pairs() -> None:
    a, b, x, y = map(Path, "abxy")
    assert pair_up([a, b], [x, y]) == [(a, x), (a, y), (b, x), (b, y)]
    assert pair_up([a, b], [x, y], "zip") == [(a, x), (b, y)]
    with pytest.raises(SettingsError, match="as many paintings as photos, not 1 for 2"):
        pair_up([a, b], [x], "zip")


def test_a_key_changes_with_whatever_decides_the_picture() -> None:
    manners = [
        Manner(QUICK),
        Manner(QUICK.replace(beta=2.0)),
        Manner(QUICK.replace(paintings=(PaintingUse(scale=2.0),))),
        Manner(QUICK, FileFormat(".tif")),
        Manner(QUICK, FileFormat(".png", depth=16)),
        Manner(QUICK, controls=Controls(keep=b"mask")),
        Manner(QUICK, controls=Controls(mask=b"mask")),
        Manner(QUICK, protect_faces=True),
    ]
    keys = {manner.key(PHOTO, PAINTING) for manner in manners}
    keys.add(manners[0].key(PAINTING, PAINTING))
    keys.add(manners[0].key(PHOTO, PHOTO))
    assert len(keys) == len(manners) + 2


def test_a_key_depends_on_bytes_and_not_on_paths_or_types(monkeypatch: pytest.MonkeyPatch) -> None:
    manner = Manner(QUICK)
    assert manner.key(PHOTO, PAINTING) == manner.key(InputFile(Path("z"), "1" * 64), PAINTING)
    assert manner.key(PHOTO, PAINTING) == Manner(QUICK.replace(beta=1)).key(PHOTO, PAINTING)
    before = manner.key(PHOTO, PAINTING)
    monkeypatch.setattr("nst.provenance.ENGINE_CHANGES", {"0.2.0": "a", "0.10.0": "b"})
    assert manner.key(PHOTO, PAINTING) != before


def test_a_file_that_changes_is_not_painted_as_if_it_had_not(folder: Path) -> None:
    (item,), manner = planned([folder / "photo.png"], [folder / "painting.png"])
    assert item.request(manner).photo == (folder / "photo.png").read_bytes()
    with (folder / "photo.png").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ImageError, match="changed while the batch ran"):
        item.request(manner)
    os.remove(folder / "photo.png")
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        item.request(manner)


def settings_of(*words: str) -> TransferSettings:
    return chosen_settings(build_parser().parse_args(["a", "--styles", "b", "-o", "c", *words]))[0]


def test_settings_come_from_flags(tmp_path: Path) -> None:
    given = settings_of("--size", "96", "--style-loss", "gram=1", "--style-rotation", "90")
    assert given == TransferSettings(
        size=96, style_costs={"gram": 1.0}, paintings=(PaintingUse(rotation=90.0),)
    )
    with pytest.raises(SettingsError, match="--style-rotation has 2 values for one painting"):
        settings_of("--style-rotation", "90,45")


def test_settings_come_from_a_file_and_flags_on_top(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"beta": 3, "iterations": 20}))
    assert settings_of("--settings", str(path), "--iterations", "7") == TransferSettings(
        beta=3, iterations=7
    )
    chosen = TransferSettings(beta=0.5, colors=-1.0, paintings=(PaintingUse(strength=2.0),))
    picture = tmp_path / "result.png"
    picture.write_bytes(signed_png(photo, new_recipe(photo, [photo], chosen, "cpu")))
    assert settings_of("--settings", str(picture)) == chosen
    assert settings_of("--settings", str(picture), "--alpha", "2") == chosen.replace(alpha=2.0)


def test_the_uses_of_several_paintings_are_left_out(tmp_path: Path, photo: Image.Image) -> None:
    chosen = TransferSettings(paintings=(PaintingUse(weight=0.0), PaintingUse(weight=0.5)))
    picture = tmp_path / "result.png"
    picture.write_bytes(signed_png(photo, new_recipe(photo, [photo, photo], chosen, "cpu")))
    assert settings_of("--settings", str(picture)) == TransferSettings()


@pytest.mark.parametrize(
    ("data", "error", "sentence"),
    [
        (b'{"beta": "much"}', SettingsError, "beta must be a finite number"),
        (b'{"scale": 3}', SettingsError, "there is no setting 'scale'"),
        (b'{"beta": 1', SettingsError, "no JSON object of settings"),
        (b"no picture", RecipeError, "This is not a PNG"),
    ],
)
def test_a_bad_file_of_settings_is_one_sentence_with_its_name(
    tmp_path: Path, data: bytes, error: type[Exception], sentence: str
) -> None:
    path = tmp_path / "settings.png"
    path.write_bytes(data)
    with pytest.raises(error, match=f"{path}: .*{sentence}"):
        settings_of("--settings", str(path))
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        settings_of("--settings", "nowhere")


def test_masks_and_a_start_go_to_every_picture(folder: Path) -> None:
    def controls(*words: str) -> Controls:
        return controls_given(build_parser().parse_args(["a", "--styles", "b", "-o", "c", *words]))

    photo = str(folder / "photo.png")
    data = Path(photo).read_bytes()
    assert controls() == Controls()
    assert controls("--masks", photo, "--keep", photo) == Controls(mask=data, keep=data)
    assert controls("--within", photo, "--init", photo) == Controls(within=data, init=data)
    with pytest.raises(SettingsError, match="--masks has 2 files for one painting"):
        controls("--masks", f"{photo},{photo}")
    with pytest.raises(ImageError, match=r"nowhere\.png: it cannot be read"):
        controls("--keep", "nowhere.png")
