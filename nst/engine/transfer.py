"""The run: from a content picture and a style picture to one picture, coarse to fine.

`transfer_style` is a generator; pages, command lines and tests only iterate it. Knows nothing of
who watches, and prints nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from nst.engine import devices
from nst.engine.color_transfer import Finish, transfer_colors
from nst.engine.inputs import Inputs, Sources
from nst.engine.kept_photo import KeptPhoto
from nst.engine.memory import TILED_TIME
from nst.engine.minimization import CostFunction, DistantState, Point, RunState, minimize
from nst.engine.objective import make_room
from nst.engine.optimizers import (
    FIRST_STEP,
    GENTLE_STEP,
    SMALLEST_STEP,
    Optimizer,
    history_of,
    long_history,
    make_optimizer,
)
from nst.engine.progress import Progress, finish_of
from nst.engine.regions import Regions
from nst.engine.schedule import Moment, Scale, plan_scales
from nst.engine.seamless import keep_mask, without_seam
from nst.engine.settling import first_near, settled
from nst.engine.sharded_objective import Settling, ShardedObjective, minimize_sharded, sharded
from nst.engine.sharding import LatestCopy, ShardedPicture
from nst.engine.spread_objective import can_be_spread, provenance_of_worker
from nst.engine.starting_picture import enlarge, without_color_noise
from nst.engine.tile_map import LostValueError, TileMap
from nst.images.color import dial_colors
from nst.images.masks import Masks
from nst.images.tensors import to_image
from nst.images.transforms import seen_parts, transformed
from nst.provenance import Provenance, provenance_of
from nst.settings import DEFAULTS, MOST_STYLES, TransferSettings
from nst.vgg.network import VGG

Engine = Callable[..., Iterator["TransferStep"]]  # with the signature of `transfer_style`


class DeferredPixels:
    """The field of a step's pixels: a tensor, or what fetches it when it is first asked for."""

    def __get__(self, step: object | None, owner: type) -> Any:
        if step is None:
            return self  # the class is asked for its default
        held = step.__dict__["pixels"]
        if callable(held):
            held = step.__dict__["pixels"] = held()
        return held

    def __set__(self, step: object, pixels: Tensor | Callable[[], Tensor]) -> None:
        step.__dict__["pixels"] = pixels


@dataclass(frozen=True)
class TransferStep:
    """One reported moment of a run.

    All costs are those of `image`, the picture with the lowest J so far at its size; where a stage
    is held at the base size (`nst.engine.base_term`), with the lowest J and term of the base size.

    J = α · content + β · style + smoothness, in the units of Gatys' published weights; `layers`
    holds λ[l] · J_style[l]. The last step's costs are worked out afresh in float32; before, they
    are a by-product of the gradient, in the network's precision, and those of layers deeper than
    the content layer may be some iterations old: a few percent off. Costs at different picture
    sizes are near but not equal. Seconds count from the start of `transfer_style`, once the network
    is loaded. Where luminance alone is painted, costs are those of the luminance.
    """

    iteration: int  # 0 is the picture that the run starts from
    total: int
    width: int  # of the current scale, in pixels
    height: int
    J: float
    content: float
    style: float
    layers: dict[str, float]
    elapsed: float
    remaining: float  # estimated seconds until the end
    pixels: Tensor = field(  # (1, 3, H, W) RGB in [0, 1]
        default=cast("Tensor", DeferredPixels()), repr=False, compare=False
    )
    smoothness: float = 0.0
    provenance: Provenance | None = field(default=None, repr=False, compare=False)  # what painted
    state: RunState | DistantState | None = field(default=None, repr=False, compare=False)

    @property
    def moment(self) -> Moment:
        """Return where a run can go on from, as if it had never stopped."""
        return Moment(self.image, self.iteration, self.state)

    @property
    def image(self) -> Image.Image:
        """Return the picture as it was painted, 8-bit RGB; it is converted when asked for.

        `dial_colors` makes of it what `settings.colors` asks for.
        """
        return to_image(self.pixels)

    @property
    def has_picture(self) -> bool:
        """Tell whether the pixels are there, and not only the figures."""
        held = self.__dict__["pixels"]  # which may be elsewhere, and stays there
        return callable(held) or held.numel() > 0

    def without_pixels(self) -> TransferStep:
        """Return the figures alone, for keeping many steps in little memory."""
        return TransferStep(**{**self.__dict__, "pixels": torch.empty(0), "state": None})


