"""What every setting does to the picture: from one end to the other, and in the right direction."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import nst.engine.transfer
from helpers.places import DRAWN, EXAMPLES
from nst import load_image
from nst.engine.devices import load_network
from nst.engine.losses import normalized_gram_matrix
from nst.engine.objective import Objective
from nst.engine.transfer import transfer_style
from nst.errors import WeightsError
from nst.images.color import dial_colors
from nst.images.tensors import fit, to_tensor
from nst.settings import LAYER_CHANNELS, STYLE_COSTS, TransferSettings, options

pytestmark = pytest.mark.real

SIDE = 128
BASE = TransferSettings(size=SIDE, iterations=30, precision="float32")


@dataclass(frozen=True)
class Result:
    """The end of a run; costs are those of its last step, colours are dialled."""

    image: Image.Image
    J: float
    content: float
    style: float


@functools.cache
def photo() -> Image.Image:
    return fit(load_image(EXAMPLES / "content/castle.jpg"), 320)


@functools.cache
def painting() -> Image.Image:
    return fit(load_image(DRAWN / "night_impasto.jpg"), 320)


_results: dict[str, Result] = {}


def result(changes: dict[str, Any]) -> Result:
    """The picture under `BASE` with these changes; each is painted once."""
    settings = BASE.replace(**changes)
    key = repr(settings)
    if key not in _results:
        for step in transfer_style(photo(), painting(), settings, device="cpu"):
            last = step
        image = dial_colors(last.image, photo(), [painting()], settings.colors)
        _results[key] = Result(image, last.J, last.content, last.style)
    return _results[key]


def gray(image: Image.Image) -> npt.NDArray[Any]:
    return np.asarray(image.convert("L"), dtype=np.float64)


def seam(result: Result) -> float:
    """The squared step across the seam over those of its neighbours, of both directions."""
    ratios = []
    for axis in (0, 1):
        lines = np.moveaxis(gray(result.image), axis, 0)
        at = len(lines) // 2 - 1
        steps = np.square(np.diff(np.roll(lines, len(lines) // 2, 0), axis=0)).mean(1)
        near = [*steps[at - 8 : at], *steps[at + 1 : at + 9]]
        ratios.append(steps[at] / np.mean(near))
    return float(np.mean(ratios))


def high_frequency(result: Result) -> float:
    """The standard deviation of what a 3 x 3 mean takes away, in levels."""
    pixels = gray(result.image)
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    left = pixels - np.stack([np.roll(pixels, shift, (0, 1)) for shift in shifts]).mean(0)
    return float(left[1:-1, 1:-1].std())


def mean_frequency(result: Result) -> float:
    """The centre of the power spectrum of the brightness, in cycles per pixel."""
    pixels = gray(result.image)
    power = np.abs(np.fft.fft2(pixels - pixels.mean())) ** 2
    y, x = (np.fft.fftfreq(side) for side in pixels.shape)
    radius = np.hypot(y[:, None], x)
    return float(np.average(radius, weights=power))


def likeness_to_photo(result: Result) -> float:
    """The correlation of fine detail with the photo's."""
    details = []
    for image in (result.image, photo().resize(result.image.size, Image.Resampling.LANCZOS)):
        pixels = gray(image)
        details.append((pixels - np.roll(pixels, 2, 1)).ravel())
    return float(np.corrcoef(details)[0, 1])


def mean_color(image: Image.Image) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = np.asarray(image, dtype=np.float64).mean((0, 1))
    return mean


def from_painting(result: Result) -> float:
    """How far the mean colour is from the painting's, in levels."""
    return float(np.linalg.norm(mean_color(result.image) - mean_color(painting())))


def hue_from_photo(result: Result) -> float:
    """How far the mean colour is from the photo's beside its brightness, in levels."""
    difference = mean_color(result.image) - mean_color(photo())
    return float(np.linalg.norm(difference - difference.mean()))


