"""Lay out the page: what is where, and what is connected to what.

What each part shows is in `page.panels`, what is painted is in `nst`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from nst.engine.texture import TextureCache
from nst.hub.gallery import Gallery
from nst.settings import GATYS_STYLE_LAYERS, options
from nst.studio.workshop import Workshop
from page.actions.session import Session
from page.api import add_endpoint, add_mask_endpoint
from page.examples import ExampleSet, arrival_of
from page.http.admission import Admission
from page.http.bounded_blocks import BoundedBlocks
from page.http.following import AT_ONCE, Tabs
from page.identity import NAME
from page.panels import charts
from page.panels.clip_input import add_clip_input
from page.panels.components import PictureInput
from page.panels.contact_sheet import SheetPanel, add_sheet
from page.panels.controls import OTHER_LAYERS, USUAL_LARGEST, WITH_KEYS, Controls
from page.panels.example_rows import picker, row_markup
from page.panels.film import FilmPanel, add_film, add_film_actions
from page.panels.folds import fold
from page.panels.modes import add_modes
from page.panels.own_gallery import add_gallery
from page.panels.paintings import PaintingsInput, add_paintings
from page.panels.photo_tray import PhotoTray, add_tray
from page.panels.picture_inputs import Input, picture_input
from page.panels.public_gallery import Community, add_community
from page.panels.publishing import Publishing, add_publishing
from page.panels.result_panel import ResultPanel, add_actions, add_result
from page.panels.showcase import Showcase
from page.panels.topbar import add_history, add_topbar
from page.studio import Studio

MAX_WAITING = 500  # events in Gradio's queue; pictures wait in the workshop's own queue
TEMPORARY_FILES = (3600, 6 * 3600)  # looked at every hour, deleted after six

FINISHED = "Painted beforehand: click one to see it before and after, with its settings."
OWN_START = "Start from a picture of your own, in place of what Start from says."
FILM_KEEPS = "A film keeps the look and the colours that it was begun with."
CONTENT_LAYERS = (
    "Where none of these counts, the scene is compared at the content layer above alone."
)
SIZE_AND_TIME = ("size", "iterations")
TRUE_WEIGHTS = ("alpha", "beta")
NOT_ADVANCED = {
    *WITH_KEYS,  # they have many components
    *("colors", *SIZE_AND_TIME, *TRUE_WEIGHTS),
}


@dataclass
class Parts:
    """The panels of the page, in their places."""

    bar: gr.HTML
    bring_back: gr.UploadButton
    photo: Input
    painting: Input
    tray: PhotoTray
    paintings: PaintingsInput
    init: PictureInput
    controls: Controls
    result_panel: ResultPanel
    publishing: Publishing | None
    finished: gr.HTML
    own_pictures: gr.HTML
    panel: SheetPanel
    film: FilmPanel
    public: Community


def build_demo(
    workshop: Workshop,
    examples: ExampleSet,
    gallery: Gallery | None = None,
    *,
    largest: int = USUAL_LARGEST,
) -> BoundedBlocks:
    """Return the page, not yet served.

    Its pictures are painted in `workshop`, its examples those of `examples`, and `gallery` is what
    visitors publish to, if there is one.
    """
    with BoundedBlocks(
        title=NAME, fill_width=True, delete_cache=TEMPORARY_FILES, analytics_enabled=False
    ) as demo:
        parts = lay_out(workshop, examples, gallery, largest)
        connect(demo, parts, workshop, examples, gallery)
    for event in demo.fns.values():
        if event.name == "_check_login_status":  # of the sign-in button; nobody's to call
            event.api_visibility = "private"
    assert isinstance(demo, BoundedBlocks)
    return demo.queue(max_size=MAX_WAITING)


def lay_out(
    workshop: Workshop, examples: ExampleSet, gallery: Gallery | None, largest: int
) -> Parts:
    """Put every panel in its place.

    The inputs and Stylize come first for the keyboard; the stage is shown beside or above them.
    """
    controls = Controls(largest)
    bar = add_topbar(controls.words())
    with gr.Row(elem_id="studio"):
        with gr.Column(elem_id="desk"):
            modes = add_modes()
            with gr.Row(elem_id="inputs"):
                clip = add_clip_input()
                photo_image = picture_input("Photo", "content", examples)
                painting_image = picture_input("Painting", "style", examples)
            tray = add_tray(examples)
            paintings = add_paintings(examples)
            actions, film_actions = add_actions(), add_film_actions()
            painting = Input(painting_image, picker("style-examples"), "Painting", "style")
            photo = Input(photo_image, picker("content-examples"), "Photo", "content")
            with gr.Column(elem_id="controls"):
                init = add_controls(controls, examples)
                with fold("Explain: what is being minimised", "explain"):
                    explain = gr.Column(min_width=0)
        with gr.Column(elem_id="result-panel"):
            result_panel = add_result(actions, examples, lends_gpus=workshop.backend.lends_gpus)
            publishing = add_publishing(gallery)
            film = add_film(modes, clip, film_actions, unseen("current-film"))
    with explain:
        result_panel.curves.render()
        result_panel.explanation.render()
    with gr.Column(elem_id="below"):
        finished = picker("finished-examples")
        with gr.Accordion("Your pictures", open=True, elem_id="pictures"):
            own_pictures = add_gallery()
            bring_back = gr.UploadButton(
                "Settings from a picture…", file_types=["image"], size="sm", elem_id="bring-back"
            )
        panel = add_sheet()
        public = add_community(gallery)
    return Parts(
        bar, bring_back, photo, painting, tray, paintings, init, controls, result_panel, publishing,
        finished, own_pictures, panel, film, public,
    )  # fmt: skip


def add_controls(controls: Controls, examples: ExampleSet) -> PictureInput:
    """Show the controls in the order of need, the true ones below the friendly ones.

    Returns the input of a picture to start from.
    """
    controls.add_looks()
    controls.add_friendly()
    controls.add("colors")
    gr.HTML(charts.hint(FILM_KEEPS), apply_default_css=False, elem_id="film-keeps")
    with fold("Size and time", "settings"):
        controls.add(*SIZE_AND_TIME)
    with fold("Weights: content α, style β", "weights"):
        controls.add(*TRUE_WEIGHTS)
    with fold("Layers λ: what the style is made of", "layers") as controls.layers_fold:
        controls.add_layers(*GATYS_STYLE_LAYERS)
        with fold("The other eleven layers", "other-layers") as controls.folded:
            controls.add_layers(*OTHER_LAYERS)
    with fold("Advanced", "advanced"):
        controls.add(*(name for name in options() if name not in NOT_ADVANCED))
        with fold("Style costs: what layers are compared by", "style-costs"):
            controls.add_style_costs()
        with fold("Content layers: what holds the scene", "content-layers"):
            gr.HTML(charts.hint(CONTENT_LAYERS), apply_default_css=False)
            controls.add_content_layers()
        init = add_init(examples)
    controls.wire()
    return init


def add_init(examples: ExampleSet) -> PictureInput:
    """Show where a picture of one's own to start from is chosen."""
    with gr.Column(elem_id="own-start", min_width=0):
        gr.HTML(charts.hint(OWN_START), apply_default_css=False)
        return picture_input("Starting picture", "init", examples)


