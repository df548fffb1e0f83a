"""Where pictures come in: a thumbnail to replace or crop, and what it was chosen from.

Knows components and examples; what becomes of the pictures is others' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from PIL import Image

from nst import ImageError
from nst.images.framing import Crop, find_frame
from nst.images.tensors import shrink
from page.assets import mount
from page.examples import ROLES, Example, ExampleSet, inputs_of
from page.http.static_files import asset_url
from page.panels.components import Choice, PictureInput, pictures
from page.panels.example_rows import row_markup
from page.previews import file_url, rendered_webp
from page.rendering import RenderingBusyError
from page.templates import render

SHOWN_SIDE = 1280  # pixels of a chosen picture on the stage, at most


@dataclass(frozen=True)
class Input:
    """A picture to choose, and the row of examples beneath it."""

    image: PictureInput
    row: gr.HTML
    label: str
    role: str

    def row_of(self, examples: ExampleSet) -> str:
        """Return what the row shows now."""
        return row_markup(examples.of_role(self.role), f"Example {self.label.lower()}s", self.role)


def picture_input(label: str, role: str, examples: ExampleSet) -> PictureInput:
    """Return a picture to choose; the examples to choose from are `Input.row`'s business.

    One that no example is for is empty at first, and can be emptied.
    """
    is_optional = role not in ROLES
    first = None if is_optional else first_of(role, examples)
    return PictureInput(
        example_value(first) if first else None,
        examples=examples,
        html_template=render(
            "picture_input", label=label, name=label.lower(), is_optional=is_optional
        ),
        js_on_load=mount("picture_input", "choose", "dropped", url=asset_url("picture_input.js")),
        apply_default_css=False,
        elem_id=role,
        role=role,
    )


def first_of(role: str, examples: ExampleSet) -> Example | None:
    """Return the example that an input holds at first: that of the first finished picture."""
    for result in examples.of_role("result"):
        pair = inputs_of(result, examples)
        if len(pair) == len(ROLES):
            return pair[ROLES.index(role)]
    return next(iter(examples.of_role(role)), None)


def example_value(example: Example) -> dict[str, Any]:
    """Return what an input holds when an example has been chosen."""
    choice = Choice(str(example.path), example.name)
    return choice.value(shown=example.large, small=example.small, name=example.title)


def shown_value(choice: Choice, component: gr.HTML, **more: Any) -> dict[str, Any]:
    """Return what an input holds for a choice, with displays of it. Raises `ImageError`."""
    whole = replace(choice, crop=None)
    shown = display_of(choice, component)
    uncropped = display_of(whole, component) if choice.crop else shown
    return choice.value(shown=shown, uncropped=uncropped, **more)


def taken_value(choice: Choice, name: str, component: gr.HTML) -> dict[str, Any] | None:
    """Return what an input holds for a new choice, with the frame that could be cropped off.

    Says what there is to say about the picture. None where the input shows it already. Where it
    cannot be used, `refused` says why: the input goes back to what it held before.
    """
    try:
        picture = load_named(choice, name)
    except ImageError as error:
        gr.Warning(str(error))
        return choice.value(refused=str(error))
    if note := picture.info.get("note"):
        gr.Info(note, title=f"The {name}")
    if choice.example and not choice.crop:
        return None
    return shown_value(choice, component, frame=None if choice.crop else framed(picture))


def display_of(choice: Choice, component: gr.HTML) -> str:
    """Return the address of a picture that any browser shows, and a slow line carries.

    That is the file itself where nothing can be written at this moment. Raises `ImageError`.
    """
    picture = choice.open()
    try:
        key = ("chosen", choice.path, choice.crop)
        path = rendered_webp(key, lambda: shrink(picture, SHOWN_SIDE), component)
    except (RenderingBusyError, OSError):
        path = choice.path
    return file_url(path)


def framed(picture: Image.Image) -> dict[str, Any] | None:
    """Return the crop that takes a uniform frame off a picture, where it has one."""
    box = find_frame(picture)
    if box is None:
        return None
    shape: dict[str, Any] = Crop.of_box(box, picture.size).to_json()
    return shape


def load_named(choice: Choice | str | None, name: str) -> Image.Image:
    """Return the picture that a visitor chose, or that a program named by its path.

    Raises `ImageError` that says which one is meant.
    """
    if not choice:
        raise ImageError(f"Please choose a {name} first.")
    try:
        return pictures.open(choice) if isinstance(choice, str) else choice.open()
    except ImageError as error:
        raise ImageError(f"The {name} cannot be used. {error}") from error
