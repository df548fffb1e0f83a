"""The run: from a content picture and a style picture to one picture, coarse to fine.

`transfer_style` is a generator; pages, command lines and tests only iterate it. Knows nothing of
who watches, and prints nothing.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst.color import all_colors, dial_colors, has_color, is_grey, match_colors, to_grey
from nst.images import fit, to_image, to_tensor
from nst.minimization import Point, RunState, minimize
from nst.objective import Objective
from nst.optimizers import (
    FIRST_STEP,
    GENTLE_STEP,
    SMALLEST_STEP,
    Optimizer,
    long_history,
    make_optimizer,
)
from nst.progress import FINISH, FINISH_IN_FLOAT32, Progress
from nst.provenance import Provenance, provenance_of
from nst.settings import DEFAULTS, MOST_STYLES, TransferSettings
from nst.style import EASED, FULL, SLIGHT, Guidance
from nst.vgg import VGG
from nst.weights import load_weights

Engine = Callable[..., Iterator["TransferStep"]]  # with the signature of `transfer_style`

COARSEST = {"little": 320, "some": 160, "much": 80}  # pixels; by `restructure`
GUIDED_FROM = 20  # iterations
GUIDED_AGAIN_FROM = 40  # the same for a picture to go on from: it has more to lose by the detour
EASED_FROM = 20  # the same for a picture alone, to be eased and not just slightly guided
EXACT = 0.2  # of those at full size
COLORS_OF = 2**22  # pixels; of a larger painting every other one, and so on, tells its colours

borrowed = ""
"""A device that runs have in other processes only (`nst.zerogpu` knows), or none."""


@dataclass(frozen=True)
class TransferStep:
    """One reported moment of a run. All costs are those of `image`, the picture with the lowest J
    so far at its size.

    J = α · content + β · style + smoothness, in the units of Gatys' published weights; `layers`
    holds λ[l] · J_style[l]. The last step's costs are worked out afresh in float32; before, they
    are a by-product of the gradient, in the network's precision, and those of layers deeper than
    the content layer may be some iterations old: a few percent off. Costs at different picture
    sizes are near but not equal. Seconds count from the start of `transfer_style`, once the network
    is loaded.
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
    pixels: Tensor = field(repr=False, compare=False)  # (1, 3, H, W) RGB in [0, 1]
    smoothness: float = 0.0
    provenance: Provenance | None = field(default=None, repr=False, compare=False)  # what painted
    state: RunState | None = field(default=None, repr=False, compare=False)

    @property
    def moment(self) -> Moment:
        """Where a run can go on from, as if it had never stopped."""
        return Moment(self.image, self.iteration, self.state)

    @property
    def image(self) -> Image.Image:
        """The picture as it was painted, 8-bit RGB; converted when asked for. `dial_colors` makes
        of it what `settings.colors` asks for."""
        return to_image(self.pixels)

    @property
    def has_picture(self) -> bool:
        """Whether the pixels are there, and not only the figures."""
        return self.pixels.numel() > 0

    def without_pixels(self) -> TransferStep:
        """The figures alone, for keeping many steps in little memory."""
        return replace(self, pixels=self.pixels.new_empty(0), state=None)


@dataclass(frozen=True)
class Moment:
    """Where a run goes on from: an RGB picture, 8-bit so that a PNG holds all of it, and the number
    of iterations behind it; and what the optimiser has learned, where that is still known."""

    picture: Image.Image
    iteration: int
    state: RunState | None = field(default=None, repr=False, compare=False)

    @property
    def bytes(self) -> int:
        """The memory that it holds beside its picture, in bytes."""
        return self.state.bytes if self.state else 0


