"""The examples: photos, paintings and finished pictures to click, bundled and from the Hub.

Knows collections of pictures; how a row of them looks is `page.panels.example_rows`' business.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageOps

import nst
from nst import ImageError, load_image
from nst.errors import HubError
from nst.hub.examples import cached, fetch
from nst.hub.image_folder import Picture, read_collection
from nst.images.recipe import Ingredient
from nst.images.writing import jpeg_bytes
from nst.web.hub_client import call_hub

log = logging.getLogger(__name__)

CHECKOUT, INSTALLED = (
    Path(nst.__file__).parents[1] / "examples",
    Path(nst.__file__).parent / "example_pictures",
)
FOLDER = INSTALLED if INSTALLED.is_dir() else CHECKOUT
ROLES = ("content", "style")
THUMBNAIL = {"content": (160, 120), "style": (160, 120), "result": (280, 210)}
LOOK_EVERY = 0.3  # seconds
PATIENCE = 300.0  # seconds for the Hub; a silent server would keep the library waiting without end


@dataclass(frozen=True)
class Example:
    """One picture that a visitor can click."""

    picture: Picture
    path: Path
    name: str  # what links call it; no two on a examples have the same
    ingredient: Ingredient  # what recipes call it
    thumbnail: bytes  # a small JPEG

    @property
    def title(self) -> str:
        """Return the picture's title."""
        return self.picture.title

    @property
    def role(self) -> str:
        """Return the picture's role: `content`, `style` or `result`."""
        return self.picture.role

    @property
    def caption(self) -> str:
        """Return title, artist and licence, as far as they are known."""
        known = (self.title, self.picture.artist, self.picture.licence)
        return ", ".join(filter(None, known))

    @property
    def address(self) -> str:
        """Return the thumbnail's address."""
        return f"studio/examples/{self.ingredient.sha256}.jpg"

    @property
    def small(self) -> str:
        """Return the address of the picture as an input shows it."""
        return f"{self.large}?side=384"

    @property
    def large(self) -> str:
        """Return the address of the picture as the stage shows it."""
        return f"studio/examples/{self.ingredient.sha256}/display.webp"


class ExampleSet:
    """The examples that there are.

    The bundled ones are there at once, those of `repo` on the Hub when they have arrived. Whatever
    goes wrong with them is one line in the log.
    """

    def __init__(
        self, folder: Path = FOLDER, *, repo: str = "", revision: str | None = None
    ) -> None:
        self.repo, self.revision = repo, revision
        self.all: tuple[Example, ...] = ()  # replaced, never changed
        self._bundled: tuple[Example, ...] = ()
        self._take(folder)
        self._bundled = self.all
        self.is_settled = threading.Event()  # nothing more will arrive
        if not repo:
            self.is_settled.set()

    def start(self) -> None:
        """Begin to fetch what is on the Hub, in the background."""
        if self.repo:
            threading.Thread(target=self._fetch, name="examples", daemon=True).start()

    def of_role(self, role: str) -> list[Example]:
        """Return the pictures of a role, `content`, `style` or `result`, in their order."""
        return [example for example in self.all if example.role == role]

    def find(self, name: str) -> Example | None:
        """Return the example that links call `name`."""
        return next((example for example in self.all if example.name == name), None)

    def example_of(self, ingredient: Ingredient) -> Example | None:
        """Return the picture with these pixels, if it is one."""
        return next((e for e in self.all if e.ingredient == ingredient), None)

    def example_by_hash(self, sha256: str) -> Example | None:
        """Return the picture whose pixels have this hash, if it is one."""
        return next((e for e in self.all if e.ingredient.sha256 == sha256), None)

    def _fetch(self) -> None:
        try:
            present = cached(self.repo, self.revision)
            if present:
                self._take(present)
            newest = call_hub(self.repo, lambda: fetch(self.repo, self.revision), within=PATIENCE)
            if newest != present:
                self._take(newest)
            log.info("%d examples, those of %s included", len(self.all), self.repo)
        except HubError as error:
            log.warning("no (new) examples from the Hub: %s", error)
        except Exception as error:  # a full disk, or what a hostile file can do
            log.warning("no (new) examples from %s: %s", self.repo, type(error).__name__)
        finally:
            self.is_settled.set()

    def _take(self, folder: Path) -> None:
        """Show the bundled examples and those in a folder, but for what is bundled already."""
        examples = list(self._bundled)
        for picture in read_collection(folder):
            example = open_example(picture, folder)
            if example is None or any(e.ingredient == example.ingredient for e in examples):
                continue
            if any(e.name == example.name for e in examples):
                example = replace(example, name=f"{example.name}-{example.ingredient.sha256[:8]}")
            examples.append(example)
        self.all = tuple(examples)


def inputs_of(example: Example, examples: ExampleSet) -> list[Example]:
    """Return photo and painting of a finished example, as far as they are examples too."""
    recipe = example.picture.recipe
    if recipe is None:
        return []
    found = [examples.example_of(each) for each in (recipe.content, recipe.painting)]
    return [each for each in found if each]


def open_example(picture: Picture, folder: Path) -> Example | None:
    """Return a described picture, unless its file is missing or cannot be used."""
    path = folder / picture.file_name
    if not path.is_file() or (picture.role == "result" and picture.recipe is None):
        return None
    try:
        image = load_image(path)
    except ImageError as error:
        log.warning("the example %s cannot be used: %s", picture.file_name, error)
        return None
    small = jpeg_bytes(thumbnail_of(image, picture.role))
    return Example(picture, path, picture.name, Ingredient.of(image), small)


def thumbnail_of(image: Image.Image, role: str) -> Image.Image:
    """Crop a picture to the aspect ratio of its row, scaled down to the row's size at most."""
    width, height = THUMBNAIL[role]
    factor = min(1.0, image.width / width, image.height / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return ImageOps.fit(image, size, Image.Resampling.LANCZOS)


async def arrival_of(examples: ExampleSet, shown: tuple[Example, ...]) -> bool:
    """Wait until all examples are there. Whether they are others than those `shown`."""
    while not examples.is_settled.is_set():
        await asyncio.sleep(LOOK_EVERY)
    return examples.all is not shown
