"""Films on the page but for the browser: what clips are taken, and whose files are whose."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder
from starlette.applications import Starlette

from benchmarks.clips import static, write_clip
from helpers.clips import turn, write_frames, write_sound, write_still
from helpers.filming import MakeFilm, Observed, after, film_engine, make_film
from helpers.pictures import make_waves
from helpers.working import PATIENCE, settle
from nst.errors import BusyError, ImageError
from nst.studio.film_forecast import ExpectedFilm
from nst.studio.film_job import FILM, Film, FilmEngine
from nst.studio.limits import Limits
from nst.studio.task import State, share_id
from nst.studio.workshop import Workshop
from nst.video.decoding import NO_CLIP, NO_FRAMES, NO_VIDEO
from nst.video.forecast import FilmForecast
from nst.video.trimming import TrimmedClip
from page import clip_previews
from page.actions.visits import LOST
from page.clip_previews import ONE_AT_A_TIME, Client, ClipFacts, WaitingClips, preview_of
from page.http.film_files import FrameCounts, film_routes, key_of
from page.http.job_files import JobFiles
from page.looks import look_route
from page.panels.charts import message
from page.panels.clip_input import USUAL_RATE, ChosenClip, ClipInput, clip_value
from page.panels.components import Choice
from page.panels.film import DELETED, NO_FRAME, SHARED, progress, verdict
from page.panels.modes import FILM as FILM_TAB
from page.panels.own_gallery import gallery_markup
from page.panels.paintings import Paintings
from page.rendering import Renderings
from page.studio import Studio

__all__ = ["film_engine", "make_film"]  # fixtures

pytestmark = pytest.mark.slow

TOKEN = "jane-jane-jane-jane-jane-jane-00"
REQUEST: Any = SimpleNamespace(session_hash="tab", query_params={}, client=None)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "jobs")


@pytest.fixture
def web(workshop: Workshop) -> Iterator[Any]:
    """`web(path, **headers)`: an answer of the routes of films."""
    renderings, encodings = Renderings(1), Renderings(1)
    files = JobFiles(workshop, renderings)
    app = Starlette(routes=[*film_routes(files, encodings), look_route(workshop, renderings)])

    def ask(path: str, **headers: str) -> httpx.Response:
        async def get() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(get())

    yield ask
    renderings.close()
    encodings.close()


def painted(film: Film, workshop: Workshop) -> Film:
    workshop.submit(film, 1.0)
    settle(workshop)
    return film


def stopped(make_film: MakeFilm, engine: FilmEngine, workshop: Workshop, count: int) -> Film:
    """A film that was stopped after so many frames."""
    stopping = Observed(engine, after(count - 1, lambda: film.stop()))
    film: Film = make_film(count + 2, engine=stopping)
    return painted(film, workshop)


def frames_in(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r") as film:
        return len(list(film.decode(video=0)))


# --- Clips that come in -------------------------------------------------------------------------


def component() -> Any:
    with gr.Blocks():
        return ClipInput()


def test_a_clip_has_its_length_and_a_small_film_to_trim_it_by(tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip.mp4", 48, size=(640, 360), rate=24)
    shown = preview_of(str(clip), component())
    assert shown.facts == ClipFacts(shown.facts.seconds, 24.0, 480, 270)
    assert shown.facts.seconds == pytest.approx(2.0, abs=0.1)
    assert shown.shown.startswith("gradio_api/file=")
    value = clip_value(ChosenClip(str(clip), 0, 0, 0, 256), shown)
    assert (value["rate"], value["size"], value["end"]) == (12, 256, shown.facts.seconds)


def test_a_small_film_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    clip, part = write_frames(tmp_path / "clip.mp4", 6), component()
    first = preview_of(str(clip), part)
    assert preview_of(str(clip), part) is first
    Path(first.path).unlink()
    assert Path(preview_of(str(clip), part).path).exists()


def test_frames_between_two_times_are_counted() -> None:
    facts = ClipFacts(seconds=10.0, rate=30.0, width=480, height=270)
    assert facts.frames(0, 0, 0) == 300
    assert facts.frames(2, 6, 12) == 48
    assert facts.frames(2, 60, 240) == 240
    assert facts.frames(2, 2, 12) == 1


def test_as_many_frames_are_announced_as_a_trimmed_clip_has(tmp_path: Path) -> None:
    write_clip(static((64, 48), 50), tmp_path / "clip.mp4", 25)
    facts = ClipFacts(seconds=2.0, rate=25.0, width=64, height=48)
    for begin, end, rate in [
        *((0, 0, 0), (0.5, 0, 0), (0.55, 0, 12), (0.55, 1.95, 12), (0.04, 0.99, 10)),
        *((1.3, 1.32, 12), (0.21, 1.47, 24), (0, 1.999, 8), (0.08, 0.6, 60)),
    ]:
        clip = TrimmedClip(tmp_path / "clip.mp4", 64, rate, begin, end)
        expected = max(1, len(list(clip)))
        assert facts.frames(begin, end, rate) == expected, (begin, end, rate)


def audio_only(folder: Path) -> Path:
    return write_sound(folder / "clip.mp4")


def empty(folder: Path) -> Path:
    (folder / "clip.mp4").touch()
    return folder / "clip.mp4"


def text(folder: Path) -> Path:
    (folder / "clip.mp4").write_text("not a clip")
    return folder / "clip.mp4"


def beginning(folder: Path) -> Path:
    """The head of an MP4 whose index is at its end."""
    whole = write_frames(folder / "whole.mp4", 24).read_bytes()
    (folder / "clip.mp4").write_bytes(whole[: len(whole) // 2])
    return folder / "clip.mp4"


def long(folder: Path) -> Path:
    return write_still(folder / "clip.mp4", 1300, rate=10)


def playlist(folder: Path) -> Path:
    (folder / "clip.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    return folder / "clip.mp4"


@pytest.mark.parametrize(
    ("make", "sentences"),
    [
        (audio_only, (NO_VIDEO,)),
        (empty, (NO_CLIP,)),
        (text, (NO_CLIP,)),
        (beginning, (NO_CLIP, NO_FRAMES)),
        (
            long,
            ("The clip is longer than 120 seconds, the most here; please choose a shorter one.",),
        ),
        (playlist, (NO_CLIP,)),
    ],
)
def test_what_is_no_clip_gets_one_sentence(
    tmp_path: Path, make: Any, sentences: tuple[str, ...]
) -> None:
    with pytest.raises(ImageError) as caught:
        preview_of(str(make(tmp_path)), component())
    assert str(caught.value) in sentences


def test_a_clip_that_takes_too_long_to_read_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_previews, "READ_SECONDS", 0.0)
    with pytest.raises(ImageError, match="takes too long to read; please choose a shorter"):
        preview_of(str(write_frames(tmp_path / "clip.mp4", 3)), component())


def test_a_visitor_waits_for_one_clip_at_a_time_and_a_network_for_a_few() -> None:
    waiting, jane = WaitingClips(), Client("jane", "home")
    with waiting.place(jane, "a"), waiting.place(jane, "a"):
        with pytest.raises(BusyError, match=ONE_AT_A_TIME), waiting.place(jane, "b"):
            pass
        with (
            waiting.place(Client("ada", "home"), "b"),
            waiting.place(Client("eve", "home"), "c"),
            waiting.place(Client("joan", "home"), "d"),
            waiting.place(Client("mary", "work"), "e"),
            waiting.place(Client(), "f"),
            waiting.place(Client(), "g"),
            pytest.raises(BusyError),
            waiting.place(Client("rose", "home"), "h"),
        ):
            pass
    with waiting.place(jane, "b"):
        pass


@pytest.mark.parametrize(("rate", "size"), [(1, (96, 64)), (240, (96, 64)), (12, (4096, 2160))])
def test_odd_clips_are_taken(tmp_path: Path, rate: int, size: tuple[int, int]) -> None:
    clip = write_frames(tmp_path / "clip.mp4", 3, size=size, rate=rate)
    assert preview_of(str(clip), component()).facts.rate == rate


def test_a_telephone_that_was_turned_is_upright(tmp_path: Path) -> None:
    facts = preview_of(str(turn(write_frames(tmp_path / "clip.mp4", 3))), component()).facts
    assert facts.width < facts.height


def test_without_opencv_a_clip_gets_one_sentence(
    tmp_path: Path, unserved_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    clip = ChosenClip(str(write_frames(tmp_path / "clip.mp4", 2)), 0, 0, 0, 256)
    with pytest.warns(UserWarning, match="need OpenCV"):
        refused = unserved_studio.filming.take_clip(clip, TOKEN, REQUEST)
    assert "pip install nst[masks]" in refused["refusal"]


def test_only_an_upload_is_taken_for_a_clip(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    mine = Path(get_upload_folder()) / "mine" / "clip.mp4"
    mine.parent.mkdir(parents=True)
    mine.touch()
    clip = component()
    chosen = clip.preprocess({"file": {"path": str(mine)}, "begin": 1, "end": 0.5, "size": 9})
    assert chosen == ChosenClip(str(mine), 1.0, 1.0, USUAL_RATE, 64)
    assert clip.preprocess(None) is clip.preprocess("") is clip.preprocess({"file": None}) is None
    outside = tmp_path / "outside.mp4"
    outside.touch()
    with pytest.raises(gr.Error):
        clip.preprocess({"file": {"path": str(outside)}})
    for wrong in (float("nan"), float("inf"), -1, "x", None):
        with pytest.raises((ValueError, TypeError)):
            clip.preprocess({"file": {"path": str(mine)}, "begin": wrong})


# --- Files of films -----------------------------------------------------------------------------


def test_what_is_done_plays_at_any_moment(
    make_film: MakeFilm, film_engine: FilmEngine, workshop: Workshop, web: Any
) -> None:
    film = stopped(make_film, film_engine, workshop, 3)
    for name in ("film.mp4", "original.mp4"):
        address = f"/studio/{film.id}/{name}"
        assert web(address).headers["Content-Type"] == "video/mp4"
        assert [frames_in(web(address + query).content) for query in ("", "?frames=3")] == [3, 3]
        for other in ("?frames=2", "?frames=99", "?frames=x"):
            assert frames_in(web(address + other).content) == 3
        assert web(address + "?frames=0").status_code == 404
    assert web(f"/studio/{film.id}/frame.webp?side=256").headers["Content-Type"] == "image/webp"


def test_a_film_is_encoded_once_whatever_is_asked_for(
    make_film: MakeFilm, film_engine: FilmEngine, workshop: Workshop
) -> None:
    film = stopped(make_film, film_engine, workshop, 3)
    release, writing = threading.Event(), threading.Event()

    def made() -> bytes:
        writing.set()
        assert release.wait(PATIENCE)
        return b"a film"

    encodings = Renderings(1)
    counts = FrameCounts(encodings)
    assert [counts.count_of(film, asked) for asked in (None, 1, 2, 99, 0)] == [3, 3, 3, 3, 0]
    waiting = threading.Thread(target=encodings.fetch_now, args=(key_of(film, FILM, 3), made))
    waiting.start()
    assert writing.wait(PATIENCE)
    film.times = [*film.times, film.times[-1] + 1]
    assert (counts.count_of(film, 4), counts.count_of(film, None)) == (3, 3), "it is being made"
    release.set()
    waiting.join()
    encodings.close()
    assert counts.count_of(film, 4) == 3, "an address answers with the same, for ranges of it"
    assert (counts.count_of(film, None), counts.count_of(film, 5)) == (4, 4)
    film.times = film.times[:2]
    assert counts.count_of(film, 4) == 2


def test_a_film_is_sent_in_ranges_as_safari_asks_for_it(
    make_film: MakeFilm, workshop: Workshop, web: Any
) -> None:
    film = painted(make_film(2), workshop)
    whole = (film.home / FILM).read_bytes()
    address = f"/studio/{film.id}/film.mp4?frames=2"
    first = web(address, Range="bytes=0-1")
    assert (first.status_code, first.content) == (206, whole[:2])
    assert first.headers["Content-Range"] == f"bytes 0-1/{len(whole)}"
    assert web(address).headers["Accept-Ranges"] == "bytes"
    assert web(address, Range="bytes=10-").content == whole[10:]
    assert web(address, Range=f"bytes={len(whole)}-").status_code == 416


def test_whoever_does_not_know_the_id_gets_nothing(
    make_film: MakeFilm, workshop: Workshop, web: Any
) -> None:
    film = painted(make_film(2), workshop)
    other = film.id[:-1] + ("0" if film.id[-1] != "0" else "1")
    for id in (other, share_id(film.id), film.owner, "..", "x"):
        for name in ("film.mp4", "original.mp4", "frame.webp"):
            assert web(f"/studio/{id}/{name}").status_code == 404
    for name in ("clip", "film.json", "style-0.png", ".film.mp4.frames/000000.png"):
        assert web(f"/studio/{film.id}/{name}").status_code == 404


def test_a_link_shows_the_film_and_nothing_else(
    make_film: MakeFilm, film_engine: FilmEngine, workshop: Workshop, web: Any
) -> None:
    film = stopped(make_film, film_engine, workshop, 2)
    home = f"/studio/shared/{share_id(film.id)}"
    assert frames_in(web(home + "/film.mp4").content) == 2
    assert web(home + "/original.mp4").status_code == 404
    film.resume()  # it waits
    assert web(home + "/film.mp4").status_code == 404


def test_a_deleted_film_has_no_files(make_film: MakeFilm, workshop: Workshop, web: Any) -> None:
    film = painted(make_film(2), workshop)
    workshop.delete(film.id)
    assert web(f"/studio/{film.id}/film.mp4").status_code == 404
    preview = web(f"/studio/{film.id}/frame.webp")
    assert (preview.status_code, preview.content) == (204, b"")
    assert workshop.restore(film.id)
    assert web(f"/studio/{film.id}/film.mp4").status_code == 200


def test_a_look_tells_how_far_a_film_is(
    make_film: MakeFilm, film_engine: FilmEngine, workshop: Workshop, web: Any
) -> None:
    film = stopped(make_film, film_engine, workshop, 2)
    look = web(f"/studio/{film.id}/look.json").json()
    assert (look["isLive"], look["count"], look["total"], look["percent"]) == (False, 2, 4, 50)
    assert look["pair"]["painted"] == f"studio/{film.id}/film.mp4?frames=2"
    film.resume()
    assert "In the queue" in web(f"/studio/{film.id}/look.json").json()["film-status"]


# --- The visitor's films ------------------------------------------------------------------------


@pytest.fixture
def own_film(make_film: MakeFilm, film_engine: FilmEngine, unserved_studio: Studio) -> Film:
    return stopped(
        lambda *a, **k: make_film(*a, visitor=TOKEN, **k),
        film_engine,
        unserved_studio.session.workshop,
        2,
    )


def test_a_reload_finds_the_film(own_film: Film, unserved_studio: Studio) -> None:
    panel = unserved_studio.session.film
    found = unserved_studio.visits.arrive(TOKEN, REQUEST)
    assert (found[panel.current], found[panel.modes]) == (own_film.id, "film")
    assert found[panel.stage]["pair"] == {
        "painted": f"studio/{own_film.id}/film.mp4?frames=2",
        "original": f"studio/{own_film.id}/original.mp4?frames=2",
    }
    assert "Film, stopped, 2 of 4 frames" in found[unserved_studio.session.gallery]
    others = unserved_studio.visits.arrive("another-visitor-00000000000000000", REQUEST)
    assert others.get(panel.current, "") == ""


def test_a_link_to_a_film_is_followed(own_film: Film, unserved_studio: Studio) -> None:
    panel = unserved_studio.session.film
    request: Any = SimpleNamespace(
        session_hash="tab", query_params={"result": share_id(own_film.id)}, client=None
    )
    found = unserved_studio.visits.arrive("another-visitor-00000000000000000", request)
    assert SHARED in found[panel.status]
    assert own_film.id not in repr(found)


def test_only_its_visitor_stops_and_continues_a_film(
    own_film: Film, unserved_studio: Studio
) -> None:
    filming, panel = unserved_studio.filming, unserved_studio.session.film
    with pytest.warns(UserWarning, match="no longer kept"):
        refused = filming.go_on(own_film.id, "another-visitor-00000000000000000", REQUEST)
    assert "no longer kept" in refused[panel.status]
    assert own_film.state is State.STOPPED
    nothing = filming.halt(own_film.id, "another-visitor-00000000000000000", REQUEST)
    assert "nothing to stop" in nothing[panel.status]
    with pytest.warns(UserWarning, match="no longer kept"):
        opened = unserved_studio.own_pictures.open_card(
            "another-visitor-00000000000000000", SimpleNamespace(job=own_film.id), REQUEST
        )
    assert list(opened) == [unserved_studio.session.gallery]


def test_a_full_queue_leaves_a_film_as_it_was(
    own_film: Film, unserved_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise BusyError("Too many are waiting.")

    filming, panel = unserved_studio.filming, unserved_studio.session.film
    with monkeypatch.context() as patch:
        patch.setattr(unserved_studio.session.workshop, "check_room", full)
        with pytest.warns(UserWarning, match="Too many are waiting"):
            refused = filming.go_on(own_film.id, TOKEN, REQUEST)
    assert "Too many are waiting" in refused[panel.status]
    assert own_film.state is State.STOPPED


def test_a_card_opens_the_film_and_deletes_it(own_film: Film, unserved_studio: Studio) -> None:
    session, click = unserved_studio.session, SimpleNamespace(job=own_film.id)
    opened = unserved_studio.own_pictures.open_card(TOKEN, click, REQUEST)
    assert opened[session.film.stage]["film"] == own_film.id
    deleted = unserved_studio.own_pictures.delete_card(TOKEN, "", own_film.id, click, REQUEST)
    assert deleted[session.film.current] == ""
    assert own_film.id in deleted[session.gallery], "for a while it can be brought back"
    restored = unserved_studio.own_pictures.restore_card(TOKEN, click, REQUEST)
    assert 'class="film-mark"' in restored[session.gallery]


def test_a_verdict_says_what_was_reached(own_film: Film) -> None:
    assert verdict(own_film).startswith("Stopped after 2 of 4 frames")
    own_film.state, own_film.remark = State.FINISHED, "The film has no sound."
    assert verdict(own_film).startswith("Finished: 2 frames in")
    assert verdict(own_film).endswith("The film has no sound.")
    own_film.times = own_film.times[:1]
    assert verdict(own_film).startswith("Finished: 1 frame in")


def test_progress_is_no_live_region(own_film: Film) -> None:
    own_film._become(State.RUNNING)
    markup = progress(own_film)
    assert 'value="0.500" aria-label="Progress of the film"' in markup
    assert "role=" not in markup


def test_a_film_that_was_deleted_elsewhere_says_so(own_film: Film, unserved_studio: Studio) -> None:
    session, filming = unserved_studio.session, unserved_studio.filming
    session.workshop.delete(own_film.id)
    ended = filming.see_the_end(own_film.id, TOKEN, REQUEST)
    assert (ended[session.film.status], ended[session.film.current]) == (message(DELETED), "")
    session.workshop.forget(own_film.id)
    ended = filming.see_the_end(own_film.id, TOKEN, REQUEST)
    assert ended[session.film.status] == message(NO_FRAME)


def test_a_link_to_what_is_gone_says_so(unserved_studio: Studio) -> None:
    request: Any = SimpleNamespace(
        session_hash="tab", query_params={"result": "0" * 32}, client=None
    )
    found = unserved_studio.visits.arrive(TOKEN, request)
    assert LOST in found[unserved_studio.session.result_panel.status]


def test_a_damaged_film_is_named_on_its_tab(own_film: Film, unserved_studio: Studio) -> None:
    session, click = unserved_studio.session, SimpleNamespace(job=own_film.id)
    session.workshop._tasks.remove(own_film.id)
    (own_film.home / "film.json").write_text("{}")
    opened = unserved_studio.own_pictures.open_card(TOKEN, click, REQUEST)
    assert "This film is damaged" in opened[session.film.status]
    assert opened[session.film.modes] == FILM_TAB
    assert session.result_panel.status not in opened


def test_a_damaged_film_can_be_deleted(own_film: Film, unserved_studio: Studio) -> None:
    (own_film.home / "film.json").write_text("{}")
    cards = Workshop(own_film.home.parent).cards(TOKEN)
    assert "damaged on the server" in gallery_markup(cards, 3600.0)


# --- Limits -------------------------------------------------------------------------------------


def asked(studio: Studio, folder: Path) -> dict[Any, Any]:
    """What the page sends for a film of twelve frames."""
    session = studio.session
    make_waves(50, 70, seed=2).save(folder / "painting.png")
    clip = write_frames(folder / "clip.mp4", 12)
    return {
        **{part: part.value for part in session.controls.components},
        session.visitor: TOKEN,
        session.painting: Choice(str(folder / "painting.png")),
        session.paintings: Paintings(),
        session.film.clip: ChosenClip(str(clip), 0.0, 1.0, 0.0, 64),
    }


def test_a_film_of_too_many_frames_is_refused_before_it_begins(
    waiting_studio: Studio, tmp_path: Path
) -> None:
    session, filming = waiting_studio.session, waiting_studio.filming
    session.workshop.limits = Limits(film_frames=5)
    values = asked(waiting_studio, tmp_path)
    sentence = "The film would have 12 frames, and 5 are the most here"
    assert sentence in filming.estimate(values, REQUEST)
    with pytest.warns(UserWarning, match=sentence):
        refused = filming.begin(values, REQUEST)
    assert sentence in refused[session.film.status]
    assert list((tmp_path / "jobs").glob("*-*")) == []


def test_a_visitor_has_as_many_films_waiting_as_pictures(
    waiting_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, filming = waiting_studio.session, waiting_studio.filming
    expected = ExpectedFilm(12, FilmForecast(1.0, 1.0))
    monkeypatch.setattr("page.actions.filming.expected_film", lambda *_: expected)
    values = asked(waiting_studio, tmp_path)
    assert "About 12 s for 12 frames." in filming.estimate(values, REQUEST)
    for _ in range(Limits.waiting_of_one):
        begun = filming.begin(values, REQUEST)
        assert begun[session.film.current]
    with pytest.warns(UserWarning, match="waiting already"):
        refused = filming.begin(values, REQUEST)
    assert session.film.current not in refused
    assert len(list((tmp_path / "jobs").glob("*-*"))) == Limits.waiting_of_one
    session.workshop.close()


def test_of_two_quick_clicks_the_second_film_is_painted(
    make_film: MakeFilm, film_engine: FilmEngine, unserved_studio: Studio
) -> None:
    session, filming = unserved_studio.session, unserved_studio.filming
    session.tabs.sessions.enter("tab", "a network")
    first, second = (make_film(3, visitor=TOKEN) for _ in range(2))
    for film in (first, second):
        film.engine = Observed(film_engine, lambda frame: None)
        film.engine.gate.clear()
        session.workshop.submit(film, 1.0)
        filming._supersede("tab", film)
    first.engine.gate.set()  # type: ignore[attr-defined]
    stopping = filming.halt(first.id, TOKEN, REQUEST)
    assert stopping == {session.film.stop: gr.update(interactive=False)}
    second.engine.gate.set()  # type: ignore[attr-defined]
    settle(session.workshop)
    assert (first.state, second.state) == (State.STOPPED, State.STOPPED)
    assert session.workshop.find_film(first.id) is None, "nothing was painted of it"
