"""The files of films over HTTP: what is done so far, the same as filmed, and the present frame.

As with pictures, whoever knows a film's id may have its files, nobody else can. What is done of a
film that is not finished is encoded anew in a pool of its own: for one count of frames at a time,
whatever is asked for.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nst.caches import LRUCache
from nst.images.tensors import shrink
from nst.images.writing import webp_bytes
from nst.studio.film_job import FILM, ORIGINAL, Film
from nst.studio.task import State
from page.http.display_files import COARSE, METHOD, QUALITY, side_of
from page.http.job_files import FOREVER, PRIVATE, JobFiles, bounded, missing
from page.rendering import Rendering, Renderings

MP4 = "video/mp4"
MOST_COUNTS = 4096  # remembered, of addresses that ask for so many frames


def film_routes(files: JobFiles, encodings: Renderings) -> list[Route]:
    """Return the routes below `studio/` of films. `encodings` is where parts of them are made."""
    films = FilmFiles(files, encodings)
    return [
        Route("/studio/shared/{share}/film.mp4", bounded(films.shared)),
        Route("/studio/{job}/film.mp4", bounded(films.painted)),
        Route("/studio/{job}/original.mp4", bounded(films.original)),
        Route("/studio/{job}/frame.webp", bounded(files.shown(films.frame))),
    ]


class FilmFiles:
    """The endpoints. All of them wait in the event loop, in no thread."""

    def __init__(self, files: JobFiles, encodings: Renderings) -> None:
        self.files, self.workshop, self.renderings = files, files.workshop, files.renderings
        self.counts = FrameCounts(encodings)

    async def painted(self, request: Request) -> Response:
        """Send the frames that are done as an MP4."""
        return await self._film(await self._found(request), FILM, request)

    async def original(self, request: Request) -> Response:
        """Send the same frames as they were filmed."""
        return await self._film(await self._found(request), ORIGINAL, request)

    async def shared(self, request: Request) -> Response:
        """Send the film that a link speaks of."""
        share = request.path_params["share"]
        find = functools.partial(self.workshop.find_shared_film, share)
        film = await self.renderings.look_up(find, request)
        is_there = film is not None and not film.state.is_live
        return await self._film(film if is_there else None, FILM, request)

    async def frame(self, request: Request) -> Response:
        """Send the frame that is being painted."""
        film = await self._found(request)
        if film is None or film.present is None:
            return missing()
        side, revision = side_of(request), film.revision
        make = functools.partial(_frame, film, side)
        made = await self.renderings.fetch(
            ("frame of film", film.id, revision, side), make, request
        )
        is_current = request.query_params.get("v") == revision
        return self.files.send(made, request, "image/webp", FOREVER if is_current else PRIVATE)

    async def _found(self, request: Request) -> Film | None:
        id = request.path_params["job"]
        return await self.renderings.look_up(lambda: self.workshop.find_film(id), request)

    async def _film(self, film: Film | None, name: str, request: Request) -> Response:
        count = self.counts.count_of(film, asked_count(request)) if film else 0
        if film is None or count == 0:
            return missing()
        try:
            made = await self._made(film, name, count, request)
        except FileNotFoundError:  # it has just been finished, or deleted
            return missing()
        return self.files.send(made, request, MP4, PRIVATE)

    async def _made(self, film: Film, name: str, count: int, request: Request) -> Rendering:
        """Return the whole film where it is finished, and else what is done of it."""
        if film.state is State.FINISHED:
            opened = functools.partial(Rendering.open, film.home / name)
            return await self.renderings.look_up(opened, request)
        write = film.write_painted if name == FILM else film.write_original
        key = key_of(film, name, count)
        encodings = self.counts.encodings
        return await encodings.fetch(key, lambda: _written(write, name, count), request)


class FrameCounts:
    """How many frames of an unfinished film an address answers with.

    All that are done when it is first asked for, or as many as are being encoded then: an address
    for each frame would have each part of the film encoded again. From then on it is the same, as
    players ask for a file in ranges, and for the original beside the painted film.
    """

    def __init__(self, encodings: Renderings) -> None:
        self.encodings = encodings
        self._of_addresses: LRUCache[tuple[str, int], int] = LRUCache(MOST_COUNTS)
        self._latest: LRUCache[str, int] = LRUCache(MOST_COUNTS)

    def count_of(self, film: Film, asked: int | None) -> int:
        """Return how many frames answer an address that asks for so many, or does not say."""
        if asked == 0 or not film.count:
            return 0
        known = self._of_addresses.get((film.id, asked)) if asked else None
        if known:
            return min(known, film.count)
        count = self._latest.keep(film.id, self._present_count(film))
        if asked:
            self._of_addresses.keep((film.id, asked), count)
        return count

    def _present_count(self, film: Film) -> int:
        latest = self._latest.get(film.id, 0) or 0
        keys = (key_of(film, name, latest) for name in (FILM, ORIGINAL))
        return latest if any(map(self.encodings.is_pending, keys)) else film.count


def key_of(film: Film, name: str, count: int) -> tuple[str, str, int]:
    """Return the key of the rendering of so many frames of a film."""
    return (f"film {name}", film.id, count)


def asked_count(request: Request) -> int | None:
    """Return how many frames a request asks for; None where it does not say."""
    asked = request.query_params.get("frames", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 10
    return int(asked) if is_number else None


def _written(write: Callable[[Path, int], None], name: str, count: int) -> bytes:
    with tempfile.TemporaryDirectory(prefix="nst-") as folder:
        path = Path(folder, name)
        write(path, count)
        return path.read_bytes()


def _frame(film: Film, side: int) -> bytes:
    picture = film.present_picture()
    assert picture is not None, "it was there"
    return webp_bytes(shrink(picture, side), QUALITY[side <= COARSE], method=METHOD)
