"""Serve the page as the environment asks: its workshop, examples and gallery."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from huggingface_hub.utils import disable_progress_bars
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from nst.console import StopRequest, fail, prepare_streams
from nst.errors import HubError, SettingsError, UserError
from nst.files import cache_folder
from nst.hub.gallery import Gallery, community
from nst.studio.backends import pick_backend
from nst.studio.backends.base import Backend
from nst.studio.forecast import largest_size
from nst.studio.limits import Limits
from nst.studio.workshop import Workshop
from page.assets import FOLDER as ASSETS
from page.examples import ExampleSet
from page.http.batch_routes import batch_routes
from page.http.body_limits import MAX_UPLOAD
from page.http.bounded_blocks import BoundedBlocks
from page.http.caching import CachingMiddleware
from page.http.cards import card_finder
from page.http.compression import CompressionMiddleware
from page.http.corrected_scripts import corrected_routes
from page.http.display_files import display_routes
from page.http.document import DocumentMiddleware
from page.http.film_files import film_routes
from page.http.health import health_routes
from page.http.identity_routes import identity_routes
from page.http.job_files import JobFiles, file_routes
from page.http.metrics import ServerCollector, metrics_route
from page.http.middleware import SecurityMiddleware
from page.http.preloads import early_links, find_page_files
from page.http.refusals import Refusals
from page.http.request_limits import RequestLimits
from page.http.static_files import asset_route
from page.http.style_bundle import StyleBundle
from page.http.upload_folder import upload_folder
from page.http.upload_space import UploadSpace
from page.layout import build_demo
from page.logs import adopt_loggers, configure_logs, log_style
from page.looks import look_route
from page.panels.components import pictures
from page.panels.publishing import SignInMiddleware
from page.rendering import clip_renderings, film_renderings, shared_renderings
from page.theme import theme

log = logging.getLogger(__name__)

MAX_EVENTS = 500  # at once
PAUSE = 1.0  # seconds between two looks at whether the page is still served
DRAINS_WITHIN = 4.0  # seconds, for the iteration under way and the disk; then requests have five
LEAVES_WITHIN = 9.5  # seconds; orchestrators kill after ten
YES = ("1", "on", "true", "yes")


def main() -> None:
    """Serve the page until it is interrupted (SIGINT), or asked to leave (SIGTERM).

    In the latter case it drains: what is painted or waits is left to the next server on the folder
    of jobs, and the process ends within `LEAVES_WITHIN` seconds.
    What the environment asks for and cannot be had ends it with a sentence.
    """
    prepare_streams()
    try:
        style = log_style()
    except SettingsError as error:
        raise SystemExit(f"nst: {error}") from None
    configure_logs(style)
    disable_progress_bars()  # of the Hub; the log is for lines
    backend = prepared_backend()
    with StopRequest() as stop, uploads_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        workshop = open_workshop(backend)
        demo = None
        try:
            examples, gallery = open_examples(), open_gallery()
            largest = largest_size(partial(backend.admit, seconds=workshop.limits.seconds))
            demo = build_demo(workshop, examples, gallery, largest=largest)
            options = launch_options(demo, workshop, examples, gallery)
            serve(demo, options, style, stop, served=workshop.take_over_jobs)
        finally:
            is_still = close(workshop, stop)
            backend.close()  # before there is no time left for it
            if demo:
                demo.close(verbose=False)  # streams too: nothing is written for them any more
            for pool in (clip_renderings(), film_renderings(), shared_renderings()):
                pool.close()
    if stop.signal == signal.SIGTERM or not (is_still and examples.is_settled.is_set()):
        logging.shutdown()
        os._exit(0)  # without waiting for an iteration, or for the Hub in a library's own threads


def serve(
    demo: BoundedBlocks,
    options: Mapping[str, Any],
    style: str,
    stop: StopRequest,
    *,
    served: Callable[[], None],
) -> None:
    """Serve the page until a signal raises `KeyboardInterrupt`, which ends here.

    `served` is called once it is served: there may be no port for it.
    """
    with contextlib.suppress(KeyboardInterrupt):
        if style == "json":
            with contextlib.redirect_stdout(io.StringIO()):  # Gradio's greetings
                demo.launch(**options, prevent_thread_lock=True, quiet=True)
            adopt_loggers()
            log.info("Running on local URL: %s", demo.local_url)
        else:
            demo.launch(**options, prevent_thread_lock=True)
        served()
        while demo.is_running and not stop.is_made:  # GRADIO_DEBUG blocks, and hides the signal
            time.sleep(PAUSE)


def close(workshop: Workshop, stop: StopRequest) -> bool:
    """Keep what was painted, and hand it over unless the server was interrupted (SIGINT).

    Requests are still answered meanwhile: not ready, and nothing new is taken. Return whether all
    is still.
    """
    stop.ignore()
    if stop.signal != signal.SIGTERM:
        return workshop.close(hands_over=stop.signal != signal.SIGINT)
    log.info("draining")
    leave_at_last(LEAVES_WITHIN)
    return workshop.close(DRAINS_WITHIN, hands_over=True)


def leave_at_last(seconds: float) -> None:
    """End the process in so many seconds, whatever it does then."""

    def leave() -> None:
        log.warning("left while something was still going on")
        os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


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
    workshop.share_folder()
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
        log.warning("no public gallery: %s", error)
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
    refusals = Refusals()
    watched = ServerCollector(workshop, shared_renderings(), demo.sessions, refusals)
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
                *health_routes(workshop),
                *([metrics_route([watched])] if asks_for_metrics() else []),
                *identity_routes(),
                *styles.routes(),
                *corrected_routes(),
                asset_route(),
                look_route(workshop, job_files.renderings),
                *film_routes(job_files, film_renderings()),
                *batch_routes(job_files),
                *display_routes(job_files, examples, pictures),
                *file_routes(job_files, examples, gallery),
            ],
            "middleware": [
                Middleware(CompressionMiddleware),
                Middleware(SecurityMiddleware, upload_space=upload_space, refusals=refusals),
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


def asks_for_metrics() -> bool:
    """Tell whether `NST_METRICS` asks for numbers about the server at `/metrics`."""
    return os.environ.get("NST_METRICS", "").lower() in YES


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
