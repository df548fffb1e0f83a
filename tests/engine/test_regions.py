"""Paintings that rule different parts of a photo, and several that blend."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.regions import USUAL, regions_of_three, soft_mask
from helpers.tiling import assert_tiles_agree
from helpers.tiny_network import MakeNetwork
from nst.engine.costs import Costs
from nst.engine.layer_statistics import LayerSums
from nst.engine.losses import guided_gram_matrix, normalized_gram_matrix
from nst.engine.objective import Objective
from nst.engine.regions import Regions, shares
from nst.engine.style_costs import moments
from nst.engine.style_target import FULL, Painting, blend
from nst.engine.style_terms import Pull
from nst.engine.tiled_objective import TiledObjective
from nst.engine.windows import seen_in, windows_of
from nst.errors import SettingsError
from nst.settings import DEFAULTS, PaintingUse, TransferSettings
from nst.vgg.network import VGG, carry_down


def random_image(
    height: int, width: int, seed: int, dtype: torch.dtype = torch.float32, channels: int = 3
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, channels, height, width), generator=generator, dtype=dtype)


def with_uses(*uses: PaintingUse) -> TransferSettings:
    return DEFAULTS.replace(paintings=uses)


PHOTO, IMAGE = random_image(48, 64, 1), random_image(48, 64, 2)
PAINTINGS = [random_image(40 + 4 * seed, 56, seed) for seed in (3, 4, 5)]


# --- Shares ------------------------------------------------------------------------------------


def test_shares_worked_out_by_hand() -> None:
    assert shares([("b", 3.0), ("a", 0.5), ("b", 0.5)]) == {"a": 0.125, "b": 0.875}
    assert list(shares([("b", 1.0), ("a", 1.0)])) == ["a", "b"]
    assert shares([]) == {}


def test_shares_are_equal_to_the_bit_in_any_order() -> None:
    weighed = [("a", 0.1), ("b", 0.2), ("a", 0.3), ("c", 0.7), ("a", 1e-9)]
    expected = list(shares(weighed).items())
    assert all(list(shares(order).items()) == expected for order in permutations(weighed))


# --- Blends ------------------------------------------------------------------------------------


def evaluated(objective: Objective) -> tuple[float, dict[str, float], Tensor]:
    costs, gradient = objective.evaluate(IMAGE)
    return costs.J, costs.layers, gradient


def assert_same(one: Objective, other: Objective) -> None:
    J, layers, gradient = evaluated(one)
    its_J, its_layers, its_gradient = evaluated(other)
    assert (J, layers) == (its_J, its_layers)
    assert torch.equal(gradient, its_gradient)


def test_a_blend_is_the_same_to_the_bit_in_any_order(network: VGG) -> None:
    uses = [PaintingUse(weight=weight) for weight in (0.7, 0.1, 3.0)]
    first = Objective(network, PHOTO, PAINTINGS, with_uses(*uses))
    for order in permutations(range(3)):
        settings = with_uses(*(uses[index] for index in order))
        styles = [PAINTINGS[index] for index in order]
        assert_same(Objective(network, PHOTO, styles, settings), first)


def test_the_same_painting_twice_is_that_painting_once(network: VGG) -> None:
    first, second, _ = PAINTINGS
    once = Objective(network, PHOTO, [first], DEFAULTS)
    assert_same(Objective(network, PHOTO, [first, first.clone()], DEFAULTS), once)
    blend = Objective(network, PHOTO, [first, second], with_uses(PaintingUse(weight=2.0)))
    assert_same(Objective(network, PHOTO, [first, second, first], DEFAULTS), blend)


def test_a_weight_of_0_is_absence(network: VGG) -> None:
    first, second, third = PAINTINGS
    settings = with_uses(PaintingUse(weight=0.3), PaintingUse(weight=0.0, strength=4.0))
    objective = Objective(network, PHOTO, [first, second, third], settings)
    without = with_uses(PaintingUse(weight=0.3))
    assert_same(objective, Objective(network, PHOTO, [first, third], without))


def test_a_painting_of_weight_0_brings_no_colour_to_grey_pictures(network: VGG) -> None:
    photo, grey = (random_image(48, 64, seed, channels=1).repeat(1, 3, 1, 1) for seed in (8, 9))
    beside = with_uses(PaintingUse(weight=0))
    assert Objective(network, photo, [PAINTINGS[0], grey], beside).is_grey
    assert not Objective(network, photo, [PAINTINGS[0], grey], DEFAULTS).is_grey


def test_weights_that_are_all_0_are_refused(network: VGG) -> None:
    with pytest.raises(SettingsError, match=r"^The weights of the paintings are all 0; "):
        Objective(network, PHOTO, PAINTINGS[:1], with_uses(PaintingUse(weight=0)))


def test_along_the_weights_the_target_goes_from_one_painting_to_the_other(network: VGG) -> None:
    ends = [Objective(network, PHOTO, [each], DEFAULTS).targets[0].style for each in PAINTINGS[:2]]
    distances = []
    for weight in (0.0, 0.25, 0.5, 1.0, 3.0, 10.0):
        settings = with_uses(PaintingUse(weight=weight), PaintingUse(weight=10 - weight))
        target = Objective(network, PHOTO, PAINTINGS[:2], settings).targets[0].style
        distances.append(
            [
                sum(float((target.grams[name] - gram).norm()) for name, gram in end.grams.items())
                for end in ends
            ]
        )
    toward, away = zip(*distances, strict=True)
    assert list(toward) == sorted(toward, reverse=True)
    assert list(away) == sorted(away)
    assert (away[0], toward[-1]) == (0, 0)


def test_an_edit_of_weights_looks_at_no_painting_again(
    network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    Objective(network, PHOTO, PAINTINGS, DEFAULTS, regions_of_three(48, 64))
    monkeypatch.setattr(network, "walk", None)
    uses = [PaintingUse(weight=0.5), PaintingUse(strength=2.0), PaintingUse(layers=("relu1_1",))]
    edited = Objective(network, PHOTO, PAINTINGS, DEFAULTS, regions_of_three(48, 64, uses))
    assert len(edited.targets) == 3


def test_paintings_are_tied_to_layers(network: VGG) -> None:
    fine, coarse, _ = PAINTINGS
    tied = with_uses(PaintingUse(layers=("relu1_1", "relu2_1")), PaintingUse(layers=("relu3_1",)))
    costs, _ = Objective(network, PHOTO, [fine, coarse], tied).evaluate(IMAGE)
    alone = [Objective(network, PHOTO, [each], DEFAULTS).evaluate(IMAGE)[0] for each in PAINTINGS]
    assert costs.layers == {
        "relu1_1": alone[0].layers["relu1_1"],
        "relu2_1": alone[0].layers["relu2_1"],
        "relu3_1": alone[1].layers["relu3_1"],
    }


def test_layers_that_no_painting_is_tied_to_are_not_computed(network: VGG) -> None:
    tied = with_uses(PaintingUse(layers=("relu1_1",)))
    costs, gradient = Objective(network, PHOTO, PAINTINGS[:1], tied).evaluate(IMAGE)
    only = DEFAULTS.replace(layer_weights={"relu1_1": 1.0})
    its_costs, its_gradient = Objective(network, PHOTO, PAINTINGS[:1], only).evaluate(IMAGE)
    assert costs == its_costs
    assert torch.equal(gradient, its_gradient)


def test_strength_is_a_factor_of_the_style(network: VGG) -> None:
    plain, _ = Objective(network, PHOTO, PAINTINGS[:1], DEFAULTS).evaluate(IMAGE)
    strong = with_uses(PaintingUse(strength=2.0))
    costs, _ = Objective(network, PHOTO, PAINTINGS[:1], strong).evaluate(IMAGE)
    assert (costs.content, costs.style) == pytest.approx((plain.content, 2 * plain.style))
    none = with_uses(PaintingUse(strength=0.0))
    costs, gradient = Objective(network, PHOTO, PAINTINGS[:1], none).evaluate(IMAGE)
    assert (costs.J, costs.layers) == (costs.content, {})
    assert bool(gradient.abs().max() > 0)


# --- Regions -----------------------------------------------------------------------------------


def test_the_parts_of_a_photo_worked_out_by_hand() -> None:
    masks = torch.tensor([[255, 51, 0, 204, 255]] * 2, dtype=torch.uint8).view(2, 1, 1, 5)
    masks[1] = torch.tensor([0, 51, 0, 204, 255])
    keep = torch.tensor([[0, 0, 0, 0, 255]], dtype=torch.uint8).view(1, 1, 1, 5)
    left, right, rest = Regions([USUAL] * 3, [0, 1, None], masks, keep).weights()
    expected = [[1, 0.2, 0, 0.5, 0], [0, 0.2, 0, 0.5, 0], [0, 0.6, 1, 0, 0]]
    for weights, values in zip((left, right, rest), expected, strict=True):
        assert weights.flatten().tolist() == pytest.approx(values, abs=1e-12)
    without_rest = Regions([USUAL] * 2, [0, 1], masks, keep)
    assert len(without_rest.weights()) == 2
    assert Regions([USUAL] * 2, [0, 0], masks[:1]).groups == [[0, 1]]


def test_a_mask_of_weight_0_leaves_its_place_to_the_others() -> None:
    mask = soft_mask(4, 8, 0.2, 0.8)
    uses = [USUAL, replace(USUAL, weight=0.0)]
    (weights,) = Regions(uses, [None, 0], mask).weights()
    assert bool((weights == 1).all())


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("size", [(48, 64), (47, 65), (1, 50), (3, 130), (16, 17)])
def test_masks_go_down_as_the_network_does(
    make_network: MakeNetwork, size: tuple[int, int], pooling: str
) -> None:
    network = make_network(pooling=pooling)
    activations = network(random_image(*size, 1), DEFAULTS.style_layers)
    mask = random_image(*size, 2, torch.float64, channels=1)
    for layer, level in carry_down(mask, DEFAULTS.style_layers):
        assert level.shape[-2:] == activations[layer].shape[-2:]
        assert bool((level >= 0).all() and (level <= 1).all())
    whole = dict(carry_down(torch.ones_like(mask), DEFAULTS.style_layers))
    assert all(bool((level == 1).all()) for level in whole.values())


def test_a_guided_gram_matrix_worked_out_by_hand() -> None:
    activations = torch.tensor([[[1.0, 2.0, 5.0]], [[0.0, 1.0, 7.0]]])  # (2, 1, 3)
    weights = torch.tensor([[1.0, 0.25, 0.0]])
    expected = torch.tensor([[2.0, 0.5], [0.5, 0.25]]) / 1.25
    torch.testing.assert_close(guided_gram_matrix(activations, weights), expected)
    everywhere = guided_gram_matrix(activations, torch.ones(1, 3))
    torch.testing.assert_close(everywhere, normalized_gram_matrix(activations))


def test_a_soft_seam_keeps_its_energy(network: VGG) -> None:
    """Weighed by m and not by its root, half of the energy would be left in the middle."""
    activation = network(IMAGE, ["relu1_1"])["relu1_1"]
    halves = torch.full((1, 1, 48, 64), 0.5, dtype=torch.float64)
    window = windows_of(network, halves, ["relu1_1"])["relu1_1"]
    guided = window.gram_matrix(activation) / window.total
    torch.testing.assert_close(guided, normalized_gram_matrix(activation), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_pull_is_the_derivative_of_a_cost_of_the_moments(
    make_network: MakeNetwork, is_whole: bool
) -> None:
    """Of ⟨v, mean⟩ + ⟨M, second moment⟩, of which any cost of them is locally one."""
    network = make_network(dtype=torch.float64)
    activation = network(IMAGE.double(), ["relu2_1"])["relu2_1"]
    weights = soft_mask(48, 64, 0.2, 0.7).double() / 255
    window = None if is_whole else windows_of(network, weights, ["relu2_1"])["relu2_1"]
    varied = activation.clone().requires_grad_()
    at = moments(*seen_in(varied, window))
    v, M = (random_image(5, 5, seed, torch.float64)[0, 0] for seed in (1, 2))
    v, M = v[0], M + M.T
    (expected,) = torch.autograd.grad(v @ at.mean + (M * at.second).sum(), varied)
    sums = LayerSums.of_moments(activation, window)
    torch.testing.assert_close(sums.moments.mean, at.mean)
    torch.testing.assert_close(sums.moments.second, at.second)
    pull, gradient = Pull(2 * M / sums.total, v / sums.total), torch.zeros_like(activation)
    pull.add(gradient, activation, window)
    torch.testing.assert_close(gradient, expected)
    if is_whole:
        torch.testing.assert_close(pull.onto(None, activation), expected)


def test_sums_of_gram_matrices_are_those_of_moments(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    activation = network(IMAGE.double(), ["relu2_1"])["relu2_1"]
    weights = soft_mask(48, 64, 0.2, 0.7).double() / 255
    for window in (None, windows_of(network, weights, ["relu2_1"])["relu2_1"]):
        plain, exact = (of(activation, window) for of in (LayerSums.of_gram, LayerSums.of_moments))
        assert plain.total == exact.total
        torch.testing.assert_close(plain.gram, exact.gram)


def test_means_blend_as_gram_matrices_do(network: VGG) -> None:
    alone = {
        key: Painting(picture, costs=["mean_std"]).style(network, ["relu1_1"])
        for key, picture in zip("ab", PAINTINGS, strict=False)
    }
    style = blend(alone, {"relu1_1": [("a", 1.0), ("b", 3.0)]})
    for kind in ("grams", "means"):
        first, second = (getattr(alone[key], kind)["relu1_1"] for key in "ab")
        blended = getattr(style, kind)["relu1_1"]
        torch.testing.assert_close(blended, 0.25 * first + 0.75 * second)
    assert alone["a"].means["relu1_1"].shape == (4,)


def test_all_white_is_like_no_mask(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    photo, image, painting = (each.double() for each in (PHOTO, IMAGE, PAINTINGS[0]))
    white = torch.full((1, 1, 48, 64), 255, dtype=torch.uint8)
    regions = Regions([USUAL], [0], white)
    costs, gradient = Objective(network, photo, [painting], DEFAULTS, regions).evaluate(image)
    plain, its_gradient = Objective(network, photo, [painting], DEFAULTS).evaluate(image)
    assert pytest.approx(plain.J, rel=1e-12) == costs.J
    torch.testing.assert_close(gradient, its_gradient, rtol=1e-10, atol=1e-12)


def in_float64(
    make_network: MakeNetwork, settings: TransferSettings = DEFAULTS
) -> tuple[VGG, Tensor, list[Tensor], Tensor]:
    network = make_network(dtype=torch.float64, pooling=settings.pooling)
    return network, PHOTO.double(), [each.double() for each in PAINTINGS], IMAGE.double()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pooling": "average", "total_variation": 0.1},
        {"content_layer": "relu1_2", "layer_weights": {"relu2_2": 1.0}},
    ],
    ids=str,
)
def test_the_fast_path_is_the_specification(
    make_network: MakeNetwork, changes: dict[str, Any]
) -> None:
    settings = TransferSettings(**changes)
    network, photo, paintings, image = in_float64(make_network, settings)
    uses = [
        PaintingUse(strength=2.0),
        PaintingUse(layers=("relu1_1", "relu2_2", "relu4_1")),
        USUAL,
    ]
    regions = regions_of_three(48, 64, uses)
    objective = Objective(network, photo, paintings, settings, regions)
    objective.content = {layer: each.double() for layer, each in objective.content.items()}
    costs, gradient = objective.evaluate(image)
    varied = image.clone().requires_grad_()
    (expected,) = torch.autograd.grad(objective.cost(varied), varied)
    assert pytest.approx(float(objective.cost(image)), rel=1e-10) == costs.J
    assert costs.layers == pytest.approx(objective.costs(image).layers, rel=1e-10)
    assert float((gradient - expected).norm() / expected.norm()) < 1e-10


def test_the_guided_gradient_of_regions_descends_the_goal(make_network: MakeNetwork) -> None:
    network, photo, paintings, image = in_float64(make_network)

    def evaluate(image: Tensor) -> tuple[Costs, Tensor]:
        objective = Objective(network, photo, paintings, DEFAULTS, regions_of_three(48, 64))
        objective.guidance = FULL
        return objective.evaluate(image)

    gradient = evaluate(image)[1]
    direction = random_image(48, 64, 10).double() - 0.5 + 0.5 * gradient / gradient.abs().max()
    ahead, behind = (evaluate(image + h * direction)[0].goal for h in (1e-4, -1e-4))
    assert (ahead - behind) / 2e-4 == pytest.approx(float((gradient * direction).sum()), rel=1e-3)


@pytest.mark.parametrize("side", [16, 64])
@pytest.mark.parametrize("size", [(130, 97), (79, 190), (64, 64), (1, 150)])
def test_tiles_have_the_regions_of_the_whole(
    make_network: MakeNetwork, size: tuple[int, int], side: int
) -> None:
    network, _, paintings, _ = in_float64(make_network)
    photo, image = (random_image(*size, seed, torch.float64) for seed in (7, 8))
    regions = regions_of_three(*size)
    whole = Objective(network, photo, paintings, DEFAULTS, regions)
    tiled = TiledObjective(network, photo, paintings, DEFAULTS, side, regions)
    assert_tiles_agree(whole, tiled, image, layers=1e-12)


def test_pairs_of_paintings_and_masks_may_come_in_any_order(network: VGG) -> None:
    regions = regions_of_three(48, 64)
    expected = Objective(network, PHOTO, PAINTINGS, DEFAULTS, regions)
    for order in permutations(range(3)):
        mask_of = [regions.mask_of[index] for index in order]
        permuted = replace(regions, mask_of=mask_of)
        styles = [PAINTINGS[index] for index in order]
        assert_same(Objective(network, PHOTO, styles, DEFAULTS, permuted), expected)


def test_a_region_that_vanishes_at_a_layer_is_left_out_there(network: VGG) -> None:
    """A spot of 4×4 pixels is a position of relu3_1, and a sixteenth of one of relu5_1."""
    mask = torch.zeros(1, 1, 48, 64, dtype=torch.uint8)
    mask[..., 8:12, 8:12] = 255
    spot = Regions([USUAL], [0], mask)
    objective = Objective(network, PHOTO, PAINTINGS[:1], DEFAULTS, spot)
    costs, gradient = objective.evaluate(IMAGE)
    assert list(costs.layers) == ["relu1_1", "relu2_1", "relu3_1"]
    assert bool(gradient.isfinite().all())
    nothing = replace(spot, masks=torch.zeros_like(mask))
    costs, gradient = Objective(network, PHOTO, PAINTINGS[:1], DEFAULTS, nothing).evaluate(IMAGE)
    assert (costs.layers, costs.style) == ({}, 0)
    assert bool(gradient.isfinite().all())


def test_regions_share_the_style_by_their_pixels(network: VGG) -> None:
    """The same painting left and right, each by a half, costs what its mean distance is."""
    right = soft_mask(48, 64, 0.5, 0.5001)
    regions = Regions([USUAL] * 2, [0, 1], torch.cat([right, 255 - right]))
    both, _ = Objective(network, PHOTO, PAINTINGS[:1] * 2, DEFAULTS, regions).evaluate(IMAGE)
    halves = [
        Objective(network, PHOTO, PAINTINGS[:1], DEFAULTS, Regions([USUAL], [0], mask))
        for mask in (right, 255 - right)
    ]
    costs = [half.evaluate(IMAGE)[0].style for half in halves]
    assert both.style == pytest.approx(sum(costs), rel=1e-5)


def test_a_part_of_a_painting(make_network: MakeNetwork) -> None:
    """What is beside it does not count, but for what the positions at the border see of it."""
    network = make_network(dtype=torch.float64)
    left, right = (random_image(64, 64, seed, torch.float64) for seed in (1, 2))
    within = torch.zeros(1, 1, 64, 128, dtype=torch.uint8)
    within[..., :64] = 255
    photo, image = PHOTO.double(), IMAGE.double()
    grams = []
    for beside in (right, 1 - right):
        painting = torch.cat([left, beside], dim=3)
        for side in (None, 32):
            regions = Regions([USUAL], within=[within])
            objective = TiledObjective(network, photo, [painting], DEFAULTS, side, regions)
            grams.append(objective.targets[0].style.grams)
        assert objective.evaluate(image)[0].style > 0
    first, same, other, _ = grams
    for layer, gram in first.items():
        torch.testing.assert_close(gram, same[layer])
    change = (other["relu1_1"] - first["relu1_1"]).norm() / first["relu1_1"].norm()
    assert float(change) < 0.02  # a position sees a pixel beyond the border


def test_grey_pictures_stay_grey_in_regions(network: VGG) -> None:
    photo, *paintings = (
        random_image(48, 64, seed, channels=1).repeat(1, 3, 1, 1) for seed in (1, 2, 3, 4)
    )
    objective = Objective(network, photo, paintings, DEFAULTS, regions_of_three(48, 64))
    _, gradient = objective.evaluate(IMAGE)
    assert torch.equal(gradient[:, 0], gradient[:, 2])
