"""Pictures that go in tiles, beside the same ones that do not."""

from __future__ import annotations

import pytest
from torch import Tensor

from nst.engine.objective import Objective
from nst.engine.tiled_objective import TiledObjective


def assert_tiles_agree(
    whole: Objective, tiled: TiledObjective, image: Tensor, *, layers: float
) -> None:
    """Hold costs and gradient in tiles to those of the whole; `layers` bounds each layer's cost."""
    costs, gradient = whole.evaluate(image)
    ours, our_gradient = tiled.evaluate(image)
    assert ours.layers == pytest.approx(costs.layers, rel=layers)
    assert pytest.approx(costs.J, rel=1e-12) == ours.J
    assert float((our_gradient - gradient).norm() / gradient.norm()) < 1e-12
    assert pytest.approx(costs.J, rel=1e-12) == tiled.costs(image).J
