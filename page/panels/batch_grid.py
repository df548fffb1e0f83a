"""A batch on the stage: a tile for each photo, which becomes its picture, and how far all are.

Knows batches and markup; the tiles are drawn by `batch.js` from what `batch_tiles` returns.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from nst.studio.batch_job import Batch
from nst.studio.task import State
from page.http.batch_routes import ZIP_NAME, picture_names
from page.panels import charts
from page.templates import render

LETS_OTHERS_BY = "Another picture is painted first; photo {} of {} is next."
INTERRUPTED = "The server was restarted meanwhile. Continue paints the photos that are left."


def batch_value(batch: Batch) -> dict[str, Any]:
    """Return what the stage shows of a batch, live or ended."""
    is_live = batch.state.is_live
    return {
        "kind": "batch",
        "job": batch.id,
        "isLive": is_live,
        "name": photos_text(len(batch.photos)),
        "photos": batch_tiles(batch),
        "zip": f"studio/{batch.id}/photos.zip" if batch.done and not is_live else "",
        "zipName": ZIP_NAME,
        "left": 0 if is_live else count_left(batch),
        "said": "Painting has begun." if is_live else Markup(batch_status(batch)).striptags(),
    }


def batch_look(batch: Batch, ahead: int = 0, wait: float = 0.0) -> dict[str, Any]:
    """Return what a look at a batch brings beside its card."""
    return {
        "photos": batch_tiles(batch),
        "status": batch_status(batch, ahead, wait),
        "percent": int(100 * share_done(batch)),
    }


def batch_tiles(batch: Batch) -> list[dict[str, str]]:
    """Return what the tile of each photo shows."""
    names = picture_names(batch)
    return [{**_tile(batch, number), "file": name} for number, name in enumerate(names)]


def _tile(batch: Batch, number: int) -> dict[str, str]:
    photo, present = batch.photos[number], batch.present
    home, name = f"studio/{batch.id}", photo.name
    original = f"{home}/photos/{number}.webp" if photo.size else ""
    if number in batch.done:
        picture = f"{home}/pictures/{number}.webp?v=done-{batch.stamp}"
        full = f"{home}/pictures/{number}.png"
        return {"name": name, "state": "done", "text": "", "picture": picture, "full": full}
    if number in batch.failed:
        text = batch.failed[number]
        return {"name": name, "state": "failed", "text": text, "picture": "", "full": ""}
    if present and present[0] == number:
        step = present[1].steps[-1] if present[1].steps else None
        text = f"{step.iteration} of {step.total}" if step else "Getting ready…"
        picture = f"{home}/pictures/{number}.webp?v={batch.revision}" if step else original
        return {"name": name, "state": "running", "text": text, "picture": picture, "full": ""}
    return {"name": name, "state": "waiting", "text": "", "picture": original, "full": ""}


def batch_status(batch: Batch, ahead: int = 0, wait: float = 0.0) -> Markup:
    """Return how far a batch is, and what there is to say about it."""
    if not batch.state.is_live:
        return _ended(batch)
    number, count = _next_number(batch), len(batch.photos)
    if batch.state is State.WAITING and not batch.has_given_way:
        return charts.waiting(ahead, wait)
    bar = render(
        "batch_progress",
        share=f"{share_done(batch):.3f}",
        number=number,
        count=count,
        left=charts.duration(batch.seconds_left),
    )
    note = batch.note
    if batch.state is State.WAITING:
        note = LETS_OTHERS_BY.format(number, count)
    elif present := batch.present:
        note = note or present[1].note
    return bar + (charts.message(note) if note else "")


def _ended(batch: Batch) -> Markup:
    done, count = len(batch.done), len(batch.photos)
    if batch.state is State.FINISHED and done == count:
        taken = sum(step.elapsed for step in batch.done.values())
        return charts.message(f"Finished: {photos_text(count)} in {charts.duration(taken)}.")
    word = "Finished" if batch.state is State.FINISHED else "Stopped"
    note = INTERRUPTED if batch.state is State.INTERRUPTED else batch.note
    return charts.message(f"{word}: {done} of {photos_text(count)} painted. {note}".strip())


def _next_number(batch: Batch) -> int:
    """Return the number, from 1, of the photo that is painted now or next."""
    present, missing = batch.present, batch.missing
    if present:
        return present[0] + 1
    return missing[0] + 1 if missing else len(batch.photos)


def share_done(batch: Batch) -> float:
    """Return how much of a batch is painted, from 0 to 1."""
    settled, present = float(len(batch.done) + len(batch.failed)), batch.present
    if present and present[1].steps:
        step = present[1].steps[-1]
        settled += step.iteration / max(1, step.total)
    return min(1.0, settled / max(1, len(batch.photos)))


def count_left(batch: Batch) -> int:
    """Return how many photos an ended batch could go on with; those that failed if there is none.

    None of a finished batch: what cannot be opened now cannot be opened later.
    """
    if batch.state is State.FINISHED:
        return 0
    return len(batch.missing) or len(batch.photos) - len(batch.done)


def photos_text(count: int) -> str:
    """Return so many photos in words."""
    return "1 photo" if count == 1 else f"{count} photos"
