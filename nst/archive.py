"""Jobs on disk: one folder for each, so that they outlive the process.

    job.json       state, figures of every iteration, and the recipe so far
    picture.png    the latest picture, with the recipe that led to it: alone enough to go on from
    content.png, style-0.png, …    what it is painted from
    frames/        small pictures of the way, for the timelapse
    thumbnail.jpg

Every file is written whole or not at all; folders are private to the server's user. Knows files;
nothing of lines or pages.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import shutil
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from nst.clock import now
from nst.images import jpeg_bytes, save_png, shrink, whole_file
from nst.jobs import Job, State
from nst.recipe import KEYWORD, Recipe, parse_recipe, read_recipe
from nst.transfer import Moment, TransferStep

log = logging.getLogger("nst.archive")

ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{32}")
QUICK = 1  # PNG compression of what the server alone reads
THUMBNAIL_SIDE = 320  # pixels
FRAME_SIDE = 720
MOST_FRAMES = 120  # beyond, every other one is dropped and half as many are added
STEP_FIGURES = tuple(name for name in TransferStep.__dataclass_fields__ if name != "pixels")


@dataclass(frozen=True)
class Card:
    """What a gallery shows of a job without opening it."""

    id: str
    created: float  # seconds since 1970
    state: State
    iteration: int
    total: int
    changed: float = field(default=0.0, compare=False)  # when the state did, last

    @staticmethod
    def of(job: Job) -> Card:
        with job.lock:
            done = job.moment.iteration if job.moment else 0
            total = max(done, job.settings.iterations)
            return Card(job.id, job.created, job.state, done, total, job.changed)


class Archive:
    """The folder of all jobs. Raises `OSError` when the disk is full or cannot be written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, job: Job) -> None:
        """Write what has changed since the last time."""
        with job.lock:
            recipe, moment, record = job.recipe().to_text(), job.moment, _record(job)
            inputs = {"content": job.content}
            inputs |= {f"style-{index}": style for index, style in enumerate(job.styles)}
        home = self._make_home(job.id)
        for name, image in inputs.items():
            if not (home / f"{name}.png").exists():
                _save_quickly(image, home / f"{name}.png")
        text = json.dumps({**record, "recipe": recipe})
        if not (home / "job.json").exists():
            _write(text, home / "job.json")  # from the first picture on there is a job to it
        if moment:
            _save_quickly(moment.picture, home / "picture.png", recipe)
            _save_jpeg(shrink(moment.picture, THUMBNAIL_SIDE), home / "thumbnail.jpg")
        _write(text, home / "job.json")

    def load(self, id: str) -> Job | None:
        """The job as it was saved last; one that was live then was interrupted since."""
        if not ID.fullmatch(id) or not self._home(id).is_dir():
            return None
        try:
            return self._load(id)
        except Exception as error:  # Pillow raises nearly anything on damaged data
            log.warning("a job on disk cannot be read: %s", type(error).__name__)
            return None

    def _load(self, id: str) -> Job:
        home = self._home(id)
        record = json.loads((home / "job.json").read_bytes())
        recipe, moment = _latest(home, record)
        styles = [_open(home / f"style-{index}.png") for index in range(len(recipe.styles))]
        job = Job(_open(home / "content.png"), styles, recipe.settings, id=id)
        job.passages, job.moment = list(recipe.passages), moment
        _restore(job, record)
        job.frames = [index for index in job.frames if self.frame_file(id, index).is_file()]
        return job

    def cards(self, owner: str) -> list[Card]:
        """The jobs whose ids begin with `owner`, from their records alone."""
        cards = []
        for record_file in self.folder.glob(f"{owner}-*/job.json"):
            try:
                record = json.loads(record_file.read_bytes())
                cards.append(
                    Card(
                        id=record_file.parent.name,
                        created=float(record["created"]),
                        changed=float(record["changed"]),
                        state=_state_after_restart(record),
                        iteration=int(record["iteration"]),
                        total=int(record["total"]),
                    )
                )
            except Exception:  # damaged; the log has a line when somebody opens it
                continue
        return cards

    def forget(self, id: str) -> None:
        """Delete all of a job."""
        shutil.rmtree(self._home(id), ignore_errors=True)

    def file(self, id: str, name: str) -> Path:
        """Where a job's file is, or would be."""
        return self._home(id) / name

    def ids(self) -> list[str]:
        """All jobs there are."""
        return [path.name for path in self.folder.glob("*-*") if ID.fullmatch(path.name)]

    def add_frame(
        self, id: str, frames: list[int], index: int, picture: Image.Image, *, is_last: bool = False
    ) -> list[int]:
        """Keep a picture of the way, unless there are enough near it; the last one in any case.
        Returns the frames kept."""
        stride = 1
        while index // stride >= MOST_FRAMES:
            stride *= 2
        if index in frames or (index % stride and not is_last):
            return frames
        (self._make_home(id) / "frames").mkdir(mode=0o700, exist_ok=True)
        _save_jpeg(shrink(picture, FRAME_SIDE), self.frame_file(id, index))
        for extra in (frame for frame in frames if frame % stride):
            self.frame_file(id, extra).unlink(missing_ok=True)
        return [frame for frame in frames if frame % stride == 0] + [index]

    def frame_file(self, id: str, index: int) -> Path:
        return self._home(id) / "frames" / f"{index:06d}.jpg"

    def copy_frames(self, source: str, target: str) -> None:
        """Give a copy of a job the frames of the original."""
        if (self._home(source) / "frames").is_dir():
            shutil.copytree(
                self._home(source) / "frames", self._home(target) / "frames", dirs_exist_ok=True
            )

    def sweep(self, kept: float, most_bytes: int, spare: Set[str]) -> list[str]:
        """Delete jobs not changed for `kept` seconds, and beyond `most_bytes` the oldest first; but
        none of `spare`. Returns the ids that are gone."""
        total, gone = 0, []
        for home in sorted(map(self._home, self.ids()), key=_changed, reverse=True):
            total += _size(home)
            is_old = now() - _changed(home) > kept
            if (is_old or total > most_bytes) and home.name not in spare:
                shutil.rmtree(home, ignore_errors=True)
                gone.append(home.name)
        return gone

    def _make_home(self, id: str) -> Path:
        home = self._home(id)
        self.folder.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        return home

    def _home(self, id: str) -> Path:
        if not ID.fullmatch(id):
            raise FileNotFoundError(id)
        return self.folder / id


