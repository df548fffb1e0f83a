"""Runs that go on from a state: as if they had never stopped, and never to something worse."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from PIL import Image

from helpers.pictures import MakePicture
from helpers.places import EXAMPLES
from nst import TransferSettings, TransferStep, load_image, transfer_style
from nst.engine.optimizers import BoxAdam, BoxLBFGS, long_history
from nst.engine.schedule import Moment, plan_scales
from nst.engine.style_target import EASED, ENLARGED, FULL, SLIGHT
from nst.vgg.network import VGG

# No layer lies beyond the content layer: nothing of an evaluation depends on the one before.
SMALL = TransferSettings(size=64, iterations=24, content_layer="relu5_1")


def run(
    photo: Image.Image,
    painting: Image.Image,
    settings: TransferSettings,
    network: VGG,
    begin: Moment | None = None,
) -> TransferStep:
    *_, last = transfer_style(photo, painting, settings, begin=begin, network=network)
    return last


def in_passages(
    photo: Image.Image,
    painting: Image.Image,
    settings: TransferSettings,
    network: VGG,
    counts: Sequence[int],
) -> TransferStep:
    begin = None
    for count in counts:
        step = run(photo, painting, settings.replace(iterations=count), network, begin)
        begin = step.moment
    return step


@pytest.mark.parametrize("counts", [(24, 34), (24, 25, 26, 34), (24, 30, 31, 32, 33, 34)])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_cuts_make_no_difference_to_a_run_that_goes_on(
    network: VGG,
    photo: Image.Image,
    painting: Image.Image,
    optimizer: str,
    counts: tuple[int, ...],
) -> None:
    settings = SMALL.replace(optimizer=optimizer)
    whole = in_passages(photo, painting, settings, network, (24, 34))
    cut = in_passages(photo, painting, settings, network, counts)
    assert torch.equal(whole.pixels, cut.pixels)


def test_adam_in_passages_is_adam_in_one_go(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    settings = SMALL.replace(optimizer="adam")
    whole = run(photo, painting, settings.replace(iterations=30), network)
    cut = in_passages(photo, painting, settings, network, (3, 10, 20, 30))
    assert torch.equal(whole.pixels, cut.pixels)


@pytest.mark.parametrize("changes", [{"beta": 20.0}, {"alpha": 20.0}, {"total_variation": 3.0}])
def test_an_edit_never_leads_to_something_worse(
    network: VGG, photo: Image.Image, painting: Image.Image, changes: dict[str, float]
) -> None:
    moment = run(photo, painting, SMALL, network).moment
    edited = SMALL.replace(iterations=44, **changes)
    steps = list(transfer_style(photo, painting, edited, begin=moment, network=network))
    costs = [step.J for step in steps[:-1]]  # the last one's are those of another precision
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_reported_costs_never_rise_within_a_scale(
    network: VGG, photo: Image.Image, painting: Image.Image, optimizer: str
) -> None:
    settings = TransferSettings(size=330, iterations=40, optimizer=optimizer)
    steps = list(transfer_style(photo, painting, settings, network=network))[:-1]
    for width in {step.width for step in steps}:
        costs = [step.J for step in steps if step.width == width]
        assert costs == sorted(costs, reverse=True)


def test_a_state_is_bound_to_its_pictures_and_size(
    network: VGG, photo: Image.Image, painting: Image.Image, make_picture: MakePicture
) -> None:
    moment = run(photo, painting, SMALL, network).moment
    alone = Moment(moment.picture, moment.iteration)
    other = make_picture(40, 30, 9)
    for styles, settings in (
        (other, SMALL.replace(iterations=30)),
        (painting, SMALL.replace(iterations=30, size=96)),
        (painting, SMALL.replace(iterations=30, optimizer="adam")),
    ):
        with_state = run(photo, styles, settings, network, moment)
        assert torch.equal(with_state.pixels, run(photo, styles, settings, network, alone).pixels)


def test_a_phase_that_was_interrupted_goes_on() -> None:
    def guidance(left: int, begin: Moment | None) -> list[object]:
        settings = TransferSettings(size=64, iterations=left + (begin.iteration if begin else 0))
        (scale,) = plan_scales(settings, begin)
        return [guidance for guidance, _ in scale.phases]

    picture = Image.new("RGB", (64, 48))
    assert guidance(60, None) == [FULL, None]
    assert guidance(60, Moment(picture, 9)) == [FULL, None]
    assert guidance(39, Moment(picture, 9)) == [EASED]
    assert guidance(19, Moment(picture, 9)) == [SLIGHT]
    small = Moment(picture.resize((32, 32)), 9)
    assert guidance(39, small) == [ENLARGED]
    assert guidance(19, small) == [SLIGHT]


def test_curvature_is_scaled_with_the_gradient() -> None:
    def stepped(factor: float) -> torch.Tensor:
        """After two steps on a quadratic, one on that quadratic times `factor`."""
        curvature = torch.linspace(1.0, 3.0, 300).view(1, 3, 10, 10)
        optimizer, image = BoxLBFGS(), torch.full((1, 3, 10, 10), 0.6)
        for _ in range(2):
            image = optimizer.step(image, curvature * (image - 0.5))
        gradient = curvature * (image - 0.5)
        optimizer.rescale(image, gradient, factor * gradient)
        return optimizer.step(image, factor * gradient)

    torch.testing.assert_close(stepped(1.0), stepped(50.0))


def test_unrelated_curvature_is_dropped() -> None:
    optimizer, image = BoxLBFGS(), torch.full((1, 3, 4, 4), 0.6)
    for _ in range(2):
        image = optimizer.step(image, image - 0.5)
    optimizer.rescale(image, image - 0.5, 0.5 - image)
    assert optimizer.tensors() == []


def test_a_copy_takes_the_same_step_and_is_left_alone() -> None:
    for optimizer in (BoxLBFGS(), BoxAdam()):
        image = torch.full((1, 3, 4, 4), 0.6)
        for _ in range(3):
            image = optimizer.step(image, image - 0.5)
        twin = optimizer.copy()
        expected = optimizer.step(image, image - 0.5)
        optimizer.step(expected, expected - 0.4)
        torch.testing.assert_close(twin.step(image, image - 0.5), expected)


def test_history_is_bounded_by_memory() -> None:
    assert long_history(torch.empty(1, 3, 96, 128)) == 20
    assert long_history(torch.empty((1, 3, 1536, 2048))) == 10


@pytest.mark.real
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_passages_get_as_far_as_one_go(real_network: VGG, optimizer: str) -> None:
    photo = load_image(EXAMPLES / "content" / "astronaut.jpg")
    painting = load_image(EXAMPLES / "style" / "mosaic_koi.jpg")
    settings = TransferSettings(size=96, optimizer=optimizer)
    whole = run(photo, painting, settings.replace(iterations=120), real_network)
    cut = in_passages(photo, painting, settings, real_network, range(10, 121, 10))
    assert cut.J < 1.05 * whole.J


@pytest.mark.real
def test_edits_in_quick_succession_cost_little(real_network: VGG) -> None:
    photo = load_image(EXAMPLES / "content" / "astronaut.jpg")
    painting = load_image(EXAMPLES / "style" / "mosaic_koi.jpg")
    settings = TransferSettings(size=128, iterations=60)

    def edited(betas: Sequence[float]) -> float:
        """J under the last β, which is 1 at first and then one of `betas` every third iteration."""
        begin = None
        for count, beta in zip(range(9, 9 + 3 * len(betas), 3), [1.0, *betas], strict=False):
            steps = transfer_style(
                photo, painting, settings.replace(beta=beta), begin=begin, network=real_network
            )
            begin = next(step for step in steps if step.iteration == count).moment
        return run(photo, painting, settings.replace(beta=betas[-1]), real_network, begin).J

    # 0.96 with two threads, 1.06 with one: the order of sums moves where so short a run gets to.
    assert edited([4 ** (n / 10) for n in range(1, 11)]) < 1.1 * edited([4.0] * 10)
