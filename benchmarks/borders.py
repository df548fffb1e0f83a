"""How the outermost pixels of a picture are painted, beside its interior.

For each photo, start and side: the high-frequency energy of the frame's four edges (top, bottom,
left, right) over the interior's, and how much brighter they are than the strip further inside, in
levels of 255; of a frame 2 px wide and of one 8 px wide. The painting's own figures and the photos'
come first: a run takes its edges from both, so that a painting with a frame gives a picture with a
frame. `--crop 0.15` takes that much off each side of the painting.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.example_pictures import painting_path, photo_path
from nst import TransferSettings, load_image, stylize

SIDES = (256, 257, 383, 384, 385)
WIDTHS = (2, 8)  # pixels
INSET = 24  # pixels; the interior begins there

Values = npt.NDArray[np.float64]  # (H, W)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.borders", description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, metavar="PX")
    parser.add_argument("--starts", nargs="+", default=("recolored", "noise"))
    parser.add_argument("--style", default="mosaic_koi")
    parser.add_argument("--crop", type=float, default=0.0, metavar="SHARE")
    options = parser.parse_args()
    style = cropped(load_image(painting_path(options.style)), options.crop)
    print("| photo | start | side | frame | energy t b l r | levels t b l r |")
    print("| --- | --- | --- | --- | --- | --- |")
    for side in options.sides:
        _print_rows(f"{options.style} | itself | {side}", style.resize((side, side)))
        for name, photo in photos(side):
            _print_rows(f"{name} | itself | {side}", photo)
            for start in options.starts:
                painted = stylize(photo, style, TransferSettings(size=side, start=start))
                _print_rows(f"{name} | {start} | {side}", painted)


def cropped(picture: Image.Image, share: float) -> Image.Image:
    """Return a picture without a share of its width and height on each side."""
    dx, dy = round(share * picture.width), round(share * picture.height)
    return picture.crop((dx, dy, picture.width - dx, picture.height - dy))


def photos(side: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield a flat, a grey and a textured photo, each a square."""
    yield "flat", Image.new("RGB", (side, side), (70, 120, 180))
    yield "grey", Image.new("RGB", (side, side), (128, 128, 128))
    textured = load_image(photo_path("castle"))
    yield "castle", textured.resize((side, side), Image.Resampling.LANCZOS)


def grey_values(picture: Image.Image) -> Values:
    """Return the mean of the colour channels, in levels of 255."""
    values: Values = np.asarray(picture, np.float64).mean(2)
    return values


def edges(values: Values, begin: int, end: int) -> list[Values]:
    """Return the strips from `begin` to `end` px off each edge, without the corners."""
    height, width = values.shape
    along, across = slice(INSET, height - INSET), slice(INSET, width - INSET)
    return [
        values[begin:end, across],
        values[height - end : height - begin, across],
        values[along, begin:end],
        values[along, width - end : width - begin],
    ]


def energy(values: Values) -> Values:
    """Return the squared differences to the neighbours, summed at each pixel."""
    result = np.zeros_like(values)
    down, right = np.diff(values, axis=0) ** 2, np.diff(values, axis=1) ** 2
    for part, difference in ((result[:-1], down), (result[1:], down)):
        part += difference
    for part, difference in ((result[:, :-1], right), (result[:, 1:], right)):
        part += difference
    return result


def _print_rows(first: str, picture: Image.Image) -> None:
    for width in WIDTHS:
        print(f"| {first} | {_row(picture, width)} |", flush=True)


def energy_ratios(picture: Image.Image, width: int) -> list[float]:
    """Return the energy of each edge's frame over the interior's; infinite where that has none."""
    detail = energy(grey_values(picture))
    inside = float(detail[INSET:-INSET, INSET:-INSET].mean())
    return [float(edge.mean()) / inside if inside else np.inf for edge in edges(detail, 0, width)]


def _row(picture: Image.Image, width: int) -> str:
    values = grey_values(picture)
    energies = energy_ratios(picture, width)
    strips = zip(edges(values, 0, width), edges(values, INSET, 2 * INSET), strict=True)
    levels = [float(edge.mean() - strip.mean()) for edge, strip in strips]
    told = " ".join(f"{value:.2f}" for value in energies)
    return f"{width} px | {told} | {' '.join(f'{level:+.0f}' for level in levels)}"


if __name__ == "__main__":
    main()
