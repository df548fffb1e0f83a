"""Scenes that are painted apart are those of the whole film, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.clips import cut, pan
from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst.images.masks import Masks
from nst.settings import FilmSettings, TransferSettings
from nst.video.frame_store import FrameStore
from nst.video.scene_store import SceneStore
from nst.video.transfer import FilmStep, Scene, find_scenes, transfer_video

SIZE = (64, 48)
SETTINGS = TransferSettings(size=64, iterations=6)
FILM = FilmSettings(frame_iterations=2)


def filmed() -> list[Image.Image]:
    """Three scenes of three frames, the first of them grey."""
    grey = [frame.convert("L").convert("RGB") for frame in pan(SIZE, 3, photo="bridge")]
    return [*grey, *cut(SIZE, 6)]


def facts(step: FilmStep) -> tuple[Any, ...]:
    """What is told of a step, but for times; costs by their text, since some are no number."""
    figures = step.step
    costs = (figures.J, figures.content, figures.style, step.temporal, step.seen)
    return (step.frame, step.scene, step.is_finished, figures.iteration, figures.total, str(costs))


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        SETTINGS.replace(color_transfer="monge"),  # to the colours of the film's first frame
        SETTINGS.replace(color_transfer="luminance"),
        SETTINGS.replace(start="noise", optimizer="adam"),
    ],
    ids=lambda settings: f"{settings.color_transfer} {settings.optimizer}",
)
def test_scenes_painted_apart_are_those_of_the_film(
    make_network: MakeNetwork, painting: Image.Image, settings: TransferSettings
) -> None:
    clip, network = filmed(), make_network()

    def paint(**options: Any) -> list[FilmStep]:
        return list(transfer_video(clip, painting, settings, FILM, network=network, **options))

    whole = paint()
    found = list(find_scenes(clip, painting, settings, FILM, network))
    assert found == [Scene(0, 0, 3), Scene(1, 3, 6), Scene(2, 6, 9)]
    apart = [step for scene in reversed(found) for step in paint(only=scene)]
    apart.sort(key=lambda step: step.frame)
    assert [facts(step) for step in apart] == [facts(step) for step in whole]
    for one, other in zip(apart, whole, strict=True):
        assert np.array_equal(np.asarray(one.image), np.asarray(other.image))


def test_so_are_those_whose_settings_change_and_which_have_masks(
    make_network: MakeNetwork, painting: Image.Image
) -> None:
    clip, network = filmed(), make_network()
    keep = Image.new("L", SIZE)
    keep.paste(255, (0, 0, 20, 48))

    def paint(**options: Any) -> list[FilmStep]:
        return list(
            transfer_video(
                clip,
                painting,
                SETTINGS,
                FILM,
                masks={4: Masks(keep=keep)},
                settings_at=lambda number: SETTINGS.replace(beta=1 + number // 2 / 4),
                network=network,
                **options,
            )
        )

    whole = [step for step in paint() if step.scene == 1]
    apart = paint(only=Scene(1, 3, 6))
    assert [facts(step) for step in apart] == [facts(step) for step in whole]
    for one, other in zip(apart, whole, strict=True):
        assert np.array_equal(np.asarray(one.image), np.asarray(other.image))


def test_a_scene_goes_on_from_its_frames(make_network: MakeNetwork, painting: Image.Image) -> None:
    clip, network = filmed(), make_network()
    options: Any = {"network": network, "only": Scene(1, 3, 6)}
    whole = list(transfer_video(clip, painting, SETTINGS, FILM, **options))
    done = {step.frame: step.image for step in whole if step.is_finished}
    again = list(
        transfer_video(
            clip, painting, SETTINGS, FILM, painted={n: done[n] for n in (3, 4)}.get, **options
        )
    )
    assert [step.frame for step in again if step.is_finished] == [3, 4, 5]
    assert [step.step.iteration for step in again if step.frame == 5] == [
        step.step.iteration for step in whole if step.frame == 5
    ]


def test_frames_are_stored_in_any_order(tmp_path: Path, make_picture: MakePicture) -> None:
    pictures = [make_picture(16, 12, seed=n) for n in range(4)]

    def is_there(store: FrameStore, number: int) -> bool:
        found = store.load(number)
        return found is not None and found.tobytes() == pictures[number].tobytes()

    with SceneStore(tmp_path / "film.mp4", "key") as store:
        for number in (3, 0, 2):
            store.save(number, pictures[number])
        assert (store.count, store.painted) == (1, 3)
        assert is_there(store, 3)
        assert store.load(1) is None
    path = tmp_path / ".film.mp4.frames" / "000003.png"
    path.write_bytes(path.read_bytes()[:40])  # the machine broke down
    with SceneStore(tmp_path / "film.mp4", "key") as store:
        assert (store.count, store.load(3)) == (1, None)
        store.save(1, pictures[1])
        assert store.count == 3
        store.save(3, pictures[3])
    with FrameStore(tmp_path / "film.mp4", "key") as plain:
        assert plain.count == 4
        assert all(is_there(plain, number) for number in range(4))
