"""Minimisers of a smooth function of pixels that must stay inside [0, 1].

They are asked for the next point and told the gradient there, or that the function was higher
there; who evaluates the function, and when to stop, is not their business. Pixels are clamped
*inside* the iteration, and curvature is learned from the step that was really taken: a picture
clamped only at the end delivers another, higher cost than the optimiser saw.
"""

from __future__ import annotations

import copy
import functools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from nst.engine.bands import bands, dot, total
from nst.engine.compact_lbfgs import compact_direction
from nst.engine.picture import Picture

FIRST_STEP = 5 / 255  # root mean square change of the pixels
GENTLE_STEP = 1 / 255  # the same, of a picture that is nearly finished
SMALLEST_STEP = 0.2 / 255  # the same, where nothing may be lost: the next step knows the curvature
LARGEST_STEP = 24 / 255
MOST_REJECTED = 5  # steps from one point; then what was learned is worth nothing there
LOWEST_FREQUENCY = 0.01  # cycles per pixel; below it the preconditioner is flat


HISTORY = 10  # pairs
LONG_HISTORY = 20  # of a run that goes on, where they take no more than:
HISTORY_BYTES = 64 * 2**20
NARROW_FROM = 3 * 2**22  # values of a picture; the pairs of a larger one are kept in bfloat16
MOST_HISTORY_BYTES = 420_000_000  # of the pairs of a very large picture; two at least are kept
LEAST_CURVATURE = 1e-10  # along a step, of its squared length; with less a pair is not kept
RELATED = 0.5  # cosine of two gradients, below which the curvature of one says nothing of the other
ADAM_WARM_UP = 10  # steps of a gentle Adam until it has its rate

Kind = TypeVar("Kind", bound="Optimizer")


class Stepper(Protocol[Picture]):
    """Proposes points inside the box; a new instance for every function to minimise."""

    tolerance: float
    """The multiple of the lowest goal so far above which a step is taken back."""

    def step(self, image: Picture, gradient: Picture, measured: Sequence[float] = ()) -> Picture:
        """Return the next point, a new picture in [0, 1], given the gradient at `image`.

        `measured` has the numbers of `measure` there, where they are known already.
        """

    def measure(self, image: Picture, gradient: Picture) -> list[Tensor]:
        """Return what a step from `image` needs as numbers, 0-dimensional on the device.

        Read together with the costs, they make the host wait no more than these do.
        """

    def reject(self, image: Picture, gradient: Picture, measured: Sequence[float] = ()) -> bool:
        """Learn from a step that was taken back; tell whether to try another from where it began.

        `image` is where it led, and the gradient and what was measured are those there.
        """

    def restart(self) -> None:
        """Forget what was learned and go on more carefully, after a step that went wrong."""


class Optimizer(Stepper[Tensor], Protocol):
    """A `Stepper` whose state a run can go on from."""

    def rescale(self, image: Tensor, previous: Tensor | None, gradient: Tensor) -> None:
        """Go on under another function.

        Its gradient at `image` is `gradient` where it was `previous`; None where that is not known.
        """

    def copy(self: Kind, history: int | None = None) -> Kind:
        """Return an optimiser that would take the same next step."""

    def tensors(self) -> list[Tensor]:
        """Return what it keeps."""


class LBFGSSteps(Stepper[Picture]):
    """The steps of L-BFGS as they are taken, taken back and begun anew; for pictures anywhere."""

    tolerance = 1.0

    def __init__(self, first_step: float) -> None:
        self.previous: tuple[Picture, Picture] | None = None  # image, gradient
        self.first_step = first_step
        self.caution = 1.0
        self.rejected = 0  # steps in a row

    @override
    def step(self, image: Picture, gradient: Picture, measured: Sequence[float] = ()) -> Picture:
        if self.previous is not None:  # the last step was kept
            self._learn(image, gradient, measured)
            self.rejected, self.caution = 0, 1.0
        self.previous = (image, gradient)
        return self._next(image, gradient)

    @override
    def reject(self, image: Picture, gradient: Picture, measured: Sequence[float] = ()) -> bool:
        if not self._learn(image, gradient, measured):
            self.caution /= 2
        self.previous = None
        self.rejected += 1
        return self.rejected < MOST_REJECTED

    @override
    def restart(self) -> None:
        self._forget()
        self.previous = None
        self.rejected = 0
        self.caution = max(self.caution / 2, 1 / 64)

    def _next(self, image: Picture, gradient: Picture) -> Picture:
        """Return the next point from what was learned."""
        raise NotImplementedError

    def _learn(self, image: Picture, gradient: Picture, measured: Sequence[float] = ()) -> bool:
        """Keep the curvature along the last step, which led to `image`; tell whether it has any."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Forget all curvature."""
        raise NotImplementedError


