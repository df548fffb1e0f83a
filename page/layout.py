"""Lay out the page: what is where, and what is connected to what.

What each part shows is in `page.panels`, what is painted is in `nst`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from gradio.components import Component

from nst.engine.texture import TextureCache
from nst.hub.gallery import Gallery
from nst.settings import GATYS_STYLE_LAYERS, options
from nst.studio.workshop import Workshop
from page.actions.session import Session
from page.api import add_endpoint
from page.examples import ExampleSet, arrival_of, picker, row_markup
from page.http.admission import Admission
from page.http.bounded_blocks import BoundedBlocks
from page.http.following import AT_ONCE, Tabs
from page.panels import charts
from page.panels.contact_sheet import add_sheet
from page.panels.controls import OTHER_LAYERS, Controls
from page.panels.own_gallery import add_gallery
from page.panels.picture_inputs import Input, picture_input
from page.panels.public_gallery import add_community
from page.panels.publishing import add_publishing
from page.panels.result_panel import add_result_panel
from page.panels.showcase import Showcase
from page.studio import Studio

MAX_WAITING = 500  # events in Gradio's queue; pictures wait in the workshop's own queue
TEMPORARY_FILES = (3600, 6 * 3600)  # looked at every hour, deleted after six

INTRODUCTION = """
# Neural Style Transfer
Drop in a photo and a painting, and watch them become one picture.
"""

FINISHED = "Painted beforehand: click one to see it before and after, with its settings."


def build_demo(
    workshop: Workshop, examples: ExampleSet, gallery: Gallery | None = None
) -> BoundedBlocks:
    """Return the page, not yet served.

    Its pictures are painted in `workshop`, its examples those of `examples`, and `gallery` is what
    visitors publish to, if there is one.
    """
    with BoundedBlocks(
        title="Neural Style Transfer", delete_cache=TEMPORARY_FILES, analytics_enabled=False
    ) as demo:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        finished = picker("finished-examples")
        visitor = gr.BrowserState("", storage_key="nst-visitor", secret="nst")
        current, to_follow, sheet = gr.State(""), gr.State(""), gr.State("")
        controls, tabs = Controls(), Tabs(demo.sessions)
        with gr.Row(elem_id="studio"):
            with gr.Column(elem_classes="inputs"):
                with gr.Row():
                    photo = picture_input(
                        "Photo", "content", ["upload", "webcam", "clipboard"], examples
                    )
                    painting = picture_input("Painting", "style", ["upload", "clipboard"], examples)
                controls.add_looks()
                with gr.Row():
                    copy_link = gr.Button("Copy link", size="sm", min_width=100)
                    bring_back = gr.UploadButton(
                        "Settings from a picture…",
                        file_types=["image"],
                        size="sm",
                        min_width=160,
                        elem_id="bring-back",
                    )
                link = gr.Textbox(
                    label="Link to this page with its settings",
                    interactive=False,
                    visible=False,
                    buttons=["copy"],
                    elem_id="link",
                )
            with gr.Column(elem_id="result-panel"):
                result_panel = add_result_panel(
                    controls, examples, lends_gpus=workshop.backend.lends_gpus
                )
                publishing = add_publishing(gallery)
            with gr.Column(elem_classes="settings"):
                add_settings(controls)
        panel = add_sheet()
        with gr.Accordion("Your pictures", open=True, elem_id="pictures"):
            own_pictures = add_gallery()
        public = add_community(gallery)
        controls.wire()
        admission = Admission(workshop)
        session = Session(
            admission=admission,
            textures=texture_cache(workshop),
            examples=examples,
            visitor=visitor,
            current=current,
            to_follow=to_follow,
            photo=photo.image,
            painting=painting.image,
            controls=controls,
            result_panel=result_panel,
            panel=panel,
            sheet=sheet,
            gallery=own_pictures,
            copy_link=copy_link,
            link=link,
            tabs=tabs,
        )
        arrival = Studio(session).wire(demo)
        show_examples(demo, examples, finished, photo, painting)
        showcase = Showcase(
            examples, gallery, controls, result_panel, photo.image, painting.image, current, tabs,
            is_live=lambda id: session.live_job(id) is not None,
        )  # fmt: skip
        showcase.wire(finished, public.grid, bring_back)
        public.wire(
            publishing.wire(arrival, current, visitor, session.own_job) if publishing else None
        )
        add_endpoint(admission)
    for event in demo.fns.values():
        if event.name == "_check_login_status":  # of the sign-in button; nobody's to call
            event.api_visibility = "private"
    assert isinstance(demo, BoundedBlocks)
    return demo.queue(max_size=MAX_WAITING)


def texture_cache(workshop: Workshop) -> TextureCache | None:
    """Return where the layers' textures are kept, beside the jobs."""
    if not workshop.job_store:
        return None
    engine = workshop.backend.in_process.engine()
    return TextureCache(workshop.job_store.folder / "textures", engine)


def show_examples(
    demo: gr.Blocks, examples: ExampleSet, finished: gr.HTML, photo: Input, painting: Input
) -> None:
    """Fill the rows of examples, and again when those of the Hub have arrived."""

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


def add_settings(controls: Controls) -> None:
    """Show every control but the look and the colours, the rarely used ones folded away."""
    with gr.Accordion("Settings", open=True, elem_id="settings"):
        controls.add("alpha", "beta", "size", "iterations")
    with gr.Accordion("Layers: what the style is made of", open=True, elem_id="layers"):
        controls.add_layers(*GATYS_STYLE_LAYERS)
        controls.folded.render()
        with controls.folded:
            controls.add_layers(*OTHER_LAYERS)
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        controls.add(*(name for name, option in options().items() if option.advanced))


def theme() -> gr.themes.Base:
    """Warm paper and ink; system fonts, so that nothing is fetched."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        secondary_hue=gr.themes.colors.amber,
        neutral_hue=gr.themes.colors.stone,
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    ).set(  # contrast of at least 4.5 to 1 in light and dark
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
    )
