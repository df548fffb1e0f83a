"""The gallery: the visitor's own pictures, each a card to open or to delete.

Knows cards and their markup; what a click does is `studio`'s business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import gradio as gr
from markupsafe import Markup

from nst.studio.batch_job import Batch
from nst.studio.film_job import Film
from nst.studio.job import Job
from nst.studio.job_store import Card
from nst.studio.task import State
from page.assets import mount
from page.http.static_files import asset_url
from page.templates import render

EMPTY = "Pictures and films that you paint are kept here for {hours:.0f} hours."
NOTE = (
    "Kept for {hours:.0f} hours; only this browser can open them. What was interrupted or stopped"
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
COUNTED = {Film.noun: " frames", Batch.noun: " photos"}
DAMAGED = "damaged on the server's disk; it can only be deleted"


def add_gallery() -> gr.HTML:
    """Show the gallery; it triggers `select`, `delete` and `restore`, each with a `job`."""
    return gr.HTML(
        js_on_load=mount(
            "own_gallery", "select", "delete", "restore", url=asset_url("own_gallery.js")
        ),
        apply_default_css=False,
        elem_id="gallery",
    )


def gallery_markup(cards: Sequence[Card], kept: float, deleted: str = "") -> Markup:
    """Return one card for each job, the latest first; pictures load when they come into sight.

    `deleted` is the id of a job that can be brought back.
    """
    note = (NOTE if cards else EMPTY).format(hours=kept / 3600)
    return render("own_gallery", note=note, cards=[_shown(card) for card in cards], deleted=deleted)


def label_of(card: Card) -> str:
    """Return what a card says of its job: where it is in its life."""
    if card.is_damaged:
        return DAMAGED
    counted = COUNTED.get(card.noun, "")
    return f"{WORDS[card.state]}, {card.iteration} of {card.total}{counted}"


def _shown(card: Card) -> dict[str, str]:
    """Return what the template shows of a card; the browser knows the visitor's time of day."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(card.created))
    iteration = min(card.iteration, 1) if card.noun == "film" else card.iteration
    fresh = f"{card.changed:.3f}-{iteration}"  # when its state changed last
    has_picture = card.iteration and not card.is_damaged
    return {
        "id": card.id,
        "state": card.state.value,
        "label": label_of(card),
        "moment": moment,
        "thumbnail": f"studio/{card.id}/thumbnail.jpg?v={fresh}" if has_picture else "",
        "full": f"studio/{card.id}/display.webp" if has_picture and card.noun == Job.noun else "",
        "noun": card.noun,
        "blank": f"{card.total} photos" if card.noun == Batch.noun and card.total > 1 else "",
    }
