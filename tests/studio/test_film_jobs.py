"""Films in the studio: fair between frames, and never lost by a stop, a restart or a crash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from helpers.clips import write_frames, write_sounding
from helpers.filming import SMALL, MakeFilm, Observed, after, film_engine, make_film, times_of
from helpers.painting import tone
from helpers.pictures import make_waves
from helpers.places import ROOT, TESTS
from helpers.working import PATIENCE, MakeJob, make_job, settle
from nst.errors import SettingsError, TooLargeError
from nst.settings import FILM_DEFAULTS, TransferSettings
from nst.studio.backends.local import LocalBackend
from nst.studio.film_forecast import expected_film
from nst.studio.film_job import CLIP, FILM, NO_FRAME, ORIGINAL, RECORD, SILENT, Film, FilmEngine
from nst.studio.film_record import Cut
from nst.studio.forecast import Forecast, PlannedRun
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.task import State
from nst.studio.workshop import CLOSED, Workshop
from nst.video.forecast import FilmForecast
from nst.video.frame_store import store_folder
from nst.video.writing import read_recipe_text

__all__ = ["film_engine", "make_film", "make_job"]  # fixtures


def painted(film: Film, workshop: Workshop) -> Film:
    workshop.submit(film, 1.0)
    settle(workshop)
    return film


def test_a_part_of_a_clip_becomes_a_film_and_its_original_in_step(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    film = painted(make_film(12, cut=Cut(0.25, 0.5, 64)), workshop)
    assert (film.state, film.note) == (State.FINISHED, "")
    assert film.times == [Fraction(3, 12), Fraction(4, 12), Fraction(5, 12)]
    assert (film.count, film.total) == (3, 3)
    shown = [Fraction(n, 12) for n in range(3)]
    assert times_of(film.home / FILM) == times_of(film.home / ORIGINAL) == shown
    assert not (film.home / CLIP).exists(), "a finished film needs it no more"
    assert not store_folder(film.home / FILM).exists()
    assert '"frame_iterations"' in read_recipe_text(film.home / FILM)
    (card,) = workshop.cards("jane")
    assert (card.noun, card.iteration, card.total) == ("film", 3, 3)
    with Image.open(film.home / "thumbnail.jpg") as first:
        assert first.size == (64, 43)


def test_others_are_painted_between_its_frames(
    make_film: MakeFilm, make_job: MakeJob, film_engine: FilmEngine, tmp_path: Path
) -> None:
    workshop, log = Workshop(tmp_path / "jobs"), list[str]()

    def noted(*arguments: object, **options: object) -> object:
        log.append("picture")
        return tone(*arguments, **options)  # type: ignore[arg-type]

    engine = Observed(film_engine, lambda frame: log.append(f"frame {frame}"))
    engine.gate.clear()
    film = make_film(3, engine=engine)
    workshop.submit(film, 3.0)
    picture = make_job(noted, visitor="joe")
    workshop.submit(picture, 1.0)
    engine.gate.set()
    settle(workshop)
    assert log.index("picture") < log.index("frame 1") < log.index("frame 2")
    assert (film.state, picture.state) == (State.FINISHED, State.FINISHED)


def test_nobody_waits_for_more_than_a_frame(
    make_film: MakeFilm, make_job: MakeJob, film_engine: FilmEngine, tmp_path: Path
) -> None:
    limits = Limits()
    workshop = Workshop(tmp_path / "jobs", limits)
    engine = Observed(film_engine, lambda frame: None)
    engine.gate.clear()
    film = make_film(3, engine=engine)
    film.first_seconds, film.next_seconds = 9.0, 2.0
    workshop.submit(film, 2 * limits.wait)
    picture = make_job(visitor="joe")
    workshop.submit(picture, 1.0)  # which finds room
    assert workshop.wait_of(picture) <= film.first_seconds
    engine.gate.set()
    settle(workshop)


def test_a_stopped_film_is_playable_and_goes_on_from_its_last_frame(
    make_film: MakeFilm, film_engine: FilmEngine, tmp_path: Path
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    engine = Observed(film_engine, after(1, lambda: film.stop()))
    film = make_film(4, engine=engine)
    painted(film, workshop)
    assert (film.state, film.count, film.total) == (State.STOPPED, 2, 4)
    film.write_painted(tmp_path / "so-far.mp4", 2)
    film.write_original(tmp_path / "filmed.mp4", 2)
    assert times_of(tmp_path / "so-far.mp4") == [0, Fraction(1, 12)]
    assert times_of(tmp_path / "filmed.mp4") == [0, Fraction(1, 12)]
    film.resume()
    painted(film, workshop)
    assert (film.state, film.count) == (State.FINISHED, 4)
    assert engine.painted == [0, 1, 2, 3], "nothing is painted twice"
    with pytest.raises(SettingsError):
        film.resume()


def test_a_restart_interrupts_a_film_that_can_be_continued(
    make_film: MakeFilm, film_engine: FilmEngine, tmp_path: Path
) -> None:
    workshop, is_there = Workshop(tmp_path / "jobs"), threading.Event()

    def hold(frame: int) -> None:
        if frame == 1:
            engine.gate.clear()
            is_there.set()

    engine = Observed(film_engine, hold)
    film = make_film(4, engine=engine)
    workshop.submit(film, 1.0)
    assert is_there.wait(PATIENCE)
    workshop._is_closing.set()  # as `close` does, before it waits for the frame under way
    engine.gate.set()
    assert workshop.close(PATIENCE)
    second = Workshop(tmp_path / "jobs")
    found = second.find_film(film.id)
    assert found
    assert (found.state, found.note) == (State.INTERRUPTED, CLOSED)
    assert found.count in (2, 3)
    assert found.settings == film.settings
    found.engine = engine
    found.resume()
    painted(found, second)
    assert (found.state, found.count) == (State.FINISHED, 4)
    assert sorted(engine.painted) == [0, 1, 2, 3]


KILLED = """
import functools, os, signal, sys
from pathlib import Path
from helpers.filming import SMALL, WHOLE, Observed
from helpers.pictures import make_waves
from helpers.tiny_network import tiny_weights
from nst.studio.film_job import Film
from nst.studio.workshop import Workshop
from nst.vgg.network import VGG
from nst.video.transfer import transfer_video

