"""The gallery on the Hub: what is published, by whom and how often, and what strangers put there.

Everything goes through the real client, to a Hub on loopback.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers.loopback_hub import Account, LoopbackHub, loopback_hub, without_xet
from helpers.pictures import MakePicture
from nst.errors import HubError
from nst.hub.gallery import OWN_NAME, Gallery, Receipt, community, own_gallery
from nst.hub.gallery_layout import CARD, LONGEST_TITLE, Publication, path_word
from nst.hub.gallery_reader import Limits
from nst.hub.image_folder import one_line
from nst.images.reading import load_image
from nst.images.recipe import Recipe, new_recipe, read_recipe
from nst.images.writing import hash_of
from nst.settings import TransferSettings

pytestmark = pytest.mark.slow


REPO = "space/gallery"
NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc).timestamp()
DAY = 86400
EAGER = Limits(fresh=0.0, silence=0.5, reading=2.0, writing=20.0, wait=0.01)
AT_ONCE = {"Retry-After": "0"}

MakeGallery = Callable[..., Gallery]


class Clock:
    """Seconds since 1970 that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with loopback_hub() as hub, without_xet():
        yield hub


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def token(hub: LoopbackHub) -> str:
    return hub.add_user("space")


@pytest.fixture
def replica(hub: LoopbackHub, token: str, clock: Clock) -> MakeGallery:
    """`replica(**limits)`: the community gallery as one of several servers has it."""

    def make(**limits: Any) -> Gallery:
        return Gallery(
            REPO, token=token, endpoint=hub.url, limits=replace(EAGER, **limits), clock=clock
        )

    return make


@pytest.fixture
def gallery(replica: MakeGallery) -> Gallery:
    return replica()


@pytest.fixture
def recipe(photo: Image.Image, painting: Image.Image) -> Recipe:
    return new_recipe(photo, [painting], TransferSettings(size=64, iterations=7, beta=3.0), "cpu")


def published(hub: LoopbackHub) -> dict[str, bytes]:
    return {path: data for path, data in hub.files(REPO, "dataset").items() if path != CONFIG}


CONFIG = ".gitattributes"


def shown(gallery: Gallery, count: int = 10, before: str | None = None) -> list[str]:
    return [publication.title for publication in gallery.newest(count, before)]


def publish_many(
    gallery: Gallery, clock: Clock, recipe: Recipe, make_picture: MakePicture, days: list[float]
) -> list[Receipt]:
    """One picture at each of the `days` after noon, titled by its place in the list."""
    receipts = []
    for index, day in enumerate(days):
        clock.now = NOON + day * DAY
        picture = make_picture(20, 16, seed=100 + index)
        receipts.append(gallery.publish(picture, recipe, author="ada", title=str(index)))
    return receipts


# --- Publishing ---------------------------------------------------------------------------------


def test_what_one_browser_publishes_appears_in_another(
    hub: LoopbackHub, gallery: Gallery, painting: Image.Image, recipe: Recipe
) -> None:
    receipt = gallery.publish(painting, recipe, author="ada", title="A <b>bold</b> one")

    visitor = Gallery(REPO, endpoint=hub.url)  # another server, and no sign-in
    (publication,) = visitor.newest(10)
    assert publication == Publication(
        id=f"2026-11-22/120000-ada-{hash_of(painting)[:16]}",
        author="ada",
        title="A <b>bold</b> one",
        created=datetime(2026, 11, 22, 12, tzinfo=timezone.utc),
        recipe=recipe,
        has_photo=False,
        url=receipt.url,
    )
    assert receipt == Receipt(
        f"{hub.url}/datasets/{REPO}/blob/main/data/{publication.id}/picture.png",
        publication.id,
        is_new=True,
    )
    assert visitor.picture(publication.id).tobytes() == painting.tobytes()
    assert visitor.find(publication.id) == publication
    assert visitor.find(publication.id.replace("ada", "bob")) is None
    assert visitor.photo(publication.id) is None


