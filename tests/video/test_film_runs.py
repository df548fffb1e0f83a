"""Films: frames in order, scenes begun anew, paint that stays, and what goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.clips import cut, pan, passing, static
from helpers.tiny_network import MakeNetwork
from nst import TransferSettings
from nst.images.tensors import to_tensor
from nst.settings import FilmSettings, PaintingUse
from nst.video.history import Recalled
from nst.video.ramps import between
from nst.video.transfer import FilmStep, FramePainter, Remembered, transfer_video

SIZE = (96, 72)
SETTINGS = TransferSettings(size=96, iterations=30)
FILM = FilmSettings(frame_iterations=3)


class PaintFilm(Protocol):
    def __call__(
        self,
        clip: Iterable[Image.Image],
        settings: TransferSettings = SETTINGS,
        painted: Remembered = ...,
    ) -> list[FilmStep]: ...


@pytest.fixture
def film(make_network: MakeNetwork, painting: Image.Image) -> PaintFilm:
    def paint(
        clip: Iterable[Image.Image],
        settings: TransferSettings = SETTINGS,
        painted: Remembered = lambda frame: None,
    ) -> list[FilmStep]:
        network = make_network()
        return list(
            transfer_video(clip, painting, settings, FILM, painted=painted, network=network)
        )

    return paint


def finished(steps: list[FilmStep]) -> list[npt.NDArray[np.int64]]:
    return [np.asarray(step.image, int) for step in steps if step.is_finished]


def test_each_frame_ends_once_and_in_order(film: PaintFilm) -> None:
    steps = film(pan(SIZE, 4))
    assert [step.frame for step in steps if step.is_finished] == [0, 1, 2, 3]
    assert [step.frame for step in steps] == sorted(step.frame for step in steps)
    assert {step.scene for step in steps} == {0}
    assert steps[30].step.total == 30
    followed = [step for step in steps if step.frame == 2]
    assert followed[-1].step.iteration == followed[-1].step.total <= 6
    assert followed[-1].seen > 0.9
    assert followed[-1].temporal > 0


def test_no_frame_has_more_iterations_than_a_picture(film: PaintFilm) -> None:
    steps = film(pan(SIZE, 3), SETTINGS.replace(iterations=2))
    assert [step.step.total for step in steps if step.is_finished] == [2, 2, 2]


def test_a_cut_begins_a_scene_as_a_picture(film: PaintFilm) -> None:
    steps = film(cut(SIZE, 6))
    ends = [step for step in steps if step.is_finished]
    assert [end.scene for end in ends] == [0, 0, 0, 1, 1, 1]
    assert [end.step.total == 30 for end in ends] == [True, False, False, True, False, False]


def test_what_stands_still_does_not_change(film: PaintFilm) -> None:
    frames = finished(film(static(SIZE, 12)))
    assert all(np.array_equal(frame, frames[0]) for frame in frames)


def test_paint_on_what_stands_still_answers_a_little_to_what_moves(
    make_network: MakeNetwork, painting: Image.Image
) -> None:
    frame = pan(SIZE, 1).frame(0)
    painter = FramePainter(frame, [painting], SETTINGS, FILM, make_network())
    none, kept = (np.zeros((SIZE[1], SIZE[0]), np.bool_) for _ in range(2))
    kept[:, :48] = True
    start, rest = to_tensor(frame), np.zeros((SIZE[1], SIZE[0], 2), np.float32)
    *_, last = painter.afresh(painter.prepared(frame), Recalled(start, rest, none, none, kept))
    change = (last.step.pixels - start).abs().mean((0, 1, 2))  # (W,)
    assert 0 < change[:40].mean() < 0.5 * change[56:].mean()


def test_what_was_hidden_is_seen_as_before(film: PaintFilm) -> None:
    clip = passing((160, 72), 13, step=10.0)
    frames = finished(film(clip, SETTINGS.replace(size=160)))
    background, covered, at_last = (np.asarray(clip.frame(n), int) for n in (0, 6, 12))
    seen_again = (covered != background).any(-1) & (at_last == background).all(-1)
    seen_again[:, :60] = False  # there the cat is in the first frame
    assert seen_again.mean() > 0.05
    assert np.abs(frames[12] - frames[0])[seen_again].mean() < 12


def test_frames_that_are_painted_already_are_not_painted_again(film: PaintFilm) -> None:
    clip = pan(SIZE, 4)
    whole = [step.image for step in film(clip) if step.is_finished]
    steps = film(clip, painted=lambda number: whole[number] if number < 3 else None)
    assert [step.frame for step in steps][:4] == [0, 1, 2, 3]
    assert [step.frame for step in steps].count(1) == 1
    again = finished(steps)
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(again[:3], whole, strict=False))
    assert np.abs(again[3] - np.asarray(whole[3], int)).mean() < 12


@pytest.mark.parametrize("how", ["monge", "luminance"])
def test_colours_are_the_films(film: PaintFilm, how: str) -> None:
    clip = pan(SIZE, 3)
    frames = finished(film(clip, SETTINGS.replace(color_transfer=how)))
    for number, frame in enumerate(frames):
        filmed = np.asarray(clip.frame(number), int)
        assert np.abs(frame.mean((0, 1)) - filmed.mean((0, 1))).max() < 40


def test_a_weight_of_0_adds_no_term(make_network: MakeNetwork, painting: Image.Image) -> None:
    film = FilmSettings(frame_iterations=2, temporal_weight=0.0)
    steps = transfer_video(pan(SIZE, 2), painting, SETTINGS, film, network=make_network())
    assert all(step.temporal == 0 for step in steps)


def test_halfway_settings_are_in_the_middle() -> None:
    begin = TransferSettings(beta=0.01, paintings=(PaintingUse(weight=1), PaintingUse(weight=0)))
    end = TransferSettings(beta=1.0, paintings=(PaintingUse(weight=0), PaintingUse(weight=1)))
    middle = between(begin, end, 0.5)
    assert middle.beta == pytest.approx(0.1)
    assert [use.weight for use in middle.uses(2)] == [0.5, 0.5]
    assert between(begin, end, 0.0) == begin
    assert between(begin, end, 1.0).beta == pytest.approx(1.0)


def test_settings_that_change_over_a_film_change_what_stands_still(
    make_network: MakeNetwork, painting: Image.Image
) -> None:
    begin, end = SETTINGS.replace(beta=0.01), SETTINGS.replace(beta=1.0)
    steps = transfer_video(
        static(SIZE, 5),
        painting,
        begin,
        FilmSettings(frame_iterations=3, temporal_weight=0.0),
        settings_at=lambda number: between(begin, end, number / 4),
        network=make_network(),
    )
    frames = finished(list(steps))
    far = [np.abs(frame - frames[0]).mean() for frame in frames]
    assert far[4] > far[1]
    assert far[4] > 1
