"""Films with regions, and with what is left as it was filmed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.clips import cut, pan, passing, static
from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst import TransferSettings
from nst.errors import ImageError
from nst.images.framing import Box
from nst.images.masks import Masks
from nst.settings import FilmSettings
from nst.video import face_track
from nst.video.transfer import FilmStep, transfer_video

SIZE = (96, 72)
SETTINGS = TransferSettings(size=96, iterations=12)
FILM = FilmSettings(frame_iterations=3)


class PaintFilm(Protocol):
    def __call__(
        self, clip: Iterable[Image.Image], masks: Mapping[int, Masks], **options: Any
    ) -> list[FilmStep]: ...


@pytest.fixture
def film(make_network: MakeNetwork, make_picture: MakePicture) -> PaintFilm:
    """Paint a film after two paintings; return the finished steps."""

    def paint(
        clip: Iterable[Image.Image], masks: Mapping[int, Masks], **others: Any
    ) -> list[FilmStep]:
        paintings = [make_picture(50, 70, seed=2), make_picture(60, 60, seed=7)]
        options: dict[str, Any] = {
            "settings": SETTINGS,
            "film": FILM,
            "network": make_network(),
        } | others
        return [
            step
            for step in transfer_video(clip, paintings, masks=masks, **options)
            if step.is_finished
        ]

    return paint


def half(side: str, *, size: tuple[int, int] = SIZE) -> Image.Image:
    mask = np.zeros((size[1], size[0]), np.uint8)
    columns = slice(None, size[0] // 2) if side == "left" else slice(size[0] // 2, None)
    mask[:, columns] = 255
    return Image.fromarray(mask)


def array(image: Image.Image | None) -> npt.NDArray[np.int64]:
    assert image is not None
    return np.asarray(image, int)


@pytest.mark.parametrize("key", [0, 3])
@pytest.mark.parametrize("color_transfer", ["none", "luminance"])
def test_what_is_kept_is_the_filmed_frame(film: PaintFilm, key: int, color_transfer: str) -> None:
    clip = passing(SIZE, 4)
    assert clip.mask is not None
    keep = Image.fromarray(255 * clip.mask(key).astype(np.uint8))
    steps = film(
        clip, {key: Masks(keep=keep)}, settings=SETTINGS.replace(color_transfer=color_transfer)
    )
    for number, step in enumerate(steps):
        assert step.masks is not None
        kept = array(step.masks.keep) == 255
        assert kept.mean() > 0.1
        assert step.filmed is not None
        difference = np.abs(array(step.image) - array(step.filmed)).max(-1)
        assert difference[kept].max() <= 2
        assert difference[~clip.mask(number) & ~kept].mean() > 5


def test_what_is_kept_is_todays_frame_where_nothing_is_painted_any_more(film: PaintFilm) -> None:
    (still,) = static(SIZE, 1)
    clip = [still.point([min(255, level + n % 2) for level in range(256)] * 3) for n in range(6)]
    steps = film(clip, {0: Masks(keep=half("left"))}, settings=SETTINGS.replace(iterations=30))
    assert steps[-1].step.total == 0
    left = slice(0, 40)
    for step in steps:
        assert np.array_equal(array(step.image)[:, left], array(step.filmed)[:, left])


def test_each_painting_rules_where_its_mask_has_been_led(film: PaintFilm) -> None:
    clip = static(SIZE, 3)
    masks = Masks((half("left"), half("right")))
    mixed = array(film(clip, {0: masks})[-1].image)
    swapped = array(film(clip, {2: Masks((half("right"), half("left")))})[-1].image)
    assert np.abs(mixed - swapped).mean() > 5


def test_a_region_that_is_not_to_be_seen_rules_nothing(film: PaintFilm) -> None:
    black = Image.new("L", SIZE)
    keys = {0: Masks((half("left"),)), 2: Masks((black,)), 3: Masks((black,))}
    steps = film(pan(SIZE, 4), keys)
    assert len(steps) == 4
    assert all(np.isfinite(step.step.J) for step in steps)
    assert steps[-1].masks is not None
    assert array(steps[-1].masks.regions[0]).max() == 0


def test_all_paintings_may_be_gone_for_a_while(film: PaintFilm) -> None:
    masks = Masks((half("left"), half("right")))
    black = Image.new("L", SIZE)
    steps = film(pan(SIZE, 3), {0: masks, 2: Masks((black, black))})
    assert len(steps) == 3


def test_a_cut_ends_what_is_kept(film: PaintFilm) -> None:
    clip = cut(SIZE, 4)
    steps = film(clip, {0: Masks(keep=half("left"))})
    assert [step.masks is not None and step.masks.keep is not None for step in steps] == [
        *(True, True),
        *(False, False),
    ]


def test_a_change_of_masks_changes_paint_on_what_stands_still(film: PaintFilm) -> None:
    keys = {0: Masks(keep=half("left")), 6: Masks(keep=half("right"))}
    steps = film(static(SIZE, 7), keys, settings=SETTINGS.replace(iterations=30))
    difference = np.abs(array(steps[-1].image) - array(steps[-1].filmed)).max(-1)
    assert difference[:, 50:].max() <= 2
    assert difference[:, :44].mean() > 5


def test_a_film_with_masks_goes_on_as_if_in_one_go(film: PaintFilm) -> None:
    clip, masks = pan(SIZE, 4), {0: Masks(keep=half("left"))}
    whole = [step.image for step in film(clip, masks)]
    again = film(clip, masks, painted=lambda number: whole[number] if number < 3 else None)
    assert np.abs(array(again[3].image) - array(whole[3])).mean() < 12
    assert all(
        np.array_equal(array(a.image), array(b)) for a, b in zip(again[:3], whole[:3], strict=True)
    )


def test_a_clip_that_can_be_asked_only_once_is_enough(film: PaintFilm) -> None:
    masks = {3: Masks(keep=half("left"))}
    once, often = film(iter(pan(SIZE, 4)), masks), film(pan(SIZE, 4), masks)
    assert [step.image.tobytes() for step in once] == [step.image.tobytes() for step in often]


def test_faces_are_left_as_they_were_filmed(
    film: PaintFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_track, "faces", lambda _: [Box(30, 20, 60, 60)])
    for step in film(pan(SIZE, 3), {}, protect_faces=True):
        difference = np.abs(array(step.image) - array(step.filmed)).max(-1)
        assert difference[30:50, 36:54].max() <= 2
        assert difference[:, 75:].mean() > 5


def test_masks_that_do_not_go_with_the_clip_are_told_before_anything_is_painted(
    film: PaintFilm,
) -> None:
    with pytest.raises(ImageError, match="must have the same shape"):
        film(pan(SIZE, 2), {0: Masks(keep=Image.new("L", (50, 50), 255))})
    with pytest.raises(ImageError, match="the clip has 2 frames"):
        film(pan(SIZE, 2), {5: Masks(keep=half("left"))})
