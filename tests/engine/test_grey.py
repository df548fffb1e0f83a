"""Grey pictures, and pictures that are grey but for noise: no colour comes from nowhere."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from helpers.pictures import MakePicture
from helpers.places import DRAWN, EXAMPLES
from nst import load_image
from nst.engine.objective import Objective
from nst.engine.schedule import Moment
from nst.engine.starting_picture import starting_picture
from nst.engine.transfer import transfer_style
from nst.images.color import NOISE_FLOOR, dial_colors, has_color, match_colors, to_grey
from nst.images.tensors import fit, to_image, to_tensor
from nst.settings import DEFAULTS, TransferSettings
from nst.vgg.network import VGG

pytestmark = pytest.mark.slow


SETTINGS = TransferSettings(size=65, iterations=8)


def levels(image: Image.Image) -> npt.NDArray[np.float64]:
    """(H, W, 3) in 0–255."""
    return np.asarray(image, dtype=np.float64)


def spread(image: Image.Image) -> float:
    """The largest difference between two channels of a pixel, in levels."""
    return float(np.ptp(levels(image), axis=2).max())


def with_noise(image: Image.Image, amplitude: int = 1, seed: int = 0) -> Image.Image:
    """The same with noise in every channel, of so many levels at most."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-amplitude, amplitude + 1, levels(image).shape)
    return Image.fromarray((levels(image) + noise).clip(0, 255).astype(np.uint8))


def as_jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90, subsampling=0)
    return Image.open(buffer).convert("RGB")


def grain(image: Image.Image | Tensor) -> float:
    """Colour noise in levels: the standard deviation of differences between neighbours, each
    without its own mean."""
    pixels = levels(image) if isinstance(image, Image.Image) else 255 * image[0].numpy().T
    chroma = pixels - pixels.mean(axis=2, keepdims=True)
    return float(np.sqrt(sum(np.diff(chroma, axis=axis).var() for axis in (0, 1)) / 2))


