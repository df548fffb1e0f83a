"""The files of jobs over HTTP, beside Gradio: pictures, frames and films, by unguessable ids.

Knows addresses and media types; whoever knows a job's id may have its files, nobody else can.
"""

from __future__ import annotations

import functools
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

from anyio import CapacityLimiter, to_thread
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nst.errors import HubError, UserError
from nst.hub.gallery import Gallery
from nst.images.recipe import signed_jpeg, signed_png, signed_webp
from nst.images.tensors import shrink
from nst.images.timelapse import FORMATS, encode_timelapse
from nst.images.writing import jpeg_bytes
from nst.studio.job import Job
from nst.studio.job_store import THUMBNAIL_SIDE
from nst.studio.workshop import Workshop
from page.error_messages import NO_DISK
from page.examples import ExampleSet
from page.http.cards import compose_card
from page.rendering import (
    RETRY_AFTER,
    HungUpError,
    Rendering,
    Renderings,
)

log = logging.getLogger(__name__)

PRIVATE = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
FOREVER = {**PRIVATE, "Cache-Control": "private, max-age=86400, immutable"}

FOR_AN_HOUR = {**PRIVATE, "Cache-Control": "public, max-age=3600"}

AT_THE_HUB = 8  # small pictures that are fetched at the same time
CHUNK = 256 * 1024  # bytes that each reader holds

DELIVERED = {
    "png": ("image/png", signed_png),
    "jpg": ("image/jpeg", signed_jpeg),
    "webp": ("image/webp", signed_webp),
}

RANGE = re.compile(r"bytes=(\d{1,15})?-(\d{1,15})?")

Endpoint = Callable[[Request], Awaitable[Response]]


def file_routes(
    files: JobFiles, examples: ExampleSet, gallery: Gallery | None = None
) -> list[Route]:
    """Return the routes below `studio/`.

    They are files of jobs, and small pictures of the examples and of the public gallery.
    """
    # Threads that wait for the Hub must not be those that the page itself needs.
    at_the_hub = CapacityLimiter(AT_THE_HUB)

    async def publication(request: Request) -> Response:
        id = request.path_params["id"]
        try:
            if gallery is None:
                return missing()
            data = await to_thread.run_sync(gallery.thumbnail, id, limiter=at_the_hub)
        except HubError:
            return missing()
        return Response(data, media_type="image/jpeg", headers=FOR_AN_HOUR)

    async def example(request: Request) -> Response:
        """Send a small picture of an example, named by the hash of the large one."""
        found = examples.example_by_hash(request.path_params["hash"])
        if found is None:
            return missing()
        return Response(found.thumbnail, media_type="image/jpeg", headers=FOREVER)

    addresses: dict[str, Endpoint] = {
        "picture.{kind}": files.picture,
        "thumbnail.jpg": files.shown(files.thumbnail),
        "frames/{index}.jpg": files.shown(files.frame),
        "timelapse.{kind}": files.timelapse,
    }
    routes = [
        Route("/studio/{job}/" + path, bounded(endpoint)) for path, endpoint in addresses.items()
    ]
    return [
        Route("/studio/shared/{share}/picture.png", bounded(files.shared_picture)),
        Route("/studio/shared/{share}/card.jpg", bounded(files.shared_card)),
        Route("/studio/community/{id:path}.jpg", publication),
        Route("/studio/examples/{hash}.jpg", example),
        *routes,
    ]