engine = functools.partial(transfer_video, network=VGG(tiny_weights(0)))
killed = Observed(engine, lambda frame: frame == 1 and os.kill(os.getpid(), signal.SIGKILL))
jobs, clip = map(Path, sys.argv[1:])
style = make_waves(50, 70, seed=2)
film = Film(jobs, WHOLE, [style], SMALL, frames=4, visitor="jane", engine=killed)
film.take_clip(clip)
workshop = Workshop(jobs)
workshop.submit(film, 1.0)
workshop.wait_until_idle(60)
"""


@pytest.mark.slow
def test_a_film_goes_on_after_kill_9(tmp_path: Path, film_engine: FilmEngine) -> None:
    clip, jobs = write_frames(tmp_path / "clip.mp4", 4), tmp_path / "jobs"
    paths = os.pathsep.join([str(ROOT), str(TESTS)])
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(jobs), str(clip)],
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    workshop = Workshop(jobs)
    (card,) = workshop.cards("jane")
    assert (card.state, card.iteration, card.total) == (State.INTERRUPTED, 2, 4)
    film = workshop.find_film(card.id)
    assert film
    film.engine = engine = Observed(film_engine, lambda frame: None)
    film.resume()
    painted(film, workshop)
    assert (film.state, film.count) == (State.FINISHED, 4)
    assert engine.painted == [2, 3]


def test_its_sound_is_that_of_the_part(make_film: MakeFilm, tmp_path: Path) -> None:
    film = make_film(6, cut=Cut(0.0, 0.25, 64))
    shutil.copy(write_sounding(tmp_path / "sound.mp4", "libmp3lame", seconds=0.5), film.home / CLIP)
    painted(film, Workshop(tmp_path / "jobs"))
    assert (film.state, film.has_sound, film.remark) == (State.FINISHED, True, "")
    with av.open(str(film.home / FILM)) as made:
        (track,) = made.streams.audio
        heard = sum(p.duration or 0 for p in made.demux(track)) * (track.time_base or 0)
    assert 0.2 <= float(heard) <= 0.35


def test_sound_that_an_mp4_cannot_hold_is_left_out_and_said(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    film = make_film(6)
    shutil.copy(write_sounding(tmp_path / "sound.mkv", "pcm_s16le"), film.home / CLIP)
    painted(film, Workshop(tmp_path / "jobs"))
    assert (film.state, film.has_sound, film.remark) == (State.FINISHED, False, SILENT)
    assert times_of(film.home / FILM)


def test_handles_with_no_frame_between_them_get_a_sentence(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    film = painted(make_film(4, cut=Cut(9.0, 9.5, 64)), Workshop(tmp_path / "jobs"))
    assert (film.state, film.note) == (State.FAILED, NO_FRAME)


def test_a_clip_that_is_cut_off_is_painted_as_far_as_it_goes(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    film = make_film(24)
    whole = write_frames(tmp_path / "clip.mkv", 24)
    data = whole.read_bytes()
    (film.home / CLIP).write_bytes(data[: len(data) * 4 // 5])
    painted(film, Workshop(tmp_path / "jobs"))
    assert film.state is State.FINISHED
    assert 0 < film.count < 24


def test_colours_are_dialled_in_what_is_delivered(make_film: MakeFilm, tmp_path: Path) -> None:
    plain, dialled = make_film(2), make_film(2)
    dialled.settings = dialled.settings.replace(colors=-1.0)
    workshop = Workshop(tmp_path / "jobs")
    chromas = []
    for film in (plain, dialled):
        painted(film, workshop)
        with av.open(str(film.home / FILM)) as made, av.open(str(film.home / ORIGINAL)) as clip:
            pictures = [
                next(each.decode(video=0)).to_ndarray(format="yuv420p") for each in (made, clip)
            ]
        below = [picture[42:].astype(int) for picture in pictures]  # rows of U and V
        chromas.append(float(np.abs(below[0] - below[1]).mean()))
    assert chromas[1] < chromas[0] / 2


def test_a_film_that_is_deleted_while_it_is_painted_leaves_nothing(
    make_film: MakeFilm, film_engine: FilmEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workshop = Workshop(tmp_path / "jobs")
    engine = Observed(film_engine, after(0, lambda: workshop.forget(film.id)))
    film = make_film(3, engine=engine)
    painted(film, workshop)
    assert not film.state.is_live
    assert not film.home.exists()
    assert workshop.find_film(film.id) is None
    assert caplog.text == ""


def test_a_deleted_film_can_be_brought_back(make_film: MakeFilm, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "jobs")
    film = painted(make_film(2), workshop)
    workshop.delete(film.id)
    assert workshop.find_film(film.id) is None
    assert workshop.cards("jane") == []
    assert Workshop(tmp_path / "jobs").find_film(film.id) is None, "on disk it is deleted as well"
    assert workshop.restore(film.id)
    assert workshop.find_film(film.id) is film


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"cut": 3}', "\0", '{"state": "painted"}', "9" * 5000]
)
def test_a_damaged_record_is_a_card_that_says_so(
    make_film: MakeFilm, tmp_path: Path, text: str
) -> None:
    film = painted(make_film(2), Workshop(tmp_path / "jobs"))
    (film.home / RECORD).write_text(text)
    workshop = Workshop(tmp_path / "jobs")
    assert workshop.find(film.id) is None
    (card,) = workshop.cards("jane")
    assert (card.is_damaged, card.noun) == (True, "film")
    workshop.delete(film.id)
    assert workshop.cards("jane") == []


def test_a_film_has_a_limit_of_time_of_its_own(make_film: MakeFilm, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "jobs", Limits(film_seconds=-1.0))
    film = painted(make_film(3), workshop)
    assert film.state is State.STOPPED
    assert film.note.endswith("the most for one film here.")


def test_what_is_too_long_is_told_before_it_begins(tmp_path: Path) -> None:
    limits = Limits(film_frames=10, film_seconds=20.0)

    class Slow(LocalBackend):
        def forecast(self, run: PlannedRun) -> Forecast:
            return Forecast(5.0, 1)

        def free_memory(self, settings: TransferSettings, held: int) -> None:
            return None

        def film_forecast(self, *_: object) -> FilmForecast:
            return FilmForecast(first=5.0, following=2.0)

    def forecast(frames: int) -> float:
        found = expected_film(Slow(), (96, 64), [(50, 70)], SMALL, FILM_DEFAULTS, frames, limits)
        return found.seconds

    assert (forecast(1), forecast(3)) == (5.0, 9.0)
    with pytest.raises(TooLargeError, match="most for one film here; choose a smaller size"):
        forecast(9)
    with pytest.raises(TooLargeError, match="11 frames, and 10 are the most here"):
        forecast(11)


def test_the_time_left_is_what_frames_have_taken(make_film: MakeFilm) -> None:
    film = make_film(10)
    film.first_seconds, film.next_seconds = 6.0, 1.0
    assert film.remaining == 6.0 + 9 * 1.0
    film.times = [Fraction(0)]
    assert film.remaining == 9.0
    film._paces = [2.0, 4.0]
    assert film.remaining == 27.0


def test_pictures_do_not_see_films(make_film: MakeFilm, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "jobs")
    film = painted(make_film(2), workshop)
    assert workshop.find_job(film.id) is None
    picture = Job(make_waves(40, 30, seed=1), [make_waves(30, 40, seed=2)], SMALL, visitor="jane")
    workshop.submit(picture)
    settle(workshop)
    assert workshop.find_film(picture.id) is None
    assert {card.noun for card in workshop.cards("jane")} == {"film", "picture"}


def test_a_film_has_no_more_frames_than_it_may(make_film: MakeFilm, tmp_path: Path) -> None:
    film = make_film(6)
    film.most_frames = 3
    painted(film, Workshop(tmp_path / "jobs"))
    assert (film.state, film.count) == (State.FINISHED, 3)
    assert film.remark == "It ends after 3 frames, the most for one film here."
    assert len(times_of(film.home / FILM)) == 3


def test_what_a_film_takes_on_disk_is_told_before_it_begins() -> None:
    class Free(LocalBackend):
        def forecast(self, run: PlannedRun) -> Forecast:
            return Forecast(1.0, 1)

        def free_memory(self, settings: TransferSettings, held: int) -> None:
            return None

    settings, limits = SMALL.replace(size=512), Limits(film_bytes=50e6)
    with pytest.raises(TooLargeError, match=r"about 53 MB on the server's disk .* 50 are the most"):
        expected_film(Free(), (1024, 768), [(50, 70)], settings, FILM_DEFAULTS, 100, limits)


def test_a_closing_server_ends_a_film_that_has_given_way(
    make_film: MakeFilm, film_engine: FilmEngine, tmp_path: Path
) -> None:
    workshop, is_there = Workshop(tmp_path / "jobs"), threading.Event()

    def hold(frame: int) -> None:
        engine.gate.clear()
        is_there.set()

    engine = Observed(film_engine, hold)
    first, second = make_film(4), make_film(4, visitor="ada", engine=engine)
    pieces = first.run()
    while first.count < 1:
        next(pieces)
    first.give_way()
    deque(pieces, maxlen=0)
    assert first.has_given_way
    workshop.submit(second, 1.0)
    assert is_there.wait(PATIENCE)
    workshop.submit(first, 1.0)  # which waits: the second is in the middle of a frame
    workshop._is_closing.set()  # as `close` does, before it waits for the frame under way
    engine.gate.set()
    assert workshop.close(PATIENCE)
    assert (first.state, first.note, first.has_given_way) == (State.INTERRUPTED, CLOSED, False)
    found = Workshop(tmp_path / "jobs").find_film(first.id)
    assert found
    assert (found.state, found.note, found.count) == (State.INTERRUPTED, CLOSED, 1)


def test_a_film_whose_frames_were_still_to_be_deleted_is_finished(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    film = painted(make_film(3), Workshop(tmp_path / "jobs"))
    record = film.home / RECORD
    record.write_text(record.read_text().replace('"finished"', '"running"'))
    found = Workshop(tmp_path / "jobs").find_film(film.id)
    assert found
    assert found.state is State.FINISHED


@pytest.mark.parametrize("time", ["1e9999999", "-1", "1/0", "1.5", "x"])
def test_times_are_plain_fractions(make_film: MakeFilm, tmp_path: Path, time: str) -> None:
    film = painted(make_film(2), Workshop(tmp_path / "jobs"))
    record = film.home / RECORD
    values = json.loads(record.read_text())
    for damaged in ({"times": [time]}, {"rate": time}, {"rate": "0"}):
        record.write_text(json.dumps({**values, **damaged}))
        workshop = Workshop(tmp_path / "jobs")
        assert workshop.find(film.id) is None
        assert [card.is_damaged for card in workshop.cards("jane")] == [True]


def test_its_sound_is_as_it_was_when_a_rendering_comes_too_late(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    film = painted(make_film(2), Workshop(tmp_path / "jobs"))
    film.has_sound = True
    with pytest.raises(FileNotFoundError):
        film.write_painted(tmp_path / "late.mp4", 2)
    assert (film.has_sound, film.remark) == (True, "")
