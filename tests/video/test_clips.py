"""Clips are read one frame at a time, upright and in time; bad ones end in one sentence."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest

from helpers.clips import turn, write_frames, write_sound, write_sounding, write_still
from nst.errors import ImageError
from nst.video import clips, decoding
from nst.video.clips import Clip


def test_frames_come_in_order_with_their_times(tmp_path: Path) -> None:
    clip = Clip(write_frames(tmp_path / "clip.mp4", 5), 96)
    frames = list(clip)
    assert [frame.time for frame in frames] == [Fraction(n, 12) for n in range(5)]
    assert clip.facts.frames == 5
    assert not clip.facts.has_sound
    reds = [np.asarray(frame.picture)[32, 20, 0] for frame in frames]
    assert reds == sorted(reds)


def test_frames_are_scaled_and_keep_their_colours(tmp_path: Path) -> None:
    clip = Clip(write_frames(tmp_path / "clip.mp4", 1), 48)
    (frame,) = clip
    assert frame.picture.size == (48, 32)
    left, right = (np.asarray(frame.picture, int)[16, x] for x in (10, 38))
    assert np.abs(left - (150, 0, 0)).max() <= 4
    assert np.abs(right - (0, 0, 150)).max() <= 4


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 40, 300, 310, 1000]
    clip = Clip(write_frames(tmp_path / "clip.mkv", 5, times=times), 96)
    assert [round(1000 * frame.time) for frame in clip] == times


def test_fewer_frames_are_taken_from_240_a_second(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip.mp4", 48, rate=240)
    assert len(list(Clip(path, 96))) == 48
    taken = [float(frame.time) for frame in Clip(path, 96, rate=20)]
    assert taken == pytest.approx([0, 0.05, 0.1, 0.15], abs=0.005)


def test_every_other_frame_is_taken_where_times_are_rounded_to_milliseconds(tmp_path: Path) -> None:
    times = [round(1000 * n / 24) for n in range(48)]
    clip = Clip(write_frames(tmp_path / "clip.mkv", 48, times=times), 96, rate=12)
    assert [round(1000 * frame.time) for frame in clip] == times[::2]


def test_frames_that_are_not_taken_have_their_seconds_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = list[float]()
    monkeypatch.setattr(decoding, "allow_seconds", allowed.append)
    path = write_frames(tmp_path / "clip.mp4", 24, rate=24)
    with path.open("rb") as file, decoding.open_container(file) as clip:
        taken = list(decoding.timed_frames(clip, clip.streams.video[0], rate=1))
    assert len(taken) == 1
    assert allowed == [decoding.FRAME_SECONDS] * 24


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_too_many_frames_are_told_before_the_first_one(tmp_path: Path, name: str) -> None:
    path = write_still(tmp_path / name, decoding.MOST_FRAMES + 240)
    with pytest.raises(ImageError) as caught:
        Clip(path, 64)
    assert str(caught.value) == decoding.TOO_LONG
    assert Clip(path, 64, rate=12).facts.frames == pytest.approx(1012, abs=2)
    assert Clip(write_still(tmp_path / name, decoding.MOST_FRAMES), 64).facts.frames > 0


@pytest.mark.parametrize("name", ["clip.mov", "clip.avi"])
def test_sound_that_lasts_longer_adds_no_frames(tmp_path: Path, name: str) -> None:
    path = write_sounding(tmp_path / name, "pcm_s16le", seconds=8.5)
    assert Clip(path, 64).facts.frames == 6
    assert Clip(path, 64, rate=6).facts.frames == 3


def test_the_frames_of_all_fragments_are_expected(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe", "g": "4"}
    clip = Clip(write_frames(tmp_path / "clip.mp4", 12, options=options), 64)
    assert clip.facts.frames == len(list(clip)) == 12


def test_one_frame_a_second_is_a_clip(tmp_path: Path) -> None:
    clip = Clip(write_frames(tmp_path / "clip.mp4", 3, rate=1), 96)
    assert [frame.time for frame in clip] == [0, 1, 2]


def test_a_telephone_held_upright_gives_upright_frames(tmp_path: Path) -> None:
    (frame,) = Clip(turn(write_frames(tmp_path / "clip.mp4", 1)), 96)
    assert frame.picture.size == (64, 96)
    top, bottom = (np.asarray(frame.picture, int)[y, 32] for y in (20, 76))
    assert top.argmax() == 0  # what was on the left is on top, after a turn clockwise
    assert bottom.argmax() == 2


def test_what_is_left_of_a_clip_that_was_cut_off_is_read(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip.mkv", 40)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert 0 < len(list(Clip(path, 96))) < 40


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.mp4", b"", decoding.NO_CLIP),
        ("noise.mp4", bytes(range(256)) * 40, decoding.NO_CLIP),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", decoding.NO_CLIP),
        ("list.ffconcat", b"ffconcat version 1.0\nfile /etc/hostname\n", decoding.NO_CLIP),
    ],
)
def test_what_is_no_clip_gets_a_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        Clip(path, 96)
    assert str(caught.value) == sentence


def test_a_clip_without_its_index_gets_a_sentence(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip.mp4", 20)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])  # at the end of the file
    with pytest.raises(ImageError, match="not a clip"):
        Clip(path, 96)


def test_sound_alone_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="only sound"):
        Clip(write_sound(tmp_path / "sound.mp4"), 96)


def test_8k_is_read_at_the_size_that_is_painted(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip.avi", 1, (7680, 4320), codec="mpeg4")
    (frame,) = Clip(path, 96)
    assert frame.picture.size == (96, 54)


def test_a_missing_clip_and_a_folder_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        Clip(tmp_path / "none.mp4", 96)
    with pytest.raises(ImageError, match="cannot be read"):
        Clip(tmp_path, 96)


def test_a_worker_ends_when_no_more_frames_are_wanted(tmp_path: Path) -> None:
    clip = Clip(write_frames(tmp_path / "clip.mp4", 100), 96)
    assert len(list(islice(clip, 3))) == 3
    assert len(list(clip)) == 100


def test_a_clip_is_read_no_longer_than_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(clips, "time", SimpleNamespace(monotonic=lambda: now))
    frames = iter(Clip(write_frames(tmp_path / "clip.mp4", 9), 96, deadline=60.0))
    assert len(list(islice(frames, 3))) == 3
    now = 60.0
    with pytest.raises(ImageError, match="takes too long to read"):
        next(frames)


def test_frames_that_are_passed_over_take_time_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, limits = 0.0, list[float]()

    def late(seconds: float, _: object) -> NoReturn:
        nonlocal now
        limits.append(seconds)
        now += seconds
        raise TimeoutError

    monkeypatch.setattr(clips, "time", SimpleNamespace(monotonic=lambda: now))
    frames = iter(Clip(write_frames(tmp_path / "clip.mp4", 9), 96, rate=1, deadline=60.0))
    now = 59.0
    monkeypatch.setattr(clips, "ended_after", late)
    with pytest.raises(ImageError, match="takes too long to read"):
        next(frames)
    assert limits == [1.0]