class BoxLBFGS(LBFGSSteps[Tensor], Optimizer):
    """L-BFGS (Nocedal 1980; Liu & Nocedal 1989) projected on the box [0, 1].

    A departure: pixels at a bound whose gradient points outward are held there for the step, as
    in Bertsekas' two-metric projection (1982), and there is no line search: one evaluation per
    iteration, as practitioners run it for style transfer. The initial inverse Hessian is not a
    multiple of the identity but of `smooth`: larger shapes move first. A step that raises the
    function is taken back, and its curvature learned all the same: the next direction from there
    knows what was in the way. Pairs of very large pictures are kept in bfloat16: they say where the
    curvature is, and no step is as exact as its digits.
    """

    def __init__(self, *, history: int = HISTORY, first_step: float = FIRST_STEP) -> None:
        super().__init__(first_step)
        self.pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)  # s, y, 1 / yᵀs
        self.gain: Tensor | None = None  # of `smooth`, at the size of the pictures

    @override
    def _next(self, image: Tensor, gradient: Tensor) -> Tensor:
        held = held_at_bounds(image, gradient)
        direction = self._direction(gradient.masked_fill(held, 0)).masked_fill_(held, 0)
        if not self.pairs:
            direction.mul_(self.first_step / _rms(direction).clamp_min(1e-30))
        limit = (LARGEST_STEP / _rms(direction).clamp_min(1e-30)).clamp_max(1.0)
        return direction.mul_(self.caution * limit).add_(image).clamp_(0, 1)

    @override
    def measure(self, image: Tensor, gradient: Tensor) -> list[Tensor]:
        if self.previous is None:
            return []
        curvatures, lengths = [], []
        for x, old, slope, old_slope in bands(image, self.previous[0], gradient, self.previous[1]):
            s, y = x - old, slope - old_slope
            curvatures.append((y * s).sum())
            lengths.append((s * s).sum())
        return [total(curvatures), total(lengths)]

    @override
    def _forget(self) -> None:
        self.pairs.clear()

    def rescale(self, image: Tensor, previous: Tensor | None, gradient: Tensor) -> None:
        """Multiply every y by the factor that turns the old gradient into the new one.

        It is the factor of least squares: a weight that doubles doubles the curvature of its term.
        Without an old gradient the pairs are kept as they are, with an unrelated one they are
        dropped.
        """
        if previous is None:
            self.previous = None
            return
        self._learn(image, previous)  # what the last step has shown still counts
        self.previous = None
        product, old, new = torch.stack(
            [dot(previous, gradient), dot(previous, previous), dot(gradient, gradient)]
        ).tolist()
        if product <= RELATED * (old * new) ** 0.5:
            self.pairs.clear()
            return
        factor = product / old
        self.pairs = deque(
            ((s, y * factor, rho / factor) for s, y, rho in self.pairs), maxlen=self.pairs.maxlen
        )

    @override
    def copy(self, history: int | None = None) -> BoxLBFGS:
        twin = copy.copy(self)
        twin.pairs = deque(self.pairs, maxlen=history or self.pairs.maxlen)
        return twin

    def moved(self, move: Callable[[Tensor], Tensor]) -> BoxLBFGS:
        """Return an optimiser for a picture whose things have moved; its curvature moves along.

        VGG-19 sees the same wherever it is, so that what was learned still holds nearly. `move`
        takes and returns (1, 3, H, W).
        """
        twin = BoxLBFGS(history=LONG_HISTORY, first_step=SMALLEST_STEP)
        for s, y, _ in self.pairs:
            s, y = move(s.float()).to(s.dtype), move(y.float()).to(y.dtype)
            curvature = float(dot(s, y))
            if curvature > LEAST_CURVATURE * float(dot(s, s)):
                twin.pairs.append((s, y, 1 / curvature))
        return twin

    @override
    def tensors(self) -> list[Tensor]:
        return [tensor for s, y, _ in self.pairs for tensor in (s, y)] + [*(self.previous or ())]

    @override
    def _learn(self, image: Tensor, gradient: Tensor, measured: Sequence[float] = ()) -> bool:
        if self.previous is None:
            return False
        if not measured:
            measured = torch.stack(self.measure(image, gradient)).tolist()
        curvature, length = measured
        if curvature <= LEAST_CURVATURE * length:
            return False
        s, y = image - self.previous[0], gradient - self.previous[1]
        if is_narrow(image):
            s, y = s.bfloat16(), y.bfloat16()
        self.pairs.append((s, y, 1 / curvature))
        return True

    def _direction(self, gradient: Tensor) -> Tensor:
        """Return −H · gradient, which it may use up."""
        if self.gain is None or not self.pairs:
            self.gain = spectral_gain(gradient)
        if self.pairs and gradient.device.type == "cuda" and not is_narrow(gradient):
            pairs = [(s, y) for s, y, _ in self.pairs]
            return compact_direction(gradient, pairs, self._smooth)
        return self._two_loops(gradient)

    def _smooth(self, images: Tensor) -> Tensor:
        """Return them smoothed; very large ones a channel at a time, and in place."""
        if not is_narrow(images):
            return smooth(images, self.gain)
        for channel in torch.split(images, 1, dim=1):
            channel.copy_(smooth(channel, self.gain))
        return images

    def _two_loops(self, gradient: Tensor) -> Tensor:
        """Return the same by the two-loop recursion (Nocedal & Wright 2006, algorithm 7.4)."""
        q = gradient.neg_()
        coefficients = []
        for s, y, rho in reversed(self.pairs):
            coefficients.append(rho * dot(s, q))
            q.sub_(coefficients[-1] * y)
        if self.pairs:
            s, y, rho = self.pairs[-1]
            q = self._smooth(q).div_(rho * dot(y, self._smooth(y.to(q.dtype))))
        for (s, y, rho), coefficient in zip(self.pairs, reversed(coefficients), strict=True):
            q.add_((coefficient - rho * dot(y, q)) * s)
        return q


