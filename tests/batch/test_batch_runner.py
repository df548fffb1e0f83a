"""A batch paints each picture once, whatever happens to files and workers on the way."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from typing_extensions import override

from helpers.batches import QUICK, Heard, InlinePool, planned, records
from helpers.pictures import MakePicture
from nst.batch.messages import Event, Failed, Lost, Painted, Progress
from nst.batch.output_folder import OutputFolder
from nst.batch.painter import Painter
from nst.batch.plan import Item, Manner
from nst.batch.pool import Pool
from nst.batch.reporting import Estimate, PlainReporter, TableReporter, counted, span
from nst.batch.runner import MOST_LOSSES, Runner
from nst.batch.tally import Tally
from nst.console import StopRequest
from nst.engine.schedule import Moment
from nst.engine.transfer import transfer_style
from nst.errors import WeightsError
from nst.images.reading import load_image
from nst.images.recipe import read_recipe
from nst.settings import TransferSettings
from nst.vgg.network import VGG


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    for module in ("nst.engine.devices", "nst.batch.painter"):
        monkeypatch.setattr(f"{module}.load_network", lambda *_: network)


@pytest.fixture
def photos(tmp_path: Path, make_picture: MakePicture) -> list[Path]:
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for seed, path in enumerate(paths):
        make_picture(80, 60, seed=seed).save(path)
    return paths


@pytest.fixture
def paintings(tmp_path: Path, painting: Image.Image) -> list[Path]:
    painting.save(tmp_path / "x.png")
    return [tmp_path / "x.png"]


def run(
    out: Path, plan: tuple[list[Item], Manner], pool: Pool | None = None
) -> tuple[Tally, Heard]:
    heard = Heard()
    with OutputFolder(out, []) as folder, StopRequest() as stop:
        runner = Runner(folder, plan[1], heard)
        tally = runner.find_missing(plan[0])
        runner.run(pool or InlinePool(), stop)
    return tally, heard


def test_all_are_painted_and_then_none(
    tmp_path: Path, photos: list[Path], paintings: list[Path], network: VGG
) -> None:
    out, plan = tmp_path / "out", planned(photos, paintings)
    tally, heard = run(out, plan)
    assert tally == Tally(3, painted=3)
    assert heard.outputs("painted") == ["a--x.png", "b--x.png", "c--x.png"]
    *_, last = transfer_style(
        load_image(photos[0]), load_image(paintings[0]), QUICK, network=network
    )
    assert load_image(out / "a--x.png").tobytes() == last.image.tobytes()
    assert read_recipe(out / "a--x.png").settings == QUICK
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    pool = InlinePool()
    assert run(out, planned(photos, paintings), pool)[0] == Tally(3, present=3)
    assert pool.requests == []
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.png")} == before


def test_only_what_changed_is_painted_again(
    tmp_path: Path, photos: list[Path], paintings: list[Path], make_picture: MakePicture
) -> None:
    out = tmp_path / "out"
    run(out, planned(photos, paintings))
    make_picture(80, 60, seed=9).save(photos[1])
    os.utime(photos[2])
    os.remove(out / "c--x.png")
    tally, heard = run(out, planned(photos, paintings))
    assert tally == Tally(3, present=1, painted=2)
    assert heard.outputs("painted") == ["b--x.png", "c--x.png"]
    other = QUICK.replace(beta=2.0)
    assert run(out, planned(photos, paintings, other))[0] == Tally(3, painted=3)
    assert read_recipe(out / "a--x.png").settings == other


def test_the_same_picture_under_two_names_is_painted_once(
    tmp_path: Path, photos: list[Path], paintings: list[Path]
) -> None:
    photos[1].write_bytes(photos[0].read_bytes())
    pool, out = InlinePool(), tmp_path / "out"
    tally, heard = run(out, planned(photos, paintings), pool)
    assert (tally.painted, tally.present, tally.missing) == (2, 1, 0)
    assert [request.number for request in pool.requests] == [0, 2]
    assert heard.outputs("copied") == ["b--x.png"]
    assert (out / "a--x.png").read_bytes() == (out / "b--x.png").read_bytes()


def test_a_damaged_input_is_told_once_and_the_rest_goes_on(
    tmp_path: Path, photos: list[Path], paintings: list[Path], make_picture: MakePicture
) -> None:
    make_picture(40, 50, seed=7).save(tmp_path / "y.png")
    for name in ("x.png", "b.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    out = tmp_path / "out"
    tally, heard = run(out, planned(photos, [tmp_path / "x.png", tmp_path / "y.png"]))
    assert tally == Tally(6, painted=2, failed=4)
    assert heard.outputs("painted") == ["a--y.png", "c--y.png"]
    assert heard.outputs("failed") == ["a--x.png", "b--y.png"]
    assert {
        record["output"]: record["error"] for record in records(out, "failed")
    } == dict.fromkeys(
        ["a--x.png", "b--x.png", "c--x.png", "b--y.png"],
        "The PNG file cannot be read: it is damaged, cut off or of an unusual kind.",
    )


def test_a_file_in_the_way_is_left_and_the_rest_goes_on(
    tmp_path: Path, photos: list[Path], paintings: list[Path]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b--x.png").write_bytes(b"mine")
    tally, heard = run(out, planned(photos, paintings))
    assert tally == Tally(3, painted=2, failed=1)
    assert heard.outputs("failed") == ["b--x.png"]
    assert (out / "b--x.png").read_bytes() == b"mine"


def test_a_claimed_picture_whose_place_is_taken_is_written_under_its_other_names(
    tmp_path: Path, photos: list[Path], paintings: list[Path]
) -> None:
    for photo in photos[1:]:
        photo.write_bytes(photos[0].read_bytes())
    (items, manner), heard, out = planned(photos, paintings), Heard(), tmp_path / "out"
    with OutputFolder(out, []) as folder:
        runner = Runner(folder, manner, heard)
        tally = runner.find_missing(items)
        (item,) = runner.claim()
        (out / "a--x.png").write_bytes(b"mine")
        runner.settle(item, Painted(item.number, b"painted", 1, 1, 1, {}, 1.0))
    assert heard.events == [
        ("failed", "a--x.png"), ("painted", "b--x.png"), ("copied", "c--x.png")
    ]  # fmt: skip
    assert tally == Tally(3, present=1, painted=1, failed=1)
    assert runner.is_over
    assert (out / "c--x.png").read_bytes() == b"painted"


class LosingPool(InlinePool):
    """Its worker is lost once the oldest request has reached an iteration, so many times."""

    def __init__(self, iteration: int, times: int) -> None:
        super().__init__()
        self.iteration, self.times = iteration, times

    @override
    def events(self, seconds: float) -> Sequence[Event]:
        events = super().events(seconds)
        for event in events:
            if self.times and isinstance(event, Progress) and event.iteration == self.iteration:
                self.times -= 1
                return self.lose()
        return events


def test_a_picture_whose_worker_is_lost_goes_on_from_its_checkpoint(
    tmp_path: Path, photos: list[Path], paintings: list[Path], network: VGG
) -> None:
    """The recipe tells of it, and what it tells is what was done."""
    out, settings = tmp_path / "out", TransferSettings(size=64, iterations=24)
    pool = LosingPool(13, times=1)
    tally, heard = run(out, planned(photos[:2], paintings, settings), pool)
    assert tally == Tally(2, painted=2)
    assert sorted(heard.outputs("painted")) == ["a--x.png", "b--x.png"]
    assert heard.outputs("lost") == ["a--x.png", "b--x.png"]
    assert [(request.number, bool(request.checkpoint)) for request in pool.requests] == [
        *((0, False), (1, False), (0, True), (1, False)),
    ]
    recipe = read_recipe(out / "a--x.png")
    assert [passage.iteration for passage in recipe.passages] == [0, 10]
    assert (recipe.iterations, len(recipe.provenance)) == (24, 1)
    photo, painting = load_image(photos[0]), load_image(paintings[0])
    steps = transfer_style(photo, painting, settings, network=network)
    tenth = next(step for step in steps if step.iteration == 10)
    begin = Moment(tenth.image, 10)
    *_, last = transfer_style(photo, painting, settings, begin=begin, network=network)
    assert load_image(out / "a--x.png").tobytes() == last.image.tobytes()


def test_a_picture_that_costs_worker_after_worker_is_given_up(
    tmp_path: Path, photos: list[Path], paintings: list[Path]
) -> None:
    pool = LosingPool(1, times=MOST_LOSSES)
    tally, heard = run(tmp_path / "out", planned(photos, paintings), pool)
    assert tally == Tally(3, painted=2, failed=1)
    assert heard.outputs("failed") == ["a--x.png"]
    (record,) = records(tmp_path / "out", "failed")
    assert record["error"].startswith(f"The worker that painted it was lost {MOST_LOSSES} times")


def test_what_none_can_be_painted_without_ends_the_batch(
    tmp_path: Path, photos: list[Path], paintings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise WeightsError("The parameters cannot be had.")

    monkeypatch.setattr("nst.batch.painter.load_network", fail)
    with pytest.raises(WeightsError, match=r"The parameters cannot be had\."):
        run(tmp_path / "out", planned(photos, paintings))


def test_an_error_inside_the_engine_is_a_line(
    tmp_path: Path, photos: list[Path], paintings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Iterator[None]:
        raise MemoryError if len(calls) == 1 else RuntimeError("odd\nand more")

    calls: list[int] = []
    monkeypatch.setattr("nst.studio.backends.local.transfer_style", broken)
    monkeypatch.setattr("nst.batch.painter.check_room", lambda *_: calls.append(1))
    run(tmp_path / "out", planned(photos[:2], paintings))
    errors = [record["error"] for record in records(tmp_path / "out", "failed")]
    assert errors == [
        "There was not enough memory for 64 px; a smaller --size may do.",
        "RuntimeError: odd",
    ]


def test_an_estimate_follows_what_was_painted() -> None:
    time = SimpleNamespace(now=100.0)
    estimate = Estimate(clock=lambda: time.now)
    estimate.begin(4)
    assert (estimate.seconds, estimate.text) == (None, "")
    time.now += 50  # until the workers are there
    estimate.progress(0, 0.25, elapsed=10.0)
    estimate.progress(1, 0.25, elapsed=9.0)
    assert estimate.seconds == 70  # half a picture in 10 s, three and a half are left
    estimate.done(0)
    assert estimate.seconds == 22
    estimate.resize(2)  # one of them cannot be painted
    assert estimate.seconds == pytest.approx(10 / 1.25 * 1.75)
    estimate.done(1)
    estimate.done(2)
    assert (estimate.seconds, estimate.text) == (0, "")


def test_what_failed_before_the_start_counts_in_no_estimate() -> None:
    estimate = Estimate(clock=lambda: 0.0)
    for number in range(10):
        estimate.done(number)
    estimate.begin(4)
    estimate.progress(10, 0.5, elapsed=10.0)
    assert estimate.seconds == 70


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")),
        *((86400 * 3 + 4 * 3600 + 59, "3 d 4 h"), (3601, "1 h")),
    ],
)
def test_spans_of_time(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_batch_in_numbers() -> None:
    assert counted(Tally(1, painted=1)) == "1 picture, 1 painted"
    assert (
        counted(Tally(9, 1, 2, 3)) == "9 pictures, 1 there already, 2 painted, 3 failed, 3 to paint"
    )


@pytest.mark.parametrize("kind", [PlainReporter, TableReporter])
def test_people_read_of_each_picture(
    tmp_path: Path,
    photos: list[Path],
    paintings: list[Path],
    kind: type[PlainReporter],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What looks like markup is a name."""
    odd = photos[0].with_name("[bold]a.png")
    photos[0].rename(odd)
    photos[1].write_bytes(b"junk")
    items, manner = planned([odd, *photos[1:]], paintings)
    reporter = kind(sys.stderr)
    with OutputFolder(tmp_path / "out", []) as folder, StopRequest() as stop:
        runner = Runner(folder, manner, reporter)
        tally = runner.find_missing(items)
        runner.run(InlinePool(), stop)
        reporter.end(tally)
        reporter.close()
    text = capsys.readouterr().err
    assert "3 pictures, 3 to paint" in text
    assert "[bold]a--x.png  " in text
    assert f"nst: {photos[1]}: This is not a picture that can be read" in text.replace("\n", "")
    assert text.rstrip().endswith("3 pictures, 2 painted, 1 failed")


