"""`/stylize`, for programs: the same engine and the same queue, plain numbers in and a PNG out.

Knows Gradio's API and settings; nothing of the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from nst import TransferSettings, TransferStep
from nst.settings import DEFAULTS, options, parse_weights, weights_example, weights_text
from nst.studio.job import Job
from nst.studio.task import UNEXPECTED, State
from page.error_messages import NO_DISK, error_message
from page.http.admission import Admission
from page.http.following import changes, is_read
from page.http.job_files import delivered
from page.panels.components import untouched_image
from page.panels.picture_inputs import load_named
from page.previews import cached, cached_webp
from page.rendering import RenderingBusyError, shared_renderings

PREVIEW_EVERY = 1.4  # seconds between two pictures on the way
OPENERS = 2  # threads
LAST_PATIENCE = 300.0  # seconds; a finished picture that is not delivered is lost

Look = tuple[str | None, dict[str, float]]  # a picture's file, and its costs

API_SETTINGS = tuple(options())

HELP = """Paint a photo in the manner of a painting by iterative neural style transfer.

Args:
    content: the photo, an image file
    style: the painting, an image file
{settings}

Returns:
    the picture so far, and its costs; the last one is the finished picture
"""


def api_component(name: str) -> Component:
    """Return an input of the endpoint, with the setting's default and bounds."""
    option, value = options()[name], getattr(DEFAULTS, name)
    label = f"{option.label}: {option.help}"
    if option.keys:
        return gr.Textbox(weights_text(value), label=label)
    if option.choices:
        return gr.Dropdown(list(option.choices), value=value, label=label)
    low, high = option.range
    precision = 0 if isinstance(value, int) else None
    return gr.Number(value, minimum=low, maximum=high, label=label, precision=precision)


@dataclass(frozen=True)
class Calls:
    """What happens on a call: a job begins, is looked at, and its picture is delivered."""

    admission: Admission
    openers: ThreadPoolExecutor
    picture: gr.Image  # the component that results are cached for

    async def on_the_way(self, job: Job, request: gr.Request) -> AsyncGenerator[Look, None]:
        """Yield what there is to see until the job has ended, which it does when nobody looks."""
        shown = -math.inf
        try:
            async with contextlib.aclosing(changes(job)) as looks:
                async for is_news in looks:
                    is_due = time.monotonic() - shown >= PREVIEW_EVERY
                    if not is_read(request):
                        return
                    if job.state is State.WAITING:  # a caller who has left is noticed by this
                        yield None, {"ahead": float(self.admission.workshop.ahead_of(job))}
                    elif is_news and is_due and job.moment and job.state.is_live:
                        preview = await asyncio.to_thread(self.preview_of, job.moment.picture)
                        yield preview, figures(job.steps[-1])
                        shown = time.monotonic()
        finally:
            job.stop()

    def delivered(self, job: Job) -> Look:
        """Return the finished picture.

        Raises `gr.Error`.
        """
        if job.moment is None or job.state is State.FAILED:
            raise gr.Error(job.note or UNEXPECTED, print_exception=False)
        try:
            key = ("picture", job.id, job.revision)
            made = shared_renderings().fetch_now(key, lambda: delivered(job), LAST_PATIENCE)
            picture = cached(made.read(), "stylized.png", self.picture)
        except RenderingBusyError as error:
            raise gr.Error(error_message(error), print_exception=False) from error
        except OSError as error:
            raise gr.Error(NO_DISK, print_exception=False) from error
        return picture, figures(job.steps[-1])

    def preview_of(self, picture: Image.Image) -> str | None:
        """Return a file of it, unless the disk is full: the next one may fit again."""
        with contextlib.suppress(OSError):
            return cached_webp(picture, self.picture)
        return None

    async def begun(self, *asked: Any) -> Job:
        """Return the job, queued.

        It is stopped when it gets there where the caller has left meanwhile.
        """
        in_context = contextvars.copy_context().run
        opening = self.openers.submit(in_context, self._begin, *asked)
        try:
            return await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            if not opening.cancel():  # it is under way
                opening.add_done_callback(stop_begun)
            raise

    def _begin(
        self, content: str, style: str, settings: TransferSettings, request: gr.Request
    ) -> Job:
        visitor = f"a program {request.session_hash or secrets.token_hex(16)}"
        with self.admission.opened(settings):
            photo, painting = load_named(content, "content"), load_named(style, "style")
            expected = self.admission.expected(photo, [painting], settings)
            engine = self.admission.workshop.backend.engine()
            job = Job(photo, [painting], settings, visitor=visitor, engine=engine)
            job.is_kept = False  # nobody can ask for it once more
            self.admission.submit(job, expected.seconds, request)
        return job


