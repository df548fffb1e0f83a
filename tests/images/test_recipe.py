"""Recipes: written and read back, followed to the same picture, refused when they are hostile."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nst.images.recipe
from helpers.pictures import MakePicture
from nst import Masks, TransferSettings, load_image, transfer_style
from nst.engine.repaint import repaint
from nst.engine.schedule import Moment
from nst.errors import RecipeError
from nst.images.mask_records import MOST_TEXT, MaskRecord
from nst.images.png_text import MAX_TEXT
from nst.images.recipe import (
    KEYWORD,
    MOST_PASSAGES,
    Ingredient,
    Passage,
    Recipe,
    new_recipe,
    parse_recipe,
    read_recipe,
)
from nst.images.transforms import transformed
from nst.images.writing import hash_of, save_png
from nst.provenance import Provenance, software
from nst.settings import DEFAULTS, LAYER_CHANNELS, MOST_STYLES, PaintingUse
from nst.studio.job import Job
from nst.vgg.network import VGG

SMALL = TransferSettings(size=64, iterations=5)
UNUSUAL = TransferSettings(
    size=80,
    iterations=7,
    alpha=2.5,
    beta=1 / 3,
    layer_weights={"relu1_2": 0.1, "relu3_4": 10, "relu5_1": 0},
    style_costs={"gram": 0.5, "wasserstein": 1 / 3},
    content_layers={"relu3_2": 0.3},
    laplacian=1.5,
    content_layer="relu3_1",
    optimizer="adam",
    start="noise",
    init_weight=0.25,
    restructure="much",
    base_size=512,
    base_weight=0.5,
    edges="seamless",
    pooling="average",
    style_scale=1.55,
    total_variation=0.1,
    colors=-0.35,
    color_transfer="cholesky",
    seed=2**31 - 1,
    precision="float32",
    weights="torchvision",
    paintings=(
        PaintingUse(
            weight=0.7,
            strength=1 / 3,
            layers=("relu4_1", "relu1_1"),
            scale=2,
            rotation=-90,
            mirror=True,
            crop=(0.1, 0, 1, 0.5),
        ),
    ),
)
MASK = Image.linear_gradient("L").resize((200, 150))
RECIPE = Recipe(
    content=Ingredient("0" * 64, 80, 60),
    styles=(Ingredient("1f" * 32, 50, 70), Ingredient("2e" * 32, 64, 40)),
    passages=(
        Passage(0, SMALL, (0, 1), keep=MaskRecord.of(MASK)),
        Passage(3, UNUSUAL, (1,), painted_by=1, keep=MaskRecord.of(MASK.rotate(180))),
    ),
    iterations=6,
    colors=0.25,
    provenance=(
        Provenance("cpu", "AVX512", "bfloat16", 2, {"nst": "0.1.0", "torch": "2.14.1"}),
        Provenance("cuda", "NVIDIA-H100", "bfloat16", 0, {"nst": "0.1.0", "torch": "2.14.1"}),
    ),
    regions=(None, MaskRecord.of(MASK)),
    within=(MaskRecord.of(MASK.transpose(Image.Transpose.TRANSPOSE)),),
    init=Ingredient("4d" * 32, 30, 20),
)
Pictures = Sequence[Image.Image]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    """Runs with a tiny network in place of the real one."""
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)


@pytest.fixture
def paintings(make_picture: MakePicture) -> Pictures:
    """Two, of different shapes."""
    return [make_picture(50, 70, seed=2), make_picture(64, 40, seed=3)]


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(*chunks: bytes) -> bytes:
    """A picture of 16×16 pixels with `chunks` before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(16 * (1 + 3 * 16))))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *chunks, pixels, chunk(b"IEND", b"")))


