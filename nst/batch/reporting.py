"""What is told of a batch: a live table at a terminal, plain lines, or JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from typing_extensions import override

from nst.batch.messages import Lost, Painted, Progress
from nst.batch.plan import Item
from nst.batch.tally import Tally

if TYPE_CHECKING:
    from rich.progress import TaskID


class Reporter:
    """Hears of everything that happens in a batch; this one prints JSON, or nothing.

    Args:
        output: where one JSON object per event is printed, if anywhere.
    """

    def __init__(self, output: TextIO | None = None) -> None:
        self._output = output

    def begin(self, tally: Tally) -> None:
        """Say that the files in the output folder are now looked at."""

    def planned(self, tally: Tally) -> None:
        """Say what is there and what is to be painted."""
        self._print("planned", **vars(tally))

    def progress(self, item: Item, event: Progress) -> None:
        """Say that an iteration is done."""
        figures = {name: getattr(event, name) for name in ("iteration", "total", "J", "remaining")}
        self._print("progress", output=item.output, **figures)

    def painted(self, item: Item, painted: Painted, tally: Tally) -> None:
        """Say that a picture is finished and written."""
        self._print("painted", output=item.output, seconds=painted.seconds, **painted.costs)

    def copied(self, item: Item, tally: Tally) -> None:
        """Say that a picture is the same as another, and was copied."""
        self._print("copied", output=item.output)

    def failed(self, item: Item, reason: str, culprit: str, tally: Tally) -> None:
        """Say that a picture cannot be painted, or none with the file that is to blame."""
        paths = {"photo": str(item.photo.path), "painting": str(item.painting.path)}
        self._print("failed", output=item.output, error=reason, culprit=culprit, **paths)

    def lost(self, item: Item, lost: Lost) -> None:
        """Say that a picture goes to another worker."""
        self._print("lost", output=item.output, reason=lost.reason)

    def note(self, event: str, line: str, **values: Any) -> None:
        """Say something else: a line for people, an event with values for programs."""
        self._print(event, **values)

    def confirm(self, question: str) -> bool:
        """Ask somebody at the terminal for a yes."""
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def tick(self) -> None:
        """Show that time passes."""

    def end(self, tally: Tally) -> None:
        """Say what has become of the batch."""
        self._print("finished", **vars(tally))

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _print(self, event: str, **values: Any) -> None:
        if self._output:
            print(json.dumps({"event": event, **values}), file=self._output, flush=True)


class PlainReporter(Reporter):
    """Prints a line for each picture."""

    def __init__(self, stream: TextIO, output: TextIO | None = None) -> None:
        super().__init__(output)
        self._stream = stream
        self._eta = Estimate()
        self._told = set[str]()  # of what failed: a damaged input is one line

    @override
    def planned(self, tally: Tally) -> None:
        super().planned(tally)
        self._eta.begin(tally.missing - tally.failed)
        self.say(counted(tally))

    @override
    def progress(self, item: Item, event: Progress) -> None:
        super().progress(item, event)
        self._eta.progress(item.number, event.share, event.elapsed)

    @override
    def painted(self, item: Item, painted: Painted, tally: Tally) -> None:
        super().painted(item, painted, tally)
        self._eta.done(item.number)
        left = f", {self._eta.text} left" if self._eta.text else ""
        done = tally.painted + tally.present
        self.say(f"{item.output}  {painted.seconds:.1f} s  ({done} of {tally.total}{left})")

    @override
    def copied(self, item: Item, tally: Tally) -> None:
        super().copied(item, tally)
        self._eta.done(item.number)
        done = tally.painted + tally.present
        self.say(f"{item.output}  copied  ({done} of {tally.total})")

    @override
    def failed(self, item: Item, reason: str, culprit: str, tally: Tally) -> None:
        super().failed(item, reason, culprit, tally)
        self._eta.done(item.number)
        self._eta.resize(tally.missing - tally.failed)
        about = getattr(item, culprit).path if culprit else item.output
        line = f"nst: {about}: {reason}"
        if line not in self._told:
            self._told.add(line)
            self.say(line)

    @override
    def lost(self, item: Item, lost: Lost) -> None:
        super().lost(item, lost)
        self.say(f"nst: {item.output}: its worker ended ({lost.reason}); another goes on")

    @override
    def note(self, event: str, line: str, **values: Any) -> None:
        super().note(event, line, **values)
        self.say(line)

    @override
    def end(self, tally: Tally) -> None:
        super().end(tally)
        if tally.present < tally.total:  # it was said at the start that all are there
            self.say(counted(tally))

    def say(self, line: str) -> None:
        """Print a line for people."""
        print(line, file=self._stream, flush=True)


class TableReporter(PlainReporter):
    """Redraws a table of the pictures that are being painted, above a bar of the whole."""

    def __init__(self, stream: TextIO, output: TextIO | None = None) -> None:
        from rich.console import Console  # after --help
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Table

        super().__init__(stream, output)
        self._table = Table(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=Console(file=stream),
            auto_refresh=False,
        )
        self._whole: TaskID | None = None
        self._rows: dict[int, TaskID] = {}

    @override
    def planned(self, tally: Tally) -> None:
        super().planned(tally)
        self._table.start()
        self._whole = self._table.add_task("all pictures", total=tally.total, figures="")
        self._show(tally)

    @override
    def progress(self, item: Item, event: Progress) -> None:
        super().progress(item, event)
        if item.number not in self._rows:
            self._rows[item.number] = self._table.add_task(item.output, total=1.0, figures="")
        self._table.update(
            self._rows[item.number],
            completed=event.share,
            figures=f"{event.iteration}/{event.total}, J {event.J:.3g}",
        )

    @override
    def painted(self, item: Item, painted: Painted, tally: Tally) -> None:
        super().painted(item, painted, tally)
        self._remove(item, tally)

    @override
    def copied(self, item: Item, tally: Tally) -> None:
        super().copied(item, tally)
        self._show(tally)

    @override
    def failed(self, item: Item, reason: str, culprit: str, tally: Tally) -> None:
        super().failed(item, reason, culprit, tally)
        self._remove(item, tally)

    @override
    def confirm(self, question: str) -> bool:
        self._table.stop()
        try:
            return super().confirm(question)
        finally:
            self._table.start()

    @override
    def tick(self) -> None:
        if self._whole is not None:
            left = f"{self._eta.text} left" if self._eta.text else "the first is being painted"
            self._table.update(self._whole, figures=left)
            self._table.refresh()

    @override
    def say(self, line: str) -> None:
        self._table.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @override
    def end(self, tally: Tally) -> None:
        self.close()
        super().end(tally)

    @override
    def close(self) -> None:
        if self._whole is not None:
            for row in (*self._rows.values(), self._whole):
                self._table.remove_task(row)
            self._table.stop()
            self._whole, self._rows = None, {}

    def _remove(self, item: Item, tally: Tally) -> None:
        row = self._rows.pop(item.number, None)
        if row is not None:
            self._table.remove_task(row)
        self._show(tally)

    def _show(self, tally: Tally) -> None:
        if self._whole is not None:
            done = tally.painted + tally.present + tally.failed
            self._table.update(
                self._whole, completed=done, description=f"{done} of {tally.total} pictures"
            )


class Estimate:
    """Estimates how long the rest of a batch will take, from what was painted so far.

    The clock runs from where the first picture began: the start of the workers does not count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._total, self._done = 0, 0
        self._shares: dict[int, float] = {}  # of pictures that are being painted

    def begin(self, total: int) -> None:
        """Say that so many pictures are to be painted."""
        self._total, self._done = total, 0

    def resize(self, left: int) -> None:
        """Say that so many pictures are left."""
        self._total = self._done + left

    def progress(self, number: int, share: float, elapsed: float) -> None:
        """Say how much of a picture is done, from 0 to 1, in so many seconds."""
        if self._began is None:
            self._began = self._clock() - elapsed
        self._shares[number] = share

    def done(self, number: int) -> None:
        """Say that a picture is finished, or given up."""
        self._shares.pop(number, None)
        self._done += 1

    @property
    def seconds(self) -> float | None:
        """Return the seconds that are left; None while nothing is known."""
        done = self._done + sum(self._shares.values())
        if done <= 0 or self._began is None:
            return None
        left = max(0.0, self._total - done)
        return (self._clock() - self._began) / done * left

    @property
    def text(self) -> str:
        """Return the time that is left as people say it; nothing where none is, or is known."""
        return span(self.seconds) if self.seconds else ""


def span(seconds: float) -> str:
    """Return a span of time in two units: `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    left, parts = round(seconds), list[str]()
    for name, size in units:
        count, left = divmod(left, size)
        if count or parts or name == "s":
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ") or len(parts) == 1)


def counted(tally: Tally) -> str:
    """Return a batch in numbers, for people."""
    parts = [
        f"{tally.total} picture{'' if tally.total == 1 else 's'}",
        f"{tally.present} there already" if tally.present else "",
        f"{tally.painted} painted" if tally.painted else "",
        f"{tally.failed} failed" if tally.failed else "",
        f"{left} to paint" if (left := tally.missing - tally.failed) else "",
    ]
    return ", ".join(filter(None, parts))


def pick_reporter(*, as_json: bool) -> Reporter:
    """Return what suits stdout and stderr: a table at a terminal, lines or JSON elsewhere."""
    output = sys.stdout if as_json else None
    if sys.stderr.isatty():
        return TableReporter(sys.stderr, output)
    return Reporter(output) if as_json else PlainReporter(sys.stderr)
