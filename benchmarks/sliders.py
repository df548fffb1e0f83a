"""How evenly the sliders respond: the perceptual distance of each tenth of a slider's way.

Each pair is painted at 11 positions of a slider, everything else as usual. Two pictures are
compared by

- 1 - SSIM of their luminance (Wang et al. 2004), which sees where things are, and
- the mean over `JUDGES` of ‖G_a - G_b‖ / ‖G_b‖, which sees what the paint is like. No default run
  optimises the Gram matrices of these layers.

A step is the mean of the two, each divided by its mean over the slider's way for this pair: the
mean step is 1 by definition. Wanted are steps from 0.5 to 2, as the mean over the pairs.

The picture depends on β / α alone, so the ways of α, β and Strength share what they have in common.
Pictures are kept, so that a run that was stopped goes on:

    OMP_NUM_THREADS=2 GOMP_SPINCOUNT=0 python -m benchmarks.sliders before
    OMP_NUM_THREADS=2 GOMP_SPINCOUNT=0 python -m benchmarks.sliders after
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.example_pictures import load_pair
from nst.console import run_command
from nst.engine.devices import load_network
from nst.engine.losses import normalized_gram_matrix
from nst.engine.transfer import stylize
from nst.images.tensors import to_tensor
from nst.settings import (
    ALPHA,
    BETA,
    DEFAULTS,
    MAX_LAYER_WEIGHT,
    TransferSettings,
    strength_settings,
    strokes_settings,
)
from nst.vgg.network import VGG

PAIRS = ("castle starry_night", "cat straw_hat", "bridge great_wave")
JUDGES = ("relu1_2", "relu2_2", "relu3_3", "relu4_4")
POSITIONS = tuple(tenth / 10 for tenth in range(11))
LAYERS = ("relu1_1", "relu3_1", "relu5_1")  # whose λ is moved: the shallowest to the deepest
SIZE, ITERATIONS = 224, 40
STROKES_SIZE = 320  # the base size counts only in a picture that is larger
EVEN = (0.5, 2.0)  # of the mean step
RESULTS = Path(__file__).parent / "results" / "sliders.json"
KEPT = Path("artifacts/sliders")

Way = Callable[[float], dict[str, Any]]  # from a position in [0, 1] to changes of the defaults


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sliders",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shape", choices=SHAPES, help="of the sliders")
    parser.add_argument("--ways", nargs="+", default=None, metavar="NAME")
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar='"PHOTO PAINTING"')
    parser.add_argument("--size", type=int, metavar="PX")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, metavar="N")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of the pictures")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    options = parser.parse_args()
    ways = SHAPES[options.shape]
    for name in options.ways or ways:
        size = options.size or (STROKES_SIZE if name == "Strokes" else SIZE)
        usual = DEFAULTS.replace(size=size, iterations=options.iterations)
        measured = measure(ways[name], usual, options.pairs, options.kept)
        print(row(name, measured), flush=True)
        shape = f"{options.shape}, {size} px" if options.size else options.shape
        keep(options.results, shape, name, measured)


def measure(way: Way, usual: TransferSettings, pairs: Sequence[str], kept: Path) -> dict[str, Any]:
    """Return the steps along a slider's way: over all pairs, and of each."""
    judge = load_network(TransferSettings(precision="float32"), "auto")
    distances, ends = [], []  # (pair, step, measure) and (pair, measure)
    for pair in pairs:
        seen = [see(judge, paint(pair, usual.replace(**way(at)), kept)) for at in POSITIONS]
        distances.append([distance(a, b) for a, b in pairwise(seen)])
        ends.append(distance(seen[0], seen[-1]))
    raw = np.array(distances)
    steps = (raw / raw.mean(1, keepdims=True)).mean(2)  # (pair, step)
    return {
        "values": [shown(way(at)) for at in POSITIONS],
        "steps": rounded(steps.mean(0)),
        "pairs": {pair: rounded(each) for pair, each in zip(pairs, steps, strict=True)},
        "1 - SSIM": rounded(raw[:, :, 0].mean(0)),
        "Gram": rounded(raw[:, :, 1].mean(0)),
        "end to end": rounded(np.array(ends).mean(0)),
        "size": usual.size,
        "iterations": usual.iterations,
    }


def paint(pair: str, settings: TransferSettings, kept: Path) -> Image.Image:
    """Return the finished picture; one that was kept is not painted again."""
    values = settings.to_json()
    ratio = f"{values.pop('beta') / values.pop('alpha'):.3g}"
    values["layer_weights"] = settings.style_layers
    mark = zlib.crc32(json.dumps([pair, ratio, values], sort_keys=True).encode())
    path = kept / f"{pair.replace(' ', '-')}-{mark:08x}.png"
    if not path.exists():
        kept.mkdir(parents=True, exist_ok=True)
        picture = stylize(*load_pair(*pair.split()), settings)
        picture.save(path.with_suffix(".part"), "PNG")
        path.with_suffix(".part").rename(path)
    with Image.open(path) as picture:
        return picture.convert("RGB")