def png_with(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode("latin-1")
    return png(chunk(b"tEXt", KEYWORD.encode() + b"\0" + data))


def read(source: str | bytes | Path) -> Recipe:
    """From a recipe's text, or a file."""
    return parse_recipe(source) if isinstance(source, str) else read_recipe(source)


def refusal(source: str | bytes | Path) -> str:
    """The message with which `read` refuses: a plain sentence, and no path in it."""
    with pytest.raises(RecipeError) as caught:
        read(source)
    assert not isinstance(source, Path) or source.name not in str(caught.value)
    return assert_sentence(caught.value)


def assert_sentence(error: RecipeError) -> str:
    message = str(error)
    assert message.isprintable()  # so it is one line
    assert message.endswith(".")
    assert len(message) < 300
    assert not set(message) & set("<>")  # no markup
    assert error.__cause__ is None
    return message


def assert_recipe_or_sentence(source: str | bytes) -> bool:
    """Whether it is a recipe."""
    try:
        recipe = read(source)
    except RecipeError as error:
        assert_sentence(error)
        return False
    assert parse_recipe(recipe.to_text()) == recipe
    return True


# Round trips


def test_every_setting_is_unusual() -> None:
    for spec in fields(TransferSettings):
        assert getattr(UNUSUAL, spec.name) != getattr(DEFAULTS, spec.name), spec.name
    for spec in fields(PaintingUse):
        assert getattr(UNUSUAL.paintings[0], spec.name) != spec.default, spec.name


def test_what_is_written_is_read(tmp_path: Path, photo: Image.Image) -> None:
    text = RECIPE.to_text()
    assert text.isascii()
    assert parse_recipe(text) == RECIPE
    assert parse_recipe(text).to_text() == text
    save_png(photo, tmp_path / "result.png", {KEYWORD: text})
    for source in (tmp_path / "result.png", str(tmp_path / "result.png")):
        assert read_recipe(source) == RECIPE
    assert read_recipe((tmp_path / "result.png").read_bytes()) == RECIPE
    assert load_image(tmp_path / "result.png").tobytes() == photo.tobytes()


def test_the_longest_recipe_is_read() -> None:
    settings = UNUSUAL.replace(layer_weights=dict.fromkeys(LAYER_CHANNELS, 1 / 3), iterations=1000)
    styles = tuple(range(MOST_STYLES))
    longest = replace(
        RECIPE,
        styles=RECIPE.styles[:1] * MOST_STYLES,
        passages=tuple(Passage(begin, settings, styles) for begin in range(MOST_PASSAGES)),
        iterations=1000,
    )
    assert MAX_TEXT / 2 < len(longest.to_text()) <= MAX_TEXT
    assert parse_recipe(longest.to_text()) == longest


def test_settings_of_an_older_version_have_the_usual_values() -> None:
    data = json.loads(RECIPE.to_text())
    del data["passages"][1]["settings"]["pooling"]
    assert parse_recipe(json.dumps(data)).passages[1].settings == UNUSUAL.replace(pooling="max")


def test_the_chunk_is_documented_and_versioned() -> None:
    documented = re.findall(r"^    (\w+) {2,}", str(nst.images.recipe.__doc__), re.MULTILINE)
    assert documented == list(json.loads(RECIPE.to_text()))
    assert json.loads(RECIPE.to_text())["version"] == 4
    assert set(software()) == {"nst", "torch"}


def test_settings_and_paintings_in_force_at_the_end(paintings: Pictures) -> None:
    assert RECIPE.settings == UNUSUAL.replace(colors=0.25)
    (use,) = UNUSUAL.paintings
    assert RECIPE.last_of(paintings) == [transformed(paintings[1], use)]


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_chunk_that_was_converted_is_read(kind: bytes) -> None:
    """As other software does when it saves a picture anew."""
    text = RECIPE.to_text().encode()
    data = b"\0\0" + zlib.compress(text) if kind == b"zTXt" else b"\0\0\0\0\0" + text
    assert read_recipe(png(chunk(kind, KEYWORD.encode() + data))) == RECIPE


def test_pillow_has_nothing_to_warn_of() -> None:
    """pytest turns warnings into errors; here, an animation of no frames."""
    animation = chunk(b"acTL", struct.pack(">II", 0, 0))
    text = chunk(b"tEXt", KEYWORD.encode() + b"\0" + RECIPE.to_text().encode())
    assert read_recipe(png(animation, text)) == RECIPE


def test_a_hash_is_that_of_the_pixels(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "photo.png")
    photo.save(tmp_path / "photo.bmp")
    hashes = {hash_of(load_image(tmp_path / f"photo.{end}")) for end in ("png", "bmp")}
    assert hashes == {hash_of(photo)} == {hash_of(photo.copy())}
    changed = photo.copy()
    changed.putpixel((79, 59), (1, 2, 3))
    assert hash_of(changed) != hash_of(photo)
    reshaped = Image.frombytes("RGB", (60, 80), photo.tobytes())
    assert hash_of(reshaped) != hash_of(photo)
    assert Ingredient.of(photo) == Ingredient(hash_of(photo), 80, 60)
    assert re.fullmatch("[0-9a-f]{64}", hash_of(photo))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"content": Ingredient("3" * 64, 80, 60)}, "the photo"),
        ({"styles": RECIPE.styles[::-1]}, "the paintings"),
        ({"regions": (), "within": ()}, "the masks"),
        ({"regions": RECIPE.regions[::-1]}, "the masks"),
        ({"within": (*RECIPE.within, None)}, None),
        ({"passages": (replace(RECIPE.passages[0], keep=None),)}, "the masks"),
        ({"init": None}, "the picture to start from"),
    ],
)
def test_differences_are_named(changes: dict[str, Any], reason: str | None) -> None:
    one = replace(
        RECIPE, passages=RECIPE.passages[:1], provenance=RECIPE.provenance[:1], iterations=3
    )
    differences = one.differences(replace(one, **changes))
    assert len(differences) == (reason is not None)
    assert all(str(reason) in difference for difference in differences)


