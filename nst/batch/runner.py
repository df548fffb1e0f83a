"""Run a batch: give its items to a pool, write what comes back, and go on from checkpoints.

Knows neither how workers run nor how progress is shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from nst.batch.messages import Event, Failed, Lost, Painted, PaintRequest, Progress
from nst.batch.output_folder import OccupiedError
from nst.batch.plan import Item, Manner
from nst.batch.pool import Pool
from nst.batch.reporting import Reporter
from nst.batch.tally import Tally
from nst.console import StopRequest
from nst.errors import ImageError

TICK = 0.2  # seconds between two looks at what else there is to do
MOST_LOSSES = 3  # workers that one picture may cost


class PictureStore(Protocol):
    """Where finished pictures are kept, such as an `OutputFolder`; it says what its methods do."""

    def holds(self, item: Item) -> bool:
        """Tell whether a picture is there."""

    def store(self, item: Item, painted: Painted, manner: Manner) -> None:
        """Keep a finished picture."""

    def note_failure(self, item: Item, manner: Manner, reason: str, culprit: str = "") -> None:
        """Note that a picture could not be painted."""


@dataclass
class _Run:
    """A request that a worker has, and what is known of it should the worker be lost."""

    item: Item
    request: PaintRequest
    losses: int = 0


@dataclass
class Runner:
    """Paints the items of a batch.

    Args:
        folder: where pictures are written.
        manner: how they are painted.
        report: what is told of it.
    """

    folder: PictureStore
    manner: Manner
    report: Reporter
    _waiting: deque[Item] = field(default_factory=deque)
    _again: deque[_Run] = field(default_factory=deque)  # whose worker was lost
    _runs: dict[int, _Run] = field(default_factory=dict)
    _duplicates: dict[str, list[Item]] = field(default_factory=dict)  # by key

    def find_missing(self, items: Sequence[Item]) -> Tally:
        """Tell present pictures from those to be painted; copy what is there under another name.

        Raises `OutputError` where nothing can be written.
        """
        self.tally = Tally(len(items))
        self.report.begin(self.tally)
        for item in items:
            problem = item.photo.problem or item.painting.problem
            try:
                if problem:
                    self._fail(item, problem, "photo" if item.photo.problem else "painting")
                elif self.folder.holds(item):
                    self.tally.present += 1
                else:
                    self._waiting.append(item)
            except OccupiedError as error:
                self._fail(item, str(error))
        self.report.planned(self.tally)
        return self.tally

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left to be painted."""
        return not (self._waiting or self._again or self._runs)

    def run(self, pool: Pool, stop: StopRequest) -> None:
        """Paint what is missing, until all is done or a stop is requested.

        Raises `UserError` for what ends the whole batch, such as a disk that is full.
        """
        while not (self.is_over or stop.is_made):
            while pool.has_room and (run := self._next()):
                self._runs[run.item.number] = run
                pool.submit(run.request)
            for event in pool.events(TICK):
                self._handle(event)
            self.report.tick()

    def claim(self, is_wanted: Callable[[Item], bool] = lambda item: True) -> list[Item]:
        """Return what is missing and wanted, each picture once, to be painted by somebody else.

        `settle` and `abandon` take what becomes of them.
        """
        claimed, others = dict[str, Item](), deque[Item]()
        for item in self._waiting:
            if not is_wanted(item):
                others.append(item)
            elif item.key in claimed:
                self._duplicates[item.key].append(item)
            else:
                claimed[item.key], self._duplicates[item.key] = item, []
        self._waiting = others
        return list(claimed.values())

    def settle(self, item: Item, event: Painted | Failed) -> None:
        """Write a picture that was claimed, or note that it failed. Raises `OutputError`."""
        if isinstance(event, Painted):
            self._store(item, event)
        else:
            duplicates = self._duplicates.pop(item.key, [])
            self._fail(item, event.reason, event.culprit, duplicates)

    def abandon(self, items: Sequence[Item], reason: str) -> None:
        """Give up pictures that were claimed; the report tells of all of them once."""
        sharing = [each for item in items for each in self._duplicates.pop(item.key, [])]
        self._fail(items[0], reason, "", [*items[1:], *sharing])

    def _next(self) -> _Run | None:
        """Return what to paint next; those that have begun come first."""
        if self._again:
            return self._again.popleft()
        while self._waiting:
            item = self._waiting.popleft()
            if item.key in self._duplicates:  # being painted under another name
                self._duplicates[item.key].append(item)
                continue
            try:
                run = _Run(item, item.request(self.manner))
            except ImageError as error:
                self._fail(item, str(error))
                continue
            self._duplicates[item.key] = []
            return run
        return None

    def _handle(self, event: Event) -> None:
        run = self._runs.get(event.number)
        if run is None:
            return
        if isinstance(event, Progress):
            if event.checkpoint:
                run.request = replace(run.request, checkpoint=event.checkpoint)
            self.report.progress(run.item, event)
            return
        del self._runs[event.number]
        if isinstance(event, Painted):
            self._store(run.item, event)
        elif isinstance(event, Failed):
            self._give_up(run.item, event)
        else:
            self._retry(run, event)

    def _store(self, item: Item, painted: Painted) -> None:
        """Write a picture under the first of its names that is free, and copy it to the others."""
        names = deque([item, *self._duplicates.pop(item.key, [])])
        is_written = False
        while names and not is_written:
            is_written = self._write(names.popleft(), painted)
        for duplicate in names:
            self._copy(duplicate)

    def _write(self, item: Item, painted: Painted) -> bool:
        """Write a picture, and return whether its place was free."""
        try:
            self.folder.store(item, painted, self.manner)
        except OccupiedError as error:
            self._fail(item, str(error))
            return False
        self.tally.painted += 1
        self.report.painted(item, painted, self.tally)
        return True

    def _copy(self, item: Item) -> None:
        """Write a picture that has just been painted under another name."""
        try:
            if self.folder.holds(item):
                self.tally.present += 1
                self.report.copied(item, self.tally)
            else:
                self._waiting.append(item)
        except OccupiedError as error:
            self._fail(item, str(error))

    def _retry(self, run: _Run, lost: Lost) -> None:
        run.losses += lost.is_suspect
        if run.losses < MOST_LOSSES:
            self.report.lost(run.item, lost)
            self._again.append(run)
            return
        reason = (
            f"The worker that painted it was lost {MOST_LOSSES} times ({lost.reason}); memory may"
            " have run out."
        )
        self._give_up(run.item, Failed(lost.number, reason))

    def _give_up(self, item: Item, failed: Failed) -> None:
        """Fail an item, and all that share what is to blame; the report tells of it once."""
        if failed.culprit == "all":
            raise failed.kind(failed.reason)
        sharing, others = list[Item](), deque[Item]()
        for each in self._waiting:
            (sharing if _shares(each, item, failed.culprit) else others).append(each)
        self._waiting = others
        sharing += self._duplicates.pop(item.key, [])
        self._fail(item, failed.reason, failed.culprit, sharing)

    def _fail(
        self, item: Item, reason: str, culprit: str = "", sharing: Sequence[Item] = ()
    ) -> None:
        for each in (item, *sharing):
            self.tally.failed += 1
            self.folder.note_failure(each, self.manner, reason, culprit)
        self.report.failed(item, reason, culprit, self.tally)


def _shares(item: Item, other: Item, culprit: str) -> bool:
    """Tell whether two items have the file in common that is to blame."""
    if not culprit:
        return item.key == other.key
    mine, others = getattr(item, culprit), getattr(other, culprit)
    return bool(mine.sha256 == others.sha256)
