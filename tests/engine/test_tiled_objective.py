"""Pictures in tiles: the costs and the gradient of the whole, and runs that end like others."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import nst.engine.inputs
import nst.engine.memory
import nst.engine.objective
import nst.engine.optimizers
import nst.engine.tiled_objective
from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst import TransferSettings, transfer_style
from nst.engine.costs import Costs, Measure
from nst.engine.objective import Objective
from nst.engine.optimizers import BoxLBFGS
from nst.engine.schedule import Moment
from nst.engine.style_target import FULL
from nst.engine.tiled_objective import TiledObjective
from nst.engine.tiles import halo_of, tiles
from nst.settings import DEFAULTS, LAYER_CHANNELS
from nst.vgg.network import VGG

SIZES = [(400, 300), (129, 520), (257, 161), (79, 383), (16, 700), (1, 650), (64, 64)]
ALL_LAYERS = DEFAULTS.replace(
    layer_weights=dict.fromkeys(LAYER_CHANNELS, 1.0), content_layer="relu5_4"
)
SHALLOW = DEFAULTS.replace(layer_weights={"relu1_2": 1.0}, content_layer="relu2_2")
SMOOTH = DEFAULTS.replace(total_variation=0.5)


def random_image(
    height: int, width: int, seed: int, dtype: torch.dtype = torch.float64, channels: int = 3
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, channels, height, width), generator=generator, dtype=dtype)


def assert_equal(whole: Objective, tiled: Objective, image: Tensor, tolerance: float) -> None:
    costs, gradient = whole.evaluate(image)
    ours, our_gradient = tiled.evaluate(image)
    assert float((our_gradient - gradient).norm() / gradient.norm()) < tolerance
    for name in ("J", "content", "style", "smoothness", "goal", "steepest"):
        assert getattr(ours, name) == pytest.approx(getattr(costs, name), rel=tolerance), name
    assert ours.layers == pytest.approx(costs.layers, rel=tolerance)
    assert pytest.approx(costs.J, rel=tolerance) == tiled.costs(image).J


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("size", SIZES)
def test_costs_and_gradient_are_those_of_the_whole(
    make_network: MakeNetwork, size: tuple[int, int], pooling: str
) -> None:
    """In float64, at sizes that no tile divides, so that one missing position would show."""
    network = make_network(dtype=torch.float64, pooling=pooling)
    photo, image, painting = (random_image(*each, 1) for each in (size, size[::-1], (90, 70)))
    image = image.mT.contiguous()
    whole = Objective(network, photo, [painting], DEFAULTS)
    tiled = TiledObjective(network, photo, [painting], DEFAULTS, 64)
    assert len(tiled.tiles) > 1 or max(size) == 64
    assert_equal(whole, tiled, image, 1e-12)


@pytest.mark.parametrize("settings", [ALL_LAYERS, SHALLOW, SMOOTH], ids=["all", "shallow", "tv"])
@pytest.mark.parametrize("side", [16, 64, 144])
def test_so_they_are_under_other_settings(
    make_network: MakeNetwork, settings: TransferSettings, side: int
) -> None:
    network = make_network(dtype=torch.float64)
    photo, image, painting = (random_image(150, 230, seed) for seed in (1, 2, 3))
    whole = Objective(network, photo, [painting], settings)
    assert_equal(whole, TiledObjective(network, photo, [painting], settings, side), image, 1e-11)


def test_so_they_are_along_a_guided_gradient_and_in_grey(make_network: MakeNetwork) -> None:
    network = make_network(dtype=torch.float64)
    grey = [random_image(100, 180, seed, channels=1).repeat(1, 3, 1, 1) for seed in (1, 2)]
    image = random_image(100, 180, 3)
    whole = Objective(network, grey[0], grey[1:], DEFAULTS)
    tiled = TiledObjective(network, grey[0], grey[1:], DEFAULTS, 64)
    whole.guidance = tiled.guidance = FULL
    assert_equal(whole, tiled, image, 1e-12)
    _, gradient = tiled.evaluate(image)
    assert torch.equal(gradient[:, 0], gradient[:, 2])


@pytest.mark.real
def test_in_float32_the_gradient_differs_by_rounding_alone(real_network: VGG) -> None:
    photo, image, painting = (random_image(200, 260, seed, torch.float32) for seed in (1, 2, 3))
    whole = Objective(real_network, photo, [painting], DEFAULTS)
    assert_equal(whole, TiledObjective(real_network, photo, [painting], DEFAULTS, 64), image, 1e-5)


def test_a_target_that_is_not_kept_is_made_again(
    network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the photo's bytes, which take a quarter of the memory."""
    photo = (255 * random_image(130, 140, 1, torch.float32)).to(torch.uint8)
    image, painting = random_image(130, 140, 2, torch.float32), photo[..., :90, :90]
    kept = TiledObjective(network, photo, [painting], DEFAULTS, 64)
    monkeypatch.setattr(nst.engine.tiled_objective, "KEPT_TARGET", 1000)
    made = TiledObjective(network, photo, [painting], DEFAULTS, 64)
    assert kept.contents["relu4_2"].kept
    assert made.contents["relu4_2"].kept is None
    costs, gradient = kept.evaluate(image)
    again, same_gradient = made.evaluate(image)
    assert costs == again
    assert torch.equal(gradient, same_gradient)


