"""The temporal cost: worked out by hand, and its derivative beside autograd's."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from nst.engine.objective import Objective
from nst.engine.temporal import TemporalObjective, temporal_cost
from nst.images.tensors import to_tensor
from nst.settings import TransferSettings
from nst.vgg.network import VGG

WEIGHT = 1e7


@pytest.fixture
def objective(network: VGG, photo: Image.Image, painting: Image.Image) -> Objective:
    pictures = [to_tensor(picture) for picture in (photo, painting)]
    return Objective(network, pictures[0], pictures[1:], TransferSettings())


def test_it_is_the_mean_square_where_the_mask_counts() -> None:
    image, warped = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    image[..., 0, 0], image[..., 1, 1] = 2 / 255, 1.0
    mask = torch.ones(1, 1, 2, 2)
    mask[..., 1, 1] = 0
    assert float(temporal_cost(image, warped, mask)) == pytest.approx(4 / 4)


def test_its_gradient_is_added_to_that_of_j(objective: Objective) -> None:
    generator = torch.Generator().manual_seed(0)
    image, warped = torch.rand(2, 1, 3, 60, 80, generator=generator)
    mask = (torch.rand(1, 1, 60, 80, generator=generator) < 0.5).float()
    plain, its_gradient = objective.evaluate(image)
    objective.forget()
    costs, gradient = TemporalObjective(objective, warped, mask, WEIGHT).evaluate(image)

    variable = image.clone().requires_grad_()
    term = WEIGHT * temporal_cost(variable, warped, mask)
    (slope,) = torch.autograd.grad(term, variable)
    torch.testing.assert_close(gradient - its_gradient, slope, rtol=1e-3, atol=1.0)
    assert costs.temporal == pytest.approx(float(term.detach()), rel=1e-5)
    assert costs.goal == pytest.approx(plain.goal + costs.temporal)
    assert costs.J == plain.J


def test_what_an_optimizer_measures_is_of_the_whole_gradient(objective: Objective) -> None:
    image = torch.full((1, 3, 60, 80), 0.5)
    term = TemporalObjective(objective, torch.zeros_like(image), torch.ones(1, 1, 60, 80), WEIGHT)
    costs, gradient = term.evaluate(image, lambda slope: [slope.sum()])
    assert costs.measured == pytest.approx((float(gradient.sum()),), rel=1e-4)
