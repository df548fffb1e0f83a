"""Style costs, content layers and the Laplacian within J: in tiles, in regions and in runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import nst.engine.objective
from helpers.pictures import MakePicture
from helpers.regions import USUAL, regions_of_three, soft_mask, two_regions
from helpers.tiling import assert_tiles_agree
from helpers.tiny_network import MakeNetwork
from nst.engine.base_term import HeldObjective
from nst.engine.kept_photo import KeptObjective, KeptPhoto
from nst.engine.laplacian import LaplacianTerm, laplacian_cost
from nst.engine.objective import Objective
from nst.engine.regions import Regions
from nst.engine.style_target import FULL
from nst.engine.tiled_objective import TiledObjective
from nst.engine.transfer import transfer_style
from nst.images.masks import Masks
from nst.settings import DEFAULTS, STYLE_COSTS, PaintingUse, TransferSettings
from nst.vgg.network import VGG

EVERY_COST = dict.fromkeys(STYLE_COSTS, 1.0)
SEVERAL_LAYERS = {"relu2_2": 0.3, "relu3_2": 1.0}
CHANGES: list[dict[str, Any]] = [
    *({"style_costs": {name: 1.0}} for name in STYLE_COSTS),
    {"style_costs": EVERY_COST},
    {"style_costs": {"gram": 2.0}},
    {"content_layers": SEVERAL_LAYERS},
    {"laplacian": 1.0},
    {"style_costs": EVERY_COST, "content_layers": SEVERAL_LAYERS, "laplacian": 2.0},
]


def random_image(
    height: int, width: int, seed: int, dtype: torch.dtype = torch.float64, channels: int = 3
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, channels, height, width), generator=generator, dtype=dtype)


def objective(
    network: VGG, settings: TransferSettings, paintings: Sequence[Tensor] = ()
) -> Objective:
    paintings = paintings or [random_image(40, 28, 2)]
    return Objective(network, random_image(24, 33, 1), paintings, settings)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_fast_path_is_the_specification(
    make_network: MakeNetwork, changes: dict[str, Any]
) -> None:
    J = objective(make_network(dtype=torch.float64), DEFAULTS.replace(alpha=3.0, **changes))
    image = random_image(24, 33, 3).requires_grad_()
    cost = J.cost(image)
    (expected,) = torch.autograd.grad(cost, image)
    costs, gradient = J.evaluate(image.detach())
    assert costs.J == costs.goal == pytest.approx(cost.item(), rel=1e-9)
    assert costs.layers == pytest.approx(J.costs(image.detach()).layers, rel=1e-9)
    # The photo's activations are float32.
    assert float((gradient - expected).norm() / expected.norm()) < 1e-6


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_layers_beyond_the_content_layers_may_be_kept(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(nst.engine.objective, "DEEP_SHARE", 1.0)
    J = objective(make_network(dtype=torch.float64), DEFAULTS.replace(**changes))
    image = random_image(24, 33, 3)
    first, again = J.evaluate(image), J.evaluate(image)
    assert J._kept is not None
    assert again[0].layers == pytest.approx(first[0].layers)
    torch.testing.assert_close(again[1], first[1])


@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize("size", [(150, 230), (79, 131)], ids=str)
def test_tiles_change_nothing(
    make_network: MakeNetwork, changes: dict[str, Any], size: tuple[int, int]
) -> None:
    network = make_network(dtype=torch.float64)
    settings = DEFAULTS.replace(**changes)
    photo, image = random_image(*size, 1), random_image(*size, 3)
    paintings = [random_image(90, 70, 2), random_image(60, 100, 4)]
    whole = Objective(network, photo, paintings, settings)
    tiled = TiledObjective(network, photo, paintings, settings, 64)
    assert len(tiled.tiles) > 1
    # The Wasserstein cost is a small difference of large traces.
    assert_tiles_agree(whole, tiled, image, layers=1e-11)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_seamless_picture_may_be_moved_around(
    make_network: MakeNetwork, changes: dict[str, Any]
) -> None:
    network = make_network(dtype=torch.float64)
    settings = DEFAULTS.replace(edges="seamless", **changes)
    photo, image, painting = (random_image(64, 96, seed) for seed in (1, 2, 3))
    moved_photo, moved = (x.roll((16, 48), (2, 3)) for x in (photo, image))
    costs, gradient = TiledObjective(network, photo, [painting], settings).evaluate(image)
    again, moved_gradient = TiledObjective(network, moved_photo, [painting], settings).evaluate(
        moved
    )
    assert pytest.approx(costs.J, rel=1e-9) == again.J
    torch.testing.assert_close(moved_gradient, gradient.roll((16, 48), (2, 3)))


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_grey_pictures_have_a_grey_gradient(
    make_network: MakeNetwork, changes: dict[str, Any]
) -> None:
    photo, painting = (random_image(24, 33, seed, channels=1).repeat(1, 3, 1, 1) for seed in (1, 2))
    network = make_network(dtype=torch.float64)
    _, gradient = Objective(network, photo, [painting], DEFAULTS.replace(**changes)).evaluate(
        random_image(24, 33, 3)
    )
    assert torch.equal(gradient[:, 0], gradient[:, 2])


def test_the_base_size_has_the_same_costs(make_network: MakeNetwork) -> None:
    network, settings = make_network(dtype=torch.float64), DEFAULTS.replace(**CHANGES[-1])
    full = Objective(network, random_image(48, 64, 1), [random_image(60, 50, 2)], settings)
    base = Objective(network, random_image(24, 32, 1), [random_image(30, 25, 2)], settings)
    held = HeldObjective(full, base)
    image = random_image(48, 64, 3).requires_grad_()
    cost = held.cost(image)
    (expected,) = torch.autograd.grad(cost, image)
    costs, gradient = held.evaluate(image.detach())
    assert costs.goal == pytest.approx(cost.item(), rel=1e-9)
    assert float((gradient - expected).norm() / expected.norm()) < 1e-6


def test_the_guide_is_of_gram_matrices_alone(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    image = random_image(24, 33, 3)
    for name in STYLE_COSTS:
        plain, guided = (
            objective(network, DEFAULTS.replace(style_costs={name: 1.0})) for _ in range(2)
        )
        guided.guidance = FULL
        costs, gradient = plain.evaluate(image)
        guided_costs, guided_gradient = guided.evaluate(image)
        assert pytest.approx(costs.J) == guided_costs.J
        assert torch.equal(guided_gradient, gradient) == (name != "gram")


def test_weights_of_costs_are_factors(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    image = random_image(24, 33, 3)
    alone = {
        name: objective(network, DEFAULTS.replace(style_costs={name: 1.0})).costs(image).style
        for name in STYLE_COSTS
    }
    weights = {"gram": 0.5, "mean_std": 2.0, "wasserstein": 3.0, "histogram": 0.1}
    mixed = objective(network, DEFAULTS.replace(style_costs=weights)).costs(image).style
    expected = sum(weight * alone[name] for name, weight in weights.items())
    assert mixed == pytest.approx(expected, rel=1e-9)


def test_content_layers_are_a_weighted_sum(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    image = random_image(24, 33, 3)
    alone = {
        layer: objective(network, DEFAULTS.replace(content_layer=layer)).costs(image).content
        for layer in SEVERAL_LAYERS
    }
    several = objective(network, DEFAULTS.replace(content_layers=SEVERAL_LAYERS)).costs(image)
    expected = sum(weight * alone[layer] for layer, weight in SEVERAL_LAYERS.items())
    assert several.content == pytest.approx(expected, rel=1e-9)


def test_the_same_painting_twice_is_that_painting(make_network: MakeNetwork) -> None:
    network, painting = make_network(dtype=torch.float64), random_image(40, 28, 2)
    settings = DEFAULTS.replace(style_costs=EVERY_COST)
    image = random_image(24, 33, 3)
    once, twice = (objective(network, settings, [painting] * n).costs(image) for n in (1, 2))
    assert once.layers == pytest.approx(twice.layers, rel=1e-9)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_runs_lower_their_cost(
    network: VGG, make_picture: MakePicture, changes: dict[str, Any], optimizer: str
) -> None:
    settings = TransferSettings(size=64, iterations=22, optimizer=optimizer, **changes)
    steps = list(
        transfer_style(make_picture(80, 60, 1), make_picture(60, 90, 2), settings, network=network)
    )
    assert steps[-1].J < 0.9 * steps[0].J


@pytest.mark.parametrize("painting", [(1, 1), (1, 40), (3, 2)], ids=str)
def test_tiny_and_flat_paintings_are_no_trouble(
    network: VGG, painting: tuple[int, int], make_picture: MakePicture
) -> None:
    settings = DEFAULTS.replace(style_costs=EVERY_COST)
    for style in (random_image(*painting, 2, torch.float32), torch.zeros(1, 3, *painting)):
        J = Objective(network, random_image(1, 20, 1, torch.float32), [style], settings)
        costs, gradient = J.evaluate(random_image(1, 20, 3, torch.float32))
        assert costs.J > 0
        assert bool(gradient.isfinite().all())


# --- Regions ------------------------------------------------------------------------------------


def parts_of_paintings(paintings: Sequence[Tensor]) -> list[Tensor | None]:
    """The right of the first, with a soft edge; all of the others."""
    height, width = paintings[0].shape[-2:]
    return [soft_mask(height, width, 0.2, 0.5), *(None for _ in paintings[1:])]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_fast_path_is_the_specification_in_two_regions(
    make_network: MakeNetwork, changes: dict[str, Any]
) -> None:
    settings = DEFAULTS.replace(alpha=3.0, **changes)
    paintings = [random_image(40, 28, 2), random_image(30, 50, 4)]
    regions = two_regions(24, 33, within=parts_of_paintings(paintings))
    J = Objective(
        make_network(dtype=torch.float64), random_image(24, 33, 1), paintings, settings, regions
    )
    image = random_image(24, 33, 3).requires_grad_()
    cost = J.cost(image)
    (expected,) = torch.autograd.grad(cost, image)
    costs, gradient = J.evaluate(image.detach())
    assert costs.J == costs.goal == pytest.approx(cost.item(), rel=1e-9)
    assert costs.layers == pytest.approx(J.costs(image.detach()).layers, rel=1e-9)
    assert float((gradient - expected).norm() / expected.norm()) < 1e-6


@pytest.mark.parametrize("side", [16, 64])
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_tiles_change_nothing_in_two_regions(
    make_network: MakeNetwork, changes: dict[str, Any], side: int
) -> None:
    network, size = make_network(dtype=torch.float64), (79, 131)
    settings = DEFAULTS.replace(**changes)
    photo, image = random_image(*size, 1), random_image(*size, 3)
    paintings = [random_image(90, 70, 2), random_image(60, 100, 4)]
    regions = two_regions(*size, within=parts_of_paintings(paintings))
    whole = Objective(network, photo, paintings, settings, regions)
    tiled = TiledObjective(network, photo, paintings, settings, side, regions)
    # The Wasserstein cost is a small difference of large traces.
    assert_tiles_agree(whole, tiled, image, layers=1e-11)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_all_white_is_like_no_mask(make_network: MakeNetwork, changes: dict[str, Any]) -> None:
    network, settings = make_network(dtype=torch.float64), DEFAULTS.replace(**changes)
    photo, painting, image = (random_image(24, 33, seed) for seed in (1, 2, 3))
    white = Regions([USUAL], [0], torch.full((1, 1, 24, 33), 255, dtype=torch.uint8))
    costs, gradient = Objective(network, photo, [painting], settings, white).evaluate(image)
    plain, its_gradient = Objective(network, photo, [painting], settings).evaluate(image)
    assert pytest.approx(plain.J, rel=1e-10) == costs.J
    torch.testing.assert_close(gradient, its_gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("has_masks", [False, True])
def test_paintings_may_come_in_any_order(make_network: MakeNetwork, has_masks: bool) -> None:
    """Not a bit is another, of a blend and in regions."""
    network, photo, image = make_network(), *(random_image(24, 33, s).float() for s in (1, 3))
    settings = DEFAULTS.replace(style_costs=EVERY_COST)
    paintings = [random_image(40, 28, seed).float() for seed in (4, 5, 6)]
    uses = [PaintingUse(weight=weight) for weight in (0.7, 0.1, 3.0)]
    regions = regions_of_three(24, 33, uses) if has_masks else Regions(uses)
    expected = Objective(network, photo, paintings, settings, regions).evaluate(image)
    for order in permutations(range(3)):
        permuted = replace(
            regions,
            uses=[uses[index] for index in order],
            mask_of=[regions.mask_of[index] for index in order] if has_masks else (),
        )
        styles = [paintings[index] for index in order]
        costs, gradient = Objective(network, photo, styles, settings, permuted).evaluate(image)
        assert costs == expected[0]
        assert torch.equal(gradient, expected[1])


def test_a_seamless_picture_with_regions_may_be_moved_around(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    settings = DEFAULTS.replace(edges="seamless", **CHANGES[-1])
    photo, image, *paintings = (random_image(64, 96, seed) for seed in (1, 2, 3, 4))
    regions = two_regions(64, 96)
    assert regions.masks is not None
    costs, gradient = TiledObjective(network, photo, paintings, settings, regions=regions).evaluate(
        image
    )
    moved = [each.roll((16, 48), (2, 3)) for each in (photo, image, regions.masks)]
    there = replace(regions, masks=moved[2])
    its_costs, its_gradient = TiledObjective(
        network, moved[0], paintings, settings, regions=there
    ).evaluate(moved[1])
    assert pytest.approx(costs.J, rel=1e-9) == its_costs.J
    torch.testing.assert_close(its_gradient, gradient.roll((16, 48), (2, 3)))


def test_grey_pictures_have_a_grey_gradient_in_regions(make_network: MakeNetwork) -> None:
    photo, *paintings = (
        random_image(24, 33, seed, channels=1).repeat(1, 3, 1, 1) for seed in (1, 2, 4)
    )
    settings = DEFAULTS.replace(**CHANGES[-1])
    network = make_network(dtype=torch.float64)
    J = Objective(network, photo, paintings, settings, two_regions(24, 33))
    _, gradient = J.evaluate(random_image(24, 33, 3))
    assert torch.equal(gradient[:, 0], gradient[:, 2])


def test_what_is_kept_and_held_has_the_same_costs(make_network: MakeNetwork) -> None:
    """In two regions, around a corner of the photo, and at the base size as well."""
    network, settings = make_network(dtype=torch.float64), DEFAULTS.replace(**CHANGES[-1])
    photos = [random_image(48, 64, 1), random_image(24, 32, 1)]
    paintings = [random_image(60, 50, 2), random_image(30, 40, 4)]
    full, base = (
        Objective(network, photo, paintings, settings, two_regions(*photo.shape[-2:]))
        for photo in photos
    )
    held, keep = HeldObjective(full, base), soft_mask(48, 64, 0.4, 0.9)
    kept = KeptPhoto(photos[0], keep)
    image = random_image(48, 64, 3).requires_grad_()
    cost = held.cost(kept.compose(image))
    (expected,) = torch.autograd.grad(cost, image)
    costs, gradient = KeptObjective(held, kept).evaluate(image.detach())
    assert costs.goal == pytest.approx(cost.item(), rel=1e-9)
    assert float((gradient - expected).norm() / expected.norm()) < 1e-6


def test_a_region_that_vanishes_at_a_layer_is_left_out_there(network: VGG) -> None:
    """In the photo or in the painting: a spot of 4×4 pixels is a sixteenth of one of relu5_1."""
    spot = torch.zeros(1, 1, 48, 64, dtype=torch.uint8)
    spot[..., 8:12, 8:12] = 255
    settings = DEFAULTS.replace(style_costs=EVERY_COST)
    photo, painting, image = (random_image(48, 64, seed).float() for seed in (1, 2, 3))
    for regions in (Regions([USUAL], [0], spot), Regions([USUAL], within=[spot])):
        for kind in (Objective, TiledObjective):
            J = kind(network, photo, [painting], settings, regions=regions)
            costs, gradient = J.evaluate(image)
            assert list(costs.layers) == ["relu1_1", "relu2_1", "relu3_1"]
            assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("tile", [None, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_runs_in_regions_lower_their_cost(
    make_network: MakeNetwork,
    make_picture: MakePicture,
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    tile: int | None,
) -> None:
    monkeypatch.setattr("nst.engine.inputs.tile_side", lambda *_: tile)
    monkeypatch.setattr("nst.engine.inputs.SIDES", (32,))
    settings = TransferSettings(size=64, iterations=22, **CHANGES[-1])
    photo, *paintings = (make_picture(80, 60, seed) for seed in (1, 2, 3))
    left = Image.new("L", photo.size)
    left.paste(255, (0, 0, 30, 60))
    corner = Image.new("L", photo.size)
    corner.paste(255, (60, 40, 80, 60))
    masks, network = Masks((left, None), keep=corner), make_network(dtype=dtype)
    steps = list(transfer_style(photo, paintings, settings, masks=masks, network=network))
    assert steps[-1].J < 0.9 * steps[0].J


# --- The Laplacian ------------------------------------------------------------------------------


def test_laplacian_cost_by_hand() -> None:
    # One of 3×3 means is a level of 255 above: −4 there, 1 at its four neighbours, 0 elsewhere.
    photo = torch.zeros(1, 1, 12, 12)
    image = photo.clone()
    image[..., 4:8, 4:8] = 1 / 255
    assert laplacian_cost(photo, image).item() == pytest.approx((16 + 4) / 9)
    # In a corner two of the neighbours are beyond the edges, as bright as itself: −2, 1 and 1.
    corner = torch.zeros(1, 1, 12, 12)
    corner[..., :4, :4] = 1 / 255
    assert laplacian_cost(photo, corner).item() == pytest.approx((4 + 2) / 9)
    # What wraps has all four.
    assert laplacian_cost(photo, corner, wraps=True).item() == pytest.approx((16 + 4) / 9)


def test_laplacian_cost_sees_no_tint_and_no_fine_grain() -> None:
    photo = random_image(16, 20, 1)
    assert laplacian_cost(photo, photo + 0.2).item() == pytest.approx(0, abs=1e-20)
    grain = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).tile(8, 10)
    assert laplacian_cost(photo, photo + 0.1 * grain).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (18, 30), (1030, 9)], ids=str)
@pytest.mark.parametrize("wraps", [False, True])
def test_the_laplacian_term_is_its_specification(size: tuple[int, int], wraps: bool) -> None:
    photo, image = random_image(*size, 1), random_image(*size, 2).requires_grad_()
    cost = laplacian_cost(photo, image, wraps=wraps)
    (expected,) = torch.autograd.grad(cost, image)
    term, gradient = LaplacianTerm(photo, wraps=wraps), torch.ones_like(photo)
    assert term.add_gradient(gradient, image.detach(), 3.0).item() == pytest.approx(cost.item())
    assert term.cost(image).item() == pytest.approx(cost.item())
    torch.testing.assert_close(gradient - 1, 3 * expected)


def test_the_laplacian_of_bytes_is_that_of_the_picture() -> None:
    photo = (255 * random_image(30, 20, 1)).to(torch.uint8)
    image = random_image(30, 20, 2, torch.float32)
    kept, exact = (LaplacianTerm(x, wraps=False).cost(image) for x in (photo, photo.float() / 255))
    torch.testing.assert_close(kept, exact)
