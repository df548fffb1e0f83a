"""What a run takes of memory, and when its picture goes in tiles."""

from __future__ import annotations

import pytest
import torch

from nst.engine.memory import NEVER_TILED, SIDES, bytes_needed, tile_side
from nst.engine.optimizers import BoxLBFGS, history_bytes, history_of
from nst.engine.tiles import AT_ONCE

BOTH = [torch.float32, torch.bfloat16]
MEGAPIXEL = 1_000_000
GIGABYTE = 10**9


@pytest.mark.parametrize("dtype", BOTH)
def test_small_pictures_never_go_in_tiles(dtype: torch.dtype) -> None:
    for free in (None, 1, GIGABYTE, 100 * GIGABYTE):
        assert tile_side(NEVER_TILED, dtype, free) is None


@pytest.mark.parametrize("dtype", BOTH)
def test_tiles_are_as_large_as_there_is_memory_for(dtype: torch.dtype) -> None:
    assert tile_side(AT_ONCE, dtype, 100 * GIGABYTE) is None
    assert tile_side(AT_ONCE, dtype, None) is None
    assert tile_side(AT_ONCE + 1, dtype, None) == SIDES[0]
    assert tile_side(AT_ONCE, dtype, 4 * GIGABYTE) == SIDES[0]
    assert tile_side(2 * NEVER_TILED, dtype, round(1.9 * GIGABYTE)) == SIDES[-1]
    assert tile_side(AT_ONCE, dtype, 1) is None, "which then says that memory has run out"
    sides = [tile_side(16 * MEGAPIXEL, dtype, n * GIGABYTE) or 10**6 for n in range(1, 200)]
    assert sides == sorted(sides)


@pytest.mark.parametrize("dtype", BOTH)
def test_giants_have_their_ceilings(dtype: torch.dtype) -> None:
    free = 22 * GIGABYTE
    assert bytes_needed(4096 * 3072, dtype, free) < 4 * GIGABYTE
    if dtype == torch.bfloat16:
        assert bytes_needed(4096 * 4096, dtype, free) < 4 * GIGABYTE
        assert bytes_needed(8000 * 8000, dtype, free) < 9.5 * GIGABYTE


def test_the_curvature_of_giants_is_short_and_narrow() -> None:
    assert history_of(torch.empty(1, 3, 2048, 2048)) == 10
    assert history_bytes(3 * 2048**2) == 10 * 2 * 3 * 2048**2 * 4
    for pixels in (2049**2, 4096**2, 8000**2):
        pairs = history_of(torch.empty(1, 3, pixels, 1, device="meta"))
        assert 2 <= pairs <= 10
        assert history_bytes(3 * pixels) == pairs * 2 * 3 * pixels * 2
        assert pairs == 2 or history_bytes(3 * pixels) < 0.42e9


def test_pairs_of_giants_are_kept_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst.engine.optimizers.NARROW_FROM", 100)
    optimizer = BoxLBFGS(history=3)
    image = torch.full((1, 3, 16, 16), 0.5)
    for _ in range(5):
        image = optimizer.step(image, image - torch.linspace(0, 1, 16))
    assert len(optimizer.pairs) == 3
    assert {tensor.dtype for s, y, _ in optimizer.pairs for tensor in (s, y)} == {torch.bfloat16}
    assert float((image - torch.linspace(0, 1, 16)).abs().mean()) < 0.1
