"""VGG-19 as a feature extractor: RGB pictures in, activations by layer name out.

Knows the network's architecture and preprocessing; nothing of costs, and not where the
parameters come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nst.settings import LAYER_CHANNELS
from nst.weights import VGGWeights

POOLINGS = {"max": F.max_pool2d, "average": F.avg_pool2d}


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
        self.pool: Any = POOLINGS[pooling]
        self.device = torch.device(device)
        self.dtype = dtype
        self.mean = torch.tensor(weights.mean, device=device).view(1, 3, 1, 1)
        self.scale = torch.tensor(weights.scale, device=device).view(1, 3, 1, 1)
        self.convolutions = {  # channels_last is where convolutions and Gram matrices are fastest
            name: (
                weight.to(self.device, dtype).contiguous(memory_format=torch.channels_last),
                bias.to(self.device, dtype),
            )
            for name, (weight, bias) in weights.convolutions.items()
        }

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Activations of (1, 3, H, W) RGB in [0, 1]: layer name -> (1, n_C, n_H, n_W) of the
        network's dtype.

        A layer such as `relu4_2` is the output of the ReLU after the second convolution of the
        fourth block. Nothing beyond the deepest layer asked for is computed. Raises `ValueError`
        for names that VGG-19 does not have.
        """
        wanted = set(layers)
        if unknown := sorted(wanted - set(LAYER_CHANNELS)):
            raise ValueError(f"no layers {unknown}; VGG-19 has {', '.join(LAYER_CHANNELS)}")
        x = ((image - self.mean) * self.scale).to(self.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        activations: dict[str, Tensor] = {}
        for name in LAYER_CHANNELS:
            if len(activations) == len(wanted):
                break
            if name.endswith("_1") and name != "relu1_1":
                x = self.pool(x, 2, ceil_mode=min(x.shape[-2:]) < 2)  # slivers keep their pixel
            weight, bias = self.convolutions[name]
            x = F.relu_(F.conv2d(x, weight, bias, padding=1))
            if name in wanted:
                activations[name] = x
        return activations
