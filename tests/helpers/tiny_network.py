"""VGG-19 with a handful of random channels, in this process or in the server of a test."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from nst.engine.transfer import TransferStep
from nst.settings import LAYER_CHANNELS
from nst.vgg.network import VGG
from nst.vgg.weights import VGGWeights

MakeNetwork = Callable[..., VGG]

TINY_CHANNELS = {"1": 4, "2": 5, "3": 6, "4": 7, "5": 8}  # by block
LONG_RUN = 400  # iterations, of a run that is meant to outlast its test
PAUSE = 0.2  # seconds between two iterations of one: no machine is quicker than that
SERVED = "from helpers import tiny_network; tiny_network.install()"
"""The plant of a server that paints with this network: see `server.running_server`."""


def tiny_weights(seed: int = 0) -> VGGWeights:
    """Make random parameters that keep the size of activations from layer to layer."""
    generator = torch.Generator().manual_seed(seed)
    convolutions = {}
    n_in = 3
    for layer in LAYER_CHANNELS:
        n_out = TINY_CHANNELS[layer[len("relu")]]
        weight = torch.randn(n_out, n_in, 3, 3, generator=generator) * math.sqrt(2 / (9 * n_in))
        convolutions[layer] = (weight, torch.randn(n_out, generator=generator))
        n_in = n_out
    return VGGWeights((0.48, 0.46, 0.41), (255.0, 255.0, 255.0), convolutions)


def install() -> None:
    """Make this process paint with the tiny network, and long runs leave the processor to others.

    What a visitor does meanwhile then takes as long on any machine, and a long run is still going
    on when it is stopped.
    """
    import nst.studio.backends.local
    import nst.vgg.loading

    loading: Any = nst.vgg.loading
    painting: Any = nst.studio.backends.local
    paint = painting.transfer_style

    def unhurried(*arguments: Any, **options: Any) -> Iterator[TransferStep]:
        for step in paint(*arguments, **options):
            if step.total >= LONG_RUN:
                time.sleep(PAUSE)
            yield step

    weights = tiny_weights()
    loading.cached_weights = lambda _: weights
    painting.transfer_style = unhurried
