"""Colour and smoothness: grey inputs, colour noise, smoothness, the painting's scale, noise starts.

python -m benchmarks.colour                      every figure, as lines of text
python -m benchmarks.colour --only --strip examples/smoothness.jpg
"""

from __future__ import annotations

import argparse
import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.example_pictures import load_pair
from nst import TransferSettings, transfer_style
from nst.engine.schedule import Moment, plan_scales, style_side
from nst.images.color import dial_colors
from nst.images.tensors import fit

PAIRS = (("castle", "night_impasto"), ("coffee", "mosaic_koi"), ("moose", "woodblock_waves"))
SMOOTHNESS = (0.0, 1.0, 3.0, 5.0, 7.0, 10.0)


def main() -> None:
    sections: dict[str, Callable[[], None]] = {
        "grey": measure_grey,
        "noise": measure_noise,
        "ordinary": measure_ordinary,
        "smoothness": measure_smoothness,
        "scale": measure_scale,
        "start": measure_start,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="*", choices=sections, default=list(sections))
    parser.add_argument("--strip", type=Path, metavar="FILE", help="where to draw the smoothness")
    options = parser.parse_args()
    for name in options.only:
        sections[name]()
    if options.strip:
        draw_strip(options.strip)


def measure_grey() -> None:
    """Print the largest difference between channels where photo and painting are grey."""
    photo, painting = (to_grey(picture) for picture in load_pair("castle", "ink_hatching"))
    print("Grey in: largest difference between channels, mean |R - G|, in levels")
    for start, optimizer in itertools.product(("recolored", "content", "noise"), ("lbfgs", "adam")):
        settings = TransferSettings(size=193, iterations=30, start=start, optimizer=optimizer)
        for name, change in (
            ("RGB", lambda p: p),
            ("JPEG with noise", lambda p: as_jpeg(noisy(p))),
        ):
            inputs = change(photo), change(painting)
            image = paint(*inputs, settings)
            again = paint(*inputs, settings, begin=Moment(image, 15))
            figures = [_channels(picture) for picture in (image, again)]
            print(f"  {start}, {optimizer}, {name}: {figures[0]}; continued: {figures[1]}")
    for size in (640, 384):
        image = paint(photo, painting, TransferSettings(size=size, iterations=16))
        print(f"  {size} px, coarse to fine: {_channels(image)}")


def measure_noise() -> None:
    """Print the chroma grain of a black-and-white photo's twins, in start, end and dial."""
    photo, painting = load_pair("castle", "night_impasto")
    clean = to_grey(fit(photo, 256))
    pixels = _levels(clean)
    twins = {
        "clean": clean,
        "one level": noisy(clean),
        "two levels": noisy(clean, 2),
        "three levels": noisy(clean, 3),
        "JPEG": as_jpeg(noisy(clean, 2)),
        "cast and one level": noisy(_picture(pixels + np.array([6, 0, -6]))),
        "foggy, JPEG": as_jpeg(_picture(200 + 0.05 * (_levels(fit(photo, 256)) - 128))),
        "dark, JPEG": as_jpeg(_picture(0.04 * _levels(fit(photo, 256)))),
    }
    settings = TransferSettings(size=256, iterations=30)
    print("Chroma grain in levels: photo, start, end, dialled to the painting's colours")
    for name, twin in twins.items():
        steps = transfer_style(twin, painting, settings)
        start = next(steps).image
        for last in steps:  # noqa: B007  # the last is used
            pass
        dialled = dial_colors(twin, twin, [painting], 1.0)
        grains = ", ".join(f"{grain(image):.1f}" for image in (twin, start, last.image, dialled))
        print(f"  {name}: {grains}")


def measure_ordinary() -> None:
    """Print J of ordinary runs, at the start and at the end."""
    print("J of colour photos at 256 px: start, end")
    pairs = (*PAIRS, ("bridge", "woodblock_waves"), ("coffee", "cubist_shards"))
    more = (("rocket", "mosaic_koi"), ("dandelion", "ink_hatching"), ("honey-bee", "pointillism"))
    for content, style in (*pairs, *more, ("rocket", "stained_glass")):
        first, *_, last = transfer_style(*load_pair(content, style), TransferSettings(size=256))
        print(f"  {content}, {style}: {first.J:.6g}, {last.J:.6g}")