# Masks


@pytest.mark.parametrize("size", [(200, 150), (64, 48), (16, 17), (3000, 150)])
def test_a_mask_is_recorded_with_a_small_copy(size: tuple[int, int]) -> None:
    mask = Image.linear_gradient("L").resize(size)
    record = MaskRecord.of(mask)
    assert (record.sha256, record.width, record.height) == (hash_of(mask), *size)
    copy = record.copy()
    assert max(copy.size) == min(128, max(size))
    enlarged = np.asarray(copy.resize(size), int)
    assert np.abs(enlarged - np.asarray(mask, int)).mean() < 3
    assert len(record.small) <= MOST_TEXT


def test_a_mask_of_noise_has_a_smaller_copy() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400), np.uint8))
    record = MaskRecord.of(noise)
    assert max(record.copy().size) == 64
    assert len(record.small) <= MOST_TEXT


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({}, b"\0" * 11),
        ({}, b"\0" * 13),
        ({}, bytes(10**7)),
        ({"small_width": 0}, b""),
        ({"small_width": 129, "small_height": 1}, bytes(129)),
        ({"small_width": 2**30, "small_height": 2**30}, bytes(12)),
    ],
    ids=["short", "long", "bomb", "none", "wide", "huge"],
)
def test_a_damaged_copy_of_a_mask_is_refused(changes: dict[str, Any], values: bytes) -> None:
    record = MaskRecord("0" * 64, 40, 30, 4, 3, base64.b64encode(zlib.compress(bytes(12))).decode())
    packed = base64.b64encode(zlib.compress(values, 9)).decode()
    with pytest.raises(RecipeError, match="has a mask that is damaged"):
        replace(record, small=packed, **changes)


@pytest.mark.parametrize("text", ["?", "A", "QUJD", "é" * 12, "A" * (MOST_TEXT + 4)])
def test_a_copy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="has a mask that is damaged"):
        MaskRecord("0" * 64, 40, 30, 4, 3, text)


def test_more_masks_than_paintings_are_refused() -> None:
    with pytest.raises(RecipeError, match="more masks than paintings"):
        replace(RECIPE, regions=(*RECIPE.regions, None))


def test_a_recipe_whose_paintings_all_have_no_weight_is_refused(
    photo: Image.Image, paintings: Pictures
) -> None:
    settings = SMALL.replace(paintings=(PaintingUse(weight=0),))
    assert parse_recipe(new_recipe(photo, paintings, settings, "cpu").to_text())
    text = new_recipe(photo, paintings[:1], settings, "cpu").to_text()
    assert refusal(text) == "The weights of the paintings are all 0; at least one must count."


def test_a_recipe_without_masks_says_nothing_of_them(
    photo: Image.Image, paintings: Pictures
) -> None:
    recipe = new_recipe(photo, paintings, SMALL, "cpu", masks=Masks((None,)))
    assert set(json.loads(recipe.to_text())).isdisjoint({"masks", "init"})
    assert "paintings" not in json.loads(recipe.to_text())["passages"][0]["settings"]


@pytest.mark.usefixtures("tiny")
def test_a_recipe_with_masks_is_followed_to_the_same_picture(
    photo: Image.Image, paintings: Pictures, make_picture: MakePicture
) -> None:
    masks, init = Masks((MASK, None), MASK.rotate(180)), make_picture(40, 40, seed=9)
    uses = (PaintingUse(weight=2.0, strength=1.5), PaintingUse(layers=("relu1_1", "relu3_1")))
    settings = SMALL.replace(paintings=uses)
    *_, last = on_cpu(photo, paintings, settings, masks=masks, init=init)
    written = new_recipe(photo, paintings, settings, "cpu", masks=masks, init=init)
    recipe = parse_recipe(written.to_text())
    assert recipe == written
    *_, again = repaint(recipe, photo, paintings, masks=masks, init=init, engine=on_cpu)
    assert again.image == last.image
    *_, near = repaint(recipe, photo, paintings, init=init, engine=on_cpu)
    assert near.image != last.image
    difference = np.asarray(near.image, int) - np.asarray(last.image, int)
    assert np.abs(difference).mean() < 4


def test_a_mask_is_told_once_however_often_it_is_used() -> None:
    told = json.loads(RECIPE.to_text())
    assert RECIPE.to_text().count(MaskRecord.of(MASK).sha256) == 1
    assert [passage["keep"] for passage in told["passages"]] == [0, 2]
    assert told["masks"]["regions"] == [None, 0]
    assert told["masks"]["within"] == [1]


