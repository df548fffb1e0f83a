"""The two ways of using the page: a picture from a photo, or a film from a clip.

Knows the component; its script shows what belongs to the one that is chosen.
"""

from __future__ import annotations

import gradio as gr

from page.assets import mount
from page.http.static_files import asset_url
from page.templates import render

PICTURE, FILM = "picture", "film"


def add_modes() -> gr.HTML:
    """Show the two tabs. The component holds `PICTURE` or `FILM`."""
    return gr.HTML(
        PICTURE,
        html_template=render("modes"),
        js_on_load=mount("modes", url=asset_url("modes.js")),
        apply_default_css=False,
        elem_id="modes",
    )
