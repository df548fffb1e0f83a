"""A 3×3 convolution with its ReLU, and its adjoint, with parameters laid out once.

Knows one layer of arithmetic; nothing of networks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Convolve = Callable[[Tensor], Tensor]

LAYOUTS = 2  # kept of each packed convolution: a picture's size and its painting's


class Convolution:
    """relu(weight ∗ x + bias) with zeros beyond the edge, for one device and dtype.

    `weight` is (n_out, n_in, 3, 3) and `bias` (n_out,). Pictures are (1, channels, H, W) and
    should be channels_last, which is where convolutions and Gram matrices are fastest.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._source = weight, device, dtype
        self.bias = bias.to(device, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve (1, n_in, H, W) to (1, n_out, H, W), before the ReLU; differentiable."""
        return F.relu_(F.conv2d(x, self.weight, self.bias, padding=1))

    def activate(self, x: Tensor) -> Tensor:
        """Return what a call and its ReLU give, without a graph, and faster where it can be."""
        return self._activate(x)

    def adjoint(self, gradient: Tensor) -> Tensor:
        """Return the gradient of x, (1, n_in, H, W), from that of the output, (1, n_out, H, W).

        Both are before the ReLU.
        """
        return self._adjoint(gradient)

    def lay_out(self) -> None:
        """Make at once what `activate` and `adjoint` need of the parameters."""
        if self._activate == self.__call__:
            self.weight  # noqa: B018
        self._adjoint  # noqa: B018

    # Each layout is made when first needed: few runs need all of them, or all layers.

    @functools.cached_property
    def weight(self) -> Tensor:
        """Return the weights (n_out, n_in, 3, 3), laid out for the device."""
        return self._cast().contiguous(memory_format=torch.channels_last)

    @functools.cached_property
    def _activate(self) -> Convolve:
        return packed(self._cast, self.bias, relu=True) or self.__call__

    @functools.cached_property
    def _adjoint(self) -> Convolve:
        return packed(self._turned, None, relu=False) or plain(self._turned())

    def _turned(self) -> Tensor:
        """Return the weights of the adjoint.

        The adjoint of a padded convolution is one with the kernel turned round.
        """
        return self._cast().transpose(0, 1).flip(2, 3)

    def _cast(self) -> Tensor:
        weight, device, dtype = self._source
        return weight.to(device, dtype)


def plain(weight: Tensor) -> Convolve:
    """Convolve by torch's public operator."""
    laid_out = weight.contiguous(memory_format=torch.channels_last)
    return lambda x: F.conv2d(x, laid_out, padding=1)


def packed(make: Callable[[], Tensor], bias: Tensor | None, *, relu: bool) -> Convolve | None:
    """Return the convolution with its weights in oneDNN's own order and the ReLU inside the kernel.

    Without that, oneDNN reorders the weights in every call. Which order it wants depends on the
    picture's size too, and a wrong one costs more than none: 111 ms instead of 6 ms a call, for
    512 channels of 10 x 16 on a CPU with AVX2. So the weights, which `make` returns, are laid out
    for each size when it comes up; pixels do not depend on it.

    The operators are those that PyTorch's compiler emits, and not public: None where this torch
    lacks them, they refuse, or the device is no CPU.
    """
    weight = make()
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16):
        return None
    ones = [1, 1]

    @functools.lru_cache(LAYOUTS)
    def laid_out(*size: int) -> Tensor:
        # Made anew rather than kept as it was: a second copy would double the memory.
        source = make().contiguous().to_mkldnn()
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # its stub lacks the size
        reordered: Tensor = reorder(source, ones, ones, ones, 1, size)
        return reordered

    def convolve(x: Tensor) -> Tensor:
        weight = laid_out(*x.shape)
        y: Tensor = pointwise(x, weight, bias, ones, ones, ones, 1, *after)
        return y

    after: tuple[object, ...] = ("relu" if relu else "none", [], "")
    try:
        pointwise = torch.ops.mkldnn._convolution_pointwise.default
        if not _agrees(convolve, weight, bias, relu=relu):
            return None
    except (AttributeError, RuntimeError, TypeError):
        return None
    laid_out.cache_clear()  # of the small picture it was tried on
    return convolve


def _agrees(convolve: Convolve, weight: Tensor, bias: Tensor | None, *, relu: bool) -> bool:
    """Tell whether it computes what the public operator does, on a small picture."""
    n_in = weight.shape[1]
    x = torch.linspace(-1, 1, 9 * n_in).to(weight.dtype).view(1, n_in, 3, 3)
    expected = F.conv2d(x, weight, bias, padding=1)
    expected = F.relu(expected) if relu else expected
    tolerance = 0.02 * float(expected.abs().max())
    return torch.allclose(convolve(x), expected, rtol=0.02, atol=tolerance)
