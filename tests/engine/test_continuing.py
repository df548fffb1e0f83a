"""A run that begins from a picture: an edit, more iterations and another size are one thing."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import nst.studio.forecast
from helpers.painting import Recorder, evaluated, final
from helpers.pictures import MakePicture
from nst import TransferSettings, TransferStep, load_image, transfer_style
from nst.engine.schedule import COARSEST, GUIDED_AGAIN_FROM, Moment, plan_scales
from nst.images.tensors import fit, fitted_size, to_image, to_tensor
from nst.images.writing import save_png
from nst.studio.forecast import PlannedRun, forecast
from nst.vgg.network import VGG

pytestmark = pytest.mark.slow


SMALL = TransferSettings(size=64, iterations=10)  # one scale
COARSE_TO_FINE = TransferSettings(size=330, iterations=20, base_size=330)


@pytest.fixture
def moment(network: VGG, photo: Image.Image, painting: Image.Image) -> Moment:
    """Six iterations of `SMALL`."""
    *_, last = transfer_style(photo, painting, SMALL.replace(iterations=6), network=network)
    return Moment(last.image, 6)


def grain(image: Tensor) -> float:
    return (image[..., 1:] - image[..., :-1]).square().mean().item()


def assert_same_in_8_bits(step: TransferStep, picture: Image.Image) -> None:
    torch.testing.assert_close(step.pixels, to_tensor(picture), atol=1e-6, rtol=0)
    assert step.image.tobytes() == picture.tobytes()


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("iterations", [7, 10, 40])
def test_the_count_of_iterations_goes_on(
    network: VGG,
    photo: Image.Image,
    painting: Image.Image,
    moment: Moment,
    iterations: int,
    optimizer: str,
) -> None:
    settings = SMALL.replace(iterations=iterations, optimizer=optimizer)
    steps = list(transfer_style(photo, painting, settings, begin=moment, network=network))
    assert [step.iteration for step in steps] == list(range(6, iterations + 1))
    assert {step.total for step in steps} == {iterations}
    assert all(step.remaining > 0 for step in steps[:-1])
    assert steps[-1].remaining == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("iterations", [1, 5, 6])
@pytest.mark.parametrize("size", [64, 96, 330])
def test_with_no_iterations_left_the_picture_is_brought_to_its_size(
    network: VGG,
    photo: Image.Image,
    painting: Image.Image,
    moment: Moment,
    iterations: int,
    size: int,
) -> None:
    settings = SMALL.replace(iterations=iterations, size=size)
    (only,) = transfer_style(photo, painting, settings, begin=moment, network=network)
    assert (only.iteration, only.total) == (6, 6)
    assert (only.width, only.height) == fitted_size(photo.size, size)
    assert only.remaining == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"start": "content"},
        {"start": "noise"},
        {"restructure": "much"},
        {"alpha": 9.0, "beta": 0.2, "total_variation": 2.0},
        {"content_layer": "relu2_2", "layer_weights": {"relu3_1": 2.0, "relu5_1": 0.5}},
        {"optimizer": "adam", "style_scale": 2.0},
        {"iterations": 60},  # guided at first
        {"iterations": 1},
    ],
    ids=str,
)
def test_the_first_step_is_the_picture_under_the_present_settings(
    network: VGG,
    make_picture: MakePicture,
    photo: Image.Image,
    moment: Moment,
    changes: dict[str, object],
) -> None:
    """Of the same size: unchanged, though another painting than before is followed from here."""
    settings = SMALL.replace(**changes)
    other = make_picture(30, 90, seed=7)
    first = next(transfer_style(photo, other, settings, begin=moment, network=network))
    assert_same_in_8_bits(first, moment.picture)
    costs = evaluated(first, photo, [other], settings, network, to_tensor(moment.picture))
    assert (first.J, first.content, first.style) == pytest.approx(
        (costs.J, costs.content, costs.style), rel=1e-4
    )
    assert first.layers == pytest.approx(costs.layers, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["recolored", "content", "noise"])
def test_a_run_that_goes_on_improves_the_picture(
    network: VGG,
    photo: Image.Image,
    painting: Image.Image,
    moment: Moment,
    start: str,
    optimizer: str,
) -> None:
    settings = SMALL.replace(iterations=16, start=start, optimizer=optimizer)
    steps = list(transfer_style(photo, painting, settings, begin=moment, network=network))
    for before, after in itertools.pairwise(steps[:-1]):
        assert after.J <= before.J
    assert steps[-1].J < 0.95 * steps[0].J
    costs = evaluated(steps[-1], photo, [painting], settings, network)
    assert (steps[-1].J, steps[-1].style) == pytest.approx((costs.J, costs.style), rel=1e-4)


def test_a_long_run_that_goes_on_ends_lower_after_its_detour(
    network: VGG, photo: Image.Image, painting: Image.Image, moment: Moment
) -> None:
    settings = SMALL.replace(iterations=66)
    assert plan_scales(settings, moment)[0].guided > 0
    first, *_, last = transfer_style(photo, painting, settings, begin=moment, network=network)
    assert last.J < first.J / 2


def test_other_paintings_lead_elsewhere(
    network: VGG,
    make_picture: MakePicture,
    photo: Image.Image,
    painting: Image.Image,
    moment: Moment,
) -> None:
    other = make_picture(30, 90, seed=7)
    same, turned, both = (
        list(transfer_style(photo, styles, SMALL, begin=moment, network=network))
        for styles in (painting, other, [painting, other])
    )
    assert same[0].J != turned[0].J
    for one, two in itertools.combinations((same, turned, both), 2):
        assert not torch.equal(one[-1].pixels, two[-1].pixels)
    assert turned[-1].J < turned[0].J


@pytest.mark.parametrize(
    "changes", [{}, {"start": "noise"}, {"size": 96, "restructure": "much"}, {"size": 330}], ids=str
)
def test_what_is_left_is_a_function_of_the_png_alone(
    network: VGG,
    photo: Image.Image,
    painting: Image.Image,
    tmp_path: Path,
    changes: dict[str, object],
) -> None:
    """Bit for bit: a run that is left in the middle, kept as a PNG and taken up by another one."""
    settings = SMALL.replace(**changes, iterations=12)
    running = transfer_style(photo, painting, settings, network=network)
    middle = next(step for step in running if step.iteration == 4)
    save_png(middle.image, tmp_path / "kept.png")

    def rest(picture: Image.Image, network: VGG) -> list[TransferStep]:
        begin = Moment(picture, 4)
        return list(transfer_style(photo, painting, settings, begin=begin, network=network))

    here = rest(middle.image, network)
    next(running)  # the run that was left goes on meanwhile
    torch.manual_seed(5)
    there = rest(load_image(tmp_path / "kept.png"), Recorder(network))  # nothing is remembered
    assert [s.without_pixels().layers for s in here] == [s.without_pixels().layers for s in there]
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(here, there, strict=True))


def test_a_run_that_goes_on_looks_at_photo_and_painting_no_more(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    recorder = Recorder(network)
    steps = list(transfer_style(photo, painting, SMALL, network=recorder))
    shown = len(recorder.seen)
    begin = Moment(steps[-1].image, 10)
    more = SMALL.replace(iterations=13, beta=2.0)
    list(transfer_style(photo, painting, more, begin=begin, network=recorder))
    assert len(recorder.seen) - shown == 1 + 3 + 1  # the picture, the iterations, the last costs


def test_pictures_given_are_not_changed(
    network: VGG, photo: Image.Image, painting: Image.Image, moment: Moment
) -> None:
    given = (photo, painting, moment.picture)
    before = [picture.tobytes() for picture in given]
    for size in (64, 96):
        settings = SMALL.replace(size=size)
        list(transfer_style(photo, painting, settings, begin=moment, network=network))
    assert [picture.tobytes() for picture in given] == before


@pytest.mark.parametrize(
    ("restructure", "start", "keeps"),
    [
        ("little", "recolored", True),
        ("some", "content", True),
        ("much", "recolored", False),
        ("some", "noise", False),
    ],
)
def test_a_larger_size_keeps_the_photos_detail(
    network: VGG,
    make_picture: MakePicture,
    painting: Image.Image,
    restructure: str,
    start: str,
    keeps: bool,
) -> None:
    """Or is the picture enlarged, where detail of the photo has no place. Reduced again, it is the
    picture in either case."""
    photo = make_picture(330, 250, seed=1)  # with grain of one pixel
    before = TransferSettings(size=165, iterations=4, restructure=restructure)
    *_, last = transfer_style(photo, painting, before, network=network)
    settings = before.replace(size=330, iterations=5, start=start)
    begin = Moment(last.image, 4)
    first = next(transfer_style(photo, painting, settings, begin=begin, network=network))
    assert (first.width, first.height) == (330, 250)
    assert (grain(first.pixels) > 0.6 * grain(to_tensor(photo))) == keeps
    reduced = to_tensor(first.image.resize(last.image.size, Image.Resampling.LANCZOS))
    assert (reduced - to_tensor(last.image)).abs().mean() < 3 / 255


@pytest.mark.parametrize(("restructure", "start"), [("much", "recolored"), ("some", "noise")])
def test_where_nothing_is_kept_the_enlarged_picture_is_the_picture_alone(
    network: VGG,
    make_picture: MakePicture,
    painting: Image.Image,
    moment: Moment,
    restructure: str,
    start: str,
) -> None:
    settings = SMALL.replace(size=100, restructure=restructure, start=start)
    firsts = [
        next(transfer_style(photo, styles, settings, begin=moment, network=network)).pixels
        for photo in (make_picture(80, 60, seed=1), make_picture(160, 120, seed=8))
        for styles in (painting, photo)
    ]
    assert firsts[0].shape == (1, 3, 75, 100)
    assert all(torch.equal(other, firsts[0]) for other in firsts[1:])


def test_a_larger_size_is_approached_in_stages_from_the_pictures_own(
    network: VGG, make_picture: MakePicture, photo: Image.Image, painting: Image.Image
) -> None:
    def sides(reached: int) -> list[int]:
        begin = Moment(make_picture(*fitted_size(photo.size, reached), 3), 1)
        steps = transfer_style(photo, painting, COARSE_TO_FINE, begin=begin, network=network)
        return [max(step.width, step.height) for step in steps]

    assert sides(165) == [165] * 2 + [330] * 18  # 19 left, 18 of them planned at full size
    assert sides(166) == [330] * 20
    assert sides(64) == sides(165)


@pytest.mark.parametrize("restructure", ["some", "much"])
def test_what_was_made_of_the_picture_moves_up_with_it(
    network: VGG,
    make_picture: MakePicture,
    photo: Image.Image,
    painting: Image.Image,
    restructure: str,
) -> None:
    picture = make_picture(165, 124, seed=3)
    settings = COARSE_TO_FINE.replace(iterations=90, restructure=restructure)
    steps = transfer_style(photo, painting, settings, begin=Moment(picture, 3), network=network)
    pairs = itertools.pairwise(step.image for step in steps)
    coarse, full = next(pair for pair in pairs if pair[1].width == 330)
    assert coarse.width == 165
    reduced = to_tensor(fit(full, 165))
    way = (to_tensor(coarse) - to_tensor(picture)).abs().mean()
    assert (reduced - to_tensor(coarse)).abs().mean() < way / 2


def test_an_enlarged_picture_comes_back_to_the_photo(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    """Its costs are near those of a fresh run, the content cost too."""
    small = TransferSettings(size=96, iterations=40)
    *_, finished = transfer_style(photo, painting, small, network=network)
    begin, large = Moment(finished.image, 40), small.replace(size=192)
    *_, fresh = transfer_style(photo, painting, large, network=network)
    more = large.replace(iterations=76)
    *_, last = transfer_style(photo, painting, more, begin=begin, network=network)
    before = more.replace(base_weight=0.0)  # as version 3 went on
    *_, strayed = transfer_style(photo, painting, before, begin=begin, network=network)
    assert last.content < strayed.content
    assert last.content < 1.05 * fresh.content
    assert last.J < 1.03 * fresh.J


@pytest.mark.parametrize("start", ["recolored", "content", "noise"])
@pytest.mark.parametrize("size", [64, 81, 200])
def test_a_smaller_size_is_the_picture_reduced(
    network: VGG, make_picture: MakePicture, painting: Image.Image, start: str, size: int
) -> None:
    """Whose pixels are averaged: checkers of one pixel turn grey, and no pattern appears."""
    checkers = np.indices((300, 400)).sum(0) % 2 * 200
    picture = Image.fromarray(checkers.astype(np.uint8)).convert("RGB")
    settings = SMALL.replace(size=size, start=start)
    begin = Moment(picture, 9)
    photo = make_picture(400, 300, seed=1)
    first, *_, last = transfer_style(photo, painting, settings, begin=begin, network=network)
    assert (first.width, first.height) == (last.width, last.height) == (size, round(size * 3 / 4))
    assert_same_in_8_bits(first, fit(picture, size))
    assert (first.pixels - 100 / 255).abs().mean() < 2 / 255


@pytest.mark.parametrize("size", [(333, 1000), (1000, 333), (101, 97), (1000, 17), (63, 64)])
@pytest.mark.parametrize("reached", [64, 67, 85, 129])
def test_any_aspect_ratio_goes_on_at_any_size(
    network: VGG,
    make_picture: MakePicture,
    painting: Image.Image,
    size: tuple[int, int],
    reached: int,
) -> None:
    photo = make_picture(*size, seed=1)
    picture = make_picture(*fitted_size(size, reached), 3)
    for wanted in (64, 85, reached):
        settings = SMALL.replace(size=wanted, iterations=3)
        begin = Moment(picture, 2)
        first, last = transfer_style(photo, painting, settings, begin=begin, network=network)
        assert (first.width, first.height) == (last.width, last.height)
        assert (first.width, first.height) == fitted_size(size, wanted)
        assert 0 <= first.pixels.min() <= first.pixels.max() <= 1
        if wanted == reached:
            assert_same_in_8_bits(first, picture)


@pytest.mark.parametrize("others", [(64, 47), (63, 48), (48, 64), (64, 64)])
def test_a_picture_of_another_shape_is_brought_to_the_photos(
    network: VGG,
    make_picture: MakePicture,
    photo: Image.Image,
    painting: Image.Image,
    others: tuple[int, int],
) -> None:
    begin = Moment(make_picture(*others, 3), 9)
    steps = list(transfer_style(photo, painting, SMALL, begin=begin, network=network))
    assert {(step.width, step.height) for step in steps} == {(64, 48)}
    assert steps[-1].J < steps[0].J


def begun(iteration: int, reached: int) -> Moment:
    return Moment(Image.new("RGB", (reached, 1)), iteration)


@pytest.mark.parametrize("restructure", COARSEST)
def test_scales_are_planned_for_every_picture_to_begin_with(restructure: str) -> None:
    sizes = [64, 159, 160, 161, 319, 320, 330, 639, 640, 1024, 2047, 2048]
    counts = [1, 7, 8, 19, 20, 27, 28, 60, 1000]
    reaches = [1, 64, 80, 160, 165, 320, 330, 512, 1024, 2048]
    for size, iterations, done, reached in itertools.product(sizes, counts, [0, *counts], reaches):
        settings = TransferSettings(size=size, iterations=iterations, restructure=restructure)
        left = max(0, iterations - done)
        scales = plan_scales(settings, begun(done, reached))
        assert sum(scale.iterations for scale in scales) == left
        planned = [scale.size for scale in scales]
        assert planned == sorted(set(planned))
        assert planned[-1] == size
        for scale in scales[:-1]:
            assert scale.size >= max(reached, COARSEST[restructure])
            assert scale.iterations >= 1
        whole = {scale.size: scale.iterations for scale in plan_scales(settings)}
        for scale in scales[1:]:  # what the unfinished stage does not need goes on as planned
            assert scale.iterations == whole[scale.size]
        if done == 0 and left >= GUIDED_AGAIN_FROM and reached <= COARSEST[restructure]:
            assert scales == plan_scales(settings)


def test_with_none_left_there_is_one_stage_without_iterations() -> None:
    for optimizer, done in itertools.product(("lbfgs", "adam"), (60, 61, 5000)):
        (only,) = plan_scales(TransferSettings(size=2048, optimizer=optimizer), begun(done, 64))
        assert (only.size, only.phases) == (2048, ((None, 0),))


@pytest.fixture
def known_pace(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(nst.studio.forecast, "seconds_per_pixel", lambda _: 1e-6)
    return 1e-6


def test_what_is_left_is_forecast_by_hand(network: VGG, known_pace: float) -> None:
    settings = TransferSettings(size=200, iterations=10)
    expected = forecast(network, PlannedRun((400, 200), [(100, 100)], settings, begun(4, 200)))
    photo, painting = 200 * 100, 200 * 200
    looked_at = photo + painting + 2 * photo + painting  # targets; the end, and its targets
    assert expected.seconds == pytest.approx(known_pace * (7 * photo + 0.5 * looked_at))


@pytest.mark.parametrize("size", [64, 200, 384, 1024])
@pytest.mark.parametrize("iterations", [10, 60, 300])
def test_what_is_left_takes_less_than_the_whole(
    network: VGG, known_pace: float, size: int, iterations: int
) -> None:
    settings = TransferSettings(size=size, iterations=iterations)

    def planned(begin: Moment | None = None) -> float:
        return forecast(network, PlannedRun((40, 30), [(30, 40)], settings, begin)).seconds

    reached = [s.size for s in plan_scales(settings) for _ in range(s.iterations)]
    left = [planned(begun(done, side)) for done, side in enumerate(reached, start=1)]
    assert left == sorted(left, reverse=True)
    assert left[0] < planned()
    at_full_size = [seconds for seconds, side in zip(left, reached, strict=True) if side == size]
    assert at_full_size[1:] == sorted(at_full_size[1:], reverse=True)
    bytes_needed = forecast(network, PlannedRun((40, 30), [(30, 40)], settings)).bytes
    begin = begun(iterations, size)
    assert (
        forecast(network, PlannedRun((40, 30), [(30, 40)], settings, begin)).bytes == bytes_needed
    )


def test_any_mode_of_picture_will_do(
    network: VGG, photo: Image.Image, painting: Image.Image, moment: Moment
) -> None:
    """Of the same colours: the run does not depend on what else a file holds."""
    with_alpha = Moment(moment.picture.convert("RGBA"), 6)
    runs = [
        final(transfer_style(photo, painting, SMALL, begin=begin, network=network))
        for begin in (moment, with_alpha)
    ]
    assert torch.equal(*runs)
    assert to_image(runs[0]).mode == "RGB"
