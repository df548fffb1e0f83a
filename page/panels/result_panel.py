"""The result panel: where the picture is painted, looked at, recoloured, replayed and taken home.

Knows components and how a job looks on them; what a click does is `studio`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup
from PIL import Image

from nst.images.color import dial_colors
from nst.images.tensors import shrink
from nst.studio.forecast import Forecast
from nst.studio.job import Job
from nst.studio.task import State
from page.assets import on_load
from page.error_messages import error_message
from page.examples import ExampleSet
from page.panels import charts
from page.panels.controls import Controls
from page.previews import cached_webp, rendered_webp
from page.templates import render

PREVIEW_SIDE = 768  # pixels; larger previews would only slow the connection down
MORE = 30  # iterations
READY = "Choose a photo and a painting, then press Stylize."
NO_PICTURE = "Stopped before the first picture."
NOT_YET_PAINTED = "The server was restarted before the first picture; press Stylize to paint it."
SHARED = "A picture from a link, with its settings. Press Stylize to paint your own."
INTERRUPTED = "The server was restarted meanwhile; this is the last state that was kept."


@dataclass
class ResultPanel:
    """The components, in the order in which a visitor meets them."""

    go: gr.Button
    stop: gr.Button
    price: gr.HTML  # what a click costs, where that is something
    status: gr.HTML
    preview: gr.Image
    comparison: gr.ImageSlider
    finish: gr.Column  # what can be done with an ended picture
    takeaway: gr.HTML
    more: gr.Button
    larger: gr.Button
    twice: gr.Button
    branch: gr.Button
    timelapse: gr.HTML
    film: gr.Accordion
    curves: gr.HTML
    explanation: gr.HTML
    first_words: str  # of the status, while a run gets ready
    examples: ExampleSet  # by whose names files are called

    @property
    def outputs(self) -> list[Component]:
        """Return the components that handlers write to."""
        return [
            self.go,
            self.stop,
            self.status,
            self.preview,
            self.comparison,
            self.finish,
            self.takeaway,
            self.film,
            self.timelapse,
            self.curves,
            self.explanation,
        ]

    def idle(self, text: str) -> dict[Component, Any]:
        """Be ready for a click, with a line of status."""
        return {**self._buttons(live=False), self.status: charts.message(text)}

    def refusal(self, error: Exception) -> dict[Component, Any]:
        """Show a sentence in the status and as a toast; nothing else moves."""
        sentence = error_message(error)
        gr.Warning(sentence)
        return self.idle(sentence)

    def not_ready(self) -> dict[Component, Any]:
        """Say why a run that was asked for cannot be: something that is not ours said so."""
        return self.idle(READY)

    def getting_ready(self) -> dict[Component, Any]:
        """Show that a run was asked for, and its pictures are being opened."""
        return {
            self.go: gr.update(interactive=False),
            self.stop: gr.update(interactive=False),
            self.status: charts.message(self.first_words),
        }

    def empty(self) -> dict[Component, Any]:
        """Show that nothing is painted yet."""
        return {
            self.comparison: gr.update(visible=False),
            self.finish: gr.update(visible=False),
            self.film: gr.update(visible=False),
            self.curves: "",
            self.explanation: "",
            self.preview: gr.update(value=None, visible=True),
        }

    def begun(self, expected: Forecast) -> dict[Component, Any]:
        """Show that a run begins."""
        return {
            **self._buttons(live=True),
            **self.empty(),
            self.status: charts.message(expectation(expected)),
        }

    def resumed(self, expected: Forecast) -> dict[Component, Any]:
        """Show that an ended picture is painted further."""
        return {
            **self._buttons(live=True),
            self.finish: gr.update(visible=False),
            self.film: gr.update(visible=False),
            self.status: charts.message(expectation(expected)),
        }

    def waiting(self, ahead: int, seconds: float) -> dict[Component, Any]:
        """Show that a job is queued, for about so many seconds."""
        others = "1 picture is" if ahead == 1 else f"{ahead} pictures are"
        until = f"about {charts.duration(seconds)}" if seconds >= 1 else "any moment now"
        text = f"In the queue: {others} before yours, {until}."
        return {**self._buttons(live=True), self.status: charts.message(text)}

    def progress(self, job: Job) -> dict[Component, Any]:
        """Show the figures of a job under way, which are cheap."""
        if not job.steps:
            return self._buttons(live=True)
        steps = list(job.steps)
        return {
            **self._buttons(live=True),
            self.status: charts.progress(steps[-1], job.note),
            self.curves: charts.curves(steps, job.course),
            self.explanation: charts.explanation(steps[-1], job.course[-1].settings),
        }

    def picture(self, job: Job) -> dict[Component, Any]:
        """Show the picture of a job under way."""
        if job.moment is None:
            return {}
        key = ("preview", job.id, job.revision)
        path = rendered_webp(key, dialled(job, PREVIEW_SIDE), self.preview)
        return {
            self.preview: gr.update(value=path, visible=True),
            self.comparison: gr.update(visible=False),
            self.finish: gr.update(visible=False),
            self.film: gr.update(visible=False),
        }

    def ended(self, job: Job) -> dict[Component, Any]:
        """Show before and after of an ended job, what can be done with it, and the figures."""
        if job.moment is None or not job.steps:
            text = job.note if job.state is State.FAILED else NO_PICTURE
            if job.state is State.INTERRUPTED:
                text = NOT_YET_PAINTED
            return {**self.idle(text), **self.empty()}
        steps = list(job.steps)
        return {
            **self._buttons(live=False),
            **self.before_and_after(job),
            self.status: self._verdict(job),
            self.preview: gr.update(visible=False),
            self.finish: gr.update(visible=True),
            self.film: gr.update(visible=len(job.frames) > 1),
            self.curves: charts.curves(steps, job.course),
            self.explanation: charts.explanation(steps[-1], job.course[-1].settings),
        }

    def before_and_after(self, job: Job) -> dict[Component, Any]:
        """Show the photo and the picture as its colours are dialled."""
        assert job.moment is not None
        content, size = job.content, job.moment.picture.size
        key = ("before", job.id, job.stamp, size)
        before = rendered_webp(key, lambda: content.resize(size), self.comparison)
        after = result_webp(job, self.comparison)
        return {
            self.comparison: gr.update(value=(before, after), visible=True),
            self.takeaway: takeaway_markup(job, name_of(job, self.examples)),
            self.timelapse: timelapse_markup(job),
        }

    def exhibit(
        self, picture: Image.Image, text: str, photo: Image.Image | None = None
    ) -> dict[Component, Any]:
        """Show a finished picture that is nobody's job here, beside its photo where known."""
        updates = {**self._buttons(live=False), **self.empty(), self.status: charts.message(text)}
        if photo is None:
            path = cached_webp(picture, self.preview)
            return {**updates, self.preview: gr.update(value=path, visible=True)}
        before = cached_webp(photo.resize(picture.size), self.comparison)
        after = cached_webp(picture, self.comparison)
        return {
            **updates,
            self.preview: gr.update(value=None, visible=False),
            self.comparison: gr.update(value=(before, after), visible=True),
        }

    def shared(self, job: Job, share: str) -> dict[Component, Any]:
        """Show somebody else's finished picture."""
        assert job.moment is not None
        address = f"studio/shared/{share}/picture.png"
        return {
            **self._buttons(live=False),
            self.preview: gr.update(value=result_webp(job, self.preview), visible=True),
            self.status: render("shared_picture", text=SHARED, address=address),
        }

    def _verdict(self, job: Job) -> str:
        if job.state is State.FAILED:
            return charts.message(job.note)
        note = INTERRUPTED if job.state is State.INTERRUPTED else job.note
        finished = job.state is State.FINISHED
        settings = job.course[-1].settings
        return charts.summary(job.steps[-1], settings, finished=finished, note=note)

    def _buttons(self, *, live: bool) -> dict[Component, Any]:
        return {
            self.go: gr.update(interactive=not live),
            self.stop: gr.update(interactive=live),
        }


