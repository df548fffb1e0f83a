"""Pictures as the stage shows them: WebP at a few sizes, in the colours that are dialled.

Knows addresses and sides; what is delivered as a file is `job_files`' business.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nst.images.color import dial_colors
from nst.images.tensors import shrink
from nst.images.writing import webp_bytes
from nst.settings import options
from nst.studio.job import Job
from page.examples import ROLES, Example, ExampleSet, inputs_of
from page.http.job_files import FOREVER, PRIVATE, JobFiles, bounded, missing
from page.picture_cache import PictureCache

SIDES = (256, 384, 512, 768, 1024, 2048)  # pixels, the longest of a display at the most
LARGE = 1024  # the side of an example
COARSE = 512  # up to this side a preview is to be quick
QUALITY = {True: 76, False: 88}  # of a coarse one, and of the others
METHOD = 2  # of WebP's 0 to 6: quick


def display_routes(files: JobFiles, examples: ExampleSet, pictures: PictureCache) -> list[Route]:
    """Return the routes of what the stage shows."""
    displays = Displays(files, examples, pictures)
    return [
        Route("/studio/shared/{share}/display.webp", bounded(displays.shared)),
        Route("/studio/examples/{hash}/display.webp", bounded(displays.example)),
        Route("/studio/{job}/display.webp", bounded(files.shown(displays.job))),
        Route("/studio/{job}/photo.webp", bounded(files.shown(displays.photo))),
    ]


class Displays:
    """The endpoints. All of them wait in the event loop, in no thread."""

    def __init__(self, files: JobFiles, examples: ExampleSet, pictures: PictureCache) -> None:
        self.files, self.examples, self.pictures = files, examples, pictures

    async def job(self, request: Request) -> Response:
        """Send the present picture of a job."""
        job = await self.files.find_job(request)
        return await self._present(job, request, job.colors if job else 0.0)

    async def shared(self, request: Request) -> Response:
        """Send the picture of a link, in the colours that the address asks for."""
        share, look_up = request.path_params["share"], self.files.renderings.look_up
        job = await look_up(lambda: self.files.workshop.find_shared(share), request)
        if job is None or job.state.is_live:
            return missing()
        return await self._present(job, request, colors_of(request, job.colors))

    async def _present(self, job: Job | None, request: Request, colors: float) -> Response:
        if job is None or job.moment is None:
            return missing()
        picture, dial = job.moment.picture, job.color_dial()
        side, revision = side_of(request), job.revision
        key = ("display", job.id, revision, side, colors)
        is_current = request.query_params.get("v") == revision
        make = functools.partial(dialled, dial, picture, colors, side)
        return await self._webp(key, make, side, request, is_current=is_current)

    async def photo(self, request: Request) -> Response:
        """Send the photo that a job is painted from."""
        job, side = await self.files.find_job(request), side_of(request)
        if job is None:
            return missing()
        make = functools.partial(shrink, job.content, side)
        return await self._webp(("photo", job.id, side), make, side, request, is_current=True)

    async def example(self, request: Request) -> Response:
        """Send an example; a finished one in the colours that the address asks for."""
        example = self.examples.example_by_hash(request.path_params["hash"])
        if example is None:
            return missing()
        colors, side = colors_of(request, 0.0), min(side_of(request), LARGE)
        key = ("example", example.ingredient.sha256, colors, side)
        make = functools.partial(self._dialled_example, example, colors, side)
        return await self._webp(key, make, side, request, is_current=True)

    def _dialled_example(self, example: Example, colors: float, side: int) -> Image.Image:
        picture = shrink(self.pictures.open(str(example.path)), side)
        inputs = inputs_of(example, self.examples)
        if not colors or len(inputs) < len(ROLES):
            return picture
        content, *paintings = (self.pictures.open(str(each.path)) for each in inputs)
        return dial_colors(picture, content, paintings, colors)

    async def _webp(
        self,
        key: tuple[object, ...],
        make: Callable[[], Image.Image],
        side: int,
        request: Request,
        *,
        is_current: bool,
    ) -> Response:
        quality = QUALITY[side <= COARSE]
        encode = functools.partial(encoded, make, quality)
        made = await self.files.renderings.fetch(key, encode, request)
        return self.files.send(made, request, "image/webp", FOREVER if is_current else PRIVATE)


def encoded(make: Callable[[], Image.Image], quality: int) -> bytes:
    """Return a picture as WebP."""
    return webp_bytes(make(), quality, method=METHOD)


def dialled(
    dial: Callable[[Image.Image, float], Image.Image],
    picture: Image.Image,
    colors: float,
    side: int,
) -> Image.Image:
    """Return a picture in other colours, scaled down to `side` pixels."""
    return dial(shrink(picture, side), colors)


def side_of(request: Request) -> int:
    """Return the longest side that a request asks for; the largest where it asks for none."""
    asked = request.query_params.get("side", "")
    return int(asked) if asked in map(str, SIDES) else SIDES[-1]


def colors_of(request: Request, usual: float) -> float:
    """Return the colours that a request asks for, on the steps that the dial has."""
    option = options()["colors"]
    low, high = option.range
    try:
        asked = float(request.query_params["colors"])
    except (KeyError, ValueError):
        return usual
    step = option.step or 0.05
    return min(max(round(asked / step) * step, low), high) if asked == asked else usual
