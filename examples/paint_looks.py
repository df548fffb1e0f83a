"""Paint the small pictures of the named looks that the page shows: `make looks`."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageOps

from nst import load_image, stylize
from nst.images.writing import webp_bytes
from nst.looks import LOOKS

HERE = Path(__file__).parent
FOLDER = HERE.parent / "page" / "assets" / "looks"
PHOTO, PAINTING = HERE / "content" / "castle.jpg", HERE / "style" / "starry_night.jpg"
SHOWN = (192, 144)  # pixels, twice what the page gives each
QUALITY = 80


def main() -> None:
    """Paint each look, or those named, with one photo and painting, and keep the middle of it."""
    parser = argparse.ArgumentParser(prog="python -m examples.paint_looks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *LOOKS], metavar="LOOK")
    names = parser.parse_args().names
    FOLDER.mkdir(exist_ok=True)
    photo, painting = load_image(PHOTO), load_image(PAINTING)
    for look in (LOOKS[name] for name in names or LOOKS):
        settings = look.settings.replace(size=320, iterations=80)
        picture = stylize(photo, painting, settings)
        small = ImageOps.fit(picture, SHOWN, Image.Resampling.LANCZOS)
        (FOLDER / look.file).write_bytes(webp_bytes(small, QUALITY, method=6))


if __name__ == "__main__":
    main()