def bounded(endpoint: Endpoint) -> Endpoint:
    """Answer 503 where a rendering takes too long, and 507 where the disk is full."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except UserError as error:
            when = {"Retry-After": str(RETRY_AFTER)} if error.may_pass else None
            return Response(str(error), error.http_status, when, media_type="text/plain")
        except HungUpError:
            return Response(status_code=499)  # nobody reads it
        except OSError as error:
            log.warning("a file could not be made: %s", error.strerror or type(error).__name__)
            return Response(NO_DISK, 507, media_type="text/plain")

    return answer


class JobFiles:
    """The endpoints for one job's files. All of them wait in the event loop, in no thread."""

    def __init__(self, workshop: Workshop, renderings: Renderings) -> None:
        self.workshop, self.renderings = workshop, renderings

    async def picture(self, request: Request) -> Response:
        """Send a finished picture."""
        job = await self.find_job(request)
        kind = request.path_params["kind"]
        if job is None or kind not in DELIVERED:
            return missing()
        return await self._picture(job, request, kind)

    async def shared_picture(self, request: Request) -> Response:
        """Send the picture that a link speaks of."""
        job = await self._shared(request)
        return await self._picture(job, request) if job else missing()

    async def shared_card(self, request: Request) -> Response:
        """Send the picture that is shown beside such a link elsewhere."""
        job = await self._shared(request)
        if job is None or job.moment is None:
            return missing()
        key = ("card", job.id, job.revision)
        make = functools.partial(shared_card, job)
        return self.send(
            await self.renderings.fetch(key, make, request), request, "image/jpeg", PRIVATE
        )

    async def _shared(self, request: Request) -> Job | None:
        """Return the finished job that a link speaks of, if there is one."""
        share = request.path_params["share"]
        job = await self.renderings.look_up(lambda: self.workshop.find_shared(share), request)
        return None if job is None or job.state.is_live else job

    async def _picture(self, job: Job, request: Request, kind: str = "png") -> Response:
        if job.moment is None:
            return missing()
        media_type, _ = DELIVERED[kind]
        key = ("picture" if kind == "png" else kind, job.id, job.revision)
        made = await self.renderings.fetch(key, lambda: delivered(job, kind), request)
        return self.send(made, request, media_type, PRIVATE)

    async def thumbnail(self, request: Request) -> Response:
        """Send a card's small picture."""
        stored = await self._stored("thumbnail.jpg", request)
        if stored is None:
            job = await self.find_job(request)
            if job is None or job.moment is None:
                return missing()
            stored = await self._small(job, job.moment.picture, request)  # not on disk yet
        return self.send(stored, request, "image/jpeg", PRIVATE)

    async def _small(self, job: Job, picture: Image.Image, request: Request) -> Rendering:
        key = ("thumbnail", job.id, job.revision)
        return await self.renderings.fetch(
            key, lambda: jpeg_bytes(shrink(picture, THUMBNAIL_SIDE)), request
        )

    async def frame(self, request: Request) -> Response:
        """Send a kept moment, in the colours that are dialled now.

        It is immutable at the address that the page shows now, which no other content ever has.
        """
        job, index = await self.find_job(request), request.path_params["index"]
        if job is None or not re.fullmatch(r"\d{6}", index):
            return missing()
        colors, revision = job.colors, job.revision
        made: Rendering | None
        if colors == 0:
            made = await self._stored(f"frames/{index}.jpg", request)
        else:
            key = ("frame", job.id, revision, index)
            try:
                make = functools.partial(dialled_frame, job, int(index), colors, self.workshop)
                made = await self.renderings.fetch(key, make, request)
            except FileNotFoundError:
                made = None
        if made is None:
            return missing()
        is_current = request.query_params.get("v") == revision
        return self.send(made, request, "image/jpeg", FOREVER if is_current else PRIVATE)

    async def timelapse(self, request: Request) -> Response:
        """Send the film of a job."""
        job, kind = await self.find_job(request), request.path_params["kind"]
        has_film = job is not None and self.workshop.job_store and len(job.frames) > 1
        if job is None or job.moment is None or kind not in FORMATS or not has_film:
            return missing()
        key = ("film", job.id, job.revision, kind)
        made = await self.renderings.fetch(key, lambda: film(job, kind, self.workshop), request)
        return self.send(made, request, FORMATS[kind], PRIVATE)

    def shown(self, endpoint: Endpoint) -> Endpoint:
        """Answer 204 for what the page shows of a job that was deleted just now.

        A tab that shows the job may ask for it meanwhile, and browsers report a 404 as an error.
        """

        @functools.wraps(endpoint)
        async def answer(request: Request) -> Response:
            response, id = await endpoint(request), request.path_params["job"]
            if response.status_code == 404 and await self.renderings.look_up(
                lambda: self.workshop.is_deleted(id), request
            ):
                return Response(status_code=204, headers=PRIVATE)
            return response

        return answer

    async def find_job(self, request: Request) -> Job | None:
        """Return the job that a request names."""
        id = request.path_params["job"]
        return await self.renderings.look_up(lambda: self.workshop.find_job(id), request)

    async def _stored(self, name: str, request: Request) -> Rendering | None:
        """Open one of the files in a job's folder; None where there is no such file."""
        job_store, id = self.workshop.job_store, request.path_params["job"]

        def opened() -> Rendering | None:
            try:
                path = job_store.file(id, name) if job_store else None
                return Rendering.open(path) if path and path.is_file() else None
            except FileNotFoundError:
                return None

        return await self.renderings.look_up(opened, request)

    def send(
        self, rendering: Rendering, request: Request, media_type: str, headers: dict[str, str]
    ) -> Response:
        """Stream a rendering, or the range of it that was asked for, with one chunk in memory."""
        tag = f'"{rendering.tag}"'
        headers = {**headers, "ETag": tag, "Accept-Ranges": "bytes"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        size, status = rendering.size, 200
        begin, end = 0, size
        if request.headers.get("if-range", tag) == tag:
            begin, end = byte_range(request.headers.get("range", ""), size)
        if begin >= end:
            return Response(
                status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"}
            )
        if (begin, end) != (0, size):
            status = 206
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - begin)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=media_type)
        body = self._chunks(rendering, begin, end)
        return StreamingResponse(body, status, headers, media_type)

    async def _chunks(self, rendering: Rendering, begin: int, end: int) -> AsyncIterator[bytes]:
        for offset in range(begin, end, CHUNK):
            read = functools.partial(rendering.read, offset, min(CHUNK, end - offset))
            yield await self.renderings.look_up(read)


