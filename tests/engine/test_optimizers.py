"""The optimisers on quadratics whose minimum is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nst.engine.optimizers import FIRST_STEP, LARGEST_STEP, BoxAdam, BoxLBFGS, Optimizer, smooth

SHAPE = (1, 3, 6, 5)
OPTIMIZERS: list[Callable[[], Optimizer]] = [BoxLBFGS, BoxAdam]


def random(low: float, high: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return low + (high - low) * torch.rand(SHAPE, generator=generator, dtype=torch.float64)


def grey() -> Tensor:
    return torch.full(SHAPE, 0.5, dtype=torch.float64)


def rms(a: Tensor) -> float:
    return float(a.square().mean().sqrt())


def minimize(optimizer: Optimizer, curvature: Tensor, target: Tensor, steps: int) -> list[Tensor]:
    """The points that minimising Σ ½ c (x − t)² passes, one evaluation each."""
    points = [grey()]
    for _ in range(steps):
        points.append(optimizer.step(points[-1], curvature * (points[-1] - target)))
    return points


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_minimum_outside_the_box_is_approached_at_its_wall(make: Callable[[], Optimizer]) -> None:
    target = random(-0.5, 1.5)
    points = minimize(make(), torch.ones(SHAPE), target, 150)
    assert all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in points)
    assert 10 < int(((target < 0) | (target > 1)).sum()) < 80  # both kinds of pixels occur
    torch.testing.assert_close(points[-1], target.clamp(0, 1), atol=2e-3, rtol=0)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_pixels_that_want_to_leave_do_not_hold_up_the_others(
    make: Callable[[], Optimizer],
) -> None:
    curvature = torch.logspace(0, 2, 90, dtype=torch.float64).view(SHAPE)
    target = random(-0.5, 1.5)
    last = minimize(make(), curvature, target, 150)[-1]
    torch.testing.assert_close(last, target.clamp(0, 1), atol=5e-3, rtol=0)


def test_lbfgs_learns_curvature_that_steepest_descent_cannot() -> None:
    curvature = torch.logspace(0, 3, 90, dtype=torch.float64).view(SHAPE)
    target = random(0.2, 0.8)

    def cost(x: Tensor) -> float:
        return float((0.5 * curvature * (x - target).square()).sum())

    newton = minimize(BoxLBFGS(), curvature, target, 50)[-1]
    descent = grey()
    for _ in range(200):
        descent = descent - curvature * (descent - target) / 1000  # 1 / the largest curvature
    assert cost(newton) < cost(descent) / 2  # with a quarter of the evaluations


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_steps_leave_their_arguments_alone(make: Callable[[], Optimizer]) -> None:
    optimizer, image, gradient = make(), grey(), random(-1, 1)
    for _ in range(3):
        assert optimizer.step(image, gradient) is not image
    assert torch.equal(image, grey())
    assert torch.equal(gradient, random(-1, 1))


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_no_gradient_no_movement(make: Callable[[], Optimizer]) -> None:
    assert torch.equal(make().step(grey(), torch.zeros(SHAPE, dtype=torch.float64)), grey())


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_first_step_of_lbfgs_does_not_depend_on_the_unit_of_cost(scale: float) -> None:
    step = BoxLBFGS().step(grey(), scale * random(-1, 1)) - grey()
    assert rms(step) == pytest.approx(FIRST_STEP)
    torch.testing.assert_close(step / rms(step), -random(-1, 1) / rms(random(-1, 1)))


def test_lbfgs_steps_are_bounded() -> None:
    optimizer = BoxLBFGS()
    first = optimizer.step(grey(), random(0.5, 1))
    second = optimizer.step(first, random(0.5, 1) * 0.9999)  # nearly flat: the minimum is far
    assert rms(second - first) == pytest.approx(LARGEST_STEP)


def test_lbfgs_ignores_negative_curvature() -> None:
    optimizer = BoxLBFGS()
    first = optimizer.step(grey(), random(0.5, 1))
    optimizer.step(first, 2 * random(0.5, 1))  # downhill, and steeper there
    assert not optimizer.pairs


def test_lbfgs_holds_pixels_at_the_wall_and_lets_them_come_back() -> None:
    image, gradient = grey(), torch.full(SHAPE, -1.0, dtype=torch.float64)
    image[..., 0], gradient[..., 0] = 0.0, 1.0  # wants to leave downward
    image[..., 1], gradient[..., 1] = 1.0, -1.0  # wants to leave upward
    image[..., 2], gradient[..., 2] = 1.0, 1.0  # wants back inside
    moved = BoxLBFGS().step(image, gradient) - image
    assert moved[..., :2].abs().max() == 0
    assert moved[..., 2].max() < 0
    assert moved[..., 3:].min() > 0
    assert rms(moved) == pytest.approx(FIRST_STEP)


def test_restart_halves_the_steps_of_lbfgs_and_forgets() -> None:
    optimizer = BoxLBFGS()
    image = minimize(optimizer, torch.ones(SHAPE), random(0.2, 0.8), 3)[-1]
    assert optimizer.pairs
    for factor in (1 / 2, 1 / 4):
        optimizer.restart()
        assert not optimizer.pairs
        step = optimizer.step(image, random(-1, 1)) - image
        assert rms(step) == pytest.approx(factor * FIRST_STEP)


def test_restart_halves_the_steps_of_adam_and_forgets() -> None:
    optimizer = BoxAdam(rate=0.02)
    optimizer.step(grey(), random(-1, 1))
    for rate in (0.01, 0.005):
        optimizer.restart()
        step = optimizer.step(grey(), random(-1, 1)) - grey()
        torch.testing.assert_close(step, -rate * random(-1, 1).sign())  # Adam's first step


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_many_restarts_never_stop_the_optimiser(make: Callable[[], Optimizer]) -> None:
    optimizer = make()
    for _ in range(100):
        optimizer.restart()
    assert rms(optimizer.step(grey(), random(-1, 1)) - grey()) > 1e-5


def test_adam_by_hand() -> None:
    optimizer = BoxAdam(rate=0.1, betas=(0.5, 0.75))
    one = torch.ones((1, 1, 1, 1), dtype=torch.float64)
    x = optimizer.step(0.5 * one, 2 * one)
    assert x.item() == pytest.approx(0.4)  # m̂ / √v̂ = 2 / 2
    # m = ½ · 1 + ½ · (−1) = 0 … with g = 2 then −1: m = 0.5 · (0.5 · 2) + 0.5 · (−1) = 0
    x = optimizer.step(x, -1 * one)
    assert x.item() == pytest.approx(0.4)
    # m = ½ · 0 + ½ · 3 = 1.5, over 1 − ½³ = 12/7;
    # v = ¾ · (¾ · (¼ · 4) + ¼ · 1) + ¼ · 9 = 3, over 1 − ¾³ = 192/37
    x = optimizer.step(x, 3 * one)
    assert x.item() == pytest.approx(0.4 - 0.1 * (12 / 7) / (192 / 37) ** 0.5)


def test_adam_is_that_of_torch_with_the_documented_rates() -> None:
    ours, image = BoxAdam(), grey()
    theirs = image.clone().requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.02, betas=(0.9, 0.99), eps=1e-12)
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        gradient = torch.rand(image.shape, generator=generator, dtype=image.dtype) - 0.5
        image, theirs.grad = ours.step(image, gradient), gradient
        reference.step()
    torch.testing.assert_close(image, theirs.detach())


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (7, 1), (5, 7), (16, 9), (8, 6)])
def test_smooth_keeps_the_shape(shape: tuple[int, int]) -> None:
    image = torch.ones((1, 3, *shape))
    assert smooth(image).shape == image.shape


@pytest.mark.parametrize(
    ("size", "waves", "gain"),
    [  # f = √(down² + across²) / size cycles per pixel; gain = (0.1 / f)^¾
        (40, (0, 4), 1.0),  # f = 0.1
        (40, (0, 1), 4**0.75),  # f = 0.025, a quarter of 0.1
        (40, (16, 0), 4**-0.75),  # f = 0.4, four times 0.1
        (50, (3, 4), 1.0),  # f = 5 / 50
        (45, (0, 18), 4**-0.75),  # an odd size; f = 0.4
        (40, (0, 0), 10**0.75),  # one colour: f counts as 0.01
    ],
)
def test_smooth_multiplies_waves_by_their_gain(
    size: int, waves: tuple[int, int], gain: float
) -> None:
    y, x = torch.meshgrid(*2 * [torch.arange(size, dtype=torch.float64)], indexing="ij")
    wave = (2 * torch.pi * (waves[0] * y + waves[1] * x) / size).cos().repeat(1, 3, 1, 1)
    torch.testing.assert_close(smooth(wave), gain * wave)


def test_smooth_is_symmetric_and_positive() -> None:
    """What L-BFGS needs of an initial inverse Hessian."""
    a, b = random(-1, 1), random(-1, 1).roll(1, dims=3)
    torch.testing.assert_close((smooth(a) * b).sum(), (a * smooth(b)).sum())
    assert (smooth(a) * a).sum() > 0
