"""Clips on their way to the browser: what there is to know of one, and a small MP4 to trim it by.

Any browser plays that, whatever the clip itself is. Knows encodings; nothing of painting.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import gradio as gr

from nst.caches import LRUCache
from nst.errors import BusyError, ImageError
from nst.studio.limits import Limits
from nst.video.clips import Clip, Frame
from nst.video.trimming import TOLERANCE
from nst.video.writing import write_film
from page.previews import cached, file_url
from page.rendering import clip_renderings

SIDE = 480  # pixels
RATE = 15.0  # frames per second, at most
MOST_KNOWN = 200  # clips
READ_SECONDS = 90.0  # for all of one clip, however many of its frames are passed over
MOST_OF_VISITOR = 1  # clips that are read or wait for it
MOST_OF_NETWORK = 4  # the same
TOO_LONG = "The clip is longer than {:.0f} seconds, the most here; please choose a shorter one."
ONE_AT_A_TIME = "Another clip of yours is still being read; please try again in a moment."


@dataclass(frozen=True)
class ClipFacts:
    """What a page knows of a clip.

    Its length in seconds, its frames per second, and the size of its preview in pixels.
    """

    seconds: float
    rate: float
    width: int
    height: int

    def frames(self, begin: float, end: float, rate: float) -> int:
        """Return how many frames there are between two times, `rate` of them a second at most.

        They are those that a `TrimmedClip` has if the clip's own are evenly spaced: of all ticks
        from the clip's beginning on, the first frame that is not before each.
        """
        own, slack = 1 / self.rate, float(TOLERANCE)
        tick = max(1 / rate if rate else 0.0, own)
        end = min(end or self.seconds, self.seconds)
        shown_at = (math.ceil((n * tick - slack) / own) * own for n in range(math.ceil(end / tick)))
        return max(1, sum(begin - slack <= time < end - slack for time in shown_at))


@dataclass(frozen=True)
class ClipPreview:
    """A clip as it is shown: its facts, and the path of the small MP4."""

    facts: ClipFacts
    path: str

    @property
    def shown(self) -> str:
        """Return the address of the small MP4."""
        return file_url(self.path)


@dataclass(frozen=True)
class Client:
    """Who waits for a clip; "" stands for a visitor or a network that is not known."""

    visitor: str = ""
    network: str = ""


class WaitingClips:
    """The clips that are read or wait for it, and for whom. Safe to share between threads."""

    def __init__(self) -> None:
        self._places: list[tuple[Client, str]] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def place(self, client: Client, path: str) -> Iterator[None]:
        """Count a clip for a client while the block waits for it.

        Raises `BusyError` where others of the same client are enough; the same one may be waited
        for any number of times.
        """
        with self._lock:
            others = {place for place in self._places if place[1] != path}
            of_visitor = sum(other.visitor == client.visitor for other, _ in others)
            of_network = sum(other.network == client.network for other, _ in others)
            if (client.visitor and of_visitor >= MOST_OF_VISITOR) or (
                client.network and of_network >= MOST_OF_NETWORK
            ):
                raise BusyError(ONE_AT_A_TIME)
            self._places.append((client, path))
        try:
            yield
        finally:
            with self._lock:
                self._places.remove((client, path))


_known: LRUCache[str, ClipPreview] = LRUCache(MOST_KNOWN)
_waiting = WaitingClips()


def preview_of(
    path: str,
    component: gr.HTML,
    longest: float = Limits.film_length,
    client: Client = Client(),  # frozen
) -> ClipPreview:
    """Return the preview of an uploaded clip, which is kept in the component's cache.

    Raises `ImageError` for what is no clip, longer than so many seconds, or not read within
    `READ_SECONDS`, `OSError` on a full disk, and `BusyError`.
    """
    known = _known.get(path)
    if known and Path(known.path).exists():  # old files are deleted
        return known
    with _waiting.place(client, path):
        made = clip_renderings().fetch_now(("clip", path), lambda: _rendered(Path(path), longest))
    facts, _, film = made.read().partition(b"\n")
    preview = ClipPreview(ClipFacts(**json.loads(facts)), cached(film, "clip.mp4", component))
    return _known.keep(path, preview)


def _rendered(path: Path, longest: float) -> bytes:
    """Return the facts of a clip as a line of JSON, and then the small MP4."""
    end = time.monotonic() + READ_SECONDS
    whole = Clip(path, SIDE, deadline=end).facts
    clip, times = Clip(path, SIDE, RATE, deadline=end), list[Fraction]()
    if clip.facts.frames > longest * clip.facts.rate + 1:
        raise ImageError(TOO_LONG.format(longest))
    with tempfile.TemporaryDirectory(prefix="nst-") as folder:
        film = Path(folder, "clip.mp4")
        write_film(film, _timed(clip, times, longest), rate=clip.facts.rate)
        seconds = float(times[-1] + 1 / clip.facts.rate)
        facts = ClipFacts(seconds, float(whole.rate), whole.width, whole.height)
        return json.dumps(asdict(facts)).encode() + b"\n" + film.read_bytes()


def _timed(clip: Clip, times: list[Fraction], longest: float) -> Iterator[Frame]:
    for frame in clip:
        if frame.time > longest:
            raise ImageError(TOO_LONG.format(longest))
        times.append(frame.time)
        yield frame
