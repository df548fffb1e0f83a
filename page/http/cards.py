"""What a link to the page is shown with elsewhere: its title and picture.

That is the product's own, or a shared result where the link leads to one that is there.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import quote, urlencode

from PIL import Image, ImageOps
from starlette.requests import Request

from nst.errors import BusyError
from nst.images.writing import jpeg_bytes
from nst.studio.workshop import Workshop
from page.http.document import CARD_SIZE, Card, FindCard
from page.identity import INK, NAME
from page.rendering import Renderings

log = logging.getLogger(__name__)

MARGIN = 30  # pixels around the picture
PATIENCE = 2.0  # seconds that a page waits to know which picture its link is shown with
SHARED = f"A picture painted with {NAME}"


def compose_card(picture: Image.Image) -> bytes:
    """Return a JPEG of `CARD_SIZE` with an RGB picture on the dark ground, all of it."""
    width, height = CARD_SIZE
    room = (width - 2 * MARGIN, height - 2 * MARGIN)
    fitted = ImageOps.contain(picture, room, Image.Resampling.LANCZOS)
    card = Image.new("RGB", CARD_SIZE, INK)
    card.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    return jpeg_bytes(card)


def card_finder(workshop: Workshop, renderings: Renderings) -> FindCard:
    """Return what tells the card of a request for the page."""

    async def find(request: Request) -> Card:
        share = request.query_params.get("result", "")
        if not share:
            return Card()
        try:
            look = renderings.look_up(lambda: is_shared(workshop, share))
            is_there = await asyncio.wait_for(look, PATIENCE)
        except (BusyError, asyncio.TimeoutError):
            log.info("a page was served without its result's picture: it could not be looked up")
            return Card()
        return shared_card(share) if is_there else Card()

    return find


def is_shared(workshop: Workshop, share: str) -> bool:
    """Tell whether there is a finished picture that a link calls by this name."""
    job = workshop.find_shared(share)
    return job is not None and not job.state.is_live and job.moment is not None


def shared_card(share: str) -> Card:
    """Return the card of a shared result."""
    path = f"studio/shared/{quote(share, safe='')}/card.jpg"
    return Card(SHARED, path, "?" + urlencode({"result": share}))
