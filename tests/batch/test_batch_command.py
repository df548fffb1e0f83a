"""`python -m nst.batch` and its worker processes: what they print, and how they end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from helpers.batches import IN_WORKERS, Batch, arguments, records
from helpers.pictures import MakePicture
from helpers.server import planted
from helpers.waiting import until
from nst.__main__ import command
from nst.batch.__main__ import build_parser, main
from nst.batch.local_pool import LocalPool
from nst.batch.messages import Event, FileFormat, Lost, Painted, PaintRequest, Progress
from nst.batch.worker import share_of
from nst.images.reading import load_image
from nst.images.recipe import read_recipe
from nst.settings import TransferSettings

N_PHOTOS = 4
# The second picture and all after it never end: none is quicker than a test that ends the batch.
ENDLESS = """
    import itertools, time
    import nst.studio.backends.local as local
    paint, runs = local.transfer_style, itertools.count()

    def endless(*arguments, **options):
        is_endless = next(runs) > 0
        for step in paint(*arguments, **options):
            yield step
            while is_endless:
                time.sleep(0.05)
                yield step

    local.transfer_style = endless
"""  # in workers alone
FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
"""


@pytest.fixture
def place(tmp_path: Path, make_picture: MakePicture) -> Path:
    """A folder with `photos/` and `paintings/`."""
    for name, seeds in (("photos", range(N_PHOTOS)), ("paintings", [7])):
        (tmp_path / name).mkdir()
        for seed in seeds:
            make_picture(80, 60, seed=seed).save(tmp_path / name / f"{seed}.png")
    return tmp_path


