"""J(G): its parts, its weights, its gradient, and Gatys' published code written once more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.textbook import Textbook
from benchmarks.textbook import gradient as gradient_of
from helpers.places import DRAWN, EXAMPLES
from helpers.tiny_network import MakeNetwork
from nst.engine.costs import Costs
from nst.engine.devices import load_network
from nst.engine.losses import content_cost, normalized_gram_matrix, style_cost, total_variation
from nst.engine.objective import Objective
from nst.engine.starting_picture import starting_picture
from nst.engine.style_target import FULL, Guide
from nst.images.reading import load_image
from nst.images.tensors import fit, to_tensor
from nst.settings import DEFAULTS, GATYS_STYLE_LAYERS, TransferSettings
from nst.vgg.convolution import Convolution
from nst.vgg.network import VGG

CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}


def random_image(height: int, width: int, seed: int) -> Tensor:
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(seed))


CONTENT = random_image(24, 32, 1)
STYLE = random_image(40, 28, 2)
IMAGE = random_image(24, 32, 3)


def smooth_image(seed: int) -> Tensor:
    """More like a photograph than noise is: 64×48, large soft patches."""
    return F.interpolate(random_image(6, 8, seed), (48, 64), mode="bicubic").clamp(0, 1)


def test_parts_are_the_textbooks_costs(network: VGG) -> None:
    costs, _ = Objective(network, CONTENT, [STYLE], DEFAULTS).evaluate(IMAGE)
    ours, content, style = (
        network(image, ["relu4_2", *CHANNELS]) for image in (IMAGE, CONTENT, STYLE)
    )
    n = ours["relu4_2"].numel()
    expected = content_cost(content["relu4_2"], ours["relu4_2"]) * 2 / n
    assert costs.content == pytest.approx(expected.item(), rel=1e-5)
    assert list(costs.layers) == list(CHANNELS)
    for layer, n_channels in CHANNELS.items():
        textbook = style_cost(style[layer], ours[layer]).item()
        assert costs.layers[layer] == pytest.approx(4000 / n_channels**2 * textbook, rel=1e-5)
    assert costs.style == pytest.approx(sum(costs.layers.values()))


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (2.5, 0.5), (0.01, 100.0), (50.0, 0.01)])
def test_total_cost_weighs_content_with_alpha_and_style_with_beta(
    network: VGG, alpha: float, beta: float
) -> None:
    settings = TransferSettings(alpha=alpha, beta=beta)
    costs, _ = Objective(network, CONTENT, [STYLE], settings).evaluate(IMAGE)
    plain, _ = Objective(network, CONTENT, [STYLE], DEFAULTS).evaluate(IMAGE)
    expected = (alpha * plain.content + beta * plain.style, plain.content, plain.style)
    assert (costs.J, costs.content, costs.style) == pytest.approx(expected)


def test_layer_weights_are_relative_to_gatys(network: VGG) -> None:
    settings = TransferSettings(layer_weights={"relu1_1": 0.5, "relu3_1": 4.0})
    costs, _ = Objective(network, CONTENT, [STYLE], settings).evaluate(IMAGE)
    plain, _ = Objective(network, CONTENT, [STYLE], DEFAULTS).evaluate(IMAGE)
    assert costs.layers == pytest.approx(
        {"relu1_1": 0.5 * plain.layers["relu1_1"], "relu3_1": 4 * plain.layers["relu3_1"]}
    )


def test_total_variation_is_added_on_the_scale_of_pixels(network: VGG) -> None:
    settings = TransferSettings(total_variation=0.02, beta=0.5)
    costs, _ = Objective(network, CONTENT, [STYLE], settings).evaluate(IMAGE)
    smoothness = costs.J - costs.content - 0.5 * costs.style
    expected = 0.5 * 1000 * 0.02 * 255**2 * total_variation(IMAGE).item()
    assert smoothness == pytest.approx(expected, rel=1e-4)


def test_the_target_costs_nothing(network: VGG) -> None:
    costs, gradient = Objective(network, IMAGE, [IMAGE], DEFAULTS).evaluate(IMAGE)
    assert costs.J == 0
    assert gradient.abs().max() == 0


@pytest.mark.parametrize(
    ("content_layer", "weights", "convolutions"),
    [  # as many convolutions as VGG-19 has down to the deepest layer in use
        ("relu4_2", dict.fromkeys(GATYS_STYLE_LAYERS, 1), 13),
        ("relu4_2", {"relu1_1": 1, "relu5_1": 0}, 10),
        ("relu2_2", {"relu1_1": 1, "relu2_1": 1}, 4),
        ("relu1_1", {"relu1_1": 1}, 1),
        ("relu1_1", {}, 1),
        ("relu1_1", {"relu5_4": 0.01}, 16),
    ],
)
def test_layers_without_weight_are_not_computed(
    network: VGG,
    monkeypatch: pytest.MonkeyPatch,
    content_layer: str,
    weights: dict[str, float],
    convolutions: int,
) -> None:
    settings = TransferSettings(content_layer=content_layer, layer_weights=weights)
    objective = Objective(network, CONTENT, [STYLE], settings)
    calls: list[Convolution] = []
    activate = Convolution.activate

    def counted(convolution: Convolution, x: Tensor) -> Tensor:
        calls.append(convolution)
        return activate(convolution, x)

    monkeypatch.setattr(Convolution, "activate", counted)
    costs, _ = objective.evaluate(IMAGE)
    assert len(calls) == convolutions
    assert set(costs.layers) == {layer for layer, weight in weights.items() if weight > 0}


def test_content_alone_is_enough(network: VGG) -> None:
    settings = TransferSettings(layer_weights={})
    costs, gradient = Objective(network, CONTENT, [STYLE], settings).evaluate(IMAGE)
    assert costs.style == 0
    assert costs.J == costs.content > 0
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pooling": "average"},
        {"total_variation": 1.0, "alpha": 3.0},
        {"content_layer": "relu1_2", "layer_weights": {"relu2_2": 1.0}},
    ],
    ids=str,
)
def test_gradient_equals_finite_differences(
    make_network: MakeNetwork, changes: dict[str, Any]
) -> None:
    settings = TransferSettings(**changes)
    network = make_network(dtype=torch.float64, pooling=settings.pooling)
    content, style, image = CONTENT.double(), STYLE.double(), IMAGE.double()
    objective = Objective(network, content, [style], settings)
    _, gradient = objective.evaluate(image)
    for seed in range(3):
        direction = random_image(24, 32, 10 + seed).double() - 0.5
        direction = direction + 0.5 * gradient / gradient.abs().max()  # not at right angles
        h = 1e-4  # small beside pixels, large beside the rounding of the content's float32
        ahead, behind = (objective.evaluate(image + s * h * direction)[0].J for s in (1, -1))
        slope = float((gradient * direction).sum())
        assert (ahead - behind) / (2 * h) == pytest.approx(slope, rel=1e-3)


def test_gradient_is_the_pixels_own(network: VGG) -> None:
    image = IMAGE.clone()
    with torch.no_grad():  # a caller's grad mode is of no account
        _, gradient = Objective(network, CONTENT, [STYLE], DEFAULTS).evaluate(image)
    assert gradient.shape == image.shape
    assert gradient.dtype == torch.float32
    assert not gradient.requires_grad
    assert not image.requires_grad
    assert torch.equal(image, IMAGE)


def test_several_styles_are_averaged(network: VGG) -> None:
    styles = [STYLE, random_image(20, 50, 5), random_image(64, 17, 6)]
    objective = Objective(network, CONTENT, styles, DEFAULTS)
    for layer in GATYS_STYLE_LAYERS:
        grams = [normalized_gram_matrix(network(style, [layer])[layer]) for style in styles]
        mean = (grams[0] + grams[1] + grams[2]) / 3
        torch.testing.assert_close(
            objective.targets[0].style.grams[layer], mean, rtol=1e-4, atol=1e-4
        )


def test_the_same_style_twice_is_that_style(network: VGG) -> None:
    once, _ = Objective(network, CONTENT, [STYLE], DEFAULTS).evaluate(IMAGE)
    twice, _ = Objective(network, CONTENT, [STYLE, STYLE], DEFAULTS).evaluate(IMAGE)
    assert once.layers == pytest.approx(twice.layers)


def test_content_term_does_not_grow_with_the_size(network: VGG) -> None:
    """The textbook's J_content of a picture with 16 times the pixels is 16 times as high."""
    terms, textbook, shares = [], [], []
    for repeats in (8, 32):
        content, image = (x[..., :16, :16].tile(1, 1, repeats, repeats) for x in (CONTENT, IMAGE))
        costs, _ = Objective(network, content, [STYLE], DEFAULTS).evaluate(image)
        activations = [network(x, ["relu4_2"])["relu4_2"] for x in (content, image)]
        terms.append(costs.content)
        textbook.append(content_cost(*activations).item())
        shares.append(textbook[-1] / terms[-1])
    assert shares[1] / shares[0] == pytest.approx(16)
    assert 0.5 < terms[1] / terms[0] < 2  # the smaller one has more of its pixels at an edge
    assert textbook[1] / textbook[0] > 10


