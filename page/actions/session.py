"""The session: the parts of the page, the workshop behind them, and whose job is whose."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_file_to_cache, save_pil_to_cache
from PIL import Image

from nst import TransferSettings
from nst.engine.texture import TextureCache
from nst.images.recipe import Ingredient
from nst.settings import options
from nst.studio.job import Job
from nst.studio.job_store import is_id
from nst.studio.task import owner_of
from nst.studio.workshop import Workshop
from page.examples import Example, ExampleSet
from page.http.admission import Admission
from page.http.following import Tabs, tab_of
from page.http.identifiers import IDENTIFIER
from page.panels.contact_sheet import SheetPanel
from page.panels.controls import Controls
from page.panels.own_gallery import gallery_markup
from page.panels.result_panel import ResultPanel

PREVIEW_EVERY = 0.7  # seconds between two previews, at the least
FIXED = ("start", "seed", "precision", "weights")  # not to be changed while a picture is painted

Updates = dict[Component, Any]


@dataclass
class Session:
    """The parts of the page that actions read and write, and the way into the workshop."""

    admission: Admission
    textures: TextureCache | None
    examples: ExampleSet
    visitor: gr.BrowserState  # an unguessable token, in the visitor's browser
    current: gr.State  # the id of the job on the result panel
    to_follow: gr.State  # the same when there is news to wait for, or ""
    photo: gr.Image
    painting: gr.Image
    controls: Controls
    result_panel: ResultPanel
    panel: SheetPanel
    sheet: gr.State  # the id of the contact sheet
    gallery: gr.HTML
    copy_link: gr.Button
    link: gr.Textbox
    tabs: Tabs

    @property
    def workshop(self) -> Workshop:
        """Return where jobs are painted and kept."""
        return self.admission.workshop

    @property
    def values(self) -> set[Component]:
        """Return what a run is made of: the pictures, the controls, and who asks."""
        pictures = {self.photo, self.painting}
        return {self.visitor, self.current, *pictures, *self.controls.components}

    @property
    def everything(self) -> list[Component]:
        """Return what opening a job may write to."""
        inputs = [self.current, self.to_follow, self.photo, self.painting, self.sheet]
        return [*inputs, *self.controls.components, *self.result_panel.outputs, self.gallery]

    def visitor_of(self, token: str, request: gr.Request) -> str:
        """Return the visitor's token.

        A new visitor's first click may come before it has reached them.
        """
        if isinstance(token, str) and IDENTIFIER.fullmatch(token):
            return token
        values = self.tabs.sessions.values(tab_of(request))
        return str(values.setdefault("visitor", secrets.token_urlsafe(24)))

    def job_of(self, id: str) -> Job | None:
        """Return the job of an id that a tab holds; "" stands for none."""
        return self.workshop.find_job(id) if id else None

    def live_job(self, id: str) -> Job | None:
        """Return a job that waits or is painted."""
        job = self.job_of(id)
        return job if job and job.state.is_live else None

    def own_job(self, id: str, visitor: str) -> Job | None:
        """Return a job if it is the visitor's."""
        return self.workshop.find_job(id) if is_owned(id, visitor) else None

    def gallery_of(self, visitor: str) -> str:
        """Return the cards of the visitor's jobs as markup."""
        return gallery_markup(self.workshop.cards(visitor), self.workshop.limits.kept)

    def look_at(self, job: Job) -> Updates:
        """Return a job's figures and its latest preview."""
        updates = self.result_panel.progress(job)
        with suppress(OSError):  # of a full disk; the next preview may fit again
            updates |= self.result_panel.picture(job)
        return updates

    def on_panel(self, job: Job) -> Updates:
        """Put a job's pictures and settings in their places; `follow` shows the rest."""
        recipe = job.recipe()
        style = recipe.passages[-1].styles[0]
        return {
            **self.put_up(job),
            self.photo: self._input_value(job, "content", job.content, recipe.content),
            self.painting: self._input_value(
                job, f"style-{style}", job.styles[style], recipe.painting
            ),
            **self.controls.show(job.settings, set(options())),
        }

    def _input_value(self, job: Job, name: str, image: Image.Image, ingredient: Ingredient) -> str:
        """Return a file with the pixels of one of a job's pictures, for an upload to show."""
        if example := self.examples.example_of(ingredient):
            return self.example_value(example)
        cache = self.photo.GRADIO_CACHE
        if self.workshop.job_store:
            stored = self.workshop.job_store.file(job.id, f"{name}.png")
            if stored.is_file():
                return str(save_file_to_cache(stored, cache))
        return str(save_pil_to_cache(image, cache, "picture", format="png"))

    def example_value(self, example: Example) -> str:
        """Return what an upload shows an example by."""
        return example.as_value(self.photo.GRADIO_CACHE)

    def put_up(self, job: Job) -> Updates:
        """Put this job on the result panel, and follow it from now on."""
        return {self.current: job.id, self.to_follow: job.id}

    def refuse(self, error: Exception) -> Updates:
        """Show a sentence in the status and as a toast; nothing else moves."""
        return {self.to_follow: "", **self.result_panel.refusal(error)}


def is_owned(id: str, visitor: str) -> bool:
    """Tell whether a job of this id would be the visitor's."""
    return (
        isinstance(visitor, str)
        and bool(visitor)
        and is_id(id)
        and id.startswith(f"{owner_of(visitor)}-")
    )


def fixed_part(settings: TransferSettings, names: tuple[str, ...]) -> dict[str, Any]:
    """Return some of the settings by name."""
    return {name: getattr(settings, name) for name in names}