def transfer_style(
    content: Image.Image,
    styles: Image.Image | Sequence[Image.Image],
    settings: TransferSettings = DEFAULTS,
    *,
    masks: Masks | None = None,
    init: Image.Image | None = None,
    begin: Moment | None = None,
    device: str = "auto",
    network: VGG | None = None,
    tile_map: TileMap | None = None,
) -> Iterator[TransferStep]:
    """Optimise the pixels of a picture with the scene of `content` in the manner of `styles`.

    Yields a `TransferStep` for the starting picture and after each of `settings.iterations`
    iterations; the last one has the finished picture. Closing the generator ends the run at once.
    With several styles their Gram matrices are averaged, by the weights in `settings.paintings`.
    `masks` say where each of them rules and what of the photo is left as it is. `init` is an RGB
    picture to start from instead of what `settings.start` says; it fills the photo's frame.
    `device` is one of `DEVICES`; `network` replaces VGG-19 (the tests pass a tiny one).
    With a `tile_map` pictures above 1024 × 1024 pixels go in tiles, which it has evaluated wherever
    it likes; those with other style costs than that of Gram matrices are left to this process.

    With `begin` the run goes on from that picture: the first step is the picture itself under the
    present settings, which may be other ones than before, and the count of iterations goes on. So
    an edit in the middle of a run, more iterations and a larger size are one and the same. A
    `begin` with a state, as `step.moment` has it, goes on where the optimiser stood, as long as the
    pictures and `masks` are the very same objects and the size has not changed; where weights were
    changed, it keeps the curvature that still holds.

    Raises:
        ValueError: for an unknown device, no style or more than `MOST_STYLES`.
        ImageError: for masks that do not go with the pictures.
        SettingsError: when all paintings have weight 0.
        WeightsError: when the network's parameters cannot be had.
        NumericalError: when a target or the cost of the starting picture is not a finite number.
        MemoryError, torch.OutOfMemoryError, RuntimeError: when memory runs out, as torch says it.
    """
    paintings = checked_paintings(styles)
    masks = masks or Masks()
    uses = settings.uses(len(paintings))
    masks.check(content, paintings, uses)
    Regions(uses)  # raises for weights that are all 0
    network = network or devices.load_network(settings, device)
    originals = (content, *paintings, *masks.listed(len(paintings)))
    state = _state_of(begin)
    if begin and not (state and state.fits(originals, settings)):
        begin = replace(begin, state=None)
    sources, begin, finish = _prepared(content, paintings, masks, settings, network, begin, init)
    sources = replace(sources, tile_map=tile_map)
    scales = plan_scales(settings, begin)
    tiles = sources.tile_sides(scales)
    progress = Progress(
        scales,
        begin.iteration if begin else 0,
        finish=finish_of(network.dtype),
        overhead=lambda stage: TILED_TIME if tiles[stage.size] else 1.0,
    )
    provenance = _provenance(network, settings, tile_map if tiles[scales[-1].size] else None)
    base: Tensor | None
    change: Tensor | None = None  # what was made so far of the picture that a run starts from
    for scale in scales:
        is_last = scale is scales[-1]
        tile = tiles[scale.size]
        if tile:
            make_room()
        inputs = sources.at(scale.size, tile)
        if begin and change is None:
            change = sources.change_since_start(begin.picture, inputs)
        image, base = _first_picture(sources, inputs, change)
        objective = sources.cost_function(scale, inputs)
        base = None if is_last else base
        progress.begin(scale)
        shown = _finished(inputs.kept, finish)
        elsewhere = sharded(objective, settings.optimizer)
        copy = elsewhere.copy if elsewhere else LatestCopy(network.device)
        if elsewhere:
            stage = _improved_elsewhere(elsewhere, image, begin, scale, progress)
        else:
            stage = _improved(objective, image, begin, scale, progress, None if tile else originals)
        del (
            inputs,
            image,
            elsewhere,
        )  # a very large picture leaves no room for what is not needed any more
        for best, state, latest in stage:  # noqa: B007
            if not progress.is_over:
                yield _report(progress, best, state, provenance, shown, copy)
        if base is not None:
            change = copy.release(latest) - base
            del objective, best, state, latest  # as above
    exact = sources.in_float32(objective, scale, tile)
    del objective  # as above
    last = _with_exact_costs(replace(best, image=copy.release(best.image)), exact)
    yield _report(progress, last, state, provenance, shown, copy)


def _provenance(network: VGG, settings: TransferSettings, tile_map: TileMap | None) -> Provenance:
    """Return the provenance of a picture: that of a worker where its full size is spread."""
    if tile_map and can_be_spread(settings):
        (provenance,) = tile_map.map(provenance_of_worker, [(tile_map.device, network.dtype)])
        return provenance
    return provenance_of(network.device, network.dtype)


