"""Paint the requests of a batch in this process: bytes in, bytes and progress out."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from PIL import Image

from nst.admission import check_room
from nst.batch.messages import Event, Failed, Painted, PaintRequest, Progress
from nst.engine.devices import load_network, pick_device
from nst.engine.finished_file import finished_file
from nst.engine.objective import make_room
from nst.engine.out_of_memory import has_run_out
from nst.engine.schedule import Moment
from nst.engine.transfer import TransferStep
from nst.errors import DeviceError, MissingPackageError, UserError, WeightsError
from nst.images.alpha import split_alpha
from nst.images.found_masks import keep_faces
from nst.images.masks import Masks, load_mask
from nst.images.reading import load_image
from nst.images.recipe import KEYWORD, Passage, Recipe, new_recipe, read_recipe
from nst.images.writing import png_bytes
from nst.provenance import Provenance, provenance_of
from nst.studio.backends.local import LocalBackend
from nst.studio.forecast import PlannedRun

CHECKPOINT_EVERY = 10  # iterations
PAINTINGS = 4  # that are kept open
NONE_CAN = (WeightsError, DeviceError, MissingPackageError)  # what every request would meet

Opened = TypeVar("Opened")


@dataclass(frozen=True)
class Pictures:
    """The pictures of a request, opened."""

    photo: Image.Image
    alpha: Image.Image | None
    painting: Image.Image
    masks: Masks
    init: Image.Image | None


class Painter:
    """Holds the network; any number of threads may use it, and one of them paints at a time."""

    def __init__(self, device: str = "auto") -> None:
        self._device = str(pick_device(device))
        self._backend = LocalBackend(self._device)
        self._opening, self._turn = threading.Lock(), threading.Lock()
        self._open_painting = functools.lru_cache(PAINTINGS)(load_image)

    def run(self, request: PaintRequest) -> Iterator[Event]:
        """Yield the progress of a request, and in the end that it is painted or has failed."""
        return self.run_next(lambda: request)

    def run_next(self, take: Callable[[], PaintRequest]) -> Iterator[Event]:
        """Do the same with the request that `take` returns.

        Requests are painted in the order in which they are taken; each is taken and opened while
        the one before it is painted.
        """
        with contextlib.ExitStack() as opening:
            opening.enter_context(self._opening)
            yield from self._events(take(), opening)

    def _events(self, request: PaintRequest, opening: contextlib.ExitStack) -> Iterator[Event]:
        try:
            yield from self._run(request, opening)
        except _InputError as error:
            yield Failed(request.number, str(error), error.culprit)
        except UserError as error:
            culprit = "all" if isinstance(error, NONE_CAN) else ""
            yield Failed(request.number, str(error), culprit, type(error))
        except Exception as error:
            yield Failed(request.number, sentence_of(error, request.settings.size))

    def _run(self, request: PaintRequest, opening: contextlib.ExitStack) -> Iterator[Event]:
        pictures = self._open(request)
        with self._turn:
            opening.close()  # not sooner: another thread would be here first
            for step, recipe in self._paint(request, pictures):
                yield _progress(request.number, step, recipe)
        data = finished_file(
            step.pixels,
            recipe,
            pictures.photo,
            [pictures.painting],
            pictures.masks,
            suffix=request.format.suffix,
            depth=request.format.depth,
            alpha=pictures.alpha,
        )
        costs = {name: getattr(step, name) for name in ("J", "content", "style", "smoothness")}
        yield Painted(
            request.number, data, step.width, step.height, step.iteration, costs, step.elapsed
        )

    def _open(self, request: PaintRequest) -> Pictures:
        """Return the pictures of a request. Raises `_InputError`, which says what is damaged."""
        photo, alpha = _opened(
            "photo",
            lambda data: split_alpha(load_image(data, keep_alpha=request.format.keep_alpha)),
            request.photo,
        )
        painting = _opened("painting", self._open_painting, request.painting)
        controls = request.controls
        mask, keep, within = (
            None if data is None else _opened("all", load_mask, data)
            for data in (controls.mask, controls.keep, controls.within)
        )
        init = None if controls.init is None else _opened("all", load_image, controls.init)
        masks = Masks((mask,) if mask else (), keep, (within,) if within else ())
        if request.protect_faces:
            masks = keep_faces(masks, photo)
        masks.check(photo, [painting], request.settings.uses(1))
        return Pictures(photo, alpha, painting, masks, init)

    def _paint(
        self, request: PaintRequest, pictures: Pictures
    ) -> Iterator[tuple[TransferStep, Recipe]]:
        """Yield each step with the recipe of its picture."""
        settings = request.settings
        network = load_network(settings, self._device)
        planned = PlannedRun(pictures.photo.size, [pictures.painting.size], settings)
        check_room(self._backend, planned)
        begin, recipe = None, _fresh_recipe(request, pictures)
        here = provenance_of(network.device, network.dtype)
        if request.checkpoint:
            before = read_recipe(request.checkpoint)
            begin = Moment(load_image(request.checkpoint), before.iterations)
            recipe = _continued(before, recipe, here)
        else:
            recipe = replace(recipe, provenance=(here,))
        steps = self._backend.engine()(
            pictures.photo,
            [pictures.painting],
            settings,
            masks=pictures.masks,
            init=pictures.init,
            begin=begin,
        )
        for step in steps:
            yield step, recipe.painted_until(len(recipe.passages), step.iteration)


def sentence_of(error: Exception, size: int) -> str:
    """Return what an error that is not for users says, in one line, of a run of so many pixels."""
    if has_run_out(error):
        make_room()
        return f"There was not enough memory for {size} px; a smaller --size may do."
    first = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {first}"


class _InputError(UserError):
    """A file of a request that cannot be used."""

    def __init__(self, sentence: str, culprit: str) -> None:
        super().__init__(sentence)
        self.culprit = culprit


def _opened(culprit: str, load: Callable[[bytes], Opened], data: bytes) -> Opened:
    try:
        return load(data)
    except UserError as error:
        raise _InputError(str(error), culprit) from None


def _progress(number: int, step: TransferStep, recipe: Recipe) -> Progress:
    checkpoint = None
    if step.iteration % CHECKPOINT_EVERY == 0 and 0 < step.iteration < step.total:
        checkpoint = png_bytes(step.image, {KEYWORD: recipe.to_text()}, compression=1)
    return Progress(
        number, step.iteration, step.total, step.J, step.elapsed, step.remaining, checkpoint
    )


def _fresh_recipe(request: PaintRequest, pictures: Pictures) -> Recipe:
    return new_recipe(
        pictures.photo,
        [pictures.painting],
        request.settings,
        "cpu",
        masks=pictures.masks,
        init=pictures.init,
    )


def _continued(before: Recipe, fresh: Recipe, here: Provenance) -> Recipe:
    """Return the recipe of a run that goes on from the picture of another, painted by `here`."""
    painters = list(before.provenance)
    if here not in painters:
        painters.append(here)
    passage = Passage(before.iterations, fresh.settings, (0,), painted_by=painters.index(here))
    return replace(
        before,
        passages=(*before.passages, passage),
        iterations=fresh.iterations,
        provenance=tuple(painters),
    )