def pictures(place: Path) -> dict[str, int]:
    """What is in the output folder, and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in (place / "out").glob("*.png")}


@pytest.mark.slow
def test_all_is_painted_by_several_processes(place: Path) -> None:
    (place / "photos" / "broken.jpg").write_bytes(b"junk")
    with Batch(place, *arguments(), "--jobs", "2") as batch:
        status, errors = batch.end()
    assert (status, errors) == (1, "")
    kinds = [event["event"] for event in batch.events if event["event"] != "progress"]
    assert sorted(kinds) == sorted(["planned", "failed", *["painted"] * N_PHOTOS, "finished"])
    (failed,) = (event for event in batch.events if event["event"] == "failed")
    assert (failed["photo"], failed["culprit"]) == ("photos/broken.jpg", "photo")
    assert batch.events[-1] == {
        **{"event": "finished", "total": 5, "present": 0, "painted": N_PHOTOS, "failed": 1}
    }
    assert sorted(pictures(place)) == [f"{n}--7.png" for n in range(N_PHOTOS)]
    recipe = read_recipe(place / "out" / "0--7.png")
    assert recipe.provenance[0].threads == 1
    before = pictures(place)
    (place / "photos" / "broken.jpg").unlink()
    with Batch(place, *arguments()) as batch:
        assert batch.end() == (0, "")
    assert pictures(place) == before


@pytest.mark.slow
def test_killed_it_goes_on_where_it_was(place: Path) -> None:
    with Batch(place, *arguments(), plant=ENDLESS) as batch:
        batch.until("painted")
        batch.until("progress")
        batch.kill()
    before = pictures(place)
    assert list(before) == ["0--7.png"]
    with Batch(place, *arguments()) as batch:
        assert batch.end() == (0, "")
    assert batch.events[0]["present"] == 1
    after = pictures(place)
    assert len(after) == N_PHOTOS
    assert after["0--7.png"] == before["0--7.png"]
    assert [record["output"] for record in records(place / "out")] == sorted(after)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_it_and_keeps_what_is_finished(
    place: Path, number: signal.Signals, status: int
) -> None:
    with Batch(place, *arguments(), plant=ENDLESS) as batch:
        batch.until("painted")
        batch.until("progress")
        batch.process.send_signal(number)
        ended, errors = batch.end()
    assert ended == status
    assert errors == "nst: stopped; 3 of 4 pictures are missing, the same command goes on\n"
    assert list(pictures(place)) == ["0--7.png"]
    assert sorted(os.listdir(place / "out")) == ["0--7.png", "manifest.jsonl"]


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(place: Path) -> None:
    plant = f"{ENDLESS}\nimport os\nopen('pids', 'a').write(f'{{os.getpid()}} ')"
    with Batch(place, *arguments(), "--jobs", "2", plant=plant) as batch:
        batch.until("painted")
        batch.kill()
    pids = [int(pid) for pid in (place / "pids").read_text().split()]
    assert len(pids) >= 3
    until(lambda: not any(is_running(pid) for pid in pids), "all processes end")


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_full_disk_ends_it_with_one_sentence(place: Path) -> None:
    with Batch(place, *arguments(), plant=FULL) as batch:
        status, errors = batch.end()
    assert status == 1
    assert errors == "nst: 'out/0--7.png' cannot be written: File too large\n"
    assert os.listdir(place / "out") == ["manifest.jsonl"]
    with Batch(place, *arguments()) as batch:
        assert batch.end() == (0, "")


@pytest.mark.slow
def test_workers_that_cannot_start_are_one_sentence(place: Path) -> None:
    plant = "\n    import os\n    os._exit(3)"
    with Batch(place, *arguments(), plant=plant) as batch:
        status, errors = batch.end()
    assert (status, errors) == (1, "nst: the processes that paint cannot start (exit status 3)\n")


@pytest.mark.slow
def test_a_device_that_is_not_there_is_one_sentence(place: Path) -> None:
    with Batch(place, *arguments(), "--device", "xpu") as batch:
        assert batch.end() == (1, "nst: This machine has no xpu device.\n")


@pytest.mark.slow
def test_a_picture_goes_on_when_its_worker_is_killed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in planted(place, IN_WORKERS).items():
        monkeypatch.setenv(name, value)
    photo, painting = (place / name for name in ("photos/0.png", "paintings/7.png"))
    settings = TransferSettings(size=64, iterations=400)  # which are painted slowly
    request = PaintRequest(
        5, photo.read_bytes(), painting.read_bytes(), settings, FileFormat(".png")
    )
    pool = LocalPool(1, "cpu")
    try:
        pool.submit(request)
        checkpoint = None
        while not checkpoint:
            for event in pool.events(0.2):
                assert isinstance(event, Progress)
                checkpoint = event.checkpoint
        pool._workers[0].process.kill()
        events = [event for event in waited(pool) if not isinstance(event, Progress)]
        assert events == [Lost(5, True, "signal 9")]
        assert pool.has_room
        recipe = read_recipe(checkpoint)
        assert recipe.iterations == 10
        short = settings.replace(iterations=12)
        pool.submit(
            PaintRequest(
                5, *(request.photo, request.painting, short, request.format), checkpoint=checkpoint
            )
        )
        seen = list[Event]()
        while not seen or isinstance(seen[-1], Progress):
            seen += pool.events(0.2)
    finally:
        pool.close()
    assert [event.iteration for event in seen[:-1] if isinstance(event, Progress)] == [10, 11, 12]
    assert isinstance(seen[-1], Painted)
    assert [passage.iteration for passage in read_recipe(seen[-1].data).passages] == [0, 10]
    assert load_image(seen[-1].data).size == (64, 48)


def waited(pool: LocalPool) -> list[object]:
    """Events, until one of them is no progress."""
    events: list[object] = []
    while all(isinstance(event, Progress) for event in events):
        events += pool.events(0.2)
    return events


@pytest.mark.parametrize(
    ("threads", "jobs", "shares"),
    [(2, 1, [2]), (2, 2, [1, 1]), (5, 2, [3, 2]), (8, 3, [3, 3, 2]), (2, 4, [1, 1, 1, 1])],
)
def test_jobs_divide_the_threads(threads: int, jobs: int, shares: list[int]) -> None:
    assert [share_of(threads, index, jobs) for index in range(jobs)] == shares


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere", "--styles", "p.png", "-o", "out"], "there is no file or folder 'nowhere'"),
        (["p.png", "--styles", "p.png", "-o", "no/out"], "the folder 'no/out' cannot be made"),
        (
            ["p.png", "--styles", "p.png", "-o", "out", "--depth", "16", "--format", "jpg"],
            "16 bits per channel need a .png, .tif or .tiff file",
        ),
        (["p.png", "--styles", "p.png", "-o", "out", "--alpha", "0"], "--alpha must be from"),
        (
            ["p.png", "--styles", "p.png", "q.png", "-o", "out", "--pairs", "zip"],
            "--pairs zip needs as many paintings as photos, not 2 for 1",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    tmp_path: Path,
    make_picture: MakePicture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("pq"):
        make_picture(40, 40, seed=seed).save(f"{name}.png")
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"nst: {sentence}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", ["0", "65", "two"])
def test_the_number_of_jobs_is_checked(jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["p", "--styles", "p", "-o", "out", "--jobs", jobs])
    assert f"{jobs!r} is not a whole number from 1 to 64" in capsys.readouterr().err


def test_batch_is_a_word_of_nst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever lies around; a photo of that name is written with its folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").touch()
    monkeypatch.setattr(sys, "argv", ["nst", "batch", "nowhere", "--styles", "x", "-o", "out"])
    assert command() == 1
    assert capsys.readouterr().err == "nst: there is no file or folder 'nowhere'\n"
    monkeypatch.setattr(sys, "argv", ["nst", "./batch", "nowhere", "-o", "out.png"])
    assert command() == 1
    assert "./batch: This is not a picture" in capsys.readouterr().err
