"""Paint docs/gallery.md: what each way of creative control does, on the bundled pictures.

`make gallery` runs it; on two cores it takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from nst import (  # noqa: E402
    Masks,
    PaintingUse,
    TransferSettings,
    load_image,
    only_colors,
    stylize,
)
from nst.console import run_command  # noqa: E402
from nst.images.faces import face_mask, faces  # noqa: E402
from nst.images.segmentation import similar_region  # noqa: E402
from nst.images.tensors import fit  # noqa: E402
from nst.images.writing import jpeg_bytes  # noqa: E402
from nst.looks import LOOKS  # noqa: E402

DOCS = HERE.parent / "docs"
LOOK_PICTURES = HERE.parent / "page" / "assets" / "looks"
SIZE = 320  # pixels
TILE = (320, 240)
CAPTION = 22  # pixels
ACROSS = 4  # tiles, of more than one row
MOST_ACROSS = 5  # of one row
QUALITY = 86

INTRODUCTION = (
    "Painted by `make gallery` at 320 px from the bundled pictures"
    " ([examples/CREDITS.md](../examples/CREDITS.md)), with the usual settings but for what is"
    " named. [Style costs](style-costs.md) have a sheet of their own."
)

LOW, HIGH = ("relu1_1", "relu2_1", "relu3_1"), ("relu4_1", "relu5_1")

Paint = Callable[[], Image.Image]


@dataclass(frozen=True)
class Section:
    """One way of control: what it does in words, and pictures with a caption each."""

    name: str  # of its file
    title: str
    text: str
    tiles: Sequence[tuple[str, Paint]]


def photo(name: str) -> Image.Image:
    """Return an example photo at the size of the gallery."""
    return fit(load_image(HERE / "content" / f"{name}.jpg"), SIZE)


def painting(name: str) -> Image.Image:
    """Return an example painting."""
    return load_image(HERE / "style" / f"{name}.jpg")


def painted(
    content: str,
    *styles: str,
    masks: Masks | None = None,
    init: Image.Image | None = None,
    **settings: object,
) -> Paint:
    """Return what paints a picture when it is asked to."""

    def paint() -> Image.Image:
        wanted = TransferSettings(size=SIZE).replace(**settings)
        paintings = list(map(painting, styles))
        return stylize(photo(content), paintings, wanted, masks=masks, init=init)

    return paint


def four(paint: Paint) -> Paint:
    """Return what paints two by two copies of a picture, side by side."""

    def paint_four() -> Image.Image:
        picture = paint()
        sheet = Image.new("RGB", (2 * picture.width, 2 * picture.height))
        for left in (0, picture.width):
            for top in (0, picture.height):
                sheet.paste(picture, (left, top))
        return sheet

    return paint_four


def above(picture: Image.Image, share: float) -> Image.Image:
    """Return a mask that is white in the upper share of a picture's height, with a soft edge."""
    soft = 0.08  # of the height
    ramp = Image.linear_gradient("L").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    edge = ramp.resize((picture.width, round(soft * picture.height)))
    mask = Image.new("L", picture.size)
    top = round((share - soft / 2) * picture.height)
    mask.paste(255, (0, 0, picture.width, top))
    mask.paste(edge, (0, top))
    return mask


