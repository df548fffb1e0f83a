"""The base-size term: its gradient, its weight, where it counts, and what it does to a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from helpers.painting import Recorder
from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst.engine.base_term import HeldObjective, lanczos
from nst.engine.inputs import Sources
from nst.engine.minimization import RunState
from nst.engine.objective import Objective
from nst.engine.schedule import WEIGHT_OF_PIXELS, Scale, plan_scales
from nst.engine.style_target import FULL
from nst.engine.transfer import transfer_style
from nst.images.tensors import fit, to_image, to_tensor
from nst.settings import DEFAULTS, TransferSettings
from nst.vgg.network import VGG

TWICE = TransferSettings(size=260, iterations=10, base_size=128, restructure="much")


def random_image(height: int, width: int, seed: int) -> Tensor:
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(seed))


def held(network: VGG, settings: TransferSettings = DEFAULTS) -> HeldObjective:
    """An objective of 44×60 px held at 21×29, of random pictures, in float64."""
    network = VGG(network.weights, pooling=network.pooling, dtype=torch.float64)
    content, style, small, small_style = (
        random_image(*size, seed).double()
        for seed, size in enumerate([(44, 60), (40, 52), (21, 29), (20, 26)])
    )
    full = Objective(network, content, [style], settings)
    return HeldObjective(full, Objective(network, small, [small_style], settings))


@pytest.mark.parametrize(("height", "width"), [(64, 96), (61, 97), (33, 33), (30, 40)])
def test_pictures_are_reduced_as_they_are_everywhere_else(
    make_picture: MakePicture, height: int, width: int
) -> None:
    picture = make_picture(width, height, seed=1)
    smaller = fit(picture, max(height, width) // 2)
    rows, columns = lanczos(height, smaller.height), lanczos(width, smaller.width)
    reduced = rows @ to_tensor(picture).double() @ columns.T
    apart = np.asarray(to_image(reduced), dtype=int) - np.asarray(smaller, dtype=int)
    assert np.abs(apart).max() <= 1


def test_a_resampled_even_picture_is_even() -> None:
    torch.testing.assert_close(lanczos(97, 31).sum(1), torch.ones(31, dtype=torch.float64))
    torch.testing.assert_close(lanczos(31, 31), torch.eye(31, dtype=torch.float64))


@pytest.mark.parametrize(
    "settings",
    [
        DEFAULTS,
        TransferSettings(alpha=3.0, beta=0.5, base_weight=10.0),
        TransferSettings(total_variation=1.0, layer_weights={"relu2_1": 2.0}),
    ],
    ids=["usual", "weights", "smoothness"],
)
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_its_gradient_is_that_of_the_specification(
    make_network: MakeNetwork, settings: TransferSettings, pooling: str
) -> None:
    objective = held(make_network(dtype=torch.float64, pooling=pooling), settings)
    image = random_image(44, 60, 9).double().requires_grad_()
    cost = objective.cost(image)
    (expected,) = torch.autograd.grad(cost, image)
    costs, gradient = objective.evaluate(image.detach())
    assert costs.goal == pytest.approx(cost.item(), rel=1e-6)
    assert costs.J + costs.base == pytest.approx(cost.item(), rel=1e-6)
    scale = float(expected.abs().max())
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6 * scale)


def test_what_spreads_a_gradient_is_the_adjoint_of_what_reduces(make_network: MakeNetwork) -> None:
    objective = held(make_network(dtype=torch.float64))
    image, small = random_image(44, 60, 9).double(), random_image(21, 29, 10).double()
    product = (objective.reduce(image) * small).sum().item()
    assert (image * objective.spread(small)).sum().item() == pytest.approx(product, rel=1e-14)


def test_gradcheck(make_network: MakeNetwork) -> None:
    objective = held(make_network(dtype=torch.float64, pooling="average"))
    image, along = random_image(44, 60, 9).double(), random_image(44, 60, 10).double() - 0.5
    _, gradient = objective.evaluate(image)
    ahead, behind = (objective.cost(image + h * along).item() for h in (1e-5, -1e-5))
    slope = (gradient * along).sum().item()
    assert (ahead - behind) / 2e-5 == pytest.approx(slope, rel=1e-5)


def test_the_guided_gradient_descends_the_goal(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    image, along = random_image(44, 60, 9).double(), random_image(44, 60, 10).double() - 0.5
    goals = []
    for h in (1e-5, -1e-5, 0.0):
        objective = held(network)
        objective.guidance = FULL
        costs, gradient = objective.evaluate(image + h * along)
        goals.append(costs.goal)
    slope = (gradient * along).sum().item()
    assert (goals[0] - goals[1]) / 2e-5 == pytest.approx(slope, rel=1e-3)


def test_it_weighs_by_the_pixels_and_leaves_the_costs_alone(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    settings = TransferSettings(base_weight=2.0, alpha=3.0)
    objective, image = held(network, settings), random_image(44, 60, 9).double()
    costs, _ = objective.evaluate(image)
    base, _ = objective.base.evaluate(objective.reduce(image))
    assert objective.weight == pytest.approx(2 * WEIGHT_OF_PIXELS * 44 * 60 / (21 * 29))
    assert costs.base == pytest.approx(objective.weight * base.J)
    plain = Objective(network, random_image(44, 60, 0).double(),
                      [random_image(40, 52, 1).double()], settings)  # fmt: skip
    alone, _ = plain.evaluate(image)
    assert replace(costs, base=0.0, goal=alone.goal) == alone


def test_what_is_measured_is_of_the_sum(make_network: MakeNetwork) -> None:
    objective = held(make_network(dtype=torch.float64))
    image = random_image(44, 60, 9).double()
    costs, gradient = objective.evaluate(image, lambda its: [its.sum(), its.square().sum()])
    expected = gradient.sum().item(), gradient.square().sum().item()
    assert costs.measured == pytest.approx(expected)


@pytest.mark.parametrize(
    ("size", "changes", "bases"),
    [
        (256, {}, [0]),
        (384, {}, [0, 0]),
        (511, {}, [0, 0]),
        (512, {}, [0, 0]),
        (513, {}, [0, 0, 256]),
        (1024, {}, [0, 256, 256]),
        (1024, {"base_weight": 0.0}, [0, 0, 0]),
        (1024, {"optimizer": "adam"}, [0, 256, 256]),
        (1024, {"base_size": 496}, [0, 0, 0, 496]),
        (1024, {"base_size": 2048}, [0, 0, 0]),
        (656, {"restructure": "little"}, [0, 0, 320]),
    ],
    ids=str,
)
def test_it_counts_in_large_pictures_from_twice_the_base_size(
    size: int, changes: dict[str, object], bases: list[int]
) -> None:
    scales = plan_scales(TransferSettings(size=size).replace(**changes))
    assert [scale.base for scale in scales] == bases
    for scale in scales:
        assert scale.pixels == scale.size**2 + scale.base**2


def test_recipes_of_before_have_none() -> None:
    for version in (1, 2, 3):
        settings = TransferSettings.from_json({"size": 1024}, version=version)
        assert settings.base_weight == 0.0
        assert {scale.base for scale in plan_scales(settings)} == {0}
    assert TransferSettings.from_json({"size": 1024}).base_weight == DEFAULTS.base_weight > 0


def test_an_edit_of_a_weight_reaches_it(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    """The first step of the run that goes on is evaluated anew, the term included."""
    *_, last = transfer_style(photo, painting, TWICE, network=network)
    begin = last.moment
    assert begin.state
    for changes in ({"beta": 7.0}, {"alpha": 3.0}, {"base_weight": 3.0}, {"base_size": 140},
                    {"layer_weights": {"relu2_1": 2.0}}):  # fmt: skip
        settings = TWICE.replace(iterations=12, **changes)
        first = next(transfer_style(photo, painting, settings, begin=begin, network=network))
        scale = plan_scales(settings, begin)[-1]
        assert isinstance(first.state, RunState)
        sources = Sources(photo, [painting], settings, network)
        expected = sources.cost_function(scale, sources.at(scale.size))
        expected.guidance = first.state.guidance
        costs, gradient = expected.evaluate(first.state.point.image)
        assert first.state.point.costs.base == pytest.approx(costs.base, rel=1e-5)
        torch.testing.assert_close(first.state.point.gradient, gradient)


def test_a_run_evaluates_what_was_planned(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    recorder = Recorder(network)
    list(transfer_style(photo, painting, TWICE, network=recorder))
    longest = [max(size) for size in recorder.seen]
    stage = plan_scales(TWICE)[-1]
    assert (stage.size, stage.base) == (260, 128)
    evaluations = stage.iterations + len(stage.phases)
    last = longest[longest.index(260) :]
    targets = 2  # the photo and the painting
    finish = 1  # in float32, which this network is in already
    assert last.count(260) == targets + evaluations + finish
    assert last.count(128) == evaluations  # its targets are known from the base's own stage


def test_it_keeps_the_style_of_the_base(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    costs = []
    for weight in (0.0, 1.0):
        settings = TWICE.replace(iterations=30, base_weight=weight)
        *_, last = transfer_style(photo, painting, settings, network=network)
        small = [to_tensor(fit(picture, 128)) for picture in (last.image, photo, painting)]
        base = Objective(network, small[1], [small[2]], settings)
        costs.append(base.costs(small[0]).style)
    assert costs[1] < 0.7 * costs[0]


def test_a_scale_without_a_base_has_the_plain_objective(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    sources = Sources(photo, [painting], DEFAULTS, network)
    plain = sources.cost_function(Scale(64, ((None, 1),)), sources.at(64))
    assert type(plain) is Objective
