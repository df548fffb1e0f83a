"""An input for pictures that leaves the decoding to us.

Gradio's own opens the upload before any handler runs: what it cannot open fails with no sentence,
and what it can open may be clipped or lose its palette.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.data_classes import ImageData


def untouched_image(value: str | None = None, **options: Any) -> gr.Image:
    """A `gr.Image` that hands the uploaded file over as it came, by its path."""
    image = gr.Image(value, type="filepath", image_mode=None, **options)
    decode_inline = image.preprocess

    def hand_over(payload: ImageData | None) -> str | None:
        if payload is None or payload.path is None:
            inline: str | None = decode_inline(payload)  # nothing, or an MCP client's data: URL
            return inline
        return str(payload.path)

    image.preprocess = hand_over
    return image
