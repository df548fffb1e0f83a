"""What one layer of VGG-19 captures of a painting: a texture with that layer's Gram matrix.

Gatys, Ecker & Bethge 2015, "Texture synthesis using convolutional neural networks", for one layer
alone. Knows pictures and a folder to keep them in; nothing of sliders.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.files import whole_file
from nst.images.tensors import fit
from nst.settings import TransferSettings

log = logging.getLogger(__name__)

SIDE = 96  # pixels of the texture
STYLE_SCALE = 3.0  # the painting beside it: as large as for a picture of 288 px
ITERATIONS = 50
MOST_TEXTURES = 2000  # of about 6 kB, in the folder
CALM = {"5": {"beta": 1.0, "total_variation": 0.01}}
"""By block: the deepest layers leave the finest grain to chance, and it would hide the shapes."""


def paint_texture(
    painting: Image.Image, layer: str, *, engine: Engine = transfer_style
) -> Iterator[TransferStep]:
    """Yield the steps from noise to a square of `SIDE` pixels that `layer` takes for `painting`."""
    alone = TransferSettings(
        size=SIDE,
        iterations=ITERATIONS,
        layer_weights={layer: 1.0},
        content_layer=layer,  # so that nothing deeper is evaluated; α makes it count for nothing
        alpha=0.01,
        beta=100.0,
        style_scale=STYLE_SCALE,
        start="noise",
    )
    settings = alone.replace(**CALM.get(layer[len("relu")], {}))
    nothing = Image.new("RGB", (SIDE, SIDE), "grey")
    yield from engine(nothing, painting, settings)


class TextureCache:
    """The textures of paintings by their hash, kept in a folder."""

    def __init__(self, folder: Path, engine: Engine = transfer_style) -> None:
        self.folder = folder
        self.engine = engine  # that paints them

    def find(self, painting_hash: str, layer: str) -> Path | None:
        """Return the texture's JPEG, when it has been painted."""
        page = self._page(painting_hash, layer)
        return page if page.exists() else None

    def fill(
        self, painting: Image.Image, painting_hash: str, layers: Sequence[str]
    ) -> Iterator[None]:
        """Paint what is missing; yield after each iteration.

        Until then, and however large the painting is, no more of it is held than is needed.
        """
        return self._fill(fit(painting, round(SIDE * STYLE_SCALE)), painting_hash, layers)

    def _fill(
        self, painting: Image.Image, painting_hash: str, layers: Sequence[str]
    ) -> Iterator[None]:
        for layer in layers:
            if self.find(painting_hash, layer):
                continue
            for step in paint_texture(painting, layer, engine=self.engine):
                last = step
                yield
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with whole_file(self._page(painting_hash, layer)) as temporary:
                    last.image.save(temporary, format="JPEG", quality=90)
            except OSError as error:
                log.warning("a layer's texture could not be kept: %s", error.strerror)
                return
            self._sweep()

    def _page(self, painting_hash: str, layer: str) -> Path:
        return self.folder / f"{painting_hash[:32]}-{layer}.jpg"

    def _sweep(self) -> None:
        """Keep the latest `MOST_TEXTURES`."""
        pages = list(self.folder.glob("*.jpg"))
        if len(pages) > MOST_TEXTURES:
            pages.sort(key=lambda page: page.stat().st_mtime)
            for page in pages[:-MOST_TEXTURES]:
                page.unlink(missing_ok=True)
