"""Rows of examples to click, or to drag to an input.

Knows markup; what a click does is others' business.
"""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from page.assets import mount
from page.examples import Example
from page.http.static_files import asset_url
from page.templates import render


def picker(elem_id: str) -> gr.HTML:
    """Return a row of pictures to choose from.

    A click triggers `select` with the name, or gives the picture to the input of the row's role.
    """
    return gr.HTML(
        js_on_load=mount("examples", "select", url=asset_url("examples.js")),
        apply_default_css=False,
        elem_id=elem_id,
    )


def row_markup(examples: Sequence[Example], label: str, role: str = "") -> str:
    """Return what such a row shows, for the input of a role; nothing when there are none."""
    return render("examples", label=label, examples=examples, role=role) if examples else ""
