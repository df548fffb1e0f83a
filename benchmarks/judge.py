"""Judge finished pictures by a network that no method here optimises: a shift-tolerant AlexNet.

The parameters come from the package stlpips-pytorch (Ghildyal & Liu 2022, "Shift-tolerant
Perceptual Similarity Metric"), whose notices are non-commercial: a requirement of the benchmarks
only. Of the package nothing is run; its file of parameters is read.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

PACKAGE = "stlpips_pytorch"
FILE = Path("weights", "vST0.0", "alex_shift_tolerant.pth")
MISSING = (
    "The independent judge is left out: install requirements-benchmarks.txt to have it (its"
    " parameters are for non-commercial use)."
)


class Verdict(NamedTuple):
    """How far a picture is from its painting and from its photo; 0 is the same."""

    style: float
    content: float


class Judge:
    """The shift-tolerant AlexNet, with the heads of ST-LPIPS.

    `parameters` are named as in the package's file. Pictures are RGB, 8-bit, at the size at which
    they are delivered; both sides of its smallest layer need 3 positions: 64 px will do.
    """

    def __init__(self, parameters: Mapping[str, Tensor], device: str = "cpu") -> None:
        self.parameters = {name: tensor.to(device) for name, tensor in parameters.items()}
        self.device = device

    def __call__(
        self, pictures: Sequence[Image.Image], photo: Image.Image, painting: Image.Image
    ) -> list[Verdict]:
        """Return the verdict on each of `pictures`, which have the size of `photo`."""
        scene, style = self.activations(photo), self.activations(painting)
        return [
            Verdict(style_distance(seen, style), self._content_distance(seen, scene))
            for seen in map(self.activations, pictures)
        ]

    @torch.no_grad()
    def activations(self, picture: Image.Image) -> list[Tensor]:
        """Return the activations of the five layers, each (1, n_C, n_H, n_W)."""
        values = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
        image = values.view(picture.height, picture.width, 3).permute(2, 0, 1)[None]
        x = image.to(self.device).float() / 127.5 - 1
        x = (x - self.parameters["scaling_layer.shift"]) / self.parameters["scaling_layer.scale"]
        first = F.relu(self._blur(self._convolve(x, "slice1.0", 2), "slice1.1"))
        x = self._blur(F.max_pool2d(first, 3, stride=1), "slice2.4")
        second = F.relu(self._convolve(x, "slice2.5", 2))
        x = self._blur(F.max_pool2d(second, 3, stride=1), "slice3.8")
        third = F.relu(self._convolve(x, "slice3.9", 1))
        fourth = F.relu(self._convolve(third, "slice4.11", 1))
        fifth = F.relu(self._convolve(fourth, "slice5.13", 1))
        return [first, second, third, fourth, fifth]

    def _convolve(self, x: Tensor, name: str, padding: int) -> Tensor:
        weight, bias = (self.parameters[f"net.{name}.{part}"] for part in ("weight", "bias"))
        return F.conv2d(x, weight, bias, padding=padding)

    def _blur(self, x: Tensor, name: str) -> Tensor:
        """Return half the height and width, low-pass filtered (Zhang 2019, "BlurPool")."""
        x = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(x, self.parameters[f"net.{name}.filt"], stride=2, groups=x.shape[1])

    def _content_distance(self, seen: list[Tensor], scene: list[Tensor]) -> float:
        """Return ST-LPIPS: differences of unit vectors, weighted by the trained heads."""
        total = 0.0
        for number, (a, b) in enumerate(zip(seen, scene, strict=True)):
            head = self.parameters[f"lin{number}.model.1.weight"]
            difference = (F.normalize(a, eps=1e-10) - F.normalize(b, eps=1e-10)).square()
            total += F.conv2d(difference, head).mean().item()
        return total


def style_distance(seen: list[Tensor], style: list[Tensor]) -> float:
    """Return the mean over the layers of ‖G − G_S‖ / ‖G_S‖, Gram matrices over their positions."""
    ratios = []
    for a, b in zip(seen, style, strict=True):
        G, G_S = _gram(a), _gram(b)
        ratios.append(float((G - G_S).norm() / G_S.norm()))
    return sum(ratios) / len(ratios)


def load_judge(device: str = "cpu") -> Judge | None:
    """Return the judge, or None where its package is not installed."""
    found = importlib.util.find_spec(PACKAGE)  # which does not import it
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / FILE
    return Judge(torch.load(path, map_location="cpu", weights_only=True), device)


def _gram(activation: Tensor) -> Tensor:
    """Return (n_C, n_C), divided by the number of positions."""
    matrix = activation[0].flatten(1)  # (n_C, n_H * n_W)
    return matrix @ matrix.T / matrix.shape[1]