def painted(*args: Any, **options: Any) -> Image.Image:
    *_, last = transfer_style(*args, **options)
    return last.image


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["recolored", "content", "noise"])
@pytest.mark.parametrize("disguise", [to_grey, with_noise, lambda p: as_jpeg(with_noise(p))])
def test_grey_pictures_give_a_grey_picture(
    network: VGG,
    photo: Image.Image,
    painting: Image.Image,
    start: str,
    optimizer: str,
    disguise: Any,
) -> None:
    """With colour: 11 to 251 levels."""
    grey = [disguise(to_grey(picture)) for picture in (photo, painting)]
    settings = SETTINGS.replace(start=start, optimizer=optimizer)
    steps = list(transfer_style(grey[0], grey[1], settings, network=network))
    assert [spread(step.image) for step in (steps[0], steps[-1])] == [0, 0]
    assert np.ptp(levels(steps[-1].image)) > 50
    assert steps[-1].J < steps[0].J / 2


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 64, "seed": 3},
        {"size": 97, "restructure": "much"},
        {"size": 330, "iterations": 16, "restructure": "much"},
        {"total_variation": 5.0, "colors": 1.0},
        {"pooling": "average", "style_scale": 2.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_continued", [False, True])
def test_grey_stays_grey_at_every_size_and_from_any_picture(
    network: VGG,
    photo: Image.Image,
    painting: Image.Image,
    make_picture: MakePicture,
    changes: dict[str, Any],
    is_continued: bool,
) -> None:
    grey = [with_noise(to_grey(picture)) for picture in (photo, painting)]
    settings = SETTINGS.replace(**changes)
    begin = Moment(make_picture(40, 30, seed=5), 2) if is_continued else None
    image = painted(*grey, settings, begin=begin, network=network)
    assert spread(image) == 0
    assert spread(dial_colors(image, grey[0], [grey[1]], 1.0)) <= 1
    assert spread(dial_colors(image, grey[0], [grey[1]], -1.0)) == 0


@pytest.mark.parametrize("colored", [0, 1, 2])
def test_one_picture_with_colour_is_enough_for_colour(
    network: VGG, photo: Image.Image, painting: Image.Image, make_picture: MakePicture, colored: int
) -> None:
    pictures = [photo, painting, make_picture(50, 50, seed=9)]
    content, *styles = (p if i == colored else to_grey(p) for i, p in enumerate(pictures))
    for start in ("recolored", "noise"):
        image = painted(content, styles, SETTINGS.replace(start=start), network=network)
        assert spread(image) > 12


def test_the_gradient_of_grey_pictures_is_the_projected_one(network: VGG) -> None:
    pictures = torch.rand(3, 1, 32, 48, generator=torch.Generator().manual_seed(1))
    content, style, image = pictures.repeat(1, 3, 1, 1).unsqueeze(1)
    settings = TransferSettings(total_variation=1.0)
    objective = Objective(network, content, [style], settings)
    costs, gradient = objective.evaluate(image)
    assert torch.equal(gradient[:, 0], gradient[:, 1])
    tinted = Objective(
        network, content, [style * torch.tensor([1, 1, 0.999]).view(3, 1, 1)], settings
    )
    plain = tinted.evaluate(image)[1]
    torch.testing.assert_close(
        gradient,
        plain.mean(1, keepdim=True).expand(1, 3, -1, -1),
        rtol=0.05,
        atol=plain.abs().max().item() / 50,
    )
    assert float(objective.cost(image)) == pytest.approx(costs.J, rel=1e-4)
    leaf = image.clone().requires_grad_()
    (specified,) = torch.autograd.grad(objective.cost(leaf), leaf)
    torch.testing.assert_close(
        gradient, specified, rtol=1e-3, atol=gradient.abs().max().item() * 1e-4
    )


def test_what_is_grey_and_what_is_not(make_picture: MakePicture) -> None:
    photo = to_grey(make_picture(300, 200, seed=1))
    assert not has_color(photo)
    assert not has_color(with_noise(photo, 2))
    assert not has_color(as_jpeg(with_noise(photo)))
    assert not has_color(Image.new("L", (3, 2), 90))
    sepia = Image.fromarray((levels(photo) * [1, 0.95, 0.82]).astype(np.uint8))
    assert has_color(sepia)
    balloon = photo.copy()
    balloon.paste((200, 30, 30), (100, 100, 106, 106))
    assert has_color(balloon)
    checkers = np.zeros((64, 64, 3), np.uint8)
    checkers[::2, :, 0] = checkers[1::2, :, 1] = 60  # grey only from afar
    assert has_color(Image.fromarray(checkers))


@pytest.fixture(scope="module")
def print_of_castle() -> Image.Image:
    """A black-and-white photo, 192 px."""
    return to_grey(fit(load_image(EXAMPLES / "content/castle.jpg"), 192))


@pytest.fixture(scope="module")
def night() -> Image.Image:
    return fit(load_image(DRAWN / "night_impasto.jpg"), 192)


def twins(clean: Image.Image) -> dict[str, Image.Image]:
    """Pictures that nobody can tell from the clean one."""
    rgb = levels(clean)
    cast = Image.fromarray((rgb + np.array([6, 0, -6])).clip(0, 255).astype(np.uint8))
    return {
        "noise": with_noise(clean),
        "more noise": with_noise(clean, 2),
        "jpeg": as_jpeg(with_noise(clean, 3)),
        "cast and noise": with_noise(cast),
        "much noise": with_noise(clean, 6),
        "very much noise": with_noise(cast, 12),
    }


def test_colour_noise_is_not_blown_up_in_the_start(
    print_of_castle: Image.Image, night: Image.Image, network: VGG
) -> None:
    """Before: 27-fold for noise of one level."""

    def start_of(photo: Image.Image) -> npt.NDArray[np.float64]:
        settings = TransferSettings(size=192)
        return levels(next(transfer_style(photo, night, settings, network=network)).image)

    clean = start_of(print_of_castle)
    for name, twin in twins(print_of_castle).items():
        between_photos = (levels(twin) - levels(print_of_castle)).std()
        assert (start_of(twin) - clean).std() <= 8 * between_photos, name


@pytest.mark.real
def test_a_print_with_noise_is_painted_like_its_clean_twin(
    print_of_castle: Image.Image, night: Image.Image, real_network: VGG
) -> None:
    """Chroma grain at 256 px; before: 31.7 against 7.2."""
    settings = TransferSettings(size=128, iterations=10, precision="float32")
    clean = painted(print_of_castle, night, settings, network=real_network)
    for name in ("noise", "jpeg", "cast and noise"):
        twin = painted(twins(print_of_castle)[name], night, settings, network=real_network)
        assert grain(twin) <= 2 * grain(clean), name


@pytest.mark.parametrize("name", ["noise", "more noise", "jpeg", "cast and noise"])
def test_the_colour_dial_raises_no_noise(
    print_of_castle: Image.Image, night: Image.Image, name: str
) -> None:
    clean = dial_colors(print_of_castle, print_of_castle, [night], 1.0)
    dialled = dial_colors(twins(print_of_castle)[name], print_of_castle, [night], 1.0)
    assert grain(dialled) <= 2 * grain(clean)


def test_a_grey_photo_takes_the_colours_of_the_painting(
    print_of_castle: Image.Image, night: Image.Image
) -> None:
    """The painting's mean, and the colour that goes with its light and dark."""
    recolored = to_image(match_colors(to_tensor(print_of_castle), to_tensor(night)))
    mean = levels(recolored).mean((0, 1))
    np.testing.assert_allclose(mean, levels(night).mean((0, 1)), atol=4)

    def blue_and_light(image: Image.Image) -> float:
        """How blue goes with light: their covariance, in levels²."""
        pixels = levels(image).reshape(-1, 3)
        return float(np.cov(pixels[:, 2] - pixels[:, 0], pixels.mean(axis=1))[0, 1])

    assert abs(blue_and_light(night)) > 100
    assert blue_and_light(recolored) == pytest.approx(blue_and_light(night), rel=0.3)


@pytest.mark.parametrize("contrast", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("level", [4, 128, 240])
def test_blocks_of_dark_and_foggy_photos_are_not_raised(
    night: Image.Image, level: int, contrast: float
) -> None:
    """What JPEG leaves of a photo with little contrast, against the photo itself."""
    castle = levels(fit(load_image(EXAMPLES / "content/castle.jpg"), 192))
    photo = Image.fromarray(
        (level + contrast * (castle - castle.mean())).clip(0, 255).astype(np.uint8)
    )
    buffer = io.BytesIO()
    photo.save(buffer, format="JPEG", quality=60)
    stored = Image.open(buffer).convert("RGB")
    starts = [
        255 * starting_picture(to_tensor(p), [to_tensor(night)], DEFAULTS) for p in (photo, stored)
    ]
    between_photos = (levels(photo) - levels(stored)).std()
    assert float((starts[0] - starts[1]).std()) <= 8 * max(between_photos, 0.2)


def test_colours_of_ordinary_photos_are_matched_as_before() -> None:
    """No example photo has a colour direction that is taken for noise."""
    for path in sorted((EXAMPLES / "content").glob("*.jpg")):
        image = to_tensor(fit(load_image(path), 256))
        spread = torch.cov(image[0].flatten(1).double())
        assert float(torch.linalg.eigvalsh(spread)[0].sqrt()) > 2 * NOISE_FLOOR
        assert has_color(load_image(path))
