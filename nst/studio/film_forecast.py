"""What a film will cost on this machine, before it starts, and whether there is room for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nst.errors import TooLargeError
from nst.images.tensors import fitted_size
from nst.settings import FilmSettings, TransferSettings
from nst.studio.backends.local import LocalBackend
from nst.studio.forecast import PlannedRun, Size
from nst.studio.limits import Limits
from nst.video.forecast import FilmForecast

TOO_MANY_FRAMES = (
    "The film would have {} frames, and {} are the most here; choose a shorter part or fewer frames"
    " per second."
)
TOO_LARGE = (
    "The film would take about {:.0f} MB on the server's disk while it is painted, and {:.0f} are"
    " the most; choose a smaller size, a shorter part or fewer frames per second."
)
BYTES = 2.7  # on disk, of a pixel of a frame: as painted, and as filmed
TOO_LONG = (
    "This would take about {:.0f} minutes, and {:.0f} are the most for one film here; choose a"
    " smaller size, a shorter part or fewer frames per second."
)


@dataclass(frozen=True)
class ExpectedFilm:
    """A film of so many frames, and what each takes."""

    frames: int
    pace: FilmForecast

    @property
    def seconds(self) -> float:
        """Return the seconds of the whole film."""
        return self.pace.seconds(self.frames)


def expected_film(
    backend: LocalBackend,
    size: Size,
    paintings: Sequence[Size],
    settings: TransferSettings,
    film: FilmSettings,
    frames: int,
    limits: Limits,
) -> ExpectedFilm:
    """Return what a film of so many frames needs, with frames of that size (width, height).

    Raises `TooLargeError` where there is no room or no time for it.
    """
    if frames > limits.film_frames:
        raise TooLargeError(TOO_MANY_FRAMES.format(frames, limits.film_frames))
    shape = fitted_size(size, settings.size)
    size_on_disk = frames * shape[0] * shape[1] * BYTES
    if size_on_disk > limits.film_bytes:
        raise TooLargeError(TOO_LARGE.format(size_on_disk / 1e6, limits.film_bytes / 1e6))
    backend.admit(PlannedRun(shape, paintings, settings), seconds=limits.seconds)
    expected = ExpectedFilm(max(1, frames), backend.film_forecast(shape, paintings, settings, film))
    if expected.seconds > limits.film_seconds:
        minutes = expected.seconds / 60, limits.film_seconds / 60
        raise TooLargeError(TOO_LONG.format(*minutes))
    return expected
