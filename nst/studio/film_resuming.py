"""Give a film what paints it, when it begins and when it goes on."""

from __future__ import annotations

from nst.studio.backends.base import Backend
from nst.studio.backends.local import in_this_process
from nst.studio.film_forecast import ExpectedFilm, expected_film
from nst.studio.film_job import Film
from nst.studio.limits import Limits


def resume_film(film: Film, backend: Backend, limits: Limits) -> ExpectedFilm:
    """Make an ended film ready to be painted further; return what that will take.

    Raises `TooLargeError` where there is no room or no time for it, and `SettingsError` where there
    is nothing to paint any more.
    """
    expected = expected_film(
        in_this_process(backend),
        film.frame_size or (film.cut.size, film.cut.size),
        [style.size for style in film.styles],
        film.settings,
        film.film,
        max(1, film.total - film.count),
        limits,
    )
    film.resume()
    set_engine(film, expected, backend, limits)
    return expected


def set_engine(film: Film, expected: ExpectedFilm, backend: Backend, limits: Limits) -> None:
    """Give a film its engine, what is expected of each frame, and the most frames it may have."""
    film.engine = in_this_process(backend).film_engine()
    film.first_seconds, film.next_seconds = expected.pace.first, expected.pace.following
    film.most_frames = limits.film_frames
