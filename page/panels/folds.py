"""Folds: a heading that shows and hides what is below it.

Gradio's accordion creates what it holds only when it is opened; sliders that are linked with one
another, recorded for undo and compared with a look must be there from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from page.assets import mount
from page.http.static_files import asset_url
from page.templates import render


@contextmanager
def fold(title: str, elem_id: str) -> Iterator[gr.HTML]:
    """Lay out the block's components below a heading, folded away.

    Yields the heading, which triggers `expand` and `collapse`.
    """
    with gr.Column(elem_id=elem_id, elem_classes="fold", min_width=0):
        heading = gr.HTML(
            html_template=render("fold", title=title),
            js_on_load=mount("fold", "expand", "collapse", url=asset_url("fold.js")),
            apply_default_css=False,
        )
        with gr.Column(elem_classes="folded", min_width=0):
            yield heading
