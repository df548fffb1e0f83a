"""Where a clip comes in: chosen, dropped or recorded, then trimmed.

Knows the component and what it holds; what becomes of the clip is others' business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gradio as gr
from typing_extensions import override

from nst.settings import options
from page.assets import mount
from page.clip_previews import ClipPreview
from page.http.body_limits import MAX_UPLOAD
from page.http.bounded_blocks import uploaded
from page.http.static_files import asset_url
from page.templates import render

SIZES = (256, 384, 512, 768)  # pixels that are offered, of a frame's longest side
RATES = (24, 12, 8)  # frames per second that are offered, where the clip has more
USUAL_RATE = 12
USUAL_SIZE = SIZES[0]
LONGEST_NAME = 200  # characters


@dataclass(frozen=True)
class ChosenClip:
    """A clip that a visitor chose, and what of it is to be painted.

    From `begin` to `end` in seconds, `rate` frames per second at most (0 takes all), and `size`
    pixels on the longest side.
    """

    path: str
    begin: float
    end: float
    rate: float
    size: int
    name: str = ""


class ClipInput(gr.HTML):  # type: ignore[misc]  # Gradio is untyped here
    """An input for one clip. Handlers receive a `ChosenClip`, or None where there is none."""

    @override
    def get_block_name(self) -> str:
        return "html"

    @override
    def preprocess(self, payload: Any) -> ChosenClip | None:
        if not isinstance(payload, dict) or not payload.get("file"):
            return None
        # One that the server has not read yet, as it has just been sent, is taken whole.
        begin, end = (_number(payload.get(name, 0.0)) for name in ("begin", "end"))
        rate = _number(payload.get("rate", USUAL_RATE))
        low, high = options()["size"].range
        size = min(max(int(_number(payload.get("size", USUAL_SIZE))), int(low)), int(high))
        path = str(uploaded(payload["file"]["path"]))
        name = str(payload.get("name", ""))[:LONGEST_NAME]
        return ChosenClip(path, begin, max(begin, end), rate, size, name)


def add_clip_input() -> ClipInput:
    """Show the input. It triggers `choose` with a new clip, and `edit` with each other change."""
    return ClipInput(
        html_template=render("clip_input"),
        js_on_load=mount("clip_input", "choose", "edit", url=asset_url("clip_input.js")),
        apply_default_css=False,
        elem_id="clip",
        most=MAX_UPLOAD,
        sizes=SIZES,
        rates=RATES,
    )


def clip_value(clip: ChosenClip, preview: ClipPreview) -> dict[str, Any]:
    """Return what the input holds for a clip that was just chosen: all of it."""
    facts = preview.facts
    return {
        "file": {"path": clip.path},
        "name": clip.name,
        "shown": preview.shown,
        "seconds": facts.seconds,
        "ownRate": facts.rate,
        "width": facts.width,
        "height": facts.height,
        "begin": 0.0,
        "end": facts.seconds,
        "rate": USUAL_RATE if facts.rate > USUAL_RATE else 0,
        "size": USUAL_SIZE,
    }


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"no number that can be here: {value}")
    return number