def layer_distance(layer: str) -> Callable[[Result], float]:
    """How far a layer's Gram matrix is from the painting's."""

    def measure(result: Result) -> float:
        network = load_network(BASE, "cpu")
        grams = [
            normalized_gram_matrix(network(to_tensor(image), [layer])[layer])
            for image in (result.image, fit(painting(), max(result.image.size)))
        ]
        return float((grams[0] - grams[1]).norm() / grams[1].norm())

    return measure


def style_cost_by(name: str) -> Callable[[Result], float]:
    """The style cost of the picture, compared in one way."""

    def measure(result: Result) -> float:
        settings = BASE.replace(style_costs={name: 1.0})
        seen, scene, style = (
            to_tensor(fit(image, SIDE)) for image in (result.image, photo(), painting())
        )
        return Objective(load_network(settings, "cpu"), scene, [style], settings).costs(seen).style

    return measure


def style_from_afar(result: Result) -> float:
    """The style cost of the picture at half its size."""
    half = TransferSettings(size=max(result.image.size) // 2, precision="float32")
    seen, scene, style = (
        to_tensor(fit(image, half.size)) for image in (result.image, photo(), painting())
    )
    return Objective(load_network(half, "cpu"), scene, [style], half).costs(seen).style


@dataclass(frozen=True)
class Effect:
    """What a setting's two ends do: `measure` at `high` is `factor` times that at `low` at most
    (below 1), or at least (above 1)."""

    low: Any
    high: Any
    measure: Callable[[Result], float]
    factor: float
    beside: dict[str, Any]  # other settings, for both

    def check(self, name: str) -> None:
        low, high = (
            self.measure(result({**self.beside, name: value})) for value in (self.low, self.high)
        )
        assert low > 0
        if self.factor < 1:
            assert high <= self.factor * low
        else:
            assert high >= self.factor * low


def effect(
    low: Any, high: Any, measure: Callable[[Result], float], factor: float, **beside: Any
) -> Effect:
    return Effect(low, high, measure, factor, beside)


EFFECTS: dict[str, list[Effect]] = {
    "size": [effect(64, 128, lambda r: max(r.image.size), 2.0, iterations=2)],
    "iterations": [effect(1, 40, lambda r: r.J, 0.1)],
    "alpha": [
        effect(0.01, 100.0, lambda r: r.content, 0.7),
        effect(1.0, 10.0, lambda r: r.content, 0.95),
    ],
    "beta": [
        effect(0.01, 100.0, lambda r: r.style, 0.6),
        effect(0.1, 1.0, lambda r: r.content, 1.05),  # 1.12: the scene gives way
    ],
    "content_layer": [
        effect(
            "relu5_4",
            "relu2_2",
            likeness_to_photo,
            2,
            alpha=100.0,
            beta=0.01,
            start="noise",
            iterations=15,
        )
    ],
    "content_layers": [
        effect(
            {"relu5_4": 1.0},
            {"relu2_2": 1.0, "relu5_4": 1.0},
            likeness_to_photo,
            2,
            alpha=100.0,
            beta=0.01,
            start="noise",
            iterations=15,
        ),
    ],
    "laplacian": [effect(0.0, 10.0, likeness_to_photo, 1.05)],
    "style_costs": [
        effect({"gram": 1.0}, {name: 1.0}, style_cost_by(name), 0.7)
        for name in STYLE_COSTS
        if name != "gram"
    ],
    "optimizer": [effect("adam", "lbfgs", lambda r: r.J, 0.8)],
    "start": [
        effect("recolored", "noise", lambda r: r.content, 1.1),
        effect("recolored", "noise", high_frequency, 1.2),
        effect("content", "recolored", from_painting, 0.5, iterations=1),
    ],
    "restructure": [effect("little", "much", lambda r: r.content, 1.02, size=192, iterations=8)],
    "base_size": [effect(128, 2048, lambda r: r.content, 0.98, size=384, iterations=24)],
    "base_weight": [
        effect(0.0, 10.0, style_from_afar, 0.5, size=264, base_size=128, restructure="much")
    ],
    "pooling": [effect("max", "average", high_frequency, 0.97)],
    "style_scale": [effect(0.25, 3.0, mean_frequency, 0.8)],
    "edges": [effect("plain", "seamless", seam, 0.6)],
    "total_variation": [
        effect(0.0, 10.0, high_frequency, 0.75, start="noise"),
        effect(0.0, 1.0, high_frequency, 0.98, start="noise"),
        effect(0.0, 10.0, high_frequency, 0.92),
        effect(0.0, 10.0, high_frequency, 0.75, beta=10.0, alpha=0.01, start="noise"),
    ],
    "colors": [effect(-1.0, 1.0, from_painting, 0.3)],
    "color_transfer": [
        effect("none", "monge", hue_from_photo, 0.5),
        effect("none", "luminance", hue_from_photo, 0.5),
    ],
}
# Tests of their own, below and with the starts of one's own.
ELSEWHERE = {"init_weight", "layer_weights", "seed", "precision", "weights"}


def test_no_setting_is_left_out() -> None:
    assert EFFECTS.keys() | ELSEWHERE == options().keys()
    for name, effects in EFFECTS.items():
        option = options()[name]
        for value in (end for each in effects for end in (each.low, each.high)):
            TransferSettings(**{name: value})
        if name in ("alpha", "beta", "style_scale", "total_variation", "colors"):
            assert (effects[0].low, effects[0].high) == option.range


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, i) for name, effects in EFFECTS.items() for i in range(len(effects))],
)
def test_a_setting_changes_the_picture_as_it_says(name: str, number: int) -> None:
    EFFECTS[name][number].check(name)