def test_every_pixel_is_the_own_of_one_tile() -> None:
    for size in SIZES:
        for side in (16, 64):
            seen = torch.zeros(1, 1, *size)
            for tile in tiles(size, side, ["relu5_1"]):
                tile.own(tile.cut(seen), "relu1_1").add_(1)
                assert tile.cut(seen).shape[-1] <= side + 2 * halo_of(["relu5_1"]) + 15
            assert bool((seen == 1).all())


# --- Runs ---------------------------------------------------------------------------------------


@pytest.fixture
def tiny_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of more than 4,000 pixels go in tiles of 48, and are very large ones."""
    memory = nst.engine.memory
    monkeypatch.setattr(memory, "NEVER_TILED", 4000)
    monkeypatch.setattr(memory, "AT_ONCE", 4000)
    monkeypatch.setattr(memory, "SIDES", (48,))
    monkeypatch.setattr(memory, "available_memory", lambda _: None)
    monkeypatch.setattr(nst.engine.inputs, "available_memory", lambda _: None)


SMALL = TransferSettings(size=128, base_size=128, iterations=16, restructure="much")


def finished(
    photo: Image.Image, painting: Image.Image, settings: TransferSettings, network: VGG
) -> tuple[float, Tensor, bool]:
    for step in transfer_style(photo, painting, settings, network=network):
        last = step
    return last.J, last.pixels, last.state is None


@pytest.mark.parametrize("start", ["recolored", "content", "noise"])
def test_a_run_in_tiles_ends_like_one_without(
    network: VGG,
    make_picture: MakePicture,
    monkeypatch: pytest.MonkeyPatch,
    start: str,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(nst.engine.objective, "DEEP_SHARE", 0.0)  # what tiles do not save either
    photo, painting = make_picture(128, 100), make_picture(90, 110)
    settings = SMALL.replace(start=start)
    whole, pixels, _ = finished(photo, painting, settings, network)
    request.getfixturevalue("tiny_tiles")
    tiled, tiled_pixels, has_no_state = finished(photo, painting, settings, network)
    assert has_no_state, "a very large picture leaves no room for one"
    assert tiled == pytest.approx(whole, rel=0.01)
    assert float((tiled_pixels - pixels).abs().mean()) < 1 / 255


@pytest.mark.usefixtures("tiny_tiles")
def test_a_run_in_tiles_goes_on_from_its_picture(network: VGG, make_picture: MakePicture) -> None:
    photo, painting = make_picture(128, 100), make_picture(90, 110)
    for step in transfer_style(photo, painting, SMALL, network=network):
        if step.iteration == 12:
            stopped = step
    begin = stopped.moment
    assert begin == Moment(stopped.image, 12)
    went_on = list(transfer_style(photo, painting, SMALL, begin=begin, network=network))
    assert [step.iteration for step in went_on] == [12, 13, 14, 15, 16]
    assert went_on[-1].J < went_on[0].J


@pytest.mark.usefixtures("tiny_tiles")
def test_a_run_in_tiles_holds_four_pictures_beside_its_curvature(
    network: VGG, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it stands and the gradient there, the next point, and the picture to show.

    The last evaluation needs no gradient of the point before, and no curvature.
    """
    monkeypatch.setattr(nst.engine.optimizers, "NARROW_FROM", 0)  # the curvature is in bfloat16
    evaluate, held, curvature = TiledObjective.evaluate, list[int](), list[int]()

    def counted(
        self: TiledObjective, image: Tensor, measure: Measure | None = None
    ) -> tuple[Costs, Tensor]:
        tensors = [each for each in gc.get_objects() if type(each) is Tensor]
        alike = [each for each in tensors if each.shape == image.shape]
        held.append(len({each.data_ptr() for each in alike if each.dtype == image.dtype}))
        curvature.append(sum(each.dtype == torch.bfloat16 for each in alike))
        return evaluate(self, image, measure)

    monkeypatch.setattr(TiledObjective, "evaluate", counted)
    settings = SMALL.replace(size=256, iterations=60)  # the last of them after settling
    rises = 0
    reject = BoxLBFGS.reject

    def counted_reject(*args: Any) -> bool:
        nonlocal rises
        rises += 1
        return reject(*args)

    monkeypatch.setattr(BoxLBFGS, "reject", counted_reject)
    gc.collect()  # what earlier tests have left is not held by this run
    finished(make_picture(256, 200), make_picture(90, 110), settings, network)
    assert rises, "a step that is taken back must not be kept"
    assert max(held) <= 4
    assert held[-1] <= 3
    assert max(curvature) > 0
    assert curvature[-1] == 0


def test_curvature_in_bfloat16_costs_little(
    network: VGG, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, painting = make_picture(96, 80), make_picture(90, 110)
    settings = TransferSettings(size=96, iterations=30)
    wide, *_ = finished(photo, painting, settings, network)
    monkeypatch.setattr(nst.engine.optimizers, "NARROW_FROM", 1000)
    narrow, *_ = finished(photo, painting, settings, network)
    assert narrow != wide
    assert narrow == pytest.approx(wide, rel=0.05)
