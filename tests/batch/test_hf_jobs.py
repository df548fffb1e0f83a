"""Batches by jobs on the Hub: everything but the machines is real, see `helpers.loopback_jobs`."""

from __future__ import annotations

import ast
import errno
import hashlib
import importlib.metadata
import io
import json
import os
import signal
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from benchmarks.clips import pan, write_clip
from helpers.batches import arguments, records
from helpers.clips import write_sounding
from helpers.loopback_jobs import JobsHub, LoopbackBucket, LoopbackJob, jobs_hub
from helpers.pictures import MakePicture
from helpers.places import ROOT
from helpers.server import planted
from helpers.tiny_network import SERVED
from helpers.waiting import until
from nst.batch import hf_jobs, shard
from nst.batch.__main__ import build_parser, main, run
from nst.batch.bucket import Bucket
from nst.batch.code_archive import OPENCV, PACKAGES, code_archive, requirements
from nst.batch.hf_jobs import DECLINED, OLD, SIGNED_OUT, UNASKED, failed_from
from nst.batch.inputs import CHANGED, InputFile
from nst.batch.messages import Failed, FileFormat, Painted
from nst.batch.plan import Item, Manner, plan_items
from nst.batch.shard import SharedFolder, painted_from
from nst.batch.shard_plan import (
    ShardPlan,
    failure_path,
    frames_path,
    output_path,
    plan_path,
    record_path,
    shards,
)
from nst.console import StopRequest
from nst.errors import DeviceError, HubError, OutputError
from nst.settings import TransferSettings
from nst.video.clips import Clip
from nst.web.hub_client import explain

