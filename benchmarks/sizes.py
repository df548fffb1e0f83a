"""The same settings at 256, 512, 1024 and 2048 px: how alike the pictures look, and what they cost.

J at the finished size says nothing of it: larger pictures have more to match. What is compared is
the delivered picture scaled to 256 px: its spectrum in cycles per picture, and its style cost.

Figures are kept in `benchmarks/results/sizes.json` and pictures in `artifacts/sizes`, by pair, size
and base weight: a run that was measured is not repeated, unless `--again` says so or `--sheet`
needs its picture. Writes a table of those that were asked for to stdout, times in those of the
smallest picture, and with `--sheet` the pictures side by side, scaled alike.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.example_pictures import load_pair
from nst.console import run_command
from nst.engine.devices import load_network
from nst.engine.objective import Objective
from nst.engine.schedule import plan_scales
from nst.engine.transfer import transfer_style
from nst.images.tensors import fit, to_tensor
from nst.settings import DEFAULTS, TransferSettings

PAIRS = (
    *("castle starry_night", "coffee great_wave", "astronaut jean_metzinger", "bridge shipwreck"),
    *("moose olive_trees", "citrus udnie", "dandelion ink_hatching", "rocket stained_glass"),
)
SIZES = (256, 512, 1024, 2048)
SEEN = 256  # pixels; the longest side at which pictures are compared
SHOWN = 480  # pixels; the longest side on the sheet
RESULTS = Path(__file__).parent / "results" / "sizes.json"
PICTURES = Path(__file__).parents[1] / "artifacts" / "sizes"


@dataclass(frozen=True)
class Result:
    """What a picture took, its costs, and how it looks from afar."""

    pair: str
    size: int
    base_weight: float
    seconds: float  # of the process, on all its threads
    evaluations: float  # in those of its own size
    J: float
    content: float
    style: float
    centroid: float  # cycles per picture
    style_from_afar: float  # its cost at `SEEN`

    @property
    def key(self) -> tuple[str, int, float]:
        """Return what makes it the result that was asked for."""
        return self.pair, self.size, self.base_weight


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar='"PHOTO PAINTING"')
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="PX")
    parser.add_argument("--base-weight", type=float, default=DEFAULTS.base_weight, metavar="W")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument("--only-kept", action="store_true", help="measure nothing")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write the pictures here")
    options = parser.parse_args()
    print("| pair | px | evaluations | time | J | centroid | apart | style from afar | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for pair in options.pairs:
        first: Result | None = None
        for size in options.sizes:
            key = (pair, size, options.base_weight)
            result = None if options.again else kept().get(key)
            if options.sheet and not (options.only_kept or picture_file(*key).exists()):
                result = None
            if result is None and not options.only_kept:
                result = measure(*key)
                keep(result)
            if result:
                first = first or result
                print(row(result, first), flush=True)
    if options.sheet:
        files = [
            [picture_file(pair, size, options.base_weight) for size in options.sizes]
            for pair in options.pairs
        ]
        rows = [[Image.open(file) for file in row if file.exists()] for row in files]
        sheet_of([row for row in rows if row]).save(options.sheet, quality=88)


def measure(pair: str, size: int, base_weight: float) -> Result:
    """Paint a pair at a size, with the usual settings but for the base weight."""
    photo, painting = load_pair(*pair.split())
    settings = TransferSettings(size=size, base_weight=base_weight)
    load_network(settings, "auto").warm_up()
    began = time.process_time()
    for step in transfer_style(photo, painting, settings):
        last = step
    seconds = time.process_time() - began
    file = picture_file(pair, size, base_weight)
    file.parent.mkdir(parents=True, exist_ok=True)
    last.image.save(file)
    return Result(
        pair=pair,
        size=size,
        base_weight=base_weight,
        seconds=round(seconds, 1),
        evaluations=round(sum(scale.work for scale in plan_scales(settings)) / size**2, 1),
        J=last.J,
        content=last.content,
        style=last.style,
        centroid=centroid(last.image),
        style_from_afar=style_from_afar(last.image, photo, painting),
    )


def picture_file(pair: str, size: int, base_weight: float) -> Path:
    """Return where a painted picture is kept."""
    return PICTURES / f"{pair.replace(' ', '-')}-{size}-{base_weight:g}.png"


def kept() -> dict[tuple[str, int, float], Result]:
    """Return the results that were kept."""
    if not RESULTS.exists():
        return {}
    results = [Result(**values) for values in json.loads(RESULTS.read_text())]
    return {result.key: result for result in results}


def keep(result: Result) -> None:
    """Add a result to those that are kept."""
    results = sorted({**kept(), result.key: result}.values(), key=lambda each: each.key)
    RESULTS.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n")


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


def row(result: Result, first: Result) -> str:
    """Return a line of the table; ratios are to the smallest picture."""
    apart = max(result.centroid / first.centroid, first.centroid / result.centroid)
    return (
        f"| {result.pair} | {result.size} | {result.evaluations:.1f}"
        f" | {result.seconds / first.seconds:.1f} | {result.J:.3g}"
        f" | {result.centroid:.1f} | {apart:.2f} | {result.style_from_afar:.3g}"
        f" | {result.style_from_afar / first.style_from_afar:.1f} |"
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
