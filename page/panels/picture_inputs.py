"""Where pictures come in: an upload with examples to click beneath, and the file it leaves.

Knows components and examples; what becomes of the pictures is others' business.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from nst import ImageError
from page.examples import ExampleSet, picker, row_markup
from page.http.following import LATEST, event_value
from page.panels.components import untouched_image
from page.picture_cache import PictureCache

pictures = PictureCache()
"""Those that visitors chose, and the examples beside them."""


@dataclass(frozen=True)
class Input:
    """A picture to upload, and the row of examples beneath it."""

    image: gr.Image
    row: gr.HTML
    label: str
    role: str

    def row_of(self, examples: ExampleSet) -> str:
        """Return what the row shows now."""
        return row_markup(examples.of_role(self.role), f"Example {self.label.lower()}s")


def picture_input(label: str, role: str, sources: list[Any], examples: ExampleSet) -> Input:
    """Return a picture to upload, with the examples of its role to click beneath."""
    with gr.Column(min_width=150):
        image = untouched_image(
            next((str(example.path) for example in examples.of_role(role)), None),
            label=label,
            sources=sources,
            height=240,
            alt_text=f"The {label.lower()} that you chose",
            elem_id=role,
        )
        row = picker(f"{role}-examples")

    def choose(event: gr.EventData) -> Any:
        example = examples.find(event_value(event, "name"))
        return example.as_value(image.GRADIO_CACHE) if example else gr.update()

    row.select(
        choose,
        None,
        image,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    image.change(functools.partial(comment, label.lower()), image, None, **LATEST)
    return Input(image, row, label, role)


def comment(name: str, path: str | None) -> None:
    """Say at once what there is to say about a picture that was chosen."""
    try:
        note = load_named(path, name).info.get("note") if path else None
    except ImageError as error:
        gr.Warning(str(error))
    else:
        if note:
            gr.Info(note, title=f"The {name}")


def load_named(path: str | None, name: str) -> Image.Image:
    """Return the picture that a visitor chose.

    Raises `ImageError` that says which one is meant.
    """
    if not path:
        raise ImageError(f"Please choose a {name} first.")
    try:
        return pictures.open(path)
    except ImageError as error:
        raise ImageError(f"The {name} cannot be used. {error}") from error