def shaded(style: str, mask: Image.Image) -> Image.Image:
    """Return a painting that is dark where a mask is black."""
    picture = painting(style)
    return Image.composite(picture, picture.point(lambda level: level // 5), mask)


def use(**values: object) -> tuple[PaintingUse, ...]:
    """Return how one painting is used."""
    return (PaintingUse(**values),)  # type: ignore[arg-type]


def sections() -> list[Section]:
    """Return the gallery, in the order in which it is read."""
    sky = similar_region(photo("castle"), 0.5, 0.08)
    face = face_mask(photo("astronaut"), faces(photo("astronaut")))
    protected = (PaintingUse(), PaintingUse(strength=0.05))
    wheat_sky = above(painting("wheat_field"), 0.45)
    sky_alone, ground_alone = (
        Masks(within=(part,)) for part in (wheat_sky, ImageChops.invert(wheat_sky))
    )
    seamless = painted("honey-bee", "marbled_paper", edges="seamless")
    tied = (PaintingUse(layers=LOW), PaintingUse(layers=HIGH))
    blend = ("starry_night", "great_wave")
    return [
        Section(
            "paintings",
            "Several paintings",
            "Each has a weight; their Gram matrices blend. `--style-weights 0.5,0.5`",
            [
                (f"{first:g} : {1 - first:g}", painted("castle", *blend, paintings=weights))
                for first in (1.0, 0.75, 0.5, 0.0)
                for weights in [(PaintingUse(weight=first), PaintingUse(weight=1 - first))]
            ],
        ),
        Section(
            "layers",
            "A painting for the strokes, another for the composition",
            "Each painting can be tied to layers of its own: the low ones have the grain and the"
            " strokes, the high ones the large shapes."
            " `--style-layers relu1_1+relu2_1+relu3_1,relu4_1+relu5_1`",
            [
                ("Olive Trees", painted("bridge", "olive_trees")),
                ("Composition VII", painted("bridge", "composition_vii")),
                (
                    "strokes of the first, shapes of the second",
                    painted("bridge", "olive_trees", "composition_vii", paintings=tied),
                ),
                (
                    "the other way round",
                    painted("bridge", "composition_vii", "olive_trees", paintings=tied),
                ),
            ],
        ),
        Section(
            "regions",
            "Painted regions",
            "A mask says where a painting rules, and where the photo is left as it is. The mask of"
            " the sky is one click on it. `--masks ,sky.png`, `--keep sky.png`",
            [
                ("the photo", lambda: photo("castle")),
                ("a mask of the sky", lambda: sky.convert("RGB")),
                (
                    "sky: The Great Wave",
                    painted("castle", "starry_night", "great_wave", masks=Masks((None, sky))),
                ),
                ("sky left as it is", painted("castle", "starry_night", masks=Masks(keep=sky))),
            ],
        ),
        Section(
            "parts",
            "A part of a painting",
            "A mask within a painting says which part of it is used; the rest gives neither strokes"
            " nor colours. `--within sky.png`",
            [
                ("all of Wheat Field", painted("castle", "wheat_field")),
                ("its sky, the part that is used", lambda: shaded("wheat_field", wheat_sky)),
                ("its sky alone", painted("castle", "wheat_field", masks=sky_alone)),
                (
                    "its ground alone",
                    painted("castle", "wheat_field", masks=ground_alone),
                ),
            ],
        ),
        Section(
            "faces",
            "Faces",
            "Faces are found, and masked softly; there the style counts for less, or not at all."
            " `--style-strengths 1,0.05 --masks ,face.png`",
            [
                ("painted all over", painted("astronaut", "straw_hat")),
                ("the mask of the face", lambda: face.convert("RGB")),
                (
                    "strength 0.05 there",
                    painted(
                        "astronaut", "straw_hat", "straw_hat",
                        masks=Masks((None, face)), paintings=protected,
                    ),
                ),
                ("left as it is", painted("astronaut", "straw_hat", masks=Masks(keep=face))),
            ],
        ),
        Section(
            "colours",
            "Colours",
            "The painting's colours can be matched to the photo before the run, luminance alone can"
            " be painted, the colours can be exchanged afterwards; or nothing but the colours comes"
            " from the painting. `--color-transfer`, `--colors`, `--only-colors`, the look"
            " Colours only",
            [
                ("as painted", painted("citrus", "udnie")),
                ("matched before (pca)", painted("citrus", "udnie", color_transfer="pca")),
                ("luminance alone", painted("citrus", "udnie", color_transfer="luminance")),
                ("exchanged afterwards", painted("citrus", "udnie", colors=-1.0)),
                ("colours only", lambda: only_colors(photo("citrus"), painting("udnie"))),
            ],
        ),
        Section(
            "detail",
            "What is held of the photo",
            "A Laplacian cost holds outlines whatever their colour; the scene can be compared at"
            " other layers than relu4_2, the lower the closer. `--laplacian 3`,"
            " `--content-layers relu4_2=0.5,relu2_2=0.5`",
            [
                ("the photo", lambda: photo("cat")),
                ("as usual", painted("cat", "stained_glass")),
                ("outlines", painted("cat", "stained_glass", laplacian=3.0)),
                (
                    "relu2_2 and relu4_2",
                    painted(
                        "cat", "stained_glass",
                        content_layers={"relu4_2": 0.5, "relu2_2": 0.5},
                    ),
                ),
            ],
        ),
        Section(
            "direction",
            "Size and direction of the strokes",
            "The painting can be scaled, turned, mirrored and cropped. `--style-scales`,"
            " `--style-rotation`, `--style-mirror`, `--style-crop`",
            [
                ("half the size", painted("moose", "wheat_field", paintings=use(scale=0.5))),
                ("twice the size", painted("moose", "wheat_field", paintings=use(scale=2.0))),
                ("turned by 90°", painted("moose", "wheat_field", paintings=use(rotation=90.0))),
                (
                    "its sky alone",
                    painted("moose", "wheat_field", paintings=use(crop=(0.0, 0.0, 1.0, 0.4))),
                ),
            ],
        ),
        Section(
            "start",
            "A start of one's own",
            "The run starts from a picture that you choose: what it has stays, as far as photo and"
            " painting allow. `--init picture.png`; `--init-weight 0.5` fades it with the usual"
            " start.",
            [
                ("from the photo, recoloured", painted("coffee", "composition_vii")),
                (
                    "from the painting itself",
                    painted("coffee", "composition_vii", init=painting("composition_vii")),
                ),
                (
                    "half of it, half of the usual",
                    painted(
                        "coffee", "composition_vii",
                        init=painting("composition_vii"), init_weight=0.5,
                    ),
                ),
                (
                    "from another painting",
                    painted("coffee", "composition_vii", init=painting("great_wave")),
                ),
            ],
        ),
        Section(
            "seamless",
            "A pattern without seams",
            "Copies of the picture join, for cloth, paper or a game's ground; the last two show"
            " two by two of them. `--seamless`",
            [
                ("the photo", lambda: photo("honey-bee")),
                ("one", seamless),
                ("four as usual", four(painted("honey-bee", "marbled_paper"))),
                ("four without seams", four(seamless)),
            ],
        ),
        Section(
            "looks",
            "Looks",
            "Settings that go together, in `nst/looks.json`; `make looks` paints them.",
            [
                (look.name, functools.partial(load_image, LOOK_PICTURES / look.file))
                for look in LOOKS.values()
            ],
        ),
    ]  # fmt: skip


def strip(tiles: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Return pictures side by side, a few in a row, each with its caption below."""
    fitted = [(caption, fit_into(picture)) for caption, picture in tiles]
    columns = len(fitted) if len(fitted) <= MOST_ACROSS else ACROSS
    rows = -(-len(fitted) // columns)
    below = max(picture.height for _, picture in fitted)
    sheet = Image.new("RGB", (columns * TILE[0], rows * (below + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, (caption, picture) in enumerate(fitted):
        left, top = number % columns * TILE[0], number // columns * (below + CAPTION)
        sheet.paste(picture, (left + (TILE[0] - picture.width) // 2, top))
        draw.text((left + 4, top + below + 2), caption, fill="black", font=font)
    return sheet


def fit_into(picture: Image.Image) -> Image.Image:
    """Return the picture as large as a tile has room for, with a gap beside the next one."""
    room = (TILE[0] - 4, TILE[1] - 2)
    factor = min(room[0] / picture.width, room[1] / picture.height)
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.LANCZOS)


def main() -> None:
    """Paint all sections, or those that are named, and write the page that shows them."""
    parser = argparse.ArgumentParser(prog="examples/gallery.py", description=__doc__)
    known = sections()
    parser.add_argument("names", nargs="*", choices=[[], *(each.name for each in known)])
    chosen = parser.parse_args().names
    (DOCS / "gallery").mkdir(exist_ok=True)
    for section in known:
        if section.name in chosen or not chosen:
            pictures = [(caption, paint()) for caption, paint in section.tiles]
            file_of(section).write_bytes(jpeg_bytes(strip(pictures), quality=QUALITY))
            print(section.title, flush=True)
    (DOCS / "gallery.md").write_text(page_of(known), encoding="utf-8")


def file_of(section: Section) -> Path:
    """Return where the pictures of a section are."""
    return DOCS / "gallery" / f"{section.name}.jpg"


def page_of(shown: Sequence[Section]) -> str:
    """Return the page in Markdown."""
    lines = ["# Gallery", "", INTRODUCTION]
    for section in shown:
        captions = ", ".join(caption for caption, _ in section.tiles)
        picture = f"![{captions}](gallery/{file_of(section).name})"
        lines += ["", f"## {section.title}", "", section.text, "", picture]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_command(main, "examples/gallery.py")
