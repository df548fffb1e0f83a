"""Find a mask in the photo for a region: its faces, its subject, or the area around a point."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from nst.images.found_masks import FINDERS
from nst.images.segmentation import similar_region
from nst.images.writing import png_bytes
from page.actions.session import Session
from page.assets import handler
from page.error_messages import error_message
from page.http.following import AT_ONCE, event_value
from page.http.request_limits import WRONG_ARGUMENTS
from page.panels.components import Choice
from page.panels.picture_inputs import load_named
from page.previews import cached, file_url
from page.rendering import shared_renderings

SIMILAR = "similar"


@dataclass(frozen=True)
class Finding:
    """What the region editor, and the button that protects faces, ask of the server."""

    session: Session

    def wire(self) -> None:
        """Connect what asks for a mask with the answer."""
        session = self.session
        answer = {"js": handler("mask_found"), "show_progress": "hidden"}
        asked = session.paintings.find(
            self.find, [session.photo], [session.found], trigger_mode="multiple", **AT_ONCE
        )
        asked.success(None, [session.found], None, **answer)
        asked.failure(None, None, None, **answer)

    def find(self, photo: Choice | None, event: gr.EventData) -> str:
        """Return the address of a mask of the photo, or a sentence, as JSON with its ticket."""
        ticket, wanted = event_value(event, "ticket"), Wanted.of(event)
        try:
            answer = self._found(photo, wanted)
        except Exception as error:
            answer = {"said": error_message(error)}
        return json.dumps({"ticket": ticket, **answer})

    def _found(self, choice: Choice | None, wanted: Wanted) -> dict[str, Any]:
        """Return a mask as a region has it. It is made in the pool of renderings."""
        photo = load_named(choice, "photo")
        key = ("mask", choice, wanted)
        rendering = shared_renderings().fetch_now(key, lambda: png_bytes(wanted.mask(photo)))
        path = cached(rendering.read(), "region.png", self.session.photo)
        return {"file": {"path": path}, "shown": file_url(path)}


@dataclass(frozen=True)
class Wanted:
    """A mask that is asked for: the name of what it shows, or the area around a point."""

    kind: str
    point: tuple[float, float] = (0.0, 0.0)  # as shares of width and height

    @staticmethod
    def of(event: gr.EventData) -> Wanted:
        """Return what an event asks for. Raises `gr.Error` for anything else."""
        kind = event_value(event, "kind")
        if kind in FINDERS:
            return Wanted(kind)
        try:
            x, y = (float(event_value(event, axis)) for axis in "xy")
        except ValueError:
            x = y = -1.0
        if kind != SIMILAR or not (0 <= x <= 1 and 0 <= y <= 1):
            raise gr.Error(WRONG_ARGUMENTS, print_exception=False)
        return Wanted(kind, (x, y))

    def mask(self, photo: Image.Image) -> Image.Image:
        """Return the mask. Raises `ImageError` and `MissingPackageError`."""
        if self.kind == SIMILAR:
            return similar_region(photo, *self.point)
        return FINDERS[self.kind](photo)