@pytest.mark.parametrize("layer", LAYER_CHANNELS)
def test_a_layers_weight_brings_that_layer_near_the_painting(layer: str) -> None:
    others = {"relu2_2": 0.01} if layer != "relu2_2" else {"relu3_1": 0.01}
    heavy = {"alpha": 0.01, "beta": 100.0, "size": 80, "iterations": 12}
    factor = 0.995 if layer == "relu5_4" else 0.9  # its activations are the smallest of all
    Effect(others, {**others, layer: 10.0}, layer_distance(layer), factor, heavy).check(
        "layer_weights"
    )


def test_smoothness_takes_off_more_and_more() -> None:
    """Evenly: each half of the slider does a third of the whole at least."""
    values = (0.0, 5.0, 10.0)
    energies = [high_frequency(result({"total_variation": v, "start": "noise"})) for v in values]
    steps = -np.diff(energies)
    assert (steps > steps.sum() / 3).all()


def test_another_seed_is_another_picture_and_the_same_one_the_same() -> None:
    def noise(seed: int) -> bytes:
        settings = BASE.replace(start="noise", seed=seed, iterations=1)
        *_, last = transfer_style(photo(), painting(), settings, device="cpu")
        return last.image.tobytes()

    assert noise(0) == noise(0) != noise(2**31 - 1)


@pytest.mark.parametrize("precision", options()["precision"].choices)
def test_the_precision_changes_nothing_that_is_seen(precision: str) -> None:
    plain, other = result({}), result({"precision": precision})
    assert abs(other.J - plain.J) < 0.15 * plain.J
    assert np.abs(mean_color(plain.image) - mean_color(other.image)).max() < 4


@pytest.mark.parametrize("weights", options()["weights"].choices)
def test_the_network_is_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    def refuse(name: str) -> None:
        raise WeightsError(f"asked for {name}")

    monkeypatch.setattr(nst.engine.devices, "load_weights", refuse)
    with pytest.raises(WeightsError, match=f"^asked for {weights}$"):
        next(transfer_style(photo(), painting(), BASE.replace(weights=weights), device="cpu"))
