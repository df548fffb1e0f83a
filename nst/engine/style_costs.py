"""Style costs of one layer beside each other: specifications, and closed forms with derivatives.

Three of them compare a layer's mean and raw second moment (`Moments`); the fourth compares its
histograms. A function `..._cost` is the specification, differentiable and plain; the class of the
same name is what runs use: it is made for a target and returns the cost with its derivatives. The
tests hold each to the other. Positions may have weights m in [0, 1], (1, n_H, n_W) or
(1, 1, n_H, n_W); without them all are 1. Knows nothing of networks, regions or settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nst.engine.eigen import eigen
from nst.engine.losses import channels_first, gram_style_cost, widened

SMALLEST_VARIANCE = 1e-4  # is added to every variance: a standard deviation of 0 has no derivative
RIDGE = 1e-3  # of the greatest eigenvalue of a target's covariance
NEWTON_SCHULZ_STEPS = 20
BINS = 256
SMALLEST_TOP = 1e-4  # of a histogram's range: a channel may be silent
COUNT_OF_ONE = 2**30  # what a position of weight 1 adds to a weighed count
AT_ONCE = 2**18  # activations that are looked up together: as many as a CPU's cache holds …
AT_ONCE_ELSEWHERE = 2**24  # … and as many as keep another device busy


@dataclass(frozen=True)
class Moments:
    """The mean (n_C,) and the raw second moment (n_C, n_C) of a layer's activations.

    The second moment is the normalized Gram matrix. Both are linear in the distribution: those of
    several pictures, tiles or regions are weighted means of theirs. Derivatives of a cost with
    respect to the two have the same form.
    """

    mean: Tensor
    second: Tensor

    @property
    def covariance(self) -> Tensor:
        """Return the covariance matrix, (n_C, n_C)."""
        return self.second - self.mean.outer(self.mean)

    @property
    def variance(self) -> Tensor:
        """Return the variances of the channels, (n_C,), not below 0."""
        return (self.second.diagonal() - self.mean.square()).clamp_min(0)


def moments(activations: Tensor, weights: Tensor | None = None) -> Moments:
    """Return the moments of (n_C, n_H, n_W) or (1, n_C, n_H, n_W), differentiable.

    They are exact in at least float32, unlike `normalized_gram_matrix` of bfloat16: a covariance is
    the small difference of large numbers.
    """
    A = widened(positions_of(activations))
    if weights is None:
        return Moments(A.mean(0), A.T @ A / len(A))
    m = positions_of(weights)
    return Moments((m * A).sum(0) / m.sum(), A.T @ (m * A) / m.sum())


def positions_of(activations: Tensor) -> Tensor:
    """Return activations as a matrix A (n_H · n_W, n_C); of channels_last as a view."""
    return channels_first(activations).permute(1, 2, 0).flatten(0, 1)


def gram_cost(at: Moments, target: Moments) -> Tensor:
    """Return ‖M − M_S‖²_F / (2 n_C)² of the second moments (Gatys et al. 2016, eq. 4)."""
    return gram_style_cost(target.second, at.second)


def mean_std_cost(at: Moments, target: Moments) -> Tensor:
    """Return (‖μ − μ_S‖² + ‖σ − σ_S‖²) / n_C of means and standard deviations.

    Li, Wang, Liu & Hou 2017, "Demystifying Neural Style Transfer" (matching of BN statistics);
    beside Gram matrices in Galerne, Raad, Lezama & Morel 2024, "Scaling Painting Style Transfer".
    A departure: σ² is the variance plus `SMALLEST_VARIANCE`.
    """
    deviation = torch.sqrt(at.variance + SMALLEST_VARIANCE)
    wanted = torch.sqrt(target.variance + SMALLEST_VARIANCE)
    offset, spread = at.mean - target.mean, deviation - wanted
    return (offset.square() + spread.square()).mean()


def wasserstein_cost(at: Moments, target: Moments) -> Tensor:
    """Return W₂² / n_C between the normal distributions with these moments.

    W₂² = ‖μ − μ_S‖² + tr(Σ + Σ_S − 2 (Σ_S^½ Σ Σ_S^½)^½), of which the trace is the squared Bures
    distance (Dowson & Landau 1982; as a style cost in Crowson's style-transfer-pytorch,
    2021). A departure: both covariances have a `RIDGE` of Σ_S's greatest eigenvalue added, so that
    the square of the condition number is within float32. The target still costs nothing.
    """
    fixed = WassersteinTarget(target)
    covariance = fixed.ridged(at.covariance)
    values: Tensor = torch.linalg.eigvalsh(fixed.root @ covariance @ fixed.root)
    bures = covariance.trace() + fixed.trace - 2 * values.clamp_min(0).sqrt().sum()
    return ((at.mean - target.mean).square().sum() + bures) / len(at.mean)


def histogram_cost(
    activations: Tensor, target: HistogramTarget, weights: Tensor | None = None
) -> Tensor:
    """Return the mean of (a − R(a))², R matching each channel's histogram with the target's.

    Risser, Wilmot & Barnes 2017, "Stable and Controllable Neural Texture Synthesis and Style
    Transfer Using Histogram Losses", as a mean. R is a constant to the derivative, as there;
    as R transports optimally, this is the derivative of the squared Wasserstein distance of the
    histograms. A departure: the `BINS` divide the target's range, from 0, so that the counts of
    parts of a picture can be added.
    """
    A = widened(positions_of(activations))
    with torch.no_grad():
        wanted = Remap(target, target.count(activations, weights))(A)
    squares = (A - wanted).square().mean(1, keepdim=True)
    if weights is None:
        return squares.mean()
    m = positions_of(weights)
    return (m * squares).sum() / m.sum()


class MomentCost(Protocol):
    """A style cost in closed form, for a target."""

    def __init__(self, target: Moments) -> None: ...

    def __call__(self, at: Moments) -> tuple[Tensor, Moments]:
        """Return the cost and its derivatives; that of the second moment is symmetric."""


class GramCost:
    """`gram_cost` in closed form: dJ/dM = 2 (M − M_S) / (2 n_C)²."""

    def __init__(self, target: Moments) -> None:
        self.target = target

    def __call__(self, at: Moments) -> tuple[Tensor, Moments]:
        """Return the cost and its derivatives."""
        difference, unit = at.second - self.target.second, 1 / (2 * len(at.mean)) ** 2
        cost = unit * difference.square().sum()
        return cost, Moments(torch.zeros_like(at.mean), 2 * unit * difference)


class MeanStdCost:
    """`mean_std_cost` in closed form.

    dJ/dσ² = (1 − σ_S/σ) / n_C goes to the diagonal of M, and −2μ times it to the mean.
    """

    def __init__(self, target: Moments) -> None:
        self.mean = target.mean
        self.deviation = torch.sqrt(target.variance + SMALLEST_VARIANCE)

    def __call__(self, at: Moments) -> tuple[Tensor, Moments]:
        """Return the cost and its derivatives."""
        n_channels = len(at.mean)
        variance = at.variance
        deviation = torch.sqrt(variance + SMALLEST_VARIANCE)
        offset, spread = at.mean - self.mean, deviation - self.deviation
        cost = (offset.square() + spread.square()).sum() / n_channels
        slope = torch.where(variance > 0, spread / deviation, 0) / n_channels
        return cost, Moments(2 * offset / n_channels - 2 * slope * at.mean, slope.diag())


class WassersteinCost:
    """`wasserstein_cost` in closed form: dJ/dΣ = (I − S (S Σ S)^−½ S) / n_C, with S = Σ_S^½."""

    def __init__(self, target: Moments) -> None:
        self.target = WassersteinTarget(target)

    def __call__(self, at: Moments) -> tuple[Tensor, Moments]:
        """Return the cost and its derivatives; NaN where a moment is not a finite number."""
        target, n_channels = self.target, len(at.mean)
        covariance = target.ridged(at.covariance)
        S = target.root
        trace_of_root, carried = _root_between(S, covariance)
        offset = at.mean - target.mean
        trace = covariance.trace() + target.trace - 2 * trace_of_root
        cost = (offset.square().sum() + trace) / n_channels
        slope = carried / -n_channels
        slope.diagonal().add_(1 / n_channels)
        return cost, Moments(2 * offset / n_channels - 2 * (slope @ at.mean), slope)


class WassersteinTarget:
    """A target's mean, and the square root S (n_C, n_C) of its covariance with the ridge."""

    def __init__(self, target: Moments) -> None:
        values, vectors = eigen(target.covariance)
        self.ridge = (RIDGE * values[-1]).clamp_min(SMALLEST_VARIANCE)
        values = values.clamp_min(0) + self.ridge
        self.mean = target.mean
        self.root = (vectors * values.sqrt()) @ vectors.T
        self.trace = values.sum()

    def ridged(self, covariance: Tensor) -> Tensor:
        """Return a covariance with the ridge added."""
        return covariance + self.ridge * _identity(covariance)


