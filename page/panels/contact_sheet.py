"""The contact sheet: nine small pictures over two settings, each one to click.

Knows components and markup; painting and clicks are other rooms' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup

from nst import TransferSettings
from nst.engine.contact_sheet import VARIABLE
from nst.settings import options
from nst.studio.sheet_job import Sheet
from nst.studio.task import State
from page.assets import mount
from page.http.static_files import asset_url
from page.panels import charts
from page.previews import data_url
from page.templates import render

NOTE = (
    "Nine small pictures, painted at once. Click the one you like: the sliders move to it, and it"
    " is painted on at full size."
)


@dataclass
class SheetPanel:
    """The contact sheet's fold: the two settings, the button and the tiles."""

    rows: gr.Dropdown
    columns: gr.Dropdown
    make: gr.Button
    grid: gr.HTML
    fold: gr.Accordion


def add_sheet() -> SheetPanel:
    """Show the panel, folded away."""
    choices = [(options()[name].label, name) for name in VARIABLE]
    fold = gr.Accordion("Contact sheet: nine looks at once", open=False, elem_id="sheet")
    with fold:
        with gr.Row():
            rows = gr.Dropdown(choices, value="beta", label="Downward")
            # α and β together would repeat themselves: only their ratio shows.
            columns = gr.Dropdown(choices, value="style_scale", label="To the right")
        make = gr.Button("Make a contact sheet", elem_id="make-sheet")
        grid = gr.HTML(
            charts.hint(NOTE),
            js_on_load=mount("contact_sheet", "select", url=asset_url("contact_sheet.js")),
            apply_default_css=False,
            elem_id="tiles",
        )
    return SheetPanel(rows, columns, make, grid, fold)


def followed_sheet(sheet: Sheet) -> Markup:
    """Return what is shown of a sheet until its script has looked at it."""
    return render("followed_sheet", sheet=sheet.id)


def sheet_markup(sheet: Sheet, ahead: int) -> Markup:
    """Return the tiles as they are now."""
    if sheet.state is State.FAILED or (sheet.state is State.STOPPED and sheet.note):
        return charts.message(sheet.note)
    if not sheet.tiles:
        ready = sheet.note or "Getting ready…"
        return charts.message(f"In the queue: {ahead} before." if ahead else ready)
    step, names = sheet.tiles[0][0], varied(sheet)
    tiles = [
        {"picture": data_url(tile.image), "label": label_of(settings, names)}
        for row, settings_row in zip(sheet.tiles, sheet.grid, strict=True)
        for tile, settings in zip(row, settings_row, strict=True)
    ]
    done = sheet.state is not State.RUNNING
    return render(
        "contact_sheet",
        sheet=sheet.id,
        state="Click a tile to go on from it." if done else f"{step.iteration} of {step.total}",
        columns=len(sheet.grid[0]),
        tiles=tiles,
    )


def label_of(settings: TransferSettings, names: Sequence[str]) -> str:
    """Return the values of these settings in words."""
    values = ((options()[name].label, getattr(settings, name)) for name in names)
    return ", ".join(f"{label} {value_text(value)}" for label, value in values)


def varied(sheet: Sheet) -> list[str]:
    """Return the settings that differ between tiles."""
    tiles = [settings for row in sheet.grid for settings in row]
    return [n for n in VARIABLE if any(getattr(t, n) != getattr(tiles[0], n) for t in tiles)]


def value_text(value: object) -> str:
    """Return a setting's value as a tile shows it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