def dialled(job: Job, longest_side: int | None = None) -> Callable[[], Image.Image]:
    """Return a function that makes the present picture in the colours dialled now.

    It is scaled down to a longest side in pixels.
    """
    assert job.moment is not None
    picture, content, paintings = job.moment.picture, job.content, job.paintings
    colors, side = job.colors, longest_side or max(picture.size)
    return lambda: dial_colors(shrink(picture, side), content, paintings, colors)


def result_webp(job: Job, component: Component) -> str:
    """Return the path of a job's result, in its dialled colours, in the component's cache."""
    return rendered_webp(("result", job.id, job.revision), dialled(job), component)


def expectation(expected: Forecast) -> str:
    """Return how long a run will take, and what it will cost the visitor."""
    text = f"About {charts.duration(expected.seconds)} from here."
    return f"{text} {price(expected)}" if expected.borrowed else text


def price(expected: Forecast) -> str:
    """Return what a run asks for where GPUs are borrowed."""
    return f"This borrows a GPU for at most {expected.borrowed} s of your daily time."


def add_result_panel(controls: Controls, examples: ExampleSet, *, lends_gpus: bool) -> ResultPanel:
    """Show the result panel, with the price of a click where GPUs are lent."""
    with gr.Row():
        go = gr.Button(
            "Stylize",
            variant="primary",
            min_width=100,
            interactive=False,  # until it is known who has come, and what a link wants
            elem_id="stylize",
        )
        stop = gr.Button("Stop", variant="stop", min_width=100, interactive=False, elem_id="stop")
    cost = gr.HTML(visible=lends_gpus, elem_id="price")
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
        type="filepath",
        max_height=520,
        elem_id="comparison",
    )
    controls.add("colors")
    with gr.Column(visible=False, elem_id="finish") as finish:
        takeaway = gr.HTML(js_on_load=on_load("takeaway"), elem_id="takeaway")
        with gr.Row(elem_id="further"):
            more = gr.Button(f"{MORE} more iterations", size="sm", min_width=120)
            larger = gr.Button("1.5× larger", size="sm", min_width=90)
            twice = gr.Button("2× larger", size="sm", min_width=90)
            branch = gr.Button("Branch", size="sm", min_width=90)
    with gr.Accordion("Timelapse", open=False, visible=False, elem_id="film") as film:
        timelapse = gr.HTML(js_on_load=on_load("timelapse"), elem_id="timelapse")
    curves = gr.HTML(elem_id="curves")
    with gr.Accordion("Explain: what each layer costs", open=False, elem_id="explain"):
        explanation = gr.HTML(
            charts.hint("While a picture is painted, this shows what its cost J is made of."),
            elem_id="explanation",
        )
    return ResultPanel(
        go, stop, cost, status, preview, comparison, finish, takeaway, more, larger, twice, branch,
        timelapse, film, curves, explanation,
        first_words="Waiting for a GPU…" if lends_gpus else "Getting ready…",
        examples=examples,
    )  # fmt: skip


