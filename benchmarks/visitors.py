"""Visitors who call `/stylize` through `gradio_client`: some cancel, some lose their connection.

Knows what is ordered and how it ended for whoever ordered it; nothing of the server's inside.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gradio_client import Client, handle_file
from gradio_client.client import Job
from gradio_client.exceptions import AppError
from gradio_client.utils import Status
from PIL import Image

from benchmarks.served import Wire, wire_to

EXAMPLES = Path(__file__).parents[1] / "examples"
PHOTOS = sorted((EXAMPLES / "content").glob("*.jpg"))
PAINTINGS = sorted((EXAMPLES / "style").glob("*.jpg"))
WORKS = ((64, 20), (96, 16), (128, 20), (192, 12), (256, 8), (192, 20), (256, 16))  # px, iterations
SMALL_WORKS = ((64, 8), (96, 6), (64, 12))
LEAVES_EARLY = 1000  # iterations of those who leave: they are never there in time to see the end
CANCELS, DROPS = 0.2, 0.1  # shares of the jobs
LOOK_EVERY = 0.05  # seconds
LOST_AFTER = 900.0  # seconds without an end
ANSWER_WITHIN = 60.0  # seconds for any request; the client's own 5 are not enough on a busy machine
TRY_AGAIN = 2.0, 6.0  # seconds after a refusal
# In the sentences that say so.
REFUSED = ("waiting already", "wait would be", "being opened at this moment", "uploaded lately")

Event = tuple[str, str]  # how a call ended, and what was said


@dataclass(frozen=True)
class Order:
    """A picture that a visitor wants, and how they leave before it is there."""

    size: int
    iterations: int
    photo: Path
    painting: Path
    leaving: str = ""  # "cancelled" or "dropped"
    when: str = ""  # "in line" or "painted"
    delay: float = 0.0  # seconds after that


@dataclass
class Outcome:
    """What became of an order. Times are seconds since it was first asked for."""

    visitor: int
    order: Order
    ending: str = "lost"  # or "result", "cancelled", "dropped", "sentence"
    said: str = ""
    preview: float = float("inf")
    end: float = 0.0
    refusals: int = 0
    megapixels: float = field(default=0.0)  # pixels of the picture times iterations


def deal(visitors: int, jobs: int, seed: int) -> list[list[Order]]:
    """To each visitor equally many, who leave equally often, with the same works to be painted to
    the end; but for one more or less."""
    random_ = random.Random(seed)
    cancels, drops = round(jobs * CANCELS), round(jobs * DROPS)
    leavings = ["cancelled"] * cancels + ["dropped"] * drops + [""] * (jobs - cancels - drops)
    hands = []
    for number in range(visitors):
        works = itertools.cycle(WORKS)
        hand = [order(random_, WORKS, leaving, works) for leaving in leavings[number::visitors]]
        random_.shuffle(hand)
        hands.append(hand)
    return hands


def without_end(seed: str) -> Iterator[Order]:
    """Small ones, of which as many are left."""
    random_, works = random.Random(seed), itertools.cycle(SMALL_WORKS)
    weights = (CANCELS, DROPS, 1 - CANCELS - DROPS)
    while True:
        (leaving,) = random_.choices(("cancelled", "dropped", ""), weights)
        yield order(random_, SMALL_WORKS, leaving, works)


def order(
    random_: random.Random,
    works: Sequence[tuple[int, int]],
    leaving: str,
    next_works: Iterator[tuple[int, int]],
) -> Order:
    pictures = random_.choice(PHOTOS), random_.choice(PAINTINGS)
    if not leaving:
        return Order(*next(next_works), *pictures)
    size, _ = random_.choice(works)
    when, delay = random_.choice((("in line", 1.0), ("painted", 0.3)))
    return Order(size, LEAVES_EARLY, *pictures, leaving, when, random_.uniform(0, delay))


class Visitor:
    """One after the other, over a wire of their own."""

    def __init__(self, number: int, wire: Wire, downloads: Path) -> None:
        self.number = number
        self._wire, self._downloads = wire, downloads
        self._random = random.Random(number)
        self._client: Client | None = None

    def _arrive(self) -> Client:
        """As they were there before, or anew."""
        self._client = self._client or Client(
            self._wire.url,
            verbose=False,
            download_files=self._downloads,
            max_workers=2,
            httpx_kwargs={"timeout": ANSWER_WITHIN},
            analytics_enabled=False,
        )
        return self._client

    def leave(self) -> None:
        if self._client:
            self._client.close()
        self._client = None

    def paint(self, order: Order) -> Outcome:
        """Ask until there is room."""
        outcome, began = Outcome(self.number, order), time.monotonic()
        while time.monotonic() - began < LOST_AFTER:
            try:
                outcome.ending, outcome.said = self._call(order, outcome, began)
            except Exception as error:  # of the client, which may fail in any way
                outcome.ending, outcome.said = "lost", f"{type(error).__name__}: {error}"
                self.leave()
            if not any(words in outcome.said for words in REFUSED):
                break
            outcome.refusals += 1
            time.sleep(self._random.uniform(*TRY_AGAIN))
        outcome.end = time.monotonic() - began
        outcome.preview = min(outcome.preview, outcome.end)
        return outcome

    def _call(self, order: Order, outcome: Outcome, began: float) -> Event:
        job = self._arrive().submit(
            content=handle_file(order.photo),
            style=handle_file(order.painting),
            size=order.size,
            iterations=order.iterations,
            api_name="/stylize",
        )
        if not self._has_ended(job, order, outcome, began):
            return self._go(job, order)
        try:
            path, costs = job.result()
        except AppError as error:
            return "sentence", str(error)
        except CancelledError:
            return "lost", "the stream ended"
        with Image.open(path) as picture:
            if (picture.format, max(picture.size)) != ("PNG", order.size):
                return "lost", f"a {picture.format} of {picture.size} for {order.size} px"
        outcome.megapixels = costs["width"] * costs["height"] * costs["iteration"] / 1e6
        return "result", ""

    def _has_ended(self, job: Job, order: Order, outcome: Outcome, began: float) -> bool:
        """Follow a job to its end, or until its visitor leaves."""
        leaves_at = began + LOST_AFTER
        is_there = False  # the moment after which they leave
        while not job.done() and time.monotonic() < leaves_at:
            wait([job.future], timeout=LOOK_EVERY)
            is_seen = any(map(has_picture, list(job.outputs())))
            if is_seen:
                outcome.preview = min(outcome.preview, time.monotonic() - began)
            is_here = is_seen if order.when == "painted" else is_asked(job)
            if order.leaving and is_here and not is_there:
                is_there, leaves_at = True, time.monotonic() + order.delay
        return bool(job.done())

    def _go(self, job: Job, order: Order) -> Event:
        """Leave in the way of the order; without one, nothing came for very long."""
        if order.leaving == "dropped":
            self._wire.cut()
            self.leave()
            self._wire.mend()
        else:
            job.cancel()
        is_over = wait([job.future], timeout=60).done
        if not is_over:
            return "lost", "the client waits on after it has left"
        return (order.leaving, "") if order.leaving else ("lost", "no end")


def has_picture(output: object) -> bool:
    """Whether an output shows more than a place in line. Raises what kept the client from it."""
    if isinstance(output, list):
        raise output[0]
    return isinstance(output, tuple) and bool(output[0])


def is_asked(job: Job) -> bool:
    """Whether the server has taken up the call: its job is in line, or further."""
    return job.status().code in (Status.PROCESSING, Status.ITERATING)


@contextmanager
def visitor_at(url: str, number: int, downloads: Path) -> Iterator[Visitor]:
    """A visitor to a server, who leaves with the block."""
    port = urlsplit(url).port
    assert port
    with wire_to(port) as wire:
        visitor = Visitor(number, wire, downloads)
        yield visitor
        visitor.leave()


def visits(
    url: str,
    hands: Sequence[Iterable[Order]],
    downloads: Path,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """All at the same time, each with a hand of orders; every outcome is told at once."""

    def visit(number: int) -> list[Outcome]:
        outcomes = []
        with visitor_at(url, number, downloads) as visitor:
            for order in hands[number]:
                outcomes.append(visitor.paint(order))
                tell(outcomes[-1])
        return outcomes

    with ThreadPoolExecutor(len(hands)) as threads:
        return [outcome for some in threads.map(visit, range(len(hands))) for outcome in some]
