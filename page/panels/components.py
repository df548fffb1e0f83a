"""Gradio's inputs where theirs would refuse or spoil what a visitor gives.

An image input opens the upload before any handler runs: what it cannot open fails with no sentence,
and what it can open may be clipped or lose its palette. A slider refuses what is being typed into
its box. (Gradio writes a stub beside a module with components of its own; git ignores it.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image
from typing_extensions import override

from nst.images.framing import Crop, crop
from page.examples import ExampleSet
from page.http.bounded_blocks import uploaded
from page.picture_cache import PictureCache

pictures = PictureCache()
"""Those that visitors chose, and the examples beside them."""


class UntouchedImage(gr.Image):  # type: ignore[misc]  # Gradio is untyped here
    """A `gr.Image` that hands the uploaded file over as it came, by its path."""

    is_template = True  # to the browser it is a `gr.Image`

    @override
    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is None or payload.path is None:
            inline: str | None = super().preprocess(payload)  # nothing, or an MCP client's data
            return inline
        return str(payload.path)


class ForgivingSlider(gr.Slider):  # type: ignore[misc]
    """A `gr.Slider` whose box may be empty or out of range while somebody types.

    The nearest value that is allowed counts, as the box itself will show when it is left.
    """

    is_template = True

    @override
    def preprocess(self, payload: float | None) -> float:
        number = self.minimum if payload is None else payload
        return float(min(max(number, self.minimum), self.maximum))


def untouched_image(value: str | None = None, **options: Any) -> UntouchedImage:
    """Return an input for one picture, with its file's own pixels."""
    return UntouchedImage(value, type="filepath", image_mode=None, **options)


@dataclass(frozen=True)
class Choice:
    """A picture that a visitor chose: a file or an example, and how it is cropped."""

    path: str
    example: str = ""  # its name
    crop: Crop | None = None

    def open(self) -> Image.Image:
        """Return the picture, cropped. Raises `ImageError`."""
        picture = pictures.open(self.path)
        return crop(picture, self.crop) if self.crop else picture

    def value(self, **shown: Any) -> dict[str, Any]:
        """Return what the component holds; `shown` is what its thumbnail and the stage show."""
        return {
            "file": None if self.example else {"path": self.path},
            "example": self.example or None,
            "crop": self.crop.to_json() if self.crop else None,
            **shown,
        }


class PictureInput(gr.HTML):  # type: ignore[misc]  # Gradio is untyped here
    """An input for one picture: upload, paste, drop, camera or example, cropped if wanted.

    Handlers receive a `Choice`, or None where there is no picture.
    """

    def __init__(self, value: Any = None, *, examples: ExampleSet, **options: Any) -> None:
        self.examples = examples
        super().__init__(value, **options)

    @override
    def get_block_name(self) -> str:
        return "html"

    @override
    def preprocess(self, payload: Any) -> Choice | None:
        return chosen(payload, self.examples)


def chosen(value: Any, examples: ExampleSet) -> Choice | None:
    """Return the choice in what the browser holds for a picture; None where there is none."""
    if not isinstance(value, dict):
        return None
    shape = Crop.from_json(value["crop"]) if value.get("crop") else None
    if value.get("example"):
        example = examples.find(str(value["example"]))
        return Choice(str(example.path), example.name, shape) if example else None
    file = value.get("file")  # of its own: Gradio keeps nothing else that is beside a path
    path = file.get("path") if isinstance(file, dict) else None
    return Choice(str(uploaded(path)), crop=shape) if path else None
