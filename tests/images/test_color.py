"""Colour: all of another picture's, or a share, or the photo's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.painting import colors
from helpers.pictures import MakePicture
from nst.errors import SettingsError
from nst.images.color import LUMA, dial_colors, match_colors
from nst.images.tensors import fit, to_tensor
from nst.settings import TransferSettings


def test_match_colors_takes_mean_and_covariance(make_picture: MakePicture) -> None:
    image = to_tensor(make_picture(60, 40, seed=1))
    reference = 0.5 + 0.5 * (to_tensor(make_picture(30, 50, seed=2)) - 0.5)  # far from black, white
    matched = match_colors(image, reference)
    assert matched.shape == image.shape
    assert matched.dtype == image.dtype
    for ours, theirs in zip(colors(matched), colors(reference), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_match_colors_to_its_own_colours_changes_nothing(photo: Image.Image) -> None:
    image = to_tensor(photo)
    torch.testing.assert_close(match_colors(image, image), image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_match_colors_of_one_colour_gives_the_mean(painting: Image.Image, level: float) -> None:
    reference = to_tensor(painting)
    matched = match_colors(torch.full((1, 3, 20, 20), level), reference)
    assert matched.isfinite().all()
    torch.testing.assert_close(colors(matched)[0], colors(reference)[0], atol=1e-4, rtol=0)


def test_match_colors_stays_inside_the_box(photo: Image.Image) -> None:
    checkers = (torch.arange(400) % 2).float().view(1, 1, 20, 20).expand(1, 3, 20, 20)
    matched = match_colors(to_tensor(photo), checkers)
    assert 0 <= matched.min() < matched.max() <= 1


@pytest.fixture
def painted(make_picture: MakePicture) -> Image.Image:
    """As large as a result of 64 pixels; neither the photo's size nor the painting's."""
    return make_picture(64, 48, seed=5)


def channels(image: Image.Image) -> np.ndarray:
    """R, G and B in 0–255, (H, W, 3) float64."""
    return np.asarray(image, dtype=np.float64)


def luminance(image: Image.Image) -> np.ndarray:
    """ITU-R BT.601, written out: (H, W)."""
    red, green, blue = np.moveaxis(channels(image), 2, 0)
    result: np.ndarray = 0.299 * red + 0.587 * green + 0.114 * blue
    return result


def chroma(image: Image.Image) -> np.ndarray:
    """Cb and Cr of BT.601 without their offset, (2, H, W)."""
    red, _, blue = np.moveaxis(channels(image), 2, 0)
    Y = luminance(image)
    return np.stack([(blue - Y) / 1.772, (red - Y) / 1.402])


def test_the_dial_at_0_gives_the_same_object(painted: Image.Image, photo: Image.Image) -> None:
    for zero in (0.0, -0.0, 0):
        assert dial_colors(painted, photo, [photo], zero) is painted


def test_luma_weights_sum_to_1() -> None:
    assert sum(LUMA) == pytest.approx(1)


def test_the_dial_at_minus_1_has_the_photos_chroma_and_the_painted_luminance(
    painted: Image.Image, photo: Image.Image, painting: Image.Image
) -> None:
    dialled = dial_colors(painted, photo, [painting], -1.0)
    small = photo.resize(painted.size)
    exact = channels(small) + (luminance(painted) - luminance(small))[..., None]
    inside = ((exact >= 0) & (exact <= 255)).all(axis=2)
    assert inside.mean() > 0.9
    # each of R, G, B is rounded by up to 1/2, and so is Y
    assert np.abs(luminance(dialled) - luminance(painted))[inside].max() <= 0.5 + 1e-3
    assert np.abs(chroma(dialled) - chroma(small))[:, inside].max() <= 1 / 1.402 + 1e-3
    assert np.abs(channels(dialled) - exact.clip(0, 255)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
    ("photo_color", "painted_color", "expected"),
    [
        ((200, 100, 50), (120, 120, 120), (196, 96, 46)),  # Y = 124.2, so 4.2 darker
        ((10, 20, 30), (255, 255, 255), (247, 255, 255)),  # 236.85 brighter; two clipped
        ((90, 90, 90), (10, 200, 30), (124, 124, 124)),  # Y = 123.81
    ],
)
def test_the_dial_at_minus_1_by_hand(
    photo_color: tuple[int, int, int],
    painted_color: tuple[int, int, int],
    expected: tuple[int, int, int],
) -> None:
    photo, painted = (Image.new("RGB", (4, 4), color) for color in (photo_color, painted_color))
    assert dial_colors(painted, photo, [painted], -1.0).getpixel((2, 1)) == expected


def test_a_grey_photo_gives_a_grey_picture_of_the_painted_luminance(
    painted: Image.Image, photo: Image.Image
) -> None:
    grey = photo.convert("L").convert("RGB")
    dialled = channels(dial_colors(painted, grey, [photo], -1.0))
    assert np.ptp(dialled, axis=2).max() == 0
    assert np.abs(dialled[..., 0] - luminance(painted)).max() <= 0.5 + 1e-3


def test_the_dial_at_1_has_the_mean_and_covariance_of_all_paintings(
    make_picture: MakePicture, painted: Image.Image, photo: Image.Image
) -> None:
    paintings = [make_picture(50, 70, seed=2), make_picture(30, 90, seed=7)]
    dialled = dial_colors(painted, photo, paintings, 1.0)
    pixels = [to_tensor(fit(painting, 512)).flatten(2) for painting in paintings]
    together = torch.cat(pixels, dim=2).unsqueeze(2)
    for ours, theirs in zip(colors(to_tensor(dialled)), colors(together), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1 / 255, rtol=0)


def test_at_1_the_photo_and_at_minus_1_the_paintings_do_not_count(
    make_picture: MakePicture, painted: Image.Image, photo: Image.Image, painting: Image.Image
) -> None:
    other = make_picture(33, 44, seed=9)

    def dialled(amount: float, photo: Image.Image, painting: Image.Image) -> bytes:
        return dial_colors(painted, photo, [painting], amount).tobytes()

    assert dialled(1.0, photo, painting) == dialled(1.0, other, painting)
    assert dialled(-1.0, photo, painting) == dialled(-1.0, photo, other)


@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_every_pixel_goes_straight_to_the_end(
    painted: Image.Image, photo: Image.Image, painting: Image.Image, end: float
) -> None:
    amounts = np.linspace(0, 1, 21)
    path = np.stack(
        [channels(dial_colors(painted, photo, [painting], end * amount)) for amount in amounts]
    )
    straight = path[0] + amounts[:, None, None, None] * (path[-1] - path[0])
    assert np.abs(path - straight).max() <= 1 + 1e-3  # rounded here, and at the end
    direction = np.sign(path[-1] - path[0])
    assert (np.diff(path, axis=0) * direction >= 0).all(), "monotone"
    assert np.abs(path[-1] - path[0]).max() > 20


@pytest.mark.parametrize("amount", [-1.0, -0.3, 0.3, 1.0])
@pytest.mark.parametrize("size", [(16, 16), (301, 40), (64, 48)])
def test_the_dial_takes_pictures_of_any_size_and_changes_none(
    make_picture: MakePicture, painted: Image.Image, size: tuple[int, int], amount: float
) -> None:
    photo, painting = make_picture(*size, seed=1), make_picture(*size[::-1], seed=2)
    given = (painted, photo, painting)
    before = [picture.tobytes() for picture in given]
    first = dial_colors(painted, photo, [painting], amount)
    assert (first.size, first.mode) == (painted.size, "RGB")
    assert [picture.tobytes() for picture in given] == before
    assert dial_colors(painted, photo, [painting], amount).tobytes() == first.tobytes()


def test_settings_know_how_far_the_dial_goes() -> None:
    for amount in (-1, -0.05, 0, 1.0):
        assert TransferSettings(colors=amount).colors == amount
    for wrong in (-1.01, 1.01, float("nan"), "0", None):
        with pytest.raises(SettingsError, match="colors must be"):
            TransferSettings(colors=wrong)  # type: ignore[arg-type]