def test_people_read_once_that_all_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    reporter, tally = PlainReporter(sys.stderr), Tally(2, present=2)
    reporter.planned(tally)
    reporter.end(tally)
    assert capsys.readouterr().err == "2 pictures, 2 there already\n"


def test_people_read_once_of_a_damaged_input(
    photos: list[Path], paintings: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (item, *_), _ = planned(photos, paintings)
    reporter, tally = PlainReporter(sys.stderr), Tally(3)
    for _ in range(3):
        reporter.failed(item, "it is damaged", "photo", tally)
    reporter.failed(item, "it is damaged", "painting", tally)
    assert capsys.readouterr().err.count("damaged") == 2


def test_an_answer_to_no_question_is_passed_over(
    tmp_path: Path, photos: list[Path], paintings: list[Path]
) -> None:
    class Echoing(InlinePool):
        @override
        def events(self, seconds: float) -> Sequence[Event]:
            events = super().events(seconds)
            late = [Failed(e.number, "late") for e in events if isinstance(e, Painted)]
            return [*events, *late, *(Lost(e.number, True, "late") for e in late)]

    assert run(tmp_path / "out", planned(photos, paintings), Echoing())[0] == Tally(3, painted=3)


def test_a_request_is_opened_while_the_one_before_is_painted_and_not_sooner(
    photos: list[Path], paintings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So two threads paint in the order in which they take requests."""
    items, manner = planned(photos[:2], paintings)
    requests = iter([item.request(manner) for item in items])
    painter, opened = Painter("cpu"), list[bool]()

    def load(*arguments: object, **options: object) -> Image.Image:
        opened.append(painter._opening.locked())
        return load_image(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("nst.batch.painter.load_image", load)
    runs = [painter.run_next(lambda: next(requests)) for _ in items]
    assert isinstance(next(runs[0]), Progress)
    assert opened == [True]
    assert painter._turn.locked()
    assert not painter._opening.locked()
    rest: list[Event] = []
    thread = threading.Thread(target=lambda: rest.extend(runs[1]))
    thread.start()
    assert isinstance([*runs[0]][-1], Painted)
    thread.join()
    assert (rest[-1].number, type(rest[-1])) == (items[1].number, Painted)
    assert not painter._turn.locked()
    assert not painter._opening.locked()
