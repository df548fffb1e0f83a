"""The result panel: where the picture is painted, recoloured, replayed and taken home.

Knows components and how a job looks on them; what a click does is `page.actions`' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from nst.studio.batch_job import Batch
from nst.studio.forecast import Forecast
from nst.studio.job import Job
from nst.studio.task import State
from page.assets import mount, on_load
from page.error_messages import error_message
from page.examples import Example, ExampleSet
from page.http.static_files import asset_url
from page.panels import charts, stage
from page.panels.batch_grid import batch_status, batch_value
from page.panels.stage import StageValue, add_stage, first_value
from page.templates import render

MORE = 30  # iterations
LARGER = 36  # the same of a picture that grows: as near to a fresh one (docs/sizes.md)
READY = "Press Stylize, or choose another photo or painting first."
NO_PICTURE = "Stopped before the first picture."
NOT_YET_PAINTED = "The server was restarted before the first picture; press Stylize to paint it."
SHARED = "A picture from a link, with its settings. Press Stylize to paint your own."
SMALLER = "It was stopped while it was still smaller than the {} px that you asked for."
INTERRUPTED = "The server was restarted meanwhile; this is the last state that was kept."


@dataclass
class ResultPanel:
    """The components, in the order in which a visitor meets them."""

    go: gr.Button
    stop: gr.Button
    estimate: gr.HTML  # how long a click takes, and what it costs where that is something
    stage: gr.HTML
    status: gr.HTML
    finish: gr.Column  # what can be done with an ended picture
    takeaway: gr.HTML
    rest: gr.Button  # finishes a picture that was stopped before it had its size
    more: gr.Button
    larger: gr.Button
    twice: gr.Button
    branch: gr.Button
    as_photo: gr.Button
    as_painting: gr.Button
    as_start: gr.Button
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
            self.stage,
            self.status,
            self.finish,
            self.rest,
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
        return {**self.idle(sentence), self.status: charts.refusal(sentence)}

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

    def without_result(self) -> dict[Component, Any]:
        """Show nothing of an ended job beside the stage."""
        return {
            self.finish: gr.update(visible=False),
            self.film: gr.update(visible=False),
            self.curves: "",
            self.explanation: "",
        }

    def empty(self, photo: str = "") -> dict[Component, Any]:
        """Show that nothing is painted yet: the photo at an address, where there is one."""
        shown = stage.chosen_photo(photo) if photo else stage.nothing()
        return {**self.without_result(), self.stage: shown}

    def begun(self, job: Job, expected: Forecast) -> dict[Component, Any]:
        """Show that a job begins."""
        return {
            **self._buttons(live=True),
            **self.without_result(),
            self.stage: self.on_stage(job),
            self.status: charts.message(expectation(expected)),
        }

    def resumed(self, job: Job, expected: Forecast) -> dict[Component, Any]:
        """Show that an ended picture is painted further."""
        return {
            **self._buttons(live=True),
            self.stage: self.on_stage(job),
            self.finish: gr.update(visible=False),
            self.film: gr.update(visible=False),
            self.status: charts.message(expectation(expected)),
        }

    def live(self, job: Job) -> dict[Component, Any]:
        """Show a job under way, which the stage follows."""
        return {
            **self._buttons(live=True),
            **self.without_result(),
            self.stage: self.on_stage(job),
            self.status: charts.message(self.first_words),
        }

    def ended(self, job: Job) -> dict[Component, Any]:
        """Show an ended job, what can be done with it, and the figures."""
        if job.moment is None or not job.steps:
            text = job.note if job.state is State.FAILED else NO_PICTURE
            if job.state is State.INTERRUPTED:
                text = NOT_YET_PAINTED
            value = stage.chosen_photo(f"studio/{job.id}/photo.webp?side=1024")
            return {**self.idle(text), **self.without_result(), self.stage: {**value, "said": text}}
        steps = list(job.steps)
        verdict = self._verdict(job)
        return {
            **self._buttons(live=False),
            **self.recolored(job),
            self.stage: {**self.on_stage(job), "said": Markup(verdict).striptags()},
            self.status: verdict,
            self.finish: gr.update(visible=True),
            self.rest: gr.update(visible=is_smaller(job)),
            self.film: gr.update(visible=len(job.frames) > 1),
            self.curves: charts.curves(steps, job.course, job.ingredients[1:]),
            self.explanation: charts.explanation(steps[-1], job.course[-1].settings),
        }

    def batch(self, batch: Batch, text: str = "") -> dict[Component, Any]:
        """Show a batch, live or ended, with a line of status of one's own where there is one."""
        return {
            **self._buttons(live=batch.state.is_live),
            **self.without_result(),
            self.stage: batch_value(batch),
            self.status: charts.message(text) if text else batch_status(batch),
        }

    def recolored(self, job: Job) -> dict[Component, Any]:
        """Show an ended job in the colours that are dialled now, and links to its files."""
        return {
            self.stage: self.on_stage(job),
            self.takeaway: takeaway_markup(job, name_of(job, self.examples)),
            self.timelapse: timelapse_markup(job),
        }

    def on_stage(self, job: Job) -> StageValue:
        """Return what the stage shows of a job."""
        return stage.of_job(job, title_of(job, self.examples))

    def exhibit(self, value: StageValue, text: str) -> dict[Component, Any]:
        """Show a finished picture that is nobody's job here, beside its photo where known."""
        return {
            **self._buttons(live=False),
            **self.without_result(),
            self.stage: value,
            self.status: charts.message(text),
        }

    def shared(self, job: Job, share: str) -> dict[Component, Any]:
        """Show somebody else's finished picture."""
        address = f"studio/shared/{share}/picture.png"
        return {
            **self._buttons(live=False),
            **self.without_result(),
            self.stage: stage.of_shared(job, share),
            self.status: render("shared_picture", text=SHARED, address=address),
        }

    def _verdict(self, job: Job) -> str:
        if job.state is State.FAILED:
            return charts.message(job.note)
        note = INTERRUPTED if job.state is State.INTERRUPTED else job.note
        if is_smaller(job):
            note = f"{SMALLER.format(job.settings.size)} {note}"
        finished = job.state is State.FINISHED
        settings = job.course[-1].settings
        return charts.summary(job.steps[-1], settings, finished=finished, note=note)

    def _buttons(self, *, live: bool) -> dict[Component, Any]:
        return {
            self.go: gr.update(interactive=not live),
            self.stop: gr.update(interactive=live),
        }