def _record(job: Job) -> dict[str, Any]:
    card = Card.of(job)
    return {
        "created": job.created,
        "changed": job.changed,
        "state": job.state.value,
        "note": job.note,
        "iteration": card.iteration,
        "total": card.total,
        "seconds": job.seconds,
        "frames": job.frames,
        "steps": [[getattr(step, name) for name in STEP_FIGURES] for step in job.steps],
    }


def _restore(job: Job, record: dict[str, Any]) -> None:
    """The reverse of `_record`."""
    job.created, job.changed = float(record["created"]), float(record["changed"])
    job.seconds = float(record["seconds"])
    job.state, job.note = _state_after_restart(record), str(record["note"])
    job.frames = [int(index) for index in record["frames"]]
    job.steps = [
        TransferStep(**dict(zip(STEP_FIGURES, values, strict=True)), pixels=torch.empty(0))
        for values in record["steps"]
    ]


def _state_after_restart(record: dict[str, Any]) -> State:
    state = State(record["state"])
    return State.INTERRUPTED if state.is_live else state


def _latest(home: Path, record: dict[str, Any]) -> tuple[Recipe, Moment | None]:
    """The picture's own recipe tells how far it is, whatever else was written since."""
    if not (home / "picture.png").exists():
        return parse_recipe(record["recipe"]), None
    data = (home / "picture.png").read_bytes()  # once: another one may take its place
    recipe = read_recipe(data)
    return recipe, Moment(_open(io.BytesIO(data)), recipe.iterations)


def _open(source: Path | io.BytesIO) -> Image.Image:
    with Image.open(source, formats=("PNG",)) as image:
        return image.convert("RGB")


def _save_quickly(image: Image.Image, path: Path, recipe: str | None = None) -> None:
    save_png(image, path, {KEYWORD: recipe} if recipe else None, compression=QUICK)


def _write(text: str, path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="ascii")


def _save_jpeg(image: Image.Image, path: Path) -> None:
    data = jpeg_bytes(image, 88)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def _changed(home: Path) -> float:
    """When a job was saved last, in seconds since 1970, or begun to be."""
    for path in (home / "job.json", home):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _size(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
