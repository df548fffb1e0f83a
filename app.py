"""The page: `python app.py` serves it on 127.0.0.1:7860.

Only what is shown and what happens on a click; the pictures are painted by `nst`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

from nst import ImageError, SettingsError, TransferSettings, TransferStep, WeightsError, load_image
from nst.forecast import Forecast, seconds_per_pixel
from nst.images import fit
from nst.settings import DEFAULTS, GATYS_STYLE_LAYERS, options, parse_layer_weights
from nst.transfer import load_network
from page import charts
from page.controls import OTHER_LAYERS, Controls
from page.examples import examples, picker
from page.inputs import untouched_image
from page.runs import Run, Runs, TooLargeError

log = logging.getLogger("nst.page")

PREVIEW_EVERY = 0.7  # seconds between two previews, at the least
PREVIEW_SIDE = 768  # pixels; larger previews would only slow the connection down
MAX_WAITING = 24  # visitors in the queue
MAX_UPLOAD = "25mb"
TEMPORARY_FILES = (3600, 6 * 3600)  # looked at every hour, deleted after six

INTRODUCTION = """
# Neural Style Transfer
Drop in a photo and a painting, and watch them become one picture.
"""
READY = "Choose a photo and a painting, then press Stylize."
UNEXPECTED = "Something went wrong on our side. Please try again, perhaps with a smaller size."

runs = Runs()


@dataclass
class Parts:
    """The components that handlers write to."""

    photo: gr.Image
    painting: gr.Image
    stylize: gr.Button
    stop: gr.Button
    status: gr.HTML
    preview: gr.Image
    comparison: gr.ImageSlider
    download: gr.DownloadButton
    curves: gr.HTML
    controls: Controls

    @property
    def outputs(self) -> list[Component]:
        return [
            self.stylize,
            self.stop,
            self.status,
            self.preview,
            self.comparison,
            self.download,
            self.curves,
        ]

    def idle(self, text: str) -> dict[Component, Any]:
        """Ready for a click, with a line of status."""
        return {**self.ready(), self.status: charts.message(text)}

    def ready(self) -> dict[Component, Any]:
        """Stylize can be clicked, and there is nothing to stop."""
        return {
            self.stylize: gr.update(interactive=True),
            self.stop: gr.update(interactive=False),
        }

    def waiting(self) -> dict[Component, Any]:
        """A run was asked for and has not begun."""
        return {
            self.stylize: gr.update(interactive=False),
            self.stop: gr.update(interactive=True),
            self.status: charts.message("Getting ready…"),
            self.comparison: gr.update(visible=False),
            self.download: gr.update(visible=False),
            self.curves: "",
            self.preview: gr.update(value=None, visible=True),
        }

    def begun(self, expected: Forecast) -> dict[Component, Any]:
        """A run begins."""
        return {
            self.status: charts.message(f"About {charts.duration(expected.seconds)} from here.")
        }

    def watching(self, run: Run) -> dict[Component, Any]:
        """A run is under way."""
        step = run.steps[-1]
        return {
            self.status: charts.progress(step),
            self.preview: fit(step.image, min(PREVIEW_SIDE, max(step.width, step.height))),
            self.curves: charts.curves(run.steps),
        }

    def finished(self, run: Run) -> dict[Component, Any]:
        """A run has ended: before and after, the download, and the figures."""
        steps = list(run.steps)  # the run's own thread may still add one
        step, picture = steps[-1], steps[-1].image
        path = save_pil_to_cache(picture, self.download.GRADIO_CACHE, "stylized", format="png")
        return {
            **self.ready(),
            self.status: charts.summary(step),
            self.preview: gr.update(visible=False),
            self.comparison: gr.update(
                value=(run.photo.resize(picture.size), picture), visible=True
            ),
            self.download: gr.update(value=path, visible=True),
            self.curves: charts.curves(steps),
        }


def build_demo() -> gr.Blocks:
    """The page, not yet served."""
    with gr.Blocks(
        title="Neural Style Transfer", delete_cache=TEMPORARY_FILES, analytics_enabled=False
    ) as demo:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        controls = Controls()
        with gr.Row(elem_id="studio"):
            with gr.Column(scale=5, min_width=340):
                with gr.Row():
                    photo = picture_input("Photo", "content", ["upload", "webcam", "clipboard"])
                    painting = picture_input("Painting", "style", ["upload", "clipboard"])
                look = controls.add_looks()
            with gr.Column(scale=6, min_width=340, elem_id="easel"):
                with gr.Row():
                    go = gr.Button("Stylize", variant="primary", min_width=100, elem_id="stylize")
                    stop = gr.Button(
                        "Stop", variant="stop", min_width=100, interactive=False, elem_id="stop"
                    )
                status = gr.HTML(charts.message(READY), elem_id="status")
                preview = gr.Image(
                    label="Your picture",
                    interactive=False,
                    format="webp",
                    buttons=["fullscreen"],
                    height=420,
                    alt_text="The picture as it is being painted",
                    elem_id="preview",
                )
                comparison = gr.ImageSlider(
                    label="Before and after",
                    interactive=False,
                    visible=False,
                    format="png",
                    type="pil",
                    max_height=520,
                    elem_id="comparison",
                )
                download = gr.DownloadButton(
                    "Download PNG", visible=False, variant="primary", elem_id="download"
                )
                curves = gr.HTML(elem_id="curves")
        add_settings(controls)
        parts = Parts(
            photo, painting, go, stop, status, preview, comparison, download, curves, controls
        )
        controls.wire(look)
        wire_run(parts)
        add_endpoint()
        demo.unload(forget_visitor)
    return demo.queue(max_size=MAX_WAITING)


def picture_input(label: str, role: str, sources: list[Any]) -> gr.Image:
    """A picture to upload, with the examples of its role to click beneath."""
    pictures = examples(role)
    with gr.Column(min_width=150):
        image = untouched_image(
            str(pictures[0].path) if pictures else None,
            label=label,
            sources=sources,
            height=240,
            alt_text=f"The {label.lower()} that you chose",
            elem_id=role,
        )
        row = picker(pictures, f"Example {label.lower()}s", f"{role}-examples")

    def choose(event: gr.EventData) -> str:
        return str(pictures[event.index].path)

    row.select(
        choose,
        None,
        image,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return image


def add_settings(controls: Controls) -> None:
    """Every control but the look, the rarely used ones folded away."""
    with gr.Accordion("Settings", open=True, elem_id="settings"), gr.Row():
        with gr.Column(min_width=320):
            controls.add("alpha", "beta", "size", "iterations")
        with gr.Column(min_width=320):
            controls.add_layers(*GATYS_STYLE_LAYERS)
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        advanced = [name for name, option in options().items() if option.advanced]
        with gr.Row():
            for half in (advanced[::2], advanced[1::2]):
                with gr.Column(min_width=320):
                    controls.add(*half)
        with gr.Accordion("The other eleven layers", open=False), gr.Row():
            for layers in (OTHER_LAYERS[:6], OTHER_LAYERS[6:]):
                with gr.Column(min_width=320):
                    controls.add_layers(*layers)


def wire_run(parts: Parts) -> None:
    """Stylize, Stop, and what they change."""

    def paint(values: dict[Component, Any], request: gr.Request) -> Iterator[dict[Component, Any]]:
        try:
            run = Run(
                load_named(values[parts.photo], "photo"),
                [load_named(values[parts.painting], "painting")],
                parts.controls.settings(values),
            )
            runs.begin(session_of(request), run)
            yield parts.begun(run.admit())
            shown = 0.0
            for _ in run:
                if time.monotonic() - shown >= PREVIEW_EVERY:
                    yield parts.watching(run)
                    shown = time.monotonic()
            if not run.stop.is_set():
                yield parts.finished(run)
                runs.end(session_of(request))
        except Exception as error:
            runs.end(session_of(request))
            sentence = sentence_of(error)
            yield parts.idle(sentence)
            raise gr.Error(sentence, print_exception=False) from error

    def halt(request: gr.Request) -> dict[Component, Any]:
        run = runs.end(session_of(request))
        if run is None or not run.steps:
            return parts.idle("Stopped before the first picture.")
        return parts.finished(run)

    # What only moves the page stays out of the queue: it must work when the queue is full.
    aside = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    running = parts.stylize.click(parts.waiting, None, parts.outputs, **aside).then(
        paint,
        {parts.photo, parts.painting, *parts.controls.components},
        parts.outputs,
        concurrency_id="painting",
        concurrency_limit=1,
        show_progress="full",
        show_progress_on=[parts.status],
        api_visibility="private",
    )
    running.failure(parts.ready, None, [parts.stylize, parts.stop], **aside)
    parts.stop.click(halt, None, parts.outputs, cancels=[running], **aside)


def add_endpoint() -> None:
    """`/stylize`, for programs: the same engine, with plain numbers in and a PNG out."""
    with gr.Row(visible=False):
        inputs = [
            untouched_image(label="content"),
            untouched_image(label="style"),
            *(api_component(name) for name in API_SETTINGS),
        ]
        outputs = [gr.Image(label="result", format="png"), gr.JSON(label="costs")]
        gr.Button("API").click(
            stylize,
            inputs,
            outputs,
            api_name="stylize",
            api_description=stylize.__doc__,
            concurrency_id="painting",
            concurrency_limit=1,
        )


API_SETTINGS = tuple(options())


def api_component(name: str) -> Component:
    """An input of the endpoint, with the setting's default and bounds."""
    option, value = options()[name], getattr(DEFAULTS, name)
    label = f"{option.label}: {option.help}"
    if name == "layer_weights":
        text = ",".join(f"{layer}={weight:g}" for layer, weight in value.items())
        return gr.Textbox(text, label=label)
    if option.choices:
        return gr.Dropdown(list(option.choices), value=value, label=label)
    low, high = option.range
    precision = 0 if isinstance(value, int) else None
    return gr.Number(value, minimum=low, maximum=high, label=label, precision=precision)