N_PHOTOS = 3
START = 300.0  # seconds for a job to begin, on a busy machine
BUCKET = "ada/nst-batches"
# The machine of a job: its worker paints with the tiny network, by the code that was uploaded, and
# no second picture, or third frame, before there is a file that says so.
MACHINE = f"""
import os, sys
sys.path.insert(0, os.getcwd())
if any("spawn_main" in word for word in sys.orig_argv):
    {SERVED}
    import itertools, time
    import nst
    import nst.studio.backends.local as local
    assert nst.__file__.startswith(os.environ["TMPDIR"]), nst.__file__
    paint, runs = local.transfer_style, itertools.count()

    def waiting(*arguments, **options):
        while next(runs) > 0 and not os.path.exists(os.environ["GO"]):
            time.sleep(0.05)
        yield from paint(*arguments, **options)

    local.transfer_style = waiting
elif "nst.batch.shard" in sys.orig_argv:
    {SERVED}
    import time
    import nst.video.transfer
    paint_film = nst.video.transfer.transfer_video

    def waiting_film(*arguments, **options):
        for step in paint_film(*arguments, **options):
            yield step
            while step.frame > 1 and not os.path.exists(os.environ["GO"]):
                time.sleep(0.05)

    nst.video.transfer.transfer_video = waiting_film
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsHub]:
    with jobs_hub(tmp_path / "hub") as hub:
        token = hub.add_user("ada")
        (tmp_path / "go").touch()
        hub.environment_of_jobs = {
            **planted(tmp_path, MACHINE),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",  # all that is required is installed here already
            "GO": str(tmp_path / "go"),
        }
        monkeypatch.setattr(hf_jobs, "HfApi", partial(HfApi, endpoint=hub.url, token=token))
        monkeypatch.setattr(hf_jobs, "POLL", 0.1)
        yield hub


@pytest.fixture
def place(tmp_path: Path, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `photos/` and `paintings/`."""
    for name, seeds in (("photos", range(N_PHOTOS)), ("paintings", [7])):
        (tmp_path / name).mkdir()
        for seed in seeds:
            make_picture(80, 60, seed=seed).save(tmp_path / name / f"{seed}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(out: str = "out", *more: str) -> list[str]:
    return [*arguments(out), "--hf-jobs", "cpu-basic", *more]


def outputs(hub: JobsHub) -> list[str]:
    bucket = hub.buckets.get(BUCKET, LoopbackBucket(private=True))
    return [path for path in list(bucket.files) if path.startswith("outputs/")]


@pytest.mark.slow
def test_the_whole_round(hub: JobsHub, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "photos" / "broken.png").write_bytes(b"junk")
    (place / "photos" / "same.png").write_bytes((place / "photos" / "0.png").read_bytes())
    assert main(words("out", "--jobs", "2", "--yes")) == 1
    for job in hub.jobs.values():
        assert job.done.wait(START)
    logs = [job.log for job in hub.jobs.values()]
    errors = capsys.readouterr().err
    assert sorted(path.name for path in (place / "out").glob("*.png")) == [
        "0--7.png", "1--7.png", "2--7.png", "same--7.png"
    ], logs  # fmt: skip
    assert "4 pictures by 2 jobs on cpu-basic (CPU Basic), each $0.01 an hour" in errors
    assert errors.count("nst: photos/broken.png: ") == 1
    done = {record["output"]: record for record in records(place / "out")}
    assert done["1--7.png"]["photo"]["path"] == "photos/1.png"
    assert done["1--7.png"]["settings"]["iterations"] == 2
    (failed,) = records(place / "out", "failed")
    assert failed["culprit"] == "photo"

    for job in hub.jobs.values():
        assert (job.stage, job.attempts) == ("COMPLETED", 1)
        assert (job.spec["timeoutSeconds"], job.spec["attempts"]) == (7200, 3)
        assert job.spec["dockerImage"].startswith("python:3.")
        assert "secrets" not in job.spec
    for token in hub.tokens:  # which no job is given
        assert token not in str([(job.spec, job.log) for job in hub.jobs.values()]) + errors
    assert hub.buckets[BUCKET].private
    assert not any(Path(path).stem == "0" for path in hub.buckets[BUCKET].files)  # no names

    (place / "photos" / "broken.png").unlink()
    assert main(words("out")) == 0  # nothing to rent, so nothing to ask
    n_jobs, before = len(hub.jobs), hub.asked("/batch")
    assert main(words("elsewhere")) == 0  # the bucket has it all
    assert (len(hub.jobs), hub.asked("/batch")) == (n_jobs, before)
    assert len(records(place / "elsewhere")) == 4


@pytest.mark.slow
def test_what_was_stopped_is_joined(
    hub: JobsHub, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.runs_jobs = False  # no machine is free
    with StopRequest() as stop:

        def interrupt() -> None:
            until(lambda: hub.jobs, "a job")
            stop.signal = signal.SIGINT

        thread = threading.Thread(target=interrupt)
        thread.start()
        tally = run(build_parser().parse_args(words("out", "--yes")), stop)
        thread.join()
    assert tally.missing == N_PHOTOS
    assert "jobs that go on: 1; the same command joins them" in capsys.readouterr().err
    (job,) = hub.jobs.values()
    hub.runs_jobs = True
    hub.begin(job)
    assert main(words("out")) == 0  # without a question: nothing new is rented
    assert list(hub.jobs.values()) == [job]
    assert len(records(place / "out")) == N_PHOTOS


@pytest.mark.slow
def test_a_killed_machine_goes_on_with_what_is_missing(hub: JobsHub, place: Path) -> None:
    (place / "go").unlink()
    killed = dict[str, object]()

    def kill() -> None:
        until(lambda: len(outputs(hub)) == 2, "the first picture", START)
        killed.update({path: hub.buckets[BUCKET].files[path] for path in outputs(hub)})
        (place / "go").touch()
        process = hub.jobs["1"].process
        assert process
        os.killpg(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    assert main(words("out", "--yes")) == 0
    thread.join()
    assert hub.jobs["1"].attempts == 2
    assert len(outputs(hub)) == 2 * N_PHOTOS
    for path, file in killed.items():  # painted once
        assert hub.buckets[BUCKET].files[path] is file


@pytest.mark.slow
def test_a_film_goes_on_when_its_machine_is_killed(hub: JobsHub, place: Path) -> None:
    write_clip(pan((96, 72), 4), place / "clip.mp4", sound=True)
    (place / "go").unlink()

    def frames() -> list[str]:
        bucket = hub.buckets.get(BUCKET, LoopbackBucket(private=True))
        return [path for path in list(bucket.files) if path.startswith("frames/")]

    kept = dict[str, object]()

    def kill() -> None:
        until(lambda: len(frames()) >= 2, "two frames", START)
        kept.update({path: hub.buckets[BUCKET].files[path] for path in frames()})
        (place / "go").touch()
        process = hub.jobs["1"].process
        assert process
        os.killpg(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    words = ["clip.mp4", "photos/0.png", "--styles", "paintings", "-o", "out", "--size", "64"]
    more = ["--iterations", "2", "--frame-iterations", "1", "--hf-jobs", "cpu-basic", "--yes"]
    assert main([*words, *more]) == 0, hub.jobs["1"].log
    thread.join()
    assert hub.jobs["1"].attempts == 2
    assert len(frames()) == 4
    for path, file in kept.items():  # painted once
        assert hub.buckets[BUCKET].files[path] is file
    assert sorted(os.listdir("out")) == ["0--7.png", "clip--7.mp4", "manifest.jsonl"]
    film = Clip(Path("out", "clip--7.mp4"), 64)
    assert (len(list(film)), film.facts.has_sound) == (4, True)
    (record,) = (each for each in records(place / "out") if "film" in each)
    assert record["film"]["frame_iterations"] == 1


@pytest.mark.slow
def test_a_job_that_fails_is_a_line_and_the_next_command_rents_for_what_is_missing(
    hub: JobsHub, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    working = hub.environment_of_jobs["PATH"]
    hub.environment_of_jobs["PATH"] = "/bin:/usr/bin"  # so are `sh` and `mktemp`
    hub.environment_of_jobs["PYTHONHOME"] = str(place)  # and no Python that starts
    hub.fail(r"/api/jobs/ada/\d+$", status=503, times=3)  # the Hub has a weak moment meanwhile
    assert main(words("out", "--yes")) == 1
    errors = capsys.readouterr().err
    assert hub.jobs["1"].attempts == 3
    (line,) = (line for line in errors.splitlines() if line.startswith("nst: "))
    assert "The job ended as ERROR (Job failed with exit code: 1" in line
    assert "before 3 pictures of it were painted" in line
    assert line.endswith(f"its log: {hub.url}/jobs/ada/1")
    del hub.environment_of_jobs["PYTHONHOME"]
    hub.environment_of_jobs["PATH"] = working
    assert main(words("out", "--yes")) == 0
    assert len(hub.jobs) == 2


def test_nothing_leaves_the_machine_without_a_yes(
    hub: JobsHub,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(words()) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1] == f"nst: {UNASKED}"
    assert "at most $0.07" in errors[-2]  # 6.012 cents

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert main(words()) == 1
    assert capsys.readouterr().err.endswith(f"Rent them? [y/N] nst: {DECLINED}\n")
    assert not hub.buckets
    assert not hub.jobs


def stopped_at_once(hub: JobsHub, *more: str) -> None:
    """Rent machines that are never free, and stop when they are asked for."""
    hub.runs_jobs = False
    n_jobs = len(hub.jobs)
    with StopRequest() as stop:

        def interrupt() -> None:
            until(lambda: len(hub.jobs) > n_jobs, "a job")
            stop.signal = signal.SIGINT

        thread = threading.Thread(target=interrupt)
        thread.start()
        run(build_parser().parse_args(words("out", "--yes", *more)), stop)
        thread.join()


def planned_by(hub: JobsHub, job: str) -> ShardPlan:
    name = hub.jobs[job].spec["labels"]["plan"]
    return ShardPlan.from_bytes(hub.read(BUCKET, plan_path(name)))


def test_a_record_without_its_picture_is_none_and_is_deleted(hub: JobsHub, place: Path) -> None:
    stopped_at_once(hub)
    items = planned_by(hub, "1").items(place / "bucket")
    hub.jobs["1"].stage = "CANCELED"
    bad = {record_path(items[0].key): b"", record_path(items[1].key): b'{"sha256": "0"}'}
    bad[output_path(items[1], FileFormat())] = b"half"
    writing: list[tuple[str | Path | bytes, str]] = [(data, path) for path, data in bad.items()]
    hub._client.batch_bucket_files(BUCKET, add=writing)
    for path, data in bad.items():
        (place / "bucket" / path).parent.mkdir(parents=True, exist_ok=True)
        (place / "bucket" / path).write_bytes(data)
    folder = SharedFolder(place / "bucket", FileFormat())
    assert not any(map(folder.holds, items))
    folder.store(items[1], Painted(1, b"whole", 1, 1, 1, {}, 1.0), Manner(TransferSettings()))
    assert folder.holds(items[1])
    stopped_at_once(hub)
    assert len(hub.jobs) == 2
    assert not outputs(hub)


def test_a_photo_that_changes_while_the_price_is_asked_is_not_uploaded(
    hub: JobsHub, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(pan((96, 72), 2), place / "photos" / "clip.mp4")

    create = Bucket.create

    def change(bucket: Bucket) -> None:
        data = changed.read_bytes()
        changed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        create(bucket)

    monkeypatch.setattr(Bucket, "create", change)
    for name in ("1.png", "clip.mp4"):
        changed = place / "photos" / name
        assert main(words("out", "--yes")) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == f"nst: photos/{name}: {CHANGED}"
        assert not hub.jobs
        hashes = {path.removeprefix("inputs/").split(".")[0] for path in hub.buckets[BUCKET].files}
        before = hashlib.sha256((place / "photos" / name).read_bytes()).hexdigest()
        assert before not in hashes


def test_an_error_tells_of_the_jobs_that_go_on(
    hub: JobsHub, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.runs_jobs = False
    start = hf_jobs.RentedBatch._start

    def start_one(*arguments: Any) -> Any:
        if hub.jobs:
            raise HubError("The Hub has enough.")
        return start(*arguments)

    monkeypatch.setattr(hf_jobs.RentedBatch, "_start", start_one)
    assert main(words("out", "--yes", "--jobs", "3")) == 1
    errors = capsys.readouterr().err
    assert "jobs that go on: 1; the same command joins them" in errors
    assert errors.endswith("nst: The Hub has enough.\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(HfApi, "get_bucket_paths_info", full)
    with pytest.raises(OutputError, match="No space left"):  # looked at once, and not 30 times
        Bucket(HfApi(), BUCKET).sizes(["x"])
    assert explain(ConnectionRefusedError(), "x") == "The Hugging Face Hub cannot be reached now."
    assert main(words("out", "--yes")) == 1
    assert "A file cannot be read or written on this machine: No space left" in (
        capsys.readouterr().err
    )


def test_a_job_whose_answer_was_lost_is_found_by_its_plan(
    hub: JobsHub, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job, answers = HfApi.run_job, iter([True, False])

    def lose(api: HfApi, **options: Any) -> Any:
        info = run_job(api, **options)
        if next(answers):
            raise ConnectionResetError
        return info

    monkeypatch.setattr(HfApi, "run_job", lose)
    assert main(words("out", "--yes", "--jobs", "2")) == 0
    assert sorted(hub.jobs) == ["1", "2"], "nothing is rented twice"
    assert len(records(place / "out")) == N_PHOTOS
    assert "cannot be reached" not in capsys.readouterr().err


def test_a_clip_that_cannot_become_a_film_is_told_before_the_price(
    hub: JobsHub, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sounding(place / "clip.mkv", "pcm_s16le")
    words = ["clip.mkv", "--styles", "paintings", "-o", "out", "--hf-jobs", "cpu-basic"]
    assert main(words) == 1
    errors = capsys.readouterr().err
    assert "nst: clip.mkv: a .mp4 file cannot hold the clip's sound" in errors
    assert "at most $" not in errors
    assert not hub.buckets


def test_two_jobs_of_one_plan_are_both_joined_by_their_label(
    hub: JobsHub, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped_at_once(hub)
    spec = {**hub.jobs["1"].spec, "volumes": []}
    hub.jobs["2"] = LoopbackJob("2", spec, "ada")
    other = {**spec, "labels": {**spec["labels"], "bucket": "another"}}
    hub.jobs["3"] = LoopbackJob("3", other, "ada")
    capsys.readouterr()
    with StopRequest() as stop:
        stop.signal = signal.SIGINT
        run(build_parser().parse_args(words()), stop)
    assert "jobs that go on: 1, 2; the same command" in capsys.readouterr().err


def test_nothing_is_rented_for_what_was_painted_while_the_price_was_asked(
    hub: JobsHub, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at_once(hub)
    hub.jobs["1"].stage = "CANCELED"
    bucket = place / "bucket"
    items, create = planned_by(hub, "1").items(bucket), Bucket.create

    def paint_elsewhere(made: Bucket) -> None:
        create(made)
        shared = SharedFolder(bucket, FileFormat())
        for item in items:
            shared.store(item, Painted(0, b"x", 1, 1, 1, {}, 1.0), Manner(TransferSettings()))
        add: list[Any] = [
            (path.read_bytes(), str(path.relative_to(bucket)))
            for path in (bucket / "outputs").iterdir()
        ]
        hub._client.batch_bucket_files(BUCKET, add=add)

    bucket.mkdir()
    monkeypatch.setattr(Bucket, "create", paint_elsewhere)
    assert main(words("out", "--yes")) == 0
    assert list(hub.jobs) == ["1"]
    assert len(records(place / "out")) == N_PHOTOS


def test_what_cannot_be_rented_is_a_sentence(
    hub: JobsHub,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*more: str) -> str:
        assert main([*words("out"), *more]) == 1
        return capsys.readouterr().err.splitlines()[-1]

    assert "must be one of cpu-basic, t4-small, l4x4, not 'h300'" in refused("--hf-jobs", "h300")
    assert "l4x4 has 4 GPUs, and a job paints on one" in refused("--hf-jobs", "l4x4")
    cpu = "--device on cpu-basic must be one of auto, cpu, not"
    assert f"{cpu} 'cuda'" in refused("--device", "cuda")
    assert "must be one of auto, cpu, cuda, not 'mps'" in refused(
        "--hf-jobs", "t4-small", "--device", "mps"
    )
    assert "looks like owner/name, not 'mine'" in refused("--hf-bucket", "mine")
    hub.buckets["ada/open"] = LoopbackBucket(private=False)
    assert "ada/open is public" in refused("--hf-bucket", "ada/open", "--yes")
    assert "may not write to eve/bucket" in refused("--hf-bucket", "eve/bucket", "--yes")
    hub.fail("/api/jobs/ada$", status=402, methods=["POST"])
    assert "has no credits for this" in refused("--yes")
    monkeypatch.setattr(hf_jobs, "HfApi", lambda: HfApi(endpoint=hub.url, token=False))
    monkeypatch.setattr(hf_jobs, "can_write", lambda api: False)
    assert refused() == f"nst: {SIGNED_OUT}"
    monkeypatch.setattr("huggingface_hub.__version__", "1.16.1")
    assert refused() == f"nst: {OLD}"


@pytest.mark.parametrize(
    "flags", [("--yes",), ("--hf-hours", "1"), ("--hf-bucket", "a/b"), ("--hf-image", "x")]
)
def test_flags_of_rented_machines_need_some(
    flags: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments("out"), *flags]) == 1
    assert f"nst: {flags[0]} needs --hf-jobs" in capsys.readouterr().err


def test_shards_are_of_one_size_and_films_are_spread() -> None:
    photo, clip = InputFile(Path("x")), InputFile(Path("x.mp4"))
    items = [
        Item(n, clip if n % 8 == 0 else photo, photo, "x", f"{n * 2654435761 % 2**32:08x}")
        for n in range(40)
    ]
    parts = shards(items, 3)
    assert [len(part) for part in parts] == [14, 13, 13]
    assert [sum(item.is_film for item in part) for part in parts] == [2, 2, 1]
    assert {item.key for part in parts for item in part} == {item.key for item in items}
    assert shards(items[::-1], 3) == parts
    assert shards(items[:1], 5) == [items[:1]]


def test_a_record_holds_numbers_and_nothing_else() -> None:
    good: dict[str, Any] = {"width": 2, "height": 1, "iterations": 3, "costs": {"J": 1}}
    good |= {"seconds": 1.5, "sha256": hashlib.sha256(b"x").hexdigest()}

    def painted(**values: Any) -> Painted | None:
        return painted_from(7, json.dumps({**good, **values}).encode(), b"x")

    assert painted(file="/etc/hostname") == Painted(7, b"x", 2, 1, 3, {"J": 1.0}, 1.5)
    for name, value in [
        *(("width", "2"), ("height", True), ("iterations", -1), ("costs", [1])),
        *(("costs", {"J": "1"}), ("seconds", None), ("seconds", 10**400), ("sha256", "")),
    ]:
        assert painted(**{name: value}) is None, name
    assert painted_from(7, b"[" * 100_000, b"x") is None
    assert failed_from(7, b'{"reason": "no", "culprit": "photo"}') == Failed(7, "no", "photo")
    assert failed_from(7, b'{"reason": "no", "culprit": "all"}') is None
    assert failed_from(7, b'{"reason": "no", "culprit": ["photo"]}') is None


def test_frames_of_a_film_that_is_written_are_deleted(tmp_path: Path) -> None:
    folder, clip = SharedFolder(tmp_path, FileFormat()), InputFile(Path("x.mp4"))
    items = [Item(number, clip, clip, "x", key) for number, key in enumerate("ab")]
    for item in items:
        (tmp_path / frames_path(item.key)).mkdir(parents=True)
    folder.store(items[0], Painted(0, b"film", 1, 1, 1, {}, 1.0), Manner(TransferSettings()))
    folder.delete_leftovers(items)
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["b"]


def test_what_another_attempt_cannot_change_is_told_in_the_folder(
    tmp_path: Path, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture(8, 8).save(tmp_path / "x.png")
    manner = Manner(TransferSettings())
    plan = ShardPlan.of(plan_items([(tmp_path / "x.png", tmp_path / "x.png")], manner), manner)
    (tmp_path / "plans").mkdir()
    (tmp_path / plan_path(plan.name)).write_bytes(plan.to_bytes())

    def none(*_: object) -> None:
        raise DeviceError("There is no GPU here.")

    monkeypatch.setattr("nst.batch.local_pool.LocalPool", none)
    assert shard.main([str(tmp_path), plan.name, "cuda"]) == 0
    (key,) = plan.keys
    failed = failed_from(0, (tmp_path / failure_path(key)).read_bytes())
    assert failed == Failed(0, "There is no GPU here.")


def test_opencv_is_required_whatever_it_came_with(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name == OPENCV:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("importlib.metadata.version", without)
    (line,) = (line for line in requirements() if line.startswith(OPENCV))
    assert line in (ROOT / "requirements-masks.txt").read_text().splitlines()


def test_the_code_is_the_same_bytes_and_needs_no_other_packages() -> None:
    data = code_archive()
    assert data == code_archive()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = set(archive.namelist())
        assert {"nst/batch/shard.py", "nst/looks.json", "requirements.txt"} <= names
        required = archive.read("requirements.txt").decode()
        assert f"pillow=={importlib.metadata.version('pillow')}" in required.splitlines()
    imported = set[str]()
    for path in (ROOT / "nst").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    others = imported - set(sys.stdlib_module_names) - {"nst", "_typeshed", "ray", "spaces"}
    brought = importlib.metadata.packages_distributions()
    for module in others:
        names_of = {name.lower().replace("_", "-") for name in brought[module]}
        assert names_of & {name.replace("_", "-") for name in PACKAGES}, module


def test_a_private_bucket_is_hidden_from_others(hub: JobsHub) -> None:
    hub.buckets[BUCKET] = LoopbackBucket(private=True)
    stranger = HfApi(endpoint=hub.url, token=hub.add_user("eve"))
    with pytest.raises(HfHubHTTPError, match="404"):
        stranger.bucket_info(BUCKET)
