"""The page: `python app.py` serves it on 127.0.0.1:7860.

Only the front door: what is where, and how it is served. What is shown is `page`'s business, what
is painted `nst`'s.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from nst.forecast import seconds_per_pixel
from nst.settings import GATYS_STYLE_LAYERS, options
from nst.texture import TextureBook
from nst.transfer import load_network
from nst.workshop import Limits, Workshop
from page.controls import OTHER_LAYERS, Controls
from page.easel import add_easel
from page.endpoint import add_endpoint
from page.files import file_routes
from page.gallery import add_gallery
from page.inputs import picture_input
from page.sheets import add_sheet
from page.studio import Studio

MAX_WAITING = 500  # events in Gradio's queue; pictures wait in the workshop's own line
MAX_EVENTS = 500  # at once; every tab that looks at a picture holds one or two
MAX_UPLOAD = "25mb"
TEMPORARY_FILES = (3600, 6 * 3600)  # looked at every hour, deleted after six
HERE = Path(__file__).parent

INTRODUCTION = """
# Neural Style Transfer
Drop in a photo and a painting, and watch them become one picture.
"""


def build_demo(workshop: Workshop) -> gr.Blocks:
    """The page, not yet served; its pictures are painted in `workshop`."""
    with gr.Blocks(
        title="Neural Style Transfer", delete_cache=TEMPORARY_FILES, analytics_enabled=False
    ) as demo:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        visitor = gr.BrowserState("", storage_key="nst-visitor", secret="nst")
        current, to_follow, sheet = gr.State(""), gr.State(""), gr.State("")
        controls = Controls()
        with gr.Row(elem_id="studio"):
            with gr.Column(elem_classes="inputs"):
                with gr.Row():
                    photo = picture_input("Photo", "content", ["upload", "webcam", "clipboard"])
                    painting = picture_input("Painting", "style", ["upload", "clipboard"])
                look = controls.add_looks()
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
            with gr.Column(elem_id="easel"):
                easel = add_easel(controls)
            with gr.Column(elem_classes="settings"):
                add_settings(controls)
        panel = add_sheet()
        with gr.Accordion("Your pictures", open=True, elem_id="pictures"):
            gallery = add_gallery()
        controls.wire(look)
        Studio(
            workshop=workshop,
            book=TextureBook(workshop.archive.folder / "textures") if workshop.archive else None,
            visitor=visitor,
            current=current,
            to_follow=to_follow,
            photo=photo,
            painting=painting,
            controls=controls,
            easel=easel,
            panel=panel,
            sheet=sheet,
            gallery=gallery,
            bring_back=bring_back,
            copy_link=copy_link,
            link=link,
        ).wire(demo)
        add_endpoint(workshop)
    return demo.queue(max_size=MAX_WAITING)


def add_settings(controls: Controls) -> None:
    """Every control but the look and the colours, the rarely used ones folded away."""
    with gr.Accordion("Settings", open=True, elem_id="settings"):
        controls.add("alpha", "beta", "size", "iterations")
    with gr.Accordion("Layers: what the style is made of", open=True, elem_id="layers"):
        controls.add_layers(*GATYS_STYLE_LAYERS)
        controls.folded.render()
        with controls.folded:
            controls.add_layers(*OTHER_LAYERS)
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        controls.add(*(name for name, option in options().items() if option.advanced))


def open_workshop() -> Workshop:
    """The workshop that the environment asks for: `NST_JOBS` is the folder where pictures are kept,
    `NST_GRACE` how many seconds a job goes on with nobody watching."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("NST_JOBS") or cache / "nst" / "jobs")
    grace = float(os.environ.get("NST_GRACE") or Limits.grace)
    workshop = Workshop(folder, Limits(grace=grace, grace_in_line=min(grace, Limits.grace_in_line)))
    workshop.sweep()
    return workshop


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


def launch_options(workshop: Workshop) -> Mapping[str, Any]:
    """How the page is served; tests use the same."""
    return {
        "theme": theme(),
        "css_paths": [HERE / "page" / "style.css"],
        "head_paths": [HERE / "page" / "head.html"],
        "app_kwargs": {"routes": file_routes(workshop)},
        "max_threads": MAX_EVENTS,
        "max_file_size": MAX_UPLOAD,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "mcp_server": True,
        "run_history": False,
        "allowed_paths": [str(HERE / "examples")],
    }


def is_our_business(record: logging.LogRecord) -> bool:
    """Not the tracebacks of tabs that were closed while something was sent to them: Gradio answers
    404 in the middle of their streams, which nobody reads any more."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "response already started" in str(error))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(is_our_business)
    seconds_per_pixel(load_network())  # before the first visitor waits for it
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end, like Ctrl+C
    workshop = open_workshop()
    try:
        build_demo(workshop).launch(**launch_options(workshop))
    finally:
        workshop.close()