def transfer_style(
    content: Image.Image,
    styles: Image.Image | Sequence[Image.Image],
    settings: TransferSettings = DEFAULTS,
    *,
    begin: Moment | None = None,
    device: str = "auto",
    network: VGG | None = None,
) -> Iterator[TransferStep]:
    """Optimise the pixels of a picture with the scene of `content` in the manner of `styles`.

    Yields a `TransferStep` for the starting picture and after each of `settings.iterations`
    iterations; the last one has the finished picture. Closing the generator ends the run at once.
    With several styles their Gram matrices are averaged. `device` is auto, cpu, cuda or mps;
    `network` replaces VGG-19 (the tests pass a tiny one).

    With `begin` the run goes on from that picture: the first step is the picture itself under the
    present settings, which may be other ones than before, and the count of iterations goes on. So
    an edit in the middle of a run, more iterations and a larger size are one and the same. A
    `begin` with a state, as `step.moment` has it, goes on where the optimiser stood, as long as the
    pictures are the very same objects and the size has not changed; where weights were changed, it
    keeps the curvature that still holds.

    Raises:
        ValueError: for an unknown device, no style or more than `MOST_STYLES`.
        WeightsError: when the network's parameters cannot be had.
        NumericalError: when a target or the cost of the starting picture is not a finite number.
        MemoryError, torch.OutOfMemoryError, RuntimeError: when memory runs out, as torch says it.
    """
    paintings = _as_list(styles)
    if not paintings:
        raise ValueError("at least one style picture is needed")
    if len(paintings) > MOST_STYLES:
        raise ValueError(f"at most {MOST_STYLES} style pictures can be used, not {len(paintings)}")
    originals = (content, *paintings)
    content, paintings, begin = _without_color_noise(content, paintings, begin)
    network = network or load_network(settings, device)
    if begin and begin.state and not begin.state.fits(originals, settings):
        begin = replace(begin, state=None)
    scales = plan_scales(settings, begin)
    progress = Progress(
        scales,
        begin.iteration if begin else 0,
        finish=FINISH if network.dtype == torch.float32 else FINISH_IN_FLOAT32,
    )
    provenance = provenance_of(network.device, network.dtype)
    change: Tensor | None = None  # what was made so far of the picture that a run starts from
    for scale in scales:
        photo = to_tensor(fit(content, scale.size)).to(network.device)
        side = style_side(scale, settings)
        pictures = [to_tensor(fit(painting, side)).to(network.device) for painting in paintings]
        if begin and change is None:
            change = _change_since_start(begin.picture, content, pictures, settings)
        fresh = starting_picture(photo, pictures, settings)
        base = fresh if _keeps_detail(settings) else torch.zeros_like(fresh)
        image = fresh if change is None else enlarge(change, onto=base)
        objective = Objective(network, photo, pictures, settings)
        shown: Point | None = None
        progress.begin(scale)
        for guidance, iterations in scale.phases:
            objective.guidance = guidance
            start, optimizer, backtracking = _set_out(
                objective, image, begin, is_first=progress.is_fresh
            )
            if begin and begin.state and start is begin.state.point:
                shown = begin.state.best
            steps = minimize(objective, start, optimizer, iterations, backtracking=backtracking)
            for done, iterate in enumerate(steps):
                seen = filter(None, (shown, iterate.best, iterate.point))
                best = shown = min(seen, key=_cost_or_infinity)
                is_news = done > 0 or progress.is_fresh  # a phase begins where one ended
                progress.count(scale, reported=is_news)
                if progress.is_over:
                    exact = Objective(network.in_float32, photo, pictures, settings)
                    costs = exact.costs(best.image)
                    best = replace(best, costs=costs) if math.isfinite(costs.J) else best
                if is_news:
                    reached = RunState(
                        originals, settings, guidance, optimizer.copy(), iterate.point, shown
                    )
                    yield _report(progress, best, reached, provenance)
                image = iterate.best.image
        change = image - base


def _set_out(
    objective: Objective, image: Tensor, begin: Moment | None, *, is_first: bool
) -> tuple[Tensor | Point, Optimizer, bool]:
    """Return where a phase starts, its optimiser, and whether its first step needs backtracking.

    Only the first phase of a run goes on from `begin`.
    """
    is_monotone = objective.settings.optimizer != "adam"  # Adam's steps often raise what they lower
    goes_on = is_first and begin is not None
    state = begin.state if begin and goes_on else None
    if state and state.point.image.shape == image.shape:
        optimizer = state.optimizer.copy(long_history(image))
        start, is_changed = state.resume(objective, optimizer)
        return start, optimizer, is_changed and is_monotone
    # What an optimiser has learned holds for one objective only.
    is_finish = objective.guidance is None and not is_first
    first_step = GENTLE_STEP if is_finish or begin else FIRST_STEP
    optimizer = make_optimizer(
        objective.settings.optimizer, first_step=SMALLEST_STEP if goes_on else first_step
    )
    return image, optimizer, is_monotone and goes_on


