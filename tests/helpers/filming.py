"""What tests of films in the studio share: an engine on the tiny network, and films to paint."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from helpers.clips import write_frames
from helpers.pictures import make_waves
from helpers.working import PATIENCE
from nst.settings import TransferSettings
from nst.studio.film_job import Film, FilmEngine
from nst.studio.film_record import Cut
from nst.vgg.network import VGG
from nst.video.transfer import FilmStep, transfer_video

SMALL = TransferSettings(size=64, iterations=3)
WHOLE = Cut(0.0, 0.0, 64)
MakeFilm = Callable[..., Film]


@pytest.fixture
def film_engine(network: VGG) -> FilmEngine:
    return functools.partial(transfer_video, network=network)


@pytest.fixture
def make_film(tmp_path: Path, film_engine: FilmEngine) -> MakeFilm:
    """`make_film(count=4, …)`: a film of so many frames, of a clip with twelve in a second."""

    def make(
        count: int = 4, *, cut: Cut = WHOLE, visitor: str = "jane", engine: Any = None
    ) -> Film:
        film = Film(
            tmp_path / "jobs",
            cut,
            [make_waves(50, 70, seed=2)],
            SMALL,
            frames=count,
            visitor=visitor,
            engine=engine or film_engine,
        )
        film.take_clip(write_frames(tmp_path / f"{film.id}.mp4", count))
        return film

    return make


class Observed:
    """An engine that tells of every finished frame, and waits before it yields the first step."""

    def __init__(self, engine: FilmEngine, told: Callable[[int], object]) -> None:
        self.engine, self.told = engine, told
        self.gate = threading.Event()
        self.gate.set()
        self.painted: list[int] = []  # frames that no earlier run had painted

    def __call__(self, *arguments: Any, painted: Any, **options: Any) -> Iterator[FilmStep]:
        for step in self.engine(*arguments, painted=painted, **options):
            assert self.gate.wait(PATIENCE)
            is_new = step.is_finished and painted(step.frame) is None
            yield step
            if is_new:
                self.painted.append(step.frame)
                self.told(step.frame)


def after(number: int, act: Callable[[], object]) -> Callable[[int], object]:
    """Return what an engine tells its frames, so that `act` is called after one of them."""
    return lambda frame: act() if frame == number else None


def times_of(path: Path) -> list[Fraction]:
    """Return when the frames of a film are shown, in seconds."""
    with av.open(str(path)) as film:
        return [frame.pts * film.streams.video[0].time_base for frame in film.decode(video=0)]  # type: ignore[operator,misc]
