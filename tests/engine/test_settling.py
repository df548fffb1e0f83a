"""Settling: a large picture's base size is mended at that size, and the change is brought back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import Tensor

import nst.engine.schedule
from helpers.elsewhere import Elsewhere
from helpers.tiny_network import MakeNetwork
from nst import TransferSettings, transfer_style
from nst.engine.base_term import HeldObjective
from nst.engine.kept_photo import KeptObjective, KeptPhoto
from nst.engine.minimization import Point, RunState
from nst.engine.objective import Objective
from nst.engine.optimizers import make_optimizer
from nst.engine.schedule import SETTLING, Moment, plan_scales
from nst.engine.settling import SHARES, first_near, settled, settled_base
from nst.engine.sharded_objective import ShardedObjective
from nst.engine.spread_objective import SpreadObjective
from nst.engine.style_target import FULL, SLIGHT
from nst.images.tensors import fit, to_tensor
from nst.settings import DEFAULTS
from nst.vgg.network import VGG

# A large picture in small, that no layer beyond the content layer makes depend on its course.
LARGE = TransferSettings(
    size=260, iterations=24, base_size=128, restructure="much", content_layer="relu5_1"
)


def random_image(height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, height, width), generator=generator, dtype=torch.float64)


def held(network: VGG, *, spread: bool = False) -> HeldObjective:
    """An objective of 129×160 px held at 43×53, of random pictures, in float64."""
    photo, painting, small = (
        random_image(*size, seed) for seed, size in enumerate([(129, 160), (90, 70), (43, 53)])
    )
    full = (
        SpreadObjective(network, photo, [painting], DEFAULTS, 64, tile_map=Elsewhere())
        if spread
        else Objective(network, photo, [painting], DEFAULTS)
    )
    return HeldObjective(full, Objective(network, small, [painting], DEFAULTS))


@pytest.fixture(name="double")
def _double(make_network: MakeNetwork) -> VGG:
    return make_network(dtype=torch.float64)


def test_what_is_brought_back_is_what_the_picture_shows(double: VGG) -> None:
    objective, change = held(double), random_image(43, 53, 5) - 0.5
    lifted = objective.spread(objective.lifted(change))
    torch.testing.assert_close(objective.reduce(lifted), change, rtol=0, atol=1e-9)


def test_it_is_the_least_change_that_shows_it(double: VGG) -> None:
    objective, change = held(double), random_image(43, 53, 5) - 0.5
    lifted = objective.spread(objective.lifted(change))
    other = random_image(129, 160, 6)
    unseen = other - objective.spread(objective.lifted(objective.reduce(other)))
    assert float((lifted * unseen).sum()) == pytest.approx(0, abs=1e-9)


def test_the_base_is_lower_afterwards_and_the_detail_as_it_was(double: VGG) -> None:
    objective, image = held(double), random_image(129, 160, 7)
    objective.guidance = FULL
    after = next(settled(objective, image, 8))
    base = objective.base
    assert base.costs(objective.reduce(after)).J < 0.9 * base.costs(objective.reduce(image)).J
    change = after - image
    only_shown = objective.spread(objective.lifted(objective.reduce(change)))
    torch.testing.assert_close(change, only_shown, rtol=0, atol=1e-9)
    assert objective.guidance == base.guidance == FULL


def test_what_is_kept_of_the_photo_is_seen_and_stays(double: VGG) -> None:
    photo, image = random_image(129, 160, 8), random_image(129, 160, 9)
    keep = torch.zeros(1, 1, 129, 160, dtype=torch.uint8)
    keep[..., 40:] = 255
    kept, objective = KeptPhoto(photo, keep), held(double)
    after = next(settled(KeptObjective(objective, kept), image, 4))
    seen = objective.reduce(kept.compose(image))
    expected = settled_base(objective, seen, 4) - seen
    torch.testing.assert_close(objective.reduce(after - image), expected, rtol=0, atol=1e-9)
    assert torch.equal(kept.compose(after)[..., 40:], photo[..., 40:])


def test_workers_settle_as_one_process_does(double: VGG) -> None:
    image = random_image(129, 160, 10)
    apart = ShardedObjective(held(double, spread=True))
    there = [each.gather() for each in apart.settled(apart.place(image), 5)]
    here = list(settled(held(double), image, 5))
    assert len(here) == len(there) == len(SHARES)
    for mine, theirs in zip(here, there, strict=True):
        torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-9)


def test_a_change_that_costs_too_much_is_halved_or_left(double: VGG) -> None:
    objective, image = held(double), random_image(129, 160, 12)
    optimizer = make_optimizer("lbfgs")
    before = Point.at(image, objective, optimizer).costs
    cost = before.J + before.base
    pictures = list(settled(objective, image, 8))
    changes = [float((picture - image).norm()) for picture in pictures]
    assert changes == pytest.approx([share * changes[0] for share in SHARES])
    wild = [torch.full_like(image, 9.0), pictures[1], image]
    point = first_near(wild, objective, optimizer, cost)
    assert point
    assert point.image is pictures[1]
    assert first_near(wild, objective, optimizer, 1e-9 * cost) is None


def test_it_is_planned_between_guide_and_exact_phase_of_the_full_size() -> None:
    for size in (768, 1024, 2048):
        *earlier, last = plan_scales(TransferSettings(size=size))
        assert [guidance for guidance, _ in last.phases] == [FULL, None]
        assert last.settling == SETTLING * last.exact
        assert not any(scale.settling for scale in earlier)
        plain = replace(last, settling=0)
        assert last.work == plain.work + 256**2 * (last.settling + 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 512},
        {"base_weight": 0.0},
        {"optimizer": "adam"},
        {"iterations": 19},
        {"base_size": 1024},
    ],
    ids=str,
)
def test_other_runs_are_as_they_were(changes: dict[str, float | str]) -> None:
    settings = TransferSettings(size=1024).replace(**changes)
    assert not any(scale.settling for scale in plan_scales(settings))


def test_a_run_that_goes_on_after_it_is_not_settled_again(photo: Image.Image) -> None:
    begin = Moment(photo.resize((1024, 768)), 60)
    more = TransferSettings(size=1024, iterations=70)
    assert not any(scale.settling for scale in plan_scales(more, begin))


def with_base_cost(
    photo: Image.Image, painting: Image.Image, network: VGG, settings: TransferSettings = LARGE
) -> tuple[float, float]:
    """The goal of a delivered picture, and the cost of what it shows at the base size."""
    *_, last = transfer_style(photo, painting, settings, network=network)
    seen, scene, style = (to_tensor(fit(each, 128)) for each in (last.image, photo, painting))
    assert isinstance(last.state, RunState)
    goal = last.state.best.costs
    return goal.J + goal.base, Objective(network, scene, [style], settings).costs(seen).J


def test_a_run_ends_nearer_to_its_base_and_at_a_lower_goal(
    network: VGG, photo: Image.Image, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal, base = with_base_cost(photo, painting, network)
    monkeypatch.setattr(nst.engine.schedule, "SETTLING", 0)
    plain_goal, plain_base = with_base_cost(photo, painting, network)
    assert base < 0.95 * plain_base
    assert goal < plain_goal


def test_a_run_cut_where_it_is_settled_goes_on_as_if_it_had_not_been(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    stage = plan_scales(LARGE)[-1]
    cut = LARGE.iterations - stage.exact
    *steps, last = transfer_style(photo, painting, LARGE, network=network)
    begin = steps[cut].moment
    assert begin.state
    assert begin.state.guidance == FULL
    *_, again = transfer_style(photo, painting, LARGE, begin=begin, network=network)
    assert again.iteration == last.iteration
    assert torch.equal(again.pixels, last.pixels)


def test_the_guide_of_the_base_is_slight_meanwhile(
    double: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = held(double)
    seen: list[object] = []
    evaluate = Objective.evaluate

    def noted(self: Objective, *arguments: object) -> object:
        seen.append(self.guidance)
        return evaluate(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Objective, "evaluate", noted)
    settled_base(objective, random_image(43, 53, 11), 3)
    assert seen == [SLIGHT] * 4