def stylize(
    content: str,
    style: str,
    size: int = DEFAULTS.size,
    iterations: int = DEFAULTS.iterations,
    alpha: float = DEFAULTS.alpha,
    beta: float = DEFAULTS.beta,
    layer_weights: str = "",
    content_layer: str = DEFAULTS.content_layer,
    optimizer: str = DEFAULTS.optimizer,
    start: str = DEFAULTS.start,
    restructure: str = DEFAULTS.restructure,
    pooling: str = DEFAULTS.pooling,
    style_scale: float = DEFAULTS.style_scale,
    total_variation: float = DEFAULTS.total_variation,
    seed: int = DEFAULTS.seed,
    precision: str = DEFAULTS.precision,
    weights: str = DEFAULTS.weights,
) -> Iterator[tuple[Image.Image, dict[str, float]]]:
    """Paint a photo in the manner of a painting by iterative neural style transfer.

    Args:
        content: the photo, an image file
        style: the painting, an image file
        size: longest side of the result in pixels
        iterations: how many times the picture is improved
        alpha: content weight α, 1 is Gatys' choice
        beta: style weight β, 1 is Gatys' choice
        layer_weights: relative weights λ, such as relu1_1=1,relu2_1=0.5; layers not named are out
        content_layer: the VGG-19 layer that compares the scene
        optimizer: lbfgs or adam
        start: recolored, content or noise
        restructure: little, some or much; how far large shapes may stray from the photo
        pooling: max or average
        style_scale: size of the painting relative to the photo
        total_variation: smoothness, 0 is off
        seed: for start=noise
        precision: auto, float32 or bfloat16
        weights: original or torchvision

    Returns:
        the picture so far, and its costs; the last one is the finished picture
    """
    try:
        settings = TransferSettings(
            size=size,
            iterations=iterations,
            alpha=alpha,
            beta=beta,
            layer_weights=parse_layer_weights(layer_weights) or DEFAULTS.layer_weights,
            content_layer=content_layer,
            optimizer=optimizer,
            start=start,
            restructure=restructure,
            pooling=pooling,
            style_scale=style_scale,
            total_variation=total_variation,
            seed=seed,
            precision=precision,
            weights=weights,
        )
        run = Run(load_named(content, "content"), [load_named(style, "style")], settings)
        run.admit()
        shown = time.monotonic()
        for step in run:
            if time.monotonic() - shown >= 2 * PREVIEW_EVERY and not run.is_complete:
                yield step.image, figures(step)
                shown = time.monotonic()
        yield run.steps[-1].image, figures(run.steps[-1])
    except Exception as error:
        raise gr.Error(sentence_of(error), print_exception=False) from error


