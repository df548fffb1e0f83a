"""`/stylize`, for programs: the same engine and the same queue, plain numbers in and a PNG out.

`/find_mask` finds what its masks may be. Knows Gradio's API and settings; nothing of the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from nst import TransferSettings, TransferStep
from nst.errors import ImageError
from nst.images.found_masks import FINDERS
from nst.images.masks import Masks, check_number_of_masks
from nst.images.writing import png_bytes
from nst.painting_flags import check_count, read_values
from nst.settings import (
    DEFAULTS,
    PaintingUse,
    options,
    parse_weights,
    weights_example,
    weights_text,
)
from nst.studio.job import Job
from nst.studio.task import UNEXPECTED, State
from page.error_messages import NO_DISK, error_message
from page.http.admission import Admission
from page.http.following import changes, is_read
from page.http.job_files import delivered
from page.panels.components import untouched_image
from page.panels.mix import Mix, open_mask
from page.panels.paintings import MOST_PAINTINGS
from page.panels.picture_inputs import load_named
from page.previews import cached, cached_webp
from page.rendering import RenderingBusyError, shared_renderings

PREVIEW_EVERY = 1.4  # seconds between two pictures on the way
OPENERS = 2  # threads
LAST_PATIENCE = 300.0  # seconds; a finished picture that is not delivered is lost

Look = tuple[str | None, dict[str, float]]  # a picture's file, and its costs

API_SETTINGS = tuple(options())
PICTURES = {  # beside content and style; each an image file
    **{f"style_{number}": "one more painting" for number in range(2, MOST_PAINTINGS + 1)},
    **{
        f"mask_{number}": f"where painting {number} rules: a grey image of the photo's shape, white"
        " inside; transparent counts as black"
        for number in range(1, MOST_PAINTINGS + 1)
    },
    **{
        f"within_{number}": f"the part of painting {number} that is taken: a grey image of its"
        " shape, white inside; transparent counts as black"
        for number in range(1, MOST_PAINTINGS + 1)
    },
    "keep": "where the photo is left as it is: a grey image of its shape, white inside; transparent"
    " counts as black",
    "init": "a picture to start from, in place of what start says",
}
EACH = {  # one entry for each painting, with commas between; an empty one is as usual
    "style_weights": "each painting's share where several blend, such as 0.7,0.3",
    "style_strengths": "a factor of beta where each painting rules, such as 1,0.5",
    "style_layers": "the layers that each painting is tied to, such as relu1_1+relu2_1,relu4_1",
    "style_scales": "the size of each painting, such as 1,2",
    "style_rotation": "degrees by which each painting is turned counter-clockwise, such as 0,90",
    "style_mirror": "whether each painting is mirrored, such as no,yes",
    "style_crop": "the part of each painting that is taken, left:top:right:bottom as shares, such"
    " as 0:0:0.5:0.5",
}

HELP = """Paint a photo in the manner of a painting by iterative neural style transfer.

Args:
    content: the photo, an image file
    style: the painting, an image file
{settings}
{more}

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
class Call:
    """What a program asks for: files by their parameters, and settings."""

    files: Mapping[str, str | None]
    settings: TransferSettings

    def opened(self) -> tuple[Image.Image, Mix, Image.Image | None]:
        """Return the photo, the paintings and where each rules, and the picture to start from.

        Raises `ImageError`.
        """
        given = paintings_of(self.files)
        numbers = list(given)
        self._check_masks(numbers)
        photo = load_named(self.files["content"], "content")
        paintings = [load_named(path, "style") for path in given.values()]
        regions, within = (
            tuple(self._mask(f"{kind}_{number}") for number in numbers)
            for kind in ("mask", "within")
        )
        masks = Masks(regions, self._mask("keep"), within)
        init = self.files["init"]
        mix = Mix(paintings, self.settings.paintings, masks)
        mix.check(photo)
        return photo, mix, load_named(init, "init") if init else None

    def _check_masks(self, numbers: Sequence[int]) -> None:
        """Raise `ImageError` for a mask without a painting of its number."""
        for kind, masks in (("mask", "masks"), ("within", "masks within")):
            masked = [n for n in range(1, MOST_PAINTINGS + 1) if self.files[f"{kind}_{n}"]]
            check_number_of_masks(masks, len(masked), len(numbers))
            for number in masked:
                if number not in numbers:
                    raise ImageError(
                        f"{kind}_{number} is a mask of painting {number}, and there is no"
                        f" style_{number}."
                    )

    def _mask(self, name: str) -> Image.Image | None:
        path = self.files[name]
        return open_mask(path) if path else None


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

    async def begun(self, call: Call, request: gr.Request) -> Job:
        """Return the job, queued.

        It is stopped when it gets there where the caller has left meanwhile.
        """
        in_context = contextvars.copy_context().run
        opening = self.openers.submit(in_context, self._begin, call, request)
        try:
            return await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            if not opening.cancel():  # it is under way
                opening.add_done_callback(stop_begun)
            raise

    def _begin(self, call: Call, request: gr.Request) -> Job:
        settings = call.settings
        visitor = f"a program {request.session_hash or secrets.token_hex(16)}"
        with self.admission.opened(settings):
            photo, mix, init = call.opened()
            expected = self.admission.expected(photo, mix.paintings, settings, masks=mix.masks)
            engine = self.admission.workshop.backend.engine()
            job = Job(
                photo, mix.paintings, settings, visitor=visitor, engine=engine,
                masks=mix.masks, init=init,
            )  # fmt: skip
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
            *(untouched_image(label=name) for name in PICTURES),
            *(gr.Textbox("", label=f"{name}: {text}") for name, text in EACH.items()),
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