def takeaway_markup(job: Job, name: str) -> Markup:
    """Return links to the files, which are saved under `name`.

    Their addresses carry the revision, so that nothing stale is shown.
    """
    home, fresh = f"studio/{job.id}", f"?v={job.revision}"

    def links(file: str, saved: str, kinds: dict[str, str]) -> list[dict[str, str]]:
        return [
            {
                "address": f"{home}/{file}.{kind}{fresh}",
                "file": f"{saved}.{kind}",
                "label": label,
            }
            for kind, label in kinds.items()
        ]

    films = {"mp4": "MP4", "webp": "WebP", "gif": "GIF"}
    return render(
        "takeaway",
        name=name,
        picture=f"{home}/picture.png{fresh}",
        others=links("picture", name, {"jpg": "JPEG", "webp": "WebP"}),
        films=links("timelapse", f"{name}-timelapse", films) if len(job.frames) > 1 else [],
    )


def name_of(job: Job, examples: ExampleSet) -> str:
    """Return what a picture's files are called: `castle-in-the-style-of-starry-night`."""
    content, *styles = job.ingredients
    photo = examples.example_of(content)
    painting = examples.example_of(styles[job.passages[-1].styles[0]])
    if photo is None and painting is None:
        return "stylized"
    words = (photo.name if photo else "photo", painting.name if painting else "a-painting")
    return "-in-the-style-of-".join(word.replace("_", "-") for word in words)


def timelapse_markup(job: Job) -> str:
    """Return a picture, a slider through the frames, and a button to play them."""
    if len(job.frames) < 2:
        return ""
    return render(
        "timelapse",
        folder=f"studio/{job.id}/frames/",
        end=f".jpg?v={job.revision}",
        frames=[f"{index:06d}" for index in job.frames],
        iterations=[job.steps[index].iteration for index in job.frames],
    )
