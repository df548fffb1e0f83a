"""Batches in tests: painted in this process, or by the command in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from helpers.server import planted
from helpers.tiny_network import SERVED
from nst.batch.messages import Event, FileFormat, Lost, PaintRequest
from nst.batch.painter import Painter
from nst.batch.plan import Item, Manner, pair_up, plan_items
from nst.batch.pool import Pool
from nst.batch.reporting import Reporter
from nst.settings import TransferSettings

QUICK = TransferSettings(size=64, iterations=2)


class InlinePool(Pool):
    """One worker in this process, that does a step when it is asked for events."""

    def __init__(self) -> None:
        self.painter = Painter("cpu")
        self.requests: list[PaintRequest] = []
        self._runs: deque[tuple[int, Iterator[Event]]] = deque()

    @property
    @override
    def has_room(self) -> bool:
        return len(self._runs) < 2

    @override
    def submit(self, request: PaintRequest) -> None:
        self.requests.append(request)
        self._runs.append((request.number, self.painter.run(request)))

    @override
    def events(self, seconds: float) -> Sequence[Event]:
        event = next(self._runs[0][1], None)
        if event is None:
            self._runs.popleft()
            return []
        return [event]

    def lose(self) -> list[Lost]:
        """Forget all requests, as a worker does that is killed."""
        lost = [
            Lost(number, place == 0, "signal 9") for place, (number, _) in enumerate(self._runs)
        ]
        self._runs.clear()
        return lost

    @override
    def close(self) -> None:
        self._runs.clear()


class Heard(Reporter):
    """Keeps what it hears: (what, name of the output or text)."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, Any]] = []

    @override
    def _print(self, event: str, **values: Any) -> None:
        if event not in ("progress", "planned", "finished"):
            self.events.append((event, values["output"]))

    def outputs(self, event: str) -> list[str]:
        return [output for name, output in self.events if name == event]


def planned(
    photos: Sequence[Path],
    paintings: Sequence[Path],
    settings: TransferSettings = QUICK,
    **format: Any,
) -> tuple[list[Item], Manner]:
    """The items of each photo after each painting, and their manner."""
    manner = Manner(settings, FileFormat(**format))
    return plan_items(pair_up(photos, paintings), manner), manner


def records(folder: Path, status: str = "done") -> list[dict[str, Any]]:
    """The lines of a folder's manifest with a status, in order."""
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record.get("status") == status]


IN_WORKERS = f"""
import sys
if any("spawn_main" in word or "default_worker" in word for word in sys.orig_argv):
    {SERVED}
"""
"""The plant of a batch: its workers, here or on a cluster, paint with the tiny network, and nobody
else loads torch."""


class Batch:
    """`python -m nst.batch … --json` on a tiny network, in a process of its own.

    `plant` is Python that it and its helpers run first.
    """

    def __init__(
        self, folder: Path, *words: str, plant: str = "", environment: Mapping[str, str] = {}
    ) -> None:
        variables = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            **planted(folder, f"{IN_WORKERS}\n{plant}"),
            **environment,
        }
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nst.batch", *words, "--json"],
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def until(self, event: str, count: int = 1) -> dict[str, Any]:
        """Read on until so many events of a kind have come; return the last of them."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            count -= self.events[-1]["event"] == event
            if not count:
                return self.events[-1]
        assert self.process.stderr
        raise AssertionError(self.process.stderr.read())

    def end(self) -> tuple[int, str]:
        """The exit status, and what is on stderr."""
        output, errors = self.process.communicate(timeout=300)
        self.events += map(json.loads, output.splitlines())
        return self.process.returncode, errors

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def arguments(out: str = "out", *, iterations: int = 2) -> list[str]:
    """The words for the pictures in `photos/` and `paintings/`."""
    words = ["photos", "--styles", "paintings", "-o", out, "--size", "64"]
    return [*words, "--iterations", str(iterations)]