@dataclass(frozen=True)
class Seen:
    """What is compared of a picture."""

    luminance: Tensor  # (1, 1, H, W) float64 in [0, 1]
    grams: list[Tensor]  # (n_C, n_C) of each of `JUDGES`


@torch.no_grad()
def see(judge: VGG, picture: Image.Image) -> Seen:
    """Return what is compared of a picture."""
    luminance = torch.from_numpy(np.asarray(picture.convert("L"), dtype=float))[None, None] / 255
    activations = judge(to_tensor(picture).to(judge.device), JUDGES)
    return Seen(luminance, [normalized_gram_matrix(activations[layer]) for layer in JUDGES])


def distance(a: Seen, b: Seen) -> tuple[float, float]:
    """Return 1 - SSIM, and the mean over `JUDGES` of ‖G_a - G_b‖ / ‖G_b‖."""
    grams = [float((G - H).norm() / H.norm()) for G, H in zip(a.grams, b.grams, strict=True)]
    return 1 - ssim(a.luminance, b.luminance), float(np.mean(grams))


def ssim(a: Tensor, b: Tensor) -> float:
    """Return the mean structural similarity of (1, 1, H, W) in [0, 1] (Wang et al. 2004, eq. 13).

    The window is the paper's: 11 pixels, Gaussian, of standard deviation 1.5.
    """
    line = torch.exp(-(torch.arange(-5.0, 6.0, dtype=a.dtype).square()) / (2 * 1.5**2))
    line = line / line.sum()
    window = torch.outer(line, line)[None, None]

    def mean(x: Tensor) -> Tensor:
        return F.conv2d(x, window)

    mean_a, mean_b = mean(a), mean(b)
    variance_a = mean(a * a) - mean_a**2
    variance_b = mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    C1, C2 = 0.01**2, 0.03**2
    likeness = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    return float(
        (likeness / ((mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2))).mean()
    )


def row(name: str, measured: dict[str, Any]) -> str:
    """Return a line of the table: each step over the mean step, and the pairs' own extremes."""
    steps = " | ".join(f"{step:.2f}" for step in measured["steps"])
    own = [step for each in measured["pairs"].values() for step in each]
    return f"| {name} | {steps} | {min(own):.2f} to {max(own):.2f} |"


def keep(path: Path, shape: str, name: str, measured: dict[str, Any]) -> None:
    """Add what was measured of a way to the results."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results.setdefault(shape, {})[name] = measured
    path.write_text(json.dumps(results, indent=1) + "\n")


def rounded(values: np.ndarray[Any, Any]) -> list[float]:
    return [round(float(value), 4) for value in values]


def shown(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes with what is left as it is by default taken out of the λ."""
    weights = {
        layer: weight
        for layer, weight in changes.get("layer_weights", {}).items()
        if weight != DEFAULTS.layer_weights.get(layer)
    }
    others = {name: value for name, value in changes.items() if name != "layer_weights"}
    return others | ({"layer_weights": weights} if weights else {})


def weight_of(layer: str, value: float) -> dict[str, Any]:
    """Return the usual λ with one of another value."""
    return {"layer_weights": {**DEFAULTS.layer_weights, layer: value}}


def moves_weight(layer: str) -> Way:
    """Return the way of one layer's λ."""
    return lambda at: weight_of(layer, MAX_LAYER_WEIGHT * at)


UNSHAPED: dict[str, Way] = {
    "Strokes": strokes_settings,
    **{f"λ {layer}": moves_weight(layer) for layer in LAYERS},
}
"""The sliders that responded evenly as they were."""

BEFORE: dict[str, Way] = {
    "α": lambda at: {"alpha": 10 ** (4 * at - 2)},
    "β": lambda at: {"beta": 10 ** (4 * at - 2)},
    "Strength": lambda at: {"alpha": 10 ** (1 - 2 * at), "beta": 10 ** (2 * at - 1)},
    **UNSHAPED,
}
"""The sliders before they were shaped: α, β and β / α by their logarithms."""

AFTER: dict[str, Way] = {
    "α": lambda at: {"alpha": ALPHA.value(at)},
    "β": lambda at: {"beta": BETA.value(at)},
    "Strength": strength_settings,
    **UNSHAPED,
}

SHAPES = {"before": BEFORE, "after": AFTER}


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.sliders"))
