"""Find a mask in the photo for a region: its faces, its subject, or the area around a point."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from nst.images.found_masks import FINDERS
from nst.images.segmentation import similar_region
from nst.images.writing import png_bytes
from page.actions.session import Session
from page.error_messages import error_message
from page.http.bounded_blocks import uploaded
from page.http.following import event_value
from page.http.request_limits import WRONG_ARGUMENTS
from page.panels.components import Choice
from page.panels.mix import open_mask
from page.panels.paintings import REST, Paintings, Region
from page.panels.picture_inputs import display_of, load_named
from page.previews import cached, file_url
from page.rendering import shared_renderings

SIMILAR = "similar"
FACES = "faces"
NEARLY_ALL = 0.9  # of a found mask, for a region to have it
HALF = 0.5  # of such a region, at least, is that mask


@dataclass(frozen=True)
class Finding:
    """What the region editor, and the button that protects faces, ask of the server."""

    session: Session

    def wire(self) -> None:
        """Connect what asks for a mask, or about an upload, with the answer."""
        session = self.session
        session.answer(session.paintings.find, self.find, [session.photo, session.paintings])
        session.answer(session.paintings.look, self.look_at, [session.photo])

    def find(self, photo: Choice | None, held: Paintings, event: gr.EventData) -> str:
        """Return the address of a mask of the photo, or a sentence, as JSON with its ticket.

        With a mask of faces comes the index of the region that has them already, if one has.
        """
        ticket, wanted = event_value(event, "ticket"), Wanted.of(event)
        try:
            answer = self._found(photo, wanted)
            if wanted.kind == FACES:
                answer["region"] = region_with(open_mask(answer["file"]["path"]), held.regions)
        except Exception as error:
            answer = {"said": error_message(error)}
        return json.dumps({"ticket": ticket, **answer})

    def look_at(self, _: Any, event: gr.EventData) -> str:
        """Return the address of a display of an upload that is to be a painting.

        Or a sentence why it cannot be one, as JSON with its ticket.
        """
        ticket = event_value(event, "ticket")
        choice = Choice(str(uploaded(event_value(event, "path"))))
        try:
            load_named(choice, "painting")
            answer = {"shown": display_of(choice, self.session.photo)}
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


def region_with(mask: Image.Image, regions: Sequence[Region]) -> int | None:
    """Return the index of the region where what a mask shows is protected, or can be.

    That is one that is left as it is and has nearly all of the mask, or one without a painting of
    its own that has little else, too, whoever made it: of several, the one of the least strength.
    Raises `ImageError` for a region that cannot be opened.
    """
    strengths = {
        index: 0.0 if region.painting is None else region.strength
        for index, region in enumerate(regions)
        if region.painting in (None, REST)
        and has_nearly_all(open_mask(region.mask), mask)
        and (region.painting is None or has_nearly_all(mask, open_mask(region.mask), HALF))
    }
    return min(strengths, key=strengths.__getitem__, default=None)


def has_nearly_all(region: Image.Image, mask: Image.Image, least: float = NEARLY_ALL) -> bool:
    """Tell whether a region has nearly all of a mask, or the least share of it that is asked for.

    They are compared at the smaller of their sizes.
    """
    size = min(region.size, mask.size)
    own, wanted = (
        np.asarray(each.resize(size, Image.Resampling.BILINEAR), np.float32)
        for each in (region, mask)
    )
    shared = np.minimum(own, wanted).sum()
    return bool(wanted.any() and shared >= least * wanted.sum())


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