def add_endpoint(admission: Admission) -> None:
    """Show nothing, and serve `/stylize`."""
    picture = gr.Image(label="result", format="png", render=False)
    # They mostly wait for each other; the page's own threads must not.
    calls = Calls(admission, ThreadPoolExecutor(OPENERS, "opening"), picture)
    with gr.Row(visible=False):
        inputs = [
            untouched_image(label="content"),
            untouched_image(label="style"),
            *(api_component(name) for name in API_SETTINGS),
        ]
        outputs = [picture.render(), gr.JSON(label="costs")]
        endpoint = endpoint_of(calls)
        gr.Button("API").click(
            endpoint,
            inputs,
            outputs,
            api_name="stylize",
            api_description=endpoint.__doc__,
            concurrency_limit=None,
        )


def endpoint_of(calls: Calls) -> Callable[..., AsyncIterator[Look]]:
    """Return the function that a call runs, with a parameter and a line of help for each setting.

    Gradio and MCP read the names, defaults and help of the parameters from the function itself.
    """

    async def stylize(
        content: str, style: str, request: gr.Request, *values: Any
    ) -> AsyncIterator[Look]:
        try:
            settings = settings_of(values)
            job = await calls.begun(content, style, settings, request)
        except Exception as error:
            raise gr.Error(error_message(error), print_exception=False) from error
        async with contextlib.aclosing(calls.on_the_way(job, request)) as looks:
            async for look in looks:
                yield look
        yield await asyncio.to_thread(calls.delivered, job)

    parameters = [
        *(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("content", "style")),
        Parameter("request", Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request),
        *(
            Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=api_value(name))
            for name in API_SETTINGS
        ),
    ]
    described: Any = stylize
    described.__signature__ = Signature(parameters)
    described.__annotations__ = {"request": gr.Request}
    described.__doc__ = HELP.format(
        settings="\n".join(f"    {name}: {api_help(name)}" for name in API_SETTINGS)
    )
    return stylize


def settings_of(values: Sequence[Any]) -> TransferSettings:
    """Return the settings of a call, from values in their order. Raises `SettingsError`."""
    chosen = dict(zip(API_SETTINGS, values, strict=True))
    for name in (name for name in API_SETTINGS if options()[name].keys):
        chosen[name] = parse_weights(chosen[name] or "") or getattr(DEFAULTS, name)
    return TransferSettings(**chosen)


def api_value(name: str) -> Any:
    """Return a setting's default as programs write it."""
    return "" if options()[name].keys else getattr(DEFAULTS, name)


def api_help(name: str) -> str:
    """Return one line of help for a setting."""
    option = options()[name]
    choices = f" One of {', '.join(option.choices)}." if option.choices else ""
    form = f" Such as {weights_example(option)}." if option.keys else ""
    return f"{option.help}{choices}{form}"


def stop_begun(opening: Future[Job]) -> None:
    """Stop a job for which nobody waits, if it came about."""
    if not opening.exception():
        opening.result().stop()


def figures(step: TransferStep) -> dict[str, float]:
    """Return the costs of a step, for programs."""
    names = ("iteration", "total", "width", "height", "J", "content", "style", "elapsed")
    return {name: getattr(step, name) for name in names}