def test_a_publication_is_one_commit_of_an_image_folder(
    hub: LoopbackHub, gallery: Gallery, photo: Image.Image, painting: Image.Image, recipe: Recipe
) -> None:
    id = gallery.publish(painting, recipe, author="ada", title="Täler", photo=photo).id
    assert [title for _, title in hub.commits(REPO, "dataset")] == [
        "A picture by ada",
        "initial commit",
    ]
    files = published(hub)
    digest = hash_of(painting)[:16]
    assert set(files) == {
        "README.md",
        f"index/{digest[:2]}/{digest}.txt",
        f"thumbnails/{id}.jpg",
        *(f"data/{id}/{name}" for name in ("picture.png", "photo.jpg", "metadata.jsonl")),
    }
    assert files["README.md"].decode() == CARD
    assert read_recipe(files[f"data/{id}/picture.png"]) == recipe
    result, before = map(json.loads, files[f"data/{id}/metadata.jsonl"].splitlines())
    same = {"title": "Täler", "author": "ada", "created": "2026-11-22T12:00:00Z"}
    text = recipe.to_text()
    assert result == {"file_name": "picture.png", "role": "result", **same, "recipe": text}
    assert before == {"file_name": "photo.jpg", "role": "photo", **same, "recipe": ""}


def test_the_photo_is_published_only_with_consent_and_without_what_its_file_told(
    hub: LoopbackHub,
    gallery: Gallery,
    make_picture: MakePicture,
    recipe: Recipe,
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "at home"
    buffer = io.BytesIO()
    make_picture(2100, 1000).save(buffer, "JPEG", exif=exif, comment=b"for mother", quality=30)
    photo = Image.open(io.BytesIO(buffer.getvalue()))
    photo.load()

    alone = gallery.publish(make_picture(seed=3), recipe, author="ada")
    assert gallery.photo(alone.id) is None
    assert not any(path.endswith("photo.jpg") for path in published(hub))

    both = gallery.publish(make_picture(seed=4), recipe, author="ada", photo=photo)
    assert gallery.newest(1)[0].has_photo
    shown = gallery.photo(both.id)
    assert shown is not None
    assert shown.size == (2048, 975)
    data = published(hub)[f"data/{both.id}/photo.jpg"]
    assert not any(told in data for told in (b"at home", b"for mother", b"Exif"))
    assert not Image.open(io.BytesIO(data)).getexif()


def test_the_owners_card_and_other_files_stay(
    hub: LoopbackHub, gallery: Gallery, painting: Image.Image, recipe: Recipe
) -> None:
    hub.add_repo(REPO, "dataset", {"README.md": b"# Mine", "notes.txt": b"keep"})
    gallery.publish(painting, recipe, author="ada")
    assert published(hub)["README.md"] == b"# Mine"
    assert published(hub)["notes.txt"] == b"keep"


def test_the_same_picture_is_there_once(
    hub: LoopbackHub, replica: MakeGallery, clock: Clock, painting: Image.Image, recipe: Recipe
) -> None:
    first = replica().publish(painting, recipe, author="ada")
    clock.now += 3 * DAY
    again = replica().publish(painting, recipe, author="bob", title="Mine!")
    assert again == replace(first, is_new=False)
    assert len(hub.commits(REPO, "dataset")) == 2

    taken_down = [path for path in published(hub) if path.startswith("data/")]
    hub.push(REPO, "dataset", delete=taken_down)
    back = replica().publish(painting, recipe, author="bob")
    assert back.is_new
    assert [each.id for each in replica().newest(10)] == [back.id]


def test_replicas_publish_at_the_same_time(
    hub: LoopbackHub, replica: MakeGallery, make_picture: MakePicture, recipe: Recipe
) -> None:
    """Three pictures, each by two replicas at once, all on the same commit."""
    hub.add_repo(REPO, "dataset")
    barrier = threading.Barrier(6)
    receipts: list[Receipt] = []

    def publish(index: int) -> None:
        picture = make_picture(20, 16, seed=index % 3)
        barrier.wait()
        receipts.append(replica().publish(picture, recipe, author=f"visitor{index}"))

    threads = [threading.Thread(target=publish, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(receipt.is_new for receipt in receipts) == 3
    assert {each.id for each in replica().newest(10)} == {receipt.id for receipt in receipts}
    assert len(receipts) == 6
    assert len(hub.commits(REPO, "dataset")) == 4
    assert any(request.status == 412 for request in hub.asked("/commit/"))


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 412, "times": 2},
        {"status": 409, "times": 2},
        {"status": 503, "times": 2, "headers": AT_ONCE},
        {"status": 429, "times": 2, "headers": AT_ONCE},
        {"status": 500, "times": 1, "headers": AT_ONCE},
    ],
    ids=lambda fault: str(fault["status"]),
)
def test_a_commit_is_tried_again(
    hub: LoopbackHub,
    gallery: Gallery,
    painting: Image.Image,
    recipe: Recipe,
    fault: dict[str, Any],
) -> None:
    hub.fail("/commit/", **fault)
    assert gallery.publish(painting, recipe, author="ada").is_new
    assert len(hub.asked("/commit/")) == fault["times"] + 1
    assert len(hub.asked("/upload/", "PUT")) == 2  # picture and thumbnail were sent once