@pytest.mark.real
def test_total_cost_is_the_textbooks(real_network: VGG) -> None:
    content, style = smooth_image(1), smooth_image(2).transpose(2, 3)[..., :40, :]
    image = smooth_image(3)
    textbook = Textbook(content, style)
    theirs = textbook(image)
    their_gradient = gradient_of(textbook, image)
    costs, gradient = Objective(real_network, content, [style], DEFAULTS).evaluate(image)
    expected = (theirs.total.item(), theirs.content.item(), theirs.style.item())
    assert (costs.J, costs.content, costs.style) == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(
        gradient, their_gradient, rtol=1e-3, atol=1e-4 * float(their_gradient.abs().max())
    )


@pytest.mark.parametrize("size", [(24, 32), (33, 47), (1, 40), (16, 1)], ids=str)
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize(
    ("content_layer", "weights"),
    [
        ("relu4_2", {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1, "relu5_1": 1.0}),
        ("relu4_2", {}),
        ("relu5_4", {"relu1_1": 2.0}),
        ("relu1_2", {"relu1_2": 1.0, "relu2_2": 0.5, "relu3_4": 3.0}),  # before poolings
        ("relu1_1", {"relu1_1": 1.0}),
    ],
    ids=["gatys", "content alone", "content deepest", "before poolings", "one layer"],
)
def test_the_fast_path_is_the_specification(
    make_network: MakeNetwork,
    content_layer: str,
    weights: dict[str, float],
    pooling: str,
    size: tuple[int, int],
) -> None:
    settings = TransferSettings(content_layer=content_layer, layer_weights=weights, alpha=3.0)
    content, image = random_image(*size, 1), random_image(*size, 3).requires_grad_()
    network = make_network(pooling=pooling)
    objective = Objective(network, content, [STYLE], settings)
    cost = objective.cost(image)
    (expected,) = torch.autograd.grad(cost, image)
    costs, gradient = objective.evaluate(image.detach())
    assert costs.J == costs.goal == pytest.approx(cost.item(), rel=1e-5)
    assert costs.layers == pytest.approx(objective.costs(image.detach()).layers, rel=1e-5)
    scale = float(expected.abs().max())
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("deep", "expected"),
    [(0.01, [13, *[10] * 9, 13, 10]), (10.0, [13] * 12), (0.0, [10] * 12)],
    ids=["small", "large", "none"],
)
def test_small_deep_layers_are_looked_at_every_tenth_time(
    network: VGG, monkeypatch: pytest.MonkeyPatch, deep: float, expected: list[int]
) -> None:
    calls: list[Convolution] = []
    activate = Convolution.activate

    def counted(convolution: Convolution, x: Tensor) -> Tensor:
        calls.append(convolution)
        return activate(convolution, x)

    settings = TransferSettings(layer_weights={**DEFAULTS.layer_weights, "relu5_1": deep})
    objective = Objective(network, CONTENT, [STYLE], settings)
    monkeypatch.setattr(Convolution, "activate", counted)
    counts, results = [], []
    for _ in range(12):
        calls.clear()
        results.append(objective.evaluate(IMAGE))
        counts.append(len(calls))
    assert counts == expected
    for costs, gradient in results:  # at one picture nothing is out of date
        assert costs == results[0][0]
        torch.testing.assert_close(gradient, results[0][1])


