"""Where pictures come in: an upload with examples to click beneath, and the file it leaves.

Knows components and examples; what becomes of the pictures is others' business.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from PIL import Image

from nst import ImageError, load_image
from page.components import untouched_image
from page.examples import examples, picker


def picture_input(label: str, role: str, sources: list[Any]) -> gr.Image:
    """A picture to upload, with the examples of its role to click beneath."""
    pictures = examples(role)
    with gr.Column(min_width=150):
        image = untouched_image(
            str(pictures[0].path) if pictures else None,
            label=label,
            sources=sources,
            height=240,
            alt_text=f"The {label.lower()} that you chose",
            elem_id=role,
        )
        row = picker(pictures, f"Example {label.lower()}s", f"{role}-examples")

    def choose(event: gr.EventData) -> str:
        return str(pictures[event.index].path)

    row.select(
        choose,
        None,
        image,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return image


def load_named(path: str | None, name: str) -> Image.Image:
    """The picture that a visitor chose. Raises `ImageError` that says which one is meant."""
    if not path:
        raise ImageError(f"Please choose a {name} first.")
    try:
        return load_image(path)
    except ImageError as error:
        raise ImageError(f"The {name} cannot be used. {error}") from error