def test_a_commit_whose_answer_is_lost_is_found_again(
    hub: LoopbackHub,
    gallery: Gallery,
    painting: Image.Image,
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nst.web.hub_client.WAIT", 0.01)
    hub.fail("/commit/", lost=True, times=1)
    receipt = gallery.publish(painting, recipe, author="ada", title="once")
    assert receipt.is_new
    assert shown(gallery) == ["once"]
    assert len(hub.commits(REPO, "dataset")) == 2


def test_no_end_of_conflicts_is_a_sentence(
    hub: LoopbackHub, gallery: Gallery, painting: Image.Image, recipe: Recipe
) -> None:
    hub.fail("/commit/", status=412)
    with pytest.raises(HubError, match="Others are writing to space/gallery just now"):
        gallery.publish(painting, recipe, author="ada")


def test_publishing_ends_when_the_server_falls_silent(
    hub: LoopbackHub, replica: MakeGallery, painting: Image.Image, recipe: Recipe
) -> None:
    hub.fail("/commit/", delay=30)
    with pytest.raises(HubError, match="takes too long"):
        replica(writing=0.5).publish(painting, recipe, author="ada")


def test_a_recipe_too_long_to_be_read_again_is_not_published(
    hub: LoopbackHub,
    gallery: Gallery,
    painting: Image.Image,
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nst.hub.gallery_layout.MOST_METADATA", 500)
    with pytest.raises(HubError, match="recipe is too long"):
        gallery.publish(painting, recipe, author="ada")
    assert hub.requests == []


# --- How often ----------------------------------------------------------------------------------


def test_a_visitor_publishes_five_pictures_in_ten_minutes_on_whatever_replica(
    hub: LoopbackHub,
    replica: MakeGallery,
    clock: Clock,
    make_picture: MakePicture,
    recipe: Recipe,
) -> None:
    clock.now = NOON + DAY / 2 - 200  # the day ends in between
    for index in range(5):
        assert replica().publish(make_picture(seed=index), recipe, author="ada").is_new
        clock.now += 80
    for server in (replica(), replica()):
        with pytest.raises(HubError, match="5 pictures within 10 minutes"):
            server.publish(make_picture(seed=9), recipe, author="ada")
    assert replica().publish(make_picture(seed=8), recipe, author="bob").is_new
    clock.now += 201
    assert replica().publish(make_picture(seed=9), recipe, author="ada").is_new


def test_a_visitor_publishes_so_many_pictures_a_day(
    replica: MakeGallery, clock: Clock, make_picture: MakePicture, recipe: Recipe
) -> None:
    for index in range(3):
        replica(in_a_day=3).publish(make_picture(seed=index), recipe, author="ada")
        clock.now += 3600
    with pytest.raises(HubError, match="3 pictures within 24 hours"):
        replica(in_a_day=3).publish(make_picture(seed=9), recipe, author="ada")
    clock.now += 22 * 3600
    assert replica(in_a_day=3).publish(make_picture(seed=9), recipe, author="ada").is_new


def test_what_failed_or_was_there_already_does_not_count(
    hub: LoopbackHub, replica: MakeGallery, make_picture: MakePicture, recipe: Recipe
) -> None:
    gallery = replica(in_ten_minutes=2)
    assert gallery.publish(make_picture(seed=1), recipe, author="ada").is_new
    hub.fail("/commit/", status=403)
    with pytest.raises(HubError, match="may not write"):
        gallery.publish(make_picture(seed=2), recipe, author="ada")
    hub.heal()
    assert not gallery.publish(make_picture(seed=1), recipe, author="ada").is_new
    assert gallery.publish(make_picture(seed=2), recipe, author="ada").is_new
    asked_before = len(hub.requests)
    with pytest.raises(HubError, match="2 pictures within 10 minutes"):
        gallery.publish(make_picture(seed=3), recipe, author="ada")
    assert len(hub.requests) == asked_before  # this server knew by itself


# --- Looking ------------------------------------------------------------------------------------


def test_the_newest_come_first_page_by_page(
    hub: LoopbackHub,
    gallery: Gallery,
    clock: Clock,
    make_picture: MakePicture,
    recipe: Recipe,
) -> None:
    hub.page_size = 3  # of the Hub's listings
    publish_many(gallery, clock, recipe, make_picture, [0, 0.1, 0.2, 1, 1.1, 40, 400])
    assert shown(gallery) == ["6", "5", "4", "3", "2", "1", "0"]
    pages, before = [], None
    while page := gallery.newest(3, before):
        pages.append([publication.title for publication in page])
        before = page[-1].id
    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]


def test_only_the_days_that_are_looked_at_are_listed(
    hub: LoopbackHub,
    gallery: Gallery,
    clock: Clock,
    make_picture: MakePicture,
    recipe: Recipe,
) -> None:
    publish_many(gallery, clock, recipe, make_picture, [0, 5, 10])
    visitor, before = Gallery(REPO, endpoint=hub.url), len(hub.requests)
    assert shown(visitor, 1) == ["2"]
    days = {request.path.rsplit("/", 1)[-1] for request in hub.requests[before:]}
    assert days == {"gallery", "data", "2026-12-02", "metadata.jsonl"}


def test_nothing_is_asked_twice(
    hub: LoopbackHub,
    replica: MakeGallery,
    clock: Clock,
    make_picture: MakePicture,
    recipe: Recipe,
) -> None:
    writer, reader, eager = replica(fresh=60.0), replica(fresh=60.0), replica()
    publish_many(writer, clock, recipe, make_picture, [0, 1])
    asked_before = 0

    def names() -> list[str]:
        """What was asked for since the last time."""
        nonlocal asked_before
        news, asked_before = hub.requests[asked_before:], len(hub.requests)
        return [request.path.rsplit("/", 1)[-1] for request in news]

    assert shown(writer) == shown(reader) == shown(eager) == ["1", "0"]
    assert names()[-3:] == ["2026-11-22", "metadata.jsonl", "metadata.jsonl"]
    assert shown(reader) == ["1", "0"]
    assert names() == []
    assert shown(eager) == ["1", "0"]
    assert names() == ["gallery"]  # whether there is a new commit

    publish_many(writer, clock, recipe, make_picture, [0, 1, 2])
    assert shown(writer) == ["2", "1", "0"]  # its own is seen at once
    names()
    assert shown(reader) == ["1", "0"]
    assert shown(eager) == ["2", "1", "0"]
    assert names() == ["gallery", "data", "2026-11-24", "metadata.jsonl"]
    assert len(hub.asked("README.md")) == 1  # by the first publication


def test_a_thumbnail_is_small_and_kept(
    hub: LoopbackHub, token: str, make_picture: MakePicture, recipe: Recipe
) -> None:
    gallery = Gallery(REPO, endpoint=hub.url, token=token)
    id = gallery.publish(make_picture(800, 600), recipe, author="ada").id
    data = gallery.thumbnail(id)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("JPEG", (320, 240))
    asked_before = len(hub.requests)
    assert gallery.thumbnail(id) == data
    assert len(hub.requests) == asked_before
    assert not hub.asked("picture.png", "GET")  # the small one was published with it
    hub.push(REPO, "dataset", {}, delete=[f"thumbnails/{id}.jpg"])
    again = Gallery(REPO, endpoint=hub.url).thumbnail(id)
    assert load_image(again).size == (320, 240)
    assert hub.asked("picture.png", "GET")


def test_a_picture_that_was_taken_down_has_no_thumbnail_any_more(
    hub: LoopbackHub, gallery: Gallery, make_picture: MakePicture, recipe: Recipe
) -> None:
    id = gallery.publish(make_picture(), recipe, author="ada").id
    gallery.thumbnail(id)
    folder = f"data/{id}"
    names = ("picture.png", "metadata.jsonl")
    hub.push(REPO, "dataset", {}, delete=[f"{folder}/{name}" for name in names])
    with pytest.raises(HubError, match="no such picture"):
        gallery.thumbnail(id)


def test_a_gallery_that_is_not_there_yet_is_empty(hub: LoopbackHub, gallery: Gallery) -> None:
    assert gallery.newest(10) == []
    assert gallery.find("2026-11-22/120000-ada-0123456789abcdef") is None
    with pytest.raises(HubError):
        gallery.picture("2026-11-22/120000-ada-0123456789abcdef")
    hub.add_repo(REPO, "dataset")
    assert gallery.newest(10) == []


@pytest.mark.parametrize("id", ["", "../../secrets", "2026-11-22/../../x", "a" * 500, "2026-11-22"])
def test_what_is_no_id_is_never_asked_for(hub: LoopbackHub, gallery: Gallery, id: str) -> None:
    assert gallery.find(id) is None
    for look in (gallery.picture, gallery.thumbnail):
        with pytest.raises(HubError, match="no such picture"):
            look(id)
    assert hub.requests == []
    assert gallery.newest(3, before=id) == []


def test_while_the_hub_is_away_the_last_known_pictures_are_shown(
    hub: LoopbackHub,
    gallery: Gallery,
    replica: MakeGallery,
    clock: Clock,
    make_picture: MakePicture,
    recipe: Recipe,
) -> None:
    publish_many(gallery, clock, recipe, make_picture, [0, 1])
    assert shown(gallery) == ["1", "0"]
    hub.stop()
    begin = time.monotonic()
    assert shown(gallery) == ["1", "0"]
    stranger = replica(fresh=60.0)
    for _ in range(2):  # the second time without asking
        with pytest.raises(HubError, match="cannot be reached now"):
            stranger.newest(10)
    with pytest.raises(HubError, match="cannot be reached now"):
        gallery.publish(make_picture(), recipe, author="ada")
    assert time.monotonic() - begin < 3
    hub.start()
    publish_many(replica(), clock, recipe, make_picture, [0, 1, 2])
    assert shown(gallery) == ["2", "1", "0"]


@pytest.mark.parametrize(
    "fault",
    [{"delay": 30}, {"slow": 0.3}, {"status": 500}, {"cut": True}, {"body": b"<html>"}],
    ids=["silent", "slow", "broken", "cut", "no hub"],
)
@pytest.mark.parametrize("place", ["/api/datasets/space/gallery$", "/tree/", "metadata"])
def test_looking_ends_whatever_the_server_does(
    hub: LoopbackHub,
    replica: MakeGallery,
    make_picture: MakePicture,
    recipe: Recipe,
    place: str,
    fault: dict[str, Any],
) -> None:
    known = replica(silence=0.4, reading=0.8)
    known.publish(make_picture(seed=1), recipe, author="ada", title="known")
    assert shown(known) == ["known"]
    replica().publish(make_picture(seed=2), recipe, author="bob", title="unknown")
    hub.fail(place, **fault)
    begin = time.monotonic()
    titles = shown(known)
    assert time.monotonic() - begin < 3
    assert titles[-1:] == ["known"] or "slow" in fault
    hub.heal()
    assert set(shown(known)) <= {"known", "unknown"}


def test_a_picture_that_trickles_is_given_up(
    hub: LoopbackHub, replica: MakeGallery, make_picture: MakePicture, recipe: Recipe
) -> None:
    gallery = replica(reading=0.5)
    id = gallery.publish(make_picture(300, 200), recipe, author="ada").id
    hub.fail("/cdn/", slow=0.1)  # over 100 KiB
    begin = time.monotonic()
    with pytest.raises(HubError, match="too slow"):
        gallery.picture(id)
    assert time.monotonic() - begin < 3


# --- What strangers put there -------------------------------------------------------------------


def hostile(recipe: Recipe) -> dict[str, bytes | None]:
    """Metadata of which each must be left out, and the rest of the gallery shown."""
    row = {"file_name": "picture.png", "title": "bad", "recipe": recipe.to_text()}
    rows: dict[str, Any] = {
        "a-list": [row],
        "a-number": 7,
        "a-word": "picture.png",
        "no-title": {**row, "title": None},
        "title-a-list": {**row, "title": ["x"]},
        "recipe-an-object": {**row, "recipe": json.loads(recipe.to_text())},
        "recipe-damaged": {**row, "recipe": recipe.to_text()[:-9]},
        "recipe-wrong": {**row, "recipe": '{"version": 1}'},
        "recipe-newer": {**row, "recipe": '{"version": 99}'},
        "elsewhere": {**row, "file_name": "../../README.md"},
    }
    texts: dict[str, bytes | None] = {
        name: json.dumps(value).encode() for name, value in rows.items()
    }
    texts |= {
        "nothing": None,
        "empty": b"",
        "not-json": b"<html>",
        "not-text": b"\xff\xfe\x00",
        "deep": b"[" * 100_000,
        "twice": (json.dumps(row) + "\n").encode() * 2,
        "huge": json.dumps({**row, "title": "x" * 1_100_000}).encode(),
        "many-digits": b'{"file_name": ' + b"9" * 5000 + b"}",
    }
    return texts


def test_entries_that_make_no_sense_are_left_out_with_a_line_in_the_log(
    hub: LoopbackHub,
    gallery: Gallery,
    make_picture: MakePicture,
    recipe: Recipe,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gallery.publish(make_picture(), recipe, author="ada", title="good")
    bad = hostile(recipe)
    files: dict[str, bytes] = {}
    for name, metadata in bad.items():
        folder = f"data/2026-11-22/130000-{name}-0123456789abcdef"
        files[f"{folder}/picture.png"] = b"no picture"
        if metadata is not None:
            files[f"{folder}/metadata.jsonl"] = metadata
    lone = "data/2026-11-22/140000-no-picture-0123456789abcdef/metadata.jsonl"
    files[lone] = json.dumps({"file_name": "picture.png"}).encode()
    hub.push(REPO, "dataset", files)
    for _ in range(2):
        assert shown(gallery) == ["good"]
    lines = [record.getMessage() for record in caplog.records if "left out" in record.message]
    assert len(lines) == len(bad) + 1
    assert all(sum(f"130000-{name}-" in line for line in lines) == 1 for name in bad)
    assert not any("\n" in line or "<" in line for line in lines)


def test_folders_with_other_names_are_nothing_to_us(
    hub: LoopbackHub, gallery: Gallery, make_picture: MakePicture, recipe: Recipe
) -> None:
    id = gallery.publish(make_picture(), recipe, author="ada", title="good").id
    here = {
        name: data
        for path, data in published(hub).items()
        if (name := path.split("/")[-1]) and path.startswith(f"data/{id}/")
    }
    folders = [
        "data/2026-99-99/120000-ada-0123456789abcdef",
        "data/2026-11-23/256199-ada-0123456789abcdef",
        "data/2026-11-23/120000-<b>-0123456789abcdef",
        "data/2026-11-23/120000-ada-0123",
        "data/2026-11-23/sub/120000-ada-0123456789abcdef",
        "data/tomorrow/120000-ada-0123456789abcdef",
        "2026-11-23/120000-ada-0123456789abcdef",
    ]
    hub.push(
        REPO,
        "dataset",
        {f"{folder}/{name}": data for folder in folders for name, data in here.items()},
    )
    assert shown(gallery) == ["good"]


def test_pictures_that_are_none_or_too_large_are_refused(
    hub: LoopbackHub,
    gallery: Gallery,
    make_picture: MakePicture,
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id = gallery.publish(make_picture(), recipe, author="ada", title="good").id
    small = f"thumbnails/{id}.jpg"
    hub.push(REPO, "dataset", {f"data/{id}/picture.png": b"<svg/>", small: b"<svg/>"})
    for look in (gallery.picture, gallery.thumbnail):
        with pytest.raises(HubError, match="cannot be shown"):
            look(id)
    for module in ("gallery", "gallery_layout"):
        monkeypatch.setattr(f"nst.hub.{module}.MAX_BYTES", 100)
    hub.push(REPO, "dataset", {f"data/{id}/picture.png": bytes(101)})
    with pytest.raises(HubError, match="larger than it may be"):
        gallery.picture(id)
    assert shown(Gallery(REPO, endpoint=hub.url)) == []


def test_a_listing_that_leads_elsewhere_is_not_followed(
    hub: LoopbackHub, gallery: Gallery, make_picture: MakePicture, recipe: Recipe
) -> None:
    gallery.publish(make_picture(), recipe, author="ada", title="good")
    away = f"{hub.storage_url}/api/datasets/{REPO}/tree/main/data"
    hub.fail("/tree/", headers={"Link": f'<{away}>; rel="next"'})
    asked_before = len(hub.requests)
    assert shown(gallery) == ["good"]
    assert not any(
        request.headers["host"].startswith("localhost") for request in hub.requests[asked_before:]
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  two\n lines\t ", "two lines"),
        ("a\u202eb\u200bc\x00d\ud800e", "abc d e"),
        ("<script>", "<script>"),  # the page escapes it
        ("x" * 99, "x" * (LONGEST_TITLE - 1) + "…"),
        ("", ""),
    ],
)
def test_a_title_is_one_line_of_plain_text(given: str, kept: str) -> None:
    assert one_line(given, LONGEST_TITLE) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Ada_L.-1", "Ada_L.-1"),
        ("../a b", ".._a_b"),
        ("", "somebody"),
        ("é", "_"),
        ("x" * 99, "x" * 64),
    ],
)
def test_a_name_is_one_word_of_a_path(given: str, kept: str) -> None:
    assert path_word(given) == kept


