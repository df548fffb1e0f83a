"""Masks of a film are followed to all frames of their scene, and corrected on others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.clips import MadeClip, cut, pan, passing, static
from nst.errors import ImageError
from nst.images.framing import Box
from nst.images.masks import Masks
from nst.video import face_track, mask_tracks
from nst.video.mask_tracks import check_key_masks, fill, followed_masks

SIZE = (160, 120)


def picture(values: npt.NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(255 * values.astype(np.uint8))


def disc(x: float, y: float, radius: float = 30, *, softness: float = 0.01) -> Image.Image:
    """A white disc whose edge fades over so many pixels."""
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    distance = np.hypot(columns - x, rows - y)
    levels = ((radius - distance) / softness + 0.5).clip(0, 1)
    return Image.fromarray((255 * levels).astype(np.uint8))


def overlap(mask: Image.Image | None, true: Image.Image) -> float:
    """The intersection of two masks over their union."""
    assert mask is not None
    found, wanted = (np.asarray(each) > 127 for each in (mask, true))
    return float((found & wanted).sum() / (found | wanted).sum())


def cat(clip: MadeClip, number: int) -> Image.Image:
    assert clip.mask is not None
    return picture(clip.mask(number))


@pytest.mark.parametrize("key", [0, 8, 15])
def test_a_mask_follows_what_it_was_painted_on_forward_and_backward(key: int) -> None:
    clip = passing((256, 192), 16)
    followed = list(followed_masks(clip, {key: Masks(keep=cat(clip, key))}))
    assert len(followed) == 16
    assert overlap(followed[key].keep, cat(clip, key)) == 1
    for number in (0, 4, 8, 12, 15):
        assert overlap(followed[number].keep, cat(clip, number)) >= 0.9


def test_composed_flows_do_not_stray() -> None:
    clip = pan(SIZE, 31, step=1.3)
    (*_, last) = followed_masks(clip, {0: Masks((disc(90, 60),))})
    assert overlap(last.regions[0], disc(90 - 30 * 1.3, 60 - 30 * 1.3 / 4)) >= 0.95


def test_soft_edges_stay_as_soft_as_they_were_painted() -> None:
    clip = pan(SIZE, 21, step=1.3)
    first, *_, last = followed_masks(clip, {0: Masks(keep=disc(90, 60, softness=12))})
    soft = [
        np.mean((levels > 25) & (levels < 230))
        for mask in (first.keep, last.keep)
        if (levels := np.asarray(mask)) is not None
    ]
    assert soft[1] == pytest.approx(soft[0], rel=0.1)


def test_what_stands_still_keeps_its_mask_to_the_bit() -> None:
    masks = [each.keep for each in followed_masks(static(SIZE, 5), {2: Masks(keep=disc(60, 60))})]
    assert all(mask and mask.tobytes() == disc(60, 60).tobytes() for mask in masks)


def test_between_two_key_frames_the_nearer_one_has_the_larger_share() -> None:
    keys = {0: Masks(keep=disc(50, 60)), 4: Masks(keep=disc(110, 60))}
    masks = [np.asarray(each.keep, int) for each in followed_masks(static(SIZE, 6), keys)]
    assert [mask[60, 50] for mask in masks] == pytest.approx([255, 191, 128, 64, 0, 0], abs=1)
    assert [mask[60, 110] for mask in masks] == pytest.approx([0, 64, 128, 191, 255, 255], abs=1)


def test_a_mask_is_followed_past_key_frames_of_others() -> None:
    region, keep, later = disc(40, 60), disc(100, 60), disc(120, 60)
    keys = {0: Masks((region,), keep), 2: Masks((disc(40, 70),)), 4: Masks(keep=later)}
    masks = list(followed_masks(static(SIZE, 5), keys))
    assert [np.asarray(each.keep, int)[60, 75] for each in masks] == pytest.approx(
        [255, 191, 128, 64, 0], abs=1
    )
    assert masks[4].regions[0] is not None
    assert masks[4].regions[0].tobytes() == disc(40, 70).tobytes()


def test_a_scene_has_the_masks_that_were_painted_in_it() -> None:
    clip = cut(SIZE, 6)
    keys = {1: Masks((disc(60, 60),)), 4: Masks(keep=disc(60, 60))}
    masks = list(followed_masks(clip, keys))
    assert [each.regions[0] is not None for each in masks] == [True] * 3 + [False] * 3
    assert [each.keep is not None for each in masks] == [False] * 3 + [True] * 3


def test_frames_are_read_ahead_only_as_far_as_they_are_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = list[int]()

    def frames() -> Iterator[Image.Image]:
        for number, frame in enumerate(static(SIZE, 9)):
            read.append(number)
            yield frame

    def read_for_first(keys: dict[int, Masks]) -> int:
        read.clear()
        next(followed_masks(frames(), keys))
        return len(read)

    mask = Masks(keep=disc(60, 60))
    assert read_for_first({0: mask}) == 1
    assert read_for_first({0: mask, 5: mask}) == 6
    monkeypatch.setattr(mask_tracks, "REACH", 3)
    assert read_for_first({0: mask, 8: mask}) == 4


def test_a_key_frame_that_the_clip_does_not_have_is_told() -> None:
    with pytest.raises(ImageError, match="masks for frame 9, and the clip has 3 frames"):
        list(followed_masks(static(SIZE, 3), {8: Masks(keep=disc(60, 60))}))


def test_a_mask_may_be_black_where_its_thing_is_not_to_be_seen() -> None:
    black, frame = Image.new("L", SIZE), static(SIZE, 1).frame(0)
    check_key_masks({0: Masks((disc(60, 60),)), 5: Masks((black,))}, frame, [frame])
    with pytest.raises(ImageError, match="Mask 1 is black everywhere"):
        check_key_masks({0: Masks((black,)), 5: Masks((black,))}, frame, [frame])
    with pytest.raises(ImageError, match="must have the same shape"):
        check_key_masks({0: Masks((Image.new("L", (50, 50), 9),))}, frame, [frame])
    with pytest.raises(ImageError, match="There are 2 masks for one painting"):
        check_key_masks({0: Masks((black, disc(60, 60)))}, frame, [frame])


def test_what_is_new_takes_the_mask_of_its_colour() -> None:
    frame = np.zeros((40, 40, 3), np.float32)
    frame[:, 20:] = 200
    values = np.zeros((1, 40, 40), np.float32)
    values[:, :, 20:] = 1
    missing = np.zeros((40, 40), np.bool_)
    missing[10:30, 10:30] = True
    filled = fill(np.where(missing, np.float32(0.5), values), missing, frame)
    np.testing.assert_allclose(filled, values, atol=1e-3)


def test_a_face_that_is_missed_for_some_frames_is_held_and_one_that_is_gone_fades(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [True, True, False, False, True, *[False] * 14]
    boxes = iter([[Box(60, 40, 100, 90)] if each else [] for each in seen])
    monkeypatch.setattr(face_track, "faces", lambda _: next(boxes))
    masks = list(followed_masks(static(SIZE, len(seen)), {}, protect_faces=True))
    levels = [np.asarray(each.keep, int)[65, 80] for each in masks]
    assert levels[: 4 + face_track.HELD + 1] == [255] * (4 + face_track.HELD + 1)
    assert levels[-1] == 0
    assert max(-np.diff(levels)) <= 255 / face_track.FADES + 1


def test_a_face_that_is_found_late_comes_softly(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = iter([[Box(60, 40, 100, 90)] if n > 1 else [] for n in range(8)])
    monkeypatch.setattr(face_track, "faces", lambda _: next(boxes))
    keys = {0: Masks(keep=disc(30, 30, 10))}
    masks = list(followed_masks(static(SIZE, 8), keys, protect_faces=True))
    levels = [np.asarray(each.keep, int)[65, 80] for each in masks]
    assert levels[:2] == [0, 0]
    assert levels[-1] == 255
    assert max(np.diff(levels)) <= 255 / face_track.COMES + 1
    assert all(np.asarray(each.keep)[30, 30] == 255 for each in masks)