def add_mask_endpoint() -> None:
    """Show nothing, and serve `/find_mask`."""
    found = gr.Image(label="mask", format="png", render=False)

    def find_mask(content: str, shows: str) -> str:
        """Find a mask in a photo, for the keep or mask parameters of stylize.

        Args:
            content: the photo, an image file
            shows: what is white in the mask: faces, or subject

        Returns:
            the mask: a grey image of the photo's shape, white inside
        """
        try:
            photo = load_named(content, "content")
            made = shared_renderings().fetch_now(
                ("mask", content, shows), lambda: png_bytes(FINDERS[shows](photo))
            )
            return cached(made.read(), "mask.png", found)
        except Exception as error:
            raise gr.Error(error_message(error), print_exception=False) from error

    with gr.Row(visible=False):
        inputs = [
            untouched_image(label="content"),
            gr.Dropdown(list(FINDERS), value="faces", label="what is white in the mask"),
        ]
        found.render()
        gr.Button("API").click(
            find_mask, inputs, found, api_name="find_mask", concurrency_limit=None
        )


def endpoint_of(calls: Calls) -> Callable[..., AsyncIterator[Look]]:
    """Return the function that a call runs, with a parameter and a line of help for each setting.

    Gradio and MCP read the names, defaults and help of the parameters from the function itself.
    """

    async def stylize(
        content: str, style: str, request: gr.Request, *values: Any
    ) -> AsyncIterator[Look]:
        try:
            call = call_of(content, style, values)
            job = await calls.begun(call, request)
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
        *(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None) for name in PICTURES),
        *(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default="") for name in EACH),
    ]
    described: Any = stylize
    described.__signature__ = Signature(parameters)
    described.__annotations__ = {"request": gr.Request}
    described.__doc__ = HELP.format(
        settings="\n".join(f"    {name}: {api_help(name)}" for name in API_SETTINGS),
        more="\n".join(f"    {name}: {text}" for name, text in (PICTURES | EACH).items()),
    )
    return stylize


def call_of(content: str, style: str, values: Sequence[Any]) -> Call:
    """Return a call from its files and the values of all other parameters in their order.

    Raises `SettingsError`.
    """
    settings = settings_of(values[: len(API_SETTINGS)])
    rest = dict(zip((*PICTURES, *EACH), values[len(API_SETTINGS) :], strict=True))
    texts = {name: str(rest.pop(name) or "") for name in EACH}
    files = {"content": content, "style": style, **rest}
    uses = uses_of(texts, len(paintings_of(files)))
    return Call(files, settings.replace(paintings=uses))


def paintings_of(files: Mapping[str, str | None]) -> dict[int, str | None]:
    """Return the files of a call's paintings by their numbers; the first is always there."""
    given = {1: files["style"]}
    given |= {number: files[f"style_{number}"] for number in range(2, MOST_PAINTINGS + 1)}
    return {number: path for number, path in given.items() if path or number == 1}


def uses_of(texts: Mapping[str, str], n_paintings: int) -> tuple[PaintingUse, ...]:
    """Return how each painting is used, from texts by the name of their flag.

    Raises `SettingsError`.
    """
    changes: list[dict[str, Any]] = [{} for _ in range(n_paintings)]
    longest = 0
    for name, text in texts.items():
        said = read_values(name, text)
        check_count(name, len(said), n_paintings)
        longest = max(longest, len(said))
        for change, each in zip(changes, said, strict=False):
            change |= each
    return tuple(PaintingUse(**change) for change in changes[:longest])


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
