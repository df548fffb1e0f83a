"""Style costs against values worked out by hand, finite differences, and their closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nst.engine.style_costs import (
    BINS,
    COUNT_OF_ONE,
    MOMENT_COSTS,
    RIDGE,
    Histogram,
    HistogramCost,
    HistogramTarget,
    Moments,
    Remap,
    WassersteinCost,
    count,
    gram_cost,
    histogram_cost,
    mean_std_cost,
    moments,
    newton_schulz,
    positions_of,
    tops,
    wasserstein_cost,
)

SPECIFICATIONS: dict[str, Callable[[Moments, Moments], Tensor]] = {
    "gram": gram_cost,
    "mean_std": mean_std_cost,
    "wasserstein": wasserstein_cost,
}


def activations(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Like those of a layer: not below 0, and 0 for about a third of the positions."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator, dtype=dtype) + 0.4).relu()


def diagonal(mean: list[float], variances: list[float]) -> Moments:
    m = torch.tensor(mean, dtype=torch.float64)
    return Moments(m, torch.diag(torch.tensor(variances, dtype=torch.float64)) + m.outer(m))


# Two channels of a 1×2 picture: a_1 = (1, 3), a_2 = (2, 4).
A = torch.tensor([[[1.0, 3.0]], [[2.0, 4.0]]])


# --- Moments ------------------------------------------------------------------------------------


def test_moments_by_hand() -> None:
    # means 2 and 3; (1·1 + 3·3) / 2 = 5, (1·2 + 3·4) / 2 = 7, (2·2 + 4·4) / 2 = 10
    found = moments(A)
    assert found.mean.tolist() == [2, 3]
    assert found.second.tolist() == [[5, 7], [7, 10]]
    assert found.covariance.tolist() == [[1, 1], [1, 1]]
    assert found.variance.tolist() == [1, 1]


def test_moments_of_bfloat16_are_exact_in_float32() -> None:
    narrow = activations(7, 40, 50, dtype=torch.float32).bfloat16()
    found, exact = moments(narrow), moments(narrow.double())
    assert found.second.dtype == found.mean.dtype == torch.float32
    torch.testing.assert_close(found.second.double(), exact.second, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.mean.double(), exact.mean, rtol=1e-5, atol=1e-6)


def test_moments_take_one_picture() -> None:
    assert torch.equal(moments(A[None]).second, moments(A).second)
    with pytest.raises(ValueError, match="one picture"):
        moments(torch.ones(2, 3, 4, 5))


def test_weighted_moments_by_hand() -> None:
    # Weights of 1 and 1/3 of (1, 2) and (3, 4), over 4/3: means (1 + 1) / (4/3) and 10/3 / (4/3).
    found = moments(A.double(), torch.tensor([[[1.0, 1 / 3]]], dtype=torch.float64))
    assert found.mean.tolist() == pytest.approx([1.5, 2.5])
    assert found.second.flatten().tolist() == pytest.approx([3, 4.5, 4.5, 7])


# --- Costs of moments ---------------------------------------------------------------------------


def test_gram_cost_by_hand() -> None:
    # (5 7; 7 10) − 1 = (4 7; 7 9): 16 + 49 + 49 + 81 = 195, over (2 · 2)² = 16
    target = Moments(torch.zeros(2), torch.eye(2))
    assert gram_cost(moments(A), target).item() == 195 / 16


def test_mean_std_cost_by_hand() -> None:
    # means apart by 1 and 2, deviations 3 and 1 against 1 and 4: (1 + 4 + 4 + 9) / 2 = 9
    at, target = diagonal([1, 5], [9, 1]), diagonal([2, 3], [1, 16])
    assert mean_std_cost(at, target).item() == pytest.approx(9, rel=1e-4)


def test_wasserstein_cost_by_hand() -> None:
    # Where covariances are diagonal the Bures distance is that of the deviations, ridge included.
    at, target = diagonal([1, 5], [9, 1]), diagonal([2, 3], [1, 16])
    ridge = 16 * RIDGE
    deviations = [math.sqrt(v + ridge) for v in (9, 1, 1, 16)]
    bures = (deviations[0] - deviations[2]) ** 2 + (deviations[1] - deviations[3]) ** 2
    assert wasserstein_cost(at, target).item() == pytest.approx((1 + 4 + bures) / 2)


def test_wasserstein_cost_sees_correlation_where_deviations_agree() -> None:
    # Σ = (1 r; r 1) against the identity: eigenvalues 1 ± r, (1 − √(1 + r))² + (1 − √(1 − r))².
    r = 0.6
    zero = torch.zeros(2, dtype=torch.float64)
    at = Moments(zero, torch.tensor([[1, r], [r, 1]], dtype=torch.float64))
    target = Moments(zero, torch.eye(2, dtype=torch.float64))
    expected = (1 - math.sqrt(1 + r)) ** 2 + (1 - math.sqrt(1 - r)) ** 2
    assert wasserstein_cost(at, target).item() == pytest.approx(expected / 2, rel=1e-2)
    assert mean_std_cost(at, target).item() == 0


@pytest.mark.parametrize("name", MOMENT_COSTS)
def test_derivatives_equal_finite_differences(name: str) -> None:
    target = moments(activations(5, 9, 7, seed=1))
    specification = SPECIFICATIONS[name]
    image = activations(5, 8, 6, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: specification(moments(x), target), image)


@pytest.mark.parametrize("name", MOMENT_COSTS)
def test_the_closed_form_is_the_specification(name: str) -> None:
    target = moments(activations(5, 9, 7, seed=1))
    image = activations(5, 8, 6, seed=2).requires_grad_()
    at = moments(image)
    cost = SPECIFICATIONS[name](at, target)
    (expected,) = torch.autograd.grad(cost, image)
    ours, slope = MOMENT_COSTS[name](target)(Moments(at.mean.detach(), at.second.detach()))
    assert ours.item() == pytest.approx(cost.item(), rel=1e-12)
    torch.testing.assert_close(slope.second, slope.second.T)
    X = positions_of(image.detach())
    gradient = (X @ (2 * slope.second) + slope.mean) / len(X)
    torch.testing.assert_close(gradient, positions_of(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MOMENT_COSTS)
def test_the_target_costs_nothing_and_stays(name: str) -> None:
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-3)):
        target = moments(100 * activations(20, 30, 30, dtype=dtype))
        cost, slope = MOMENT_COSTS[name](target)(target)
        assert abs(cost.item()) < tolerance * float(target.variance.mean())
        assert slope.mean.abs().max() < tolerance
        assert slope.second.abs().max() < tolerance


@pytest.mark.parametrize("name", MOMENT_COSTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(6, 5, 5),
        torch.full((6, 5, 5), 300.0),  # no variance
        400 * activations(6, 1, 1, dtype=torch.float32),
        400 * activations(6, 1, 3, dtype=torch.float32),  # singular
        1e-6 * activations(6, 5, 5, dtype=torch.float32),
        torch.full((6, 5, 5), 1e4),
    ],
    ids=["nothing", "flat", "one position", "singular", "faint", "loud"],
)
def test_degenerate_activations_have_finite_costs(
    name: str, dtype: torch.dtype, image: Tensor
) -> None:
    usual = moments(100 * activations(6, 20, 20, seed=1, dtype=dtype))
    odd = moments(image.to(dtype))
    for at, target in ((odd, usual), (usual, odd), (odd, odd)):
        cost, slope = MOMENT_COSTS[name](target)(at)
        for value in (cost, slope.mean, slope.second):
            assert bool(value.isfinite().all())
        specification = SPECIFICATIONS[name](at, target)
        size = float(at.second.abs().max() + target.second.abs().max())
        assert cost.item() == pytest.approx(specification.item(), rel=1e-3, abs=1e-5 * size)


@pytest.mark.parametrize("name", MOMENT_COSTS)
def test_what_is_not_a_number_gives_none(name: str) -> None:
    """As a run that blows up is noticed by its costs, and not by an error of LAPACK."""
    target = moments(activations(6, 5, 5))
    cost, _ = MOMENT_COSTS[name](target)(moments(math.nan * torch.ones(6, 5, 5).double()))
    assert math.isnan(cost.item())


def test_newton_schulz_finds_the_roots_that_eigenvalues_give() -> None:
    target, at = (moments(activations(12, 30, 30, seed=seed)) for seed in (1, 2))
    cost = WassersteinCost(target)
    S = cost.target.root
    X = S @ cost.target.ridged(at.covariance) @ S
    trace, inverse_root = newton_schulz(X)
    torch.testing.assert_close(trace, torch.linalg.eigvalsh(X).sqrt().sum())
    torch.testing.assert_close(inverse_root @ X @ inverse_root, torch.eye(12, dtype=torch.float64))


def test_newton_schulz_reaches_what_the_ridge_leaves() -> None:
    eigenvalues = torch.tensor([1.0, 0.5, RIDGE**2], dtype=torch.float64)
    trace, inverse_root = newton_schulz(torch.diag(eigenvalues))
    torch.testing.assert_close(trace, eigenvalues.sqrt().sum(), rtol=1e-3, atol=0)
    torch.testing.assert_close(inverse_root.diagonal(), eigenvalues.rsqrt(), rtol=0.05, atol=0)


# --- Histograms ---------------------------------------------------------------------------------


def histogram_of(picture: Tensor, weights: Tensor | None = None) -> Histogram:
    top = tops(picture, weights)
    return Histogram.of_counts(count(picture, top, weights), top)


def target_of(*pictures: Tensor, weights: tuple[float, ...] = ()) -> HistogramTarget:
    histograms = [histogram_of(picture) for picture in pictures]
    return HistogramTarget(histograms, weights or [1.0] * len(pictures))


def test_counts_by_hand() -> None:
    # In bins of 1/256 from 0 to 1: the top itself and what is above it count for the last.
    picture = torch.tensor([[[0.0, 0.0, 0.51, 1.0, 7.0]]])
    counts = count(picture, torch.ones(1))[0]
    assert {int(i): int(counts[i]) for i in counts.nonzero()} == {0: 2, 130: 1, 255: 2}


def test_weighted_counts_by_hand() -> None:
    picture = torch.tensor([[[0.0, 0.0, 0.51, 1.0, 7.0]]])
    weights = torch.tensor([[[1.0, 0.25, 0.0, 0.5, 0.125]]])
    counts = count(picture, torch.ones(1), weights)[0]
    found = {int(i): int(counts[i]) / COUNT_OF_ONE for i in counts.nonzero()}
    assert found == {0: 1.25, 255: 0.625}
    assert tops(picture, weights).item() == 7
    assert tops(picture, weights * (picture < 2)).item() == 1  # and not 0.51, which is not seen
    assert tops(picture, weights * (picture < 1)).item() == pytest.approx(1e-4)


def test_a_map_worked_out_by_hand() -> None:
    # Evenly spread to 1 against evenly spread to 2: R(a) = 2a, so (a − 2a)² has a mean of 1/3.
    even = ((torch.arange(5120, dtype=torch.float64) + 0.5) / 5120).view(1, 64, 80)
    target = target_of(2 * even)
    torch.testing.assert_close(
        Remap(target, target.count(even))(positions_of(even)), 2 * positions_of(even),
        rtol=0, atol=1e-3,
    )  # fmt: skip
    assert histogram_cost(even, target).item() == pytest.approx(1 / 3, rel=1e-3)


def test_a_map_never_turns_around_and_stays_in_the_targets_range() -> None:
    image, target = activations(3, 20, 30, seed=1), target_of(3 * activations(3, 15, 9, seed=2))
    X = positions_of(image)
    mapped = Remap(target, target.count(image))(X)
    for channel in range(3):
        ordered = mapped[X[:, channel].argsort(), channel]
        assert bool((ordered.diff() >= -1e-12).all())
    assert bool((mapped >= 0).all() and (mapped <= target.top * (1 + 1e-12)).all())


def test_mapped_activations_have_the_targets_quantiles() -> None:
    image, wanted = 0.5 * activations(4, 60, 60, seed=1) ** 2, activations(4, 50, 70, seed=2)
    target = target_of(wanted)
    mapped = Remap(target, target.count(image))(positions_of(image))
    levels = torch.tensor([0.6, 0.8, 0.95], dtype=torch.float64)  # above the atoms at 0
    torch.testing.assert_close(
        mapped.quantile(levels, 0), positions_of(wanted).quantile(levels, 0), rtol=0, atol=0.05
    )


def test_the_targets_own_histogram_costs_nothing() -> None:
    with_gaps = activations(3, 6, 7, seed=1)
    assert histogram_cost(with_gaps, target_of(with_gaps)).item() < 1e-20
    bright = with_gaps + 5  # nothing near 0
    assert histogram_cost(bright, target_of(bright)).item() < 1e-20


def test_a_blend_has_quantiles_between_those_of_its_parts() -> None:
    # Evenly spread to 1 and to 3, a quarter of the first: evenly spread to ¼ · 1 + ¾ · 3 = 2.5.
    even = ((torch.arange(5120, dtype=torch.float64) + 0.5) / 5120).view(1, 64, 80)
    blend = target_of(even, 3 * even, weights=(1, 3))
    assert blend.top.item() == pytest.approx(2.5, rel=1e-3)
    assert histogram_cost(2.5 * even, blend).item() < 1e-6


def test_a_blend_of_blends_has_all_their_parts() -> None:
    pictures = [activations(3, 20, 30, seed=seed) for seed in range(3)]
    at_once = target_of(*pictures, weights=(1, 3, 4))
    nested = HistogramTarget.blend(
        [target_of(*pictures[:2], weights=(1, 3)), target_of(pictures[2])], [0.5, 0.5]
    )
    assert [weight for weight, _ in nested.parts] == [1 / 8, 3 / 8, 1 / 2]
    torch.testing.assert_close(nested.top, at_once.top)
    image = activations(3, 9, 9, seed=4)
    assert histogram_cost(image, nested).item() == pytest.approx(
        histogram_cost(image, at_once).item()
    )


def test_positions_of_weight_0_are_not_there() -> None:
    image, weights = activations(3, 20, 30, seed=1), torch.zeros(1, 20, 30, dtype=torch.float64)
    weights[:, :, 8:] = 1
    part, target = image[:, :, 8:], target_of(activations(3, 9, 9, seed=2))
    expected = histogram_cost(part, target).item()
    assert histogram_cost(image, target, weights).item() == pytest.approx(expected, rel=1e-12)
    own = histogram_of(image, weights)
    torch.testing.assert_close(own.top, histogram_of(part).top)
    torch.testing.assert_close(own.distribution, histogram_of(part).distribution)
    torch.testing.assert_close(moments(image, weights).second, moments(part).second)


def test_equal_weights_are_no_weights() -> None:
    image, target = activations(3, 20, 30, seed=1), target_of(activations(3, 9, 9, seed=2))
    expected = histogram_cost(image, target).item()
    for weight in (1.0, 1 / 3):
        weights = torch.full((1, 20, 30), weight, dtype=torch.float64)
        assert histogram_cost(image, target, weights).item() == pytest.approx(expected, rel=1e-9)


def test_counts_of_parts_add_up() -> None:
    image, target = activations(3, 20, 30, seed=1), target_of(activations(3, 9, 9, seed=2))
    parts = target.count(image[:, :7]) + target.count(image[:, 7:])
    assert torch.equal(parts, target.count(image))
    weights = activations(1, 20, 30, seed=3, dtype=torch.float32).clamp_max(1)
    weighted = [target.count(image[:, rows], weights[:, rows]) for rows in (slice(7), slice(7, 20))]
    assert torch.equal(sum(weighted, torch.tensor(0)), target.count(image, weights))


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_closed_form_of_histograms_is_the_specification(is_weighted: bool) -> None:
    image = activations(3, 20, 30, seed=1).requires_grad_()
    target = target_of(2 * activations(3, 15, 9, seed=2))
    weights = activations(1, 20, 30, seed=3).clamp_max(1) if is_weighted else None
    m = torch.ones(1, 20, 30, dtype=torch.float64) if weights is None else weights
    cost = histogram_cost(image, target, weights)
    (expected,) = torch.autograd.grad(cost, image)
    counts = target.count(image.detach(), weights)
    ours, visited = (HistogramCost(target, counts, float(m.sum())) for _ in range(2))
    gradient = torch.zeros(600, 3, dtype=torch.float64)
    for rows, band in ((slice(0, 7), slice(0, 210)), (slice(7, 20), slice(210, 600))):
        X = positions_of(image.detach()[:, rows])  # in parts, as tiles are
        its_weights = None if weights is None else weights[:, rows]
        ours.add_derivative(gradient[band], X, 3.0, its_weights)
        visited.visit(X, its_weights)
    assert ours.cost.item() == visited.cost.item() == pytest.approx(cost.item(), rel=1e-12)
    torch.testing.assert_close(positions_of(m) * gradient, 3 * positions_of(expected))


def test_the_derivative_of_histograms_is_that_of_the_distance_between_them() -> None:
    """Although R is held constant: what is evenly spread to s costs (s − 2)² / 3."""
    even = ((torch.arange(5120, dtype=torch.float64) + 0.5) / 5120).view(1, 64, 80)
    target, X = target_of(2 * even), positions_of(even)
    gradient = torch.zeros_like(X)
    HistogramCost(target, target.count(even), len(X)).add_derivative(gradient, X, 1.0)
    ahead, behind = (histogram_cost(s * even, target).item() for s in (1.1, 0.9))
    slope = float((gradient * X).sum())
    assert slope == pytest.approx(-2 / 3, rel=1e-3)
    assert (ahead - behind) / 0.2 == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_degenerate_histograms_have_finite_costs(dtype: torch.dtype) -> None:
    usual = (100 * activations(6, 20, 20, dtype=torch.float32)).to(dtype)
    odd = [torch.zeros(6, 5, 5), torch.full((6, 1, 1), 300.0), torch.full((6, 5, 5), 1e10)]
    for image in (each.to(dtype) for each in odd):
        for at, wanted in ((image, usual), (usual, image), (image, image)):
            target = target_of(wanted)
            assert bool(histogram_cost(at, target).isfinite())
            X = positions_of(at)
            gradient = torch.zeros_like(X)
            cost = HistogramCost(target, target.count(at), len(X))
            cost.add_derivative(gradient, X, 1.0)
            assert bool(gradient.isfinite().all())
            assert cost.cost.dtype == torch.float32
    broken = torch.full((6, 5, 5), math.nan, dtype=dtype)
    assert math.isnan(histogram_cost(broken, target_of(usual)).item())
    assert target_of(usual).count(broken).sum().item() == 6 * 25
    assert target_of(usual).count(broken).shape == (6, BINS)
