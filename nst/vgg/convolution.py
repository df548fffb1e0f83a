"""A 3×3 convolution with its ReLU, and its adjoint, with parameters laid out once.

Knows one layer of arithmetic; nothing of networks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Convolve = Callable[[Tensor], Tensor]


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
        """(1, n_in, H, W) to (1, n_out, H, W); differentiable."""
        return F.relu_(F.conv2d(x, self.weight, self.bias, padding=1))

    def activate(self, x: Tensor) -> Tensor:
        """What a call gives, without a graph, and faster where it can be."""
        return self._activate(x)

    def adjoint(self, gradient: Tensor) -> Tensor:
        """From the gradient before the ReLU, (1, n_out, H, W), to that of x, (1, n_in, H, W)."""
        return self._adjoint(gradient)

    def lay_out(self) -> None:
        """Make at once what `activate` and `adjoint` need of the parameters."""
        if self._activate == self.__call__:
            self.weight  # noqa: B018
        self._adjoint  # noqa: B018

    # Each layout is made when first needed: few runs need all of them, or all layers.

    @functools.cached_property
    def weight(self) -> Tensor:
        return self._cast().contiguous(memory_format=torch.channels_last)

    @functools.cached_property
    def _activate(self) -> Convolve:
        return packed(self._cast(), self.bias, relu=True) or self.__call__

    @functools.cached_property
    def _adjoint(self) -> Convolve:
        # The adjoint of a padded convolution is one with the kernel turned round.
        turned = self._cast().transpose(0, 1).flip(2, 3)
        return packed(turned, None, relu=False) or plain(turned)

    def _cast(self) -> Tensor:
        weight, device, dtype = self._source
        return weight.to(device, dtype)


def plain(weight: Tensor) -> Convolve:
    laid_out = weight.contiguous(memory_format=torch.channels_last)
    return lambda x: F.conv2d(x, laid_out, padding=1)


def packed(weight: Tensor, bias: Tensor | None, *, relu: bool) -> Convolve | None:
    """The convolution with its weights in oneDNN's own order and the ReLU inside the kernel.

    Without it, oneDNN reorders the weights in every call. The operators are those that PyTorch's
    compiler emits, and not public: None where this torch lacks them, they refuse, or the device
    is no CPU.
    """
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16):
        return None
    ones = [1, 1]
    try:
        reordered = torch._C._nn.mkldnn_reorder_conv2d_weight(
            weight.contiguous().to_mkldnn(), ones, ones, ones, 1
        )
        pointwise = torch.ops.mkldnn._convolution_pointwise.default
        after: tuple[object, ...] = ("relu" if relu else "none", [], "")

        def convolve(x: Tensor) -> Tensor:
            y: Tensor = pointwise(x, reordered, bias, ones, ones, ones, 1, *after)
            return y

        if not _agrees(convolve, weight, bias, relu=relu):
            return None
    except (AttributeError, RuntimeError, TypeError):
        return None
    return convolve


def _agrees(convolve: Convolve, weight: Tensor, bias: Tensor | None, *, relu: bool) -> bool:
    """Whether it computes what the public operator does, on a small picture."""
    n_in = weight.shape[1]
    x = torch.linspace(-1, 1, 9 * n_in).to(weight.dtype).view(1, n_in, 3, 3)
    expected = F.conv2d(x, weight, bias, padding=1)
    expected = F.relu(expected) if relu else expected
    tolerance = 0.02 * float(expected.abs().max())
    return torch.allclose(convolve(x), expected, rtol=0.02, atol=tolerance)
