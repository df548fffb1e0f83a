"""The files of batches over HTTP: photos, pictures, and a zip of all, by unguessable ids.

Knows addresses and media types; whoever knows a batch's id may have its files, nobody else can.
"""

from __future__ import annotations

import functools
import re
import time
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from PIL import Image
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nst.batch.names import names_after
from nst.images.reading import load_image
from nst.images.tensors import shrink
from nst.images.writing import webp_bytes
from nst.studio.batch_job import Batch
from nst.studio.job_store import THUMBNAIL_SIDE
from page.http.job_files import CHUNK, FOREVER, PRIVATE, JobFiles, bounded, missing
from page.rendering import Rendering

ENDING = "-stylized.png"
ZIP_NAME = "stylized-photos.zip"
QUALITY = 82  # of WebP
NUMBER = re.compile(r"\d{1,2}")


def batch_routes(files: JobFiles) -> list[Route]:
    """Return the routes of batches, below `studio/`."""
    downloads = BatchDownloads(files)
    addresses = {
        "photos/{number}.webp": files.shown(downloads.photo),
        "pictures/{number}.webp": files.shown(downloads.present),
        "pictures/{number}.png": downloads.picture,
        "photos.zip": downloads.all,
    }
    return [
        Route("/studio/{job}/" + path, bounded(endpoint)) for path, endpoint in addresses.items()
    ]


class BatchDownloads:
    """The endpoints for one batch's files. All of them wait in the event loop, in no thread."""

    def __init__(self, files: JobFiles) -> None:
        self.files = files

    async def photo(self, request: Request) -> Response:
        """Send a small copy of one of the photos."""
        found = await self._find(request)
        return await self._photo(*found, request) if found else missing()

    async def _photo(self, batch: Batch, number: int, request: Request) -> Response:
        make = functools.partial(small_photo, batch.files.photo(number))
        made = await self.files.renderings.fetch(("photo of", batch.id, number), make, request)
        return self.files.send(made, request, "image/webp", FOREVER)

    async def present(self, request: Request) -> Response:
        """Send what there is of a photo now: its finished picture, a preview, or the photo."""
        found = await self._find(request)
        if found is None:
            return missing()
        batch, number = found
        if number in batch.done:
            made = await self._opened(batch.files.thumbnail(number), request)
            return self.files.send(made, request, "image/jpeg", FOREVER) if made else missing()
        present = batch.present
        moment = present[1].moment if present and present[0] == number else None
        if moment is None:
            return await self._photo(batch, number, request)
        key = ("preview of", batch.id, number, batch.revision)
        make = functools.partial(small, moment.picture)
        made = await self.files.renderings.fetch(key, make, request)
        return self.files.send(made, request, "image/webp", PRIVATE)

    async def picture(self, request: Request) -> Response:
        """Send a finished picture, with its recipe."""
        found = await self._find(request)
        if found is None or found[1] not in found[0].done:
            return missing()
        batch, number = found
        made = await self._opened(batch.files.picture(number), request)
        return self.files.send(made, request, "image/png", PRIVATE) if made else missing()

    async def all(self, request: Request) -> Response:
        """Send a zip of the pictures that are finished, as it is made."""
        batch = await self._batch(request)
        if batch is None or not batch.done:
            return missing()
        headers = {**PRIVATE, "Content-Disposition": f'attachment; filename="{ZIP_NAME}"'}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="application/zip")
        pieces = zip_pieces(zip_entries(batch))
        return StreamingResponse(self._sent(pieces), 200, headers, "application/zip")

    async def _sent(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        while piece := await self.files.renderings.look_up(lambda: next(pieces, b"")):
            yield piece

    async def _batch(self, request: Request) -> Batch | None:
        id, workshop = request.path_params["job"], self.files.workshop
        return await self.files.renderings.look_up(lambda: workshop.find_batch(id), request)

    async def _find(self, request: Request) -> tuple[Batch, int] | None:
        """Return the batch and the number of the photo that a request names."""
        text = request.path_params["number"]
        batch = await self._batch(request)
        if batch is None or not NUMBER.fullmatch(text) or int(text) >= len(batch.photos):
            return None
        return batch, int(text)

    async def _opened(self, path: Path, request: Request) -> Rendering | None:
        def opened() -> Rendering | None:
            try:
                return Rendering.open(path)
            except FileNotFoundError:
                return None

        return await self.files.renderings.look_up(opened, request)


def small_photo(path: Path) -> bytes:
    """Return the photo in a file as a small WebP. Raises `ImageError`."""
    return small(load_image(path))


def small(picture: Image.Image) -> bytes:
    """Return a picture as a small WebP."""
    return webp_bytes(shrink(picture, THUMBNAIL_SIDE), QUALITY, method=2)


def picture_names(batch: Batch) -> list[str]:
    """Return the name of each photo's picture: `castle-stylized.png`."""
    return names_after([photo.name for photo in batch.photos], ENDING)


def zip_entries(batch: Batch) -> list[tuple[str, Path]]:
    """Return the name in the zip, and the file, of each picture that is finished."""
    names = picture_names(batch)
    return [(names[number], batch.files.picture(number)) for number in sorted(batch.done)]


def zip_pieces(entries: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a zip of files a piece at a time, with one piece in memory; no piece is empty.

    They are stored as they are: a PNG does not get smaller. What is gone by now is left out.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, path in entries:
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file, archive.open(_entry(name, path), "w") as entry:
                while data := file.read(CHUNK):
                    entry.write(data)
                    yield sink.take()
    yield sink.take()


def _entry(name: str, path: Path) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, time.localtime(path.stat().st_mtime)[:6])
    info.external_attr = 0o644 << 16  # for who unpacks it
    return info


class _Sink:
    """What a zip is written into, and its pieces are taken from."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        self._pieces.append(bytes(data))
        return len(data)

    def close(self) -> None:
        """Do nothing: what was written is still to be taken."""

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data, self._pieces = b"".join(self._pieces), []
        return data