@pytest.mark.parametrize("has_keep", [True, False])
def test_recipes_with_one_set_of_masks_are_read(has_keep: bool) -> None:
    """As they were written when the masks of the last passage stood for all."""
    told, masks = json.loads(RECIPE.to_text()), RECIPE.masks
    del told["passages"][0]["keep"], told["passages"][1]["keep"]
    told["masks"] = masks.to_json()
    if not has_keep:
        del told["masks"]["keep"]
    recipe = parse_recipe(json.dumps(told))
    assert recipe.masks == (masks if has_keep else replace(masks, keep=None))
    assert [passage.keep for passage in recipe.passages] == [recipe.masks.keep] * 2
    assert parse_recipe(recipe.to_text()) == recipe


def test_a_mask_that_is_not_there_is_refused() -> None:
    told = json.loads(RECIPE.to_text())
    told["passages"][0]["keep"] = 3
    assert "not one that is known" in refusal(json.dumps(told))


def test_a_given_keep_mask_is_that_of_its_passages() -> None:
    first, last = RECIPE.passage_masks(Masks((None, MASK), MASK.rotate(180)))
    assert last.keep == MASK.rotate(180)
    assert first.keep == MaskRecord.of(MASK).copy()
    assert [first.regions, last.regions] == [(None, MASK), (MASK,)]
    other = Image.new("L", MASK.size, 90)
    assert [each.keep for each in RECIPE.passage_masks(Masks(keep=other))] == [other] * 2
    copies = [each.keep for each in RECIPE.passage_masks()]
    assert copies == [MaskRecord.of(each).copy() for each in (MASK, MASK.rotate(180))]
    # What is not given is the recipe's.
    assert [each.keep for each in RECIPE.passage_masks(Masks((MASK,)))] == copies
    regions = [each.regions for each in RECIPE.passage_masks()]
    assert any(map(any, regions))
    assert [each.regions for each in RECIPE.passage_masks(Masks(keep=other))] == regions
    begun = RECIPE.passages[0]
    same = replace(RECIPE, passages=(begun, replace(begun, iteration=3)), iterations=5)
    one, again = same.passage_masks()
    assert one.keep is again.keep  # as what the optimiser has learned needs it


@pytest.mark.usefixtures("tiny")
def test_each_passage_leaves_as_it_is_what_it_left(photo: Image.Image, paintings: Pictures) -> None:
    left, right = (
        MASK.transpose(turn) for turn in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
    )
    masks = [Masks(keep=each.resize(photo.size)) for each in (left, right)]
    longer = SMALL.replace(iterations=8)
    first, last = (
        new_recipe(photo, paintings[:1], settings, "cpu", masks=each).passages[0]
        for settings, each in zip((SMALL, longer), masks, strict=True)
    )
    recipe = replace(
        new_recipe(photo, paintings[:1], SMALL, "cpu"),
        passages=(first, replace(last, iteration=5)),
        iterations=8,
    )
    recipe = parse_recipe(recipe.to_text())
    *_, again = repaint(recipe, photo, paintings[:1], masks=masks, engine=on_cpu)
    *_, begun = on_cpu(photo, paintings[0], SMALL, masks=masks[0])
    begin = Moment(begun.image, 5)
    *_, expected = on_cpu(photo, paintings[0], longer, masks=masks[1], begin=begin)
    assert again.image.tobytes() == expected.image.tobytes()
    *_, other = repaint(recipe, photo, paintings[:1], masks=masks[::-1], engine=on_cpu)
    assert other.image.tobytes() != expected.image.tobytes()
    *_, near = repaint(recipe, photo, paintings[:1], engine=on_cpu)
    difference = np.asarray(near.image, int) - np.asarray(expected.image, int)
    assert np.abs(difference).mean() < 4


@pytest.mark.usefixtures("tiny")
def test_each_passage_has_the_masks_of_its_paintings(
    photo: Image.Image, paintings: Pictures
) -> None:
    masks = Masks((None, MASK))
    recipe = replace(
        new_recipe(photo, paintings, SMALL, "cpu", masks=masks),
        passages=(Passage(0, SMALL, (1, 0)), Passage(5, SMALL.replace(iterations=8), (1,))),
        iterations=8,
    )
    *_, last = repaint(recipe, photo, paintings, masks=masks, engine=on_cpu)
    *_, first = on_cpu(photo, paintings[::-1], SMALL, masks=Masks((MASK,)))
    begin = Moment(first.image, 5)
    settings = SMALL.replace(iterations=8)
    *_, expected = on_cpu(photo, paintings[1], settings, masks=Masks((MASK,)), begin=begin)
    assert last.image == expected.image


# Painting again

on_cpu = partial(transfer_style, device="cpu")


