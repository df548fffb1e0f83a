"""Plan a run: its sizes from coarse to full, and the phases and iterations at each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from PIL import Image

from nst.engine.minimization import DistantState, RunState
from nst.engine.style_target import EASED, ENLARGED, FULL, SLIGHT, Guidance
from nst.settings import TransferSettings

COARSEST = {"little": 320, "some": 160, "much": 80}  # pixels; by `restructure`
COARSE_FROM = 8  # iterations; a shorter run begins at full size
COARSE_SHARE = 1 / 8  # of the iterations, for each size below the base
BASE_SHARE = 0.4  # of the others, for the base of a picture at least twice as large
NEXT_SHARE = 2 / 3  # of a size's iterations, for the next larger one
LEAST_GROWTH = 1.25  # from one size to the next
GUIDED_FROM = 20  # iterations
GUIDED_AGAIN_FROM = 40  # the same for a picture to go on from: it has more to lose by the detour
EASED_FROM = 20  # the same for a picture alone, to be eased and not just slightly guided
EXACT = 0.2  # of those at full size
EXACT_HELD = 0.5  # the same where the base-size term counts for more than J: the guide serves it
WEIGHT_OF_PIXELS = 1 / 32  # the weight of that term, by the pixels in those of the base size
SETTLING = 6  # iterations at the base size for each on J itself that follows in the stage
HELD_FROM = 2  # times the base size; up to there the term costs too much, a fifth of all and more


@dataclass(frozen=True)
class Moment:
    """A moment to go on from: a picture, the iterations behind it, and the optimiser's state.

    The picture is RGB, 8-bit so that a PNG holds all of it; the state is what the optimiser has
    learned, where that is still known.
    """

    picture: Image.Image
    iteration: int
    state: RunState | DistantState | None = field(default=None, repr=False, compare=False)

    @property
    def bytes(self) -> int:
        """Return the memory that it holds beside its picture, in bytes."""
        return self.state.bytes if self.state else 0


Phase = tuple[Guidance | None, int]  # what guides the gradient, and the iterations under it


@dataclass(frozen=True)
class Scale:
    """One stage of a run: the longest side in pixels, and its phases in order, at least one."""

    size: int
    phases: tuple[Phase, ...]
    base: int = 0  # pixels; the size at which `base_term` holds the stage, 0 where it does not
    settling: int = 0  # iterations at that size ahead of the last phase, see `nst.engine.settling`

    @property
    def guided(self) -> int:
        """Return the iterations along a guided gradient."""
        return sum(iterations for guidance, iterations in self.phases if guidance)

    @property
    def exact(self) -> int:
        """Return the iterations on J itself."""
        return self.iterations - self.guided

    @property
    def iterations(self) -> int:
        """Return all iterations of the stage."""
        return sum(iterations for _, iterations in self.phases)

    @property
    def work(self) -> int:
        """Return the pixels evaluated, the starting picture of each phase included.

        The aspect ratio, the same at every scale, is left out.
        """
        settling = self.base**2 * self.settled
        return self.pixels * (self.iterations + len(self.phases)) + settling

    @property
    def settled(self) -> int:
        """Return the evaluations at the base size alone."""
        return self.settling + 1 if self.settling else 0

    @property
    def pixels(self) -> int:
        """Return the pixels of an evaluation, in the same measure."""
        return self.size**2 + self.base**2


def style_side(size: int, settings: TransferSettings) -> int:
    """Return the longest side of the paintings in a stage of `size` px, in pixels."""
    return round(size * settings.style_scale)


def plan_scales(settings: TransferSettings, begin: Moment | None = None) -> list[Scale]:
    """Return the stages of a run from coarse to fine.

    The last iterations at the base size and at full size are on J itself. The guide mends curvature
    for L-BFGS; Adam and runs too short to come back from the detour stay on J.

    From a picture to `begin` with, the same holds for the iterations that are left, and no stage is
    coarser than that picture; when none are left, it is only brought to its size. Where its state
    is known, the phase goes on, or an eased one follows when it was over: J must not rise again.
    """
    done, reached = (begin.iteration, max(begin.picture.size)) if begin else (0, 0)
    left = max(0, settings.iterations - done)
    planned = _stages(settings)
    stages = _what_is_left(planned, left, reached)
    first = _guidance(left, begin, settings)
    if settings.optimizer == "adam" or not (left and first):
        return [
            Scale(size, ((None, iterations),), held_at(size, settings))
            for size, iterations in stages
        ]
    ends = (_base(settings), settings.size)
    exact = {size: _exact(size, settings) if first == FULL else 0.0 for size in ends}
    whole = dict(planned if begin and begin.state else stages)
    return [
        _scale(
            size,
            _phases(first, iterations, exact.get(size, 0.0) * whole[size]),
            held_at(size, settings),
        )
        for size, iterations in stages
    ]


def _scale(size: int, phases: tuple[Phase, ...], base: int) -> Scale:
    """Return a stage; where it is held, its base is settled between the guide and J itself."""
    guidance, last = phases[-1]
    return Scale(size, phases, base, SETTLING * last if base and guidance is None else 0)


def _phases(first: Guidance | None, iterations: int, exact: float) -> tuple[Phase, ...]:
    """Return the guided phase of a stage, and the one on J itself, in iterations."""
    last = min(max(1, round(exact)), iterations) if exact else 0
    phases: list[Phase] = [(first, iterations - last), (None, last)]
    return tuple(phase for phase in phases if phase[1])


Stage = tuple[int, int]  # the longest side in pixels, and the iterations


def _stages(settings: TransferSettings) -> list[Stage]:
    """Return the stages of a whole run.

    The large shapes are settled at the base size, and each stage after it at most doubles the one
    before. VGG-19 sees shapes of so many pixels and no larger; from the same base they are the same
    part of the picture at every size. Below the base, sizes are halved while they are not below
    `COARSEST`.
    """
    size, base, total = settings.size, _base(settings), settings.iterations
    if total < COARSE_FROM:
        return [(size, total)]
    coarser = _halves(base, COARSEST[settings.restructure])
    doublings = math.ceil(math.log2(size / base))
    finer = [round(base * (size / base) ** (n / doublings)) for n in range(1, doublings + 1)]
    each = int(total * COARSE_SHARE)
    base_share = BASE_SHARE * min(1.0, math.log2(size / base)) if doublings else 1.0
    counts = _divided(total - each * len(coarser), base_share, doublings)
    planned = [*((side, each) for side in coarser), *zip([base, *finer], counts, strict=True)]
    return [stage for stage in planned if stage[1]]


def _base(settings: TransferSettings) -> int:
    """Return the size at which the large shapes are settled; the full one, if that is near."""
    base = max(settings.base_size, COARSEST[settings.restructure])
    return base if settings.size >= LEAST_GROWTH * base else settings.size


def held_at(size: int, settings: TransferSettings) -> int:
    """Return the base size in pixels, if a stage of `size` px has the term of it; otherwise 0."""
    least = HELD_FROM * _base(settings)
    is_held = settings.base_weight > 0 and settings.size > least and size >= least
    return _base(settings) if is_held else 0


def _exact(size: int, settings: TransferSettings) -> float:
    """Return the share of the iterations at a size that are on J itself."""
    held = held_at(size, settings)
    is_outweighed = held > 0 and base_weight_at((size / held) ** 2, settings) > 1
    return EXACT_HELD if is_outweighed else EXACT


def base_weight_at(pixels: float, settings: TransferSettings) -> float:
    """Return w of a picture with so many times the pixels of the base size."""
    return WEIGHT_OF_PIXELS * pixels * settings.base_weight


def _halves(base: int, coarsest: int) -> list[int]:
    """Return the sizes below the base, smallest first."""
    sizes = list[int]()
    while (half := [base, *sizes][-1] / 2) >= coarsest:
        sizes.append(round(half))
    return sizes[::-1]


def _divided(iterations: int, base_share: float, doublings: int) -> list[int]:
    """Return the iterations of the base and of each stage after it, of the last at least one."""
    falling = [NEXT_SHARE**n for n in range(doublings)]
    shares = [base_share, *((1 - base_share) * share / sum(falling) for share in falling)]
    bounds = [min(round(iterations * sum(shares[:n])), iterations - 1) for n in range(len(shares))]
    return [end - begin for begin, end in pairwise([*bounds, iterations])]


def _what_is_left(stages: Sequence[Stage], left: int, reached: int) -> list[Stage]:
    """Return the stages of a run that has reached a size, and has so many iterations left.

    The finest stages have what was planned; the coarsest takes the rest.
    """
    *coarser, finest = stages
    ahead = [*(stage for stage in coarser if stage[0] >= reached), finest]
    remaining = list[Stage]()
    for size, planned in reversed(ahead):
        is_first = size == ahead[0][0]
        iterations = left if is_first else min(planned, left)
        remaining.insert(0, (size, iterations))
        left -= iterations
    return [stage for stage in remaining[:-1] if stage[1]] + remaining[-1:]


def _guidance(left: int, begin: Moment | None, settings: TransferSettings) -> Guidance | None:
    """Return what guides the gradient of L-BFGS at first, for so many iterations.

    A base weight of 0 is how version 3 went on, here too: recipes lead to the same picture.
    """
    if begin is None:
        return FULL if left >= GUIDED_FROM else None
    if begin.state:
        return FULL if begin.state.guidance == FULL else EASED
    if left >= GUIDED_AGAIN_FROM:
        return FULL
    if left < EASED_FROM:
        return SLIGHT
    is_enlarged = settings.size >= LEAST_GROWTH * max(begin.picture.size)
    return ENLARGED if is_enlarged and settings.base_weight > 0 else EASED