def byte_range(header: str, size: int) -> tuple[int, int]:
    """Return where a range of `size` bytes begins and ends.

    Empty where it cannot be satisfied, and all of it where several ranges or none are asked for.
    """
    found = RANGE.fullmatch(header)
    if found is None or found[0] == "bytes=-":
        return 0, size
    first, last = found.groups()
    if first is None:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def delivered(job: Job, kind: str = "png") -> bytes:
    """Return the picture in the colours that were dialled, with its recipe; one of `DELIVERED`."""
    _, encode = DELIVERED[kind]
    return encode(*job.delivered())


def shared_card(job: Job) -> bytes:
    """Return the picture in the colours that were dialled, as links to it are shown."""
    picture, _ = job.delivered()
    return compose_card(picture)


def dialled_frame(job: Job, index: int, colors: float, workshop: Workshop) -> bytes:
    """Return a kept moment as a JPEG in other colours. Raises `FileNotFoundError`."""
    picture = frame_picture(job, index, workshop)
    if picture is None:
        raise FileNotFoundError(index)
    return jpeg_bytes(job.dialled(picture, colors))


def film(job: Job, kind: str, workshop: Workshop) -> bytes:
    """Encode the timelapse of a job. Raises `OSError` where the disk is full."""
    assert workshop.job_store
    path = workshop.job_store.file(job.id, f".film-{secrets.token_hex(8)}.{kind}")
    try:
        encode_timelapse(film_frames(job, workshop), kind, path)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def film_frames(job: Job, workshop: Workshop) -> list[Image.Image]:
    """Return the kept moments and the picture of today, in the colours that were dialled.

    Those that equal the one before are left out.
    """
    assert workshop.job_store
    assert job.moment
    frames: list[Image.Image] = []
    for index in job.frames:
        picture = frame_picture(job, index, workshop)
        if picture and not (frames and picture.tobytes() == frames[-1].tobytes()):
            frames.append(picture)
    frames[-1:] = [job.moment.picture]
    return [job.dialled(each, job.colors) for each in frames]


def frame_picture(job: Job, index: int, workshop: Workshop) -> Image.Image | None:
    """Return one of the kept moments, as it was painted; None where it is gone or damaged."""
    assert workshop.job_store
    return workshop.job_store.read_frame(job.id, index)


def missing() -> Response:
    """Return the answer for what is not there."""
    return Response(
        "This picture does not exist, or is no longer kept.",
        status_code=404,
        media_type="text/plain",
    )
