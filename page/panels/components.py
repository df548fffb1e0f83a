"""Gradio's inputs where theirs would refuse or spoil what a visitor gives.

An image input opens the upload before any handler runs: what it cannot open fails with no sentence,
and what it can open may be clipped or lose its palette. A slider refuses what is being typed into
its box. (Gradio writes a stub beside a module with components of its own; git ignores it.)
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from typing_extensions import override


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