class BoxAdam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), clamped to [0, 1] after every step."""

    tolerance = 2.0  # its steps often raise what they lower in the end

    def __init__(
        self, *, rate: float = 0.02, betas: tuple[float, float] = (0.9, 0.99), warm_up: int = 0
    ) -> None:
        self.rate = rate
        self.betas = betas
        self.warm_up = warm_up  # steps
        self.restart_moments()

    def restart_moments(self) -> None:
        """Forget the gradients seen so far."""
        self.count = 0
        self.mean: Tensor | None = None
        self.square: Tensor | None = None

    @override
    def measure(self, image: Tensor, gradient: Tensor) -> list[Tensor]:
        return []

    @override
    def step(self, image: Tensor, gradient: Tensor, measured: Sequence[float] = ()) -> Tensor:
        first, second = self.betas
        self.count += 1
        zeros = torch.zeros_like(gradient)
        self.mean = (zeros if self.mean is None else self.mean).lerp(gradient, 1 - first)
        self.square = (zeros if self.square is None else self.square).lerp(
            gradient.square(), 1 - second
        )
        mean = self.mean / (1 - first**self.count)
        deviation = (self.square / (1 - second**self.count)).sqrt() + 1e-12
        rate = self.rate * min(1.0, self.count / (self.warm_up + 1))
        return (image - rate * mean / deviation).clamp(0, 1)

    @override
    def restart(self) -> None:
        self.rate = max(self.rate / 2, 1e-4)
        self.restart_moments()

    def reject(self, image: Tensor, gradient: Tensor, measured: Sequence[float] = ()) -> bool:
        """Learn nothing: only a restart helps."""
        return False

    def rescale(self, image: Tensor, previous: Tensor | None, gradient: Tensor) -> None:
        """Keep the moments: they fade by themselves, and their ratio has no unit."""

    @override
    def copy(self, history: int | None = None) -> BoxAdam:
        return copy.copy(self)

    @override
    def tensors(self) -> list[Tensor]:
        return [tensor for tensor in (self.mean, self.square) if tensor is not None]


def make_optimizer(
    name: str, *, first_step: float = FIRST_STEP, history: int = HISTORY
) -> Optimizer:
    """Return `lbfgs` or `adam` for a picture whose pixels may change by `first_step` at first.

    The step is the root of the mean square, in [0, 1]; a small one is for a picture that is nearly
    done.
    """
    if name == "adam":
        return BoxAdam(warm_up=ADAM_WARM_UP if first_step < FIRST_STEP else 0)
    return BoxLBFGS(first_step=first_step, history=history)


def is_narrow(image: Tensor) -> bool:
    """Tell whether the pairs of such a picture are kept in bfloat16."""
    return image[0].numel() > NARROW_FROM


def history_of(image: Tensor) -> int:
    """Return how many pairs L-BFGS keeps of pictures like `image`."""
    return _pairs(image.numel())


def history_bytes(values: int) -> int:
    """Return the bytes of L-BFGS's pairs of a float32 picture of so many values."""
    return _pairs(values) * 2 * values * (2 if values > NARROW_FROM else 4)


