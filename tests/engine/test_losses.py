"""The costs against values worked out by hand, finite differences and their invariants."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nst.engine.losses import (
    content_cost,
    gram_matrix,
    gram_style_cost,
    normalized_gram_matrix,
    style_cost,
    total_variation,
)
from nst.settings import LAYER_CHANNELS, gatys_layer_weight


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# Two channels of a 1×2 picture: a_1 = (1, 2), a_2 = (3, 4).
A = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
# b_1 = (0, 1), b_2 = (2, 0).
B = torch.tensor([[[0.0, 1.0]], [[2.0, 0.0]]])


def test_content_cost_by_hand() -> None:
    # ½ · ((1−0)² + (2−1)² + (3−2)² + (4−0)²) = ½ · (1 + 1 + 1 + 16)
    assert content_cost(A, B).item() == 9.5


def test_gram_matrix_by_hand() -> None:
    # 1·1 + 2·2 = 5,  1·3 + 2·4 = 11,  3·3 + 4·4 = 25
    assert gram_matrix(A).tolist() == [[5, 11], [11, 25]]
    # 0·0 + 1·1 = 1,  0·2 + 1·0 = 0,  2·2 + 0·0 = 4
    assert gram_matrix(B).tolist() == [[1, 0], [0, 4]]


def test_normalized_gram_matrix_by_hand() -> None:
    # divided by n_H · n_W = 1 · 2
    assert normalized_gram_matrix(A).tolist() == [[2.5, 5.5], [5.5, 12.5]]


def test_style_cost_by_hand() -> None:
    # G_A − G_B = (4 11; 11 21), its squares sum to 16 + 121 + 121 + 441 = 699,
    # and (2 · n_H · n_W · n_C)² = (2 · 1 · 2 · 2)² = 64
    assert style_cost(A, B).item() == 699 / 64


def test_gram_style_cost_by_hand() -> None:
    # (1 0; 0 1) − (0 2; 2 0): 1 + 4 + 4 + 1 = 10, over (2 · 2)² = 16
    assert gram_style_cost(torch.eye(2), 2 * torch.eye(2).flip(0)).item() == 10 / 16


def test_total_variation_by_hand() -> None:
    one = torch.tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
    image = torch.stack([one, 0 * one, 0 * one]).unsqueeze(0)
    # down: 2² + 1² + 1² = 6; right: 1² + 2² + 0 + 0 = 5; of 3 · (3 + 4) = 21 differences
    assert total_variation(image).item() == pytest.approx(11 / 21)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3, 5, 4)])
def test_total_variation_of_one_colour_is_zero(shape: tuple[int, ...]) -> None:
    assert total_variation(torch.full(shape, 0.7)).item() == 0


def test_total_variation_does_not_grow_with_the_size() -> None:
    # columns 0, 1, 0, 1, …: every difference to the right is 1, every one downward 0
    for side in (2, 10, 100):
        stripes = (torch.arange(side) % 2).float().expand(1, 3, side, side)
        assert total_variation(stripes).item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("layer", "weight"),
    [  # 4000 / 64² = 4000 / 4096, and every doubling of n_C divides by four
        ("relu1_1", 0.9765625),
        ("relu2_1", 0.244140625),
        ("relu3_4", 0.06103515625),
        ("relu4_1", 0.0152587890625),
        ("relu5_1", 0.0152587890625),
    ],
)
def test_gatys_layer_weight_by_hand(layer: str, weight: float) -> None:
    assert gatys_layer_weight(layer) == weight


@pytest.mark.parametrize("layer", LAYER_CHANNELS)
def test_gatys_layer_weight_turns_textbook_cost_into_weighted_mean_square(layer: str) -> None:
    n = LAYER_CHANNELS[layer]
    difference = random(n, n)
    textbook = gram_style_cost(difference, torch.zeros_like(difference))
    published = 1000 / n**2 * difference.square().mean()
    assert gatys_layer_weight(layer) * textbook.item() == pytest.approx(published.item())


@pytest.mark.parametrize(
    "cost",
    [
        lambda a: content_cost(random(3, 4, 5, seed=1), a),
        gram_matrix,
        normalized_gram_matrix,
        lambda a: style_cost(random(3, 6, 2, seed=1), a),
        lambda a: gram_style_cost(random(3, 3, seed=1), a[:, :3, 0]),
        lambda a: total_variation(a.unsqueeze(0)),
    ],
    ids=["content", "gram", "normalized", "style", "gram_style", "total_variation"],
)
def test_gradients_equal_finite_differences(cost: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(cost, random(3, 4, 5).requires_grad_())


def test_gram_of_ones_is_the_number_of_pixels() -> None:
    assert gram_matrix(torch.ones(3, 4, 5)).tolist() == [[20.0] * 3] * 3
    assert normalized_gram_matrix(torch.ones(3, 4, 5)).tolist() == [[1.0] * 3] * 3


def test_gram_does_not_see_where_pixels_are() -> None:
    activations = random(4, 5, 6)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    shuffled = activations.flatten(1)[:, order].view(4, 5, 6)
    torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(activations))


def test_gram_sees_which_channels_go_together() -> None:
    activations = random(4, 5, 6)
    rolled = activations.clone()
    rolled[0] = rolled[0].roll(1, dims=1)  # one channel alone is moved
    assert not torch.allclose(gram_matrix(rolled), gram_matrix(activations))


def test_a_batch_dimension_of_one_changes_nothing() -> None:
    assert torch.equal(gram_matrix(A.unsqueeze(0)), gram_matrix(A))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gram_of_narrow_activations_is_summed_in_float32(dtype: torch.dtype) -> None:
    gram = gram_matrix(torch.full((2, 100, 100), 3.0, dtype=dtype))
    assert gram.dtype == torch.float32
    # Beyond float16; bfloat16 would add up to 1024 and stop there. Products of blocks are rounded.
    assert gram[0, 1].item() == pytest.approx(9 * 10_000, rel=2e-3)


@pytest.mark.parametrize("cost", [content_cost, style_cost])
def test_cost_is_zero_at_the_target_only(cost: Callable[[Tensor, Tensor], Tensor]) -> None:
    target = random(3, 4, 5)
    assert cost(target, target).item() == 0
    assert cost(target, 1.01 * target).item() > 0


def test_style_cost_ignores_repetition() -> None:
    style, generated = random(3, 4, 5), random(3, 6, 7, seed=1)
    expected = style_cost(style, generated)
    torch.testing.assert_close(style_cost(style.repeat(1, 2, 3), generated), expected)
    torch.testing.assert_close(style_cost(style, generated.repeat(1, 3, 1)), expected)


def test_style_cost_of_equal_sizes_is_the_textbook_formula() -> None:
    n_c, n_h, n_w = 3, 4, 5
    style, generated = random(n_c, n_h, n_w), random(n_c, n_h, n_w, seed=1)
    total = 0.0
    for k in range(n_c):
        for other in range(n_c):
            G = [0.0, 0.0]
            for i in range(n_h):
                for j in range(n_w):
                    G[0] += float(style[k, i, j] * style[other, i, j])
                    G[1] += float(generated[k, i, j] * generated[other, i, j])
            total += (G[0] - G[1]) ** 2
    assert style_cost(style, generated).item() == pytest.approx(
        total / (2 * n_h * n_w * n_c) ** 2, rel=1e-12
    )


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (4, 5), (1, 1, 3, 4, 5)])
@pytest.mark.parametrize("function", [gram_matrix, normalized_gram_matrix])
def test_gram_refuses_a_batch(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one picture, not") as caught:
        function(torch.ones(shape))
    assert str(shape) in str(caught.value)


def test_content_cost_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4, 5\), generated \(3, 1, 5\)"):
        content_cost(torch.ones(3, 4, 5), torch.ones(3, 1, 5))
