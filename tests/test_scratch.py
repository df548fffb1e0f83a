"""The temporary folder: bounded, the oldest files first, and nothing that may still be wanted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import page.scratch
from app import TEMPORARY_FILES
from nst.limits import Limits
from page.guard import Guard
from page.scratch import YOUNG, Scratch


def make(folder: Path, name: str, size: int, *, minutes_ago: float) -> Path:
    path = folder / name / "picture.png"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    AGES[path] = 60 * minutes_ago
    return path


AGES: dict[Path, float] = {}  # seconds; nobody can set when a file was changed last


class Aged(Scratch):
    """With files as old as they were said to be."""

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for changed, size, path in super()._files():
            yield changed - AGES.get(path, 0.0), size, path


def scratch_of(folder: Path, **options: Any) -> Scratch:
    """One that looks at every request."""
    return Aged(folder, **{"most": 1000, "look_every": 0.0, **options})


def test_the_oldest_files_give_way(tmp_path: Path) -> None:
    files = [make(tmp_path, f"{age}", 300, minutes_ago=age) for age in (200, 150, 100)]
    scratch = scratch_of(tmp_path)
    assert scratch.wait_for(100) == 0
    assert [file.exists() for file in files] == [True] * 3
    assert scratch.wait_for(600) == 0
    assert [file.exists() for file in files] == [False, False, True]


def test_what_may_still_be_wanted_stays_and_the_wait_is_told(tmp_path: Path) -> None:
    young = make(tmp_path, "young", 600, minutes_ago=20)
    make(tmp_path, "younger", 300, minutes_ago=5)
    built_in = make(tmp_path, "built in", 50, minutes_ago=1000)
    scratch = scratch_of(tmp_path, spare=[str(built_in)])
    assert scratch.wait_for(200) == pytest.approx(40 * 60, abs=5)
    assert young.exists()
    assert built_in.exists()
    assert scratch.wait_for(40) == 0


def test_between_two_looks_room_is_counted(tmp_path: Path) -> None:
    scratch = scratch_of(tmp_path, look_every=30.0)
    assert [scratch.wait_for(400) for _ in range(4)] == [0, 0, 30, 30]
    scratch.used(400, of=400)
    scratch.used(0, of=400)  # it broke off, or was refused
    assert scratch.wait_for(600) == 0


def test_a_copy_of_an_old_file_is_young(tmp_path: Path) -> None:
    scratch = scratch_of(tmp_path)
    copy = tmp_path / "copy.png"
    copy.write_bytes(bytes(900))
    os.utime(copy, (0, 0))
    assert scratch.wait_for(200) > 0
    assert copy.exists()


def test_a_disk_that_is_nearly_full_has_less_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = scratch_of(tmp_path)
    monkeypatch.setattr(scratch, "_free", lambda: page.scratch.LEFT_FREE + 100)
    assert scratch.wait_for(100) == 0
    assert scratch.wait_for(101) > 0


def test_a_folder_that_is_not_there_yet_has_room(tmp_path: Path) -> None:
    assert scratch_of(tmp_path / "none").wait_for(1000) == 0


def test_files_outlive_the_longest_wait_and_run() -> None:
    longest = Limits().wait + Limits().seconds
    assert longest <= YOUNG <= TEMPORARY_FILES[1]


def test_an_upload_without_room_gets_a_sentence_and_anything_else_passes(tmp_path: Path) -> None:
    async def take(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{len(await request.body())}")

    upload, other = paths = ("/gradio_api/upload", "/gradio_api/queue/join")
    served = Starlette(routes=[Route(path, take, methods=["POST"]) for path in paths])
    guard = Guard(served, scratch=scratch_of(tmp_path, most=100))

    async def ask(path: str, size: int) -> tuple[int, str]:
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            answer = await client.post(path, content=bytes(size))
            return answer.status_code, answer.text

    assert asyncio.run(ask(upload, 100)) == (200, "100")
    sentence = "Too many pictures were uploaded lately. Please try again in about a minute."
    assert asyncio.run(ask(upload, 101)) == (503, sentence)
    assert asyncio.run(ask(other, 101)) == (200, "101")