def connect(
    demo: BoundedBlocks,
    parts: Parts,
    workshop: Workshop,
    examples: ExampleSet,
    gallery: Gallery | None,
) -> None:
    """Connect every event of the panels."""
    visitor = gr.BrowserState("", storage_key="nst-visitor", secret="nst")
    current, link = unseen("current"), unseen("link")
    photo, painting, controls = parts.photo.image, parts.painting.image, parts.controls
    settable = [*controls.by_name.values(), *controls.weights]
    session = Session(
        admission=Admission(workshop),
        textures=texture_cache(workshop),
        examples=examples,
        visitor=visitor,
        current=current,
        photo=photo,
        painting=painting,
        paintings=parts.paintings,
        init=parts.init,
        tray=parts.tray,
        controls=controls,
        result_panel=parts.result_panel,
        panel=parts.panel,
        film=parts.film,
        sheet=gr.State(""),
        gallery=parts.own_pictures,
        bar=parts.bar,
        history=add_history(
            parts.bar, [photo, painting, parts.init], [parts.paintings, parts.tray], settable
        ),
        link=link,
        found=unseen("found"),
        tabs=Tabs(demo.sessions),
    )
    arrival = Studio(session).wire(demo)
    show_examples(demo, examples, parts)
    showcase = Showcase(
        examples, gallery, controls, parts.result_panel, photo, painting,
        parts.paintings, current, session.tabs,
        is_live=lambda id: session.live_task(id) is not None,
        is_kept=lambda id: session.task_of(id) is not None,
    )  # fmt: skip
    showcase.wire(parts.finished, parts.public.grid, parts.bring_back)
    publishing = parts.publishing
    parts.public.wire(
        publishing.wire(arrival, current, visitor, session.own_job) if publishing else None
    )
    add_endpoint(session.admission)
    add_mask_endpoint()


def unseen(name: str) -> gr.Textbox:
    """Return a value that the browser holds and nobody sees."""
    return gr.Textbox("", visible="hidden", elem_id=name, label=name, container=False)


def texture_cache(workshop: Workshop) -> TextureCache | None:
    """Return where the layers' textures are kept, beside the jobs."""
    if not workshop.job_store:
        return None
    engine = workshop.backend.in_process.engine()
    return TextureCache(workshop.job_store.folder / "textures", engine)


def show_examples(demo: gr.Blocks, examples: ExampleSet, parts: Parts) -> None:
    """Fill the rows of examples, and again when those of the Hub have arrived."""
    finished, photo, painting = parts.finished, parts.photo, parts.painting

    def rows() -> dict[Component, str]:
        pictures = row_markup(examples.of_role("result"), "Finished pictures")
        return {
            finished: charts.hint(FINISHED) + pictures if pictures else "",
            photo.row: photo.row_of(examples),
            painting.row: painting.row_of(examples),
        }

    built = examples.all  # which the page has from the beginning

    async def refill() -> AsyncIterator[dict[Component, Any]]:
        shown = examples.all
        yield {finished: gr.update()} if shown is built else rows()
        if await arrival_of(examples, shown):
            yield rows()

    for part, markup in rows().items():
        part.value = markup
    demo.load(refill, None, [finished, photo.row, painting.row], **AT_ONCE)
