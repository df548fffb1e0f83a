"""What a film will cost on this machine, before it starts.

Its first frame is painted as a picture is; each other one has a few iterations at full size, and
the flow of its motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from nst.engine.schedule import Moment
from nst.errors import TooLargeError
from nst.images.tensors import fitted_size
from nst.settings import FilmSettings, TransferSettings
from nst.studio.backends.base import Backend
from nst.studio.forecast import PlannedRun, Size
from nst.studio.limits import Limits

FLOW_SECONDS = 1.2e-6  # for each pixel of a frame, forward and backward, to as many as it recalls
TOO_MANY_FRAMES = (
    "The film would have {} frames, and {} are the most here; choose a shorter part or fewer frames"
    " per second."
)
TOO_LONG = (
    "This would take about {:.0f} minutes, and {:.0f} are the most for one film here; choose a"
    " smaller size, a shorter part or fewer frames per second."
)


@dataclass(frozen=True)
class FilmForecast:
    """The seconds of the first frame, of each other one, and of so many in all."""

    first: float
    following: float
    frames: int

    @property
    def seconds(self) -> float:
        """Return the seconds of the whole film."""
        return self.first + self.following * (self.frames - 1)


def forecast_film(
    backend: Backend,
    size: Size,
    paintings: Sequence[Size],
    settings: TransferSettings,
    film: FilmSettings,
    frames: int,
    limits: Limits,
) -> FilmForecast:
    """Return what a film of so many frames needs, with frames of that size (width, height).

    Raises `TooLargeError` where there is no room or no time for it.
    """
    if frames > limits.film_frames:
        raise TooLargeError(TOO_MANY_FRAMES.format(frames, limits.film_frames))
    shape = fitted_size(size, settings.size)
    run = PlannedRun(shape, paintings, settings)
    first = backend.admit(run, seconds=limits.seconds)
    few = film.frame_iterations
    begun = Moment(Image.new("L", shape), few)
    following = backend.forecast(
        PlannedRun(shape, [(1, 1)], settings.replace(iterations=2 * few), begun)
    )
    flow = FLOW_SECONDS * shape[0] * shape[1]
    expected = FilmForecast(first.seconds, following.seconds + flow, max(1, frames))
    if expected.seconds > limits.film_seconds:
        minutes = expected.seconds / 60, limits.film_seconds / 60
        raise TooLargeError(TOO_LONG.format(*minutes))
    return expected
