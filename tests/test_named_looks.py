"""The named looks, as their data file has them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.coverage import FLAT, coverage, local_energy, photo_of, speckle
from helpers.places import EXAMPLES, ROOT
from nst import load_image, only_colors, stylize
from nst.images.tensors import fit
from nst.looks import LOOKS, USUAL_LOOK, Look
from nst.settings import DEFAULTS


def test_there_are_thirteen_and_the_usual_one_changes_nothing() -> None:
    assert len(LOOKS) == 13
    assert LOOKS[USUAL_LOOK].settings == DEFAULTS


@pytest.mark.parametrize("look", LOOKS.values(), ids=lambda look: look.name)
def test_every_look_is_its_own_and_says_what_one_gets(look: Look) -> None:
    for name, value in look.changes.items():
        assert getattr(look.settings, name) == value
        assert value != getattr(DEFAULTS, name)
    assert look.settings not in [other.settings for other in LOOKS.values() if other != look]
    assert look.gives.endswith(".")
    assert len(look.gives) <= 70
    assert (ROOT / "page" / "assets" / "looks" / look.file).exists()


def test_no_look_chooses_size_or_time() -> None:
    for look in LOOKS.values():
        assert {"size", "iterations", "seed"}.isdisjoint(look.changes)


COVERING = [look for look in LOOKS.values() if look.covers]
SIZE = 192  # pixels


@pytest.fixture(scope="module")
def wall() -> Image.Image:
    """A photo of which more than half is a flat wall."""
    return fit(photo_of("wall"), SIZE)


@pytest.fixture(scope="module")
def painting() -> Image.Image:
    return load_image(EXAMPLES / "style" / "starry_night.jpg")


@pytest.mark.real
@pytest.mark.parametrize("look", COVERING, ids=lambda look: look.name)
def test_a_look_that_covers_paints_walls_without_speckle(
    look: Look, wall: Image.Image, painting: Image.Image
) -> None:
    painted = stylize(wall, painting, look.settings.replace(size=SIZE))
    flat, covered = coverage(painted, wall)
    assert flat > 0.5
    assert covered >= 0.5
    assert speckle(painted, fit(painting, SIZE)) <= 1.1


@pytest.mark.real
@pytest.mark.parametrize(("name", "most"), [("Light touch", 0.85), ("Tinted photo", 0.5)])
def test_a_restrained_look_leaves_walls_calmer(
    name: str, most: float, wall: Image.Image, painting: Image.Image
) -> None:
    looks = LOOKS[name], LOOKS[USUAL_LOOK]
    calm, usual = (stylize(wall, painting, look.settings.replace(size=SIZE)) for look in looks)
    is_flat = local_energy(wall) < FLAT * local_energy(wall).mean()
    assert local_energy(calm)[is_flat].mean() < most * local_energy(usual)[is_flat].mean()


@pytest.mark.real
@pytest.mark.parametrize(
    ("photo", "painting"),
    [("castle", "starry_night"), ("citrus", "udnie"), ("astronaut", "the_scream")],
)
def test_colours_only_is_what_changes_colours_alone(photo: str, painting: str) -> None:
    look = LOOKS["Colours only"].settings.replace(size=SIZE)
    content = fit(load_image(EXAMPLES / "content" / f"{photo}.jpg"), SIZE)
    style = load_image(EXAMPLES / "style" / f"{painting}.jpg")
    ours, theirs = (
        np.asarray(picture, int)
        for picture in (stylize(content, style, look), only_colors(content, style))
    )
    assert np.abs(ours - theirs).max() <= 3


@pytest.mark.real
def test_a_palette_that_is_mixed_first_brings_no_speckle(wall: Image.Image) -> None:
    """Of a painting with hardly anything fine; the match of colours raises what is fine in it."""
    painting = load_image(EXAMPLES / "style" / "the_scream.jpg")
    painted = stylize(wall, painting, LOOKS["Mixed palette"].settings.replace(size=SIZE))
    assert speckle(painted, fit(painting, SIZE)) <= 1.1