def figures(step: TransferStep) -> dict[str, float]:
    """The costs of a step, for programs."""
    names = ("iteration", "total", "width", "height", "J", "content", "style", "elapsed")
    return {name: getattr(step, name) for name in names}


def load_named(path: str | None, name: str) -> Image.Image:
    """The picture that a visitor chose. Raises `ImageError` that says which one is meant."""
    if not path:
        raise ImageError(f"Please choose a {name} first.")
    try:
        return load_image(path)
    except ImageError as error:
        raise ImageError(f"The {name} cannot be used. {error}") from error


def sentence_of(error: Exception) -> str:
    """What to tell the visitor; what only we can mend goes to the log instead."""
    if isinstance(
        error, (ImageError, SettingsError, WeightsError, TooLargeError, FloatingPointError)
    ):
        return str(error)
    log.error("a run failed", exc_info=error)
    return UNEXPECTED


def session_of(request: gr.Request) -> str:
    """An id that tells visitors' tabs apart."""
    return str(request.session_hash)


def forget_visitor(request: gr.Request) -> None:
    """Stop what a closed tab left behind; a lost connection may come back for its picture."""
    runs.interrupt(session_of(request))


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


def launch_options() -> Mapping[str, Any]:
    """How the page is served; tests use the same."""
    return {
        "theme": theme(),
        "css_paths": [Path(__file__).parent / "page" / "style.css"],
        "max_file_size": MAX_UPLOAD,
        "enable_monitoring": False,
        "show_error": False,
        "mcp_server": True,
        "run_history": False,
        "allowed_paths": [str(Path(__file__).parent / "examples")],
    }


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    seconds_per_pixel(load_network())  # before the first visitor waits for it
    build_demo().launch(**launch_options())
