"""Paint on GPUs that a ZeroGPU Space lends for a few seconds.

A stretch of a run happens in a forked process that has a GPU.

Knows the package `spaces`, what a stretch may cost and how it can end; nothing of jobs or pages.

The visitor whose quota pays is found in the context that the page's handler runs in; `engine` takes
it along. In this process CUDA is only make-believe, so all that is computed here is computed on the
CPU. What goes to the forked process and comes back is pickled.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import logging
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from typing_extensions import override

from nst.engine.devices import load_network, pick_dtype
from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.errors import GPUError, ImageError, NumericalError, SettingsError, WeightsError
from nst.images.masks import Masks
from nst.settings import DEFAULTS, TransferSettings
from nst.studio.backends.base import Backend
from nst.studio.backends.local import LocalBackend
from nst.studio.backends.remote import Batch, RemoteBackend, RunInputs, in_batches
from nst.studio.forecast import Forecast, PlannedRun, bytes_for, work_of
from nst.vgg.loading import load_weights
from nst.vgg.network import VGG

log = logging.getLogger(__name__)

MEMORY = int(os.environ.get("ZEROGPU_CUDA_TOTAL_MEMORY", 70 * 10**9))  # bytes, of a lent GPU
GUESS = 3e-7  # seconds per pixel of an evaluation, until one is known: several times what we expect
SMALLEST = 256 * 256  # pixels; a GPU takes about as long for a smaller picture
SETUP = 4.0  # seconds from the grant to the first evaluation: fork, CUDA, and the parameters
SAFETY = 1.5  # of the seconds expected; what is not used is given back
LEAST, MOST = 6, 60  # seconds to ask for at once
EVERY = 0.5  # seconds between two pictures on the way

QUOTA = "Your share of GPU time is used up for now; signing in with Hugging Face gives you more."
NO_GPU = "No GPU was free just now; please try again in a few minutes."
EXPIRED = "The wait was too long for a GPU to be borrowed in your name; please ask once more."
TOO_LONG = "This needs more GPU time at once than you may borrow; please choose a smaller size."
OTHERS_FIRST = "Your GPU time is lent to other runs of yours; please try again when they are done."
TAKEN_BACK = "The GPU was taken back before the picture got any further; please try again."
BROKEN = "Something went wrong on the GPU. Please try again, perhaps with a smaller size."
NO_MEMORY = "The GPU has not enough memory for this; please choose a smaller size."

REASONS = {  # by the title of the platform's error, and a part of its message
    ("ZeroGPU quota exceeded", "No GPU was available"): NO_GPU,
    ("ZeroGPU quota exceeded", ""): QUOTA,
    ("ZeroGPU pending credits exceeded", ""): OTHERS_FIRST,
    ("ZeroGPU illegal duration", ""): TOO_LONG,
    ("ZeroGPU client error", "Expired"): EXPIRED,
    ("ZeroGPU worker error", "aborted"): TAKEN_BACK,
    ("ZeroGPU worker error", ""): BROKEN,
}


class ZeroGPUBackend(RemoteBackend):
    """GPUs that the platform lends.

    `spaces` is its package; without one there is nothing to lend, but what a run would cost can be
    told.
    """

    painters = 4  # each on a GPU of its visitor's
    lends_gpus = True
    guess = GUESS

    def __init__(self, spaces: Any = None) -> None:
        super().__init__()
        self._prepared: VGG | None = None  # in a cache that drops it, every worker would make it
        borrow = spaces.GPU(duration=_duration) if spaces else lambda stretch: stretch
        self._borrowed: Callable[..., Generator[Batch | Exception, None, None]]
        self._borrowed = borrow(self._stretch)

    @property
    def in_process(self) -> Backend:
        """Return what paints on the CPU: CUDA is only make-believe here."""
        return LocalBackend("cpu")

    def prepare(self) -> None:
        """Put the network where the stretches look for it.

        The platform takes what is on the GPU when the page is served.
        """
        self._prepared = load_network(DEFAULTS, "cuda", is_lent=True)

    def fetch_weights(self, settings: TransferSettings) -> None:
        """Load nothing: the network is made in the forked process."""

    def engine(self) -> Engine:
        """Return what paints a job for the visitor whose request is being answered.

        It may end early, which is where the next call goes on; only some of its steps have
        pictures, but always the last one; and it raises `GPUError`.
        """
        return functools.partial(self._paint, contextvars.copy_context())

    @override
    def forecast(self, run: PlannedRun) -> Forecast:
        work = work_of(run, least=SMALLEST)
        dtype = torch.float32 if run.settings.precision == "float32" else torch.bfloat16
        seconds = self.seconds_for(work)
        full, rest = divmod(SAFETY * seconds, MOST - SETUP)
        borrowed = int(full) * MOST + ask_for(rest)
        return Forecast(SETUP + seconds, bytes_for(work, dtype, MEMORY), borrowed)

    @override
    def free_memory(self, settings: TransferSettings, held: int) -> int | None:
        return MEMORY

    def _paint(
        self,
        context: contextvars.Context,
        content: Image.Image,
        styles: Image.Image | Sequence[Image.Image],
        settings: TransferSettings = DEFAULTS,
        *,
        masks: Masks | None = None,
        init: Image.Image | None = None,
        begin: Moment | None = None,
    ) -> Iterator[TransferStep]:
        """Paint one stretch: all of a run, or what the granted seconds allow."""
        load_weights(settings.weights)  # never within the seconds granted
        inputs = RunInputs.of(content, styles, settings, masks, init, begin)
        work = work_of(inputs.planned, least=SMALLEST)
        stretch = self._borrowed(inputs, ask_for(SAFETY * self.seconds_for(work)))
        done = reached = inputs.done
        try:
            with contextlib.closing(_steps(context.copy(), stretch)) as steps:
                for step in steps:
                    reached = step.iteration
                    yield step
        except _PlatformError as error:
            # A worker that was ended has left what it painted until then.
            if not (error.sentence == TAKEN_BACK and reached > done):
                raise GPUError(error.sentence) from None
        finally:
            if reached > done:
                self.learn(work, step)
        if reached == done < settings.iterations:
            raise GPUError(TAKEN_BACK)

    def _stretch(self, inputs: RunInputs, granted: int) -> Generator[Batch | Exception, None, None]:
        """Paint, in a process of its own, until `granted` seconds have nearly passed.

        It does one iteration at the least. Yields the first and the last picture, and others now
        and then.
        """
        now = time.monotonic()
        end = now + granted - SETUP

        def is_out(step: TransferStep) -> bool:
            nonlocal now
            before, now = now, time.monotonic()
            # The next iteration may be at a larger size than this one.
            return step.iteration > inputs.done and now + 2 * (now - before) > end

        try:
            steps = inputs.steps(transfer_style, **self.prepared_for(inputs.settings))
            yield from in_batches(steps, EVERY, is_out)
        except (ImageError, NumericalError, SettingsError, WeightsError) as error:
            yield error  # raised, no more than its name would arrive
        except torch.OutOfMemoryError:
            yield GPUError(NO_MEMORY)

    def prepared_for(self, settings: TransferSettings) -> dict[str, Any]:
        """Return the network that lies ready, as an argument, where it fits the settings."""
        network = self._prepared
        if network is None or settings.weights != DEFAULTS.weights:
            return {}
        dtype = pick_dtype(settings.precision, network.device)
        fits = (settings.pooling, dtype) == (network.pooling, network.dtype)
        return {"network": network} if fits else {}


def ask_for(seconds: float) -> int:
    """Return the whole seconds to be granted for so many of painting."""
    return min(max(math.ceil(SETUP + seconds), LEAST), MOST)


class _PlatformError(Exception):
    """What the platform raised. Its text is for developers, and may tell the visitor's token."""

    def __init__(self, error: Exception) -> None:
        title, message = (str(getattr(error, name, "")) for name in ("title", "message"))
        self.sentence = next(
            (text for (of, part), text in REASONS.items() if of == title and part in message),
            NO_GPU,
        )
        log.warning("no GPU: %s %s", type(error).__name__, title)


def _steps(
    context: contextvars.Context, stretch: Generator[Batch | Exception, None, None]
) -> Generator[TransferStep, None, None]:
    """Yield what a stretch reports, in the context of its visitor.

    Closed, it ends with what the worker yields next. Raises `_PlatformError`, and what the worker
    wants raised.
    """
    with contextlib.closing(_batches(context, stretch)) as batches:
        for batch in batches:
            if isinstance(batch, Exception):
                raise batch
            yield from batch.steps()


def _batches(
    context: contextvars.Context, stretch: Generator[Batch | Exception, None, None]
) -> Generator[Batch | Exception, None, None]:
    try:
        while (batch := context.run(next, stretch, None)) is not None:
            yield batch
    except Exception as error:
        raise _PlatformError(error) from error
    finally:
        context.run(stretch.close)


def _duration(*arguments: Any) -> int:
    """Return the seconds to ask the platform for, from `_stretch`'s arguments."""
    return int(arguments[-1])


def find_spaces() -> Any:
    """Return the package `spaces` where it has a GPU to lend, or None."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return None
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module("spaces")
    return None
