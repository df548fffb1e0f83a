"""Films as files: frames and times, the very packets of the sound, and whole or not at all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from benchmarks.clips import static, write_clip
from helpers.clips import write_sounding
from nst.errors import OutputError
from nst.images.color import dial_colors
from nst.images.masks import Masks
from nst.images.transforms import part_taken
from nst.settings import TransferSettings
from nst.video.clips import Clip, Frame
from nst.video.film_plan import FilmPlan
from nst.video.frame_store import FrameStore
from nst.video.writing import read_recipe_text, write_film, write_frames

TIMES = [Fraction(0), Fraction(1, 25), Fraction(3, 10), Fraction(1)]


def frames(size: tuple[int, int] = (97, 65)) -> list[Frame]:
    return [Frame(Image.new("RGB", size, (40 * n, 90, 120)), t) for n, t in enumerate(TIMES)]


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as film:
        return [bytes(each) for each in film.demux(film.streams.audio[0]) if each.size]


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_times_and_pixels_are_kept_and_sides_are_even(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"film.{ending}"
    write_film(path, frames(), recipe='{"version": 4}')
    read = list(Clip(path, 96))
    assert [float(f.time) for f in read] == pytest.approx([float(t) for t in TIMES], abs=0.001)
    assert read[0].picture.size == (96, 64)
    for number, frame in enumerate(read):
        error = np.asarray(frame.picture, int) - (40 * number, 90, 120)
        assert np.abs(error).max() <= 6
    assert read_recipe_text(path) == '{"version": 4}'
    with av.open(str(path)) as film:
        assert film.streams.video[0].codec_context.pix_fmt == "yuv420p"


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_frames_that_are_closer_than_a_tick_are_all_kept(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"film.{ending}"
    times = [Fraction(n, 200_000) for n in range(6)]
    write_film(path, [Frame(Image.new("RGB", (64, 48)), time) for time in times])
    read = [frame.time for frame in Clip(path, 64)]
    assert len(read) == 6
    assert read == sorted(set(read))


def test_an_mp4_plays_while_it_loads(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", frames())
    data = (tmp_path / "film.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_sound_is_the_clips_packet_by_packet(tmp_path: Path) -> None:
    write_clip(static((96, 64), 12), tmp_path / "clip.mp4", sound=True)
    clip = Clip(tmp_path / "clip.mp4", 96)
    with clip.sound() as sound:
        write_film(tmp_path / "film.mp4", clip, sound=sound)
    assert packets(tmp_path / "film.mp4") == packets(tmp_path / "clip.mp4")
    with clip.sound() as sound:
        write_film(tmp_path / "part.mp4", list(clip)[:4], sound=sound, is_whole=False)
    part = packets(tmp_path / "part.mp4")
    assert part == packets(tmp_path / "clip.mp4")[: len(part)]
    assert 10 <= len(part) <= 16  # a third of a second, at 43 packets a second


def test_mp3_is_a_sound_of_an_mp4(tmp_path: Path) -> None:
    clip = Clip(write_sounding(tmp_path / "clip.mp4", "libmp3lame"), 96)
    with clip.sound() as sound:
        write_film(tmp_path / "film.mp4", clip, sound=sound)
    assert packets(tmp_path / "film.mp4") == packets(tmp_path / "clip.mp4")


def test_a_sound_that_does_not_fit_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    write_clip(static((96, 64), 3), tmp_path / "clip.mp4", sound=True)
    clip = Clip(tmp_path / "clip.mp4", 96)
    with clip.sound() as sound, pytest.raises(OutputError, match=r"write \.mp4"):
        write_film(tmp_path / "film.webm", clip, sound=sound)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_folder_has_a_picture_of_each_frame(tmp_path: Path) -> None:
    write_frames(tmp_path / "folder", frames(), recipe="{}")
    names = sorted(path.name for path in (tmp_path / "folder").iterdir())
    assert names == [f"{number:06}.png" for number in (1, 2, 3, 4)]
    with Image.open(tmp_path / "folder" / names[2]) as picture:
        assert picture.getpixel((0, 0)) == (80, 90, 120)
        assert picture.size == (97, 65)
        assert picture.info["nst-recipe"] == "{}"


def test_frames_are_stored_until_the_film_is_another(tmp_path: Path) -> None:
    output = tmp_path / "film.mp4"
    picture = Image.effect_noise((30, 20), 90).convert("RGB")
    with FrameStore(output, "one") as store:
        store.save(0, picture)
    with FrameStore(output, "one") as again:
        assert again.count == 1
        assert np.array_equal(np.asarray(again.load(0)), np.asarray(picture))
        assert again.load(1) is None
    with FrameStore(output, "another") as another:
        assert another.count == 0
        another.save(0, picture)
        another.delete()
    assert list(tmp_path.iterdir()) == []


def test_dialled_colours_are_those_of_the_part_that_is_taken(tmp_path: Path) -> None:
    write_film(tmp_path / "clip.mp4", frames())
    painting, part = Image.new("RGB", (48, 48), "blue"), Image.new("L", (48, 48))
    painting.paste((200, 60, 0), (0, 0, 20, 48))
    part.paste(255, (0, 0, 20, 48))
    settings = TransferSettings(size=64, colors=1.0)
    masks = {0: Masks(within=(part,))}
    plan = FilmPlan(Clip(tmp_path / "clip.mp4", 64), [painting], settings, masks=masks)
    with FrameStore(tmp_path / "film.mp4", plan.key) as store:
        painted = Image.effect_noise((64, 44), 90).convert("RGB")
        store.save(0, painted)
        (delivered,) = plan.delivered(store)
    filmed = next(iter(plan.clip)).picture
    expected = dial_colors(painted, filmed, [part_taken(painting, part)], 1.0)
    assert delivered.picture.tobytes() == expected.tobytes()
    red, _, blue = np.asarray(delivered.picture).mean((0, 1))
    assert red > 150
    assert blue < 60


def test_a_second_film_to_the_same_file_is_refused_and_deletes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "film.mp4"
    with FrameStore(output, "one") as store:
        store.save(0, Image.new("RGB", (30, 20)))
        with pytest.raises(OutputError, match="another film is being painted"):
            FrameStore(output, "another")
        assert store.load(0) is not None
    FrameStore(output, "another").close()


def test_a_frame_store_deletes_its_own_files_only(tmp_path: Path) -> None:
    with FrameStore(tmp_path / "film.mp4", "one") as store:
        store.save(0, Image.new("RGB", (30, 20)))
        (store.folder / "notes.txt").write_text("mine")
        store.delete()
        assert [path.name for path in store.folder.iterdir()] == ["notes.txt"]


def test_a_frame_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".film.mp4.frames").write_text("a file")
    with pytest.raises(OutputError, match="cannot be made: File exists"):
        FrameStore(tmp_path / "film.mp4", "one")


@pytest.mark.parametrize("left", [0, 100])
def test_a_last_frame_that_a_power_cut_left_damaged_is_painted_again(
    tmp_path: Path, left: int
) -> None:
    picture = Image.effect_noise((30, 20), 90).convert("RGB")
    with FrameStore(tmp_path / "film.mp4", "one") as store:
        for number in range(2):
            store.save(number, picture)
        last = store.folder / "000001.png"
    last.write_bytes(last.read_bytes()[:left])
    with FrameStore(tmp_path / "film.mp4", "one") as store:
        assert store.count == 1
        store.save(1, picture)
        assert np.array_equal(np.asarray(store.load(1)), np.asarray(picture))


def test_stored_frames_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = list[int]()
    monkeypatch.setattr("os.fsync", synced.append)
    with FrameStore(tmp_path / "film.mp4", "one") as store:
        before = len(synced)
        store.save(0, Image.new("RGB", (30, 20)))
    assert len(synced) == before + 1