def is_smaller(job: Job) -> bool:
    """Tell whether a picture was stopped before it had the size that was asked for."""
    return job.moment is not None and max(job.moment.picture.size) < job.settings.size


def expectation(expected: Forecast) -> str:
    """Return how long a run will take, and what it will cost the visitor."""
    text = f"It will take about {charts.duration(expected.seconds)}."
    return f"{text} {price(expected)}" if expected.borrowed else text


def price(expected: Forecast) -> str:
    """Return what a run asks for where GPUs are borrowed."""
    return f"It uses at most {expected.borrowed} s of your daily GPU time."


def add_actions() -> tuple[gr.Button, gr.Button, gr.HTML]:
    """Show Stylize, Stop, and how long a click on the first takes."""
    with gr.Row(elem_id="go"):
        go = gr.Button(
            "Stylize",
            variant="primary",
            min_width=100,
            interactive=False,  # until it is known who has come, and what a link wants
            elem_id="stylize",
        )
        stop = gr.Button("Stop", variant="stop", min_width=70, interactive=False, elem_id="stop")
        estimate = gr.HTML(elem_id="estimate", apply_default_css=False)
    return go, stop, estimate


def add_result(
    actions: tuple[gr.Button, gr.Button, gr.HTML], examples: ExampleSet, *, lends_gpus: bool
) -> ResultPanel:
    """Show the stage, its status, and what can be done with an ended picture."""
    shown = add_stage(first_value(examples))
    status = followed("status", charts.message(READY))
    with gr.Column(elem_id="after"), gr.Column(visible=False, elem_id="finish") as finish:
        takeaway = gr.HTML(
            js_on_load=mount("takeaway", url=asset_url("takeaway.js")),
            apply_default_css=False,
            elem_id="takeaway",
        )
        with gr.Row(elem_id="further"):
            rest = gr.Button("Finish it at full size", size="sm", min_width=90, visible=False)
            more = small_button(f"{MORE} more iterations")
            larger = small_button("1.5× larger")
            twice = small_button("2× larger")
            branch = small_button("Keep a copy")
            as_photo = small_button("Use as photo")
            as_painting = small_button("Use as painting")
            as_start = small_button("Start from this picture")
    with gr.Accordion("Timelapse", open=False, visible=False, elem_id="film") as film:
        timelapse = gr.HTML(
            js_on_load=on_load("timelapse"), apply_default_css=False, elem_id="timelapse"
        )
    curves, explanation = followed("curves", ""), followed("explanation", "")
    for each in (curves, explanation):
        each.unrender()
    return ResultPanel(
        *actions, shown, status, finish, takeaway, rest, more, larger, twice, branch, as_photo,
        as_painting, as_start, timelapse, film, curves, explanation,
        first_words="Waiting for a GPU…" if lends_gpus else "Getting ready…",
        examples=examples,
    )  # fmt: skip


def small_button(label: str) -> gr.Button:
    """Return a button of the row below an ended picture."""
    return gr.Button(label, size="sm", min_width=90)


def followed(name: str, markup: str) -> gr.HTML:
    """Return markup that each look at a job under way brings anew, as its `name`."""
    return gr.HTML(
        markup,
        js_on_load=mount("followed", url=asset_url("followed.js")),
        apply_default_css=False,
        elem_id=name,
        part=name,
    )


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


def title_of(job: Job, examples: ExampleSet) -> str:
    """Return what a picture is called on the page: `Castle in the style of The Starry Night`."""
    photo, painting = (
        example.title if example else usual
        for example, usual in zip(
            inputs_of(job, examples), ("Your photo", "a painting"), strict=True
        )
    )
    others = len(set(job.passages[-1].styles)) - 1
    more = f" and {others} more" if others else ""
    return f"{photo} in the style of {painting}{more}"


def name_of(job: Job, examples: ExampleSet) -> str:
    """Return what a picture's files are called: `castle-in-the-style-of-starry-night`."""
    photo, painting = inputs_of(job, examples)
    if photo is None and painting is None:
        return "stylized"
    words = (photo.name if photo else "photo", painting.name if painting else "a-painting")
    return "-in-the-style-of-".join(word.replace("_", "-") for word in words)


def inputs_of(job: Job, examples: ExampleSet) -> tuple[Example | None, Example | None]:
    """Return the photo and the present painting of a job, as far as they are examples."""
    content, *styles = job.ingredients
    painting = styles[job.passages[-1].styles[0]]
    return examples.example_of(content), examples.example_of(painting)


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