def _improved(
    objective: CostFunction,
    image: Tensor,
    begin: Moment | None,
    scale: Scale,
    progress: Progress,
    pictures: Sequence[Image.Image | None] | None,
) -> Iterator[tuple[Point[Any], RunState | None, Any]]:
    """Yield what a stage makes of a picture: the best so far, a state, and the lowest goal's image.

    Counts the evaluations. A phase begins where one ended: only the first of a run says so. States
    are of `pictures`; without them there are none, as very large pictures leave no room for one.
    """
    settings, shown = objective.settings, None
    known = _state_of(begin)
    for guidance, iterations in scale.phases:
        objective.guidance, is_first = guidance, progress.is_fresh
        settles = scale.settling and guidance is None
        if settles:
            if is_first and known and known.best.image.shape == image.shape:
                shown, image = known.best, known.best.image
            is_first = False
        start, optimizer = _set_out(objective, image, begin, is_first=is_first)
        if settles and shown:
            progress.count_beside(scale.base**2 * scale.settled)
            cost = _cost_or_infinity(shown)
            changed = first_near(
                settled(objective, image, scale.settling), objective, optimizer, cost
            )
            start = changed or start
            del changed
        if known and start is known.point:
            shown = known.best
        goes_on = pictures is not None
        steps = minimize(objective, start, optimizer, iterations, goes_on=goes_on)
        del start, image  # as above
        is_begun = False  # `enumerate` would keep the iterate before
        for iterate in steps:
            seen = filter(None, (shown, iterate.best, iterate.point))
            shown = min(seen, key=_cost_or_infinity)
            is_news = is_begun or progress.is_fresh
            is_begun = True
            progress.count(scale, reported=is_news)
            image = iterate.best.image
            state = None
            if pictures is None:
                shown = shown.without_gradient()
            elif is_news:
                learned = (guidance, optimizer.copy(), iterate.point, shown)
                state = RunState(pictures, settings, *learned)
                del learned
            del iterate  # as above
            if is_news:
                yield shown, state, image
        del steps, optimizer  # as above


def _improved_elsewhere(
    objective: ShardedObjective,
    image: Tensor,
    begin: Moment | None,
    scale: Scale,
    progress: Progress,
) -> Iterator[tuple[Point[Any], RunState | None, Any]]:
    """Yield what `_improved` does, of a picture whose tiles are kept by workers."""
    shown: Point[ShardedPicture] | None = None
    at: Tensor | ShardedPicture = image
    del image  # as above
    for guidance, iterations in scale.phases:
        objective.guidance, is_first = guidance, progress.is_fresh
        settling = scale.settling if guidance is None else 0
        first_step = _first_step(objective, begin, is_first=is_first and not settling)
        if not (settling and shown):
            steps = minimize_sharded(objective, at, first_step, iterations)
        else:
            progress.count_beside(scale.base**2 * scale.settled)
            wanted = Settling(settling, _cost_or_infinity(shown))
            steps = minimize_sharded(objective, at, first_step, iterations, wanted)
        for done, iterate in enumerate(steps):
            seen = (None if iterate.is_anew else shown, iterate.best, iterate.point)
            shown = min(filter(None, seen), key=_cost_or_infinity)
            is_news = done > 0 or progress.is_fresh
            progress.count(scale, reported=is_news)
            at = iterate.best.image
            if is_news:
                yield shown, None, at


def _state_of(begin: Moment | None) -> RunState | None:
    """Return the state to go on from, where it is in this process."""
    return begin.state if begin and isinstance(begin.state, RunState) else None


