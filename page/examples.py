"""The bundled example pictures, as a row of pictures to click.

Knows the `examples/` folder and the markup of the row; what a click does is the page's business.
"""

from __future__ import annotations

import functools
import html
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image, ImageOps

from nst import load_image
from nst.recipe import Ingredient
from page.pictures import data_url

FOLDER = Path(__file__).parent.parent / "examples"
THUMBNAIL = (160, 120)
FIRST = {"content": "castle", "style": "night_impasto"}  # what the page opens with

ON_LOAD = """
element.querySelectorAll("button").forEach((button, index) =>
    button.addEventListener("click", () => trigger("select", {index: index})));
"""


@dataclass(frozen=True)
class Example:
    """One picture that a visitor can click."""

    path: Path

    @property
    def title(self) -> str:
        return self.path.stem.replace("_", " ").replace("-", " ").capitalize()

    def thumbnail(self) -> str:
        """A small picture, as an address."""
        with Image.open(self.path) as image:
            image.draft("RGB", (THUMBNAIL[0] * 2, THUMBNAIL[1] * 2))  # decode no more than needed
            return data_url(ImageOps.fit(image.convert("RGB"), THUMBNAIL, Image.Resampling.LANCZOS))

    @functools.cached_property
    def ingredient(self) -> Ingredient:
        """What recipes call it."""
        return Ingredient.of(load_image(self.path))


def examples(role: str) -> list[Example]:
    """The pictures of a role, `content` or `style`, the one to start with first."""
    paths = (FOLDER / role).glob("*.jpg")
    return [Example(p) for p in sorted(paths, key=lambda p: (p.stem != FIRST[role], p.stem))]


@functools.lru_cache(maxsize=1)
def all_examples() -> dict[str, Example]:
    """Every bundled picture by its name, which is what links call it."""
    return {e.path.stem: e for role in FIRST for e in examples(role)}


def example_of(ingredient: Ingredient) -> Example | None:
    """The bundled picture with these pixels, if it is one."""
    return next((e for e in all_examples().values() if e.ingredient == ingredient), None)


def picker(pictures: list[Example], label: str, elem_id: str) -> gr.HTML:
    """A row of pictures; choosing one triggers `select` with its index."""
    buttons = "".join(
        f'<button type="button" title="{html.escape(picture.title)}">'
        f'<img alt="{html.escape(picture.title)}" src="{picture.thumbnail()}"></button>'
        for picture in pictures
    )
    return gr.HTML(
        f'<div class="examples" role="group" aria-label="{html.escape(label)}">{buttons}</div>',
        js_on_load=ON_LOAD,
        elem_id=elem_id,
    )
