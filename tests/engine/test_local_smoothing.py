"""The local preconditioner: symmetric, positive definite, and near the one that filters."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nst.engine.local_smoothing import REACH, UNIT, smooth_locally
from nst.engine.tiles import tiles_with_halo


def random_image(height: int, width: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, 3, height, width), generator=generator, dtype=torch.float64)


def test_it_is_symmetric_and_positive_definite() -> None:
    height, width = 19, 23
    basis = torch.eye(height * width, dtype=torch.float64).view(-1, 1, height, width)
    matrix = smooth_locally(basis).flatten(1)
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-14)
    assert float(torch.linalg.eigvalsh(matrix).min()) > 0.3


@pytest.mark.parametrize("frequency", [0.01, 0.03, 0.1, 0.2, 0.4, 0.5])
@pytest.mark.parametrize("is_diagonal", [False, True])
def test_each_frequency_has_nearly_its_factor(frequency: float, is_diagonal: bool) -> None:
    places = torch.arange(512, dtype=torch.float64)
    across = places + places[:, None] if is_diagonal else places.expand(512, -1)
    along = frequency / math.sqrt(2) if is_diagonal else frequency
    wave = torch.cos(2 * math.pi * along * across + 0.3).expand(1, 3, -1, -1)
    inner = slice(100, 400)  # away from the edges, and from where all is taken for 0
    its = (smooth_locally(wave) * wave)[..., inner, inner].mean() / wave[
        ..., inner, inner
    ].square().mean()
    assert 0.8 < float(its) / (0.1 / frequency) ** 0.75 < 1.4


@pytest.mark.parametrize("size", [(129, 203), (64, 64), (80, 47)])
def test_tiles_with_their_halos_have_the_values_of_the_whole(size: tuple[int, int]) -> None:
    image = random_image(*size)
    whole = smooth_locally(image)
    for tile in tiles_with_halo(size, 2 * UNIT, REACH):
        own = smooth_locally(tile.cut(image))[..., tile.rows.own(1), tile.columns.own(1)]
        torch.testing.assert_close(own, whole[(..., *tile.place)], rtol=0, atol=1e-13)


def test_channels_and_pictures_are_apart() -> None:
    first, second = random_image(30, 40), random_image(30, 40, seed=2)
    both = smooth_locally(torch.cat([first, second]))
    torch.testing.assert_close(both[1:], smooth_locally(second))
    first[:, 0] = 0
    assert not smooth_locally(first)[:, 0].any()
