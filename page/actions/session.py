"""The session: the parts of the page, the workshop behind them, and whose job is whose."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_file_to_cache, save_pil_to_cache
from PIL import Image

from nst import TransferSettings
from nst.engine.texture import TextureCache
from nst.errors import BusyError
from nst.images.masks import NO_MASKS
from nst.images.recipe import Ingredient
from nst.settings import options
from nst.studio.batch_job import Batch
from nst.studio.job import Job
from nst.studio.job_store import is_id
from nst.studio.job_styles import Style
from nst.studio.task import Task, owner_of
from nst.studio.workshop import Workshop
from page.assets import handler
from page.examples import ExampleSet
from page.http.admission import Admission
from page.http.following import AT_ONCE, Tabs, tab_of
from page.http.identifiers import IDENTIFIER
from page.links import Shared
from page.panels.components import Choice, PictureInput
from page.panels.contact_sheet import SheetPanel
from page.panels.controls import Controls
from page.panels.film import FilmPanel
from page.panels.mix import Mix, Plan, mix_of, part_values, region_values
from page.panels.own_gallery import gallery_markup
from page.panels.paintings import PaintingsInput, held_value
from page.panels.photo_tray import PhotoTray, tray_value
from page.panels.picture_inputs import example_value, load_named, shown_value
from page.panels.result_panel import ResultPanel
from page.panels.topbar import History

Updates = dict[Component, Any]


@dataclass
class Session:
    """The parts of the page that actions read and write, and the way into the workshop."""

    admission: Admission
    textures: TextureCache | None
    examples: ExampleSet
    visitor: gr.BrowserState  # an unguessable token, in the visitor's browser
    current: gr.Textbox  # the id of the job on the stage; the browser holds it, nobody sees it
    photo: PictureInput
    painting: PictureInput
    paintings: PaintingsInput  # those beyond the first, and the regions
    init: PictureInput  # a picture to start from, where one is chosen
    tray: PhotoTray  # several photos, where there are any
    controls: Controls
    result_panel: ResultPanel
    panel: SheetPanel
    film: FilmPanel
    sheet: gr.State  # the id of the contact sheet
    gallery: gr.HTML
    bar: gr.HTML  # above the page
    history: History
    link: gr.Textbox  # what was copied last; nobody sees it
    found: gr.Textbox  # the mask that was found last; nobody sees it
    tabs: Tabs

    @property
    def workshop(self) -> Workshop:
        """Return where jobs are painted and kept."""
        return self.admission.workshop

    @property
    def values(self) -> set[Component]:
        """Return what a run is made of: the pictures, the controls, and who asks."""
        pictures = {self.photo, self.painting, self.paintings, self.init, self.tray}
        return {self.visitor, self.current, *pictures, *self.controls.components}

    @property
    def everything(self) -> list[Component]:
        """Return what opening a job may write to."""
        pictures = [self.photo, self.painting, self.paintings, self.init, self.tray]
        inputs = [self.current, *pictures, self.sheet]
        return [*inputs, *self.controls.components, *self.result_panel.outputs, self.gallery]

    def mix_of(self, values: Updates) -> Mix:
        """Return the paintings that are chosen, and where each rules. Raises `ImageError`."""
        return mix_of(values[self.painting], values[self.paintings])

    def mix_for(self, job: Job, values: Updates) -> Mix:
        """Return the same for a job that there is.

        Regions belong to a photo: where another one than the job's is chosen, the job keeps its
        paintings. Raises `ImageError`.
        """
        mix = self.mix_of(values)
        have_masks = mix.masks.are_of_photo or job.wanted_masks.are_of_photo
        if have_masks and not self._is_photo_of(job, values):
            return Mix.of(job)
        mix.check(job.content)
        return mix

    def _is_photo_of(self, job: Job, values: Updates) -> bool:
        photo = load_named(values[self.photo], "photo")
        return photo is job.content or Ingredient.of(photo) == job.ingredients[0]

    def init_of(self, values: Updates) -> Image.Image | None:
        """Return the picture to start from, if one is chosen. Raises `ImageError`."""
        choice = values[self.init]
        return load_named(choice, "starting picture") if choice else None

    def answer(self, event: Any, make: Callable[..., str], inputs: list[Component]) -> None:
        """Have an event of a script answered: `make` returns JSON with the ticket that it gave."""
        answer = {"js": handler("mask_found"), "show_progress": "hidden"}
        asked = event(make, inputs, [self.found], trigger_mode="multiple", **AT_ONCE)
        asked.success(None, [self.found], None, **answer)
        asked.failure(None, None, None, **answer)

    def visitor_of(self, token: str, request: gr.Request) -> str:
        """Return the visitor's token.

        A new visitor's first click may come before it has reached them.
        """
        if isinstance(token, str) and IDENTIFIER.fullmatch(token):
            return token
        values = self.tabs.sessions.values(tab_of(request))
        return str(values.setdefault("visitor", secrets.token_urlsafe(24)))

    def job_of(self, id: str) -> Job | None:
        """Return the job of an id that a tab holds; "" stands for none. See `task_of`."""
        task = self.task_of(id)
        return task if isinstance(task, Job) else None

    def task_of(self, id: str) -> Task | None:
        """Return the task of an id that a tab holds; "" stands for none.

        Raises `gr.Error` while it goes from one server to another.
        """
        try:
            return self.workshop.wait_for(id) if id else None
        except BusyError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def shared_job(self, share: str) -> Job | None:
        """Return the job that a link speaks of by `share`, unless it is on its way elsewhere."""
        try:
            return self.workshop.find_shared(share) if share else None
        except BusyError:
            return None

    def live_job(self, id: str) -> Job | None:
        """Return a job that waits or is painted."""
        job = self.job_of(id)
        return job if job and job.state.is_live else None

    def live_task(self, id: str) -> Task | None:
        """Return a job or a batch that waits or is painted."""
        task = self.task_of(id)
        return task if task and task.state.is_live else None

    def own_job(self, id: str, visitor: str) -> Job | None:
        """Return a job if it is the visitor's."""
        return self.workshop.find_job(id) if is_owned(id, visitor) else None

    def own_task(self, id: str, visitor: str) -> Task | None:
        """Return a job or a batch if it is the visitor's."""
        return self.workshop.find(id) if is_owned(id, visitor) else None

    def gallery_of(self, visitor: str) -> str:
        """Return the cards of the visitor's jobs as markup, and a way back for one just deleted."""
        workshop = self.workshop
        deleted = workshop.latest_deleted(visitor)
        return gallery_markup(workshop.cards(visitor), workshop.limits.kept, deleted)

    def on_panel(self, task: Job | Batch) -> Updates:
        """Put a job or a batch on the stage, and its pictures and settings in their places."""
        return self._batch_on_panel(task) if isinstance(task, Batch) else self._job_on_panel(task)

    def _job_on_panel(self, job: Job) -> Updates:
        panel = self.result_panel
        init = self._input_value(job, "init", job.init) if job.init else None
        return {
            self.current: job.id,
            self.photo: self._input_value(job, "content", job.content, job.ingredients[0]),
            self.painting: self._style_value(job, job.wanted_styles[0]),
            self.paintings: self.paintings_value(job),
            self.init: init,
            self.tray: tray_value(),
            **self.controls.show(job.settings, set(options())),
            **(panel.live(job) if job.state.is_live else panel.ended(job)),
        }

    def _batch_on_panel(self, batch: Batch) -> Updates:
        photos = [self._photo_value(batch, number) for number in range(len(batch.photos))]
        used = list(map(Ingredient.of, batch.paintings))
        plan = Plan.of(used, batch.settings.uses(len(used)), NO_MASKS)
        first, *others = [
            self._input_value(batch, f"style-{at}", batch.paintings[at], used[at])
            for at in map(used.index, plan.paintings)
        ]
        return {
            self.current: batch.id,
            self.photo: photos[0],
            self.painting: first,
            self.paintings: held_value(others, plan.weights, (), plan.uses),
            self.init: None,
            self.tray: tray_value(photos, protects_faces=batch.protects_faces),
            **self.controls.show(batch.settings, set(options())),
            **self.result_panel.batch(batch),
        }

    def _photo_value(self, batch: Batch, number: int) -> dict[str, Any]:
        """Return what an input holds for a photo of a batch."""
        path = str(save_file_to_cache(batch.files.photo(number), self.photo.GRADIO_CACHE))
        shown = f"studio/{batch.id}/photos/{number}.webp" if batch.photos[number].size else ""
        return Choice(path).value(shown=shown, name=batch.photos[number].name)

    def paintings_value(self, job: Job) -> dict[str, Any]:
        """Return what the component of more paintings and of regions holds for a job."""
        styles = job.wanted_styles
        used = [style.ingredient for style in styles]
        plan = Plan.of(used, job.settings.uses(len(used)), job.wanted_masks)
        others = [styles[used.index(painting)] for painting in plan.paintings[1:]]
        return held_value(
            [self._style_value(job, style) for style in others],
            plan.weights,
            region_values(plan.regions, self.photo),
            plan.uses,
            part_values(plan.parts, self.photo),
        )

    def shared_value(self, shared: Shared) -> dict[str, Any]:
        """Return what the component of more paintings and of regions holds for a link."""
        return held_value(
            [example_value(example) for example in shared.also],
            shared.style_weights,
            region_values(shared.regions, self.photo),
            shared.uses,
        )

    def _style_value(self, job: Job, style: Style) -> dict[str, Any]:
        known = job.ingredients[1:]
        at = known.index(style.ingredient) if style.ingredient in known else None
        return self._input_value(job, f"style-{at}", style.painting, style.ingredient)

    def _input_value(
        self, job: Job | Batch, name: str, image: Image.Image, ingredient: Ingredient | None = None
    ) -> dict[str, Any]:
        """Return what an input holds for one of a job's pictures."""
        example = self.examples.example_of(ingredient) if ingredient else None
        if example:
            return example_value(example)
        stored = self.workshop.job_store and self.workshop.job_store.file(job.id, f"{name}.png")
        cache = self.photo.GRADIO_CACHE
        if stored and stored.is_file():
            path = str(save_file_to_cache(stored, cache))
        else:
            path = str(save_pil_to_cache(image, cache, "picture", format="png"))
        return self.shown_choice(Choice(path))

    def shown_choice(self, choice: Choice, **more: Any) -> dict[str, Any]:
        """Return what an input holds for a choice, a display of it included."""
        return shown_value(choice, self.photo, **more)


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
