"""VGG-19 as a feature extractor: RGB pictures in, activations by layer name out, and back.

Knows the network's architecture and preprocessing; nothing of costs, and not where the
parameters come from.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from nst.settings import LAYER_CHANNELS
from nst.vgg.convolution import Convolution
from nst.vgg.cuda_options import CudaOptions, cuda_options
from nst.vgg.weights import VGGWeights

POOLINGS = ("max", "average")

# Given a layer's name and the gradient of what comes after it (None at the deepest layer), adds
# what the cost at this layer itself contributes; may work in place.
AddTerm = Callable[[str, Tensor | None], Tensor]


class VGG:
    """VGG-19 (Simonyan & Zisserman 2014), its parameters laid out for one device and dtype.

    Convolutions pad with zeros after the mean is subtracted, as in training. Raises `ValueError`
    for an unknown pooling.
    """

    def __init__(
        self,
        weights: VGGWeights,
        *,
        pooling: str = "max",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
        self.identity = object()  # for keys that must not keep the network alive
        self.weights = weights
        self.pooling = pooling
        self.device = torch.device(device)
        self.dtype = dtype
        self.cuda_options = cuda_options() if self.device.type == "cuda" else CudaOptions()
        self.mean = torch.tensor(weights.mean, device=device).view(1, 3, 1, 1)
        self.scale = torch.tensor(weights.scale, device=device).view(1, 3, 1, 1)
        self.convolutions = {
            name: Convolution(weight, bias, self.device, dtype)
            for name, (weight, bias) in weights.convolutions.items()
        }

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return activations of (1, 3, H, W) RGB in [0, 1]; differentiable.

        They are layer name -> (1, n_C, n_H, n_W) of the network's dtype. A layer such as `relu4_2`
        is the output of the ReLU after the second convolution of the fourth block. Nothing beyond
        the deepest layer asked for is computed. Raises `ValueError` for names that VGG-19 does not
        have.
        """
        return dict(self.walk(image, layers))

    def walk(self, image: Tensor, layers: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield the same, one layer after the other, for those who need not keep them."""
        wanted = _known(layers)
        x = self._preprocess(image)
        for name in _down_to_deepest(wanted):
            if _follows_pooling(name):
                x, _ = self._pool(x)
            convolution = self.convolutions[name]
            with self._cudnn():
                x = convolution(x) if torch.is_grad_enabled() else convolution.activate(x)
            if name in wanted:
                yield name, x

    @torch.no_grad()
    def observe(self, image: Tensor, layers: Iterable[str]) -> Trace:
        """Return the same activations without a graph, and what `pull_back` needs.

        It is faster than a differentiable call and takes half its memory: of a layer before a max
        pooling only the winners are kept, unless it was asked for.
        """
        wanted = _known(layers)
        x = self._preprocess(image)
        trace = Trace(_down_to_deepest(wanted))
        with self._cudnn():
            self._go_down(x, trace, wanted)
        return trace

    def _go_down(self, x: Tensor, trace: Trace, wanted: set[str]) -> None:
        for previous, name in zip(["", *trace.layers], trace.layers, strict=False):
            if _follows_pooling(name):
                pooled, winners = self._pool(x)
                trace.poolings[name] = Pooling(x.shape, pooled, winners)
                if previous not in wanted and winners is not None:
                    del trace.activations[previous]
                x = pooled
            x = trace.activations[name] = self.convolutions[name].activate(x)

    @torch.no_grad()
    def pull_back(self, trace: Trace, add_term: AddTerm) -> Tensor:
        """Return the gradient of a cost with respect to the pixels, (1, 3, H, W).

        It is float32, or float64 where the network is. This is the reverse of `observe`, layer by
        layer, with the terms of the cost added on the way; it uses the trace up.
        """
        with self._cudnn():
            gradient = self._go_up(trace, add_term)
        return gradient.to(torch.promote_types(gradient.dtype, torch.float32)) * self.scale

    def _go_up(self, trace: Trace, add_term: AddTerm) -> Tensor:
        gradient: Tensor | None = None
        for name in reversed(trace.layers):
            gradient = add_term(name, gradient)
            if (activation := trace.activations.pop(name, None)) is not None:
                gradient = _through_relu(gradient, activation)
            gradient = self.convolutions[name].adjoint(gradient)
            if pooling := trace.poolings.pop(name, None):
                gradient = self._unpool(gradient, pooling)
        if gradient is None:
            raise ValueError("nothing was observed")
        return gradient

    def _cudnn(self) -> AbstractContextManager[None]:
        """Return a block in which convolutions are computed as chosen."""
        return self.cuda_options.convolutions() if self.device.type == "cuda" else nullcontext()

    def warm_up(self) -> None:
        """Lay out the parameters that most runs need, so that no run has to wait for it."""
        trace = self.observe(self.mean.expand(1, 3, 16, 16), ["relu5_1"])
        self.pull_back(
            trace,
            lambda layer, gradient: gradient if gradient is not None else trace.activations[layer],
        )

    def lay_out(self) -> None:
        """Lay the parameters out on the device without computing anything there."""
        for name in _down_to_deepest({"relu5_1"}):
            self.convolutions[name].lay_out()

    @functools.cached_property
    def in_float32(self) -> VGG:
        """Return the same network, wide enough for costs that are shown."""
        if self.dtype in (torch.float32, torch.float64):
            return self
        return VGG(self.weights, pooling=self.pooling, device=self.device)

    def _preprocess(self, image: Tensor) -> Tensor:
        x = (image - self.mean) * self.scale
        return x.to(self.dtype, memory_format=torch.channels_last)

    def _pool(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return halves of height and width, and where the maxima were."""
        sliver = _is_sliver(x.shape)
        if self.pooling == "average":
            return F.avg_pool2d(x, 2, ceil_mode=sliver), None
        return F.max_pool2d_with_indices(x, [2, 2], ceil_mode=sliver)

    def _unpool(self, gradient: Tensor, pooling: Pooling) -> Tensor:
        """Apply the adjoint of `_pool`; of maxima, also that of the ReLU before."""
        if pooling.winners is None:
            return spread_average(gradient, pooling.size)
        gradient = _through_relu(gradient, pooling.pooled)
        spread = {"cpu": unpool_on_cpu, "cuda": unpool}.get(gradient.device.type, unpool_anywhere)
        return spread(gradient, pooling.winners, pooling.size)


def carry_down(weights: Tensor, layers: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
    """Yield layers with the weights of their positions, from those of pixels, (1, 1, H, W).

    They are means over the pixels that a position stands for, by the geometry of the network's
    poolings: what these leave out at an edge counts nowhere.
    """
    wanted = _known(layers)
    for name in _down_to_deepest(wanted):
        if _follows_pooling(name):
            weights = F.avg_pool2d(weights, 2, ceil_mode=_is_sliver(weights.shape))
        if name in wanted:
            yield name, weights


@dataclass(frozen=True)
class Pooling:
    """One pooling of a sweep: the size that went in, what came out, and the maxima's positions."""

    size: torch.Size
    pooled: Tensor
    winners: Tensor | None


@dataclass(frozen=True)
class Trace:
    """What a sweep down the network leaves for the way back."""

    layers: list[str]  # from the first to the deepest
    activations: dict[str, Tensor] = field(default_factory=dict)
    poolings: dict[str, Pooling] = field(default_factory=dict)  # by the layer that follows


def spread_average(gradient: Tensor, size: torch.Size) -> Tensor:
    """Return the adjoint of average pooling of `size`: a share of the gradient for each pixel."""
    like = _empty(gradient, size)
    spread: Tensor = torch.ops.aten.avg_pool2d_backward(
        gradient, like, [2, 2], [2, 2], [0, 0], _is_sliver(size), True, None
    )
    return spread


def unpool(gradient: Tensor, winners: Tensor, size: torch.Size) -> Tensor:
    """Return zeros of `size`, and the gradient of each maximum where that maximum was."""
    like, sliver = _empty(gradient, size), _is_sliver(size)
    spread: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
        gradient, like, [2, 2], [2, 2], [0, 0], [1, 1], sliver, winners
    )
    return spread


def unpool_on_cpu(gradient: Tensor, winners: Tensor, size: torch.Size) -> Tensor:
    """Return the same, twice as fast there; other devices copy, or lack it."""
    return F.max_unpool2d(gradient, winners, [2, 2], output_size=size[-2:])


def unpool_anywhere(gradient: Tensor, winners: Tensor, size: torch.Size) -> Tensor:
    """Return the same by operators that every device has.

    MPS looks for the maxima again in what went into the pooling, which a run does not keep.
    """
    spread = gradient.new_zeros((*size[:2], size[2] * size[3]))  # (1, n_C, H * W)
    spread.scatter_(2, winners.flatten(2), gradient.flatten(2))
    return spread.view(size).contiguous(memory_format=torch.channels_last)


def _empty(gradient: Tensor, size: torch.Size) -> Tensor:
    """Return a tensor of `size` that tells a backward operator the layout; nobody fills it."""
    return torch.empty(
        size, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last
    )


def _is_sliver(size: torch.Size) -> bool:
    """Tell whether height or width is 1: pooling keeps a picture's one row or column."""
    return min(size[-2:]) < 2


def _through_relu(gradient: Tensor, activation: Tensor) -> Tensor:
    """Set the gradient to 0 where the ReLU gave 0; in place."""
    torch.ops.aten.threshold_backward.grad_input(gradient, activation, 0, grad_input=gradient)
    return gradient


def _known(layers: Iterable[str]) -> set[str]:
    wanted = set(layers)
    if unknown := sorted(wanted - set(LAYER_CHANNELS)):
        raise ValueError(f"no layers {unknown}; VGG-19 has {', '.join(LAYER_CHANNELS)}")
    return wanted


def _down_to_deepest(wanted: set[str]) -> list[str]:
    names = list(LAYER_CHANNELS)
    return names[: max((names.index(name) + 1 for name in wanted), default=0)]


def _follows_pooling(name: str) -> bool:
    return name.endswith("_1") and name != "relu1_1"