def by_hand(
    content: Image.Image, passages: Sequence[tuple[Pictures, TransferSettings, int]]
) -> Image.Image:
    """Runs chained: each (paintings, settings, last iteration) from the picture before."""
    begin = None
    for styles, settings, end in passages:
        for step in transfer_style(content, styles, settings, begin=begin, device="cpu"):
            if step.iteration == end:
                break
        begin = Moment(step.image, step.iteration)
    assert begin is not None
    return begin.picture


def painted(recipe: Recipe, content: Image.Image, styles: Pictures) -> Image.Image:
    *_, last = repaint(recipe, content, styles, engine=on_cpu)
    assert last.iteration == recipe.iterations
    return last.image


@pytest.mark.usefixtures("tiny")
def test_a_run_in_one_go(photo: Image.Image, paintings: Pictures) -> None:
    recipe = new_recipe(photo, paintings, SMALL, "cpu")
    expected = by_hand(photo, [(paintings, SMALL, 5)])
    assert painted(recipe, photo, paintings).tobytes() == expected.tobytes()


@pytest.mark.usefixtures("tiny")
def test_a_run_that_was_stopped(photo: Image.Image, paintings: Pictures) -> None:
    recipe = replace(new_recipe(photo, paintings, SMALL, "cpu"), iterations=2)
    steps = list(repaint(recipe, photo, paintings, engine=on_cpu))
    assert [step.iteration for step in steps] == [0, 1, 2]
    assert steps[-1].image.tobytes() == by_hand(photo, [(paintings, SMALL, 2)]).tobytes()
    start = replace(recipe, iterations=0)
    assert painted(start, photo, paintings).tobytes() == steps[0].image.tobytes()


@pytest.mark.usefixtures("tiny")
def test_passages_are_followed(photo: Image.Image, paintings: Pictures) -> None:
    """Other weights, another painting, another size, fewer iterations, both paintings."""
    bolder = SMALL.replace(beta=5.0, seed=3)
    larger = SMALL.replace(size=96, iterations=9, layer_weights={"relu1_1": 2.0})
    over = larger.replace(size=72, iterations=1)
    recipe = replace(
        new_recipe(photo, paintings, SMALL, "cpu"),
        passages=(
            Passage(0, SMALL, (0,)),
            Passage(2, bolder, (0,)),
            Passage(3, bolder, (1,)),
            Passage(5, larger, (1, 0)),
            Passage(7, over, (0,)),
        ),
        iterations=7,
    )
    one, two = paintings
    chain = [
        ([one], SMALL, 2),
        ([one], bolder, 3),
        ([two], bolder, 5),
        ([two, one], larger, 7),
        ([one], over, 7),
    ]
    steps = list(repaint(recipe, photo, paintings, engine=on_cpu))
    assert [step.iteration for step in steps] == [0, 1, 2, 2, 3, 3, 4, 5, 5, 6, 7, 7]
    assert [step.width for step in steps] == [64] * 8 + [96] * 3 + [72]
    assert steps[-1].image.tobytes() == by_hand(photo, chain).tobytes()
    last_kept = steps[7].image.tobytes()
    assert last_kept == by_hand(photo, chain[:3]).tobytes()
    assert last_kept != by_hand(photo, [([one], SMALL, 5)]).tobytes()


@pytest.mark.usefixtures("tiny")
def test_what_a_job_has_painted(photo: Image.Image, paintings: Pictures) -> None:
    """Edited twice on the way, stopped, and gone on with."""
    job = Job(photo, paintings[:1], SMALL.replace(iterations=8))
    for _ in job.run():
        iteration = job.steps[-1].iteration
        if iteration == 2:
            job.steer(job.settings.replace(alpha=0.1, colors=0.5), paintings[1])
        if iteration == 4:
            job.steer(job.settings.replace(size=80))
        if iteration == 6:
            job.stop()
    job.resume(job.settings.replace(iterations=7, restructure="much"))
    assert len(list(job.run())) == 2
    recipe = parse_recipe(job.recipe().to_text())
    assert [passage.iteration for passage in recipe.passages] == [0, 2, 4, 6]
    assert recipe.colors == 0.5
    assert job.moment is not None
    again = painted(recipe, photo, job.styles)
    assert again.tobytes() == job.moment.picture.tobytes()


@pytest.mark.parametrize(("needed", "message"), [(2, "2 paintings, not "), (1, "one painting, ")])
def test_another_number_of_paintings_is_refused_at_once(
    needed: int, message: str, photo: Image.Image, paintings: Pictures
) -> None:
    recipe = new_recipe(photo, paintings[:needed], SMALL, "cpu")
    for given in {0, 1, 2, 3} - {needed}:
        with pytest.raises(RecipeError, match=message) as caught:
            repaint(recipe, photo, [photo] * given)
        assert_sentence(caught.value)


# Hostile data


