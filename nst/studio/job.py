"""Jobs: pictures being painted, which belong to an id and not to a browser tab.

A `Job` owns one picture: what it is painted from, every choice made on the way, and the latest
state. Iterating `run` paints it; it can be steered, stopped and looked at from any thread
meanwhile. Knows nothing of lines, disks or pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from typing_extensions import override

from nst.engine.minimization import LostStateError
from nst.engine.objective import make_room
from nst.engine.out_of_memory import has_run_out
from nst.engine.schedule import Moment
from nst.engine.seamless import keep_mask
from nst.engine.transfer import Engine, TransferStep, as_list, transfer_style
from nst.errors import SettingsError, UnreachableError, UserError
from nst.images.color import dial_colors
from nst.images.mask_records import MaskRecord
from nst.images.masks import NO_MASKS, Mask, Masks
from nst.images.recipe import MOST_MASKS, MOST_PASSAGES, Ingredient, Passage, Recipe
from nst.images.transforms import seen_parts
from nst.provenance import UNKNOWN, Provenance
from nst.settings import MOST_STYLES, TransferSettings
from nst.studio.job_styles import JobStyles, Style, are_equal
from nst.studio.task import State, Task

CHANGED_TOO_OFTEN = "This picture was changed too often; please start a new one."
NOT_ENOUGH = "There was not enough memory for {} px; it is painted at {} px."
SMALLER = 0.7  # times as large as what there was not enough memory for
SMALLEST = 128  # pixels; below that it is not the size
PICTURE_EVERY = 0.05  # seconds, of a run on a GPU; a CPU has each picture at hand
MOST_STATE = 96 * 2**20  # bytes of what an optimiser has learned, kept when a job has ended


@dataclass(frozen=True)
class Change:
    """What a visitor wants from the next iteration on.

    No styles mean the present ones, and what is left as it is at present.
    """

    settings: TransferSettings
    styles: tuple[Style, ...] = ()
    keep: Mask | None = None


class Job(Task):
    """One picture being painted, and every choice on the way to it.

    `content`, `styles` and `init`, which the run starts from where there is one, are RGB pictures;
    `styles` grows when the paintings or their masks are swapped, and each passage says which of
    them it uses. `keeps` has, by their hashes, the masks of what passages leave as it is. `moment`
    is the latest picture, `steps` the figures of every iteration without pixels; both are replaced
    or appended to, never changed. `provenance` holds what painted the passages, which name them by
    index. The pictures are hashed when the job is made, which takes a while for large ones;
    `ingredients`, of the content and then of each style, spare that where they are known.
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
        masks: Masks = NO_MASKS,
        init: Image.Image | None = None,
    ) -> None:
        super().__init__(visitor, id)
        self.content = content
        self.init = init
        self._content_ingredient = ingredients[0] if ingredients else Ingredient.of(content)
        self._init_ingredient = Ingredient.of(init) if init else None
        self._styles = JobStyles()
        paired = self._styles.pair(styles, masks, ingredients[1:])
        self.keeps: dict[str, Mask] = {}
        styles_used = tuple(map(self._styles.add, paired))
        self.passages = [Passage(0, settings, styles_used, keep=self._hold(masks.keep))]
        self.moment: Moment | None = None
        self.steps: list[TransferStep] = []
        self.steps_before = 0  # how many there were when it was last resumed
        self.frames: list[int] = []  # of the timelapse: indices into `steps`
        self.colors = settings.colors
        self.engine = engine
        self.seconds = 0.0  # spent painting
        self._change: Change | None = None
        self._is_bare = False  # nothing was painted under the last passage yet
        self._is_lightened = False  # memory ran out, and what is remembered was thrown away
        self.provenance: list[Provenance] = []

    @property
    def bytes(self) -> int:
        """Return the bytes of its pictures, its state and its steps in memory."""
        with self.lock:
            wanted = [style.painting for style in self._change.styles] if self._change else []
            pictures = [self.content, *self.styles, *wanted, *([self.init] if self.init else [])]
            distinct = {id(picture): picture for picture in pictures}.values()
            kept = [Masks(keep=mask) for mask in self.keeps.values()]
            masks = mask_bytes(self.masks, self.wanted_masks, *kept)
            return picture_bytes(*distinct) + masks + (self.moment.bytes if self.moment else 0)

    @property
    def styles(self) -> list[Image.Image]:
        """Return the paintings that were used so far; one with several masks is there as often."""
        return self._styles.paintings

    @property
    def masks(self) -> Masks:
        """Return the masks of all `styles`, and of what is left as it is at present."""
        return self._styles.masks_of(range(len(self._styles)), self._keep_of(-1))

    def masks_of(self, passage: int) -> Masks:
        """Return the masks of a passage, of its paintings and of what it leaves as it is."""
        return self._styles.masks_of(self.passages[passage].styles, self._keep_of(passage))

    def _keep_of(self, passage: int) -> Mask | None:
        record = self.passages[passage].keep
        return self.keeps[record.sha256] if record else None

    def _hold(self, keep: Mask | None) -> MaskRecord | None:
        """Return what tells of a mask of what is left as it is, which is held from now on."""
        if keep is None:
            return None
        record = MaskRecord.of(keep)
        self.keeps.setdefault(record.sha256, keep)
        return record

    @property
    def settings(self) -> TransferSettings:
        """Return the latest choice, whether it is in force yet or not."""
        with self.lock:
            latest = self._change or self.passages[-1]
            return latest.settings.replace(colors=self.colors)

    @property
    def settings_to_resume(self) -> TransferSettings:
        """Return the latest choice that fits the paintings in force."""
        with self.lock:
            change = self._change
            latest = change if change and not change.styles else self.passages[-1]
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
            return [self._content_ingredient, *self._styles.ingredients]

    @property
    def wanted_paintings(self) -> list[Image.Image]:
        """Return the paintings of the latest choice, whether it is in force yet or not."""
        with self.lock:
            wanted = [style.painting for style in self._change.styles] if self._change else []
            return wanted or self.paintings

    def new_pictures(self, paintings: Sequence[Image.Image]) -> list[Image.Image]:
        """Return those of the pictures that the job does not hold already, each once."""
        with self.lock:
            held = {id(image) for image in self.styles}
        return list({id(image): image for image in paintings if id(image) not in held}.values())

    @property
    def wanted_masks(self) -> Masks:
        """Return the masks of the latest choice, whether it is in force yet or not."""
        with self.lock:
            change = self._change
            if change is None or not change.styles:
                return self.masks_of(-1)
            styles = JobStyles(change.styles)
            return styles.masks_of(range(len(styles)), change.keep)

    @property
    def wanted_styles(self) -> list[Style]:
        """Return the paintings of the latest choice, each with its masks."""
        with self.lock:
            wanted = self._change.styles if self._change else ()
            return list(wanted) or [self._styles[index] for index in self.passages[-1].styles]

    @property
    @override
    def is_complete(self) -> bool:
        """Tell whether nothing is left to paint, though its work has not ended yet."""
        with self.lock:
            settings, moment = self.passages[-1].settings, self.moment
            if moment is None or self._is_bare or self._change:
                return False
            has_size = max(moment.picture.size) == settings.size
            return has_size and moment.iteration >= settings.iterations

    @property
    def course(self) -> tuple[Passage, ...]:
        """Return the passages to the present picture; the latest may not have begun yet."""
        with self.lock:
            is_ahead = self._is_bare and self.moment is not None
            return tuple(self.passages[:-1] if is_ahead else self.passages)

    def steer(
        self,
        settings: TransferSettings,
        paintings: Image.Image | Sequence[Image.Image] = (),
        masks: Masks = NO_MASKS,
    ) -> None:
        """Go on under other settings, or with other paintings and masks, from the next iteration.

        What is the same already changes nothing, and neither does what comes after the end. Raises
        `SettingsError` when the recipe would grow beyond its bounds.
        """
        change = self._change_to(settings, as_list(paintings), masks)
        with self.lock:
            if self.state.is_live:
                self._take(change)

    def _take(self, change: Change) -> None:
        """Remember a change that is news."""
        present = self.passages[-1]
        if not change.styles and self._change:
            change = replace(self._change, settings=change.settings)
        found = tuple(map(self._styles.find, change.styles))
        if found == present.styles and are_equal(change.keep, self._keep_of(-1)):
            change = Change(change.settings)
        self.dial(change.settings.colors)
        is_news = bool(change.styles) or not change.settings.paints_like(present.settings)
        is_full = (
            len(self.passages) >= MOST_PASSAGES
            or len(self._styles) + found.count(None) > MOST_STYLES
            or self._count_masks(change) > MOST_MASKS
        )
        if is_news and is_full:
            raise SettingsError(CHANGED_TOO_OFTEN)
        self._change = change if is_news else None

    def _count_masks(self, change: Change) -> int:
        """Return how many different masks there would be with a change."""
        held = [*self._styles.masks, *self.keeps.values()]
        wanted = [
            change.keep,
            *(m for style in change.styles for m in (style.region, style.within)),
        ]
        new = [mask for mask in wanted if mask and not any(are_equal(mask, each) for each in held)]
        return len(held) + len(new)

    def dial(self, colors: float) -> None:
        """Deliver the picture in other colours; nothing is painted again."""
        with self.lock:
            if colors != self.colors:
                self.colors = colors
                self.version += 1

    def resume(
        self,
        settings: TransferSettings,
        paintings: Image.Image | Sequence[Image.Image] = (),
        masks: Masks = NO_MASKS,
    ) -> None:
        """Make an ended job ready to be painted further, under other settings.

        Raises `SettingsError` while it is still being painted.
        """
        change = self._change_to(settings, as_list(paintings), masks)
        with self.lock:
            if self.state.is_live:
                raise SettingsError("This picture is being painted already.")
            self._take(change)
            self.steps_before = len(self.steps)
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
                masks=self.masks,
                init=self.init,
            )
            twin.engine = self.engine
            twin.passages, twin.steps = list(self.passages), list(self.steps)
            twin.keeps = dict(self.keeps)
            twin.moment, twin.colors = self.moment, self.colors
            twin.provenance = list(self.provenance)
            twin.frames, twin.seconds = list(self.frames), self.seconds
            twin._is_bare = self._is_bare
            finished = self.state is State.FINISHED
            twin.state = State.FINISHED if finished else State.STOPPED
            return twin

    def delivered(self) -> tuple[Image.Image, Recipe]:
        """Return the present picture in the colours that were dialled, and how it came about."""
        with self.lock:
            moment, recipe = self.moment, self.recipe()
        assert moment is not None
        return self.dialled(moment.picture, recipe.colors), recipe

    def dialled(self, picture: Image.Image, colors: float) -> Image.Image:
        """Return one of its pictures, of any size, in other colours."""
        return self.color_dial()(picture, colors)

    def color_dial(self) -> Callable[[Image.Image, float], Image.Image]:
        """Return a function that brings a picture into other colours, for the present paintings."""
        with self.lock:
            settings, masks = self.passages[-1].settings, self.masks_of(-1)
            paintings = self.paintings

        def dial(picture: Image.Image, colors: float) -> Image.Image:
            if not colors:
                return picture
            used = seen_parts(paintings, settings, masks.within)
            keep = keep_mask(masks, self.content, settings)
            return dial_colors(picture, self.content, used, colors, keep=keep)

        return dial

    def recipe(self) -> Recipe:
        """Return how the present picture came about."""
        with self.lock:
            masks = self._styles.records()
            return Recipe(
                content=self._content_ingredient,
                styles=tuple(self._styles.ingredients),
                passages=self.course,
                iterations=self.moment.iteration if self.moment else 0,
                colors=self.colors,
                provenance=tuple(self.provenance),
                regions=masks.regions,
                within=masks.within,
                init=self._init_ingredient,
            )

    def _pieces(self) -> Iterator[TransferStep | None]:
        """Paint: passage after passage, until the iterations are done."""
        while self._begin_passage():
            try:
                yield from self._until_edited()
            except UnreachableError as error:
                self._hold_up(error)
                yield None
            except LostStateError:
                with self.lock:
                    self._forget_state(-1)
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
                make_room()
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
            settings, styles, keep = latest.settings, latest.styles, latest.keep
            if change:
                settings = change.settings
            if change and change.styles:
                styles = tuple(map(self._styles.add, change.styles))
                keep = self._hold(change.keep)
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
            self.passages.append(Passage(begin, settings, styles, continues, keep=keep))
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
        run = self.engine(
            self.content, self.paintings, passage.settings, begin=self.moment, **self._given()
        )
        for step in run:
            elapsed = before + step.elapsed
            figures.append(replace(step.without_pixels(), elapsed=elapsed))
            if not step.has_picture or (_waits_for_a_picture(step) and time.monotonic() < due):
                continue
            moment = step.moment
            due = time.monotonic() + PICTURE_EVERY
            with self.lock:
                self._pass_obstacle()
                self.moment, self._is_bare = moment, False
                self._note_provenance(step.provenance or UNKNOWN)
                self.seconds = elapsed
                self.steps += figures
                self.version += 1
            yield figures[-1]
            figures = []

    def _given(self) -> dict[str, Any]:
        """Return what the engine is given beside the pictures: only what there is."""
        masks = self.masks_of(-1)
        given: dict[str, Any] = {"masks": masks} if masks else {}
        return given | ({"init": self.init} if self.init else {})

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

    def _change_to(
        self, settings: TransferSettings, paintings: Sequence[Image.Image], masks: Masks
    ) -> Change:
        """Return an edit with its paintings' hashes.

        Those that the job does not hold already take a while: not to be called under its lock.
        """
        return Change(settings, tuple(self._styles.pair(paintings, masks)), masks.keep)


def _waits_for_a_picture(step: TransferStep) -> bool:
    """Tell whether a step's picture must come from a GPU, and a later step will have one."""
    return step.pixels.device.type != "cpu" and step.iteration < step.total


def picture_bytes(*images: Image.Image) -> int:
    """Return the in-memory size of RGB pictures, in bytes."""
    return sum(3 * image.width * image.height for image in images)


def mask_bytes(*masks: Masks) -> int:
    """Return the in-memory size of masks, in bytes; those that several share count once."""
    pictures = {
        id(mask): mask.width * mask.height
        for each in masks
        for mask in (*each.regions, each.keep, *each.within)
        if mask
    }
    return sum(pictures.values())