def _as_list(styles: Image.Image | Sequence[Image.Image]) -> list[Image.Image]:
    return [styles] if isinstance(styles, Image.Image) else list(styles)


def _cost_or_infinity(point: Point) -> float:
    return point.costs.J if math.isfinite(point.costs.J) else math.inf


def stylize(
    content: Image.Image,
    styles: Image.Image | Sequence[Image.Image],
    settings: TransferSettings = DEFAULTS,
    *,
    device: str = "auto",
) -> Image.Image:
    """Run `transfer_style` to its end and return the finished RGB picture, its colours dialled.

    Raises what `transfer_style` does.
    """
    for step in transfer_style(content, styles, settings, device=device):
        last = step  # only one step's pixels are kept at a time
    return dial_colors(last.image, content, _as_list(styles), settings.colors)


Phase = tuple[Guidance | None, int]  # what guides the gradient, and the iterations under it


@dataclass(frozen=True)
class Scale:
    """One stage of a run: the longest side in pixels, and its phases in their order, at least
    one."""

    size: int
    phases: tuple[Phase, ...]

    @property
    def guided(self) -> int:
        """Iterations along a guided gradient."""
        return sum(iterations for guidance, iterations in self.phases if guidance)

    @property
    def exact(self) -> int:
        """Iterations on J itself."""
        return self.iterations - self.guided

    @property
    def iterations(self) -> int:
        return sum(iterations for _, iterations in self.phases)

    @property
    def work(self) -> int:
        """In pixels evaluated, the starting picture of each phase included; the aspect ratio, the
        same at every scale, is left out."""
        return self.size**2 * (self.iterations + len(self.phases))


def style_side(scale: Scale, settings: TransferSettings) -> int:
    """The longest side of the paintings at `scale`, in pixels."""
    return round(scale.size * settings.style_scale)


def plan_scales(settings: TransferSettings, begin: Moment | None = None) -> list[Scale]:
    """The stages from coarse to fine: sizes halved while they are not below `COARSEST`, an eighth
    of the iterations at each of the coarser ones, and the last few on J itself. The guide mends
    curvature for L-BFGS; Adam and runs too short to come back from the detour stay on J.

    From a picture to `begin` with, the same for the iterations that are left, and never coarser
    than that picture; when none are left, it is only brought to its size. Where its state is known,
    the phase goes on, or an eased one follows when it was over: J must not rise again."""
    done, reached = (begin.iteration, max(begin.picture.size)) if begin else (0, 0)
    left = max(0, settings.iterations - done)
    each = left // 8
    coarsest = max(COARSEST[settings.restructure], reached)
    coarser: list[int] = []
    while each and (half := [*coarser, settings.size][0] / 2) >= coarsest:
        coarser.insert(0, round(half))
    finest = left - each * len(coarser)
    if settings.optimizer == "adam" or not left:
        return [*(Scale(size, ((None, each),)) for size in coarser),
                Scale(settings.size, ((None, finest),))]  # fmt: skip
    first = _guidance(left, begin)
    exact = 0
    if first == FULL:  # of a run that was interrupted, the share of the whole
        whole = settings.iterations if begin and begin.state else finest
        exact = min(max(1, round(whole * EXACT)), finest)
    phases: list[Phase] = [(first, finest - exact), (None, exact)]
    return [
        *(Scale(size, ((first, each),)) for size in coarser),
        Scale(settings.size, tuple(phase for phase in phases if phase[1])),
    ]


def _guidance(left: int, begin: Moment | None) -> Guidance | None:
    """Return what guides the gradient of L-BFGS at first, for so many iterations."""
    if begin is None:
        return FULL if left >= GUIDED_FROM else None
    if begin.state:
        return FULL if begin.state.guidance == FULL else EASED
    if left >= GUIDED_AGAIN_FROM:
        return FULL
    return EASED if left >= EASED_FROM else SLIGHT


def starting_picture(
    photo: Tensor, paintings: Sequence[Tensor], settings: TransferSettings
) -> Tensor:
    """The picture that the first iteration sees, shaped like `photo`."""
    if settings.start == "content":
        return photo
    if settings.start == "recolored":
        return match_colors(photo, all_colors(list(map(_thinned, paintings))))
    generator = torch.Generator().manual_seed(settings.seed)  # on the CPU: alike on all devices
    noise = torch.rand(photo.shape, generator=generator).to(photo.device)
    if all(map(is_grey, [photo, *paintings])):
        return noise[:, :1].repeat(1, 3, 1, 1)
    return noise


