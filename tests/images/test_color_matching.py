"""Paintings in the photo's colours, luminance alone, and the reverse; by hand and as a whole."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from helpers.painting import colors
from helpers.pictures import MakePicture
from nst.images.color import dial_colors, linear_map, to_grey
from nst.images.color_transfer import (
    match_luminance,
    match_painting,
    only_colors,
    prepare_colors,
)
from nst.images.tensors import to_tensor
from nst.images.transforms import part_taken, seen_parts
from nst.settings import PaintingUse, TransferSettings

METHODS = ("monge", "pca", "cholesky")
LEFT_HALF = (0, 0, 12, 16)  # of checkers


def matrix(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def checkers(*levels: tuple[int, int, int]) -> Image.Image:
    """Return a picture in which each of these colours has as many pixels as any other."""
    row = np.array(levels * (24 // len(levels)), dtype=np.uint8)
    return Image.fromarray(np.repeat(row[None], 16, axis=0))


def seen(image: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in np.asarray(image).reshape(-1, 3).tolist()}


@pytest.mark.parametrize("method", METHODS)
def test_a_map_takes_one_covariance_to_the_other(method: str) -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(3, 9, generator=generator).double() for _ in range(2))
    source, target = a @ a.T, b @ b.T
    found = linear_map(source, target, method)
    torch.testing.assert_close(found @ source @ found.T, target)


def test_maps_of_independent_channels_are_ratios_of_deviations() -> None:
    source, target = torch.diag(matrix([1, 4, 9])[0]), torch.diag(matrix([4, 4, 1])[0])
    for method in METHODS:
        found = linear_map(source, target, method)
        torch.testing.assert_close(found, torch.diag(matrix([2, 1, 1 / 3])[0]))


def test_the_three_maps_are_those_of_their_formulas() -> None:
    """From A = diag(4, 1) to B = [[5, 4], [4, 5]], beside a third channel that stays.

    B has the eigenvalues 9 and 1 along the diagonals, so its symmetric root is [[2, 1], [1, 2]],
    and its lower triangle of Cholesky is [[√5, 0], [4/√5, 3/√5]].
    """
    source = matrix([4, 0, 0], [0, 1, 0], [0, 0, 1])
    target = matrix([5, 4, 0], [4, 5, 0], [0, 0, 1])
    root5 = 5**0.5
    cholesky = matrix([root5 / 2, 0, 0], [2 / root5, 3 / root5, 0], [0, 0, 1])
    torch.testing.assert_close(linear_map(source, target, "cholesky"), cholesky)
    pca = matrix([1, 1, 0], [0.5, 2, 0], [0, 0, 1])  # [[2, 1], [1, 2]] · diag(1/2, 1)
    torch.testing.assert_close(linear_map(source, target, "pca"), pca)
    monge = linear_map(source, target, "monge")
    torch.testing.assert_close(monge, monge.T)  # what tells it from all others
    assert torch.linalg.eigvalsh(monge).min() > 0


def test_another_method_is_refused() -> None:
    with pytest.raises(ValueError, match="monge, pca or cholesky, not 'hue'"):
        linear_map(torch.eye(3), torch.eye(3), "hue")


@pytest.mark.parametrize("method", METHODS)
def test_a_painting_takes_the_photos_mean_and_covariance(
    make_picture: MakePicture, method: str
) -> None:
    painting, photo = make_picture(60, 40, seed=1), make_picture(30, 50, seed=2)
    photo = photo.point(lambda level: 64 + level // 2)  # far from black and white
    matched = match_painting(painting, photo, method)
    assert (matched.size, matched.mode) == (painting.size, "RGB")
    for ours, theirs in zip(colors(to_tensor(matched)), colors(to_tensor(photo)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0.02)  # 8 bits, and the ridge


def test_colours_move_by_hand() -> None:
    """Channels ±20 about 100 to ±40 about 120, each alone: 80 becomes 80, and 120 becomes 160."""
    signs = [(r, g, b) for r in (-1, 1) for g in (-1, 1) for b in (-1, 1)]
    painting = checkers(*[(100 + 20 * r, 100 + 20 * g, 100 + 20 * b) for r, g, b in signs])
    photo = checkers(*[(120 + 40 * r, 120 + 40 * g, 120 + 40 * b) for r, g, b in signs])
    for method in METHODS:
        assert seen(match_painting(painting, photo, method)) == seen(photo)


def test_luminance_is_moved_and_scaled_by_hand() -> None:
    """100 ± 20 to 120 ± 40; equal channels are their own luminance."""
    painting = checkers((80, 80, 80), (120, 120, 120))
    photo = checkers((80, 80, 80), (160, 160, 160))
    assert seen(match_luminance(painting, photo)) == {(80, 80, 80), (160, 160, 160)}
    red = checkers((0, 0, 0), (255, 0, 0))  # 0 and 76.2: σ of 38.1 about 38.1
    assert seen(match_luminance(red, photo)) == {(80, 80, 80), (160, 160, 160)}


def test_the_luminance_of_one_colour_is_the_photos_mean() -> None:
    flat, photo = Image.new("RGB", (20, 20), (10, 10, 10)), checkers((80,) * 3, (160,) * 3)
    assert seen(match_luminance(flat, photo)) == {(120, 120, 120)}


def test_without_a_transfer_the_pictures_are_the_same_objects(
    photo: Image.Image, painting: Image.Image
) -> None:
    prepared, paintings = prepare_colors(photo, [painting, painting], "none")
    assert prepared is photo
    assert all(each is painting for each in paintings)


@pytest.mark.parametrize("how", [*METHODS, "luminance", "luminance_matched"])
def test_what_is_prepared(photo: Image.Image, painting: Image.Image, how: str) -> None:
    prepared, (first, second) = prepare_colors(photo, [painting, photo], how)
    is_grey = how.startswith("luminance")
    expected = to_grey(photo) if is_grey else photo
    assert prepared.tobytes() == expected.tobytes()
    assert spread(first) == 0 if is_grey else spread(first) > 20
    difference = np.asarray(second, dtype=int) - np.asarray(expected, dtype=int)
    assert np.abs(difference).max() <= 1  # what is matched to itself stays


@pytest.mark.parametrize("how", METHODS)
def test_a_grey_photo_makes_grey_paintings(
    photo: Image.Image, painting: Image.Image, how: str
) -> None:
    grey = to_grey(photo)
    _, (matched,) = prepare_colors(grey, [painting], how)
    assert matched.tobytes() == match_luminance(painting, grey).tobytes()


def test_only_colours_are_those_of_the_paintings(
    make_picture: MakePicture, photo: Image.Image
) -> None:
    paintings = [make_picture(40, 40, seed=seed) for seed in (3, 4)]
    recolored = only_colors(photo, paintings)
    assert only_colors(photo, paintings[0]).tobytes() == only_colors(photo, paintings[:1]).tobytes()
    assert recolored.size == photo.size
    assert recolored.tobytes() == dial_colors(photo, photo, paintings, 1.0).tobytes()
    mean = np.asarray(recolored, dtype=float).mean((0, 1))
    theirs = np.mean([np.asarray(each, dtype=float).mean((0, 1)) for each in paintings], axis=0)
    assert mean == pytest.approx(theirs, abs=1)


def spread(image: Image.Image) -> int:
    """Return the largest difference between two channels of a pixel, in levels."""
    pixels: npt.NDArray[np.uint8] = np.asarray(image)
    return int(np.ptp(pixels.astype(int), axis=2).max())


def half_red_half_blue() -> tuple[Image.Image, Image.Image]:
    """A painting of two kinds of colours, and a mask of its left half."""
    painting, mask = checkers((60, 70, 200), (40, 20, 120)), Image.new("L", (24, 16))
    painting.paste(checkers((200, 90, 20), (140, 30, 60)).crop(LEFT_HALF), LEFT_HALF)
    mask.paste(255, LEFT_HALF)
    return painting, mask


@pytest.mark.parametrize("how", [*METHODS, "luminance_matched"])
def test_the_part_that_is_taken_tells_a_paintings_colours(photo: Image.Image, how: str) -> None:
    painting, mask = half_red_half_blue()
    _, (alone,) = prepare_colors(photo, [painting.crop(LEFT_HALF)], how)
    _, (matched, whole) = prepare_colors(photo, [painting, painting], how, [mask])
    assert matched.mode == "RGB"
    assert matched.crop(LEFT_HALF).tobytes() == alone.tobytes()
    assert whole.crop(LEFT_HALF).tobytes() != alone.tobytes()


def test_the_dial_takes_the_colours_of_the_part_that_is_taken(photo: Image.Image) -> None:
    painting, mask = half_red_half_blue()
    uses = (PaintingUse(rotation=90), PaintingUse(weight=0))
    settings = TransferSettings(paintings=uses)
    seen = seen_parts([painting, photo], settings, [mask])
    dialled = dial_colors(photo, photo, seen, 1.0)
    beforehand = dial_colors(photo, photo, [painting.crop(LEFT_HALF)], 1.0)
    difference = np.asarray(dialled, dtype=int) - np.asarray(beforehand, dtype=int)
    assert np.abs(difference).mean() <= 2  # the copies for the statistics are enlarged
    mean = np.asarray(dialled).mean((0, 1))
    assert mean[0] > mean[2] + 40  # red alone, where all of it would be rather blue


def test_grey_of_a_part_is_grey(photo: Image.Image) -> None:
    painting, mask = half_red_half_blue()
    part = part_taken(to_grey(painting), mask)
    assert to_grey(part).getchannel("A").tobytes() == mask.tobytes()
    dialled = dial_colors(photo, photo, [part], 1.0)
    assert spread(dialled) <= 1
