"""Paintings of any size: Gram matrices tile by tile, and no limit that says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.tiny_network import MakeNetwork
from nst.engine.schedule import plan_scales, style_side
from nst.engine.starting_picture import starting_picture
from nst.engine.style_target import Painting
from nst.settings import LAYER_CHANNELS, TransferSettings
from nst.studio.forecast import PlannedRun, bytes_for, work_of
from nst.vgg.network import VGG

LAYERS = tuple(LAYER_CHANNELS)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("size", [(400, 300), (129, 520), (257, 160), (79, 383), (16, 1300)])
def test_tiles_give_the_gram_matrices_of_the_whole(
    make_network: MakeNetwork, size: tuple[int, int], pooling: str
) -> None:
    """In float64, so that nothing but a missing or doubled pixel could make a difference."""
    network = make_network(dtype=torch.float64, pooling=pooling)
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1)).double()
    tiled = Painting(picture, side=64, costs=["mean_std"]).style(network, LAYERS)
    for layer, activation in network.walk(picture, LAYERS):
        positions = activation[0].flatten(1)
        whole = positions @ positions.T / positions.shape[1]
        error = float((tiled.grams[layer] - whole).norm() / whole.norm())
        assert error < 1e-12, layer
        mean = positions.mean(1)
        torch.testing.assert_close(tiled.means[layer], mean, rtol=1e-12, atol=1e-12)


def test_the_network_never_sees_much_at_once(network: VGG, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    walk = network.walk

    def spy(image: Tensor, layers: Any) -> Iterator[tuple[str, Tensor]]:
        seen.append(image.shape[-2:])
        return walk(image, layers)

    monkeypatch.setattr(network, "walk", spy)
    Painting(torch.rand(1, 3, 500, 700), side=64).style(network, ["relu1_1"])
    assert len(seen) == 8 * 11
    assert max(map(max, seen)) <= 64 + 2 * 16 + 16  # relu1_1 needs the least halo


def test_every_scale_of_the_painting_is_another_one() -> None:
    for size in (64, 384, 1024, 2048):
        sides = [
            style_side(plan_scales(settings)[-1].size, settings)
            for scale in (0.25, 1.0, 2.0, 2.5, 3.0)
            for settings in [TransferSettings(size=size, style_scale=scale)]
        ]
        assert sides == [round(size * scale) for scale in (0.25, 1.0, 2.0, 2.5, 3.0)]


def test_a_large_painting_is_forecast_by_its_tiles() -> None:
    def needed(scale: float) -> int:
        settings = TransferSettings(size=2048, style_scale=scale)
        return bytes_for(work_of(PlannedRun((400, 300), [(400, 300)], settings)), torch.float32)

    assert needed(1.0) < needed(2.0) < needed(3.0) < 1.6 * needed(1.0)


def test_the_colours_of_a_large_painting_are_those_of_a_part_of_its_pixels() -> None:
    generator = torch.Generator().manual_seed(5)
    photo, painting = (torch.rand(1, 3, side, side, generator=generator) for side in (32, 2100))
    settings = TransferSettings()
    start = starting_picture(photo, [painting], settings)
    same = starting_picture(photo, [painting[..., ::2, ::2]], settings)
    assert torch.equal(start, same)
