"""Plan a run: its sizes from coarse to full, and the phases and iterations at each of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from nst.engine.minimization import RunState
from nst.engine.style_target import EASED, FULL, SLIGHT, Guidance
from nst.settings import TransferSettings

COARSEST = {"little": 320, "some": 160, "much": 80}  # pixels; by `restructure`
GUIDED_FROM = 20  # iterations
GUIDED_AGAIN_FROM = 40  # the same for a picture to go on from: it has more to lose by the detour
EASED_FROM = 20  # the same for a picture alone, to be eased and not just slightly guided
EXACT = 0.2  # of those at full size


@dataclass(frozen=True)
class Moment:
    """A moment to go on from: a picture, the iterations behind it, and the optimiser's state.

    The picture is RGB, 8-bit so that a PNG holds all of it; the state is what the optimiser has
    learned, where that is still known.
    """

    picture: Image.Image
    iteration: int
    state: RunState | None = field(default=None, repr=False, compare=False)

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
        return self.size**2 * (self.iterations + len(self.phases))


def style_side(scale: Scale, settings: TransferSettings) -> int:
    """Return the longest side of the paintings at `scale`, in pixels."""
    return round(scale.size * settings.style_scale)


def plan_scales(settings: TransferSettings, begin: Moment | None = None) -> list[Scale]:
    """Return the stages of a run from coarse to fine.

    Sizes are halved while they are not below `COARSEST`. Each of the coarser ones has an eighth of
    the iterations; the last few are on J itself. The guide mends curvature for L-BFGS; Adam and
    runs too short to come back from the detour stay on J.

    From a picture to `begin` with, the same holds for the iterations that are left, and no stage is
    coarser than that picture; when none are left, it is only brought to its size. Where its state
    is known, the phase goes on, or an eased one follows when it was over: J must not rise again.
    """
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
