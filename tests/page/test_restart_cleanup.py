"""What a kill leaves: uploads go at the next start, and an admitted job is there again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from helpers.browsing import PAINTING, PHOTO
from helpers.places import ROOT
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.job_store import JobStore
from nst.studio.task import State
from nst.studio.workshop import Workshop
from page.http.upload_folder import PREFIX, delete, delete_abandoned, upload_folder

pytestmark = pytest.mark.slow


PATIENCE = 20.0  # seconds until a test that hangs fails
SMALL = TransferSettings(size=64, iterations=3)

HOLD = """
import pathlib, sys, time
from page.http.upload_folder import upload_folder
with upload_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "upload.png").write_bytes(b"a visitor's")
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds an upload folder, and its folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process, Path(process.stdout.readline().strip())
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.wait(PATIENCE)
        process.stdout.close()


def test_a_folder_is_there_and_then_gone(tmp_path: Path) -> None:
    with upload_folder(tmp_path) as folder:
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "deep").mkdir()
        (folder / "deep" / "upload.png").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_start_deletes_what_a_killed_server_left_and_nothing_else(tmp_path: Path) -> None:
    strangers = [tmp_path / "nst-other", tmp_path / "note", tmp_path / f"{PREFIX}link"]
    strangers[0].mkdir()
    strangers[1].write_text("keep")
    strangers[2].symlink_to(strangers[0], target_is_directory=True)
    (strangers[0] / "file").write_text("keep")
    with holder(tmp_path) as (dead, left), holder(tmp_path) as (_, held):
        dead.kill()
        dead.wait(PATIENCE)
        assert (left / "upload.png").is_file()
        with upload_folder(tmp_path) as own:
            assert not left.exists()
            assert (held / "upload.png").is_file(), "its server lives"
            assert own.is_dir()
    assert sorted(tmp_path.iterdir()) == sorted(strangers)
    assert (strangers[0] / "file").read_text() == "keep"


def test_a_folder_taken_while_it_is_made_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server starts between `mkdtemp` and the lock."""
    make, made = tempfile.mkdtemp, list[str]()

    def make_and_lose(**options: Any) -> str:
        made.append(make(**options))
        if len(made) == 1:
            delete_abandoned(tmp_path)
        return made[-1]

    monkeypatch.setattr("tempfile.mkdtemp", make_and_lose)
    with upload_folder(tmp_path) as folder:
        assert (len(made), str(folder)) == (2, made[1])
        delete_abandoned(tmp_path)
        assert folder.is_dir()


def test_the_end_waits_for_what_is_still_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview appears while the folder is deleted, as threads that are ending leave it."""
    rmtree, count = shutil.rmtree, 0

    def and_something_appears(path: Path, *args: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        rmtree(path, *args, **options)
        if count <= 3:
            late = path / f"{count}"
            late.mkdir(parents=True)
            (late / "preview.webp").write_bytes(b"x")

    monkeypatch.setattr(shutil, "rmtree", and_something_appears)
    with upload_folder(tmp_path) as folder:
        (folder / "upload.png").write_bytes(b"x")
    assert count == 4
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_deleted_ends_the_server_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "upload.png").write_bytes(b"x")
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    delete(tmp_path, patience=0)
    assert "the next start tries again" in caplog.text


def test_an_admitted_job_has_a_record_before_its_first_picture(
    tmp_path: Path, photo: Image.Image, painting: Image.Image
) -> None:
    never = threading.Event()

    def waiting(*_: Any, **__: Any) -> Iterator[Any]:
        never.wait()
        yield from ()

    job = Job(photo, [painting], SMALL, visitor="jane", engine=waiting)
    workshop = Workshop(tmp_path)
    workshop.submit(job)
    assert workshop.wait_until_saved(PATIENCE)
    again = JobStore(tmp_path).load(job.id)
    assert again
    assert (again.state, again.moment, again.settings) == (State.INTERRUPTED, None, SMALL)
    assert again.content.tobytes() == photo.tobytes()
    (card,) = Workshop(tmp_path).cards("jane")
    assert (card.id, card.state, card.is_damaged) == (job.id, State.INTERRUPTED, False)
    never.set()
    workshop.close()


def test_a_job_that_nobody_may_see_again_has_no_record(
    tmp_path: Path, photo: Image.Image, painting: Image.Image
) -> None:
    job = Job(photo, [painting], SMALL, engine=lambda *_, **__: iter(()))
    job.is_kept = False
    workshop = Workshop(tmp_path)
    workshop.submit(job)
    assert workshop.wait_until_saved(PATIENCE)
    assert JobStore(tmp_path).ids() == []


# Real servers


@contextlib.contextmanager
def page(folder: Path) -> Iterator[Server]:
    """The page, whose uploads are in the system's temporary folder, which is below `folder`."""
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {"GRADIO_TEMP_DIR": "", "TMPDIR": str(folder / "tmp")}
    with running_server(folder / "jobs", environment=environment, plant=SERVED) as server:
        yield server


def uploads(folder: Path) -> list[Path]:
    return sorted((folder / "tmp").glob(f"{PREFIX}*"))


def upload(server: Server, name: str) -> None:
    with PHOTO.open("rb") as file:
        answer = httpx.post(
            f"{server.url}/gradio_api/upload",
            files={"files": (name, file)},
            headers={"Origin": server.url},
            timeout=60,
        )
    assert answer.status_code == 200, answer.text


@pytest.mark.real
def test_killed_and_started_again(tmp_path: Path) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired), page(tmp_path) as server:
        upload(server, "visitor.jpg")
        (left,) = uploads(tmp_path)
        assert any(path.is_file() for path in left.rglob("*"))
        server.kill()
    assert uploads(tmp_path) == [left], "nobody could tidy up"
    with page(tmp_path) as server:
        (own,) = uploads(tmp_path)
        assert own != left
        upload(server, "visitor.jpg")
    assert uploads(tmp_path) == [], "a polite end leaves nothing"


@pytest.mark.real
def test_ended_while_previews_are_written(tmp_path: Path) -> None:
    """A program watches a picture being painted, so previews are written without pause."""
    with page(tmp_path) as server:
        client = Client(server.url, verbose=False)
        running = client.submit(
            handle_file(PHOTO), handle_file(PAINTING), 128, 1000, api_name="/stylize"
        )
        next(iter(running))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    assert uploads(tmp_path) == []
    assert "not empty" not in server.log()
