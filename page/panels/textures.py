"""What each layer sees in the painting, beside its weight; drawn while nobody waits for a picture.

Knows the controls' places for textures and the cache that keeps them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from nst.engine.texture import TextureCache
from nst.images.writing import hash_of
from nst.settings import GATYS_STYLE_LAYERS
from nst.studio.workshop import Workshop
from page.http.following import AT_ONCE, Tabs, tab_of
from page.panels.components import Choice, PictureInput
from page.panels.controls import OTHER_LAYERS, Controls, texture_markup
from page.panels.picture_inputs import load_named
from page.previews import jpeg_url

LOOK_EVERY = 0.3  # seconds


@dataclass(frozen=True)
class Textures:
    """The small pictures, and where they come from."""

    workshop: Workshop
    textures: TextureCache | None
    controls: Controls
    painting: PictureInput
    tabs: Tabs

    def wire(self) -> None:
        """Show each fold's textures when it is unfolded, and anew when the painting changes."""
        for fold, layers in (
            (self.controls.layers_fold, GATYS_STYLE_LAYERS),
            (self.controls.folded, OTHER_LAYERS),
        ):
            show, is_open = self.of(layers), gr.State(False)
            parts = [self.controls.textures[layer] for layer in layers]
            inputs = [self.painting, is_open]
            fold.collapse(lambda: False, None, is_open, **AT_ONCE)
            unfolded = fold.expand(lambda: True, None, is_open, **AT_ONCE)
            unfolded.then(show, inputs, parts, **AT_ONCE)
            # Gradio would hold a second change back until the first has been painted to its end;
            # it is `turn` that ends what nobody looks at any more.
            changed: dict[str, Any] = {**AT_ONCE, "trigger_mode": "multiple"}
            self.painting.change(show, inputs, parts, **changed)

    def of(self, layers: tuple[str, ...]) -> Callable[..., AsyncIterator[dict[Component, Any]]]:
        """Return a handler that shows what each layer sees in the painting, once it is known."""
        kind = f"textures {layers[0]}"

        async def show(
            choice: Choice | None, is_open: bool, request: gr.Request
        ) -> AsyncIterator[dict[Component, Any]]:
            parts = self.controls.textures
            mark = self.tabs.turn(tab_of(request), kind)
            if not is_open:
                yield {parts[layers[0]]: gr.update()}
                return
            yield {parts[layer]: texture_markup(layer) for layer in layers}
            try:
                painting = await asyncio.to_thread(load_named, choice, "painting")
            except ValueError:
                return
            name = await asyncio.to_thread(hash_of, painting)
            wanted = list(layers)
            if self.textures is None:
                return
            task = f"{kind} {name}"
            if any(self.textures.find(name, layer) is None for layer in wanted):
                work = await asyncio.to_thread(self.textures.fill, painting, name, layers)
                self.workshop.background_task(task, work)
            is_awaited = True
            while wanted and is_awaited:
                is_awaited = self.workshop.has_background_task(task)  # first: it may end meanwhile
                found = {n: page for n in wanted if (page := self.textures.find(name, n))}
                wanted = [layer for layer in wanted if layer not in found]
                if not self.tabs.is_current(tab_of(request), kind, mark):
                    yield {parts[layers[0]]: gr.update()}
                    return
                if found:
                    yield {
                        parts[layer]: texture_markup(layer, jpeg_url(page.read_bytes()))
                        for layer, page in found.items()
                    }
                await asyncio.sleep(LOOK_EVERY)

        return show
