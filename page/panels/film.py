"""The film: where a clip is painted, played beside the clip, and taken home.

Knows components and how a film looks on them; what a click does is `page.actions`' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from nst.studio.film_forecast import ExpectedFilm
from nst.studio.film_job import Film
from nst.studio.task import State
from page.assets import mount
from page.error_messages import error_message
from page.http.static_files import asset_url
from page.panels import charts
from page.panels.clip_input import ClipInput
from page.panels.modes import FILM
from page.panels.result_panel import followed
from page.templates import render

READY = "Choose a clip and a painting, then press Stylize."
CHOOSE = "Here you will see how long it takes."
GETTING_READY = "Getting ready…"
NO_FRAME = "Stopped before the first frame."
DELETED = "Deleted."
SHARED = "A film from a link, with its settings. Press Stylize to paint your own."
NAME = "Your film"
FILE = "painted-film.mp4"
STATUS = "film-status"
EXAMPLE = "example.mp4"  # made by `python -m benchmarks.clips page/assets --example`
BETWEEN = "Others are painted in between; {} of {} frames are done."


@dataclass
class FilmPanel:
    """The components, in the order in which a visitor meets them."""

    modes: gr.HTML
    clip: ClipInput
    go: gr.Button
    stop: gr.Button
    estimate: gr.HTML
    stage: gr.HTML
    status: gr.HTML
    finish: gr.Column
    takeaway: gr.HTML
    more: gr.Button  # paints a film on that was stopped
    current: gr.Textbox  # the id of the film on the stage; the browser holds it, nobody sees it

    @property
    def outputs(self) -> list[Component]:
        """Return the components that handlers write to."""
        parts = [self.go, self.stop, self.stage, self.status, self.finish, self.takeaway, self.more]
        return [self.current, self.modes, *parts]

    def idle(self, text: str) -> dict[Component, Any]:
        """Be ready for a click, with a line of status."""
        return {**self._buttons(live=False), self.status: charts.message(text)}

    def refusal(self, error: Exception) -> dict[Component, Any]:
        """Show a sentence in the status and as a toast; nothing else moves."""
        sentence = error_message(error)
        gr.Warning(sentence)
        return {**self.idle(sentence), self.status: charts.refusal(sentence)}

    def not_ready(self) -> dict[Component, Any]:
        """Say why a film that was asked for cannot be: something that is not ours said so."""
        return self.idle(READY)

    def getting_ready(self) -> dict[Component, Any]:
        """Show that a film was asked for, and its pictures are being opened."""
        buttons = {each: gr.update(interactive=False) for each in (self.go, self.stop)}
        return {**buttons, self.status: charts.message(GETTING_READY)}

    def empty(self, text: str) -> dict[Component, Any]:
        """Show no film."""
        return {
            **self.idle(text),
            self.current: "",
            self.stage: {},
            self.finish: gr.update(visible=False),
        }

    def live(self, film: Film, text: str = GETTING_READY) -> dict[Component, Any]:
        """Show a film under way, which the stage follows."""
        return {
            **self._buttons(live=True),
            self.current: film.id,
            self.modes: FILM,
            self.stage: {**on_stage(film), "said": "Painting has begun."},
            self.status: charts.message(text),
            self.finish: gr.update(visible=False),
        }

    def ended(self, film: Film) -> dict[Component, Any]:
        """Show an ended film, and what can be done with it."""
        text = verdict(film)
        return {
            **self._buttons(live=False),
            self.current: film.id,
            self.modes: FILM,
            self.stage: {**on_stage(film), "said": text},
            self.status: charts.message(text),
            self.finish: gr.update(visible=True),
            self.takeaway: takeaway_markup(film),
            self.more: gr.update(visible=can_go_on(film)),
        }

    def shown(self, film: Film) -> dict[Component, Any]:
        """Show a film, live or ended."""
        return self.live(film) if film.state.is_live else self.ended(film)

    def shared(self, film: Film, share: str) -> dict[Component, Any]:
        """Show somebody else's film."""
        address = f"studio/shared/{share}/film.mp4"
        shown = {"name": "A film from a link", "pair": {"painted": address}, "share": share}
        return {
            **self._buttons(live=False),
            self.modes: FILM,
            self.stage: shown,
            self.status: charts.message(SHARED),
            self.finish: gr.update(visible=True),
            self.takeaway: render("film_takeaway", address=address, name=FILE),
            self.more: gr.update(visible=False),
        }

    def _buttons(self, *, live: bool) -> dict[Component, Any]:
        return {self.go: gr.update(interactive=not live), self.stop: gr.update(interactive=live)}


