"""The stage: the picture that the page is about, as large as there is room for.

Knows the component and the values that its script shows; nothing of what a click does. A value
names addresses of pictures; the script follows the job of one that is live (`page.looks`).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import gradio as gr

from nst.studio.job import Job
from page.assets import mount
from page.examples import Example, ExampleSet
from page.http.static_files import asset_url
from page.templates import render

StageValue = dict[str, Any]

PHOTO, PICTURE = "Photo", "Picture"


def add_stage(value: StageValue) -> gr.HTML:
    """Show the stage.

    Its script triggers `ended` when the job that it follows has ended, `steered` when that was
    steered from another tab, of a batch `open_one` and `go_on`, and of a picture that was opened
    from one `open_batch`.
    """
    return gr.HTML(
        value,
        html_template=render("stage"),
        js_on_load=mount(
            "stage",
            "ended",
            "steered",
            "open_one",
            "go_on",
            "open_batch",
            url=asset_url("stage.js"),
        ),
        apply_default_css=False,
        elem_id="stage",
    )


def nothing() -> StageValue:
    """Return what an empty stage shows."""
    return {"kind": "nothing"}


def chosen_photo(address: str) -> StageValue:
    """Return what the stage shows before a picture is begun: the photo at an address."""
    return {"kind": "photo", "after": address, "alt": "Your photo"}


def of_job(job: Job, name: str) -> StageValue:
    """Return what the stage shows of a job, live or ended; `name` is what it is called."""
    is_live = job.state.is_live
    photo = f"studio/{job.id}/photo.webp?side=1024"
    value: StageValue = {
        "kind": "job",
        "job": job.id,
        "isLive": is_live,
        "name": name,
        "before": photo,
        "beforeName": PHOTO,
        "beforeAlt": "The photo",
        "after": display_address(job) if job.moment else photo,
        "afterName": PICTURE,
        "alt": "The picture as it is being painted" if is_live else f"The finished picture: {name}",
    }
    return value | ({"said": "Painting has begun."} if is_live else {})


def of_example(example: Example, examples: ExampleSet, *, colors: float = 0.0) -> StageValue:
    """Return what the stage shows of a finished example, beside its photo where known."""
    recipe = example.picture.recipe
    photo = examples.example_of(recipe.content) if recipe else None
    return compared(
        f"{example.large}{query_of(colors)}",
        example.title,
        photo.large if photo else None,
        again={"example": example.name},
    )


def of_shared(job: Job, share: str, *, colors: float | None = None) -> StageValue:
    """Return what the stage shows of somebody's picture that a link speaks of."""
    dialled = job.colors if colors is None else colors
    address = f"studio/shared/{share}/display.webp?colors={dialled:g}"
    return compared(address, "A picture from a link", None, again={"share": share})


def compared(
    picture: str, name: str, photo: str | None, *, again: StageValue | None = None
) -> StageValue:
    """Return what the stage shows of a finished picture that is nobody's job here.

    `again` says how to find it when the colours are dialled.
    """
    return {
        "kind": "exhibit",
        "name": name,
        "before": photo,
        "beforeName": PHOTO,
        "beforeAlt": "The photo",
        "after": picture,
        "afterName": PICTURE,
        "alt": name,
        "compares": bool(photo),
        **(again or {}),
    }


def first_value(examples: ExampleSet) -> StageValue:
    """Return what the stage shows at first: the first finished example, before and after."""
    for example in examples.of_role("result"):
        return of_example(example, examples)
    photo = next(iter(examples.of_role("content")), None)
    return chosen_photo(photo.large) if photo else nothing()


def display_address(job: Job) -> str:
    """Return the address of a job's present picture; another revision has another."""
    return f"studio/{job.id}/display.webp?v={job.revision}"


def query_of(colors: float) -> str:
    """Return the query of an address in other colours, "" for those that were painted."""
    return "?" + urlencode({"colors": f"{colors:g}"}) if colors else ""
