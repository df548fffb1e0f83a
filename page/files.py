"""The files of jobs over HTTP, beside Gradio: pictures, frames and films, by unguessable ids.

Knows addresses and media types; whoever knows a job's id may have its files, nobody else can.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from nst.archive import THUMBNAIL_SIDE
from nst.color import dial_colors
from nst.hub import HubError
from nst.hub.gallery import Gallery
from nst.images import fit, jpeg_bytes
from nst.jobs import Job
from nst.recipe import signed_png
from nst.timelapse import FORMATS, encode_timelapse
from nst.workshop import Workshop
from page.examples import Shelf

PRIVATE = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
FOREVER = {**PRIVATE, "Cache-Control": "private, max-age=86400, immutable"}

FOR_AN_HOUR = {**PRIVATE, "Cache-Control": "public, max-age=3600"}

AT_THE_HUB = 8  # small pictures that are fetched at the same time
FILM_PATIENCE = 20.0  # seconds that a film waits for another one

Endpoint = Callable[[Request], Response]


def file_routes(workshop: Workshop, shelf: Shelf, gallery: Gallery | None = None) -> list[Route]:
    """What the page links to below `studio/`: files of jobs, and small pictures of the examples and
    of the public gallery."""
    # Threads that wait for the Hub must not be those that the page itself needs.
    at_the_hub = CapacityLimiter(AT_THE_HUB)
    encoding = threading.Lock()  # one film at a time: two would only slow each other down

    def job_of(request: Request) -> Job | None:
        return workshop.find_job(request.path_params["job"])

    def picture(request: Request) -> Response:
        job = job_of(request)
        if job is None or job.moment is None:
            return missing()
        return Response(delivered_png(job), media_type="image/png", headers=PRIVATE)

    def thumbnail(request: Request) -> Response:
        response = stored("thumbnail.jpg", request, PRIVATE)
        job = job_of(request) if response.status_code == 404 else None
        if job is None or job.moment is None:
            return response
        data = jpeg_bytes(fit(job.moment.picture, THUMBNAIL_SIDE))  # not on disk yet
        return Response(data, media_type="image/jpeg", headers=PRIVATE)

    def frame(request: Request) -> Response:
        """A kept moment, in the colours that are dialled now."""
        job, index = job_of(request), request.path_params["index"]
        if job is None or not re.fullmatch(r"\d{6}", index):
            return missing()
        if job.colors == 0:
            return stored(f"frames/{index}.jpg", request, FOREVER)
        picture = frame_picture(job, int(index), workshop)
        if picture is None:
            return missing()
        dialled = dial_colors(picture, job.content, job.paintings, job.colors)
        return Response(jpeg_bytes(dialled), media_type="image/jpeg", headers=FOREVER)

    def stored(name: str, request: Request, headers: dict[str, str]) -> Response:
        if workshop.archive is None:
            return missing()
        try:
            path = workshop.archive.file(request.path_params["job"], name)
        except FileNotFoundError:
            return missing()
        return FileResponse(path, headers=headers) if path.is_file() else missing()

    def timelapse(request: Request) -> Response:
        job, kind = job_of(request), request.path_params["kind"]
        if job is None or kind not in FORMATS or workshop.archive is None or len(job.frames) < 2:
            return missing()
        path = workshop.archive.file(job.id, f"timelapse-{len(job.steps)}-{job.colors:g}.{kind}")
        if not path.exists():
            if not encoding.acquire(timeout=FILM_PATIENCE):
                return Response("Other films are being made.", 503, headers={"Retry-After": "10"})
            try:
                for earlier in path.parent.glob(f"timelapse-*.{kind}"):
                    earlier.unlink(missing_ok=True)
                encode_timelapse(film_frames(job, workshop), kind, path)
            finally:
                encoding.release()
        return FileResponse(path, media_type=FORMATS[kind], headers=PRIVATE)

    def shared_picture(request: Request) -> Response:
        job = workshop.find_shared(request.path_params["share"])
        if job is None or job.moment is None or job.state.is_live:
            return missing()
        return Response(delivered_png(job), media_type="image/png", headers=PRIVATE)

    async def publication(request: Request) -> Response:
        id = request.path_params["id"]
        try:
            if gallery is None:
                return missing()
            data = await to_thread.run_sync(gallery.thumbnail, id, limiter=at_the_hub)
        except HubError:
            return missing()
        return Response(data, media_type="image/jpeg", headers=FOR_AN_HOUR)

    def example(request: Request) -> Response:
        """A small picture of the shelf, named by the hash of the large one."""
        found = shelf.example_by_hash(request.path_params["hash"])
        if found is None:
            return missing()
        return Response(found.thumbnail, media_type="image/jpeg", headers=FOREVER)

    addresses: dict[str, Endpoint] = {
        "picture.png": picture,
        "thumbnail.jpg": thumbnail,
        "frames/{index}.jpg": frame,
        "timelapse.{kind}": timelapse,
    }
    routes = [Route("/studio/{job}/" + path, endpoint) for path, endpoint in addresses.items()]
    return [
        Route("/studio/shared/{share}/picture.png", shared_picture),
        Route("/studio/community/{id:path}.jpg", publication),
        Route("/studio/examples/{hash}.jpg", example),
        *routes,
    ]


def delivered_png(job: Job) -> bytes:
    """The picture in the colours that were dialled, with its recipe."""
    return signed_png(*job.delivered())


def film_frames(job: Job, workshop: Workshop) -> list[Image.Image]:
    """The kept moments and the picture of today, in the colours that were dialled, without those
    that equal the one before."""
    assert workshop.archive
    assert job.moment
    frames: list[Image.Image] = []
    for index in job.frames:
        picture = frame_picture(job, index, workshop)
        if picture and not (frames and picture.tobytes() == frames[-1].tobytes()):
            frames.append(picture)
    frames[-1:] = [job.moment.picture]
    return [dial_colors(each, job.content, job.paintings, job.colors) for each in frames]


def frame_picture(job: Job, index: int, workshop: Workshop) -> Image.Image | None:
    """One of the kept moments, as it was painted; None where it is gone or damaged."""
    assert workshop.archive
    return workshop.archive.read_frame(job.id, index)


def missing() -> Response:
    return Response(
        "There is no such picture (any more).", status_code=404, media_type="text/plain"
    )
