"""Whether a command begins a run: there must be room for it, and nobody waits hours unasked."""

from __future__ import annotations

import sys
from typing import TextIO

from nst.errors import UserError
from nst.studio.backends.base import Backend
from nst.studio.forecast import Forecast, PlannedRun, work_of

WORTH_A_FORECAST = 1e8  # pixels to evaluate; what has fewer is over before anybody would ask
LONG = 3600.0  # seconds


def admit(backend: Backend, run: PlannedRun, *, assume_yes: bool) -> None:
    """Return when the run may begin.

    One that takes more than `LONG` is announced on stderr, and asked for where somebody is at the
    terminal, unless `assume_yes`. Raises `TooLargeError` where there is no room, and `UserError`
    where the answer is no.
    """
    expected = check_room(backend, run)
    seconds = expected.seconds if expected else 0.0
    if seconds < LONG:
        return
    sentence = f"This will take about {duration(seconds)}."
    if assume_yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        print(f"nst: {sentence}", file=sys.stderr)
    elif not _is_agreed(f"nst: {sentence} Begin? [y/N] ", sys.stdin, sys.stderr):
        raise UserError("nothing was begun")


def check_room(backend: Backend, run: PlannedRun) -> Forecast | None:
    """Return what a run needs, or None for a small one, which is not worth a forecast.

    Raises `TooLargeError` where there is no room.
    """
    return backend.admit(run) if work_of(run).pixels >= WORTH_A_FORECAST else None


def duration(seconds: float) -> str:
    """Return hours and halves as people say them: `3½ hours`, `2 days`."""
    if seconds >= 36 * 3600:
        return f"{round(seconds / 86400)} days"
    halves = max(2, round(seconds / 1800))
    hours = f"{halves // 2}{'½' if halves % 2 else ''}"
    return "1 hour" if halves == 2 else f"{hours} hours"


def _is_agreed(question: str, answers: TextIO, questions: TextIO) -> bool:
    print(question, end="", file=questions, flush=True)
    return answers.readline().strip().lower() in ("y", "yes")
