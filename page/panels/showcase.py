"""Showcase: finished pictures that are nobody's job here, and the settings that they carry.

An example, a publication, or a picture made earlier and dropped on the page: each brings the
controls where its recipe has them, and the pictures that are known. Knows the examples, the public
gallery, and the parts of the page that show them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

from nst import ImageError, SettingsError
from nst.hub.gallery import Gallery
from nst.images.recipe import Ingredient, Recipe, read_recipe
from nst.settings import options
from page.assets import handler
from page.examples import Example, ExampleSet
from page.http.bounded_blocks import uploaded
from page.http.following import AT_ONCE, Tabs, event_value, tab_of
from page.panels import charts
from page.panels.components import Choice, PictureInput
from page.panels.controls import Controls
from page.panels.mix import Plan, part_values, region_values
from page.panels.paintings import Paintings, PaintingsInput, held_value
from page.panels.picture_inputs import example_value, shown_value, taken_value
from page.panels.result_panel import ResultPanel
from page.panels.stage import chosen_photo, compared, of_example
from page.previews import cached_webp, file_url

STOP_FIRST = "A picture is being painted; stop it first, then look at another."
GONE = "This picture is no longer there."
PRESS = "Press Stylize to paint it yourself, or move a slider first."
MISSING = "Its {} must be dropped in (again)."
MASKS_WAIT = " Then bring this picture once more, for its {}."

Updates = dict[Component, Any]


@dataclass(frozen=True)
class Present:
    """The pictures that the inputs hold, by what a recipe knows of them."""

    photo: Ingredient | None = None
    painting: Ingredient | None = None
    paintings: Mapping[Ingredient, Choice] = field(default_factory=dict)  # all of them

    @staticmethod
    def of(photo: Choice | None, painting: Choice | None, held: Paintings) -> Present:
        """Return those that can be opened."""
        choices = [choice for choice in (painting, *held.more) if choice]
        known = {which: each for each in choices if (which := _ingredient_of(each))}
        return Present(_ingredient_of(photo), _ingredient_of(painting), known)


NOTHING = Present()


@dataclass(frozen=True)
class Showcase:
    """What can be shown, and where."""

    examples: ExampleSet
    publications: Gallery | None
    controls: Controls
    result_panel: ResultPanel
    photo: PictureInput
    painting: PictureInput
    paintings: PaintingsInput
    current: gr.Textbox
    tabs: Tabs
    is_live: Callable[[str], bool]  # whether the job of an id is being painted
    is_kept: Callable[[str], bool]  # whether there is a job of an id, live or ended

    def wire(self, finished: gr.HTML, community: gr.HTML, bring_back: gr.UploadButton) -> None:
        """Connect the ways to an exhibit."""
        pictures = [self.photo, self.painting, self.paintings]
        parts = [self.current, *pictures, *self.controls.components]
        outputs = [*parts, *self.result_panel.outputs]
        for row, prepare in ((finished, self._example), (community, self._publication)):
            show = self._showing(prepare)
            row.select(show, [self.current], outputs, trigger_mode="multiple", **AT_ONCE)
        present = [self.current, *pictures]
        bring_back.upload(self.restore, [bring_back, *present], outputs, **AT_ONCE)
        taken = self.photo.dropped(self.take_dropped, present, outputs, **AT_ONCE)
        taken.then(None, None, None, js=handler("answered"))

    def _showing(self, prepare: Callable[[str], Updates]) -> Callable[..., AsyncIterator[Updates]]:
        """Return a handler that shows what `prepare` makes of the name that was clicked.

        That may take a while; nothing is shown where the visitor has turned to something else
        meanwhile.
        """

        async def show(
            current: str, event: gr.EventData, request: gr.Request
        ) -> AsyncIterator[Updates]:
            name = event_value(event, "name")
            if await asyncio.to_thread(self.is_live, current):
                gr.Warning(STOP_FIRST)
                yield {self.result_panel.status: gr.update()}
                return
            tab = tab_of(request)
            mark = self.tabs.turn(tab, "job")
            yield {self.result_panel.status: charts.message("Fetching the picture…")}
            try:
                updates = {
                    self.current: "",
                    **await asyncio.to_thread(prepare, name),
                }
            except Exception as error:
                updates = self.result_panel.refusal(error)
            is_current = self.tabs.is_current(tab, "job", mark)
            yield updates if is_current else {self.result_panel.status: gr.update()}

        return show

    def _example(self, name: str) -> Updates:
        """Show a finished example beside its photo."""
        example = self.examples.find(name)
        recipe = example.picture.recipe if example else None
        if example is None or recipe is None:
            raise SettingsError(GONE)
        text = f"{example.title}. {self._missing(recipe)}"
        return {
            **self._settings_of(recipe),
            **self.result_panel.exhibit(of_example(example, self.examples), text),
        }

    def _publication(self, id: str) -> Updates:
        """Show a picture that somebody published, beside its photo where that was published too."""
        publication = self.publications.find(id) if self.publications else None
        if self.publications is None or publication is None:
            raise SettingsError(GONE)
        picture = self.publications.picture(id)
        before = self.publications.photo(id)
        by = f"{publication.title or 'A picture'} by {publication.author}"
        text = f"{by}. {self._missing(publication.recipe, before)}"
        same_size = before.resize(picture.size) if before else None
        shown = compared(self._shown(picture), by, self._shown(same_size) if same_size else None)
        return {
            **self._settings_of(publication.recipe, before),
            **self.result_panel.exhibit(shown, text),
        }

    def _shown(self, picture: Image.Image) -> str:
        """Return the address of a picture that only this tab shows."""
        return file_url(cached_webp(picture, self.photo))

    def take_dropped(
        self,
        current: str,
        photo: Choice | None,
        painting: Choice | None,
        held: Paintings,
        event: gr.EventData,
        request: gr.Request,
    ) -> Updates:
        """Take what was dropped or pasted beside the inputs, which hold the other pictures.

        A picture with a recipe brings its settings back, any other becomes the photo.
        """
        path = str(uploaded(event_value(event, "path")))
        try:
            recipe = read_recipe(path)
        except Exception:  # it has none, or is refused when it is opened
            return self._taken_as_photo(path, current or self.tabs.subject(tab_of(request), "job"))
        return self._restored(recipe, current, Present.of(photo, painting, held))

    def _taken_as_photo(self, path: str, current: str) -> Updates:
        shown = taken_value(Choice(path), "photo", self.photo)
        if shown is None or "refused" in shown:
            return {self.result_panel.status: gr.update()}
        updates: Updates = {self.photo: shown}
        if not self.is_kept(current):
            updates[self.result_panel.stage] = chosen_photo(shown["shown"])
        return updates

    def restore(
        self,
        path: str,
        current: str,
        photo: Choice | None,
        painting: Choice | None,
        held: Paintings,
    ) -> Updates:
        """Set every control as the recipe in a picture has it, and its pictures where known.

        Known are the examples, and what the inputs hold.
        """
        try:
            recipe = read_recipe(path)
        except Exception as error:
            if self.is_live(current):
                return self._stop_first()
            return self.result_panel.refusal(error)
        return self._restored(recipe, current, Present.of(photo, painting, held))

    def _stop_first(self) -> Updates:
        gr.Warning(STOP_FIRST)
        return {self.result_panel.status: gr.update()}

    def _restored(self, recipe: Recipe, current: str, present: Present) -> Updates:
        """Set what a recipe says; not while a picture is painted, which would follow."""
        if self.is_live(current):
            return self._stop_first()
        notes = [each.engine_note for each in recipe.provenance[-1:] if each.engine_note]
        missing = self._missing(recipe, present=present)
        text = " ".join(["The settings of that picture are back.", *notes, missing])
        updates = self._settings_of(recipe, present=present)
        return {**updates, self.result_panel.status: charts.message(text)}

    def _settings_of(
        self, recipe: Recipe, photo: Image.Image | None = None, present: Present = NOTHING
    ) -> Updates:
        """Set the controls as the recipe has them, and its pictures where they are known."""
        known = self._known(recipe)
        updates = self.controls.show(recipe.settings, set(options()))
        updates |= {part: example_value(example) for part, example in known.items()}
        has_photo = photo is not None or self.photo in known or present.photo == recipe.content
        updates[self.paintings] = self._more_paintings(recipe, present, has_photo=has_photo)
        if photo and self.photo not in known:
            path = save_pil_to_cache(photo, self.photo.GRADIO_CACHE, format="png")
            updates[self.photo] = shown_value(Choice(path), self.photo)
        return updates

    def _more_paintings(
        self, recipe: Recipe, present: Present, *, has_photo: bool
    ) -> dict[str, Any]:
        """Return the paintings beyond the first that are known, with the weights of all.

        The regions come back from the recipe's small copies of their masks, where there is the
        photo that they belong to, and every painting is known.
        """
        plan = _plan_of(recipe)
        found = [self._value_of(painting, present) for painting in plan.paintings[1:]]
        known = [number for number, value in enumerate(found, start=1) if value]
        has_regions = has_photo and len(known) == len(found)
        first = plan.parts[0] if self._has_painting(recipe, present) else None
        return held_value(
            [value for value in found if value],
            [plan.weights[number] for number in (0, *known)],
            region_values(plan.regions, self.photo) if has_regions else [],
            [plan.uses[number] for number in (0, *known)],
            part_values([first, *(plan.parts[number] for number in known)], self.photo),
        )

    def _has_painting(self, recipe: Recipe, present: Present) -> bool:
        """Tell whether the first painting of a recipe is an example or there already."""
        return self.painting in self._known(recipe) or present.painting == recipe.painting

    def _value_of(self, painting: Ingredient, present: Present) -> dict[str, Any] | None:
        """Return what an input holds for a painting that is an example or there already."""
        if example := self.examples.example_of(painting):
            return example_value(example)
        choice = present.paintings.get(painting)
        return shown_value(choice, self.photo) if choice else None

    def _known(self, recipe: Recipe) -> dict[PictureInput, Example]:
        """Return which of the inputs an example belongs in."""
        wanted = {self.photo: recipe.content, self.painting: recipe.painting}
        found = {part: self.examples.example_of(which) for part, which in wanted.items()}
        return {part: example for part, example in found.items() if example}

    def _missing(
        self, recipe: Recipe, photo: Image.Image | None = None, present: Present = NOTHING
    ) -> str:
        """Return what the visitor has to bring."""
        known, plan = self._known(recipe), _plan_of(recipe)
        others = plan.paintings[1:]
        names = {
            "photo": self.photo in known or photo or present.photo == recipe.content,
            "painting": self._has_painting(recipe, present),
            "other paintings": all(self._value_of(each, present) for each in others),
        }
        missing = [name for name, is_there in names.items() if not is_there]
        if not missing:
            return PRESS
        return MISSING.format(" and ".join(missing)) + waiting_masks(plan, missing)


def waiting_masks(plan: Plan, missing: Sequence[str]) -> str:
    """Return what else of a recipe comes back with the pictures that are missing."""
    waits = {
        "painted regions": plan.regions and {*missing} != {"painting"},
        "parts of paintings": (plan.parts[0] and "painting" in missing)
        or (any(plan.parts[1:]) and "other paintings" in missing),
    }
    names = [name for name, does_wait in waits.items() if does_wait]
    return MASKS_WAIT.format(" and ".join(names)) if names else ""


def _ingredient_of(choice: Choice | None) -> Ingredient | None:
    try:
        return Ingredient.of(choice.open()) if choice else None
    except ImageError:
        return None


def _plan_of(recipe: Recipe) -> Plan:
    """Return how a recipe uses its paintings at its end, with the small copies of its masks."""
    indices = recipe.passages[-1].styles
    used = [recipe.styles[index] for index in indices]
    masks = recipe.masks.copies().chosen(indices)
    return Plan.of(used, recipe.settings.uses(len(used)), masks)
