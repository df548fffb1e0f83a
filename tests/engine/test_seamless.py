"""Seamless pictures: copies of them join without a seam."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import nst.engine.inputs
from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst import TransferSettings, transfer_style
from nst.engine.objective import Objective
from nst.engine.seamless import enlarge_seamless, fit_seamless, seamless_size, without_seam
from nst.engine.tiled_objective import TiledObjective
from nst.images.tensors import to_tensor
from nst.settings import DEFAULTS
from nst.vgg.network import VGG

SEAMLESS = DEFAULTS.replace(edges="seamless")


def random_image(height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, height, width), generator=generator, dtype=torch.float64)


def repeated(image: Tensor, times: int = 3) -> Tensor:
    return image.repeat(1, 1, times, times)


@pytest.mark.parametrize("size", [(16, 16), (32, 80), (176, 192)])
@pytest.mark.parametrize("side", [None, 32])
def test_a_seamless_picture_is_one_of_an_endless_pattern(
    make_network: MakeNetwork, size: tuple[int, int], side: int | None
) -> None:
    """Its activations are those in the middle of many copies, and so is its gradient."""
    network = make_network(dtype=torch.float64)
    photo, image, painting = random_image(*size, 1), random_image(*size, 2), random_image(60, 60, 3)
    ours = TiledObjective(network, photo, [painting], SEAMLESS, side)
    image.requires_grad_()
    times = 2 * (-(-96 // min(size))) + 1  # copies all around beyond the reach of relu5_1
    middle = [times // 2 * length for length in size]
    with torch.enable_grad():
        cost = pattern_cost(network, photo, painting, image, times, middle)
        (expected,) = torch.autograd.grad(cost, image)
    cost, image = cost.detach(), image.detach()
    costs, gradient = ours.evaluate(image)
    assert pytest.approx(float(cost), rel=1e-10) == costs.J
    assert float((gradient - expected).norm() / expected.norm()) < 1e-10


def pattern_cost(
    network: VGG, photo: Tensor, painting: Tensor, image: Tensor, times: int, middle: list[int]
) -> Tensor:
    """Return J of the middle one of many copies, by the specification's own functions."""

    def middle_of(activation: Tensor, layer: str) -> Tensor:
        step = 2 ** (int(layer[4]) - 1)
        rows, columns = (
            slice(start // step, start // step + length // step)
            for start, length in zip(middle, image.shape[-2:], strict=True)
        )
        return activation[..., rows, columns]

    layers = {DEFAULTS.content_layer, *DEFAULTS.style_layers}
    target = network(repeated(photo, times), [DEFAULTS.content_layer])[DEFAULTS.content_layer]
    style = Objective(network, painting, [painting], SEAMLESS).targets[0].style
    cost = torch.zeros((), dtype=torch.float64)
    for layer, activation in network.walk(repeated(image, times), layers):
        own = middle_of(activation, layer)
        if layer == DEFAULTS.content_layer:
            cost = cost + (own - middle_of(target, layer)).square().mean()
        if layer in DEFAULTS.style_layers:
            positions = own[0].flatten(1)
            gram = positions @ positions.T / positions.shape[1]
            n_channels = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}[layer[4]]
            unit = 4000 / n_channels**2 / (2 * len(gram)) ** 2
            cost = cost + unit * (gram - style.grams[layer]).square().sum()
    return cost


def test_sides_are_multiples_of_16() -> None:
    assert seamless_size((1024, 683), 384) == (384, 256)
    assert seamless_size((1000, 750), 100) == (96, 80)
    assert seamless_size((1000, 10), 64) == (64, 16)


def test_a_photo_passes_into_itself_towards_its_edges(make_picture: MakePicture) -> None:
    photo = make_picture(160, 120)
    pixels = np.asarray(without_seam(photo), np.float32)
    assert pixels.shape == (120, 160, 3)
    inside = (slice(30, 90), slice(40, 120))
    assert np.array_equal(pixels[inside], np.asarray(photo, np.float32)[inside])
    for axis in (0, 1):
        steps = np.abs(np.diff(pixels, axis=axis)).mean((1 - axis, 2))
        seam = np.abs(pixels.take(0, axis) - pixels.take(-1, axis)).mean()
        assert seam <= 1.5 * steps.max()


