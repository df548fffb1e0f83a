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
from page.assets import handler
from page.examples import Example, ExampleSet
from page.http.following import AT_ONCE, Tabs, event_value, tab_of
from page.panels import charts
from page.panels.controls import Controls
from page.panels.picture_inputs import pictures
from page.panels.result_panel import ResultPanel

STOP_FIRST = "A picture is being painted; stop it first, then look at another."
GONE = "This picture is not there any more."
PRESS = "Press Stylize to paint it yourself, or move a slider first."


Updates = dict[Component, Any]


@dataclass(frozen=True)
class Showcase:
    """What can be shown, and where."""

    examples: ExampleSet
    publications: Gallery | None
    controls: Controls
    result_panel: ResultPanel
    photo: gr.Image
    painting: gr.Image
    current: gr.State
    tabs: Tabs
    is_live: Callable[[str], bool]  # whether the job of an id is being painted

    def wire(self, finished: gr.HTML, community: gr.HTML, bring_back: gr.UploadButton) -> None:
        """Connect the three ways to an exhibit."""
        parts = [self.current, self.photo, self.painting, *self.controls.components]
        outputs = [*parts, *self.result_panel.outputs]
        for row, prepare in ((finished, self._example), (community, self._publication)):
            show = self._showing(prepare)
            clicked = row.select(show, [self.current], outputs, trigger_mode="multiple", **AT_ONCE)
            clicked.then(None, None, None, js=handler("into_sight"))
        bring_back.upload(self.restore, [bring_back, self.current], outputs, **AT_ONCE)

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
        photo = self.examples.example_of(recipe.content)
        before = pictures.open(str(photo.path)) if photo else None
        text = f"{example.title}. {self._missing(recipe)}"
        return {
            **self._settings_of(recipe),
            **self.result_panel.exhibit(pictures.open(str(example.path)), text, before),
        }

    def _publication(self, id: str) -> Updates:
        """Show a picture that somebody published, beside its photo where that was published too."""
        publication = self.publications.find(id) if self.publications else None
        if self.publications is None or publication is None:
            raise SettingsError(GONE)
        picture = self.publications.picture(id)
        before = self.publications.photo(id)
        by = f"{publication.title or 'A picture'} by {publication.author}"
        return {
            **self._settings_of(publication.recipe, before),
            **self.result_panel.exhibit(
                picture, f"{by}. {self._missing(publication.recipe, before)}", before
            ),
        }

    def restore(self, path: str, current: str) -> Updates:
        """Set every control as the recipe in a picture has it, and its pictures where known.

        Not while a picture is painted, which would follow.
        """
        if self.is_live(current):
            gr.Warning(STOP_FIRST)
            return {self.result_panel.status: gr.update()}
        try:
            recipe = read_recipe(path)
        except Exception as error:
            return self.result_panel.refusal(error)
        notes = [each.engine_note for each in recipe.provenance[-1:] if each.engine_note]
        text = " ".join(["The settings of that picture are back.", *notes, self._missing(recipe)])
        return {**self._settings_of(recipe), self.result_panel.status: charts.message(text)}

    def _settings_of(self, recipe: Recipe, photo: Image.Image | None = None) -> Updates:
        """Set the controls as the recipe has them, and its pictures where they are known."""
        known = self._known(recipe)
        updates = self.controls.show(recipe.settings, set(options()))
        updates |= {part: example.as_value(part.GRADIO_CACHE) for part, example in known.items()}
        if photo and self.photo not in known:
            updates[self.photo] = save_pil_to_cache(photo, self.photo.GRADIO_CACHE, format="png")
        return updates

    def _known(self, recipe: Recipe) -> dict[gr.Image, Example]:
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
