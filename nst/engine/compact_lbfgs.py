"""L-BFGS's direction in the compact form, for devices where launching a kernel is what costs.

The two-loop recursion is two triangular systems in disguise: with the pairs as rows of S and Y and
R[i, j] = s_iᵀy_j for i ≤ j, its first loop solves R α = S q, and its second Rᵀ δ = diag(R) α − Y r.
So a direction takes a few products of tall matrices, and its coefficients never leave the device.
After Byrd, Nocedal & Schnabel 1994, "Representations of quasi-Newton matrices", theorem 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def compact_direction(
    gradient: Tensor, pairs: Sequence[tuple[Tensor, Tensor]], smooth: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return −H · gradient for pairs (s, y), the oldest first, at least one.

    The initial inverse Hessian is `smooth`, a linear function of a batch of pictures, times the
    factor that fits the latest pair. For a moment it takes the memory of the pairs once more.
    """
    S = torch.stack([s for s, _ in pairs]).flatten(1)  # (m, N)
    Y = torch.stack([y for _, y in pairs]).flatten(1)
    latest = pairs[-1][1]
    q = -gradient
    SY, Sq = S @ Y.T, S @ q.flatten()
    alpha = first_coefficients(SY, Sq)
    q = torch.addmv(q.flatten(), Y.T, alpha, alpha=-1).view_as(q)
    smoothed = smooth(torch.cat([q, latest]))
    scale = SY[-1, -1] / torch.dot(latest.flatten(), smoothed[1].flatten())
    r = (smoothed[0] * scale).flatten()
    delta = second_coefficients(SY, alpha, Y @ r)
    return torch.addmv(r, S.T, delta).view_as(gradient)


def first_coefficients(SY: Tensor, Sq: Tensor) -> Tensor:
    """Return α, with which Σ αᵢ yᵢ is taken from q, of S Yᵀ (m, m) and S q (m,)."""
    return _solve(SY.triu(), Sq, upper=True)


def second_coefficients(SY: Tensor, alpha: Tensor, Yr: Tensor) -> Tensor:
    """Return δ, with which Σ δᵢ sᵢ is added to r, of α and Y r (m,)."""
    return _solve(SY.triu().T, SY.diagonal() * alpha - Yr, upper=False)


def _solve(triangle: Tensor, right: Tensor, *, upper: bool) -> Tensor:
    solution: Tensor = torch.linalg.solve_triangular(triangle, right[:, None], upper=upper)
    return solution[:, 0]
