"""Stylise example photos with every example style and lay the results out as one picture.

    python examples/contact_sheet.py [--size PX] [--iterations N]

The README shows the result, `examples/results.jpg`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))  # runs from a clone, nothing installed

from nst import TransferSettings, load_image, stylize  # noqa: E402
from nst.console import run_command  # noqa: E402
from nst.files import whole_file  # noqa: E402
from nst.hub.image_folder import Picture, read_collection  # noqa: E402
from nst.images.writing import jpeg_bytes  # noqa: E402
from nst.looks import LOOKS  # noqa: E402
from nst.outputs import check_output  # noqa: E402

TILE = (300, 220)
INSET = (84, 84)
GAP = 6
COLUMNS = 5


def main() -> None:
    """Compute the pairs one after the other and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = TransferSettings()
    parser.add_argument("--size", type=int, default=defaults.size)
    parser.add_argument("--iterations", type=int, default=defaults.iterations)
    parser.add_argument("--output", type=Path, default=FOLDER / "results.jpg")
    options = parser.parse_args()
    pictures = read_collection(FOLDER)
    check_output(options.output, (".jpg", ".jpeg"), [FOLDER / each.file_name for each in pictures])
    changes = {"size": options.size, "iterations": options.iterations}
    results = [picture for picture in pictures if picture.role == "result"]
    tiles = [tile(wanted, LOOKS[wanted.look].settings, changes) for wanted in results]
    data = jpeg_bytes(layout(tiles), quality=88)
    with whole_file(options.output) as temporary:
        temporary.write_bytes(data)


def tile(wanted: Picture, settings: TransferSettings, changes: dict[str, Any]) -> Image.Image:
    """One result, with its style in the corner; the bundled file where that is what is wanted."""
    painting = load_image(FOLDER / wanted.style)
    settings = settings.replace(**changes)
    if wanted.recipe and settings.paints_like(wanted.recipe.settings):
        result = load_image(FOLDER / wanted.file_name)
    else:
        result = stylize(load_image(FOLDER / wanted.content), painting, settings)
    picture = ImageOps.fit(result, TILE, Image.Resampling.LANCZOS)
    inset = ImageOps.expand(ImageOps.fit(painting, INSET, Image.Resampling.LANCZOS), 3, "white")
    picture.paste(inset, (TILE[0] - inset.width - 5, TILE[1] - inset.height - 5))
    return picture


def layout(tiles: list[Image.Image]) -> Image.Image:
    """The tiles in rows on white."""
    rows = -(-len(tiles) // COLUMNS)
    width, height = TILE[0] + GAP, TILE[1] + GAP
    sheet = Image.new("RGB", (COLUMNS * width - GAP, rows * height - GAP), "white")
    for index, picture in enumerate(tiles):
        sheet.paste(picture, (index % COLUMNS * width, index // COLUMNS * height))
    return sheet


if __name__ == "__main__":
    sys.exit(run_command(main, "contact_sheet"))