def holder(data: Any, path: Sequence[str | int]) -> Any:
    """The object or list in `data` that holds the value at `path`."""
    for key in path[:-1]:
        data = data[key]
    return data


def changed(path: Sequence[str | int], value: Any) -> str:
    """The text of `RECIPE` with one value changed."""
    data = json.loads(RECIPE.to_text())
    holder(data, path)[path[-1]] = value
    return json.dumps(data)


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value inside `data`."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


PLACES = list(places(json.loads(RECIPE.to_text())))
NEVER_RIGHT: list[Any] = [
    None,
    True,
    False,
    -1.5,
    1e300,
    10**400,
    float("nan"),
    float("inf"),
    -float("inf"),
    "",
    "1",
    "<script>alert(1)</script>",
    "two\nlines\r\n\x1b[31m",
    "\ud800",
    "\u202eevil",
    "x" * 10_000,
    [[]],
    [None],
    ["<b>"],
    {"<img src=x>\n": 1},
    {"__class__": {"__init__": 1}},
]


@pytest.mark.parametrize("value", NEVER_RIGHT, ids=lambda value: ascii(value)[:20])
def test_a_wrong_value_anywhere_is_refused(value: Any) -> None:
    accepted = {path for path in PLACES if assert_recipe_or_sentence(changed(path, value))}
    if value == "1":
        words = ("device", "processor", "precision")
        versions = (("software", "nst"), ("software", "torch"))
        parts = {*((word,) for word in words), *versions}
        assert accepted == {("provenance", index, *part) for index in (0, 1) for part in parts}
    elif value == "":
        assert {path[0] for path in accepted} == {"provenance"}
        assert {path[-1] for path in accepted} == {"processor", "precision"}
    elif isinstance(value, bool):
        assert {path[-1] for path in accepted} == {"continues", "mirror"}
    elif value is None:
        lists = {("masks", "regions", 0), ("masks", "regions", 1), ("masks", "within", 0)}
        assert accepted == lists  # a painting without a mask
    elif value == [None]:
        assert accepted == {("masks", "regions"), ("masks", "within")}
    elif value == -1.5:
        assert {path[-1] for path in accepted} == {"rotation"}
    else:
        assert not accepted


def test_a_missing_part_is_refused() -> None:
    for path in PLACES:
        data = json.loads(RECIPE.to_text())
        del holder(data, path)[path[-1]]
        is_the_only_cost = path[-2:-1] == ("style_costs",) and not holder(data, path)
        is_optional = {"settings", "software"} & {*path[:-1]} and "crop" not in path[:-1]
        is_optional = is_optional and not is_the_only_cost
        is_optional = is_optional or path[-1] in (
            *("continues", "painted_by", "processor", "precision", "threads"),
            *("init", "keep"),
        )
        is_one_of_two = path[:3] == ("passages", 0, "styles") and len(path) == 4
        is_one_of_two |= path[:2] in (("masks", "regions"), ("masks", "within")) and len(path) == 3
        assert assert_recipe_or_sentence(json.dumps(data)) == bool(is_optional or is_one_of_two)


