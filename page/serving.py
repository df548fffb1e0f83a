"""Serve the page as the environment asks: its workshop, examples and gallery."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from huggingface_hub.utils import disable_progress_bars
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from nst.console import fail, prepare_streams
from nst.errors import HubError, UserError
from nst.files import cache_folder
from nst.hub.gallery import Gallery, community
from nst.studio.backends import pick_backend
from nst.studio.backends.base import Backend
from nst.studio.forecast import largest_size
from nst.studio.limits import Limits
from nst.studio.workshop import Workshop
from page.assets import FOLDER as ASSETS
from page.examples import ExampleSet
from page.http.body_limits import MAX_UPLOAD
from page.http.bounded_blocks import BoundedBlocks
from page.http.caching import CachingMiddleware
from page.http.cards import card_finder
from page.http.compression import CompressionMiddleware
from page.http.corrected_scripts import corrected_routes
from page.http.display_files import display_routes
from page.http.document import DocumentMiddleware
from page.http.identity_routes import identity_routes
from page.http.job_files import JobFiles, file_routes
from page.http.middleware import SecurityMiddleware
from page.http.preloads import early_links, find_page_files
from page.http.request_limits import RequestLimits
from page.http.static_files import asset_route
from page.http.style_bundle import StyleBundle
from page.http.upload_folder import upload_folder
from page.http.upload_space import UploadSpace
from page.layout import build_demo
from page.looks import look_route
from page.panels.components import pictures
from page.panels.publishing import SignInMiddleware
from page.rendering import shared_renderings
from page.theme import theme

MAX_EVENTS = 500  # at once


def main() -> None:
    """Serve the page until it is interrupted.

    What the environment asks for and cannot be had ends it with a sentence.
    """
    prepare_streams()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for client in ("httpx", "httpx2"):  # their addresses may hold tokens and signatures
        logging.getLogger(client).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # and those of each new try
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a line for each broken form
    logging.getLogger("uvicorn.error").addFilter(is_our_business)
    disable_progress_bars()  # of the Hub; the log is for lines
    backend = prepared_backend()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end, like Ctrl+C
    with uploads_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        workshop, examples, gallery = open_workshop(backend), open_examples(), open_gallery()
        try:
            largest = largest_size(partial(backend.admit, seconds=workshop.limits.seconds))
            demo = build_demo(workshop, examples, gallery, largest=largest)
            try:
                demo.launch(**launch_options(demo, workshop, examples, gallery))
            finally:
                demo.close(verbose=False)  # streams too: nothing is written for them any more
        finally:
            workshop.close()
            backend.close()
            shared_renderings().close()
    if not examples.is_settled.is_set():
        os._exit(0)  # the library's own threads would wait for the Hub


def prepared_backend() -> Backend:
    """Return what paints, ready; ends the process with a sentence where it cannot be had."""
    backend = pick_backend()
    try:
        backend.prepare()
    except UserError as error:
        sys.exit(fail("nst studio", error))
    return backend


def open_workshop(backend: Backend) -> Workshop:
    """Return the workshop that the environment asks for.

    `NST_JOBS` is the folder where pictures are kept, `NST_GRACE` how many seconds a job goes on
    with nobody watching.
    """
    folder = Path(os.environ.get("NST_JOBS") or cache_folder() / "jobs")
    grace = float(os.environ.get("NST_GRACE") or Limits.grace)
    limits = Limits(
        grace=grace,
        grace_in_line=min(grace, Limits.grace_in_line),
        painters=backend.painters,
    )
    workshop = Workshop(folder, limits, backend)
    workshop.sweep()
    return workshop


def open_examples() -> ExampleSet:
    """Return the bundled examples, and those of the Hub.

    `NST_EXAMPLES_REPO` and `NST_EXAMPLES_REVISION` name the latter.
    """
    repo = os.environ.get("NST_EXAMPLES_REPO", "")
    examples = ExampleSet(repo=repo, revision=os.environ.get("NST_EXAMPLES_REVISION") or None)
    examples.start()
    return examples


def open_gallery() -> Gallery | None:
    """Return the public gallery, where `NST_GALLERY_REPO` names one."""
    try:
        return community()
    except HubError as error:
        logging.getLogger(__name__).warning("no public gallery: %s", error)
        return None


def launch_options(
    demo: BoundedBlocks,
    workshop: Workshop,
    examples: ExampleSet,
    gallery: Gallery | None = None,
) -> Mapping[str, Any]:
    """Return how the page is served; tests use the same."""
    built_in = (path for part in demo.blocks.values() for path in part.keep_in_cache)
    job_files = JobFiles(workshop, shared_renderings())
    upload_space = UploadSpace(Path(get_upload_folder()), built_in, deleted=demo.forget_files)
    files = find_page_files(demo.config)
    styles = StyleBundle.read(name for name in files if name.endswith(".css"))
    document = Middleware(
        DocumentMiddleware,
        preloads=early_links(files, styles),
        styles=styles.links(),
        find_card=card_finder(workshop, shared_renderings()),
    )
    return {
        "theme": theme(),
        "css_paths": [ASSETS / "style.css"],
        "app_kwargs": {
            "routes": [
                *identity_routes(),
                *styles.routes(),
                *corrected_routes(),
                asset_route(),
                look_route(workshop, job_files.renderings),
                *display_routes(job_files, examples, pictures),
                *file_routes(job_files, examples, gallery),
            ],
            "middleware": [
                Middleware(CompressionMiddleware),
                Middleware(SecurityMiddleware, upload_space=upload_space),
                document,
                *allowed_hosts(),
                Middleware(RequestLimits, blocks=demo, sessions=demo.sessions),
                Middleware(SignInMiddleware),
                Middleware(CachingMiddleware),
            ],
        },
        "max_threads": MAX_EVENTS,
        "max_file_size": MAX_UPLOAD,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "mcp_server": True,
        "run_history": False,
        "footer_links": ["api", "gradio"],
    }


def allowed_hosts() -> list[Middleware]:
    """Return the names under which the page is served.

    They are what `NST_ALLOWED_HOSTS` lists, and those of this machine: Gradio calls itself.
    """
    names = os.environ.get("NST_ALLOWED_HOSTS", "").replace(",", " ").split()
    own = os.environ.get("GRADIO_SERVER_NAME", "")
    local = ["127.0.0.1", "localhost", *([own] if own else [])]
    middleware = Middleware(
        TrustedHostMiddleware, allowed_hosts=[*names, *local], www_redirect=False
    )
    return [middleware] if names else []


def uploads_folder() -> contextlib.AbstractContextManager[str | Path]:
    """Yield where uploads and previews are: a folder of this page's own, gone at the end.

    Unless the environment names one. Gradio's usual one is for all its programs.
    """
    if chosen := os.environ.get("GRADIO_TEMP_DIR"):
        return contextlib.nullcontext(chosen)
    return upload_folder()


def is_our_business(record: logging.LogRecord) -> bool:
    """Tell whether a log record is ours to mend.

    The tracebacks of tabs that were closed while something was sent to them are not: Gradio answers
    404 in the middle of their streams, which nobody reads any more.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "response already started" in str(error))
