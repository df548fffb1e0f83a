"""One convolution and its adjoint, packed or plain, and what happens where torch cannot pack."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst.vgg.convolution import Convolution, packed

CPU = torch.device("cpu")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make(dtype: torch.dtype) -> Convolution:
    return Convolution(random(6, 4, 3, 3), random(6, seed=1), CPU, dtype)


def lay_out(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def no_packing(*_: object) -> Tensor:
    raise RuntimeError("this build has no oneDNN")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_activations_are_those_of_the_call(dtype: torch.dtype) -> None:
    convolution, x = make(dtype), lay_out(random(1, 4, 9, 7, seed=2), dtype)
    expected = F.relu(
        F.conv2d(x.double(), convolution.weight.double(), convolution.bias.double(), padding=1)
    )
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.2}[dtype]
    for result in (convolution(x), convolution.activate(x)):
        assert result.dtype == dtype
        assert result.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(result.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_adjoint_turns_the_scalar_product_round(dtype: torch.dtype) -> None:
    """⟨W x, g⟩ = ⟨x, Wᵀ g⟩."""
    convolution = make(dtype)
    x, g = lay_out(random(1, 4, 9, 7, seed=2), dtype), lay_out(random(1, 6, 9, 7, seed=3), dtype)
    ahead = (F.conv2d(x, convolution.weight, padding=1) * g).sum()
    torch.testing.assert_close((x * convolution.adjoint(g)).sum(), ahead, rtol=1e-4, atol=1e-4)


def test_weights_are_laid_out_once_for_each_size_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the wrong order for a picture's size, oneDNN would reorder them in every call."""
    laid_out: list[tuple[int, ...]] = []
    reorder = torch._C._nn.mkldnn_reorder_conv2d_weight

    def noted(*arguments: Any) -> Tensor:
        laid_out.append(arguments[-1])
        return reorder(*arguments)

    monkeypatch.setattr("torch._C._nn.mkldnn_reorder_conv2d_weight", noted)
    convolution = make(torch.float32)
    first, second = (lay_out(random(1, 4, *size), torch.float32) for size in ((9, 7), (21, 32)))
    expected = [
        F.relu(F.conv2d(x, convolution.weight, convolution.bias, padding=1))
        for x in (first, second)
    ]
    convolution.activate(first)
    laid_out.clear()
    for _ in range(3):
        for x, y in zip((first, second), expected, strict=True):
            torch.testing.assert_close(convolution.activate(x), y, rtol=1e-5, atol=1e-5)
    assert laid_out == [(1, 4, 21, 32)]


def test_the_input_is_left_alone() -> None:
    x = lay_out(random(1, 4, 9, 7, seed=2), torch.float32)
    before = x.clone()
    make(torch.float32).activate(x)
    assert torch.equal(x, before)


def test_without_packing_the_results_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, g = (lay_out(random(1, n, 9, 7, seed=n), torch.float32) for n in (4, 6))
    as_packed = make(torch.float32).activate(x), make(torch.float32).adjoint(g)
    monkeypatch.setattr("torch._C._nn.mkldnn_reorder_conv2d_weight", no_packing)
    assert packed(lambda: random(6, 4, 3, 3), None, relu=False) is None
    as_plain = make(torch.float32).activate(x), make(torch.float32).adjoint(g)
    for mine, theirs in zip(as_plain, as_packed, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_a_torch_that_lacks_the_operators_packs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("torch._C._nn.mkldnn_reorder_conv2d_weight", raising=False)
    assert packed(lambda: random(6, 4, 3, 3), None, relu=False) is None


def test_only_formats_of_the_processors_kernels_are_packed() -> None:
    assert packed(lambda: random(6, 4, 3, 3).double(), None, relu=False) is None
    assert packed(lambda: random(6, 4, 3, 3).half(), None, relu=False) is None
