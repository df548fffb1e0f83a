"""Runs on luminance alone, and runs with paintings in the photo's colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.pictures import MakePicture
from nst.engine.color_transfer import Chroma
from nst.engine.schedule import Moment
from nst.engine.seamless import fit_seamless, without_seam
from nst.engine.transfer import TransferStep, stylize, transfer_style
from nst.images.color import dial_colors, to_grey, with_luminance
from nst.images.color_transfer import prepare_colors
from nst.images.tensors import fit, to_tensor
from nst.settings import TransferSettings
from nst.vgg.network import VGG

SETTINGS = TransferSettings(size=64, iterations=3)


@pytest.fixture
def pale(make_picture: MakePicture) -> Image.Image:
    """Return a photo of half the contrast, so that no colour is clipped."""
    return make_picture(48, 40, seed=3).point(lambda level: 64 + level // 2)


def steps(
    network: VGG, content: Image.Image, styles: list[Image.Image], settings: TransferSettings
) -> list[TransferStep]:
    return list(transfer_style(content, styles, settings, network=network))


def luminance_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"), dtype=int)


@pytest.mark.parametrize("how", ["luminance", "luminance_matched"])
def test_luminance_is_painted_and_the_photos_chroma_put_back(
    network: VGG, pale: Image.Image, painting: Image.Image, how: str
) -> None:
    """The run is that of grey pictures, with the same costs, and the photo's chroma on it."""
    colored = steps(network, pale, [painting], SETTINGS.replace(color_transfer=how))
    photo, paintings = prepare_colors(pale, [painting], how)
    grey = steps(network, photo, paintings, SETTINGS)
    assert [step.J for step in colored] == [step.J for step in grey]
    for ours, theirs in zip(colored, grey, strict=True):
        scene = to_tensor(fit(pale, max(ours.width, ours.height)))
        assert ours.pixels.equal(with_luminance(scene, theirs.pixels))


def test_the_chroma_of_a_pattern_has_no_seam(
    network: VGG, pale: Image.Image, painting: Image.Image
) -> None:
    settings = SETTINGS.replace(color_transfer="luminance", edges="seamless")
    last = steps(network, pale, [painting], settings)[-1]
    scene = to_tensor(fit_seamless(without_seam(pale), 64))
    grey = last.pixels - scene
    torch.testing.assert_close(grey[:, 0], grey[:, 1], atol=1e-6, rtol=0)
    torch.testing.assert_close(grey[:, 1], grey[:, 2], atol=1e-6, rtol=0)


def test_the_picture_has_colours_and_the_photos_own(
    network: VGG, pale: Image.Image, painting: Image.Image
) -> None:
    image = stylize_with(network, pale, painting, "luminance")
    chroma = [
        np.asarray(each, dtype=float) - luminance_of(each)[..., None]
        for each in (image, fit(pale, 64))
    ]
    assert np.abs(chroma[0] - chroma[1]).max() <= 1.5  # each luminance is rounded


def stylize_with(network: VGG, photo: Image.Image, painting: Image.Image, how: str) -> Image.Image:
    return steps(network, photo, [painting], SETTINGS.replace(color_transfer=how))[-1].image


def test_a_grey_photo_stays_grey(network: VGG, pale: Image.Image, painting: Image.Image) -> None:
    for how in ("monge", "luminance", "luminance_matched"):
        image = stylize_with(network, to_grey(pale), painting, how)
        assert image.tobytes() == to_grey(image).tobytes()


@pytest.mark.parametrize("how", ["monge", "pca", "cholesky"])
def test_a_matched_painting_is_what_the_run_sees(
    network: VGG, pale: Image.Image, painting: Image.Image, how: str
) -> None:
    paintings = [painting, painting.transpose(Image.Transpose.ROTATE_90)]
    _, matched = prepare_colors(pale, paintings, how)
    ours = steps(network, pale, paintings, SETTINGS.replace(color_transfer=how))
    theirs = steps(network, pale, matched, SETTINGS)
    assert [step.J for step in ours] == [step.J for step in theirs]
    assert ours[-1].pixels.equal(theirs[-1].pixels)


@pytest.mark.parametrize("has_state", [True, False])
def test_a_run_on_luminance_goes_on(
    network: VGG, pale: Image.Image, painting: Image.Image, has_state: bool
) -> None:
    settings = SETTINGS.replace(color_transfer="luminance")
    reached = steps(network, pale, [painting], settings)[-1]
    begin = reached.moment if has_state else Moment(reached.image, reached.iteration)
    longer = settings.replace(iterations=5)
    first, *_, last = transfer_style(pale, painting, longer, begin=begin, network=network)
    assert last.iteration == 5
    difference = np.asarray(first.image, dtype=int) - np.asarray(reached.image, dtype=int)
    assert np.abs(difference).max() <= (0 if has_state else 2)  # the luminance is rounded
    assert last.J <= reached.J


def test_a_state_is_of_one_transfer_alone(
    network: VGG, pale: Image.Image, painting: Image.Image
) -> None:
    """Colours that were painted must not stay when luminance alone is painted from here on."""
    begin = steps(network, pale, [painting], SETTINGS)[-1].moment
    settings = SETTINGS.replace(color_transfer="luminance", iterations=5)
    first, *_ = transfer_style(pale, painting, settings, begin=begin, network=network)
    expected = with_luminance(to_tensor(fit(pale, 64)), to_tensor(to_grey(begin.picture)))
    assert (first.pixels - expected).abs().max() <= 2 / 255


def test_what_is_stylized_is_the_last_step_with_its_colours_dialled(
    network: VGG, pale: Image.Image, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    settings = SETTINGS.replace(color_transfer="luminance", colors=0.5)
    expected = dial_colors(
        steps(network, pale, [painting], settings)[-1].image, pale, [painting], 0.5
    )
    assert stylize(pale, painting, settings).tobytes() == expected.tobytes()


def test_a_tall_picture_gets_its_colours_strip_by_strip(
    make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nst.engine.color_transfer.ROWS", 7)
    photo, painted = make_picture(40, 60, seed=1), to_tensor(to_grey(make_picture(40, 60, seed=2)))
    colored = Chroma(photo, is_seamless=False)(painted)
    assert colored.equal(with_luminance(to_tensor(photo), painted))