def test_deep_layers_are_looked_at_again_when_the_rest_has_shrunk(network: VGG) -> None:
    settings = TransferSettings(layer_weights={**DEFAULTS.layer_weights, "relu5_1": 0.01})
    objective = Objective(network, CONTENT, [STYLE], settings)
    far = (IMAGE > 0.5).float()
    assert objective.evaluate(far)[0].J > 2 * objective.evaluate(CONTENT)[0].J
    fresh = Objective(network, CONTENT, [STYLE], settings).evaluate(CONTENT)
    again = objective.evaluate(CONTENT)
    assert again[0] == fresh[0]
    assert torch.equal(again[1], fresh[1])


def test_the_guided_gradient_descends_the_goal(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    image = IMAGE.double()

    def evaluate(image: Tensor) -> tuple[Costs, Tensor]:
        objective = Objective(network, CONTENT.double(), [STYLE.double()], DEFAULTS)
        objective.guidance = FULL
        return objective.evaluate(image)

    gradient = evaluate(image)[1]
    direction = random_image(24, 32, 10).double() - 0.5 + 0.5 * gradient / gradient.abs().max()
    ahead, behind = (evaluate(image + h * direction)[0].goal for h in (1e-4, -1e-4))
    assert (ahead - behind) / 2e-4 == pytest.approx(float((gradient * direction).sum()), rel=1e-3)


@pytest.mark.real
def test_bfloat16_is_close_to_float32(real_network: VGG) -> None:
    narrow = load_network(TransferSettings(precision="bfloat16"), "cpu")
    photo, painting = (
        to_tensor(fit(load_image(path), 96))
        for path in (EXAMPLES / "content" / "castle.jpg", DRAWN / "night_impasto.jpg")
    )
    image = starting_picture(photo, [painting], DEFAULTS)
    exact, exact_gradient = Objective(real_network, photo, [painting], DEFAULTS).evaluate(image)
    costs, gradient = Objective(narrow, photo, [painting], DEFAULTS).evaluate(image)
    assert (costs.J, costs.content) == pytest.approx((exact.J, exact.content), rel=0.03)
    assert costs.layers == pytest.approx(exact.layers, rel=0.03)
    cosine = torch.cosine_similarity(gradient.flatten(), exact_gradient.flatten(), dim=0)
    assert cosine > 0.995


def test_a_guide_worked_out_by_hand() -> None:
    # Eigenvalues 100, 10 and 68 of 1: the 5th is 1, so the first two are held back to it, and an
    # entry of the difference by the greater of its two eigenvalues.
    guided = Guide(torch.diag(torch.tensor([100.0, 10.0] + [1.0] * 68)))(torch.ones(70, 70))
    expected = torch.ones(70, 70)
    expected[1, :] = expected[:, 1] = 0.1
    expected[0, :] = expected[:, 0] = 0.01
    torch.testing.assert_close(guided, expected)


def test_a_guide_turns_with_its_gram_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    difference = torch.randn(70, 70, generator=generator)
    turn, _ = torch.linalg.qr(torch.randn(70, 70, generator=generator))
    gram = torch.diag(torch.logspace(4, 0, 70))
    turned = Guide(turn @ gram @ turn.T)(turn @ difference @ turn.T)
    torch.testing.assert_close(
        turned, turn @ Guide(gram)(difference) @ turn.T, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("n_channels", [1, 11, 12, 64])
def test_a_guide_of_few_channels_and_of_nothing(n_channels: int) -> None:
    difference = torch.ones(n_channels, n_channels)
    torch.testing.assert_close(Guide(torch.eye(n_channels))(difference), difference)
    torch.testing.assert_close(Guide(torch.zeros(n_channels, n_channels))(difference), difference)


def test_a_guided_objective_reports_its_cost_and_pulls_elsewhere(network: VGG) -> None:
    objective = Objective(network, CONTENT, [STYLE], DEFAULTS)
    costs, gradient = objective.evaluate(IMAGE)
    objective.guidance = FULL
    guided_costs, guided_gradient = objective.evaluate(IMAGE)
    assert guided_costs.goal != costs.goal == costs.J
    assert replace(guided_costs, goal=costs.goal) == costs
    assert not torch.allclose(guided_gradient, gradient)
    at_target = Objective(network, STYLE, [STYLE], DEFAULTS)
    at_target.guidance = FULL
    assert at_target.evaluate(STYLE)[1].abs().max().item() < 1e-5 * gradient.abs().max().item()
