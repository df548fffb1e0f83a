"""Whether flat skies and walls are painted like the rest, and whether the paint has speckle.

The local energy of a picture is the square of what a blur of 4 px takes off its luminance, averaged
over about 8 px. Flat parts are those where the photo's is below a twentieth of its mean. *Coverage*
is the mean energy of the painted picture in the photo's flat parts, over that in the rest.
*Speckle* is the energy of its luminance above 0.35 cycles per pixel, over the painting's at the
same longest side. One row for each photo and look; a photo of a wall is drawn.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.example_pictures import painting_path, photo_path
from nst import load_image, stylize
from nst.console import run_command
from nst.images.tensors import fit
from nst.looks import LOOKS

PHOTOS = ("castle", "rocket", "bridge", "wall")
PAINTINGS = ("starry_night", "the_scream", "mosaic_koi")
BLUR, WINDOW = 4, 8  # pixels, of a Gaussian
FLAT = 1 / 20  # of the photo's mean energy
FINE = 0.35  # cycles per pixel
LEAST_FLAT = 0.05  # of a photo's pixels, for a coverage to be told

Values = npt.NDArray[np.float64]  # (H, W)


def main() -> None:
    """Paint each pair with each look, and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--photos", nargs="+", default=PHOTOS)
    parser.add_argument("--paintings", nargs="+", default=PAINTINGS)
    parser.add_argument("--looks", nargs="+", default=list(LOOKS), choices=list(LOOKS))
    parser.add_argument("--size", type=int, default=256, metavar="PX")
    options = parser.parse_args()
    print("| photo | painting | look | flat | coverage | speckle |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for name in options.photos:
        photo = fit(photo_of(name), options.size)
        for style in options.paintings:
            painting = load_image(painting_path(style))
            for look in options.looks:
                settings = LOOKS[look].settings.replace(size=options.size)
                painted = stylize(photo, painting, settings)
                flat, covered = coverage(painted, photo)
                noise = speckle(painted, fit(painting, options.size))
                print(f"| {name} | {style} | {look} | {flat:.2f} | {covered:.2f} | {noise:.2f} |")
                sys.stdout.flush()


def photo_of(name: str) -> Image.Image:
    """Return an example, or a drawn wall with a castle before it."""
    if name != "wall":
        return load_image(photo_path(name))
    castle = load_image(photo_path("castle"))
    wall = Image.linear_gradient("L").resize(castle.size).point(lambda value: 150 + value // 8)
    front = castle.resize((castle.width // 2, castle.height // 2))
    picture = Image.merge("RGB", (wall, wall, wall.point(lambda value: value - 12)))
    picture.paste(front, (castle.width // 4, castle.height - front.height))
    return picture


def coverage(painted: Image.Image, photo: Image.Image) -> tuple[float, float]:
    """Return the share of flat pixels, and the energy there over that in the rest.

    The latter is not a number for a photo with next to nothing flat, or nothing else.
    """
    own = local_energy(photo)
    is_flat = own < FLAT * own.mean()
    share = float(is_flat.mean())
    if not LEAST_FLAT <= share <= 1 - LEAST_FLAT:
        return share, float("nan")
    energy = local_energy(painted)
    return share, float(energy[is_flat].mean() / energy[~is_flat].mean())


def speckle(painted: Image.Image, painting: Image.Image) -> float:
    """Return the finest energy of a picture over that of the painting, per pixel."""
    return fine_energy(painted) / fine_energy(painting)


def local_energy(picture: Image.Image) -> Values:
    """Return the local energy of a picture's luminance, in squared levels of 255."""
    detail = _luminance(picture) - _blurred(_luminance(picture), BLUR)
    return _blurred(detail**2, WINDOW)


def fine_energy(picture: Image.Image) -> float:
    """Return the mean square of a picture's luminance above `FINE` cycles per pixel."""
    values = _luminance(picture)
    spectrum = np.fft.fft2(values)
    rows, columns = (np.fft.fftfreq(length) for length in values.shape)
    is_fine = np.hypot(rows[:, None], columns) > FINE
    return float((np.abs(spectrum[is_fine]) ** 2).sum() / values.size**2)


def _luminance(picture: Image.Image) -> Values:
    return np.asarray(picture.convert("L"), dtype=np.float64)


def _blurred(values: Values, radius: float) -> Values:
    """Return what a Gaussian of this standard deviation makes of it; edges go on as they are."""
    reach = round(3 * radius)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    padded = np.pad(values, reach, mode="edge")
    for axis in (0, 1):
        padded = np.apply_along_axis(np.convolve, axis, padded, kernel / kernel.sum(), mode="valid")
    return padded


if __name__ == "__main__":
    run_command(main, "benchmarks.coverage")
