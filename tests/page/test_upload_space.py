"""The temporary folder: bounded, the oldest files first, and nothing that may still be wanted."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import page.http.upload_space
from nst.studio.limits import Limits
from page.http.middleware import SecurityMiddleware
from page.http.upload_space import YOUNG, Amount, File, UploadSpace
from page.layout import TEMPORARY_FILES

KB = 1000
UNIT = 100 * KB  # of the sizes in these tests; what a file takes beside its content is small


def make(folder: Path, name: str, size: int, *, minutes_ago: float) -> Path:
    path = folder / name / "picture.png"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    AGES[path] = 60 * minutes_ago
    return path


AGES: dict[Path, float] = {}  # seconds; nobody can set when a file was changed last


class Aged(UploadSpace):
    """With files as old as they were said to be. Counts how many it looks at."""

    looks = 0

    def _file(self, path: Path) -> File:
        self.looks += 1
        file = super()._file(path)
        return replace(file, changed=file.changed - AGES.get(path, 0.0))


def scratch_of(folder: Path, **options: Any) -> Aged:
    """One of ten units that looks at every request."""
    return Aged(folder, **{"most": 10 * UNIT, "look_every": 0.0, **options})


def uploaded(upload_space: UploadSpace, size: int, files: int = 1, network: str = "") -> None:
    """An upload that came and stays."""
    assert upload_space.arrive(size, files)
    upload_space.end(size, files, network, is_kept=True)


def test_the_oldest_files_give_way(tmp_path: Path) -> None:
    files = [make(tmp_path, f"{age}", 3 * UNIT, minutes_ago=age) for age in (200, 150, 100)]
    gone: list[str] = []
    upload_space = scratch_of(tmp_path, deleted=gone.extend)
    assert upload_space.wait_for(UNIT // 2) == 0
    assert [file.exists() for file in files] == [True] * 3
    assert upload_space.wait_for(6 * UNIT) == 0
    assert [file.exists() for file in files] == [False, False, True]
    assert gone == [str(file) for file in files[:2]]


def test_what_may_still_be_wanted_stays_and_the_wait_is_told(tmp_path: Path) -> None:
    young = make(tmp_path, "young", 6 * UNIT, minutes_ago=20)
    make(tmp_path, "younger", 3 * UNIT, minutes_ago=5)
    built_in = make(tmp_path, "built in", UNIT // 10, minutes_ago=1000)
    upload_space = scratch_of(tmp_path, spare=[str(built_in)])
    assert upload_space.wait_for(2 * UNIT) == pytest.approx(40 * 60, abs=5)
    assert young.exists()
    assert built_in.exists()
    assert upload_space.wait_for(UNIT // 10) == 0


def test_between_two_looks_what_has_arrived_is_counted(tmp_path: Path) -> None:
    upload_space = scratch_of(tmp_path, look_every=30.0)
    assert [upload_space.wait_for(4 * UNIT) for _ in range(4)] == [0] * 4  # asking reserves nothing
    assert upload_space.arrive(7 * UNIT, 1)
    assert upload_space.wait_for(4 * UNIT) == 30
    assert not upload_space.arrive(4 * UNIT)
    upload_space.end(7 * UNIT, 1, is_kept=False)  # it broke off, or was refused
    assert upload_space.wait_for(9 * UNIT) == 0
    uploaded(upload_space, 7 * UNIT)
    assert upload_space.wait_for(4 * UNIT) > 0
    assert upload_space.wait_for(2 * UNIT) == 0


def test_many_empty_files_take_room_too(tmp_path: Path) -> None:
    """They have an entry each on the disk, which may have room for so many and no more."""
    for number in range(20):
        make(tmp_path, f"{number}", 1, minutes_ago=1)
    assert scratch_of(tmp_path, most_files=22).wait_for(1) == 0
    assert scratch_of(tmp_path, most_files=20).wait_for(1) > 0
    assert scratch_of(tmp_path, most=20 * 4096).wait_for(1) > 0
    upload_space = scratch_of(tmp_path, most_files=22)
    assert upload_space.wait_for(1) == 0
    assert upload_space.arrive(2, files=2)
    assert not upload_space.arrive(1, files=1)


def test_a_network_has_a_share(tmp_path: Path) -> None:
    upload_space = scratch_of(tmp_path, share=0.5, most_files=40, look_every=30.0)
    upload_space.wait_for(1)
    uploaded(upload_space, 4 * UNIT, network="8.8.8.8/32")
    assert upload_space.wait_for(2 * UNIT, "8.8.8.8/32") > YOUNG - 60
    assert upload_space.wait_for(UNIT // 2, "8.8.8.8/32") == 0
    uploaded(upload_space, 100, files=20, network="9.9.9.9/32")
    assert upload_space.wait_for(1, "9.9.9.9/32") > 0
    assert upload_space.wait_for(UNIT, "7.7.7.7/32") == 0
    assert upload_space.wait_for(UNIT) == 0  # of a proxy, or of this machine


def test_only_folders_that_have_changed_are_read_again(tmp_path: Path) -> None:
    for number in range(30):
        make(tmp_path, f"{number}", 1, minutes_ago=1)
        os.utime(tmp_path / f"{number}", (0, 0))
    upload_space = scratch_of(tmp_path)
    upload_space.wait_for(1)
    before = upload_space.looks
    make(tmp_path, "new", 1, minutes_ago=1)
    (tmp_path / "7" / "another.png").write_bytes(b"it")
    upload_space.wait_for(1)
    assert (before, upload_space.looks - before) == (30, 3)


def test_who_looks_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Uploads arrive, and others ask, while a slow disk is looked at."""
    upload_space = scratch_of(tmp_path)
    upload_space.wait_for(1)
    is_looking, may_go_on = threading.Event(), threading.Event()

    def look(path: Path) -> File:
        is_looking.set()
        assert may_go_on.wait(30)
        return File(0.0, 1, path)

    upload_space._file = look  # type: ignore[method-assign]
    make(tmp_path, "new", 1, minutes_ago=1)
    looking = threading.Thread(target=upload_space.wait_for, args=(1,))
    looking.start()
    assert is_looking.wait(30)
    uploaded(upload_space, UNIT)
    assert upload_space.wait_for(UNIT) == 0
    may_go_on.set()
    looking.join()


