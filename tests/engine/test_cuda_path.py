"""The path that a run takes on CUDA, on an emulated device: no GPU was there to try it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from functools import partial

import pytest
import torch
from PIL import Image
from torch import Tensor

import nst.engine.inputs
import nst.engine.memory
from helpers.elsewhere import OwnTileMap
from helpers.emulated_device import EmulatedDevice, emulated_device, is_emulated
from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst.engine.compact_lbfgs import compact_direction
from nst.engine.inputs import Sources
from nst.engine.kept_photo import KeptObjective, KeptPhoto
from nst.engine.losses import total_variation, total_variation_gradient
from nst.engine.minimization import minimize
from nst.engine.objective import Objective
from nst.engine.optimizers import BoxLBFGS, make_optimizer, smooth
from nst.engine.regions import Regions
from nst.engine.schedule import Scale
from nst.engine.style_target import FULL, Guidance
from nst.engine.tiled_objective import TiledObjective
from nst.engine.transfer import transfer_style
from nst.images.color import to_grey
from nst.settings import DEFAULTS, LAYER_CHANNELS, STYLE_COSTS, PaintingUse, TransferSettings
from nst.vgg.network import VGG
from nst.vgg.weights import VGGWeights

MOST_LAUNCHES = 120  # of an evaluation
MOST_OF_A_STEP = 60  # of L-BFGS, with a full memory


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedDevice]:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "Emulated")
    with emulated_device("cuda") as device:
        yield device


def random_image(height: int, width: int, seed: int) -> Tensor:
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(seed))


def wide_network(device: str, dtype: torch.dtype) -> VGG:
    """VGG-19 with as many channels as it has, so that no layer is too narrow for a guide."""
    generator, convolutions, n_in = torch.Generator().manual_seed(0), {}, 3
    for layer, n_out in LAYER_CHANNELS.items():
        weight = torch.randn(n_out, n_in, 3, 3, generator=generator) * math.sqrt(2 / (9 * n_in))
        convolutions[layer] = (weight, torch.zeros(n_out))
        n_in = n_out
    weights = VGGWeights((0.48, 0.46, 0.41), (255.0, 255.0, 255.0), convolutions)
    return VGG(weights, device=device, dtype=dtype)


def test_the_emulation_notices_what_does_not_belong(cuda: EmulatedDevice) -> None:
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="tensors to be on the same device"):
        there + here
    with pytest.raises(RuntimeError, match="tensors to be on the same device"):
        torch.stack([there.sum(), here.sum()])
    with pytest.raises(RuntimeError):
        there @ there.double()
    cuda.clear()
    there.add_(1).mul(2).view(3, 1)
    assert (sum(cuda.launches.values()), sum(cuda.waits.values())) == (2, 0)
    assert there.tolist() == [2, 2, 2]
    assert there.sum().item() == 6
    assert bool((there == 2).all())
    there.cpu()
    assert sum(cuda.waits.values()) == 4
    with pytest.raises(RuntimeError, match="nonzero"):
        there.nonzero()  # its shape depends on values: CUDA waits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_whole_run_goes_through(
    cuda: EmulatedDevice,
    make_network: MakeNetwork,
    photo: Image.Image,
    painting: Image.Image,
    dtype: torch.dtype,
    pooling: str,
    optimizer: str,
) -> None:
    settings = TransferSettings(
        size=64, iterations=22, pooling=pooling, optimizer=optimizer, restructure="much",
        total_variation=0.1,
    )  # fmt: skip
    network = make_network(device="cuda", dtype=dtype, pooling=pooling)
    steps = list(transfer_style(photo, [painting, painting], settings, network=network))
    assert len(steps) == 23
    assert is_emulated(steps[-1].pixels)
    assert steps[-1].provenance
    assert steps[-1].provenance.device == "cuda"
    alike = make_network(dtype=dtype, pooling=pooling)
    *_, last = transfer_style(photo, [painting, painting], settings, network=alike)
    # Rounding moves where a run gets to; in bfloat16 it decides which steps are taken back.
    rel = 0.05 if dtype == torch.float32 else 0.4
    assert pytest.approx(last.J, rel=rel) == steps[-1].J
    assert steps[-1].image.size == last.image.size


def test_chroma_is_put_back_on_the_device(
    cuda: EmulatedDevice, make_network: MakeNetwork, photo: Image.Image, painting: Image.Image
) -> None:
    settings = TransferSettings(size=64, iterations=2, color_transfer="luminance")
    *_, last = transfer_style(photo, painting, settings, network=make_network(device="cuda"))
    assert is_emulated(last.pixels)
    assert last.image.tobytes() != to_grey(last.image).tobytes()


@pytest.mark.parametrize("change", [{}, {"optimizer": "adam"}, {"color_transfer": "luminance"}])
def test_a_picture_on_other_machines_comes_back_to_the_device(
    cuda: EmulatedDevice,
    make_network: MakeNetwork,
    make_picture: MakePicture,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
) -> None:
    for module in (nst.engine.memory, nst.engine.inputs):
        monkeypatch.setattr(module, "NEVER_TILED", 4000)
        monkeypatch.setattr(module, "SIDES", (48,))
    settings = TransferSettings(size=160, base_size=128, iterations=4).replace(**change)
    photo, painting = make_picture(128, 100), make_picture(90, 110)
    network, alike = make_network(device="cuda"), make_network()
    runs = [
        list(transfer_style(photo, painting, settings, network=each, tile_map=OwnTileMap()))
        for each in (network, alike)
    ]
    for step in runs[0]:
        assert is_emulated(step.pixels)
    assert pytest.approx(runs[1][-1].J, rel=0.1) == runs[0][-1].J


@pytest.mark.parametrize("edges", ["plain", "seamless"])
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_picture_in_tiles_makes_the_host_wait_once(
    cuda: EmulatedDevice, make_network: MakeNetwork, dtype: torch.dtype, pooling: str, edges: str
) -> None:
    settings, results = TransferSettings(size=96, edges=edges), []
    photo, painting = ((255 * random_image(96, 80, seed)).to(torch.uint8) for seed in (1, 2))
    for device in ("cpu", "cuda"):
        network = make_network(device=device, dtype=dtype, pooling=pooling)
        pictures = photo.to(device), [painting.to(device)]
        objective = TiledObjective(network, *pictures, settings, 48)
        image = random_image(96, 80, 0).to(device)
        objective.evaluate(image)  # layouts are made
        cuda.clear()
        results.append(objective.evaluate(image))
    assert len(objective.tiles) == 4
    assert sum(cuda.waits.values()) == 1
    (costs, gradient), (its_costs, its_gradient) = results
    rough = 0.02 if dtype == torch.bfloat16 else 1e-3
    assert pytest.approx(costs.J, rel=rough) == its_costs.J
    assert float((its_gradient.cpu() - gradient).norm() / gradient.norm()) < rough


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_large_picture_is_held_at_the_base_size(
    cuda: EmulatedDevice,
    make_network: MakeNetwork,
    photo: Image.Image,
    painting: Image.Image,
    dtype: torch.dtype,
) -> None:
    scale, settings = Scale(64, ((None, 1),), base=24), TransferSettings(size=64)
    results = []
    for device in ("cpu", "cuda"):
        network = make_network(device=device, dtype=dtype)
        sources = Sources(photo, [painting], settings, network)
        objective = sources.cost_function(scale, sources.at(scale.size))
        image = random_image(48, 64, 0).to(device)
        objective.evaluate(image)  # layouts are made
        cuda.clear()
        results.append(objective.evaluate(image))
    assert sum(cuda.waits.values()) == 2  # its costs are read apart
    assert sum(cuda.launches.values()) <= 2 * MOST_LAUNCHES + 10
    (costs, gradient), (its_costs, its_gradient) = results
    rough = 0.02 if dtype == torch.bfloat16 else 1e-3
    assert its_costs.base == pytest.approx(costs.base, rel=rough)
    assert its_costs.goal == pytest.approx(costs.goal, rel=rough)
    assert float((its_gradient.cpu() - gradient).norm() / gradient.norm()) < rough


@pytest.mark.parametrize("side", [None, 48])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("costs", [["gram"], STYLE_COSTS], ids=["gram", "all"])
def test_regions_are_those_of_the_cpu(
    cuda: EmulatedDevice,
    make_network: MakeNetwork,
    dtype: torch.dtype,
    side: int | None,
    costs: Collection[str],
) -> None:
    settings = DEFAULTS.replace(style_costs=dict.fromkeys(costs, 1.0))
    right = torch.arange(80).clamp(20, 60).sub(20).mul(255).div(40).to(torch.uint8)
    masks = right.expand(1, 1, 96, 80)
    regions = Regions([PaintingUse()] * 2, [0, None], masks, keep=255 - masks)
    results = []
    for device in ("cpu", "cuda"):
        network = make_network(device=device, dtype=dtype)
        photo, *paintings, image = (random_image(96, 80, seed).to(device) for seed in range(4))
        kind = partial(TiledObjective, side=side) if side else Objective
        objective = kind(network, photo, paintings, settings, regions=regions)
        kept = KeptObjective(objective, KeptPhoto(photo, 255 - masks))
        kept.evaluate(image)  # layouts and targets are made
        kept.forget()
        cuda.clear()
        results.append(kept.evaluate(image))
    assert sum(cuda.waits.values()) == 1
    (plain, gradient), (its_costs, its_gradient) = results
    rough = 0.02 if dtype == torch.bfloat16 else 1e-3
    assert its_costs.layers == pytest.approx(plain.layers, rel=rough)
    assert float((its_gradient.cpu() - gradient).norm() / gradient.norm()) < rough


@pytest.mark.parametrize("guidance", [None, FULL, Guidance(0.3, 1.0)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_evaluation_is_that_of_the_cpu_in_few_kernels(
    cuda: EmulatedDevice, guidance: Guidance | None, dtype: torch.dtype
) -> None:
    content, style, image = (random_image(32, 48, seed) for seed in range(3))
    results = []
    for device in ("cpu", "cuda"):
        pictures = [picture.to(device) for picture in (content, style, image)]
        network = wide_network(device, dtype)
        objective = Objective(network, pictures[0], [pictures[1]], DEFAULTS)
        objective.guidance = guidance
        results.append(objective.evaluate(pictures[2]))  # layouts and guides are made
        objective.forget()
    cuda.clear()
    objective.evaluate(pictures[2])
    assert 60 < sum(cuda.launches.values()) <= MOST_LAUNCHES
    assert sum(cuda.waits.values()) == 1
    (costs, gradient), (its_costs, its_gradient) = results
    rough = 0.02 if dtype == torch.bfloat16 else 1e-3
    assert pytest.approx(costs.J, rel=rough) == its_costs.J
    assert its_costs.goal == pytest.approx(costs.goal, rel=rough)
    difference = (its_gradient.cpu() - gradient).norm() / gradient.norm()
    assert float(difference) < rough


@pytest.mark.parametrize("in_tiles", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_other_costs_are_those_of_the_cpu_and_wait_once(
    cuda: EmulatedDevice, dtype: torch.dtype, in_tiles: bool
) -> None:
    content, style, image = (random_image(48, 64, seed) for seed in range(3))
    settings = DEFAULTS.replace(
        style_costs=dict.fromkeys(STYLE_COSTS, 1.0),
        content_layers={"relu3_2": 0.5, "relu4_2": 1.0},
        laplacian=1.0,
    )
    results = []
    for device in ("cpu", "cuda"):
        pictures = [picture.to(device) for picture in (content, style, image)]
        network = wide_network(device, dtype)
        objective = (
            TiledObjective(network, pictures[0], [pictures[1]], settings, 32)
            if in_tiles
            else Objective(network, pictures[0], [pictures[1]], settings)
        )
        objective.evaluate(pictures[2])  # targets are made
        objective.forget()
        cuda.clear()
        results.append(objective.evaluate(pictures[2]))
    assert sum(cuda.waits.values()) == 1
    (costs, gradient), (its_costs, its_gradient) = results
    rough = 0.03 if dtype == torch.bfloat16 else 2e-3
    assert pytest.approx(costs.J, rel=rough) == its_costs.J
    assert float((its_gradient.cpu() - gradient).norm() / gradient.norm()) < rough


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_an_iteration_waits_once(
    cuda: EmulatedDevice, make_network: MakeNetwork, name: str
) -> None:
    network = make_network(device="cuda", pooling="average")
    photo, painting = (random_image(48, 64, seed).to("cuda") for seed in range(2))
    objective = Objective(network, photo, [painting], DEFAULTS)
    optimizer = make_optimizer(name)
    points = minimize(objective, photo, optimizer, 20)
    next(points)
    cuda.clear()
    for _ in points:
        assert sum(cuda.waits.values()) == 1
        assert sum(cuda.launches.values()) <= MOST_LAUNCHES + MOST_OF_A_STEP
        cuda.clear()
    if isinstance(optimizer, BoxLBFGS):
        assert len(optimizer.pairs) == 10


def test_the_compact_direction_is_that_of_the_two_loops() -> None:
    curvature = random_image(6, 5, 0).double() + 0.1
    optimizer, image = BoxLBFGS(), random_image(6, 5, 1).double()
    for _ in range(14):
        image = optimizer.step(image, curvature * (image - 0.5))
    gradient = curvature * (image - 0.4)
    pairs = [(s, y) for s, y, _ in optimizer.pairs]
    assert len(pairs) > 5
    torch.testing.assert_close(
        compact_direction(gradient, pairs, smooth), optimizer._two_loops(gradient)
    )


@pytest.mark.parametrize("size", [(6, 5), (1, 4), (4, 1), (1, 1)], ids=str)
def test_gradient_of_total_variation_is_autograds(size: tuple[int, int]) -> None:
    image = random_image(*size, 0).double().requires_grad_()
    cost = 3 * total_variation(image)
    (expected,) = torch.autograd.grad(cost, image) if cost.requires_grad else (image * 0,)
    gradient = total_variation_gradient(image.detach(), 3)
    torch.testing.assert_close(gradient, expected.detach())