def test_scaling_looks_beyond_the_seam() -> None:
    """So a picture that was moved by a whole number of pixels is the same picture, moved."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (64, 96, 3), np.uint8)
    for size in (48, 192):
        plain = np.asarray(fit_seamless(Image.fromarray(pixels), size), int)
        step = (np.array(plain.shape[:2]) / (64, 96) * 16).astype(int)
        moved = fit_seamless(Image.fromarray(np.roll(pixels, (16, 16), (0, 1))), size)
        assert np.abs(np.asarray(moved, int) - np.roll(plain, step, (0, 1))).max() <= 1


def test_a_change_is_enlarged_across_the_seam() -> None:
    change = random_image(64, 96, 4)
    for height, width in ((128, 192), (96, 144), (80, 112)):
        larger = enlarge_seamless(change, (height, width))
        assert larger.shape[-2:] == (height, width)
        half = enlarge_seamless(change.roll((32, 48), (2, 3)), (height, width))
        assert torch.allclose(half, larger.roll((height // 2, width // 2), (2, 3)), atol=1e-12)


def seam_ratio(image: Tensor) -> float:
    """Return the larger of both seams' mean step over the mean step inside, along the axis."""
    ratios = []
    for dim in (2, 3):
        steps = image.diff(dim=dim).abs().mean()
        first, last = image.select(dim, 0), image.select(dim, -1)
        ratios.append(float((first - last).abs().mean() / steps))
    return max(ratios)


@pytest.mark.parametrize("start", ["recolored", "noise"])
def test_a_run_leaves_no_seam(network: VGG, make_picture: MakePicture, start: str) -> None:
    photo, painting = make_picture(150, 110), make_picture(90, 110)
    settings = TransferSettings(
        size=160, base_size=128, iterations=20, start=start, edges="seamless"
    )
    *_, last = transfer_style(photo, painting, settings, network=network)
    *_, plain = transfer_style(photo, painting, settings.replace(edges="plain"), network=network)
    assert (last.width, last.height) == (160, 112)
    assert seam_ratio(last.pixels) < 1.3 < seam_ratio(plain.pixels)


def test_a_seamless_run_goes_on_where_it_stood(network: VGG, make_picture: MakePicture) -> None:
    photo, painting = make_picture(96, 80), make_picture(90, 110)
    settings = TransferSettings(size=96, iterations=24, edges="seamless")
    steps = list(transfer_style(photo, painting, settings, network=network))
    middle = steps[5]
    rest = list(transfer_style(photo, painting, settings, begin=middle.moment, network=network))
    assert torch.equal(rest[0].pixels, middle.pixels)
    assert rest[-1].J < 1.1 * steps[-1].J
    grown = settings.replace(size=160, iterations=30)
    *_, larger = transfer_style(photo, painting, grown, begin=steps[-1].moment, network=network)
    assert larger.width == 160
    assert seam_ratio(larger.pixels) < 1.3


def test_a_large_seamless_picture_goes_in_tiles(
    network: VGG, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, painting = make_picture(96, 80), make_picture(90, 110)
    settings = TransferSettings(size=96, iterations=3, edges="seamless")
    *_, whole = transfer_style(photo, painting, settings, network=network)
    monkeypatch.setattr(nst.engine.inputs, "tile_side", lambda *_: 48)
    *_, tiled = transfer_style(photo, painting, settings, network=network)
    assert float((whole.pixels - tiled.pixels).abs().max()) < 1e-3
    assert to_tensor(tiled.image).shape == (1, 3, 80, 96)


def test_nothing_is_seen_of_the_edges_of_a_painting(make_network: MakeNetwork) -> None:
    """A painting of one colour has one activation everywhere, if no zeros are around it."""
    network = make_network(dtype=torch.float64)
    plain = torch.full((1, 3, 40, 56), 0.7, dtype=torch.float64)
    style = Objective(network, plain, [plain], SEAMLESS).targets[0].style
    for layer, gram in style.grams.items():
        one = network(plain.repeat(1, 1, 9, 9), [layer])[layer]
        middle = one[0, :, one.shape[-2] // 2, one.shape[-1] // 2]
        assert torch.allclose(gram, torch.outer(middle, middle), rtol=1e-10), layer
