"""Jobs: pictures being painted, which belong to an id and not to a browser tab.

A `Job` owns one picture: what it is painted from, every choice made on the way, and the latest
state. Iterating `run` paints it; it can be steered, stopped and looked at from any thread
meanwhile. Knows nothing of lines, disks or pages.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image

from nst.engine.objective import targets
from nst.engine.out_of_memory import has_run_out
from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.errors import SettingsError, UserError
from nst.images.color import dial_colors
from nst.images.recipe import MOST_PASSAGES, Ingredient, Passage, Recipe
from nst.provenance import UNKNOWN, Provenance
from nst.settings import MOST_STYLES, TransferSettings
from nst.studio.task import State, Task

CHANGED_TOO_OFTEN = "This picture was changed too often; please start a new one."
NOT_ENOUGH = "There was not enough memory for {} px; it is painted at {} px."
SMALLER = 0.7  # times as large as what there was not enough memory for
SMALLEST = 128  # pixels; below that it is not the size
PICTURE_EVERY = 0.05  # seconds, of a run on a GPU; a CPU has each picture at hand
MOST_STATE = 96 * 2**20  # bytes of what an optimiser has learned, kept when a job has ended


@dataclass(frozen=True)
class Change:
    """What a visitor wants from the next iteration on; no painting means the present one."""

    settings: TransferSettings
    painting: Image.Image | None = None
    ingredient: Ingredient | None = None  # of that painting


class Job(Task):
    """One picture being painted, and every choice on the way to it.

    `content` and `styles` are RGB pictures; `styles` grows when the painting is swapped, and each
    passage says which of them it uses. `moment` is the latest picture, `steps` the figures of every
    iteration without pixels; both are replaced or appended to, never changed. `provenance` holds
    what painted the passages, which name them by index. The pictures are hashed when the job is
    made, which takes a while for large ones; `ingredients`, of the content and then of each style,
    spare that where they are known.
    """

    def __init__(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        settings: TransferSettings,
        *,
        visitor: str = "",
        id: str | None = None,
        engine: Engine = transfer_style,
        ingredients: Sequence[Ingredient] = (),
    ) -> None:
        super().__init__(visitor, id)
        self.content = content
        self.styles = list(styles)
        self.passages = [Passage(0, settings, tuple(range(len(self.styles))))]
        self.moment: Moment | None = None
        self.steps: list[TransferStep] = []
        self.frames: list[int] = []  # of the timelapse: indices into `steps`
        self.colors = settings.colors
        self.engine = engine
        self.seconds = 0.0  # spent painting
        self._change: Change | None = None
        self._is_bare = False  # nothing was painted under the last passage yet
        self._is_lightened = False  # memory ran out, and what is remembered was thrown away
        self.provenance: list[Provenance] = []
        known = list(ingredients) or [Ingredient.of(image) for image in (content, *styles)]
        self._content_ingredient, self._style_ingredients = known[0], known[1:]

    @property
    def bytes(self) -> int:
        """Return the bytes of its pictures, its state and its steps in memory."""
        with self.lock:
            change = self._change.painting if self._change else None
            pictures = picture_bytes(self.content, *self.styles, *([change] if change else []))
            return pictures + (self.moment.bytes if self.moment else 0)

    @property
    def settings(self) -> TransferSettings:
        """Return the latest choice, whether it is in force yet or not."""
        with self.lock:
            latest = self._change or self.passages[-1]
            return latest.settings.replace(colors=self.colors)

    @property
    def painting(self) -> Image.Image:
        """Return the (first) painting in force."""
        return self.styles[self.passages[-1].styles[0]]

    @property
    def paintings(self) -> list[Image.Image]:
        """Return the paintings in force."""
        return [self.styles[index] for index in self.passages[-1].styles]

    @property
    def ingredients(self) -> list[Ingredient]:
        """Return those of the content and then of each style."""
        with self.lock:
            return [self._content_ingredient, *self._style_ingredients]

    @property
    def wanted_paintings(self) -> list[Image.Image]:
        """Return the paintings of the latest choice, whether it is in force yet or not."""
        with self.lock:
            wanted = self._change.painting if self._change else None
            return [wanted] if wanted else self.paintings

    @property
    def course(self) -> tuple[Passage, ...]:
        """Return the passages to the present picture; the latest may not have begun yet."""
        with self.lock:
            is_ahead = self._is_bare and self.moment is not None
            return tuple(self.passages[:-1] if is_ahead else self.passages)

    def steer(self, settings: TransferSettings, painting: Image.Image | None = None) -> None:
        """Go on under other settings, or with another painting, from the next iteration on.

        What is the same already changes nothing, and neither does what comes after the end. Raises
        `SettingsError` when the recipe would grow beyond its bounds.
        """
        change = change_to(settings, painting)
        with self.lock:
            if self.state.is_live:
                self._take(change)

    def _take(self, change: Change) -> None:
        """Remember a change that is news."""
        present = self.passages[-1]
        if change.painting is None and self._change:
            change = replace(self._change, settings=change.settings)
        in_force = [self._style_ingredients[index] for index in present.styles]
        if change.ingredient and [change.ingredient] == in_force:
            change = Change(change.settings)
        self.dial(change.settings.colors)
        is_news = change.painting is not None or not change.settings.paints_like(present.settings)
        is_full = len(self.passages) >= MOST_PASSAGES or (
            change.painting is not None and len(self.styles) >= MOST_STYLES
        )
        if is_news and is_full:
            raise SettingsError(CHANGED_TOO_OFTEN)
        self._change = change if is_news else None

    def dial(self, colors: float) -> None:
        """Deliver the picture in other colours; nothing is painted again."""
        with self.lock:
            if colors != self.colors:
                self.colors = colors
                self.version += 1

    def resume(self, settings: TransferSettings, painting: Image.Image | None = None) -> None:
        """Make an ended job ready to be painted further, under other settings.

        Raises `SettingsError` while it is still being painted.
        """
        change = change_to(settings, painting)
        with self.lock:
            if self.state.is_live:
                raise SettingsError("This picture is being painted already.")
            self._take(change)
            self._stopped.clear()
            self._last_seen = time.monotonic()
            self._become(State.WAITING, "")

    def copy(self, visitor: str) -> Job:
        """Return an ended twin with an id of its own, to be taken elsewhere from here."""
        with self.lock:
            twin = Job(
                self.content,
                self.styles,
                self.settings,
                visitor=visitor,
                ingredients=self.ingredients,
            )
            twin.engine = self.engine
            twin.passages, twin.steps = list(self.passages), list(self.steps)
            twin.moment, twin.colors = self.moment, self.colors
            twin.provenance = list(self.provenance)
            twin.frames, twin.seconds = list(self.frames), self.seconds
            twin._is_bare = self._is_bare
            twin.state = State.STOPPED
            return twin

    def delivered(self) -> tuple[Image.Image, Recipe]:
        """Return the present picture in the colours that were dialled, and how it came about."""
        with self.lock:
            moment, recipe, paintings = self.moment, self.recipe(), self.paintings
        assert moment is not None
        return dial_colors(moment.picture, self.content, paintings, recipe.colors), recipe

    def recipe(self) -> Recipe:
        """Return how the present picture came about."""
        with self.lock:
            return Recipe(
                content=self._content_ingredient,
                styles=tuple(self._style_ingredients),
                passages=self.course,
                iterations=self.moment.iteration if self.moment else 0,
                colors=self.colors,
                provenance=tuple(self.provenance),
            )

    def _pieces(self) -> Iterator[TransferStep]:
        """Paint: passage after passage, until the iterations are done."""
        while self._begin_passage():
            try:
                yield from self._until_edited()
            except (MemoryError, RuntimeError) as error:
                if not (has_run_out(error) and self._make_room()):
                    raise

    def _until_edited(self) -> Iterator[TransferStep]:
        """Paint a passage, to its end or until an edit is made."""
        for step in self._paint_passage():
            yield step
            if self._change and step.iteration > self.passages[-1].iteration:
                return
        self._check_progress()

    def _make_room(self) -> bool:
        """Make room when memory has run out: return False when there is no room for any of it.

        First once more without what is only remembered, then smaller and smaller from the picture
        as it is, but not smaller than that.
        """
        with self.lock:
            if not self._is_lightened:
                self._is_lightened = True
                targets.forget()
                self._forget_state()
                if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                    torch.cuda.empty_cache()
                return True
            if self.moment and self.moment.iteration == 0:
                self.moment = None  # nothing was painted yet
            latest = self._change or self.passages[-1]
            size = round(latest.settings.size * SMALLER / 16) * 16
            if size < SMALLEST or (self.moment and size < max(self.moment.picture.size)):
                return False
            change = self._change or Change(latest.settings)
            self._change = replace(change, settings=change.settings.replace(size=size))
            self.note = NOT_ENOUGH.format(latest.settings.size, size)
            self.version += 1
            return True

    def _forget_state(self, most: int = 0) -> None:
        """Keep the picture alone, where the optimiser's state takes more than so many bytes."""
        if self.moment and self.moment.bytes > most:
            self.moment = replace(self.moment, state=None)

    def _begin_passage(self) -> bool:
        """Take up the edits made meanwhile.

        Returns False, and has finished, when nothing is left to paint.
        """
        with self.lock:
            latest, change, moment = self.passages[-1], self._change, self.moment
            self._change = None
            settings, styles = latest.settings, latest.styles
            if change:
                settings = change.settings
                styles = (self._index_of(change),) if change.painting else styles
            if moment is not None:
                is_longer = settings.iterations > moment.iteration
                is_shorter = settings.iterations < latest.settings.iterations
                if not (is_longer or is_shorter or settings.size != max(moment.picture.size)):
                    self._become(State.FINISHED)
                    return False
            if moment is None or self._is_bare:
                self.passages.pop()  # nothing was painted under it
            begin = moment.iteration if moment else 0
            continues = moment is not None and moment.state is not None
            self.passages.append(Passage(begin, settings, styles, continues))
            self._is_bare = True
            return True

    def _paint_passage(self) -> Iterator[TransferStep]:
        """Yield the steps that come with a picture, which an engine may leave out in between.

        The last one has it. What has no picture yet does not count, so `moment` is always the last
        step's. On a GPU, where making a picture waits for the device, few are made.
        """
        before, passage = self.seconds, self.passages[-1]
        figures: list[TransferStep] = []
        due = 0.0
        for step in self.engine(self.content, self.paintings, passage.settings, begin=self.moment):
            elapsed = before + step.elapsed
            figures.append(replace(step, elapsed=elapsed).without_pixels())
            if not step.has_picture or (_waits_for_a_picture(step) and time.monotonic() < due):
                continue
            moment = step.moment
            due = time.monotonic() + PICTURE_EVERY
            with self.lock:
                self.moment, self._is_bare = moment, False
                self._note_provenance(step.provenance or UNKNOWN)
                self.seconds = elapsed
                self.steps += figures
                self.version += 1
            yield figures[-1]
            figures = []

    def _note_provenance(self, provenance: Provenance) -> None:
        """Record what paints the present passage."""
        if provenance not in self.provenance:
            self.provenance.append(provenance)
        index = self.provenance.index(provenance)
        self.passages[-1] = replace(self.passages[-1], painted_by=index)

    def _check_progress(self) -> None:
        """Notice an engine that ends early without progress.

        The next passage goes on from there; but not for ever.
        """
        passage = self.passages[-1]
        reached = self.moment.iteration if self.moment else 0
        if reached <= passage.iteration < passage.settings.iterations:
            raise RuntimeError("the engine ended where it began")

    def _end_after(self, error: Exception) -> State:
        """End after an error.

        Without a GPU, or memory, the picture can be continued some other time.
        """
        may_pass = has_run_out(error) or (isinstance(error, UserError) and error.may_pass)
        return State.STOPPED if may_pass and self.moment else State.FAILED

    def _become(self, state: State, note: str | None = None) -> None:
        with self.lock:
            super()._become(state, note)
            if not state.is_live:
                self._forget_state(MOST_STATE)

    def _index_of(self, change: Change) -> int:
        """Return where the edit's painting is among the job's, which it joins when it is new."""
        assert change.painting is not None
        assert change.ingredient is not None
        if change.ingredient in self._style_ingredients:
            return self._style_ingredients.index(change.ingredient)
        self.styles.append(change.painting)
        self._style_ingredients.append(change.ingredient)
        return len(self.styles) - 1


def _waits_for_a_picture(step: TransferStep) -> bool:
    """Tell whether a step's picture must come from a GPU, and a later step will have one."""
    return step.pixels.device.type != "cpu" and step.iteration < step.total


def picture_bytes(*images: Image.Image) -> int:
    """Return the in-memory size of RGB pictures, in bytes."""
    return sum(3 * image.width * image.height for image in images)


def change_to(settings: TransferSettings, painting: Image.Image | None) -> Change:
    """Return an edit with its painting's hash, which takes a while: not to be made under a lock."""
    return Change(settings, painting, Ingredient.of(painting) if painting else None)
