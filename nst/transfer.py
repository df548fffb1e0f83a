"""The run: from a content picture and a style picture to one picture, coarse to fine.

`transfer_style` is a generator; pages, command lines and tests only iterate it. Knows nothing of
who watches, and prints nothing.
"""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst.color import all_colors, dial_colors, has_color, is_grey, match_colors, to_grey
from nst.images import fit, to_image, to_tensor
from nst.objective import Costs, Objective
from nst.optimizers import Optimizer, make_optimizer
from nst.settings import DEFAULTS, TransferSettings
from nst.vgg import VGG
from nst.weights import load_weights

Engine = Callable[..., Iterator["TransferStep"]]  # with the signature of `transfer_style`

COARSEST = {"little": 320, "some": 160, "much": 80}  # pixels; by `restructure`
BLOW_UP = 2.0  # a step that raises the goal beyond this multiple of the best is taken back
GUIDED_FROM = 20  # iterations
GUIDED_AGAIN_FROM = 40  # the same for a picture to go on from: it has more to lose by the detour
EXACT = 0.2  # of those at full size
COLORS_OF = 2**22  # pixels; of a larger painting every other one, and so on, tells its colours

borrowed = ""
"""A device that runs have in other processes only (`nst.zerogpu` knows), or none."""


@dataclass(frozen=True)
class TransferStep:
    """One reported moment of a run. All costs are those of `image`, the best picture so far (by
    the surrogate that is descended, while the gradient is guided).

    J = α · content + β · style (+ smoothness), in the units of Gatys' published weights; `layers`
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
        return replace(self, pixels=self.pixels.new_empty(0))


@dataclass(frozen=True)
class Moment:
    """Where a run goes on from: an RGB picture, 8-bit so that a PNG holds all of it, and the number
    of iterations behind it."""

    picture: Image.Image
    iteration: int


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
    present settings, which may be other ones than before, and the count of iterations goes on. The
    optimiser starts afresh; targets are remembered. So an edit in the middle of a run, more
    iterations and a larger size are one and the same.

    Raises `ValueError` for an unknown device or no style, `WeightsError` when the network's
    parameters cannot be had.
    """
    paintings = [styles] if isinstance(styles, Image.Image) else list(styles)
    if not paintings:
        raise ValueError("at least one style picture is needed")
    content, paintings, begin = _without_color_noise(content, paintings, begin)
    network = network or load_network(settings, device)
    scales = plan_scales(settings, begin)
    progress = _Progress(scales, begin.iteration if begin else 0)
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
        for guided, iterations in scale.phases:
            objective.guided = guided
            # What an optimiser has learned holds for one objective only.
            is_finish = scale.guided > 0 and not guided
            optimizer = make_optimizer(settings.optimizer, gentle=is_finish or begin is not None)
            for done, best in enumerate(minimize(objective, image, optimizer, iterations)):
                is_news = done > 0 or progress.is_fresh  # a phase begins where one ended
                progress.count(scale, reported=is_news)
                if progress.is_over:
                    exact = Objective(network.in_float32, photo, pictures, settings)
                    costs = exact.costs(best.image)
                    best = replace(best, costs=costs) if math.isfinite(costs.J) else best
                if is_news:
                    yield progress.report(best)
                image = best.image
        change = image - base


def stylize(
    content: Image.Image,
    styles: Image.Image | Sequence[Image.Image],
    settings: TransferSettings = DEFAULTS,
    *,
    device: str = "auto",
) -> Image.Image:
    """Run `transfer_style` to its end and return the finished RGB picture, its colours dialled."""
    for step in transfer_style(content, styles, settings, device=device):
        last = step  # only one step's pixels are kept at a time
    paintings = [styles] if isinstance(styles, Image.Image) else list(styles)
    return dial_colors(last.image, content, paintings, settings.colors)


@dataclass(frozen=True)
class Scale:
    """One stage of a run: the longest side in pixels and the iterations spent there, first along
    the guided gradient and then on J itself."""

    size: int
    guided: int
    exact: int

    @property
    def iterations(self) -> int:
        return self.guided + self.exact

    @property
    def phases(self) -> list[tuple[bool, int]]:
        """(whether the gradient is guided, iterations), in their order; at least one."""
        guided = [(True, self.guided)] if self.guided else []
        return guided + ([(False, self.exact)] if self.exact or not guided else [])

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
    than that picture; when none are left, it is only brought to its size."""
    done, reached = (begin.iteration, max(begin.picture.size)) if begin else (0, 0)
    left = max(0, settings.iterations - done)
    each = left // 8
    coarsest = max(COARSEST[settings.restructure], reached)
    coarser: list[int] = []
    while each and (half := [*coarser, settings.size][0] / 2) >= coarsest:
        coarser.insert(0, round(half))
    finest = left - each * len(coarser)
    enough = GUIDED_AGAIN_FROM if begin else GUIDED_FROM
    if settings.optimizer == "adam" or left < enough:
        return [*(Scale(size, 0, each) for size in coarser), Scale(settings.size, 0, finest)]
    exact = max(1, round(finest * EXACT))
    return [
        *(Scale(size, each, 0) for size in coarser),
        Scale(settings.size, finest - exact, exact),
    ]


@dataclass(frozen=True)
class Point:
    """A picture that was evaluated, with its costs and gradient; tensors are (1, 3, H, W)."""

    image: Tensor
    costs: Costs
    gradient: Tensor

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.costs.J + self.costs.goal) and bool(
            self.gradient.isfinite().all()
        )


def minimize(
    objective: Objective, image: Tensor, optimizer: Optimizer, iterations: int
) -> Iterator[Point]:
    """Yield the best point so far, by the objective's goal: the start, then after each iteration.

    A step to something that is not a number, or far above the best, is taken back: the optimiser
    forgets its curvature and goes on from the best point with half the step.
    """
    best = point = Point(image, *objective.evaluate(image))
    if not best.is_finite:
        raise FloatingPointError("The cost of the starting picture is not a finite number.")
    yield best
    for _ in range(iterations):
        image = optimizer.step(point.image, point.gradient)
        point = Point(image, *objective.evaluate(image))
        if not point.is_finite or point.costs.goal > BLOW_UP * best.costs.goal:
            optimizer.restart()
            objective.forget()
            point = best
        elif point.costs.goal < best.costs.goal:
            best = point
        yield best


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


def run_device() -> str:
    """The name of the device that runs are painted on: the best there is, or a borrowed one."""
    return borrowed or pick_device().type


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


class _Progress:
    """Counts iterations and the work behind them, and knows what is left of both."""

    def __init__(self, scales: Sequence[Scale], done: int) -> None:
        self.started = time.monotonic()
        self.done = done
        self.iteration = done - 1
        self.total = done + sum(scale.iterations for scale in scales)
        self.work = 0
        self.all_work = sum(scale.work for scale in scales)

    def count(self, scale: Scale, *, reported: bool) -> None:
        self.work += scale.size**2
        self.iteration += reported

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was reported yet."""
        return self.iteration < self.done

    @property
    def is_over(self) -> bool:
        return self.iteration == self.total

    def report(self, best: Point) -> TransferStep:
        elapsed = time.monotonic() - self.started
        return TransferStep(
            iteration=self.iteration,
            total=self.total,
            width=best.image.shape[-1],
            height=best.image.shape[-2],
            J=best.costs.J,
            content=best.costs.content,
            style=best.costs.style,
            layers=best.costs.layers,
            elapsed=elapsed,
            remaining=elapsed * (self.all_work / self.work - 1),
            pixels=best.image,
        )
