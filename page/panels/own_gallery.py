"""The gallery: the visitor's own pictures, each a card to open or to delete.

Knows cards and their markup; what a click does is `studio`'s business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import gradio as gr
from markupsafe import Markup

from nst.studio.job_store import Card
from nst.studio.task import State
from page.assets import on_load
from page.templates import render

EMPTY = "Pictures that you paint are kept here for {hours:.0f} hours."
NOTE = (
    "Kept for {hours:.0f} hours; only this browser can open them. An interrupted or stopped picture"
    " can be continued."
)
WORDS = {
    State.WAITING: "in the queue",
    State.RUNNING: "being painted",
    State.FINISHED: "finished",
    State.STOPPED: "stopped",
    State.INTERRUPTED: "interrupted",
    State.FAILED: "failed",
}
DAMAGED = "damaged on the server's disk; it can only be deleted"


def add_gallery() -> gr.HTML:
    """Show the gallery; `select` opens a job, `delete` asks for its end, both with `job`."""
    return gr.HTML(js_on_load=on_load("own_gallery"), elem_id="gallery")


def gallery_markup(cards: Sequence[Card], kept: float) -> Markup:
    """Return one card for each job, the latest first; pictures load when they come into sight."""
    note = (NOTE if cards else EMPTY).format(hours=kept / 3600)
    return render("own_gallery", note=note, cards=[_shown(card) for card in cards])


def _shown(card: Card) -> dict[str, str]:
    """Return what the template shows of a card."""
    when = time.strftime("%H:%M", time.gmtime(card.created))
    label = f"{WORDS[card.state]}, {card.iteration} of {card.total}"
    if card.is_damaged:
        label = DAMAGED
    fresh = f"{card.changed:.3f}-{card.iteration}"  # when its state changed last
    has_picture = card.iteration and not card.is_damaged
    return {
        "id": card.id,
        "state": card.state.value,
        "label": label,
        "name": f"Picture of {when} UTC, {label}",
        "thumbnail": f"studio/{card.id}/thumbnail.jpg?v={fresh}" if has_picture else "",
    }