def add_film_actions() -> tuple[gr.Button, gr.Button, gr.HTML]:
    """Show Stylize, Stop, and how long a click on the first takes."""
    with gr.Row(elem_id="film-go", elem_classes="go"):
        go = gr.Button(
            "Stylize", variant="primary", min_width=100, interactive=False, elem_id="film-stylize"
        )
        stop = gr.Button(
            "Stop", variant="stop", min_width=70, interactive=False, elem_id="film-stop"
        )
        estimate = gr.HTML(charts.hint(CHOOSE), elem_id="film-estimate", apply_default_css=False)
    return go, stop, estimate


def add_film(
    modes: gr.HTML,
    clip: ClipInput,
    actions: tuple[gr.Button, gr.Button, gr.HTML],
    current: gr.Textbox,
) -> FilmPanel:
    """Show the stage of films, its status, and what can be done with an ended film.

    The stage triggers `ended` when the film that it follows has ended.
    """
    stage = gr.HTML(
        {},
        html_template=render("film_stage"),
        js_on_load=mount("film_stage", "ended", url=asset_url("film_stage.js")),
        example=asset_url(EXAMPLE),
        apply_default_css=False,
        elem_id="film-stage",
    )
    status = followed(STATUS, charts.message(READY))
    with gr.Column(elem_id="film-after"), gr.Column(visible=False, elem_id="film-finish") as finish:
        takeaway = gr.HTML(
            js_on_load=mount("film_takeaway", url=asset_url("film_takeaway.js")),
            apply_default_css=False,
            elem_id="film-takeaway",
        )
        more = gr.Button("Go on with it", size="sm", min_width=90, elem_id="film-more")
    return FilmPanel(modes, clip, *actions, stage, status, finish, takeaway, more, current)


def on_stage(film: Film) -> dict[str, Any]:
    """Return what the stage shows of a film."""
    return {
        "film": film.id,
        "isLive": film.state.is_live,
        "name": NAME,
        "pair": pair_of(film) if film.count else None,
    }


def pair_of(film: Film) -> dict[str, str]:
    """Return the addresses of what is done of a film, and of the same as it was filmed."""
    home, count = f"studio/{film.id}", film.count
    return {
        "painted": f"{home}/film.mp4?frames={count}",
        "original": f"{home}/original.mp4?frames={count}",
    }


def takeaway_markup(film: Film) -> Markup:
    """Return the links to the file; none where there is no frame."""
    if not film.count:
        return Markup()
    return render("film_takeaway", address=pair_of(film)["painted"], name=FILE)


def expectation(expected: ExpectedFilm) -> str:
    """Return how long a film will take."""
    return f"About {charts.duration(expected.seconds)} for {frames_text(expected.frames)}."


def progress(film: Film) -> Markup:
    """Return the status of a film that is being painted."""
    step = film.step
    if step is None:
        return charts.message(film.note or GETTING_READY)
    return render(
        "film_progress",
        share=f"{share_done(film):.3f}",
        frame=min(film.count + 1, film.total),
        total=film.total,
        iteration=step.step.iteration,
        iterations=step.step.total,
        width=step.step.width,
        height=step.step.height,
        left=charts.duration(film.remaining),
    )


def share_done(film: Film) -> float:
    """Return how much of a film is painted, from 0 to 1."""
    step = film.step
    is_under_way = step is not None and not film.is_between
    frame = step.step.iteration / max(1, step.step.total) if step and is_under_way else 0.0
    return min(1.0, (film.count + frame) / max(1, film.total))


def can_go_on(film: Film) -> bool:
    """Tell whether there is something to paint, and a try may be worth it."""
    is_over = film.state is State.FINISHED
    return not is_over and (film.state is not State.FAILED or film.count > 0)


def verdict(film: Film) -> str:
    """Return what an ended film has reached."""
    if film.state is State.FAILED or not film.count:
        return film.note or NO_FRAME
    took = charts.duration(film.all_seconds)
    if film.state is State.FINISHED:
        text = f"Finished: {frames_text(film.count)} in {took}."
    else:
        text = f"Stopped after {film.count} of {frames_text(film.total)}, {took}."
    return " ".join(filter(None, (text, film.note, film.remark)))


def frames_text(count: int) -> str:
    """Return so many frames in words."""
    return "1 frame" if count == 1 else f"{count} frames"
