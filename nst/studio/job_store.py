"""Jobs on disk: one folder for each, so that they outlive the process.

    job.json       state, figures of every iteration, and the recipe so far
    picture.png    the latest picture, with the recipe that led to it: alone enough to go on from
    content.png, style-0.png, …    what it is painted from; init.png, where it starts from one
    mask-….png     masks, by their hash; the recipe says which painting has which
    frames/        small pictures of the way, for the timelapse
    thumbnail.jpg
    film.json      in the place of all of these, for a film (`nst.studio.film_job`)
    deleted        there while the job can still be restored: nobody finds it meanwhile

Beside them are the marks of jobs handed over and of servers (`handover_marks`, `server_presence`).
Every file is written whole or not at all; folders are private to the server's user. What is read is
checked by `nst.studio.job_record`: a damaged job is a card that says so, and never an exception.
Knows files; nothing of lines or pages.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from nst.caches import LRUCache
from nst.engine.schedule import Moment
from nst.errors import BusyError, RecipeError
from nst.files import whole_file
from nst.images.recipe import KEYWORD, Ingredient, Recipe, parse_recipe, read_recipe
from nst.images.tensors import shrink
from nst.images.writing import jpeg_bytes, save_png
from nst.studio import job_folder
from nst.studio.clock import now
from nst.studio.deletion_marks import DELETED, DeletionMarks
from nst.studio.handover_marks import HandoverMarks
from nst.studio.job import Job
from nst.studio.job_record import (
    MOST_JPEG,
    MOST_JSON,
    MOST_PNG,
    STEP_FIGURES,
    DamagedError,
    JobRecord,
    figures_of,
    is_file,
    parse_record,
    read_file,
    read_picture,
)
from nst.studio.limits import Limits
from nst.studio.mask_files import read_masks, save_masks
from nst.studio.server_presence import ServerPresence
from nst.studio.task import State

log = logging.getLogger(__name__)

ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{32}")
QUICK = 1  # PNG compression of what the server alone reads
THUMBNAIL_SIDE = 320  # pixels
FRAME_SIDE = 720
MOST_FRAMES = 120  # beyond, every other one is dropped and half as many are added
MOST_CARDS = 5000  # remembered, so that a gallery need not read what has not changed

ELSEWHERE = "This is being handed over to another server; please try again in a moment."


@dataclass(frozen=True)
class Card:
    """What a gallery shows of a job without opening it."""

    id: str
    created: float  # seconds since 1970
    state: State
    iteration: int
    total: int
    changed: float = field(default=0.0, compare=False)  # when the state did, last
    is_damaged: bool = False  # its files cannot be read; it can only be deleted
    noun: str = "picture"  # or film or batch; then iterations are frames or photos

    @staticmethod
    def of(job: Job) -> Card:
        """Return the card of a job in memory."""
        with job.lock:
            done = job.moment.iteration if job.moment else 0
            total = max(done, job.settings.iterations)
            return Card(job.id, job.created, job.state, done, total, job.changed)


class JobStore:
    """The folder of all jobs. Raises `OSError` when the disk is full or cannot be written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deletions = DeletionMarks(folder)
        self.handover = HandoverMarks(folder)
        self.presence: ServerPresence | None = None  # where other servers may share the folder
        self._cards: LRUCache[str, tuple[object, Card]] = LRUCache(MOST_CARDS)  # by id, with a mark

    def save(self, job: Job) -> None:
        """Write what has changed since the last time."""
        with job.lock:
            written, moment, record = job.recipe(), job.moment, _record(job)
            inputs = {"content": job.content}
            inputs |= dict(zip(_style_names(written.styles), job.styles, strict=True))
            inputs |= {"init": job.init} if job.init else {}
            steps, masks, keeps = list(job.steps), job.masks, dict(job.keeps)
        if self.presence:
            record["server"] = self.presence.name
        recipe = written.to_text()
        record |= {"figures": STEP_FIGURES, "steps": list(map(figures_of, steps))}
        home = self.make_home(job.id)
        for name, image in inputs.items():
            if not (home / f"{name}.png").exists():
                save_quickly(image, home / f"{name}.png")
        save_masks(masks, keeps, written, home)
        text = json.dumps({**record, "recipe": recipe})
        if not (home / "job.json").exists():
            write_record(text, home / "job.json")  # from the first picture on there is a job to it
        if moment:
            save_quickly(moment.picture, home / "picture.png", recipe)
            save_jpeg(shrink(moment.picture, THUMBNAIL_SIDE), home / "thumbnail.jpg")
        write_record(text, home / "job.json")

    def load(self, id: str, *, is_claimed: bool = False) -> Job | None:
        """Return the job as it was saved last; one that was live then was interrupted since.

        None where there is none, it is deleted, or damaged, which its card says from then on.
        Raises `BusyError` where another server paints it, or has just stopped doing so, unless it
        `is_claimed` from that one.
        """
        if not self.has(id) or self.deletions.moment_of(id) is not None:
            return None
        mark = self._mark(id)
        try:
            return self._load(id, is_claimed=is_claimed)
        except (DamagedError, RecipeError, OSError) as error:
            log.warning("a job on disk cannot be read: %s", error_text(error))
            self._cards.keep(id, (mark, self.damaged_card(id)))
            return None

    def _load(self, id: str, *, is_claimed: bool) -> Job:
        home = self._home(id)
        record = parse_record(read_file(home / "job.json", MOST_JSON))
        is_unfinished = record.state_after_restart is State.INTERRUPTED
        if is_unfinished and not is_claimed and self.is_elsewhere(record.server):
            raise BusyError(ELSEWHERE)
        recipe, moment = _latest(home, record)
        content, *styles = [
            _input(home / f"{name}.png", ingredient)
            for name, ingredient in [
                ("content", recipe.content),
                *zip(_style_names(recipe.styles), recipe.styles, strict=True),
            ]
        ]
        known = [recipe.content, *recipe.styles]
        init = _input(home / "init.png", recipe.init) if recipe.init else None
        masks, keeps = read_masks(recipe, home)
        job = Job(
            content, styles, recipe.settings, id=id, ingredients=known, masks=masks, init=init
        )
        if len(job.styles) != len(styles):
            raise DamagedError("the recipe names a painting twice")
        job.passages, job.moment = list(recipe.passages), moment
        job.keeps = keeps
        job.provenance = list(recipe.provenance)
        job.created, job.changed, job.seconds = record.created, record.changed, record.seconds
        job.state, job.note, job.steps = record.state_after_restart, record.note, record.steps
        job.frames = [
            index
            for index in record.frames
            if index < len(job.steps) and is_file(self.frame_file(id, index))
        ]
        return job

    def is_elsewhere(self, server: str) -> bool:
        """Tell whether a server is another one that lives."""
        return self.presence is not None and self.presence.is_alive(server)

    def card(self, id: str) -> Card | None:
        """Return the card of a job.

        None where there is none, only a beginning of one, or one that is deleted.
        """
        mark = self._mark(id)
        if mark is None or self.deletions.moment_of(id) is not None:
            return None
        known = self._cards.get(id)
        if known is None or known[0] != mark:
            known = self._cards.keep(id, (mark, self._read_card(id)))
        return known[1]

    def _read_card(self, id: str) -> Card:
        home = self._home(id)
        try:
            data = read_file(home / "job.json", MOST_JSON)
            record = parse_record(data, with_steps=False)
        except (DamagedError, OSError):
            return self.damaged_card(id)
        is_whole = is_file(home / "content.png") and is_file(home / "style-0.png")
        return Card(
            id=id,
            created=record.created,
            changed=record.changed,
            state=record.state_after_restart,
            iteration=record.iteration,
            total=record.total,
            is_damaged=not is_whole,
        )

    def damaged_card(self, id: str, noun: str = Job.noun) -> Card:
        """Return the card of a task whose files cannot be read."""
        when = min(max(job_folder.changed(self._home(id)), 0.0), now())
        return Card(id, when, State.FAILED, 0, 0, when, is_damaged=True, noun=noun)

    def _mark(self, id: str) -> object | None:
        """Return what differs when a job's record, or a picture beside it, was written anew.

        None without either.
        """
        marks: list[tuple[int, int, int] | None] = []
        for name in ("job.json", "picture.png", "content.png", "style-0.png"):
            try:
                found = (self._home(id) / name).lstat()
            except OSError:
                marks.append(None)
                continue
            marks.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return tuple(marks) if marks[0] or marks[1] else None

    def forget(self, id: str) -> bool:
        """Delete all of a job, as far as the disk lets us. Returns whether it is gone."""
        job_folder.delete_folder(self._home(id))
        if self.has(id):
            return False
        self.deletions.forget(id)
        return True

    def has(self, id: str) -> bool:
        """Tell whether there is anything of a job, deleted or not."""
        return is_id(id) and self._home(id).is_dir()

    def file(self, id: str, name: str) -> Path:
        """Return where a job's file is, or would be; of a deleted job, where nothing ever is."""
        home = self._home(id)
        return home / name if self.deletions.moment_of(id) is None else home / DELETED / name

    def ids(self) -> list[str]:
        """Return the ids of all jobs there are, but for those deleted."""
        return [id for id in self._all_ids() if self.deletions.moment_of(id) is None]

    def _all_ids(self) -> list[str]:
        with contextlib.suppress(OSError):
            return [path.name for path in self.folder.iterdir() if ID.fullmatch(path.name)]
        return []

    def add_frame(
        self, id: str, frames: list[int], index: int, picture: Image.Image, *, is_last: bool = False
    ) -> list[int]:
        """Keep a picture of the way, unless there are enough near it; the last one in any case.

        Returns the frames kept.
        """
        stride = 1
        while index // stride >= MOST_FRAMES:
            stride *= 2
        if index in frames or (index % stride and not is_last):
            return frames
        (self.make_home(id) / "frames").mkdir(mode=0o700, exist_ok=True)
        save_jpeg(shrink(picture, FRAME_SIDE), self.frame_file(id, index))
        for extra in (frame for frame in frames if frame % stride):
            self.frame_file(id, extra).unlink(missing_ok=True)
        return [frame for frame in frames if frame % stride == 0] + [index]

    def frame_file(self, id: str, index: int) -> Path:
        """Return where a kept moment's file is, or would be."""
        return self._home(id) / "frames" / f"{index:06d}.jpg"

    def read_frame(self, id: str, index: int) -> Image.Image | None:
        """Return one of the kept moments as it was painted; None where it is gone or damaged."""
        path = self.frame_file(id, index)
        try:
            return read_picture(read_file(path, MOST_JPEG), path.name, "JPEG")
        except (DamagedError, OSError):
            return None

    def copy_frames(self, source: str, target: str) -> None:
        """Give a copy of a job the frames of the original."""
        if (self._home(source) / "frames").is_dir():
            shutil.copytree(
                self._home(source) / "frames", self._home(target) / "frames", dirs_exist_ok=True
            )

    def sweep(
        self,
        kept: float,
        most_bytes: int,
        spare: Set[str],
        delete: Callable[[str, float | None], bool] | None = None,
        undo: float = Limits.undo,
    ) -> list[str]:
        """Delete jobs not changed for `kept` seconds, and beyond `most_bytes` the oldest first.

        Deleted ones take room too: they give way before all others, and after `undo` seconds in
        any case. None of `spare` is deleted. `delete` stands for `forget`, is told when the job had
        been deleted as well, and tells whether it is gone. Returns the ids that are.
        """
        total, gone = 0, []
        for since, moment, id in self._by_precedence():
            total += job_folder.size(self._home(id))
            is_old = now() - since > (kept if moment is None else undo)
            if (is_old or total > most_bytes) and id not in spare:
                gone.append((id, moment))
        return [id for id, at in gone if (delete(id, at) if delete else self.forget(id))]

    def _by_precedence(self) -> list[tuple[float, float | None, str]]:
        """Return, for each job, since when it ages, when it was deleted, and its id.

        It ages since its last change, or since it was deleted. What gives way first is at the end.
        """
        found = []
        for id in self._all_ids():
            moment = self.deletions.moment_of(id)
            since = job_folder.changed(self._home(id)) if moment is None else moment
            found.append((since, moment, id))
        return sorted(found, key=lambda job: (job[1] is None, job[0]), reverse=True)

    def make_home(self, id: str) -> Path:
        """Return a job's folder, which is made where there is none. Raises `OSError`."""
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
    }