PASSAGE = json.loads(RECIPE.to_text())["passages"][0]


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["version"], 5, "newer version"),
        (["version"], 4.5, "newer version"),
        (["version"], float("inf"), "newer version"),
        (["version"], 10**4000, "newer version"),
        (["version"], 0, "not one that is known"),
        (["version"], 1.0, "not one that is known"),
        (["version"], -1, "not one that is known"),
        (["version"], "1", "not one that is known"),
        (["version"], True, "not one that is known"),
        (["iterations"], -1, "not one that is known"),
        (["iterations"], 6.0, "not one that is known"),
        (["iterations"], 2, "ends before its last passage"),
        (["iterations"], 8, "more iterations than its settings"),
        (["passages"], [], "do not follow each other"),
        (["passages"], [PASSAGE] * 1001, "not one that is known"),
        (["passages"], [PASSAGE] * 9000, "too long"),
        (["passages"], [PASSAGE | {"iteration": 1}], "do not follow each other"),
        (["passages"], [PASSAGE, PASSAGE | {"iteration": 6}], "more iterations than its settings"),
        (["passages", 0, "iteration"], -1, "not one that is known"),
        (["passages", 0, "iteration"], 4, "do not follow each other"),
        (["passages", 1, "styles"], [], "a painting that it does not have"),
        (["passages", 1, "styles"], [2], "a painting that it does not have"),
        (["passages", 1, "styles"], [-1], "not one that is known"),
        (["passages", 1, "styles"], [0] * 101, "not one that is known"),
        (["passages", 1, "settings"], [], "settings must be an object"),
        (["passages", 1, "settings", "speed"], 9, "there is no setting 'speed'"),
        (["passages", 1, "settings", "<b>x</b>\n"], 9, "there is no setting '‹b›x"),
        (["passages", 1, "settings", "self"], 9, "there is no setting 'self'"),
        (["passages", 1, "settings", "size"], 10**9, "size must be from 64 to 16384"),
        (["passages", 1, "settings", "size"], 64.0, "size must be a whole number"),
        (["passages", 1, "settings", "seed"], -1, "seed must be from 0"),
        (["passages", 1, "settings", "alpha"], float("nan"), "alpha must be a finite number"),
        (["passages", 1, "settings", "layer_weights", "relu9_9"], 1, "names a layer 'relu9_9'"),
        (["passages", 1, "settings", "layer_weights", "relu1_1"], "1", "the weight of relu1_1"),
        (["styles"], [], "a painting that it does not have"),
        (["styles", 0, "sha256"], "g" * 64, "not one that is known"),
        (["styles", 0, "sha256"], "A" * 64, "not one that is known"),
        (["styles", 0, "sha256"], "a" * 64 + "\n", "not one that is known"),
        (["content", "width"], -1, "not one that is known"),
        (["colors"], 1.01, "colors must be from -1 to 1"),
        (["provenance", 0, "device"], "cpu\n", "not one that is known"),
        (["provenance", 1, "software", "<b>"], "1", "not one that is known"),
        (["provenance", 1, "threads"], -1, "not one that is known"),
        (["provenance"], [], "does not tell what painted"),
        (["passages", 1, "painted_by"], 2, "does not tell what painted"),
        (["passages", 1, "painted_by"], 10**9, "not one that is known"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_cannot_be_is_refused_with_its_reason(
    path: list[str | int], value: Any, reason: str
) -> None:
    assert reason in refusal(changed(path, value))


def test_what_a_newer_minor_version_adds_is_passed_over() -> None:
    assert parse_recipe(changed(["comment"], "<b>")) == RECIPE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "true",
        "1",
        "NaN",
        '"recipe"',
        "[]",
        "{}",
        '{"version":1}',
        "\ufeff{}",
        "{" + '"a":{' * 1000,
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"version":' * 50_000,
        '{"version":' + "9" * 5000 + "}",
        '{"version":-' + "9" * 5000 + "}",
        '{"version":1e999999}',
        "[],".join("[" + " " * 9 + "]"),
        " " * 10_000_000,
        "[" + "[]," * 3_000_000 + "[]]",
        RECIPE.to_text()[:-1],
        RECIPE.to_text() + "}",
        RECIPE.to_text().replace("cpu", "c\0pu"),
        RECIPE.to_text().replace("cpu", "c\npu"),
        RECIPE.to_text().replace("cpu", "\\ud800"),
        RECIPE.to_text().replace("cpu", "\\u0000"),
        RECIPE.to_text().replace('"version":4', '"version":4,"version":0'),
    ],
    ids=lambda text: ascii(text[:16]),
)
def test_malformed_texts_are_refused(text: str) -> None:
    assert "recipe" in refusal(text)
    if text.isascii() and len(text) < 1_000_000:
        assert "recipe" in refusal(png_with(text))


def test_nesting_of_every_depth_is_refused() -> None:
    """Some are too deep to be parsed, some only to be told about."""
    for depth in range(800, 1020):
        nested = "[" * depth + "]" * depth
        refusal(RECIPE.to_text().replace('"alpha":2.5', f'"alpha":{nested}'))
        refusal(RECIPE.to_text().replace('"pooling":"average"', f'"pooling":{nested}'))
        refusal(nested)


