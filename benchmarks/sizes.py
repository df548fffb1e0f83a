"""The same settings at 256, 512, 1024 and 2048 px: how alike the pictures look, and what they cost.

J at the finished size says nothing of it: larger pictures have more to match. What is compared is
the delivered picture scaled to 256 px: its spectrum in cycles per picture, and its style cost.

Writes a table to stdout, and with `--sheet` the pictures side by side, scaled alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nst.console import run_command
from nst.engine.devices import load_network
from nst.engine.objective import Objective
from nst.engine.schedule import plan_scales
from nst.engine.transfer import stylize
from nst.images.reading import load_image
from nst.images.tensors import fit, to_tensor
from nst.settings import TransferSettings

EXAMPLES = Path(__file__).parents[1] / "examples"
PAIRS = (
    *("castle starry_night", "bridge great_wave", "astronaut jean_metzinger", "cat straw_hat"),
    *("citrus udnie", "coffee the_scream", "moose wheat_field", "dandelion stained_glass"),
)
SIZES = (256, 512, 1024, 2048)
SEEN = 256  # pixels; the longest side at which pictures are compared
SHOWN = 480  # pixels; the longest side on the sheet


@dataclass(frozen=True)
class Result:
    """A picture, what it took, and how it looks from afar."""

    picture: Image.Image
    seconds: float
    evaluations: float  # in those of its own size
    centroid: float  # cycles per picture
    style: float  # its cost at `SEEN`


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar='"PHOTO PAINTING"')
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="PX")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write the pictures here")
    options = parser.parse_args()
    print("| pair | px | seconds | evaluations | centroid | apart | style from afar | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for pair in options.pairs:
        photo, painting = pair.split()
        results = list(paint(photo, painting, options.sizes))
        for size, result in zip(options.sizes, results, strict=True):
            print(row(pair, size, result, results[0]), flush=True)
        rows.append([result.picture for result in results])
        if options.sheet:
            sheet_of(rows).save(options.sheet, quality=88)


def paint(photo_name: str, painting_name: str, sizes: Sequence[int]) -> Iterator[Result]:
    """Paint a pair with the usual settings at each size."""
    photo = load_image(EXAMPLES / "content" / f"{photo_name}.jpg")
    painting = load_image(EXAMPLES / "style" / f"{painting_name}.jpg")
    load_network(TransferSettings(), "auto").warm_up()
    for size in sizes:
        settings = TransferSettings(size=size)
        began = time.perf_counter()
        picture = stylize(photo, painting, settings)
        yield Result(
            picture=picture,
            seconds=time.perf_counter() - began,
            evaluations=sum(scale.work for scale in plan_scales(settings)) / size**2,
            centroid=centroid(picture),
            style=style_from_afar(picture, photo, painting),
        )


def centroid(picture: Image.Image) -> float:
    """Return the mean frequency of the luminance at `SEEN` px, in cycles per longest side.

    Frequencies are weighted by the amplitudes of the spectrum under a Hann window.
    """
    levels = np.asarray(fit(picture, SEEN).convert("L"), dtype=float)
    height, width = levels.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    amplitudes = np.abs(np.fft.fft2((levels - levels.mean()) * window))
    longest = max(height, width)
    rows, columns = (np.fft.fftfreq(side) * longest for side in (height, width))
    frequencies = np.hypot(rows[:, None], columns)
    counted = (frequencies > 0.5) & (frequencies <= longest / 2)
    return float(np.average(frequencies[counted], weights=amplitudes[counted]))


@torch.no_grad()
def style_from_afar(picture: Image.Image, photo: Image.Image, painting: Image.Image) -> float:
    """Return the style cost of a picture at `SEEN` px, in float32."""
    settings = TransferSettings(size=SEEN, precision="float32")
    network = load_network(settings, "auto")
    seen, scene, style = (
        to_tensor(fit(image, SEEN)).to(network.device) for image in (picture, photo, painting)
    )
    return Objective(network, scene, [style], settings).costs(seen).style


def row(pair: str, size: int, result: Result, first: Result) -> str:
    """Return a line of the table; ratios are to the smallest picture."""
    apart = max(result.centroid / first.centroid, first.centroid / result.centroid)
    return (
        f"| {pair} | {size} | {result.seconds:.1f} | {result.evaluations:.1f}"
        f" | {result.centroid:.1f} | {apart:.2f} | {result.style:.3g}"
        f" | {result.style / first.style:.1f} |"
    )


def sheet_of(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Return pictures side by side, a row for each pair, scaled alike."""
    scaled = [
        [picture.resize(fit(row[0], SHOWN).size, Image.Resampling.LANCZOS) for picture in row]
        for row in rows
    ]
    width = max(len(row) for row in rows) * SHOWN
    sheet = Image.new("RGB", (width, sum(row[0].height for row in scaled)), "white")
    top = 0
    for row in scaled:
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * SHOWN, top))
        top += row[0].height
    return sheet


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.sizes"))
