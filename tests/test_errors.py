"""What the library raises: errors of its own root, and what Python has for misuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

import nst
from nst import (
    ImageError,
    Moment,
    NumericalError,
    SettingsError,
    TransferSettings,
    UserError,
    WeightsError,
    load_image,
    save_png,
    transfer_style,
)
from nst.engine.repaint import repaint
from nst.errors import (
    BusyError,
    ClusterError,
    GPUError,
    HubError,
    OutputError,
    RecipeError,
    TooLargeError,
)
from nst.errors import ImageError as ImageErrorOfTheDecoder
from nst.images.recipe import new_recipe, parse_recipe, read_recipe
from nst.settings import parse_weights
from nst.vgg.network import VGG

PICTURE = Image.new("RGB", (64, 48), "teal")
KINDS = (
    *(
        BusyError,
        ClusterError,
        GPUError,
        HubError,
        ImageErrorOfTheDecoder,
        NumericalError,
        OutputError,
    ),
    *(RecipeError, SettingsError, TooLargeError, WeightsError),
)


def damaged(folder: Path) -> Path:
    path = folder / "damaged.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_root(kind: type[Exception]) -> None:
    assert issubclass(kind, UserError)


def test_public_names_are_there() -> None:
    for name in nst.__all__:
        assert getattr(nst, name).__name__ == name


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda folder: load_image(damaged(folder)), ImageError),
        (lambda folder: load_image(folder / "missing.png"), ImageError),
        (lambda folder: load_image(b"no picture"), ImageError),
        (lambda _: TransferSettings(size=1), SettingsError),
        (lambda _: TransferSettings(layer_weights={"relu9_1": 1.0}), SettingsError),
        (lambda _: TransferSettings.from_json([]), SettingsError),
        (lambda _: parse_weights("relu1_1"), SettingsError),
        (lambda folder: read_recipe(damaged(folder)), RecipeError),
        (lambda folder: read_recipe(folder / "missing.png"), RecipeError),
        (lambda _: parse_recipe("[]"), RecipeError),
        (lambda _: repaint(recipe(), PICTURE, []), RecipeError),
        (lambda _: next(transfer_style(PICTURE, [])), ValueError),
        (lambda _: next(transfer_style(PICTURE, PICTURE, device="tpu")), ValueError),
        (lambda folder: save_png(PICTURE, folder / "no" / "folder.png"), OSError),
    ],
)
def test_what_is_documented_is_raised(
    call: Callable[[Path], object], kind: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(kind) as raised:
        call(tmp_path)
    assert isinstance(raised.value, UserError) == issubclass(kind, UserError)
    assert len(str(raised.value).splitlines()) == 1


def recipe() -> nst.images.recipe.Recipe:
    return new_recipe(PICTURE, [PICTURE], TransferSettings(), "cpu")


def test_a_target_that_is_no_number_is_an_error_of_the_root(network: VGG) -> None:
    for convolution in network.convolutions.values():
        convolution.bias.fill_(torch.nan)
    network.identity = object()  # nothing is remembered of the sound one
    with pytest.raises(NumericalError, match="not a finite number"):
        next(transfer_style(PICTURE, PICTURE, TransferSettings(size=64), network=network))


def test_a_step_tells_its_moment(network: VGG) -> None:
    settings = TransferSettings(size=64, iterations=2)
    *_, last = transfer_style(PICTURE, PICTURE, settings, network=network)
    assert isinstance(last.moment, Moment)
    assert last.moment == Moment(last.image, 2)