def _pairs(values: int) -> int:
    if values <= NARROW_FROM:
        return HISTORY
    return max(2, min(HISTORY, MOST_HISTORY_BYTES // (2 * values * 2)))  # of two bytes each


def long_history(image: Tensor) -> int:
    """Return how many pairs L-BFGS keeps of pictures like `image`, when a run goes on."""
    pair = 2 * image.numel() * image.element_size()
    return min(max(HISTORY_BYTES // pair, HISTORY), LONG_HISTORY)


def smooth(image: Tensor, gain: Tensor | None = None) -> Tensor:
    """Return (N, 3, H, W) with each spatial frequency f (cycles per pixel) times (0.1 / f)^¾.

    The amplitudes of natural pictures fall about as 1 / f (Field 1987), which L-BFGS is slow to
    find from a multiple of the identity. The exponent is a compromise: 1 is as good for most
    paintings and slower for fine hatching, ½ the other way round. `gain` is that of
    `spectral_gain`, where it is known already.
    """
    gain = spectral_gain(image) if gain is None else gain
    if image.shape[-1] % 2 and not inverts_odd_widths(image.device):
        return smooth(image.cpu(), gain.cpu()).to(image.device)
    smoothed: Tensor = torch.fft.irfft2(torch.fft.rfft2(image).mul_(gain), s=image.shape[-2:])
    return smoothed


@functools.cache
def inverts_odd_widths(device: torch.device) -> bool:
    """Tell whether the Fourier transforms of a device undo each other where a width is odd.

    On MPS the way back was reported to reverse the samples (pytorch/pytorch issue 126649). CPUs and
    CUDA are not tried: a trial makes the host wait.
    """
    if device.type in ("cpu", "cuda"):
        return True
    tried = torch.arange(15.0).view(3, 5)
    there_and_back = torch.fft.irfft2(torch.fft.rfft2(tried.to(device)), s=tried.shape)
    return bool(torch.allclose(there_and_back.cpu(), tried, atol=1e-3))


def spectral_gain(image: Tensor) -> Tensor:
    """Return the factor of each frequency of pictures like `image`, (H, W // 2 + 1)."""
    height, width = image.shape[-2:]
    rows = torch.fft.fftfreq(height, device=image.device)[:, None]
    columns = torch.fft.rfftfreq(width, device=image.device)
    frequency = (rows.square() + columns.square()).sqrt()
    gain: Tensor = frequency.clamp_min(LOWEST_FREQUENCY).div(0.1).pow(-0.75)
    return gain


def held_at_bounds(image: Tensor, gradient: Tensor) -> Tensor:
    """Return where the gradient would push a pixel out of [0, 1]."""
    return ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))


def _rms(a: Tensor) -> Tensor:
    return (dot(a, a) / a.numel()).sqrt()
