"""The bar above the page: its name, undo and redo, the link to share, and help.

Knows components; what a link says is `page.actions.sharing`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from page.assets import call, mount
from page.http.static_files import asset_url
from page.identity import NAME
from page.panels.controls import ON_THE_PAGE
from page.templates import render

SHORTCUTS = (
    ("S", "Stylize"),
    ("Esc", "Stop"),
    ("K", "Play or pause the film"),
    ("Ctrl Z", "Undo"),
    ("Ctrl Shift Z", "Redo"),
    ("C", "Compare before and after"),
    ("B", "Show the photo, while it is held down"),
    ("F", "Full screen"),
    ("+  −  0", "Zoom in, zoom out, 100 % or the whole picture"),
    ("← → ↑ ↓", "Move the divider, or the zoomed picture"),
    ("D", "Download the picture, or the film"),
    ("?", "This list"),
)


def add_topbar(words: dict[str, Any]) -> gr.HTML:
    """Show the bar. It triggers `undo`, `redo` and `copylink`.

    `words` are what the values of sliders mean, for screen readers.
    """
    return gr.HTML(
        html_template=render("topbar", name=NAME, mark=asset_url("mark.svg"), shortcuts=SHORTCUTS),
        js_on_load=mount("topbar", "undo", "redo", "copylink", url=asset_url("topbar.js")),
        apply_default_css=False,
        elem_id="bar",
        words=words,
    )


def of_history(function: str) -> str:
    """Return the `js` of an event that calls a function of history.js."""
    return call(function, asset_url("history.js"))


@dataclass(frozen=True)
class History:
    """Undo and redo of everything that the visitor chose, kept in the browser."""

    recorded: list[Component]
    taken_back: list[Any]  # the events of undo and redo

    def begin(self, arrival: Any) -> None:
        """Record what the page has when it has opened: the first step."""
        arrival.then(None, self.recorded, None, js=of_history("record"), **ON_THE_PAGE)


def add_history(
    bar: gr.HTML,
    pictures: Sequence[gr.HTML],
    several: Sequence[gr.HTML],
    parts: Sequence[Component],
) -> History:
    """Record every change of the `pictures`, of `several` that a component holds, and the `parts`.

    Connects undo and redo.
    """
    recorded = [*pictures, *several, *parts]
    script = {"trigger_mode": "always_last", **ON_THE_PAGE}
    gr.on([part.change for part in parts], None, recorded, None, js=of_history("record"), **script)
    for event in (*(picture.choose for picture in pictures), *(held.edit for held in several)):
        event(None, recorded, None, js=of_history("record"), **script)
    undo = bar.undo(None, None, recorded, js=of_history("undo"), **script)
    redo = bar.redo(None, None, recorded, js=of_history("redo"), **script)
    return History(recorded, [undo, redo])