MOMENT_COSTS: dict[str, type[MomentCost]] = {
    "gram": GramCost,
    "mean_std": MeanStdCost,
    "wasserstein": WassersteinCost,
}
"""The costs of moments by their names in the settings."""


def _root_between(S: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return tr X^½ and S X^−½ S of X = S Σ S.

    Eigenvalues are quicker than multiplications on a CPU, and far slower on other devices.
    """
    X = S @ covariance @ S
    if X.device.type != "cpu":
        trace, inverse_root = newton_schulz(X)
        return trace, S @ inverse_root @ S
    if not bool(X.isfinite().all()):  # LAPACK would raise
        return X.new_tensor(torch.nan), torch.full_like(X, torch.nan)
    values, vectors = eigen(X)
    roots = values.clamp_min(torch.finfo(X.dtype).eps * values[-1]).sqrt()
    carried = S @ vectors
    return roots.sum(), (carried / roots) @ carried.T


def newton_schulz(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return tr X^½ and X^−½ of a positive matrix X.

    By the coupled Newton–Schulz iteration (Higham 2008, chapter 6). A step makes the inverse root
    of a small eigenvalue 1.5 times as large: twenty reach those down to a millionth of the
    greatest, and the `RIDGE` leaves hardly any below.
    """
    scale = torch.linalg.matrix_norm(matrix)
    identity = _identity(matrix)
    Y, Z = matrix / scale, identity
    for _ in range(NEWTON_SCHULZ_STEPS):
        T = 1.5 * identity - 0.5 * (Z @ Y)
        Y, Z = Y @ T, T @ Z
    return Y.trace() * scale.sqrt(), Z / scale.sqrt()


def _identity(like: Tensor) -> Tensor:
    return torch.eye(len(like), dtype=like.dtype, device=like.device)


@dataclass(frozen=True)
class Histogram:
    """The distribution of each channel's activations over `BINS` bins from 0 to its `top`.

    `distribution` has the shares below each edge of the bins, (n_C, BINS + 1); `top` is (n_C,).
    """

    distribution: Tensor
    top: Tensor

    @staticmethod
    def of_counts(counts: Tensor, top: Tensor) -> Histogram:
        """Return that of the counts in the bins, (n_C, BINS)."""
        return Histogram(_distribution(counts, top), top)


def tops(activations: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the maximum of each channel where m > 0, (n_C,), at least `SMALLEST_TOP`."""
    A = positions_of(activations)
    if weights is not None:
        A = A * (positions_of(weights) > 0)
    return widened(A.amax(0)).clamp_min(SMALLEST_TOP)


def count(activations: Tensor, top: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the counts of (n_C, n_H, n_W) in the bins from 0 to `top`, (n_C, BINS) int64.

    What is above the top counts for the last bin. Positions with weights count for m times
    `COUNT_OF_ONE`: whole numbers, so that parts add up to the same in any order and on any device.
    """
    A = positions_of(activations)
    amounts = None if weights is None else (positions_of(weights) * COUNT_OF_ONE).round().long()
    n_bins, lookup = BINS * len(top), _Lookup(top)
    counts = torch.zeros(n_bins, dtype=torch.int64, device=A.device)
    for rows in lookup.parts_of(A):
        index, place = lookup(A[rows])
        if amounts is None and A.device.type == "cpu":
            counts += torch.bincount(index, minlength=n_bins)  # quicker
        else:  # elsewhere the host would wait for the length of the result
            each = counts.new_ones(1, 1) if amounts is None else amounts[rows]
            counts.scatter_add_(0, index.long(), each.expand_as(place).flatten())
    return counts.view(-1, BINS)


class HistogramTarget:
    """The distribution of each channel that is wanted: a blend of those of one or several pictures.

    Distributions are blended by their quantile functions, so that a blend of two has values between
    theirs, and not some of each.
    """

    def __init__(self, histograms: Sequence[Histogram], weights: Sequence[float]) -> None:
        whole = math.fsum(weights)
        self.parts = [
            (weight / whole, histogram)
            for weight, histogram in zip(weights, histograms, strict=True)
        ]
        self.top = torch.stack([weight * each.top for weight, each in self.parts]).sum(0)

    @staticmethod
    def blend(targets: Sequence[HistogramTarget], weights: Sequence[float]) -> HistogramTarget:
        """Return the blend of some targets, by weight."""
        parts = [
            (weight * share, histogram)
            for weight, target in zip(weights, targets, strict=True)
            for share, histogram in target.parts
        ]
        return HistogramTarget([each for _, each in parts], [share for share, _ in parts])

    def count(self, activations: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the counts of activations in the bins of the target's range."""
        return count(activations, self.top, weights)

    def quantiles(self, levels: Tensor, *, is_above: bool) -> Tensor:
        """Return the values below which shares `levels` (n_C, k) of the activations are.

        Where a range of values is empty, either of its ends will do; `is_above` asks for the upper.
        """
        blend = torch.zeros_like(levels)
        for weight, histogram in self.parts:
            distribution = histogram.distribution
            after = torch.searchsorted(distribution, levels, right=is_above).clamp(1, BINS)
            low, high = distribution.gather(1, after - 1), distribution.gather(1, after)
            share = ((levels - low) / (high - low).clamp_min(1e-30)).clamp(0, 1)
            blend += weight * histogram.top[:, None] / BINS * (after - 1 + share)
        return blend


class Remap:
    """The monotone map R of each channel that takes a picture's histogram to the target's.

    Within a bin it is linear. `counts` are the picture's own, in the bins of the target's range.
    """

    def __init__(self, target: HistogramTarget, counts: Tensor) -> None:
        distribution = _distribution(counts, target.top)
        low = target.quantiles(distribution[:, :-1].contiguous(), is_above=True)
        high = target.quantiles(distribution[:, 1:].contiguous(), is_above=False)
        rise = high - low
        start = low - rise * torch.arange(BINS, device=low.device)  # R = start + rise · place
        self.start, self.rise = start.flatten(), rise.flatten()  # (n_C · BINS,)
        self.lookup = _Lookup(target.top)

    def __call__(self, A: Tensor) -> Tensor:
        """Return R of activations (n, n_C), in at least float32."""
        index, place = self.lookup(A)
        found = self.rise.index_select(0, index).view_as(place).mul_(place)
        return found.add_(self.start.index_select(0, index).view_as(place))


class HistogramCost:
    """`histogram_cost` in closed form, for activations that come in parts, once each.

    `cost` is that of the parts seen so far, `n` the number of positions of all, or the sum of their
    weights.
    """

    def __init__(self, target: HistogramTarget, counts: Tensor, n: float) -> None:
        self.remap = Remap(target, counts)
        self.unit = 1 / (n * len(target.top))
        self.cost = target.top.new_zeros(())

    def visit(self, A: Tensor, weights: Tensor | None = None) -> None:
        """Count the cost of activations (n, n_C) alone."""
        for _ in self._residuals(A, weights):
            pass

    def add_derivative(
        self, gradient: Tensor, A: Tensor, factor: float, weights: Tensor | None = None
    ) -> None:
        """Add `factor` · 2 (A − R(A)) / (n n_C) to a gradient, both (n, n_C); count the cost.

        That is `factor` · dJ/dA, which is still to be multiplied by m where there are weights.
        """
        for rows, residual in self._residuals(A, weights):
            gradient[rows].add_(residual, alpha=2 * self.unit * factor)

    def _residuals(self, A: Tensor, weights: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows with A − R(A) there, and count their cost."""
        m = None if weights is None else positions_of(weights)
        for rows in self.remap.lookup.parts_of(A):
            residual = self.remap(A[rows]).neg_().add_(A[rows])
            squares = residual.square()
            self.cost += self.unit * (squares if m is None else m[rows] * squares).sum()
            yield rows, residual


class _Lookup:
    """The places of activations in tables (n_C · BINS,) over the bins from 0 to `top`."""

    def __init__(self, top: Tensor) -> None:
        self.scale = BINS / top
        self.first = BINS * torch.arange(len(top), device=top.device, dtype=torch.int32)

    def parts_of(self, A: Tensor) -> Iterator[slice]:
        """Yield the rows of (n, n_C), as many at once as suit the device."""
        at_once = AT_ONCE if A.device.type == "cpu" else AT_ONCE_ELSEWHERE
        step = max(1, at_once // A.shape[1])
        return (slice(start, start + step) for start in range(0, len(A), step))

    def __call__(self, A: Tensor) -> tuple[Tensor, Tensor]:
        """Return the indices (n · n_C,) of (n, n_C), and their places in bins, from 0 to `BINS`."""
        place = (A * self.scale).clamp_(0, BINS)
        index = place.int().clamp_(0, BINS - 1)  # a NaN, too, must find a place
        return index.add_(self.first).flatten(), place


def _distribution(counts: Tensor, like: Tensor) -> Tensor:
    """Return the shares of activations below each edge of the bins, (n_C, BINS + 1)."""
    sums = counts.cumsum(1).to(like.dtype)
    shares = sums / sums[:, -1:]
    return torch.cat([torch.zeros_like(shares[:, :1]), shares], 1)