# --- Whose gallery, and whose token -------------------------------------------------------------


def test_a_visitor_publishes_to_a_dataset_of_their_own(
    hub: LoopbackHub, painting: Image.Image, recipe: Recipe
) -> None:
    token = "hf_oauth_of_bob"
    hub.tokens[token] = Account("bob", False, frozenset({"openid", "profile", "contribute-repos"}))
    gallery = own_gallery(token, "bob", endpoint=hub.url)
    assert gallery.newest(3) == []
    receipt = gallery.publish(painting, recipe, author="bob")
    assert receipt.url.startswith(f"{hub.url}/datasets/bob/{OWN_NAME}/blob/main/data/")
    assert not hub.repo(f"bob/{OWN_NAME}", "dataset").private
    assert len(Gallery(f"bob/{OWN_NAME}", endpoint=hub.url).newest(3)) == 1


def test_without_a_sign_in_nobody_elses_token_is_used() -> None:
    with pytest.raises(HubError, match="sign in"):
        own_gallery("", "bob")


def test_a_sign_in_that_has_expired_is_said_so(
    hub: LoopbackHub, gallery: Gallery, token: str, painting: Image.Image, recipe: Recipe
) -> None:
    hub.revoke(token)
    with pytest.raises(HubError, match="sign in again"):
        gallery.publish(painting, recipe, author="ada")


