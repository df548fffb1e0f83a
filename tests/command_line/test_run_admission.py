"""Runs that take hours are announced, and asked for where somebody is at the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from nst.admission import admit, duration
from nst.errors import UserError
from nst.settings import TransferSettings
from nst.studio.backends.local import LocalBackend
from nst.studio.forecast import Forecast, PlannedRun

LARGE = PlannedRun((4, 3), [(4, 3)], TransferSettings(size=8192))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Slow(LocalBackend):
    def admit(self, run: PlannedRun, **limits: Any) -> Forecast:
        return Forecast(3.4 * 3600, 0)


def ask(monkeypatch: pytest.MonkeyPatch, answer: str, *, assume_yes: bool = False) -> str:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", said := Terminal())
    admit(Slow("cpu"), LARGE, assume_yes=assume_yes)
    return said.getvalue()


def test_hours_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    question = "nst: This will take about 3½ hours. Begin? [y/N] "
    assert ask(monkeypatch, "y\n") == question
    for refusal in ("n\n", "\n", ""):
        with pytest.raises(UserError, match="nothing was begun"):
            ask(monkeypatch, refusal)


def test_nobody_is_asked_who_said_yes_or_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "", assume_yes=True) == "nst: This will take about 3½ hours.\n"
    monkeypatch.undo()
    admit(Slow("cpu"), LARGE, assume_yes=False)
    assert capsys.readouterr().err == "nst: This will take about 3½ hours.\n"


def test_a_small_run_is_not_forecast() -> None:
    admit(Slow("cpu"), PlannedRun((4, 3), [(4, 3)], TransferSettings()), assume_yes=False)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3600, "1 hour"), (5400, "1½ hours"), (7300, "2 hours"), (50 * 3600, "2 days")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
