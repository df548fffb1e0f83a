"""Files of batches over HTTP: pictures, a zip of all, and nothing for who does not know the id."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from helpers.painting import SMALL
from helpers.photo_batches import MakeBatch, make_batch
from helpers.working import Gate, settle
from nst.images.recipe import read_recipe
from nst.studio.batch_job import Batch
from nst.studio.task import new_id
from nst.studio.workshop import Workshop
from page.http.batch_routes import batch_routes, zip_pieces
from page.http.job_files import CHUNK, JobFiles
from page.looks import looked_at
from page.rendering import shared_renderings

__all__ = ["make_batch"]  # a fixture


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "jobs")


@pytest.fixture
def client(workshop: Workshop) -> Iterator[TestClient]:
    files = JobFiles(workshop, shared_renderings())
    with TestClient(Starlette(routes=batch_routes(files))) as client:
        yield client


def painted(workshop: Workshop, batch: Batch) -> Batch:
    workshop.submit(batch)
    settle(workshop)
    return batch


def test_the_zip_holds_every_picture_under_the_name_of_its_photo(
    workshop: Workshop, client: TestClient, make_batch: MakeBatch
) -> None:
    names = ("Ferien/Strand.JPG", "../../etc/Strand.png", "a:b?.png", "strand.heic")
    batch = painted(workshop, make_batch(workshop, 4, names=names, damaged=(2,)))
    answer = client.get(f"/studio/{batch.id}/photos.zip")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="stylized-photos.zip"'
    assert "private" in answer.headers["cache-control"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            *("Strand-stylized.png", "Strand-2-stylized.png", "strand-3-stylized.png"),
        ]
        for number, name in zip((0, 1, 3), archive.namelist(), strict=True):
            assert archive.read(name) == batch.files.picture(number).read_bytes()


def test_a_zip_is_made_a_piece_at_a_time(tmp_path: Path) -> None:
    large, gone = tmp_path / "large", tmp_path / "gone"
    large.write_bytes(bytes(range(256)) * (5 * CHUNK // 256))
    pieces = list(zip_pieces([("größe.png", large), ("gone.png", gone), ("again.png", large)]))
    assert all(pieces)
    assert max(map(len, pieces)) < CHUNK + 1000
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["größe.png", "again.png"]
        assert archive.read("again.png") == large.read_bytes()


def test_a_stopped_batch_has_a_zip_of_what_is_done_and_a_new_one_has_none(
    workshop: Workshop, client: TestClient, make_batch: MakeBatch
) -> None:
    gate = Gate()
    batch = make_batch(workshop, engine=gate)
    workshop.submit(batch)
    gate.wait()
    address = f"/studio/{batch.id}/photos.zip"
    assert client.get(address).status_code == 404
    for _ in range(SMALL.iterations + 1):
        gate.step()
    batch.stop()
    gate.open()
    settle(workshop)
    with zipfile.ZipFile(io.BytesIO(client.get(address).content)) as archive:
        assert archive.namelist() == ["photo 0-stylized.png"]


def test_single_pictures_and_small_ones(
    workshop: Workshop, client: TestClient, make_batch: MakeBatch
) -> None:
    batch = painted(workshop, make_batch(workshop))
    whole = client.get(f"/studio/{batch.id}/pictures/1.png")
    assert read_recipe(whole.content).content.width == 41
    small = client.get(f"/studio/{batch.id}/pictures/1.webp")
    assert small.content == batch.files.thumbnail(1).read_bytes()
    photo = Image.open(io.BytesIO(client.get(f"/studio/{batch.id}/photos/1.webp").content))
    assert (photo.format, photo.size) == ("WEBP", (41, 30))


def test_a_tile_shows_the_photo_then_a_preview_then_the_picture(
    workshop: Workshop, client: TestClient, make_batch: MakeBatch
) -> None:
    gate = Gate()
    batch = make_batch(workshop, engine=gate)
    workshop.submit(batch)
    gate.wait()
    photo = client.get(f"/studio/{batch.id}/pictures/0.webp")
    shown = [Image.open(io.BytesIO(photo.content))]
    tiles = looked_at(batch, workshop)["photos"]
    assert [tile["state"] for tile in tiles] == ["running", "waiting", "waiting"]
    gate.step()
    gate.step()
    preview = client.get(f"/{looked_at(batch, workshop)['photos'][0]['picture']}")
    shown.append(Image.open(io.BytesIO(preview.content)))
    gate.open()
    settle(workshop)
    picture = client.get(f"/{looked_at(batch, workshop)['photos'][0]['picture']}")
    shown.append(Image.open(io.BytesIO(picture.content)))
    assert [image.format for image in shown] == ["WEBP", "WEBP", "JPEG"]
    levels = [image.convert("L").getextrema()[1] for image in shown[1:]]
    assert levels[0] < levels[1] == SMALL.iterations  # type: ignore[operator]


FILES = ("photos.zip", "photos/0.webp", "pictures/0.webp", "pictures/0.png")


def test_who_does_not_know_the_id_gets_nothing(
    workshop: Workshop, client: TestClient, make_batch: MakeBatch
) -> None:
    batch = painted(workshop, make_batch(workshop))
    guessed = f"{batch.owner}-{'0' * 32}"
    for id in (guessed, new_id("ada"), "..", "x"):
        assert {client.get(f"/studio/{id}/{name}").status_code for name in FILES} == {404}
    workshop.delete(batch.id)
    answers = [client.get(f"/studio/{batch.id}/{name}") for name in FILES]
    assert [answer.status_code for answer in answers] == [404, 204, 204, 404]
    assert not any(answer.content for answer in answers[1:3])


@pytest.mark.parametrize("number", ["3", "99", "100", "-1", "x", "1.5", "٣"])
def test_a_photo_that_is_not_there_is_not_found(
    workshop: Workshop, client: TestClient, make_batch: MakeBatch, number: str
) -> None:
    batch = painted(workshop, make_batch(workshop))
    for name in ("photos/{}.webp", "pictures/{}.webp", "pictures/{}.png"):
        answer = client.get(f"/studio/{batch.id}/{name.format(number)}")
        assert answer.status_code == 404


def test_a_look_tells_of_every_photo(workshop: Workshop, make_batch: MakeBatch) -> None:
    batch = make_batch(workshop, damaged=(1,))
    first: dict[str, Any] = looked_at(batch, workshop)
    assert first["card"] == "in the queue, 0 of 3 photos"
    assert "In the queue" in first["status"]
    painted(workshop, batch)
    last = looked_at(batch, workshop)
    assert (last["isLive"], last["card"]) == (False, "finished, 2 of 3 photos")
    assert "Finished: 2 of 3 photos painted." in last["status"]
    states = [(tile["state"], bool(tile["full"])) for tile in last["photos"]]
    assert states == [("done", True), ("failed", False), ("done", True)]
    assert last["photos"][1]["text"].startswith("This is not a picture")
