"""Pictures whose tiles are kept elsewhere: the costs, gradients and steps of one process."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import nst.engine.inputs
import nst.engine.memory
import nst.engine.objective
import nst.engine.optimizers
import nst.engine.sharded_lbfgs
from helpers.elsewhere import Elsewhere, OwnTileMap
from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst import TransferSettings, transfer_style
from nst.engine.base_term import HeldObjective
from nst.engine.local_smoothing import smooth_locally
from nst.engine.minimization import minimize
from nst.engine.objective import Objective
from nst.engine.optimizers import BoxLBFGS
from nst.engine.schedule import plan_scales
from nst.engine.sharded_lbfgs import ShardedLBFGS
from nst.engine.sharded_objective import (
    KEPT_EVERY,
    ShardedObjective,
    minimize_sharded,
    sharded,
)
from nst.engine.sharding import LatestCopy, ShardedPicture
from nst.engine.spread_objective import SpreadObjective
from nst.engine.style_target import FULL
from nst.engine.tile_map import (
    Handle,
    LostValueError,
    Result,
    TileMap,
    Value,
)
from nst.settings import DEFAULTS
from nst.vgg.network import VGG


def random_image(height: int, width: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, height, width), generator=generator, dtype=dtype)


def held(
    network: VGG, size: tuple[int, int], tile_map: TileMap | None, side: int = 64
) -> HeldObjective:
    """J and the base-size term, in tiles where there is a map."""
    dtype = network.dtype
    photo, painting = random_image(*size, 1, dtype), random_image(90, 70, 2, dtype)
    full = (
        SpreadObjective(network, photo, [painting], DEFAULTS, side, tile_map=tile_map)
        if tile_map
        else Objective(network, photo, [painting], DEFAULTS)
    )
    small = random_image(size[0] // 3, size[1] // 3, 4, dtype)
    return HeldObjective(full, Objective(network, small, [painting], DEFAULTS))


@pytest.mark.parametrize("size", [(129, 320), (257, 161), (64, 64)])
@pytest.mark.parametrize("side", [64, 144])
def test_costs_and_gradient_are_those_of_the_whole(
    make_network: MakeNetwork, size: tuple[int, int], side: int
) -> None:
    network, image = make_network(dtype=torch.float64), random_image(*size, 3)
    whole, apart = (
        held(network, size, None),
        ShardedObjective(held(network, size, Elsewhere(), side)),
    )
    for whole.guidance in (None, FULL):
        apart.guidance = whole.guidance
        costs, gradient = whole.evaluate(image)
        ours, its_gradient = apart.evaluate(apart.place(image))
        found = its_gradient.gather()
        assert float((found - gradient).norm() / gradient.norm()) < 1e-12
        for name in ("J", "goal", "base", "content", "style"):
            assert getattr(ours, name) == pytest.approx(getattr(costs, name), rel=1e-12)
        assert ours.steepest >= float(found.abs().max())


@pytest.mark.real
def test_in_float32_the_gradient_differs_by_rounding_alone(real_network: VGG) -> None:
    size, image = (200, 260), random_image(200, 260, 3, torch.float32)
    costs, gradient = held(real_network, size, None).evaluate(image)
    apart = ShardedObjective(held(real_network, size, Elsewhere()))
    ours, its_gradient = apart.evaluate(apart.place(image))
    assert pytest.approx(costs.J, rel=1e-5) == ours.J
    assert float((its_gradient.gather() - gradient).norm() / gradient.norm()) < 1e-5


def test_a_picture_comes_back_as_it_was_placed(network: VGG) -> None:
    apart = ShardedObjective(held(network, (150, 97), Elsewhere()))
    image = random_image(150, 97, 3, torch.float32)
    placed = apart.place(image)
    assert torch.equal(placed.gather(), image)
    assert placed.shape == image.shape
    for tile, cut in zip(apart.halos.tiles, placed.cuts(), strict=True):
        assert torch.equal(cut.get(), tile.cut(image))


def test_steps_are_those_of_one_process_with_this_preconditioner(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.engine.objective, "DEEP_SHARE", 0.0)  # what tiles do not save either
    monkeypatch.setattr(nst.engine.optimizers, "smooth", lambda image, _: smooth_locally(image))
    network, size = make_network(dtype=torch.float64), (130, 147)
    start = (1.3 * random_image(*size, 3) - 0.15).clamp(0, 1)  # some pixels are at a bound
    apart = ShardedObjective(held(network, size, Elsewhere()))
    ours = ShardedLBFGS(apart.tile_map, apart.halos, apart.side, history=3)
    expected = minimize(held(network, size, None), start, BoxLBFGS(history=3), 9)
    for one, other in zip(expected, minimize(apart, apart.place(start), ours, 9), strict=True):
        torch.testing.assert_close(other.point.image.gather(), one.point.image, rtol=0, atol=1e-8)
        assert other.best.costs.goal == pytest.approx(one.best.costs.goal, rel=1e-8)


def steps_of(network: VGG, tile_map: TileMap, iterations: int) -> Iterator[Tensor]:
    apart = ShardedObjective(held(network, (130, 200), tile_map))
    for each in minimize_sharded(apart, random_image(130, 200, 3, torch.float32), 0.02, iterations):
        yield each.best.image.gather()


def test_the_order_of_the_calls_changes_no_bit(network: VGG) -> None:
    runs = (steps_of(network, tile_map, 5) for tile_map in (OwnTileMap(), Elsewhere()))
    for one, other in zip(*runs, strict=True):
        assert torch.equal(one, other)


def test_pairs_of_very_large_pictures_are_narrow(
    network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, exact = steps_of(network, OwnTileMap(), 5)
    monkeypatch.setattr(nst.engine.sharded_lbfgs, "NARROW_FROM", 1000)
    *_, narrow = steps_of(network, OwnTileMap(), 5)
    assert 0 < float((narrow - exact).abs().max()) < 0.05


class Watched(Elsewhere):
    """Counts the bytes that are fetched by the process that drives the workers."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched, self.is_working = 0, False

    def share(self, value: Value, *, is_lasting: bool = False) -> Handle[Value]:
        return WatchedHandle(self, pickle.dumps(value))

    def map(
        self, work: Callable[..., Result], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        self.is_working = True
        results = super().map(work, calls)
        self.is_working = False
        return results


class WatchedHandle(Handle[Value]):
    def __init__(self, tile_map: Watched, data: bytes) -> None:
        self.tile_map, self.data = tile_map, data

    def get(self) -> Value:
        if not self.tile_map.is_working:
            self.tile_map.fetched += len(self.data)
        value: Value = pickle.loads(self.data)
        return value


def test_pixels_do_not_pass_through_the_driving_process(network: VGG) -> None:
    size, tile_map = (400, 520), Watched()
    apart = ShardedObjective(held(network, size, tile_map, 128))
    start, fetched = random_image(*size, 3, torch.float32), list[int]()
    for each in minimize_sharded(apart, start, 0.02, 4):
        fetched.append(tile_map.fetched)
        last = each.best.image
    in_one_iteration = max(after - before for before, after in pairwise(fetched))
    assert 0 < in_one_iteration < 0.05 * start.nbytes
    last.gather()
    assert tile_map.fetched - fetched[-1] > start.nbytes


class Forgetful(Elsewhere):
    """Loses all that it keeps at some of its rounds."""

    def __init__(self, *rounds: int) -> None:
        super().__init__()
        self.rounds, self.round = rounds, 0

    def keep(self, *arguments):  # type: ignore[no-untyped-def]
        self.round += 1
        if self.round in self.rounds:
            raise LostValueError("A machine is lost.")
        return super().keep(*arguments)


def rounds_of(iterations: int, network: VGG) -> int:
    tile_map = Forgetful()
    list(steps_of(network, tile_map, iterations))
    return tile_map.round


def test_a_lost_machine_costs_some_iterations(network: VGG) -> None:
    before = rounds_of(KEPT_EVERY + 2, network)
    apart = ShardedObjective(held(network, (130, 200), Forgetful(before + 3)))
    start = random_image(130, 200, 3, torch.float32)
    found = list(minimize_sharded(apart, start, 0.02, KEPT_EVERY + 6))
    assert len(found) == KEPT_EVERY + 7
    assert [each.is_anew for each in found].count(True) == 1
    lost = next(number for number, each in enumerate(found) if each.is_anew)
    assert lost == KEPT_EVERY + 3
    assert found[lost].best.costs.goal <= found[KEPT_EVERY].best.costs.goal
    assert found[-1].best.costs.goal < found[lost].best.costs.goal


def test_machines_that_are_lost_again_and_again_end_a_run(network: VGG) -> None:
    before = rounds_of(2, network)
    apart = ShardedObjective(held(network, (130, 200), Forgetful(*range(before, before + 9))))
    start = random_image(130, 200, 3, torch.float32)
    with pytest.raises(LostValueError, match="A machine"):
        list(minimize_sharded(apart, start, 0.02, 6))


class Losing(Elsewhere):
    """Loses all that it keeps when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.losses = 0

    def keep(self, *arguments):  # type: ignore[no-untyped-def]
        kept = super().keep(*arguments)
        return [[LosableHandle(self, handle.get()) for handle in handles] for handles in kept]


class LosableHandle(Handle[Value]):
    def __init__(self, tile_map: Losing, value: Value) -> None:
        self.tile_map, self.value, self.made_after = tile_map, value, tile_map.losses

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return LosableHandle, (self.tile_map, self.value)

    def get(self) -> Value:
        if self.made_after < self.tile_map.losses:
            raise LostValueError("A machine is lost.")
        return self.value


def test_a_machine_lost_with_the_last_iterate_costs_what_came_after_the_copy(
    network: VGG,
) -> None:
    tile_map = Losing()
    apart = ShardedObjective(held(network, (130, 200), tile_map))
    start = random_image(130, 200, 3, torch.float32)
    for each in minimize_sharded(apart, start, 0.02, 2 * KEPT_EVERY):
        last = each
        if apart.copy.pixels is not start:
            tile_map.losses = 1
    assert torch.equal(apart.copy.fetch(start), start)
    assert apart.copy.pixels is not None
    assert not torch.equal(apart.copy.pixels, start)
    assert torch.isfinite(apart.copy.fetch(last.best.image)).all()
    tile_map.losses = 2
    assert torch.equal(apart.copy.fetch(last.best.image), apart.copy.pixels)
    found = list(minimize_sharded(apart, last.best.image, 0.02, 2))  # the next phase
    assert [each.is_anew for each in found] == [True, False, False]


@pytest.mark.usefixtures("tiny_tiles")
@pytest.mark.parametrize(("size", "where"), [(128, "phase"), (300, "size")])
def test_a_run_ends_whenever_a_machine_is_lost(
    network: VGG, make_picture: MakePicture, size: int, where: str
) -> None:
    """It is lost with the last iterate of the first phase, or of the first size."""
    settings = TransferSettings(size=size, base_size=128, iterations=12)
    phases = plan_scales(settings)[0].phases
    lost_at = sum(count for _, count in (phases[:1] if where == "phase" else phases))
    photo, painting = make_picture(128, 100), make_picture(90, 110)
    tile_map, numbers = Losing(), list[int]()
    for step in transfer_style(photo, painting, settings, network=network, tile_map=tile_map):
        numbers.append(step.iteration)
        before = step
        tile_map.losses += step.iteration == lost_at
    assert tile_map.losses
    assert list(dict.fromkeys(numbers)) == [*range(13)]
    assert before.pixels.shape[-1] == size
    assert math.isfinite(step.J)


@pytest.mark.usefixtures("tiny_tiles")
def test_a_run_ends_with_the_copy_where_its_last_picture_is_lost(
    network: VGG, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TransferSettings(size=128, base_size=128, iterations=12)
    photo, painting, tile_map = make_picture(128, 100), make_picture(90, 110), Losing()
    release, copies = LatestCopy.release, list[Tensor]()

    def lose(copy: LatestCopy, picture: Tensor | ShardedPicture) -> Tensor:
        assert copy.pixels is not None
        copies.append(copy.pixels)
        tile_map.losses += 1
        return release(copy, picture)

    monkeypatch.setattr(LatestCopy, "release", lose)
    *_, last = transfer_style(photo, painting, settings, network=network, tile_map=tile_map)
    assert (last.iteration, len(copies)) == (12, 1)
    assert torch.equal(last.pixels, copies[0])
    assert math.isfinite(last.J)


@pytest.mark.usefixtures("tiny_tiles")
def test_what_a_lost_step_has_is_the_copy(network: VGG, make_picture: MakePicture) -> None:
    settings = TransferSettings(size=128, base_size=128, iterations=12)
    tile_map = Losing()
    steps = transfer_style(
        make_picture(128, 100), make_picture(90, 110), settings, network=network, tile_map=tile_map
    )
    start = next(steps).pixels
    for step in steps:
        if step.iteration == 5:
            break
    tile_map.losses = 1
    assert torch.equal(step.pixels, start)


@pytest.mark.usefixtures("tiny_tiles")
def test_figures_are_kept_without_fetching_pixels(
    network: VGG, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TransferSettings(size=128, base_size=128, iterations=12)
    photo, painting, elsewhere = make_picture(128, 100), make_picture(90, 110), Elsewhere()
    step = next(transfer_style(photo, painting, settings, network=network, tile_map=elsewhere))
    with monkeypatch.context() as patch:
        patch.setattr(ShardedPicture, "gather", lambda _: pytest.fail("pixels are fetched"))
        figures = step.without_pixels()
        assert step.has_picture
    assert figures == step
    assert not figures.has_picture
    assert step.pixels.numel() == 3 * 100 * 128


@pytest.mark.parametrize(
    "change", [{"total_variation": 0.5}, {"laplacian": 1.0}, {"optimizer": "adam"}]
)
def test_what_sees_more_than_tiles_is_left_to_one_process(
    network: VGG, change: dict[str, object]
) -> None:
    photo = random_image(130, 200, 1, torch.float32)

    def of(settings: TransferSettings) -> ShardedObjective | None:
        full = SpreadObjective(network, photo, [photo], settings, 64, tile_map=OwnTileMap())
        return sharded(full, settings.optimizer)

    assert of(DEFAULTS)
    assert not of(DEFAULTS.replace(**change))
    assert not sharded(Objective(network, photo, [photo], DEFAULTS), "lbfgs")


@pytest.fixture
def tiny_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of more than 4,000 pixels go in tiles of 48."""
    for module in (nst.engine.memory, nst.engine.inputs):
        monkeypatch.setattr(module, "NEVER_TILED", 4000)
        monkeypatch.setattr(module, "SIDES", (48,))


@pytest.mark.usefixtures("tiny_tiles")
def test_a_run_of_several_sizes(network: VGG, make_picture: MakePicture) -> None:
    settings = TransferSettings(size=300, base_size=128, iterations=20)
    photo, painting = make_picture(128, 100), make_picture(90, 110)
    steps = list(transfer_style(photo, painting, settings, network=network, tile_map=Elsewhere()))
    *_, expected = transfer_style(photo, painting, settings, network=network)
    assert (steps[-1].iteration, steps[-1].width) == (20, 300)
    assert steps[-1].J < 1.3 * expected.J
    assert math.isfinite(steps[-1].J)
    assert steps[-1].pixels is steps[-1].pixels  # fetched once
    assert all(step.pixels.shape[-2:] == (step.height, step.width) for step in steps)