def measure_smoothness() -> None:
    """Print the high-frequency energy along the slider."""
    print(f"High-frequency energy in levels at smoothness {SMOOTHNESS}")
    for (content, style), size in itertools.product(PAIRS, (192, 384)):
        for start in ("noise", "recolored"):
            energies = [
                high_frequency(
                    paint(
                        *load_pair(content, style),
                        TransferSettings(size=size, start=start, total_variation=weight),
                    )
                )
                for weight in SMOOTHNESS
            ]
            print(
                f"  {content}, {style}, {size} px, {start}: "
                + ", ".join(f"{each:.1f} ({each / energies[0] - 1:+.0%})" for each in energies)
            )


def measure_scale() -> None:
    """Print the painting's side by its scale."""
    print("The painting's longest side in pixels at scale 0.25, 1, 2, 2.5, 3")
    for size in (384, 1024, 2048):
        sides = []
        for scale in (0.25, 1.0, 2.0, 2.5, 3.0):
            settings = TransferSettings(size=size, style_scale=scale)
            sides.append(style_side(plan_scales(settings)[-1].size, settings))
        print(f"  {size} px: {sides}")


def measure_start() -> None:
    """Print how well runs from noise show the scene."""
    print("Content and style cost at 256 px, 60 iterations")
    for content, style in PAIRS[:2]:
        changes = [{}, *({"start": "noise", "alpha": alpha} for alpha in (1.0, 5.0, 10.0, 20.0))]
        for change in changes:
            settings = TransferSettings(size=256).replace(**change)
            *_, last = transfer_style(*load_pair(content, style), settings)
            print(f"  {content}, {style}, {change}: {last.content:.3g}, {last.style:.3g}")


def draw_strip(path: Path) -> None:
    """Draw a part of pictures from noise and from the recoloured photo, less smooth to smoother."""
    side, box = 225, (40, 0, 190, 150)
    strip = Image.new("RGB", (4 * side + 18, 2 * side + 6), "white")
    for row, start in enumerate(("noise", "recolored")):
        for column, weight in enumerate((0.0, 1.0, 5.0, 10.0)):
            settings = TransferSettings(size=256, start=start, total_variation=weight)
            part = paint(*load_pair("castle", "night_impasto"), settings).crop(box)
            tile = part.resize((side, side), Image.Resampling.BICUBIC)
            strip.paste(tile, (column * (side + 6), row * (side + 6)))
    strip.save(path, quality=80)


def paint(
    photo: Image.Image,
    painting: Image.Image,
    settings: TransferSettings,
    begin: Moment | None = None,
) -> Image.Image:
    *_, last = transfer_style(photo, painting, settings, begin=begin)
    return last.image


def high_frequency(image: Image.Image) -> float:
    """The standard deviation of what a 3 x 3 mean takes off the brightness, in levels."""
    pixels = np.asarray(image.convert("L"), dtype=np.float64)
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    left = pixels - np.stack([np.roll(pixels, shift, (0, 1)) for shift in shifts]).mean(0)
    return float(left[1:-1, 1:-1].std())


def grain(image: Image.Image) -> float:
    """The standard deviation of differences between neighbours, each less its own mean."""
    chroma = _levels(image) - _levels(image).mean(axis=2, keepdims=True)
    return float(np.sqrt(sum(np.diff(chroma, axis=axis).var() for axis in (0, 1)) / 2))


def to_grey(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


def noisy(image: Image.Image, amplitude: int = 1) -> Image.Image:
    rng = np.random.default_rng(0)
    return _picture(_levels(image) + rng.integers(-amplitude, amplitude + 1, _levels(image).shape))


def as_jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90, subsampling=0)
    return Image.open(buffer).convert("RGB")


def _channels(image: Image.Image) -> str:
    pixels = _levels(image)
    return (
        f"{np.ptp(pixels, axis=2).max():.0f}, {np.abs(pixels[..., 0] - pixels[..., 1]).mean():.1f}"
    )


def _levels(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.asarray(image, dtype=np.float64)


def _picture(levels: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
