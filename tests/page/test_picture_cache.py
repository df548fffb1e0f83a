"""An upload is decoded once, whoever opens it and how often."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import nst.images.reading
from helpers.pictures import MakePicture
from nst import ImageError, load_image
from nst.images.writing import hash_of
from nst.settings import GATYS_STYLE_LAYERS
from nst.studio.job import Job
from nst.studio.limits import Limits
from page.panels.components import Choice
from page.panels.modes import PICTURE
from page.panels.paintings import Paintings
from page.panels.photo_tray import Tray
from page.panels.textures import Textures
from page.picture_cache import PictureCache
from page.studio import Studio

pytestmark = pytest.mark.slow


PATIENCE = 20.0  # seconds until a test that hangs fails


class Opener:
    """A stand-in for the decoder that counts, and waits while `gate` is shut."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.gate, self.reached = threading.Event(), threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def __call__(self, path: str) -> Image.Image:
        self.opened.append(Path(path).name)
        self.reached.set()
        assert self.gate.wait(PATIENCE)
        if self.error:
            raise self.error
        with Image.open(path) as image:
            return image.convert("RGB")


@pytest.fixture
def opener() -> Opener:
    return Opener()


def saved(folder: Path, name: str, picture: Image.Image) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return str(path)


def test_the_same_bytes_are_one_picture_whatever_their_path(
    tmp_path: Path, opener: Opener, photo: Image.Image, painting: Image.Image
) -> None:
    cache = PictureCache(opener)
    one, twin = (saved(tmp_path, name, photo) for name in ("a/one.png", "b/twin.png"))
    other = saved(tmp_path, "a/other.png", painting)
    assert cache.open(one) is cache.open(one) is cache.open(twin)
    assert cache.open(other).tobytes() == painting.tobytes()
    assert opener.opened == ["one.png", "other.png"]
    painting.save(one)  # other bytes in the same place
    assert cache.open(one).tobytes() == painting.tobytes()


