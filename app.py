"""The page: `python app.py` serves it on 127.0.0.1:7860.

Only the front door: what is where, and how it is served. What is shown is `page`'s business, what
is painted `nst`'s.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.utils import get_upload_folder
from huggingface_hub.utils import disable_progress_bars
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from nst import zerogpu
from nst.caches import cache_folder
from nst.console import prepare_streams
from nst.forecast import seconds_per_pixel
from nst.hub import HubError
from nst.hub.gallery import Gallery, community
from nst.limits import Limits
from nst.settings import GATYS_STYLE_LAYERS, options
from nst.texture import TextureBook
from nst.transfer import load_network
from nst.workshop import Workshop
from page.community import add_community
from page.controls import OTHER_LAYERS, Controls
from page.easel import add_easel
from page.endpoint import add_endpoint
from page.entrance import Entrance
from page.examples import Shelf, arrival_of, picker, row_markup
from page.exhibits import Exhibits
from page.files import file_routes
from page.gallery import add_gallery
from page.guard import MAX_UPLOAD, Guard, GuardedBlocks
from page.inputs import Input, picture_input
from page.publishing import SignInGuard, add_publishing
from page.rendering import shared_renderings
from page.request_limits import RequestLimits
from page.scratch import Scratch
from page.sheets import add_sheet
from page.studio import Studio
from page.upload_folder import upload_folder
from page.watching import AT_ONCE, Tabs

MAX_WAITING = 500  # events in Gradio's queue; pictures wait in the workshop's own line
MAX_EVENTS = 500  # at once; every tab that looks at a picture holds one or two
PAINTERS = 4  # where each borrows a GPU of its visitor's
TEMPORARY_FILES = (3600, 6 * 3600)  # looked at every hour, deleted after six
HERE = Path(__file__).parent
HEAD = HERE / "page" / "head.html"

INTRODUCTION = """
# Neural Style Transfer
Drop in a photo and a painting, and watch them become one picture.
"""

FINISHED = "Painted beforehand: click one to see it before and after, with its settings."


def build_demo(workshop: Workshop, shelf: Shelf, gallery: Gallery | None = None) -> GuardedBlocks:
    """The page, not yet served; its pictures are painted in `workshop`, its examples those of
    `shelf`, and `gallery` is what visitors publish to, if there is one."""
    with GuardedBlocks(
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
                        "Photo", "content", ["upload", "webcam", "clipboard"], shelf
                    )
                    painting = picture_input("Painting", "style", ["upload", "clipboard"], shelf)
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
            with gr.Column(elem_id="easel"):
                easel = add_easel(controls)
                publishing = add_publishing(gallery)
            with gr.Column(elem_classes="settings"):
                add_settings(controls)
        panel = add_sheet()
        with gr.Accordion("Your pictures", open=True, elem_id="pictures"):
            own_pictures = add_gallery()
        public = add_community(gallery)
        controls.wire()
        entrance = Entrance(workshop)
        studio = Studio(
            entrance=entrance,
            book=TextureBook(workshop.archive.folder / "textures") if workshop.archive else None,
            shelf=shelf,
            visitor=visitor,
            current=current,
            to_follow=to_follow,
            photo=photo.image,
            painting=painting.image,
            controls=controls,
            easel=easel,
            panel=panel,
            sheet=sheet,
            gallery=own_pictures,
            copy_link=copy_link,
            link=link,
            tabs=tabs,
        )
        arrival = studio.wire(demo)
        show_shelf(demo, shelf, finished, photo, painting)
        exhibits = Exhibits(
            shelf, gallery, controls, easel, photo.image, painting.image, current, tabs,
            is_live=lambda id: studio.live_job(id) is not None,
        )  # fmt: skip
        exhibits.wire(finished, public.grid, bring_back)
        public.wire(
            publishing.wire(arrival, current, visitor, studio.own_job) if publishing else None
        )
        add_endpoint(entrance)
    for event in demo.fns.values():
        if event.name == "_check_login_status":  # of the sign-in button; nobody's to call
            event.api_visibility = "private"
    assert isinstance(demo, GuardedBlocks)
    return demo.queue(max_size=MAX_WAITING)


def show_shelf(
    demo: gr.Blocks, shelf: Shelf, finished: gr.HTML, photo: Input, painting: Input
) -> None:
    """Fill the rows of examples, and again when those of the Hub have arrived."""

    def rows() -> dict[Component, str]:
        pictures = row_markup(shelf.of_role("result"), "Finished pictures")
        return {
            finished: f"<p class='hint'>{FINISHED}</p>{pictures}" if pictures else "",
            photo.row: photo.row_of(shelf),
            painting.row: painting.row_of(shelf),
        }

    built = shelf.examples  # which the page has from the beginning

    async def refill() -> AsyncIterator[dict[Component, Any]]:
        shown = shelf.examples
        yield {finished: gr.update()} if shown is built else rows()
        if await arrival_of(shelf, shown):
            yield rows()

    for part, markup in rows().items():
        part.value = markup
    demo.load(refill, None, [finished, photo.row, painting.row], **AT_ONCE)


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
    folder = Path(os.environ.get("NST_JOBS") or cache_folder() / "jobs")
    grace = float(os.environ.get("NST_GRACE") or Limits.grace)
    limits = Limits(
        grace=grace,
        grace_in_line=min(grace, Limits.grace_in_line),
        painters=PAINTERS if zerogpu.is_here() else 1,
    )
    workshop = Workshop(folder, limits)
    workshop.sweep()
    return workshop


def open_shelf() -> Shelf:
    """The bundled examples, and those of the Hub that `NST_EXAMPLES_REPO` and
    `NST_EXAMPLES_REVISION` name."""
    repo = os.environ.get("NST_EXAMPLES_REPO", "")
    shelf = Shelf(repo=repo, revision=os.environ.get("NST_EXAMPLES_REVISION") or None)
    shelf.start()
    return shelf


def open_gallery() -> Gallery | None:
    """The public gallery, where `NST_GALLERY_REPO` names one."""
    try:
        return community()
    except HubError as error:
        logging.getLogger("page").warning("no public gallery: %s", error)
        return None


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


def launch_options(
    demo: GuardedBlocks, workshop: Workshop, shelf: Shelf, gallery: Gallery | None = None
) -> Mapping[str, Any]:
    """How the page is served; tests use the same."""
    built_in = (path for part in demo.blocks.values() for path in part.keep_in_cache)
    scratch = Scratch(Path(get_upload_folder()), built_in, deleted=demo.forget_files)
    return {
        "theme": theme(),
        "css_paths": [HERE / "page" / "style.css"],
        "head_paths": [HEAD],
        "app_kwargs": {
            "routes": file_routes(workshop, shelf, gallery),
            "middleware": [
                Middleware(Guard, heads=[HEAD], scratch=scratch),
                *allowed_hosts(),
                Middleware(RequestLimits, blocks=demo, sessions=demo.sessions),
                Middleware(SignInGuard),
            ],
        },
        "max_threads": MAX_EVENTS,
        "max_file_size": MAX_UPLOAD,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "mcp_server": True,
        "run_history": False,
        # What a click shows; started from another folder, Gradio would refuse it otherwise.
        "allowed_paths": [str(e.path) for e in shelf.examples if e.path.is_relative_to(HERE)],
    }


def allowed_hosts() -> list[Middleware]:
    """The names under which the page is served, where `NST_ALLOWED_HOSTS` lists them, and those of
    this machine: Gradio calls itself."""
    names = os.environ.get("NST_ALLOWED_HOSTS", "").replace(",", " ").split()
    own = os.environ.get("GRADIO_SERVER_NAME", "")
    local = ["127.0.0.1", "localhost", *([own] if own else [])]
    middleware = Middleware(
        TrustedHostMiddleware, allowed_hosts=[*names, *local], www_redirect=False
    )
    return [middleware] if names else []


def uploads_folder() -> contextlib.AbstractContextManager[str | Path]:
    """Where uploads and previews are: a folder of this page's own, gone at the end, unless the
    environment names one. Gradio's usual one is for all its programs."""
    if chosen := os.environ.get("GRADIO_TEMP_DIR"):
        return contextlib.nullcontext(chosen)
    return upload_folder()


def is_our_business(record: logging.LogRecord) -> bool:
    """Not the tracebacks of tabs that were closed while something was sent to them: Gradio answers
    404 in the middle of their streams, which nobody reads any more."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "response already started" in str(error))


if __name__ == "__main__":
    prepare_streams()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for client in ("httpx", "httpx2"):  # their addresses may hold tokens and signatures
        logging.getLogger(client).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # and those of each new try
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a line for each broken form
    logging.getLogger("uvicorn.error").addFilter(is_our_business)
    disable_progress_bars()  # of the Hub; the log is for lines
    if zerogpu.is_here():
        zerogpu.prepare()
    else:
        seconds_per_pixel(load_network())  # before the first visitor waits for it
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end, like Ctrl+C
    with uploads_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        workshop, shelf, gallery = open_workshop(), open_shelf(), open_gallery()
        try:
            demo = build_demo(workshop, shelf, gallery)
            try:
                demo.launch(**launch_options(demo, workshop, shelf, gallery))
            finally:
                demo.close(verbose=False)  # streams too: nothing is written for them any more
        finally:
            workshop.close()
            shared_renderings().close()
    if not shelf.is_settled.is_set():
        os._exit(0)  # the library's own threads would wait for the Hub