def bomb(size: int) -> bytes:
    return chunk(b"zTXt", KEYWORD.encode() + b"\0\0" + zlib.compress(bytes(size)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a PNG"),
        (b"hello", "not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "not a PNG"),
        (png(), "no recipe"),
        (png(chunk(b"tEXt", b"nst-recipes\0{}")), "no recipe"),
        (png(chunk(b"tEXt", KEYWORD.encode())), "damaged"),
        (png(bomb(20_000_000)), "not a PNG"),
        (png(bomb(1_000_000)), "damaged"),
        (png(*[bomb(1_000_000)] * 80), "not a PNG"),
        (png(chunk(b"zTXt", KEYWORD.encode() + b"\0\0nonsense")), "damaged"),
        (png(chunk(b"zTXt", KEYWORD.encode() + b"\0\7nonsense")), "not a PNG"),
        (png(chunk(b"iTXt", KEYWORD.encode() + b"\0\1\0\0\0nonsense")), "no recipe"),
        (png_with(b" " * 10_000_000), "too long"),
        (png_with("\xff\xfe" * 99), "damaged"),
        (png_with(RECIPE.to_text()).replace(b'"cpu"', b'"cpv"'), "not a PNG"),  # the checksum
        (png_with(RECIPE.to_text())[:-1000], "not a PNG"),
    ],
    ids=range(16),
)
def test_hostile_files_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    assert reason in refusal(data)
    (tmp_path / "result.png").write_bytes(data)
    assert reason in refusal(tmp_path / "result.png")


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_a_picture_that_claims_to_be_huge_is_not_decoded(side: int) -> None:
    data = png_with(RECIPE.to_text())
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    assert_recipe_or_sentence(data[:8] + header + data[8 + len(header) :])


@pytest.mark.parametrize("format", ["GIF", "BMP"])
def test_other_formats_carry_no_recipe(format: str, photo: Image.Image) -> None:
    buffer = io.BytesIO()
    photo.save(buffer, format)
    assert "not a PNG" in refusal(buffer.getvalue())


def test_missing_files_folders_and_large_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No such file" in refusal(tmp_path / "missing.png")
    assert "directory" in refusal(tmp_path)
    data = png_with(RECIPE.to_text())
    (tmp_path / "result.png").write_bytes(data)
    monkeypatch.setattr("nst.images.recipe.MAX_BYTES", len(data))
    assert read_recipe(tmp_path / "result.png") == RECIPE
    monkeypatch.setattr("nst.images.recipe.MAX_BYTES", len(data) - 1)
    assert "larger than" in refusal(tmp_path / "result.png")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, left out, doubled or moved, in a few places."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        begin = rng.randrange(len(result))
        end = begin + rng.choice((1, 1, 4, 30))
        part = bytes(result[begin:end])
        result[begin:end] = rng.choice(
            (
                bytes([rng.randrange(256)]),
                rng.choice((b'"', b"{", b"}", b"[", b"]", b",", b"-", b"e9", b"NaN", b"\\u", b"")),
                part + part,
                part[::-1],
                rng.randbytes(len(part)),
            )
        )
    return bytes(result)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_texts_are_recipes_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    text = RECIPE.to_text().encode()
    kinds = [assert_recipe_or_sentence(mutated(text, rng).decode("latin-1")) for _ in range(1500)]
    assert 10 < sum(kinds) < 1490  # another digit in a hash is another recipe


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_recipes_or_refused(seed: int) -> None:
    """Most changes fail a checksum; so half of them get a right one."""
    rng = random.Random(seed)
    text = RECIPE.to_text().encode()
    for _ in range(500):
        assert_recipe_or_sentence(mutated(png_with(text), rng))
        kind = rng.choice((b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"acTL", b"tRNS", b"pHYs"))
        noise = chunk(kind, mutated(KEYWORD.encode() + b"\0\0\0\0\0" + text[:99], rng))
        recipe = chunk(b"tEXt", mutated(KEYWORD.encode() + b"\0" + text, rng))
        assert_recipe_or_sentence(png(*rng.sample((noise, recipe), 2)))


def test_a_file_cut_off_anywhere_is_a_recipe_or_refused() -> None:
    data = png_with(RECIPE.to_text())
    kinds = [assert_recipe_or_sentence(data[:length]) for length in range(len(data))]
    assert not any(kinds[: len(data) // 2])
    assert kinds[-1]  # what follows the text does not matter


def test_values_exchanged_are_a_recipe_or_refused() -> None:
    """Parts of a recipe in places where they do not belong."""
    rng = random.Random(0)
    data = json.loads(RECIPE.to_text())
    for _ in range(1500):
        source, target = rng.sample(PLACES, 2)
        assert_recipe_or_sentence(changed(target, holder(data, source)[source[-1]]))


def test_masks_go_with_the_paintings_that_are_given_once() -> None:
    """A painting is there again with each edit of its mask."""
    one, two = RECIPE.styles[0], replace(RECIPE.styles[0], sha256="f" * 64)
    edited = replace(RECIPE, styles=(one, one, two), regions=(), within=())
    first, second = MASK, MASK.rotate(180)
    assert edited.paired_masks(Masks((first, second)), 2).regions == (first, first, second)
    every = Masks((first, second, None))
    assert edited.paired_masks(every, 3) is every


def test_a_recipe_without_a_painter_differs_in_nothing_of_it() -> None:
    begun = replace(RECIPE, passages=RECIPE.passages[:1], iterations=0, provenance=())
    assert parse_recipe(begun.to_text()).differences(RECIPE) == ["the masks are not the recipe's"]


def test_as_many_masks_as_a_run_can_have_can_be_read_again() -> None:
    records = [MaskRecord.of(Image.new("L", (4, 4), number)) for number in range(201)]
    many = replace(
        RECIPE,
        styles=RECIPE.styles[:1] * 100,
        regions=tuple(records[:100]),
        within=tuple(records[100:200]),
        passages=(replace(RECIPE.passages[-1], iteration=0, styles=(0,), keep=records[200]),),
    )
    assert parse_recipe(many.to_text()) == many
