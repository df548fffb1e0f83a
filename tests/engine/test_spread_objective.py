"""Pictures whose tiles are evaluated elsewhere: the gradient of one process, in the same bits."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Tensor

import nst.engine.inputs
import nst.engine.memory
import nst.engine.objective
import nst.engine.spread_objective
from helpers.elsewhere import Elsewhere, OwnTileMap
from helpers.pictures import MakePicture
from helpers.regions import regions_of_three
from helpers.tiling import assert_tiles_agree
from helpers.tiny_network import MakeNetwork
from nst import Masks, TransferSettings, transfer_style
from nst.engine.objective import Objective
from nst.engine.sharded_objective import ShardedObjective
from nst.engine.spread_objective import SpreadObjective
from nst.engine.style_target import FULL
from nst.provenance import Provenance
from nst.settings import DEFAULTS, PaintingUse
from nst.vgg.network import VGG


def random_image(height: int, width: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, height, width), generator=generator, dtype=dtype)


@pytest.mark.parametrize("size", [(129, 320), (257, 161), (64, 64)])
@pytest.mark.parametrize("side", [64, 144])
def test_costs_and_gradient_are_those_of_the_whole(
    make_network: MakeNetwork, size: tuple[int, int], side: int
) -> None:
    network = make_network(dtype=torch.float64)
    photo, image, painting = random_image(*size, 1), random_image(*size, 2), random_image(90, 70, 3)
    settings = DEFAULTS.replace(total_variation=0.5)
    whole = Objective(network, photo, [painting], settings)
    spread = SpreadObjective(network, photo, [painting], settings, side, tile_map=Elsewhere())
    assert_tiles_agree(whole, spread, image, layers=1e-12)
    whole.guidance = spread.guidance = FULL
    assert_tiles_agree(whole, spread, image, layers=1e-12)


@pytest.mark.real
def test_in_float32_the_gradient_differs_by_rounding_alone(real_network: VGG) -> None:
    photo, image, painting = (random_image(200, 260, seed, torch.float32) for seed in (1, 2, 3))
    whole = Objective(real_network, photo, [painting], DEFAULTS)
    spread = SpreadObjective(real_network, photo, [painting], DEFAULTS, 64, tile_map=Elsewhere())
    costs, gradient = whole.evaluate(image)
    ours, our_gradient = spread.evaluate(image)
    assert pytest.approx(costs.J, rel=1e-5) == ours.J
    assert float((our_gradient - gradient).norm() / gradient.norm()) < 1e-5


def test_the_order_of_the_calls_changes_no_bit(network: VGG) -> None:
    photo, image = (
        random_image(130, 200, 1, torch.float32),
        random_image(130, 200, 2, torch.float32),
    )
    one, other = (
        SpreadObjective(network, photo, [photo], DEFAULTS, 64, tile_map=tile_map)
        for tile_map in (OwnTileMap(), Elsewhere())
    )
    costs, gradient = one.evaluate(image)
    its_costs, its_gradient = other.evaluate(image)
    assert costs == its_costs
    assert torch.equal(gradient, its_gradient)


def test_workers_compute_on_the_device_of_the_map(
    network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def pick_device(name: str) -> torch.device:
        asked.append(name)
        return torch.device("cpu")

    monkeypatch.setattr(nst.engine.spread_objective, "pick_device", pick_device)
    photo, tile_map = random_image(130, 200, 1, torch.float32), OwnTileMap()
    for tile_map.device in ("cpu", "auto"):
        SpreadObjective(network, photo, [photo], DEFAULTS, 64, tile_map=tile_map)
    assert asked == ["cpu", "auto"]


@pytest.fixture
def tiny_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of more than 4,000 pixels go in tiles of 48."""
    for module in (nst.engine.memory, nst.engine.inputs):
        monkeypatch.setattr(module, "NEVER_TILED", 4000)
        monkeypatch.setattr(module, "SIDES", (48,))


SMALL = TransferSettings(size=128, base_size=128, iterations=8)


@pytest.mark.usefixtures("tiny_tiles")
def test_a_picture_that_stays_here_ends_like_one_in_this_process(
    network: VGG, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.engine.objective, "DEEP_SHARE", 0.0)  # what tiles do not save either
    photo, painting = make_picture(128, 100), make_picture(90, 110)
    elsewhere, settings = Elsewhere(), SMALL.replace(total_variation=0.5)
    *_, last = transfer_style(photo, painting, settings, network=network, tile_map=elsewhere)
    *_, expected = transfer_style(photo, painting, settings, network=network)
    assert elsewhere.sent
    assert pytest.approx(expected.J, rel=1e-3) == last.J
    assert last.provenance == expected.provenance
    assert (last.iteration, last.width) == (8, 128)


@pytest.mark.usefixtures("tiny_tiles")
def test_the_provenance_is_that_of_the_workers(
    network: VGG, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Provenance("cuda", "Their-GPU", "float32")
    monkeypatch.setattr(nst.engine.spread_objective, "provenance_of", lambda *_: theirs)
    steps = transfer_style(
        make_picture(128, 100), make_picture(90, 110), SMALL, network=network, tile_map=Elsewhere()
    )
    assert next(steps).provenance == theirs


@pytest.mark.parametrize("side", [64, 144])
def test_masks_are_those_of_the_whole(make_network: MakeNetwork, side: int) -> None:
    network, size = make_network(dtype=torch.float64), (129, 221)
    photo, image = random_image(*size, 1), random_image(*size, 2)
    paintings = [random_image(90, 70, seed) for seed in (3, 4, 5)]
    uses = [PaintingUse(strength=2), PaintingUse(layers=("relu1_1", "relu4_1")), PaintingUse()]
    regions = regions_of_three(*size, uses)
    whole = Objective(network, photo, paintings, DEFAULTS, regions)
    spread = SpreadObjective(
        network, photo, paintings, DEFAULTS, side, regions, tile_map=Elsewhere()
    )
    for whole.guidance in (None, FULL):
        spread.guidance = whole.guidance
        assert_tiles_agree(whole, spread, image, layers=1e-12)
    apart = ShardedObjective(spread)
    costs, gradient = apart.evaluate(apart.place(image))
    its_costs, its_gradient = spread.evaluate(image)
    assert costs == its_costs
    assert torch.equal(gradient.gather(), its_gradient)


@pytest.mark.usefixtures("tiny_tiles")
@pytest.mark.parametrize("keeps", [False, True])
def test_a_run_with_masks(network: VGG, make_picture: MakePicture, keeps: bool) -> None:
    photo, painting = make_picture(128, 100), make_picture(90, 110)
    ramp = Image.linear_gradient("L").resize(photo.size)
    masks = Masks((ramp,), keep=ramp.rotate(180) if keeps else None)
    elsewhere = Elsewhere()
    *_, last = transfer_style(
        photo, painting, SMALL, network=network, tile_map=elsewhere, masks=masks
    )
    *_, expected = transfer_style(photo, painting, SMALL, network=network, masks=masks)
    assert last.iteration == 8
    assert elsewhere.sent
    assert last.J < 1.1 * expected.J


@pytest.mark.usefixtures("tiny_tiles")
def test_other_style_costs_are_left_to_this_process(
    network: VGG, make_picture: MakePicture
) -> None:
    settings, elsewhere = SMALL.replace(style_costs={"histogram": 0.5}), Elsewhere()
    *_, last = transfer_style(
        make_picture(128, 100), make_picture(90, 110), settings, network=network, tile_map=elsewhere
    )
    assert last.iteration == 8
    assert not elsewhere.sent
