"""Paint a part of a batch on a rented machine: `python -m nst.batch.shard FOLDER PLAN DEVICE`.

The folder is shared with whoever rented it, see `nst.batch.shard_plan`; nothing else is needed, and
no account. Pictures that are there already are left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nst.batch.messages import FileFormat, Painted
from nst.batch.plan import Item, Manner
from nst.batch.shard_plan import (
    ShardPlan,
    failure_path,
    frames_path,
    output_path,
    plan_path,
    record_path,
)
from nst.console import CommandParser, StopRequest, run_command, until_stopped
from nst.errors import DeviceError, MissingPackageError, OutputError

NAME = "nst batch"
CONTENT = ("data", "file")  # of a finished picture, which a record does not hold
LASTING = (DeviceError, MissingPackageError)  # what this machine would say again
WHOLE = ("width", "height", "iterations")  # numbers of a record


def main(arguments: Sequence[str] | None = None) -> int:
    """Paint a plan; return 0 unless it was stopped or could not be painted at all.

    Pictures that cannot be painted are told of in the folder: it would help nobody to begin again,
    and each beginning is paid for.
    """
    parser = CommandParser(prog="python -m nst.batch.shard", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("plan", help="the name of a file in plans/")
    parser.add_argument("device")
    options = parser.parse_args(arguments)

    def paint(stop: StopRequest) -> int:
        run(options, stop)
        return stop.status if stop.is_made else 0

    return until_stopped(paint, NAME, "stopped; what is finished is kept")


def run(options: argparse.Namespace, stop: StopRequest) -> None:
    """Paint what is missing of a plan.

    Raises `UserError` for what ends all of it, and may not when it is begun again.
    """
    folder: Path = options.folder
    plan = ShardPlan.from_bytes((folder / plan_path(options.plan)).read_bytes())
    manner, items = plan.manner(folder), plan.items(folder)
    shared = SharedFolder(folder, manner.format)
    try:
        _paint(items, manner, shared, options, stop)
    except LASTING as error:
        for item in items:
            if not shared.holds(item):
                shared.note_failure(item, manner, str(error))
        print(f"{NAME}: {error}", file=sys.stderr)


def _paint(
    items: Sequence[Item],
    manner: Manner,
    shared: SharedFolder,
    options: argparse.Namespace,
    stop: StopRequest,
) -> None:
    from nst.batch.local_pool import LocalPool
    from nst.batch.reporting import PlainReporter
    from nst.batch.runner import Runner

    runner = Runner(shared, manner, PlainReporter(sys.stderr))
    runner.find_missing(items)
    shared.delete_leftovers(items)
    films = runner.claim(lambda item: item.is_film)
    stop.defer()
    if not runner.is_over:
        with LocalPool(1, options.device) as pool:
            runner.run(pool, stop)
    if films:
        from nst.batch.films import paint_films
        from nst.batch.shared_films import SharedFilmPainter

        with tempfile.TemporaryDirectory(prefix="nst-") as own:
            painter = SharedFilmPainter(options.folder, Path(own), manner, options.device)
            paint_films(films, painter, runner, stop)


class SharedFolder:
    """Finished pictures in the folder that a rented machine shares with whoever rented it."""

    def __init__(self, folder: Path, format: FileFormat) -> None:
        self._folder, self._format = folder, format

    def holds(self, item: Item) -> bool:
        """Tell whether a picture is there, with a record that fits.

        Whoever rented the machine takes no other.
        """
        try:
            record = (self._folder / record_path(item.key)).read_bytes()
            data = (self._folder / output_path(item, self._format)).read_bytes()
        except OSError:
            return False
        return painted_from(item.number, record, data) is not None

    def delete_leftovers(self, items: Sequence[Item]) -> None:
        """Delete the frames of films that are written: a kill may have come between."""
        for item in items:
            frames = self._folder / frames_path(item.key)
            if item.is_film and frames.is_dir() and self.holds(item):
                shutil.rmtree(frames, ignore_errors=True)

    def store(self, item: Item, painted: Painted, manner: Manner) -> None:
        """Write a finished picture, and then its record. Raises `OutputError`."""
        data = painted.file.read_bytes() if painted.file else painted.data
        record = {name: value for name, value in vars(painted).items() if name not in CONTENT}
        record["sha256"] = hashlib.sha256(data).hexdigest()
        self._write(output_path(item, manner.format), data)
        self._write_json(record_path(item.key), record)

    def note_failure(self, item: Item, manner: Manner, reason: str, culprit: str = "") -> None:
        """Write why a picture cannot be painted. Raises `OutputError`."""
        self._write_json(failure_path(item.key), {"reason": reason, "culprit": culprit})

    def _write_json(self, name: str, values: dict[str, Any]) -> None:
        self._write(name, json.dumps(values).encode())

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise OutputError(f"{name} cannot be written: {error.strerror or error}") from None


def painted_from(number: int, record: bytes, data: bytes) -> Painted | None:
    """Return a picture of a shared folder; None where picture and record do not fit together.

    They do not while one of them is being written. Nothing is taken from a record but numbers:
    others may write to the folder.
    """
    try:
        values = dict(json.loads(record))
        if values["sha256"] != hashlib.sha256(data).hexdigest():
            return None
        width, height, iterations = (_whole(values[name]) for name in WHOLE)
        costs = {str(name): _number(cost) for name, cost in dict(values["costs"]).items()}
        return Painted(number, data, width, height, iterations, costs, _number(values["seconds"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(value)
    return float(value)


if __name__ == "__main__":
    sys.exit(run_command(main, NAME))
