"""Flow and its masks, on motion that is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from benchmarks.clips import MAKERS, pan, static
from nst.engine.optimizers import BoxLBFGS
from nst.video.flow import FlowEstimator, disoccluded, motion_boundary, warp

SIZE = (160, 120)


def constant(x: float, y: float, shape: tuple[int, int] = (20, 30)) -> npt.NDArray[np.float32]:
    return np.full((*shape, 2), (x, y), np.float32)


def test_opposite_flows_hide_nothing_but_what_comes_from_outside() -> None:
    hidden = disoccluded(constant(2, 0), constant(-2, 0))
    assert hidden[:, :2].all()
    assert not hidden[:, 2:].any()


def test_flows_that_disagree_hide() -> None:
    assert disoccluded(constant(2, 0), constant(-1, 0))[:, 4:].all()  # 1 > 0.01 · 5 + 0.5
    assert not disoccluded(constant(2, 0), constant(-1.5, 0))[:, 4:].any()  # 0.25 is not


def test_a_step_of_the_flow_is_a_boundary() -> None:
    field = constant(0, 0)
    field[:, 15:] = (4, 0)
    where = motion_boundary(field)
    assert where[:, 14:16].all()
    assert not where[:, :14].any()
    assert not where[:, 16:].any()


def test_warping_by_whole_pixels_moves_values_and_by_none_changes_none() -> None:
    picture = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(warp(picture, constant(0, 0)), picture)
    moved = warp(picture, constant(-3, 1))
    torch.testing.assert_close(moved[..., :-1, 3:], picture[..., 1:, :-3])


@pytest.mark.parametrize("name", ["pan", "zoom", "passing"])
def test_the_flow_of_known_motion_is_found(name: str) -> None:
    clip = MAKERS[name](SIZE, 4)
    motion, true = FlowEstimator().motion(clip.frame(2), clip.frame(3)), clip.earlier(3)
    assert true is not None
    error = np.sqrt(np.square(motion.backward - true).sum(-1))
    was_hidden = np.isnan(error)
    assert np.mean(error[motion.seen & ~was_hidden]) < 0.3  # pixels
    assert motion.seen[~was_hidden].mean() > 0.9
    if name == "pan":  # what is beside the cat is an even sky, of which one place is like another
        assert motion.seen[was_hidden].mean() < 0.5


def test_noise_does_not_move_what_stands_still() -> None:
    clip = static(SIZE, 2, noise=2.0)
    motion = FlowEstimator().motion(clip.frame(0), clip.frame(1))
    assert motion.still.mean() > 0.8
    assert (motion.backward[motion.still] == 0).all()


def test_another_shot_is_hidden() -> None:
    motion = FlowEstimator().motion(pan(SIZE, 1).frame(0), pan(SIZE, 1, photo="moose").frame(0))
    assert motion.hidden.mean() > 0.6


def test_curvature_moves_along_with_the_picture() -> None:
    def gradient(image: torch.Tensor) -> torch.Tensor:
        return (image - 0.5) * torch.linspace(1, 5, 30)

    optimizer, image = BoxLBFGS(), torch.rand(1, 3, 20, 30)
    for _ in range(4):
        image = optimizer.step(image, gradient(image))
    moved = optimizer.moved(lambda values: values.roll(1, 2))
    assert len(moved.pairs) == len(optimizer.pairs) == 3
    for (s, y, rho), (old_s, _, old_rho) in zip(moved.pairs, optimizer.pairs, strict=True):
        assert torch.equal(s, old_s.roll(1, 2))
        assert rho == pytest.approx(1 / float((s * y).sum()), rel=1e-3)
        assert rho == pytest.approx(old_rho, rel=1e-3)