def _first_picture(
    sources: Sources, inputs: Inputs, change: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the picture that a stage starts from, and the one that it is a change of."""
    fresh = inputs.starting_picture(sources.settings)
    base = fresh if sources.keeps_detail else torch.zeros_like(fresh)
    if change is None:
        return fresh, base
    return enlarge(change, onto=base, is_seamless=sources.settings.is_seamless), base


def _set_out(
    objective: CostFunction, image: Tensor, begin: Moment | None, *, is_first: bool
) -> tuple[Tensor | Point, Optimizer]:
    """Return where a phase starts, and its optimiser.

    Only the first phase of a run goes on from `begin`.
    """
    goes_on = is_first and begin is not None
    state = _state_of(begin) if goes_on else None
    if state and state.point.image.shape == image.shape:
        optimizer = state.optimizer.copy(long_history(image))
        return state.resume(objective, optimizer), optimizer
    # What an optimiser has learned holds for one objective only.
    optimizer = make_optimizer(
        objective.settings.optimizer,
        first_step=_first_step(objective, begin, is_first=is_first),
        history=history_of(image),
    )
    return image, optimizer


def _first_step(objective: CostFunction[Any], begin: Moment | None, *, is_first: bool) -> float:
    """Return the root mean square of the first change of the pixels in a phase."""
    if is_first and begin is not None:
        return SMALLEST_STEP
    is_finish = objective.guidance is None and not is_first
    return GENTLE_STEP if is_finish or begin else FIRST_STEP


def _prepared(
    content: Image.Image,
    paintings: Sequence[Image.Image],
    masks: Masks,
    settings: TransferSettings,
    network: VGG,
    begin: Moment | None,
    init: Image.Image | None,
) -> tuple[Sources, Moment | None, Finish]:
    """Return what a run works on, the moment that it goes on from, and what finishes its pictures.

    Paintings are cropped and turned, colour noise is taken off, seamless photos pass into
    themselves, and colours are transferred, in this order.
    """
    original, start = content, begin.picture if begin else None
    paintings, masks = transformed_paintings(paintings, masks, settings)
    content, paintings, (start, init) = without_color_noise(
        content, paintings, settings, start, init
    )
    if settings.is_seamless:
        content, original = without_seam(content), without_seam(original)
    content, paintings, (start, init), finish = transfer_colors(
        content, paintings, masks.within, settings, start, init
    )
    if settings.is_luminance_only:
        original = content  # its chroma is put back with that of the rest
    if begin and start:
        begin = replace(begin, picture=start)
    return Sources(content, paintings, settings, network, masks, init, original), begin, finish


def transformed_paintings(
    paintings: Sequence[Image.Image], masks: Masks, settings: TransferSettings
) -> tuple[list[Image.Image], Masks]:
    """Return the paintings cropped, mirrored and rotated as they are used; their masks alike."""
    uses = settings.uses(len(paintings))
    within = [
        mask and transformed(mask, use) for mask, use in zip(masks.within, uses, strict=False)
    ]
    turned = [transformed(each, use) for each, use in zip(paintings, uses, strict=True)]
    return turned, replace(masks, within=tuple(within)) if masks else masks


def as_list(styles: Image.Image | Sequence[Image.Image]) -> list[Image.Image]:
    """Return one painting as a list of one, and several as a list."""
    return [styles] if isinstance(styles, Image.Image) else list(styles)


def checked_paintings(styles: Image.Image | Sequence[Image.Image]) -> list[Image.Image]:
    """Return the paintings of a run as a list.

    Raises `ValueError` for none, or more than `MOST_STYLES`.
    """
    paintings = as_list(styles)
    if not paintings:
        raise ValueError("at least one style picture is needed")
    if len(paintings) > MOST_STYLES:
        raise ValueError(f"at most {MOST_STYLES} style pictures can be used, not {len(paintings)}")
    return paintings


def _with_exact_costs(point: Point, exact: CostFunction) -> Point:
    """Return a point with its costs by another objective, unless these cannot be had."""
    try:
        costs = exact.costs(point.image)
    except LostValueError:
        return point
    return replace(point, costs=costs) if math.isfinite(costs.J) else point


def _cost_or_infinity(point: Point[Any]) -> float:
    cost = point.costs.J + point.costs.base
    return cost if math.isfinite(cost) else math.inf


def stylize(
    content: Image.Image,
    styles: Image.Image | Sequence[Image.Image],
    settings: TransferSettings = DEFAULTS,
    *,
    masks: Masks | None = None,
    init: Image.Image | None = None,
    device: str = "auto",
) -> Image.Image:
    """Run `transfer_style` to its end and return the finished RGB picture, its colours dialled.

    Raises what `transfer_style` does.
    """
    steps = transfer_style(content, styles, settings, masks=masks, init=init, device=device)
    for step in steps:
        last = step  # only one step's pixels are kept at a time
    used = seen_parts(as_list(styles), settings, masks.within if masks else ())
    keep = keep_mask(masks, content, settings)
    return dial_colors(last.image, content, used, settings.colors, keep=keep)


def _finished(kept: KeptPhoto | None, finish: Finish) -> Finish:
    """Return what makes of an optimised picture the one that is delivered."""
    return (lambda pixels: finish(kept.compose(pixels))) if kept else finish


def _report(
    progress: Progress,
    best: Point[Any],
    state: RunState | None,
    provenance: Provenance,
    shown: Finish,
    copy: LatestCopy,
) -> TransferStep:
    def fetch() -> Tensor:
        return shown(copy.fetch(best.image))

    is_here = isinstance(best.image, Tensor)
    return TransferStep(
        iteration=progress.iteration,
        total=progress.total,
        width=best.image.shape[-1],
        height=best.image.shape[-2],
        J=best.costs.J,
        content=best.costs.content,
        style=best.costs.style,
        layers=best.costs.layers,
        smoothness=best.costs.smoothness,
        elapsed=progress.elapsed,
        remaining=progress.remaining,
        pixels=fetch() if is_here else cast("Tensor", fetch),
        provenance=provenance,
        state=state,
    )
