"""The gallery: the visitor's own pictures, each a card to open or to delete.

Knows cards and their markup; what a click does is `studio`'s business.
"""

from __future__ import annotations

import html
import time
from collections.abc import Sequence

import gradio as gr

from nst.studio.job_store import Card
from nst.studio.task import State
from page.assets import on_load

EMPTY = "<p class='hint'>Pictures that you paint are kept here for {hours:.0f} hours.</p>"
NOTE = (
    "<p class='hint'>Kept for {hours:.0f} hours; only this browser can open them. An interrupted or"
    " stopped picture can be continued.</p>"
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


def gallery_markup(cards: Sequence[Card], kept: float) -> str:
    """Return one card for each job, the latest first; pictures load when they come into sight."""
    if not cards:
        return EMPTY.format(hours=kept / 3600)
    return (
        NOTE.format(hours=kept / 3600)
        + '<div class="cards" role="group" aria-label="Your pictures">'
        + "".join(map(_card, cards))
        + "</div>"
    )


def _card(card: Card) -> str:
    when = time.strftime("%H:%M", time.gmtime(card.created))
    label = f"{WORDS[card.state]}, {card.iteration} of {card.total}"
    if card.is_damaged:
        label = DAMAGED
    name, label = html.escape(f"Picture of {when} UTC, {label}"), html.escape(label)
    fresh = f"{card.changed:.3f}-{card.iteration}"  # when its state changed last
    address = f"studio/{card.id}/thumbnail.jpg?v={fresh}"
    image = (
        f'<img loading="lazy" alt="" src="{address}">'
        if card.iteration and not card.is_damaged
        else '<div class="blank"></div>'
    )
    return (
        f'<div class="card {card.state.value}">'
        f'<button type="button" data-act="select" data-job="{card.id}" aria-label="{name}">'
        f"{image}<span>{label}</span></button>"
        f'<button type="button" class="delete" data-act="delete" data-job="{card.id}"'
        f' aria-label="Delete: {name}">×</button></div>'
    )
