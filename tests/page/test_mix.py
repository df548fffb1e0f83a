"""What becomes of the paintings and regions that a visitor chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.pictures import MakePicture
from nst.errors import ImageError, MaskError, SettingsError
from nst.images.masks import Masks
from nst.images.recipe import Ingredient
from nst.settings import LAYER_GROUPS, PaintingUse, TransferSettings
from page.panels import mix
from page.panels.components import Choice
from page.panels.mix import Mix, OpenRegion, Plan, mixed, open_mask, unheard_note, union
from page.panels.paintings import REST, Paintings, Region
from page.panels.showcase import waiting_masks

Box = tuple[int, int, int, int]


@pytest.fixture
def others(tmp_path: Path, make_picture: MakePicture) -> tuple[Choice, ...]:
    """Two paintings beside the first."""
    choices = [Choice(str(tmp_path / f"{seed}.png")) for seed in (5, 6)]
    for choice, seed in zip(choices, (5, 6), strict=True):
        make_picture(40, 30, seed=seed).save(choice.path)
    return tuple(choices)


def saved_mask(folder: Path, name: str, box: Box, size: tuple[int, int] = (80, 60)) -> str:
    """A mask that is white in a box."""
    mask = Image.new("L", size)
    mask.paste(255, box)
    mask.save(folder / name)
    return str(folder / name)


def test_one_painting_is_a_run_as_before(painting: Image.Image) -> None:
    for weight in (1.0, 0.0):  # what is left of a painting that was removed
        made = mixed(painting, Paintings((), (weight,)))
        assert made.paintings == [painting]
        assert made.uses == (PaintingUse(),)
        assert not made.masks


def test_paintings_blend_by_their_weights(
    painting: Image.Image, others: tuple[Choice, ...]
) -> None:
    made = mixed(painting, Paintings(others, (1.0, 0.5, 0.0)))
    assert [use.weight for use in made.uses] == [1.0, 0.5, 0.0]
    assert not made.masks


def test_a_painting_with_a_region_rules_there_alone(
    painting: Image.Image, others: tuple[Choice, ...], tmp_path: Path
) -> None:
    sky = saved_mask(tmp_path, "sky.png", (0, 0, 80, 20))
    held = Paintings(others, (1.0, 0.5, 0.3), (Region(sky, 1, 2.0),))
    made = mixed(painting, held)
    assert [mask is not None for mask in made.masks.regions] == [False, True, False]
    assert made.uses == (
        PaintingUse(weight=1.0),
        PaintingUse(strength=2.0),
        PaintingUse(weight=0.3),
    )


def test_the_rest_is_never_nobodys(painting: Image.Image, tmp_path: Path) -> None:
    """The only painting has a region of another strength: it rules elsewhere too."""
    sky = saved_mask(tmp_path, "sky.png", (0, 0, 80, 20))
    made = mixed(painting, Paintings(regions=(Region(sky, 0, 3.0),)))
    assert made.paintings == [painting, painting]
    assert [mask is not None for mask in made.masks.regions] == [False, True]
    assert made.uses == (PaintingUse(), PaintingUse(strength=3.0))


def test_a_region_may_have_the_paintings_that_rule_elsewhere(
    painting: Image.Image, others: tuple[Choice, ...], tmp_path: Path
) -> None:
    """Two blend, at a lower strength in the face; the third has the sky alone."""
    face = saved_mask(tmp_path, "face.png", (20, 30, 40, 60))
    sky = saved_mask(tmp_path, "sky.png", (0, 0, 80, 20))
    regions = (Region(face, REST, 0.3), Region(sky, 2))
    made = mixed(painting, Paintings(others, (1.0, 0.5, 0.3), regions))
    assert made.uses == (
        PaintingUse(),
        PaintingUse(strength=0.3),
        PaintingUse(weight=0.5),
        PaintingUse(weight=0.5, strength=0.3),
        PaintingUse(),
    )
    assert [mask is not None for mask in made.masks.regions] == [False, True, False, True, True]
    used = [Ingredient.of(image) for image in made.paintings]
    plan = Plan.of(used, made.uses, made.masks)
    assert plan.weights[:2] == [1.0, 0.5]
    assert [(ruler, strength) for _, ruler, strength in plan.regions] == [(REST, 0.3), (2, 1.0)]


def test_layers_sizes_and_directions_go_with_their_paintings(
    painting: Image.Image, others: tuple[Choice, ...], tmp_path: Path
) -> None:
    """The second painting is the first again, turned; it has a region too."""
    painting.save(tmp_path / "again.png")
    again = Choice(str(tmp_path / "again.png"))
    sky = saved_mask(tmp_path, "sky.png", (0, 0, 80, 20))
    uses = (PaintingUse(scale=0.5), PaintingUse(layers=("relu1_1",), rotation=90, mirror=True))
    regions = (Region(sky, 1, 2.0),)
    made = mixed(painting, Paintings((again, others[0]), (1.0, 1.0, 0.5), regions, uses))
    assert made.uses == (
        PaintingUse(scale=0.5),
        PaintingUse(layers=("relu1_1",), rotation=90, mirror=True, strength=2.0),
        PaintingUse(weight=0.5),
    )
    used = [Ingredient.of(image) for image in made.paintings]
    plan = Plan.of(used, made.uses, made.masks)
    assert plan.paintings == used  # the same one twice
    assert plan.uses == [*uses, PaintingUse()]
    assert [(ruler, strength) for _, ruler, strength in plan.regions] == [(1, 2.0)]


def test_a_painting_whose_layers_do_not_count_is_named() -> None:
    def note(*layers: tuple[str, ...], **changes: Any) -> str:
        uses = tuple(PaintingUse(layers=each) for each in layers)
        return unheard_note(TransferSettings(paintings=uses, **changes), len(uses))

    strokes, composition = LAYER_GROUPS.values()
    shallow = {"relu1_1": 1.0, "relu1_2": 1.0}
    assert note(strokes, composition) == ""
    assert note(strokes, (), layer_weights=shallow) == ""
    assert note(strokes, composition, layer_weights=shallow) == (
        "Painting 2 gives nothing: none of its layers has a λ above 0."
    )
    assert note(composition, layer_weights={}) == ""  # nothing has any effect, and that is seen
    left_out = TransferSettings(
        paintings=(PaintingUse(), PaintingUse(layers=composition, weight=0)), layer_weights=shallow
    )
    assert unheard_note(left_out, 2) == ""


def test_what_is_left_as_it_is_adds_up(painting: Image.Image, tmp_path: Path) -> None:
    left = saved_mask(tmp_path, "left.png", (0, 0, 20, 60))
    right = saved_mask(tmp_path, "right.png", (30, 0, 40, 30), size=(40, 30))
    made = mixed(painting, Paintings(regions=(Region(left, None), Region(right, None))))
    assert made.masks.regions == ()
    assert made.masks.keep
    kept = np.asarray(made.masks.keep)
    assert kept.shape == (60, 80)
    assert kept[:, :20].min() == 255
    assert kept[:, 65:].min() == 255
    assert kept[:, 25:55].max() == 0


def test_a_union_is_one_of_one() -> None:
    mask = Image.linear_gradient("L")
    assert union([mask]) is mask


def test_masks_that_are_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = saved_mask(tmp_path, "wide.png", (0, 0, 9, 9), size=(1025, 600))
    with pytest.raises(ImageError, match=r"region cannot be used.*1024 pixels"):
        open_mask(wide)
    small = saved_mask(tmp_path, "small.png", (0, 0, 9, 9))
    assert open_mask(small).mode == "L"
    with Image.open(small) as mask:
        cut_out = mask.convert("RGB")
        cut_out.putalpha(mask)
        white = Image.new("RGB", mask.size, "white")
        white.putalpha(mask)
        expected = mask.tobytes()
    for number, picture in enumerate((cut_out, white)):
        picture.save(tmp_path / f"{number}.png")
        assert open_mask(str(tmp_path / f"{number}.png")).tobytes() == expected
    monkeypatch.setattr(mix, "MOST_MASK_BYTES", 10)
    with pytest.raises(ImageError, match="A mask has at most"):
        open_mask(small)
    with pytest.raises(ImageError, match="No such file"):
        open_mask(str(tmp_path / "gone.png"))


def test_a_mix_is_checked_before_it_is_painted(
    photo: Image.Image, painting: Image.Image, tmp_path: Path
) -> None:
    tall = saved_mask(tmp_path, "tall.png", (0, 0, 9, 9), size=(60, 80))
    with pytest.raises(ImageError, match="same shape"):
        mixed(painting, Paintings(regions=(Region(tall, None),))).check(photo)
    with pytest.raises(SettingsError, match="all 0"):
        Mix([painting], (PaintingUse(weight=0.0),)).check(photo)
    Mix([painting]).check(photo)


def test_a_plan_brings_back_what_was_mixed(
    painting: Image.Image, others: tuple[Choice, ...], tmp_path: Path
) -> None:
    sky = saved_mask(tmp_path, "sky.png", (0, 0, 80, 20))
    face = saved_mask(tmp_path, "face.png", (20, 30, 40, 60))
    regions = (Region(sky, 1, 2.0), Region(sky, 0, 3.0), Region(face, None))
    made = mixed(painting, Paintings(others, (1.0, 0.5, 0.3), regions))
    used = [Ingredient.of(image) for image in made.paintings]
    plan = Plan.of(used, made.uses, made.masks)
    assert plan.paintings == list(dict.fromkeys(used))
    assert plan.weights == [1.0, 1.0, 1.0]  # of one that rules elsewhere alone, none counts
    assert [(ruler, strength) for _, ruler, strength in plan.regions] == [
        (0, 3.0),
        (1, 2.0),
        (None, 1.0),
    ]


def test_a_part_of_a_painting_goes_with_it(
    painting: Image.Image, others: tuple[Choice, ...], tmp_path: Path
) -> None:
    """The second painting rules a region and elsewhere; the third is the second, whole."""
    half = saved_mask(tmp_path, "half.png", (0, 0, 20, 30), size=(40, 30))
    sky = saved_mask(tmp_path, "sky.png", (0, 0, 80, 20))
    held = Paintings(
        (others[0], others[0]),
        (1.0, 0.5, 0.3),
        (Region(sky, REST, 2.0),),
        within=(None, half),
    )
    made = mixed(painting, held)
    assert [mask is not None for mask in made.masks.within] == [False] * 2 + [True] * 2 + [
        False,
        False,
    ]
    used = [Ingredient.of(image) for image in made.paintings]
    plan = Plan.of(used, made.uses, made.masks)
    assert plan.paintings == [used[0], used[2], used[2]]
    assert plan.weights == [1.0, 0.5, 0.3]
    assert [part and part.tobytes() for part in plan.parts] == [
        None,
        open_mask(half).tobytes(),
        None,
    ]
    assert [(ruler, strength) for _, ruler, strength in plan.regions] == [(REST, 2.0)]
    assert not mixed(painting, held.without_masks).masks


def test_a_part_of_another_shape_or_gone_gets_a_sentence(
    photo: Image.Image, painting: Image.Image, tmp_path: Path
) -> None:
    tall = saved_mask(tmp_path, "tall.png", (0, 0, 9, 9), size=(60, 180))
    with pytest.raises(ImageError, match=r"The mask within painting 1 .* same shape"):
        mixed(painting, Paintings(within=(tall,))).check(photo)
    with pytest.raises(ImageError, match=r"The part of painting 1 cannot be used\. No such file"):
        mixed(painting, Paintings(within=(str(tmp_path / "gone.png"),)))


def test_a_part_that_its_crop_leaves_out_gets_a_sentence(
    photo: Image.Image, painting: Image.Image, others: tuple[Choice, ...], tmp_path: Path
) -> None:
    """The number is the visitor's: the first painting is there twice, for its region."""
    half = saved_mask(tmp_path, "half.png", (0, 0, 20, 30), size=(40, 30))
    sky = saved_mask(tmp_path, "sky.png", (0, 0, 80, 20))
    right = PaintingUse(crop=(0.6, 0, 1, 1))
    held = Paintings(
        others[:1],
        (1.0, 1.0),
        (Region(sky, REST),),
        uses=(PaintingUse(), right),
        within=(None, half),
    )
    with pytest.raises(MaskError, match=r"^What is used of painting 2 lies outside of its crop"):
        mixed(painting, held).check(photo)
    mixed(painting, replace(held, weights=(1.0, 0.0))).check(photo)
    mixed(painting, replace(held, uses=())).check(photo)