def test_those_who_ask_at_once_share_one_decode(
    tmp_path: Path, opener: Opener, photo: Image.Image
) -> None:
    cache, found = PictureCache(opener), list[Image.Image]()
    path = saved(tmp_path, "photo.png", photo)
    opener.gate.clear()
    threads = [
        threading.Thread(target=lambda: found.append(cache.open(path)), daemon=True)
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    assert opener.reached.wait(PATIENCE)
    opener.gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(found) == 5
    assert len({id(image) for image in found}) == 1
    assert opener.opened == ["photo.png"]


def test_who_opens_another_does_not_wait(
    tmp_path: Path, opener: Opener, photo: Image.Image, painting: Image.Image
) -> None:
    cache = PictureCache(opener)
    known = saved(tmp_path, "known.png", painting)
    cache.open(known)
    opener.reached.clear()
    opener.gate.clear()
    path = saved(tmp_path, "photo.png", photo)
    slow = threading.Thread(target=lambda: cache.open(path), daemon=True)
    slow.start()
    assert opener.reached.wait(PATIENCE)
    assert cache.open(known).size == painting.size
    assert slow.is_alive()
    opener.gate.set()
    slow.join(PATIENCE)


def test_a_failure_is_everybody_s_and_is_not_kept(
    tmp_path: Path, opener: Opener, photo: Image.Image
) -> None:
    cache, path = PictureCache(opener), saved(tmp_path, "photo.png", photo)
    opener.error = ImageError("Too many pictures are being opened.")
    for _ in range(2):
        with pytest.raises(ImageError, match="Too many pictures"):
            cache.open(path)
    opener.error = None
    assert cache.open(path).size == photo.size
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        cache.open(str(tmp_path / "missing.png"))
    assert len(opener.opened) == 3


def test_the_least_recently_used_give_way(
    tmp_path: Path, opener: Opener, make_picture: MakePicture
) -> None:
    cache = PictureCache(opener, most=2 * 3 * 40 * 30)
    paths = [saved(tmp_path, f"{n}.png", make_picture(seed=n)) for n in range(3)]
    for which in (0, 1, 0, 2, 0, 1):
        cache.open(paths[which])
    assert opener.opened == ["0.png", "1.png", "2.png", "1.png"]
    large = saved(tmp_path, "large.png", make_picture(90, 90))
    assert cache.open(large).size == (90, 90)
    cache.open(paths[1])
    assert opener.opened[-1] == "large.png", "what does not fit leaves the rest where it is"


def test_the_cache_and_the_jobs_stay_within_two_gigabytes() -> None:
    assert Limits.pictures + PictureCache().most <= 2_000_000_000


# The page's own handlers


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes in bytes of what the decoder was given, one for each time."""
    sizes: list[int] = []
    real = nst.images.reading.decoder.open

    def counted(data: bytes, **options: Any) -> Any:
        sizes.append(len(data))
        return real(data, **options)

    monkeypatch.setattr(nst.images.reading.decoder, "open", counted)
    cache = PictureCache()
    for user in ("components", "picture_inputs"):
        monkeypatch.setattr(f"page.panels.{user}.pictures", cache)
    return sizes


def test_from_the_upload_to_the_next_slider_it_is_opened_once(
    waiting_studio: Studio, decoded: list[int], tmp_path: Path, make_picture: MakePicture
) -> None:
    """All that the page does when a photo and a painting are dropped in and painted twice."""
    studio = waiting_studio
    photo = saved(tmp_path, "photo.png", make_picture(80, 60, seed=41))
    painting = saved(tmp_path, "painting.png", make_picture(50, 70, seed=42))
    request: Any = SimpleNamespace(session_hash="tab", client=SimpleNamespace(host="127.0.0.1"))
    values: dict[Any, Any] = {part: part.value for part in studio.session.controls.components}
    values |= {studio.session.visitor: "jane", studio.session.current: ""}
    values |= {studio.session.photo: Choice(photo), studio.session.painting: Choice(painting)}
    values |= {studio.session.paintings: Paintings(), studio.session.init: None}
    film = studio.session.film
    values |= {studio.session.tray: Tray(), film.modes: PICTURE, film.clip: None}
    values |= dict.fromkeys((film.stage, studio.session.result_panel.stage))

    studio.steering.take_photo(Choice(photo), "")
    studio.steering.take_painting(Choice(painting))
    asyncio.run(first_look(studio, painting, request))
    decoded.pop()  # the test's own look
    studio.painting.estimate(values)
    values[studio.session.current] = studio.painting.begin(values, request)[studio.session.current]
    job = studio.session.workshop.find_job(values[studio.session.current])
    assert isinstance(job, Job)
    studio.steering.take_photo(Choice(photo), job.id)
    studio.steering.swap(values)
    studio.sharing.link_now(values)
    job.stop()
    values[studio.session.controls.by_name["beta"]] = 0.5
    again = studio.painting.begin(values, request)
    assert again[studio.session.current] not in ("", job.id)
    sizes = [Path(path).stat().st_size for path in (photo, painting)]
    assert sorted(decoded) == sorted(sizes)


async def first_look(studio: Studio, painting: str, request: Any) -> None:
    """Open the painting for its textures, and turn to something else."""
    looks = Textures(
        studio.session.workshop,
        studio.session.textures,
        studio.session.controls,
        studio.session.painting,
        studio.session.tabs,
    ).of(GATYS_STYLE_LAYERS)(Choice(painting), True, request)
    await anext(looks)
    studio.session.tabs.turn(request.session_hash, f"textures {GATYS_STYLE_LAYERS[0]}")
    await anext(looks)
    assert studio.session.workshop.has_background_task(
        f"textures {GATYS_STYLE_LAYERS[0]} {hash_of(load_image(painting))}"
    )


def test_a_file_in_memory_is_the_same_picture(photo: Image.Image, tmp_path: Path) -> None:
    """What is kept has the pixels that the decoder gave, and its note."""
    buffer = io.BytesIO()
    photo.save(buffer, "GIF", save_all=True, append_images=[photo.rotate(180)])
    path = tmp_path / "film.gif"
    path.write_bytes(buffer.getvalue())
    cache = PictureCache()
    assert cache.open(str(path)).info["note"] == nst.images.reading.SEVERAL
    assert cache.open(str(path)).info["note"] == nst.images.reading.SEVERAL