def test_folders_without_files_go(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    scratch_of(tmp_path).wait_for(1)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_copy_of_an_old_file_is_young(tmp_path: Path) -> None:
    upload_space = scratch_of(tmp_path)
    copy = tmp_path / "copy.png"
    copy.write_bytes(bytes(9 * UNIT))
    os.utime(copy, (0, 0))
    assert upload_space.wait_for(2 * UNIT) > 0
    assert copy.exists()


@pytest.mark.parametrize("is_full", ["bytes", "files"])
def test_a_disk_that_is_nearly_full_has_less_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_full: str
) -> None:
    upload_space = scratch_of(tmp_path)
    free = Amount(
        page.http.upload_space.LEFT_FREE + UNIT, page.http.upload_space.FILES_LEFT_FREE + 1
    )
    monkeypatch.setattr(upload_space, "_free", lambda: free)
    assert upload_space.wait_for(UNIT) == 0
    assert upload_space.wait_for(UNIT + 1) > 0
    if is_full == "files":
        free = Amount(free.bytes, page.http.upload_space.FILES_LEFT_FREE)
        assert upload_space.wait_for(1) > 0


def test_a_folder_that_is_not_there_yet_has_room(tmp_path: Path) -> None:
    assert scratch_of(tmp_path / "none").wait_for(UNIT) == 0


def test_files_outlive_the_longest_wait_and_run() -> None:
    longest = Limits().wait + Limits().seconds
    assert longest <= YOUNG <= TEMPORARY_FILES[1]


def test_an_upload_without_room_gets_a_sentence_and_anything_else_passes(tmp_path: Path) -> None:
    async def take(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{len(await request.body())}")

    upload, other = paths = ("/gradio_api/upload", "/gradio_api/queue/join")
    served = Starlette(routes=[Route(path, take, methods=["POST"]) for path in paths])
    app = SecurityMiddleware(served, upload_space=scratch_of(tmp_path, most=UNIT))

    async def ask(path: str, size: int) -> tuple[int, str]:
        transport = httpx.ASGITransport(app)
        files = {"files": ("picture.png", bytes(size))} if path == upload else None
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            answer = await client.post(path, files=files, content=None if files else bytes(size))
            return answer.status_code, answer.text

    assert asyncio.run(ask(upload, UNIT // 2))[0] == 200
    sentence = "Too many pictures were uploaded lately. Please try again in about a minute."
    assert asyncio.run(ask(upload, UNIT)) == (503, sentence)
    assert asyncio.run(ask(other, 2 * UNIT)) == (200, f"{2 * UNIT}")