def test_hardly_anything_of_a_painting_is_too_little(
    photo: Image.Image, painting: Image.Image, tmp_path: Path
) -> None:
    for side, is_enough in ((20, False), (24, True)):  # of 1000 pixels
        spot = saved_mask(tmp_path, f"{side}.png", (0, 0, side, side), size=(1000, 1000))
        made = Mix([Image.new("RGB", (50, 50))], (), Masks(within=(open_mask(spot),)))
        if is_enough:
            made.check(photo)
            continue
        with pytest.raises(MaskError, match=r"^Hardly anything of painting 1 is used;"):
            made.check(photo)


@pytest.mark.parametrize(
    ("parts", "missing", "names"),
    [
        ((True, False), ["painting"], "parts of paintings"),
        ((True, False), ["photo"], "painted regions"),
        (
            (True, True),
            ["painting", "other paintings"],
            "painted regions and parts of paintings",
        ),
        ((False, False), ["painting"], ""),
    ],
)
def test_what_comes_back_with_a_missing_picture_is_told(
    parts: tuple[bool, bool], missing: list[str], names: str
) -> None:
    mask = Image.new("L", (8, 6), 9)
    plan = Plan([], [], [], [OpenRegion(mask, 0, 1.0)], [mask if each else None for each in parts])
    sentence = f" Then bring this picture once more, for its {names}."
    assert waiting_masks(plan, missing) == (sentence if names else "")