def is_id(text: str) -> bool:
    """Tell whether a job can be called so."""
    return ID.fullmatch(text) is not None


def error_text(error: Exception) -> str:
    """Return what a log may tell of an error: no path."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)


def _latest(home: Path, record: JobRecord) -> tuple[Recipe, Moment | None]:
    """Return the newest of the iterations known: the picture's own recipe tells how far it is.

    Whatever else was written since.
    """
    try:
        data = read_file(home / "picture.png", MOST_PNG)  # once: another one may take its place
    except FileNotFoundError:
        return parse_recipe(record.recipe), None
    recipe = read_recipe(data)
    return recipe, Moment(read_picture(data, "picture.png"), recipe.iterations)


def _style_names(styles: Sequence[Ingredient]) -> list[str]:
    """Return the names of the files of styles; one that is there several times has one file."""
    return [f"style-{styles.index(style)}" for style in styles]


def _input(path: Path, ingredient: Ingredient) -> Image.Image:
    image = read_picture(read_file(path, MOST_PNG), path.name)
    if image.size != (ingredient.width, ingredient.height):
        raise DamagedError(f"{path.name} is not the picture that the recipe names")
    return image


def save_quickly(image: Image.Image, path: Path, recipe: str | None = None) -> None:
    """Write a PNG that only the server reads. Raises `OSError`."""
    save_png(image, path, {KEYWORD: recipe} if recipe else None, compression=QUICK)


def write_record(text: str, path: Path) -> None:
    """Write a record whole or not at all. Raises `OSError`."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="ascii")


def save_jpeg(image: Image.Image, path: Path) -> None:
    """Write a small picture whole or not at all. Raises `OSError`."""
    data = jpeg_bytes(image, 88)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
