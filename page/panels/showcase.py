"""Showcase: finished pictures that are nobody's job here, and the settings that they carry.

An example, a publication, or a picture made earlier and dropped on the page: each brings the
controls where its recipe has them, and the pictures that are known. Knows the examples, the public
gallery, and the parts of the page that show them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

from nst import SettingsError
from nst.hub.gallery import Gallery
from nst.images.recipe import Recipe, read_recipe
from nst.settings import options
from page.examples import Example, ExampleSet
from page.http.bounded_blocks import uploaded
from page.http.following import AT_ONCE, Tabs, event_value, tab_of
from page.panels import charts
from page.panels.components import Choice, PictureInput
from page.panels.controls import Controls
from page.panels.mix import Plan, region_values
from page.panels.paintings import PaintingsInput, held_value
from page.panels.picture_inputs import example_value, shown_value, taken_value
from page.panels.result_panel import ResultPanel
from page.panels.stage import chosen_photo, compared, of_example
from page.previews import cached_webp, file_url

STOP_FIRST = "A picture is being painted; stop it first, then look at another."
GONE = "This picture is no longer there."
PRESS = "Press Stylize to paint it yourself, or move a slider first."


Updates = dict[Component, Any]


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

    def wire(self, finished: gr.HTML, community: gr.HTML, bring_back: gr.UploadButton) -> None:
        """Connect the ways to an exhibit."""
        pictures = [self.photo, self.painting, self.paintings]
        parts = [self.current, *pictures, *self.controls.components]
        outputs = [*parts, *self.result_panel.outputs]
        for row, prepare in ((finished, self._example), (community, self._publication)):
            show = self._showing(prepare)
            row.select(show, [self.current], outputs, trigger_mode="multiple", **AT_ONCE)
        bring_back.upload(self.restore, [bring_back, self.current], outputs, **AT_ONCE)
        self.photo.dropped(self.take_dropped, [self.current], outputs, **AT_ONCE)

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

    def take_dropped(self, current: str, event: gr.EventData) -> Updates:
        """Take what was dropped or pasted beside the inputs.

        A picture with a recipe brings its settings back, any other becomes the photo.
        """
        path = str(uploaded(event_value(event, "path")))
        try:
            recipe = read_recipe(path)
        except Exception:  # it has none, or is refused when it is opened
            return self._taken_as_photo(path, current)
        return self._restored(recipe, current)

    def _taken_as_photo(self, path: str, current: str) -> Updates:
        shown = taken_value(Choice(path), "photo", self.photo)
        if shown is None:
            return {self.result_panel.status: gr.update()}
        updates: Updates = {self.photo: shown}
        if not self.is_live(current):
            updates[self.result_panel.stage] = chosen_photo(shown["shown"])
        return updates

    def restore(self, path: str, current: str) -> Updates:
        """Set every control as the recipe in a picture has it, and its pictures where known."""
        try:
            recipe = read_recipe(path)
        except Exception as error:
            if self.is_live(current):
                return self._stop_first()
            return self.result_panel.refusal(error)
        return self._restored(recipe, current)

    def _stop_first(self) -> Updates:
        gr.Warning(STOP_FIRST)
        return {self.result_panel.status: gr.update()}

    def _restored(self, recipe: Recipe, current: str) -> Updates:
        """Set what a recipe says; not while a picture is painted, which would follow."""
        if self.is_live(current):
            return self._stop_first()
        notes = [each.engine_note for each in recipe.provenance[-1:] if each.engine_note]
        text = " ".join(["The settings of that picture are back.", *notes, self._missing(recipe)])
        return {**self._settings_of(recipe), self.result_panel.status: charts.message(text)}

    def _settings_of(self, recipe: Recipe, photo: Image.Image | None = None) -> Updates:
        """Set the controls as the recipe has them, and its pictures where they are known."""
        known = self._known(recipe)
        updates = self.controls.show(recipe.settings, set(options()))
        updates |= {part: example_value(example) for part, example in known.items()}
        has_photo = photo is not None or self.photo in known
        updates[self.paintings] = self._more_paintings(recipe, has_photo=has_photo)
        if photo and self.photo not in known:
            path = save_pil_to_cache(photo, self.photo.GRADIO_CACHE, format="png")
            updates[self.photo] = shown_value(Choice(path), self.photo)
        return updates

    def _more_paintings(self, recipe: Recipe, *, has_photo: bool) -> dict[str, Any]:
        """Return the paintings beyond the first that are known, with the weights of all.

        The regions come back from the recipe's small copies of their masks, where there is the
        photo that they belong to, and every painting is known.
        """
        indices = recipe.passages[-1].styles
        used = [recipe.styles[index] for index in indices]
        masks = recipe.masks.copies().chosen(indices)
        plan = Plan.of(used, recipe.settings.uses(len(used)), masks)
        found = [self.examples.example_of(painting) for painting in plan.paintings[1:]]
        known = [number for number, example in enumerate(found, start=1) if example]
        has_regions = has_photo and len(known) == len(found)
        return held_value(
            [example_value(example) for example in found if example],
            [plan.weights[number] for number in (0, *known)],
            region_values(plan, self.photo) if has_regions else [],
            [plan.uses[number] for number in (0, *known)],
        )

    def _known(self, recipe: Recipe) -> dict[PictureInput, Example]:
        """Return which of the inputs an example belongs in."""
        wanted = {self.photo: recipe.content, self.painting: recipe.painting}
        found = {part: self.examples.example_of(which) for part, which in wanted.items()}
        return {part: example for part, example in found.items() if example}

    def _missing(self, recipe: Recipe, photo: Image.Image | None = None) -> str:
        """Return what the visitor has to bring."""
        known = self._known(recipe)
        names = {"photo": self.photo in known or photo, "painting": self.painting in known}
        missing = [name for name, is_there in names.items() if not is_there]
        return f"Its {' and '.join(missing)} must be dropped in (again)." if missing else PRESS