def _thinned(painting: Tensor) -> Tensor:
    """Return every n-th row and column, for the colours of a picture that is very large."""
    every = math.ceil(math.sqrt(painting[0, 0].numel() / COLORS_OF))
    return painting[..., ::every, ::every]


def _without_color_noise(
    content: Image.Image, paintings: Sequence[Image.Image], begin: Moment | None
) -> tuple[Image.Image, list[Image.Image], Moment | None]:
    """Return what a run works on: pictures with nothing but colour noise in pure grey, and where
    all are grey, the picture to go on from as well. `Objective` then has no gradient in colour."""
    pictures = [content, *paintings]
    colored = [has_color(picture) for picture in pictures]
    content, *paintings = (
        picture if color else to_grey(picture)
        for picture, color in zip(pictures, colored, strict=True)
    )
    if begin and not any(colored):
        begin = replace(begin, picture=to_grey(begin.picture))
    return content, paintings, begin


def _keeps_detail(settings: TransferSettings) -> bool:
    """Whether the photo's own detail is taken from the larger photo when a run moves up a scale,
    or enlarged with the rest. Noise has none to keep."""
    return settings.restructure != "much" and settings.start != "noise"


def _change_since_start(
    picture: Image.Image,
    content: Image.Image,
    paintings: Sequence[Tensor],
    settings: TransferSettings,
) -> Tensor:
    """What distinguishes `picture` from what a run would start from at its size; a picture larger
    than the run will be is reduced first."""
    picture = fit(picture, min(max(picture.size), settings.size))
    painted = to_tensor(picture).to(paintings[0].device)
    if not _keeps_detail(settings):
        return painted
    photo = content.resize(picture.size, Image.Resampling.LANCZOS)
    return painted - starting_picture(to_tensor(photo).to(painted), paintings, settings)


def enlarge(change: Tensor, *, onto: Tensor) -> Tensor:
    """`onto` plus `change` resampled to its height and width, inside [0, 1]."""
    size = onto.shape[-2:]
    larger = F.interpolate(change, size, mode="bicubic", align_corners=False)
    return (onto + larger).clamp(0, 1)


def pick_device(name: str = "auto") -> torch.device:
    """The best device there is, but for a borrowed one, or the one named. Raises `ValueError` when
    it is not there."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        there = (device for device, is_there in available.items() if is_there)
        return torch.device(next(device for device in there if device != borrowed))
    if name not in available:
        raise ValueError(f"device must be one of auto, {', '.join(available)}, not {name!r}")
    if not available[name]:
        raise ValueError(f"this machine has no {name} device")
    return torch.device(name)


def load_network(settings: TransferSettings = DEFAULTS, device: str = "auto") -> VGG:
    """VGG-19 as the settings want it, kept for the next run."""
    where = pick_device(device)
    dtype = pick_dtype(settings.precision, where)
    load_weights(settings.weights)  # first: they may have to be fetched
    with _building:
        return _cached_network(settings.weights, settings.pooling, where, dtype)


_building = threading.RLock()  # or a crowd would build as many as there are callers


def _after_fork() -> None:
    """Whoever was building it in the parent is not here."""
    global _building
    _building = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.lru_cache(maxsize=4)
def _cached_network(weights: str, pooling: str, device: torch.device, dtype: torch.dtype) -> VGG:
    network = VGG(load_weights(weights), pooling=pooling, device=device, dtype=dtype)
    if device.type == borrowed:
        network.lay_out()  # nothing can be computed there
    else:
        network.warm_up()
    return network


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it faster than float32; sums stay in float32."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    has_bfloat16 = {"cuda": _cuda_has_bfloat16, "cpu": _cpu_has_bfloat16}
    fast = has_bfloat16.get(device.type, lambda: False)()
    return torch.bfloat16 if fast else torch.float32


def _cuda_has_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_has_bfloat16() -> bool:
    """Whether the processor has AMX or AVX512-BF16; older torch cannot tell, so no."""
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _report(
    progress: Progress, best: Point, state: RunState, provenance: Provenance
) -> TransferStep:
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
        pixels=best.image,
        provenance=provenance,
        state=state,
    )