def test_the_community_gallery_is_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NST_GALLERY_REPO", raising=False)
    assert community() is None
    monkeypatch.setenv("NST_GALLERY_REPO", "no name")
    with pytest.raises(HubError, match="looks like owner/name"):
        community()
    monkeypatch.setenv("NST_GALLERY_REPO", REPO)
    monkeypatch.setenv("NST_GALLERY_TOKEN", "hf_secret")
    gallery = community()
    assert gallery is not None
    assert gallery.url == f"https://huggingface.co/datasets/{REPO}"
    assert repr(gallery) == "Gallery('space/gallery')"
    with pytest.raises(TypeError, match="does not leave its process"):
        pickle.dumps(gallery)


FAULTS: dict[str, dict[str, Any]] = {
    "401": {"status": 401},
    "403": {"status": 403},
    "404": {"status": 404},
    "429": {"status": 429, "headers": AT_ONCE},
    "500": {"status": 500, "headers": AT_ONCE},
    "cut": {"cut": True},
    "silent": {"delay": 30},
    "slow": {"slow": 0.3},
    "lost": {"lost": True},
    "html": {"body": b"<html>"},
}
PLANTED = "hf_PLANTEDplantedPLANTEDplanted"


@pytest.mark.parametrize("place", ["/api/", "/commit/", "/resolve/", "/repos/create"])
@pytest.mark.parametrize("fault", [*FAULTS, "echo"])
def test_a_token_is_nowhere_but_in_requests(
    hub: LoopbackHub,
    photo: Image.Image,
    painting: Image.Image,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    place: str,
    fault: str,
) -> None:
    """Every way to fail, with all logs at their most talkative; "echo" is a server that says the
    token in its error."""
    for name in ("HF_HOME", "XDG_CACHE_HOME", "TMPDIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("nst.web.hub_client.WAIT", 0.01)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for logger in [None, *logging.root.manager.loggerDict]:
        caplog.set_level(logging.DEBUG, logger)
    hub.tokens[PLANTED] = Account("space", True)
    told: list[str] = []

    def attempt(call: Callable[[], object]) -> None:
        try:
            told.append(repr(call()))
        except HubError as error:
            told.extend(
                f"chained: {link!r}" for link in (error.__context__, error.__cause__) if link
            )
            told.extend(traceback.format_exception(error))

    limits = replace(EAGER, silence=0.3, reading=0.5, writing=0.7)
    gallery = Gallery(REPO, token=PLANTED, endpoint=hub.url, limits=limits)
    echo = {"status": 500, "headers": {"X-Error-Message": "no", **AT_ONCE}}
    spoken = json.dumps({"error": f"Bearer {PLANTED} is no good"}).encode()
    hub.fail(place, **({**echo, "body": spoken} if fault == "echo" else FAULTS[fault]))
    for _ in range(2):
        attempt(lambda: gallery.publish(painting, recipe, author="ada", title="A", photo=photo))
        attempt(lambda: gallery.newest(5))
        attempt(lambda: gallery.thumbnail("2026-11-22/120000-ada-0123456789abcdef"))
        hub.heal()
    attempt(lambda: gallery)
    assert hub.asked()
    assert all(request.token == PLANTED for request in hub.asked("/api/"))

    told += [record.getMessage() + str(record.exc_text) for record in caplog.records]
    told += capfd.readouterr()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    there = b"".join(b"".join(hub.files(*key[::-1]).values()) for key in hub.repos)
    told += [f"{title}" for key in hub.repos for _, title in hub.commits(*key[::-1])]
    assert not any(text.startswith("chained") for text in told)
    for text in ("\n".join(told), kept.decode("latin-1"), there.decode("latin-1")):
        assert "PLANTED" not in text.upper()
